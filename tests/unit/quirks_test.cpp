// Every known difference from nanoBragg (docs/differences.md), in both modes: compat gives the
// number that nanoBragg was seen to give, corrected gives what was intended.  A switch that nobody
// reads fails here.
#include "nablabragg/quirks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <random>
#include <set>
#include <span>

#include "flags/notices.hpp"
#include "io/smv_header.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/units.hpp"
#include "readout/integer_image.hpp"
#include "readout/noise.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string corrected = " -corrected ";
const std::array<std::string, 2> both_modes{"", corrected};
constexpr double pi = std::numbers::pi;

/// The command behind most numbers that the reference printed.
const std::string checked = "-cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -detpixels 64 ";
/// The same crystal where only a few pixels are needed.
const std::string small = "-cell 100 -default_F 100 -N 5 -oversample 1 -detpixels 8 -pixel 0.4 ";
/// A detector that the geometry examples share: 256 x 256 pixels of 0.1 mm, 100 mm away.
const std::string wide = "-detpixels 256 -pixel 0.1 ";

double total(const Image& image) {
  double sum = 0;
  for (const float pixel : image.pixels) sum += double(pixel);
  return sum;
}
double total(const std::string& line) { return total(image_of(line).image); }

/// Greatest difference of two images over the brightest pixel.
double difference(const Image& a, const Image& b) {
  double most = 0, brightest = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    most = std::max(most, std::abs(double(a.pixels[i]) - double(b.pixels[i])));
    brightest = std::max(brightest, double(a.pixels[i]));
  }
  return most / brightest;
}
double difference(const std::string& a, const std::string& b) {
  return difference(image_of(a).image, image_of(b).image);
}

/// "1 0 0 50" and so on: amplitudes of a box of indices, different for each.
std::string hkl_text(int reach) {
  std::string text;
  for (int h = -reach; h <= reach; ++h)
    for (int k = -reach; k <= reach; ++k)
      for (int l = -reach; l <= reach; ++l)
        text += std::to_string(h) + ' ' + std::to_string(k) + ' ' + std::to_string(l) + ' ' +
                std::to_string(40 + 3 * h - 2 * k + l) + '\n';
  return text;
}

std::vector<double> in_mrad(const std::vector<std::array<double, 2>>& divergence, int axis) {
  std::vector<double> angles;
  for (const auto& point : divergence) angles.push_back(point[std::size_t(axis)] * 1000);
  return angles;
}

std::vector<double> in_degrees(const std::vector<double>& radians) {
  std::vector<double> degrees;
  for (const double angle : radians) degrees.push_back(units::degrees_from_radians(angle));
  return degrees;
}

testing::Matcher<std::vector<double>> near(std::initializer_list<double> values) {
  std::vector<testing::Matcher<double>> each;
  for (const double value : values) each.push_back(testing::DoubleNear(value, 1e-9));
  return testing::ElementsAreArray(each);
}

// ---- The catalogue ------------------------------------------------------------------------------

TEST(Quirks, CatalogueHoldsEveryIdentifierOnceInOrder) {
  const auto catalogue = quirk_catalogue();
  ASSERT_EQ(catalogue.size(), 52U);
  for (std::size_t i = 0; i < catalogue.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    EXPECT_EQ(catalogue[i].id, (i < 9 ? "Q-0" : "Q-") + number);
    EXPECT_FALSE(catalogue[i].compat.empty() || catalogue[i].corrected.empty());
    const bool one_form = catalogue[i].policy == QuirkPolicy::right_in_both ||
                          catalogue[i].policy == QuirkPolicy::error_in_both;
    EXPECT_TRUE(!one_form || !catalogue[i].member) << catalogue[i].id;
  }
}

TEST(Quirks, CompatHasEverySwitchOnAndCorrectedNone) {
  // The switches are plain bools, so a switch that the catalogue forgot would show as a zero byte
  const Quirks compat = Quirks::compat();
  const auto* bytes = reinterpret_cast<const unsigned char*>(&compat);
  EXPECT_EQ(std::count(bytes, bytes + sizeof compat, 1), long(sizeof compat));
  EXPECT_EQ(Quirks::corrected(), Quirks{});
}

TEST(Quirks, CompatIsTheCommandLinesDefaultAndCorrectedTheLibrarys) {
  EXPECT_EQ(request_of("-cell 100").experiment.quirks, Quirks::compat());
  EXPECT_EQ(request_of("-cell 100 -corrected").experiment.quirks, Quirks::corrected());
  EXPECT_EQ(request_of("-corrected -cell 100 -compat").experiment.quirks, Quirks::compat());
  EXPECT_EQ(Experiment{}.quirks, Quirks::corrected());
}

// ---- What is reported on stderr
// -----------------------------------------------------------------------

/// Hours of it
const std::string
    endless_run = "-cell 50 -default_F 100 -xtalsize 0.05 -detpixels 1024 -pixel 0.4 -lambda 1 ";

/// A run that a quirk touches and one that differs in little and is not touched.
struct ReportedCase {
  std::string id, touched, untouched;
  friend void PrintTo(const ReportedCase& one, std::ostream* out) { *out << one.id; }
};

/// Files that the cases name: a table, sources, an image of a swung detector.
class ReportedQuirks : public testing::TestWithParam<ReportedCase> {
 protected:
  ReportedQuirks() {
    folder_.file("table.hkl", hkl_text(3));
    folder_.file("weights", "-10 0 0 0.5 1e-10\n-10 0.1 0 7 1e-10\n");
    folder_.file("no_weights", "-10 0 0 1 1e-10\n-10 0.1 0 1 1e-10\n");
    for (const auto* angle : {"7", "0"}) {
      const Experiment e = experiment_of(small + "-twotheta " + angle);
      io::write_smv(folder_ / ("image" + std::string(angle)), io::smv_header(e, resolve(e)), 8, 8,
                    [](int, std::span<std::uint16_t> row) { std::ranges::fill(row, 1); });
    }
    folder_.file("A.mat", "0.01 0 0\n0.002 0.0125 0\n0.001 0.002 0.02\n");
  }

  std::vector<std::string> lines_with(const std::string& text, const std::string& line) {
    const std::string all = line + " -nonoise -nopgm -seed 1";
    // What takes minutes is said before them.
    const bool endless = line.find(endless_run) != std::string::npos;
    const Outcome outcome = endless ? begin_program(all) : run_program(folder_.path(), all);
    EXPECT_EQ(outcome.exit_code, endless ? 128 + SIGINT : 0) << line << '\n' << outcome.err;
    std::istringstream err(outcome.err);
    std::vector<std::string> found;
    for (std::string one; std::getline(err, one);)
      if (one.find(text) != std::string::npos) found.push_back(one);
    return found;
  }

  /// Until it prints what it will compute.
  Outcome begin_program(const std::string& line) {
    return run_interrupted(folder_.path(), line, [](const std::filesystem::path& out) {
      return std::filesystem::exists(out) && read_file(out).find("steps") != std::string::npos;
    });
  }

  TempDir folder_;
};

TEST_P(ReportedQuirks, OnceWhereTheyTouchTheRunAndNeverElsewhere) {
  const auto& [id, touched, untouched] = GetParam();
  const bool cache = id == "Q-25";
  if (cache) lines_with("", small + "-hkl table.hkl");  // leaves Fdump.bin
  const std::string rest = cache ? "" : " -nocache";
  const auto lines = lines_with(id, touched + rest);
  EXPECT_EQ(lines.size(), 1U) << touched << '\n' << testing::PrintToString(lines);
  for (const std::string& line : lines) EXPECT_THAT(line, HasSubstr("-corrected"));
  EXPECT_THAT(lines_with(id, untouched + rest), testing::IsEmpty()) << untouched;
}

TEST_P(ReportedQuirks, NeverWhenCorrected) {
  const auto& [id, touched, untouched] = GetParam();
  // Refused; and a cache that is not named is none
  const std::set<std::string> none{"Q-25", "Q-30", "Q-48", "Q-51"};
  const std::string& instead = none.contains(id) ? untouched : touched;
  EXPECT_THAT(lines_with("Q-", instead + corrected), testing::IsEmpty());
}

