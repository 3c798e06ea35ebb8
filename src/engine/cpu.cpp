// The cpu engine: tiles of pixels shared among threads, each computed by a kernel of the best
// instruction set at hand.  The tiles follow from the image alone, so its bits do not depend on the
// number of threads.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <numeric>

#include "engine/cpu_kernels.hpp"
#include "engine/engine.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine {

namespace {

// ---- Instruction sets ---------------------------------------------------------------------------

struct Target {
  const char* name;
  bool (*runs_here)();
  const KernelSet& (*kernels)();
};

// The features that the build's -march names stand for.
constexpr Target targets[] = {
#if NABLA_X86_KERNELS
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl") && targets[1].runs_here();
     },
     N_AVX3::kernel_set},
    {"avx2",
     [] {
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
              targets[2].runs_here();
     },
     N_AVX2::kernel_set},
    {"sse4",
     [] {
       return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
              __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("aes") &&
              __builtin_cpu_supports("pclmul");
     },
     N_SSE4::kernel_set},
#endif
    {"scalar", [] { return true; }, N_SCALAR::kernel_set},
};

/// The best that the processor has, or the one that NABLABRAGG_TARGET names.
const KernelSet& kernels_of_this_machine() {
  const char* wanted = std::getenv("NABLABRAGG_TARGET");
  for (const Target& target : targets)
    if (target.runs_here() &&
        (!wanted || *wanted == '\0' || std::string_view(wanted) == target.name))
      return target.kernels();
  std::string names;
  for (const std::string& name : instruction_sets())
    names.append(names.empty() ? "" : ", ").append(name);
  throw UsageError(std::string("NABLABRAGG_TARGET is '") + wanted +
                   "', which is no instruction set that this processor can run; there are " +
                   names);
}

// ---- What the kernels want to know --------------------------------------------------------------

/// Where the largest index in single precision still is a whole number.
constexpr double exact_in_single = 16777216;

void add_intensities(const Plan& plan, CpuPlan& p) {
  double largest = std::abs(plan.default_F);
  if (plan.grid) {
    p.grid = GridView(plan.grid.get());
    p.extent = {double(plan.grid->extent(0)), double(plan.grid->extent(1)),
                double(plan.grid->extent(2))};
    for (const double F : plan.grid->values()) largest = std::max(largest, std::abs(F));
  }
  if (largest == 0) largest = 1;
  p.largest_F = largest;
  p.default_F = static_cast<float>(plan.default_F / largest);
  if (plan.grid) {
    p.F.reserve(plan.grid->values().size());
    for (const double F : plan.grid->values()) p.F.push_back(static_cast<float>(F / largest));
  }
  const double unit_F = plan.grid ? largest : plan.default_F;
  p.unit = plan.scale * unit_F * unit_F;

  p.lattice = plan.lattice;
  if (plan.lattice.shape == CrystalShape::gauss || plan.lattice.shape == CrystalShape::tophat) {
    // Their widths are in the metric, so that any number of cells may stand for the real one.  This
    // one leaves squares of single precision room for 68 decades below the peak.
    constexpr double peak = 0x1p50;
    const Vec3d& n = plan.lattice.cells;
    const double count = n.x * n.y * n.z / peak;
    p.lattice.cells = {peak, 1, 1};
    p.unit *= count * count;
  }
}

