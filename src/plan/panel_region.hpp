// Some pixels of a panel.
#pragma once
#include "nablabragg/sampling.hpp"  // for RegionOfInterest

namespace nablabragg {

struct PanelRegion {
  int panel = 0;
  RegionOfInterest pixels;
};

}  // namespace nablabragg
