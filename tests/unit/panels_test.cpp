// Several panels in one experiment: each is what it would be alone, whoever computes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/parameters.hpp"
#include "support/engines.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::Contains;
using testing::HasSubstr;

const std::string crystal =
    "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -lambda 1 -oversample 2 "
    "-mosaic 0.3 -mosaic_domains 2 -water 3 ";
const std::string first_panel = "-distance 100 -detpixels_f 37 -detpixels_s 21 -pixel 1 ";
const std::string second_panel =
    "-distance 140 -detpixels_f 18 -detpixels_s 40 -pixel 0.7 -detector_rotx 4 -detector_roty -7 "
    "-Xbeam 3 -Ybeam 40 -detector_thick 300 -detector_abs 400 -thicksteps 2 ";

/// The experiment of two panels, and that of each of them alone.
struct Panels {
  Experiment both, first, second;

  explicit Panels(const std::string& more = "-corrected ")
      : both(experiment_of(crystal + first_panel + more)),
        first(both),
        second(experiment_of(crystal + second_panel + more)) {
    both.more_panels.push_back({second.detector, {}, {}});
  }

  /// A region of interest and a mask for each of them.
  void narrow() {
    both.sampling.roi = first.sampling.roi = {2, 30, 3, 19};
    both.more_panels[0].roi = second.sampling.roi = {1, 15, 5, 38};
    auto mask = std::make_shared<Mask>(Mask{18, 40, std::vector<std::uint8_t>(18 * 40, 1)});
    for (std::size_t i = 0; i < mask->keep.size(); i += 3) mask->keep[i] = 0;
    both.more_panels[0].mask = second.sampling.mask = mask;
  }
};

std::vector<ComputeOptions> all_engines() {
  return {reference_engine(), cpu_engine(Precision::float32), cpu_engine(Precision::float64)};
}

std::vector<float> joined(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

std::vector<double> weights_of(std::size_t pixels) {
  std::vector<double> weights(pixels);
  for (std::size_t i = 0; i < pixels; ++i) weights[i] = 1 + std::sin(double(i));
  return weights;
}

/// Within rounding of sums whose order may differ.
void expect_near(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double size = 0;
  for (const double x : expected) size = std::max(size, std::abs(x));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], tolerance * size + 1e-300) << what << ' ' << i;
}

TEST(Panels, RenderToTheBitsThatEachHasAlone) {
  for (const char* more : {"-corrected ", "-compat ", "-corrected -gauss_xtal "})
    for (const bool narrowed : {false, true})
      for (const ComputeOptions& options : all_engines()) {
        Panels p(more);
        if (narrowed) p.narrow();
        const Simulation both = simulate(p.both, options), first = simulate(p.first, options),
                         second = simulate(p.second, options);
        EXPECT_EQ(both.image.pixels, joined(first.image.pixels, second.image.pixels)) << more;
        EXPECT_EQ(both.image.panels(), 2U);
        const PanelImage of_second = both.image.panel(1);
        EXPECT_EQ(of_second.fast_pixels, 18);
        EXPECT_EQ(of_second.slow_pixels, 40);
        EXPECT_EQ(of_second.first_pixel, 37U * 21U);
        EXPECT_EQ(both.image.at(PixelIndex{5, 20, 1}), second.image.at(5, 20));
        EXPECT_EQ(both.engine.steps, first.engine.steps + second.engine.steps);
        EXPECT_EQ(both.statistics.pixels, first.statistics.pixels + second.statistics.pixels);
        EXPECT_NEAR(both.statistics.sum, first.statistics.sum + second.statistics.sum,
                    1e-12 * both.statistics.sum);
        EXPECT_EQ(both.statistics.max, std::max(first.statistics.max, second.statistics.max));
        EXPECT_GT(first.statistics.sum, 0);
        EXPECT_GT(second.statistics.sum, 0);
      }
}

TEST(Panels, InterpolationEndsForEachAsIfItWereAlone) {
  // each panel leaves the table somewhere, the second one in its middle
  for (const ComputeOptions& options : all_engines()) {
    Panels p("-compat -interpolate ");
    p.both.structure_factors.grid = p.first.structure_factors.grid = p.second.structure_factors
                                                                         .grid = cube_table();
    const Simulation both = simulate(p.both, options), first = simulate(p.first, options),
                     second = simulate(p.second, options);
    EXPECT_EQ(both.image.pixels, joined(first.image.pixels, second.image.pixels));
    ASSERT_TRUE(first.table_miss || second.table_miss);
    ASSERT_TRUE(both.table_miss);
    EXPECT_EQ(both.table_miss->panel, first.table_miss ? 0 : 1);
  }
}

