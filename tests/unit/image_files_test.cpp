// Image files without a header of their own kind, and that every writer leaves either a whole file
// or none.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spng.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "io/atomic_file.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/panel_arrays.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::TempDir;

using Names = std::vector<std::string>;

// ---- Formats ----------------------------------------------------------------------------------

TEST(FileFormats, AreMadeFromOneThingEachAndHaveEndingsOfTheirOwn) {
  std::vector<std::string> endings;
  for (const FileFormat& format : file_formats()) {
    const int ways = (format.open != nullptr) + (format.write_experiment != nullptr) +
                     (format.write_true_spots != nullptr) + (format.write_picture != nullptr);
    EXPECT_EQ(ways, format.is_written() ? 1 : 0) << format.name;
    EXPECT_EQ(format.is_written(), format.written[0] != '\0') << format.name;
    EXPECT_EQ(format.begins != nullptr, format.read_geometry != nullptr) << format.name;
    EXPECT_TRUE(format.is_written() || format.begins) << format.name;
    for (const std::string ending : format.endings) {
      endings.push_back(ending);
      if (!format.is_written()) continue;
      EXPECT_EQ(format_to_write("a" + ending).name, format.name);
    }
  }
  std::ranges::sort(endings);
  EXPECT_EQ(std::ranges::adjacent_find(endings), endings.end());
  EXPECT_THROW(format_to_write("a.geom"), UsageError);
}

TEST(ReadImage, NamesImagesOfOtherProgramsThatItDoesNotRead) {
  const TempDir folder;
  for (const auto& [head, name] :
       {std::pair{"{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\n",
                  "an EDF image of the ESRF"},
        {"\n{\r\nEDF_DataBlockID = 1.Image.Psd ;\r\n", "an EDF image of the ESRF"},
        {"\x93NUMPY\x01", "an array of numpy"},
        {"FORMAT :100 ", "a frame of Bruker"},
        {"OD SAPPHIRE  3.0\r\n", "an image of Oxford Diffraction"},
        {"ESPERANTO FORMAT   1 ", "an Esperanto image of CrysAlis"},
        {"R-AXIS IV ", "an image of an R-AXIS"},
        {"\xD2\x04 mar research ", "an image of a MAR345"}}) {
    const std::string path = folder.file("a.img", head);
    EXPECT_EQ(message_of<InputError>([&] { read_image(path); }),
              path + ": is " + name +
                  ", which is not read; nb.write_image of Python or fabio-convert writes its "
                  "pixels as CBF");
  }
}

TEST(WriteFloatImage, WritesBareFloats) {
  const TempDir dir;
  const Image image{3, 2, {0, 1.5F, -2, 1e-30F, 1e30F, std::numeric_limits<float>::infinity()}};
  write_float_image(dir / "a.bin", image);
  std::vector<float> back(6);
  const std::string bytes = dir.content("a.bin");
  ASSERT_EQ(bytes.size(), 24u);
  std::memcpy(back.data(), bytes.data(), bytes.size());
  EXPECT_EQ(back, image.pixels);
  // Little-endian 1.5.
  EXPECT_EQ(bytes.substr(4, 4), std::string("\0\0\xc0\x3f", 4));
}

TEST(WritePgm, PutsTheScaleIntoAComment) {
  const TempDir dir;
  const auto header = [&](double scale) {
    write_pgm(dir / "a.pgm", 3, 2, scale, [](int slow, std::span<std::uint8_t> row) {
      std::fill(row.begin(), row.end(), static_cast<std::uint8_t>('a' + slow));
    });
    const std::string bytes = dir.content("a.pgm");
    EXPECT_TRUE(bytes.ends_with("\n255\naaabbb")) << bytes;
    return bytes.substr(0, bytes.size() - 6);
  };
  EXPECT_EQ(header(0.360301), "P5\n3 2\n# pixels scaled by 0.360301\n255\n");
  EXPECT_EQ(header(1), "P5\n3 2\n# pixels scaled by 1\n255\n");
  // As printf's %g has them.
  for (const double scale : {46.350612345, 1e-5, 1.23456789e-7, 1234567.0, 1e100, 0.1, 100000.0}) {
    char text[64];
    std::snprintf(text, sizeof text, "%g", scale);
    EXPECT_EQ(header(scale), "P5\n3 2\n# pixels scaled by " + std::string(text) + "\n255\n");
  }
}

