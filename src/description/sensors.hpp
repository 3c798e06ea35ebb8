// What the material of a sensor makes of its thickness.
#pragma once
#include "nablabragg/experiment.hpp"

namespace nablabragg::description {

/// Sets the attenuation depths of panels that state a material and a thickness and no depth, at the
/// experiment's wavelength.  Throws UsageError for a material that nobody knows.
void set_attenuation_depths(Experiment& e);

}  // namespace nablabragg::description
