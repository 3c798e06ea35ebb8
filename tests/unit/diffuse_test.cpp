// Diffuse scattering of correlated displacements, against numbers worked out by another program and
// against explicit ensembles of displaced atoms.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/diffuse.hpp"
#include "engine/diffuse_sum.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"  // for photons
#include "nablabragg/simulate.hpp"
#include "plan/halo_shares.hpp"
#include "plan/make_plan.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

constexpr double pi = 3.14159265358979323846;
const UnitCell cell{10, 11, 12, 90, 90, 90};
constexpr double volume = 1320;

double square(double x) { return x * x; }

/// One atom of one electron, at a corner.
Experiment one_atom() {
  Experiment e;
  e.crystal.cell = cell;
  e.crystal.cells = {12, 12, 12};
  e.crystal.diffuse_sigma_A = {0.4, 0.4, 0.4};
  e.crystal.diffuse_gamma_A = {15, 15, 15};
  e.structure_factors.default_F = 1;
  e.detector.fast_pixels = e.detector.slow_pixels = 64;
  e.detector.pixel_mm = 1.6;
  e.detector.distance_mm = 40;
  e.sampling.oversample = 1;
  e.beam.wavelength_A = 1;
  return e;
}

/// 6 electrons at a corner and 8 in the middle of a.
Experiment two_atoms() {
  Experiment e = one_atom();
  e.crystal.diffuse_sigma_A = {0.3, 0.45, 0.35};
  e.crystal.diffuse_gamma_A = {12, 18, 9};
  auto table = std::make_shared<StructureFactorGrid>(MillerIndex{-25, -25, -25},
                                                     MillerIndex{25, 25, 25}, 14.0);
  for (int h = -25; h <= 25; h += 2)
    for (int k = -25; k <= 25; ++k)
      for (int l = -25; l <= 25; ++l) table->at(h, k, l) = -2;
  e.structure_factors.grid = table;
  e.structure_factors.default_F = 0;
  return e;
}

/// Of one cell, at continuous indices.
double light_of_cell(const Experiment& e, const Vec3d& h) {
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  const PlanDiffuse& d = split.diffuse.numbers();
  const engine::DiffuseTables& tables = split.diffuse.tables();
  const Mat3d& r = d.reciprocal;
  return engine::diffuse_of_cell(d, {engine::GridView(&tables.F2()), tables.shells(), d.shell}, h,
                                 length(h.x * r.a + h.y * r.b + h.z * r.c));
}

double W_at(const Experiment& e, const Vec3d& h) {
  return physics::spot_radius2(make_plan(e, resolve(e)).diffuse.displacement, h);
}

/// The halo of the first order [A^3].
double T_1(const Vec3d& gamma, const Vec3d& k) {
  const double x = square(2 * pi) *
                   (square(gamma.x * k.x) + square(gamma.y * k.y) + square(gamma.z * k.z));
  constexpr double W = 0.3;
  return 8 * pi * gamma.x * gamma.y * gamma.z * physics::sum_of_orders(W, x, 1).value /
         (W * std::exp(-W));
}

TEST(DiffuseScattering, HasTheHalosOfTheWorkedNumbers) {
  const Vec3d isotropic{15, 15, 15};
  EXPECT_NEAR(T_1(isotropic, {}), 84823.001647, 1e-6);
  EXPECT_NEAR(T_1(isotropic, {0.01, 0, 0}), 23789.648650, 1e-6);
  EXPECT_NEAR(T_1({12, 18, 9}, {0.01, 0.02, -0.015}), 891.164717014, 1e-9);
  EXPECT_NEAR(make_plan(one_atom(), resolve(one_atom())).diffuse.peak, 64.259850, 1e-6);
  const double W = square(2 * pi * 0.4 / 3);
  EXPECT_NEAR(W, 0.701838535189, 1e-12);
  EXPECT_NEAR(1728 / (W * T_1(isotropic, {}) / volume), 38.31482, 1e-5);
}