struct Picture {
  spng_ihdr header{};
  std::vector<unsigned char> bytes;  // samples as the file has them: most significant byte first
};

Picture decoded(const std::string& png) {
  Picture picture;
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  EXPECT_EQ(spng_set_png_buffer(context.get(), png.data(), png.size()), 0);
  EXPECT_EQ(spng_get_ihdr(context.get(), &picture.header), 0);
  std::size_t size = 0;
  EXPECT_EQ(spng_decoded_image_size(context.get(), SPNG_FMT_RAW, &size), 0);
  picture.bytes.resize(size);
  EXPECT_EQ(spng_decode_image(context.get(), picture.bytes.data(), size, SPNG_FMT_RAW, 0), 0);
  EXPECT_EQ(spng_decode_chunks(context.get()), 0);  // up to IEND
  return picture;
}

TEST(WritePng, WritesSixteenBitGreyWithTheMostSignificantByteFirst) {
  const TempDir dir;
  write_png(dir / "a.png", 300, 2, 16, [](int slow, std::span<std::uint16_t> row) {
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<std::uint16_t>(1000 * i % 65536 + static_cast<std::size_t>(slow));
  });
  const Picture picture = decoded(dir.content("a.png"));
  EXPECT_EQ(picture.header.width, 300u);
  EXPECT_EQ(picture.header.height, 2u);
  EXPECT_EQ(picture.header.bit_depth, 16);
  EXPECT_EQ(picture.header.color_type, SPNG_COLOR_TYPE_GRAYSCALE);
  for (std::size_t slow = 0; slow < 2; ++slow)
    for (std::size_t i = 0; i < 300; ++i) {
      const std::size_t at = 2 * (slow * 300 + i);
      EXPECT_EQ(picture.bytes[at] * 256u + picture.bytes[at + 1], 1000 * i % 65536 + slow);
    }
}

TEST(WritePng, WritesEightBitGrey) {
  const TempDir dir;
  write_png(dir / "a.png", 4, 1, 8, [](int, std::span<std::uint16_t> row) {
    row[0] = 0;
    row[1] = 7;
    row[2] = 255;
    row[3] = 300;
  });
  const Picture picture = decoded(dir.content("a.png"));
  EXPECT_EQ(picture.header.bit_depth, 8);
  EXPECT_EQ(picture.bytes, (std::vector<unsigned char>{0, 7, 255, 255}));
}

TEST(WritePng, WritesRedGreenAndBlueOfEachPoint) {
  const TempDir dir;
  for (const int bits : {8, 16}) {
    write_png(
        dir / "a.png", 2, 2, bits,
        [](int slow, std::span<std::uint16_t> row) {
          for (std::size_t i = 0; i < row.size(); ++i)
            row[i] = static_cast<std::uint16_t>(10 * slow + static_cast<int>(i));
        },
        {}, 3);
    const Picture picture = decoded(dir.content("a.png"));
    EXPECT_EQ(picture.header.color_type, SPNG_COLOR_TYPE_TRUECOLOR);
    EXPECT_EQ(int{picture.header.bit_depth}, bits);
    ASSERT_EQ(picture.bytes.size(), static_cast<std::size_t>(2 * 2 * 3 * bits / 8));
    for (std::size_t i = 0; i < 12; ++i)
      EXPECT_EQ(picture.bytes[bits == 8 ? i : 2 * i + 1], 10 * (i / 6) + i % 6) << i;
  }
}

TEST(WritePng, IsAnOutputErrorForSizesThatNoPngCanHave) {
  const TempDir dir;
  const auto fill = [](int, std::span<std::uint16_t>) {};
  EXPECT_THROW(write_png(dir / "a.png", 0, 1, 8, fill), OutputError);
  EXPECT_THROW(write_png(dir / "a.png", 1, 1, 7, fill), OutputError);
  EXPECT_EQ(dir.names(), Names{});
}

// ---- All or nothing ---------------------------------------------------------------------------

/// Every writer, for an image so large that the buffer overflows during the rows.
struct Writer {
  const char* name;
  std::function<void(const std::string&, const std::function<void(int)>& before_row)> write;
};

constexpr int width = 2048, height = 1024;

