// The shadow of a beamstop, against sums that are written here from its geometry alone.
#include "nablabragg/beamstop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/beamstop.hpp"
#include "engine/material_sum.hpp"
#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/pixel_truth.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/sweep.hpp"
#include "support/engines.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double pi = 3.14159265358979323846;
constexpr double detector_mm = 100, pixel_mm = 0.5;
constexpr int pixels = 100;

/// A panel across a beam along x that meets its middle.
Experiment experiment() {
  Experiment e;
  e.crystal.cell = UnitCell{40, 50, 60, 90, 90, 90};
  e.crystal.cells = {4, 4, 4};
  e.crystal.shape = CrystalShape::gauss;
  e.structure_factors.default_F = 100;
  e.detector.convention = Convention::custom;
  e.detector.fast_axis = Vec3d{0, 1, 0};
  e.detector.slow_axis = Vec3d{0, 0, 1};
  e.detector.normal = Vec3d{1, 0, 0};
  const double corner_m = -0.5e-3 * pixels * pixel_mm;
  e.detector.origin_m = Vec3d{1e-3 * detector_mm, corner_m, corner_m};
  e.detector.pivot = Pivot::sample;
  e.detector.fast_pixels = e.detector.slow_pixels = pixels;
  e.detector.pixel_mm = pixel_mm;
  e.beam.direction = Vec3d{1, 0, 0};
  e.beam.polarization_axis = Vec3d{0, 0, 1};
  e.beam.flux_per_s = 1e12;
  e.beam.size_mm = 0.1;
  e.sampling.oversample = 1;
  return e;
}

Experiment stopped(Experiment e, double transmission = 0) {
  e.beamstop.distance_mm = 30;
  e.beamstop.radius_mm = 2;
  e.beamstop.transmission = transmission;
  return e;
}

Experiment with_arm(Experiment e) {
  e.beamstop.offset_fast_mm = 0.4;
  e.beamstop.offset_slow_mm = -0.3;
  e.beamstop.arm_width_mm = 0.8;
  e.beamstop.arm_deg = 30;
  return e;
}

std::vector<double> image(const Experiment& e, const ComputeOptions& options = {}) {
  std::vector<double> all(static_cast<std::size_t>(pixels) * pixels);
  Sweep(Series(e, 1), options).render(0, std::span(all));
  return all;
}

/// Whether the stop hides the point x of the beam [mm] from a place on the panel.
bool is_hidden(const Beamstop& stop, double x, double y, double z) {
  if (x >= stop.distance_mm) return false;
  const double share = (stop.distance_mm - x) / (detector_mm - x), at_y = share * y,
               at_z = share * z;
  if (std::hypot(at_y - stop.offset_fast_mm, at_z - stop.offset_slow_mm) < stop.radius_mm)
    return true;
  const double c = std::cos(stop.arm_deg * pi / 180), s = std::sin(stop.arm_deg * pi / 180);
  return at_y * c + at_z * s > 0 && std::abs(at_z * c - at_y * s) < 0.5 * stop.arm_width_mm;
}

/// The place of a pixel on the panel; 0.5 is its middle.
double place_mm(int pixel, double within) { return (pixel + within - 0.5 * pixels) * pixel_mm; }

double share_of(const Experiment& e, int fast, int slow) {
  return engine::share_behind_beamstop(make_plan(e, resolve(e)), {fast, slow});
}

TEST(Beamstop, HidesTheShareOfAPixelThatLiesInItsOutline) {
  for (const Experiment& e : {stopped(experiment()), with_arm(stopped(experiment()))}) {
    const Plan plan = make_plan(e, resolve(e));
    double worst = 0, squares = 0;
    int edges = 0;
    for (int slow = 0; slow < pixels; ++slow)
      for (int fast = 0; fast < pixels; ++fast) {
        constexpr int n = 50;
        int hidden = 0;
        for (int i = 0; i < n * n; ++i)
          hidden += is_hidden(e.beamstop, 0, place_mm(fast, (i % n + 0.5) / n),
                              place_mm(slow, (i / n + 0.5) / n));
        const double share = engine::share_behind_beamstop(plan, {fast, slow}),
                     expected = 1 - double(hidden) / (n * n);
        edges += share > 0 && share < 1;
        worst = std::max(worst, std::abs(share - expected));
        squares += std::pow(share - expected, 2);
      }
    EXPECT_GT(edges, 50);
    EXPECT_LT(std::sqrt(squares / edges), 0.005);  // as much as counting has
    EXPECT_LT(worst, 0.05);                        // where disk and arm meet
  }
}

