// Arguments -> what they ask for: every flag, its spellings, and what order and omissions do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "flags/command_line.hpp"
#include "flags/flags.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

flags::Request parse(const std::string& line) {
  return flags::parse_command_line(test::split_arguments(line));
}

std::string complaint_about(const std::string& line) {
  return test::message_of<UsageError>([&] { parse(line); });
}

Resolved resolved(const std::string& line) {
  return resolve(parse("-cell 100 -default_F 1 -detpixels 256 " + line).experiment);
}

// ---- A request as text, so that two can be compared ------------------------------------------

nlohmann::json text_of(double value) { return value; }
nlohmann::json text_of(int value) { return value; }
nlohmann::json text_of(std::int64_t value) { return value; }
nlohmann::json text_of(Pivot pivot) { return pivot == Pivot::beam ? "beam" : "sample"; }
nlohmann::json text_of(SpotMetricKind metric) { return static_cast<int>(metric); }
nlohmann::json text_of(const Vec3d& v) { return {v.x, v.y, v.z}; }
nlohmann::json text_of(const PixelIndex& pixel) {
  return {{"slow", pixel.slow}, {"fast", pixel.fast}, {"panel", pixel.panel}};
}
nlohmann::json text_of(const UnitCell& c) {
  return {c.a_A, c.b_A, c.c_A, c.alpha_deg, c.beta_deg, c.gamma_deg};
}
nlohmann::json text_of(const RegionOfInterest& r) {
  return {r.fast_min, r.fast_max, r.slow_min, r.slow_max};
}
nlohmann::json text_of(const flags::OutputName& file) { return {file.name, file.named, file.on}; }
template <class T>
nlohmann::json text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : nlohmann::json();
}
nlohmann::json text_of(const SampledRange<double>& r) {
  return {text_of(r.range), text_of(r.step), text_of(r.steps)};
}

/// All that a flag may change, apart from what is only reported on the way.
std::string state_of(const flags::Request& r) {
  const Experiment& e = r.experiment;
  const Beam& b = e.beam;
  const Crystal& c = e.crystal;
  const Detector& d = e.detector;
  nlohmann::json beam = {b.wavelength_A,
                         text_of(b.direction),
                         b.polarization_correction,
                         b.polarization_fraction,
                         text_of(b.polarization_axis),
                         b.fluence_per_m2,
                         text_of(b.flux_per_s),
                         b.exposure_s,
                         text_of(b.size_mm),
                         text_of(b.horizontal_divergence_mrad),
                         text_of(b.vertical_divergence_mrad),
                         b.round_divergence,
                         text_of(b.dispersion_percent)};
  nlohmann::json crystal = {text_of(c.cell),
                            text_of(c.misset_deg),
                            text_of(c.cells),
                            text_of(c.size_mm),
                            static_cast<int>(c.shape),
                            c.blocks,
                            c.block_size_mm,
                            c.block_size_spread,
                            static_cast<int>(c.block_size_fixed),
                            c.fudge,
                            text_of(c.spot_metric),
                            text_of(c.mosaic_spread_deg),
                            text_of(c.mosaic_domains),
                            c.mosaic_seed,
                            static_cast<int>(c.mosaic_model),
                            text_of(c.mosaic_spread_axes_deg),
                            text_of(c.cell_spread_A),
                            text_of(c.cell_angle_spread_deg),
                            text_of(c.diffuse_sigma_A),
                            text_of(c.diffuse_gamma_A),
                            static_cast<int>(c.diffuse_motion),
                            c.diffuse_in_F,
                            c.diffuse_stencil,
                            c.diffuse_error,
                            static_cast<int>(e.beam.spectrum_model),
                            static_cast<int>(e.beam.divergence_model)};
  for (const FurtherCrystal& further : e.more_crystals)
    crystal.push_back({text_of(further.misset_deg), further.weight, text_of(further.cells),
                       text_of(further.mosaic_spread_deg)});
  nlohmann::json detector = {static_cast<int>(d.convention),
                             d.fast_pixels,
                             d.slow_pixels,
                             d.fast_size_mm,
                             d.slow_size_mm,
                             d.pixel_mm,
                             d.distance_mm,
                             text_of(d.close_distance_mm),
                             text_of(d.pivot),
                             text_of(d.beam_x_mm),
                             text_of(d.beam_y_mm),
                             text_of(d.close_x_mm),
                             text_of(d.close_y_mm),
                             text_of(d.org_x_px),
                             text_of(d.org_y_px),
                             text_of(d.rotation_deg),
                             d.two_theta_deg,
                             d.curved,
                             d.point_pixel,
                             d.gain,
                             d.sensor_material,
                             d.sensor_thickness_um,
                             d.attenuation_depth_um ? std::to_string(*d.attenuation_depth_um) : "",
                             text_of(d.sensor_layers)};
  nlohmann::json sampling = {e.scan.phi_deg,
                             text_of(e.scan.oscillation_deg),
                             e.sampling.oversample,
                             static_cast<int>(e.sampling.summation),
                             e.sampling.dmin_A,
                             e.sampling.oversample_thick,
                             e.sampling.oversample_polar,
                             text_of(e.sampling.roi),
                             e.sampling.oversample_omega,
                             e.sampling.mask != nullptr,
                             e.water_um,
                             e.beam.tilt_horizontal_mrad,
                             e.beam.tilt_vertical_mrad,
                             r.beam_jitter_mrad,
                             e.beamstop.distance_mm,
                             e.beamstop.radius_mm,
                             e.beamstop.offset_fast_mm,
                             e.beamstop.offset_slow_mm,
                             e.beamstop.transmission,
                             e.beamstop.arm_width_mm,
                             e.beamstop.arm_deg,
                             e.beamstop.ring_share,
                             e.beamstop.ring_deg,
                             e.beamstop.ring_width_deg};
  nlohmann::json axes = {text_of(r.fast_axis), text_of(r.slow_axis),
                         text_of(r.normal),    text_of(r.beam),
                         text_of(r.spindle),   text_of(r.polarization_axis),
                         text_of(r.origin_m),  text_of(r.two_theta_axis)};
  nlohmann::json backgrounds = nlohmann::json::array();
  for (const auto& given : r.backgrounds)
    backgrounds.push_back(
        {given.file, given.thickness_mm, given.density_g_cm3, given.molar_mass, given.compton});
  nlohmann::json files = {
      r.matrix_file,
      r.hkl_file,
      r.hkl_column,
      r.model_dmin_A.value_or(0),
      r.anomalous,
      r.dispersion_files,
      r.source_file,
      r.spectrum_file,
      r.spectrum_unit ? static_cast<int>(*r.spectrum_unit) : -1,
      r.spectrum_channels.value_or(0),
      r.spectra_file,
      static_cast<int>(r.shot_light),
      r.image_file,
      r.mask_file,
      r.geometry_file,
      r.output_files,
      r.stol_files,
      backgrounds,
      r.background_interpolation ? static_cast<int>(*r.background_interpolation) : -1,
      r.gas_path_mm ? *r.gas_path_mm : std::array<double, 2>{},
      static_cast<int>(r.gas.gas),
      r.gas.temperature_K,
      r.gas.pressure_kPa,
      r.ice.thickness_um,
      r.ice.a_A,
      r.ice.c_A,
      r.ice.size_A,
      r.ice.B_A2,
      r.cache_file,
      r.cache_named,
      r.cache_allowed,
      text_of(r.float_file),
      text_of(r.int_file),
      text_of(r.pgm_file),
      text_of(r.noise_file),
      r.int_scale,
      r.pgm_scale,
      r.adc,
      r.png_file,
      r.compression,
      static_cast<int>(r.picture.scale),
      r.picture.bits,
      r.picture.white_photons,
      r.png_of_noise,
      r.picture.inverted,
      static_cast<int>(r.picture.colors),
      r.picture.axes,
      r.picture.rings_A,
      r.picture.reduced};
  nlohmann::json running = {r.random_misset,
                            text_of(r.panel),
                            text_of(r.seed),
                            text_of(r.misset_seed),
                            r.source_wavelength_from_cli,
                            text_of(r.pivot_flag),
                            text_of(r.implied_pivot),
                            text_of(r.parsed_pivot),
                            r.threads,
                            static_cast<int>(r.engine),
                            static_cast<int>(r.precision.value_or(Precision::float32)),
                            text_of(r.skip_below),
                            r.profile_file,
                            text_of(r.images),
                            r.orientations,
                            r.goes_on,
                            r.progress,
                            r.quiet,
                            r.printout,
                            r.print_plan,
                            text_of(r.printout_pixel),
                            text_of(r.trace_pixel),
                            static_cast<int>(r.trace_format),
                            r.trace_steps,
                            r.help,
                            r.version,
                            e.quirks == Quirks::corrected(),
                            e.structure_factors.default_F,
                            static_cast<int>(e.structure_factors.interpolation)};
  const nlohmann::json response = {
      r.responds,      to_string(r.response), r.response.calibration_seed, r.calibration_map_file,
      r.gain_map_file, r.truth_file};
  return nlohmann::json{{"beam", beam},         {"crystal", crystal},  {"detector", detector},
                        {"sampling", sampling}, {"axes", axes},        {"files", files},
                        {"running", running},   {"response", response}}
      .dump(1);
}

