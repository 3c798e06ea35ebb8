// What the physics asks of a number type beyond + - * / and comparisons.  Here for double and
// float; a SIMD lane or a dual number brings its own overloads and then runs the same formulas.
#pragma once
#include <array>
#include <cmath>
#include <type_traits>
#include "nablabragg/vec3.hpp"  // for NABLA_INLINE

namespace nablabragg::physics {

/// The number a lane type holds many of.
template <class T>
struct ScalarOf {
  using type = T;
};
template <class T>
using Scalar = typename ScalarOf<T>::type;

/// A constant of a formula, in the precision of the lane.
template <class T>
NABLA_INLINE T constant(double value) {
  return T(static_cast<Scalar<T>>(value));
}

template <class T>
inline constexpr bool is_single = std::is_same_v<Scalar<T>, float>;

template <class T, class = std::enable_if_t<std::is_floating_point_v<T>>>
NABLA_INLINE T select(bool condition, T yes, T no) {
  return condition ? yes : no;
}
NABLA_INLINE bool any(bool condition) { return condition; }

/// Nearest integer, ties to even, |x| < 2^51 (float: 2^22).  Adding and taking away 1.5 x 2^52
/// pushes the fraction out of the mantissa: two instructions where SSE2 has no rounding
/// instruction.
NABLA_INLINE double round_even(double x) {
  constexpr double shift = 6755399441055744.0;
  return (x + shift) - shift;
}
NABLA_INLINE float round_even(float x) {
  constexpr float shift = 12582912.0f;
  return (x + shift) - shift;
}

/// Nearest integer, ties down: ceil(x - 1/2), the rule that decides which reflection a point
/// belongs to.
template <class T>
NABLA_INLINE T round_half_down(const T& x) {
  const T t = x - T(0.5);
  const T r = round_even(t);
  return select(r < t, r + T(1), r);
}

template <class T>
NABLA_INLINE T floor_of(const T& x) {
  const T r = round_even(x);
  return select(r > x, r - T(1), r);
}

/// |x|, or something tiny where x is zero.  What is even in x and finite in the limit needs no
/// special case then.
NABLA_INLINE double not_zero(double x) {
  const double size = x < 0 ? -x : x;
  return size > 0x1p-127 ? size : 0x1p-127;
}
NABLA_INLINE float not_zero(float x) {
  const float size = x < 0 ? -x : x;
  return size > 0x1p-31F ? size : 0x1p-31F;
}

/// sin(pi x) for |x| <= 1/2.  Double: Taylor series to x^21, truncation below 2e-18, error below
/// 4 ulp.  Single: minimax to x^9, error 5.3e-9 before rounding, 1.8e-7 with it.
template <class T>
NABLA_INLINE T sin_pi(const T& x) {
  const T s = x * x;
  if constexpr (is_single<T>) {
    T p = s * 0.07756038333261853f - 0.5982421245377338f;
    p = p * s + 2.5500697260294305f;
    p = p * s - 5.1677096847827535f;
    p = p * s + 3.1415926368952523f;
    return p * x;
  } else {
    T p = s * 5.39266466260812895e-10 - 2.29484289972698730e-08;
    p = p * s + 7.95205400147551261e-07;
    p = p * s - 2.19153534478302173e-05;
    p = p * s + 4.66302805767612554e-04;
    p = p * s - 7.37043094571435044e-03;
    p = p * s + 8.21458866111282326e-02;
    p = p * s - 5.99264529320792105e-01;
    p = p * s + 2.55016403987734552e+00;
    p = p * s - 5.16771278004997026e+00;
    p = p * s + 3.14159265358979312e+00;
    return p * x;
  }
}

template <class T>
NABLA_INLINE std::array<T, 6> sin_pi(const std::array<T, 6>& x) {
  return {sin_pi(x[0]), sin_pi(x[1]), sin_pi(x[2]), sin_pi(x[3]), sin_pi(x[4]), sin_pi(x[5])};
}

#ifndef __CUDACC__
/// Six sines at once.  Two fit a baseline register, so the pairs cost what three would alone.
NABLA_INLINE std::array<double, 6> sin_pi(const std::array<double, 6>& x) {
  using Pair = double __attribute__((vector_size(16)));
  const Pair a = sin_pi(Pair{x[0], x[1]}), b = sin_pi(Pair{x[2], x[3]}),
             c = sin_pi(Pair{x[4], x[5]});
  return {a[0], a[1], b[0], b[1], c[0], c[1]};
}
#endif

}  // namespace nablabragg::physics
