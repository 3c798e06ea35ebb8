// Numbers of the kernels of gradients: lanes in the precision of the shapes, and as many in double.
// For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include <new>  // for launder

#include "engine/cpu/pairs.hpp"
#include "engine/light_adjoints.hpp"  // for add

namespace nablabragg::engine::HWY_NAMESPACE {

template <class T>
NABLA_INLINE T shaped(const Wide<T>& x) {
  return Shaped<T>()(x);
}
template <class T>
NABLA_INLINE Vec3<T> shaped(const Vec3<Wide<T>>& v) {
  return {shaped<T>(v.x), shaped<T>(v.y), shaped<T>(v.z)};
}

template <class T>
NABLA_INLINE Wide<T> widened(const T& x) {
  if constexpr (is_wide<T>)
    return x;
  else
    return widen(x);
}

template <class T>
NABLA_INLINE double lane_sum(const T& x) {
  const Wide<T> wide = widened(x);
  auto sum = wide.part[0];
  for (size_t i = 1; i < std::size(wide.part); ++i) sum = hn::Add(sum, wide.part[i]);
  return hn::GetLane(hn::SumOfLanes(hn::ScalableTag<double>(), sum));
}

/// Room for numbers that are written before they are read, one chunk's at a time: to begin with
/// zeros in all of them would take a third of the time of a tile with one step a pixel.
template <class X, size_t n>
class Unwritten {
 public:
  NABLA_INLINE X& operator[](size_t i) { return *std::launder(at(i)); }
  NABLA_INLINE const X& operator[](size_t i) const {
    return *std::launder(const_cast<Unwritten*>(this)->at(i));
  }

 private:
  static_assert(std::is_aggregate_v<X>);  // so that the bytes hold one without a constructor
  X* at(size_t i) { return reinterpret_cast<X*>(bytes_) + i; }
  alignas(X) std::byte bytes_[n * sizeof(X)];
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
