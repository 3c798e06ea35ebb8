// The lanes of a register for the random numbers of physics/keyed_random.hpp, and what the files
// that draw at random share.  They are compiled once for each instruction set, all of them in the
// namespace of that set, and none of them may be rounded differently from set to set: that header
// says how.
#pragma once
#include <hwy/highway.h>
#include "nablabragg/vec3.hpp"  // for NABLA_INLINE
#include "physics/keyed_random.hpp"
#include "readout/row_kernels.hpp"  // for poisson_chunk, poisson_lanes

namespace nablabragg::readout::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using U = hn::ScalableTag<std::uint64_t>;
using I = hn::ScalableTag<std::int64_t>;
using Numbers = hn::Vec<D>;
using Bits = hn::Vec<U>;
using Mask = hn::Mask<D>;

constexpr std::size_t lanes = hn::MaxLanes(D());
static_assert(poisson_lanes % lanes == 0);

NABLA_INLINE Numbers number(double x) { return hn::Set(D(), x); }
NABLA_INLINE Bits bits(std::uint64_t x) { return hn::Set(U(), x); }

/// Arrays that whole registers are written to the end of.
template <class T>
using List = T[poisson_chunk + poisson_lanes];

struct RandomLanes {
  using Numbers = hn::Vec<D>;
  using Bits = hn::Vec<U>;
  using Mask = hn::Mask<D>;

  static NABLA_INLINE Numbers number(double x) { return hn::Set(D(), x); }
  static NABLA_INLINE Bits bits(std::uint64_t x) { return hn::Set(U(), x); }
  static NABLA_INLINE Bits product(Bits a, Bits b) {
#if HWY_TARGET == HWY_SCALAR
    return Bits(a.raw * b.raw);
#elif HWY_TARGET == HWY_AVX3
    return {_mm512_mullo_epi64(a.raw, b.raw)};
#else
    return a * b;
#endif
  }
  template <int places>
  static NABLA_INLINE Bits left(Bits a) {
    return hn::ShiftLeft<places>(a);
  }
  template <int places>
  static NABLA_INLINE Bits right(Bits a) {
    return hn::ShiftRight<places>(a);
  }
  static NABLA_INLINE Bits bits_of(Numbers x) { return hn::BitCast(U(), x); }
  static NABLA_INLINE Numbers number_of(Bits b) { return hn::BitCast(D(), b); }
  static NABLA_INLINE Numbers root(Numbers x) { return hn::Sqrt(x); }
  static NABLA_INLINE Numbers floor_of(Numbers x) { return hn::Floor(x); }
  static NABLA_INLINE Numbers magnitude(Numbers x) { return hn::Abs(x); }
  static NABLA_INLINE Numbers smaller(Numbers a, Numbers b) { return hn::Min(a, b); }
  static NABLA_INLINE Numbers larger(Numbers a, Numbers b) { return hn::Max(a, b); }
  static NABLA_INLINE Numbers select(Mask condition, Numbers yes, Numbers no) {
    return hn::IfThenElse(condition, yes, no);
  }
  static NABLA_INLINE Mask both(Mask a, Mask b) { return hn::And(a, b); }
  static NABLA_INLINE Mask either(Mask a, Mask b) { return hn::Or(a, b); }
  static NABLA_INLINE bool none(Mask a) { return hn::AllFalse(D(), a); }
  static NABLA_INLINE Numbers entry(const double* table, Bits place) {
    return hn::GatherIndex(D(), table, hn::BitCast(I(), place));
  }
};

using Random = physics::KeyedRandom<RandomLanes>;
constexpr double pi = Random::pi;

NABLA_INLINE Bits start_of(std::uint64_t key, std::uint64_t first, Bits pixel) {
  return Random::start_of(key, first, pixel);
}
NABLA_INLINE Numbers uniform(Bits start, std::uint64_t draw) {
  return Random::uniform(start, draw);
}
template <std::size_t n>
NABLA_INLINE Numbers polynomial(Numbers x, const double (&c)[n]) {
  return Random::polynomial(x, c);
}
NABLA_INLINE Numbers exp_of_minus(Numbers x) { return Random::exp_of_minus(x); }
NABLA_INLINE Numbers log_of(Numbers x) { return Random::log_of(x); }

}  // namespace nablabragg::readout::HWY_NAMESPACE