std::string state_of(const std::string& line) { return state_of(parse(line)); }

/// An SMV image of 4 x 3 pixels of 0.1 mm, all 1, the first 0.
std::string small_smv(const std::string& more_keys = "") {
  std::string bytes =
      "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1=4;\n"
      "SIZE2=3;\nPIXEL_SIZE=0.1;\n" +
      more_keys + "}\f";
  bytes.resize(512, ' ');
  for (int i = 0; i < 12; ++i) bytes += {i == 0 ? '\0' : '\1', '\0'};
  return bytes;
}

// ---- The whole table -------------------------------------------------------------------------

/// Values that a flag could be given, by what its help says that it takes.
const std::map<std::string_view, std::string>& plausible_values() {
  static const std::map<std::string_view, std::string> values = {
      {"", ""},
      {"a b c al be ga", "70 80 90 91 92 93"},
      {"FILE", "some.file"},
      {"FILE | random:SEED", "random:5"},
      {"FILE | FILE:/PATH", "some.h5:/entry/weights"},
      {"relative | absolute", "absolute"},
      {"NAME", "FWT"},
      {"element FILE", "Fe iron.txt"},
      {"NAME | FILE.geom", "EIGER2-1M"},
      {"N | NAME", "0 -roi 1 2 3 4"},
      {"deflate | bitshuffle_lz4", "bitshuffle_lz4"},
      {"MATERIAL um", "Si 450"},
      {"x y z | random", "1 2 3"},
      {"x y z", "0.6 0.8 0"},
      {"xmin xmax ymin ymax", "1 2 3 4"},
      {"fast slow", "5 6"},
      {"slow fast", "6 5"},
      {"n", "3"},
      {"x", "2.5"},
      {"x y z [weight [Na Nb Nc [degree]]]", "10 20 30 0.5 4 5 6 0.1"},
      {"edge | cells", "cells"},
      {"mm", "2.5"},
      {"mm mm", "0.3 -0.2"},
      {"mrad mrad", "0.2 -0.1"},
      {"px", "20.5"},
      {"um", "450"},
      {"um | inf", "234"},
      {"degree", "3.5"},
      {"g/cm3", "1.2"},
      {"g/mol", "18"},
      {"F", "7"},
      {"beam | sample", "sample"},
      {"Angstrom", "1.5"},
      {"eV", "12000"},
      {"photons/m2", "1e20"},
      {"photons/s", "1e12"},
      {"photons", "100"},
      {"s", "0.2"},
      {"percent", "2"},
      {"mrad", "0.3"},
      {"K", "0.9"},
      {"file | cli", "cli"},
      {"linear|log|sqrt", "log"},
      {"grey|heat", "heat"},
      {"d,d,...", "2,3.5"},
      {"8|16", "16"},
      {"table|json", "json"},
      {"reference | cpu | cuda", "reference"},
      {"float32 | float64", "float64"},
      {"cpu | cuda | auto", "cpu"},
      {"auto | closed | sampled", "sampled"},
      {"uniform | gaussian", "gaussian"},
      {"cell | reciprocal | round", "round"},
      {"degree degree degree", "0.1 0.2 0.3"},
      {"A [A A]", "0.3 0.4 0.5"},
      {"liquid | rigid", "rigid"},
      {"[plan]", "plan"},
      {"counting | integrating", "counting -corrected"},
      {"gauss | fiber", "fiber"},
      {"fraction", "0.1"},
      {"share", "0.05"},
      {"ns [paralysable]", "200 paralysable"},
      {"eV | keV | A", "keV"},
      {"counts/photon", "2.5"},
      {"counts", "3"},
      {"A A A", "0.1 0.2 0.3"},
      {"electrons", "1e5"},
      {"electrons/s", "20"},
      {"FILE mm g/cm^3 g/mol [FORMULA]", "w.stol 1 1 18 H2O"},
      {"linear | cubic | nonbragg", "cubic"},
      {"from to", "-5 30"},
      {"air | helium", "helium"},
      {"kelvin", "280"},
      {"kPa", "80"},
      {"A", "250"},
      {"A A", "4.5 7.3"},
      {"A^2", "2"},
  };
  return values;
}

/// The values after the flag; -img, -mask and -expt are read at once, so they need a file.
std::string values_for(const flags::Flag& flag, const std::string& image) {
  if (flag.spellings[0] == "-beam_jitter") return "0.3 -images 2";  // of a series alone
  if (flag.spellings[0] == "-expt") {
    const std::string file = image + ".expt";
    std::ofstream(file) << R"({"__id__": "ExperimentList",
      "experiment": [{"__id__": "Experiment", "beam": 0, "detector": 0}],
      "beam": [{"direction": [0, 0, 1], "wavelength": 1.5}],
      "detector": [{"panels": [{"name": "p", "fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0],
        "origin": [-1, 1, -100], "image_size": [4, 3], "pixel_size": [0.1, 0.1],
        "trusted_range": [-0.5, 100.5]}]}]})";
    // nanoBragg's detector cannot be placed so
    return file + " -corrected";
  }
  if (flag.spellings[0] == "-img" || flag.spellings[0] == "-mask") return image;
  const auto found = plausible_values().find(flag.values);
  if (found != plausible_values().end()) {
    if (flag.spellings[0] == "-truth") return found->second + " -corrected";
    // Steps of a detector need its kind.
    if (flag.group != "Detector response" || flag.spellings[0] == "-response") return found->second;
    const std::string kind = flag.spellings[0] == "-dead_time" ? "counting" : "integrating";
    const std::map<std::string_view, std::string> with = {
        {"-psf_fwhm", " -psf gauss"},
        {"-photon_charge", " -full_well 1e5"},
        {"-full_well", " -photon_charge 3400"},
        {"-dark_current", " -photon_charge 3400 -exposure 1"}};
    const auto more = with.find(flag.spellings[0]);
    return found->second + (more == with.end() ? "" : more->second) + " -corrected -response " +
           kind;
  }
  ADD_FAILURE() << flag.spellings[0] << " takes '" << flag.values
                << "': add values for that to plausible_values()";
  return {};
}

class EveryFlag : public testing::Test {
 protected:
  EveryFlag()
      : image(folder.file("image.img", small_smv("DISTANCE=100;\nWAVELENGTH=1;\n"
                                                 "BEAM_CENTER_X=0.2;\nBEAM_CENTER_Y=0.2;\n"))) {}