const std::vector<ReportedCase> reported_cases{
    {"Q-01", small + "-cell 70 80 90 75 85 95", small + "-cell 70 80 90 90 105 90"},
    {"Q-02", small + "-oversample 2 -oversample_omega", small + "-oversample_omega"},
    {"Q-03", small + "-detector_thick 450", small + "-detector_abs 234"},
    {"Q-04", small + "-water 10", small + "-water 0"},
    {"Q-05", small + "-curved_det", small + "-point_pixel"},
    {"Q-06", small + "-twotheta 20", small + "-detector_rotx 20"},
    {"Q-07", small + "-twotheta 5 -pivot sample", small + "-pivot sample"},
    {"Q-08", small + "-twotheta 5 -twotheta_axis 0 0 -1",
     small + "-twotheta_axis 0 0 -1 -twotheta 5"},
    {"Q-09", small + "-pix0_vector 0.1 0.002 -0.002", small + "-fdet_vector 0 0 1"},
    {"Q-10", small + "-ORGX 4 -ORGY 4", small + "-Xbeam 2 -Ybeam 2"},
    {"Q-11", small + "-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1",
     small + "-fdet_vector 1 0 0 -sdet_vector 0 1 0 -odet_vector 0 0 1 -beam_vector 0 0 1"},
    {"Q-18", small + "-N 1 -xtalsize 0.0005 -hkl table.hkl", small + "-N 1 -hkl table.hkl"},
    {"Q-19", small + "-sourcefile weights", small + "-sourcefile no_weights"},
    {"Q-20", small + "-hkl table.hkl -interpolate", small + "-hkl table.hkl"},
    {"Q-24", small + "-img image7", small + "-img image0"},
    {"Q-25", small + "-default_F 0", small + "-hkl table.hkl"},
    {"Q-29", small + "-oversample 2", small},
    {"Q-30", small + "-hdivsteps 3", small + "-hdivrange 2 -hdivsteps 3"},
    {"Q-31", small + "-gauss_xtal", small + "-round_xtal"},
    {"Q-32", small + "-point_pixel", small + "-curved_det"},
    {"Q-37", small + "-nopolar -oversample_polar", small + "-oversample_polar"},
    {"Q-45", small + "-osc -1 -phisteps 2", small + "-osc 1 -phisteps 2"},
    {"Q-46", small + "-xtalsize 0.2", small + "-xtalsize 0.2 -beamsize 0.1"},
    {"Q-48", small + "-polar 95", small + "-polar 0.95"},
    {"Q-51", endless_run, small + "-xtalsize 0.05"},
};

INSTANTIATE_TEST_SUITE_P(Quirks, ReportedQuirks, testing::ValuesIn(reported_cases),
                         [](const auto& of) {
                           return of.param.id.substr(0, 1) + of.param.id.substr(2);
                         });

// More ways into and past the same quirk
INSTANTIATE_TEST_SUITE_P(
    Variants, ReportedQuirks,
    testing::Values(
        // Named by the flag that decides, whatever comes after it
        ReportedCase{"Q-07", small + "-detector_rotx 5 -close_distance 90",
                     small + "-detector_rotx 5 -distance 90"},
        // A convention drops the axis but not the angle that it left behind
        ReportedCase{"Q-08", small + "-twotheta_axis 3 0 0 -xds", small + "-xds"},
        ReportedCase{"Q-08", small + "-twotheta_axis 0 0 -2 -twotheta 5",
                     small + "-twotheta_axis 0 0 -1 -twotheta 5"},
        ReportedCase{"Q-10", small + "-xds -Xbeam 2", small + "-xds -ORGX 4"},
        // A flag overrides the header's angle in either mode
        ReportedCase{"Q-24", small + "-img image7", small + "-img image7 -twotheta 3"},
        // One direction has one polarization, whatever its wavelengths
        ReportedCase{"Q-29", small + "-hdivrange 2", small + "-dispersion 2"},
        // Both axes are at fault, the quirk is one
        ReportedCase{"Q-30", small + "-divsteps 3", small + "-divergence 2 -divsteps 3"},
        ReportedCase{"Q-30", small + "-hdivrange 2 -hdivstep 5", small + "-hdivrange 2"}),
    [](const auto& of) { return "V" + std::to_string(of.index); });

std::string notices_of(const std::string& line) {
  flags::Request request = request_of(any_crystal + line);
  flags::load_inputs(request);
  std::string text;
  for (const std::string& notice : flags::quirk_notices(request, resolve(request.experiment)))
    text += notice + '\n';
  return text;
}

TEST(Quirks, Q07NamesTheFlagThatWouldDecide) {
  EXPECT_THAT(notices_of("-pivot sample -distance 100 -detector_rotx 5"),
              HasSubstr("-pivot does not change that"));
  EXPECT_THAT(notices_of("-distance 100 -ORGX 5 -detector_rotx 5"),
              HasSubstr("-ORGX does not change that"));
}

TEST(Quirks, Q18SaysWhichWayItWent) {
  const TempDir folder;
  const std::string table = " -hkl " + folder.file("table.hkl", hkl_text(2));
  EXPECT_THAT(notices_of("-xtalsize 0.0005 -oversample 1" + table),
              HasSubstr("are interpolated although the crystal has 50"));
  EXPECT_THAT(notices_of("-N 5 -xtalsize 0.00001" + table),
              HasSubstr("are not interpolated although the crystal has 1"));
}

TEST(Quirks, EveryOneToBeReportedHasACaseHere) {
  std::set<std::string> policy, cases;
  for (const QuirkEntry& entry : quirk_catalogue())
    if (entry.policy == QuirkPolicy::reproduced_and_said) policy.emplace(entry.id);
  for (const ReportedCase& one : reported_cases) cases.insert(one.id);
  EXPECT_EQ(cases, policy);
}

// ---- Crystal ------------------------------------------------------------------------------------

TEST(Quirks, Q01TriclinicAnglesDriftOnlyInCompat) {
  const auto cell = [](const std::string& line) {
    return unit_cell_of(resolve(experiment_of("-default_F 1 " + line)).axes.real_A);
  };
  const auto expect_angles = [](const UnitCell& c, double alpha, double beta, double gamma,
                                double within) {
    EXPECT_NEAR(c.alpha_deg, alpha, within);
    EXPECT_NEAR(c.beta_deg, beta, within);
    EXPECT_NEAR(c.gamma_deg, gamma, within);
  };
  const UnitCell drifted = cell("-cell 70 80 90 75 85 95");
  expect_angles(drifted, 75.0391, 85.0136, 95.0081, 5e-5);
  EXPECT_CLOSE(drifted.a_A, 70.0);
  EXPECT_CLOSE(drifted.c_A, 90.0);
  expect_angles(cell("-cell 70 70 70 60 60 60"), 57.849, 57.849, 58.5252, 5e-4);
  expect_angles(cell("-cell 70 80 90 90 105 90"), 90, 105, 90, 1e-9);

  expect_angles(cell("-cell 70 80 90 75 85 95" + corrected), 75, 85, 95, 1e-9);
  expect_angles(cell("-cell 70 70 70 60 60 60" + corrected), 60, 60, 60, 1e-9);
  const CrystalAxes
      axes = resolve(experiment_of("-default_F 1 -cell 70 80 90 75 85 95" + corrected)).axes;
  EXPECT_CLOSE(dot(axes.real_A.a, axes.reciprocal_per_A.a), 1.0);
  EXPECT_CLOSE(dot(axes.real_A.c, axes.reciprocal_per_A.c), 1.0);
}

TEST(Quirks, Q12MissetSeedDoesNotSetAngles) {
  for (const std::string& mode : both_modes) {
    const std::string after = "-misset random -misset_seed 12345 -cell 70 80 90 -default_F 1" +
                              mode;
    const std::string before = "-misset_seed 12345 -misset random -cell 70 80 90 -default_F 1" +
                               mode;
    EXPECT_EQ(experiment_of(after).crystal.random_misset_seed, 12345);
    EXPECT_EQ(resolve(experiment_of(after)).misset, resolve(experiment_of(before)).misset);
  }
}

TEST(Quirks, Q13MissetSeedFollowsTheSeed) {
  for (const std::string& mode : both_modes) {
    const std::string random = any_crystal + "-misset random -seed 77" + mode;
    EXPECT_EQ(experiment_of(random).crystal.random_misset_seed, 77);
    EXPECT_EQ(experiment_of(random + " -misset_seed 3").crystal.random_misset_seed, 3);
  }
}

TEST(Quirks, Q14CompatGivesTheReferencesRandomOrientations) {
  const auto angles = [](const std::string& seed) {
    const Vec3d misset = resolved_of("-misset random -misset_seed " + seed).misset;
    return units::degrees_per_radian * misset;
  };
  EXPECT_CLOSE_WITHIN(1e-7, angles("12345"),
                      (Vec3d{105.720754730633, -34.9513183631866, -97.8235714406551}));
  EXPECT_CLOSE_WITHIN(1e-7, angles("54321"),
                      (Vec3d{-27.5297148613793, 53.3737593813304, 91.8791645748598}));
}

/// Kolmogorov-Smirnov: sqrt(n) times the greatest distance between the shares below each value and
/// those expected, `share` the distribution function.
double kolmogorov(std::vector<double> values, const std::function<double(double)>& share) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = share(values[i]);
    most = std::max({most, expected - double(i) / n, double(i + 1) / n - expected});
  }
  return most * std::sqrt(n);
}

