// Random bits that are keyed, exponentials and logarithms, written once for the lanes of a register
// and for a thread of a GPU.
//
// What is drawn may depend on the last bit of a comparison, so nothing here may be rounded
// differently from machine to machine: only + - * / and square roots, which IEEE 754 defines, never
// a product fused with a sum, and logarithm and exponential of our own.
//
// `L` names the types of a machine (Numbers, doubles; Bits, 64 of them; Mask) and what they have no
// operators for, as OneLane does.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include "nablabragg/vec3.hpp"  // for NABLA_INLINE

namespace nablabragg::physics {

/// A double whose products no compiler fuses with sums.  On the processor that is left to the
/// flags of the file (-ffp-contract=off).
struct Unfused {
  double value;

#ifdef __CUDA_ARCH__
  NABLA_INLINE friend Unfused operator+(Unfused a, Unfused b) {
    return {__dadd_rn(a.value, b.value)};
  }
  NABLA_INLINE friend Unfused operator-(Unfused a, Unfused b) {
    return {__dsub_rn(a.value, b.value)};
  }
  NABLA_INLINE friend Unfused operator*(Unfused a, Unfused b) {
    return {__dmul_rn(a.value, b.value)};
  }
  NABLA_INLINE friend Unfused operator/(Unfused a, Unfused b) {
    return {__ddiv_rn(a.value, b.value)};
  }
#else
  NABLA_INLINE friend Unfused operator+(Unfused a, Unfused b) { return {a.value + b.value}; }
  NABLA_INLINE friend Unfused operator-(Unfused a, Unfused b) { return {a.value - b.value}; }
  NABLA_INLINE friend Unfused operator*(Unfused a, Unfused b) { return {a.value * b.value}; }
  NABLA_INLINE friend Unfused operator/(Unfused a, Unfused b) { return {a.value / b.value}; }
#endif
  NABLA_INLINE friend bool operator<(Unfused a, Unfused b) { return a.value < b.value; }
  NABLA_INLINE friend bool operator<=(Unfused a, Unfused b) { return a.value <= b.value; }
  NABLA_INLINE friend bool operator>(Unfused a, Unfused b) { return a.value > b.value; }
  NABLA_INLINE friend bool operator>=(Unfused a, Unfused b) { return a.value >= b.value; }
};

/// One number at a time.
struct OneLane {
  using Numbers = Unfused;
  using Bits = std::uint64_t;
  using Mask = bool;

  static NABLA_INLINE Numbers number(double x) { return {x}; }
  static NABLA_INLINE constexpr Bits bits(std::uint64_t x) { return x; }
  /// The lower halves of the products.
  static NABLA_INLINE constexpr Bits product(Bits a, Bits b) { return a * b; }
  template <int places>
  static NABLA_INLINE constexpr Bits left(Bits a) {
    return a << places;
  }
  template <int places>
  static NABLA_INLINE constexpr Bits right(Bits a) {
    return a >> places;
  }
#ifdef __CUDA_ARCH__
  static NABLA_INLINE Bits bits_of(Numbers x) {
    return static_cast<Bits>(__double_as_longlong(x.value));
  }
  static NABLA_INLINE Numbers number_of(Bits b) {
    return {__longlong_as_double(static_cast<long long>(b))};
  }
  static NABLA_INLINE Numbers root(Numbers x) { return {__dsqrt_rn(x.value)}; }
#else
  static NABLA_INLINE Bits bits_of(Numbers x) { return std::bit_cast<Bits>(x.value); }
  static NABLA_INLINE Numbers number_of(Bits b) { return {std::bit_cast<double>(b)}; }
  static NABLA_INLINE Numbers root(Numbers x) { return {std::sqrt(x.value)}; }
#endif
  static NABLA_INLINE Numbers floor_of(Numbers x) { return {std::floor(x.value)}; }
  static NABLA_INLINE Numbers magnitude(Numbers x) { return {std::fabs(x.value)}; }
  static NABLA_INLINE Numbers smaller(Numbers a, Numbers b) { return a < b ? a : b; }
  static NABLA_INLINE Numbers larger(Numbers a, Numbers b) { return a > b ? a : b; }
  static NABLA_INLINE Numbers select(Mask condition, Numbers yes, Numbers no) {
    return condition ? yes : no;
  }
  static NABLA_INLINE Mask both(Mask a, Mask b) { return a && b; }
  static NABLA_INLINE Mask either(Mask a, Mask b) { return a || b; }
  static NABLA_INLINE bool none(Mask a) { return !a; }
  static NABLA_INLINE Numbers entry(const double* table, Bits place) { return {table[place]}; }
};

/// What the counter of SplitMix64 grows by.
inline constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;

template <class L>
struct KeyedRandom {
  using Numbers = typename L::Numbers;
  using Bits = typename L::Bits;
  using Mask = typename L::Mask;