  test::TempDir folder;
  std::string image;
};

/// In nanoBragg too, which is said.
const std::set<std::string_view> dead = {"-density", "-MW",    "-molec", "-coherent",
                                         "-stolout", "-4stol", "-stol",  "-Q"};

TEST_F(EveryFlag, ParsesWithPlausibleValuesInEverySpellingAndWithTwoDashes) {
  for (const flags::Flag& flag : flags::flag_table()) {
    const std::string values = ' ' + values_for(flag, image);
    const std::string first = std::string(flag.spellings[0]) + values;
    SCOPED_TRACE(first);
    const flags::Request request = parse(first);
    if (dead.contains(flag.spellings[0]))
      EXPECT_THAT(request.warnings, ElementsAre(HasSubstr("has no effect, as in nanoBragg")));
    else
      EXPECT_THAT(request.warnings, IsEmpty());
    for (const std::string_view spelling : flag.spellings) {
      EXPECT_EQ(state_of(std::string(spelling) + values), state_of(request)) << spelling;
      EXPECT_EQ(state_of('-' + std::string(spelling) + values), state_of(request)) << spelling;
    }
  }
}

TEST_F(EveryFlag, ChangesSomethingUnlessItIsDeadOrStandsForTheDefault) {
  const std::set<std::string_view> changes_nothing = {
      // Dead in nanoBragg too
      "-density", "-MW", "-molec", "-coherent", "-stolout",
      // The default
      "-square_xtal", "-mosflm", "-round_div", "-compat", "-progress", "-device", "-one_crystal"};
  const std::string standard = state_of("");
  for (const flags::Flag& flag : flags::flag_table()) {
    const std::string line = std::string(flag.spellings[0]) + ' ' + values_for(flag, image);
    EXPECT_EQ(state_of(line) == standard, changes_nothing.contains(flag.spellings[0])) << line;
  }
}

TEST_F(EveryFlag, StandsInTheHelpWithAllItsSpellings) {
  const test::Outcome outcome = test::run_program(folder.path(), "-help");
  ASSERT_EQ(outcome.exit_code, 0);
  std::set<std::string> listed;
  std::istringstream in(outcome.out);
  for (std::string word; in >> word;) listed.insert(word);
  for (const flags::Flag& flag : flags::flag_table()) {
    for (const std::string_view spelling : flag.spellings)
      EXPECT_THAT(listed, Contains(std::string(spelling)));
    EXPECT_THAT(outcome.out, HasSubstr(std::string(flag.help)));
  }
}

TEST_F(EveryFlag, ThatTakesValuesSaysSoWhenNothingFollows) {
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.fewest == 0) continue;
    const std::string spelling(flag.spellings[0]);
    EXPECT_THAT(complaint_about(spelling),
                AllOf(StartsWith(spelling + " needs "), HasSubstr(std::string(flag.values)),
                      EndsWith(", and nothing follows")));
  }
}

TEST_F(EveryFlag, ThatTakesValuesDoesNotTakeAnotherFlagForOne) {
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.fewest == 0) continue;
    const std::string spelling(flag.spellings[0]);
    EXPECT_THAT(complaint_about(spelling + " -nopgm 1 2 3 4"),
                AllOf(StartsWith(spelling + " needs "), HasSubstr(std::string(flag.values)),
                      EndsWith(", and the flag -nopgm follows")));
  }
}

TEST_F(EveryFlag, ThatTakesValuesAlsoTakesThemAsTheLastOfTwo) {
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.fewest == 0 || flag.values == "FILE") continue;
    if (flag.spellings[0] == "-background" || flag.spellings[0] == "-more_crystal")
      continue;  // adds one more
    const std::string line = std::string(flag.spellings[0]) + ' ' + values_for(flag, image);
    EXPECT_EQ(state_of(line + ' ' + line), state_of(line)) << line;
  }
}

// ---- Spellings -------------------------------------------------------------------------------

struct SameMeaning {
  const char *longer, *plain;
};
void PrintTo(const SameMeaning& pair, std::ostream* out) { *out << pair.longer; }

class LongerSpelling : public testing::TestWithParam<SameMeaning> {};

TEST_P(LongerSpelling, MeansTheFlagItBeginsWith) {
  EXPECT_EQ(state_of(GetParam().longer), state_of(GetParam().plain));
}

INSTANTIATE_TEST_SUITE_P(
    OfNanoBraggsUsers, LongerSpelling,
    testing::Values(
        SameMeaning{"-lambda_A 1.2", "-lambda 1.2"}, SameMeaning{"-wavelength 1.2", "-lambda 1.2"},
        SameMeaning{"--lambda 1.2", "-lambda 1.2"}, SameMeaning{"-matrix A.mat", "-mat A.mat"},
        SameMeaning{"-hklfile P1.hkl", "-hkl P1.hkl"}, SameMeaning{"-pixelsize 0.2", "-pixel 0.2"},
        SameMeaning{"-distance_mm 85", "-distance 85"}, SameMeaning{"-seedling 4", "-seed 4"},
        SameMeaning{"-oscillation 0.5", "-osc 0.5"}, SameMeaning{"-mosaicity 0.3", "-mosaic 0.3"},
        SameMeaning{"-mosaic_spread 0.3", "-mosaic 0.3"},
        SameMeaning{"-mosaic_domains 20", "-mosaic_dom 20"},
        SameMeaning{"-detector_absorb 100", "-detector_abs 100"},
        SameMeaning{"-xtal_thickness 0.1", "-xtal_x 0.1"},
        SameMeaning{"-sample_thickness 0.1", "-sample_x 0.1"},
        SameMeaning{"-xtal_width 0.1", "-xtal_y 0.1"}, SameMeaning{"-width 0.1", "-xtal_y 0.1"},
        SameMeaning{"-sample_height 0.1", "-sample_z 0.1"},
        SameMeaning{"-height 0.1", "-xtal_z 0.1"}, SameMeaning{"-xtal_size 0.1", "-xtalsize 0.1"},
        SameMeaning{"-samplesize 0.1", "-xtalsize 0.1"},
        SameMeaning{"-curved_detector", "-curved_det"},
        SameMeaning{"-detsize_fast 20", "-detsize_f 20"},
        SameMeaning{"-detsize_slow 20", "-detsize_s 20"},
        SameMeaning{"-detpixels_x 20", "-detpixels_f 20"},
        SameMeaning{"-detpixels_y 20", "-detpixels_s 20"},
        SameMeaning{"-thicksteps 4", "-detector_thicksteps 4"},
        SameMeaning{"-floatimage a.bin", "-floatfile a.bin"},
        SameMeaning{"-intimage a.img", "-intfile a.img"},
        SameMeaning{"-noiseimage a.img", "-noisefile a.img"},
        SameMeaning{"-pgmimage a.pgm", "-pgmfile a.pgm"},
        SameMeaning{"-binary_spots", "-tophat_spots"},
        SameMeaning{"-molecular_weight 18", "-MW 18"},
        SameMeaning{"-sample_density 1.2", "-density 1.2"},
        SameMeaning{"-dump_pixel 3 4", "-trace_pixel 3 4"},
        SameMeaning{"-dumpfile F.bin", "-dump F.bin"}));

