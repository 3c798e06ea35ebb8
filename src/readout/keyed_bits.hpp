// Random bits that depend on a key and a number alone, in whatever order they are asked for.
#pragma once
#include <cstdint>
#include "physics/keyed_random.hpp"

namespace nablabragg::readout {

using physics::golden;

/// 64 well-mixed bits of a counter.
NABLA_INLINE constexpr std::uint64_t mixed(std::uint64_t z) {
  return physics::KeyedRandom<physics::OneLane>::mixed(z);
}

}  // namespace nablabragg::readout
