// What the physics asks of a number type beyond + - * /.  Here for double; a SIMD lane, a dual
// number or a GPU thread brings its own overloads and then runs the same formulas.
#pragma once
#include <cmath>

#define NABLA_INLINE inline __attribute__((always_inline))

namespace nablabragg::physics {

NABLA_INLINE double select(bool condition, double yes, double no) { return condition ? yes : no; }

/// Nearest integer, ties to even, |x| < 2^51.  Adding and taking away 1.5 x 2^52 pushes the
/// fraction out of the mantissa: two instructions where SSE2 has no rounding instruction.
NABLA_INLINE double round_even(double x) {
  constexpr double shift = 6755399441055744.0;
  return (x + shift) - shift;
}

/// Nearest integer, ties down: ceil(x - 1/2), the rule that decides which reflection a point
/// belongs to.
NABLA_INLINE double round_half_down(double x) {
  const double t = x - 0.5;
  const double r = round_even(t);
  return select(r < t, r + 1.0, r);
}

NABLA_INLINE double floor_of(double x) {
  const double r = round_even(x);
  return select(r > x, r - 1.0, r);
}

/// sin(pi x) for |x| <= 1/2: Taylor series to x^21, truncation below 2e-18, error about 1 ulp.
template <class T>
NABLA_INLINE T sin_pi(T x) {
  const T s = x * x;
  T p = s * T(5.39266466260812895e-10) - T(2.29484289972698730e-08);
  p = p * s + T(7.95205400147551261e-07);
  p = p * s - T(2.19153534478302173e-05);
  p = p * s + T(4.66302805767612554e-04);
  p = p * s - T(7.37043094571435044e-03);
  p = p * s + T(8.21458866111282326e-02);
  p = p * s - T(5.99264529320792105e-01);
  p = p * s + T(2.55016403987734552e+00);
  p = p * s - T(5.16771278004997026e+00);
  p = p * s + T(3.14159265358979312e+00);
  return p * x;
}

}  // namespace nablabragg::physics
