// What the physics asks of a number type beyond + - * / and comparisons.  Here for double and
// float; a SIMD lane or a dual number brings its own overloads and then runs the same formulas.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
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
NABLA_INLINE Vec3<T> constant(const Vec3<double>& v) {
  return {constant<T>(v.x), constant<T>(v.y), constant<T>(v.z)};
}

/// A number of a description or a plan, as T.
template <class T, class U>
NABLA_INLINE T number(const U& value) {
  if constexpr (std::is_same_v<U, double>)
    return constant<T>(value);
  else
    return T(value);
}

template <class T>
inline constexpr bool is_single = std::is_same_v<Scalar<T>, float>;

template <class T, class = std::enable_if_t<std::is_floating_point_v<T>>>
NABLA_INLINE T select(bool condition, T yes, T no) {
  return condition ? yes : no;
}
NABLA_INLINE bool any(bool condition) { return condition; }

/// values[offset], where `wanted`; anything elsewhere.
NABLA_INLINE double value_at(const double* values, double offset, bool wanted) {
  return wanted ? values[static_cast<std::int64_t>(offset)] : 0;
}

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
NABLA_INLINE double not_zero(double x, double least = 0x1p-127) {
  const double size = x < 0 ? -x : x;
  return size > least ? size : least;
}
NABLA_INLINE float not_zero(float x) {
  const float size = x < 0 ? -x : x;
  return size > 0x1p-31F ? size : 0x1p-31F;
}

/// 1/x, in single precision perhaps one bit less exact than a division.
template <class T>
NABLA_INLINE T inverse_of(const T& x) {
  return T(1) / x;
}

/// The angle whose sine is x, for 0 <= x <= 1: a minimax polynomial in x^2 up to 1/2 (1.7e-17), and
/// from there on arcsin x = pi/2 - 2 arcsin sqrt((1 - x)/2).
template <class T>
NABLA_INLINE T arc_sine(const T& x) {
  using std::sqrt;
  constexpr std::array c{0.0318796214008128394,
                         -0.0161873922715991332,
                         0.019513468251252168,
                         0.00652930200473656928,
                         0.0121701385923917263,
                         0.0138848428264020808,
                         0.0173597796413499801,
                         0.0223717497331640541,
                         0.0303819596976851382,
                         0.0446428568059989384,
                         0.0750000000038520167,
                         0.166666666666649412,
                         1.0};
  const auto far = T(0.5) < x;
  const T half = T(0.5) * (T(1) - x), s = select(far, half, x * x);
  T p = s * constant<T>(c[0]) + constant<T>(c[1]);
  for (std::size_t i = 2; i < c.size(); ++i) p = p * s + constant<T>(c[i]);
  const T angle = select(far, sqrt(half), x) * p;
  return select(far, constant<T>(1.57079632679489662) - T(2) * angle, angle);
}

/// x where d is positive, -x where it is negative.
template <class T>
NABLA_INLINE T with_sign_of(const T& d, const T& x) {
  return select(d < T(0), -x, x);
}

/// sin(pi x)/x for |x| <= 1/2 as a polynomial in x^2.  Double: Taylor series to x^20, truncation
/// below 2e-18, error below 4 ulp.  Single: minimax to x^8, error 5.3e-9 before rounding, 1.8e-7
/// with it.
template <class T>
NABLA_INLINE constexpr auto sin_pi_coefficients() {
  if constexpr (is_single<T>)
    return std::array<float, 5>{0.07756038333261853f, -0.5982421245377338f, 2.5500697260294305f,
                                -5.1677096847827535f, 3.1415926368952523f};
  else
    return std::array<double, 11>{
        5.39266466260812895e-10,  -2.29484289972698730e-08, 7.95204400147551261e-07,
        -2.19153534478302173e-05, 4.66302805767612554e-04,  -7.37043094571435044e-03,
        8.21458866111282326e-02,  -5.99264529320792105e-01, 2.55016403987734552e+00,
        -5.16771278004997026e+00, 3.14159265358979312e+00};
}

/// sin(pi x)/x for |x| <= 1/2, from x^2.
template <class T>
NABLA_INLINE T sin_pi_over_x_of(const T& x2) {
  constexpr auto c = sin_pi_coefficients<T>();
  T p = x2 * c[0] + c[1];
  for (std::size_t i = 2; i < c.size(); ++i) p = p * x2 + c[i];
  return p;
}

/// sin(pi x) for |x| <= 1/2.
template <class T>
NABLA_INLINE T sin_pi(const T& x) {
  return sin_pi_over_x_of(x * x) * x;
}

/// P(x) = sin(pi x)/x and x P'(x), which give the cosine as well: pi cos(pi x) is their sum.
template <class T>
struct SineOverX {
  T over_x, change;
};
template <class T>
NABLA_INLINE SineOverX<T> sin_pi_over_x(const T& x) {
  constexpr auto c = sin_pi_coefficients<T>();
  constexpr std::size_t degree = c.size() - 1;  // in x^2
  const auto of_change = [&](std::size_t i) {
    return static_cast<Scalar<T>>(2 * (degree - i)) * c[i];
  };
  const T s = x * x;
  T p = s * T(c[0]) + T(c[1]), change = s * T(of_change(0)) + T(of_change(1));
  for (std::size_t i = 2; i < degree; ++i) {
    p = p * s + T(c[i]);
    change = change * s + T(of_change(i));
  }
  return {p * s + T(c[degree]), change * s};
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