TEST(Beamstop, HasTheAreaOfItsOutline) {
  const Experiment e = stopped(experiment());
  const Plan plan = make_plan(e, resolve(e));
  double hidden = 0;
  for (int slow = 0; slow < pixels; ++slow)
    for (int fast = 0; fast < pixels; ++fast)
      hidden += 1 - engine::share_behind_beamstop(plan, {fast, slow});
  const double radius_px = 2 * detector_mm / 30 / pixel_mm;
  EXPECT_NEAR(hidden / (pi * radius_px * radius_px), 1, 1e-4);
}

TEST(Beamstop, TakesItsShareOfTheLightOfTheSampleOnAllEnginesAndInClosedForm) {
  Experiment e = experiment();
  e.water_um = 100;
  e.crystal.diffuse_sigma_A = {0.4, 0.4, 0.4};
  e.crystal.diffuse_gamma_A = {20, 20, 20};
  e.more_crystals.push_back({{10, 20, 30}, 0.5, {}, {}});
  Material sheet = ice_rings({.thickness_um = 5});
  e.materials = {sheet};
  const auto expect_shares = [](const Experiment& open, const ComputeOptions& options) {
    const Experiment closed = with_arm(stopped(open, 0.25));
    const Plan plan = make_plan(closed, resolve(closed));
    const std::vector<double> all = image(open, options), left = image(closed, options);
    double most = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const int fast = static_cast<int>(i) % pixels, slow = static_cast<int>(i) / pixels;
      const double share = engine::share_behind_beamstop(plan, {fast, slow});
      most = std::max(most, std::abs(left[i] - share * all[i]) / all[i]);
    }
    EXPECT_LT(most, 1e-12);
  };
  expect_shares(e, test::reference_engine());
  expect_shares(e, test::fast_engine(Precision::float32));
  expect_shares(e, test::fast_engine(Precision::float64));
  e.crystal.mosaic_model = Distribution::gaussian;
  e.crystal.mosaic_spread_deg = 0.3;
  e.sampling.summation = Summation::closed;
  e.sampling.oversample = 0;
  e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
  expect_shares(e, test::cpu_engine(Precision::float32));
}

/// Photons of the first material of a path, summed over small pieces of it, seen or hidden each.
double sum_over_pieces(const Experiment& e, int fast, int slow) {
  Experiment piece = e;
  piece.beamstop = {};
  Material& m = piece.materials.at(0);
  const double from = m.start_mm, to = m.end_mm;
  m.start_mm = m.end_mm = 0;
  const Plan plan = make_plan(piece, resolve(piece));
  Material whole = m;
  constexpr int pieces = 20000;
  double sum = 0;
  const double step = (to - from) / pieces;
  PlanMaterial of = plan.materials[0];
  for (int i = 0; i < pieces; ++i) {
    const double x = from + (i + 0.5) * step;
    of.start = of.end = 1e-3 * x;
    const double light = engine::material_photons(plan, plan.panels[0], view_of(of), double(fast),
                                                  double(slow));
    const bool dim = x > e.beamstop.distance_mm ||
                     is_hidden(e.beamstop, x, place_mm(fast, 0.5), place_mm(slow, 0.5));
    sum += light * (dim ? e.beamstop.transmission : 1);
  }
  // The sum has the light of the thickness at each piece
  return sum * step / whole.thickness_mm;
}

TEST(Beamstop, HidesFromEachPixelItsOwnPartOfTheAirBeforeIt) {
  for (const double transmission : {0.0, 0.3})
    for (const double end_mm : {20.0, 30.0, 60.0})
      for (const bool arm : {false, true}) {
        Experiment e = stopped(experiment(), transmission);
        if (arm) e = with_arm(e);
        e.structure_factors.default_F = 1e-30;
        Material air = gas_in_beam(-20, end_mm)[0];
        air.thickness_mm = 1;
        Experiment pieces = e;
        pieces.materials = {air};
        air.thickness_mm = 0;
        e.materials = {air};
        for (const auto& [fast, slow] :
             {std::pair{50, 50}, {57, 53}, {62, 57}, {65, 40}, {99, 3}}) {
          const double expected = [&] {
            // sum_over_pieces() takes a thickness of 1 mm at each place
            return sum_over_pieces(pieces, fast, slow);
          }();
          const double got = double(simulate_pixels(e, std::array{PixelIndex{fast, slow}})[0]);
          EXPECT_NEAR(got, expected, 2e-4 * expected + 1e-12)
              << fast << ' ' << slow << " to " << end_mm << " arm " << arm << " T " << transmission;
        }
      }
}