TEST(Quirks, Q14RandomOrientationIsUniformOnlyWhenCorrected) {
  // 1.95 is exceeded by chance once in 1000 tests of a right distribution; the seeds are fixed, so
  // this test always gives the same answer.  Four quantities are tested in each mode.
  constexpr double rejected = 1.95;
  struct Statistics {
    double z, azimuth, angle;
  };
  const auto statistics = [](const Quirks& quirks) {
    Experiment e = experiment_of(any_crystal + "-detpixels 2");
    e.quirks = quirks;
    std::vector<double> z, azimuth, angle;
    std::mt19937 seeds(1);  // not a relative of the generator that it seeds
    for (int i = 0; i < 3000; ++i) {
      e.crystal.random_misset_seed = static_cast<std::int64_t>(seeds() >> 1);
      const Vec3d misset = resolve(e).misset;
      const Vec3d x = physics::rotate(Vec3d{1, 0, 0}, misset),
                  y = physics::rotate(Vec3d{0, 1, 0}, misset),
                  up = physics::rotate(Vec3d{0, 0, 1}, misset);
      z.push_back(up.z);
      azimuth.push_back(std::atan2(up.y, up.x));
      angle.push_back(std::acos(std::clamp((x.x + y.y + up.z - 1) / 2, -1.0, 1.0)));
    }
    return Statistics{
        kolmogorov(z, [](double value) { return (value + 1) / 2; }),
        kolmogorov(azimuth, [](double value) { return (value + pi) / (2 * pi); }),
        // Haar measure: an angle t has density (1 - cos t)/pi
        kolmogorov(angle, [](double value) { return (value - std::sin(value)) / pi; })};
  };
  const Statistics meant = statistics(Quirks::corrected());
  EXPECT_LT(meant.z, rejected);
  EXPECT_LT(meant.azimuth, rejected);
  EXPECT_LT(meant.angle, rejected);
  // Up to 14 turns leave the angle nearly uniform
  EXPECT_GT(statistics(Quirks::compat()).angle, 2 * rejected);
}

TEST(Quirks, Q18CrystalSizeTurnsInterpolationOnOnlyInCompat) {
  const TempDir folder;
  const std::string table = " -hkl " + folder.file("table.hkl", hkl_text(2));
  const std::string by_size = "-cell 100 -xtalsize 0.0005 -oversample 1" + table;
  EXPECT_EQ(resolve(experiment_of(by_size)).cells, (Vec3d{50, 50, 50}));
  EXPECT_TRUE(resolve(experiment_of(by_size)).tricubic);
  EXPECT_FALSE(resolve(experiment_of(by_size + corrected)).tricubic);
  // A size of one cell calls for interpolation, which a count that no longer matters must not stop
  const std::string tiny = "-cell 100 -N 5 -xtalsize 0.00001" + table;
  EXPECT_FALSE(resolve(experiment_of(tiny)).tricubic);
  EXPECT_TRUE(resolve(experiment_of(tiny + corrected)).tricubic);
}

TEST(Quirks, Q28MissingMatrixFileIsAnError) {
  for (const std::string& mode : both_modes)
    EXPECT_THROW(experiment_of("-default_F 1 -mat no/such.mat" + mode), InputError);
}

TEST(Quirks, Q31SpotWidthScalesWithTheVolumeOnlyInCompat) {
  const auto brightest = [](const std::string& line) { return image_of(line).statistics.max; };
  EXPECT_CLOSE_WITHIN(5e-6, brightest(checked), 97.2806);
  EXPECT_CLOSE_WITHIN(5e-6, brightest(checked + "-gauss_xtal"), 151.504);
  EXPECT_CLOSE_WITHIN(5e-6, brightest(checked + "-tophat_spots"), 156.25);
  EXPECT_CLOSE_WITHIN(5e-6, brightest(checked + "-gauss_xtal -oversample 1"), 152.422);

  const std::string uneven = small + "-Na 3 -Nb 7 -Nc 11 -cell 40 50 60 -misset 10 20 30 ";
  const auto watched = pixel_of(uneven + "-gauss_xtal" + corrected, 5, 1);
  const auto& step = watched.last();
  const Vec3d off = step.hkl - step.nearest;
  const double radius2 = off.x * off.x * 9 + off.y * off.y * 49 + off.z * off.z * 121;
  EXPECT_CLOSE(step.lattice_factor, 231 * std::exp(-radius2 / 0.63));
  int full = 0;
  for (int fast = 0; fast < 8; ++fast) {
    const auto top = pixel_of(uneven + "-tophat_spots" + corrected, fast, 1);
    for (const auto& one : top.steps) {
      const Vec3d d = one.hkl - one.nearest;
      EXPECT_LT(d.x * d.x * 9 + d.y * d.y * 49 + d.z * d.z * 121, 0.3969);
      EXPECT_EQ(one.lattice_factor, 231);
      ++full;
    }
  }
  SUCCEED() << full << " pixels inside a spot";
}

TEST(Quirks, Q46OnlyCompatClipsByABeamSizeThatNobodyGave) {
  const std::string large = "-cell 100 80 50 -default_F 1 -xtalsize 0.2 -oversample 1 ";
  const auto cells = [](const std::string& line) { return resolve(experiment_of(line)).cells; };
  EXPECT_EQ(cells(large), (Vec3d{20000, 12500, 20000}));
  EXPECT_EQ(cells(large + corrected), (Vec3d{20000, 25000, 40000}));
  for (const std::string& mode : both_modes) {
    const Resolved r = resolve(experiment_of(large + "-beamsize 0.1" + mode));
    EXPECT_EQ(r.cells, (Vec3d{20000, 12500, 20000}));
    EXPECT_THAT(r.warnings, testing::Contains(HasSubstr("clipped to the beam size")));
  }
}

// ---- Sums over a pixel
// ----------------------------------------------------------------------------

TEST(Quirks, Q02OversampleFlagsMultiplyTheRunningSumOnlyInCompat) {
  const std::string twofold = checked + "-oversample 2 ";
  EXPECT_CLOSE_WITHIN(2e-5, total(twofold), 25194.0);
  EXPECT_CLOSE_WITHIN(1e-4, total(twofold + "-oversample_omega"), 6363.0);
  EXPECT_CLOSE_WITHIN(2e-5, total(twofold + "-oversample_polar"), 25181.0);
  const auto watched = pixel_of(twofold + "-oversample_omega -oversample_polar", 40, 13);
  double sum = 0;
  for (const auto& step : watched.steps)
    sum = (sum + step.term) * step.polarization * step.solid_angle;
  ASSERT_EQ(watched.steps.size(), 4U);
  EXPECT_CLOSE(watched.pixel.sum, sum);

  for (const std::string flag : {"-oversample_omega", "-oversample_polar", "-oversample_thick"})
    EXPECT_EQ(image_of(twofold + flag + corrected).image.pixels,
              image_of(twofold + corrected).image.pixels);
  // With a single term there is nothing before it to multiply
  EXPECT_LT(difference(small + "-oversample_omega", small), 1e-6);
}

TEST(Quirks, Q03LayersAreScaledByTheLastOnesCaptureOnlyInCompat) {
  // One cell at a great distance: the layers see the same intensity at normal incidence
  const std::string one =
      "-cell 100 -default_F 100 -N 1 -oversample 1 -nopolar -detpixels 1 "
      "-distance 1000000 ";
  const std::string sensor = one + "-detector_thick 450 -detector_abs 234 ";
  const auto captured = [&](const std::string& line) { return total(line) / total(one); };
  EXPECT_CLOSE_WITHIN(1e-4, captured(sensor), 0.4723);
  EXPECT_CLOSE_WITHIN(4e-4, captured(sensor + "-thicksteps 5"), 0.27885);  // a little oblique
  EXPECT_CLOSE_WITHIN(1e-3, captured(sensor + "-thicksteps 5 -oversample_thick"), 0.0618);
  const double whole = 1 - std::exp(-450.0 / 234);
  for (const std::string layers : {"", "-thicksteps 1", "-thicksteps 5", "-oversample_thick"})
    EXPECT_CLOSE_WITHIN(1e-6, captured(sensor + layers + corrected), whole) << layers;

  EXPECT_CLOSE(resolved_of("-detector_thick 450 -thicksteps 5").sensor.layer_step, 112.5e-6);
  EXPECT_CLOSE(resolved_of("-detector_thick 450 -thicksteps 5" + corrected).sensor.layer_step,
               90e-6);
}

TEST(Quirks, Q04WaterIsScaledTwiceAndDividedByStepsOnlyInCompat) {
  // Only water scatters
  const std::string water = "-cell 100 -default_F 1e-30 -N 1 -detpixels 4 -water 1000 ";
  const auto level = [&](const std::string& line) { return total(water + line); };
  EXPECT_CLOSE(make_plan(experiment_of(water + "-water 10"), resolved_of("-water 10"))
                   .background.starting_sum,
               220975801715394.47);
  const double once = level("-oversample 1");
  EXPECT_CLOSE_WITHIN(1e-3, level("-oversample 2"), once / 4);
  EXPECT_CLOSE_WITHIN(1e-6, level("-oversample 1 -fluence 2.51864030572454e29"), 4 * once);
  EXPECT_CLOSE_WITHIN(1e-6, level("-oversample 1 -mosaic 1 -mosaic_dom 5"), once / 5);

  const double meant = level("-oversample 1" + corrected);
  EXPECT_CLOSE_WITHIN(1e-3, level("-oversample 2" + corrected), meant);
  EXPECT_CLOSE_WITHIN(1e-6, level("-oversample 1 -fluence 2.51864030572454e29" + corrected),
                      2 * meant);
  EXPECT_CLOSE_WITHIN(1e-6, level("-oversample 1 -mosaic 1 -mosaic_dom 5 -osc 1" + corrected),
                      meant);
  EXPECT_CLOSE_WITHIN(1e-6, level("-oversample 1 -hdivrange 0.001 -dispersion 0.001" + corrected),
                      meant);
  // Per steradian and electron: 2.57^2 a molecule, 1000^3 um^3 of them
  const auto pixel = pixel_of(water + "-oversample 1" + corrected, 1, 2);
  EXPECT_CLOSE_WITHIN(1e-9, pixel.pixel.photons,
                      220975801715394.47e6 * pixel.pixel.solid_angle * pixel.pixel.polarization);
}