struct Worked {
  Vec3d h;
  double W, all, first_of_27;
};
const std::vector<Worked> worked_one = {{{3, 2, 1}, 0.821165587, 24.66131707, 23.25578231},
                                        {{3.25, 2, 1}, 0.919861631, 1.019369622, 0.594258332},
                                        {{3.5, 2.5, 1.5}, 1.198740943, 0.295353323, 0.065228556},
                                        {{3.1, 2.1, 1.05}, 0.885595851, 3.924633999, 3.088406490},
                                        {{6.2, 0.3, 0.1}, 2.433217503, 0.867401222, 0.128404517},
                                        {{1.5, 0.5, 0.25}, 0.157914577, 0.044294970, 0.026567423}};
const std::vector<Worked> worked_two = {{{3, 2, 1}, 0.617636264, 64.3962712, 53.3851158},
                                        {{3.25, 2, 1}, 0.673152788, 20.0846677, 8.2309738},
                                        {{3.1, 2.1, 1.05}, 0.669840676, 22.5876415, 11.3852300},
                                        {{6.2, 0.3, 0.1}, 1.372077409, 70.5635795, 21.1396814}};

/// Of one cell, the first order alone and no lattice points but the nearest 27.
double first_of_27(const Experiment& e, const Vec3d& h) {
  Plan plan = make_plan(e, resolve(e));
  plan.diffuse.outside = {0};
  const engine::SplitPlan split(plan);
  const engine::DiffuseTables& tables = split.diffuse.tables();
  // numpy rounds halves to even, and so does this
  const auto even = [](double x) { return std::nearbyint(x) - std::ceil(x - 0.5); };
  const Vec3d shift = 1e-12 * Vec3d{even(h.x), even(h.y), even(h.z)};
  return engine::diffuse_of_cell(
      split.diffuse.numbers(),
      {engine::GridView(&tables.F2()), tables.shells(), split.diffuse.numbers().shell}, h + shift,
      0.0);
}

TEST(DiffuseScattering, HasTheWorkedSumsOverLatticePointsAndOrders) {
  const auto check = [](Experiment e, const std::vector<Worked>& all, double far) {
    for (const Worked& w : all) {
      EXPECT_NEAR(W_at(e, w.h), w.W, 1e-9);
      e.crystal.diffuse_stencil = 1;
      EXPECT_NEAR(first_of_27(e, w.h) / w.first_of_27, 1, 1e-7) << w.h.x;
      e.crystal.diffuse_stencil = 4;
      EXPECT_NEAR(light_of_cell(e, w.h) / w.all, 1, far) << w.h.x;
    }
  };
  check(one_atom(), worked_one, 0.002);
  check(two_atoms(), worked_two, 0.015);
}

TEST(DiffuseScattering, IsWithinThreePercentWithTheFlatRemainderOf27LatticePoints) {
  for (const Worked& w : worked_one)
    EXPECT_NEAR(light_of_cell(one_atom(), w.h) / w.all, 1, 0.03) << w.h.x;
  for (const Worked& w : worked_two)
    EXPECT_NEAR(light_of_cell(two_atoms(), w.h) / w.all, 1, 0.07) << w.h.x;
}

/// Of a cubic cell with this gamma over its edge.
double share_in(double gamma_over_edge, int stencil) {
  const double form = square(2 * pi * gamma_over_edge),
               peak = 8 * pi * std::pow(gamma_over_edge, 3);
  return peak * halo_shares({form, form, form, 0, 0, 0}, stencil + 0.5, 1)[0].value;
}

TEST(SharesOfHalos, EqualTheWorkedTable) {
  const double table[4][4] = {{0.4295818, 0.7801359, 0.8662908, 0.9041322},
                              {0.6784782, 0.8883133, 0.9327571, 0.9519237},
                              {0.8335810, 0.9439310, 0.9663295, 0.9759439},
                              {0.9327571, 0.9775470, 0.9865263, 0.9903756}};
  const double gammas[] = {0.5, 1, 2, 5};
  for (int i = 0; i < 4; ++i)
    for (int m = 0; m < 4; ++m) EXPECT_NEAR(share_in(gammas[i], m), table[i][m], 1e-7);
}

