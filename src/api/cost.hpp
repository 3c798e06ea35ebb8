// What an image costs, before it is paid.
#pragma once
#include <optional>
#include <string>
#include "engine/engine.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/settled.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

/// Nobody who left the sub-pixels to the program asked for more than this.
inline constexpr double longest_unasked_s = 120;

struct Cost {
  double steps = 0;    ///< of all pixels, those that are skipped among them
  double seconds = 0;  ///< an estimate, from a few pixels that were rendered
};

/// Empty where the slowest kernel takes less than `longest_s`.  Elsewhere some pixels in different
/// places are rendered with fewer sub-pixels, for a few hundredths of a second, on one thread;
/// steps that can be skipped are skipped there, too.
std::optional<Cost> cost_of(const Plan& plan, const engine::Pixels& pixels,
                            const ComputeOptions& options, double longest_s = longest_unasked_s);

/// "the automatic oversampling (1126-fold) asks for 1.3e+12 steps, about 3 hours ...", and the ways
/// out, each of which is accepted by an estimate of its own; empty: the cost is less than
/// `longest_unasked_s`, or was asked for.
std::string costly_oversampling(const Experiment& experiment, const Resolved& resolved,
                                const Plan& plan, const engine::Pixels& pixels,
                                const ComputeOptions& options);

/// Throws UsageError with costly_oversampling(), except in nanoBragg's mode.
void check_cost(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                const engine::Pixels& pixels, const ComputeOptions& options);
void check_cost(const SettledExperiment& experiment, const Plan& plan, const engine::Pixels& pixels,
                const ComputeOptions& options);

}  // namespace nablabragg