TEST(Quirks, Q20InterpolationEndsForGoodAtTheFirstMissOnlyInCompat) {
  const TempDir folder;
  const std::string line =
      "-cell 40 50 60 -N 3 -oversample 1 -detpixels 16 -pixel 2 -default_F 77 "
      "-misset 20 30 40 -hkl " +
      folder.file("table.hkl", hkl_text(6));
  const Simulation cut_off = image_of(line + " -interpolate");
  const Simulation meant = image_of(line + " -interpolate" + corrected);
  const Simulation nearest = image_of(line + " -nointerpolate");
  ASSERT_TRUE(cut_off.table_miss && meant.table_miss);
  int from_table = 0;
  for (int slow = 0; slow < 16; ++slow)
    for (int fast = 0; fast < 16; ++fast) {
      const bool past = slow > cut_off.table_miss->slow ||
                        (slow == cut_off.table_miss->slow && fast >= cut_off.table_miss->fast);
      EXPECT_TRUE(!past || cut_off.image.at(fast, slow) == nearest.image.at(fast, slow));
      const auto watched = pixel_of(line + " -interpolate" + corrected, fast, slow);
      for (const auto& step : watched.steps) {
        from_table += step.interpolated;
        EXPECT_TRUE(step.interpolated || step.structure_factor == 77);
      }
    }
  EXPECT_GT(from_table, 0);
  EXPECT_GT(difference(cut_off.image, meant.image), 0.01);
}

TEST(Quirks, Q29FirstValuesStandForAllOnlyInCompat) {
  const std::string near_panel =
      "-cell 100 -default_F 100 -N 3 -detpixels 64 -pixel 0.5 -distance 20 "
      "-Xbeam 2 -Ybeam 4 -oversample 2 ";
  const auto first = pixel_of(near_panel, 60, 30);
  EXPECT_CLOSE_WITHIN(1e-9, first.pixel.solid_angle, 0.0001151651905);
  EXPECT_CLOSE_WITHIN(1e-9, first.pixel.polarization, 0.6619064484);
  EXPECT_CLOSE(first.pixel.photons, first.plan.scale * first.pixel.sum * first.pixel.solid_angle *
                                        first.pixel.polarization);
  const auto layers = pixel_of(
      "-cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -lambda 1.2 -distance 150 "
      "-detpixels 16 -pixel 0.8 -oversample 2 -polar 0.7 -N 5 -detector_thick 300 -detector_abs "
      "400 "
      "-detector_thicksteps 4",
      11, 3);
  EXPECT_CLOSE_WITHIN(6e-8, layers.pixel.photons, 505.340972900391);  // printed as a float

  // Corrected: each term with what its own place sees, made here from the place alone
  for (const std::string extra :
       {"", "-detector_thick 300 -detector_abs 400 ", "-vdivrange 60 -polar 0.8 "}) {
    const auto each = pixel_of(near_panel + extra + corrected, 60, 30);
    double sum = 0;
    for (const auto& step : each.steps) {
      const double distance = step.at.distance;
      const Vec3d incident = each.plan.light.rays[std::size_t(step.ray)].incident;
      const double cosine = dot(incident, step.at.direction);
      const double first_depth = extra.find("thick") == std::string::npos
                                     ? 0
                                     : 400e-6 - 150e-6 / std::expm1(150.0 / 400);
      const double close = 0.02 + first_depth +
                           each.plan.panels[0].sensor.layer_step * step.at.layer;
      const double omega = 0.5e-3 * 0.5e-3 * close / (distance * distance * distance);
      const double depth = extra.find("thick") == std::string::npos
                               ? 0
                               : 150.0 / 400 / step.at.direction.x;
      const double capture = depth == 0 ? 1
                                        : std::exp(-depth * step.at.layer) -
                                              std::exp(-depth * (step.at.layer + 1));
      const double fraction = extra.find("polar") == std::string::npos ? 0 : 0.8;
      const double magnetic = dot(step.at.direction, unit(cross(Vec3d{0, 0, 1}, incident)));
      const double sine2 = 1 - cosine * cosine;
      const double polarization = (2 - sine2 - fraction * (sine2 - 2 * magnetic * magnetic)) / 2;
      sum += step.term * omega * polarization * capture;
    }
    EXPECT_CLOSE_WITHIN(1e-10, each.pixel.photons, each.plan.scale * sum) << extra;
  }
}

TEST(Quirks, Q32PointPixelDropsTheAreaOnlyInCompat) {
  const auto watched = pixel_of(small + "-point_pixel", 6, 1);
  const double distance = watched.last().at.distance;
  EXPECT_CLOSE(watched.pixel.solid_angle, 1 / (distance * distance));
  EXPECT_CLOSE(pixel_of(small + "-point_pixel" + corrected, 6, 1).pixel.solid_angle, [&] {
    const double r = pixel_of(small + "-point_pixel" + corrected, 6, 1).last().at.distance;
    return 0.4e-3 * 0.4e-3 / (r * r);
  }());
}

TEST(Quirks, Q33StepsAreCountedIn64BitsWithoutLayers) {
  for (const std::string& mode : both_modes) {
    Experiment e = experiment_of(any_crystal +
                                 "-detpixels 2 -mosaic 1 -mosaic_dom 1000 -osc 1 -phisteps 100 "
                                 "-oversample 10 -detector_thick 100 -thicksteps 5" +
                                 mode);
    e.beam.sources.assign(300, Source{{-1, 0, 0}, 1, 1});
    const Resolved r = resolve(e);
    EXPECT_EQ(r.sensor.layers, 5);
    EXPECT_EQ(r.steps, std::int64_t{300} * 1000 * 100 * 100);
  }
}

TEST(Quirks, Q37OversamplePolarCancelsNopolarOnlyInCompat) {
  EXPECT_LT(difference(small + "-nopolar -oversample_polar", small), 1e-6);
  EXPECT_GT(difference(small + "-nopolar", small), 1e-5);
  EXPECT_EQ(image_of(small + "-nopolar -oversample_polar" + corrected).image.pixels,
            image_of(small + "-nopolar" + corrected).image.pixels);
}

TEST(Quirks, Q22Q38SensorsThatAbsorbNothingCaptureEverything) {
  for (const std::string& mode : both_modes) {
    const auto plain = image_of(small + mode).image.pixels;
    EXPECT_EQ(image_of(small + "-detector_abs inf -detector_thick 450" + mode).image.pixels, plain);
    EXPECT_EQ(image_of(small + "-detector_thick 450 -detector_abs inf" + mode).image.pixels, plain);
    EXPECT_EQ(image_of(small + "-detector_thick 450 -detector_abs 0" + mode).image.pixels, plain);
    EXPECT_EQ(image_of(small + "-oversample_thick" + mode).image.pixels, plain);
  }
}

// ---- Detector
// -------------------------------------------------------------------------------------

TEST(Quirks, Q05CurvedDetectorBendsAboutTheLaboratoryOnlyInCompat) {
  const std::string flags = small + "-detpixels 64 -pixel 0.1 -curved_det ";
  EXPECT_CLOSE_WITHIN(1e-6, pixel_of(flags + "-Xbeam 2 -Ybeam 4", 50, 10).last().at.position,
                      (Vec3d{0.09999, 0.000999933, 0.000999983}));

  // Corrected, in every frame: the spot of the direct beam stays put, a point near it moves by the
  // third order of its distance, and all points lie on a sphere
  for (const std::string convention :
       {"-mosflm", "-adxv", "-denzo", "-xds", "-dials", "-spindle_axis 0 0 1"}) {
    SCOPED_TRACE(convention);
    const std::string centre = convention == "-xds" || convention == "-dials"
                                   ? " -ORGX 20 -ORGY 40 "
                                   : " -Xbeam 2 -Ybeam 4 ";
    const std::string line = flags + convention + centre + corrected;
    const Panel panel = panel_of(line);
    for (const auto& [fast, slow] : {std::pair{22, 38}, {50, 10}, {5, 60}}) {
      const auto at = pixel_of(line, fast, slow).last().at;
      EXPECT_CLOSE(at.distance, 0.1);
      const Vec3d flat = panel.origin + at.fast * panel.fast + at.slow * panel.slow;
      const double off = length(flat - panel.distance * panel.beam);
      // Sideways x - sin x, lengthways the height of an arc over its tangent
      EXPECT_NEAR(dot(at.position, panel.fast), dot(flat, panel.fast), off * off * off / 0.01);
      EXPECT_NEAR(dot(at.position, panel.slow), dot(flat, panel.slow), off * off * off / 0.01);
      EXPECT_GT(dot(at.position, panel.beam), 0.099);
    }
  }
  const auto deep = pixel_of(flags + "-detector_thick 100 -thicksteps 2" + corrected, 30, 40);
  EXPECT_CLOSE(deep.last().at.distance, 0.1 + 50e-6);
}

