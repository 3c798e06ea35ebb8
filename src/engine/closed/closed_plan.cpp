#include "engine/closed/closed_plan.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "engine/closed/closed_kernels.hpp"
#include "engine/closed/closed_search.hpp"
#include "engine/pixel_sum.hpp"
#include "engine/stopping.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes/gauss.hpp"

namespace nablabragg::engine {

namespace {

/// No smaller than the largest standard deviation in any direction.
double widest_deviation(const Mat3d& covariance) {
  // Gershgorin's circles
  const auto row = [](const Vec3d& v) { return std::abs(v.x) + std::abs(v.y) + std::abs(v.z); };
  return std::sqrt(std::min(trace(covariance),
                            std::max({row(covariance.a), row(covariance.b), row(covariance.c)})));
}

double largest_solid_angle(const Plan& plan) {
  double largest = 0;
  for (const PlanPanel& panel : plan.panels) {
    const double near = panel.frame.curvature == Curvature::flat
                            ? std::abs(dot(panel.frame.origin, panel.frame.normal))
                            : panel.frame.curvature_radius;
    largest = std::max(largest, solid_angle(panel.frame, 1 / near, 0.0));
  }
  return largest;
}

/// Of those that are finite, by size.
double largest_F(const PlanLattice& lattice) {
  double largest = std::abs(lattice.default_F);
  if (!lattice.grid) return largest;
  // So many numbers that compilers keep the loop over them and make it a loop over vectors
  std::array<double, 32> each{};
  const std::span<const double> values = lattice.grid->values();
  const auto look_at = [&](std::size_t i, std::size_t place) {
    const double size = std::abs(values[i]);
    const double F = size <= std::numeric_limits<double>::max() ? size : 0;
    each[place] = F > each[place] ? F : each[place];
  };
  std::size_t i = 0;
  for (; i + each.size() <= values.size(); i += each.size())
    for (std::size_t place = 0; place < each.size(); ++place) look_at(i + place, place);
  for (; i < values.size(); ++i) look_at(i, 0);
  return std::max(largest, *std::max_element(each.begin(), each.end()));
}

/// What slices have in common.
SpotSearch search_of(const Plan& plan, double skip_below) {
  SpotSearch s;
  s.plan = &plan;
  for (std::size_t p = 0; p < plan.panels.size(); ++p)
    for (int layer = 0; layer < plan.panels[p].sensor.layers; ++layer)
      s.layers.push_back({static_cast<int>(p), layer});
  s.per_F2 = photons_per_F2(plan);
  s.skip_below = std::max(skip_below, double(std::numeric_limits<float>::min()));
  s.largest_solid_angle = largest_solid_angle(plan);
  const double F = largest_F(plan.lattice);
  s.deviations = std::sqrt(std::clamp(
      2 * std::log(s.per_F2 * F * F * s.largest_solid_angle / s.skip_below), 0.0, longest_reach));
  s.band = std::sqrt(plan.spread.bandwidth2);
  s.divergence = std::sqrt(trace(plan.spread.divergence));
  return s;
}

/// The largest |g| that any panel may see.
double largest_g(const SpotSearch& s) {
  const Plan& plan = *s.plan;
  double q = 0;
  for (const LayerOfPanel& on : s.layers) {
    const PanelNumbers& panel = plan.panels[static_cast<std::size_t>(on.panel)];
    const PlanFrame& f = panel.frame;
    for (int i = 0; i <= 16; ++i)
      for (int j = 0; j <= 16; ++j)
        q = std::max(q, length(seen_at(panel, on.layer, plan.oversample, f.fast_pixels * i / 16.0,
                                       f.slow_pixels * j / 16.0)
                                   .direction -
                               plan.light.rays.front().incident));
  }
  q = std::min(q, 2.0) * s.wavenumber() * (1 + s.deviations * s.band);
  q += spread_of(s, q);
  return plan.dmin > 0 ? std::min(q, 1 / plan.dmin) : q;
}

/// One crystal in one slice: what its reflections have in common.
void search_slice(std::size_t orientation, SpotSearch& s) {
  const Plan& plan = *s.plan;
  s.orientation = orientation;
  s.a_star = reciprocal_axes(plan.lattice.orientations[orientation]);
  s.common = spot_source(plan, s.a_star, shape_covariance(plan.lattice, s.a_star), {0, 0, 0},
                         orientation);
  s.width = widest_deviation(s.common.shape);
  s.mosaic = widest_deviation(s.common.mosaic);
  s.largest_g = largest_g(s);
  const Mat3d& axes = plan.lattice.orientations[orientation];  // |h| <= |a| |g|
  const std::array edges{length(axes.a), length(axes.b), length(axes.c)};
  for (std::size_t i = 0; i < 3; ++i) {
    const double most = s.largest_g * edges[i];
    if (!(most < 1e6))
      throw UsageError(
          "the closed form would look at more than a million indices along an axis of the cell; "
          "give -dmin");
    s.high[i] = static_cast<int>(most);
    s.low[i] = -s.high[i];
    if (plan.lattice.grid && plan.lattice.default_F == 0) {
      s.low[i] = std::max(s.low[i], plan.lattice.grid->min()[i]);
      s.high[i] = std::min(s.high[i], plan.lattice.grid->max()[i]);
    }
  }
}

}  // namespace

ClosedSpot& ClosedPlan::Found::next() {
  constexpr std::size_t at_first = 16;  // to move a kilobyte each costs more than room
  if (spots.capacity() == 0) spots.reserve(at_first);
  if (count == spots.size()) spots.emplace_back();
  return spots[count++];
}

double structure_factor(const PlanLattice& lattice, const MillerIndex& hkl) {
  const auto& [h, k, l] = hkl;
  return lattice.grid && lattice.grid->contains(h, k, l) ? lattice.grid->at(h, k, l)
                                                         : lattice.default_F;
}

void make_closed_plan(const Plan& plan, double skip_below, const ComputeOptions& options,
                      ClosedPlan& closed) {
  closed.plan = &plan;
  closed.panels.resize(plan.panels.size());
  for (auto& spots : closed.panels) spots.clear();
  closed.candidates = 0;
  const auto is_zero = [](const Mat3d& m) {
    return m.a == Vec3d{} && m.b == Vec3d{} && m.c == Vec3d{};
  };
  closed.diverges = !is_zero(plan.spread.divergence);
  const bool slice = plan.spread.half_slice != 0;
  const bool rotates = std::any_of(plan.spread.mosaic.begin(), plan.spread.mosaic.end(),
                                   [&](const Mat3d& m) { return !is_zero(m); });
  closed.terms = {plan.spread.bandwidth2 > 0, slice, rotates || slice || closed.diverges};

  const FindSpots find_spots = kernels_of_this_machine().closed().find_spots;
  SpotSearch search = search_of(plan, skip_below);
  with_threads(options.threads, [&] {
    std::size_t begin = 0;  // of a slice, among those that are found
    for (std::size_t o = 0; o < plan.lattice.orientations.size(); ++o) {
      search_slice(o, search);
      const int first = search.low[0], last = search.high[0];
      if (last < first) continue;
      const auto count = static_cast<std::size_t>(last - first + 1);
      if (closed.found.size() < begin + count) closed.found.resize(begin + count);
      tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) {
        find_spots(search, first + static_cast<int>(i), closed.found[begin + i]);
      });
      begin += count;
    }
    // Where they lie, and not copied: a spot is a kilobyte.
    for (std::size_t i = 0; i < begin; ++i) {
      closed.candidates += closed.found[i].candidates;
      for (const ClosedSpot& spot : std::span(closed.found[i].spots).first(closed.found[i].count))
        closed.panels[static_cast<std::size_t>(spot.panel)].push_back(&spot);
    }
  });
  for (std::size_t p = 0; p < closed.panels.size(); ++p)
    if (plan.panels[p].sensor.layers > 1)
      std::stable_sort(
          closed.panels[p].begin(), closed.panels[p].end(),
          [](const ClosedSpot* a, const ClosedSpot* b) { return a->layer < b->layer; });
}

std::string kernel_in_words(const ClosedPlan& plan, Precision precision) {
  std::size_t spots = 0;
  for (const auto& of_panel : plan.panels) spots += of_panel.size();
  return std::string("closed form") + (plan.terms.second ? ", second order" : "") +
         (plan.terms.band ? ", spectrum" : "") + (plan.terms.slice ? ", slices of phi" : "") +
         (precision == Precision::float64 ? ", double precision" : ", single precision") + ": " +
         std::to_string(spots) + " spots of " + std::to_string(plan.candidates) +
         " reflections near the Ewald sphere";
}

}  // namespace nablabragg::engine
