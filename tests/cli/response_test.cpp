// -response: what a detector records, from flags to files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "nablabragg/image_files.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string cubic =
    "-corrected -cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.1 -detpixels 48 "
    "-sensor Si 450 -seed 3 ";

class Response : public test::ProgramTest {
 protected:
  std::vector<std::uint16_t> counts(const std::string& name) const {
    return test::read_smv_pixels(folder / name);
  }
  std::vector<double> pixels(const std::string& name) const {
    return io::read_image(folder / name).pixels;
  }
};

double mean(const auto& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST_F(Response, OfACounterWithoutFurtherStepsIsTheNoiseImageThatThereIsWithoutIt) {
  good_run(cubic + "-noisefile plain.img -o plain.cbf");
  good_run(cubic + "-response counting -noisefile counted.img -o counted.cbf");
  EXPECT_EQ(counts("counted.img"), counts("plain.img"));
  EXPECT_EQ(pixels("counted.cbf"), pixels("plain.cbf"));
}

TEST_F(Response, IsTheSameInTheNoiseImageAndInTheFilesOfO) {
  good_run(cubic +
           "-response integrating -psf fiber -psf_fwhm 150 -gain 2 -readout_noise 3 -adc 60 "
           "-flicker 0.02 -calibration 0.03 -gain_spread 0.01 -photon_spread 0.4 -bits 16 "
           "-noisefile noise.img -o image.nxs");
  const auto noise = counts("noise.img");
  EXPECT_EQ(pixels("image.nxs"), std::vector<double>(noise.begin(), noise.end()));
  EXPECT_GT(*std::ranges::min_element(noise), 40);
}

TEST_F(Response, IsSaidInTheSummaryAndInTheHeader) {
  const auto run = good_run(cubic +
                            "-response integrating -psf gauss -psf_fwhm 73.2 -gain 2.5 "
                            "-readout_noise 3 -adc 60 -noisefile noise.img -o image.img");
  EXPECT_THAT(run.out, HasSubstr("detector response: integrating, point spread gauss of 73.2 um, "
                                 "readout noise 3, offset 60\n"));
  const std::string header = test::read_file(folder / "noise.img").substr(0, 4096);
  EXPECT_THAT(header, AllOf(HasSubstr("-readout_noise 3"), HasSubstr("IMAGE_PEDESTAL=60;"),
                            HasSubstr("GAIN=2.5;")));
  // SMV images of -o have 40 counts more, so that none is below zero
  EXPECT_THAT(test::read_file(folder / "image.img").substr(0, 4096),
              AllOf(HasSubstr("IMAGE_PEDESTAL=100;"), HasSubstr("GAIN=2.5;")));
}

TEST_F(Response, SpreadsLightOnThePanelAndLosesSomeAtItsEdges) {
  good_run(cubic + "-response counting -noisefile sharp.img");
  good_run(cubic + "-response counting -psf fiber -psf_fwhm 300 -noisefile spread.img");
  const auto sharp = counts("sharp.img"), spread = counts("spread.img");
  EXPECT_LT(mean(spread) - 40, mean(sharp) - 40);
  EXPECT_LT(*std::ranges::max_element(spread), *std::ranges::max_element(sharp));
}

TEST_F(Response, OfAnImageOfASeriesIsThatOfTheSingleCommandWithItsSeed) {
  const std::string
      detector = "-response integrating -psf gauss -readout_noise 3 -flicker 0.1 -calibration 0.1 ";
  good_run(cubic + detector + "-osc 0.5 -images 2 -noisefile s_##.img");
  const std::string header = test::read_file(folder / "s_02.img");
  const auto at = header.find("\nSEED=");
  ASSERT_NE(at, std::string::npos);
  const std::string seed = header.substr(at + 6, header.find(';', at) - at - 6);
  const std::string other_seed = cubic.substr(0, cubic.find("-seed"));
  good_run(other_seed + "-seed " + seed + " " + detector + "-phi 0.5 -osc 0.5 -noisefile one.img");
  EXPECT_EQ(counts("one.img"), counts("s_02.img"));
  EXPECT_NE(counts("s_01.img"), counts("s_02.img"));
}

TEST_F(Response, IsNotGoneOnWithInASeriesOfAnotherDetector) {
  good_run(cubic + "-response integrating -readout_noise 3 -osc 0.5 -images 2 -o s.nxs");
  const auto other = run(
      cubic + "-response integrating -readout_noise 4 -osc 0.5 -images 2 -o s.nxs -continue");
  EXPECT_NE(other.exit_code, 0);
}

TEST_F(Response, EndsAtTheBitsOfTheCounterWithANotice) {
  const auto run = good_run(cubic + "-response counting -bits 5 -noisefile few.img");
  const auto few = counts("few.img");
  EXPECT_EQ(*std::ranges::max_element(few), 31 + 40);
  EXPECT_THAT(run.err, HasSubstr("hold its saturation"));
}

TEST_F(Response, TakesMapsFromImageFiles) {
  good_run(cubic + "-floatfile flat.bin -o map.nxs -nonoise");
  // The image's own photons as factors: what they are is the variance's business, not this test's
  const auto factors = pixels("map.nxs");
  good_run(cubic +
           "-response integrating -readout_noise 0 -gain 1000 -adc 0 -gain_map map.nxs -bits 31 "
           "-o gained.nxs");
  good_run(cubic +
           "-response integrating -readout_noise 0 -gain 1000 -adc 0 -bits 31 -o plain.nxs");
  const auto gained = pixels("gained.nxs"), plain = pixels("plain.nxs");
  for (std::size_t i = 0; i < plain.size(); ++i)
    EXPECT_NEAR(gained[i], plain[i] * static_cast<double>(static_cast<float>(factors[i])), 0.5);
  const auto run = good_run(cubic + "-response counting -calibration_map map.nxs -noisefile n.img");
  EXPECT_THAT(run.out, HasSubstr("calibration map of mean "));
}

TEST_F(Response, RefusesMapsOfAnotherDetectorAndNegativeFactors) {
  good_run(
      "-corrected -cell 100 -default_F 100 -N 5 -distance 100 -pixel 0.1 -detpixels 20 -sensor Si "
      "450 -nonoise "
      "-o small.nxs");
  EXPECT_THAT(run(cubic + "-response counting -calibration_map small.nxs").err,
              HasSubstr("small.nxs: has factors of 20 x 20 pixels, and panel 0 of the detector has "
                        "48 x 48 pixels"));
  EXPECT_THAT(run(cubic + "-response counting -gain_map small.nxs").err, HasSubstr("small.nxs"));
  EXPECT_THAT(run(cubic + "-calibration_map small.nxs").err,
              HasSubstr("-calibration_map is a step of a detector"));
  EXPECT_THAT(
      run(cubic + "-response integrating -calibration_map small.nxs -noisefile small.nxs").err,
      HasSubstr("small.nxs"));
}

TEST_F(Response, HasTheDarkChargeTheFullWellAndTheBadPixelsOfItsDetector) {
  const auto run = good_run(
      cubic +
      "-exposure 10 -flux 1e3 -beamsize 1 -response integrating -photon_charge 3400 "
      "-dark_current 34000 -full_well 4e5 -dead_pixels 0.05 -hot_pixels 0.05 -bits 16 -adc 0 "
      "-gain 10 -noisefile dark.img");
  EXPECT_THAT(run.out, HasSubstr("dark current 34000 e-/s, full well 4e+05 e-, 3400 e- a photon, "
                                 "dead pixels 0.05, hot pixels 0.05"));
  const auto dark = counts("dark.img");
  // 100 photons' charge, of 117 at most; nothing in dead pixels' light, which have it, too
  const auto hot = std::ranges::count(dark, 65535);
  EXPECT_GT(hot, 60);
  EXPECT_LT(hot, 180);
  for (const auto count : dark)
    EXPECT_TRUE(count == 65535 || (count > 900 && count < 1180)) << count;
}

TEST_F(Response, IsTracedThroughItsStepsToTheCountOfTheImage) {
  const std::string ccd = cubic +
                          "-response integrating -psf fiber -psf_fwhm 150 -gain 2 -readout_noise 3 "
                          "-adc 60 -calibration 0.03 -photon_spread 0.4 -bits 16 ",
                    files = "-floatfile light.bin -noisefile noise.img -o image.nxs ";
  for (const auto& [slow, fast] : {std::pair(24, 24), std::pair(0, 47), std::pair(31, 5)}) {
    const std::string pixel = "-trace_pixel " + std::to_string(slow) + ' ' + std::to_string(fast);
    const auto trace = nlohmann::json::parse(
        good_run(ccd + files + "-quiet -trace_format json " + pixel).out)["response"];
    const auto at = static_cast<std::size_t>(slow * 48 + fast);
    EXPECT_EQ(trace["count"], counts("noise.img")[at]);
    EXPECT_EQ(trace["count"], pixels("image.nxs")[at]);
    EXPECT_EQ(trace["kind"], "integrating");
    EXPECT_EQ(trace["seed"], 3);
    const auto& light = trace["steps"].front();
    EXPECT_EQ(light["drawn"].get<float>(), test::read_floats(folder / "light.bin")[at]);
    const auto& readout = trace["steps"][trace["steps"].size() - 2];
    EXPECT_EQ(readout["step"], "offset, readout noise");
    EXPECT_EQ(std::floor(readout["drawn"].get<double>() + 0.5), trace["count"].get<double>());
    EXPECT_EQ(readout["unit"], "counts");
  }
  const std::string table = good_run(ccd + files + "-trace_pixel 24 24").out;
  EXPECT_THAT(table, AllOf(HasSubstr("the integrating detector, of the light on this pixel in the "
                                     "image, with -seed 3:"),
                           HasSubstr("\npoint spread "), HasSubstr("\nrecorded: ")));
  const auto counted = good_run(cubic + "-response counting -noisefile n.img -trace_pixel 24 24");
  EXPECT_THAT(counted.out,
              HasSubstr("recorded: " + std::to_string(counts("n.img")[24 * 48 + 24] - 40) +
                        " counts (40 more in -noisefile, by -adc)"));
  EXPECT_THAT(
      good_run(cubic + "-response counting -noisefile n.img -roi 0 9 0 9 -trace_pixel 24 24").out,
      HasSubstr("not recorded: the pixel is outside the region of interest"));
  const std::string closed = cubic +
                             "-gauss_xtal -mosaic 0.3 -mosaic_model gaussian -osc 0.5 "
                             "-response counting -psf gauss -noisefile n.img ";
  const auto trace = nlohmann::json::parse(
      good_run(closed + "-quiet -trace_pixel 24 24 -trace_format json").out);
  EXPECT_EQ(trace["response"]["count"], counts("n.img")[24 * 48 + 24] - 40);
  EXPECT_EQ(trace["photons"], trace["response"]["steps"][0]["drawn"]);
  EXPECT_THAT(good_run(closed + "-trace_pixel 24 24").out,
              AllOf(HasSubstr("summed in closed form, which has no steps"),
                    HasSubstr("\npoint spread "), HasSubstr("\nrecorded: ")));
  EXPECT_THAT(good_run(cubic + "-noisefile n.img -trace_pixel 24 24").out,
              Not(HasSubstr("detector, of the light")));
}

TEST_F(Response, RefusesStepsOfNoDetectorAndOfTheOtherKind) {
  const auto complaint = [&](const std::string& flags) {
    const auto outcome = run(cubic + flags + " -noisefile n.img");
    EXPECT_NE(outcome.exit_code, 0) << flags;
    return outcome.err;
  };
  EXPECT_THAT(complaint("-psf gauss"), HasSubstr("-response counting or -response integrating"));
  EXPECT_THAT(complaint("-gain 2"), HasSubstr("-gain is a step of a detector"));
  EXPECT_THAT(complaint("-response counting -readout_noise 3"),
              HasSubstr("a detector with readout noise is integrating"));
  EXPECT_THAT(complaint("-response counting -gain 2"), HasSubstr("counts a photon once"));
  EXPECT_THAT(complaint("-response integrating -dead_time 100"),
              HasSubstr("a detector with a dead time is counting"));
  EXPECT_THAT(complaint("-response counting -psf_fwhm 50"), HasSubstr("none is given"));
  EXPECT_THAT(complaint("-response counting -psf round"), HasSubstr("gauss, fiber"));
  EXPECT_THAT(run(cubic + "-response counting -nonoise -o n.nxs").err, HasSubstr("leave one out"));
  EXPECT_THAT(complaint("-response integrating -o n.cbf"), HasSubstr("CBF states no pedestal"));
  EXPECT_THAT(complaint("-response counting -bits 40"), HasSubstr("1 to 31"));
  EXPECT_THAT(complaint("-response counting -flicker -0.1"), HasSubstr("not negative"));
  const auto compat = run("-cell 100 -default_F 100 -detpixels 8 -response counting");
  EXPECT_THAT(compat.err, HasSubstr("-response needs -corrected"));
}

TEST_F(Response, IsNoPartOfAModelThatIsRefinedOrTimed) {
  EXPECT_THAT(run("bench --gradient --iterations 1 -- " + cubic + "-response counting").err,
              HasSubstr("-response makes counts, and bench takes a model of photons"));
  EXPECT_THAT(
      run("refine --image a.img --parameters misset -- " + cubic + "-response counting").err,
      HasSubstr("-response makes counts, and refine takes a model of photons"));
}

}  // namespace
}  // namespace nablabragg
