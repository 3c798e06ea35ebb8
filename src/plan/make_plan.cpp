#include "plan/make_plan.hpp"

#include <string>

#include "nablabragg/error.hpp"

namespace nablabragg {

template Plan make_plan(const Experiment&, const Resolved&);

void check_pixels(const Plan& plan, std::span<const PixelIndex> pixels) {
  for (const PixelIndex& p : pixels) {
    if (p.panel < 0 || static_cast<std::size_t>(p.panel) >= plan.panels.size())
      throw UsageError("there is no panel " + std::to_string(p.panel) + " for pixel fast " +
                       std::to_string(p.fast) + " slow " + std::to_string(p.slow) +
                       "; the experiment's panels are 0 to " +
                       std::to_string(plan.panels.size() - 1));
    const PlanFrame& frame = plan.panels[static_cast<std::size_t>(p.panel)].frame;
    if (p.fast < 0 || p.fast >= frame.fast_pixels || p.slow < 0 || p.slow >= frame.slow_pixels)
      throw UsageError("pixel fast " + std::to_string(p.fast) + " slow " + std::to_string(p.slow) +
                       " is not on the " + std::to_string(frame.fast_pixels) + " x " +
                       std::to_string(frame.slow_pixels) + " (fast x slow) panel");
  }
}

}  // namespace nablabragg
