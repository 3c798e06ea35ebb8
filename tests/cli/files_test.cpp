// Outputs of the program: what they may replace, what they keep of it, and where they can go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

const std::string compat = "-cell 50 60 70 90 90 90 -N 5 -detpixels 8 -oversample 1 -seed 1 ";
const std::string corrected = "-corrected -nocache " + compat;
const std::string table = "0 0 1 5\n0 1 0 3\n";

class OutputFiles : public testing::Test {
 protected:
  OutputFiles() {
    folder.file("in.hkl", table);
    fs::create_symlink("in.hkl", folder / "link");
    fs::create_hard_link(folder / "in.hkl", folder / "hard");
  }

  Outcome run(const std::string& line) const { return test::run_program(folder.path(), line); }

  /// In the folder, by a shell that finds the program as $NB.
  int shell(const std::string& command) const {
    const std::string line = "cd '" + folder.path().string() + "' && NB='" NABLA_PROGRAM "' && " +
                             command;
    return WEXITSTATUS(std::system(line.c_str()));
  }

  /// The exit code of the program, whose standard output a pipe takes into the file "all".
  int piped(const std::string& line) const {
    shell("{ $NB " + line + "; echo $? > code; } | cat > all");
    return std::stoi(folder.content("code"));
  }

  void expect_refused(const std::string& line, const std::string& part) const {
    const std::vector<std::string> before = folder.names();
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 2) << line;
    EXPECT_THAT(outcome.err, testing::StartsWith("nablabragg: error: ")) << line;
    EXPECT_THAT(outcome.err, HasSubstr(part)) << line;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(folder.names(), testing::UnorderedElementsAreArray(before)) << line;
    EXPECT_EQ(folder.content("in.hkl"), table);
  }

  test::TempDir folder;
};

// ---- Inputs and other outputs ----------------------------------------------------------------

TEST_F(OutputFiles, NeverDestroyAnInputUnderAnyOfItsNamesInBothModes) {
  for (const std::string& mode : {compat, corrected})
    for (const char* flag :
         {"-floatfile", "-intfile", "-noisefile", "-pgmfile", "-pngfile", "-profile"})
      for (const char* name : {"in.hkl", "./in.hkl", "link", "hard"})
        expect_refused(mode + "-hkl in.hkl " + flag + " " + name,
                       std::string(flag) + " would destroy what -hkl reads");
  for (const char* input : {"-mat", "-sourcefile", "-stol"})
    expect_refused(corrected + "-default_F 1 -floatfile link " + input + " in.hkl",
                   std::string("-floatfile would destroy what ") + input);
}

TEST_F(OutputFiles, WithTheirDefaultNamesDestroyNoInputEither) {
  ASSERT_EQ(run(compat + "-default_F 10").exit_code, 0);
  const std::string image = folder.content("noiseimage.img");
  for (const char* flag : {"-img", "-mask"}) {
    const Outcome outcome = run(compat + "-default_F 10 " + flag + " noiseimage.img");
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err,
                HasSubstr("-noisefile, which has its default name, would destroy what "));
  }
  EXPECT_EQ(folder.content("noiseimage.img"), image);
  EXPECT_EQ(run(compat + "-default_F 10 -img noiseimage.img -nonoise").exit_code, 0);
  EXPECT_EQ(run(compat + "-default_F 10 -img noiseimage.img -noisefile n.img").exit_code, 0);
  fs::rename(folder / "in.hkl", folder / "Fdump.bin");
  const Outcome outcome = run(compat + "-hkl Fdump.bin");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("cache"));
  EXPECT_EQ(folder.content("Fdump.bin"), table);
}

TEST_F(OutputFiles, NeverDestroyEachOther) {
  expect_refused(corrected + "-default_F 10 -floatfile same -intfile same",
                 "-floatfile and -intfile would both be written to \"same\"");
  expect_refused(corrected + "-default_F 10 -pngfile same -profile ./same", "the same file as");
  expect_refused(compat + "-default_F 10 -floatfile image.pgm",
                 "-floatfile and -pgmfile, which has its default name, would both");
  EXPECT_EQ(shell("$NB " + corrected + "-default_F 10 -floatfile out > out 2> err"), 2);
  EXPECT_THAT(folder.content("err"), HasSubstr("-floatfile and standard output would both"));
  EXPECT_EQ(run(corrected + "-default_F 10 -floatfile /dev/null -intfile /dev/null").exit_code, 0);
}

TEST_F(OutputFiles, AreNeverTwoInOneStreamWhateverItIsCalled) {
  for (const std::string& mode : {corrected, compat + "-nonoise "})
    for (const auto& [one, other] : {std::pair{"-", "-"},
                                     {"-", "/dev/stdout"},
                                     {"/dev/stdout", "/dev/stdout"},
                                     {"/dev/fd/1", "/proc/self/fd/1"},
                                     {"/dev/stdout", "/dev/fd/3"},
                                     {"fifo", "./fifo"}}) {
      shell("rm -f fifo && mkfifo fifo");
      EXPECT_EQ(
          piped(mode + "-default_F 10 -floatfile " + one + " -intfile " + other + " 3>&1 2> err"),
          2)
          << one << ' ' << other;
      EXPECT_THAT(folder.content("err"),
                  HasSubstr("-floatfile and -intfile would both be written"));
      EXPECT_EQ(folder.content("all"), "");
    }
}