/// Squared radius, in units of `metric`, beyond which steps may be left out.
std::optional<double> dark_radius2(const Plan& plan, const CpuPlan& p, double skip_below) {
  const PlanLattice& lattice = plan.lattice;
  if (lattice.shape == CrystalShape::square) return std::nullopt;
  if (lattice.shape == CrystalShape::tophat) return 0.3969 / lattice.fudge;

  // What a pixel would get if every step were at its lattice point, at the nearest spot of the
  // panel
  const PlanFrame& frame = plan.frame;
  const double nearest = frame.curvature == Curvature::flat
                             ? std::abs(dot(frame.origin, frame.normal))
                             : frame.radius;
  const double omega = std::abs(
      solid_angle(frame, 1 / nearest, plan.sensor.layer_step * plan.sensor.layers));
  const double polarization = std::max(1.0, (1 + std::abs(plan.polarization_fraction)) / 2);
  double weight = 0;
  for (const PlanRay& ray : plan.rays) weight = std::max(weight, std::abs(ray.weight));
  const double overshoot = plan.tricubic ? 4 : 1;  // of F^2, between the nodes
  const double steps = double(plan.rays.size()) * double(plan.orientations.size()) *
                       plan.oversample * plan.oversample * plan.sensor.layers;
  const double count = lattice.cells.x * lattice.cells.y * lattice.cells.z;
  const double brightest = steps * plan.scale * p.largest_F * p.largest_F * overshoot * weight *
                           omega * polarization;
  if (!(std::isfinite(brightest) && brightest > 0)) return std::nullopt;
  if (lattice.shape == CrystalShape::gauss) {
    // count^2 exp(-2 r^2 fudge / 0.63)
    const double decades = std::log(brightest * count * count / skip_below);
    return std::max(0.0, decades * 0.63 / (2 * lattice.fudge));
  }
  // |3 (sin x - x cos x)/x^3| <= 3 (1 + x)/x^3 <= 6/x^2 for x >= 1
  const double amplitude = 0.723601254558268 * count * 6;
  const double x2 = std::max(1.0, amplitude * std::sqrt(brightest / skip_below));
  return x2 / (9.86960440108935861883 * lattice.fudge);
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
  if (!(skip_below > 0)) return;
  p.skips = true;
  if (plan.frame.curvature != Curvature::flat) return;  // the anchors are those of a flat panel
  // Behind the sample the capture has no bound.
  if (plan.sensor.absorption_per_m > 0 && dot(plan.frame.origin, plan.frame.normal) <= 0) return;
  const auto radius2 = dark_radius2(plan, p, skip_below);
  if (!radius2) return;
  const Vec3d& n = plan.lattice.cells;
  const auto metric = plan.lattice.shape == CrystalShape::round
                          ? physics::SpotMetric<double>{n.x * n.x, n.y * n.y, n.z * n.z, 0, 0, 0}
                          : plan.lattice.metric;
  constexpr double rounding = 1.00001;
  const Vec3d reach = rounding * extents(metric, *radius2);
  // NaN, of a degenerate cell, means everywhere.
  if (!(reach.x + reach.y + reach.z < 3 * everywhere)) return;
  p.reach = reach;
  p.dark_radius2 = rounding * *radius2;
}

// ---- Beams --------------------------------------------------------------------------------------

/// The longest way from an incident beam's end to a direction that the panel sees.
double widest_scattering(const Plan& plan) {
  const PlanFrame& f = plan.frame;
  const double depth = plan.sensor.layer_step * (plan.sensor.layers - 1);
  double widest = 0;
  for (const double fast : {0.0, f.pixel * f.fast_pixels})
    for (const double slow : {0.0, f.pixel * f.slow_pixels})
      for (const double deep : {0.0, depth}) {
        const Vec3d corner = unit(f.origin + fast * f.fast + slow * f.slow + deep * f.normal);
        for (const PlanRay& ray : plan.rays)
          widest = std::max(widest, length(corner - ray.incident));
      }
  return widest;
}

/// Rays of one direction, sorted by wavenumber.
void add_band(const std::vector<PlanRay>& rays, CpuPlan& p) {
  const double middle = 0.5 * (rays.front().wavenumber + rays.back().wavenumber);
  Beam beam;
  beam.incident = rays[0].incident;
  beam.magnetic = rays[0].magnetic;
  beam.wavenumber = middle;
  beam.light = 0;
  beam.rays = static_cast<int>(rays.size());
  beam.first = static_cast<int>(p.band_change.size());
  beam.first_bin = static_cast<int>(p.band_bins.size());
  for (const PlanRay& ray : rays) {
    p.band_change_wide.push_back(ray.wavenumber / middle - 1);
    p.band_change.push_back(static_cast<float>(p.band_change_wide.back()));
    p.band_weight.push_back(static_cast<float>(ray.weight));
    beam.light += ray.weight;
  }
  const auto begin = p.band_change.begin() + beam.first, end = p.band_change.end();
  beam.low = *begin;
  beam.high = *(end - 1);
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
  p.band_change_wide.insert(p.band_change_wide.end(), most_lanes, 0.0);
  p.band_weight.insert(p.band_weight.end(), most_lanes, 0.0F);
  p.beams.push_back(beam);
}

