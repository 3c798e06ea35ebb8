#pragma once
#include <optional>
#include <vector>
#include "nablabragg/image.hpp"
#include "nablabragg/simulate.hpp"  // for Statistics
#include "plan/panel_region.hpp"
#include "plan/plan.hpp"

namespace nablabragg::readout {

/// All of Statistics but the solid angle.  With `count_masked` the deviation runs over masked
/// pixels of the region of interest too, as nanoBragg's does.  `written`: the only regions whose
/// pixels may not be zero, in the order of panels and without overlaps, within those of interest;
/// empty: any may.
Statistics image_statistics(const Plan& plan, const Image& image, bool count_masked,
                            const std::optional<std::vector<PanelRegion>>& written = {});

}  // namespace nablabragg::readout