TEST(SharesOfHalos, HoldForLongAndFlatHalos) {
  // Ten times as long along one axis; by another rule, lines along it added up
  const double b = 10, half = 1.5;
  double sum = 0;
  constexpr int slices = 400, points = 400;
  for (int i = 0; i < slices; ++i) {
    const double x = half * (i + 0.5) / slices;
    for (int j = 0; j < points; ++j) {
      const double y = half * (j + 0.5) / points, A = 1 + square(2 * pi) * (x * x + y * y),
                   root = std::sqrt(A), s = 2 * pi * b;
      sum += half / (2 * A * (A + s * s * half * half)) +
             std::atan(s * half / root) / (2 * A * root * s);
    }
  }
  sum *= 8 * 8 * pi * b * square(half) / (slices * points);
  const double form = square(2 * pi);
  EXPECT_NEAR(8 * pi * b * halo_shares({form, form, form * b * b, 0, 0, 0}, half, 1)[0].value, sum,
              2e-5);
}

TEST(SharesOfHalos, HaveTheSlopesOfDifferences) {
  const physics::SpotMetric<double> form{40, 90, 20, 9, -7, 5};
  const auto shares = halo_shares(form, 1.5, 4);
  std::size_t k = 0;
  physics::SpotMetric<double> shifted = form;
  physics::for_each_number_of_metric(
      [&](double& x) {
        const double step = 1e-4 * 40, before = x;
        x = before + step;
        const auto up = halo_shares(shifted, 1.5, 4);
        x = before - step;
        const auto down = halo_shares(shifted, 1.5, 4);
        x = before;
        for (std::size_t n = 0; n < 4; ++n)
          EXPECT_NEAR(shares[n].slopes[k], (up[n].value - down[n].value) / (2 * step),
                      1e-6 * std::abs(shares[n].slopes[0]));
        ++k;
      },
      shifted);
}

TEST(DiffuseScattering, GivesBackOverAZoneWhatTheSpotsLose) {
  Experiment e = one_atom();
  e.crystal.cell = UnitCell{10, 11, 12, 80, 95, 105};
  e.crystal.diffuse_gamma_A = {4, 7, 5};
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  PlanDiffuse d = split.diffuse.numbers();
  const engine::DiffuseTables& tables = split.diffuse.tables();
  // The same W everywhere: the zone of a lattice point is summed for the halos alone
  const double W = W_at(e, {3, 2, 1});
  constexpr int points = 16;
  double sum = 0;
  for (int i = 0; i < points; ++i)
    for (int j = 0; j < points; ++j)
      for (int k = 0; k < points; ++k) {
        const Vec3d away{(i + 0.5) / points - 0.5, (j + 0.5) / points - 0.5,
                         (k + 0.5) / points - 0.5};
        engine::for_each_of_stencil(1, away, [&](const Vec3d& point) {
          sum += d.peak * physics::sum_of_orders(W,
                                                 physics::spot_radius2(d.correlation, away - point),
                                                 d.outside.size())
                              .value;
        });
      }
  sum = sum / std::pow(points, 3) + physics::sum_outside(W, d.outside).value;
  EXPECT_NEAR(sum, 1 - std::exp(-W), 2e-4);
  EXPECT_GT(tables.F2().at(3, 2, 1), 0.999999);
}

/// Of photons, in a plan's units.
double per_photon(const Plan& plan, const Experiment& e, const PixelIndex& at) {
  Experiment bright = e;
  bright.crystal.diffuse_sigma_A = bright.crystal.diffuse_gamma_A = {};
  bright.structure_factors.grid.reset();
  bright.structure_factors.default_F = 1;
  bright.crystal.cells = {1, 1, 1};
  bright.crystal.shape = CrystalShape::square;
  bright.structure_factors.interpolation = Interpolation::nearest;
  const double N = plan.lattice.cells.x * plan.lattice.cells.y * plan.lattice.cells.z;
  return N * photons(bright, std::array{at}, test::reference_engine())[0];
}

