// How badly a number of photons fits an expected one, as a residual whose square is summed.
#pragma once
#include <cmath>

namespace nablabragg::refinement {

/// A residual and how it changes with the expected photons.
struct Residual {
  double value, slope;
};

/// Signed root of the Poisson deviance D = 2 (m - n + n ln(n/m)) of n photons where m are expected:
/// the sum of its squares is -2 ln(likelihood) but for a constant, so that least squares find the
/// most likely model (P. McCullagh and J. A. Nelder, Generalized Linear Models, 1989, chapter 2).
///
/// Below `least` expected photons D goes on as a parabola with the same value and slope, and so
/// pushes back from where a background or a step of the fit has led below zero.
inline Residual poisson_residual(double photons, double expected) {
  constexpr double least = 0.01;
  const double n = photons > 0 ? photons : 0;
  const double m = expected > least ? expected : least;
  double deviance = 0;
  double slope = 2 * (1 - n / m);
  const double x = (m - n) / (n > 0 ? n : 1);
  if (n == 0)
    deviance = 2 * m;
  else if (std::abs(x) < 1e-4)  // where x and ln(1 + x) cancel
    deviance = n * x * x * (1 - x * (2.0 / 3) + x * x / 2);
  else
    deviance = 2 * n * (x - std::log1p(x));
  if (expected < least) {
    const double below = expected - least, curvature = n / (least * least) + 1 / least;
    deviance += below * (slope + below * curvature);
    slope += 2 * below * curvature;
  }
  // At the minimum the root has the slope 1/sqrt(n).
  if (std::abs(x) < 1e-9 && n > 0) return {(m - n) / std::sqrt(n), 1 / std::sqrt(n)};
  const double root = std::copysign(std::sqrt(deviance), m - n);
  return {root, slope / (2 * root)};
}

inline Residual gauss_residual(double photons, double expected, double variance) {
  const double weight = 1 / std::sqrt(variance);
  return {(expected - photons) * weight, weight};
}

/// The variance of what is counted where m photons are expected; for none as for `least`, since a
/// model may be dark where the sky is not.
inline double counting_variance(double expected, double readout_variance) {
  constexpr double least = 0.01;
  return (expected > least ? expected : least) + readout_variance;
}

}  // namespace nablabragg::refinement