TEST(Spelling, TheLongestFlagThatAnArgumentBeginsWithIsMeant) {
  EXPECT_TRUE(parse("-oversample_thick").experiment.sampling.oversample_thick);
  EXPECT_EQ(parse("-oversample_thick").experiment.sampling.oversample, 0);
  EXPECT_EQ(parse("-mosaic_seed 5").experiment.crystal.mosaic_seed, 5);
  EXPECT_FALSE(parse("-mosaic_seed 5").experiment.crystal.mosaic_spread_deg);
  EXPECT_EQ(parse("-hkl_column FC").hkl_column, "FC");
  EXPECT_EQ(parse("-hdivsteps 4").experiment.beam.horizontal_divergence_mrad.steps, 4);
  EXPECT_FALSE(parse("-hdivsteps 4").experiment.beam.horizontal_divergence_mrad.step);
  EXPECT_EQ(parse("-phisteps 4").experiment.scan.oscillation_deg.steps, 4);
  EXPECT_EQ(parse("-misset_seed 7").misset_seed, 7);
  EXPECT_FALSE(parse("-misset_seed 7").random_misset);
  EXPECT_EQ(parse("-polar_vector 0 1 0").polarization_axis, (Vec3d{0, 1, 0}));
}

TEST(Spelling, FlagsThatMustBeWholeAreUnknownWhenWrittenLonger) {
  for (const char* longer :
       {"-detector_thickness", "-detsizes", "-detpixelsize", "-polarization", "-mosaicking",
        "-hdivstepping", "-vdivstepping", "-phistepping", "-phis", "-MWs", "-stols", "-4stols",
        "-Qs", "-missets", "-N5", "-correctedly", "-helpme"})
    EXPECT_THAT(complaint_about(std::string(longer) + " 1 2 3"),
                HasSubstr("unknown flag " + std::string(longer)));
}

TEST(Spelling, TextBeforeTheFlagMakesItUnknown) {
  EXPECT_THAT(complaint_about("-xlambda 1"), HasSubstr("unknown flag -xlambda"));
}

// ---- Flags nobody has ------------------------------------------------------------------------

TEST(UnknownFlag, IsAnErrorThatNamesTheNearestKnownOne) {
  EXPECT_EQ(complaint_about("-dispersoin 2"),
            "unknown flag -dispersoin; did you mean -dispersion?");
  EXPECT_EQ(complaint_about("-labmda 1"), "unknown flag -labmda; did you mean -lambda?");
  EXPECT_EQ(complaint_about("-distnace 1"), "unknown flag -distnace; did you mean -distance?");
  EXPECT_EQ(complaint_about("-detpixel 9"), "unknown flag -detpixel; did you mean -detpixels?");
  EXPECT_EQ(complaint_about("--detpixel 9"), "unknown flag --detpixel; did you mean -detpixels?");
}

TEST(UnknownFlag, FarFromAllFlagsPointsToTheHelp) {
  EXPECT_EQ(complaint_about("-zzzzzzzz"),
            "unknown flag -zzzzzzzz; nablabragg -help lists all flags");
}

TEST(UnknownFlag, MakesTheProgramExitWith2AndWriteNothing) {
  const test::TempDir folder;
  const auto outcome = test::run_program(folder.path(), "-cell 100 -default_F 1 -dispersoin 2");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err,
            "nablabragg: error: unknown flag -dispersoin; did you mean -dispersion?\n");
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(MisnamedFlag, OfNanoBraggsReadmeIsIgnoredAndTheRealOneNamed) {
  for (const auto& [ignored, working] :
       {std::pair{"-hdiv", "-hdivrange"}, {"-vdiv", "-vdivrange"}, {"-dispstep", "-dispsteps"}}) {
    const flags::Request request = parse(std::string(ignored) + " 0.5 -lambda 2");
    EXPECT_EQ(state_of(request), state_of("-lambda 2")) << ignored;
    EXPECT_THAT(request.warnings,
                ElementsAre(AllOf(HasSubstr(std::string(ignored) + ' '), HasSubstr(working))));
  }
}

TEST(MisnamedFlag, WithoutAValueDoesNotEatTheNextFlag) {
  EXPECT_EQ(state_of("-hdiv -lambda 2"), state_of("-lambda 2"));
  EXPECT_EQ(state_of("-lambda 2 -hdiv"), state_of("-lambda 2"));
}

TEST(StrayArgument, IsIgnoredAndNamed) {
  const flags::Request request = parse("-lambda 2 stray -distance 80 17");
  EXPECT_EQ(state_of(request), state_of("-lambda 2 -distance 80"));
  EXPECT_THAT(request.warnings, ElementsAre(HasSubstr("'stray'"), HasSubstr("'17'")));
}

TEST(FlagsOfBothNanoBraggVersions, AreAccepted) {
  EXPECT_EQ(parse("-dump my.bin").cache_file, "my.bin");
  EXPECT_TRUE(parse("-dump my.bin").cache_named);
  // Slow comes first in both
  EXPECT_EQ(text_of(parse("-dump_pixel 3 4").trace_pixel), text_of(PixelIndex{4, 3, 0}));
  EXPECT_EQ(text_of(parse("-trace_pixel 3 4").trace_pixel), text_of(PixelIndex{4, 3, 0}));
  EXPECT_EQ(parse("-dump_pixel 3 4").cache_file, "Fdump.bin");
  // Fast comes first
  EXPECT_EQ(text_of(parse("-printout_pixel 3 4").printout_pixel), text_of(PixelIndex{3, 4, 0}));
  EXPECT_TRUE(parse("-printout_pixel 3 4").printout);
}

// ---- Numbers ---------------------------------------------------------------------------------

TEST(Numbers, OfWholeNumberFlagsMustBeWhole) {
  for (const char* value : {"1e3", "5.7", "abc", "nan", "inf", "3px", "0x10", "1,000"})
    for (const char* flag : {"-N", "-detpixels", "-oversample", "-mosaic_dom", "-phisteps",
                             "-hdivsteps", "-thicksteps", "-seed", "-threads", "-trace_steps"}) {
      const std::vector<std::string> line = {flag, value};
      EXPECT_THAT(test::message_of<UsageError>([&] { flags::parse_command_line(line); }),
                  StartsWith(std::string(flag) + " needs a whole number, not '" + value + "'"));
    }
  EXPECT_EQ(parse("-detpixels 1024.0").experiment.detector.fast_pixels, 1024);
  EXPECT_EQ(parse("-seed +7").seed, 7);
  EXPECT_EQ(parse("-seed -7").seed, -7);
}

TEST(Numbers, ThatDoNotFitAreRefused) {
  EXPECT_THAT(complaint_about("-detpixels 3000000000"), HasSubstr("is too large"));
  EXPECT_NE(complaint_about("-seed 99999999999999999999"), "nothing was thrown");
  EXPECT_NE(complaint_about("-distance 1e999"), "nothing was thrown");
}

TEST(Numbers, OfRealFlagsMustBeFiniteAndComplete) {
  for (const char* value : {"abc", "nan", "inf", "-inf", "0.1mm", "1.2.3", "1e", "0x1p3", "+-5"})
    for (const char* flag : {"-distance", "-lambda", "-pixel", "-phi", "-osc", "-mosaic", "-scale",
                             "-default_F", "-detector_rotx", "-fluence"})
      EXPECT_THAT(complaint_about(std::string(flag) + ' ' + value),
                  StartsWith(std::string(flag) + " needs a number, not '" + value + "'"));
  EXPECT_EQ(parse("-phi -12.5").experiment.scan.phi_deg, -12.5);
  EXPECT_EQ(parse("-phi -.5").experiment.scan.phi_deg, -0.5);
  EXPECT_EQ(parse("-phi +.5e1").experiment.scan.phi_deg, 5);
}