/// Incompressible, so that a PNG is no smaller.
std::uint16_t pixel_value(int slow, std::size_t fast) {
  std::uint64_t x = static_cast<std::uint64_t>(slow) * width + fast;
  for (int round = 0; round < 2; ++round) x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9U;
  return static_cast<std::uint16_t>(x >> 40);
}

const std::vector<Writer> writers{
    {"write_smv",
     [](const std::string& path, const std::function<void(int)>& before_row) {
       write_smv(path, std::string(512, ' '), width, height,
                 [&](int slow, std::span<std::uint16_t> row) {
                   before_row(slow);
                   for (std::size_t i = 0; i < row.size(); ++i) row[i] = pixel_value(slow, i);
                 });
     }},
    {"write_pgm",
     [](const std::string& path, const std::function<void(int)>& before_row) {
       write_pgm(path, width, height, 1, [&](int slow, std::span<std::uint8_t> row) {
         before_row(slow);
         for (std::size_t i = 0; i < row.size(); ++i)
           row[i] = static_cast<std::uint8_t>(pixel_value(slow, i));
       });
     }},
    {"write_png", [](const std::string& path, const std::function<void(int)>& before_row) {
       write_png(path, width, height, 16, [&](int slow, std::span<std::uint16_t> row) {
         before_row(slow);
         for (std::size_t i = 0; i < row.size(); ++i) row[i] = pixel_value(slow, i);
       });
     }}};

void nothing(int) {}

TEST(Writers, WriteTheSameBytesWhereSeveralThreadsFillTheRows) {
  const TempDir dir;
  // Two bands and a part of one
  constexpr int fast = 1000, slow = 2500;
  const FillRow<std::uint16_t> wide = [](int row, std::span<std::uint16_t> pixels) {
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = pixel_value(row, i);
  };
  const FillRow<std::uint8_t> narrow = [](int row, std::span<std::uint8_t> pixels) {
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = static_cast<std::uint8_t>(pixel_value(row, i));
  };
  const std::string header(512, ' ');
  write_smv(dir / "a.img", header, fast, slow, wide);
  write_smv(dir / "b.img", header, fast, slow, wide, RowOrder::any);
  write_pgm(dir / "a.pgm", fast, slow, 1, narrow);
  write_pgm(dir / "b.pgm", fast, slow, 1, narrow, RowOrder::any);
  EXPECT_EQ(dir.content("a.img").size(), 512u + 2 * fast * slow);
  EXPECT_TRUE(dir.content("a.img") == dir.content("b.img"));
  EXPECT_TRUE(dir.content("a.pgm") == dir.content("b.pgm"));
}

TEST(AtomicFile, IsAsLongAsWhatWasWrittenWhateverWasExpected) {
  const TempDir dir;
  for (const std::size_t expected : {std::size_t{0}, std::size_t{3}, std::size_t{100000}}) {
    AtomicFile file(dir / "a");
    file.expect(expected);
    file.write("seven c");
    file.commit();
    EXPECT_EQ(dir.content("a"), "seven c");
  }
}

TEST(Writers, SayThatTheDiskIsFull) {
  for (const Writer& writer : writers)
    EXPECT_EQ(message_of<OutputError>([&] { writer.write("/dev/full", nothing); }),
              "cannot write /dev/full: No space left on device")
        << writer.name;
  EXPECT_EQ(message_of<OutputError>([] {
              write_float_image("/dev/full", {1, 1, {5}});
            }),
            "cannot write /dev/full: No space left on device");
}

TEST(Writers, LeaveTheOldFileAndNoOtherWhenTheyAreStopped) {
  for (const Writer& writer : writers) {
    const TempDir dir;
    dir.file("image", "old");
    const auto stop = [](int slow) {
      if (slow == height - 1) throw Cancelled();
    };
    EXPECT_THROW(writer.write(dir / "image", stop), Cancelled) << writer.name;
    EXPECT_EQ(dir.names(), Names{"image"}) << writer.name;
    EXPECT_TRUE(dir.content("image") == "old") << writer.name;
  }
}

TEST(Writers, ShowTheNewFileOnlyWhenItIsComplete) {
  for (const Writer& writer : writers) {
    const TempDir dir;
    dir.file("image", "old");
    writer.write(dir / "image", [&](int slow) {
      // Not EXPECT_EQ, which would print a picture.
      EXPECT_TRUE(slow < height - 1 || dir.content("image") == "old") << writer.name;
    });
    EXPECT_EQ(dir.names(), Names{"image"}) << writer.name;
    EXPECT_GT(dir.content("image").size(), std::size_t{width} * height) << writer.name;
  }
}

