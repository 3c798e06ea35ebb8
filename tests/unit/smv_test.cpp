// SMV images: what is read from other programs' files and nanoBragg's own, and what is written.
#include <gtest/gtest.h>
#include <sys/stat.h>  // for mkfifo
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
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

std::vector<std::uint16_t> counts_of(const SmvFile& file) {
  return {file.pixels.begin(), file.pixels.end()};
}

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
  EXPECT_EQ(counts_of(file), six_pixels);
}

TEST(ReadSmv, SwapsTheBytesOfBigEndianFiles) {
  const std::string header = header_with("BYTE_ORDER=big_endian;\nSIZE1=1;\nSIZE2=2;\n");
  const SmvFile file = smv_of(header + std::string("\x01\x02\xff\x00", 4));
  EXPECT_EQ(counts_of(file), (std::vector<std::uint16_t>{0x0102, 0xff00}));
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
    EXPECT_EQ(counts_of(file), six_pixels);
  }
}

TEST(ReadSmv, FindsKeysBeyondTheFirst512Bytes) {
  const std::string header = padded(
      padded("{\nHEADER_BYTES= 1024;\nSIZE1=3;\n", 700) + "\nSIZE2=2;\nPHI=5;\n}\f", 1024);
  const SmvFile file = smv_of(header + bytes_of(six_pixels));
  EXPECT_EQ(counts_of(file), six_pixels);
  EXPECT_EQ(file.value("PHI", false), 5);
}

TEST(ReadSmv, AllowsBytesBehindThePixels) {
  EXPECT_EQ(counts_of(smv_of(header_with("SIZE1=3;\nSIZE2=2;\n") + bytes_of(six_pixels) + "more")),
            six_pixels);
}

