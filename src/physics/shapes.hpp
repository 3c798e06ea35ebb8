// The shapes of a crystal block, of which there is one list.
#pragma once
#include <stdexcept>
#include "physics/shapes/gauss.hpp"
#include "physics/shapes/round.hpp"
#include "physics/shapes/square.hpp"
#include "physics/shapes/tophat.hpp"

namespace nablabragg::physics {

template <class... Shape>
struct ShapeList {};

/// In the order of CrystalShape.
using Shapes = ShapeList<Square, Round, Gauss, Tophat>;

/// Calls work.operator()<Shape>() for all shapes of a list, in its order.
template <class Work, class... Shape>
void for_each_shape(Work&& work, ShapeList<Shape...>) {
  (work.template operator()<Shape>(), ...);
}
template <class Work>
void for_each_shape(Work&& work) {
  for_each_shape(work, Shapes());
}

/// Returns work.operator()<Shape>() of a list's shape; throws std::logic_error when it is not
/// there.
template <class Work, class First, class... Rest>
decltype(auto) with_shape(CrystalShape shape, Work&& work, ShapeList<First, Rest...>) {
  if (shape == First::id) return work.template operator()<First>();
  if constexpr (sizeof...(Rest) > 0)
    return with_shape(shape, work, ShapeList<Rest...>());
  else
    throw std::logic_error("a crystal shape is missing from the list in physics/shapes.hpp");
}
template <class Work>
decltype(auto) with_shape(CrystalShape shape, Work&& work) {
  return with_shape(shape, work, Shapes());
}

}  // namespace nablabragg::physics
