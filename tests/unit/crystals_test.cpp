// Several crystals in one beam, and blocks of many sizes: photons of lattices add up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "model/block_sizes.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/sweep.hpp"
#include "nablabragg/units.hpp"
#include "physics/matrix.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/six_atoms.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const std::string first_crystal =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -detpixels_f 37 "
    "-detpixels_s 29 -pixel 1.3 -water 3 -oversample 2 ";
const std::string second_crystal = "-more_crystal -40 15 70 0.37 4 6 5 ";

/// An experiment with one crystal more, and each of the two by itself: the second without the
/// background.
struct TwoCrystals {
  Experiment both, first, second;
  double weight;

  explicit TwoCrystals(const std::string& more)
      : TwoCrystals(experiment_with_table(first_crystal + second_crystal + more)) {}
  explicit TwoCrystals(const Experiment& of_two)
      : both(of_two),
        first(both),
        second(without_background(both)),
        weight(both.more_crystals.at(0).weight) {
    first.more_crystals.clear();
    second.more_crystals.clear();
    second.crystal.misset_deg = both.more_crystals[0].misset_deg;
    second.crystal.cells = *both.more_crystals[0].cells;
    if (const auto& spread = both.more_crystals[0].mosaic_spread_deg)
      second.crystal.mosaic_spread_deg = spread;
  }
};

std::vector<ComputeOptions> all_engines() {
  return {reference_engine(), fast_engine(Precision::float32), fast_engine(Precision::float64)};
}

bool has_gradients(const Experiment& e, const ComputeOptions& options) {
  const Plan plan = make_plan(e, resolve(e));
  const engine::Engine& engine = engine::engine_of(plan, options);
  return engine.why_not(plan, options).empty() && engine.why_no_gradients(plan).empty();
}

/// What experiments of two crystals are made of.
const std::vector<std::string>& kinds() {
  static const std::vector<std::string> all{
      "",
      "-mosaic 0.4 -mosaic_domains 3 -phi 3 -osc 1 -phisteps 2",
      "-dispersion 3 -dispsteps 3 -divergence 2 -divsteps 3 -round_xtal",
      "-gauss_xtal -mosaic 0.3 -mosaic_model gaussian -osc 1",
      "-gauss_xtal -mosaic 0.3 -mosaic_model gaussian -mosaic_domains 5 -summation sampled",
      "-mosaic 0.4 -mosaic_domains 3 -unit_cell_spread 0.3 0.2 0.1",
      "-diffuse_sigma 0.3 -diffuse_gamma 30",
      "-interpolate -detector_thick 300 -detector_abs 400 -thicksteps 2",
      "-block_size_spread 0.2 -block_size_fixed cells",
  };
  return all;
}

TEST(Crystals, TheImageOfTwoIsTheWeightedSumOfTheImagesOfEach) {
  for (const std::string& kind : kinds())
    for (const ComputeOptions& options : all_engines()) {
      SCOPED_TRACE(kind + " engine " + std::to_string(static_cast<int>(options.engine)));
      const TwoCrystals c(kind);
      if (!why_not(c.both, options).empty()) continue;
      const auto both = photons(c.both, options), first = photons(c.first, options),
                 second = photons(c.second, options);
      double most = 0, of_second = 0;
      for (const double x : both) most = std::max(most, x);
      for (const double x : second) of_second += c.weight * x;
      EXPECT_GT(of_second, 0);
      for (std::size_t i = 0; i < both.size(); ++i) {
        const double sum = first[i] + c.weight * second[i];
        ASSERT_NEAR(both[i], sum, 1e-6 * sum + 1e-12 * most) << i;
      }
    }
}

TEST(Crystals, ImagesInSinglePrecisionAreThoseInDoubleToItsLastDigits) {
  for (const ComputeOptions& options : all_engines()) {
    const TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
    const auto wide = photons(c.both, options);
    const auto image = simulate(c.both, options).image.pixels;
    for (std::size_t i = 0; i < wide.size(); ++i)
      ASSERT_NEAR(double(image[i]), wide[i], 1.3e-7 * wide[i]) << i;
  }
}

