#pragma once
#include "nablabragg/image.hpp"
#include "nablabragg/simulate.hpp"  // for Statistics
#include "plan/plan.hpp"

namespace nablabragg::readout {

/// All of Statistics but the solid angle.  With `count_masked` the deviation runs over masked
/// pixels of the region of interest too, as nanoBragg's does.
Statistics image_statistics(const Plan& plan, const Image& image, bool count_masked);

}  // namespace nablabragg::readout