TEST(Numbers, OfVectorsAreCheckedOneByOne) {
  EXPECT_EQ(complaint_about("-misset 10 twenty 30"),
            "-misset needs three angles in degrees, or the word random, not '10'");
  EXPECT_EQ(complaint_about("-corrected -air 10 -10"),
            "-air needs where the path begins and then where it ends, in mm along the beam, not "
            "'10 -10'");
  EXPECT_EQ(complaint_about("-spindle_axis 0 0 z"), "-spindle_axis needs a number, not 'z'");
  EXPECT_EQ(complaint_about("-roi 1 2 3 4.5"), "-roi needs a whole number, not '4.5'");
  EXPECT_THAT(complaint_about("-pix0_vector 0.1 0.2"),
              AllOf(StartsWith("-pix0_vector needs "), EndsWith("and only 2 follow")));
}

TEST(Numbers, NamedChoicesMustBeAmongThoseOffered) {
  EXPECT_EQ(complaint_about("-pngscale cubic"),
            "-pngscale needs one of: linear, log, sqrt, not 'cubic'");
  EXPECT_EQ(complaint_about("-pngbits 12"), "-pngbits needs one of: 8, 16, not '12'");
  EXPECT_EQ(complaint_about("-pngshrink 0"),
            "-pngshrink needs a number of pixels, 1 or more, not '0'");
  for (const char* rings : {"two", "2,", "2,0", "-3", "2,,3", "inf", "2;3"})
    EXPECT_EQ(
        complaint_about(std::string("-pngrings ") + rings),
        std::string("-pngrings needs d-spacings in Angstrom with commas between them, such as "
                    "2,3,5, not '") +
            rings + "'");
  EXPECT_EQ(complaint_about("-trace_format xml"),
            "-trace_format needs one of: table, json, not 'xml'");
  EXPECT_EQ(complaint_about("-source_lambda both"),
            "-source_lambda needs one of: file, cli, not 'both'");
  EXPECT_EQ(complaint_about("-pivot corner"), "-pivot needs beam or sample, not 'corner'");
}

// ---- Flags with rules of their own -----------------------------------------------------------

TEST(CellFlag, TakesOneToSixNumbersAndFillsTheRest) {
  const auto cell = [](const std::string& line) {
    return text_of(parse(line).experiment.crystal.cell);
  };
  EXPECT_EQ(cell("-cell 100"), nlohmann::json({100, 100, 100, 90, 90, 90}));
  EXPECT_EQ(cell("-cell 70 80"), nlohmann::json({70, 80, 70, 90, 90, 90}));
  EXPECT_EQ(cell("-cell 70 80 90 75"), nlohmann::json({70, 80, 90, 75, 90, 90}));
  EXPECT_EQ(cell("-cell 70 80 90 75 85 95"), nlohmann::json({70, 80, 90, 75, 85, 95}));
  EXPECT_EQ(cell("-cell 70 80 90 0 0 0"), nlohmann::json({70, 80, 90, 90, 90, 90}));
}

TEST(CellFlag, EndsAtTheNextFlagAndAtANegativeNumber) {
  EXPECT_EQ(state_of("-cell 70 80 -N 5"), state_of("-cell 70 80 70 90 90 90 -N 5"));
  const flags::Request request = parse("-cell 70 80 -5");
  EXPECT_EQ(text_of(request.experiment.crystal.cell), nlohmann::json({70, 80, 70, 90, 90, 90}));
  EXPECT_THAT(request.warnings, ElementsAre(HasSubstr("'-5'"), HasSubstr("c is taken as a")));
}

TEST(MissetFlag, TakesAnglesOrTheWordRandom) {
  EXPECT_EQ(parse("-misset 10 -20 30").experiment.crystal.misset_deg, (Vec3d{10, -20, 30}));
  EXPECT_TRUE(parse("-misset random").random_misset);
  EXPECT_TRUE(parse("-misset rand -misset_seed 5").random_misset);
  EXPECT_FALSE(parse("-misset random -misset 1 2 3").random_misset);
}

TEST(MissetFlag, IsNotTouchedByItsSeed) {
  // In one version of nanoBragg the seed overwrites the angles (Q-12)
  const flags::Request request = parse("-misset random -misset_seed 12345 -cell 70 80 90");
  EXPECT_TRUE(request.random_misset);
  EXPECT_EQ(request.misset_seed, 12345);
  EXPECT_EQ(request.experiment.crystal.misset_deg, Vec3d{});
}

TEST(CellCountFlags, OverrideEachOtherInOrder) {
  EXPECT_EQ(parse("-N 5 -Na 7").experiment.crystal.cells, (Vec3d{7, 5, 5}));
  EXPECT_EQ(parse("-Na 7 -N 5").experiment.crystal.cells, (Vec3d{5, 5, 5}));
  EXPECT_EQ(parse("-Na 7 -Nb 8 -Nc 9").experiment.crystal.cells, (Vec3d{7, 8, 9}));
}

TEST(CellCountFlags, AreAtLeastOne) {
  for (const char* line : {"-N 0", "-N -4", "-Na 0"}) {
    const auto cells = resolved(line).cells;
    EXPECT_EQ(cells, (Vec3d{1, 1, 1})) << line;
  }
}

TEST(EnergyFlag, CompetesWithTheWavelengthAndTheLastWins) {
  EXPECT_DOUBLE_EQ(parse("-energy 12398.42").experiment.beam.wavelength_A, 1.0);
  EXPECT_DOUBLE_EQ(parse("-lambda 2 -energy 6199.21").experiment.beam.wavelength_A, 2.0);
  EXPECT_DOUBLE_EQ(parse("-energy 6199.21 -lambda 1.5").experiment.beam.wavelength_A, 1.5);
}

TEST(PolarFlag, CancelsNopolarAndIsCancelledByIt) {
  EXPECT_TRUE(parse("-nopolar -polar 0.9").experiment.beam.polarization_correction);
  EXPECT_FALSE(parse("-polar 0.9 -nopolar").experiment.beam.polarization_correction);
}

TEST(DivergenceFlags, ForBothDirectionsAndForOneOverrideEachOtherInOrder) {
  EXPECT_EQ(state_of("-divergence 2 -hdivrange 3"), state_of("-hdivrange 3 -vdivrange 2"));
  EXPECT_EQ(state_of("-hdivrange 3 -divergence 2"), state_of("-hdivrange 2 -vdivrange 2"));
  EXPECT_EQ(state_of("-divsteps 4 -vdivsteps 5"), state_of("-hdivsteps 4 -vdivsteps 5"));
}

TEST(AbsorptionFlag, TakesADepthOrInfinity) {
  const auto depth = [](const std::string& line) {
    return *parse(line).experiment.detector.attenuation_depth_um;
  };
  EXPECT_EQ(depth("-detector_abs 234"), 234);
  EXPECT_TRUE(std::isinf(depth("-detector_abs inf")));
  EXPECT_TRUE(std::isinf(depth("-detector_abs infinite")));
  EXPECT_TRUE(std::isinf(depth("-detector_abs 0")));
  EXPECT_THAT(complaint_about("-detector_abs -5"), HasSubstr("not negative"));
  EXPECT_THAT(complaint_about("-detector_abs thick"), HasSubstr("needs a number"));
}

TEST(OutputFlags, TurnTheirImageOnAndOffInOrder) {
  EXPECT_FALSE(parse("-noisefile a.img -nonoise").noise_file.on);
  EXPECT_TRUE(parse("-nonoise -noisefile a.img").noise_file.on);
  EXPECT_FALSE(parse("-pgmfile a.pgm -nopgm").pgm_file.on);
  EXPECT_TRUE(parse("-nopgm -pgmfile a.pgm").pgm_file.on);
  EXPECT_TRUE(parse("-nopgm -pgmscale 2").pgm_file.on);
  EXPECT_FALSE(parse("-pgmscale 2 -nopgm").pgm_file.on);
  EXPECT_TRUE(parse("").float_file.on);
  EXPECT_TRUE(parse("").noise_file.on);
}

