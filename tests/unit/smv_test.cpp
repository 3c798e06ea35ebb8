// SMV images: what is read from other programs' files and nanoBragg's own, and what is written.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;

std::string bytes_of(const std::vector<std::uint16_t>& pixels) {
  std::string bytes(pixels.size() * sizeof(std::uint16_t), '\0');
  std::memcpy(bytes.data(), pixels.data(), bytes.size());
  return bytes;
}

std::string padded(std::string header, std::size_t bytes = 512) {
  header.resize(bytes, ' ');
  return header;
}

/// A header of 512 bytes with these lines in addition to HEADER_BYTES.
std::string header_with(const std::string& lines) {
  return padded("{\nHEADER_BYTES=512;\n" + lines + "}\f");
}

const std::vector<std::uint16_t> six_pixels{0, 1, 258, 40, 65535, 7};

SmvFile smv_of(const std::string& bytes) {
  const TempDir dir;
  return read_smv(dir.file("a.img", bytes));
}

/// What read_smv says, without the folder.
std::string problem_of(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.file("a.img", bytes);
  const std::string message = message_of<InputError>([&] { read_smv(path); });
  return message.starts_with(path) ? message.substr(dir.path().string().size() + 1) : message;
}

// ---- Keys -------------------------------------------------------------------------------------

SmvFile with_header(const std::string& header) {
  SmvFile file;
  file.header = header;
  return file;
}

TEST(SmvValue, MatchesKeysWhole) {
  const SmvFile file = with_header(
      "{\nHEADER_BYTES=512;\nDISTANCE=150;\nXDS_ORGX=9.5;\nCLOSE_DISTANCE=148.9;\nTWOTHETA=7;\n}\f "
      " ");
  EXPECT_EQ(file.value("DISTANCE", false), 150);
  EXPECT_EQ(file.value("CLOSE_DISTANCE", false), 148.9);
  EXPECT_EQ(file.value("ORGX", false), std::nullopt);
  EXPECT_EQ(file.value("TWOTHETA", false), 7);
  EXPECT_EQ(file.value("PHI", false), std::nullopt);
}

TEST(SmvValue, TakesTheLastPlaceThatContainsTheKeyAsNanobraggDoes) {
  const SmvFile file = with_header(
      "{\nHEADER_BYTES=512;\nDISTANCE=150;\nXDS_ORGX=9.5;\nCLOSE_DISTANCE=148.9;\nTWOTHETA=7;\n}\f "
      " ");
  EXPECT_EQ(file.value("DISTANCE", true), 148.9);
  EXPECT_EQ(file.value("ORGX", true), 9.5);
  EXPECT_EQ(file.value("PHI", true), std::nullopt);
}

TEST(SmvValue, ReadsANumberThatAnythingFollows) {
  const SmvFile file = with_header(
      "{\nHEADER_BYTES=512;\n PHI = +12.5 deg ;\nORIGIN=-7.2,7.2,-150\nSIZE1=16;SIZE2=8;\n}");
  EXPECT_EQ(file.value("PHI", false), 12.5);
  EXPECT_EQ(file.value("ORIGIN", false), -7.2);
  EXPECT_EQ(file.value("SIZE2", false), 8);
  EXPECT_EQ(file.value("PHI", true), 12.5);
}

TEST(SmvValue, CountsWordsAsZeroOnlyWhereNanobraggDoes) {
  const SmvFile file = with_header("{\nHEADER_BYTES=512;\nBYTE_ORDER=little_endian;\nLAST\n}");
  EXPECT_EQ(file.value("BYTE_ORDER", false), std::nullopt);
  EXPECT_EQ(file.value("BYTE_ORDER", true), 0);
  EXPECT_EQ(file.value("LAST", false), std::nullopt);
  EXPECT_EQ(file.value("LAST", true), 0);
}

TEST(SmvValue, TakesTheLastOfEqualKeysAndNothingBehindTheBrace) {
  const SmvFile file = with_header("{\nPHI=1;\nPHI=2;\n}\nPHI=3;\n");
  EXPECT_EQ(file.value("PHI", false), 2);
}

// ---- Reading ----------------------------------------------------------------------------------

TEST(ReadSmv, ReadsHeaderAndPixels) {
  const std::string header = header_with("DIM=2;\nTYPE=unsigned_short;\nSIZE1=3;\nSIZE2=2;\n");
  const SmvFile file = smv_of(header + bytes_of(six_pixels));
  EXPECT_EQ(file.fast_pixels, 3);
  EXPECT_EQ(file.slow_pixels, 2);
  EXPECT_EQ(file.header, header);
  EXPECT_EQ(file.pixels, six_pixels);
}

TEST(ReadSmv, SwapsTheBytesOfBigEndianFiles) {
  const std::string header = header_with("BYTE_ORDER=big_endian;\nSIZE1=1;\nSIZE2=2;\n");
  const SmvFile file = smv_of(header + std::string("\x01\x02\xff\x00", 4));
  EXPECT_EQ(file.pixels, (std::vector<std::uint16_t>{0x0102, 0xff00}));
}

