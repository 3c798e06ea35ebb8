// The words in pictures.
#include "cli/grey_canvas.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::cli {
namespace {

TEST(GreyCanvas, DrawsEverySmallLetterDigitAndSignDifferently) {
  const test::TempDir folder;
  const std::string path = folder / "word.png";
  const auto picture_of = [&](const std::string& word) {
    GreyCanvas canvas(GreyCanvas::letter_width, GreyCanvas::letter_height);
    canvas.write(0, 0, word);
    canvas.write_png(path);
    return test::read_file(path);
  };
  std::set<std::string> pictures{picture_of(" ")};
  const std::string drawn = "abcdefghijklmnopqrstuvwxyz0123456789+-.=";
  for (const char c : drawn) EXPECT_TRUE(pictures.insert(picture_of({c})).second) << c;
}

}  // namespace
}  // namespace nablabragg::cli