TEST(Quirks, Q05EveryPointOfACorrectedCurvedDetectorFacesTheSample) {
  // Tilted too: there the panel's normal says nothing about the sphere
  for (const std::string tilt : {"", "-detector_roty 20 "}) {
    const std::string line = small + "-curved_det " + tilt + corrected;
    const auto watched = pixel_of(line, 6, 1);
    const double radius = watched.last().at.distance;
    EXPECT_CLOSE(watched.last().solid_angle, 0.4e-3 * 0.4e-3 / (radius * radius)) << tilt;
  }
}

TEST(Quirks, Q06HeadersIgnoreTwoThetaOnlyInCompat) {
  const std::string swung = wide + "-twotheta 20 ";
  const Panel off = panel_of(swung);
  EXPECT_CLOSE(off.distance, 93.9692620785908e-3);
  EXPECT_CLOSE(off.beam_slow, 14.9626338482399e-3);
  EXPECT_CLOSE(off.org_y, 471.520143325669);
  EXPECT_CLOSE(off.origin, (Vec3d{0.104412059848901, 0.0121220348081382, -0.0129}));

  for (const std::string more : {"", "-detector_rotx 5 -detector_roty 3 -detector_rotz 2 ",
                                 "-pivot sample ", "-xds ", "-adxv -close_distance 90 "}) {
    SCOPED_TRACE(more);
    const Panel p = panel_of(swung + more + corrected);
    EXPECT_CLOSE(p.origin + p.beam_fast * p.fast + p.beam_slow * p.slow, p.distance * p.beam);
    EXPECT_CLOSE(p.origin + p.near_fast * p.fast + p.near_slow * p.slow,
                 p.close_distance * p.normal);
  }
  const Experiment e = experiment_of(any_crystal + swung + "-Xbeam 10 -Ybeam 12" + corrected);
  const std::string header = io::smv_header(e, resolve(e));
  for (const char* entry :
       {"DISTANCE=100;", "CLOSE_DISTANCE=93.9692620785908;", "DENZO_Y_BEAM=12.05;",
        "DENZO_X_BEAM=10.05;", "CONVENTION_XBEAM=10;", "CONVENTION_YBEAM=12;"})
    EXPECT_THAT(header, HasSubstr(std::string("\n") + entry));

  // The distance is also what automatic oversampling goes by
  EXPECT_EQ(resolved_of("-N 5 -detpixels 8").oversample, 2);
  EXPECT_EQ(resolved_of("-N 5 -detpixels 8 -twotheta 60").oversample, 3);
}

TEST(Quirks, Q06CurvedRadiusIsTheTrueDistanceOnlyWhenCorrected) {
  const std::string line = small + "-twotheta 20 -curved_det ";
  EXPECT_CLOSE_WITHIN(1e-9, pixel_of(line, 4, 4).last().at.distance, 0.0939692620785908);
  EXPECT_CLOSE(pixel_of(line + corrected, 4, 4).last().at.distance, 0.1);
}

TEST(Quirks, Q07ConventionOverridesThePivotOnlyInCompat) {
  const auto pivot = [](const std::string& line) { return panel_of(wide + line).pivot; };
  EXPECT_CLOSE(panel_of(wide + "-twotheta 5 -pivot sample").origin,
               panel_of(wide + "-twotheta 5").origin);
  EXPECT_EQ(pivot("-pivot sample"), Pivot::beam);
  EXPECT_EQ(pivot("-xds -pivot beam"), Pivot::sample);
  EXPECT_EQ(pivot("-spindle_axis 0 0 1 -pivot sample"), Pivot::sample);

  EXPECT_EQ(pivot("-pivot sample -distance 100" + corrected), Pivot::sample);
  EXPECT_EQ(pivot("-xds -pivot beam -ORGX 5" + corrected), Pivot::beam);
  for (const std::string flag : {"-distance 100", "-Xbeam 5", "-Ybeam 5"}) {
    EXPECT_EQ(pivot("-xds " + flag + corrected), Pivot::beam) << flag;
    EXPECT_EQ(pivot("-ORGX 5 " + flag + corrected), Pivot::beam) << flag;
  }
  for (const std::string flag :
       {"-close_distance 100", "-Xclose 5", "-Yclose 5", "-ORGX 5", "-ORGY 5"}) {
    EXPECT_EQ(pivot(flag + corrected), Pivot::sample) << flag;
    EXPECT_EQ(pivot("-Xbeam 5 " + flag + corrected), Pivot::sample) << flag;
  }
  EXPECT_EQ(pivot("-twotheta 5" + corrected), Pivot::beam);
  EXPECT_EQ(pivot("-dials" + corrected), Pivot::sample);
  EXPECT_GT(length(panel_of(wide + "-twotheta 5 -pivot sample" + corrected).origin -
                   panel_of(wide + "-twotheta 5" + corrected).origin),
            1e-4);
}

TEST(Quirks, Q08TwoThetaAxisIsTakenForTwoThetaOnlyInCompat) {
  const auto panel = [](const std::string& line) { return panel_of(wide + line); };
  EXPECT_CLOSE(panel("-twotheta 20 -twotheta_axis 0 0 -1").origin, (Vec3d{0.1, 0.0128, -0.0128}));
  EXPECT_CLOSE(panel("-twotheta_axis 0 0 -1 -twotheta 20").origin,
               (Vec3d{0.0983471199131594, -0.0221739487865072, -0.0128}));
  EXPECT_CLOSE(length(panel("-twotheta_axis 0 0 -2 -twotheta 20 -pivot beam").fast),
               1.18092213764227);

  for (const std::string axis : {"0 0 -1", "0 0 -2"}) {
    const Panel before = panel("-twotheta_axis " + axis + " -twotheta 20" + corrected);
    const Panel after = panel("-twotheta 20 -twotheta_axis " + axis + corrected);
    EXPECT_CLOSE(units::degrees_from_radians(after.two_theta), 20.0);
    EXPECT_CLOSE(after.origin, before.origin);
    EXPECT_CLOSE(length(after.fast), 1.0);
    EXPECT_EQ(after.convention, Convention::custom);
  }
}

TEST(Quirks, Q09Pix0VectorPlacesTheCornerOnlyWhenCorrected) {
  const auto origin = [](const std::string& line) { return panel_of(wide + line).origin; };
  const Vec3d corner{0.1, 0.02, -0.02};
  EXPECT_CLOSE(origin("-pix0_vector 0.1 0.02 -0.02"), (Vec3d{0.1, 0.0128, -0.0128}));
  EXPECT_CLOSE(origin("-pix0_vector_mm 100 20 -20"), (Vec3d{0.1, 0.0128, -0.0128}));
  for (const std::string pivot : {"", " -pivot beam", " -pivot sample"}) {
    EXPECT_CLOSE(origin("-pix0_vector 0.1 0.02 -0.02" + pivot + corrected), corner);
    EXPECT_CLOSE(origin("-pix0_vector_mm 100 20 -20" + pivot + corrected), corner);
  }
  const Panel p = panel_of(wide + "-pix0_vector 0.1 0.02 -0.02" + corrected);
  EXPECT_CLOSE(p.distance, 0.1);
  EXPECT_CLOSE(p.beam_fast, 0.02);
  EXPECT_CLOSE(p.beam_slow, 0.02);
  // The corner turns with the detector, about what stays put
  const Vec3d tilt{0, 0, units::radians_from_degrees(10.0)};
  EXPECT_CLOSE(origin("-pix0_vector 0.1 0.02 -0.02 -detector_rotz 10 -pivot sample" + corrected),
               physics::rotate(corner, tilt));
  const Vec3d spot{0.1, 0, 0};
  EXPECT_CLOSE(origin("-pix0_vector 0.1 0.02 -0.02 -detector_rotz 10 -pivot beam" + corrected),
               spot + physics::rotate(corner - spot, tilt));
}

TEST(Quirks, Q09PanelAlongTheBeamIsAnErrorWhenItPivotsAboutTheBeam) {
  EXPECT_THROW(panel_of(wide + "-beam_vector 0 1 0 -pix0_vector 0.1 0 0 -pivot beam" + corrected),
               UsageError);
}

TEST(Quirks, Q10BeamCentreFlagsActInEveryConventionOnlyWhenCorrected) {
  const auto origin = [](const std::string& line) { return panel_of(wide + line).origin; };
  const Vec3d xds_middle{-0.0128, -0.0128, 0.1}, xds_moved{-0.010, -0.012, 0.1};
  for (const std::string frame : {"-xds ", "-dials "})
    for (const std::string flags : {"-Xbeam 10 -Ybeam 12", "-Xclose 10 -Yclose 12"}) {
      EXPECT_CLOSE(origin(frame + flags), xds_middle);
      EXPECT_CLOSE(origin(frame + flags + corrected), xds_moved) << frame << flags;
    }
  for (const std::string& mode : both_modes)
    EXPECT_CLOSE(origin("-xds -ORGX 100 -ORGY 120" + mode), (Vec3d{-0.00995, -0.01195, 0.1}));
  for (const std::string flags : {"-ORGX 100 -ORGY 120", "-Xclose 9.95 -Yclose 11.95"}) {
    EXPECT_CLOSE(origin("-mosflm " + flags), (Vec3d{0.1, 0.0129, -0.0129}));
    EXPECT_CLOSE(origin("-mosflm " + flags + corrected), (Vec3d{0.1, 0.01195, -0.00995}));
    EXPECT_CLOSE(origin("-denzo " + flags + corrected), (Vec3d{0.1, 0.01195, -0.00995}));
    EXPECT_CLOSE(origin("-adxv " + flags + corrected), (Vec3d{-0.00995, 0.01195, 0.1}));
  }
  for (const std::string& mode : both_modes) {
    EXPECT_CLOSE(origin("-mosflm -Xbeam 10 -Ybeam 12" + mode), (Vec3d{0.1, 0.01005, -0.01205}));
    EXPECT_CLOSE(origin("-denzo -Xbeam 10 -Ybeam 12" + mode), (Vec3d{0.1, 0.010, -0.012}));
    EXPECT_CLOSE(origin("-adxv -Xbeam 10 -Ybeam 12" + mode), (Vec3d{-0.010, 0.0136, 0.1}));
  }
}