  static NABLA_INLINE Numbers number(double x) { return L::number(x); }
  static NABLA_INLINE constexpr Bits bits(std::uint64_t x) { return L::bits(x); }

  // ---- Random bits ------------------------------------------------------------------------------

  /// 64 well-mixed bits of a counter (SplitMix64's output function, a bijection).
  static NABLA_INLINE constexpr Bits mixed(Bits z) {
    z = L::product(z ^ L::template right<30>(z), bits(0xbf58476d1ce4e5b9U));
    z = L::product(z ^ L::template right<27>(z), bits(0x94d049bb133111ebU));
    return z ^ L::template right<31>(z);
  }

  /// Where the stream of pixel `first` + `pixel` begins.  Mixing the sum, not adding the mixed,
  /// keeps neighbours' streams apart.
  static NABLA_INLINE Bits start_of(std::uint64_t key, std::uint64_t first, Bits pixel) {
    return mixed(bits(key + first) + pixel);
  }

  /// Number `draw` of the pixels whose streams begin at `start`: odd multiples of 2^-53, so neither
  /// 0 nor 1.
  static NABLA_INLINE Numbers uniform(Bits start, std::uint64_t draw) {
    const Bits z = mixed(start + bits((draw + 1) * golden));
    const Numbers from_1_to_2 = L::number_of(L::template right<12>(z) | bits(0x3ff0000000000000U));
    return from_1_to_2 - number(1 - 0x1p-53);
  }

  // ---- Functions --------------------------------------------------------------------------------

  /// c[0] + x (c[1] + x (c[2] + ...))
  template <std::size_t n>
  static NABLA_INLINE Numbers polynomial(Numbers x, const double (&c)[n]) {
    Numbers sum = number(c[n - 1]);
    for (std::size_t i = n - 1; i-- > 0;) sum = sum * x + number(c[i]);
    return sum;
  }

  /// exp(-x) for x from 0 to 700: 2^-n exp(-r), |r| < 0.35; up to 10 off by 1e-15 of it at most.
  static NABLA_INLINE Numbers exp_of_minus(Numbers x) {
    // The sum's lowest bits are the nearest whole number.
    constexpr double shift = 0x1.8p52;
    const Numbers shifted = x * number(0x1.71547652b82fep+0) + number(shift);
    const Numbers n = shifted - number(shift);
    // ln 2 in two parts, the first with so few digits that its multiples are exact
    const Numbers r = n * number(0x1.62e42fefap-1) - x;
    const Numbers minus_r = r + n * number(0x1.cf79abc9e3b39p-40);
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
    const Bits exponent = L::template left<52>(bits(1023) - L::bits_of(shifted));
    return polynomial(minus_r, c) * L::number_of(exponent);
  }

  /// A number as 2^exponent (1 + s)/(1 - s), |s| < 0.172.
  struct Parts {
    Numbers exponent, s;
  };
  /// Of positive normal numbers.
  static NABLA_INLINE Parts parts_of(Numbers x) {
    constexpr std::uint64_t root_of_half = 0x3fe6a09e667f3bcdU, offset = std::uint64_t{1024} << 52;
    const Bits b = L::bits_of(x);
    const Bits steps = L::template right<52>(b + bits(offset - root_of_half));
    const Numbers f = L::number_of((b - L::template left<52>(steps)) + bits(offset));
    const Numbers exponent = L::number_of(steps | bits(0x4330000000000000U)) -
                             number(0x1p52 + 1024);
    return {exponent, (f - number(1)) / (f + number(1))};
  }

  /// (artanh(s)/s - 1)/s^2 of z = s^2, |s| < 0.172: off by 1e-16 of it at most.
  static NABLA_INLINE Numbers artanh_rest(Numbers z) {
    constexpr double c[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                            1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    return polynomial(z, c);
  }

  static constexpr double ln_2 = 0x1.62e42fefa39efp-1, pi = 3.14159265358979323846;

  static NABLA_INLINE Numbers log_of(Numbers x) {
    const Parts p = parts_of(x);
    const Numbers z = p.s * p.s;
    const Numbers half = p.s + (p.s * z) * artanh_rest(z);
    return p.exponent * number(ln_2) + (half + half);
  }
};

}  // namespace nablabragg::physics
