// What the material of a sensor makes of its thickness.
#pragma once
#include "nablabragg/experiment.hpp"

namespace nablabragg::description {

/// As many layers as make none thicker than 50 um: positions of spots follow a thick sensor's depth
/// to a few hundredths of a pixel.
int layers_of(double thickness_um);

/// Sets what panels that state a material and a thickness leave open: the attenuation depth, at the
/// experiment's wavelength, and the layers.  Throws UsageError for a material that nobody knows.
void settle_sensors(Experiment& e);

/// Leaves the attenuation depth open again where it is that of the panel's material at the
/// experiment's wavelength, whoever set it.
void reopen_sensors(Experiment& e);

}  // namespace nablabragg::description