TEST(Crystals, ShareTheirPanelsAndTheBackgroundIsCountedOnce) {
  TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
  const Detector beside = experiment_of("-default_F 1 " + first_crystal +
                                        "-distance 140 -detector_rotx 4")
                              .detector;
  for (Experiment* e : {&c.both, &c.first, &c.second}) e->more_panels.push_back({beside, {}, {}});
  const auto both = photons(c.both, reference_engine()),
             first = photons(c.first, reference_engine()),
             second = photons(c.second, reference_engine());
  ASSERT_EQ(both.size(), std::size_t{2 * 37 * 29});
  for (std::size_t i = 0; i < both.size(); ++i)
    ASSERT_NEAR(both[i], first[i] + c.weight * second[i], 1e-12 * both[i]) << i;
}

TEST(Crystals, OfWeightZeroLeaveTheImageOfTheRestAsItIs) {
  for (const ComputeOptions& options : all_engines()) {
    TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
    c.both.more_crystals[0].weight = 0;
    EXPECT_EQ(simulate(c.both, options).image.pixels, simulate(c.first, options).image.pixels);
  }
}

TEST(Crystals, TakeWhatIsNotGivenFromTheFirst) {
  const std::string more = "-mosaic 0.4 -mosaic_domains 3 -N 7";
  const Experiment open = experiment_with_table(first_crystal + more + " -more_crystal 1 2 3"),
                   given = experiment_with_table(first_crystal + more +
                                                 " -more_crystal 1 2 3 1 7 7 7 0.4");
  EXPECT_EQ(simulate(open, reference_engine()).image.pixels,
            simulate(given, reference_engine()).image.pixels);
}

TEST(Crystals, MayHaveMosaicSpreadsOfTheirOwn) {
  const std::string own = "-mosaic 0.1 -mosaic_domains 3 -more_crystal 7 7 7 1 5 5 5 0.8 ";
  const Experiment e = experiment_with_table(first_crystal + own);
  Experiment first = e, second = without_background(e);
  first.more_crystals.clear();
  second.more_crystals.clear();
  second.crystal.misset_deg = {7, 7, 7};
  second.crystal.mosaic_spread_deg = 0.8;
  const auto both = photons(e, reference_engine()), one = photons(first, reference_engine()),
             other = photons(second, reference_engine());
  for (std::size_t i = 0; i < both.size(); ++i)
    ASSERT_NEAR(both[i], one[i] + other[i], 1e-12 * both[i]) << i;
}

TEST(Crystals, AreSampledAsFinelyAsTheFinestOfThemAsks) {
  const Experiment e = experiment_of(any_crystal +
                                     "-corrected -N 5 -pixel 1 -more_crystal 1 2 3 1 50 50 50");
  EXPECT_EQ(resolve(e).oversample, resolved_of("-corrected -N 50 -pixel 1").oversample);
  EXPECT_GT(resolve(e).oversample, resolved_of("-corrected -N 5 -pixel 1").oversample);
}

TEST(Crystals, PixelsOfAListAreThoseOfTheImage) {
  const TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
  const std::vector<PixelIndex> list{{5, 6}, {30, 20}, {0, 28}, {36, 0}};
  const Image image = simulate(c.both, reference_engine()).image;
  const auto listed = simulate_pixels(c.both, list, reference_engine());
  for (std::size_t i = 0; i < list.size(); ++i) EXPECT_EQ(listed[i], image.at(list[i]));
}

TEST(Crystals, AllTurnInAScanWhoseImagesAreThoseOfSingleExperiments) {
  for (const char* kind : {"-osc 0.5", "-osc 0.5 -gauss_xtal -mosaic 0.3 -mosaic_model gaussian",
                           "-osc 0.5 -diffuse_sigma 0.3 -diffuse_gamma 30"})
    for (const ComputeOptions& options : all_engines()) {
      SCOPED_TRACE(kind);
      const TwoCrystals c(kind);
      if (!why_not(c.both, options).empty()) continue;
      Sweep sweep(Series(c.both, 3), options);
      Sweep beside(sweep, options);  // which shares the background
      for (const int i : {0, 2, 1, 0}) {
        Experiment alone = c.both;
        alone.scan.phi_deg += 0.5 * i;
        const std::span<const float> image = (i == 1 ? beside : sweep).image<float>(i);
        EXPECT_EQ(std::vector<float>(image.begin(), image.end()),
                  simulate(alone, options).image.pixels)
            << i;
      }
    }
}

