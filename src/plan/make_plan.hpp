// Experiment -> Plan: the last place that knows what a quirk is.
#pragma once
#include "nablabragg/resolved.hpp"
#include "plan/plan.hpp"

namespace nablabragg {

/// `resolved` is resolve(experiment).
Plan make_plan(const Experiment& experiment, const Resolved& resolved);

}  // namespace nablabragg
