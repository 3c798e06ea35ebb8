// Numbers without sense, units in the wrong place, words that are nearly a flag: what -corrected
// refuses, what compat says and takes as nanoBragg does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>  // for system
#include <filesystem>
#include <regex>

#include "api/cost.hpp"
#include "description/ranges.hpp"
#include "flags/command_line.hpp"
#include "flags/flags.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "plan/make_plan.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

const std::string
    small = "-cell 40 50 60 90 90 90 -default_F 100 -N 5 -detpixels 32 -pixel 3 -oversample 1 ";

flags::Request parse(const std::string& line) {
  return flags::parse_command_line(test::split_arguments(line));
}

/// What the description of a command line is told.
std::vector<std::string> warnings(const std::string& line) {
  const flags::Request request = parse(small + line);
  std::vector<std::string> all = request.warnings;
  for (const std::string& warning : resolve(request.experiment).warnings) all.push_back(warning);
  return all;
}

std::string error(const std::string& line) {
  return test::message_of<UsageError>([&] { warnings(line); });
}

class NumbersOnTheCommandLine : public testing::Test {
 protected:
  test::Outcome run(const std::string& line) const {
    return test::run_program(folder.path(), line);
  }
  test::TempDir folder;
};

// ---- Ranges ----------------------------------------------------------------------------------

TEST(NumbersWithoutSense, AreRefusedWhenCorrectedAndTakenWithANoticeInCompat) {
  struct Case {
    const char *flags, *sentence;
  };
  for (const Case& c :
       {Case{"-fluence -1e20",
             "the fluence (-fluence) is -1e+20 photons/m^2; it must not be "
             "negative"},
        Case{"-water -1", "the water (-water) is -1 um; it must not be negative"},
        Case{"-polar 95",
             "the polarization (-polar) is 95; it must be between -1 and 1 (is it in "
             "percent?)"},
        Case{"-polar 5",
             "the polarization (-polar) is 5; it must be between -1 and 1 (is it in "
             "percent?)"},
        Case{"-gauss_xtal -fudge -1", "the fudge (-fudge) is -1; it must be positive"},
        Case{"-flux 1e12 -exposure -1", "the exposure (-exposure) is -1 s; it must be positive"},
        Case{"-flux -1e12", "the flux (-flux) is -1e+12 photons/s; it must be positive"},
        Case{"-beamsize -1", "the size (-beamsize) is -1 mm; it must be positive"},
        Case{"-mosaic -0.5",
             "the mosaic spread (-mosaic) is -0.5 degrees; it must not be negative"},
        Case{"-detector_thick -300 -detector_abs 50",
             "the sensor thickness (-detector_thick) is -300 um; it must not be negative"},
        Case{"-dmin -2", "the dmin (-dmin) is -2 Angstrom; it must not be negative"},
        Case{"-divergence -1",
             "the horizontal divergence (-hdivrange) is -1 mrad; it must "
             "not be negative"},
        Case{"-dispersion 201",
             "the dispersion (-dispersion) is 201 percent; it must be "
             "between 0 and 200 percent"},
        Case{"-energy 12.4",
             "the wavelength (-lambda) is 999.873 Angstrom; it must be between 0.01 and 100 "
             "Angstrom (did you mean keV? energies are in eV, wavelengths in Angstrom)"},
        Case{"-lambda 12398",
             "the wavelength (-lambda) is 12398 Angstrom; it must be between 0.01 and 100 "
             "Angstrom (did you mean keV? energies are in eV, wavelengths in Angstrom)"},
        Case{"-lambda 0.9795e-10",
             "the wavelength (-lambda) is 9.795e-11 Angstrom; it must be between 0.01 and 100 "
             "Angstrom (did you mean metres? wavelengths are in Angstrom)"},
        Case{"-xtalsize 1e-9",
             "the size (-sample_x) is 1e-09 mm; it must be between 2e-07 and 1000 mm, or 0 (is it "
             "in metres?)"},
        Case{"-xtal_thick 1e-9",
             "the size (-sample_x) is 1e-09 mm; it must be between 2e-07 and 1000 mm, or 0 (is it "
             "in metres?)"},
        Case{"-samplesize -1", "the size (-sample_x) is -1 mm; it must not be negative"},
        Case{"-xtalsize 5e-6",
             "the crystal (-xtalsize) is 5e-06 mm along c, and a unit cell 6e-06 mm; it must hold "
             "one cell or more (is it in metres?)"},
        Case{"-xtalsize 4.5e-6",
             "the crystal (-xtalsize) is 4.5e-06 mm along b, and a unit cell 5e-06 mm; it must "
             "hold one cell or more (is it in metres?)"},
        Case{"-pixel 1e-7",
             "the pixel size (-pixel) is 1e-07 mm; it must be between 1e-06 and 100 mm (is it in "
             "metres?)"},
        Case{"-pixel 172",
             "the pixel size (-pixel) is 172 mm; it must be between 1e-06 and 100 mm (is it in "
             "micrometres?)"},
        Case{"-distance 1e30",
             "the distance (-distance) is 1e+30 mm; it must be between 0.001 and 1e+06 mm (is it "
             "in micrometres?)"},
        Case{"-beamsize 1e-8",
             "the size (-beamsize) is 1e-08 mm; it must be between 1e-07 and 10000 mm (is it in "
             "metres?)"},
        Case{"-cell 4 0.5 0.6",
             "the cell b (-cell) is 0.5 Angstrom; it must be between 2 and 10000 Angstrom (is it "
             "in nanometres?)"},
        Case{"-phi 1e7",
             "the phi (-phi) is 1e+07 degrees; it must be between -1e+06 and 1e+06 degrees"},
        Case{"-pix0_vector 0 5000 0",
             "the origin y (-pix0_vector) is 5000 m; it must be between -1000 and 1000 m (is it "
             "in millimetres?)"},
        Case{"-N 0", "the cells (-Na) are 0; they must be at least 1"},
        Case{"-N -5", "the cells (-Na) are -5; they must be at least 1"}}) {
    EXPECT_EQ(error(std::string(c.flags) + " -corrected"), c.sentence);
    if (std::string(c.flags).find("-dispersion") == std::string::npos) {
      EXPECT_THAT(warnings(c.flags), Contains("Q-48: " + std::string(c.sentence) +
                                              "; it is taken all the same, and -corrected refuses "
                                              "it"));
    }
  }
}

