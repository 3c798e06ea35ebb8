// What the physics asks of a number type beyond + - * /.  Here for double; a SIMD lane, a dual
// number or a GPU thread brings its own overloads and then runs the same formulas.
#pragma once
#include <array>
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

/// sin(pi x) for |x| <= 1/2: Taylor series to x^21, truncation below 2e-18, error below 4 ulp.
template <class T>
NABLA_INLINE T sin_pi(const T& x) {
  const T s = x * x;
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

template <class T>
NABLA_INLINE std::array<T, 6> sin_pi(const std::array<T, 6>& x) {
  return {sin_pi(x[0]), sin_pi(x[1]), sin_pi(x[2]), sin_pi(x[3]), sin_pi(x[4]), sin_pi(x[5])};
}

/// Six sines at once.  Two fit a baseline register, so the pairs cost what three would alone.
NABLA_INLINE std::array<double, 6> sin_pi(const std::array<double, 6>& x) {
  using Pair = double __attribute__((vector_size(16)));
  const Pair a = sin_pi(Pair{x[0], x[1]}), b = sin_pi(Pair{x[2], x[3]}),
             c = sin_pi(Pair{x[4], x[5]});
  return {a[0], a[1], b[0], b[1], c[0], c[1]};
}

}  // namespace nablabragg::physics