TEST_F(OutputFiles, AreNotMixedWithWarnings) {
  EXPECT_EQ(piped(corrected + "-default_F 10 -floatfile - 2>&1"), 2);
  EXPECT_THAT(folder.content("all"),
              HasSubstr("-floatfile and standard error, where warnings go, would both be written"));
  const std::string line = "$NB " + corrected + "-default_F 10 -floatfile ";
  EXPECT_EQ(shell(line + "/dev/stderr 2> err > out"), 2);
  EXPECT_EQ(shell(line + "- 2> /dev/null > all"), 0);
  EXPECT_EQ(fs::file_size(folder / "all"), 256u);
}

TEST_F(OutputFiles, HaveTheirStreamForThemselvesUnderAnyOfItsNames) {
  const std::string line = "$NB " + corrected + "-default_F 10 -floatfile /dev/fd/3 2> err ";
  for (const char* stream : {"3>&1 | cat > all", "> all 3>&1"}) {
    EXPECT_EQ(shell(line + stream), 0);
    EXPECT_EQ(fs::file_size(folder / "all"), 256u) << stream;
    EXPECT_THAT(folder.content("err"), HasSubstr("max_I ="));
  }
}

TEST_F(OutputFiles, OfACacheDestroyNeitherTheListNorAnotherInput) {
  expect_refused("-corrected " + compat + "-hkl in.hkl -dump in.hkl",
                 "-dump would destroy what -hkl reads");
  expect_refused(compat + "-hkl in.hkl -dump link", "-dump would destroy what -hkl reads");
  expect_refused(compat + "-hkl in.hkl -dump -", "-dump - would be a cache");
  ASSERT_EQ(run(compat + "-hkl in.hkl -dump c.bin").exit_code, 0);
  // A cache is read and written again
  EXPECT_EQ(run(compat + "-hkl in.hkl -dump c.bin").exit_code, 0);
  EXPECT_EQ(run(compat + "-dump c.bin").exit_code, 0);
}

TEST_F(OutputFiles, OfACacheThatWasNamedMustBeWritten) {
  for (const std::string& mode : {std::string(), std::string("-corrected ")}) {
    const Outcome outcome = run(mode + compat + "-hkl in.hkl -dump no/cache.bin -floatfile f.bin");
    EXPECT_EQ(outcome.exit_code, 4);
    EXPECT_THAT(outcome.err, HasSubstr("cannot write no/cache.bin: No such file or directory"));
    EXPECT_FALSE(fs::exists(folder / "f.bin"));
  }
}

TEST_F(OutputFiles, OfACacheThatNobodyNamedMayStayUnwrittenWithANotice) {
  fs::create_directory(folder / "Fdump.bin");
  const Outcome outcome = run(compat + "-hkl in.hkl");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("the structure-factor cache was not written"));
}

TEST_F(OutputFiles, OfFcalcDoNotDestroyTheModel) {
  const fs::path model = fs::path(NABLA_SOURCE_DIR) / "examples/ubiquitin/1ubq.pdb";
  fs::copy_file(model, folder / "m.pdb");
  fs::create_symlink("m.pdb", folder / "o.hkl");
  fs::create_hard_link(folder / "m.pdb", folder / "m");
  for (const char* arguments : {"m.pdb -dmin 8 -o o.hkl", "m.pdb -dmin 8 -o m", "m -dmin 8 -o m"})
    expect_refused(std::string("fcalc ") + arguments, "-o would destroy what MODEL reads");
  EXPECT_EQ(folder.content("m.pdb"), test::read_file(model));
}

TEST_F(OutputFiles, OfFcalcQuoteTheNameOfTheModelOnOneLine) {
  const std::string name = "m\n0 0 1 99999\n#.pdb";
  fs::copy_file(fs::path(NABLA_SOURCE_DIR) / "examples/ubiquitin/1ubq.pdb", folder / name);
  ASSERT_EQ(
      test::run_program(folder.path(), {"fcalc", name, "-dmin", "8", "-o", "o.hkl"}).exit_code, 0);
  EXPECT_THAT(folder.content("o.hkl"), Not(HasSubstr("\n0 0 1 99999")));
}