TEST(Panels, AreLeftOutWhereTheirRegionHoldsNoPixels) {
  for (const ComputeOptions& options : all_engines())
    for (const bool first_left_out : {false, true}) {
      Panels p;
      p.narrow();
      const Simulation both = simulate(p.both, options);
      (first_left_out ? p.both.sampling.roi : p.both.more_panels[0].roi) = no_pixels;
      const Experiment& alone = first_left_out ? p.second : p.first;
      const Simulation one = simulate(p.both, options), of_alone = simulate(alone, options);
      std::vector<float> first(37 * 21), second(18 * 40);
      (first_left_out ? second : first) = of_alone.image.pixels;
      EXPECT_EQ(one.image.pixels, joined(first, second));
      EXPECT_EQ(one.statistics.pixels, of_alone.statistics.pixels);
      EXPECT_EQ(one.statistics.max_panel, first_left_out ? 1 : 0);
      EXPECT_EQ(one.engine.steps, of_alone.engine.steps);
      // A list of pixels asks for no region.
      const std::vector<PixelIndex> list{{5, 7, 0}, {5, 20, 1}};
      EXPECT_EQ(simulate_pixels(p.both, list, options),
                (std::vector<float>{both.image.at(list[0]), both.image.at(list[1])}));

      const CountedImage counts = count_photons(p.both, one.image, 3);
      const std::size_t begin = first_left_out ? 0 : 37 * 21;
      for (std::size_t i = 0; i < (first_left_out ? 37U * 21 : 18U * 40); ++i) {
        const bool in_gap = !first_left_out && !p.both.more_panels[0].mask->keep[i];
        EXPECT_EQ(counts.counts[begin + i], in_gap ? gap_pixel : masked_pixel);
      }
    }
}

TEST(Panels, OfAnotherSizeThanTheExperimentsAreNotCounted) {
  const Panels p;
  Image image = simulate(p.both).image;
  std::swap(image.more_panels[0].fast_pixels, image.more_panels[0].slow_pixels);
  EXPECT_EQ(message_of<UsageError>([&] { count_photons(p.both, image, 3); }),
            "the image is none of this experiment: its panels have other sizes");
}

TEST(Panels, HaveGradientsOfThoseThatAreComputed) {
  Panels p;
  p.both.more_panels[0].roi = no_pixels;
  const auto weights = weights_of(37 * 21 + 18 * 40);
  const auto of_first = std::span(weights).first(37 * 21);
  const ValueAndGradient both = value_and_gradient(p.both, weights),
                         first = value_and_gradient(p.first, of_first);
  EXPECT_NEAR(both.value, first.value, 1e-9 * std::abs(first.value));
}

TEST(Panels, OfWhichNoneHasPixelsAreRefused) {
  Panels p;
  p.both.sampling.roi = p.both.more_panels[0].roi = no_pixels;
  EXPECT_EQ(message_of<UsageError>([&] { simulate(p.both); }),
            "the regions of interest (-roi) hold no pixel of any panel");
  // Of the only panel it is a region without pixels, as any other.
  p.first.sampling.roi = no_pixels;
  EXPECT_THAT(message_of<UsageError>([&] { simulate(p.first); }),
              HasSubstr("(-roi 1 0 1 0) holds no pixel of the 37 x 21 detector"));
  p.both.more_panels[0].roi = {5, 4, 0, 0};
  EXPECT_THAT(message_of<UsageError>([&] { simulate(p.both); }),
              HasSubstr("(-roi 5 4 0 0) holds no pixel of the 18 x 40 panel 1"));
}

TEST(Panels, HaveTheSameBitsForAnyNumberOfThreads) {
  const Panels p;
  const auto weights = weights_of(37 * 21 + 18 * 40);
  for (ComputeOptions options : all_engines()) {
    options.threads = 1;
    const auto image = simulate(p.both, options).image.pixels;
    const auto gradient = value_and_gradient(p.both, weights, options);
    options.threads = 5;
    EXPECT_EQ(simulate(p.both, options).image.pixels, image);
    const auto again = value_and_gradient(p.both, weights, options);
    EXPECT_EQ(again.value, gradient.value);
    EXPECT_EQ(again.gradient.parameters, gradient.gradient.parameters);
  }
}

