// The stages behind simulate(), for callers that need what lies between them.
#pragma once
#include <string>
#include "engine/engine.hpp"  // for Loaded
#include "nablabragg/simulate.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

/// What the edge of the structure-factor table did to the image, as a sentence.
std::string table_miss_warning(const Plan& plan, const TableMiss& miss);

/// The engine's stage: a plan of `experiment` -> image and statistics.
Simulation run_plan(const Experiment& experiment, const Resolved& resolved, const Plan& plan,
                    const ComputeOptions& options);

/// The same where the plan, which may be one of several, is loaded; the image takes over the memory
/// of `used`.
Simulation run_loaded(const Experiment& experiment, const Resolved& resolved,
                      engine::Loaded& loaded, Image used);

}  // namespace nablabragg
