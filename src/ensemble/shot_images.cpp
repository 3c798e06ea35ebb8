#include "ensemble/shot_images.hpp"

#include <fmt/format.h>

#include <utility>

#include "api/run_plan.hpp"
#include "api/same_panels.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::ensemble {

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