TEST(Beamstop, TakesNothingWhereItIsTransparent) {
  Experiment e = experiment();
  e.materials = gas_in_beam(-20, 50);
  const std::vector<double> open = image(e), through = image(with_arm(stopped(e, 1)));
  for (std::size_t i = 0; i < open.size(); ++i)
    EXPECT_NEAR(through[i] / open[i], 1, 1e-5);  // F is linear between rows
}

TEST(Beamstop, EndsTheBeamSoThatAirBehindItIsDark) {
  Experiment e = stopped(experiment());
  e.materials = gas_in_beam(-20, 30);
  const std::vector<double> to_the_stop = image(e);
  e.materials = gas_in_beam(-20, 80);
  const std::vector<double> further = image(e);
  for (std::size_t i = 0; i < further.size(); ++i)
    EXPECT_NEAR(further[i], to_the_stop[i], 1e-7 * to_the_stop[i]);
}

TEST(Beamstop, LeavesPanelsBesideAndBeforeItAlone) {
  Experiment e = experiment();
  e.detector.origin_m->x = 0.02;  // before the stop
  FurtherPanel behind;
  behind.detector = e.detector;
  behind.detector.origin_m->x = 0.1;
  e.more_panels = {behind};
  const auto both = [](const Experiment& of) { return simulate(of).image.pixels; };
  const std::vector<float> open = both(e), closed = both(stopped(e));
  const std::size_t first = static_cast<std::size_t>(pixels) * pixels;
  EXPECT_TRUE(std::equal(open.begin(), open.begin() + first, closed.begin()));
  EXPECT_EQ(closed[first + first / 2 + pixels / 2], 0);
}

TEST(Beamstop, ScattersItsShareOfTheBeamIntoARing) {
  Experiment e = stopped(experiment());
  e.structure_factors.default_F = 1e-30;
  e.beam.polarization_correction = false;
  e.beamstop.ring_share = 1e-6;
  e.beamstop.ring_deg = 8;
  e.beamstop.ring_width_deg = 0.5;
  const std::vector<double> ring = image(e);
  EXPECT_NEAR(std::accumulate(ring.begin(), ring.end(), 0.0) / 1e6, 1, 2e-3);
  // Brightest where the detector, 70 mm behind the stop, sees 8 degrees
  const auto at = [&](double radius_mm) {
    return ring[static_cast<std::size_t>(pixels / 2 * pixels +
                                         std::lround(pixels / 2 + radius_mm / pixel_mm - 0.5))];
  };
  const double middle_mm = 70 * std::tan(8 * pi / 180);
  EXPECT_GT(at(middle_mm), 1.5 * at(middle_mm + 1));
  EXPECT_GT(at(middle_mm), 1.5 * at(middle_mm - 1));
  EXPECT_LT(at(1), 1e-30 * at(middle_mm));
}

TEST(Beamstop, HasTheDerivativesOfItsRingThatAGaussianHas) {
  // The mean angle of exp(-(a - m)^2/(2 w^2)) over all directions, sin(a) da, is m + w^2 cot(m) to
  // w^4; so its slopes are 1 - w^2/sin^2(m) by m and 2 w cot(m) by w.  That of the photons is 0.
  Experiment e = stopped(experiment());
  e.structure_factors.default_F = 1e-30;
  e.beam.polarization_correction = false;
  e.beamstop.ring_share = 1e-6;
  e.beamstop.ring_deg = 8;
  e.beamstop.ring_width_deg = 0.5;
  e.detector.fast_pixels = e.detector.slow_pixels = 2 * pixels;
  e.detector.pixel_mm = pixel_mm / 2;
  std::vector<double> one, angles;  // [deg]
  for (int slow = 0; slow < 2 * pixels; ++slow)
    for (int fast = 0; fast < 2 * pixels; ++fast) {
      const double away = std::hypot(fast + 0.5 - pixels, slow + 0.5 - pixels) * pixel_mm / 2;
      one.push_back(1);
      angles.push_back(std::atan(away / 70) * 180 / pi);
    }
  const auto slopes = [&](const std::vector<double>& weights) {
    return value_and_gradient(e, weights, test::fast_engine(Precision::float64))
        .gradient.parameters;
  };
  const double photons = 1e6, m = 8 * pi / 180, w = 0.5 * pi / 180;
  const auto of_sum = slopes(one), of_angles = slopes(angles);
  for (const char* name : {"beamstop_ring_angle", "beamstop_ring_width"})
    EXPECT_NEAR(of_sum.at(name)[0] / photons, 0, 1e-3) << name;
  EXPECT_NEAR(of_angles.at("beamstop_ring_angle")[0] / photons, 1 - std::pow(w / std::sin(m), 2),
              2e-3);
  EXPECT_NEAR(of_angles.at("beamstop_ring_width")[0] / photons, 2 * w / std::tan(m), 2e-3);
}

