// How far a slider goes: a range for each kind of parameter about its value.
#pragma once
#include <cstddef>
#include "nablabragg/parameters.hpp"

namespace nablabragg::view {

struct SliderRange {
  double low = 0, high = 1;
  bool logarithmic = false;
};

/// Of one number of a parameter.
SliderRange slider_range(const Parameter& parameter, std::size_t index);

}  // namespace nablabragg::view
