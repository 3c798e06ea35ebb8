#include "engine/cpu/cpu_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "memory/shared_table.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::engine {

namespace {

/// Where the largest index in single precision still is a whole number.
constexpr double exact_in_single = 16777216;

void add_intensities(const Plan& plan, const SingleTable& table, CpuPlan& p) {
  if (plan.lattice.grid) {
    const StructureFactorGrid& grid = *plan.lattice.grid;
    p.grid = GridView(plan.lattice);
    p.extent = {double(grid.extent(0)), double(grid.extent(1)), double(grid.extent(2))};
  }
  p.F = table.F;
  if (!table.terms.empty()) {
    p.terms = plan.lattice.by_energy->light_terms().terms;
    p.of_reflections = table.terms;
  }
  p.largest_F = table.largest;
  p.default_F = static_cast<float>(plan.lattice.default_F / table.largest);
  const double unit_F = plan.lattice.grid ? table.largest : plan.lattice.default_F;
  p.unit = plan.scale * unit_F * unit_F;

  p.lattice = plan.lattice;
  const auto width_in_metric = []<class Shape>() { return Shape::width_in_metric; };
  if (physics::with_shape(plan.lattice.shape, width_in_metric)) {
    // Any number of cells may stand for the real one.  This one leaves squares of single precision
    // room for 68 decades below the peak.
    constexpr double peak = 0x1p50;
    const Vec3d& n = plan.lattice.cells;
    const double count = n.x * n.y * n.z / peak;
    p.lattice.cells = {peak, 1, 1};
    p.unit *= count * count;
  }
}

/// F_latt^2 so faint that a step may be left out: if all steps of a pixel were so, at the nearest
/// spot of the panel, it would get less than `skip_below`.  0 where light has no bound.
double least_intensity(const Plan& plan, const CpuPlan& p, double skip_below) {
  const PlanPanel& panel = *p.panel;
  const PlanLattice& lattice = plan.lattice;
  const PlanFrame& frame = panel.frame;
  const double nearest = frame.curvature == Curvature::flat
                             ? std::abs(dot(frame.origin, frame.normal))
                             : frame.curvature_radius;
  const double omega = std::abs(
      solid_angle(frame, 1 / nearest, panel.sensor.layer_step * panel.sensor.layers));
  const double polarization = std::max(1.0, (1 + std::abs(plan.light.polarization_fraction)) / 2);
  double weight = 0;
  for (const PlanRay& ray : plan.light.rays) weight = std::max(weight, std::abs(ray.weight));
  const double overshoot = lattice.tricubic ? 4 : 1;  // of F^2, between the nodes
  const double steps = double(plan.light.rays.size()) * double(lattice.orientations.size()) *
                       plan.oversample * plan.oversample * panel.sensor.layers;
  const double brightest = steps * plan.scale * p.largest_F * p.largest_F * overshoot * weight *
                           omega * polarization;
  return std::isfinite(brightest) && brightest > 0 ? skip_below / brightest : 0;
}

/// Along each axis, the extent of the ellipsoid d . M d <= radius2.
Vec3d extents(const physics::SpotMetric<double>& m, double radius2) {
  const double bc = m.bb * m.cc - m.bc * m.bc, ca = m.cc * m.aa - m.ca * m.ca,
               ab = m.aa * m.bb - m.ab * m.ab;
  const double volume = m.aa * bc - m.ab * (m.ab * m.cc - m.bc * m.ca) +
                        m.ca * (m.ab * m.bc - m.bb * m.ca);
  const auto extent = [&](double minor) { return std::sqrt(radius2 * minor / volume); };
  return {extent(bc), extent(ca), extent(ab)};
}

void add_reach(const Plan& plan, double skip_below, CpuPlan& p) {
  constexpr double everywhere = 2;
  p.reach = {everywhere, everywhere, everywhere};
  const PlanFrame& frame = p.panel->frame;
  // The anchors, by which a block is found dark, are those of a flat panel.
  if (!(skip_below > 0) || frame.curvature != Curvature::flat) return;
  p.skips = true;
  // Behind the sample the capture has no bound.
  if (p.panel->sensor.absorbs() && dot(frame.origin, frame.normal) <= 0) return;
  constexpr double rounding = 1.00001;
  const double least = least_intensity(plan, p, skip_below);
  double radius2 = 0;
  Vec3d reach;
  physics::with_shape(plan.lattice.shape, [&]<class Shape>() {
    radius2 = Shape::dark_radius2(plan.lattice, least);
    reach = rounding * extents(Shape::metric(plan.lattice), radius2);
  });
  // NaN, of a degenerate cell, means everywhere.
  if (!(reach.x + reach.y + reach.z < 3 * everywhere)) return;
  p.reach = reach;
  p.dark_radius2 = rounding * radius2;
}

// ---- Beams --------------------------------------------------------------------------------------

/// The longest way from an incident beam's end to a direction that the panel sees.
double widest_scattering(const Plan& plan, const PlanPanel& panel) {
  const PlanFrame& f = panel.frame;
  const double depth = panel.sensor.layer_step * (panel.sensor.layers - 1);
  double widest = 0;
  for (const double fast : {0.0, f.pixel * f.fast_pixels})
    for (const double slow : {0.0, f.pixel * f.slow_pixels})
      for (const double deep : {0.0, depth}) {
        const Vec3d corner = unit(f.origin + fast * f.fast + slow * f.slow + deep * f.normal);
        for (const PlanRay& ray : plan.light.rays)
          widest = std::max(widest, length(corner - ray.incident));
      }
  return widest;
}

/// `band`: numbers of rays of one direction, sorted by wavenumber.
void add_band(const std::vector<PlanRay>& rays, const std::vector<int>& band, CpuPlan& p) {
  const auto ray_of = [&](int number) -> const PlanRay& {
    return rays[static_cast<std::size_t>(number)];
  };
  const double middle = 0.5 * (ray_of(band.front()).wavenumber + ray_of(band.back()).wavenumber);
  Beam beam;
  beam.ray = band.front();
  beam.incident = ray_of(beam.ray).incident;
  beam.magnetic = ray_of(beam.ray).magnetic;
  beam.wavenumber = middle;
  beam.light = 0;
  beam.rays = static_cast<int>(band.size());
  beam.first = static_cast<int>(p.band_change.size());
  beam.first_bin = static_cast<int>(p.band_bins.size());
  for (const int number : band) {
    const PlanRay& ray = ray_of(number);
    p.band_ray.push_back(number);
    p.band_change.push_back(ray.wavenumber / middle - 1);
    p.band_weight.push_back(static_cast<float>(ray.weight));
    beam.light += ray.weight;
  }
  const auto begin = p.band_change.begin() + beam.first, end = p.band_change.end();
  beam.low = static_cast<float>(*begin);
  beam.high = static_cast<float>(*(end - 1));
  beam.bins_per_change = beam.high > beam.low
                             ? static_cast<float>(bins_of_band) / (beam.high - beam.low)
                             : 0;
  for (int bin = 0; bin < bins_of_band; ++bin) {
    // A bin is widened by more than the rounding of an index into it.
    const auto edge = [&](double which) {
      return beam.low + (beam.high - beam.low) * static_cast<float>(which / bins_of_band);
    };
    p.band_bins.push_back(
        {static_cast<int>(std::lower_bound(begin, end, edge(bin - 0.01)) - p.band_change.begin()),
         static_cast<int>(std::upper_bound(begin, end, edge(bin + 1.01)) - p.band_change.begin())});
  }
  p.band_change.insert(p.band_change.end(), most_lanes, beam.high);
  p.band_weight.insert(p.band_weight.end(), most_lanes, 0.0F);
  p.band_ray.insert(p.band_ray.end(), most_lanes, beam.ray);
  p.beams.push_back(beam);
}

/// Neighbouring wavelengths of one direction are treated together where this leaves most of them
/// out: Gaussian spots so small that a band cannot come near to two lattice points.
void add_beams(const Plan& plan, bool bands_allowed, CpuPlan& p) {
  constexpr std::size_t enough = 8;
  const Vec3d room = Vec3d{0.49, 0.49, 0.49} - p.reach;
  const auto sums_along_lines = []<class Shape>() { return Shape::sums_along_lines; };
  if (bands_allowed && physics::with_shape(plan.lattice.shape, sums_along_lines) &&
      !plan.lattice.tricubic && plan.dmin == 0 && std::min({room.x, room.y, room.z}) > 0.02) {
    const double widest = widest_scattering(plan, *p.panel) * p.max_wavenumber;
    const double sweep = widest * std::max({p.edges_m.x / room.x, p.edges_m.y / room.y,
                                            p.edges_m.z / room.z});
    const auto same_direction = [](const PlanRay& a, const PlanRay& b) {
      return a.incident == b.incident && a.magnetic == b.magnetic;
    };
    for (std::size_t begin = 0, end = 0; begin < plan.light.rays.size(); begin = end) {
      while (end < plan.light.rays.size() &&
             same_direction(plan.light.rays[begin], plan.light.rays[end]))
        ++end;
      const auto wavenumber = [&](int number) {
        return plan.light.rays[static_cast<std::size_t>(number)].wavenumber;
      };
      std::vector<int> sorted(end - begin);
      std::iota(sorted.begin(), sorted.end(), static_cast<int>(begin));
      std::sort(sorted.begin(), sorted.end(),
                [&](int a, int b) { return wavenumber(a) < wavenumber(b); });
      // Half the width of a band times the largest index stays within the room.
      std::vector<int> band;
      for (const int ray : sorted) {
        if (!band.empty() && (wavenumber(ray) - wavenumber(band[0])) * sweep >
                                 wavenumber(ray) + wavenumber(band[0])) {
          add_band(plan.light.rays, band, p);
          band.clear();
        }
        band.push_back(ray);
      }
      add_band(plan.light.rays, band, p);
    }
    p.bands = plan.light.rays.size() >= enough * p.beams.size();
    if (p.bands && p.terms > 0) {
      const LightTerms& light = plan.lattice.by_energy->light_terms();
      for (int k = 1; k < p.terms; ++k)
        for (std::size_t j = 0; j < p.band_ray.size(); ++j)
          p.band_terms.push_back(static_cast<float>(
              double(p.band_weight[j]) *
              light.of_rays[static_cast<std::size_t>(p.band_ray[j] * p.terms + k)]));
    }
  }
  if (p.bands) return;
  p.beams.clear();
  if (p.terms > 0)
    for (const double term : plan.lattice.by_energy->light_terms().of_rays)
      p.of_rays.push_back(static_cast<float>(term));
  for (const PlanRay& ray : plan.light.rays) {
    Beam beam;
    beam.incident = ray.incident;
    beam.magnetic = ray.magnetic;
    beam.wavenumber = ray.wavenumber;
    beam.weight = beam.light = ray.weight;
    beam.ray = static_cast<int>(p.beams.size());
    p.beams.push_back(beam);
  }
}

std::vector<Sample> samples_of(const PlanPanel& panel, int oversample) {
  const PlanFrame& f = panel.frame;
  const PlanSensor& sensor = panel.sensor;
  const double middle_layer = 0.5 * (sensor.layers - 1), middle = 0.5 * (oversample - 1);
  std::vector<Sample> samples;
  for (int layer = 0; layer < sensor.layers; ++layer)
    for (int slow = 0; slow < oversample; ++slow)
      for (int fast = 0; fast < oversample; ++fast) {
        const double right = f.subpixel * (fast - middle), up = f.subpixel * (slow - middle),
                     deep = sensor.layer_step * (layer - middle_layer);
        const Vec3d offset = right * f.fast + up * f.slow + deep * f.normal;
        samples.push_back({layer,
                           slow,
                           fast,
                           static_cast<float>(right),
                           static_cast<float>(up),
                           {static_cast<float>(offset.x), static_cast<float>(offset.y),
                            static_cast<float>(offset.z)}});
      }
  return samples;
}

/// The error of an anchored index is about 1.2e-7 times its distance to the anchor and 3e-8 for its
/// last rounding; that of the flank of a fringe 3.1 times this times the number of cells.  The
/// brightest pixel may be no more than that, where a region lies between the spots.  The errors of
/// many terms cancel in part.
constexpr double index_error = 1.2e-7, last_rounding = 3e-8, image_error = 3.1, tolerated = 3.5e-6,
                 most_cancelled = 4;

}  // namespace