TEST(Beamstop, IsTheSameForSomePixelsAndForAllAndInEachImageOfASweep) {
  Experiment e = with_arm(stopped(experiment(), 0.1));
  e.materials = gas_in_beam(-20, 50);
  e.scan.oscillation_deg.range = 0.3;
  e.scan.oscillation_deg.steps = 2;
  const Series series(e, 3);
  Sweep sweep(series);
  for (const int i : {0, 2, 1}) {
    const std::vector<float> alone = simulate(series.experiment(i)).image.pixels;
    const auto image = sweep.image(i);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), image.begin())) << i;
  }
  const std::vector<float> all = simulate(e).image.pixels;
  std::vector<PixelIndex> some;
  for (int i = 0; i < pixels; ++i) some.push_back({i, (7 * i) % pixels});
  const std::vector<float> few = simulate_pixels(e, some);
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_NEAR(few[i], all[static_cast<std::size_t>(some[i].slow * pixels + some[i].fast)],
                2e-6F * few[i]);
}

TEST(Beamstop, LeavesPartsOfTheLightThatAddUpToTheImage) {
  Experiment e = with_arm(stopped(experiment(), 0.1));
  e.water_um = 50;
  e.materials = gas_in_beam(-20, 50);
  e.beamstop.ring_share = 1e-7;
  e.beamstop.ring_deg = 8;
  e.beamstop.ring_width_deg = 1;
  const PixelTruth truth = pixel_truth(e);
  std::vector<std::string> names;
  for (const PartOfLight& part : truth.parts) names.push_back(part.name);
  EXPECT_THAT(names, ElementsAre("lattice", "water", "air", "Compton scattering of air",
                                 "ring about the beamstop"));
  const Image image = simulate(e).image;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    double sum = 0;
    for (const PartOfLight& part : truth.parts) sum += part.photons[i];
    EXPECT_NEAR(sum, double(image.pixels[i]), 2e-6 * sum);
  }
}

TEST(Beamstop, HasADerivativeByItsTransmissionThatIsTheLightItTakes) {
  Experiment e = with_arm(stopped(experiment()));
  e.materials = gas_in_beam(-20, 50);
  ComputeOptions options = test::fast_engine(Precision::float64);
  options.skip_below = 0;
  const std::vector<double> weights(static_cast<std::size_t>(pixels) * pixels, 1);
  const ValueAndGradient got = value_and_gradient(e, weights, options);
  const auto sum = [&](double transmission) {
    e.beamstop.transmission = transmission;
    const std::vector<double> all = image(e, options);
    return std::accumulate(all.begin(), all.end(), 0.0);
  };
  const double none = sum(0), one = sum(1);
  EXPECT_NEAR(got.value / none, 1, 1e-9);
  EXPECT_NEAR(got.gradient.parameters.at("beamstop_transmission")[0] / (one - none), 1, 1e-7);
}

TEST(Beamstop, ComesBackFromJsonToTheBit) {
  const Experiment e = with_arm(stopped(experiment(), 0.1));
  const Experiment back = experiment_from_json(to_json(e));
  EXPECT_EQ(to_json(back), to_json(e));
  EXPECT_EQ(share_of(back, 62, 55), share_of(e, 62, 55));
}

