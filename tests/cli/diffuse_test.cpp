// -diffuse_sigma and its kin: light between the spots, from the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>  // for memcpy
#include <nlohmann/json.hpp>
#include <string>

#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;

const std::string model =
    "-corrected -noprogress -cell 20 22 25 90 90 90 -default_F 100 -N 5 -misset 10 20 30 -lambda 1 "
    "-detpixels 24 -pixel 4 -distance 60 -oversample 1 -floatfile a.bin ";

class DiffuseFlags : public test::ProgramTest {
 protected:
  nlohmann::json trace(const std::string& arguments) const {
    return nlohmann::json::parse(
        good_run(model + "-quiet -trace_pixel 5 7 -trace_format json " + arguments).out);
  }
  void expect_refused(const std::string& arguments, const std::string& part) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
};

TEST_F(DiffuseFlags, AddLightThatTheTraceTellsApart) {
  const auto alone = trace("");
  EXPECT_FALSE(alone.contains("diffuse_photons"));
  const auto both = trace("-diffuse_sigma 0.4 -diffuse_gamma 20 15 12");
  const double diffuse = both["diffuse_photons"];
  EXPECT_GT(diffuse, 0);
  // The spots' own light loses exp(-W)
  EXPECT_LT(both["photons"].get<double>() - diffuse, alone["photons"].get<double>());
  const auto three = trace("-blocks 3 -diffuse_sigma 0.4 0.4 0.4 -diffuse_gamma 20 15 12");
  EXPECT_NEAR(three["diffuse_photons"].get<double>() / diffuse, 3, 1e-9);
  EXPECT_THAT(good_run(model + "-trace_pixel 5 7 -diffuse_sigma 0.4 -diffuse_gamma 20").out,
              HasSubstr("photons of diffuse scattering"));
}

TEST_F(DiffuseFlags, AreTheSameInTheImageAndItsTrace) {
  for (const char* motion : {"-diffuse_gamma 20", "-diffuse_gamma 20 15 12 -diffuse_stencil 0",
                             "-diffuse_motion rigid"}) {
    const std::string flags = std::string("-diffuse_sigma 0.4 ") + motion;
    good_run(model + flags);
    const auto bytes = folder.content("a.bin");
    float pixel = 0;
    std::memcpy(&pixel, bytes.data() + sizeof(float) * (5 * 24 + 7), sizeof(float));
    EXPECT_NEAR(double(pixel) / trace(flags)["photons"].get<double>(), 1, 2e-5) << motion;
  }
}

TEST_F(DiffuseFlags, StandInTheSummary) {
  EXPECT_THAT(
      good_run(model + "-diffuse_sigma 0.4 -diffuse_gamma 20").out,
      HasSubstr("diffuse scattering: liquid-like motions, sigma 0.4 0.4 0.4 A (B 12.63 12.63 "
                "12.63 A^2), gamma 20 20 20 A; spots are weakened by it"));
}

TEST_F(DiffuseFlags, OfFewPixelsAndOrientationsAreSaidAndTracedAsTheyAreInTheImage) {
  const std::string fine =
      "-corrected -noprogress -cell 20 22 25 90 90 90 -default_F 100 -N 5 -misset 10 20 30 "
      "-lambda 1 -detpixels 48 -pixel 0.1 -distance 100 -oversample 1 "
      "-mosaic 0.2 -mosaic_domains 20 -diffuse_sigma 0.4 -diffuse_gamma 15 "
      "-diffuse_error 0.01 ";
  EXPECT_THAT(good_run(fine + "-printout plan -floatfile a.bin").out,
              AllOf(HasSubstr("halos may be wrong by 0.01 of their peak (-diffuse_error)"),
                    HasSubstr("diffuse light is summed at pixels 3 apart and of 1 orientation for "
                              "20 (-diffuse_error)")));
  const auto bytes = folder.content("a.bin");
  float pixel = 0;
  std::memcpy(&pixel, bytes.data() + sizeof(float) * (21 * 48 + 17), sizeof(float));
  const auto traced = nlohmann::json::parse(
      good_run(fine + "-quiet -trace_pixel 21 17 -trace_format json").out);
  EXPECT_NEAR(double(pixel) / traced["photons"].get<double>(), 1, 2e-5);
}

TEST_F(DiffuseFlags, ThatMakeNoSenseAreRefused) {
  expect_refused(model + "-diffuse_sigma 0.4", "need correlation lengths along all axes");
  expect_refused(model + "-diffuse_gamma 4", "needs a size of the displacements");
  expect_refused(model + "-diffuse_sigma 0.4 0.3 -diffuse_gamma 4", "needs one number, or three");
  expect_refused(model + "-diffuse_sigma 0.4 -diffuse_gamma 4 -diffuse_motion gas",
                 "liquid, rigid");
  expect_refused(model + "-diffuse_sigma 0.4 -diffuse_gamma 4 -diffuse_in_F", "come from a table");
  expect_refused(model + "-diffuse_sigma 0.4 -diffuse_gamma 4 -gauss_xtal -summation closed",
                 "summed step by step");
  expect_refused(model + "-diffuse_sigma 0.4 -diffuse_gamma 4 -diffuse_error 0.5",
                 "must be between 0 and 0.1");
  expect_refused("-cell 20 -default_F 1 -diffuse_sigma 0.4 -diffuse_gamma 4", "give -corrected");
}

}  // namespace
}  // namespace nablabragg