TEST(Crystals, AreInTheLightOfEachShotOfASeries) {
  const std::vector<double> axis_eV{12300, 12400, 12500}, weights{1, 3, 2, 0, 5, 1, 2, 2, 0};
  const auto spectra = std::make_shared<const Spectra>(axis_eV, weights, SpectrumUnit::eV,
                                                       SpectraOptions{{}, ShotLight::absolute});
  for (const char* kind : {"", "-diffuse_sigma 0.3 -diffuse_gamma 30"})
    for (const ComputeOptions& options : all_engines()) {
      const Experiment still = TwoCrystals(kind).both,
                       scan = TwoCrystals(std::string(kind) + " -osc 0.5").both;
      for (const Series& series : {Series(still, spectra), Series(scan, 3).in_light_of(spectra)}) {
        Sweep sweep(series, options);
        for (const int i : {0, 2, 1}) {
          const std::span<const float> image = sweep.image<float>(i);
          EXPECT_EQ(std::vector<float>(image.begin(), image.end()),
                    simulate(series.experiment(i), options).image.pixels)
              << i;
        }
      }
    }
}

TEST(Crystals, ImagesDoNotDependOnTheNumberOfThreads) {
  const TwoCrystals c("-mosaic 0.4 -mosaic_domains 3 -diffuse_sigma 0.3 -diffuse_gamma 30");
  ComputeOptions one = cpu_engine(Precision::float32), three = one;
  one.threads = 1;
  three.threads = 3;
  EXPECT_EQ(simulate(c.both, one).image.pixels, simulate(c.both, three).image.pixels);
}

TEST(Crystals, ProgressGoesOnFromOneToTheNext) {
  const TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
  ComputeOptions options = cpu_engine(Precision::float32);
  options.threads = 1;
  double last = 0;
  options.progress = [&](double share) {
    EXPECT_GE(share, last);
    EXPECT_LE(share, 1);
    last = share;
    return true;
  };
  simulate(c.both, options);
  EXPECT_GT(last, 0.5);
}

/// Two crystals of six atoms in light of three energies across the edge of iron.
TwoCrystals crystals_by_energy() {
  const TempDir folder;
  folder.file("model.pdb", six_atoms);
  Experiment e = experiment_of(
      "-corrected -cell 20 24 30 90 90 90 -default_F 1 -N 12 -misset 12 25 37 -distance 40 "
      "-detpixels 48 -pixel 1.2 -oversample 1 -gauss_xtal -lambda 1.7432 -nointerpolate -water 20 "
      "-more_crystal -40 15 70 0.37 8 9 10");
  e.structure_factors.grid = anomalous_grid(
      io::calculate_structure_factors(folder / "model.pdb", 2.2, {0, 0}, {},
                                      std::vector<std::string>{}),
      {}, 1);
  const Vec3d towards = -10 * resolve(e).panel.beam;
  for (const double energy_eV : {7050.0, 7112.0, 7150.0})
    e.beam.sources.push_back({towards, energy_eV / 7100, units::ev_angstrom / energy_eV});
  return TwoCrystals(e);
}

TEST(Crystals, AddUpWhereFFollowsTheEnergyOfTheLight) {
  const TwoCrystals c = crystals_by_energy();
  for (const ComputeOptions& options : all_engines()) {
    const auto both = photons(c.both, options), first = photons(c.first, options),
               second = photons(c.second, options);
    for (std::size_t i = 0; i < both.size(); ++i) {
      const double sum = first[i] + c.weight * second[i];
      ASSERT_NEAR(both[i], sum, 1e-6 * sum + 1e-12) << i;
    }
  }
}

// ---- Derivatives --------------------------------------------------------------------------------

std::vector<double> weights_of(std::size_t pixels) {
  std::vector<double> weights(pixels);
  for (std::size_t i = 0; i < pixels; ++i) weights[i] = std::sin(0.3 * double(i)) + 0.2;
  return weights;
}

