#pragma once
#include <array>

namespace nablabragg {

using MillerIndex = std::array<int, 3>;

struct Reflection {
  MillerIndex hkl;
  double amplitude;  ///< |F| [electrons]; a negative value is allowed, it enters squared
};

}  // namespace nablabragg