TEST(Quirks, Q11CustomDetectorKeepsItsNormalOnlyInCompat) {
  const std::string along_z = wide + "-fdet_vector 1 0 0 -sdet_vector 0 1 0 -beam_vector 0 0 1 ";
  EXPECT_EQ(panel_of(along_z).normal, (Vec3d{1, 0, 0}));
  EXPECT_CLOSE(panel_of(along_z).close_distance, -12.8e-3);
  EXPECT_EQ(panel_of(along_z + corrected).normal, (Vec3d{0, 0, 1}));
  EXPECT_CLOSE(panel_of(along_z + corrected).close_distance, 0.1);

  // fast x slow is -x here, the side that faces the sample
  const std::string mirrored = wide + "-fdet_vector 0 0 1 -sdet_vector 0 1 0 ";
  EXPECT_EQ(panel_of(mirrored + "-odet_vector 1.001 0 0").normal, (Vec3d{-1, 0, 0}));
  EXPECT_EQ(panel_of(mirrored + "-odet_vector 1.001 0 0" + corrected).normal, (Vec3d{1, 0, 0}));
  EXPECT_EQ(panel_of(mirrored + corrected).normal, (Vec3d{1, 0, 0}));
  // Not at right angles to slow
  EXPECT_EQ(panel_of(wide + "-odet_vector 0.999 0.01 0" + corrected).normal, (Vec3d{1, 0, 0}));
}

TEST(Quirks, Q21CurvedDetectorCountsAsTheLastArgument) {
  for (const std::string mode : {"-compat", "-corrected"}) {
    const std::vector<std::string> line{"-cell", "100", mode, "-curved_det"};
    EXPECT_TRUE(flags::parse_command_line(line).experiment.detector.curved);
  }
}

TEST(Quirks, Q39DefaultBeamCentreIsTheMiddleOnlyWhenCorrected) {
  const std::map<std::string, double> off_mm{{"-mosflm", 51.3}, {"-denzo", 51.25},
                                             {"-adxv", 51.25},  {"-xds", 51.2},
                                             {"-dials", 51.2},  {"-spindle_axis 0 0 1", 51.2}};
  for (const auto& [convention, centre] : off_mm) {
    const Panel compat = panel_of(convention), meant = panel_of(convention + corrected);
    EXPECT_CLOSE(compat.beam_fast, centre * 1e-3) << convention;
    EXPECT_CLOSE(compat.beam_slow, centre * 1e-3) << convention;
    EXPECT_CLOSE(meant.beam_fast, 51.2e-3) << convention;
    EXPECT_CLOSE(meant.beam_slow, 51.2e-3) << convention;
  }
}

TEST(Quirks, Q39IsASwitchOfItsOwn) {
  Experiment e = request_of(any_crystal).experiment;
  e.quirks.default_beam_centre_offset = false;
  EXPECT_CLOSE(model::place_panel(e).beam_fast, 51.2e-3);
  e.quirks = Quirks::corrected();
  e.quirks.default_beam_centre_offset = true;
  EXPECT_CLOSE(model::place_panel(e).beam_fast, 51.3e-3);
}

// ---- Beam and scan
// --------------------------------------------------------------------------------

TEST(Quirks, Q15CrystalAtPhiZeroIsNotRotated) {
  // nanoBragg leaves the orientation of the step before: a total of 24860 where 24957 is right
  const std::string scan = checked + "-oversample 1 -phi 0 -osc 1 -phisteps 10 ";
  EXPECT_CLOSE_WITHIN(4e-5, total(scan), 24957.0);
  for (const std::string& mode : both_modes) {
    const Experiment e = experiment_of(small + "-phi -0.5 -osc 1 -phisteps 3" + mode);
    const Resolved r = resolve(e);
    std::vector<double> sum(64);
    for (const double phi : r.phi) {
      Experiment still = e;
      still.scan.oscillation_deg = {};
      still.scan.phi_deg = units::degrees_from_radians(phi);
      const Image image = image_of(still).image;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += double(image.pixels[i]) / 3;
    }
    Image average = image_of(e).image;
    const Image whole = average;
    for (std::size_t i = 0; i < sum.size(); ++i) average.pixels[i] = static_cast<float>(sum[i]);
    EXPECT_LT(difference(average, whole), 1e-6);
  }
}

TEST(Quirks, Q16SourceFilesMayHaveCommentsWindowsLinesAndNoLastNewline) {
  const TempDir folder;
  const std::string clean = folder.file("clean", "-10 0 0 1 1e-10\n-10 0.1 0 1 1.1e-10\n");
  const std::string odd = folder.file(
      "odd", "# X Y Z weight lambda\r\n-10 0 0 # the beam\r\n\r\n-10,0.1;0:1!1.1e-10");
  for (const std::string& mode : both_modes) {
    const Image image = image_of(small + "-sourcefile " + odd + mode).image;
    EXPECT_EQ(image.pixels, image_of(small + "-sourcefile " + clean + mode).image.pixels);
    EXPECT_GT(total(image), 0);
  }
}

TEST(Quirks, Q19SourceWeightsCountOnlyWhenCorrected) {
  const TempDir folder;
  const auto with = [&](const std::string& name, const std::string& text) {
    return small + "-sourcefile " + folder.file(name, text);
  };
  const std::string first = "-10 0 0 1 1.0e-10\n", second = "-10 0.2 0 1 1.1e-10\n";
  const std::string even = with("even", first + second);
  const std::string uneven = with("uneven", "-10 0 0 0.5 1.0e-10\n-10 0.2 0 7 1.1e-10\n");
  EXPECT_EQ(image_of(uneven).image.pixels, image_of(even).image.pixels);

  const Image one = image_of(with("first", first) + corrected).image,
              other = image_of(with("second", second) + corrected).image;
  Image mean = one;
  for (std::size_t i = 0; i < mean.pixels.size(); ++i)
    mean.pixels[i] = (0.5F * one.pixels[i] + 7 * other.pixels[i]) / 7.5F;
  EXPECT_LT(difference(mean, image_of(uneven + corrected).image), 1e-6);
  EXPECT_GT(difference(one, other), 0.1);
  for (const std::string& mode : both_modes)  // the wavelength column counts in both
    EXPECT_GT(
        difference(with("second", second) + mode, with("long", "-10 0.2 0 1 1.2e-10\n") + mode),
        0.1);
}

TEST(Quirks, Q30DivergenceGridsAreSymmetricOnlyWhenCorrected) {
  const auto horizontal = [](const std::string& line) {
    return in_mrad(resolved_of(line).divergence, 0);
  };
  EXPECT_THAT(horizontal("-hdivrange 2 -hdivsteps 3 -hdivstep 0.5"), near({-1, -0.5, 0}));
  EXPECT_THAT(horizontal("-hdivrange 2 -hdivstep 5"), near({-1}));
  EXPECT_THAT(horizontal("-hdivsteps 3"), near({-500, -500.0 / 3, 500.0 / 3}));
  EXPECT_THAT(horizontal("-hdivsteps 1"), near({-500}));
  EXPECT_EQ(horizontal("-hdivrange 0.28 -hdivstep 0.02").size(), 14U);
  EXPECT_NEAR(horizontal("-hdivrange 0.28 -hdivstep 0.02").back(), 0.12, 1e-12);

  EXPECT_THAT(horizontal("-hdivrange 2 -hdivsteps 3" + corrected), near({-1, 0, 1}));
  EXPECT_THAT(horizontal("-hdivrange 2" + corrected), near({-1, 1}));
  EXPECT_THAT(horizontal("-hdivrange 2 -hdivsteps 1" + corrected), near({0}));
  const auto fine = horizontal("-hdivrange 0.28 -hdivstep 0.02" + corrected);
  ASSERT_EQ(fine.size(), 15U);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_NEAR(fine[i], 0.02 * (double(i) - 7), 1e-12);
  for (const std::string count : {"-hdivsteps 3", "-divsteps 3", "-dispsteps 3"})
    EXPECT_THROW(resolved_of(count + corrected), UsageError) << count;
}