TEST(ReadSmv, RefusesWhatIsNoSmvFile) {
  const std::string
      expected = "a.img: is no SMV image: it should start with a line \"{\" and then HEADER_BYTES=";
  EXPECT_EQ(problem_of(""), expected);
  EXPECT_EQ(problem_of("P5\n3 2\n255\n"), expected);
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

/// Bytes of these numbers as they lie in memory, or the other way around.
template <class Number>
std::string raw(std::initializer_list<Number> numbers, bool swapped = false) {
  std::string bytes;
  for (const Number number : numbers) {
    std::string one(sizeof(Number), '\0');
    std::memcpy(one.data(), &number, sizeof(Number));
    if (swapped) std::reverse(one.begin(), one.end());
    bytes += one;
  }
  return bytes;
}

TEST(ReadSmv, ReadsTheNumberTypesThatProgramsWriteByEitherKey) {
  struct Type {
    std::string said, bytes;
    std::vector<float> pixels;
    double largest;
  };
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<Type> types = {
      {"TYPE=unsigned_short", raw<std::uint16_t>({1, 65535}), {1, 65535}, 65535},
      {"Data_type=unsigned short int", raw<std::uint16_t>({1, 65535}), {1, 65535}, 65535},
      {"TYPE=signed_short", raw<std::int16_t>({-1, 7}), {-1, 7}, 32767},
      {"Data_type=short int", raw<std::int16_t>({-2, 7}), {-2, 7}, 32767},
      {"TYPE=long_integer", raw<std::int32_t>({-1, 100000}), {-1, 100000}, 2147483647},
      {"Data_type=long int", raw<std::int32_t>({-1, 100000}), {-1, 100000}, 2147483647},
      {"TYPE=int32", raw<std::int32_t>({-1, 100000}), {-1, 100000}, 2147483647},
      {"Data_type=unsigned long int", raw<std::uint32_t>({3000000000U, 2}), {3e9F, 2}, 4294967295},
      {"TYPE=uint32", raw<std::uint32_t>({3000000000U, 2}), {3e9F, 2}, 4294967295},
      {"Data_type=unsigned char", raw<std::uint8_t>({255, 2}), {255, 2}, 255},
      {"Data_type=signed char", raw<std::int8_t>({-3, 2}), {-3, 2}, 127},
      {"TYPE=float", raw<float>({0.5F, 1e9F}), {0.5F, 1e9F}, inf},
      {"Data_type=float IEEE", raw<float>({0.5F, 1e9F}), {0.5F, 1e9F}, inf},
      {"TYPE=double", raw<double>({0.5, 1e9}), {0.5F, 1e9F}, inf},
      {"BYTE_ORDER=big_endian;\nTYPE=long", raw<std::int32_t>({-1, 5}, true), {-1, 5}, 2147483647},
      {"BYTE_ORDER=big_endian;\nTYPE=float", raw<float>({2.5F, 5}, true), {2.5F, 5}, inf},
      {"Compression=None;\nTYPE=unsigned_short", raw<std::uint16_t>({1, 2}), {1, 2}, 65535},
  };
  for (const Type& type : types) {
    SCOPED_TRACE(type.said);
    const SmvFile file = smv_of(header_with("SIZE1=2;\nSIZE2=1;\n" + type.said + ";\n") +
                                type.bytes);
    EXPECT_EQ(file.pixels, type.pixels);
    EXPECT_EQ(file.largest_count, type.largest);
  }
}

TEST(ReadSmv, RefusesPixelsThatItCannotReadByTheirName) {
  const std::string six = bytes_of(six_pixels), size = "SIZE1=3;\nSIZE2=1;\n";
  const std::string types =
      " cannot be read, only integers of 8, 16 and 32 bits, signed or unsigned, float and double";
  for (const std::string said : {"TYPE=mad", "Data_type=Compressed", "Data_type=Other_type",
                                 "TYPE=unsigned_float", "TYPE=long long", "TYPE="})
    EXPECT_EQ(problem_of(header_with(size + said + ";\n") + six), "a.img: " + said + types);
  EXPECT_EQ(problem_of(header_with(size + "BYTE_ORDER=middle;\n") + six),
            "a.img: BYTE_ORDER=middle cannot be read, only little_endian and big_endian");
  EXPECT_EQ(problem_of(header_with(size + "COMPRESSION=ratio;\n") + six),
            "a.img: COMPRESSION=ratio: compressed pixels cannot be read");
  EXPECT_EQ(problem_of(header_with(size + "DIM=3;\n") + six),
            "a.img: DIM=3: only images of two dimensions are read");
  EXPECT_EQ(problem_of(header_with(size + "RAXIS_COMPRESSION_RATIO=8;\n") + six),
            "a.img: RAXIS_COMPRESSION_RATIO=8: pixels of an R-AXIS cannot be read, whose larger "
            "ones are packed by this ratio");
}

TEST(ReadSmv, GoesByTheLengthWhereTwoKeysContradictEachOther) {
  // A program copies the header of what it read and adds its own key.
  const std::string keys = header_with(
      "SIZE1=3;\nSIZE2=1;\nTYPE=unsigned_short;\nData_type=long int;\n");
  EXPECT_EQ(smv_of(keys + raw<std::int32_t>({1, 2, 300000})).pixels,
            (std::vector<float>{1, 2, 300000}));
  EXPECT_EQ(smv_of(keys + raw<std::uint16_t>({1, 2, 3})).pixels, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(problem_of(keys + raw<std::uint16_t>({1, 2, 3, 4})),
            "a.img: TYPE=unsigned_short and Data_type=long int contradict each other");
}

TEST(ReadSmv, DoesNotTakeWiderPixelsOfAnUnnamedTypeForShortOnes) {
  EXPECT_EQ(problem_of(header_with("SIZE1=3;\nSIZE2=1;\n") + raw<std::int32_t>({1, 2, 3})),
            "a.img: the header has neither TYPE nor Data_type and 4 bytes a pixel follow; write "
            "TYPE=long_integer or TYPE=float into it");
}

TEST(ReadSmv, ReadsAHeaderWithBracesInItsValuesToItsEnd) {
  for (const std::string value : {"{ Z X Y }", "{\nZ\n}", "a}b", "}"}) {
    SCOPED_TRACE(value);
    const SmvFile file = smv_of(
        header_with("NAMES=" + value + ";\nSIZE1=3;\nSIZE2=2;\nDISTANCE=250;\n") +
        bytes_of(six_pixels));
    EXPECT_EQ(counts_of(file), six_pixels);
    EXPECT_EQ(file.value("DISTANCE", false), 250);
  }
}

TEST(ReadSmv, ReadsLinesThatEndWithCrLf) {
  const SmvFile file = smv_of(
      padded("{\r\nHEADER_BYTES=512;\r\nSIZE1=3;\r\nSIZE2=2;\r\nPHI=3;\r\n}\r\n\f") +
      bytes_of(six_pixels));
  EXPECT_EQ(counts_of(file), six_pixels);
  EXPECT_EQ(file.number("PHI", {}), 3);
}

TEST(ReadSmv, ReadsWhatComesThroughAPipeAndWhatGzipPacked) {
  const TempDir dir;
  const std::string bytes = header_with("SIZE1=3;\nSIZE2=2;\n") + bytes_of(six_pixels);
  const std::string pipe = dir / "pipe", packed = dir / "packed.img";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << bytes; });
  EXPECT_EQ(counts_of(read_smv(pipe)), six_pixels);
  writer.join();
  gzFile file = gzopen(packed.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  EXPECT_EQ(counts_of(read_smv(packed)), six_pixels);
}

TEST(ReadSmv, LooksAtTheLengthBeforeItTakesMemoryForForgedSizes) {
  const std::string forged = header_with("SIZE1=1000000;\nSIZE2=1000000;\n") + "xx";
  const std::string sentence =
      "a.img: is too short: 1000000 x 1000000 pixels need 2000000000000 bytes after the header and "
      "there are 2";
  EXPECT_EQ(problem_of(forged), sentence);
  const TempDir dir;
  const std::string packed = dir / "a.img";
  gzFile file = gzopen(packed.c_str(), "wb");
  gzwrite(file, forged.data(), static_cast<unsigned>(forged.size()));
  gzclose(file);
  EXPECT_EQ(message_of<InputError>([&] { read_smv(packed); }), (dir / sentence));
}

TEST(SmvNumber, IsFiniteWholeAndOfTheUnitThatIsMeant) {
  constexpr std::array<std::string_view, 1> mm{"mm"};
  const auto number = [&](const std::string& line) {
    SmvFile file = with_header("{\nHEADER_BYTES=512;\n" + line + ";\n}");
    file.path = "a.img";
    return file.number("DISTANCE", mm);
  };
  EXPECT_EQ(number("DISTANCE=+150"), 150);
  EXPECT_EQ(number("DISTANCE=150 mm"), 150);
  EXPECT_EQ(number("DISTANCE=150;DISTANCE=150.0"), 150);
  EXPECT_EQ(number("CLOSE_DISTANCE=150"), std::nullopt);
  for (const std::string value : {"nan", "inf", "-inf", "1e999", "150 m", "150x", "", "unknown"})
    EXPECT_EQ(message_of<InputError>([&] { number("DISTANCE=" + value); }),
              "a.img: DISTANCE is no finite number: \"" + value + "\"");
  EXPECT_EQ(message_of<InputError>([&] { number("DISTANCE=150;DISTANCE=151"); }),
            "a.img: DISTANCE stands twice in the header, with different numbers");
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
  EXPECT_EQ(counts_of(read_smv(dir / "a.img")), six_pixels);
}

}  // namespace
}  // namespace nablabragg::io