TEST(DiffuseScattering, StandsBesideTheSpotsOncePerCell) {
  // A crystal of one cell with F = 1 gives r_e^2 fluence P omega: a pixel's diffuse light is that,
  // times the number of cells and the light of a cell.
  const Experiment e = one_atom();
  const Plan plan = make_plan(e, resolve(e));
  const engine::SplitPlan split(plan);
  for (const PixelIndex at : {PixelIndex{20, 40}, PixelIndex{11, 7}, PixelIndex{50, 33}}) {
    engine::BasicSubPixel<double> spot;
    engine::place(plan.panels[0], 1, double(at.fast), double(at.slow), spot);
    const auto& ray = plan.light.rays[0];
    const Vec3d q = ray.wavenumber * (spot.direction - ray.incident);
    const double expected = per_photon(plan, e, at) *
                            light_of_cell(e, plan.lattice.orientations[0] * q);
    EXPECT_NEAR(split.diffuse.photons(split.spots, at) / expected, 1, 1e-9);
  }
}

TEST(DiffuseScattering, OfRigidCellsThatMoveAloneIsTheLossOfTheSpots) {
  Experiment e = one_atom();
  e.crystal.diffuse_gamma_A = {};
  e.crystal.diffuse_motion = DiffuseMotion::rigid;
  for (const Vec3d h : {Vec3d{3, 2, 1}, Vec3d{1.5, 0.5, 0.25}})
    EXPECT_NEAR(light_of_cell(e, h), 1 - std::exp(-W_at(e, h)), 1e-7);
  // Correlated, it has halos and the same light over a zone
  e.crystal.diffuse_gamma_A = {15, 15, 15};
  EXPECT_NEAR(light_of_cell(e, {3, 2, 1}), light_of_cell(one_atom(), {3, 2, 1}), 1e-9);
}

TEST(DiffuseScattering, OfOneLatticeHasOneTableHoweverItLies) {
  Experiment e = two_atoms();
  const engine::SplitPlan first(make_plan(e, resolve(e)));
  e.crystal.misset_deg = {10, 20, 30};
  const engine::SplitPlan turned(make_plan(e, resolve(e)));
  EXPECT_EQ(&first.diffuse.tables(), &turned.diffuse.tables());
  e.crystal.diffuse_sigma_A.x += 0.01;
  const engine::SplitPlan other(make_plan(e, resolve(e)));
  EXPECT_NE(&first.diffuse.tables(), &other.diffuse.tables());
}

TEST(DiffuseScattering, WeakensTheSpotsUnlessFContainsTheMotion) {
  Experiment e = two_atoms();
  const Plan plan = make_plan(e, resolve(e));
  const engine::SplitPlan split(plan);
  const double W = W_at(e, {4, 2, 1});
  EXPECT_NEAR(split.spots.lattice.grid->at(4, 2, 1), 14 * std::exp(-W / 2), 1e-12);
  EXPECT_NEAR(split.diffuse.tables().F2().at(4, 2, 1), 196, 1e-12);
  e.crystal.diffuse_in_F = true;
  const engine::SplitPlan contained(make_plan(e, resolve(e)));
  EXPECT_EQ(contained.spots.lattice.grid->at(4, 2, 1), 14);
  EXPECT_NEAR(contained.diffuse.tables().F2().at(4, 2, 1), 196 * std::exp(W), 1e-9);

  // A table that contains the motion gives the same image as one that does not
  Experiment blurred = e;
  blurred.structure_factors.grid = split.spots.lattice.grid;
  const auto image = [](const Experiment& of) {
    return simulate(of, test::reference_engine()).image.pixels;
  };
  const auto one = image(two_atoms()), other = image(blurred);
  for (std::size_t i = 0; i < one.size(); i += 97) EXPECT_NEAR(other[i] / one[i], 1, 1e-6);
}

TEST(DiffuseScattering, OfSeveralWavelengthsIsTheMeanOfThatOfEach) {
  // A short wavelength's shells of |q| go further out than a long one's, and are the same where
  // both have them.
  Experiment e = two_atoms();
  e.crystal.cell = UnitCell{20, 20, 52, 81, 88, 70};
  e.crystal.cells = {1, 1, 1};
  e.crystal.diffuse_stencil = 0;
  const Vec3d direction = -1.0 * resolve(e).panel.beam;
  const Source near{direction, 0.1, 1}, far{direction, 0.3, 1.04};
  const auto image_of = [&](std::vector<Source> sources) {
    e.beam.sources = std::move(sources);
    return photons(e, test::fast_engine(Precision::float64));
  };
  const std::vector<double> both = image_of({near, far}), one = image_of({near}),
                            other = image_of({far});
  for (std::size_t i = 0; i < both.size(); ++i)
    EXPECT_NEAR(both[i], 0.25 * one[i] + 0.75 * other[i], 1e-7 * both[i]) << "pixel " << i;
}