TEST_F(NumbersOnTheCommandLine, OfParallelAxesSpanNoPanel) {
  const test::Outcome outcome = run(small +
                                    "-corrected -fdet_vector 0 0 1 -sdet_vector 0 0 1 "
                                    "-odet_vector 1 0 0 -floatfile f.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err,
            "nablabragg: error: the fast and slow axes of the detector (-fdet_vector, "
            "-sdet_vector) are parallel; a panel needs two directions\n");
}

TEST_F(NumbersOnTheCommandLine, ThatAreRefusedLeaveNothingBehind) {
  for (const char* flags :
       {"-fluence -1e20", "-polar 95", "-energy 12.4", "-flux 1e12 -exposure -1"}) {
    const test::Outcome outcome = run(small + flags + " -corrected -floatfile f.bin");
    EXPECT_EQ(outcome.exit_code, 2) << flags;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST_F(NumbersOnTheCommandLine, OfASourceListAreNamedWithTheirLine) {
  folder.file("negative.src", "-10 0 0 1 1e-10\n-10 0 0.1 -2 1e-10\n");
  const test::Outcome outcome = run(small + "-corrected -sourcefile negative.src");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(
      outcome.err,
      "nablabragg: error: negative.src:2: the weight is negative; a source gives no less than "
      "nothing\n");
}

TEST(NumbersOfAnExperiment, OfNoFieldAreNaNOrInfinityExceptTheAttenuationDepth) {
  const Experiment good = parse(small + "-corrected").experiment;
  const double nan = std::nan(""), infinity = HUGE_VAL;
  for (const double x : {nan, infinity, -infinity}) {
    const auto refused = [&](auto&& change) {
      Experiment e = good;
      change(e);
      EXPECT_THAT(test::message_of<UsageError>([&] { resolve(e); }),
                  AnyOf(HasSubstr("; it must "), HasSubstr("; they must ")))
          << x;
    };
    refused([&](Experiment& e) { e.crystal.misset_deg.y = x; });
    refused([&](Experiment& e) { e.crystal.cell->beta_deg = x; });
    refused([&](Experiment& e) { e.crystal.cells.z = x; });
    refused([&](Experiment& e) { e.crystal.size_mm.x = x; });
    refused([&](Experiment& e) { e.crystal.fudge = x; });
    refused([&](Experiment& e) { e.crystal.blocks = x; });
    refused([&](Experiment& e) { e.crystal.block_size_mm = x; });
    refused([&](Experiment& e) { e.crystal.mosaic_spread_deg = x; });
    refused([&](Experiment& e) {
      e.crystal.mosflm_matrix = Mat3d{{x, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    });
    refused([&](Experiment& e) { e.beam.wavelength_A = x; });
    refused([&](Experiment& e) { e.beam.direction = Vec3d{1, x, 0}; });
    refused([&](Experiment& e) { e.beam.polarization_fraction = x; });
    refused([&](Experiment& e) { e.beam.polarization_axis = Vec3d{x, 0, 0}; });
    refused([&](Experiment& e) { e.beam.fluence_per_m2 = x; });
    refused([&](Experiment& e) { e.beam.flux_per_s = x; });
    refused([&](Experiment& e) { e.beam.exposure_s = x; });
    refused([&](Experiment& e) { e.beam.size_mm = x; });
    refused([&](Experiment& e) { e.beam.horizontal_divergence_mrad.range = x; });
    refused([&](Experiment& e) { e.beam.vertical_divergence_mrad.step = x; });
    refused([&](Experiment& e) { e.beam.dispersion_percent.range = x; });
    refused([&](Experiment& e) { e.beam.sources = {{{1, 0, x}, 1, 1}}; });
    refused([&](Experiment& e) { e.beam.sources = {{{1, 0, 0}, x, 1}}; });
    refused([&](Experiment& e) { e.beam.sources = {{{1, 0, 0}, 1, x}}; });
    refused([&](Experiment& e) { e.detector.fast_size_mm = x; });
    refused([&](Experiment& e) { e.detector.pixel_mm = x; });
    refused([&](Experiment& e) { e.detector.distance_mm = x; });
    refused([&](Experiment& e) { e.detector.close_distance_mm = x; });
    refused([&](Experiment& e) { e.detector.beam_y_mm = x; });
    refused([&](Experiment& e) { e.detector.close_x_mm = x; });
    refused([&](Experiment& e) { e.detector.org_x_px = x; });
    refused([&](Experiment& e) { e.detector.origin_m = Vec3d{0, 0, x}; });
    refused([&](Experiment& e) { e.detector.fast_axis = Vec3d{0, 0, x}; });
    refused([&](Experiment& e) { e.detector.rotation_deg.z = x; });
    refused([&](Experiment& e) { e.detector.two_theta_deg = x; });
    refused([&](Experiment& e) { e.detector.sensor_thickness_um = x; });
    if (!(x > 0)) refused([&](Experiment& e) { e.detector.attenuation_depth_um = x; });
    refused([&](Experiment& e) { e.scan.phi_deg = x; });
    refused([&](Experiment& e) { e.scan.oscillation_deg.range = x; });
    refused([&](Experiment& e) { e.scan.oscillation_deg.step = x; });
    refused([&](Experiment& e) { e.scan.spindle_axis = Vec3d{x, 0, 0}; });
    refused([&](Experiment& e) { e.sampling.dmin_A = x; });
    refused([&](Experiment& e) { e.structure_factors.default_F = x; });
    refused([&](Experiment& e) { e.water_um = x; });
    refused([&](Experiment& e) {
      e.more_panels.resize(1);
      e.more_panels[0].detector.rotation_deg.x = x;
    });
  }
  Experiment e = good;
  e.detector.attenuation_depth_um = infinity;
  EXPECT_NO_THROW(resolve(e));
}

TEST(NumbersOfAnExperiment, OfADirectionAreNotAllZero) {
  Experiment e = parse(small + "-corrected").experiment;
  e.beam.direction = Vec3d{};
  EXPECT_EQ(test::message_of<UsageError>([&] { resolve(e); }),
            "the direction (-beam_vector) has length zero; it must be a direction");
}

TEST(NumbersOfAnExperiment, OfADirectionCanBeTold) {
  Experiment e = parse(small + "-corrected").experiment;
  e.beam.direction = Vec3d{1e200, 0, 0};
  EXPECT_EQ(test::message_of<UsageError>([&] { resolve(e); }),
            "the direction (-beam_vector) has length infinity; it must be a direction");
  e.beam.direction = Vec3d{1e-200, 0, 0};
  EXPECT_EQ(test::message_of<UsageError>([&] { resolve(e); }),
            "the direction (-beam_vector) has length zero; it must be a direction");
}

TEST(NumbersOfAnExperiment, AreBoundedOnBothSidesInEveryField) {
  for (const description::FieldChecks& checks : description::all_checks()) {
    const bool finite = checks.wrong.ends_with("must be a finite number"),
               one_sided = checks.wrong.ends_with("must be positive") ||
                           checks.wrong.ends_with("must not be negative") ||
                           checks.wrong.ends_with("must be at least 1");
    // What overflows is named by the image.  What a matrix may be follows from the cell that it
    // makes; pixels, domains and steps are counted where their memory is taken.
    if (checks.field == "crystal.a_matrix" || checks.field == "detector.pixels" ||
        checks.field == "crystal.mosaic_domains" || checks.field == "beam.fluence" ||
        checks.field == "structure_factors.default_F")
      continue;
    EXPECT_FALSE(finite || one_sided) << checks.wrong;
  }
}

TEST(ABlock, HasASizeAndHoldsACellInBothModes) {
  for (const std::string mode : {"", " -corrected"}) {
    EXPECT_EQ(error("-xtalsize 1e-3 -block_size -1" + mode),
              "-block_size needs a positive size in mm, not '-1'");
    EXPECT_THAT(warnings("-xtalsize 1e-3 -block_size 0" + mode),
                Contains("-block_size 0 is no size: -blocks and -N count"));
  }
  EXPECT_EQ(error("-xtalsize 1e-3 -block_size 1e-9 -corrected"),
            "the block size (-block_size) is 1e-09 mm; it must be between 2e-07 and 1000 mm, or 0 "
            "(is it in metres?)");
  EXPECT_EQ(error("-xtalsize 1e-3 -block_size 5.5e-6 -corrected"),
            "a block (-block_size) is 5.5e-06 mm along c, and a unit cell 6e-06 mm; it must hold "
            "one cell or more (is it in metres?)");
}

// ---- Numbers that contradict each other -------------------------------------------------------

TEST(Axes, OfADetectorAreAtRightAngles) {
  for (const std::string mode : {"", " -corrected"}) {
    EXPECT_THAT(warnings("-fdet_vector 0 0 1 -sdet_vector 0 -0.94 0.342" + mode),
                Contains("the fast and slow axes of the detector (-fdet_vector, -sdet_vector) are "
                         "70 degrees apart, and a panel's are at right angles: its pixels become "
                         "parallelograms, whose area is taken as that of squares"));
    EXPECT_THAT(warnings("-fdet_vector 0 0.0002 1 -sdet_vector 0 -1 0" + mode),
                Not(Contains(HasSubstr("degrees apart"))));
  }
  EXPECT_THAT(warnings("-fdet_vector 0 1 0"), Contains(HasSubstr("Q-48: the fast and slow "
                                                                 "axes of the detector")));
  Experiment e = parse(small + "-corrected").experiment;
  e.more_panels.resize(1);
  e.more_panels[0].detector = e.detector;
  e.more_panels[0].detector.fast_axis = Vec3d{0, 0, 1};
  e.more_panels[0].detector.slow_axis = Vec3d{0, -1, 1};
  EXPECT_THAT(resolve(e).warnings, Contains(HasSubstr("are 45 degrees apart")));
}

TEST(PolarizationAxis, AlongTheBeamIsRefusedWhereItCounts) {
  const std::string sentence =
      "the polarization axis (-polar_vector) lies along the beam, so that the polarization is "
      "undefined; give an axis across the beam";
  const std::string along = "-polar 0.9 -polar_vector 1 0 0";
  EXPECT_EQ(error(along + " -corrected"), sentence);
  EXPECT_THAT(warnings(along), Contains("Q-48: " + sentence +
                                        "; it is taken all the same, and -corrected refuses it"));
  // The custom frame's own axis is z.
  EXPECT_EQ(error("-polar 0.9 -corrected -beam_vector 0 0 1 -fdet_vector 1 0 0 -sdet_vector 0 1 0 "
                  "-odet_vector 0 0 1"),
            sentence);
  EXPECT_EQ(error("-polar_vector 1 0 0 -divergence 1 -divsteps 3 -corrected"),
            "the polarization axis (-polar_vector) lies along the beam, so that the direction of "
            "the divergence is undefined; give an axis across the beam");
  for (const char* harmless : {"-polar 0 -polar_vector 1 0 0", "-nopolar -polar_vector 1 0 0"})
    EXPECT_THAT(warnings(std::string(harmless) + " -corrected"),
                Not(Contains(HasSubstr("polarization axis"))));
}

TEST(PolarizationAxis, ThatIsNotAcrossTheBeamIsSaid) {
  EXPECT_THAT(warnings("-polar 0.9 -polar_vector 1 0 1 -corrected"),
              Contains("the polarization axis (-polar_vector) is 45 degrees from the beam; its "
                       "part across the beam counts"));
  EXPECT_THAT(warnings("-polar 0.9 -polar_vector 0.01 0 1 -corrected"),
              Not(Contains(HasSubstr("polarization axis"))));
}

TEST_F(NumbersOnTheCommandLine, OfSourcesOnTheFarSideAreSaid) {
  const std::string line = small + "-nocache -nonoise -nopgm -floatfile f.bin -sourcefile s.src ";
  for (const char* mode : {"-corrected", "-compat"}) {
    folder.file("s.src", "10 0 0 1 1e-10\n10 0.1 0 1 1e-10\n");
    const test::Outcome all = run(line + mode);
    EXPECT_EQ(all.exit_code, 0);
    EXPECT_THAT(all.err,
                HasSubstr("nablabragg: all sources lie where the beam goes to, 1 0 0; X Y Z lead "
                          "from the sample to the source: did you mean the opposite signs?\n"));
    folder.file("s.src", "-10 0 0 1 1e-10\n10 0.1 0 1 1e-10\n");
    EXPECT_THAT(run(line + mode).err, HasSubstr("1 of 2 sources lies where the beam goes to"));
    folder.file("s.src", "-10 0 0 1 1e-10\n-10 0.1 0 1 1e-10\n");
    EXPECT_THAT(run(line + mode).err, Not(HasSubstr("where the beam goes to")));
  }
}

TEST_F(NumbersOnTheCommandLine, OfSourcesAreComparedWithTheWavelength) {
  folder.file("s.src", "-10 0 0 1 1.29e-10\n-10 0 0 3 1.31e-10\n");
  const std::string line = small + "-nocache -nonoise -nopgm -floatfile f.bin -sourcefile s.src ";
  const std::string said =
      "the wavelength (-lambda) is 1.27 Angstrom, and the sources have 1.29 "
      "to 1.31: the image is made with theirs; headers of -intfile and -noisefile and the "
      "attenuation of a stated material go by the other";
  EXPECT_THAT(run(line + "-corrected -lambda 1.27").err, HasSubstr(said));
  EXPECT_THAT(run(line + "-lambda 1.27").err, HasSubstr(said));
  for (const char* mode : {"", "-corrected "})
    EXPECT_THAT(run(line + mode + "-lambda 0.9795").err,
                HasSubstr("and the sources have 1.29 to 1.31"));
  for (const char* agreeing : {"-lambda 1.3", "-lambda 0.9795 -source_lambda cli"})
    EXPECT_THAT(run(line + "-corrected " + agreeing).err, Not(HasSubstr("sources have")));
  EXPECT_THAT(run(line + "-corrected").err,
              HasSubstr("s.src: its sources have 1.305 Angstrom in the mean, which is taken as the "
                        "wavelength; -lambda sets another"));
}

// ---- Warnings --------------------------------------------------------------------------------

TEST(Warnings, NameWhatIsMostLikelyInAnotherUnit) {
  const std::string mode = "-corrected ";
  EXPECT_THAT(warnings(mode + "-Xbeam 1536 -Ybeam 1536"),
              Contains("the direct beam is at 1.54e+03 and 1.54e+03 mm along the edges of a "
                       "panel of 96 x 96 mm; beam centres (-Xbeam, -Ybeam) are in mm: are they "
                       "in pixels?"));
  EXPECT_THAT(warnings(mode + "-detector_thick 0.45 -detector_abs 234"),
              Contains("the sensor thickness (-detector_thick) is 0.45 um; is it in "
                       "millimetres?"));
  EXPECT_THAT(warnings(mode + "-pixel 172e-6 -detpixels 8"),
              Contains("the pixel size (-pixel) is 0.000172 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-pixel 75 -distance 1000"),
              Contains("the pixel size (-pixel) is 75 mm; is it in micrometres?"));
  EXPECT_THAT(warnings(mode + "-distance 0.2"),
              Contains("the distance (-distance) is 0.2 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-xtalsize 1e-5"),
              Contains("the size (-sample_x) is 1e-05 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-xtal_width 1e-5"),
              Contains("the size (-sample_y) is 1e-05 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-xtalsize 1e-4 -block_size 1e-5"),
              Contains("the block size (-block_size) is 1e-05 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-xtalsize 50 -beamsize 0.01"),
              Contains("the size (-sample_x) is 50 mm; is it in micrometres?"));
  EXPECT_THAT(warnings(mode + "-cell 40 50 60 1.5708 1.5708 1.5708"),
              Contains("the cell alpha (-cell) is 1.5708 degrees; is it in radians?"));
  EXPECT_THAT(warnings(mode + "-pix0_vector 100 50 50"),
              Contains("the origin x (-pix0_vector) is 100 m; is it in millimetres?"));
  EXPECT_THAT(warnings(mode + "-detsize 0.1 -detpixels 0 -pixel 0.01"),
              Contains("the size (-detsize_f) is 0.1 mm; is it in metres?"));
  EXPECT_THAT(warnings(mode + "-flux 12"),
              Contains("the flux (-flux) is 12 photons/s; is it the power of ten alone?"));
  EXPECT_THAT(warnings(mode + "-fluence 1e10"),
              Contains("the fluence (-fluence) is 1e+10 photons/m^2; is it in photons/um^2?"));
  EXPECT_THAT(warnings(mode + "-dmin 0.05"),
              Contains("the dmin (-dmin) is 0.05 Angstrom; is it in nanometres?"));
  EXPECT_THAT(warnings(mode + "-detector_thick 450 -detector_abs 0.234"),
              Contains("the attenuation depth (-detector_abs) is 0.234 um; is it in "
                       "millimetres?"));
}

TEST(Warnings, OfACubeAreOne) {
  const auto all = warnings("-corrected -xtalsize 1e-5");
  EXPECT_EQ(std::ranges::count_if(all, [](const auto& line) { return line.ends_with("?"); }), 1);
}

TEST(Warnings, AreNoneForWhatIsUsual) {
  for (const char* line :
       {"", "-Xbeam -40 -Ybeam 120", "-detector_thick 450 -detector_abs 234",
        "-pixel 0.075 -distance 300", "-xtalsize 0.0001",
        "-xtalsize 0.05 -block_size 0.0005 -beamsize 0.01", "-beamsize 1e-5", "-fluence 1e15",
        "-flux 1e6 -exposure 1e-14", "-water 1", "-dmin 0.5", "-pix0_vector 0.1 0.05 0.05",
        "-pixel 0.05 -distance 20000", "-twotheta 40 -Xbeam 500", "-mosaic 0.5 -mosaic_domains 10"})
    EXPECT_THAT(warnings(std::string(line) + " -corrected"), Each(Not(HasSubstr("?")))) << line;
}

TEST(Warnings, SayThatAScanIsCoarserThanItsSpots) {
  EXPECT_THAT(warnings("-corrected -osc 10 -N 200 -oversample 40"),
              Contains(HasSubstr("phi steps of 5 degrees are wider than")));
  EXPECT_THAT(warnings("-corrected -osc 10 -phisteps 4000 -N 200 -oversample 40"),
              Not(Contains(HasSubstr("phi steps"))));
  // Of a metric that makes spots ten times as narrow
  const std::string fine = "-corrected -osc 2 -phisteps 20 -N 20 -oversample 40 -gauss_xtal ";
  EXPECT_THAT(warnings(fine), Not(Contains(HasSubstr("phi steps"))));
  EXPECT_THAT(warnings(fine + "-spot_metric reciprocal"), Contains(HasSubstr("phi steps")));
}

TEST(Warnings, SayThatARegionGoesBeyondThePanel) {
  EXPECT_THAT(warnings("-corrected -roi 0 100 0 20"),
              Contains("the region of interest (-roi) goes beyond the 32 x 32 pixels of the "
                       "detector: 0 31 0 20 is taken"));
  EXPECT_THAT(warnings("-corrected -roi 0 31 -1 -1"), Not(Contains(HasSubstr("region"))));
}

// ---- Units in words --------------------------------------------------------------------------

TEST(UnitsInWords, AreConvertedWhenCorrected) {
  const auto given = [](const std::string& line) { return parse(line + " -corrected").experiment; };
  EXPECT_DOUBLE_EQ(given("-energy_keV 12.39842").beam.wavelength_A, 1);
  EXPECT_DOUBLE_EQ(given("-energykeV 12.39842").beam.wavelength_A, 1);
  EXPECT_DOUBLE_EQ(given("-lambda_nm 0.1").beam.wavelength_A, 1);
  EXPECT_DOUBLE_EQ(given("-lambda_A 1.5").beam.wavelength_A, 1.5);
  EXPECT_DOUBLE_EQ(given("-pixel_um 75").detector.pixel_mm, 0.075);
  EXPECT_DOUBLE_EQ(given("-pixel_mm 0.1").detector.pixel_mm, 0.1);
  EXPECT_DOUBLE_EQ(given("-distance_cm 20").detector.distance_mm, 200);
  EXPECT_DOUBLE_EQ(given("--distance_m 0.2").detector.distance_mm, 200);
  EXPECT_DOUBLE_EQ(given("-xtalsize_um 50").crystal.size_mm.x, 0.05);
  EXPECT_DOUBLE_EQ(given("-exposure_ms 10").beam.exposure_s, 0.01);
  EXPECT_DOUBLE_EQ(*given("-hdivrange_urad 500").beam.horizontal_divergence_mrad.range, 0.5);
  EXPECT_NEAR(given("-detector_rotx_rad 0.1").detector.rotation_deg.x,
              units::degrees_from_radians(0.1), 1e-12);
  EXPECT_THAT(parse("-pixel_um 75 -corrected").warnings, IsEmpty());
}

TEST(UnitsInWords, OfAnotherKindAreRefusedWhenCorrected) {
  const auto complaint = [](const std::string& line) {
    return test::message_of<UsageError>([&] { parse(line + " -corrected"); });
  };
  EXPECT_EQ(complaint("-distance_eV 100"),
            "-distance_eV says eV, and -distance takes mm; write -distance");
  EXPECT_EQ(complaint("-cell_nm 7 8 9 90 90 90"),
            "-cell_nm says nm, and -cell takes Angstrom; write -cell");
  EXPECT_EQ(complaint("-Xbeam_px 512"), "-Xbeam_px says px, and -Xbeam takes mm; write -Xbeam");
  EXPECT_EQ(complaint("-pix0_vector_um 1 2 3"),
            "-pix0_vector_um says um, and -pix0_vector takes m; write -pix0_vector");
}

TEST(UnitsInWords, LeaveNanoBraggsNumberAndASentenceInCompat) {
  const flags::Request request = parse("-energy_keV 12.4 -pixel_um 75 -distance_eV 100");
  EXPECT_NEAR(request.experiment.beam.wavelength_A, 999.873, 1e-3);
  EXPECT_EQ(request.experiment.detector.pixel_mm, 75);
  EXPECT_EQ(request.experiment.detector.distance_mm, 100);
  EXPECT_THAT(
      request.warnings,
      ElementsAre("Q-48: -energy_keV says keV, and -energy takes eV: the number is taken as it is, "
                  "as nanoBragg does; -corrected converts it",
                  "Q-48: -pixel_um says um, and -pixel takes mm: the number is taken as it is, as "
                  "nanoBragg does; -corrected converts it",
                  "Q-48: -distance_eV says eV, and -distance takes mm: the number is taken as it "
                  "is, as nanoBragg does; -corrected refuses it"));
}

TEST(UnitsInWords, AreNoneWhereAFlagIsWrittenLonger) {
  for (const char* line : {"-mosaic_domains 3", "-wavelength 1.2", "-oversamples 2", "-lambda_A 1",
                           "-samplesize 1", "-detpixels_f 5", "-fudge_factor 1"})
    for (const char* mode : {"", " -corrected"})
      EXPECT_THAT(parse(std::string(line) + mode).warnings, IsEmpty()) << line;
}

// ---- Words -----------------------------------------------------------------------------------

TEST(EqualsSigns, StandBetweenAFlagAndItsValueInBothModes) {
  for (const char* mode : {"", " -corrected"}) {
    const Experiment e = parse(std::string("--lambda=1.2 -N=7 --cell=70 80 90 90 90 90 "
                                           "-detector_rotx=-3") +
                               mode)
                             .experiment;
    EXPECT_EQ(e.beam.wavelength_A, 1.2);
    EXPECT_EQ(e.crystal.cells, (Vec3d{7, 7, 7}));
    EXPECT_EQ(e.crystal.cell->b_A, 80);
    EXPECT_EQ(e.detector.rotation_deg.x, -3);
  }
  EXPECT_EQ(parse("-floatfile=a=b.bin").float_file.name, "a=b.bin");
  EXPECT_EQ(parse("-floatfile a=b.bin").float_file.name, "a=b.bin");
  EXPECT_EQ(test::message_of<UsageError>([] { parse("-nonoise=1"); }),
            "-nonoise takes no value, and '=1' is given");
}

TEST(EqualsSigns, AreSaidWhereNanoBraggWouldReadTheNumberThatFollows) {
  EXPECT_THAT(parse("--lambda=1.2 3").warnings,
              Contains("nanoBragg would have read 3, which follows, as the value of --lambda=1.2; "
                       "the value behind the = is taken"));
  EXPECT_THAT(parse("--lambda=1.2 -N 3").warnings, IsEmpty());
}

TEST(Suggestions, AreTheOnlyFlagThatBeginsSo) {
  EXPECT_EQ(flags::nearest_spelling("-gauss"), "-gauss_xtal");
  EXPECT_EQ(flags::nearest_spelling("-dist"), "-distance");
  EXPECT_EQ(flags::nearest_spelling("--dist"), "-distance");
  EXPECT_EQ(flags::nearest_spelling("-Distance"), "-distance");
  EXPECT_EQ(flags::nearest_spelling("-HKL"), "-hkl");
}

TEST(Suggestions, AreNotMadeForLittleLikeness) {
  for (const char* word :
       {"-v", "-q", "-o", "-tif", "-foo", "-nxs", "-pdb", "-mtz", "-x", "-bar", "-cif"})
    EXPECT_EQ(flags::nearest_spelling(word), "") << word;
}

TEST(StrayNumbers, AfterPhiPointToTheWidthOfAScan) {
  EXPECT_THAT(parse("-phi 0 90").warnings,
              ElementsAre("'90' belongs to no flag and is ignored; the width of a scan is -osc"));
}

TEST(CellFlagOfSomeNumbers, SaysWhichNumbersItTakesForThoseThatAreNotThere) {
  EXPECT_THAT(parse("-cell 70 80 90 90 90").warnings,
              ElementsAre("-cell has 5 numbers: gamma is taken as 90 degrees"));
  EXPECT_THAT(parse("-cell 70 80 90 90").warnings,
              ElementsAre("-cell has 4 numbers: beta, gamma are taken as 90 degrees"));
  EXPECT_THAT(parse("-cell 70 80").warnings, ElementsAre("-cell has 2 numbers: c is taken as a"));
  for (const char* line : {"-cell 70", "-cell 70 80 90", "-cell 70 80 90 75 85 95"})
    EXPECT_THAT(parse(line).warnings, IsEmpty()) << line;
}

TEST_F(NumbersOnTheCommandLine, OfThreadsAreAtMostWhatAMachineCouldHave) {
  for (const char* threads : {"4097", "2147483647"}) {
    const test::Outcome outcome = run(small + "-corrected -threads " + threads);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("the number of threads (-threads) is " +
                                       std::string(threads) + "; it must be between 0"));
  }
  EXPECT_EQ(test::message_of<UsageError>([] { parse("-threads 5000000000"); }),
            "-threads: 5000000000 is too large");
  EXPECT_EQ(test::message_of<UsageError>([] { parse("-seed 99999999999999999999"); }),
            "-seed: 99999999999999999999 is too large");
}

TEST_F(NumbersOnTheCommandLine, OfStepsThatCannotBeCountedAreRefused) {
  EXPECT_THAT(error("-corrected -oversample 30000 -mosaic 1 -mosaic_domains 10000000 -divergence 1 "
                    "-divsteps 4000"),
              HasSubstr("more steps are asked for than can be counted"));
}

// ---- Help ------------------------------------------------------------------------------------

TEST_F(NumbersOnTheCommandLine, AndEverythingElseOfAFlagAreInItsHelp) {
  const test::Outcome one = run("help -pixel"), bare = run("help pixel");
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_EQ(one.out, bare.out);
  EXPECT_THAT(one.out, HasSubstr("-pixel mm"));
  EXPECT_EQ(std::count(one.out.begin(), one.out.end(), '\n'), 1);
  const std::string help = run("help").out;
  EXPECT_THAT(help, StartsWith("usage: nablabragg"));
  EXPECT_LT(std::count(help.begin(), help.end(), '\n'), 20);
  const test::Outcome none = run("help -pixle");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_EQ(none.err,
            "nablabragg: error: there is no flag -pixle to help with; did you mean -pixel?\n");
}

// ---- Cost ------------------------------------------------------------------------------------

const std::string large =
    "-default_F 100 -cell 78 78 37 90 90 90 -xtalsize 0.1 -detpixels 64 -pixel "
    "0.172 -distance 200 -lambda 0.9795 ";

TEST_F(NumbersOnTheCommandLine, OfAutomaticSubPixelsAreRefusedWhereTheyTakeLongerThanTwoMinutes) {
  const test::Outcome outcome = run(large + "-detpixels 1024 -corrected -floatfile f.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, StartsWith("nablabragg: error: the automatic oversampling (2635-fold) "
                                      "asks for 7.3e+12 steps, about "));
  for (const char* way_out : {"-oversample 2635 if that is meant", "-blocks", "-block_size"})
    EXPECT_THAT(outcome.err, HasSubstr(way_out));
  EXPECT_THAT(outcome.err, Not(HasSubstr("-gauss_xtal"))) << "which would be refused, too";
  EXPECT_THAT(folder.names(), IsEmpty());
}

std::string costly_oversampling_of(const std::string& line) {
  const flags::Request request = parse(line);
  const Resolved resolved = resolve(request.experiment);
  return costly_oversampling(request.experiment, resolved, make_plan(request.experiment, resolved),
                             {}, {});
}

/// `-block_size 0.0005`, `-Na 6 -Nb 6 -Nc 14 -blocks 1e9` from the sentence that offers them.
std::string offered(const std::string& sentence, const std::string& begin, const std::string& end) {
  const std::size_t from = sentence.find(begin), to = sentence.find(end, from);
  return from == std::string::npos || to == std::string::npos ? "nothing"
                                                              : sentence.substr(from, to - from);
}

TEST_F(NumbersOnTheCommandLine, OfferNoWayOutOfTheCostThatIsRefused) {
  const std::string line = large + "-detpixels 1024 -corrected ";
  const std::string sentence = run(line + "-floatfile f.bin").err;
  EXPECT_THAT(run(line + "-gauss_xtal -floatfile f.bin").err,
              HasSubstr("the automatic oversampling"));
  const std::string without_size = std::regex_replace(line, std::regex("-xtalsize 0.1"), "");
  for (const std::string& taken : {line + offered(sentence, "-block_size", " with -xtalsize"),
                                   without_size + offered(sentence, "-Na", ")")})
    EXPECT_EQ(costly_oversampling_of(taken), "") << taken;
  // Crystals that are small enough for it are offered spots without fringes
  const std::string smaller =
      "-default_F 100 -cell 78 78 37 90 90 90 -N 300 -detpixels 2048 -pixel "
      "0.172 -distance 100 -lambda 0.9795 -mosaic 0.5 -mosaic_domains 300 "
      "-corrected ";
  const std::string other = costly_oversampling_of(smaller);
  ASSERT_NE(other, "");
  EXPECT_EQ(other.find("-gauss_xtal") != std::string::npos,
            costly_oversampling_of(smaller + "-gauss_xtal") == "");
}

TEST_F(NumbersOnTheCommandLine, OfTooFewSubPixelsAreSaidWithWhatHelps) {
  const std::string said =
      "nablabragg: the crystal's spots are finer than the steps of the "
      "sub-pixels, so that light falls between these and the image may miss "
      "spots: -oversample 2635 would resolve them, and smaller mosaic blocks "
      "need fewer (-block_size with -xtalsize, or -N with -blocks)\n";
  const std::string dark =
      "nablabragg: every pixel of the image is 0: the crystal's spots are finer "
      "than the steps of the sub-pixels (-oversample) and fall between these\n";
  for (const char* mode : {"-corrected -gauss_xtal ", "-nonoise -nopgm -nocache -gauss_xtal "}) {
    const std::string err = run(large + "-oversample 1 -floatfile f.bin " + mode).err;
    EXPECT_THAT(err, HasSubstr(said)) << mode;
    EXPECT_THAT(err, HasSubstr(dark)) << mode;
  }
  EXPECT_THAT(run(large + "-oversample 1000 -roi 0 0 0 0 -corrected -floatfile f.bin").err,
              HasSubstr("the crystal's fringes are finer than the sub-pixels: -oversample 2635"));
  EXPECT_THAT(run(large + "-xtalsize 2 -roi 0 0 0 0 -corrected -floatfile f.bin").err,
              AllOf(HasSubstr("sub-pixels along each edge of a pixel, and there can be 30000; give "
                              "smaller mosaic blocks")));
}

// ---- Images without light --------------------------------------------------------------------

TEST_F(NumbersOnTheCommandLine, OfADarkImageAreSaidWithTheReason) {
  const std::string
      line = "-cell 70 80 90 90 90 90 -N 5 -detpixels 16 -oversample 1 -floatfile f.bin ";
  folder.file("behind", "1 0 0 1 1e-10\n");
  folder.file("none.hkl", "1 0 0 0\n0 1 0 0\n");
  folder.file("far.hkl", "20 20 20 5\n21 20 20 5\n");
  const std::string dark = "nablabragg: every pixel of the image is 0: ";
  struct Reason {
    std::string flags, sentence;
  };
  for (const Reason& each :
       {Reason{"-hkl none.hkl", "all structure factors are 0"},
        Reason{"-default_F 100 -fluence 0", "the fluence is 0"},
        Reason{"-hkl far.hkl -sourcefile behind",
               "the sources are on that side of the sample where the detector is"},
        Reason{"-hkl far.hkl", "no reflection with a structure factor is near its Bragg condition"},
        Reason{"-hkl far.hkl -N 500 -corrected -gauss_xtal -mosaic 0.1 -mosaic_model gaussian",
               "no reflection with a structure factor is near its Bragg condition"}})
    for (const char* mode : {"-corrected", "-nonoise -nopgm -nocache"})
      EXPECT_THAT(run(line + each.flags + " " + mode).err, HasSubstr(dark + each.sentence))
          << each.flags << mode;
  EXPECT_THAT(run(line + "-default_F 100 -corrected").err, Not(HasSubstr("every pixel")));
}

TEST_F(NumbersOnTheCommandLine, OfSubPixelsThatWereAskedForAreNotRefused) {
  for (const char* asked : {"-oversample 1", "-block_size 0.0005"}) {
    const test::Outcome outcome = run(large + asked + " -corrected -floatfile f.bin");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

// ---- Blocks ----------------------------------------------------------------------------------

TEST(Blocks, FollowFromTheirSizeAndTheCrystals) {
  const Experiment
      e = parse(
              "-cell 50 40 80 90 100 90 -default_F 1 -xtalsize 0.01 -block_size 0.0002 "
              "-corrected")
              .experiment;
  const Resolved r = resolve(e);
  EXPECT_EQ(r.cells, (Vec3d{40, 50, 25}));
  EXPECT_NEAR(r.blocks, 50.0 * 50 * 50, 1e-6);
  const Experiment clipped = parse(
                                 "-cell 50 40 80 90 100 90 -default_F 1 -xtalsize 0.01 -block_size "
                                 "0.0002 -beamsize 0.005 -corrected")
                                 .experiment;
  EXPECT_NEAR(resolve(clipped).blocks, 50.0 * 25 * 25, 1e-6);
}

TEST(Blocks, AreRefusedWhereTheyContradictTheCrystal) {
  EXPECT_THAT(error("-corrected -block_size 0.001"),
              HasSubstr("(-block_size) needs the size of the crystal"));
  EXPECT_THAT(error("-corrected -block_size 0.01 -xtalsize 0.001"), HasSubstr("is larger than"));
  EXPECT_THAT(error("-corrected -block_size 0.0001 -xtalsize 0.001 -blocks 7"),
              HasSubstr("leave -blocks out"));
  EXPECT_THAT(error("-corrected -blocks 0"),
              HasSubstr("the blocks (-blocks) are 0; they must be positive"));
}

TEST_F(NumbersOnTheCommandLine, OfBlocksMultiplyTheSpotsAndNoBackground) {
  for (const char* mode : {"-corrected ", "-nonoise -nopgm -nocache -intfile i.img "}) {
    const auto image = [&](const std::string& flags) {
      const test::Outcome outcome = run(small + mode + flags + " -floatfile f.bin");
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      return test::read_floats(folder / "f.bin");
    };
    const auto spots = image(""), both = image("-water 30"), many = image("-water 30 -blocks 50");
    for (std::size_t i = 0; i < spots.size(); ++i)
      EXPECT_NEAR(many[i], both[i] + 49.0 * spots[i], 1e-5 * many[i]);
  }
}

TEST_F(NumbersOnTheCommandLine, OfBlocksAndCellsFromSizesAreThoseThatWereTyped) {
  const auto image = [&](const std::string& flags) {
    EXPECT_EQ(run("-cell 40 50 60 90 90 90 -default_F 10 -detpixels 32 -pixel 0.2 -corrected "
                  "-floatfile f.bin " +
                  flags)
                  .exit_code,
              0);
    return test::read_file(folder / "f.bin");
  };
  EXPECT_EQ(image("-xtalsize 0.0012 -block_size 0.00012"),
            image("-Na 30 -Nb 24 -Nc 20 -blocks 1000"));
}

TEST_F(NumbersOnTheCommandLine, OfABeamlineMakeThePictureOfItsPage) {
  const std::string text = test::read_file(NABLA_SOURCE_DIR "/docs/beamline.md"), fence = "```";
  const std::size_t begin = text.find(fence + "sh\n") + fence.size() + 3;
  folder.file("page.sh", text.substr(begin, text.find(fence, begin) - begin));
  const std::filesystem::path program(NABLA_PROGRAM);
  const std::string at = folder.path().string(),
                    line = "cd '" + at + "' && ln -s '" NABLA_SOURCE_DIR "/examples' . && PATH='" +
                           program.parent_path().string() + "':$PATH sh -e page.sh >out.txt 2>&1";
  ASSERT_EQ(std::system(line.c_str()), 0) << test::read_file(at + "/out.txt");
  const std::string out = test::read_file(at + "/out.txt");
  EXPECT_THAT(out, HasSubstr("1.5089e+07 mosaic blocks of so many cells"));
  EXPECT_THAT(folder.names(), IsSupersetOf({"beamline.cbf", "beamline.png"}));
  // Spots stand out of the water, and do not drown the detector.
  std::smatch brightest;
  ASSERT_TRUE(std::regex_search(out, brightest, std::regex("max_I = ([0-9.]+)")));
  EXPECT_GT(std::stod(brightest[1]), 1000);
  EXPECT_LT(std::stod(brightest[1]), 1e6);
}

// ---- Cells from a length ---------------------------------------------------------------------

/// nanoBragg's numbers, built with gcc 12 -O3 for x86-64.
TEST(CellsFromALength, AreNanoBraggsToTheLastBitInCompat) {
  struct Case {
    const char *crystal, *length, *misset;
    Vec3d cells;
  };
  for (const Case& c : {Case{"60 60 60 90 90 90", "3e-05", "0 0 0", {5, 5, 5}},
                        Case{"33 45.51 96.1 80 95 110", "1.32e-05", "33.3 -21.7 5.5", {4, 3, 2}},
                        Case{"83 63 49.25 90 90 90", "1.97e-05", "0 0 0", {3, 4, 5}},
                        Case{"36 52 35.83 90 90 120", "2.52e-05", "0 0 0", {7, 5, 8}},
                        Case{"26.08 110 65 90 100 90", "2.8688e-05", "0 0 0", {11, 3, 5}},
                        Case{"62 70 53 80 95 110", "7e-05", "0 0 0", {12, 11, 14}},
                        Case{"45 115.98 78 90 90 120", "2.25e-05", "10 20 30", {6, 2, 3}},
                        Case{"56 43 54.8 90 90 90", "3.87e-05", "10 20 30", {7, 10, 8}},
                        Case{"38 76 118 80 95 110", "4.56e-05", "0 0 0", {13, 7, 4}},
                        Case{"37.15 50.97 35.4 80 95 110", "7.43e-06", "0 0 0", {3, 2, 3}},
                        Case{"95 23.1 112 90 100 90", "9.5e-06", "10 20 30", {1, 5, 1}},
                        Case{"73 97.85 56.11 90 90 120", "1.1222e-05", "10 20 30", {2, 2, 3}}})
    EXPECT_EQ(resolve(parse(std::string("-cell ") + c.crystal + " -default_F 1 -samplesize " +
                            c.length + " -misset " + c.misset)
                          .experiment)
                  .cells,
              c.cells)
        << c.crystal;
}

TEST(CellsFromALength, AreThoseOfTheMultipleWhenCorrected) {
  for (int n = 1; n <= 60; ++n)
    for (const double edge : {33.0, 45.51, 60.0, 78.9, 104.03}) {
      Experiment e = parse("-cell 60 60 60 80 95 110 -default_F 1 -misset 10 20 30 -corrected")
                         .experiment;
      e.crystal.cell->a_A = edge;
      e.crystal.size_mm.x = edge * n * 1e-7;
      EXPECT_EQ(resolve(e).cells.x, n) << edge;
      e.crystal.size_mm.x = edge * (n + 1e-6) * 1e-7;
      EXPECT_EQ(resolve(e).cells.x, n + 1) << edge;
    }
}

}  // namespace
}  // namespace nablabragg
