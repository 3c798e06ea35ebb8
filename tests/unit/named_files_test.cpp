// That no output is the same file as an input or as another output.
#include "io/named_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <vector>

#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using io::check_distinct;
using test::message_of;
using testing::HasSubstr;
using Files = std::vector<io::NamedFile>;

std::string problem(const Files& inputs, const Files& outputs) {
  return message_of<UsageError>([&] { check_distinct(inputs, outputs); });
}

class NamedFiles : public testing::Test {
 protected:
  NamedFiles() {
    folder.file("in.hkl", "0 0 1 5\n");
    fs::create_symlink("in.hkl", folder / "link");
    fs::create_hard_link(folder / "in.hkl", folder / "hard");
    fs::create_directory(folder / "sub");
    fs::create_directory_symlink("sub", folder / "also");
  }
  test::TempDir folder;
};

TEST_F(NamedFiles, RefuseAnOutputThatIsAnInputUnderAnyOfItsNames) {
  const std::string in = folder / "in.hkl";
  EXPECT_EQ(
      problem({{"-hkl", in}}, {{"-floatfile", in}}),
      "-floatfile would destroy what -hkl reads, \"" + in + "\"; give the output another name");
  for (const char* name : {"link", "hard", "./in.hkl", "sub/../in.hkl", "also/../in.hkl"}) {
    EXPECT_EQ(problem({{"-hkl", in}}, {{"-floatfile", folder / name}}),
              "-floatfile would destroy what -hkl reads, \"" + folder / name +
                  "\", the same file as \"" + in + "\"; give the output another name");
    EXPECT_THAT(problem({{"-hkl", folder / name}}, {{"-floatfile", in}}),
                HasSubstr("the same file as"));
  }
}

TEST_F(NamedFiles, RefuseTwoOutputsOfOneFileWhetherItExistsOrNot) {
  fs::create_symlink("sub/new", folder / "towards");
  EXPECT_EQ(problem({}, {{"-floatfile", folder / "a"}, {"-intfile", folder / "a"}}),
            "-floatfile and -intfile would both be written to \"" + folder / "a" +
                "\"; give them two names");
  for (const auto& [one, other] : {std::pair{"a", "./a"},
                                   {"sub/new", "also/new"},
                                   {"sub/new", "towards"},
                                   {"in.hkl", "hard"},
                                   {"link", "hard"}})
    EXPECT_THAT(problem({}, {{"-floatfile", folder / one}, {"-intfile", folder / other}}),
                HasSubstr("the same file as"));
}

TEST_F(NamedFiles, OfManyOutputsNameTheFirstThatMeet) {
  Files outputs;
  for (int i = 0; i < 1000; ++i)
    outputs.push_back({"-o", folder / ("image" + std::to_string(i) + ".cbf")});
  EXPECT_NO_THROW(check_distinct(Files{}, outputs));
  outputs.push_back({"-pngfile", folder / "image500.cbf"});
  EXPECT_EQ(problem({}, outputs), "-o and -pngfile would both be written to \"" +
                                      folder / "image500.cbf" + "\"; give them two names");
}

TEST_F(NamedFiles, AreAllowedToBeTheNullDeviceSeveralTimes) {
  EXPECT_NO_THROW(check_distinct(Files{{"-hkl", "/dev/null"}},
                                 Files{{"-floatfile", "/dev/null"}, {"-intfile", "/dev/null"}}));
}

TEST_F(NamedFiles, RefuseTwoOutputsInOnePipe) {
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(
      problem({}, {{"-floatfile", fifo}, {"-intfile", fifo}}),
      "-floatfile and -intfile would both be written to \"" + fifo + "\"; give them two names");
  EXPECT_NO_THROW(check_distinct(Files{{"-hkl", fifo}}, Files{{"-floatfile", fifo}}));
}

TEST_F(NamedFiles, AreStandardOutputOnceUnderAnyOfItsNames) {
  const std::vector<std::string> names{"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
  for (const std::string& name : names) {
    EXPECT_TRUE(io::is_standard_output(name)) << name;
    EXPECT_NO_THROW(check_distinct(Files{}, Files{{"-floatfile", name}})) << name;
    for (const std::string& other : names)
      EXPECT_EQ(problem({}, {{"-floatfile", name}, {"-pngfile", other}}),
                "-floatfile and -pngfile would both be written to standard output; give one of "
                "them a file")
          << name << ' ' << other;
  }
}

TEST_F(NamedFiles, LeaveAnInputThatIsNotThereToItsReader) {
  EXPECT_NO_THROW(
      check_distinct(Files{{"-hkl", folder / "new"}}, Files{{"-floatfile", folder / "new"}}));
}

}  // namespace
}  // namespace nablabragg
