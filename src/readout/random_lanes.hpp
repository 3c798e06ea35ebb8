// Random bits, exponentials and logarithms in the lanes of a register: what the files that draw at
// random share.  They are compiled once for each instruction set, all of them in the namespace of
// that set.
//
// A count may depend on the last bit of a comparison, so nothing here may be rounded differently
// from set to set: only + - * / and square roots, which IEEE 754 defines; no fused multiply-add
// (the build's -ffp-contract=off, and no MulAdd), and logarithm and exponential of our own.
#pragma once
#include <hwy/highway.h>
#include "nablabragg/vec3.hpp"      // for NABLA_INLINE
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

// ---- Random bits --------------------------------------------------------------------------------

/// The lower halves of the products.
NABLA_INLINE Bits product(Bits a, Bits b) {
#if HWY_TARGET == HWY_SCALAR
  return Bits(a.raw * b.raw);
#elif HWY_TARGET == HWY_AVX3
  return {_mm512_mullo_epi64(a.raw, b.raw)};
#else
  return a * b;
#endif
}

/// SplitMix64's output function, as `mixed` in noise.cpp.
NABLA_INLINE Bits mixed(Bits z) {
  z = product(hn::Xor(z, hn::ShiftRight<30>(z)), bits(0xbf58476d1ce4e5b9U));
  z = product(hn::Xor(z, hn::ShiftRight<27>(z)), bits(0x94d049bb133111ebU));
  return hn::Xor(z, hn::ShiftRight<31>(z));
}

/// Number `draw` of the pixels whose streams begin at `start`: odd multiples of 2^-53, so neither 0
/// nor 1.
NABLA_INLINE Numbers uniform(Bits start, std::uint64_t draw) {
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;
  const Bits z = mixed(hn::Add(start, bits((draw + 1) * golden)));
  const Numbers from_1_to_2 = hn::BitCast(D(),
                                          hn::Or(hn::ShiftRight<12>(z), bits(0x3ff0000000000000U)));
  return hn::Sub(from_1_to_2, number(1 - 0x1p-53));
}

/// Where the stream of pixel `first` + `pixel` begins.
NABLA_INLINE Bits start_of(std::uint64_t key, std::uint64_t first, Bits pixel) {
  return mixed(hn::Add(bits(key + first), pixel));
}

// ---- Functions ----------------------------------------------------------------------------------

/// c[0] + x (c[1] + x (c[2] + ...))
template <std::size_t n>
NABLA_INLINE Numbers polynomial(Numbers x, const double (&c)[n]) {
  Numbers sum = number(c[n - 1]);
  for (std::size_t i = n - 1; i-- > 0;) sum = hn::Add(hn::Mul(sum, x), number(c[i]));
  return sum;
}

/// exp(-x) for x from 0 to 700: 2^-n exp(-r), |r| < 0.35; up to 10 off by 1e-15 of it at most.
NABLA_INLINE Numbers exp_of_minus(Numbers x) {
  // The sum's lowest bits are the nearest whole number.
  constexpr double shift = 0x1.8p52;
  const Numbers shifted = hn::Add(hn::Mul(x, number(0x1.71547652b82fep+0)), number(shift));
  const Numbers n = hn::Sub(shifted, number(shift));
  // ln 2 in two parts, the first with so few digits that its multiples are exact
  const Numbers r = hn::Sub(hn::Mul(n, number(0x1.62e42fefap-1)), x);
  const Numbers minus_r = hn::Add(r, hn::Mul(n, number(0x1.cf79abc9e3b39p-40)));
  constexpr double c[] = {1.0,
                          1.0,
                          1.0 / 2,
                          1.0 / 6,
                          1.0 / 24,
                          1.0 / 120,
                          1.0 / 720,
                          1.0 / 5040,
                          1.0 / 40320,
                          1.0 / 362880,
                          1.0 / 3628800,
                          1.0 / 39916800,
                          1.0 / 479001600};
  const Bits exponent = hn::ShiftLeft<52>(hn::Sub(bits(1023), hn::BitCast(U(), shifted)));
  return hn::Mul(polynomial(minus_r, c), hn::BitCast(D(), exponent));
}

/// A number as 2^exponent (1 + s)/(1 - s), |s| < 0.172.
struct Parts {
  Numbers exponent, s;
};

/// Of positive normal numbers.
NABLA_INLINE Parts parts_of(Numbers x) {
  constexpr std::uint64_t root_of_half = 0x3fe6a09e667f3bcdU, offset = std::uint64_t{1024} << 52;
  const Bits b = hn::BitCast(U(), x);
  const Bits steps = hn::ShiftRight<52>(hn::Add(b, bits(offset - root_of_half)));
  const Numbers f = hn::BitCast(D(), hn::Add(hn::Sub(b, hn::ShiftLeft<52>(steps)), bits(offset)));
  const Numbers exponent = hn::Sub(hn::BitCast(D(), hn::Or(steps, bits(0x4330000000000000U))),
                                   number(0x1p52 + 1024));
  return {exponent, hn::Div(hn::Sub(f, number(1)), hn::Add(f, number(1)))};
}

/// (artanh(s)/s - 1)/s^2 of z = s^2, |s| < 0.172: off by 1e-16 of it at most.
NABLA_INLINE Numbers artanh_rest(Numbers z) {
  constexpr double c[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                          1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
  return polynomial(z, c);
}

constexpr double ln_2 = 0x1.62e42fefa39efp-1, pi = 3.14159265358979323846;

NABLA_INLINE Numbers log_of(Numbers x) {
  const Parts p = parts_of(x);
  const Numbers z = hn::Mul(p.s, p.s);
  const Numbers half = hn::Add(p.s, hn::Mul(hn::Mul(p.s, z), artanh_rest(z)));
  return hn::Add(hn::Mul(p.exponent, number(ln_2)), hn::Add(half, half));
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
