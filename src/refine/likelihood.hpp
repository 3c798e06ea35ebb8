// How badly a number of photons fits an expected one, as a residual whose square is summed.
#pragma once
#include <cmath>
#include <numbers>

namespace nablabragg::refinement {

/// What was seen of a pixel.
struct Seen {
  double photons;
  bool at_least;  ///< or more, where the detector ended
};

/// A residual and how it changes with the expected photons.
struct Residual {
  double value, slope;
};

/// Signed root of the Poisson deviance D = 2 (m - n + n ln(n/m)) of n photons where m are expected:
/// the sum of its squares is -2 ln(likelihood) but for a constant, so that least squares find the
/// most likely model (P. McCullagh and J. A. Nelder, Generalized Linear Models, 1989, chapter 2).
///
/// Below `least` expected photons the root goes on along its tangent, so that D is a parabola
/// there: it pushes back from where a background or a step of the fit has led below zero, and
/// solvers that take residuals for straight find its minimum in one step, which dark backgrounds
/// have there.
inline Residual poisson_residual(double photons, double expected) {
  constexpr double least = 0.01;
  if (expected < least) {
    const Residual there = poisson_residual(photons, least);
    return {there.value + there.slope * (expected - least), there.slope};
  }
  const double n = photons > 0 ? photons : 0, m = expected;
  double deviance = 0;
  const double x = (m - n) / (n > 0 ? n : 1);
  if (n == 0)
    deviance = 2 * m;
  else if (std::abs(x) < 1e-4)  // where x and ln(1 + x) cancel
    deviance = n * x * x * (1 - x * (2.0 / 3) + x * x / 2);
  else
    deviance = 2 * n * (x - std::log1p(x));
  // At the minimum the root has the slope 1/sqrt(n).
  if (std::abs(x) < 1e-9 && n > 0) return {(m - n) / std::sqrt(n), 1 / std::sqrt(n)};
  const double root = std::copysign(std::sqrt(deviance), m - n);
  return {root, (1 - n / m) / root};
}

inline Residual gauss_residual(double photons, double expected, double variance) {
  const double weight = 1 / std::sqrt(variance);
  return {(expected - photons) * weight, weight};
}

/// Of the standard normal distribution Phi at z: -2 ln Phi, and phi/Phi, the slope of ln Phi.
struct NormalTail {
  double deviance, hazard;
};
inline NormalTail normal_tail(double z) {
  constexpr double root_2_pi = 2.5066282746310005;
  if (z > -30) {
    const double probability = std::erfc(-z * std::numbers::sqrt2 / 2) / 2;
    // Where Phi rounds to 1
    const double missing = std::erfc(z * std::numbers::sqrt2 / 2) / 2;
    return {z > 0 ? -2 * std::log1p(-missing) : -2 * std::log(probability),
            std::exp(-z * z / 2) / (root_2_pi * probability)};
  }
  // Mills' ratio, 1/hazard, by its asymptotic series
  const double x = 1 / (z * z), ratio = (1 - x * (1 - x * (3 - 15 * x))) / -z;
  return {z * z + 2 * std::log(root_2_pi) - 2 * std::log(ratio), 1 / ratio};
}

/// From the residual of just so many photons to that of so many or more: their likelihood is the
/// upper tail of the distribution, in which the residual is taken for normal.  Zero where many more
/// are expected.
inline Residual or_more(const Residual& r) {
  const NormalTail tail = normal_tail(r.value);
  const double root = std::sqrt(tail.deviance);
  return {-root, root > 0 ? r.slope * tail.hazard / root : 0};
}

/// The deviance's root is a bit skew, so its mean is taken off: from five photons on the logarithm
/// of the likelihood is then within 1.5 % and 0.003 of the true one.
inline Residual poisson_residual(const Seen& seen, double expected) {
  Residual r = poisson_residual(seen.photons, expected);
  if (!seen.at_least) return r;
  r.value -= seen.photons > 1 ? 1 / (6 * std::sqrt(seen.photons)) : 0;
  return or_more(r);
}

inline Residual gauss_residual(const Seen& seen, double expected, double variance) {
  const Residual r = gauss_residual(seen.photons, expected, variance);
  return seen.at_least ? or_more(r) : r;
}

/// What a pixel says of its expected photons: the first derivative of the log likelihood, and minus
/// the second, both in units of the standard deviation.
struct Evidence {
  double pull, information;
};
inline Evidence evidence(const Seen& seen, double expected, double variance) {
  const double z = (expected - seen.photons) / std::sqrt(variance);
  if (!seen.at_least) return {-z, 1};
  const double hazard = normal_tail(z).hazard;
  return {hazard, hazard * (hazard + z)};
}

/// The variance of what is counted where m photons are expected; for none as for `least`, since a
/// model may be dark where the sky is not.
inline double counting_variance(double expected, double readout_variance) {
  constexpr double least = 0.01;
  return (expected > least ? expected : least) + readout_variance;
}

}  // namespace nablabragg::refinement
