#include "inventory/remarks.hpp"

#include <gmock/gmock.h>

#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::inventory {
namespace {

using test::message_of;
using test::TempDir;

TEST(GccRecord, TellsLoopsThatBecameVectorsAndWhyOthersDidNot) {
  const TempDir dir;
  const auto file = dir.file(
      "a.vec",
      "src/a.cpp:4:20: optimized: loop vectorized using 32 byte vectors\n"
      "src/a.cpp:4:20: note:  ***** Analysis succeeded\n"
      "src/a.cpp:9:3: missed: couldn't vectorize loop\n"
      "src/a.cpp:10:5: missed: not vectorized: control flow in loop.\n"
      "src/a.cpp:12:5: missed:   not vectorized: no grouped stores in basic block.\n"
      "/usr/include/x.h:1:1: missed: couldn't vectorize loop\n");
  const auto remarks = read_gcc_record(file, "/base/of");
  ASSERT_EQ(remarks.size(), 3U);
  EXPECT_EQ(remarks[0], (Remark{"/base/of/src/a.cpp", 4, 20, true, 0, 0, 32, ""}));
  EXPECT_EQ(remarks[1],
            (Remark{"/base/of/src/a.cpp", 9, 3, false, 0, 0, 0, "control flow in loop."}));
  EXPECT_EQ(remarks[2], (Remark{"/usr/include/x.h", 1, 1, false, 0, 0, 0, ""}));
}

constexpr const char* yaml = R"(--- !Analysis
Pass:            loop-vectorize
Name:            CantComputeNumberOfIterations
DebugLoc:        { File: a.cpp, Line: 9, Column: 3 }
Function:        f
Args:
  - String:          'loop not vectorized: '
  - String:          could not determine number of loop iterations
...
--- !Missed
Pass:            loop-vectorize
Name:            MissedDetails
DebugLoc:        { File: a.cpp, Line: 9, Column: 3 }
Function:        f
Args:
  - String:          loop not vectorized
...
--- !Missed
Pass:            slp-vectorizer
Name:            NotBeneficial
DebugLoc:        { File: a.cpp, Line: 9, Column: 3 }
Function:        f
...
--- !Passed
Pass:            loop-vectorize
Name:            Vectorized
DebugLoc:        { File: 'a.cpp', Line: 4, Column: 3 }
Function:        g
Args:
  - String:          'vectorized '
  - String:          'loop (vectorization width: '
  - VectorizationFactor: '8'
  - String:          ', interleaved count: '
  - InterleaveCount: '4'
  - String:          ')'
...
)";

TEST(ClangRecord, TellsWidthsAndReasonsOfTheLoopVectoriserAlone) {
  const TempDir dir;
  const auto remarks = read_clang_record(dir.file("a.opt.yaml", yaml), "/base/of");
  ASSERT_EQ(remarks.size(), 2U);
  EXPECT_EQ(remarks[0], (Remark{"/base/of/a.cpp", 9, 3, false, 0, 0, 0,
                                "could not determine number of loop iterations"}));
  EXPECT_EQ(remarks[1], (Remark{"/base/of/a.cpp", 4, 3, true, 8, 4, 0, ""}));
}

TEST(ClangRecord, NamesFilesFromTheFolderThatTheyShareWithTheBuild) {
  const TempDir dir;
  std::filesystem::create_directories(dir.path() / "build/deep");
  std::string text = yaml;
  for (std::size_t at = text.find("a.cpp"); at != std::string::npos;
       at = text.find("a.cpp", at + 9))
    text.replace(at, 5, "source/b.cpp");
  std::filesystem::create_directory(dir.path() / "source");
  dir.file("source/b.cpp", "");
  const auto remarks = read_clang_record(dir.file("b.opt.yaml", text), dir / "build/deep");
  ASSERT_EQ(remarks.size(), 2U);
  EXPECT_EQ(remarks[0].file, dir / "source/b.cpp");
}

TEST(ClangRecord, ThatIsNoneIsNamedWithItsLine) {
  const TempDir dir;
  const auto no_yaml = dir.file("a.opt.yaml", "hello\n");
  EXPECT_THAT(message_of<InputError>([&] { read_clang_record(no_yaml, "/"); }),
              testing::HasSubstr("a.opt.yaml:1: is no optimization record"));
  const auto broken = dir.file("b.opt.yaml",
                               std::string(yaml) + "--- !Passed\nPass: loop-vectorize\nName: {\n");
  EXPECT_THAT(message_of<InputError>([&] { read_clang_record(broken, "/"); }),
              testing::HasSubstr("b.opt.yaml:37: is no optimization record"));
  EXPECT_THROW(read_gcc_record(dir / "none", "/"), InputError);
}

TEST(Records, OfAnInterruptedRunAreNotContinued) {
  TempDir dir;
  const std::string source = dir / "a.cpp", records = dir / "records";
  test::write_file(source, "void f(float* a) { for (int i = 0; i < 1024; ++i) a[i] *= 2; }\n");
  const CompileCommand command{dir.path().string(), source, {"g++", "-O3", "-c", source}, ""};
  const Compiler compiler = compiler_of("g++");
  const auto complete = remarks_of(command, compiler, records).remarks;
  EXPECT_FALSE(complete.empty());

  for (const auto& entry : std::filesystem::directory_iterator(records))
    if (entry.path().extension() == ".vec")
      std::filesystem::rename(entry.path(), entry.path().string() + ".part");
  EXPECT_EQ(remarks_of(command, compiler, records).remarks.size(), complete.size());
}

TEST(UnknownFlags, AreThoseThatACompilerComplainsOf) {
  std::vector<std::string> flags{"-O3", "-fconserve-stack", "-mno-such"};
  EXPECT_TRUE(drop_unknown_flag("error: unknown argument: '-fconserve-stack'", flags));
  EXPECT_EQ(flags, (std::vector<std::string>{"-O3", "-mno-such"}));
  EXPECT_TRUE(drop_unknown_flag("g++: error: unrecognized command-line option '-mno-such'; did you",
                                flags));
  EXPECT_FALSE(drop_unknown_flag("a.cpp:3: error: expected ';'", flags));
  EXPECT_EQ(flags, std::vector<std::string>{"-O3"});
}

}  // namespace
}  // namespace nablabragg::inventory