/// A file system of its own in a folder, where the test may mount one.
class SmallFileSystem {
 public:
  SmallFileSystem(const std::string& folder, const char* size) : folder_(folder) {
    fs::create_directory(folder);
    mounted_ = mount("none", folder.c_str(), "tmpfs", 0, size) == 0;
  }
  SmallFileSystem(const SmallFileSystem&) = delete;
  SmallFileSystem& operator=(const SmallFileSystem&) = delete;
  ~SmallFileSystem() { EXPECT_TRUE(!mounted_ || umount(folder_.c_str()) == 0); }
  bool mounted() const { return mounted_; }

 private:
  std::string folder_;
  bool mounted_;
};

TEST(Writers, LeaveTheOldFileWhenTheFileSystemRunsFull) {
  const TempDir dir;
  const std::string root = dir / "small";
  const SmallFileSystem file_system(root, "size=256k");
  if (!file_system.mounted())
    GTEST_SKIP() << "a full file system needs the right to mount one: " << std::strerror(errno);
  for (const Writer& writer : writers) {
    dir.file("small/image", "old");
    EXPECT_EQ(message_of<OutputError>([&] { writer.write(root + "/image", nothing); }),
              "cannot write " + root + "/image: No space left on device")
        << writer.name;
    EXPECT_TRUE(dir.content("small/image") == "old") << writer.name;
    EXPECT_EQ(std::distance(fs::directory_iterator(root), fs::directory_iterator()), 1)
        << writer.name;
  }
}

TEST(Writers, AcceptDevices) {
  for (const Writer& writer : writers) EXPECT_NO_THROW(writer.write("/dev/null", nothing));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

// ---- AtomicFile -------------------------------------------------------------------------------

void write_text(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

/// Root may write everything; this makes the thread an ordinary user meanwhile.
class OrdinaryUser {
 public:
  OrdinaryUser() : was_(geteuid()) {
    if (was_ == 0 && seteuid(65534) != 0) throw std::runtime_error("cannot become another user");
  }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;
  ~OrdinaryUser() {
    if (seteuid(was_) != 0) std::abort();
  }

 private:
  uid_t was_;
};

TEST(AtomicFile, WritesSmallAndLargePiecesInOrder) {
  const TempDir dir;
  std::string expected;
  AtomicFile file(dir / "a");
  for (const std::size_t size : {1U, 3000000U, 5U, 1048575U, 2U, 1048576U, 0U, 500000U, 700000U}) {
    std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    file.write(piece);
    expected += piece;
  }
  file.commit();
  EXPECT_EQ(dir.content("a"), expected);
}

/// What a file system without a call answers to it, for the rest of this process; false where the
/// kernel does not filter calls.
bool refuse(const std::vector<sock_filter>& which) {
  std::vector<sock_filter> program = which;
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

std::vector<sock_filter> call_fails(unsigned call, unsigned with_flags, unsigned error) {
  constexpr auto number = static_cast<unsigned>(offsetof(seccomp_data, nr));
  constexpr auto third_argument = static_cast<unsigned>(offsetof(seccomp_data, args) + 2 * 8);
  std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number)};
  if (with_flags == 0) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
  } else {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3));
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, third_argument));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, with_flags, 0, 1));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return program;
}

