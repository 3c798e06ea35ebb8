// Words of others, fit to be printed.
#include "io/quotes.hpp"

#include <gtest/gtest.h>

namespace nablabragg::io {
namespace {

TEST(Quotes, KeepUtf8Whole) {
  const std::string name = "Mes données/Ω-β 図 😀.img";
  EXPECT_EQ(printable(name), name);
  EXPECT_EQ(quoted_name(name), '"' + name + '"');
  EXPECT_EQ(in_quotes(name), '"' + name + '"');
}

TEST(Quotes, EscapeControlCharactersAndBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\tb\nc\rd\x1b[2J\x7f"), "a\\tb\\nc\\rd\\x1b[2J\\x7f");
  EXPECT_EQ(printable(std::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m")
      << "a control sequence of one character";
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "gmi"),
            "\\xe2\\x80\\xaegmi")
      << "turns the direction";
  EXPECT_EQ(printable("caf\xe9"), "caf\\xe9") << "Latin 1";
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80"),
            "\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80")
      << "overlong, half a pair, beyond the last";
}

TEST(Quotes, LeaveAsItIsWhatIsPrintableAlready) {
  const std::string once = printable("a\n\xff");
  EXPECT_EQ(printable(once), once);
}

TEST(Quotes, ShortenWhatAFileHoldsAndNoName) {
  const std::string longest(63, 'x'), longer(64, 'x');
  EXPECT_EQ(in_quotes(longest), '"' + longest + '"');
  EXPECT_EQ(in_quotes(longer), '"' + std::string(60, 'x') + "...\"");
  EXPECT_EQ(quoted_name(longer), '"' + longer + '"');
}

TEST(Quotes, CutNoCharacterInTwo) {
  EXPECT_EQ(shortened("abcdé", 5), "ab...");
  EXPECT_EQ(shortened("abcé-é", 7), "abc...");
  EXPECT_EQ(shortened("abcé-é", 8), "abcé-é");
}

}  // namespace
}  // namespace nablabragg::io