/// Neighbouring wavelengths of one direction are treated together where this leaves most of them
/// out: Gaussian spots so small that a band cannot come near to two lattice points.
void add_beams(const Plan& plan, CpuPlan& p) {
  constexpr std::size_t enough = 8;
  const Vec3d room = Vec3d{0.49, 0.49, 0.49} - p.reach;
  if (plan.lattice.shape == CrystalShape::gauss && !plan.tricubic && plan.dmin == 0 &&
      std::min({room.x, room.y, room.z}) > 0.02) {
    const double widest = widest_scattering(plan) * p.max_wavenumber;
    const double sweep = widest * std::max({p.edges_m.x / room.x, p.edges_m.y / room.y,
                                            p.edges_m.z / room.z});
    const auto same_direction = [](const PlanRay& a, const PlanRay& b) {
      return a.incident == b.incident && a.magnetic == b.magnetic;
    };
    for (std::size_t begin = 0, end = 0; begin < plan.rays.size(); begin = end) {
      while (end < plan.rays.size() && same_direction(plan.rays[begin], plan.rays[end])) ++end;
      std::vector<PlanRay> rays(plan.rays.begin() + static_cast<std::ptrdiff_t>(begin),
                                plan.rays.begin() + static_cast<std::ptrdiff_t>(end));
      std::sort(rays.begin(), rays.end(),
                [](const PlanRay& a, const PlanRay& b) { return a.wavenumber < b.wavenumber; });
      // Half the width of a band times the largest index stays within the room.
      std::vector<PlanRay> band;
      for (const PlanRay& ray : rays) {
        if (!band.empty() &&
            (ray.wavenumber - band[0].wavenumber) * sweep > ray.wavenumber + band[0].wavenumber) {
          add_band(band, p);
          band.clear();
        }
        band.push_back(ray);
      }
      add_band(band, p);
    }
    p.bands = plan.rays.size() >= enough * p.beams.size();
  }
  if (p.bands) return;
  p.beams.clear();
  for (const PlanRay& ray : plan.rays) {
    Beam beam;
    beam.incident = ray.incident;
    beam.magnetic = ray.magnetic;
    beam.wavenumber = ray.wavenumber;
    beam.weight = beam.light = ray.weight;
    p.beams.push_back(beam);
  }
}

/// The error of an anchored index is about 1.2e-7 times its distance to the anchor and 3e-8 for its
/// last rounding; that of the image 0.6 times this times the number of cells, in shares of its
/// maximum.
constexpr double index_error = 1.2e-7, last_rounding = 3e-8, image_error = 0.6, tolerated = 2.5e-6;

CpuPlan make_cpu_plan(const Plan& plan, double skip_below) {
  CpuPlan p;
  p.plan = &plan;
  add_intensities(plan, p);
  for (const PlanRay& ray : plan.rays) {
    p.max_wavenumber = std::max(p.max_wavenumber, ray.wavenumber);
    if (ray.weight != 1) p.ray_factors = true;
  }
  for (const Mat3d& m : plan.orientations)
    p.edges_m = {std::max(p.edges_m.x, length(m.a)), std::max(p.edges_m.y, length(m.b)),
                 std::max(p.edges_m.z, length(m.c))};
  if (plan.dmin > 0 || plan.background_per_sr != 0 ||
      (plan.polarized && plan.polarization == Apply::to_each_term))
    p.ray_factors = true;
  const auto& m = plan.lattice.metric;
  const Vec3d n = plan.lattice.shape == CrystalShape::gauss
                      ? std::sqrt(plan.lattice.fudge) *
                            Vec3d{std::sqrt(m.aa), std::sqrt(m.bb), std::sqrt(m.cc)}
                      : plan.lattice.cells;
  const double left = tolerated / image_error - last_rounding * (n.x + n.y + n.z);
  p.anchors_allowed = plan.frame.curvature == Curvature::flat && plan.dmin == 0 && left > 0;
  p.anchor_weight = (index_error / left) * n;
  add_reach(plan, skip_below, p);
  add_beams(plan, p);
  return p;
}

