// `nablabragg refine` without structure factors: on a simulated rotation, and on the first measured
// image, which lies next to the repository (docs/measured-image.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "support/program_test.hpp"
#include "support/shared_files.hpp"

namespace nablabragg {
namespace {

using nlohmann::json;
using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class RefineFreely : public test::ProgramTest {
 protected:
  json result(const std::string& outdir = "r") const {
    return json::parse(folder.content(outdir + "/refined.json"));
  }
};

const std::string scan =
    "-corrected -noprogress -N 15 -gauss_xtal -mosaic 0.05 -mosaic_model gaussian -lambda 1 "
    "-distance 60 -detpixels 400 -pixel 0.1 -Xbeam 19.5 -Ybeam 19.7 -phi 20 -osc 1 -default_F 100 "
    "-fluence 1e28 -water 0.5 ";

TEST_F(RefineFreely, WritesTheIntensitiesThatMakeTheImageAgain) {
  good_run(scan + "-cell 60 60 60 90 90 90 -misset 12 -7 33 -seed 1 -o turned.cbf");
  const Outcome outcome = run(
      "refine --quiet --outdir r --image turned.cbf --intensities free --equal cell[0-2] --shoebox "
      "11 --parameters misset,cell[0-2] -- " +
      scan + "-cell 60.3 60.3 60.3 90 90 90 -misset 12.3 -7.3 33.3");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("cell[0-2]"), HasSubstr("found spots lie within two"),
                                 HasSubstr("refined.hkl")));
  const json r = result();
  const double expected[]{12, -7, 33, 60};
  for (std::size_t i = 0; i < 4; ++i) {
    SCOPED_TRACE(r["numbers"][i].dump());
    EXPECT_NEAR(r["numbers"][i]["value"], expected[i],
                4.5 * r["numbers"][i]["deviation"].get<double>());
  }
  EXPECT_NEAR(r["residual"], 1, 0.1);
  EXPECT_LT(r["found_spots"]["fast_rms_px"], 0.3);
  EXPECT_GT(r["found_spots"]["placed"], 100);
  ASSERT_GT(r["structure_factors"].size(), 100u);
  // Spots that lie on others share their light in some way
  std::size_t right = 0;
  for (const json& f : r["structure_factors"])
    if (std::abs(f["value"].get<double>() - 100) < 4 * f["deviation"].get<double>()) ++right;
  EXPECT_GT(static_cast<double>(right), 0.85 * static_cast<double>(r["structure_factors"].size()));
  EXPECT_THAT(folder.content("r/refined.png"), HasSubstr("PNG"));
}

TEST_F(RefineFreely, ComplainsInOneSentence) {
  const auto complaint = [&](const std::string& options) {
    const Outcome outcome = run("refine --image turned.cbf --parameters misset " + options +
                                " -- " + scan + "-cell 60 60 60 90 90 90");
    EXPECT_EQ(outcome.exit_code, 2);
    return outcome.err;
  };
  EXPECT_THAT(complaint("--centring I"), HasSubstr("--centring needs --intensities free"));
  EXPECT_THAT(complaint("--intensities some"), HasSubstr("--intensities"));
  EXPECT_THAT(complaint("--intensities free --centring X"), HasSubstr("--centring"));
  EXPECT_THAT(complaint("--variances guessed"), HasSubstr("--variances"));
}

/// What DIALS 3.12.1 made of the image by free refinement of beam, panel and crystal.
class FirstMeasuredImage : public RefineFreely {
 protected:
  void SetUp() override {
    const auto found = test::shared_file("real/pilatus300k-one-degree.cbf");
    if (!found) GTEST_SKIP() << "there is no real/pilatus300k-one-degree.cbf beside the repository";
    image = *found;
    good_run("-corrected -noprogress -img " + image +
             " -cell 51.6 51.6 51.6 90 90 90 -N 5 -gauss_xtal -default_F 1 -o header.expt");
    json expt = json::parse(folder.content("header.expt"));
    expt["crystal"] = json::array();
    expt["experiment"][0].erase("crystal");
    expt["beam"][0]["direction"] = {0.00234, 0, 0.999997};
    json& panel = expt["detector"][0]["panels"][0];
    panel["fast_axis"] = {0.012838, 0.939515, 0.342267};
    panel["slow_axis"] = {0.999893, -0.009641, -0.011040};
    // 0.094 mm nearer along its normal than in DIALS, which counts photons that go through the
    // sensor as stopped at its surface when it takes the mean depth of a spot
    panel["origin"] = {-56.6132, 2.9578, -128.8337};
    std::ofstream(folder / "dials.expt") << expt;
    // DIALS' orientation at phi = 0 times the wavelength; the cell is stated apart
    std::ofstream(folder / "dials.mat") << "0.000315408 -0.009917523 -0.008926898\n"
                                           "0.001887447 0.008872768 -0.009790698\n"
                                           "0.013209251 -0.001031006 0.001612131\n";
  }

  json refine(const std::string& parameters, const std::string& start) const {
    const Outcome outcome = run(
        "refine --quiet --outdir r --image " + image +
        " --intensities free --centring I --variances fitted --shoebox 11 --equal cells[0-2] "
        "--parameters " +
        parameters +
        " -- -corrected -noprogress -expt dials.expt -gauss_xtal -N 25 -mosaic_model gaussian "
        "-mosaic 0.005 -fluence 1e26 -default_F 100 " +
        start);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("the model does not explain the image"),
                                   Not(HasSubstr("had not converged"))));
    return result();
  }

  std::string image;
};

constexpr double dials_cell_A = 51.6515;

TEST_F(FirstMeasuredImage, GivesTheOrientationAndTheCellThatDialsFinds) {
  const json r = refine("misset,cell[0-2],cells --equal cell[0-2]",
                        "-mat dials.mat -cell 51.908 51.908 51.908 90 90 90 -misset 0.3 -0.3 0.3");
  const auto value = [&](std::size_t i) { return r["numbers"][i]["value"].get<double>(); };
  const auto deviation = [&](std::size_t i) { return r["numbers"][i]["deviation"].get<double>(); };
  // Rotations from DIALS' orientation about the spindle, the vertical and the beam
  EXPECT_LT(std::abs(value(0)), 0.05);
  EXPECT_LT(std::abs(value(1)), 0.02);
  EXPECT_LT(std::abs(value(2)), 0.02);
  EXPECT_NEAR(value(3), dials_cell_A, 0.05);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LT(deviation(i), 0.05);
    EXPECT_LT(std::abs(value(i)), 4 * deviation(i)) << i;
  }
  EXPECT_LT(r["found_spots"]["fast_rms_px"], 0.2);
  EXPECT_LT(r["found_spots"]["slow_rms_px"], 0.2);
  EXPECT_GT(r["found_spots"]["placed"], 460);
  EXPECT_THAT(folder.content("r/refined.png"), HasSubstr("PNG"));
}

TEST_F(FirstMeasuredImage, HasATriclinicCellThatIsCubicWithinItsDeviations) {
  const json r = refine("misset,cell,cells",
                        "-cell 51.908 51.908 51.908 90 90 90 -misset -32.3 -82.06 80.21");
  for (std::size_t i = 3; i < 9; ++i) {
    SCOPED_TRACE(r["numbers"][i].dump());
    EXPECT_NEAR(r["numbers"][i]["value"], i < 6 ? dials_cell_A : 90,
                2.5 * r["numbers"][i]["deviation"].get<double>());
    EXPECT_LT(r["numbers"][i]["deviation"], 0.3);
  }
}

}  // namespace
}  // namespace nablabragg
