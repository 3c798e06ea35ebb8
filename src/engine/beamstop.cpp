#include "engine/beamstop.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "engine/beamstop_shadow.hpp"
#include "engine/cpu/added_light.hpp"
#include "engine/cpu/material_gradient.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/driver.hpp"
#include "engine/threads.hpp"
#include "physics/dual.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

// ---- The shadow of light from the sample --------------------------------------------------------

/// A pixel that does not see all of the stop's surroundings.
struct HiddenPixel {
  PixelIndex pixel;
  std::size_t place;  ///< in the image
  double share;
};

/// Of a row of a panel.
std::vector<HiddenPixel> hidden_in_row(const Plan& plan, int number, int slow) {
  const PlanPanel& panel = plan.panels[static_cast<std::size_t>(number)];
  const auto depth = [&](int fast, int at_slow) {
    return depth_in_shadow<double>(plan.beamstop, panel, plan.oversample, fast, at_slow);
  };
  std::vector<HiddenPixel> hidden;
  double above_left = depth(panel.roi.fast_min, slow),
         below_left = depth(panel.roi.fast_min, slow + 1);
  for (int fast = panel.roi.fast_min; fast <= panel.roi.fast_max; ++fast) {
    const double above = depth(fast + 1, slow), below = depth(fast + 1, slow + 1);
    const auto [least, most] = std::minmax({above_left, below_left, above, below});
    above_left = above;
    below_left = below;
    // Beyond the corners by no more than they differ
    if (most + (most - least) <= 0 || !panel.visits(fast, slow)) continue;
    const double share = least - (most - least) >= 0
                             ? 1
                             : hidden_share<double>(plan.beamstop, panel, plan.oversample, fast,
                                                    slow);
    if (share > 0)
      hidden.push_back(
          {{fast, slow, number}, panel.first_pixel + panel.offset_of(fast, slow), share});
  }
  return hidden;
}