TEST(ReadSmv, TakesDetectorDimensionsForBothSides) {
  const SmvFile file = smv_of(header_with("DETECTOR_DIMENSIONS=2;\n") + bytes_of({1, 2, 3, 4}));
  EXPECT_EQ(file.fast_pixels, 2);
  EXPECT_EQ(file.slow_pixels, 2);
}

TEST(ReadSmv, HonoursOtherHeaderLengths) {
  for (const std::size_t length : {64U, 1024U, 5120U}) {
    const std::string header = padded(
        "{\nHEADER_BYTES=" + std::to_string(length) + ";\nSIZE1=3;\nSIZE2=2;\n}\f", length);
    const SmvFile file = smv_of(header + bytes_of(six_pixels));
    EXPECT_EQ(file.header, header);
    EXPECT_EQ(file.pixels, six_pixels);
  }
}

TEST(ReadSmv, FindsKeysBeyondTheFirst512Bytes) {
  const std::string header = padded(
      padded("{\nHEADER_BYTES= 1024;\nSIZE1=3;\n", 700) + "\nSIZE2=2;\nPHI=5;\n}\f", 1024);
  const SmvFile file = smv_of(header + bytes_of(six_pixels));
  EXPECT_EQ(file.pixels, six_pixels);
  EXPECT_EQ(file.value("PHI", false), 5);
}

TEST(ReadSmv, AllowsBytesBehindThePixels) {
  EXPECT_EQ(smv_of(header_with("SIZE1=3;\nSIZE2=2;\n") + bytes_of(six_pixels) + "more").pixels,
            six_pixels);
}

TEST(ReadSmv, RefusesWhatIsNoSmvFile) {
  const std::string
      expected = "a.img: is no SMV image: it should start with a line \"{\" and then HEADER_BYTES=";
  EXPECT_EQ(problem_of(""), expected);
  EXPECT_EQ(problem_of("P5\n3 2\n255\n"), expected);
  EXPECT_EQ(problem_of("{\r\nHEADER_BYTES=512;\r\n"), expected);
  EXPECT_EQ(problem_of("{\nHEADER"), expected);
  EXPECT_THROW(read_smv("/dev/zero"), InputError);
}

TEST(ReadSmv, RefusesSenselessHeaderLengths) {
  for (const std::string length : {"0", "-512", "63", "1048577", "512.5", "nan", "1e30", "x"})
    EXPECT_EQ(problem_of(padded("{\nHEADER_BYTES=" + length + ";\nSIZE1=3;\nSIZE2=2;\n}\f") +
                         bytes_of(six_pixels)),
              "a.img: HEADER_BYTES must be a whole number from 64 to 1048576")
        << length;
}

TEST(ReadSmv, RefusesSenselessSizes) {
  for (const std::string lines :
       {"", "SIZE1=3;\n", "SIZE1=3;\nSIZE2=-2;\n", "SIZE1=3;\nSIZE2=nan;\n",
        "SIZE1=3;\nSIZE2=1000001;\n", "SIZE1=3;\nSIZE2=1.5;\n"})
    EXPECT_EQ(problem_of(header_with(lines) + bytes_of(six_pixels)),
              "a.img: the header gives no number of pixels: neither " +
                  std::string(lines.empty() ? "SIZE1" : "SIZE2") +
                  " nor DETECTOR_DIMENSIONS is a whole number from 1 to 1000000")
        << lines;
}

TEST(ReadSmv, RefusesFilesThatAreTooShort) {
  EXPECT_EQ(problem_of(header_with("SIZE1=3;\nSIZE2=2;\n") + bytes_of({1, 2, 3, 4, 5}) + "x"),
            "a.img: is too short: 3 x 2 pixels need 12 bytes after the header and there are 11");
  EXPECT_EQ(problem_of("{\nHEADER_BYTES=512;\nSIZE1=3;\nSIZE2=2;\n}\f"),
            "a.img: ends within its header");
  EXPECT_EQ(problem_of(header_with("SIZE1=1000000;\nSIZE2=1000000;\n")).substr(0, 20),
            "a.img: is too short:");
}

TEST(ReadSmv, RefusesPixelsOfAnotherType) {
  EXPECT_EQ(
      problem_of(header_with("TYPE=long_integer;\nSIZE1=3;\nSIZE2=1;\n") + bytes_of(six_pixels)),
      "a.img: TYPE=long_integer cannot be read, only unsigned_short");
}

// ---- Writing ----------------------------------------------------------------------------------

TEST(WriteSmv, AsksForTheRowsInOrderAndPutsThemBehindTheHeader) {
  const TempDir dir;
  const std::string header = header_with("SIZE1=3;\nSIZE2=2;\n");
  std::vector<int> order;
  write_smv(dir / "a.img", header, 3, 2, [&](int slow, std::span<std::uint16_t> row) {
    order.push_back(slow);
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = six_pixels[static_cast<std::size_t>(slow) * 3 + i];
  });
  EXPECT_EQ(order, (std::vector<int>{0, 1}));
  EXPECT_EQ(dir.content("a.img"), header + bytes_of(six_pixels));
  EXPECT_EQ(read_smv(dir / "a.img").pixels, six_pixels);
}

}  // namespace
}  // namespace nablabragg::io
