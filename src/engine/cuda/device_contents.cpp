#include "engine/cuda/device_contents.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/closed/spots_of_tiles.hpp"
#include "engine/cpu/table_spread.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::engine::cuda {

namespace {

constexpr double furthest_index = 524287;  ///< that the kernels' fixed-point numbers hold

}  // namespace

void DeviceContents::prepare_arrays() {
  const PlanLattice& lattice = plan_.lattice;
  if (rays_.size() == 0)
    rays_ = on_device(device_, plan_.light.rays.data(), plan_.light.rays.size());
  if (materials_.size() == 0 && !plan_.materials.empty()) load_materials();
  if (plan_.spread.closed) return;  // its spots have the lattice
  if (!table_) table_.emplace(lattice);
  if (orientations_.size() == 0)
    orientations_ = on_device(device_, lattice.orientations.data(), lattice.orientations.size());
}

void DeviceContents::load_materials() {
  std::vector<MaterialView> views;
  for (const PlanMaterial& material : plan_.materials) {
    const auto array = [&](std::span<const double> numbers) {
      return material_numbers_.emplace_back(on_device(device_, numbers.data(), numbers.size()))
          .data();
    };
    MaterialView& view = views.emplace_back(view_of(material));
    if (material.curve) {
      view.curve.rows_before = array(material.curve->rows_before());
      view.curve.rows = array(material.curve->rows());
      view.curve.intervals = array(material.curve->intervals());
    }
    const auto& points = path_points_.emplace_back(
        on_device(device_, material.points.data(), material.points.size()));
    view.points = {points.data(), points.size()};
  }
  materials_ = on_device(device_, views.data(), views.size());
}

void DeviceContents::prepare() {
  if (!panels_.empty()) return;
  prepare_arrays();
  for (std::size_t i = 0; i < plan_.panels.size(); ++i)
    panels_.push_back(plan_.spread.closed ? closed_panel(i) : device_panel(i, false));
}

void DeviceContents::find_spots() {
  if (!plan_.spread.closed || has_found_) return;
  make_closed_plan(plan_, options_.skip_below.value_or(default_skip_below_closed), options_,
                   found_);
  has_found_ = true;
}

void DeviceContents::prepare_gradients() {
  if (!gradient_panels_.empty()) return;
  prepare_arrays();
  for (std::size_t i = 0; i < plan_.panels.size(); ++i)
    gradient_panels_.push_back(device_panel(i, true));
}

Job DeviceContents::job_of(const DevicePanel& panel) const {
  Job job;
  job.method = panel.method;
  job.shape = plan_.lattice.shape;
  job.lookup = lookup_of(plan_.lattice);
  job.plan = &panel.plan;
  return job;
}

void DeviceContents::forget_light() {
  has_found_ = false;
  panels_.clear();
  gradient_panels_.clear();
  rays_ = {};
  materials_ = {};
  material_numbers_.clear();
  path_points_.clear();
}

void DeviceContents::forget_lattice(bool same_table) {
  has_found_ = false;
  panels_.clear();
  gradient_panels_.clear();
  orientations_ = {};
  if (same_table) return;
  table_.reset();
  F_ = {};
  grid_ = {};
}

DevicePanel DeviceContents::panel_of(std::size_t number) const {
  DevicePanel loaded{number, DevicePlan(PlanView(plan_, number)), Method::walk, {}, {}, {}, {}, {},
                     {}};
  DevicePlan& p = loaded.plan;
  p.view.light.rays = {rays_.data(), rays_.size()};
  p.view.lattice.orientations = {orientations_.data(), orientations_.size()};
  p.view.materials = {materials_.data(), materials_.size()};
  if (const auto& mask = plan_.panels[number].mask)
    loaded.keep = on_device(device_, mask->keep.data(), mask->keep.size());
  return loaded;
}

DevicePanel DeviceContents::closed_panel(std::size_t number) const {
  DevicePanel loaded = panel_of(number);
  SpotArrays& spots = loaded.spots.emplace();
  spots.closed.terms = found_.terms;
  const bool flat = plan_.panels[number].frame.curvature == Curvature::flat;
  loaded.reason = plan_.spread.reason;
  if (!flat) loaded.reason += "; a curved detector wants directions in double precision";
  if (flat && options_.precision != Precision::float64) {
    loaded.method = Method::float32;
    spots.closed.single = load_spots(number, spots.single, spots);
  } else {
    loaded.method = Method::float64;
    spots.closed.wide = load_spots(number, spots.wide, spots);
  }
  return loaded;
}