void expect_near(std::span<const double> got, std::span<const double> expected, double relative,
                 const std::string& name) {
  ASSERT_EQ(got.size(), expected.size()) << name;
  double largest = 0;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], relative * largest + 1e-300) << name << ' ' << i;
}

TEST(CrystalGradients, AreTheSumOverCrystalsAndEachCrystalsOwn) {
  for (const std::string& kind : kinds())
    for (const ComputeOptions& options : all_engines()) {
      SCOPED_TRACE(kind);
      if (kind.starts_with("-block")) continue;  // cells stand in the weights there
      const TwoCrystals c(kind);
      if (!has_gradients(c.both, options)) continue;
      const auto weights = weights_of(37 * 29);
      const auto both = value_and_gradient(c.both, weights, options),
                 first = value_and_gradient(c.first, weights, options),
                 second = value_and_gradient(c.second, weights, options);
      const double tolerance = options.precision == Precision::float32 ? 1e-4 : 1e-8;
      EXPECT_NEAR(both.value, first.value + c.weight * second.value, 1e-6 * std::abs(both.value));
      const std::set<std::string> own{"misset", "cells"};
      for (const auto& [name, values] : both.gradient.parameters) {
        const auto& of_second = second.gradient.parameters;
        if (name == "crystal[1].weight") {
          expect_near(values, std::vector{second.value}, 1e-6, name);
          continue;
        }
        const bool is_own = name.starts_with("crystal[1].");
        const std::string plain = is_own ? name.substr(11) : name;
        std::vector<double> expected(values.size());
        if (!is_own) expected = first.gradient.parameters.at(plain);
        if ((is_own || !own.contains(plain)) && of_second.contains(plain))
          for (std::size_t i = 0; i < expected.size(); ++i)
            expected[i] += c.weight * of_second.at(plain)[i];
        expect_near(values, expected, tolerance, name);
      }
      EXPECT_THAT(both.gradient.parameters, Contains(testing::Key("crystal[1].misset")));
      EXPECT_THAT(both.gradient.parameters, Contains(testing::Key("crystal[1].cells")));
      ASSERT_TRUE(both.gradient.structure_factors);
      const auto &F = both.gradient.structure_factors->values(),
                 &of_first = first.gradient.structure_factors->values(),
                 &of_second = second.gradient.structure_factors->values();
      std::vector<double> expected(F.size());
      for (std::size_t i = 0; i < F.size(); ++i)
        expected[i] = of_first[i] + c.weight * of_second[i];
      expect_near(F, expected, tolerance, "F");
    }
}

TEST(CrystalGradients, AddUpWhereFFollowsTheEnergyOfTheLight) {
  const TwoCrystals c = crystals_by_energy();
  const auto weights = weights_of(48 * 48);
  const auto both = value_and_gradient(c.both, weights),
             first = value_and_gradient(c.first, weights),
             second = value_and_gradient(c.second, weights);
  for (const std::size_t element : {0, 1}) {
    std::vector<double> expected = first.gradient.dispersion.at(element).f_prime;
    const auto& more = second.gradient.dispersion.at(element).f_prime;
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += c.weight * more[i];
    expect_near(both.gradient.dispersion.at(element).f_prime, expected, 1e-5, "f'");
  }
  expect_near(both.gradient.parameters.at("misset"), first.gradient.parameters.at("misset"), 1e-5,
              "misset");
  std::vector<double> of_second = second.gradient.parameters.at("misset");
  for (double& x : of_second) x *= c.weight;
  expect_near(both.gradient.parameters.at("crystal[1].misset"), of_second, 1e-5, "misset of 1");
  const auto pixels = visited_pixels(c.both);
  const auto slopes = jvp(c.both, {{"crystal[1].weight", {1.0}}}, pixels);
  const auto light = photons(c.second, reference_engine());
  for (std::size_t i = 0; i < slopes.size(); ++i)
    ASSERT_NEAR(slopes[i], light[i], 1e-4 * light[i] + 1e-9) << i;
}