TEST(Quirks, Q30DivergenceEllipseIsTheInscribedOneOnlyWhenCorrected) {
  const auto kept = [](int steps, const std::string& mode) {
    return resolved_of("-divergence 2 -divsteps " + std::to_string(steps) + mode).divergence.size();
  };
  const std::map<int, std::size_t> reference{{2, 4},  {3, 5},  {4, 12}, {5, 13},  {6, 24},
                                             {7, 29}, {8, 44}, {9, 57}, {20, 316}};
  for (const auto& [steps, count] : reference) {
    EXPECT_EQ(kept(steps, ""), count) << steps;
    if (steps == 2) continue;
    std::size_t inside = 0;
    for (int i = 0; i < steps; ++i)
      for (int j = 0; j < steps; ++j) {
        // Twice the offset from the middle, in steps: whole numbers
        const int x = 2 * i - steps + 1, y = 2 * j - steps + 1;
        inside += x * x + y * y <= (steps - 1) * (steps - 1);
      }
    EXPECT_EQ(kept(steps, corrected), inside) << steps;
  }
  // All four corners of the coarsest grid are outside: nothing would be left
  EXPECT_THROW(resolved_of("-divergence 2" + corrected), UsageError);
  EXPECT_EQ(resolved_of("-divergence 2 -square_div" + corrected).divergence.size(), 4U);
}

TEST(Quirks, Q45PhiSlicesAreSampledAtTheirCentresOnlyWhenCorrected) {
  const auto phi = [](const std::string& line) { return in_degrees(resolved_of(line).phi); };
  EXPECT_THAT(phi("-osc 1"), near({0, 0.5}));
  EXPECT_THAT(phi("-phi 10 -osc 1 -phisteps 4"), near({10, 10.25, 10.5, 10.75}));
  EXPECT_THAT(phi("-phisteps 3"), near({0, 1.0 / 3, 2.0 / 3}));
  EXPECT_THAT(phi("-osc 1 -phisteps 3 -phistep 0"), near({0, 0, 0}));

  EXPECT_THAT(phi("-osc 1" + corrected), near({0.25, 0.75}));
  EXPECT_THAT(phi("-phi 10 -osc 1 -phisteps 4" + corrected),
              near({10.125, 10.375, 10.625, 10.875}));
  EXPECT_THAT(phi("-phi 10" + corrected), near({10}));
  EXPECT_THROW(phi("-osc 1 -phisteps 3 -phistep 0" + corrected), UsageError);
}

// ---- Files
// ----------------------------------------------------------------------------------------

TEST(Quirks, Q17InterpolationDoesNotDependOnThreads) {
  const TempDir folder;
  const std::string line = "-cell 40 50 60 -N 2 -oversample 1 -detpixels 32 -pixel 1 -hkl " +
                           folder.file("table.hkl", hkl_text(6)) + " -interpolate";
  for (const std::string& mode : both_modes) {
    const Experiment e = experiment_of(line + mode);
    EXPECT_EQ(image_of(e, 4).image.pixels, image_of(e, 1).image.pixels);
  }
}

TEST(Quirks, Q23FilesThatAreNotSmvAreErrors) {
  const TempDir folder;
  const std::string rubbish = folder.file("rubbish", std::string(2000, 'x'));
  for (const std::string& mode : both_modes)
    for (const std::string flag : {"-img ", "-mask "}) {
      EXPECT_THROW(request_of(any_crystal + flag + rubbish + mode), InputError);
      EXPECT_THROW(request_of(any_crystal + flag + "no/such/file" + mode), InputError);
    }
}

/// An image file that describes `line`'s detector; its pixels are 1.
std::string header_file(const TempDir& folder, const std::string& name, const std::string& line) {
  const Experiment e = experiment_of(any_crystal + line);
  const Resolved r = resolve(e);
  std::string path = folder / name;
  io::write_smv(path, io::smv_header(e, r), r.panel.fast_pixels, r.panel.slow_pixels,
                [](int, std::span<std::uint16_t> row) { std::ranges::fill(row, 1); });
  return path;
}

TEST(Quirks, Q24HeadersKeepTheSwingOfTheDetectorOnlyWhenCorrected) {
  const TempDir folder;
  const std::string swung =
      "-lambda 1.2 -distance 150 -pixel 0.2 -detpixels 40 -Xbeam 3 -Ybeam 5 "
      "-twotheta 7 -phi 3 -osc 0.5 ";
  const std::string compat_file = header_file(folder, "compat", swung + "-detector_rotx 10");
  const Panel lost = panel_of("-img " + compat_file);
  EXPECT_CLOSE_WITHIN(1e-6, lost.distance, 148.882e-3);
  EXPECT_EQ(lost.two_theta, 0);
  EXPECT_CLOSE_WITHIN(1e-6, lost.origin, (Vec3d{0.148882, 0.0031, -0.0051}));
  EXPECT_THAT(in_degrees(resolved_of("-img " + compat_file).phi), near({3, 3.25}));

  for (const std::string frame : {"", "-xds ", "-adxv ", "-denzo "}) {
    const Panel written = panel_of(frame + swung + corrected);
    const std::string file = header_file(folder, "corrected", frame + swung + corrected);
    const Panel read = panel_of(frame + "-img " + file + corrected);
    // Headers hold six digits
    EXPECT_CLOSE_WITHIN(2e-5, read.origin, written.origin) << frame;
    EXPECT_CLOSE_WITHIN(1e-9, read.fast, written.fast);
    EXPECT_CLOSE_WITHIN(1e-5, read.distance, written.distance);
  }
}

TEST(Quirks, Q25CacheIsUsedUnaskedOnlyInCompat) {
  const TempDir folder;
  folder.file("table.hkl", hkl_text(3));
  const std::string flags =
      "-cell 40 50 60 -N 3 -oversample 1 -detpixels 8 -pixel 2 -nointerpolate "
      "-noprogress -seed 1 -floatfile f.bin -nonoise -nopgm ";
  const auto run = [&](const std::string& more) {
    std::filesystem::remove(folder / "f.bin");
    return run_program(folder.path(), flags + more).exit_code;
  };
  const auto image = [&] { return read_floats(folder / "f.bin"); };
  const auto cache = [&](const std::string& name) {
    return std::filesystem::exists(folder / name);
  };

  EXPECT_EQ(run("-hkl table.hkl" + corrected), 0);
  const auto expected_corrected = image();
  EXPECT_FALSE(cache("Fdump.bin"));
  EXPECT_EQ(run("-hkl table.hkl -dump named.bin" + corrected), 0);
  EXPECT_TRUE(cache("named.bin"));
  EXPECT_EQ(run("-dump named.bin" + corrected), 0);
  EXPECT_EQ(image(), expected_corrected);

  EXPECT_EQ(run("-hkl table.hkl"), 0);
  const auto expected = image();
  EXPECT_TRUE(cache("Fdump.bin"));
  EXPECT_EQ(run(""), 0);
  EXPECT_EQ(image(), expected);
  EXPECT_EQ(run("-nocache"), 2);
  EXPECT_EQ(run(corrected), 2);
}

TEST(Quirks, Q26ReflectionsAreReadLineByLine) {
  const TempDir folder;
  const std::string file = folder.file(
      "list.hkl", "# h k l F phase sigma\n1 2 3 100 45 2\n1.0 0.0 -1.0 50\n\n0 0 0 7 # the last\n");
  const std::string bad = folder.file("bad.hkl", "1 2 3 100\n1 0.5 0 3\n");
  for (const std::string& mode : both_modes) {
    const auto grid = experiment_of("-cell 100 -hkl " + file + mode).structure_factors.grid;
    EXPECT_EQ(grid->at(1, 2, 3), 100);
    EXPECT_EQ(grid->at(1, 0, -1), 50);
    EXPECT_EQ(grid->at(0, 0, 0), 7);
    EXPECT_THAT(message_of<InputError>([&] { experiment_of("-cell 100 -hkl " + bad + mode); }),
                HasSubstr(bad + ":2:"));
  }
}

/// The request of a line without the -nocache that request_of() adds, its files read.
Experiment loaded(const std::string& line) {
  flags::Request request = flags::parse_command_line(split_arguments(line));
  flags::load_inputs(request);
  return request.experiment;
}

TEST(Quirks, Q27CacheKeepsValuesThatBeginLikeWhiteSpace) {
  const TempDir folder;
  // The lowest byte of this double is 0x20, a blank
  const double tricky = 100.00000000000045;
  StructureFactorGrid grid({0, 0, 0}, {1, 1, 1}, tricky);
  io::write_fdump(folder / "cache", grid);
  for (const std::string& mode : both_modes)
    EXPECT_TRUE(std::ranges::equal(
        loaded("-cell 100 -dump " + (folder / "cache") + mode).structure_factors.grid->values(),
        grid.values()));
}

TEST(Quirks, Q34FilesNobodyNamedAreWrittenOnlyInCompat) {
  const auto left_by = [](const std::string& mode) {
    const TempDir folder;
    EXPECT_EQ(run_program(folder.path(), small + "-noprogress -seed 1" + mode).exit_code, 0);
    return folder.names();
  };
  EXPECT_THAT(left_by(""), testing::UnorderedElementsAre("floatimage.bin", "intimage.img",
                                                         "image.pgm", "noiseimage.img"));
  EXPECT_THAT(left_by(corrected), testing::IsEmpty());
  EXPECT_THAT(left_by(corrected + "-noisefile n.img"), ElementsAre("n.img"));
}