template <class Real>
DeviceSpots<Real> DeviceContents::load_spots(std::size_t number,
                                             DeviceArray<DeviceSpot<Real>>& on_card,
                                             SpotArrays& arrays) const {
  const PlanPanel& panel = plan_.panels[number];
  const std::vector<const ClosedSpot*>& found = found_.panels[number];
  std::vector<DeviceSpot<Real>> spots;
  spots.reserve(found.size());
  double steps = 0;
  for (const ClosedSpot* spot : found) {
    spots.push_back({ellipse_of<Real>(*spot), static_cast<Real>(spot->anchor_fast),
                     static_cast<Real>(spot->anchor_slow), spot->layer, spot->subpixels_fast,
                     spot->subpixels_slow, spot->narrow, numbers_of<Real>(*spot)});
    steps += double(spot->fast_max - spot->fast_min + 1) * (spot->slow_max - spot->slow_min + 1) *
             spot->subpixels_fast * spot->subpixels_slow;
  }
  arrays.steps_of_pixel = std::max(1.0, steps / double(panel.pixels()));
  on_card = on_device(device_, spots.data(), spots.size());
  const SpotsOfTiles tiles(panel.frame, found);
  arrays.starts = on_device(device_, tiles.starts().data(), tiles.starts().size());
  arrays.numbers = on_device(device_, tiles.numbers().data(), tiles.numbers().size());
  return {view_in<Real>(found_, panel), on_card.data(), arrays.starts.data(), arrays.numbers.data(),
          tiles.width()};
}

DevicePanel DeviceContents::device_panel(std::size_t number, bool for_gradients) {
  const PlanLattice& lattice = plan_.lattice;
  const CpuPlan of_cpu = make_cpu_plan(
      plan_, number, *table_, options_.skip_below.value_or(default_skip_below), !for_gradients);
  DevicePanel loaded = panel_of(number);
  DevicePlan& p = loaded.plan;
  choose_method(of_cpu, loaded);
  if (for_gradients && loaded.method == Method::fixed_point) loaded.method = Method::float32;
  if (for_gradients && loaded.method == Method::walk) loaded.method = Method::float64;
  const bool single = loaded.method == Method::fixed_point || loaded.method == Method::float32;
  if (of_cpu.bands && single) load_bands(of_cpu, loaded);

  p.grid = of_cpu.grid;
  if (lattice.grid) {
    const bool single_F = loaded.method == Method::fixed_point || p.beams;
    if (single_F && F_.size() == 0) F_ = on_device(device_, table_->F.data(), table_->F.size());
    if (!single_F && grid_.size() == 0)
      grid_ = on_device(device_, lattice.grid->values().data(), lattice.grid->values().size());
    p.F = F_.data();
    p.grid.values = grid_.data();
    for (std::size_t axis = 0; axis < 3; ++axis) {
      p.minimum[axis] = lattice.grid->min()[axis];
      p.extent[axis] = lattice.grid->extent(static_cast<int>(axis));
    }
  }
  p.default_F = of_cpu.default_F;
  p.largest_F = of_cpu.largest_F;
  p.wide_block = of_cpu.lattice;
  p.block.cells = vec3_as<float>(p.wide_block.cells);
  p.block.fudge = static_cast<float>(p.wide_block.fudge);
  p.block.metric = physics::metric_as<float>(p.wide_block.metric);
  const std::array cells{p.wide_block.cells.x, p.wide_block.cells.y, p.wide_block.cells.z};
  p.cells_are_whole = std::all_of(cells.begin(), cells.end(), [](double n) {
    return n == std::floor(n) && n < std::numeric_limits<int>::max();
  });
  for (std::size_t axis = 0; p.cells_are_whole && axis < 3; ++axis)
    p.whole_cells[axis] = static_cast<int>(cells[axis]);
  p.dark_radius2 = of_cpu.dark_radius2 > 0 ? static_cast<float>(of_cpu.dark_radius2)
                                           : std::numeric_limits<float>::infinity();
  p.unit = of_cpu.unit;
  p.starting_sum = plan_.scale * plan_.background.starting_sum / of_cpu.unit;
  p.ray_factors = of_cpu.ray_factors || plan_.dmin > 0;
  return loaded;
}

