// nablabragg detectors: the table, one detector, its picture.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spng.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "nablabragg/detector_presets.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Picture {
  std::size_t width = 0, height = 0;
  std::vector<unsigned char> greys;
  int at(std::size_t x, std::size_t y) const { return greys.at(y * width + x); }
};

Picture decoded(const std::filesystem::path& path) {
  const std::string png = test::read_file(path);
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  EXPECT_EQ(spng_set_png_buffer(context.get(), png.data(), png.size()), 0);
  spng_ihdr header{};
  EXPECT_EQ(spng_get_ihdr(context.get(), &header), 0);
  EXPECT_EQ(header.bit_depth, 8);
  Picture picture{header.width, header.height,
                  std::vector<unsigned char>(std::size_t{header.width} * header.height)};
  EXPECT_EQ(
      spng_decode_image(context.get(), picture.greys.data(), picture.greys.size(), SPNG_FMT_PNG, 0),
      0);
  return picture;
}

struct Detectors : testing::Test {
  Outcome run(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"detectors"};
    all.insert(all.end(), words.begin(), words.end());
    return test::run_program(folder.path(), all);
  }
  test::TempDir folder;
};

TEST_F(Detectors, AreListed) {
  const Outcome outcome = run({});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const DetectorPreset& preset : detector_presets())
    EXPECT_THAT(outcome.out, HasSubstr("\n" + preset.name() + " "));
  EXPECT_THAT(outcome.out, HasSubstr("4148 x 4362"));
}

TEST_F(Detectors, AreToldOfOneByOne) {
  const Outcome outcome = run({"eiger2-16m-cdte"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("detector     EIGER2 16M\n"), HasSubstr("sensor       CdTe 750 um\n"),
                    HasSubstr("4148 x 4362 of each panel, 75 um"),
                    HasSubstr("4 x 8 modules, 12 and 38 pixels between"), HasSubstr("0 to 65534")));
  EXPECT_EQ(run({"EIGER2", "16M"}).out, run({"eiger2_16m"}).out);
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(Detectors, AreDrawnWithTheirGapsAndTheBeam) {
  EXPECT_EQ(run({"EIGER2 1M", "--picture", "a.png"}).exit_code, 0);
  const Picture one = decoded(folder / "a.png");
  // 400 points for 1062 pixels, and 10 around
  EXPECT_EQ(one.height, 420u);
  EXPECT_EQ(one.width, 408u);
  constexpr int pixels = 170, background = 255;
  EXPECT_EQ(one.at(5, 5), background);
  EXPECT_EQ(one.at(100, 100), pixels);
  EXPECT_EQ(one.at(100, 210), background) << "the gap";
  EXPECT_EQ(one.at(203, 205), 0) << "the beam";
  EXPECT_EQ(one.at(12, 12), 60) << "the first pixel";
  EXPECT_EQ(one.at(395, 12), pixels);

  EXPECT_EQ(run({"CSPAD", "--picture", "b.png"}).exit_code, 0);
  const Picture many = decoded(folder / "b.png");
  const auto share = static_cast<double>(std::count(many.greys.begin(), many.greys.end(), pixels)) /
                     static_cast<double>(many.greys.size());
  // 64 chips of 21.3 x 20.3 mm in a square of about 200 mm
  EXPECT_GT(share, 0.55);
  EXPECT_LT(share, 0.75);
}

TEST_F(Detectors, AreDrawnInTheDocuments) {
  const std::string page = test::read_file(NABLA_SOURCE_DIR "/docs/detectors.md");
  for (std::size_t at = page.find("](detectors/"); at != std::string::npos;
       at = page.find("](detectors/", at + 1)) {
    const std::size_t begin = page.rfind('[', at) + 1;
    const std::string name = page.substr(begin, at - begin),
                      file = page.substr(at + 2, page.find(')', at) - at - 2);
    EXPECT_EQ(run({name, "--picture", "now.png"}).exit_code, 0);
    EXPECT_EQ(decoded(folder / "now.png").greys,
              decoded(std::string(NABLA_SOURCE_DIR "/docs/") + file).greys)
        << "draw it again: nablabragg detectors \"" << name << "\" --picture docs/" << file;
  }
}

TEST_F(Detectors, RefuseWhatTheyAreNot) {
  const auto refusal = [&](const std::vector<std::string>& words) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 2);
    return outcome.err;
  };
  EXPECT_THAT(refusal({"EIGER"}), HasSubstr("several names begin so: EIGER X 16M"));
  EXPECT_THAT(refusal({"EIGRE2 16M"}), HasSubstr("did you mean EIGER2 16M?"));
  EXPECT_THAT(refusal({"--picture", "a.png"}), HasSubstr("needs the name of a detector"));
  EXPECT_THAT(refusal({"CSPAD", "--picture"}), HasSubstr("needs a file, and nothing follows"));
  EXPECT_THAT(refusal({"CSPAD", "--picture", "a.jpg"}), HasSubstr("a name that ends with .png"));
  EXPECT_THAT(refusal({"CSPAD", "--size"}), HasSubstr("detectors has no flag --size"));
  EXPECT_THAT(folder.names(), IsEmpty());
  EXPECT_EQ(run({"CSPAD", "--picture", "none/a.png"}).exit_code, 4);
  EXPECT_THAT(run({"--help"}).out, testing::StartsWith("usage: nablabragg detectors"));
}

TEST_F(Detectors, AreDrawnToStandardOutputToo) {
  const Outcome outcome = run({"CSPAD", "--picture", "-"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, testing::StartsWith("\x89PNG"));
  EXPECT_THAT(outcome.err, HasSubstr("detector     CSPAD"));
}

}  // namespace
}  // namespace nablabragg
