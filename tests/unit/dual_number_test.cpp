// The model runs with dual numbers: derivatives of anything resolved with respect to anything
// described come from the code that computes the values.
#include <gtest/gtest.h>

#include <cmath>

#include "model/resolve.hpp"

namespace nablabragg::test {

/// A value and one derivative; only what the model asks of a number type.
struct Dual {
  double value = 0, slope = 0;

  Dual() = default;
  Dual(double v, double s = 0) : value(v), slope(s) {}  // NOLINT: numbers convert to duals

  friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
  friend Dual operator-(Dual a) { return {-a.value, -a.slope}; }
  friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  friend Dual operator/(Dual a, Dual b) {
    const double q = a.value / b.value;
    return {q, (a.slope - q * b.slope) / b.value};
  }
  friend bool operator<(Dual a, Dual b) { return a.value < b.value; }
  friend bool operator>(Dual a, Dual b) { return a.value > b.value; }
  friend bool operator==(Dual a, Dual b) { return a.value == b.value; }
};

Dual sin(Dual a) { return {std::sin(a.value), std::cos(a.value) * a.slope}; }
Dual log(Dual a) { return {std::log(a.value), a.slope / a.value}; }
Dual erf(Dual a) {
  return {std::erf(a.value), 1.1283791670955126 * std::exp(-a.value * a.value) * a.slope};
}
Dual expm1(Dual a) { return {std::expm1(a.value), std::exp(a.value) * a.slope}; }
Dual cos(Dual a) { return {std::cos(a.value), -std::sin(a.value) * a.slope}; }
Dual sqrt(Dual a) { return {std::sqrt(a.value), 0.5 / std::sqrt(a.value) * a.slope}; }
Dual cbrt(Dual a) {
  const double root = std::cbrt(a.value);
  return {root, a.slope / (3 * root * root)};
}
Dual abs(Dual a) { return a.value < 0 ? -a : a; }
Dual ceil(Dual a) { return {std::ceil(a.value)}; }
Dual atan2(Dual y, Dual x) {
  const double r2 = x.value * x.value + y.value * y.value;
  return {std::atan2(y.value, x.value), (x.value * y.slope - y.value * x.slope) / r2};
}
double value_of(Dual a) { return a.value; }

template <class Real>
BasicExperiment<Real> tilted_triclinic(Real distance_mm, Real alpha_deg, Real misset_deg) {
  BasicExperiment<Real> e;
  e.crystal.cell = BasicUnitCell<Real>{Real(70), Real(80), Real(90), alpha_deg, Real(85), Real(95)};
  e.crystal.misset_deg = {Real(10), misset_deg, Real(30)};
  e.crystal.mosaic_spread_deg = Real(0.5);
  e.crystal.mosaic_domains = 3;
  e.detector.distance_mm = distance_mm;
  e.detector.rotation_deg = {Real(5), Real(3), Real(2)};
  e.detector.two_theta_deg = Real(10);
  e.beam.horizontal_divergence_mrad = {Real(2), {}, 3};
  return e;
}

/// d(resolved)/d(one argument) against a central difference.
void expect_slopes(const std::array<double, 3>& at, std::size_t argument, double step) {
  const auto resolved = [&](double shift) {
    auto x = at;
    x[argument] += shift;
    return model::resolve(tilted_triclinic<double>(x[0], x[1], x[2]));
  };
  std::array<Dual, 3> seeded{Dual(at[0]), Dual(at[1]), Dual(at[2])};
  seeded[argument].slope = 1;
  const auto dual = model::resolve(tilted_triclinic<Dual>(seeded[0], seeded[1], seeded[2]));
  const auto high = resolved(step), low = resolved(-step);
  const auto expect = [&](const Vec3<Dual>& d, const Vec3d& h, const Vec3d& l, const char* what) {
    const Vec3d difference = (h - l) / (2 * step);
    const double scale = 1e-7 * (1e-3 + length(difference));
    EXPECT_NEAR(d.x.slope, difference.x, scale) << what;
    EXPECT_NEAR(d.y.slope, difference.y, scale) << what;
    EXPECT_NEAR(d.z.slope, difference.z, scale) << what;
  };
  expect(dual.panel.origin, high.panel.origin, low.panel.origin, "origin");
  expect(dual.axes.real_A.a, high.axes.real_A.a, low.axes.real_A.a, "a");
  expect(dual.axes.real_A.c, high.axes.real_A.c, low.axes.real_A.c, "c");
  EXPECT_EQ(dual.oversample, high.oversample);
  EXPECT_EQ(dual.rays.size(), high.rays.size());
}

TEST(DualNumbers, GiveTheDerivativeOfTheResolvedExperimentWithTheDistance) {
  expect_slopes({100, 75, 20}, 0, 1e-3);
}
TEST(DualNumbers, GiveTheDerivativeOfTheResolvedExperimentWithACellAngle) {
  expect_slopes({100, 75, 20}, 1, 1e-3);
}
TEST(DualNumbers, GiveTheDerivativeOfTheResolvedExperimentWithAMissetAngle) {
  expect_slopes({100, 75, 20}, 2, 1e-3);
}

}  // namespace nablabragg::test