TEST(Panels, AreListedPixelByPixelAsInTheImage) {
  for (const ComputeOptions& options : all_engines()) {
    if (options.precision == Precision::float32 && options.engine == Engine::cpu) continue;
    Panels p;
    p.narrow();
    const auto list = visited_pixels(p.both);
    const Image image = simulate(p.both, options).image;
    const std::vector<float> listed = simulate_pixels(p.both, list, options);
    ASSERT_EQ(listed.size(), list.size());
    EXPECT_THAT(list, Contains(testing::Field(&PixelIndex::panel, 1)));
    for (std::size_t i = 0; i < list.size(); ++i)
      EXPECT_NEAR(listed[i], image.at(list[i]), 1e-6 * image.at(list[i])) << i;
  }
}

TEST(Panels, GradientsAreTheSumOverPanelsAndEachPanelsOwn) {
  for (const ComputeOptions& options : all_engines()) {
    const Panels p;
    const std::size_t n = 37 * 21, m = 18 * 40;
    const auto weights = weights_of(n + m);
    const std::span all(weights);
    const auto both = value_and_gradient(p.both, weights, options),
               first = value_and_gradient(p.first, all.first(n), options),
               second = value_and_gradient(p.second, all.last(m), options);
    const double tolerance = options.precision == Precision::float32 ? 1e-5 : 1e-9;
    EXPECT_NEAR(both.value, first.value + second.value, 1e-12 * std::abs(both.value));
    for (const auto& [name, values] : both.gradient.parameters) {
      if (name.starts_with("panel[1].")) {
        expect_near(values, second.gradient.parameters.at(name.substr(9)), tolerance, name);
        continue;
      }
      const bool of_first_panel = both.gradient.parameters.contains("panel[1]." + name);
      std::vector<double> expected = first.gradient.parameters.at(name);
      if (!of_first_panel) {
        const auto& more = second.gradient.parameters.at(name);
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += more[i];
      }
      expect_near(values, expected, tolerance, name);
    }
    EXPECT_TRUE(both.gradient.parameters.contains("panel[1].distance"));
    EXPECT_TRUE(both.gradient.parameters.contains("panel[1].attenuation_depth"));
  }
}

TEST(Panels, DerivativesForwardsAreThoseOfEachPanelAlone) {
  const std::vector<std::string> names{"distance", "panel[1].distance", "misset"};
  const std::vector<PixelIndex> list{{5, 6, 0}, {7, 30, 1}, {30, 20, 0}, {0, 0, 1}};
  for (const ComputeOptions& options : all_engines()) {
    const Panels p;
    const Jacobian both = jacobian(p.both, names, list, options);
    ASSERT_EQ(both.columns.size(), 5U);
    const double tolerance = options.precision == Precision::float32 ? 1e-4 : 1e-9;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const PixelIndex alone{list[i].fast, list[i].slow};
      const bool in_first = list[i].panel == 0;
      const std::vector<std::string> own{"distance", "misset"};
      const Jacobian expected = jacobian(in_first ? p.first : p.second, own, {&alone, 1}, options);
      EXPECT_NEAR(both.photons[i], expected.photons[0], tolerance * expected.photons[0]);
      const std::span row = std::span(both.slopes).subspan(5 * i, 5);
      EXPECT_EQ(row[in_first ? 1 : 0], 0);
      const std::vector<double> got{row[in_first ? 0 : 1], row[2], row[3], row[4]};
      expect_near(got, expected.slopes, tolerance, std::to_string(i));
    }
    const auto slopes = jvp(p.both, {{"panel[1].distance", {2.0}}}, list, options);
    for (std::size_t i = 0; i < list.size(); ++i)
      EXPECT_NEAR(slopes[i], 2 * both.slopes[5 * i + 1], 1e-4 * std::abs(both.slopes[5 * i + 1]));
  }
}