TEST(AtomicFile, IsWrittenWhereAFileSystemMakesNoFilesWithoutANameOrGivesThemNone) {
  constexpr int unfiltered = 77;
  const std::string text(3000000, 'x');
  // The bit of O_TMPFILE that is not O_DIRECTORY
  constexpr unsigned nameless = O_TMPFILE & ~O_DIRECTORY;
  for (const auto& filter :
       {call_fails(__NR_openat, nameless, EOPNOTSUPP), call_fails(__NR_openat, nameless, EISDIR),
        call_fails(__NR_linkat, 0, EOPNOTSUPP), call_fails(__NR_linkat, 0, EXDEV)}) {
    const TempDir dir;
    dir.file("a", "old");
    fs::permissions(dir / "a", fs::perms::owner_read | fs::perms::owner_write);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (!refuse(filter)) _exit(unfiltered);
      try {
        write_text(dir / "a", text);
        FileGroup group;
        write_text(dir / "b", text);
        group.commit();
      } catch (const std::exception&) {
        _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == unfiltered) GTEST_SKIP() << "calls cannot be filtered here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_TRUE(dir.content("a") == text && dir.content("b") == text);
    EXPECT_EQ(fs::status(dir / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_THAT(dir.names(), testing::UnorderedElementsAre("a", "b"));
  }
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TempDir dir;
  {
    AtomicFile file(dir / "a");
    file.write("text");
    EXPECT_FALSE(fs::exists(dir / "a"));
  }
  EXPECT_EQ(dir.names(), Names{});
}

TEST(AtomicFile, HasThePermissionsThatTheUmaskLeaves) {
  const TempDir dir;
  const mode_t before = umask(027);
  write_text(dir / "a", "text");
  umask(before);
  struct stat about {};
  ASSERT_EQ(stat((dir / "a").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0640u);
}

TEST(AtomicFile, KeepsTheModeOfWhatItReplacesAndLeavesItsOtherLinksAlone) {
  const TempDir dir;
  dir.file("a", "old");
  fs::create_hard_link(dir / "a", dir / "other");
  for (const unsigned mode : {0600U, 0640U, 0666U, 0755U}) {
    fs::permissions(dir / "a", static_cast<fs::perms>(mode));
    write_text(dir / "a", "new");
    EXPECT_EQ(static_cast<unsigned>(fs::status(dir / "a").permissions()), mode);
  }
  EXPECT_EQ(dir.content("a"), "new");
  EXPECT_EQ(dir.content("other"), "old");
}

TEST(AtomicFile, KeepsTheOwnerOfWhatItReplacesWhereThatIsAllowed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may give files away";
  const TempDir dir;
  ASSERT_EQ(chown(dir.file("a", "old").c_str(), 65534, 65534), 0);
  write_text(dir / "a", "new");
  struct stat about {};
  ASSERT_EQ(stat((dir / "a").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, 65534u);
  EXPECT_EQ(about.st_gid, 65534u);
}

TEST(AtomicFile, GivesAnotherGroupNoMoreThanEverybodyHas) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a file of another group";
  const TempDir dir;
  fs::permissions(dir.path(), fs::perms::all);
  ASSERT_EQ(chown(dir.file("a", "old").c_str(), 65534, 12345), 0);
  fs::permissions(dir / "a", static_cast<fs::perms>(0664));
  {
    const OrdinaryUser user;
    write_text(dir / "a", "new");
  }
  struct stat about {};
  ASSERT_EQ(stat((dir / "a").c_str(), &about), 0);
  EXPECT_NE(about.st_gid, 12345u);
  EXPECT_EQ(about.st_mode & 0777, 0644u);
}

TEST(AtomicFile, WritesWhereADescriptorStandsAndEmptiesNothing) {
  const TempDir dir;
  const int descriptor = open(dir.file("a", "").c_str(), O_WRONLY);
  ASSERT_EQ(write(descriptor, "before ", 7), 7);
  write_text("/dev/fd/" + std::to_string(descriptor), "between");
  ASSERT_EQ(write(descriptor, " after", 6), 6);
  close(descriptor);
  EXPECT_EQ(dir.content("a"), "before between after");
  EXPECT_EQ(message_of<OutputError>([] { write_text("/dev/fd/12345", "x"); }),
            "cannot write /dev/fd/12345: Bad file descriptor");
}

TEST(FileGroup, MakesAllFilesNewAtOnce) {
  const TempDir dir;
  dir.file("a", "old");
  FileGroup group;
  write_text(dir / "a", "new a");
  write_text(dir / "b", "new b");
  EXPECT_EQ(dir.content("a"), "old");
  EXPECT_FALSE(fs::exists(dir / "b"));
  group.commit();
  EXPECT_EQ(dir.content("a"), "new a");
  EXPECT_EQ(dir.content("b"), "new b");
  EXPECT_THAT(dir.names(), testing::UnorderedElementsAre("a", "b"));
}

TEST(FileGroup, LeavesAllFilesOldWithoutCommit) {
  const TempDir dir;
  dir.file("a", "old");
  {
    const FileGroup group;
    write_text(dir / "a", "new a");
    write_text(dir / "b", "new b");
  }
  EXPECT_EQ(dir.content("a"), "old");
  EXPECT_EQ(dir.names(), Names{"a"});
  write_text(dir / "a", "new");
  EXPECT_EQ(dir.content("a"), "new");
}

TEST(AtomicFile, ReplacesTheFileBehindALink) {
  const TempDir dir;
  fs::create_directory(dir / "real");
  dir.file("real/a", "old");
  fs::create_symlink("real/a", dir / "first");
  fs::create_symlink(dir / "first", dir / "second");
  write_text(dir / "second", "new");
  EXPECT_TRUE(fs::is_symlink(dir / "first"));
  EXPECT_TRUE(fs::is_symlink(dir / "second"));
  EXPECT_EQ(dir.content("real/a"), "new");
}

TEST(AtomicFile, MakesTheFileThatALinkPointsTo) {
  const TempDir dir;
  fs::create_symlink("target", dir / "link");
  write_text(dir / "link", "new");
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
  EXPECT_FALSE(fs::is_symlink(dir / "target"));
  EXPECT_EQ(dir.content("target"), "new");
}

TEST(AtomicFile, RefusesLinksThatGoInCircles) {
  const TempDir dir;
  fs::create_symlink("b", dir / "a");
  fs::create_symlink("a", dir / "b");
  EXPECT_EQ(message_of<OutputError>([&] { write_text(dir / "a", "text"); }),
            "cannot write " + dir / "a" + ": Too many levels of symbolic links");
}

TEST(AtomicFile, WritesIntoAPipe) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = dir.content("fifo"); });
  write_text(dir / "fifo", "through the pipe");
  reader.join();
  EXPECT_EQ(received, "through the pipe");
  EXPECT_TRUE(fs::is_fifo(dir / "fifo"));
}

