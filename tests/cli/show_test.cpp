// nablabragg show: images of files in the terminal and as pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spng.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Png {
  int width = 0, height = 0;
  std::vector<unsigned char> rgb;
  std::array<int, 3> at(int x, int y) const {
    const auto i = static_cast<std::size_t>(3 * (y * width + x));
    return {rgb.at(i), rgb.at(i + 1), rgb.at(i + 2)};
  }
  bool is_colored(int x, int y) const {
    const auto color = at(x, y);
    return color[0] != color[1] || color[1] != color[2];
  }
};

Png decoded(const std::string& png) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  EXPECT_EQ(spng_set_png_buffer(context.get(), png.data(), png.size()), 0);
  spng_ihdr header{};
  EXPECT_EQ(spng_get_ihdr(context.get(), &header), 0);
  Png picture{static_cast<int>(header.width), static_cast<int>(header.height),
              std::vector<unsigned char>(std::size_t{3} * header.width * header.height)};
  EXPECT_EQ(
      spng_decode_image(context.get(), picture.rgb.data(), picture.rgb.size(), SPNG_FMT_RGB8, 0),
      0);
  return picture;
}

/// A crystal on a panel that is tilted, and away from the beam.
const std::string tilted =
    "-corrected -cell 70 80 90 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 60 -pixel 0.5 "
    "-detpixels_f 120 -detpixels_s 100 -twotheta 25 -detector_rotx 12 -detector_roty -9 "
    "-detector_rotz 20 -Xbeam 20 -Ybeam 30 -oversample 1 -seed 1 ";

class Show : public test::ProgramTest {
 protected:
  void write_floats(const std::string& name, const std::vector<float>& values) const {
    folder.file(name, std::string(reinterpret_cast<const char*>(values.data()),
                                  values.size() * sizeof(float)));
  }
  std::string refusal(const std::string& line, int exit_code = 2) const {
    const Outcome outcome = run("show " + line);
    EXPECT_EQ(outcome.exit_code, exit_code) << line << '\n' << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }
};

constexpr float masked = std::numeric_limits<float>::quiet_NaN();
const std::string plain = " --scale linear --colors grey --white 255 ";

TEST_F(Show, DrawsTwoPointsACharacterEachTheLargestOrTheMeanOfItsPixels) {
  write_floats("a.f32", {10, 20, 0, 0,      //
                         30, 40, 0, 100,    //
                         1, 1, masked, 55,  //
                         1, 5, masked, 55});
  const std::string line = "show a.f32 --size 4 4 --columns 2" + plain;
  EXPECT_THAT(good_run(line).out,
              EndsWith("\x1b[38;2;40;40;40m\x1b[48;2;5;5;5m▀\x1b[38;2;100;100;100m"
                       "\x1b[48;2;55;55;55m▀\x1b[0m\n"
                       "a point is the largest of 2 x 2 pixels; white above 255\n"));
  EXPECT_THAT(good_run(line + "--reduce mean").out,
              EndsWith("\x1b[38;2;25;25;25m\x1b[48;2;2;2;2m▀\x1b[48;2;55;55;55m▀\x1b[0m\n"
                       "a point is the mean of 2 x 2 pixels; white above 255\n"));
}

TEST_F(Show, FitsThePictureIntoTheTerminal) {
  write_floats("a.f32", std::vector<float>(200 * 300, 1));
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const Outcome outcome = test::run_program(
      folder.path(), {"show", "a.f32", "--size", "200", "300"}, {{"COLUMNS", "50"}});
  // 24 rows, less those with words: 300 pixels on 40 points
  EXPECT_THAT(outcome.out, HasSubstr("the largest of 8 x 8 pixels"));
  EXPECT_LE(lines(outcome.out), 24);
}

TEST_F(Show, DrawsSixelsWhereTheyAreAskedFor) {
  write_floats("a.f32", {255});
  EXPECT_THAT(good_run("show a.f32 --size 1 1 --terminal sixel" + plain).out,
              HasSubstr("\n\x1bPq\"1;1;1;1#0;2;100;100;100#0@-\x1b\\\n"));
  write_floats("b.f32", std::vector<float>(40 * 7, 255));
  // Runs of a character are counted; a seventh row begins another band
  EXPECT_THAT(good_run("show b.f32 --size 40 7 --terminal sixel" + plain).out,
              HasSubstr("#0!40~-#0!40@-\x1b\\\n"));
}

TEST_F(Show, SaysWhatTheFileHolds) {
  write_floats("a.f32", {1, 2, masked, 9, masked, 4});
  EXPECT_THAT(good_run("show a.f32 --size 3 2 --columns 3").out,
              StartsWith("a.f32: raw float32, 3 x 2 pixels; min 1, max 9, mean 4, 2 masked\n"));
  write_floats("dead.f32", {masked, masked});
  EXPECT_THAT(good_run("show dead.f32 --size 2 1 --columns 3").out,
              StartsWith("dead.f32: raw float32, 2 x 1 pixels; 2 masked\n"));
}

