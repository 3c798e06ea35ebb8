// Experiment -> flags -> Experiment.
#include "flags/flags_of.hpp"

#include <gmock/gmock.h>

#include <set>

#include "nablabragg/experiment_json.hpp"
#include "nablabragg/parameters.hpp"
#include "support/every_field.hpp"
#include "support/experiment.hpp"
#include "support/random_experiment.hpp"

namespace nablabragg::test {
namespace {

using Arguments = std::vector<std::string>;

/// What the arguments state, with the files of another experiment.
Experiment stated(const Arguments& arguments, const Experiment& files) {
  Experiment e = flags::parse_command_line(arguments).experiment;
  e.crystal.mosflm_matrix = files.crystal.mosflm_matrix;
  e.structure_factors.grid = files.structure_factors.grid;
  e.beam.sources = files.beam.sources;
  e.materials = files.materials;
  return e;
}

Arguments joined(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Arguments first_arguments(const Experiment& e) {
  return {"-cell",      "50",
          "50",         "50",
          "90",         "90",
          "90",         e.quirks == Quirks() ? "-corrected" : "-compat",
          "-default_F", std::to_string(e.structure_factors.default_F)};
}

/// A few units in the last place: directions are made unit vectors again whenever they are read.
bool near(double a, double b) { return std::abs(a - b) <= 1e-14 * (1 + std::abs(b)); }

RC_GTEST_PROP(FlagsOf, AnExperimentBringItBack, ()) {
  Experiment e = *any_experiment_of_either_mode();
  const Arguments arguments = first_arguments(e);
  e.structure_factors.default_F = std::stod(arguments.back());
  const flags::FlagsOf out = flags::flags_of(e, arguments, e);
  for (const std::string& line : out.not_in_flags) RC_FAIL(line);
  const Experiment again = stated(joined(arguments, out.flags), e);
  const auto wanted = parameters(e), got = parameters(again);
  RC_ASSERT(wanted.size() == got.size());
  for (std::size_t i = 0; i < wanted.size(); ++i)
    for (std::size_t k = 0; k < wanted[i].values.size(); ++k)
      if (!near(got[i].values[k], wanted[i].values[k])) RC_FAIL(wanted[i].name);
  RC_ASSERT(same_image(rendered(again), rendered(e)));
}

/// Of matter in the beam or of a crystal beside the first.
bool is_of_a_list(const std::string& name) {
  return name.starts_with("material[") || name.starts_with("crystal[");
}

/// Numbers of cells, which flags take whole.
bool are_cells(const std::string& name) { return name == "cells" || name.ends_with("].cells"); }

/// Whether there are flags for another value of a parameter.
bool can_be_said(const std::string& name, const Experiment& e) {
  const bool custom = e.detector.convention == Convention::custom;
  if (name == "a_matrix" || name.starts_with("source_") || are_cells(name) ||
      name.starts_with("material["))
    return false;
  if (name == "default_F") return !e.structure_factors.grid;
  if (name == "wavelength") return !e.crystal.mosflm_matrix;
  if (name == "beam_direction" || name == "spindle_axis" || name.ends_with("_axis")) return custom;
  return true;
}

bool same_bits(const Image& a, const Image& b) { return a.pixels == b.pixels; }

/// Of what a reader makes unit vectors of.
bool are_directions(const std::string& name) {
  return name == "beam_direction" || name.ends_with("_axis");
}

/// What is wrong with the flags of an experiment after a change of one of its parameters; "" where
/// nothing is.  The parameters that were tried join `seen`.
std::string fault_after_changes(const Experiment& e, std::set<std::string>& seen) {
  const Arguments original = joined(first_arguments(e),
                                    flags::flags_of(e, first_arguments(e), e).flags);
  const Experiment start = stated(original, e);
  for (const Parameter& p : parameters(start)) {
    seen.insert(p.name.substr(is_of_a_list(p.name) ? p.name.find('.') + 1 : 0));
    std::vector<double> values = p.values;
    // Upwards, but for a polarization that would leave its range
    const bool down = p.name == "polarization" && values[0] > 0.5;
    for (double& value : values)
      value = down ? value - 0.0078125 : 1.0009765625 * value + 0.0078125;
    const SettledExperiment changed(with_parameter(start, p.name, values));
    const flags::FlagsOf out = flags::flags_of(changed, original, start);
    if (!can_be_said(p.name, start)) {
      const std::string about = p.name.starts_with("source_")     ? "beam.sources"
                                : p.name.starts_with("material[") ? "materials: -background"
                                : p.name.starts_with("crystal[")
                                    ? "more_crystals: -more_crystal takes whole numbers of cells"
                                : p.name == "wavelength" ? "a_matrix"
                                                         : p.name;
      if (out.not_in_flags.empty() || !out.not_in_flags[0].starts_with(about))
        return p.name + " is not named";
      continue;
    }
    if (!out.not_in_flags.empty()) return p.name + ": " + out.not_in_flags[0];
    const Experiment again = stated(joined(original, out.flags), e);
    const auto got = parameter(again, p.name).values,
               wanted = parameter(changed.experiment(), p.name).values;
    for (std::size_t k = 0; k < values.size(); ++k)
      if (!near(got[k], wanted[k])) return p.name + " does not come back";
    const Experiment& refined = changed.experiment();
    if (!same_bits(rendered(again), rendered(refined)) && !are_directions(p.name))
      return p.name + " makes another image by its flags";
  }
  return "";
}

RC_GTEST_PROP(FlagsOf, AChangeOfAnyParameterBringItBackOrSayThatTheyCannot, ()) {
  std::set<std::string> seen;
  const std::string fault = fault_after_changes(*any_experiment_of_either_mode(), seen);
  if (!fault.empty()) RC_FAIL(fault);
}

/// Experiments that have every parameter between them.
std::vector<Experiment> experiments_with_all_parameters() {
  Experiment e = experiment_of(
      "-corrected -cell 70 80 90 85 95 105 -default_F 100 -N 5 -gauss_xtal -mosaic 0.3 "
      "-mosaic_domains 3 -blocks 50 -osc 1 -phisteps 2 -detpixels 16 -pixel 2 -detector_thick 300 "
      "-detector_abs 200 -water 2 -oversample 1 -twotheta 5 -dispersion 1 -dispsteps 2 "
      "-divergence 1 -divsteps 2 -square_div");
  std::vector<Experiment> all{e};
  const auto add = [&](auto&& change) { change(all.emplace_back(e)); };
  add([](Experiment& x) { state_crystal_as_matrix(x); });
  add([](Experiment& x) {
    x.materials = gas_in_beam(-5, 9);
    x.materials[1].start_mm = x.materials[1].end_mm = 0;
    x.materials[1].thickness_mm = 3;
  });
  add([](Experiment& x) {
    x.crystal.mosaic_model = Distribution::gaussian;
    x.crystal.mosaic_spread_axes_deg = {0.1, 0.2, 0.3};
    x.crystal.cell_spread_A = {0.1, 0.2, 0.3};
    x.crystal.cell_angle_spread_deg = {0.02, 0.03, 0.04};
  });
  add([](Experiment& x) {
    x.crystal.block_size_spread = 0.1;
    x.more_crystals = {{{10, 20, 30}, 0.5, Vec3d{4, 5, 6}, 0.2}};
  });
  add([](Experiment& x) {
    x.crystal.diffuse_sigma_A = {0.2, 0.3, 0.4};
    x.crystal.diffuse_gamma_A = {30, 20, 10};
  });
  add([](Experiment& x) { x.beam.sources = {{{-1, 0, 0}, 1, 1}, {{-1, 0.01, 0}, 2, 1.1}}; });
  add([](Experiment& x) {
    x.beam.flux_per_s = 1e12;
    x.beam.exposure_s = 0.5;
    x.beam.size_mm = 0.2;
  });
  add([](Experiment& x) {
    x.beamstop = {.distance_mm = 30,
                  .radius_mm = 2,
                  .offset_fast_mm = 0.2,
                  .offset_slow_mm = 0.1,
                  .transmission = 0.1,
                  .arm_width_mm = 1,
                  .arm_deg = 40,
                  .ring_share = 1e-6,
                  .ring_deg = 4,
                  .ring_width_deg = 0.3};
  });
  add([](Experiment& x) {
    x.beam.tilt_horizontal_mrad = 1;
    x.beam.tilt_vertical_mrad = -0.5;
  });
  add([](Experiment& x) {
    x.detector.close_distance_mm = 90;
    x.detector.close_x_mm = 15;
    x.detector.close_y_mm = 14;
    x.detector.pivot = Pivot::sample;
  });
  add([](Experiment& x) {
    x.detector.convention = Convention::xds;
    x.detector.org_x_px = 7.5;
    x.detector.org_y_px = 8.25;
  });
  add([](Experiment& x) {
    x.detector.convention = Convention::custom;
    x.detector.fast_axis = {0, 0.1, 1};
    x.detector.slow_axis = {0, -1, 0.1};
    x.beam.direction = {1, 0.01, 0};
    x.scan.spindle_axis = {0, 0.1, 1};
  });
  add([](Experiment& x) {
    x.detector.convention = Convention::custom;
    x.detector.origin_m = {0.1, 0.016, -0.016};
  });
  return all;
}

TEST(FlagsOf, AChangeOfEveryParameterThatThereIsBringItBackOrSayThatTheyCannot) {
  std::set<std::string> seen, all;
  for (const Experiment& e : experiments_with_all_parameters())
    EXPECT_EQ(fault_after_changes(e, seen), "");
  for_each_row<Experiment>("", [&](const std::string&, const auto& row) {
    if (row.parameter) all.insert(row.parameter);
  });
  // How panels move, and pixels that are not square, are said by files alone.
  for (const char* of_files : {"shift", "rotation", "slow_pixel_size"}) all.erase(of_files);
  EXPECT_EQ(seen, all);
}

/// What no flag states is in the experiment's JSON.
TEST(FlagsOf, WhatTheyCannotSayJsonSaysToTheLastBit) {
  for (const Experiment& e : experiments_with_all_parameters()) {
    const SettledExperiment start(e);
    for (const Parameter& p : parameters(start)) {
      std::vector<double> values = p.values;
      for (double& value : values) value *= 1 - 1.0 / 1024;
      const Experiment changed = with_parameter(start, p.name, values);
      EXPECT_TRUE(same_bits(rendered(experiment_from_json(to_json(changed))), rendered(changed)))
          << p.name;
    }
  }
}

TEST(FlagsOf, AnExperimentWithWholeNumbersOfCellsSayThem) {
  const Arguments model = {"-corrected", "-cell", "50",          "50",         "50",
                           "90",         "90",    "90",          "-default_F", "1",
                           "-xtal_size", "0.001", "-oversample", "1"};
  const Experiment start = stated(model, {});
  const Experiment changed = with_parameter(start, "cells", std::vector{3.0, 4.0, 5.0});
  const flags::FlagsOf out = flags::flags_of(changed, model, start);
  EXPECT_THAT(out.flags,
              testing::ElementsAre("-xtal_size", "0", "-Na", "3", "-Nb", "4", "-Nc", "5"));
  EXPECT_THAT(out.not_in_flags, testing::IsEmpty());
}

TEST(FlagsOf, CrystalsBesideTheFirstTakeThePlaceOfThoseThatThereAre) {
  const Arguments model = {"-corrected",
                           "-cell",
                           "50",
                           "50",
                           "50",
                           "90",
                           "90",
                           "90",
                           "-default_F",
                           "1",
                           "-N",
                           "5",
                           "-more_crystal",
                           "10",
                           "20",
                           "30",
                           "-oversample",
                           "1"};
  const Experiment start = stated(model, {});
  Experiment changed = start;
  changed.more_crystals = {{{1.25, 2, 3}, 0.5, {}, {}}, {{4, 5, 6}, 2, Vec3d{7, 8, 9}, 0.1}};
  const flags::FlagsOf out = flags::flags_of(changed, model, start);
  EXPECT_THAT(out.flags,
              testing::ElementsAre("-one_crystal", "-more_crystal", "1.25", "2", "3", "0.5",
                                   "-more_crystal", "4", "5", "6", "2", "7", "8", "9", "0.1"));
  EXPECT_THAT(out.not_in_flags, testing::IsEmpty());
  changed.more_crystals.clear();
  EXPECT_THAT(flags::flags_of(changed, model, start).flags, testing::ElementsAre("-one_crystal"));
}

TEST(FlagsOf, BlocksThatCameFromTheirSizeAreSaidByTheirNumber) {
  const Arguments model = {"-corrected",  "-cell",  "50",          "50", "50",         "90",
                           "90",          "90",     "-default_F",  "1",  "-xtal_size", "0.01",
                           "-block_size", "0.0001", "-oversample", "1"};
  const Experiment start = stated(model, {});
  const flags::FlagsOf out = flags::flags_of(with_parameter(start, "blocks", std::vector{1234.5}),
                                             model, start);
  EXPECT_THAT(out.not_in_flags, testing::IsEmpty());
  const Resolved again = resolve(stated(joined(model, out.flags), start));
  EXPECT_EQ(again.blocks, 1234.5);
  EXPECT_EQ(again.cells, (Vec3d{20, 20, 20}));
}

TEST(FlagsOf, ADistanceKeepThePivot) {
  const Arguments model = {"-corrected", "-cell",      "50", "50",   "50",        "90", "90",
                           "90",         "-default_F", "1",  "-xds", "-twotheta", "10"};
  const Experiment start = stated(model, {});
  ASSERT_EQ(resolve(start).panel.pivot, Pivot::sample);
  const Experiment changed = with_parameter(start, "distance", std::vector{101.0});
  const flags::FlagsOf out = flags::flags_of(changed, model, start);
  EXPECT_EQ(resolve(stated(joined(model, out.flags), start)).panel.pivot, Pivot::sample);
}

TEST(FlagsOf, ARandomOrientationFixIt) {
  const Arguments model = {"-corrected", "-cell", "50",         "50", "50",      "90",
                           "90",         "90",    "-default_F", "1",  "-misset", "random"};
  Experiment start = stated(model, {});
  start.crystal.random_misset_seed = 7;
  const flags::FlagsOf out = flags::flags_of(start, model, start);
  ASSERT_EQ(out.flags.size(), 4u);
  EXPECT_EQ(out.flags[0], "-misset");
  EXPECT_EQ(parameter(stated(joined(model, out.flags), start), "misset").values,
            parameter(start, "misset").values);
}

TEST(FlagsOf, ANormalThatFollowsTheAxesSayIt) {
  const Arguments model = {
      "-corrected", "-cell", "50",           "50", "50", "90", "90",           "90",
      "-default_F", "1",     "-fdet_vector", "0",  "0",  "1",  "-sdet_vector", "0",
      "-1",         "0",     "-odet_vector", "1",  "0",  "0"};
  const Experiment start = stated(model, {});
  const Experiment changed = with_parameter(start, "fast_axis", std::vector{0.0, 0.1, 1.0});
  const flags::FlagsOf out = flags::flags_of(changed, model, start);
  EXPECT_THAT(out.not_in_flags, testing::IsEmpty());
  const Vec3d normal = resolve(stated(joined(model, out.flags), start)).panel.normal,
              wanted = resolve(changed).panel.normal;
  EXPECT_LT(length(normal - wanted), 1e-14);
}

}  // namespace
}  // namespace nablabragg::test