/// Why the mixed-precision kernels cannot compute a plan; empty: they can.
std::string needs_wide(const Plan& plan) {
  const auto running = [&](Apply rule) { return rule == Apply::to_running_sum; };
  if (running(plan.solid_angle) || running(plan.polarization) || running(plan.capture))
    return "the factors of -oversample_thick, -oversample_polar or -oversample_omega multiply a "
           "running sum, whose order and zeros matter";
  const bool once = plan.polarized && plan.polarization == Apply::once;
  if (plan.dmin > 0 && once)
    return "with -dmin the first source that is not cut off, another one in each pixel, polarizes "
           "all";
  if (plan.background_per_sr != 0 &&
      (once || (plan.sensor.absorption_per_m > 0 && plan.capture == Apply::once)))
    return "the background rides on factors that are kept from the first source on";
  if (plan.grid && double(plan.grid->values().size()) >= exact_in_single)
    return "the structure-factor table has more entries than single precision can count";
  const Vec3d& n = plan.lattice.cells;
  if (n.x * n.y * n.z > 1e17) return "the squared number of cells is beyond single precision";
  return {};
}

const char* name_of(CrystalShape shape) {
  switch (shape) {
    case CrystalShape::square:
      return "square";
    case CrystalShape::round:
      return "round";
    case CrystalShape::gauss:
      return "gauss";
    case CrystalShape::tophat:
      break;
  }
  return "top hat";
}

const char* name_of(Lookup lookup) {
  switch (lookup) {
    case Lookup::constant:
      return "one F";
    case Lookup::nearest:
      return "nearest F";
    case Lookup::tricubic:
      break;
  }
  return "tricubic F";
}

// ---- Tiles --------------------------------------------------------------------------------------

constexpr int block_side = 4, tile_side = 16;

/// Fills the blocks behind the used ones, which are computed in part and never read.
void pad(Tile& tile) {
  const auto repeat = [&](auto& values) {
    for (auto b = static_cast<std::size_t>(tile.blocks); b < tile_blocks; ++b)
      values[b] = values[0];
  };
  repeat(tile.middle_fast);
  repeat(tile.middle_slow);
  repeat(tile.half_fast);
  repeat(tile.half_slow);
  if (tile.blocks == tile_blocks) return;
  // Two blocks may be computed side by side.
  const auto end = static_cast<std::ptrdiff_t>(tile.blocks) * block_pixels;
  std::copy_n(tile.fast.begin(), block_pixels, tile.fast.begin() + end);
  std::copy_n(tile.slow.begin(), block_pixels, tile.slow.begin() + end);
}

/// The tile of an image whose first pixel is (fast, slow); blocks without a wanted pixel are left
/// out.
void fill_tile(const Plan& plan, int tile_fast, int tile_slow, Tile& tile) {
  const RegionOfInterest& roi = plan.roi;
  tile.blocks = 0;
  for (int slow = tile_slow; slow < tile_slow + tile_side; slow += block_side)
    for (int fast = tile_fast; fast < tile_fast + tile_side; fast += block_side) {
      const int left = std::max(fast, roi.fast_min),
                right = std::min(fast + block_side - 1, roi.fast_max),
                bottom = std::max(slow, roi.slow_min),
                top = std::min(slow + block_side - 1, roi.slow_max);
      int wanted = std::max(0, right - left + 1) * std::max(0, top - bottom + 1);
      if (plan.mask) {
        wanted = 0;
        for (int s = bottom; s <= top; ++s)
          for (int f = left; f <= right; ++f) wanted += plan.visits(f, s);
      }
      if (wanted == 0) continue;
      const auto b = static_cast<std::size_t>(tile.blocks++);
      constexpr double half = (block_side - 1) / 2.0;
      tile.middle_fast[b] = fast + half;
      tile.middle_slow[b] = slow + half;
      tile.half_fast[b] = tile.half_slow[b] = half;
      tile.pixels[b] = wanted;
      for (int y = 0; y < block_side; ++y)
        for (int x = 0; x < block_side; ++x) {
          const std::size_t i = b * block_pixels + static_cast<std::size_t>(y * block_side + x);
          tile.fast[i] = static_cast<float>(fast + x);
          tile.slow[i] = static_cast<float>(slow + y);
        }
    }
  pad(tile);
}