TEST_F(Show, SaysTheSameOfAnImageInEveryFormatThatStatesItsGeometry) {
  good_run(tilted + "-sensor Si 320 -o a.cbf -o a.nxs");
  std::set<std::string> said;
  for (const char* name : {"a.cbf", "a.nxs"}) {
    const std::string out = good_run("show " + std::string(name) + " --columns 20").out;
    EXPECT_THAT(out, HasSubstr(", 120 x 100 pixels; min 0, max "));
    const std::size_t numbers = out.find("min "), blocks = out.find('\x1b');
    said.insert(out.substr(numbers, blocks - numbers));
  }
  EXPECT_EQ(said.size(), 1u);
  EXPECT_THAT(*said.begin(), HasSubstr("\nbeam at pixel fast 60."));
  EXPECT_THAT(*said.begin(), HasSubstr("wavelength 1 A, resolution to "));
}

TEST_F(Show, DrawsThePedestalOfAnSmvImageAsNoPhoton) {
  good_run(
      "-corrected -cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.1 "
      "-detpixels 20 -adc 40 -seed 1 -noisefile a.img -floatfile a.f32");
  const Outcome outcome = good_run("show a.img -o a.png --bare --colors grey");
  EXPECT_THAT(outcome.out, HasSubstr("SMV, 20 x 20 pixels; min 40, max"));
  EXPECT_THAT(outcome.out, HasSubstr("0 masked; 40 stand for no photon and are drawn as 0\n"));
  EXPECT_THAT(outcome.out, HasSubstr("beam at pixel fast 10.00 slow 10.00, wavelength 1 A"));
  const Png picture = decoded(folder.content("a.png"));
  const auto counts = test::read_smv_pixels(folder / "a.img");
  for (std::size_t i = 0; i < counts.size(); ++i)
    EXPECT_EQ(picture.rgb[3 * i] == 0, counts[i] == 40) << i;
}

TEST_F(Show, TakesTheImageOfASeriesThatIsNamed) {
  good_run(
      "-corrected -cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -detpixels 32 "
      "-sensor Si 320 -images 3 -phi 0 -osc 20 -seed 1 -o a.nxs");
  std::set<std::string> pictures;
  for (const char* number : {"1", "2", "3"}) {
    const Outcome outcome = good_run("show a.nxs -o a.png --image-number " + std::string(number));
    EXPECT_THAT(outcome.out, HasSubstr("image " + std::string(number) + " of 3"));
    pictures.insert(folder.content("a.png"));
  }
  EXPECT_EQ(pictures.size(), 3u);
  EXPECT_THAT(refusal("a.nxs --image-number 4", 3), HasSubstr("it holds 3"));
}

TEST_F(Show, DrawsAPictureWithAFrameOrThePixelsAlone) {
  write_floats("a.f32", {0, 255, 128, 1, 2, 3});
  EXPECT_THAT(good_run("show a.f32 --size 3 2 -o a.png" + plain).out,
              HasSubstr("writing a.png as 8-bit colours, white at 255 counts\n"));
  const Png framed = decoded(folder.content("a.png"));
  EXPECT_GT(framed.width, 400);
  EXPECT_THAT(good_run("show a.f32 --size 3 2 -o a.png --bare" + plain).out,
              HasSubstr("writing a.png as 8-bit grey"));
  const Png bare = decoded(folder.content("a.png"));
  EXPECT_THAT(bare.rgb, testing::ElementsAre(0, 0, 0, 255, 255, 255, 128, 128, 128, 1, 1, 1, 2, 2,
                                             2, 3, 3, 3));
  const Outcome piped = good_run("show a.f32 --size 3 2 --bare -o -" + plain);
  EXPECT_EQ(piped.out, folder.content("a.png"));
  EXPECT_THAT(piped.err, HasSubstr("raw float32"));
}

TEST_F(Show, DrawsRingsWhereTheEngineHasTheResolution) {
  good_run(tilted + "-pngfile p.png -pngrings 2 -pngwhite 1e30");
  const Png picture = decoded(folder.content("p.png"));
  ASSERT_EQ(picture.width, 120);
  // From the upper edge down to the ring, away from its number
  int found = 0;
  for (const int x : {5, 15, 20, 25, 35, 110}) {
    for (int y = 0; y < picture.height; ++y) {
      // The middle of the line is bluest
      const auto blue = [&](int row) { return picture.at(x, row)[2]; };
      if (blue(y) < 100) continue;
      int best = y;
      for (int k = y; k < std::min(y + 4, picture.height); ++k)
        if (blue(k) > blue(best)) best = k;
      if (best < 2 || best + 2 >= picture.height) break;
      const auto inverse_d_at = [&](int slow) {
        const Outcome outcome = good_run(tilted + "-quiet -trace_format json -trace_pixel " +
                                         std::to_string(slow) + " " + std::to_string(x));
        const auto q = nlohmann::json::parse(outcome.out).at("trace").at(0).at("q_per_m");
        return 1e-10 *
               std::hypot(q.at(0).get<double>(), q.at(1).get<double>(), q.at(2).get<double>());
      };
      const double above = inverse_d_at(best - 2) - 1 / 2.0,
                   below = inverse_d_at(best + 2) - 1 / 2.0;
      EXPECT_LT(above * below, 0) << x << ' ' << best;
      ++found;
      break;
    }
  }
  EXPECT_GE(found, 3);
}