TEST(CrystalGradients, ForwardsAreThoseBackwards) {
  for (const std::string& kind : kinds())
    for (const ComputeOptions& options : all_engines()) {
      SCOPED_TRACE(kind);
      const TwoCrystals c(kind);
      if (!has_gradients(c.both, options)) continue;
      const auto pixels = visited_pixels(c.both);
      const auto weights = weights_of(pixels.size());
      const auto back = value_and_gradient(c.both, pixels, weights, options);
      const std::vector<std::string> names{"crystal[1].misset", "crystal[1].weight",
                                           "crystal[1].cells",  "misset",
                                           "default_F",         "distance"};
      const Jacobian forward = jacobian(c.both, names, pixels, options);
      const std::size_t columns = forward.columns.size();
      ASSERT_EQ(columns, 12U);
      std::vector<double> sums(columns);
      for (std::size_t i = 0; i < pixels.size(); ++i)
        for (std::size_t k = 0; k < columns; ++k)
          sums[k] += weights[i] * forward.slopes[i * columns + k];
      std::size_t k = 0;
      const double tolerance = options.precision == Precision::float32 ? 1e-4 : 1e-8;
      for (const std::string& name : names) {
        const auto& values = back.gradient.parameters.at(name);
        expect_near(std::span(sums).subspan(k, values.size()), values, tolerance, name);
        k += values.size();
      }
    }
}

/// Without the direct beam, whose light would leave no digits for the rest.
std::vector<double> weights_beside_the_beam() {
  std::vector<double> weights = weights_of(37 * 29);
  for (int slow = 11; slow < 18; ++slow)
    for (int fast = 15; fast < 22; ++fast) weights[static_cast<std::size_t>(slow * 37 + fast)] = 0;
  return weights;
}

TEST(CrystalGradients, AreTheLimitOfDifferences) {
  const ComputeOptions options = reference_engine();
  for (const char* kind : {"-gauss_xtal -block_size_spread 0.2 -mosaic 0.1 -mosaic_domains 3",
                           "-gauss_xtal -block_size_spread 0.2 -block_size_fixed cells"}) {
    Experiment two = without_background(TwoCrystals(kind).both);
    // Where no two axes take their next cell at the same u
    two.crystal.cells = {5.2, 6.1, 7.3};
    two.more_crystals[0].cells = Vec3d{4.1, 6.3, 5.2};
    const SettledExperiment e(two);
    const auto weights = weights_beside_the_beam();
    const auto gradient = value_and_gradient(e, weights, options).gradient.parameters;
    for (const char* name : {"crystal[1].weight", "crystal[1].misset", "crystal[1].cells", "cells",
                             "block_size_spread"}) {
      const std::vector<double> at = parameter(e, name).values;
      for (std::size_t i = 0; i < at.size(); ++i) {
        const auto value_at = [&](double step) {
          std::vector<double> there = at;
          there[i] += step;
          const auto light = photons(with_parameter(e, name, there), options);
          return std::inner_product(light.begin(), light.end(), weights.begin(), 0.0);
        };
        const double step = 1e-5 * std::max(1.0, std::abs(at[i])),
                     slope = (value_at(step) - value_at(-step)) / (2 * step);
        EXPECT_NEAR(gradient.at(name)[i], slope, 2e-5 * std::abs(slope) + 1e-9) << name << i;
      }
    }
  }
}

TEST(CrystalGradients, OfCellsThatAreEqualAlongTheAxesAreTheirCommonOneInEqualParts) {
  const SettledExperiment e(without_background(
      experiment_with_table(first_crystal + "-gauss_xtal -block_size_spread 0.2")));
  const auto weights = weights_beside_the_beam();
  const auto gradient = value_and_gradient(e, weights, reference_engine()).gradient.parameters;
  const std::vector<double>& by_cells = gradient.at("cells");
  const auto value_at = [&](double n) {
    const double cells[3] = {n, n, n};
    const auto light = photons(with_parameter(e, "cells", cells), reference_engine());
    return std::inner_product(light.begin(), light.end(), weights.begin(), 0.0);
  };
  const double slope = (value_at(5.0001) - value_at(4.9999)) / 0.0002;
  for (const double x : by_cells) EXPECT_NEAR(x, slope / 3, 1e-5 * std::abs(slope));
}

