// Spots in closed form: the formulas beside integrals, and their adjoints beside dual numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "physics/dual.hpp"
#include "physics/gaussian_spot_adjoints.hpp"

namespace nablabragg::physics {

namespace {

// ---- A slice ------------------------------------------------------------------------------------

/// exp(-(x - s)^2/2) averaged over -r..r, by Simpson's rule.
double averaged(double x, double r) {
  if (r == 0) return std::exp(-x * x / 2);
  constexpr int n = 20000;
  double sum = 0;
  for (int i = 0; i <= n; ++i) {
    const double s = r * (2.0 * i / n - 1);
    sum += (i == 0 || i == n ? 1 : i % 2 == 1 ? 4 : 2) * std::exp(-(x - s) * (x - s) / 2);
  }
  return sum / (3.0 * n);
}

template <class T>
BoxGaussian<T> box(double x, double r) {
  const auto X = static_cast<T>(x), R = static_cast<T>(r);
  return r <= narrow_box ? narrow_box_gaussian_slopes(X, R) : wide_box_gaussian_slopes(X, R);
}

TEST(BoxGaussian, IsTheAverageOfAGaussianOverTheBoxInBothPrecisions) {
  for (const double r : {0.0, 1e-12, 1e-8, 1e-3, 0.1, 0.2499, 0.2501, 0.5, 1.0, 3.0, 40.0})
    for (const double x : {0.0, 0.3, 1.0, 2.0, 3.5, 5.3, 39.0, 43.0}) {
      const double exact = averaged(x, r);
      EXPECT_NEAR(box<double>(x, r).value, exact, 1e-9) << x << ' ' << r;
      EXPECT_NEAR(double(box<float>(x, r).value), exact, 1e-6) << x << ' ' << r;
      EXPECT_GE(box<float>(x, r).value, 0.0F) << x << ' ' << r;
      EXPECT_EQ(narrow_box_gaussian(x, r) == 0, narrow_box_gaussian_slopes(x, r).value == 0);
    }
}

TEST(BoxGaussian, HasFiniteDerivativesThatAreItsDifferencesAlsoOfNoBoxAtAll) {
  for (const double r : {0.0, 1e-9, 0.1, 0.24, 0.26, 0.5, 2.0, 20.0})
    for (const double x : {0.0, 0.3, 1.0, 2.5, 4.0, 19.0}) {
      const auto at = box<double>(x, r);
      constexpr double h = 1e-4;
      const auto slope = [&](auto&& f) {
        return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
      };
      EXPECT_NEAR(at.by_x, slope([&](double s) { return averaged(x + s, r); }), 1e-9)
          << x << ' ' << r;
      // The average is even in r.
      EXPECT_NEAR(at.by_r, slope([&](double s) { return averaged(x, std::abs(r + s)); }), 1e-8)
          << x << ' ' << r;
    }
}

// ---- A spot -------------------------------------------------------------------------------------

GaussianSpotSource<double> some_source(std::mt19937& random, bool band, bool slice, bool mosaic,
                                       bool diverges, double width = 2e7) {
  std::uniform_real_distribution<double> u(-1, 1);
  const auto vector = [&] { return Vec3d{u(random), u(random), u(random)}; };
  const auto covariance = [&](double size) {
    return (size * size) * (Mat3d(outer_square(vector()) + outer_square(vector())) +
                            outer_square(vector()) + Mat3d(0.3 * Mat3d::identity()));
  };
  GaussianSpotSource<double> of;
  of.g = 5e9 * unit(vector());
  of.shape = covariance(width);
  if (mosaic) of.mosaic = covariance(4e-3);
  if (diverges) of.divergence = covariance(1e-3);
  of.pixel = covariance(5e6);
  of.incident = 1e10 * unit(vector());
  of.spindle = unit(vector());
  if (slice) of.half_slice = 4e-3;
  if (band) of.bandwidth2 = 1e-5;
  return of;
}

constexpr std::size_t inputs = 3 + 4 * 9 + 3 + 3 + 2;

template <class F, class Source>
void for_each_input(F&& f, Source& of) {
  const auto vector = [&](auto& v) { f(v.x), f(v.y), f(v.z); };
  const auto matrix = [&](auto& m) { vector(m.a), vector(m.b), vector(m.c); };
  vector(of.g);
  matrix(of.shape);
  matrix(of.mosaic);
  matrix(of.divergence);
  matrix(of.pixel);
  vector(of.incident);
  vector(of.spindle);
  f(of.half_slice);
  f(of.bandwidth2);
}

template <bool band, bool slice, bool second>
void expect_adjoints_of_duals(bool diverges, unsigned seed, double width = 2e7,
                              double deviations = 1) {
  std::mt19937 random(seed);
  const auto of = some_source(random, band, slice, second, diverges, width);
  // The point is the last three directions.
  using Real = Dual<inputs + 3>;
  GaussianSpotSource<Real> dual_of;
  {
    std::vector<double> values;
    for_each_input([&](const double& x) { values.push_back(x); }, of);
    std::size_t i = 0;
    for_each_input(
        [&](Real& x) {
          x = Real(values[i]);
          x.slopes[i++] = 1;
        },
        dual_of);
  }
  const auto prepared = prepare_spot(of);
  const auto dual = prepare_spot(dual_of);
  const bool narrow = prepared.spot.half_slice <= narrow_box;

  std::normal_distribution<double> normal;
  for (int point = 0; point < 5; ++point) {
    // Somewhere in the spot: of a whitened residual of a few standard deviations
    const Vec3d aim{deviations * normal(random), deviations * normal(random),
                    deviations * normal(random) + prepared.spot.half_slice * (0.5 * point - 1)};
    const Vec3d d = inverse(prepared.spot.whiten) * aim;
    Vec3<Real> dual_d{Real(d.x), Real(d.y), Real(d.z)};
    dual_d.x.slopes[inputs] = dual_d.y.slopes[inputs + 1] = dual_d.z.slopes[inputs + 2] = 1;

    GaussianSpot<double> adjoints{};
    const auto pulled = pull_back_spot_value<band, slice, second>(prepared.spot, d, 1.0, diverges,
                                                                  narrow, adjoints);
    const double value = spot_value<band, slice, second>(prepared.spot, d, diverges, narrow);
    EXPECT_NEAR(pulled.value, value, 1e-14);
    const Real exact = spot_value<band, slice, second>(dual.spot, dual_d, diverges, narrow);
    std::array<double, inputs + 3> sums{}, sizes{};
    const auto contract = [&](const double& adjoint, const Real& x) {
      for (std::size_t k = 0; k < sums.size(); ++k) {
        sums[k] += adjoint * x.slopes[k];
        sizes[k] += std::abs(adjoint * x.slopes[k]);
      }
    };
    for_each_used_number<band, slice, second>(contract, diverges, adjoints, dual.spot);
    contract(pulled.d.x, dual_d.x);
    contract(pulled.d.y, dual_d.y);
    contract(pulled.d.z, dual_d.z);
    for (std::size_t k = 0; k < sums.size(); ++k)
      EXPECT_NEAR(sums[k], exact.slopes[k], 1e-10 * sizes[k]) << "direction " << k;
  }
}

TEST(GaussianSpot, HasTheAdjointsThatDualNumbersHaveInEachOfItsTerms) {
  for (unsigned seed = 1; seed < 20; ++seed) {
    expect_adjoints_of_duals<false, false, false>(false, seed);
    expect_adjoints_of_duals<true, false, false>(false, seed);
    for (const bool diverges : {false, true}) {
      expect_adjoints_of_duals<false, false, true>(diverges, seed);
      expect_adjoints_of_duals<true, false, true>(diverges, seed);
      expect_adjoints_of_duals<false, true, true>(diverges, seed);
      expect_adjoints_of_duals<true, true, true>(diverges, seed);
    }
  }
}

TEST(GaussianSpot, HasTheAdjointsOfItsSourceThatDualNumbersHave) {
  for (unsigned seed = 1; seed < 20; ++seed)
    for (const int kind : {0, 1, 2, 3, 4, 5, 6, 7}) {
      const bool slice = (kind & 1) != 0, mosaic = (kind & 2) != 0, diverges = (kind & 4) != 0;
      std::mt19937 random(seed);
      std::uniform_real_distribution<double> u(-1, 1);
      const auto of = some_source(random, true, slice, mosaic, diverges);
      using Real = Dual<inputs>;
      GaussianSpotSource<Real> dual_of;
      std::vector<double> values;
      for_each_input([&](const double& x) { values.push_back(x); }, of);
      std::size_t i = 0;
      for_each_input(
          [&](Real& x) {
            x = Real(values[i]);
            x.slopes[i++] = 1;
          },
          dual_of);
      const auto prepared = prepare_spot(of);
      const auto dual = prepare_spot(dual_of);
      // Adjoints of about the sizes that make all numbers count
      GaussianSpot<double> adjoints{};
      std::array<double, inputs> exact{}, sizes{};
      const auto count = [&](double adjoint, const Real& x) {
        for (std::size_t k = 0; k < inputs; ++k) {
          exact[k] += adjoint * x.slopes[k];
          sizes[k] += std::abs(adjoint * x.slopes[k]);
        }
      };
      for_each_number_of_spot(
          [&](double& adjoint, const double& value, const Real& x) {
            adjoint = value == 0 ? 0 : u(random) / value;
            count(adjoint, x);
          },
          adjoints, prepared.spot, dual.spot);
      const auto divided = [&](double value) { return value == 0 ? 0 : u(random) / value; };
      const Vec3d offset{divided(prepared.offset.x), divided(prepared.offset.y),
                         divided(prepared.offset.z)};
      count(offset.x, dual.offset.x);
      count(offset.y, dual.offset.y);
      count(offset.z, dual.offset.z);
      const double peak = u(random);
      count(peak / prepared.peak, dual.peak);
      auto found = pull_back_source(of, prepared, adjoints, offset, peak);
      i = 0;
      for_each_input(
          [&](const double& adjoint) {
            EXPECT_NEAR(adjoint, exact[i], 1e-9 * sizes[i])
                << "input " << i << " of seed " << seed << " kind " << kind;
            ++i;
          },
          found);
    }
}

TEST(GaussianSpot, HasTheAdjointsThatDualNumbersHaveWhereASliceMeansNothing) {
  for (unsigned seed = 1; seed < 20; ++seed)
    for (const double width : {3e8, 2e9})
      for (const bool diverges : {false, true}) {
        expect_adjoints_of_duals<false, true, true>(diverges, seed, width, 3);
        expect_adjoints_of_duals<true, true, true>(diverges, seed, width, 3);
      }
}

TEST(GaussianSpot, InASliceOfNoWidthIsThatOfAStillHoweverWideItIs) {
  for (unsigned seed = 1; seed < 40; ++seed) {
    std::mt19937 random(seed);
    auto of = some_source(random, true, true, false, false, seed % 2 ? 2e7 : 1e9);
    of.half_slice = 1e-10;
    const auto slice = prepare_spot(of);
    of.half_slice = 0;
    const auto still = prepare_spot(of);
    std::normal_distribution<double> normal;
    for (int point = 0; point < 5; ++point) {
      const Vec3d d = inverse(still.spot.whiten) *
                      Vec3d{3 * normal(random), 3 * normal(random), 3 * normal(random)};
      const double expected = spot_value<true, false, true>(still.spot, d, false, true);
      EXPECT_NEAR((spot_value<true, true, true>(slice.spot, d, false, true)), expected,
                  1e-6 * expected)
          << seed;
    }
  }
}

TEST(GaussianSpot, WithoutRotationsIsTheGaussianOfItsCovariance) {
  std::mt19937 random(5);
  for (int i = 0; i < 20; ++i) {
    const auto of = some_source(random, true, false, false, false);
    const auto spot = prepare_spot(of);
    const Vec3d d = inverse(spot.spot.whiten) * Vec3d{0.5, -1.0, 0.7}, q = of.g + d;
    const Mat3d c = of.shape + of.pixel + of.bandwidth2 * outer_square(q);
    const double expected = std::sqrt(determinant(of.shape) / determinant(c)) *
                            std::exp(-0.5 * dot(d, inverse(c) * d));
    EXPECT_NEAR((spot.peak * spot_value<true, false, false>(spot.spot, d, false, true)), expected,
                1e-9 * expected);
    EXPECT_NEAR((spot.peak * spot_value<true, false, true>(spot.spot, d, false, true)), expected,
                1e-9 * expected);
  }
}

TEST(GaussianSpot, OfAReflectionOnTheSpindleDoesNotKnowTheSlice) {
  std::mt19937 random(9);
  auto of = some_source(random, false, true, true, false);
  of.spindle = unit(of.g);
  const auto spot = prepare_spot(of);
  of.half_slice = 0;
  const auto still = prepare_spot(of);
  const Vec3d d = inverse(still.spot.whiten) * Vec3d{0.5, -1.0, 0.7};
  EXPECT_NEAR((spot_value<false, true, true>(spot.spot, d, false, true)),
              (spot_value<false, false, true>(still.spot, d, false, true)), 1e-9);
}

}  // namespace

}  // namespace nablabragg::physics