TEST(AtomicFile, NamesWhatIsWrongWithTheTarget) {
  const TempDir dir;
  const auto problem = [](const std::string& path) {
    const std::string message = message_of<OutputError>([&] { write_text(path, "text"); });
    const std::string start = "cannot write " + path + ": ";
    EXPECT_TRUE(message.starts_with(start)) << message;
    return message.substr(std::min(start.size(), message.size()));
  };
  EXPECT_EQ(problem(dir.path().string()), "Is a directory");
  EXPECT_EQ(problem(dir / "new/"), "Is a directory");
  EXPECT_EQ(problem(dir / "none/a"), "No such file or directory");
  EXPECT_EQ(problem(dir.file("file", "") + "/a"), "Not a directory");
  EXPECT_EQ(problem(dir / std::string(300, 'x')), "File name too long");
  EXPECT_EQ(problem(""), "No such file or directory");
  EXPECT_EQ(dir.names(), Names{"file"});
}

TEST(AtomicFile, TakesANameOfTheGreatestLength) {
  const TempDir dir;
  write_text(dir / std::string(255, 'x'), "text");
  EXPECT_EQ(dir.content(std::string(255, 'x')), "text");
}

TEST(AtomicFile, DoesNotReplaceAWriteProtectedFile) {
  const TempDir dir;
  dir.file("a", "old");
  fs::permissions(dir / "a", static_cast<fs::perms>(0444));
  fs::permissions(dir.path(), fs::perms::all);
  {
    const OrdinaryUser user;
    EXPECT_EQ(message_of<OutputError>([&] { write_text(dir / "a", "new"); }),
              "cannot write " + dir / "a" + ": Permission denied");
  }
  EXPECT_EQ(dir.content("a"), "old");
}

TEST(AtomicFile, SaysThatAFolderTakesNoNewFiles) {
  const TempDir dir;
  dir.file("a", "old");
  fs::permissions(dir / "a", fs::perms::all);
  constexpr auto read_only = static_cast<fs::perms>(0555);
  fs::permissions(dir.path(), read_only);
  {
    const OrdinaryUser user;
    EXPECT_EQ(
        message_of<OutputError>([&] { write_text(dir / "a", "new"); }),
        "cannot write " + dir / "a" + ": no new file can be made in its folder: Permission denied");
    EXPECT_EQ(message_of<OutputError>([&] { check_writable(dir / "b"); }),
              "cannot write " + dir / "b" + ": Permission denied");
  }
  fs::permissions(dir.path(), fs::perms::all);
  EXPECT_EQ(dir.content("a"), "old");
}

// ---- check_writable ---------------------------------------------------------------------------

