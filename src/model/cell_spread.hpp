// Unit cells that differ from domain to domain.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>
#include "model/gaussian_samples.hpp"
#include "model/gaussian_spread.hpp"  // for crystal_frame, has_cell_spread
#include "model/nanobragg_random.hpp"
#include "model/value_of.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::model {

/// Vectors of three standard normal deviates in an order of their own, so that they have nothing to
/// do with the same vectors in another order.
inline std::vector<Vec3d> shuffled_normal_vectors(int count, std::int64_t seed) {
  std::vector<Vec3d> vectors = normal_vectors(count);
  NanobraggRandom random;
  std::int64_t state = -seed;
  for (std::size_t left = vectors.size(); left > 1; --left) {
    const auto other = static_cast<std::size_t>(static_cast<double>(random.uniform(state)) *
                                                static_cast<double>(left));
    std::swap(vectors[left - 1], vectors[std::min(other, left - 1)]);
  }
  return vectors;
}

/// Of the edges of a cell, or of its angles.
template <class Real>
using Three = std::array<Real, 3>;

/// What each of three numbers is off its mean by; equal ones that spread alike are one number of
/// the crystal's system, and share the first one's deviate.
template <class Real>
Three<Real> deviations(const Three<Real>& mean, const Vec3<Real>& sigma, const Vec3d& deviates) {
  const Three<Real> sigmas{sigma.x, sigma.y, sigma.z};
  const Three<double> z{deviates.x, deviates.y, deviates.z};
  const auto alike = [](const Real& a, const Real& b) {
    const double x = double(value_of(a)), y = double(value_of(b));
    return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), 1.0);
  };
  Three<Real> off;
  for (std::size_t i = 0; i < 3; ++i) {
    std::size_t first = 0;
    while (first < i && !(alike(mean[i], mean[first]) && alike(sigmas[i], sigmas[first]))) ++first;
    off[i] = sigmas[i] * Real(z[first]);
  }
  return off;
}

/// a along x and c* along z, of edges, the cosines of the angles and the sine of gamma.
template <class Real>
Mat3<Real> axes_in_crystal_frame(const Three<Real>& edges, const Three<Real>& cosines,
                                 const Real& sin_gamma) {
  using std::sqrt;
  const Real across = (cosines[0] - cosines[1] * cosines[2]) / sin_gamma;
  return {{edges[0], Real(0), Real(0)},
          {edges[1] * cosines[2], edges[1] * sin_gamma, Real(0)},
          {edges[2] * cosines[1], edges[2] * across,
           edges[2] * sqrt(Real(1) - cosines[1] * cosines[1] - across * across)}};
}

/// Real-space axes [Angstrom] of each domain before it is turned, in the laboratory frame: a and
/// the plane of a and b lie as those of the mean cell, whose axes are given.
template <class Real>
std::vector<Mat3<Real>> spread_cells(const BasicCrystal<Real>& crystal, const Mat3<Real>& mean_A,
                                     int domains) {
  using std::cos;
  using std::sin;
  const Three<Real> edges{length(mean_A.a), length(mean_A.b), length(mean_A.c)};
  const auto over = [&](const Real& x, std::size_t i, std::size_t k) {
    return Real(x / (edges[i] * edges[k]));
  };
  const Three<Real> cosines{over(dot(mean_A.b, mean_A.c), 1, 2),
                            over(dot(mean_A.c, mean_A.a), 2, 0),
                            over(dot(mean_A.a, mean_A.b), 0, 1)},
      sines{over(length(cross(mean_A.b, mean_A.c)), 1, 2),
            over(length(cross(mean_A.c, mean_A.a)), 2, 0),
            over(length(cross(mean_A.a, mean_A.b)), 0, 1)};
  const Vec3<Real> none{Real(0), Real(0), Real(0)};
  const Vec3<Real> of_edges = crystal.cell_spread_A.value_or(none),
                   deg = crystal.cell_angle_spread_deg.value_or(none);
  const Vec3<Real> of_angles{units::radians_from_degrees(deg.x), units::radians_from_degrees(deg.y),
                             units::radians_from_degrees(deg.z)};
  const Mat3<Real> frame = crystal_frame(mean_A);
  const auto in_laboratory = [&](const Vec3<Real>& v) {
    return v.x * frame.a + v.y * frame.b + v.z * frame.c;
  };
  const std::vector<Vec3d> edge_deviates = shuffled_normal_vectors(domains, crystal.mosaic_seed),
                           angle_deviates = shuffled_normal_vectors(domains,
                                                                    crystal.mosaic_seed + 1);
  std::vector<Mat3<Real>> cells;
  cells.reserve(edge_deviates.size());
  for (std::size_t i = 0; i < edge_deviates.size(); ++i) {
    Three<Real> its_edges = deviations(edges, of_edges, edge_deviates[i]), its_cosines;
    const Three<Real> turned = deviations(cosines, of_angles, angle_deviates[i]);
    for (std::size_t k = 0; k < 3; ++k) {
      its_edges[k] = its_edges[k] + edges[k];
      its_cosines[k] = cosines[k] * cos(turned[k]) - sines[k] * sin(turned[k]);
    }
    const Real sin_gamma = sines[2] * cos(turned[2]) + cosines[2] * sin(turned[2]);
    const Mat3<Real> axes = axes_in_crystal_frame(its_edges, its_cosines, sin_gamma);
    cells.push_back({in_laboratory(axes.a), in_laboratory(axes.b), in_laboratory(axes.c)});
  }
  return cells;
}

}  // namespace nablabragg::model