/// A tile of listed pixels.
void fill_tile(std::span<const PixelIndex> pixels, Tile& tile) {
  tile.blocks = 0;
  for (std::size_t begin = 0; begin < pixels.size(); begin += block_pixels) {
    const auto block = pixels.subspan(begin,
                                      std::min<std::size_t>(block_pixels, pixels.size() - begin));
    const auto b = static_cast<std::size_t>(tile.blocks++);
    const auto [left, right] = std::minmax_element(
        block.begin(), block.end(),
        [](const PixelIndex& x, const PixelIndex& y) { return x.fast < y.fast; });
    const auto [bottom, top] = std::minmax_element(
        block.begin(), block.end(),
        [](const PixelIndex& x, const PixelIndex& y) { return x.slow < y.slow; });
    tile.middle_fast[b] = (left->fast + right->fast) / 2.0;
    tile.half_fast[b] = (right->fast - left->fast) / 2.0;
    tile.middle_slow[b] = (bottom->slow + top->slow) / 2.0;
    tile.half_slow[b] = (top->slow - bottom->slow) / 2.0;
    tile.pixels[b] = static_cast<int>(block.size());
    for (std::size_t i = 0; i < block_pixels; ++i) {
      const PixelIndex& pixel = block[std::min(i, block.size() - 1)];
      tile.fast[b * block_pixels + i] = static_cast<float>(pixel.fast);
      tile.slow[b * block_pixels + i] = static_cast<float>(pixel.slow);
    }
  }
  pad(tile);
}

// ---- The engine ---------------------------------------------------------------------------------

class CpuRenderer {
 public:
  CpuRenderer(const Plan& plan, const ComputeOptions& options)
      : plan_(plan),
        options_(options),
        cpu_plan_(make_cpu_plan(plan, options.skip_below)),
        steps_of_pixel_(steps_of_pixel(plan)) {
    const KernelSet& kernels = kernels_of_this_machine();
    const std::string obstacle = needs_wide(plan);
    wide_ = options.precision == Precision::float64 || !obstacle.empty();
    reason_ = options.precision == Precision::float64 ? "-dtype float64" : obstacle;
    const Lookup nearest = plan.grid ? Lookup::nearest : Lookup::constant;
    const auto kernel = [&](Lookup lookup) {
      return (wide_ ? kernels.wide : kernels.single)(plan.lattice.shape, lookup);
    };
    nearest_ = kernel(nearest);
    tricubic_ = plan.tricubic ? kernel(Lookup::tricubic) : nearest_;
    used_.instruction_set = kernels.instruction_set;
    used_.kernel.append(name_of(plan.lattice.shape)).append(", ");
    used_.kernel.append(name_of(plan.tricubic ? Lookup::tricubic : nearest)).append(", ");
  }

  Report image(std::span<float> pixels) {
    Report report;
    if (plan_.tricubic) miss_ = report.miss = find_first_miss(plan_);
    const RegionOfInterest& roi = plan_.roi;
    const int left = roi.fast_min / tile_side, bottom = roi.slow_min / tile_side;
    const int across = roi.fast_max / tile_side - left + 1;
    const int upward = roi.slow_max / tile_side - bottom + 1;
    std::vector<double> solid_angles(static_cast<std::size_t>(across) *
                                     static_cast<std::size_t>(upward));
    for_each_tile(across * upward, [&](int index) {
      Tile tile;
      fill_tile(plan_, (left + index % across) * tile_side, (bottom + index / across) * tile_side,
                tile);
      TileSums sums;
      const WorkDone done = render(tile, sums);
      for (int b = 0; b < tile.blocks; ++b)
        keep_block(tile, sums, b, pixels, solid_angles[static_cast<std::size_t>(index)]);
      return done;
    });
    report.solid_angle_sum = std::accumulate(solid_angles.begin(), solid_angles.end(), 0.0);
    report.used = used();
    return report;
  }

