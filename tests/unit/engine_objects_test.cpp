// Engines as objects: what can be listed, loaded, and given another light or lattice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <tuple>

#include "engine/cutoff.hpp"
#include "engine/engine.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "plan/plan_calculus.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"

namespace nablabragg::test {
namespace {

using testing::ElementsAre;
using testing::Field;

const std::string any_experiment =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
    "-detpixels 40 -pixel 0.9 -oversample 1 -mosaic 0.3 -mosaic_domains 3 ";

std::vector<ComputeOptions> all_options() {
  return {reference_engine(), cpu_engine(Precision::float32), cpu_engine(Precision::float64)};
}

std::vector<double> weights_of(std::size_t pixels) {
  std::vector<double> weights(pixels);
  for (std::size_t i = 0; i < pixels; ++i) weights[i] = 1 + std::sin(double(i));
  return weights;
}

Plan plan_of(const Experiment& e) { return make_plan(e, resolve(e)); }

TEST(EngineObjects, AreListedByName) {
  EXPECT_THAT(engines(),
              ElementsAre(Field(&EngineInfo::name, "reference"), Field(&EngineInfo::name, "cpu"),
                          Field(&EngineInfo::name, "cuda")));
  for (const EngineInfo& each : engines()) {
    EXPECT_NE(each.description, "");
    EXPECT_TRUE(each.why_not_here.empty() || each.engine == Engine::cuda) << each.why_not_here;
    ComputeOptions options;
    options.engine = each.engine;
    EXPECT_EQ(why_not(experiment_with_table(any_experiment), options), each.why_not_here);
  }
}

TEST(EngineObjects, SayWhyTheyDoNotRunHere) {
  const ForcedTarget target("avx9");
  for (const EngineInfo& each : engines()) {
    ComputeOptions options;
    options.engine = each.engine;
    if (each.engine != Engine::cuda) {
      EXPECT_EQ(each.why_not_here.empty(), each.engine == Engine::reference) << each.name;
    }
    EXPECT_EQ(why_not(experiment_with_table(any_experiment), options), each.why_not_here);
  }
}

/// What a loaded plan gives in every way that it can be asked.
struct Answers {
  std::vector<float> image;
  double value;
  Plan adjoint;
  std::vector<double> table, slopes;