TEST(DiffuseScattering, IsTheSameOnEveryEngineAndInEveryPrecision) {
  Experiment e = two_atoms();
  e.crystal.misset_deg = {10, 20, 30};
  e.crystal.mosaic_spread_deg = 1;
  e.crystal.mosaic_domains = 3;
  e.beam.dispersion_percent.range = 2;
  e.beam.dispersion_percent.steps = 2;
  e.sampling.oversample = 2;
  const auto reference = simulate(e, test::reference_engine()).image.pixels;
  const auto fast = simulate(e, test::fast_engine(Precision::float32)).image.pixels;
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  for (std::size_t i = 0; i < fast.size(); i += 41) {
    EXPECT_NEAR(fast[i] / reference[i], 1, 2e-5) << i;
    const PixelIndex at{static_cast<int>(i % 64), static_cast<int>(i / 64)};
    const double spots = engine::sum_pixel(split.spots, split.spots.panels[0],
                                           engine::GridView(split.spots.lattice.grid.get()),
                                           at.fast, at.slow, 0, engine::NoVisitor{})
                             .photons;
    EXPECT_NEAR((spots + split.diffuse.photons(split.spots, at)) / reference[i], 1, 2e-7);
  }
}

/// Without spots.
std::vector<double> halos_of(const Experiment& e, Precision precision) {
  const engine::SplitPlan split(make_plan(e, resolve(e)));
  std::vector<double> values(split.spots.pixels());
  split.diffuse.add_photons(split.spots, engine::Pixels(), test::cpu_engine(precision),
                            std::span(values));
  return values;
}

TEST(DiffuseScattering, InMixedPrecisionIsGoodToAMillionth) {
  for (const double sigma : {0.1, 0.3, 0.45})
    for (const bool rigid : {false, true})
      for (const bool isotropic : {false, true}) {
        Experiment e = two_atoms();
        e.crystal.misset_deg = {10, 20, 30};
        e.crystal.mosaic_spread_deg = 1;
        e.crystal.mosaic_domains = 3;
        e.crystal.diffuse_sigma_A = sigma * (isotropic ? Vec3d{1, 1, 1} : Vec3d{0.6, 1, 0.8});
        if (rigid) e.crystal.diffuse_motion = DiffuseMotion::rigid;
        const auto exact = halos_of(e, Precision::float64), mixed = halos_of(e, Precision::float32);
        double worst = 0;
        for (std::size_t i = 0; i < exact.size(); ++i)
          worst = std::max(worst, std::abs(mixed[i] / exact[i] - 1));
        EXPECT_LT(worst, 1.5e-6) << sigma << (rigid ? " rigid" : " liquid") << isotropic;
        EXPECT_GT(worst, 0);
      }
}

TEST(DiffuseScattering, OfDisplacementsThatMakeNoSenseIsRefused) {
  const auto says = [](auto&& change, const char* what) {
    Experiment e = two_atoms();
    change(e);
    const std::string message = test::message_of<UsageError>([&] { make_plan(e, resolve(e)); });
    EXPECT_NE(message.find(what), std::string::npos) << message;
  };
  says([](Experiment& e) { e.crystal.diffuse_sigma_A = {}; }, "needs a size of the displacements");
  says([](Experiment& e) { e.crystal.diffuse_gamma_A.y = 0; }, "along all axes");
  says([](Experiment& e) { e.crystal.diffuse_sigma_A.x = -1; }, "must not be negative");
  says([](Experiment& e) { e.crystal.diffuse_stencil = 5; }, "must be between 0 and 4");
  says([](Experiment& e) { e.crystal.diffuse_sigma_A = {3, 3, 3}; }, "W may be 100 at most");
  says([](Experiment& e) { e.quirks = Quirks::compat(); }, "give -corrected");
  says(
      [](Experiment& e) {
        e.structure_factors.default_F = 1;
        e.crystal.diffuse_in_F = true;
      },
      "come from a table");
}

