// What one channel of a spectrum may be.
#pragma once
#include "nablabragg/spectrum.hpp"

namespace nablabragg::description {

/// Throws UsageError for an energy or wavelength that is not positive or of no X-rays, and for a
/// negative weight.
void check_channel(double value, double weight, SpectrumUnit unit);

}  // namespace nablabragg::description