TEST(Beamstop, IsRefusedInASentenceWhereItMakesNoSense) {
  const auto complaint = [](auto&& change) {
    Experiment e = stopped(experiment());
    change(e);
    return test::message_of<UsageError>([&] { make_plan(e, resolve(e)); });
  };
  EXPECT_THAT(complaint([](Experiment& e) { e.quirks = Quirks::compat(); }),
              HasSubstr("give -corrected"));
  EXPECT_THAT(complaint([](Experiment& e) { e.beamstop.distance_mm = 0; }),
              HasSubstr("give -beamstop_distance"));
  EXPECT_THAT(complaint([](Experiment& e) { e.beamstop.distance_mm = 100; }),
              HasSubstr("stands 100 mm behind the sample, and the detector reaches to 100"));
  EXPECT_THAT(complaint([](Experiment& e) { e.beamstop.offset_fast_mm = 2; }),
              HasSubstr("the beam passes beside the beamstop"));
  EXPECT_THAT(complaint([](Experiment& e) { e.beamstop.radius_mm = 0; }),
              HasSubstr("no beamstop; give -beamstop_radius"));
  EXPECT_THAT(complaint([](Experiment& e) { e.beamstop.ring_share = 0.1; }),
              HasSubstr("needs a positive width"));
}

// ---- The direction of the beam ------------------------------------------------------------------

TEST(TiltOfTheBeam, TurnsItsRaysAndLeavesTheDetectorWhereItIs) {
  Experiment e = experiment();
  e.beam.tilt_horizontal_mrad = 3;
  e.beam.tilt_vertical_mrad = -2;
  const Resolved tilted = resolve(e), straight = resolve(experiment());
  EXPECT_EQ(tilted.panel.origin, straight.panel.origin);
  const Vec3d along = -unit(tilted.rays.front().towards_source);
  EXPECT_NEAR(dot(along, straight.panel.beam), std::cos(std::hypot(3e-3, 2e-3)), 1e-11);
  EXPECT_NEAR(std::abs(dot(along, straight.panel.polarization_axis)), 3e-3, 1e-7);
  EXPECT_NEAR(std::abs(dot(along, straight.panel.vertical)), 2e-3, 1e-7);
  EXPECT_EQ(e.beam.sources.size(), 0U);
}

TEST(JitterOfTheBeam, HasTheDeviationThatItIsGivenAndFollowsFromSeedAndImage) {
  constexpr int images = 4000;
  Experiment e = experiment();
  const Series series = Series(e, std::vector<Vec3d>(images)).jittered(0.2, 7);
  double sum = 0, squares = 0, product = 0;
  for (int i = 0; i < images; ++i) {
    const Beam beam = series.experiment(i).beam;
    const double h = beam.tilt_horizontal_mrad, v = beam.tilt_vertical_mrad;
    sum += h + v;
    squares += h * h + v * v;
    product += h * v;
  }
  const double n = 2 * images, variance = 0.2 * 0.2;
  EXPECT_NEAR(sum / n, 0, 4 * 0.2 / std::sqrt(n));
  EXPECT_NEAR(squares / n, variance, 4 * variance * std::sqrt(2 / n));
  EXPECT_NEAR(product / images, 0, 4 * variance / std::sqrt(double(images)));
  const auto tilt = [&](const Series& of, int i) {
    return of.experiment(i).beam.tilt_vertical_mrad;
  };
  const Series again = Series(e, std::vector<Vec3d>(9)).jittered(0.2, 7),
               other = Series(e, std::vector<Vec3d>(9)).jittered(0.2, 8);
  EXPECT_EQ(tilt(series, 5), tilt(again, 5));
  EXPECT_NE(tilt(series, 5), tilt(other, 5));
  // An image alone, with the seed that the series gives it
  const Series alone = Series(e, 1).jittered(0.2, seed_of_image(7, 5));
  EXPECT_EQ(tilt(alone, 0), tilt(series, 5));
}

TEST(JitterOfTheBeam, MovesTheLightFromImageToImageOfASweepAsItDoesAlone) {
  Experiment e = stopped(experiment());
  e.water_um = 20;
  const Series series = Series(e, std::vector<Vec3d>(3)).jittered(1, 3);
  Sweep sweep(series);
  std::vector<float> before;
  for (const int i : {0, 2, 1}) {
    const std::vector<float> alone = simulate(series.experiment(i)).image.pixels;
    const auto image = sweep.image(i);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), image.begin())) << i;
    EXPECT_NE(alone, before);
    before = alone;
  }
}

}  // namespace
}  // namespace nablabragg
