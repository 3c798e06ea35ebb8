// The stages behind simulate(), for callers that need what lies between them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include "engine/engine.hpp"  // for Loaded
#include "nablabragg/simulate.hpp"
#include "nablabragg/sweep.hpp"  // for CountedSimulation
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

/// The counts that count_photons() draws about that image, where the engine draws them itself.
std::optional<CountedSimulation> count_loaded(const Experiment& experiment,
                                              const Resolved& resolved, engine::Loaded& loaded,
                                              std::int64_t seed);

/// What an engine draws for count_photons(); empty where the counts are of one stream, which no two
/// pixels can be drawn from at a time.
std::optional<engine::CountRule> count_rule(const Experiment& experiment, std::int64_t seed);

}  // namespace nablabragg
