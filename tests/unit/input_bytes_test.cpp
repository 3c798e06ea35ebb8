// The one place that opens inputs: files, pipes and what gzip packed, read once.
#include "io/input_bytes.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <fstream>
#include <thread>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;

/// As gzip packs it.
std::string gzipped(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// Bytes of all values that compress badly.
std::string many_bytes(std::size_t count) {
  std::string bytes;
  std::uint32_t state = 1;
  while (bytes.size() < count) {
    state = state * 1664525 + 1013904223;
    bytes += static_cast<char>(state >> 24);
  }
  return bytes;
}

TEST(Input, GivesItsHeadAgainToWhoReads) {
  const TempDir dir;
  const std::string bytes = many_bytes(100000);
  Input input(dir.file("a", bytes));
  EXPECT_EQ(input.head(10), bytes.substr(0, 10));
  EXPECT_EQ(input.head(20000), bytes.substr(0, 20000));
  EXPECT_EQ(input.head(5), bytes.substr(0, 5));
  std::string first(15000, '\0');
  EXPECT_EQ(input.read(first.data(), first.size()), first.size());
  EXPECT_EQ(first + input.read_rest(100000), bytes);
}

TEST(Input, HasAShortHeadWhereThereIsNoMore) {
  const TempDir dir;
  Input input(dir.file("a", "abc"));
  EXPECT_EQ(input.head(), "abc");
  EXPECT_EQ(input.read_rest(10), "abc");
}

TEST(Input, LosesNoByteOfAPipe) {
  const TempDir dir;
  const std::string path = dir / "fifo", bytes = many_bytes(300000);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path, std::ios::binary) << bytes; });
  Input input(path);
  EXPECT_EQ(input.head(7), bytes.substr(0, 7));
  EXPECT_EQ(input.known_bytes(), 0u);
  EXPECT_EQ(input.read_rest(most_input_bytes), bytes);
  writer.join();
}

TEST(Input, UnpacksWhatBeginsAsGzipsFilesWhateverItsName) {
  const TempDir dir;
  const std::string bytes = many_bytes(300000);
  EXPECT_EQ(read_input(dir.file("a.mtz", gzipped(bytes))).bytes, bytes);
  // Parts that stand one after the other, and what is no part behind them.
  const std::string parts = gzipped("one ") + gzipped(bytes) + gzipped("") + gzipped(" two");
  EXPECT_EQ(read_input(dir.file("b", parts + std::string(9, '\0'))).bytes, "one " + bytes + " two");
  EXPECT_EQ(read_input(dir.file("c.gz", "plain")).bytes, "plain");
}

TEST(Input, RefusesPackedBytesThatAreCutOrDamaged) {
  const TempDir dir;
  const std::string packed = gzipped(many_bytes(5000));
  const std::string cut = dir.file("cut.gz", packed.substr(0, packed.size() / 2));
  EXPECT_EQ(message_of<InputError>([&] { read_input(cut); }),
            cut + ": ends early: its gzip data are cut");
  std::string other = packed;
  other[other.size() / 2] = static_cast<char>(other[other.size() / 2] + 1);
  const std::string damaged = dir.file("damaged.gz", other);
  EXPECT_EQ(message_of<InputError>([&] { read_input(damaged); }),
            damaged + ": is damaged: its gzip data cannot be unpacked");
}

TEST(Input, NamesWhatOtherProgramsPacked) {
  const TempDir dir;
  const std::string path = dir.file("a.hkl", "BZh91AY&SY");
  EXPECT_EQ(
      message_of<InputError>([&] { read_input(path); }),
      path + ": is packed by bzip2, and only gzip's files are unpacked here; unpack it first");
  EXPECT_THROW(read_input(dir.file("b", "PK\x03\x04 and so on")), InputError);
  EXPECT_THROW(read_input(dir.file("c", std::string("\xFD"
                                                    "7zXZ\0",
                                                    6))),
               InputError);
}