TEST(Quirks, Q35LastOfImageAndMaskWinsOnlyWhenCorrected) {
  const TempDir folder;
  const std::string image = " -img " + header_file(folder, "image", "-detpixels 8 -lambda 1.5");
  const std::string mask = " -mask " + header_file(folder, "mask", "-detpixels 8 -lambda 2.5");
  const auto wavelength = [](const std::string& line) {
    return request_of(any_crystal + line).experiment.beam.wavelength_A;
  };
  EXPECT_EQ(wavelength(image + mask), 1.5);
  EXPECT_EQ(wavelength(mask + image), 1.5);
  EXPECT_EQ(wavelength(image + mask + corrected), 2.5);
  EXPECT_EQ(wavelength(mask + image + corrected), 1.5);
}

TEST(Quirks, Q36IntegersAreRoundedThroughSinglePrecisionAndZeroOutsideTheRegion) {
  const std::string line =
      "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 100 "
      "-pixel 0.1 -detpixels 16 -roi 3 6 5 7 -seed 7 -adc 40.6 -nopgm -nocache "
      "-nonoise -noprogress -intfile i.img -floatfile f.bin ";
  const TempDir folder;
  ASSERT_EQ(run_program(folder.path(), line).exit_code, 0);
  const auto compat = read_smv_pixels(folder / "i.img");
  const std::vector<std::uint16_t> reference{6506,  6504,  8623,  11668, 8799,  8797,
                                             11668, 15795, 30620, 30613, 40633, 55041};
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(compat[std::size_t((5 + i / 4) * 16 + 3 + i % 4)], reference[std::size_t(i)]) << i;

  ASSERT_EQ(run_program(folder.path(), line + corrected).exit_code, 0);
  const auto meant = read_smv_pixels(folder / "i.img");
  const auto photons = read_floats(folder / "f.bin");
  const double scale = 55000.0 / double(*std::ranges::max_element(photons));
  for (int slow = 0; slow < 16; ++slow)
    for (int fast = 0; fast < 16; ++fast) {
      const auto at = static_cast<std::size_t>(slow * 16 + fast);
      const bool kept = fast >= 3 && fast <= 6 && slow >= 5 && slow <= 7;
      EXPECT_EQ(meant[at], kept ? readout::to_integer(photons[at], scale, 40.6) : 0);
      EXPECT_TRUE(kept || compat[at] == 0);
    }
  // 0.5 less than 2^-8 from the next integer, where floats are that coarse, rounds up
  EXPECT_EQ(readout::to_integer(40000.499F, 1, 0.0), 40001);
}

TEST(Quirks, Q40DeadOptionsAreAcceptedAndChangeNothing) {
  const TempDir folder;
  const std::string table = folder.file("table.stol", "0 2.57\n0.1 2.5\n0.2 2.3\n");
  for (const std::string& mode : both_modes) {
    const auto plain = image_of(small + mode).image.pixels;
    for (const std::string& dead :
         {std::string("-coherent"), std::string("-density 1.3"), std::string("-MW 50000"),
          "-stol " + table, "-4stol " + table, "-Q " + table, std::string("-stolout out.stol")})
      EXPECT_EQ(image_of(small + dead + mode).image.pixels, plain) << dead;
    EXPECT_THROW(experiment_of(small + "-stol no/such/file" + mode), InputError);
  }
}

TEST(Quirks, Q41MaskedPixelsCountForTheDeviationOnlyInCompat) {
  for (const std::string& mode : both_modes) {
    Experiment e = experiment_of(small + "-oversample 2 -mosaic 1 -mosaic_dom 3" + mode);
    auto mask = std::make_shared<Mask>(Mask{8, 8, std::vector<std::uint8_t>(64, 1)});
    for (const std::size_t i : {3U, 17U, 40U, 41U}) mask->keep[i] = 0;
    e.sampling.mask = mask;
    const Simulation s = image_of(e);
    double deviation = 0, count = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      if (mode == corrected && mask->keep[i] == 0) continue;
      deviation += std::pow(double(s.image.pixels[i]) - s.statistics.mean, 2);
      ++count;
    }
    EXPECT_EQ(s.statistics.pixels, 60);
    EXPECT_CLOSE(s.statistics.rmsd, std::sqrt(deviation / (count - 1)));
    // nanoBragg divides the sum over sub-pixels by all steps, the domains among them
    const double true_angle = 60 * 0.4e-3 * 0.4e-3 / 0.01;
    EXPECT_CLOSE_WITHIN(1e-3, s.statistics.solid_angle_sr,
                        mode == corrected ? true_angle : true_angle / 3);
  }
}

TEST(Quirks, Q42CompatDrawsNanobraggsNoise) {
  readout::NanobraggPoisson compat({}, 12345);
  EXPECT_FLOAT_EQ(compat(2e6F), 1999680.75F);
  EXPECT_FLOAT_EQ(compat(2e6F), 2000809.62F);
  for (const double mean : {0.1, 7.0, 5000.0, 2e6, 3e9}) {
    double count = -1;
    readout::KeyedPoisson{5}(std::span<const double>(&mean, 1), 17, std::span(&count, 1));
    EXPECT_EQ(count, std::floor(count)) << mean;
  }
}

TEST(Quirks, Q42NoiseOfAPixelIsItsOwnOnlyWhenCorrected) {
  const TempDir folder;
  const auto noise = [&](const std::string& more) {
    const auto outcome = run_program(folder.path(),
                                     small + "-noprogress -nocache -noisefile n.img " + more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_smv_pixels(folder / "n.img");
  };
  const auto rows_of = [](std::vector<std::uint16_t> pixels) {
    pixels.erase(pixels.begin(), pixels.begin() + 32);
    return pixels;
  };
  const std::string lower_half = "-roi 0 7 4 7 ", bright = "-fluence 1e31 ";
  // A region of interest shortens nanoBragg's stream
  EXPECT_NE(rows_of(noise(bright + lower_half + "-seed 5")), rows_of(noise(bright + "-seed 5")));
  EXPECT_EQ(rows_of(noise(bright + lower_half + "-seed 5" + corrected)),
            rows_of(noise(bright + "-seed 5" + corrected)));
  // and a negative seed goes on with what the mosaic domains left of the generator
  EXPECT_NE(noise(bright + "-seed -7 -mosaic_seed 1"), noise(bright + "-seed -7 -mosaic_seed 2"));
  EXPECT_EQ(noise(bright + "-seed -7 -mosaic_seed 1" + corrected),
            noise(bright + "-seed -7 -mosaic_seed 2" + corrected));
  EXPECT_NE(noise(bright + "-seed 5" + corrected), noise(bright + "-seed 6" + corrected));
}

TEST(Quirks, Q43DefaultFillsACachedTableOnlyWhenCorrected) {
  const TempDir folder;
  const std::string table = folder.file("table.hkl", "0 0 0 100\n2 0 0 50\n");
  const std::string cache = " -dump " + (folder / "cache");
  io::write_fdump(folder / "cache", StructureFactorGrid::from_reflections(io::read_hkl(table), 0));
  const auto hole = [&](const std::string& line) {
    return loaded("-cell 100 -default_F 9 " + line).structure_factors.grid->at(1, 0, 0);
  };
  EXPECT_EQ(hole(cache), 0);
  EXPECT_EQ(hole(cache + corrected), 9);
  for (const std::string& mode : both_modes) EXPECT_EQ(hole("-nocache -hkl " + table + mode), 9);
}

TEST(Quirks, Q44MaskOfAnotherSizeIsAnError) {
  const TempDir folder;
  const std::string mask = header_file(folder, "mask", "-detpixels 8");
  for (const std::string& mode : both_modes) {
    EXPECT_NO_THROW(resolved_of("-mask " + mask + mode));
    EXPECT_THAT(
        message_of<UsageError>([&] { resolved_of("-mask " + mask + " -detpixels 9" + mode); }),
        HasSubstr("mask is 8 x 8"));
  }
}

TEST(Quirks, Q47HeadersAreWellFormedOnlyWhenCorrected) {
  const auto header = [](const std::string& line) {
    const Experiment e = experiment_of(any_crystal + line);
    return io::smv_header(e, resolve(e));
  };
  const std::string plain = "-xds -detpixels 256 ";
  EXPECT_THAT(header(plain), HasSubstr("DIALS_ORIGIN=100,-12.8,12.8\n"));
  EXPECT_THAT(header(plain + corrected), HasSubstr("DIALS_ORIGIN=100,-12.8,12.8;\n"));
  EXPECT_EQ(header(plain).size(), 512U);
  EXPECT_EQ(header(plain + corrected).size() % 512, 0U);

  const std::string many_digits =
      "-detpixels 12345 -pixel 0.0123456 -distance 123.456 -phi 1.23456e-7 "
      "-lambda 1.23456 -osc 1.23457e-5 -detector_rotx 1.2345 "
      "-detector_roty 2.3456 -detector_rotz 3.456 -twotheta 1.23457e-5 ";
  const std::string longer = header(many_digits);
  ASSERT_GT(longer.size(), 512U);
  EXPECT_EQ(longer.back(), '\f');
  EXPECT_THAT(longer, HasSubstr("HEADER_BYTES=512;"));
  EXPECT_EQ(header(many_digits + corrected).size(), 1024U);
  EXPECT_THAT(header(many_digits + corrected), HasSubstr("HEADER_BYTES=1024;"));
}

}  // namespace
}  // namespace nablabragg::test