  Report list(std::span<const PixelIndex> pixels, std::span<float> values) {
    Report report;
    if (plan_.tricubic) miss_ = report.miss = find_first_miss(plan_);
    // Neighbours in one block share most of their work.
    std::vector<std::size_t> order(pixels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto place = [&](std::size_t i) {
      const auto [fast, slow] = pixels[i];
      return std::array{
          slow / tile_side, fast / tile_side, slow / block_side, fast / block_side, slow, fast};
    };
    std::sort(order.begin(), order.end(),
              [&](std::size_t i, std::size_t j) { return place(i) < place(j); });
    std::vector<PixelIndex> sorted;
    sorted.reserve(pixels.size());
    for (const std::size_t i : order) sorted.push_back(pixels[i]);

    const std::size_t tiles = (pixels.size() + tile_pixels - 1) / tile_pixels;
    std::vector<double> solid_angles(tiles);
    for_each_tile(static_cast<int>(tiles), [&](int index) {
      const std::size_t begin = static_cast<std::size_t>(index) * tile_pixels;
      const std::size_t count = std::min<std::size_t>(tile_pixels, sorted.size() - begin);
      Tile tile;
      fill_tile(std::span(sorted).subspan(begin, count), tile);
      TileSums sums;
      const WorkDone done = render(tile, sums);
      for (std::size_t i = 0; i < count; ++i) {
        values[order[begin + i]] = sums.photons[i];
        solid_angles[static_cast<std::size_t>(index)] += sums.solid_angle[i];
      }
      return done;
    });
    report.solid_angle_sum = std::accumulate(solid_angles.begin(), solid_angles.end(), 0.0);
    report.used = used();
    return report;
  }

 private:
  struct WorkDone {
    std::int64_t steps = 0, skipped = 0;
  };

  /// Into the image.
  void keep_block(const Tile& tile, const TileSums& sums, int block, std::span<float> image,
                  double& solid_angle) const {
    const std::size_t first = static_cast<std::size_t>(block) * block_pixels;
    const auto width = static_cast<std::size_t>(plan_.frame.fast_pixels);
    const float* photons = sums.photons.data() + first;
    if (tile.pixels[static_cast<std::size_t>(block)] == block_pixels) {
      float* to = image.data() + static_cast<std::size_t>(tile.slow[first]) * width +
                  static_cast<std::size_t>(tile.fast[first]);
      for (std::size_t y = 0; y < block_side; ++y)
        std::copy_n(photons + y * block_side, block_side, to + y * width);
      std::array<double, 4> sum{};
      for (std::size_t i = 0; i < block_pixels; ++i) sum[i % 4] += sums.solid_angle[first + i];
      solid_angle += (sum[0] + sum[1]) + (sum[2] + sum[3]);
      return;
    }
    const RegionOfInterest& roi = plan_.roi;
    for (std::size_t i = 0; i < block_pixels; ++i) {
      const int fast = static_cast<int>(tile.fast[first + i]),
                slow = static_cast<int>(tile.slow[first + i]);
      if (fast < roi.fast_min || fast > roi.fast_max || slow < roi.slow_min ||
          slow > roi.slow_max || !plan_.visits(fast, slow))
        continue;
      image[static_cast<std::size_t>(slow) * width + static_cast<std::size_t>(fast)] = photons[i];
      solid_angle += sums.solid_angle[first + i];
    }
  }

  WorkDone render(const Tile& tile, TileSums& sums) {
    WorkDone done;
    if (tile.blocks == 0) return done;
    for (int b = 0; b < tile.blocks; ++b)
      done.steps += steps_of_pixel_ * tile.pixels[static_cast<std::size_t>(b)];

    const std::size_t used = static_cast<std::size_t>(tile.blocks) * block_pixels;
    const auto interpolated = [&](std::size_t i) {
      return interpolating_lookups(plan_, miss_, static_cast<int>(tile.fast[i]),
                                   static_cast<int>(tile.slow[i]));
    };
    std::size_t all = 0, none = 0;
    if (plan_.tricubic)
      for (std::size_t i = 0; i < used; ++i) {
        all += interpolated(i) == all_steps;
        none += interpolated(i) == 0;
      }
    (none == used || !plan_.tricubic ? nearest_ : tricubic_)(cpu_plan_, tile, sums);
    if (plan_.tricubic && all != used && none != used) {
      // The latch falls in this tile.
      TileSums after;
      nearest_(cpu_plan_, tile, after);
      for (std::size_t i = 0; i < used; ++i) {
        const std::int64_t steps = interpolated(i);
        if (steps == all_steps) continue;
        sums.photons[i] = after.photons[i];
        if (steps == 0) continue;
        sums.photons[i] = static_cast<float>(
            sum_pixel(plan_, cpu_plan_.grid, static_cast<int>(tile.fast[i]),
                      static_cast<int>(tile.slow[i]), steps, NoVisitor{})
                .photons);
      }
    }
    (sums.anchored ? anchored_ : others_).fetch_add(1, std::memory_order_relaxed);
    done.skipped = sums.skipped;
    return done;
  }

  template <class Body>
  void for_each_tile(int count, Body&& body) {
    tbb::task_group_context context;
    std::atomic<int> finished{0};
    std::atomic<std::int64_t> steps{0}, skipped{0};
    std::atomic<bool> stopped{false};
    std::mutex reporting;
    tbb::parallel_for(
        tbb::blocked_range<int>(0, count),
        [&](const tbb::blocked_range<int>& range) {
          WorkSpan span;
          span.begin = std::chrono::steady_clock::now();
          for (int index = range.begin(); index != range.end() && !stopped; ++index) {
            const WorkDone done = body(index);
            span.steps += done.steps;
            span.skipped += done.skipped;
            const int now = ++finished;
            if (!options_.progress) continue;
            const std::unique_lock lock(reporting, std::try_to_lock);
            if (lock && !options_.progress(static_cast<double>(now) / count)) stopped = true;
          }
          span.end = std::chrono::steady_clock::now();
          steps += span.steps;
          skipped += span.skipped;
          if (options_.on_work) options_.on_work(span);
        },
        tbb::auto_partitioner{}, context);
    if (stopped) throw Cancelled();
    used_.steps = steps;
    used_.skipped = skipped;
  }

  EngineUsed used() const {
    EngineUsed used = used_;
    if (wide_) {
      used.kernel += "double precision";
      used.reason = reason_;
      return used;
    }
    const int anchored = anchored_, others = others_;
    if (cpu_plan_.bands) used.kernel += "bands of wavelengths, ";
    used.kernel += anchored >= others ? "phases from the middle of each block of pixels"
                                      : "phases in double precision";
    used.kernel += ", shapes in single precision";
    const auto share = std::to_string(anchored) + " of " + std::to_string(anchored + others) +
                       " tiles";
    if (!cpu_plan_.anchors_allowed)
      used.reason = "a curved detector or -dmin wants directions in double precision";
    else if (plan_.tricubic || plan_.lattice.shape == CrystalShape::tophat)
      used.reason =
          "interpolation and the sharp edge of a top hat want indices in double "
          "precision";
    else
      used.reason = "phases from the middle of a block are accurate enough in " + share;
    return used;
  }

  const Plan& plan_;
  const ComputeOptions& options_;
  const CpuPlan cpu_plan_;
  const std::int64_t steps_of_pixel_;
  bool wide_ = false;
  std::string reason_;
  Kernel nearest_ = nullptr, tricubic_ = nullptr;
  std::optional<TableMiss> miss_;
  EngineUsed used_;
  std::atomic<int> anchored_{0}, others_{0};
};

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Target& target : targets)
    if (target.runs_here()) names.emplace_back(target.name);
  return names;
}

Report render_cpu(const Plan& plan, std::span<float> pixels, const ComputeOptions& options) {
  return with_threads(options.threads, [&] { return CpuRenderer(plan, options).image(pixels); });
}

Report render_cpu(const Plan& plan, std::span<const PixelIndex> list, std::span<float> values,
                  const ComputeOptions& options) {
  return with_threads(options.threads,
                      [&] { return CpuRenderer(plan, options).list(list, values); });
}

}  // namespace nablabragg::engine