TEST(Panels, ATracedPixelTakesTheStepsThatItsPanelAloneTakes) {
  const Panels p;
  const Plan plan = make_plan(p.both, resolve(p.both));
  const engine::GridView grid(nullptr);
  std::vector<engine::StepRecord> steps;
  const auto pixel = engine::sum_pixel(plan, plan.panels[1], grid, 7, 30, engine::all_steps,
                                       StepRecorder{steps});
  const WatchedPixel alone = pixel_of(p.second, 7, 30);
  EXPECT_EQ(pixel.photons, alone.pixel.photons);
  ASSERT_EQ(steps.size(), alone.steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].at.position, alone.steps[i].at.position);
    EXPECT_EQ(steps[i].hkl, alone.steps[i].hkl);
    EXPECT_EQ(steps[i].sum, alone.steps[i].sum);
  }
  EXPECT_EQ(simulate(p.both, reference_engine()).image.at(PixelIndex{7, 30, 1}),
            static_cast<float>(pixel.photons));
}

TEST(Panels, HaveParametersThatCanBeChangedByName) {
  const Panels p;
  EXPECT_EQ(parameter(p.both, "panel[1].distance").values, std::vector{140.0});
  const double moved = 150;
  const Experiment changed = with_parameter(p.both, "panel[1].distance", {&moved, 1});
  EXPECT_EQ(changed.more_panels[0].detector.distance_mm, 150);
  EXPECT_EQ(changed.detector.distance_mm, 100);
}

TEST(Panels, HaveParametersWhereTheirOwnDetectorHasThem) {
  const Panels p;
  std::vector<std::string> names;
  for (const Parameter& each : parameters(p.both)) names.push_back(each.name);
  EXPECT_THAT(names, Contains("panel[1].sensor_thickness"));
  EXPECT_THAT(names, testing::Not(Contains("sensor_thickness")));
}

// ---- Panels that move ---------------------------------------------------------------------------

/// A panel that -pix0_vector and axes place, of the custom convention.
const std::string placed_panel =
    "-pix0_vector 0.1 -0.012 0.009 -fdet_vector 0 0 1 -sdet_vector 0 -1 0 -detpixels 24 -pixel 1 ";

Vec3d corner_of(const Experiment& e) { return resolve(e).panel.origin; }

void expect_vector(const Vec3d& got, const Vec3d& expected, double tolerance = 1e-12) {
  EXPECT_NEAR(got.x, expected.x, tolerance);
  EXPECT_NEAR(got.y, expected.y, tolerance);
  EXPECT_NEAR(got.z, expected.z, tolerance);
}

TEST(MovedPanels, ShiftAlongTheirOwnAxesAndTheirCrossProduct) {
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  e.detector.shift_mm = Vec3d{1, 2, 4};
  // fast is z, slow is -y, their cross product x
  expect_vector(corner_of(e), {0.1 + 0.004, -0.012 - 0.002, 0.009 + 0.001});
}

TEST(MovedPanels, TurnAboutTheirMiddle) {
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  const auto middle = [&] {
    const Panel p = resolve(e).panel;
    return p.origin + 0.012 * p.fast + 0.012 * p.slow;
  };
  const Vec3d before = middle();
  e.detector.turn_deg = Vec3d{0, 0, 90};
  expect_vector(middle(), before);
  // About the cross product, fast goes to where slow was
  expect_vector(resolve(e).panel.fast, {0, -1, 0});
  expect_vector(resolve(e).panel.slow, {0, 0, -1});
}

TEST(MovedPanels, GoWithTheirGroupAndTheGroupItIsIn) {
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  e.more_panels.push_back({e.detector, {}, {}});
  e.more_panels[0].detector.group = "inner";
  // Turns about z through (0.1, 0, 0) m, then shifts along x
  e.detector_groups = {
      {"outer", "", {100, 0, 0}, {1, 0, 0}, {0, 1, 0}, {7, 0, 0}, {0, 0, 0}},
      {"inner", "outer", {100, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 0}, {0, 0, 90}}};
  const Resolved r = resolve(e);
  expect_vector(r.panel.origin, {0.1, -0.012, 0.009});
  expect_vector(r.more_panels[0].panel.origin, {0.1 + 0.012 + 0.007, 0, 0.009});
  expect_vector(r.more_panels[0].panel.slow, {1, 0, 0});
}