TEST_F(OutputFiles, AreSaidOnOneLineWhateverTheirName) {
  const Outcome outcome = test::run_program(
      folder.path(), {"-corrected", "-cell", "50", "-default_F", "1", "-N", "5", "-detpixels", "8",
                      "-floatfile", "no/a\n\x1b[2Jb"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.err,
            "nablabragg: error: cannot write no/a\\n\\x1b[2Jb: No such file or directory\n");
}

// ---- What is replaced ------------------------------------------------------------------------

TEST_F(OutputFiles, KeepTheModeOfWhatTheyReplace) {
  folder.file("f", "private");
  fs::permissions(folder / "f", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_hard_link(folder / "f", folder / "other");
  ASSERT_EQ(run(corrected + "-default_F 10 -floatfile f").exit_code, 0);
  EXPECT_EQ(fs::status(folder / "f").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::file_size(folder / "f"), 256u);
  EXPECT_EQ(folder.content("other"), "private");
}

TEST_F(OutputFiles, StayAllOldWhereOneOfThemCannotBeWritten) {
  folder.file("f.bin", "old");
  const Outcome outcome = run(corrected + "-default_F 10 -floatfile f.bin -intfile /dev/full");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(folder.content("f.bin"), "old");
}

// ---- Standard output -------------------------------------------------------------------------

TEST_F(OutputFiles, GoToStandardOutputWhereTheirNameIsADash) {
  ASSERT_EQ(run(corrected + "-default_F 10 -floatfile f -intfile i -pgmfile p -noisefile n "
                            "-pngfile g.png")
                .exit_code,
            0);
  // Files say how they were made, so that the words differ.
  const auto pixels_of = [](std::string bytes) {
    for (const char* key : {"COMMAND_LINE=", "HEADER_BYTES="})
      if (const std::size_t at = bytes.find(key); at != std::string::npos)
        bytes.erase(at, bytes.find('\n', at) - at);
    if (const std::size_t at = bytes.find("}\f"); at != std::string::npos)
      bytes.erase(at + 2, bytes.find_first_not_of(' ', at + 2) - (at + 2));
    if (const std::size_t at = bytes.find("tEXtComment"); at != std::string::npos)
      bytes.erase(at - 4, bytes.find("tEXtSeed") - at);
    return bytes;
  };
  for (const auto& [flag, same] : {std::pair{"-floatfile", "f"},
                                   {"-intfile", "i"},
                                   {"-pgmfile", "p"},
                                   {"-noisefile", "n"},
                                   {"-pngfile", "g.png"}})
    for (const char* name : {"-", "/dev/stdout"}) {
      const Outcome outcome = run(corrected + "-default_F 10 " + flag + " " + name);
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(pixels_of(outcome.out), pixels_of(folder.content(same))) << flag << ' ' << name;
      EXPECT_THAT(outcome.err, HasSubstr("max_I ="));
    }
  EXPECT_FALSE(fs::exists(folder / "-"));
}

TEST_F(OutputFiles, FollowWhatStandardOutputHoldsAlready) {
  EXPECT_EQ(shell("(echo begin; $NB " + corrected + "-default_F 10 -floatfile - 2> err) > all"), 0);
  EXPECT_THAT(folder.content("all"), testing::StartsWith("begin\n"));
  EXPECT_EQ(fs::file_size(folder / "all"), 6u + 256);
}

TEST_F(OutputFiles, ShareStandardOutputWithNothing) {
  expect_refused(corrected + "-default_F 10 -floatfile - -intfile -",
                 "-floatfile and -intfile would both be written to standard output");
  expect_refused(corrected + "-default_F 10 -floatfile - -trace_pixel 1 1 -trace_format json",
                 "-trace_format json");
  const Outcome outcome = run(corrected + "-default_F 10 -floatfile - -trace_pixel 1 1");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out.size(), 256u);
  EXPECT_THAT(outcome.err, HasSubstr("trace of pixel"));
}

TEST_F(OutputFiles, OfFcalcGoToStandardOutput) {
  const std::string line = "fcalc " NABLA_SOURCE_DIR "/examples/ubiquitin/1ubq.pdb -dmin 8 -o ";
  ASSERT_EQ(run(line + "o.hkl").exit_code, 0);
  const Outcome outcome = run(line + "-");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, folder.content("o.hkl"));
  EXPECT_THAT(outcome.err, HasSubstr("structure factors to 8 A"));
}

// ---- Endings ---------------------------------------------------------------------------------

TEST_F(OutputFiles, HaveNoEndingOfAnotherFormat) {
  for (const char* name : {"out.jpg", "out.JPEG", "out.tif", "out.pgm"})
    for (const std::string& mode : {compat, corrected})
      expect_refused(mode + "-default_F 10 -pngfile " + name,
                     std::string("-pngfile writes a PNG picture, and the ending of \"") + name +
                         "\" promises another format; \"out.png\" would say what it is");
  expect_refused(corrected + "-default_F 10 -floatfile o.h5", "\"o.bin\" would say what it is");
  expect_refused(corrected + "-default_F 10 -noisefile o.cbf", "\"o.img\" would say what it is");
  expect_refused(corrected + "-default_F 10 -profile o.png", "\"o.json\" would say what it is");
  EXPECT_EQ(run(corrected + "-default_F 10 -pngfile picture -floatfile a.f32 -intfile b.smv "
                            "-pgmfile c.PGM")
                .exit_code,
            0);
}

TEST_F(OutputFiles, HaveAnyEndingInCompatWithANotice) {
  const Outcome outcome = run(compat + "-default_F 10 -floatfile o.cbf");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("nablabragg: -floatfile writes raw floats, and the ending of "
                                     "\"o.cbf\" promises another format"));
  EXPECT_EQ(fs::file_size(folder / "o.cbf"), 256u);
}

}  // namespace
}  // namespace nablabragg
