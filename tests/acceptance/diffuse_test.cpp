// Diffuse scattering against an explicit ensemble: displaced atoms, one by one.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <random>

#include "engine/diffuse.hpp"
#include "engine/diffuse_sum.hpp"
#include "model/resolve.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr int side = 8, atoms = side * side * side;  // cells of a periodic crystal, an atom in each
constexpr Vec3d edges{10, 11, 12};

Experiment crystal() {
  Experiment e;
  e.crystal.cell = UnitCell{edges.x, edges.y, edges.z, 90, 90, 90};
  e.crystal.diffuse_sigma_A = {0.3, 0.4, 0.35};
  e.crystal.diffuse_gamma_A = {7, 7.5, 6};
  e.crystal.diffuse_stencil = 4;
  e.structure_factors.default_F = 1;
  e.detector.fast_pixels = e.detector.slow_pixels = 64;
  e.detector.pixel_mm = 1.6;
  e.detector.distance_mm = 40;
  e.beam.wavelength_A = 1;
  return e;
}

/// Lower triangle L of a matrix L L^T, row by row.
std::vector<double> root_of(std::vector<double> m) {
  for (int i = 0; i < atoms; ++i)
    for (int j = 0; j <= i; ++j) {
      double sum = m[i * atoms + j];
      for (int k = 0; k < j; ++k) sum -= m[i * atoms + k] * m[j * atoms + k];
      m[i * atoms + j] = i == j ? std::sqrt(sum) : sum / m[j * atoms + j];
    }
  return m;
}

std::vector<Vec3d> places() {
  std::vector<Vec3d> all;
  for (int i = 0; i < side; ++i)
    for (int j = 0; j < side; ++j)
      for (int k = 0; k < side; ++k) all.push_back({i * edges.x, j * edges.y, k * edges.z});
  return all;
}

/// exp(-|r/gamma|) between all atoms and their images, over that at r = 0.
std::vector<double> correlations(const std::vector<Vec3d>& at, const Vec3d& gamma) {
  const auto wrapped = [&](const Vec3d& r) {
    double sum = 0;
    for (int i = -2; i <= 2; ++i)
      for (int j = -2; j <= 2; ++j)
        for (int k = -2; k <= 2; ++k) {
          const Vec3d image{(r.x + i * side * edges.x) / gamma.x,
                            (r.y + j * side * edges.y) / gamma.y,
                            (r.z + k * side * edges.z) / gamma.z};
          sum += std::exp(-length(image));
        }
    return sum;
  };
  std::vector<double> of_first(atoms), all(std::size_t{atoms} * atoms);
  for (int i = 0; i < atoms; ++i) of_first[i] = wrapped(at[i]) / wrapped({});
  const auto index = [](int a, int b, int stride) {
    const int d = a / stride % side - b / stride % side;
    return (d + side) % side * stride;
  };
  for (int i = 0; i < atoms; ++i)
    for (int j = 0; j < atoms; ++j)
      all[i * atoms + j] = of_first[index(i, j, side * side) + index(i, j, side) + index(i, j, 1)];
  return all;
}

TEST(DiffuseScattering, EqualsAnEnsembleOfDisplacedAtomsInShapeAndScale) {
  const Experiment e = crystal();
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  const PlanDiffuse& d = split.diffuse.numbers();
  const engine::DiffuseTables& tables = split.diffuse.tables();
  const engine::DiffuseView view{engine::GridView(&tables.F2()), tables.shells(), d.shell};

  // On the grid of the periodic crystal's own lattice, where it has no edges; none on a spot
  constexpr int points = 60, samples = 400;
  std::mt19937_64 random(20261129);
  std::vector<Vec3d> indices;
  while (indices.size() < points) {
    std::array<int, 3> n;
    for (int& x : n) x = static_cast<int>(random() % 51) + 3;
    if (n[0] % side != 0 || n[1] % side != 0 || n[2] % side != 0)
      indices.push_back({n[0] / double(side), n[1] / double(side), n[2] / double(side)});
  }
  const std::vector<Vec3d> at = places();
  const std::vector<double> root = root_of(correlations(at, e.crystal.diffuse_gamma_A));

  std::vector<double> sum(points), squares(points);
  std::normal_distribution<double> normal;
  std::vector<Vec3d> deviates(atoms), displaced(atoms);
  const Vec3d& sigma = e.crystal.diffuse_sigma_A;
  for (int sample = 0; sample < samples; ++sample) {
    for (Vec3d& v : deviates) v = {normal(random), normal(random), normal(random)};
    for (int i = 0; i < atoms; ++i) {
      Vec3d u;
      for (int j = 0; j <= i; ++j) u = u + root[i * atoms + j] * deviates[j];
      displaced[i] = at[i] + Vec3d{sigma.x * u.x, sigma.y * u.y, sigma.z * u.z};
    }
    for (std::size_t p = 0; p < points; ++p) {
      const Vec3d q = 2 * pi *
                      Vec3d{indices[p].x / edges.x, indices[p].y / edges.y, indices[p].z / edges.z};
      std::complex<double> amplitude;
      for (const Vec3d& r : displaced) amplitude += std::polar(1.0, dot(q, r));
      const double intensity = std::norm(amplitude) / atoms;
      sum[p] += intensity;
      squares[p] += intensity * intensity;
    }
  }

  double deviations2 = 0, worst = 0, weighted = 0, weights = 0;
  for (std::size_t p = 0; p < points; ++p) {
    const double mean = sum[p] / samples,
                 error = std::sqrt((squares[p] / samples - mean * mean) / (samples - 1));
    const double predicted = engine::diffuse_of_cell(d, view, indices[p], 0.0);
    const double z = (mean - predicted) / error, weight = predicted * predicted / (error * error);
    deviations2 += z * z;
    worst = std::max(worst, std::abs(z));
    weighted += weight * mean / predicted;
    weights += weight;
  }
  const double ratio = weighted / weights, error_of_ratio = 1 / std::sqrt(weights);
  RecordProperty("ratio", std::to_string(ratio));
  RecordProperty("error_of_ratio", std::to_string(error_of_ratio));
  RecordProperty("rms_deviation", std::to_string(std::sqrt(deviations2 / points)));
  EXPECT_LT(error_of_ratio, 0.01);
  EXPECT_NEAR(ratio, 1, 3.5 * error_of_ratio);
  EXPECT_LT(std::sqrt(deviations2 / points), 1.3);
  EXPECT_LT(worst, 4);
}

}  // namespace
}  // namespace nablabragg
