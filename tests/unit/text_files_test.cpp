// The readers of text: reflections, orientation matrices, sources, and what they share.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {

// Found by argument-dependent lookup.
static bool operator==(const Reflection& a, const Reflection& b) {
  return a.hkl == b.hkl && a.amplitude == b.amplitude;
}

static void PrintTo(const Reflection& r, std::ostream* out) {
  *out << r.hkl[0] << ' ' << r.hkl[1] << ' ' << r.hkl[2] << ' ' << r.amplitude;
}

namespace io {
namespace {

using test::message_of;
using test::TempDir;
using Reflections = std::vector<Reflection>;

// ---- What all readers share -------------------------------------------------------------------

struct Reader {
  const char* name;
  std::function<void(const std::string&)> read;
};

const std::vector<Reader> readers{
    {"read_hkl", [](const std::string& path) { read_hkl(path); }},
    {"read_mosflm_matrix", [](const std::string& path) { read_mosflm_matrix(path); }},
    {"read_source_list", [](const std::string& path) { read_source_list(path, {}); }},
    {"check_stol_table", [](const std::string& path) { check_stol_table(path); }}};

TEST(TextFiles, AreInputErrorsWhenTheyAreMissing) {
  const TempDir dir;
  for (const Reader& reader : readers)
    EXPECT_EQ(message_of<InputError>([&] { reader.read(dir / "none"); }),
              "cannot read " + dir / "none" + ": No such file or directory")
        << reader.name;
}

TEST(TextFiles, AreInputErrorsWhenTheyAreFolders) {
  const TempDir dir;
  for (const Reader& reader : readers)
    EXPECT_EQ(message_of<InputError>([&] { reader.read(dir.path().string()); }),
              "cannot read " + dir.path().string() + ": Is a directory")
        << reader.name;
}

TEST(TextFiles, AreInputErrorsWhenTheyAreBinary) {
  const TempDir dir;
  const std::string path = dir.file("binary", std::string("1 0 0 5\n\n1 0 0 \0 5\n", 20));
  for (const Reader& reader : readers)
    EXPECT_EQ(message_of<InputError>([&] { reader.read(path); }),
              path + ":3: holds control bytes, so it is not a text file")
        << reader.name;
}

TEST(TextFiles, AreRefusedAtOnceWhenTheyAreEndlessDevices) {
  for (const Reader& reader : readers)
    EXPECT_THROW(reader.read("/dev/zero"), InputError) << reader.name;
}

TEST(TextFiles, AreRefusedAtALineThatDoesNotEnd) {
  const TempDir dir;
  const std::string path = dir.file("long", "# one\n" + std::string(20 << 20, ' '));
  for (const Reader& reader : readers)
    EXPECT_EQ(message_of<InputError>([&] { reader.read(path); }),
              path + ":2: is longer than 16 MiB, so this is no list with a line for each entry")
        << reader.name;
}

TEST(TextFiles, ThatAreReadAsAWholeAreRefusedWhereTheyWouldFillTheMemory) {
  const TempDir dir;
  std::string lines;
  while (lines.size() < std::size_t{1} << 20) lines += "1 0 0 1 1e-10\n";
  std::ofstream out(dir / "long", std::ios::binary);
  for (int i = 0; i < 520; ++i) out << lines;
  out.close();
  EXPECT_EQ(message_of<InputError>([&] { read_mosflm_matrix(dir / "long"); }),
            dir / "long" + ": is longer than 512 MiB, which no file of this kind is");
}

TEST(TextFiles, AreInputErrorsWhenTheyAreEmpty) {
  const TempDir dir;
  for (const std::string text : {"", "\n\n", " \r\n", "# only a comment"})
    for (const Reader& reader : readers)
      EXPECT_THROW(reader.read(dir.file("empty", text)), InputError) << reader.name;
}

TEST(TextFiles, MustNotEndLinesLikeAnOldMac) {
  const TempDir dir;
  const std::string path = dir.file("mac.hkl", "1 0 0 5\r2 0 0 6\r");
  EXPECT_EQ(message_of<InputError>([&] { read_hkl(path); }),
            path + ":1: holds a carriage return inside a line; lines must end with LF or CR LF");
}

TEST(TextFiles, MayComeThroughAPipe) {
  const TempDir dir;
  const std::string path = dir / "fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "1 2 3 4\n"; });
  EXPECT_EQ(read_hkl(path), (Reflections{{{1, 2, 3}, 4}}));
  writer.join();
}

TEST(ParseNumber, TakesAPlusSignAndNothingAfterTheNumber) {
  EXPECT_EQ(parse_number<double>("+1.5"), 1.5);
  EXPECT_EQ(parse_number<double>("-.5e1"), -5);
  EXPECT_EQ(parse_number<double>("5."), 5);
  EXPECT_EQ(parse_number<int>("+12"), 12);
  for (const char* word : {"", "+", "-", "+-1", "++1", "1x", "1.5 ", "0x10", "1e999", "1d5"})
    EXPECT_EQ(parse_number<double>(word), std::nullopt) << word;
  EXPECT_EQ(parse_number<int>("2147483648"), std::nullopt);
}

TEST(ParseNumber, LeavesItToTheCallerToRefuseWhatIsNotFinite) {
  EXPECT_TRUE(std::isnan(parse_number<double>("NaN").value()));
  EXPECT_TRUE(std::isinf(parse_number<double>("-inf").value()));
}

// ---- Reflections ------------------------------------------------------------------------------

Reflections hkl_of(const std::string& text) {
  const TempDir dir;
  return read_hkl(dir.file("a.hkl", text));
}

/// The message without the folder.
std::string hkl_problem(const std::string& text) {
  const TempDir dir;
  const std::string path = dir.file("a.hkl", text);
  return message_of<InputError>([&] { read_hkl(path); }).substr(dir.path().string().size() + 1);
}

TEST(ReadHkl, TakesTheFirstFourColumnsOfEveryLine) {
  EXPECT_EQ(hkl_of("0 0 0 100\n1 0 0 50 9.9\n0 -1 +2 30 1.0 F\n"),
            (Reflections{{{0, 0, 0}, 100}, {{1, 0, 0}, 50}, {{0, -1, 2}, 30}}));
}

TEST(ReadHkl, SkipsCommentsAndBlankLines) {
  EXPECT_EQ(hkl_of("# h k l F\n\n  \t\n 0 0 0 100 # the origin\n  #\n1 0 0 50#\n"),
            (Reflections{{{0, 0, 0}, 100}, {{1, 0, 0}, 50}}));
}

TEST(ReadHkl, AcceptsEveryWayToEndALine) {
  const Reflections expected{{{0, 0, 0}, 100}, {{1, 0, 0}, 50}};
  EXPECT_EQ(hkl_of("0 0 0 100\r\n1 0 0 50\r\n"), expected);
  EXPECT_EQ(hkl_of("0 0 0 100\n1 0 0 50"), expected);
  EXPECT_EQ(hkl_of("0 0 0 100\r\n1 0 0 50\r"), expected);
  EXPECT_EQ(hkl_of("\xEF\xBB\xBF"
                   "0\t0\t0\t100\n1 0 0 50"),
            expected);
}

TEST(ReadHkl, TakesIndicesThatAreWrittenAsReals) {
  EXPECT_EQ(hkl_of("1.0 -2.000 3e0 -4.5e-1\n"), (Reflections{{{1, -2, 3}, -0.45}}));
}

TEST(ReadHkl, TakesNumbersHoweverManyDigitsTheyHave) {
  EXPECT_EQ(hkl_of("0000000001 -000 +00 0001\n999999999 1000000000 -2147483647 2\n"
                   "0 0 0 123456789012345\n0 0 0 1234567890123456789012345\n"
                   "0 0 0 0.1234567890123456789\n0 0 0 .5\n0 0 0 +7.\n0 0 0 1.25e2\n"),
            (Reflections{{{1, 0, 0}, 1},
                         {{999999999, 1000000000, -2147483647}, 2},
                         {{0, 0, 0}, 123456789012345.0},
                         {{0, 0, 0}, 1234567890123456789012345.0},
                         {{0, 0, 0}, 0.1234567890123456789},
                         {{0, 0, 0}, 0.5},
                         {{0, 0, 0}, 7},
                         {{0, 0, 0}, 125}}));
  EXPECT_TRUE(std::signbit(hkl_of("0 0 0 -0\n").at(0).amplitude));
}

TEST(ReadHkl, KeepsDuplicatesInTheirOrder) {
  EXPECT_EQ(hkl_of("1 1 1 5\n1 1 1 7\n"), (Reflections{{{1, 1, 1}, 5}, {{1, 1, 1}, 7}}));
}

TEST(ReadHkl, NamesTheLineWithAFractionalIndex) {
  EXPECT_EQ(
      hkl_problem("0 0 0 100\n1 0.5 0 50\n"),
      "a.hkl:2: k is no whole number that fits in \"1 0.5 0 50\"; expected: h k l F, with whole h, "
      "k, l and finite F");
}

TEST(ReadHkl, RefusesLinesThatAreNoReflection) {
  const auto starts = [](const std::string& text, const std::string& start) {
    EXPECT_EQ(hkl_problem(text).substr(0, start.size()), start);
  };
  starts("1 2 3\n", "a.hkl:1: fewer than four columns");
  starts("\n1\n", "a.hkl:2: fewer than four columns");
  starts("1 0 0 # 50\n", "a.hkl:1: fewer than four columns");
  starts("H K L F\n", "a.hkl:1: h is no whole number");
  starts("1,0,0,50\n", "a.hkl:1: h is no whole number");
  starts("1 0 nan 50\n", "a.hkl:1: l is no whole number");
  starts("1 0 2147483648 50\n", "a.hkl:1: l is no whole number that fits");
  starts("1 0 -2147483648 50\n", "a.hkl:1: an index is too large");
  starts("1e99 0 0 50\n", "a.hkl:1: h is no whole number that fits");
  starts("1 0 0 nan\n", "a.hkl:1: F is no finite number");
  starts("1 0 0 -inf\n", "a.hkl:1: F is no finite number");
  starts("1 0 0 1e999\n", "a.hkl:1: F is no finite number");
  starts("1 0 0 5O\n", "a.hkl:1: F is no finite number");
}

TEST(ReadHkl, RefusesSignsAndPointsThatMakeNoNumber) {
  for (const char* index : {"+", "-", "+-1", "--1", ".", "1.5", "1-", "0x1"})
    EXPECT_EQ(hkl_problem(std::string("0 0 ") + index + " 5\n").substr(0, 29),
              "a.hkl:1: l is no whole number")
        << index;
  for (const char* amplitude : {"+", "-", "+-1", "--1", ".", "-.", "1.2.3", "1-", "5,"})
    EXPECT_EQ(hkl_problem(std::string("0 0 0 ") + amplitude + "\n").substr(0, 30),
              "a.hkl:1: F is no finite number")
        << amplitude;
}

TEST(ReadHkl, NamesTheFirstBadLineOfALongFile) {
  std::string text;
  for (int line = 1; line <= 100000; ++line)
    text += line % 1000 == 0                 ? "# blank\n"
            : line == 54321 || line == 98765 ? "1 x 0 5\n"
                                             : "1 2 3 4.5\n";
  EXPECT_EQ(hkl_problem(text).substr(0, 33), "a.hkl:54321: k is no whole number");
}

/// So many lines that the file is read in several pieces.
std::string many_lines() {
  std::string text;
  for (int line = 1; line <= 100000; ++line) text += "1 2 3 4.5\n";
  return text;
}

TEST(ReadHkl, TellsOfBytesThatNoTextHasBeforeItTellsOfLines) {
  EXPECT_EQ(hkl_problem("1 x 0 5\n" + many_lines() + "1 0 0 5\r1 0 0 5\n" + many_lines() + "\x01"),
            "a.hkl:200003: holds control bytes, so it is not a text file");
  EXPECT_EQ(
      hkl_problem("1 x 0 5\n" + many_lines() + "1 0 0 5\r1 0 0 5\n" + many_lines()).substr(0, 38),
      "a.hkl:100002: holds a carriage return ");
  EXPECT_EQ(hkl_problem("1 x 0 5\n" + many_lines() + "x 0 0 5\n").substr(0, 30),
            "a.hkl:1: k is no whole number ");
}

TEST(ReadHkl, ReadsLinesOfAnyLength) {
  const std::string comment = "#" + std::string(1'000'000, 'x') + "\n";
  const Reflections read = hkl_of(many_lines() + comment + "5 6 7 8 " + comment + many_lines());
  ASSERT_EQ(read.size(), 200001u);
  EXPECT_EQ(read[100000], (Reflection{{5, 6, 7}, 8}));
}

RC_GTEST_PROP(ReadHkl, ReadsDecimalFractionsAsTheNearestDouble, ()) {
  const auto digits = *rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 62);
  std::string word = std::to_string(digits).substr(
      0, static_cast<std::size_t>(*rc::gen::inRange(1, 19)));
  word.insert(
      static_cast<std::size_t>(*rc::gen::inRange<int>(0, static_cast<int>(word.size()) + 1)), ".");
  RC_ASSERT(hkl_of("1 2 3 " + word + "\n").at(0).amplitude == std::strtod(word.c_str(), nullptr));
}

TEST(ReadHkl, SaysWhenThereIsNothingToRead) {
  EXPECT_EQ(hkl_problem("# nothing\n"), "a.hkl: holds no reflections");
}

RC_GTEST_PROP(ReadHkl, ReadsBackEveryReflectionExactly, ()) {
  const int most = std::numeric_limits<int>::max();
  const auto
      written = *rc::gen::nonEmpty<std::vector<std::tuple<int, int, int, std::int64_t, int>>>();
  std::string text;
  Reflections expected;
  for (auto [h, k, l, mantissa, exponent] : written) {
    const Reflection r{{std::max(h, -most), std::max(k, -most), std::max(l, -most)},
                       std::ldexp(static_cast<double>(mantissa), exponent % 900)};
    char line[128];
    std::snprintf(line, sizeof line, "%d\t%d %d  %.17g\n", r.hkl[0], r.hkl[1], r.hkl[2],
                  r.amplitude);
    text += line;
    expected.push_back(r);
  }
  RC_ASSERT(hkl_of(text) == expected);
}

TEST(ReadHkl, ReadsAMillionLinesInSeconds) {
  std::string text;
  for (int i = 0; i < 1000000; ++i)
    text += std::to_string(i % 200 - 100) + " " + std::to_string(i / 200 % 100) + " " +
            std::to_string(i / 20000) + " " + std::to_string(i) + ".125\n";
  const TempDir dir;
  const std::string path = dir.file("a.hkl", text);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(read_hkl(path).size(), 1000000u);
  // A tenth of a second on a desktop; sanitizers and slow machines may take fifty times as long.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

// ---- Orientation matrices ---------------------------------------------------------------------

TEST(ReadMosflmMatrix, ReadsNineNumbersRowByRowAndIgnoresTheRest) {
  const TempDir dir;
  const std::string path = dir.file("a.mat",
                                    " -0.01  0.02  0.03\r\n 4 5\n\n6 7e0 +8 9\n"
                                    "   0.000   0.000   0.000\n  a cell and words\n");
  const Mat3d m = read_mosflm_matrix(path).matrix;
  EXPECT_EQ(m.a, (Vec3d{-0.01, 0.02, 0.03}));
  EXPECT_EQ(m.b, (Vec3d{4, 5, 6}));
  EXPECT_EQ(m.c, (Vec3d{7, 8, 9}));
}

TEST(ReadMosflmMatrix, ReadsTheCellThatMosflmWritesBehindTheMatrix) {
  const TempDir dir;
  const std::string matrix = "0.025 0 0\n0 0.02 0\n0 0 0.0125\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n";
  EXPECT_EQ(read_mosflm_matrix(dir.file("a.mat", matrix + "40 50 80 90 91 90\n0 0 0\n")).cell,
            (CellNumbers{40, 50, 80, 90, 91, 90}));
  EXPECT_EQ(read_mosflm_matrix(dir.file("b.mat", matrix)).cell, std::nullopt);
  EXPECT_EQ(read_mosflm_matrix(dir.file("c.mat", matrix + "0 0 0 0 0 0\n")).cell, std::nullopt);
  EXPECT_EQ(read_mosflm_matrix(dir.file("d.mat", matrix + "40 50 80 90 x 90\n")).cell,
            std::nullopt);
}

TEST(ReadMosflmMatrix, NamesTheGeometryFileOfXds) {
  const TempDir dir;
  const std::string numbers =
      "1 0.0 0.5 0.99 -0.002 0.001\n0.9795 -0.001 0.002 1.02\n"
      "96 40 50 60 90 90 90\n1 2 3\n";
  for (const std::string& text : {numbers, " XPARM.XDS    VERSION Jan 10, 2022\n" + numbers}) {
    const std::string path = dir.file("a.mat", text);
    EXPECT_EQ(message_of<InputError>([&] { read_mosflm_matrix(path); }),
              path +
                  ": is XPARM.XDS or GXPARM.XDS of XDS, not a matrix of MOSFLM; its axes stand in "
                  "another frame and another order");
  }
}

TEST(ReadMosflmMatrix, NeedsNoNewlineAtTheEnd) {
  const TempDir dir;
  EXPECT_EQ(read_mosflm_matrix(dir.file("a.mat", "1 2 3 4 5 6 7 8 9")).matrix.c, (Vec3d{7, 8, 9}));
}

TEST(ReadMosflmMatrix, SaysHowManyNumbersAreThere) {
  const TempDir dir;
  const std::string path = dir.file("a.mat", "1 2 3\n4 5 6\n7 8\n");
  EXPECT_EQ(message_of<InputError>([&] { read_mosflm_matrix(path); }),
            path + ": holds only 8 of the nine numbers of an orientation matrix");
}

TEST(ReadMosflmMatrix, NamesTheWordThatIsNoNumber) {
  const TempDir dir;
  const std::string path = dir.file("a.mat", "1 2 3\n4 x 6\n7 8 9\n");
  EXPECT_EQ(message_of<InputError>([&] { read_mosflm_matrix(path); }),
            path + ":2: number 5 of the orientation matrix is no finite number: \"x\"");
  EXPECT_THROW(read_mosflm_matrix(dir.file("b.mat", "1 2 3 4 nan 6 7 8 9")), InputError);
}

// ---- Sources ----------------------------------------------------------------------------------

Source mosflm_defaults() {
  Source source;
  source.position = {-10, 0, 0};
  source.wavelength_A = 1.25;
  return source;
}

std::vector<Source> sources_of(const std::string& text) {
  const TempDir dir;
  return read_source_list(dir.file("a.src", text), mosflm_defaults());
}

std::string source_problem(const std::string& text) {
  const TempDir dir;
  const std::string path = dir.file("a.src", text);
  return message_of<InputError>([&] { read_source_list(path, mosflm_defaults()); })
      .substr(dir.path().string().size() + 1);
}

void expect_source(const Source& source, Vec3d position, double weight, double wavelength_A) {
  EXPECT_EQ(source.position, position);
  EXPECT_EQ(source.weight, weight);
  EXPECT_DOUBLE_EQ(source.wavelength_A, wavelength_A);
}

TEST(ReadSourceList, ReadsFiveColumnsWithTheWavelengthInMetres) {
  const auto sources = sources_of("-10 0.5 0.25 2 1e-10\n-5 0 1 3 1.1e-10 ignored\n");
  ASSERT_EQ(sources.size(), 2u);
  expect_source(sources[0], {-10, 0.5, 0.25}, 2, 1);
  expect_source(sources[1], {-5, 0, 1}, 3, 1.1);
}

TEST(ReadSourceList, TakesMissingColumnsFromTheDefaults) {
  const auto sources = sources_of("-20\n-10 0.1\n-10 0.1 0.2\n-10 0.1 0.2 7\n");
  ASSERT_EQ(sources.size(), 4u);
  expect_source(sources[0], {-20, 0, 0}, 1, 1.25);
  expect_source(sources[1], {-10, 0.1, 0}, 1, 1.25);
  expect_source(sources[2], {-10, 0.1, 0.2}, 1, 1.25);
  expect_source(sources[3], {-10, 0.1, 0.2}, 7, 1.25);
}

TEST(ReadSourceList, SeparatesColumnsByPunctuationToo) {
  const auto sources = sources_of(",,\n-10,0,0;1.0:1.0e-10\n!-10 , 0\t0!2;1e-10\n");
  ASSERT_EQ(sources.size(), 2u);
  expect_source(sources[0], {-10, 0, 0}, 1, 1);
  expect_source(sources[1], {-10, 0, 0}, 2, 1);
}

TEST(ReadSourceList, TakesCommentsCrLfAndAMissingLastNewlineForWhatTheyAre) {
  const auto sources = sources_of("# X Y Z weight lambda\r\n\r\n-10 0 0 # note\r\n-10 0.1 0");
  ASSERT_EQ(sources.size(), 2u);
  expect_source(sources[0], {-10, 0, 0}, 1, 1.25);
  expect_source(sources[1], {-10, 0.1, 0}, 1, 1.25);
}

TEST(ReadSourceList, NamesTheLineOfWhatIsNoSource) {
  EXPECT_EQ(source_problem("\n-10 zero 0\n"), "a.src:2: Y is no finite number: \"zero\"");
  EXPECT_EQ(source_problem("-10 0 0 1 nan\n"),
            "a.src:1: the wavelength is no finite number: \"nan\"");
  EXPECT_EQ(source_problem("0 0 0 1 1e-10\n"),
            "a.src:1: X Y Z are all zero, which is no direction");
  const std::string wavelength = "the fifth column must be a wavelength in metres, like 1e-10";
  EXPECT_EQ(source_problem("-10 0 0 1 0\n"), "a.src:1: " + wavelength);
  EXPECT_EQ(source_problem("-10 0 0 1 -1e-10\n"), "a.src:1: " + wavelength);
  EXPECT_EQ(source_problem("-10 0 0 1 1e300\n"), "a.src:1: " + wavelength);
  EXPECT_EQ(source_problem("# none\n"), "a.src: holds no sources");
}

TEST(ReadSourceList, RefusesWavelengthsThatNoXRayHasAndGuessesTheUnit) {
  const std::string
      wavelength = "a.src:1: the fifth column must be a wavelength in metres, like 1e-10";
  const auto problem = [](const std::string& value) {
    return source_problem("-1 0 0 1 " + value + '\n');
  };
  EXPECT_EQ(problem("1.3051"), wavelength + "; did you mean 1.3051 Angstrom? That is 1.3051e-10");
  EXPECT_EQ(problem("9500"), wavelength + "; did you mean 9500 eV? That is 1.3051e-10");
  EXPECT_EQ(problem("9.5"), wavelength + "; did you mean 9.5 keV? That is 1.3051e-10");
  for (const std::string value : {"1e-7", "1.01e-8", "0.99e-12", "1e-13", "1e-3", "1e9"})
    EXPECT_EQ(problem(value), wavelength) << value;
  for (const std::string value : {"1e-12", "1e-8", "1.5e-10"})
    EXPECT_EQ(sources_of("-1 0 0 1 " + value + '\n').size(), 1U) << value;
}

TEST(ReadSourceList, RefusesNegativeWeightsAndDirectionsThatCannotBeTold) {
  EXPECT_EQ(source_problem("-1 0 0 1\n-1 0 0 -2 1e-10\n"),
            "a.src:2: the weight is negative; a source gives no less than nothing");
  EXPECT_EQ(source_problem("-1 0 0 inf\n"), "a.src:1: the weight is no finite number: \"inf\"");
  const std::string direction = "X Y Z are too small or too large for a direction to be told";
  EXPECT_EQ(source_problem("-1e200 0 0\n"), "a.src:1: " + direction);
  EXPECT_EQ(source_problem("-1e-200 0 0\n"), "a.src:1: " + direction);
}

TEST(ReadSourceList, NamesTheFirstOfEachThatIsImplausibleWhereItMayStay) {
  const TempDir dir;
  const std::string path = dir.file("a.src", "-1 0 0 1 1\n-1 0 0 -1 1\n-1 0 0 -1 1e-10\n");
  std::vector<std::string> said;
  EXPECT_EQ(read_source_list(path, mosflm_defaults(), &said).size(), 3U);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_TRUE(said[0].starts_with(path + ":1: the fifth column"));
  EXPECT_TRUE(said[1].starts_with(path + ":2: the weight is negative"));
}

/// Whether some double gives these metres when it is divided by 1e10.
bool has_angstrom_value(double metres) {
  double angstrom = metres * 1e10;
  for (int i = 0; i < 4; ++i) angstrom = std::nextafter(angstrom, 0);
  for (int i = 0; i < 9; ++i, angstrom = std::nextafter(angstrom, INFINITY))
    if (angstrom / 1e10 == metres) return true;
  return false;
}

RC_GTEST_PROP(ReadSourceList, GivesBackTheWavelengthInMetresToTheLastBit, ()) {
  const double metres = *rc::gen::inRange(1000000, 2000000000) * 1e-18;
  char line[64];
  std::snprintf(line, sizeof line, "-10 0 0 1 %.17g", metres);
  const double back = sources_of(line).at(0).wavelength_A / 1e10;
  if (has_angstrom_value(metres)) RC_ASSERT(back == metres);
  RC_ASSERT(std::abs(back / metres - 1) < 4e-16);
}

// ---- Tables of sin(theta)/lambda --------------------------------------------------------------

TEST(CheckStolTable, AcceptsATableWithATitle) {
  const TempDir dir;
  EXPECT_NO_THROW(check_stol_table(dir.file("a.stol", "stol F\n0.0, 2.57\n0.1, 2.6\n")));
}

TEST(CheckStolTable, RefusesAFileWithoutPairsOfNumbers) {
  const TempDir dir;
  const std::string path = dir.file("a.stol", "stol F\n1\n");
  EXPECT_EQ(message_of<InputError>([&] { check_stol_table(path); }),
            path + ": holds no table of sin(theta)/lambda and F");
}

}  // namespace
}  // namespace io
}  // namespace nablabragg