  /// `tangent`: a direction for the plan.
  Answers(engine::Loaded& loaded, const Plan& tangent) {
    const std::size_t pixels = loaded.plan().pixels();
    image.resize(pixels);
    loaded.render({}, std::span(image));
    const auto gradient = loaded.pull_back({}, weights_of(pixels));
    value = gradient.value;
    adjoint = gradient.adjoint;
    if (gradient.table) table = gradient.table->values();
    const Plan* const pointer = &tangent;
    std::vector<double> photons(pixels);
    slopes.resize(pixels);
    loaded.push_forward({}, {&pointer, 1}, nullptr, photons, slopes);
  }
  void expect_equal(const Answers& other) const {
    EXPECT_EQ(image, other.image);
    EXPECT_EQ(value, other.value);
    EXPECT_EQ(table, other.table);
    EXPECT_EQ(slopes, other.slopes);
    for_each_number_of_plan([](const double& a, const double& b) { EXPECT_EQ(a, b); }, adjoint,
                            other.adjoint);
  }
};

TEST(EngineObjects, AnotherLightGivesTheBitsOfAPlanLoadedAnew) {
  for (const char* shape : {"", "-gauss_xtal "})
    for (const ComputeOptions& options : all_options()) {
      const std::string line = any_experiment + shape;
      const Plan before = plan_of(experiment_with_table(line)),
                 after = plan_of(experiment_with_table(
                     line + "-lambda 1.1 -dispersion 1 -dispsteps 30 -fluence 1e24 -water 5"));
      ASSERT_NE(before.light.rays.size(), after.light.rays.size());
      const auto loaded = engine::load(before, options);
      const Answers old(*loaded, before);
      loaded->set_light(after);
      const Answers got(*loaded, after), expected(*engine::load(after, options), after);
      got.expect_equal(expected);
      EXPECT_NE(old.image, got.image);
    }
}

TEST(EngineObjects, AnotherLatticeGivesTheBitsOfAPlanLoadedAnew) {
  for (const ComputeOptions& options : all_options()) {
    const Experiment e = experiment_with_table(any_experiment);
    Experiment turned = e, other_table = e;
    turned.crystal.misset_deg = {1, 2, 3};
    turned.crystal.mosaic_domains = 5;
    auto scaled = std::make_shared<StructureFactorGrid>(*cube_table());
    for (double& F : scaled->values()) F *= 3;
    other_table.structure_factors.grid = scaled;
    const auto loaded = engine::load(plan_of(e), options);
    const Answers old(*loaded, plan_of(e));
    for (const Experiment& next : {turned, other_table}) {
      const Plan after = plan_of(next);
      loaded->set_lattice(after);
      const Answers got(*loaded, after);
      got.expect_equal(Answers(*engine::load(after, options), after));
      EXPECT_NE(old.image, got.image);
    }
  }
}

TEST(EngineObjects, OfSumsInClosedFormTakeAnotherLightOrLatticeWithTheBitsOfAPlanLoadedAnew) {
  const std::string line =
      "-corrected -gauss_xtal -cell 70 80 90 -default_F 100 -N 8 -misset 10 20 30 -lambda 1 "
      "-distance "
      "100 -detpixels 40 -pixel 0.9 -fluence 1e24 -osc 0.2 -mosaic_model gaussian -mosaic_axes 0.1 "
      "0.2 "
      "0.3 -spectrum_model gaussian -beam_model gaussian ";
  for (const ComputeOptions& options : all_options()) {
    const Plan before = plan_of(experiment_of(line));
    for (const bool light : {false, true}) {
      const Plan after = plan_of(experiment_of(
          line + (light ? "-dispersion 1 -divergence 2 -lambda 1.1 -water 5" : "-phi 40")));
      const auto loaded = engine::load(before, options);
      const Answers old(*loaded, before);
      if (light)
        loaded->set_light(after);
      else
        loaded->set_lattice(after);
      const Answers got(*loaded, after);
      got.expect_equal(Answers(*engine::load(after, options), after));
      EXPECT_NE(old.image, got.image);
    }
  }
}

TEST(EngineObjects, KeepTheBackgroundWhileOnlyTheLatticeChanges) {
  for (const char* shape : {"", "-gauss_xtal ", "-gauss_xtal -mosaic_model gaussian "})
    for (const ComputeOptions& options : all_options()) {
      const std::string line =
          "-corrected -cell 70 80 90 -default_F 100 -N 8 -misset 10 20 30 -mosaic 0.2 "
          "-mosaic_domains 3 -distance 100 -detpixels 40 -pixel 0.9 -oversample 2 -fluence 1e24 " +
          std::string(shape);
      const auto plan = [&](const std::string& more) {
        return plan_of(experiment_of(line + more));
      };
      const auto image = [](engine::Loaded& loaded) {
        std::vector<double> photons(loaded.plan().pixels());
        loaded.render({}, std::span(photons));
        return photons;
      };
      const auto anew = [&](const Plan& of) { return image(*engine::load(of, options)); };
      const std::string water = "-lambda 1 -water 5 ", more = "-lambda 1.1 -water 7 ";
      const auto loaded = engine::load(plan(water), options);
      for (const char* phi : {"-phi 10", "-phi 20", "-phi 30"}) {
        loaded->set_lattice(plan(water + phi));
        EXPECT_EQ(image(*loaded), anew(plan(water + phi))) << line << phi;
      }
      loaded->set_light(plan(more + "-phi 30"));
      for (const char* phi : {"-phi 30", "-phi 40"}) {
        EXPECT_EQ(image(*loaded), anew(plan(more + phi))) << line << phi;
        loaded->set_lattice(plan(more + "-phi 40"));
      }
    }
}

// ---- Stopping ---------------------------------------------------------------------------------

/// Work of minutes in a single tile: 4 x 4 pixels.
const std::string expensive_pixels =
    "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -N 5 -lambda 1 -distance 100 "
    "-detpixels 4 -pixel 9 -mosaic 0.3 ";

TEST(Stopping, EndsWorkWithinExpensivePixelsForEveryEngineImageAndGradient) {
  // Many orientations, many sub-pixels, interpolated and not
  for (const char* way : {"-oversample 40 -mosaic_domains 100000 -interpolate",
                          "-oversample 40 -mosaic_domains 100000 -nointerpolate",
                          "-oversample 3000 -mosaic_domains 30 -nointerpolate -gauss_xtal"}) {
    const Experiment e = experiment_with_table(expensive_pixels + way);
    for (ComputeOptions options : all_options()) {
      using Clock = std::chrono::steady_clock;
      Clock::time_point asked;
      options.threads = 1;
      options.progress = [&](double) {
        asked = Clock::now();
        return false;
      };
      const auto ends_soon = [&](auto&& work) {
        EXPECT_THROW(work(), Cancelled) << way;
        EXPECT_LT(Clock::now() - asked, std::chrono::seconds(5)) << way;
      };
      ends_soon([&] { simulate(e, options); });
      ends_soon([&] { value_and_gradient(e, weights_of(4 * 4), options); });
    }
  }
}

TEST(Stopping, PassesOnWhatTheProgressFunctionThrows) {
  const Experiment e = experiment_with_table(any_experiment);
  for (ComputeOptions options : all_options()) {
    options.progress = [](double) -> bool { throw InputError("reactor", 0, "scrammed"); };
    EXPECT_THROW(simulate(e, options), InputError);
    EXPECT_THROW(value_and_gradient(e, weights_of(40 * 40), options), InputError);
  }
}

TEST(Stopping, AsksWhileTheFirstPartIsNotYetDone) {
  const Experiment e = experiment_with_table(expensive_pixels +
                                             "-oversample 40 -mosaic_domains 100000");
  ComputeOptions options = cpu_engine(Precision::float32);
  int asked = 0;
  options.progress = [&](double share) {
    EXPECT_EQ(share, 0);
    return ++asked < 3;
  };
  EXPECT_THROW(simulate(e, options), Cancelled);
  EXPECT_EQ(asked, 3);
}

// ---- Where interpolation ends -------------------------------------------------------------------

TEST(InterpolationCutoff, IsTheFirstMissOfAllPixelsInRasterOrder) {
  for (const char* misset : {"10 20 30", "50 20 0", "0 0 0", "5 5 80"}) {
    const Experiment e = experiment_with_table(
        "-compat -interpolate -cell 70 80 90 85 95 105 -N 3 -lambda 1 -distance 60 -detpixels 90 "
        "-pixel 0.9 -oversample 1 -misset " +
        std::string(misset));
    const Plan plan = plan_of(e);
    const engine::GridView grid(plan.lattice.grid.get());
    std::optional<TableMiss> first;
    for (int slow = 0; slow < 90 && !first; ++slow)
      for (int fast = 0; fast < 90 && !first; ++fast) {
        const auto pixel = engine::sum_pixel(plan, plan.panels[0], grid, fast, slow,
                                             engine::all_steps, engine::NoVisitor{});
        if (pixel.first_miss != engine::all_steps)
          first = TableMiss{fast, slow, 0, pixel.first_miss};
      }
    const auto found = engine::find_first_miss(plan, 0, engine::never_stopped);
    ASSERT_TRUE(first && found) << misset;
    EXPECT_EQ(std::tie(found->fast, found->slow, found->lookup),
              std::tie(first->fast, first->slow, first->lookup))
        << misset;
  }
}

// ---- Derivatives by the reference engine --------------------------------------------------------

double weighted_sum(const std::vector<double>& photons, const std::vector<double>& weights) {
  return std::inner_product(weights.begin(), weights.end(), photons.begin(), 0.0);
}

TEST(ReferenceDerivatives, HaveTheValueOfTheReferenceImageWhateverThePrecision) {
  const Experiment e = experiment_with_table(any_experiment);
  const auto weights = weights_of(40 * 40);
  ComputeOptions options = reference_engine();
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    options.precision = precision;
    const std::vector<double> image = photons(e, options);
    const std::vector<float> rounded(image.begin(), image.end());
    EXPECT_EQ(rounded, simulate(e, reference_engine()).image.pixels);
    EXPECT_EQ(value_and_gradient(e, weights, options).value, weighted_sum(image, weights));
    const auto of_loss = value_and_gradient(
        e,
        [&](std::span<const double> seen, std::span<double> slopes) {
          std::copy(weights.begin(), weights.end(), slopes.begin());
          EXPECT_TRUE(std::equal(seen.begin(), seen.end(), image.begin()));
          return weighted_sum({seen.begin(), seen.end()}, weights);
        },
        options);
    EXPECT_EQ(of_loss.value, weighted_sum(image, weights));
    EXPECT_EQ(of_loss.gradient.parameters,
              value_and_gradient(e, weights, options).gradient.parameters);
  }
  // Not what the mixed-precision kernels compute
  EXPECT_NE(photons(e, options), photons(e, cpu_engine(Precision::float32)));
}

TEST(ReferenceDerivatives, AreThoseOfItsOwnImage) {
  const Experiment e = experiment_with_table(any_experiment);
  const auto weights = weights_of(40 * 40);
  const auto gradient = value_and_gradient(e, weights, reference_engine()).gradient.parameters;
  for (const char* name : {"distance", "wavelength", "phi", "pixel_size"}) {
    const double at = parameter(e, name).values[0], step = 1e-6 * std::max(1.0, std::abs(at));
    const auto value_at = [&](double x) {
      return weighted_sum(photons(with_parameter(e, name, {&x, 1}), reference_engine()), weights);
    };
    const double slope = (value_at(at + step) - value_at(at - step)) / (2 * step);
    EXPECT_NEAR(gradient.at(name)[0], slope, 1e-5 * std::abs(slope)) << name;
  }
}

TEST(Derivatives, InDoublePrecisionHaveTheValueOfTheirOwnImage) {
  const Experiment e = experiment_with_table(any_experiment);
  const auto weights = weights_of(40 * 40);
  const auto options = cpu_engine(Precision::float64);
  const double expected = weighted_sum(photons(e, options), weights);
  EXPECT_NEAR(value_and_gradient(e, weights, options).value, expected, 1e-13 * std::abs(expected));
}

}  // namespace
}  // namespace nablabragg::test
