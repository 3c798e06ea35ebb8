#include "inventory/words.hpp"

#include "inventory/text.hpp"

#include <gtest/gtest.h>

namespace nablabragg::inventory {
namespace {

TEST(Driver, IsWhatTheWordsOfTheHeaderName) {
  EXPECT_EQ(driver_of("for (const Source& source : sources)", "f"), Driver::source);
  EXPECT_EQ(driver_of("for (int fast = 0; fast < n; ++fast)", "f"), Driver::pixel);
  EXPECT_EQ(driver_of("for (int i = 0; i < mosaicDomains; ++i)", "f"), Driver::domain);
  EXPECT_EQ(driver_of("while (std::getline(in, line))", "f"), Driver::file);
  EXPECT_EQ(driver_of("for (size_t i = 0; i < n; ++i)", "f"), Driver::other);
}

TEST(Driver, IsTheSubPixelBeforeThePixel) {
  EXPECT_EQ(driver_of("for (int sub_fast = 0; sub_fast < n; ++sub_fast)", "f"), Driver::sub_pixel);
}

TEST(Driver, ComesFromTheFunctionWhereTheHeaderSaysNothing) {
  EXPECT_EQ(driver_of("for (size_t i = 0; i < n; ++i)", "ns::sum_pixels"), Driver::pixel);
  EXPECT_EQ(driver_of("for (size_t i = 0; i < n; ++i)", "pixels::count"), Driver::other);
}

TEST(OneLine, HasNoLineEndsNoControlCharactersAndNoMoreThanItsLimit) {
  EXPECT_EQ(one_line("for (int i = 0;\n     i < n;\t++i)"), "for (int i = 0; i < n; ++i)");
  EXPECT_EQ(one_line("\xc3\x85 \x1b \xff"), "?? \\x1b \\xff");
  EXPECT_EQ(one_line("abcdefghij", 8), "abcde...");
}

}  // namespace
}  // namespace nablabragg::inventory
