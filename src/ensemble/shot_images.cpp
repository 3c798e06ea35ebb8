#include "ensemble/shot_images.hpp"

#include <fmt/format.h>

#include <utility>

#include "api/run_plan.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "plan/make_plan.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::ensemble {

namespace {

bool same_rules(const FactorRules& a, const FactorRules& b) {
  return a.solid_angle == b.solid_angle && a.polarization == b.polarization &&
         a.capture == b.capture && a.polarized == b.polarized;
}

/// Whether all that is neither light nor lattice is the same.
bool same_panels(const Plan& a, const Plan& b) {
  if (a.oversample != b.oversample || a.dmin != b.dmin || !same_rules(a.rules, b.rules) ||
      a.panels.size() != b.panels.size())
    return false;
  for (std::size_t i = 0; i < a.panels.size(); ++i) {
    const PlanPanel &p = a.panels[i], &q = b.panels[i];
    const PlanFrame &f = p.frame, &g = q.frame;
    const RegionOfInterest &r = p.roi, &s = q.roi;
    bool same = f.fast_pixels == g.fast_pixels && f.slow_pixels == g.slow_pixels &&
                f.pixel == g.pixel && f.slow_edge == g.slow_edge && f.curvature == g.curvature &&
                f.handedness == g.handedness && f.solid_angle == g.solid_angle &&
                p.sensor.layers == q.sensor.layers && r.fast_min == s.fast_min &&
                r.fast_max == s.fast_max && r.slow_min == s.slow_min && r.slow_max == s.slow_max &&
                p.mask == q.mask;
    for_each_number_of_panel([&](const double& x, const double& y) { same = same && x == y; }, p,
                             q);
    if (!same) return false;
  }
  return true;
}

}  // namespace

ShotImages::ShotImages(const Ensemble& ensemble, ComputeOptions options)
    : light_varies_(ensemble.light_varies()), options_(std::move(options)) {}

ShotImages::ShotImages(const ShotImages& beside, ComputeOptions options)
    : light_varies_(beside.light_varies_),
      options_(std::move(options)),
      beside_(beside.hits_.get()) {}

Simulation ShotImages::simulation(const Shot& shot, Image used) {
  try {
    const Experiment& e = shot.experiment;
    Resolved resolved = resolve(e);
    const Plan plan = make_plan(e, resolved);
    std::unique_ptr<engine::Loaded>& loaded = shot.hit ? hits_ : blanks_;
    if (loaded && same_panels(plan, loaded->plan()) && engine::may_follow(plan, loaded->plan())) {
      if (light_varies_) loaded->set_light(plan);
      loaded->set_lattice(plan);
    } else {
      loaded = engine::load(plan, options_);
      if (shot.hit && beside_ && !light_varies_) loaded->share_background(*beside_);
    }
    Simulation s = run_loaded(e, resolved, *loaded, std::move(used));
    s.resolved = std::move(resolved);
    if (!s.not_finite.empty()) throw UsageError(s.not_finite);
    return s;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("shot {}: {}", shot.index, error.what()));
  }
}

}  // namespace nablabragg::ensemble