void DeviceContents::load_bands(const CpuPlan& of_cpu, DevicePanel& loaded) const {
  std::vector<BandRay> rays(of_cpu.band_change.size());
  for (std::size_t i = 0; i < rays.size(); ++i) {
    const double change = of_cpu.band_change[i];
    rays[i].change = static_cast<float>(change);
    rays[i].rest = static_cast<float>(change - double(rays[i].change));
    rays[i].weight = of_cpu.band_weight[i];
  }
  std::vector<BandBin> bins;
  for (const auto& [begin, end] : of_cpu.band_bins) bins.push_back({begin, end});
  loaded.beams = on_device(device_, of_cpu.beams.data(), of_cpu.beams.size());
  loaded.band_rays = on_device(device_, rays.data(), rays.size());
  loaded.band_bins = on_device(device_, bins.data(), bins.size());
  DevicePlan& p = loaded.plan;
  p.beams = loaded.beams.data();
  p.beam_count = static_cast<int>(loaded.beams.size());
  p.band_rays = loaded.band_rays.data();
  p.band_bins = loaded.band_bins.data();
  p.band_cells = static_cast<float>(physics::cell_count<double>(of_cpu.lattice));
  p.halvings_per_radius2 = static_cast<float>(
      physics::Gauss::halvings_per_radius2(of_cpu.lattice.fudge));
}

void DeviceContents::choose_method(const CpuPlan& of_cpu, DevicePanel& loaded) const {
  const PlanFrame& frame = of_cpu.panel->frame;
  if (plan_.rules.running() || (plan_.dmin > 0 && plan_.rules.once_polarization())) {
    loaded.reason = needs_wide(plan_);
  } else if (frame.curvature != Curvature::flat) {
    loaded.reason = "a curved detector wants directions in double precision";
  } else if (!(std::abs(of_cpu.unit) > 0 && std::isfinite(of_cpu.unit))) {
    loaded.reason = "structure factors or fluence leave no light";
  } else {
    loaded.method = Method::float64;
    if (options_.precision == Precision::float64)
      loaded.reason = "-dtype float64";
    else
      loaded.reason = needs_wide(plan_);
    if (loaded.reason.empty()) loaded.reason = why_table_needs_double(plan_.lattice, *table_);
    if (!loaded.reason.empty()) return;
    loaded.method = Method::float32;
    loaded.reason = why_no_fixed_point(of_cpu);
    if (!loaded.reason.empty()) return;
    loaded.method = Method::fixed_point;
    loaded.reason = "32 bits of an index are enough for so few cells";
  }
}

/// An index is good to 2^-31.  On the flank of a spot, where a pixel may be the brightest one,
/// this times the number of cells and ten is the error; of a ball, whose phases are in single
/// precision, 2^-24 takes its place.
std::string DeviceContents::why_no_fixed_point(const CpuPlan& of_cpu) const {
  if (!has_fixed_point(plan_.lattice.shape, lookup_of(plan_.lattice)))
    return lookup_of(plan_.lattice) == Lookup::tricubic
               ? "interpolation wants indices in double precision"
               : physics::Tophat::why_double;
  const Vec3d& cells = plan_.lattice.cells;
  const double most_cells = plan_.lattice.shape == CrystalShape::round ? 20 : 256;
  if (std::max({cells.x, cells.y, cells.z}) > most_cells)
    return "so many cells want indices in double precision";
  const double largest_edge = std::max({of_cpu.edges_m.x, of_cpu.edges_m.y, of_cpu.edges_m.z});
  if (2 * of_cpu.max_wavenumber * largest_edge > furthest_index)
    return "indices go beyond what fixed-point numbers hold";
  return {};
}

DeviceCutoff device_cutoff(const InterpolationCutoff& cutoff, const Plan& plan, std::size_t panel) {
  DeviceCutoff on_card;
  const auto& miss = cutoff.miss_of(static_cast<int>(panel));
  if (!miss || plan.lattice.out_of_range != OutOfRange::nearest_for_all) return on_card;
  on_card.ends = true;
  on_card.fast = miss->fast;
  on_card.slow = miss->slow;
  on_card.lookups = miss->lookup;
  return on_card;
}

}  // namespace nablabragg::engine::cuda