TEST_F(Show, MarksTheSameBeamAndRingsInAFileAsInThePictureOfItsRun) {
  good_run(tilted + "-sensor Si 320 -nonoise -o a.nxs -pngfile run.png -pngaxes -pngrings 2,3");
  good_run("show a.nxs -o show.png --colors grey --rings 2,3");
  const Png of_run = decoded(folder.content("run.png")),
            of_file = decoded(folder.content("show.png"));
  ASSERT_EQ(of_run.height, of_file.height);
  int marked = 0, same = 0;
  for (int y = 0; y < of_run.height; ++y)
    for (int x = 0; x < std::min(of_run.width, of_file.width); ++x) {
      marked += of_run.is_colored(x, y);
      same += of_run.is_colored(x, y) && of_file.is_colored(x, y);
    }
  EXPECT_GT(marked, 300);
  EXPECT_GT(same, 0.99 * marked);
}

TEST_F(Show, SaysInASentenceWhatItCannotDraw) {
  folder.file("words.txt", "no image at all");
  write_floats("a.f32", {1, 2, 3, 4});
  good_run("-corrected -cell 100 -default_F 100 -N 5 -detpixels 8 -intfile a.img -o a.expt");
  EXPECT_THAT(refusal(""), HasSubstr("show needs the file of an image"));
  EXPECT_THAT(refusal("none.cbf", 3), HasSubstr("none.cbf"));
  EXPECT_THAT(refusal(".", 3), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal("words.txt", 3),
              AllOf(HasSubstr("is no CBF, NXmx (HDF5), SMV or TIFF image"), HasSubstr("--size")));
  EXPECT_THAT(refusal("a.f32 --size 3 2", 3),
              HasSubstr("holds 16 bytes, and 3 x 2 float32 pixels are 24"));
  EXPECT_THAT(refusal("a.img --size 8 8"), HasSubstr("a.img states its own"));
  EXPECT_THAT(refusal("a.expt", 3), HasSubstr("has no pixels"));
  EXPECT_THAT(refusal("a.f32 --size 2 2 --rings 2"), HasSubstr("does not state them"));
  EXPECT_THAT(refusal("a.img --rings 0.1"), HasSubstr("beyond half the wavelength"));
  EXPECT_THAT(refusal("a.img --rings -2"), HasSubstr("--rings"));
  EXPECT_THAT(refusal("a.img -o a.jpg"), HasSubstr("a name that ends with .png"));
  EXPECT_THAT(refusal("a.img -o a.png --white inf"), HasSubstr("white"));
  EXPECT_THAT(refusal("a.img --bare"), HasSubstr("--bare is of a PNG picture"));
  EXPECT_THAT(refusal("a.img --shrink 2"), HasSubstr("-o FILE.png names one"));
  EXPECT_THAT(refusal("a.img -pngaxes"), HasSubstr("-pngaxes"));
  folder.file("same.png", test::read_file(folder / "a.img"));
  EXPECT_THAT(refusal("same.png -o same.png"), HasSubstr("same"));
  EXPECT_THAT(refusal("a.img -o none/a.png", 4), HasSubstr("none"));
}

TEST_F(Show, SaysOneSentenceOfADamagedFileAndTheLibrariesBehindItSayNothing) {
  good_run(tilted + "-sensor Si 450 -o whole.nxs");
  const std::string whole = folder.content("whole.nxs");
  std::mt19937 random(20261130);
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    std::string damaged = whole;
    for (int changes = 0; changes < 20; ++changes)
      damaged[below(damaged.size())] = static_cast<char>(below(256));
    folder.file("damaged.nxs", damaged);
    const Outcome outcome = run("show damaged.nxs -o picture.png");
    SCOPED_TRACE(testing::Message() << "file " << i << ": " << outcome.err);
    refused += outcome.exit_code != 0;
    EXPECT_THAT(outcome.exit_code, testing::AnyOf(0, 3));
    std::istringstream lines(outcome.err);
    int errors = 0;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_THAT(line, StartsWith("nablabragg: "));
      errors += line.starts_with("nablabragg: error: ");
    }
    EXPECT_EQ(errors, outcome.exit_code == 0 ? 0 : 1);
  }
  EXPECT_GT(refused, 10);
}

TEST_F(Show, HasHelp) {
  for (const char* line : {"show --help", "show -h", "show -help"}) {
    const Outcome outcome = good_run(line);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("--rings"), HasSubstr("--image-number")));
    EXPECT_THAT(outcome.err, IsEmpty());
  }
  EXPECT_THAT(run("-help").out, HasSubstr("nablabragg show FILE"));
}

}  // namespace
}  // namespace nablabragg