TEST(OutputFlags, HaveNanoBraggsNamesWhereNoneIsGiven) {
  const flags::Request request = parse("");
  EXPECT_EQ(request.float_file.name, "floatimage.bin");
  EXPECT_EQ(request.int_file.name, "intimage.img");
  EXPECT_EQ(request.pgm_file.name, "image.pgm");
  EXPECT_EQ(request.noise_file.name, "noiseimage.img");
  EXPECT_EQ(request.cache_file, "Fdump.bin");
}

TEST(CurvedFlag, CountsAsTheLastArgumentToo) {
  // nanoBragg drops it there (Q-21)
  EXPECT_TRUE(parse("-lambda 1 -curved_det").experiment.detector.curved);
}

TEST(ModeFlags, AreTakenInOrderAndBeforeAllOthers) {
  EXPECT_EQ(parse("").experiment.quirks, Quirks::compat());
  EXPECT_EQ(parse("-corrected").experiment.quirks, Quirks::corrected());
  EXPECT_EQ(parse("-corrected -compat").experiment.quirks, Quirks::compat());
  EXPECT_EQ(parse("-compat -corrected").experiment.quirks, Quirks::corrected());
  EXPECT_EQ(parse("-twotheta_axis 0 0 -1 -twotheta 5 -corrected").experiment.detector.two_theta_deg,
            5);
  EXPECT_EQ(parse("-twotheta 5 -twotheta_axis 0 0 -1 -corrected").experiment.detector.two_theta_deg,
            5);
}

TEST(Repeated, FlagsCountTheLastTimeWithTheirSideEffects) {
  EXPECT_EQ(parse("-lambda 1 -lambda 2").experiment.beam.wavelength_A, 2);
  EXPECT_EQ(parse("-distance 80 -close_distance 70").parsed_pivot, Pivot::sample);
  EXPECT_EQ(parse("-close_distance 70 -distance 80").parsed_pivot, Pivot::beam);
  EXPECT_EQ(parse("-xds -mosflm").experiment.detector.convention, Convention::mosflm);
  EXPECT_EQ(parse("-mosflm -xds").experiment.detector.convention, Convention::xds);
}

// ---- Pivot and convention as nanoBragg's parser leaves them ----------------------------------

struct PivotCase {
  const char* line;
  Pivot pivot;
};
void PrintTo(const PivotCase& c, std::ostream* out) { *out << c.line; }

class ParsedPivot : public testing::TestWithParam<PivotCase> {};

TEST_P(ParsedPivot, IsThatOfTheLastFlagThatSetsOne) {
  EXPECT_EQ(parse(GetParam().line).parsed_pivot, GetParam().pivot);
}

INSTANTIATE_TEST_SUITE_P(
    OfTheFlagTable, ParsedPivot,
    testing::Values(PivotCase{"", Pivot::beam}, PivotCase{"-Xclose 5", Pivot::sample},
                    PivotCase{"-Yclose 5", Pivot::sample}, PivotCase{"-ORGX 5", Pivot::sample},
                    PivotCase{"-ORGY 5", Pivot::sample}, PivotCase{"-ORGX 5 -Xbeam 5", Pivot::beam},
                    PivotCase{"-Xclose 5 -Ybeam 5", Pivot::beam},
                    PivotCase{"-Xbeam 5 -Xclose 5", Pivot::sample},
                    PivotCase{"-close_distance 90", Pivot::sample},
                    PivotCase{"-close_distance 90 -distance 95", Pivot::beam},
                    PivotCase{"-pivot sample", Pivot::sample},
                    PivotCase{"-pivot sample -distance 95", Pivot::beam},
                    PivotCase{"-distance 95 -pivot sample", Pivot::sample},
                    PivotCase{"-twotheta 5", Pivot::sample},
                    PivotCase{"-twotheta 5 -pivot beam", Pivot::beam},
                    PivotCase{"-twotheta_axis 0 0 1", Pivot::sample},
                    PivotCase{"-xds", Pivot::sample}, PivotCase{"-xds -dials", Pivot::beam},
                    PivotCase{"-xds -mosflm", Pivot::beam}, PivotCase{"-xds -adxv", Pivot::beam},
                    PivotCase{"-xds -denzo", Pivot::beam},
                    PivotCase{"-xds -fdet_vector 0 0 1", Pivot::sample},
                    PivotCase{"-xds -detector_rotx 5", Pivot::sample}));

TEST(CustomVectors, ChooseTheCustomConventionAndALaterConventionDiscardsThem) {
  for (const char* flag :
       {"-fdet_vector", "-sdet_vector", "-odet_vector", "-beam_vector", "-polar_vector",
        "-spindle_axis", "-twotheta_axis", "-pix0_vector", "-pix0_vector_mm"}) {
    const std::string line = std::string(flag) + " 0 0 1";
    EXPECT_EQ(parse(line).experiment.detector.convention, Convention::custom) << flag;
    const Experiment discarded = parse(line + " -xds").experiment;
    EXPECT_EQ(discarded.detector.convention, Convention::xds) << flag;
    EXPECT_FALSE(discarded.detector.fast_axis || discarded.detector.slow_axis ||
                 discarded.detector.normal || discarded.beam.direction ||
                 discarded.beam.polarization_axis || discarded.scan.spindle_axis ||
                 discarded.detector.two_theta_axis || discarded.detector.origin_m)
        << flag;
  }
}

TEST(CustomVectors, OfPix0AreMetresOrMillimetres) {
  EXPECT_EQ(parse("-pix0_vector 0.1 0.02 -0.02").origin_m, (Vec3d{0.1, 0.02, -0.02}));
  EXPECT_EQ(parse("-pix0_vector_mm 125 0 0").origin_m, (Vec3d{0.125, 0, 0}));
}

// ---- What follows from them together ---------------------------------------------------------

struct Placed {
  const char* line;  ///< 256 x 256 pixels of 0.1 mm at 100 mm
  Convention convention;
  Pivot pivot;
  Vec3d origin_mm;
};
void PrintTo(const Placed& placed, std::ostream* out) { *out << placed.line; }

class OrderOfFlags : public testing::TestWithParam<Placed> {};

TEST_P(OrderOfFlags, PlacesTheDetectorAsNanoBraggDoes) {
  const Panel panel = resolved(GetParam().line).panel;
  EXPECT_EQ(panel.convention, GetParam().convention);
  EXPECT_EQ(panel.pivot, GetParam().pivot);
  const Vec3d expected = GetParam().origin_mm;
  EXPECT_NEAR(panel.origin.x * 1000, expected.x, 1e-9);
  EXPECT_NEAR(panel.origin.y * 1000, expected.y, 1e-9);
  EXPECT_NEAR(panel.origin.z * 1000, expected.z, 1e-9);
}

