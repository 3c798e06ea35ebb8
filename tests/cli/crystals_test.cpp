// -more_crystal and -block_size_spread: light of several lattices, from the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>  // for memcpy
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "io/refl.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string model =
    "-corrected -noprogress -cell 70 80 90 85 95 105 -default_F 100 -N 5 -misset 10 20 30 "
    "-lambda 1 -detpixels 24 -pixel 2 -oversample 1 -floatfile a.bin ";

class CrystalFlags : public test::ProgramTest {
 protected:
  nlohmann::json trace(const std::string& arguments) const {
    return nlohmann::json::parse(
        good_run(model + "-quiet -trace_pixel 5 7 -trace_format json " + arguments).out);
  }
  double pixel() const {
    const auto bytes = folder.content("a.bin");
    float photons = 0;
    std::memcpy(&photons, bytes.data() + sizeof(float) * (5 * 24 + 7), sizeof(float));
    return double(photons);
  }
  void expect_refused(const std::string& arguments, const std::string& part) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
};

TEST_F(CrystalFlags, AddCrystalsWhoseStepsATraceShowsOneAfterTheOther) {
  const auto both = trace("-more_crystal -40 15 70 0.4 4 6 5"), first = trace(""),
             second = trace("-misset -40 15 70 -Na 4 -Nb 6 -Nc 5");
  ASSERT_EQ(both["lattices"].size(), 2U);
  EXPECT_FALSE(first.contains("lattices"));
  EXPECT_EQ(both["lattices"][0]["trace"], first["trace"]);
  EXPECT_EQ(both["lattices"][1]["trace"], second["trace"]);
  EXPECT_EQ(both["lattices"][1]["cells"], (nlohmann::json{4.0, 6.0, 5.0}));
  const double sum = first["photons"].get<double>() + 0.4 * second["photons"].get<double>();
  EXPECT_NEAR(both["photons"].get<double>() / sum, 1, 1e-6);
  good_run(model + "-more_crystal -40 15 70 0.4 4 6 5");
  EXPECT_NEAR(pixel() / sum, 1, 2e-5);
  const std::string table = good_run(model + "-trace_pixel 5 7 -more_crystal -40 15 70").out;
  EXPECT_THAT(table, HasSubstr("lattice 1 of 2, 5 x 5 x 5 cells"));
  EXPECT_THAT(table, HasSubstr("all 2 lattices: "));
}

TEST_F(CrystalFlags, MakeBlocksOfManySizesWhoseTraceIsTheImage) {
  const std::string spread = "-block_size_spread 0.15 ";
  good_run(model + spread);
  const auto all = trace(spread);
  EXPECT_GT(all["lattices"].size(), 5U);
  EXPECT_NEAR(pixel() / all["photons"].get<double>(), 1, 2e-5);
}

TEST_F(CrystalFlags, StandInTheSummary) {
  const std::string out = good_run(model +
                                   "-more_crystal -40 15 70 0.4 4 6 5 0 -more_crystal 1 2 3 "
                                   "-block_size_spread 0.15 -block_size_fixed cells")
                              .out;
  EXPECT_THAT(out, HasSubstr("  crystal 1: 4x6x5 cells, misset -40 15 70 degrees, weight 0.4, "
                             "mosaic spread 0 degrees\n"));
  EXPECT_THAT(out, HasSubstr("  crystal 2: 5x5x5 cells, misset 1 2 3 degrees, weight 1\n"));
  EXPECT_THAT(out, HasSubstr(" of ln(u), number of cells fixed\n"));
}

TEST_F(CrystalFlags, AreRefusedWhereTheyHaveNoMeaning) {
  const std::string compat = "-cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 24 ";
  expect_refused(compat + "-more_crystal 1 2 3", "-more_crystal needs -corrected");
  expect_refused(compat + "-block_size_spread 0.1", "-block_size_spread needs -corrected");
  expect_refused(model + "-more_crystal 1 2 3 0.5 4", "needs three angles in degrees");
  expect_refused(model + "-more_crystal 1 2 3 -printout", "-trace_pixel shows the steps of all");
}

TEST_F(CrystalFlags, OfStillsTurnWithTheFirstAndAreAnExperimentEachInEveryStill) {
  const std::string still =
      "-corrected -quiet -cell 70 80 90 90 90 90 -default_F 100 -N 8 -gauss_xtal -mosaic 0.5 "
      "-mosaic_domains 5 -detpixels 64 -pixel 1 -oversample 2 -more_crystal -40 15 70 0.5 ";
  folder.file("turns.txt", "0 0 0\n20 -30 80\n");
  good_run(still + "-orientations turns.txt -floatfile s_#.bin -o s.expt -o s.refl");
  good_run(still + "-floatfile alone.bin");
  const auto first = test::read_floats(folder / "s_1.bin"),
             alone = test::read_floats(folder / "alone.bin");
  EXPECT_NE(test::read_floats(folder / "s_2.bin"), first);
  double most = 0;
  for (const float x : alone) most = std::max(most, double(x));
  for (std::size_t i = 0; i < alone.size(); ++i)
    ASSERT_NEAR(double(first[i]), double(alone[i]), 1e-5 * most) << i;
  const auto expt = nlohmann::json::parse(folder.content("s.expt"));
  EXPECT_EQ(expt["crystal"].size(), 4U);
  EXPECT_EQ(expt["experiment"].size(), 4U);
  std::set<int> experiments;
  for (const io::MeasuredSpot& spot : io::read_refl(folder / "s.refl"))
    experiments.insert(spot.experiment);
  EXPECT_EQ(experiments, (std::set{0, 1, 2, 3}));
}

TEST_F(CrystalFlags, AreForgottenBehindOneCrystal) {
  good_run(model + "-more_crystal -40 15 70 0.4 -one_crystal");
  const double forgotten = pixel();
  good_run(model);
  EXPECT_EQ(forgotten, pixel());
  EXPECT_THAT(
      good_run(model + "-more_crystal 1 2 3 -one_crystal -more_crystal 4 5 6").out,
      AllOf(HasSubstr("crystal 1: 5x5x5 cells, misset 4 5 6"), Not(HasSubstr("crystal 2"))));
}

TEST_F(CrystalFlags, WriteAnExperimentForEachCrystalAndTheirTrueReflections) {
  good_run(model + "-more_crystal -40 15 70 -o a.expt -o a.refl -o a.cbf");
  const auto expt = nlohmann::json::parse(folder.content("a.expt"));
  EXPECT_EQ(expt["crystal"].size(), 2U);
  EXPECT_EQ(expt["experiment"].size(), 2U);
  EXPECT_EQ(expt["imageset"].size(), 1U);
}

}  // namespace
}  // namespace nablabragg