TEST(CrystalGradients, OfWhatIsTakenFromTheFirstAreThoseOfTheFirst) {
  const SettledExperiment e(experiment_with_table(
      first_crystal + "-mosaic 0.4 -mosaic_domains 3 -more_crystal 1 2 3 0.5"));
  std::vector<std::string> names;
  for (const Parameter& each : parameters(e)) names.push_back(each.name);
  EXPECT_THAT(names, Contains("crystal[1].weight"));
  EXPECT_THAT(names, Not(Contains("crystal[1].cells")));
  const double changed[3] = {6, 7, 8};
  EXPECT_EQ(resolve(with_parameter(e, "cells", changed)).more_crystals.at(0).cells,
            (Vec3d{6, 7, 8}));
}

// ---- Blocks of many sizes -----------------------------------------------------------------------

/// A mean of f(n) over blocks whose edges have n cells.
template <class F>
double mean_over(const std::vector<BasicBlockSize<double>>& sizes, F&& f) {
  double sum = 0;
  for (const auto& size : sizes) sum += size.weight * f(size.cells.x);
  return sum;
}

TEST(BlockSizes, AreALogNormalDistributionOfWholeNumbers) {
  // Worked out with 15 digits from P(N) = Phi((ln(N+1/2) - m)/s) - Phi((ln(N-1/2) - m)/s)
  const auto sizes = model::block_sizes(Vec3d{10, 10, 10}, 0.2, BlockSizeFixed::edge, 7.5);
  const auto share = [&](double n) {
    return mean_over(sizes, [&](double x) { return x == n ? 1.0 : 0.0; });
  };
  EXPECT_CLOSE_WITHIN(1e-10, share(8), 0.147666961003);
  EXPECT_CLOSE_WITHIN(1e-10, share(10), 0.196725691719);
  EXPECT_CLOSE_WITHIN(1e-10, share(12), 0.100154150325);
  const auto moment = [&](int p) {
    return mean_over(sizes, [&](double n) { return std::pow(n, p); });
  };
  EXPECT_CLOSE_WITHIN(1e-12, moment(0), 1.0);
  EXPECT_CLOSE_WITHIN(1e-9, moment(1), 10.0);
  EXPECT_CLOSE_WITHIN(1e-9, moment(2), 104.164410757);
  EXPECT_CLOSE_WITHIN(1e-9, moment(3), 1129.996852);
  EXPECT_CLOSE_WITHIN(1e-9, moment(6), 1838028.9322);
}

TEST(BlockSizes, WashOutTheFringesAndKeepTheLightOfAPeriod) {
  const auto sizes = model::block_sizes(Vec3d{10, 10, 10}, 0.2, BlockSizeFixed::edge, 7.5);
  const auto at = [&](double h) {
    constexpr double pi = 3.14159265358979323846;
    return mean_over(sizes, [&](double n) {
      return h == 0 ? n * n : std::pow(std::sin(pi * n * h) / std::sin(pi * h), 2);
    });
  };
  EXPECT_CLOSE_WITHIN(1e-9, at(0), 104.164410757);
  EXPECT_CLOSE_WITHIN(1e-9, at(0.02), 88.698139644);
  EXPECT_CLOSE_WITHIN(1e-9, at(0.05), 37.135592513);
  EXPECT_CLOSE_WITHIN(1e-8, at(0.1), 2.828703479);
  EXPECT_CLOSE_WITHIN(1e-8, at(0.15), 2.851188459);
  EXPECT_CLOSE_WITHIN(1e-8, at(0.5), 0.500021469);
}

TEST(BlockSizes, ThatAreSummedLoseLessThanATenThousandthOfThePeak) {
  for (const double n : {5.0, 10.0, 20.0}) {
    const auto summed = model::block_sizes(Vec3d{n, n, n}, 0.2, BlockSizeFixed::edge),
               all = model::block_sizes(Vec3d{n, n, n}, 0.2, BlockSizeFixed::edge, 8);
    const auto peak = [](double x) { return std::pow(x, 6); };
    EXPECT_LT(summed.size(), all.size());
    EXPECT_NEAR(mean_over(summed, peak) / mean_over(all, peak), 1, 1e-4);
    EXPECT_NEAR(mean_over(summed, [](double) { return 1.0; }), 1, 1e-12);
  }
}