TEST(Input, RefusesFoldersDevicesAndWhatIsNotThere) {
  const TempDir dir;
  EXPECT_EQ(message_of<InputError>([&] { Input(dir / "none"); }),
            "cannot read " + dir / "none" + ": No such file or directory");
  EXPECT_EQ(message_of<InputError>([&] { Input(dir.path().string()); }),
            "cannot read " + dir.path().string() + ": Is a directory");
  EXPECT_EQ(message_of<InputError>([&] { Input("/dev/zero"); }),
            "/dev/zero: is a device, which may have no end; give a file or a pipe");
}

TEST(Input, LooksAtLengthsBeforeItTakesMemory) {
  const TempDir dir;
  const std::string big = dir.file("big", "");
  std::filesystem::resize_file(big, std::uintmax_t{1} << 40);
  EXPECT_EQ(message_of<InputError>([&] { read_input(big); }),
            big + ": is longer than the 4096 MiB that such a file may have");
  const std::string bomb = dir.file("bomb.gz", gzipped(std::string(3 << 20, '\0')));
  EXPECT_EQ(message_of<InputError>([&] { read_input(bomb, 2 << 20); }),
            bomb + ": is longer than the 2 MiB that such a file may have");
  EXPECT_EQ(read_input(bomb, 3 << 20).bytes.size(), std::size_t{3} << 20);
}

TEST(Content, IsToldByTheFirstBytes) {
  EXPECT_TRUE(begins_as_mtz("MTZ \x01\x02"));
  EXPECT_FALSE(begins_as_mtz("mtz "));
  EXPECT_TRUE(begins_as_cif("data_x\n"));
  EXPECT_TRUE(begins_as_cif("# a comment\r\n\n   # another\n \t DATA_x\n"));
  EXPECT_TRUE(
      begins_as_cif("\xEF\xBB\xBF"
                    "Data_\n"));
  EXPECT_FALSE(begins_as_cif("1 2 3 4\n data_x\n"));
  EXPECT_FALSE(begins_as_cif("# data_x"));
  EXPECT_FALSE(begins_as_cif("dat"));
  EXPECT_TRUE(is_only_comment("# data_x\n\n"));
  EXPECT_FALSE(is_only_comment("# c\n1"));
  EXPECT_FALSE(is_only_comment(""));
  EXPECT_TRUE(begins_as_pdb("CRYST1   40.000"));
  EXPECT_TRUE(begins_as_pdb("ATOM      1  N"));
  EXPECT_FALSE(begins_as_pdb("1 2 3 4"));
}

/// Reads the same reflections from a pipe, and packed under another name.
void expect_same_from_anywhere(const std::string& bytes, std::size_t reflections) {
  const TempDir dir;
  EXPECT_EQ(read_reflections(dir.file("plain", bytes)).reflections.size(), reflections);
  EXPECT_EQ(read_reflections(dir.file("packed", gzipped(bytes))).reflections.size(), reflections);
  const std::string path = dir / "fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path, std::ios::binary) << bytes; });
  EXPECT_EQ(read_reflections(path).reflections.size(), reflections);
  writer.join();
}

TEST(ReadReflections, TakesTheSameFromAFileAPipeAndAPackedFile) {
  std::string list;
  for (int h = -8; h <= 8; ++h)
    for (int k = -8; k <= 8; ++k)
      for (int l = -8; l <= 8; ++l)
        list += std::to_string(h) + " " + std::to_string(k) + " " + std::to_string(l) + " 152.85\n";
  expect_same_from_anywhere(list, 4913);
  expect_same_from_anywhere(std::string(20000, '#') +
                                "\n# and\nDATA_x\n"
                                "_symmetry.space_group_name_H-M 'P 1'\nloop_\n_refln.index_h\n"
                                "_refln.index_k\n_refln.index_l\n_refln.F_meas_au\n1 2 3 4\n",
                            2);
}

}  // namespace
}  // namespace nablabragg::io
