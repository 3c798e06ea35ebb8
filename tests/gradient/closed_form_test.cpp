// Gradients of images in closed form: beside differences, both ways, in both precisions.
#include <gtest/gtest.h>

#include <cmath>

#include "description/parameter_table.hpp"
#include "nablabragg/gradient.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"

namespace nablabragg::test {
namespace {

const std::string crystal =
    "-corrected -cell 60 70 80 85 95 100 -default_F 100 -misset 10 20 30 -gauss_xtal -lambda 1.1 "
    "-fluence 1e24 -distance 70 -Xbeam 3.1 -Ybeam 2.9 ";

struct Case {
  const char* name;
  std::string flags;
};
/// Each of the terms, alone and together.
const std::vector<Case> cases{
    {"a still of one block", "-N 12 -detpixels 64 -pixel 0.1 -summation closed"},
    {"mosaic", "-N 12 -detpixels 64 -pixel 0.1 -mosaic 0.4 -mosaic_model gaussian"},
    {"three mosaic spreads",
     "-N 12 -detpixels 64 -pixel 0.1 -mosaic_axes 0.2 0.4 0.6 -mosaic_model gaussian"},
    {"a spectrum", "-N 12 -detpixels 64 -pixel 0.1 -dispersion 1.5 -spectrum_model gaussian"},
    {"a divergent beam",
     "-N 12 -detpixels 64 -pixel 0.1 -hdivrange 3 -vdivrange 1 -beam_model gaussian"},
    {"a slice", "-N 12 -detpixels 64 -pixel 0.1 -phi 12 -osc 0.3 -summation closed"},
    {"a narrow slice", "-N 12 -detpixels 64 -pixel 0.1 -phi 12 -osc 0.01 -summation closed"},
    {"a slice that turns backwards in several pieces",
     "-N 8 -detpixels 64 -pixel 0.1 -phi 12 -osc -1.3 -summation closed"},
    {"all of them",
     "-N 12 -detpixels 64 -pixel 0.1 -mosaic 0.3 -mosaic_model gaussian -dispersion 0.6 "
     "-spectrum_model gaussian -divergence 1.5 -beam_model gaussian -phi 5 -osc 0.4"},
    {"spots that are round in 1/Angstrom",
     "-N 12 -detpixels 40 -pixel 0.15 -spot_metric round -fudge 1.3 -mosaic 0.3 -mosaic_model "
     "gaussian"},
    {"nanoBragg's metric",
     "-Na 5 -Nb 6 -Nc 7 -detpixels 40 -pixel 0.15 -spot_metric reciprocal -fudge 0.8 -mosaic 0.2 "
     "-mosaic_model gaussian -fluence 1e28"},
    {"spots smaller than pixels",
     "-N 40 -detpixels 24 -pixel 0.25 -mosaic 0.05 -mosaic_model "
     "gaussian -dispersion 0.2 -spectrum_model gaussian"},
    {"plain sub-pixels",
     "-N 12 -detpixels 32 -pixel 0.2 -oversample 2 -mosaic 0.4 -mosaic_model "
     "gaussian"},
    {"layers of a tilted sensor, polarized light and water",
     "-N 12 -detpixels 40 -pixel 0.15 -detector_thick 450 -detector_abs 500 -detector_thicksteps 3 "
     "-detector_rotx 5 -detector_roty -8 -polar 0.8 -water 3 -mosaic 0.3 -mosaic_model gaussian "
     "-osc 0.2"},
    {"a curved detector",
     "-N 12 -detpixels 40 -pixel 0.15 -curved_det -mosaic 0.3 -mosaic_model "
     "gaussian -dispersion 0.6 -spectrum_model gaussian"},
};

ComputeOptions in_double(ComputeOptions options = fast_engine(Precision::float64)) {
  options.skip_below = 0;
  return options;
}
/// What differences are of, whose many images another engine may take long for.
ComputeOptions image_in_double() { return in_double(cpu_engine(Precision::float64)); }

std::vector<double> weights_of(const SettledExperiment& e) {
  std::vector<double> weights(visited_pixels(e).size());
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = 1 + 0.7 * std::sin(0.37 * static_cast<double>(i));
  return weights;
}

double sum_of(const std::vector<double>& photons, const std::vector<double>& weights,
              const std::vector<double>& signs = {}) {
  double sum = 0;
  for (std::size_t i = 0; i < photons.size(); ++i)
    sum += photons[i] * weights[i] * (signs.empty() ? 1 : signs[i]);
  return sum;
}

class ClosedFormGradients : public testing::TestWithParam<Case> {
 protected:
  const SettledExperiment experiment{experiment_of(crystal + GetParam().flags)};
  const std::vector<double> weights = weights_of(experiment);
};

TEST_P(ClosedFormGradients, AreTheDifferencesOfTheImage) {
  ASSERT_TRUE(experiment.resolved().closed);
  const auto options = image_in_double();
  const auto got = value_and_gradient(experiment, weights, in_double());
  const auto image = photons(experiment, options);
  const double value = sum_of(image, weights);
  ASSERT_GT(value, 0);
  EXPECT_NEAR(got.value, value, 1e-9 * value);
  int compared = 0, bent = 0;
  for (const Parameter& p : parameters(experiment))
    for (std::size_t i = 0; i < p.values.size(); ++i) {
      const auto at = [&](double shift) {
        std::vector<double> values = p.values;
        values[i] += shift;
        return photons(SettledExperiment(with_parameter(experiment, p.name, values)), options);
      };
      // Of fourth order; of half the step the same, but where the image bends in between
      struct Difference {
        double sum = 0, scale = 0;
      };
      const auto difference = [&](double step) {
        const auto a = at(-2 * step), b = at(-step), c = at(step), d = at(2 * step);
        Difference out;
        for (std::size_t n = 0; n < image.size(); ++n) {
          const double slope = weights[n] * (8 * (c[n] - b[n]) - (d[n] - a[n])) / (12 * step);
          out.sum += slope;
          out.scale += std::abs(slope);
        }
        return out;
      };
      const double step = 2e-5 * std::max(std::abs(p.values[i]), 0.1);
      const auto [sum, scale] = difference(step);
      const double allowed = 1e-7 * scale + 1e-13 * value / step;
      ++compared;
      // Where phi is held at the end of a slice the second order bends.
      if (std::abs(difference(step / 2).sum - sum) > allowed / 2) {
        ++bent;
        continue;
      }
      EXPECT_NEAR(got.gradient.parameters.at(p.name)[i], sum, allowed) << p.name << '[' << i << ']';
    }
  EXPECT_LE(bent, compared / 5);
}

TEST_P(ClosedFormGradients, AreTheSameForwards) {
  const auto options = in_double();
  const auto pixels = visited_pixels(experiment);
  const auto pulled = value_and_gradient(experiment, pixels, weights, options);
  for (const Parameter& p : parameters(experiment)) {
    const std::vector<std::string> names{p.name};
    const Jacobian forwards = jacobian(experiment, names, pixels, options);
    const std::size_t columns = forwards.columns.size();
    EXPECT_NEAR(sum_of(forwards.photons, weights), pulled.value, 1e-12 * pulled.value);
    for (std::size_t k = 0; k < columns; ++k) {
      double sum = 0, scale = 0;
      for (std::size_t i = 0; i < pixels.size(); ++i) {
        sum += weights[i] * forwards.slopes[i * columns + k];
        scale += std::abs(weights[i] * forwards.slopes[i * columns + k]);
      }
      EXPECT_NEAR(pulled.gradient.parameters.at(p.name)[k], sum,
                  1e-10 * scale + 1e-12 * pulled.value)
          << p.name << '[' << k << ']';
    }
  }
}

TEST_P(ClosedFormGradients, InSinglePrecisionAreCloseAndDoNotDependOnThreads) {
  const auto exact = value_and_gradient(experiment, weights, in_double());
  ComputeOptions single = fast_engine(Precision::float32);
  single.threads = 1;
  const auto got = value_and_gradient(experiment, weights, single);
  single.threads = 2;
  const auto of_two = value_and_gradient(experiment, weights, single);
  EXPECT_NEAR(got.value, exact.value, 1e-5 * exact.value);
  EXPECT_EQ(got.value, of_two.value);
  EXPECT_EQ(got.gradient.parameters, of_two.gradient.parameters);
  const auto pixels = visited_pixels(experiment);
  for (const Parameter& p : parameters(experiment)) {
    const std::vector<std::string> names{p.name};
    const Jacobian slopes = jacobian(experiment, names, pixels, in_double());
    for (std::size_t k = 0; k < p.values.size(); ++k) {
      double scale = 0;
      for (std::size_t i = 0; i < pixels.size(); ++i)
        scale += std::abs(weights[i] * slopes.slopes[i * p.values.size() + k]);
      EXPECT_NEAR(got.gradient.parameters.at(p.name)[k], exact.gradient.parameters.at(p.name)[k],
                  1e-3 * scale + 1e-9 * exact.value)
          << p.name << '[' << k << ']';
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Of, ClosedFormGradients, testing::ValuesIn(cases), [](const auto& each) {
  std::string name;
  for (const char* c = each.param.name; *c; ++c)
    name += std::isalnum(static_cast<unsigned char>(*c)) ? *c : '_';
  return name;
});

TEST(ClosedFormGradientsOfF, AreTheDifferencesOfTheImageForEachReflection) {
  Experiment e = experiment_of(crystal +
                               "-N 12 -detpixels 64 -pixel 0.1 -mosaic 0.4 -mosaic_model gaussian");
  const auto table = std::make_shared<StructureFactorGrid>(MillerIndex{-6, -7, -8},
                                                           MillerIndex{6, 7, 8}, 50.0);
  for (std::size_t i = 0; i < table->values().size(); ++i)
    table->values()[i] = 60 + 40 * std::sin(0.9 * static_cast<double>(i));
  e.structure_factors.grid = table;
  const auto weights = weights_of(e);
  const auto got = value_and_gradient(e, weights, in_double());
  int bright = 0;
  for (std::size_t i = 0; i < table->values().size(); ++i) {
    const double slope = got.gradient.structure_factors->values()[i];
    if (std::abs(slope) < 1e-3 * got.value) continue;
    ++bright;
    auto changed = std::make_shared<StructureFactorGrid>(*table);
    const auto value_at = [&](double shift) {
      changed->values()[i] = table->values()[i] + shift;
      e.structure_factors.grid = changed;
      return sum_of(photons(e, image_in_double()), weights);
    };
    // A parabola has no error in its central difference.
    EXPECT_NEAR(slope, (value_at(1) - value_at(-1)) / 2, 1e-8 * std::abs(slope)) << i;
  }
  EXPECT_GE(bright, 4);
}

}  // namespace
}  // namespace nablabragg::test