/// In the order of the image.
std::vector<HiddenPixel> hidden_pixels(const Plan& plan, int threads) {
  std::vector<HiddenPixel> all;
  for (std::size_t number = 0; number < plan.panels.size(); ++number) {
    const RegionOfInterest& roi = plan.panels[number].roi;
    if (roi.slow_max < roi.slow_min || roi.fast_max < roi.fast_min) continue;
    std::vector<std::vector<HiddenPixel>> rows(
        static_cast<std::size_t>(roi.slow_max - roi.slow_min + 1));
    with_threads(threads, [&] {
      tbb::parallel_for(std::size_t{0}, rows.size(), [&](std::size_t row) {
        rows[row] = hidden_in_row(plan, static_cast<int>(number),
                                  roi.slow_min + static_cast<int>(row));
      });
    });
    for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

/// Calls f(adjoint or slope, number) with what a share follows: numbers of a panel and the stop.
template <class F, class... Sides>
void for_each_number_of_edge(F&& f, Sides&&... sides) {
  for_each_number_of_panel(f, sides.first...);
  for_each_number_of_beamstop(f, sides.second...);
}

/// The slopes of hidden_share(), in the order of for_each_number_of_edge().
constexpr std::size_t numbers_of_edge = 36;
using EdgeSlopes = std::array<double, numbers_of_edge>;

EdgeSlopes slopes_of_share(const Plan& plan, const PixelIndex& pixel) {
  using Real = physics::Dual<numbers_of_edge>;
  const PanelNumbers& of = plan.panel_of(pixel);
  std::pair<BasicPanelNumbers<Real>, BasicPlanBeamstop<Real>> dual;
  dual.first.frame.curvature = of.frame.curvature;
  dual.first.frame.handedness = of.frame.handedness;
  dual.first.frame.slow_edge = of.frame.slow_edge;
  const std::pair<const PanelNumbers&, const PlanBeamstop&> values{of, plan.beamstop};
  std::size_t number = 0;
  for_each_number_of_edge(
      [&](Real& x, const double& value) {
        x = Real(value);
        x.slopes.at(number++) = 1;
      },
      dual, values);
  return hidden_share(dual.second, dual.first, plan.oversample, pixel.fast, pixel.slow).slopes;
}

// ---- Matter along the beam ----------------------------------------------------------------------

/// Whether what a pixel sees of a material does not follow from what it sees of the sample.
bool is_elsewhere(const PlanMaterial& m) { return !(m.start == 0 && m.end == 0); }

/// The materials of `of`, which may be a tangent of the plan, elsewhere than at the
/// sample, or at it.
std::vector<PlanMaterial> materials_of(const Plan& of, const Plan& plan, bool elsewhere) {
  std::vector<PlanMaterial> some;
  for (std::size_t i = 0; i < plan.materials.size(); ++i)
    if (is_elsewhere(plan.materials[i]) == elsewhere) some.push_back(of.materials[i]);
  return some;
}

/// All but the stop and the matter along the beam.
Plan plan_in_light(const Plan& of, const Plan& plan) {
  Plan part = of;
  part.beamstop = {};
  part.materials = materials_of(of, plan, false);
  return part;
}

/// Matter along the beam, and the stop.
Plan plan_of_paths(const Plan& of, const Plan& plan) {
  Plan part;
  static_cast<PlanNumbers&>(part) = of;
  part.panels = of.panels;
  part.light = of.light;
  part.beamstop = of.beamstop;
  part.materials = materials_of(of, plan, true);
  return part;
}

class BehindBeamstop final : public Loaded {
 public:
  BehindBeamstop(const Engine& engine, const Plan& plan, const ComputeOptions& options)
      : Loaded(plan, options, DiffuseLight::of_parts),
        in_light_(load_with(engine, plan_in_light(plan, plan), options)),
        paths_(plan_of_paths(plan, plan)),
        hidden_(hidden_pixels(plan, options.threads)) {}

  Report render_spots(const Pixels& pixels, std::span<float> values) override {
    return rendered(pixels, values);
  }
  Report render_spots(const Pixels& pixels, std::span<double> values) override {
    return rendered(pixels, values);
  }

 private:
  double left_of(const HiddenPixel& hidden) const {
    return 1 - (1 - plan_.beamstop.transmission) * hidden.share;
  }

  /// Calls f(place among the values, hidden pixel).
  template <class F>
  void for_each_hidden(const Pixels& pixels, F&& f) const {
    if (pixels.all) {
      for (const HiddenPixel& hidden : hidden_) f(hidden.place, hidden);
      return;
    }
    for (std::size_t i = 0; i < pixels.list.size(); ++i) {
      const PixelIndex& pixel = pixels.list[i];
      const PlanPanel& panel = plan_.panel_of(pixel);
      const std::size_t place = panel.first_pixel + panel.offset_of(pixel.fast, pixel.slow);
      if (panel.wants(pixel.fast, pixel.slow)) {
        const auto found = std::ranges::lower_bound(hidden_, place, {}, &HiddenPixel::place);
        if (found != hidden_.end() && found->place == place) f(i, *found);
      } else if (const double share = hidden_share<double>(plan_.beamstop, panel, plan_.oversample,
                                                           pixel.fast, pixel.slow);
                 share > 0) {
        f(i, HiddenPixel{pixel, place, share});
      }
    }
  }

  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    Report report = in_light_->render(pixels, values);
    for_each_hidden(pixels, [&](std::size_t place, const HiddenPixel& hidden) {
      values[place] = static_cast<Number>(double(values[place]) * left_of(hidden));
    });
    if (paths_.materials.empty()) return report;
    add_paths(pixels, values);
    report.written.reset();
    return report;
  }

  template <class Number>
  void add_paths(const Pixels& pixels, std::span<Number> values) const {
    const auto kernel = kernels_of_this_machine().shadowed;
    const Tiling tiling(paths_, pixels);
    KeptBackground* const kept = tiling.of_image() ? kept_background() : nullptr;
    for_each_part(tiling.count(), behind_the_spots(options_),
                  [&](int index, const StopFlag& stopped) -> WorkDone {
                    Tile tile(stopped);
                    tiling.fill(index, tile);
                    alignas(64) std::array<double, tile_pixels> computed;
                    const auto compute = [&](double* photons) { kernel(paths_, tile, photons); };
                    const double* photons = kept ? kept->part(index, tiling.count(), compute)
                                                 : nullptr;
                    if (!photons) {
                      compute(computed.data());
                      photons = computed.data();
                    }
                    tiling.for_each_wanted(index, tile, [&](std::size_t i, std::size_t place) {
                      values[place] = static_cast<Number>(double(values[place]) + photons[i]);
                    });
                    return {};
                  });
  }

  void forget_light() override {
    in_light_->set_light(plan_in_light(plan_, plan_));
    paths_ = plan_of_paths(plan_, plan_);
  }
  void forget_lattice(bool) override { in_light_->set_lattice(plan_in_light(plan_, plan_)); }

  /// From the derivatives with respect to the numbers of a part of the plan to those of all.
  void add(const PlanGradient& part, bool elsewhere, PlanGradient& to) const {
    const auto sum = [](double& x, const double& more) { x += more; };
    to.value += part.value;
    std::size_t next = 0;
    for (std::size_t i = 0; i < plan_.materials.size(); ++i)
      if (is_elsewhere(plan_.materials[i]) == elsewhere)
        for_each_number_of_material(sum, to.adjoint.materials[i], part.adjoint.materials[next++]);
    if (!elsewhere) return;
    for (std::size_t i = 0; i < plan_.panels.size(); ++i)
      for_each_number_of_panel(sum, to.adjoint.panels[i], part.adjoint.panels[i]);
    for_each_number_of_light(sum, to.adjoint.light, part.adjoint.light);
    for (std::size_t i = 0; i < plan_.light.rays.size(); ++i)
      for_each_number_of_ray(sum, to.adjoint.light.rays[i], part.adjoint.light.rays[i]);
    for_each_number_of_beamstop(sum, to.adjoint.beamstop, part.adjoint.beamstop);
  }

  PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) override {
    std::vector<double> dimmed(weights.begin(), weights.end());
    struct Weighted {
      double weight;
      HiddenPixel hidden;
    };
    std::vector<Weighted> some;
    std::vector<PixelIndex> places;
    for_each_hidden(pixels, [&](std::size_t place, const HiddenPixel& hidden) {
      dimmed[place] *= left_of(hidden);
      if (weights[place] == 0) return;
      some.push_back({weights[place], hidden});
      places.push_back(hidden.pixel);
    });

    const PlanGradient of_light = in_light_->pull_back(pixels, dimmed);
    PlanGradient total = of_light;
    total.adjoint.materials = zero_plan(plan_).materials;
    total.adjoint.beamstop = zero_plan(plan_).beamstop;
    total.value = 0;
    add(of_light, false, total);

    std::vector<double> photons(places.size());
    if (!places.empty()) in_light_->render(Pixels(places), std::span(photons));
    for (std::size_t i = 0; i < some.size(); ++i) {
      const HiddenPixel& hidden = some[i].hidden;
      const double light = some[i].weight * photons[i];
      total.adjoint.beamstop.transmission += light * hidden.share;
      if (hidden.share == 1 || light == 0) continue;
      const EdgeSlopes slopes = slopes_of_share(plan_, hidden.pixel);
      std::pair<PanelNumbers&, PlanBeamstop&> to{
          total.adjoint.panels[static_cast<std::size_t>(hidden.pixel.panel)],
          total.adjoint.beamstop};
      const double per_share = -(1 - plan_.beamstop.transmission) * light;
      std::size_t number = 0;
      for_each_number_of_edge([&](double& x) { x += per_share * slopes[number++]; }, to);
    }

    if (paths_.materials.empty()) return total;
    PlanGradient of_paths;
    of_paths.adjoint = zero_plan(paths_);
    add_shadowed_materials(paths_, pixels, weights, options_, of_paths);
    add(of_paths, true, total);
    return total;
  }

  void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, std::span<double> photons,
                           std::span<double> slopes) override {
    const std::size_t columns = tangents.size();
    std::vector<Plan> in_light, of_paths;
    for (const Plan* tangent : tangents) {
      in_light.push_back(plan_in_light(*tangent, plan_));
      of_paths.push_back(plan_of_paths(*tangent, plan_));
    }
    const auto pointers_to = [](const std::vector<Plan>& plans) {
      std::vector<const Plan*> pointers;
      for (const Plan& plan : plans) pointers.push_back(&plan);
      return pointers;
    };
    in_light_->push_forward(pixels, pointers_to(in_light), table_tangent, photons, slopes);
    for_each_hidden(pixels, [&](std::size_t place, const HiddenPixel& hidden) {
      const bool at_edge = hidden.share < 1;
      const EdgeSlopes of_share = at_edge ? slopes_of_share(plan_, hidden.pixel) : EdgeSlopes{};
      for (std::size_t t = 0; t < columns; ++t) {
        double change = 0;
        std::size_t number = 0;
        const std::pair<const PanelNumbers&, const PlanBeamstop&> along{
            tangents[t]->panel_of(hidden.pixel), tangents[t]->beamstop};
        if (at_edge)
          for_each_number_of_edge([&](const double& x) { change += x * of_share[number++]; },
                                  along);
        double& slope = slopes[place * columns + t];
        slope = left_of(hidden) * slope +
                photons[place] * (tangents[t]->beamstop.transmission * hidden.share -
                                  (1 - plan_.beamstop.transmission) * change);
      }
      photons[place] *= left_of(hidden);
    });
    if (!paths_.materials.empty())
      add_shadowed_materials(paths_, pixels, pointers_to(of_paths), options_, photons, slopes);
  }

  std::unique_ptr<Loaded> in_light_;
  Plan paths_;
  std::vector<HiddenPixel> hidden_;
};

}  // namespace

std::unique_ptr<Loaded> load_behind_beamstop(const Engine& engine, const Plan& plan,
                                             const ComputeOptions& options) {
  return std::make_unique<BehindBeamstop>(engine, plan, options);
}

double share_behind_beamstop(const Plan& plan, const PixelIndex& pixel) {
  if (!plan.beamstop.present) return 1;
  return 1 - (1 - plan.beamstop.transmission) *
                 hidden_share<double>(plan.beamstop, plan.panel_of(pixel), plan.oversample,
                                      pixel.fast, pixel.slow);
}

double photons_of_material(const Plan& plan, std::size_t material, const PixelIndex& pixel) {
  const PlanMaterial& of = plan.materials[material];
  const PlanPanel& panel = plan.panel_of(pixel);
  const auto fast = double(pixel.fast), slow = double(pixel.slow);
  if (plan.beamstop.present && is_elsewhere(of))
    return shadowed_photons(plan, panel, view_of(of), fast, slow);
  const bool at_sample = of.start == 0 && of.end == 0;
  return material_photons(plan, panel, view_of(of), fast, slow) *
         (at_sample ? share_behind_beamstop(plan, pixel) : 1);
}

}  // namespace nablabragg::engine
