// DIALS' reflection tables, read and written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "io/refl.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/shared_files.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ImageSeries sweep() {
  ImageSeries series;
  GeometryPanel panel;
  panel.fast_pixels = panel.slow_pixels = 1000;
  panel.fast_pixel_mm = panel.slow_pixel_mm = 0.1;
  panel.origin_mm = {-50, 50, -100};
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  series.geometry.panels = {panel, panel};
  series.geometry.beam = GeometryBeam{};
  series.geometry.beam->wavelength_A = 1;
  series.geometry.scan = GeometryScan{};
  series.geometry.scan->images = 10;
  series.geometry.scan->width_deg = 1;
  series.geometry.scan->first_image = 5;
  series.geometry.crystals.resize(2);
  return series;
}

PredictedSpot spot() {
  PredictedSpot s;
  s.hkl = {1, -2, 300};
  s.experiment = 1;
  s.panel = 1;
  s.fast_px = 10.5;
  s.slow_px = 20.25;
  s.frame = 3.5;
  s.photons = 1234.5;
  s.partiality = 0.75;
  s.wavelength_A = 1.01;
  s.phi_deg = 3.5;
  return s;
}

struct Refl : testing::Test {
  std::string problem(const std::string& bytes) {
    return message_of<InputError>([&] { read_refl(folder.file("bad.refl", bytes)); });
  }
  std::string written(const std::vector<PredictedSpot>& spots) {
    write_refl(folder / "a.refl", spots, sweep());
    return folder.content("a.refl");
  }
  TempDir folder;
};

TEST_F(Refl, ThatWasWrittenIsReadBack) {
  std::vector<PredictedSpot> spots(300, spot());
  spots[299].hkl = {-7, 8, -9};
  spots[299].experiment = 0;
  spots[299].panel = 0;
  EXPECT_TRUE(begins_as_refl(written(spots)));
  const std::vector<MeasuredSpot> back = read_refl(folder / "a.refl");
  ASSERT_EQ(back.size(), 300u);
  EXPECT_EQ(back[0].hkl, (MillerIndex{1, -2, 300}));
  EXPECT_EQ(back[0].experiment, 1);
  EXPECT_EQ(back[0].panel, 1);
  EXPECT_EQ(back[0].fast_px, 10.5);
  EXPECT_EQ(back[0].slow_px, 20.25);
  EXPECT_EQ(back[0].frame, 7.5) << "DIALS counts from image 1, and the scan begins with image 5";
  EXPECT_EQ(back[0].intensity, 1234.5);
  EXPECT_EQ(back[0].flags & 32, 32u) << "strong";
  EXPECT_EQ(back[299].hkl, (MillerIndex{-7, 8, -9}));
  EXPECT_EQ(back[299].panel, 0);
}

TEST_F(Refl, MayBeEmpty) {
  written({});
  EXPECT_THAT(read_refl(folder / "a.refl"), IsEmpty());
}

TEST_F(Refl, OfADialsProgramIsRead) {
  const auto path = test::shared_file("real/cspad-64-panels-stills.refl");
  if (!path) GTEST_SKIP() << "no ../shared/real";
  const std::vector<MeasuredSpot> spots = read_refl(*path);
  ASSERT_EQ(spots.size(), 502u);
  int outside = 0, last_experiment = 0;
  for (const MeasuredSpot& s : spots) {
    if (s.panel < 0 || s.panel > 63 || s.fast_px < -5 || s.fast_px > 200 || s.slow_px < -5 ||
        s.slow_px > 190 || s.hkl == MillerIndex{})
      ++outside;
    last_experiment = std::max(last_experiment, s.experiment);
  }
  EXPECT_EQ(outside, 0);
  EXPECT_EQ(last_experiment, 2);
}

TEST_F(Refl, ThatIsCutAnywhereIsRefused) {
  const std::string whole = written({spot(), spot()});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(problem(whole.substr(0, size)), HasSubstr("bad.refl: ")) << size;
}

TEST_F(Refl, WithAForgedCountIsRefusedBeforeMemoryIsTaken) {
  std::string bytes = written({spot()});
  const std::size_t rows = bytes.find("nrows") + 5;
  ASSERT_EQ(bytes[rows], 1);
  bytes.replace(rows, 1, std::string("\xCF\x0F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9));
  EXPECT_THAT(problem(bytes), HasSubstr("reflections and a column"));
}

TEST_F(Refl, WithAColumnOfAnotherTypeIsRefused) {
  std::string bytes = written({spot()});
  bytes.replace(bytes.find("cctbx::miller::index<>"), 6, "xctbx:");
  EXPECT_THAT(problem(bytes), HasSubstr("a column 'miller_index' of the type"));
}

TEST_F(Refl, ThatIsNoneIsRefused) {
  EXPECT_THAT(problem(""), HasSubstr("is no reflection table (.refl) of DIALS"));
  EXPECT_THAT(problem("h k l"), HasSubstr("is no reflection table"));
  const std::string head = written({}).substr(0, 29);
  EXPECT_THAT(problem(head + "\x02\x80"), HasSubstr("another version"));
  EXPECT_THAT(problem(head + "\x01\x80"), HasSubstr("has neither a column"));
  EXPECT_THAT(problem(head + "\x01\xC1"), HasSubstr("is damaged"));
}

TEST_F(Refl, PassesOverValuesOfAllKinds) {
  std::string bytes = written({spot()});
  // A key of another program before the first one: nil, booleans, numbers, texts, extensions, lists
  const std::vector<std::string> values = {"\xC0",
                                           "\xC3",
                                           "\xCA....",
                                           "\xCB........",
                                           "\xCC.",
                                           "\xD1..",
                                           "\xD4..",
                                           "\xD8" + std::string(17, '.'),
                                           "\xD9\x01.",
                                           "\xC7\x01..",
                                           std::string("\xDC\0\1\5", 4),
                                           std::string("\xDE\0\1\5\xA1.", 6),
                                           "\x92\x81\x05\xFF\x01",
                                           "\xD0.",
                                           std::string("\xC4\0", 2)};
  std::string value(1, static_cast<char>(0x90 + values.size()));
  for (const std::string& each : values) value += each;
  bytes[29] = 0x01;
  bytes[30] = static_cast<char>(0x84);
  bytes.insert(31, "\xA3xyz" + value);
  folder.file("b.refl", bytes);
  EXPECT_EQ(read_refl(folder / "b.refl").size(), 1u);
}

TEST_F(Refl, RefusesSpotsOnPanelsAndInExperimentsThatThereAreNot) {
  const auto refusal = [&](const PredictedSpot& s) {
    return message_of<UsageError>([&] { written({s}); });
  };
  PredictedSpot s = spot();
  s.panel = 2;
  EXPECT_THAT(refusal(s), HasSubstr("on panel 2, and there are 2"));
  s = spot();
  s.experiment = 2;
  EXPECT_THAT(refusal(s), HasSubstr("of experiment 2, and there are 2"));
  EXPECT_THAT(folder.names(), Not(Contains("a.refl")));
}

}  // namespace
}  // namespace nablabragg::io
