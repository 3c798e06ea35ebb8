#include "nablabragg/beamstop_shadow.hpp"

#include "engine/beamstop.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {

std::vector<double> shares_past_beamstop(const SettledExperiment& experiment) {
  const Plan plan = make_plan(experiment.experiment(), experiment.resolved());
  std::vector<double> shares(plan.pixels(), 1.0);
  if (!plan.beamstop.present) return shares;
  for (int number = 0; number < static_cast<int>(plan.panels.size()); ++number) {
    const PlanPanel& panel = plan.panels[static_cast<std::size_t>(number)];
    for (int slow = 0; slow < panel.frame.slow_pixels; ++slow)
      for (int fast = 0; fast < panel.frame.fast_pixels; ++fast)
        shares[panel.first_pixel + panel.offset_of(fast, slow)] = engine::share_behind_beamstop(
            plan, {fast, slow, number});
  }
  return shares;
}

}  // namespace nablabragg