using enum Convention;
INSTANTIATE_TEST_SUITE_P(
    WorkedExamples, OrderOfFlags,
    testing::Values(
        Placed{"", mosflm, Pivot::beam, {100, 12.9, -12.9}},
        Placed{"-denzo", denzo, Pivot::beam, {100, 12.85, -12.85}},
        Placed{"-adxv", adxv, Pivot::beam, {-12.85, 12.85, 100}},
        Placed{"-xds", xds, Pivot::sample, {-12.8, -12.8, 100}},
        Placed{"-dials", dials, Pivot::sample, {-12.8, -12.8, 100}},
        Placed{"-spindle_axis 0 0 1", custom, Pivot::beam, {100, 12.8, -12.8}},
        Placed{"-Xbeam 10 -Ybeam 12", mosflm, Pivot::beam, {100, 10.05, -12.05}},
        Placed{"-xds -Xbeam 10 -Ybeam 12", xds, Pivot::sample, {-12.8, -12.8, 100}},
        Placed{"-xds -Xclose 10 -Yclose 12", xds, Pivot::sample, {-12.8, -12.8, 100}},
        Placed{"-xds -ORGX 100 -ORGY 120", xds, Pivot::sample, {-9.95, -11.95, 100}},
        Placed{"-ORGX 100 -ORGY 120", mosflm, Pivot::beam, {100, 12.9, -12.9}},
        Placed{"-spindle_axis 0 0 1 -Xclose 10 -Yclose 12 -pivot sample",
               custom,
               Pivot::sample,
               {100, 12, -10}},
        Placed{"-close_distance 90", mosflm, Pivot::beam, {90, 12.9, -12.9}},
        Placed{"-pivot sample", mosflm, Pivot::beam, {100, 12.9, -12.9}},
        Placed{"-twotheta 20", mosflm, Pivot::beam, {104.412059848901, 12.1220348081382, -12.9}},
        Placed{"-twotheta 20 -twotheta_axis 0 0 -1", custom, Pivot::sample, {100, 12.8, -12.8}},
        Placed{"-twotheta_axis 0 0 -1 -twotheta 20",
               custom,
               Pivot::sample,
               {98.3471199131594, -22.1739487865072, -12.8}},
        Placed{"-twotheta_axis 0 0 -1 -twotheta 20 -distance 100",
               custom,
               Pivot::beam,
               {104.377857834569, 12.0280655460596, -12.8}},
        Placed{"-twotheta_axis 0 0 -2 -twotheta 20 -pivot beam",
               custom,
               Pivot::beam,
               {108.755715669137, 12.0280655460596, -15.1158033618211}},
        Placed{"-pix0_vector 0.1 0.02 -0.02", custom, Pivot::beam, {100, 12.8, -12.8}},
        Placed{"-odet_vector 0.999 0.01 0", custom, Pivot::beam, {100, 12.8, -12.8}},
        Placed{"-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1",
               custom,
               Pivot::beam,
               {-12.8, -12.8, 100}},
        Placed{"-xds -fdet_vector 0 0 1", custom, Pivot::sample, {100, 12.8, -12.8}},
        Placed{"-fdet_vector 0 0 1 -xds", xds, Pivot::sample, {-12.8, -12.8, 100}},
        Placed{"-close_distance 90 -detector_rotx 10",
               mosflm,
               Pivot::beam,
               {90, 14.9440815057609, -10.4639585219541}},
        Placed{"-detector_roty 100",
               mosflm,
               Pivot::beam,
               {-112.704020013857, 12.9, 2.2400614919034}}));

TEST(DetectorSize, GivenAsPixelsBeatsASizeInAnyOrder) {
  for (const char* line : {"-detsize 50 -detpixels 100", "-detpixels 100 -detsize 50"}) {
    const Panel panel = resolve(parse("-cell 100 " + std::string(line)).experiment).panel;
    EXPECT_EQ(panel.fast_pixels, 100) << line;
    EXPECT_EQ(panel.slow_pixels, 100) << line;
    EXPECT_DOUBLE_EQ(panel.fast_size, 0.01) << line;
  }
}

TEST(DetectorSize, IsRoundedHalfDownToPixelsAndKeptAsGiven) {
  const auto panel = [](const std::string& line) {
    return resolve(parse("-cell 100 " + line).experiment).panel;
  };
  EXPECT_EQ(panel("-detsize 50").fast_pixels, 500);
  EXPECT_DOUBLE_EQ(panel("-detsize 50").named_beam_x, 25.05e-3);
  EXPECT_EQ(panel("-detsize 50 -pixel 0.07").fast_pixels, 714);
  EXPECT_DOUBLE_EQ(panel("-detsize 50 -pixel 0.07").named_beam_x, 25.035e-3);
  EXPECT_EQ(panel("-detsize 0.25 -pixel 0.1").fast_pixels, 2);
  EXPECT_DOUBLE_EQ(panel("-detsize 0.25 -pixel 0.1").named_beam_x, 0.175e-3);
  EXPECT_EQ(panel("-detsize_f 50 -detsize_s 60 -pixel 0.2").fast_pixels, 250);
  EXPECT_EQ(panel("-detsize_f 50 -detsize_s 60 -pixel 0.2").slow_pixels, 300);
  EXPECT_DOUBLE_EQ(panel("-detsize_f 50 -detsize_s 60 -pixel 0.2").named_beam_x, 30.1e-3);
  EXPECT_DOUBLE_EQ(panel("-detsize_f 50 -detsize_s 60 -pixel 0.2").named_beam_y, 25.1e-3);
  EXPECT_EQ(panel("-detpixels_f 100").fast_pixels, 100);
  EXPECT_EQ(panel("-detpixels_f 100").slow_pixels, 1024);
}

TEST(Fluence, FollowsFromTheFluxWhereOneIsGivenInAnyOrder) {
  const std::string beam = "-flux 1e12 -exposure 0.1 -beamsize 0.05";
  const double expected = 1e12 * 0.1 / 5e-5 / 5e-5;
  EXPECT_DOUBLE_EQ(resolved(beam).fluence, expected);
  EXPECT_DOUBLE_EQ(resolved("-fluence 1e15 " + beam).fluence, expected);
  EXPECT_DOUBLE_EQ(resolved(beam + " -fluence 1e15").fluence, expected);
  EXPECT_DOUBLE_EQ(resolved("-fluence 1e15").fluence, 1e15);
  EXPECT_DOUBLE_EQ(resolved("").fluence, 1.25932015286227086360700780544e29);
  EXPECT_DOUBLE_EQ(resolved("-flux 1e12 -exposure 0").fluence, 1.25932015286227086360700780544e29);
  EXPECT_DOUBLE_EQ(resolved("-fluence 1e15 -exposure 2 -beamsize 0.05").flux, 1e15 / 2 * 25e-10);
}

TEST(Sample, IsClippedByTheBeamInYAndZ) {
  const std::string cell = " -cell 100 80 50";
  EXPECT_EQ(resolved("-xtalsize 0.0005" + cell).cells, (Vec3d{50, 63, 100}));
  EXPECT_EQ(resolved("-xtal_x 0.0005 -xtal_y 0.001 -xtal_z 0.0015" + cell).cells,
            (Vec3d{50, 125, 300}));
  const Resolved clipped = resolved("-samplesize 0.0005 -beamsize 0.0003" + cell);
  EXPECT_EQ(clipped.cells, (Vec3d{50, 38, 60}));
  EXPECT_THAT(clipped.warnings, ElementsAre(HasSubstr("clipped"), HasSubstr("clipped")));
  // The default beam of 0.1 mm clips too, in compat mode alone (Q-46); -oversample as fringes this
  // fine would ask for more sub-pixels than there may be
  EXPECT_EQ(resolved("-xtalsize 0.2 -oversample 1" + cell).cells, (Vec3d{20000, 12500, 20000}));
  EXPECT_EQ(resolved("-xtalsize 0.2 -oversample 1 -corrected" + cell).cells,
            (Vec3d{20000, 25000, 40000}));
}

TEST(RegionOfInterest, ReachesToTheEdgeWhereALimitIsNegative) {
  EXPECT_EQ(resolved("").roi, (RegionOfInterest{0, 255, 0, 255}));
  EXPECT_EQ(resolved("-roi -1 -1 -1 -1").roi, (RegionOfInterest{0, 255, 0, 255}));
  EXPECT_EQ(resolved("-roi 5 -1 -1 7").roi, (RegionOfInterest{5, 255, 0, 7}));
  EXPECT_EQ(resolved("-roi 5 256 10 1000").roi, (RegionOfInterest{5, 255, 10, 255}));
  EXPECT_EQ(resolved("-roi 3 6 5 7").roi, (RegionOfInterest{3, 6, 5, 7}));
}

// ---- Headers of images -----------------------------------------------------------------------

class ImageHeader : public testing::Test {
 protected:
  std::string with(const std::string& name, const std::string& keys) {
    return folder.file(name, small_smv(keys));
  }
  test::TempDir folder;
};

