// A command line -> what it stands for, without leaving the process; and comparisons with numbers
// that the reference program printed.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <memory>  // for shared_ptr
#include <sstream>
#include <string>
#include <utility>  // for pair
#include <vector>

#include "api/run_plan.hpp"
#include "engine/pixel_sum.hpp"
#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "model/resolve.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::test {

// ---- From flags to numbers ------------------------------------------------------------------

/// The request of a line of arguments separated by blanks.  The cache is left alone: what other
/// tests leave in the working folder must not matter.
inline flags::Request request_of(const std::string& line) {
  std::istringstream in(line + " -nocache");
  std::vector<std::string> arguments;
  for (std::string argument; in >> argument;) arguments.push_back(argument);
  return flags::parse_command_line(arguments);
}

/// With the files that the line names.
inline Experiment experiment_of(const std::string& line) {
  flags::Request request = request_of(line);
  flags::load_inputs(request);
  return request.experiment;
}

/// A cubic crystal whose every reflection has 100 electrons, where only the rest matters.
inline const std::string any_crystal = "-cell 100 -default_F 100 ";

/// Of any_crystal, unless the line says otherwise.
inline Resolved resolved_of(const std::string& line) {
  return resolve(experiment_of(any_crystal + line));
}

inline Panel panel_of(const std::string& line) {
  return model::place_panel(request_of(line).experiment);
}

/// By the reference engine: the specification's numbers are in double precision.
inline Simulation image_of(const Experiment& experiment, int threads = 1) {
  ComputeOptions options;
  options.engine = Engine::reference;
  options.threads = threads;
  return simulate(experiment, options);
}
inline Simulation image_of(const std::string& line) { return image_of(experiment_of(line)); }

/// Structure factors that differ everywhere, -6..6 along each axis: the table behind several of the
/// reference's numbers.
inline std::shared_ptr<const StructureFactorGrid> cube_table() {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-6, -6, -6}, MillerIndex{6, 6, 6},
                                                    0.0);
  for (int h = -6; h <= 6; ++h)
    for (int k = -6; k <= 6; ++k)
      for (int l = -6; l <= 6; ++l) {
        const int rest = ((h * h + k + 2 * l) % 5 + 5) % 5;
        grid->at(h, k, l) = 100 + 3 * h - 2 * k + 1.5 * l + 0.25 * h * k - 0.125 * k * l +
                            0.5 * rest;
      }
  return grid;
}

/// A line's experiment with that table instead of default_F.
inline Experiment experiment_with_table(const std::string& line) {
  Experiment e = experiment_of("-default_F 1 " + line);
  e.structure_factors.grid = cube_table();
  return e;
}

/// One pixel with every step that its sum took.
struct WatchedPixel {
  engine::PixelSum pixel;
  std::vector<engine::StepRecord> steps;
  Plan plan;
  const engine::StepRecord& last() const { return steps.back(); }
};

struct StepRecorder {
  static constexpr bool active = true;
  static constexpr bool goes_on() { return true; }
  std::vector<engine::StepRecord>& steps;
  void operator()(const engine::StepRecord& step) const { steps.push_back(step); }
};

inline WatchedPixel pixel_of(const Experiment& experiment, int fast, int slow) {
  WatchedPixel watched;
  watched.plan = make_plan(experiment, resolve(experiment));
  watched.pixel = engine::sum_pixel(watched.plan, watched.plan.panels[0],
                                    engine::GridView(watched.plan.lattice), fast, slow,
                                    engine::all_steps, StepRecorder{watched.steps});
  return watched;
}
inline WatchedPixel pixel_of(const std::string& line, int fast, int slow) {
  return pixel_of(experiment_of(line), fast, slow);
}

// ---- Comparing ------------------------------------------------------------------------------

/// |got - expected| within `relative` of the expected size; an expected zero allows 1e-15.
inline testing::AssertionResult is_close(const char* expression, const char*, const char*,
                                         double got, double expected, double relative) {
  const double allowed = expected == 0 ? 1e-15 : relative * std::abs(expected);
  if (std::abs(got - expected) <= allowed) return testing::AssertionSuccess();
  std::ostringstream text;
  text.precision(17);
  text << expression << " is " << got << ", not " << expected << " within " << allowed;
  return testing::AssertionFailure() << text.str();
}

/// Components within `relative` of the length of the expected vector.
inline testing::AssertionResult is_close(const char* expression, const char*, const char*,
                                         const Vec3d& got, const Vec3d& expected, double relative) {
  const double allowed = relative * length(expected);
  const Vec3d off = got - expected;
  if (std::abs(off.x) <= allowed && std::abs(off.y) <= allowed && std::abs(off.z) <= allowed)
    return testing::AssertionSuccess();
  std::ostringstream text;
  text.precision(17);
  text << expression << " is (" << got.x << ", " << got.y << ", " << got.z << "), not ("
       << expected.x << ", " << expected.y << ", " << expected.z << ") within " << allowed;
  return testing::AssertionFailure() << text.str();
}

/// Each row as a vector.
inline testing::AssertionResult is_close(const char* expression, const char* of_expected,
                                         const char* of_relative, const Mat3d& got,
                                         const Mat3d& expected, double relative) {
  for (const auto& [row, wanted] :
       {std::pair{got.a, expected.a}, std::pair{got.b, expected.b}, std::pair{got.c, expected.c}})
    if (auto result = is_close(expression, of_expected, of_relative, row, wanted, relative);
        !result)
      return result;
  return testing::AssertionSuccess();
}

}  // namespace nablabragg::test

/// Equal to the 13 or more digits that the reference printed.
#define EXPECT_CLOSE(got, expected) \
  EXPECT_PRED_FORMAT3(::nablabragg::test::is_close, got, expected, 1e-12)

/// Equal to a number of which fewer digits are known.
#define EXPECT_CLOSE_WITHIN(relative, got, expected) \
  EXPECT_PRED_FORMAT3(::nablabragg::test::is_close, got, expected, relative)
