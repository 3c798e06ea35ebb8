// The stages behind simulate(), for callers that need what lies between them.
#pragma once
#include "nablabragg/simulate.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

/// The engine's stage: a plan of `experiment` -> image and statistics.
Simulation run_plan(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                    const ComputeOptions& options);

}  // namespace nablabragg