TEST(BlockSizes, OfLargeBlocksHaveTheMomentsOfTheLogNormalDistribution) {
  const auto sizes = model::block_sizes(Vec3d{50, 50, 50}, 0.2, BlockSizeFixed::edge, 6);
  const auto moment = [&](int p) {
    return mean_over(sizes, [&](double n) { return std::pow(n / 50, p); });
  };
  EXPECT_NEAR(moment(2), 1.040810774, 1e-4);
  EXPECT_NEAR(moment(3), 1.127496852, 2e-4);
  EXPECT_NEAR(moment(6), 1.822118800, 2e-3);
}

TEST(BlockSizes, KeepTheNumberOfCellsWhereThatIsFixed) {
  const auto cells = [](BlockSizeFixed fixed) {
    double sum = 0;
    for (const auto& size : model::block_sizes(Vec3d{10, 12, 7}, 0.2, fixed))
      sum += size.weight * size.cells.x * size.cells.y * size.cells.z;
    return sum;
  };
  EXPECT_NEAR(cells(BlockSizeFixed::cells), 840, 1e-9);
  EXPECT_NEAR(cells(BlockSizeFixed::edge), 840 * 1.1275, 3);
}

TEST(BlockSizes, MakeThePeakAndTheLightOfASpotGrowAsTheirMoments) {
  // One reflection on the Ewald sphere, in a pixel that holds its peak alone: F_latt^2 = N^6
  const std::string line =
      "-corrected -cell 100 -default_F 100 -N 10 -lambda 1 -detpixels 1 -pixel 1e-4 -oversample 1 "
      "-nopolar -misset 0 0 0 ";
  const double alike = photons(experiment_of(line), reference_engine()).at(0),
               spread = photons(experiment_of(line + "-block_size_spread 0.2"), reference_engine())
                            .at(0),
               fixed = photons(experiment_of(line + "-block_size_spread 0.2 -block_size_fixed "
                                                    "cells"),
                               reference_engine())
                           .at(0);
  EXPECT_NEAR(spread / alike, 1.838028932, 2e-4);
  EXPECT_NEAR(fixed / alike, 1.838028932 / 1.129996852, 2e-4);
}

TEST(BlockSizes, OfTooManyKindsAreRefused) {
  EXPECT_THAT(message_of<UsageError>(
                  [] { resolved_of("-corrected -Na 200 -Nb 311 -Nc 173 -block_size_spread 0.3"); }),
              AllOf(HasSubstr("sizes (-block_size_spread)"), HasSubstr("256")));
}

// ---- Descriptions and refusals ------------------------------------------------------------------

TEST(Crystals, ComeBackFromJson) {
  const Experiment e = experiment_of(any_crystal + first_crystal + second_crystal +
                                     "-more_crystal 1 2 3 -block_size_spread 0.1");
  const Experiment again = experiment_from_json(to_json(e));
  ASSERT_EQ(again.more_crystals.size(), 2U);
  EXPECT_EQ(again.more_crystals[0].misset_deg, (Vec3d{-40, 15, 70}));
  EXPECT_EQ(again.more_crystals[0].weight, 0.37);
  EXPECT_EQ(again.more_crystals[0].cells, (Vec3d{4, 6, 5}));
  EXPECT_EQ(again.more_crystals[1].cells, std::nullopt);
  EXPECT_EQ(again.crystal.block_size_spread, 0.1);
  EXPECT_EQ(simulate(again).image.pixels, simulate(e).image.pixels);
}

TEST(Crystals, AreRefusedWhereTheyMakeNoSense) {
  const auto complaint = [](const std::string& line) {
    return message_of<UsageError>([&] { resolve(experiment_of(any_crystal + line)); });
  };
  EXPECT_THAT(complaint("-more_crystal 1 2 3"), HasSubstr("-more_crystal needs -corrected"));
  EXPECT_THAT(complaint("-block_size_spread 0.2"),
              HasSubstr("-block_size_spread needs -corrected"));
  EXPECT_THAT(complaint("-corrected -more_crystal 1 2 3 -1"),
              HasSubstr("crystal 1: the weight is -1; it must not be negative"));
  EXPECT_THAT(complaint("-corrected -more_crystal 1 2 3 1 5"),
              HasSubstr("-more_crystal needs three angles in degrees"));
}

