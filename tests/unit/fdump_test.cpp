// nanoBragg's cache of the structure-factor table, byte for byte.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>  // for std::bit_cast
#include <cstring>
#include <limits>
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

std::string bytes_of(const std::vector<double>& values) {
  std::string bytes(values.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

StructureFactorGrid grid_of(MillerIndex min, MillerIndex max) {
  StructureFactorGrid grid(min, max, 0);
  for (std::size_t i = 0; i < grid.values().size(); ++i)
    grid.values()[i] = 100.25 + static_cast<double>(i);
  return grid;
}

void expect_same(const StructureFactorGrid& a, const StructureFactorGrid& b) {
  EXPECT_EQ(a.min(), b.min());
  EXPECT_EQ(a.max(), b.max());
  EXPECT_TRUE(std::ranges::equal(a.values(), b.values()));
}

/// What read_fdump says, without the folder.
std::string problem_of(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.file("Fdump.bin", bytes);
  const std::string message = message_of<InputError>([&] { read_fdump(path); });
  return message.starts_with(path) ? message.substr(dir.path().string().size() + 1) : message;
}

TEST(WriteFdump, PadsEachAxisByOnePlaneOfZeros) {
  const TempDir dir;
  StructureFactorGrid grid({0, -1, 2}, {1, -1, 3}, 0);
  grid.values() = {10, 11, 20, 21};
  write_fdump(dir / "Fdump.bin", grid);
  EXPECT_EQ(dir.content("Fdump.bin"), "0 1 -1 -1 2 3\n\f" + bytes_of({10, 11, 0, 0, 0, 0,  //
                                                                      20, 21, 0, 0, 0, 0,  //
                                                                      0, 0, 0, 0, 0, 0}));
}

TEST(WriteFdump, TakesAsManyBytesAsNanobraggFor13Cubed) {
  const TempDir dir;
  write_fdump(dir / "Fdump.bin", grid_of({-6, -6, -6}, {6, 6, 6}));
  EXPECT_EQ(dir.content("Fdump.bin").size(), 21968u);
}

TEST(WriteFdump, IsAnOutputErrorWhenThereIsNoRoom) {
  EXPECT_EQ(message_of<OutputError>([] {
              write_fdump("/dev/full", grid_of({0, 0, 0}, {1, 1, 1}));
            }),
            "cannot write /dev/full: No space left on device");
}

TEST(ReadFdump, ReadsBackWhatWasWritten) {
  const TempDir dir;
  const StructureFactorGrid grid = grid_of({-3, 0, -10}, {2, 4, 7});
  write_fdump(dir / "Fdump.bin", grid);
  expect_same(read_fdump(dir / "Fdump.bin"), grid);
}

TEST(ReadFdump, KeepsAFirstValueWhoseBytesLookLikeWhiteSpace) {
  const TempDir dir;
  // Low bytes 20 0a and 09 0a 0b 0c 0d 20: nanoBragg skips them and shifts the whole table.
  for (const std::uint64_t low : {std::uint64_t{0x0a20}, std::uint64_t{0x200d0c0b0a09}}) {
    StructureFactorGrid grid({0, 0, 0}, {1, 1, 1}, 5);
    grid.values()[0] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(100.0) | low);
    write_fdump(dir / "Fdump.bin", grid);
    expect_same(read_fdump(dir / "Fdump.bin"), grid);
  }
}

RC_GTEST_PROP(ReadFdump, ReadsBackEveryBox, ()) {
  MillerIndex min{}, max{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    min[axis] = *rc::gen::inRange(-2000000000, 2000000000);
    max[axis] = min[axis] + *rc::gen::inRange(0, 7);
  }
  const TempDir dir;
  const StructureFactorGrid grid = grid_of(min, max);
  write_fdump(dir / "Fdump.bin", grid);
  const StructureFactorGrid back = read_fdump(dir / "Fdump.bin");
  RC_ASSERT(back.min() == min && back.max() == max &&
            std::ranges::equal(back.values(), grid.values()));
}

TEST(ReadFdump, IsAnInputErrorWhenThereIsNoFile) {
  const TempDir dir;
  EXPECT_EQ(message_of<InputError>([&] { read_fdump(dir / "none"); }),
            "cannot read " + dir / "none" + ": No such file or directory");
  EXPECT_THROW(read_fdump(dir.path().string()), InputError);
  EXPECT_THROW(read_fdump("/dev/zero"), InputError);
}

TEST(ReadFdump, RefusesWhatDoesNotStartWithSixNumbersANewlineAndAFormFeed) {
  const std::string expected =
      "Fdump.bin:1: this is no structure-factor cache: it should start with six whole numbers (h, "
      "k and "
      "l range), a newline and a form feed";
  const std::string eight = bytes_of(std::vector<double>(8));
  for (const std::string& header :
       {std::string(), std::string("0 0 0 0 0 0\n"), std::string("0 0 0 0 0\n\f"),
        std::string("0 0 0 0 0 0 0\n\f"), std::string("0 0 0 0 0 x\n\f"),
        std::string("0 0 0 0 0 0.0\n\f"), std::string("0 0 0 0 0 99999999999\n\f"),
        std::string(1000, ' ')})
    EXPECT_EQ(problem_of(header.empty() ? header : header + eight), expected) << header;
}

TEST(ReadFdump, RefusesAnEmptyRange) {
  EXPECT_EQ(problem_of("0 0 3 2 0 0\n\f" + bytes_of(std::vector<double>(8))),
            "Fdump.bin:1: the range of k is empty: 3 to 2");
}

TEST(ReadFdump, RefusesAFileOfTheWrongLength) {
  const std::string whole = "0 0 0 0 0 0\n\f" + bytes_of(std::vector<double>(8, 5));
  EXPECT_EQ(problem_of(whole), "nothing was thrown");
  const std::string advice = "; write it again from the list of reflections";
  EXPECT_EQ(problem_of(whole + "\n"),
            "Fdump.bin: is 78 bytes long, but its header stands for 77" + advice);
  EXPECT_EQ(problem_of(whole.substr(0, 76)),
            "Fdump.bin: is 76 bytes long, but its header stands for 77" + advice);
  EXPECT_EQ(problem_of("0 0 0 0 0 0\n\f"),
            "Fdump.bin: is 13 bytes long, but its header stands for 77" + advice);
}

TEST(ReadFdump, RefusesAbsurdRangesWithoutAskingForMemory) {
  const std::string start = "Fdump.bin: is 87 bytes long, but its header stands for ";
  const std::string box = "-2147483648 2147483647";
  EXPECT_EQ(problem_of(box + " " + box + " " + box + "\n\f" + std::string(17, 'x'))
                .substr(0, start.size()),
            start);
}

TEST(ReadFdump, NamesTheFileWhenTheTableExceedsTheMemory) {
  const TempDir dir;
  const std::string path = dir.file("Fdump.bin", "0 9999 0 9999 0 9999\n\f");
  std::error_code error;
  // A file with a hole; not every file system can have one.
  std::filesystem::resize_file(path, 22 + 10001ULL * 10001 * 10001 * 8, error);
  if (error) GTEST_SKIP() << "no sparse file of 8 TB here: " << error.message();
  if (StructureFactorGrid::default_max_bytes() > 8'000'000'000'000)
    GTEST_SKIP() << "this machine could hold it";
  const std::string start = path + ": the Miller indices span h 0..9999";
  EXPECT_EQ(message_of<InputError>([&] { read_fdump(path); }).substr(0, start.size()), start);
}

TEST(ReadFdump, RefusesValuesThatAreNotFinite) {
  std::vector<double> values(12);
  values[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(problem_of("4 4 -7 -7 2 3\n\f" + bytes_of(values)),
            "Fdump.bin: holds a structure factor that is no finite number, at h k l = 4 -7 3");
  // Padding is never used.
  values[1] = 0;
  values[2] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(problem_of("4 4 -7 -7 2 3\n\f" + bytes_of(values)), "nothing was thrown");
}

}  // namespace
}  // namespace nablabragg::io
