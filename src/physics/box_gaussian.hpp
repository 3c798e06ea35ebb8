// A Gaussian seen through a slit: what a slice of phi makes of a spot.
#pragma once
#include <cmath>
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Up to this half width the series below is good to 1e-9 of the peak, in single precision to its
/// rounding.  (erf loses digits there: 1e-7 over the half width.)
inline constexpr double narrow_box = 0.4;

/// exp(-(x - s)^2/2) averaged over s from -r to r, and its derivatives.
template <class T>
struct BoxGaussian {
  T value, by_x, by_r;
};

/// For r up to narrow_box: the Gaussian's Taylor series,
///   exp(-x^2/2) (1 + He_2(x) r^2/3! + He_4(x) r^4/5! + He_6(x) r^6/7! + He_8(x) r^8/9!
///               + He_10(x) r^10/11!),
/// He being Hermite's polynomials with He_n' = n He_(n-1).
template <class T>
NABLA_INLINE T narrow_box_gaussian(const T& x, const T& r) {
  using std::exp;
  const auto c = [](double value) { return constant<T>(value); };
  const T X = x * x, R = r * r;
  const T he2 = X - c(1), he4 = X * (X - c(6)) + c(3), he6 = X * (X * (X - c(15)) + c(45)) - c(15),
          he8 = X * (X * (X * (X - c(28)) + c(210)) - c(420)) + c(105),
          he10 = X * (X * (X * (X * (X - c(45)) + c(630)) - c(3150)) + c(4725)) - c(945);
  const T sum = c(1) + R * (he2 * c(1.0 / 6) +
                            R * (he4 * c(1.0 / 120) +
                                 R * (he6 * c(1.0 / 5040) +
                                      R * (he8 * c(1.0 / 362880) + R * he10 * c(1.0 / 39916800)))));
  return exp(c(-0.5) * X) * sum;
}
template <class T>
NABLA_INLINE BoxGaussian<T> narrow_box_gaussian_slopes(const T& x, const T& r) {
  using std::exp;
  const auto c = [](double value) { return constant<T>(value); };
  const T X = x * x, R = r * r;
  const T he2 = X - c(1), he4 = X * (X - c(6)) + c(3), he6 = X * (X * (X - c(15)) + c(45)) - c(15),
          he8 = X * (X * (X * (X - c(28)) + c(210)) - c(420)) + c(105),
          he10 = X * (X * (X * (X * (X - c(45)) + c(630)) - c(3150)) + c(4725)) - c(945);
  // The Gaussian's derivative of He_n is -He_(n+1).
  const T he3 = x * (X - c(3)), he5 = x * (X * (X - c(10)) + c(15)),
          he7 = x * (X * (X * (X - c(21)) + c(105)) - c(105)),
          he9 = x * (X * (X * (X * (X - c(36)) + c(378)) - c(1260)) + c(945)),
          he11 = x * (X * (X * (X * (X * (X - c(55)) + c(990)) - c(6930)) + c(17325)) - c(10395));
  const T peak = exp(c(-0.5) * X);
  const auto series = [&](const T& a0, const T& a2, const T& a4, const T& a6, const T& a8,
                          const T& a10) {
    return a0 + R * (a2 * c(1.0 / 6) +
                     R * (a4 * c(1.0 / 120) +
                          R * (a6 * c(1.0 / 5040) +
                               R * (a8 * c(1.0 / 362880) + R * a10 * c(1.0 / 39916800)))));
  };
  const T by_R = he2 * c(1.0 / 3) +
                 R * (he4 * c(4.0 / 120) +
                      R * (he6 * c(6.0 / 5040) +
                           R * (he8 * c(8.0 / 362880) + R * he10 * c(10.0 / 39916800))));
  return {peak * series(c(1), he2, he4, he6, he8, he10),
          -(peak * series(x, he3, he5, he7, he9, he11)), peak * r * by_R};
}

/// For larger r: sqrt(pi/2)/(2 r) (erf((r + x)/sqrt 2) + erf((r - x)/sqrt 2)), never negative.
/// `per_r`: 1/r.
template <class T>
NABLA_INLINE T wide_box_gaussian(const T& x, const T& r, const T& per_r) {
  using std::erf;
  const T root = constant<T>(0.70710678118654752440);
  const T sum = erf((r + x) * root) + erf((r - x) * root);
  return select(sum > T(0), sum, T(0)) * (constant<T>(0.62665706865775012560) * per_r);
}
template <class T>
NABLA_INLINE T wide_box_gaussian(const T& x, const T& r) {
  return wide_box_gaussian(x, r, T(T(1) / r));
}
template <class T>
NABLA_INLINE BoxGaussian<T> wide_box_gaussian_slopes(const T& x, const T& r) {
  using std::exp;
  const T half = constant<T>(-0.5), per_r = constant<T>(0.5) / r;
  const T ahead = exp(half * (x + r) * (x + r)), behind = exp(half * (x - r) * (x - r));
  const T value = wide_box_gaussian(x, r);
  return {value, (ahead - behind) * per_r, (ahead + behind - (value + value)) * per_r};
}

}  // namespace nablabragg::physics