TEST_F(ImageHeader, IsAppliedBeforeAnyFlagWhereverItStands) {
  const std::string image = with("a.img", "DISTANCE=150;\nWAVELENGTH=1.5;\nBEAM_CENTER_X=0.3;\n");
  for (const std::string& line :
       {"-img " + image + " -lambda 1.2 -cell 9", "-lambda 1.2 -cell 9 -img " + image}) {
    const Experiment e = parse(line).experiment;
    EXPECT_EQ(e.beam.wavelength_A, 1.2);
    EXPECT_EQ(e.detector.distance_mm, 150);
    EXPECT_EQ(e.detector.beam_x_mm, 0.3);
    EXPECT_EQ(e.detector.fast_pixels, 4);
    EXPECT_EQ(e.detector.slow_pixels, 3);
  }
}

TEST_F(ImageHeader, BeatsASizeInMillimetresAndIsBeatenByPixels) {
  const std::string image = with("a.img", "");
  EXPECT_EQ(parse("-detsize 50 -img " + image).experiment.detector.fast_pixels, 4);
  EXPECT_EQ(parse("-detpixels 30 -img " + image).experiment.detector.fast_pixels, 30);
}

TEST_F(ImageHeader, OfTheLastOfSeveralImagesCounts) {
  const std::string a = with("a.img", "DISTANCE=150;\n"), b = with("b.img", "DISTANCE=250;\n");
  EXPECT_EQ(parse("-img " + a + " -img " + b).experiment.detector.distance_mm, 250);
  EXPECT_EQ(parse("-img " + b + " -img " + a).experiment.detector.distance_mm, 150);
}

TEST_F(ImageHeader, OfOwnImagesIsReadBackByTheLastPlaceThatHoldsTheKey) {
  // DISTANCE is inside CLOSE_DISTANCE, ORGX inside XDS_ORGX (Q-24)
  const std::string image = with("a.img",
                                 "DISTANCE=150;\nXDS_ORGX=7;\nXDS_ORGY=8;\nCLOSE_DISTANCE=148;\n"
                                 "PHI=3;\nOSC_RANGE=0;\nTWOTHETA=7;\n");
  const Experiment compat = parse("-img " + image).experiment;
  EXPECT_EQ(compat.detector.distance_mm, 148);
  EXPECT_EQ(compat.detector.close_distance_mm, 148);
  EXPECT_EQ(compat.detector.org_x_px, 7);
  EXPECT_EQ(compat.detector.org_y_px, 8);
  EXPECT_EQ(compat.scan.phi_deg, 3);
  EXPECT_EQ(compat.scan.oscillation_deg.range, 0);
  EXPECT_EQ(compat.detector.two_theta_deg, 0);
  const Experiment corrected = parse("-corrected -lambda 1 -img " + image).experiment;
  EXPECT_EQ(corrected.detector.distance_mm, 150);
  EXPECT_EQ(corrected.detector.two_theta_deg, 7);
}

TEST_F(ImageHeader, OfAMaskCountsTheBeamCentreFromTheOtherEdge) {
  const std::string mask = with("m.img", "BEAM_CENTER_X=0.1;\nBEAM_CENTER_Y=0.12;\n");
  const Experiment e = parse("-mask " + mask).experiment;
  EXPECT_EQ(e.detector.beam_x_mm, 0.1);
  EXPECT_DOUBLE_EQ(*e.detector.beam_y_mm, 0.1 * 3 - 0.12);
  ASSERT_TRUE(e.sampling.mask);
  EXPECT_EQ(e.sampling.mask->keep[0], 0);
  EXPECT_EQ(e.sampling.mask->keep[1], 1);
}

TEST_F(ImageHeader, OfAnImageBeatsThatOfAMaskInCompatModeAndTheLastOneInCorrected) {
  const std::string image = with("a.img", "DISTANCE=150;\n"),
                    mask = with("m.img", "DISTANCE=90;\n");
  const std::string image_first = "-img " + image + " -mask " + mask,
                    mask_first = "-mask " + mask + " -img " + image;
  EXPECT_EQ(parse(image_first).experiment.detector.distance_mm, 150);
  EXPECT_EQ(parse(mask_first).experiment.detector.distance_mm, 150);
  EXPECT_EQ(parse("-corrected -lambda 1 " + image_first).experiment.detector.distance_mm, 90);
  EXPECT_EQ(parse("-corrected -lambda 1 " + mask_first).experiment.detector.distance_mm, 150);
}

// ---- What computes, and how
// ----------------------------------------------------------------------

TEST(Choices, NameTheEngineByItsNameOrItsDevice) {
  EXPECT_EQ(parse("-engine reference").engine, Engine::reference);
  EXPECT_EQ(parse("-engine cpu").engine, Engine::cpu);
  EXPECT_EQ(parse("-device cpu").engine, Engine::cpu);
  for (const char* line : {"-engine cuda", "-device cuda", "-engine cuda:2", "-device cuda:2"})
    EXPECT_EQ(parse(line).engine, Engine::cuda) << line;
  EXPECT_EQ(parse("-device cuda").device, 0);
  EXPECT_EQ(parse("-device cuda:2").device, 2);
  EXPECT_EQ(parse("-device cuda:2 -device cpu").device, 0);
  EXPECT_EQ(parse("-device auto").engine, Engine::automatic);
  EXPECT_EQ(parse("-engine reference -device auto").engine, Engine::automatic);
  for (const char* line : {"-summation auto", "-summation sampled"})
    EXPECT_EQ(parse(line).engine, ComputeOptions{}.engine);
}

TEST(Choices, ThatThisProgramDoesNotHaveAreRefusedInASentence) {
  EXPECT_THAT(complaint_about("-engine fast"), HasSubstr("reference, cpu, cuda, not"));
  EXPECT_THAT(complaint_about("-engine auto"), HasSubstr("reference, cpu, cuda, not"));
  for (const char* device : {"reference", "cuda:", "cuda:x", "cuda:-1", "cpu:1", "auto:1", "c"})
    EXPECT_THAT(complaint_about(std::string("-device ") + device),
                HasSubstr("cpu, cuda, auto, not"));
  EXPECT_THAT(complaint_about("-summation exact"), HasSubstr("auto, closed, sampled"));
}

// ---- Flags that nanoBragg does not have ---------------------------------------------------------

TEST(OwnFlags, AreMatchedWhole) {
  int own = 0;
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.match != flags::Match::own) continue;
    for (const std::string_view spelling : flag.spellings) {
      ++own;
      EXPECT_EQ(flags::find_flag(spelling), &flag);
      EXPECT_NE(flags::find_flag(std::string(spelling) + "x"), &flag) << spelling;
    }
  }
  EXPECT_GT(own, 20);
}

TEST(OwnFlags, DoNotBeginWithTheTextOfAFlagThatNanoBraggHas) {
  // nanoBragg would take them for it.  Of three it does, and their users were told: the first two
  // spellings come from other programs, the third names the column of the file that -hkl gives.
  const std::set<std::string_view> taken{"-pix0_vector_mm", "-dump_pixel", "-hkl_column"};
  std::set<std::string_view> found;
  for (const flags::Flag& own : flags::flag_table()) {
    if (own.match != flags::Match::own) continue;
    for (const flags::Flag& other : flags::flag_table()) {
      if (other.match != flags::Match::prefix) continue;
      for (const std::string_view spelling : own.spellings)
        for (const std::string_view text : other.spellings)
          // nanoBragg's -mosaic counts whole alone.
          if (text != "-mosaic" && spelling.starts_with(text)) found.insert(spelling);
    }
  }
  EXPECT_EQ(found, taken);
}

}  // namespace
}  // namespace nablabragg