TEST(DiffuseScattering, HasTheSameDerivativesBackwardsForwardsAndByDifferences) {
  for (const bool in_F : {false, true}) {
    Experiment e = two_atoms();
    e.crystal.misset_deg = {10, 20, 30};
    e.crystal.diffuse_in_F = in_F;
    const SettledExperiment settled(e);
    ComputeOptions options = test::cpu_engine(Precision::float64);
    options.skip_below = 0;
    const std::vector<PixelIndex> pixels{{20, 40}, {11, 7}, {50, 33}};
    const std::vector<double> weights{0.7, -1.3, 0.4};
    const auto loss = [&](const Experiment& of) {
      const auto light = photons(of, pixels, options);
      return weights[0] * light[0] + weights[1] * light[1] + weights[2] * light[2];
    };
    const auto result = value_and_gradient(settled, pixels, weights, options);
    EXPECT_NEAR(result.value / loss(settled.experiment()), 1, 1e-12);

    const std::vector<std::string> names{"diffuse_sigma", "diffuse_gamma", "cell", "misset"};
    const Jacobian columns = jacobian(settled, names, pixels, options);
    std::size_t column = 0;
    for (const std::string& name : names) {
      std::vector<double> values = parameter(settled, name).values;
      for (std::size_t k = 0; k < values.size(); ++k, ++column) {
        const double step = 1e-5, before = values[k];
        const auto at = [&](double x) {
          values[k] = x;
          return loss(with_parameter(settled, name, values));
        };
        const double difference = (at(before + step) - at(before - step)) / (2 * step);
        values[k] = before;
        const double got = result.gradient.parameters.at(name)[k];
        EXPECT_NEAR(got, difference, 1e-5 * std::abs(difference) + 1e-7 * std::abs(result.value))
            << name << k << in_F;
        double forwards = 0;
        for (std::size_t i = 0; i < pixels.size(); ++i)
          forwards += weights[i] * columns.slopes[i * columns.columns.size() + column];
        EXPECT_NEAR(got, forwards, 1e-9 * std::abs(got) + 1e-12 * std::abs(result.value))
            << name << k << in_F;
      }
    }

    // The table: all of F at once
    const auto& table = *e.structure_factors.grid;
    StructureFactorGrid direction(table.min(), table.max(), 0.0);
    double along = 0;
    for (std::size_t i = 0; i < direction.values().size(); ++i) {
      direction.values()[i] = std::sin(double(i));
      along += direction.values()[i] * result.gradient.structure_factors->values()[i];
    }
    const auto slopes = jvp(settled, {}, pixels, options, &direction);
    EXPECT_NEAR(along, weights[0] * slopes[0] + weights[1] * slopes[1] + weights[2] * slopes[2],
                1e-9 * std::abs(along));
    const auto moved = [&](double by) {
      auto changed = std::make_shared<StructureFactorGrid>(table);
      for (std::size_t i = 0; i < changed->values().size(); ++i)
        changed->values()[i] += by * direction.values()[i];
      Experiment other = settled.experiment();
      other.structure_factors.grid = changed;
      return loss(other);
    };
    EXPECT_NEAR(along, (moved(1e-4) - moved(-1e-4)) / 2e-4, 1e-6 * std::abs(along));
  }
}

TEST(DiffuseScattering, ComesBackFromJson) {
  Experiment e = two_atoms();
  e.crystal.diffuse_motion = DiffuseMotion::rigid;
  e.crystal.diffuse_in_F = true;
  e.crystal.diffuse_stencil = 2;
  e.structure_factors = {};
  e.crystal.diffuse_in_F = false;
  const Experiment again = experiment_from_json(to_json(e));
  EXPECT_EQ(again.crystal.diffuse_sigma_A, e.crystal.diffuse_sigma_A);
  EXPECT_EQ(again.crystal.diffuse_gamma_A, e.crystal.diffuse_gamma_A);
  EXPECT_EQ(again.crystal.diffuse_motion, DiffuseMotion::rigid);
  EXPECT_EQ(again.crystal.diffuse_stencil, 2);
}

}  // namespace
}  // namespace nablabragg