TEST(Crystals, AreDoubtedOnceAllTogether) {
  const auto warnings = [](const std::string& line) {
    return resolve(experiment_of("-corrected -cell 70 80 90 90 90 90 -default_F 100 -lambda 1 "
                                 "-detpixels 40 -pixel 1 -misset 1 2 3 " +
                                 line))
        .warnings;
  };
  // The sub-pixels that the finest spots of both need
  const auto coarse = warnings("-N 10 -oversample 1 -more_crystal 1 2 3 1 20 20 20");
  ASSERT_EQ(coarse.size(), 1);
  EXPECT_EQ(coarse, warnings("-N 20 -oversample 1 -more_crystal 1 2 3 1 10 10 10"));
  EXPECT_EQ(coarse, warnings("-N 20 -oversample 1"));
  const auto steps = warnings("-N 40 -oversample 20 -osc 2 -more_crystal 1 2 3 1 5 5 5");
  EXPECT_THAT(steps, Contains(HasSubstr("spots between them are lost")));
  EXPECT_EQ(steps, warnings("-N 5 -oversample 20 -osc 2 -more_crystal 1 2 3 1 40 40 40"));
  const std::string gauss = "-gauss_xtal -mosaic_model gaussian ";
  const auto bent = warnings(gauss + "-mosaic 0.01 -N 3000 -more_crystal 1 2 3 1 3000 3000 3000 1");
  ASSERT_EQ(bent.size(), 1);
  EXPECT_THAT(bent[0], HasSubstr("mosaic arcs of 1 degrees are bent by"));
  EXPECT_EQ(bent, warnings(gauss + "-mosaic 1 -N 3000 -more_crystal 1 2 3 1 3000 3000 3000 0.01"));
}

/// What turns the crystal's axes into those of another of the same cell.
Mat3d turn_from(const CrystalAxes& from, const CrystalAxes& to) {
  return transposed(to.real_A) * from.reciprocal_per_A;
}

TEST(Crystals, OfStillsTurnTogetherAsTheyLieToOneAnother) {
  Experiment e = TwoCrystals("").both;
  e.more_crystals.push_back({{80, 5, 0}, 0.2, {}, {}});
  const Resolved as_stated = resolve(e);
  const std::vector<Vec3d> missets{{0, 0, 0}, {70, -20, 130}, {10, 20, 30}};
  const Series stills(e, missets);
  Sweep sweep(stills);
  for (int i = 0; i < stills.images(); ++i) {
    SCOPED_TRACE(i);
    const Experiment still = stills.experiment(i);
    EXPECT_EQ(still.crystal.misset_deg, missets[static_cast<std::size_t>(i)]);
    const Resolved r = resolve(still);
    const Mat3d turn = turn_from(as_stated.axes, r.axes);
    for (std::size_t k = 0; k < 2; ++k) {
      const Mat3d other = turn_from(as_stated.more_crystals[k].axes, r.more_crystals[k].axes);
      EXPECT_NEAR(length(other.a - turn.a) + length(other.b - turn.b) + length(other.c - turn.c), 0,
                  1e-12);
    }
    EXPECT_EQ(still.more_crystals[0].weight, 0.37);
    EXPECT_EQ(sweep.simulation(i).image.pixels, simulate(still).image.pixels);
  }
  // In the orientation of the experiment all lie as it says
  const Experiment same = stills.experiment(2);
  for (std::size_t k = 0; k < 2; ++k)
    EXPECT_LT(length(same.more_crystals[k].misset_deg - e.more_crystals[k].misset_deg), 1e-12);
}

TEST(Crystals, AreAllInTheGeometryAndTheirTrueSpotsSayWhose) {
  const TwoCrystals c("-mosaic 0.4 -mosaic_domains 3");
  const SettledExperiment e(c.both);
  ASSERT_EQ(geometry_of(e).crystals.size(), 2U);
  const auto spots = true_spots(e, simulate(c.both).image);
  std::set<int> crystals;
  for (const PredictedSpot& spot : spots) crystals.insert(spot.experiment);
  EXPECT_EQ(crystals, (std::set{0, 1}));
}

}  // namespace
}  // namespace nablabragg::test