TEST(MovedPanels, OfAGroupThatIsNotThereOrInItselfAreRefused) {
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  e.detector.group = "quad9";
  EXPECT_THAT(message_of<UsageError>([&] { resolve(e); }), HasSubstr("no group 'quad9'"));
  e.detector_groups = {{"quad9", "quad9", {}, {1, 0, 0}, {0, 1, 0}, {}, {}}};
  EXPECT_THAT(message_of<UsageError>([&] { resolve(e); }),
              HasSubstr("is in a group that is in it"));
}

TEST(MovedPanels, HaveParametersWithTheirNumbersAndNames) {
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  e.detector.shift_mm = e.detector.turn_deg = Vec3d{};
  e.detector.group = "all";
  e.more_panels.push_back({e.detector, {}, {}});
  e.detector_groups = {{"all", "", {}, {1, 0, 0}, {0, 1, 0}, {}, {}}};
  std::vector<std::string> names;
  for (const Parameter& each : parameters(e)) names.push_back(each.name);
  for (const char* name : {"panel[0].shift", "panel[0].rotation", "panel[1].shift",
                           "panel[1].rotation", "group[all].shift", "group[all].rotation"})
    EXPECT_THAT(names, Contains(name));
  EXPECT_EQ(parameter(e, "panel[1].rotation").units[0], "deg");
  EXPECT_EQ(parameter(e, "group[all].shift").units[0], "mm");
  const std::vector<double> values{1, 2, 3};
  const Experiment moved = with_parameter(e, "group[all].shift", values);
  EXPECT_EQ(moved.detector_groups[0].shift_mm, (Vec3d{1, 2, 3}));
}

TEST(MovedPanels, GiveTheGradientOfTheirGroupAsTheSumOfTheirOwn) {
  // Both lie in the frame of the group, so that their own shifts are those of the group.
  Experiment e = experiment_of(crystal + placed_panel + "-corrected ");
  e.detector.shift_mm = e.detector.turn_deg = Vec3d{};
  e.detector.group = "all";
  e.more_panels.push_back({e.detector, {}, {}});
  e.more_panels[0].detector.origin_m = Vec3d{0.1, -0.012, 0.04};
  e.detector_groups = {{"all", "", {}, {0, 0, 1}, {0, -1, 0}, {}, {}}};
  ComputeOptions options;
  options.precision = Precision::float64;
  const auto result = value_and_gradient(e, weights_of(2 * 24 * 24), options);
  const auto& by = result.gradient.parameters;
  for (std::size_t i = 0; i < 3; ++i) {
    const double sum = by.at("panel[0].shift")[i] + by.at("panel[1].shift")[i];
    EXPECT_NEAR(by.at("group[all].shift")[i], sum, 1e-9 * std::abs(sum)) << i;
  }
}

TEST(MovedPanels, GiveTheDerivativeByEachNumberOfEachPanelAndGroupAsThatNumberAloneGivesIt) {
  // Of the groups one is in another, one has a single panel and one none; a panel is in none.
  Experiment e = experiment_of(crystal + placed_panel + "-corrected -detpixels 6 -pixel 4 ");
  e.detector.shift_mm = e.detector.turn_deg = Vec3d{};
  const std::vector<std::string> groups{"inner", "inner", "outer", "", "alone"};
  for (std::size_t i = 1; i < groups.size(); ++i) {
    Detector d = e.detector;
    d.group = groups[i];
    d.origin_m = Vec3d{0.1, -0.012 + 0.03 * double(i), 0.009};
    if (i == 2) d.shift_mm.reset();
    if (i == 3) {
      d.sensor_thickness_um = 300;
      d.attenuation_depth_um = 400;
    }
    e.more_panels.push_back({d, {}, {}});
  }
  e.detector.group = groups[0];
  e.detector_groups = {{"outer", "", {100, 0, 0}, {0, 0, 1}, {0, -1, 0}, {1, 0, 0}, {0, 2, 0}},
                       {"alone", "", {100, 9, 0}, {0, 0, 1}, {0, -1, 0}, {0, 0, 0}, {1, 0, 0}},
                       {"inner", "outer", {90, 0, 5}, {1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 0, 3}},
                       {"empty", "", {}, {1, 0, 0}, {0, 1, 0}, {}, {}}};
  ComputeOptions options;
  options.precision = Precision::float64;
  const auto list = visited_pixels(e);
  const auto weights = weights_of(list.size());
  const auto gradient = value_and_gradient(e, list, weights, options).gradient.parameters;
  for (const auto& [name, values] : gradient) {
    const std::vector names{name};
    const Jacobian alone = jacobian(e, names, list, options);
    std::vector<double> expected(values.size());
    for (std::size_t i = 0; i < alone.slopes.size(); ++i)
      expected[i % values.size()] += weights[i / values.size()] * alone.slopes[i];
    expect_near(values, expected, 1e-9, name);
  }
  EXPECT_EQ(gradient.at("group[empty].shift"), std::vector<double>(3, 0.0));
  EXPECT_NE(gradient.at("group[inner].shift"), gradient.at("group[outer].shift"));
  EXPECT_FALSE(gradient.contains("panel[2].shift"));
  EXPECT_TRUE(gradient.contains("panel[3].sensor_thickness"));
}

