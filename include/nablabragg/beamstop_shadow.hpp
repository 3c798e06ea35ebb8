// Which pixels lie in the shadow of a beamstop.
#pragma once
#include <vector>
#include "nablabragg/settled.hpp"

namespace nablabragg {

/// Of each pixel, panel by panel, the share of the sample's light that the beamstop leaves it: 1
/// beside its shadow and where there is no stop.
std::vector<double> shares_past_beamstop(const SettledExperiment& experiment);

}  // namespace nablabragg