TEST(CheckWritable, LeavesNothingBehindAndTouchesNothing) {
  const TempDir dir;
  dir.file("old", "old");
  EXPECT_NO_THROW(check_writable(dir / "new"));
  EXPECT_NO_THROW(check_writable(dir / "old"));
  EXPECT_EQ(dir.names(), Names{"old"});
  EXPECT_EQ(dir.content("old"), "old");
}

TEST(CheckWritable, RefusesFoldersAndNamesInMissingOnes) {
  const TempDir dir;
  EXPECT_EQ(message_of<OutputError>([&] { check_writable(dir.path().string()); }),
            "cannot write " + dir.path().string() + ": Is a directory");
  EXPECT_EQ(message_of<OutputError>([&] { check_writable(dir / "none/a"); }),
            "cannot write " + dir / "none/a" + ": No such file or directory");
}

TEST(CheckWritable, DoesNotWaitForTheReaderOfAPipe) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_NO_THROW(check_writable(dir / "fifo"));
  EXPECT_NO_THROW(check_writable("/dev/null"));
}

ImageFile array_of(int fast, int slow) {
  ImageFile image;
  image.geometry.panels.resize(1);
  image.geometry.panels[0].fast_pixels = fast;
  image.geometry.panels[0].slow_pixels = slow;
  image.pixels.resize(static_cast<std::size_t>(fast) * static_cast<std::size_t>(slow));
  std::iota(image.pixels.begin(), image.pixels.end(), 0);
  return image;
}

TEST(AnArrayOfSeveralPanels, IsCutWhereTheDetectorSaysThatTheyLie) {
  ImageFile image = array_of(4, 3);
  // The right half, then the left one without its first row, which is of no panel
  ASSERT_TRUE(
      cut_into_panels(image, "a.tif", std::vector<PixelRectangle>{{2, 4, 0, 3}, {0, 2, 1, 3}}));
  EXPECT_THAT(image.pixels, testing::ElementsAre(2, 3, 6, 7, 10, 11, 4, 5, 8, 9));
  ASSERT_EQ(image.geometry.panels.size(), 2u);
  EXPECT_EQ(image.geometry.panels[0].slow_pixels, 3);
  EXPECT_EQ(image.geometry.panels[1].fast_pixels, 2);
  EXPECT_EQ(image.geometry.panels[1].slow_pixels, 2);
}

TEST(AnArrayOfSeveralPanels, HasThemBelowEachOtherWhereTheDetectorDoesNotSay) {
  Geometry detector;
  detector.panels.resize(2);
  detector.panels[0].fast_pixels = detector.panels[1].fast_pixels = 4;
  detector.panels[0].slow_pixels = 1;
  detector.panels[1].slow_pixels = 2;
  ImageFile image = array_of(4, 3);
  const std::vector<double> pixels = image.pixels;
  ASSERT_TRUE(cut_into_panels(image, "a.tif", panels_in_array("", detector)));
  EXPECT_EQ(image.pixels, pixels);
  EXPECT_EQ(image.geometry.panels[1].slow_pixels, 2);
  detector.panels.pop_back();
  EXPECT_TRUE(panels_in_array("", detector).empty());
}

TEST(AnArrayOfSeveralPanels, IsNotCutByGuess) {
  const auto problem = [](std::vector<PixelRectangle> panels) {
    ImageFile image = array_of(4, 3);
    return message_of<InputError>([&] { cut_into_panels(image, "a.tif", panels); });
  };
  EXPECT_EQ(problem({{0, 4, 0, 1}, {0, 4, 1, 4}}),
            "a.tif: is one array of 4 x 3 pixels, and the 2 panels of the detector make up 4 x 4");
  EXPECT_EQ(problem({{0, 4, 0, 3}, {0, 4, 0, 3}}),
            "a.tif: is one array of 4 x 3 pixels, and the 2 panels of the detector share pixels of "
            "one array, as those of several arrays do");
  // What has a place is one panel, and so is what belongs to a detector of one
  ImageFile image = array_of(4, 3);
  EXPECT_FALSE(cut_into_panels(image, "a.tif", {}));
  image.geometry.panels[0].fast_axis = {1, 0, 0};
  EXPECT_FALSE(
      cut_into_panels(image, "a.tif", std::vector<PixelRectangle>{{0, 4, 0, 1}, {0, 4, 1, 3}}));
  EXPECT_EQ(image.geometry.panels.size(), 1u);
}

}  // namespace
}  // namespace nablabragg::io