SingleTable::SingleTable(const PlanLattice& lattice) {
  largest = std::abs(lattice.default_F);
  if (lattice.grid)
    for (const double value : lattice.grid->values()) largest = std::max(largest, std::abs(value));
  if (largest == 0) largest = 1;
  if (!lattice.grid) return;
  const std::span<const double> values = lattice.grid->values();
  shared_ = lattice.grid->shared();
  if (shared_) F = shared_->single(largest);
  if (F.size() != values.size()) {
    own_.resize(values.size());
    std::ranges::transform(values, own_.begin(),
                           [&](double x) { return memory::in_units(x, largest); });
    F = own_;
  }
  if (!lattice.by_energy || lattice.by_energy->groups() < 2) return;
  const LightTerms& light = lattice.by_energy->light_terms();
  for (const double term : light.of_reflections)
    terms.push_back(static_cast<float>(term / (largest * largest)));
}

CpuPlan make_cpu_plan(const Plan& plan, std::size_t panel, const SingleTable& table,
                      double skip_below, bool bands_allowed) {
  CpuPlan p;
  p.plan = &plan;
  p.panel_number = panel;
  p.panel = &plan.panels[panel];
  add_intensities(plan, table, p);
  p.samples = samples_of(*p.panel, plan.oversample);
  for (const PlanRay& ray : plan.light.rays) {
    p.max_wavenumber = std::max(p.max_wavenumber, ray.wavenumber);
    if (ray.weight != 1) p.ray_factors = true;
  }
  for (const Mat3d& m : plan.lattice.orientations)
    p.edges_m = {std::max(p.edges_m.x, length(m.a)), std::max(p.edges_m.y, length(m.b)),
                 std::max(p.edges_m.z, length(m.c))};
  if (plan.dmin > 0 || plan.rules.each_polarization()) p.ray_factors = true;
  const Vec3d& n = plan.lattice.cells;
  const double terms = double(plan.light.rays.size()) * double(plan.lattice.orientations.size());
  const double left = tolerated * std::min(most_cancelled, std::sqrt(terms)) / image_error -
                      last_rounding * (n.x + n.y + n.z);
  p.anchors_allowed = p.panel->frame.curvature == Curvature::flat && plan.dmin == 0 && left > 0;
  p.anchor_weight = (index_error / left) * n;
  add_reach(plan, skip_below, p);
  add_beams(plan, bands_allowed, p);
  return p;
}

std::string needs_wide(const Plan& plan) {
  if (plan.rules.running())
    return "the factors of -oversample_thick, -oversample_polar or -oversample_omega multiply a "
           "running sum, whose order and zeros matter";
  if (plan.dmin > 0 && plan.rules.once_polarization())
    return "with -dmin the first source that is not cut off, another one in each pixel, polarizes "
           "all";
  const bool several_F = plan.lattice.by_energy && plan.lattice.by_energy->groups() > 1;
  const double products = several_F ? plan.lattice.by_energy->light_terms().terms : 1;
  if (plan.lattice.grid &&
      products * double(plan.lattice.grid->values().size() + 1) >= exact_in_single)
    return "the structure-factor table has more entries than single precision can count";
  const Vec3d& n = plan.lattice.cells;
  if (n.x * n.y * n.z > 1e17) return "the squared number of cells is beyond single precision";
  return {};
}

}  // namespace nablabragg::engine
