// Points that stand for normal distributions in a sum over steps.
#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>
#include "nablabragg/vec3.hpp"

namespace nablabragg::model {

/// Full width at half maximum over standard deviation: 2 sqrt(2 ln 2).
inline constexpr double fwhm_per_sigma = 2.354820045030949382;

/// A point of a sum that stands for a standard normal distribution.
struct NormalPoint {
  double z, weight;
};

/// Equal steps with the density as weight, one on the mean, and a variance of one: the trapezoidal
/// rule, whose error for Gaussians falls faster than any power of the step.  Few points end where
/// step and tail are left out alike, many at five standard deviations.
inline std::vector<NormalPoint> normal_points(int count) {
  if (count == 1) return {{0, 1}};
  const double step = std::min(2 * std::sqrt(std::numbers::pi / count), 10.0 / count);
  std::vector<NormalPoint> points;
  double total = 0, square = 0;
  for (int i = 0; i < count; ++i) {
    const double z = step * (i - 0.5 * (count - 1)), weight = std::exp(-0.5 * z * z);
    points.push_back({z, weight});
    total += weight;
    square += weight * z * z;
  }
  for (auto& [z, weight] : points) {
    z *= std::sqrt(total / square);
    weight *= count / total;
  }
  return points;
}

/// The i-th number, from 1, of the Halton sequence to this base.
inline double halton(int i, int base) {
  double value = 0, digit = 1;
  for (; i > 0; i /= base) {
    digit /= base;
    value += digit * (i % base);
  }
  return value;
}

/// Vectors of three standard normal deviates: pairs +v, -v of a Halton sequence (one of an odd
/// count is zero), stretched so that their covariance is the unit matrix.  With fewer than seven
/// there is no covariance to stretch by.
inline std::vector<Vec3d> normal_vectors(int count) {
  std::vector<Vec3d> vectors;
  vectors.reserve(static_cast<std::size_t>(count));
  if (count % 2 == 1) vectors.push_back({});
  for (int i = 1; i <= count / 2; ++i) {
    // Box and Muller's transform of two pairs of uniform deviates
    const double radius1 = std::sqrt(-2 * std::log(halton(i, 2))),
                 radius2 = std::sqrt(-2 * std::log(halton(i, 5)));
    const double angle1 = 2 * std::numbers::pi * halton(i, 3),
                 angle2 = 2 * std::numbers::pi * halton(i, 7);
    const Vec3d v{radius1 * std::cos(angle1), radius1 * std::sin(angle1),
                  radius2 * std::cos(angle2)};
    vectors.push_back(v);
    vectors.push_back(-v);
  }
  if (count < 7) return vectors;
  // The Cholesky factor of the covariance, divided out row by row
  double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
  for (const Vec3d& v : vectors) {
    xx += v.x * v.x, xy += v.x * v.y, xz += v.x * v.z;
    yy += v.y * v.y, yz += v.y * v.z, zz += v.z * v.z;
  }
  const double n = count;
  const double l11 = std::sqrt(xx / n), l21 = xy / n / l11, l31 = xz / n / l11;
  const double l22 = std::sqrt(yy / n - l21 * l21), l32 = (yz / n - l31 * l21) / l22;
  const double l33 = std::sqrt(zz / n - l31 * l31 - l32 * l32);
  for (Vec3d& v : vectors) {
    v.x /= l11;
    v.y = (v.y - l21 * v.x) / l22;
    v.z = (v.z - l31 * v.x - l32 * v.y) / l33;
  }
  return vectors;
}

}  // namespace nablabragg::model