// ---- Pixels that are not square -----------------------------------------------------------------

TEST(WidePixels, CatchTheLightOfTheSquareOnesThatTheyCover) {
  // Water alone is smooth: two rows of square pixels and one of pixels twice as high
  const std::string water =
      "-cell 70 80 90 90 90 90 -default_F 1e-9 -water 50 -lambda 1 "
      "-oversample 4 -corrected ";
  const Experiment square = experiment_of(
      water +
      "-pix0_vector 0.1 -0.012 0.009 -fdet_vector 0 0 1 -sdet_vector 0 -1 0 -detpixels_f 8 "
      "-detpixels_s 12 -pixel 1 ");
  Experiment wide = square;
  wide.detector.slow_pixels = 6;
  wide.detector.slow_pixel_mm = 2;
  for (const ComputeOptions& options : all_engines()) {
    const Image fine = simulate(square, options).image, coarse = simulate(wide, options).image;
    for (int slow = 0; slow < 6; ++slow)
      for (int fast = 0; fast < 8; ++fast) {
        const float both = fine.at(fast, 2 * slow) + fine.at(fast, 2 * slow + 1);
        EXPECT_NEAR(coarse.at(fast, slow), both, 2e-5 * both);
      }
  }
}

TEST(WidePixels, SeeSpotsWhereSquareOnesDo) {
  Experiment square = experiment_of(crystal + placed_panel + "-corrected -oversample 8 ");
  square.detector.slow_pixels = 24;
  Experiment wide = square;
  wide.detector.slow_pixels = 12;
  wide.detector.slow_pixel_mm = 2;
  const Image fine = simulate(square).image, coarse = simulate(wide).image;
  double sum = 0, off = 0;
  for (int slow = 0; slow < 12; ++slow)
    for (int fast = 0; fast < 24; ++fast) {
      const double both = double(fine.at(fast, 2 * slow)) + double(fine.at(fast, 2 * slow + 1));
      sum += both;
      off += std::abs(both - double(coarse.at(fast, slow)));
    }
  EXPECT_LT(off, 0.02 * sum);
  EXPECT_EQ(simulate(wide, reference_engine()).statistics.max_slow,
            simulate(wide).statistics.max_slow);
}

TEST(WidePixels, OfACurvedPanelAreRefused) {
  Experiment e = experiment_of(crystal + first_panel + "-corrected -curved_det ");
  e.detector.slow_pixel_mm = 2;
  EXPECT_THAT(message_of<UsageError>([&] { resolve(e); }), HasSubstr("-curved_det"));
}

TEST(Panels, SurviveJson) {
  Panels p;
  p.narrow();
  const Experiment again = experiment_from_json(to_json(p.both));
  EXPECT_EQ(simulate(again).image.pixels, simulate(p.both).image.pixels);
}

TEST(Panels, APixelOfAPanelThatIsNotThereIsRefused) {
  const Panels p;
  const std::vector<PixelIndex> list{{0, 0, 2}};
  EXPECT_THAT(message_of<UsageError>([&] { simulate_pixels(p.both, list); }),
              HasSubstr("there is no panel 2"));
}

TEST(Panels, AnImageOfTwoHasNoOnlyOne) {
  const Panels p;
  const Image image = simulate(p.both).image;
  EXPECT_THAT(message_of<UsageError>([&] { image.only(); }), HasSubstr("2 panels"));
  EXPECT_EQ(simulate(p.first).image.only().at(3, 4), simulate(p.first).image.at(3, 4));
}

}  // namespace
}  // namespace nablabragg::test
