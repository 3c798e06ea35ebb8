// Whether an engine that has loaded one plan may be given light and lattice of another one.
#pragma once
#include "plan/plan.hpp"

namespace nablabragg {

/// Whether all of two plans is the same that is neither light nor lattice: panels, masks, sensors,
/// sub-pixels and rules.
bool same_panels(const Plan& a, const Plan& b);

}  // namespace nablabragg
