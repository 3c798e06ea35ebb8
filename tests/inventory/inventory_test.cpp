// The program as a user runs it, on small code bases.
#include "inventory/inventory.hpp"

#include <gmock/gmock.h>

#include "nablabragg/error.hpp"
#include "package.hpp"
#include "support/message_of.hpp"

namespace nablabragg::inventory {
namespace {

using test::message_of;
using test::Outcome;
using test::Package;
using test::read_file;
using testing::HasSubstr;

Inventory inventory_of(Package& package, const std::string& line = "") {
  const Outcome outcome = package.run(line);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return read_inventory(package.path() / "out/loop_inventory.json");
}

const Loop& loop_at(const Inventory& inventory, int line) {
  for (const Loop& loop : inventory.loops)
    if (loop.line == line) return loop;
  throw std::runtime_error("no loop in line " + std::to_string(line));
}

constexpr const char* loops = R"(#include <algorithm>
#include <array>
#include <vector>
namespace a {
void add(float* __restrict to, const float* from, int pixels) {
  for (int i = 0; i < pixels; ++i) to[i] += from[i];
}
int find(const int* pixel, int n) {
  int i = 0;
  while (i < n && pixel[i] != 0) ++i;
  do { --i; } while (i > n);
  return i;
}
template <class T> T sum(const std::vector<T>& values) {
  T total = 0;
  for (const T& value : values)
    for (int k = 0; k < 3; ++k) total = total * 2 + value;
  return total;
}
struct Sorter {
  void operator()(std::vector<int>& v) const {
    std::sort(v.begin(), v.end());
    const auto each = [&](const std::array<int, 5>& five) {
      for (int x : five) v.push_back(x);
    };
    each({});
  }
};
double use(const std::vector<double>& v) { return sum(v); }
}
)";

TEST(Inventory, ListsLoopsOfAllKindsWithPlaceFunctionAndDepth) {
  Package package;
  package.add("loops.cpp", loops);
  const Inventory inventory = inventory_of(package);
  ASSERT_EQ(inventory.loops.size(), 7U);
  const Loop& add = loop_at(inventory, 6);
  EXPECT_EQ(add.id, "src/loops.cpp:a::add:for:1");
  EXPECT_EQ(add.header, "for (int i = 0; i < pixels; ++i)");
  EXPECT_EQ(add.driver, Driver::pixel);
  EXPECT_EQ(add.column, 3);
  EXPECT_EQ(loop_at(inventory, 10).kind, LoopKind::while_loop);
  EXPECT_EQ(loop_at(inventory, 11).kind, LoopKind::do_loop);
  EXPECT_EQ(loop_at(inventory, 11).header, "do ... while (i > n)");
  const Loop &outer = loop_at(inventory, 16), &inner = loop_at(inventory, 17);
  EXPECT_EQ(outer.kind, LoopKind::range_for);
  EXPECT_EQ(outer.function, "a::sum");
  EXPECT_EQ(outer.depth, 0);
  EXPECT_EQ(inner.depth, 1);
  EXPECT_EQ(inner.parent, outer.id);
  EXPECT_EQ(inner.trip_count, 3);
  EXPECT_FALSE(outer.trip_count);
  EXPECT_EQ(loop_at(inventory, 22).callee, "std::sort");
  EXPECT_EQ(loop_at(inventory, 24).trip_count, 5);
  EXPECT_EQ(loop_at(inventory, 24).function, "a::Sorter::operator()");
}

TEST(Inventory, SaysWhatTheCompilerMadeOfThem) {
  Package package;
  package.add("loops.cpp", loops);
  const Inventory inventory = inventory_of(package);
  EXPECT_EQ(inventory.compilers, std::vector<std::string>{"g++"});
  const Loop &add = loop_at(inventory, 6), &find = loop_at(inventory, 10);
  ASSERT_EQ(add.verdicts.size(), 1U);
  EXPECT_GE(add.verdicts[0].vectorized, 1);  // the loop, and what remains at its end
  EXPECT_EQ(add.verdicts[0].bytes, 16);
  EXPECT_EQ(add.loop_class, LoopClass::vectorized);
  EXPECT_EQ(add.rule, "V2");
  ASSERT_EQ(find.verdicts.size(), 1U);
  EXPECT_EQ(find.verdicts[0].vectorized, 0);
  EXPECT_THAT(find.verdicts[0].reasons, testing::Not(testing::IsEmpty()));
  EXPECT_EQ(find.loop_class, LoopClass::todo);
}

TEST(Inventory, AsksClangForASecondOpinion) {
  if (std::system("clang++ --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no clang++ here";
  Package package;
  // The second flag is g++'s alone.
  package.add("loops.cpp", loops, {"-march=x86-64-v3", "-fconserve-stack"});
  const Outcome outcome = test::run_program(package.path(), "--build . --outdir out");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  EXPECT_EQ(inventory.compilers, (std::vector<std::string>{"g++", "clang++"}));
  const Loop& add = loop_at(inventory, 6);
  ASSERT_EQ(add.verdicts.size(), 2U);
  EXPECT_EQ(add.verdicts[0].compiler, "clang++");
  EXPECT_EQ(add.verdicts[0].target, "x86-64-v3");
  EXPECT_EQ(add.verdicts[0].width, 8);
  EXPECT_GE(add.verdicts[0].interleave, 1);
  EXPECT_EQ(add.verdicts[1].bytes, 32);
  EXPECT_EQ(loop_at(inventory, 22).kind, LoopKind::algorithm);
}

TEST(Inventory, SeesVectorTypesAlsoBehindClassesAliasesAndTemplates) {
  Package package;
  package.add("simd.cpp", R"(#include <immintrin.h>
template <class R, int K> struct Lanes { R part[K]; };
template <int K> using Singles = Lanes<__m128, K>;
struct Plain { float x; };
template <class R, int K> struct Adder {
  Lanes<R, K> sum;
  void add(const Singles<K>& more) {
    for (int i = 0; i < K; ++i) sum.part[i] += more.part[i];
  }
};
template <int K> void generic(const Singles<K>* from, Singles<K>& to, int n) {
  for (int i = 0; i < n; ++i) { const Singles<K> copy = from[i]; to = copy; }
}
void intrinsics(float* x, int n) {
  for (int i = 0; i < n; i += 4) _mm_storeu_ps(x + i, _mm_setzero_ps());
}
void plain(Plain* p, int n) {
  for (int i = 0; i < n; ++i) p[i].x = 1;
}
)");
  const Inventory inventory = inventory_of(package);
  for (const int line : {8, 12, 15}) EXPECT_TRUE(loop_at(inventory, line).explicit_simd) << line;
  EXPECT_FALSE(loop_at(inventory, 18).explicit_simd);
  EXPECT_EQ(loop_at(inventory, 8).rule, "V1");
}

TEST(Inventory, LoopsThatAMacroMakesAreOne) {
  test::Package package;
  package.add("macros.cpp", R"(#define OVER for (int i = 0; i < n; ++i) for (int j = 0; j < n; ++j)
#define RUN(...) __VA_ARGS__
void first(float* a, int n) { OVER a[i * n + j] += 1; }
void second(float* a, int n) {
  RUN(for (int i = 0; i < n; ++i) for (int j = 0; j < n; ++j) a[i * n + j] += 2;)
}
)");
  const Inventory inventory = inventory_of(package);
  ASSERT_EQ(inventory.loops.size(), 2U);
  for (const Loop& loop : inventory.loops) {
    EXPECT_EQ(loop.parent, "");
    EXPECT_EQ(loop.loop_class, LoopClass::vectorized) << loop.header;
  }
}

TEST(Inventory, ApostrophesInNumbersEndNoHeader) {
  test::Package package;
  package.add("digits.cpp", R"(void fill(float* a) {
  for (int i = 0; i < 10'000; ++i) a[i] = ')';
}
char quote = '(';
)");
  const Loop loop = loop_at(inventory_of(package), 2);
  EXPECT_EQ(loop.header, "for (int i = 0; i < 10'000; ++i)");
  EXPECT_EQ(loop.trip_count, 10000);
}

TEST(Inventory, TurnsThatDifferFromOneCompilationToTheNextAreNotConstant) {
  test::Package package;
  const std::string text = R"(void fill(float* a) {
  for (int i = 0; i < LANES; ++i) a[i] = 1;
  for (int i = 0; i < 7; ++i) a[i] = 2;
}
)";
  package.add("lanes.cpp", text, {"-DLANES=4"});
  package.add("lanes.cpp", text, {"-DLANES=100"});
  const Inventory inventory = inventory_of(package);
  EXPECT_EQ(loop_at(inventory, 2).trip_count, std::nullopt);
  EXPECT_EQ(loop_at(inventory, 3).trip_count, 7);
}

TEST(Inventory, KnowsASourceThatIsCompiledForSeveralInstructionSets) {
  Package package;
  const char* text = R"(
namespace engine { namespace N_TARGET {
void scale(float* x, int n) {
  for (int i = 0; i < n; ++i) x[i] *= 2;
}
} }
)";
  // The same file with other flags each time, like the copies of a kernel
  package.add("kernel.hpp", text);
  package.add("one.cpp", "#define N_TARGET N_SSE4\n#include \"kernel.hpp\"\n");
  package.add("two.cpp", "#define N_TARGET N_AVX2\n#include \"kernel.hpp\"\n", {"-mavx2"});
  const Inventory inventory = inventory_of(package);
  ASSERT_EQ(inventory.loops.size(), 1U);
  const Loop& loop = inventory.loops[0];
  EXPECT_EQ(loop.function, "engine::scale");
  EXPECT_EQ(loop.targets, (std::vector<std::string>{"N_AVX2", "N_SSE4"}));
  ASSERT_EQ(loop.verdicts.size(), 2U);
  EXPECT_EQ(loop.verdicts[0].target, "N_AVX2");
  EXPECT_EQ(loop.verdicts[0].bytes, 32);
  EXPECT_EQ(loop.verdicts[1].bytes, 16);
}

TEST(Inventory, FindsTheSpansOfATrace) {
  Package package;
  package.add("spans.cpp", R"(struct Stage { Stage(int*, const char*) {} };
void run(int* profile) {
  {
    const Stage stage(profile, "read ");
    ++*profile;
  }
}
)");
  test::write_file(package.path() / "notes.yaml", "span_types: [Stage]\n");
  const Inventory inventory = inventory_of(package, "--annotations notes.yaml");
  EXPECT_EQ(inventory.spans, (std::vector<TraceSpan>{{"read ", "src/spans.cpp", 4, 6}}));
}

TEST(Inventory, WritesAsciiOnlyAndWhatItRan) {
  Package package;
  package.add("a.cpp", "void f(int n) {\n  for (const char* s = \"\xc3\xa9\"; n; --n) ++s;\n}\n");
  inventory_of(package);
  for (const char* name : {"loop_inventory.json", "loop_inventory.md", "commands.txt", "env.json"})
    for (const char c : read_file(package.path() / "out" / name))
      ASSERT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << name;
  EXPECT_THAT(read_file(package.path() / "out/commands.txt"), HasSubstr("-fopt-info-vec-all="));
  EXPECT_THAT(read_file(package.path() / "out/loop_inventory.md"), HasSubstr("| src |"));
}

TEST(Inventory, IsReadBackAsItWasWritten) {
  Package package;
  package.add("loops.cpp", loops);
  const Inventory inventory = inventory_of(package);
  const auto copy = package.path() / "copy.json";
  test::write_file(copy, to_json(inventory));
  EXPECT_EQ(read_inventory(copy), inventory);
}

TEST(Inventory, ReadsTheCompilersRecordsAgainOnlyWhenASourceChanged) {
  Package package;
  package.add("a.hpp",
              "inline void f(float* x, int n) { for (int i = 0; i < n; ++i) x[i] = 1; }\n");
  package.add("a.cpp", "#include \"a.hpp\"\nvoid g(float* x, int n) { f(x, n); }\n");
  const Inventory before = inventory_of(package);
  EXPECT_EQ(before.loops.at(0).loop_class, LoopClass::vectorized);
  const auto folder = package.path() / "vectorization-records";
  std::filesystem::path record;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".vec") record = entry.path();
  const auto made = std::filesystem::last_write_time(record);
  inventory_of(package);
  EXPECT_EQ(std::filesystem::last_write_time(record), made);
  package.add(
      "a.hpp",
      "inline void f(volatile float* x, int n) { for (int i = 0; i < n; ++i) x[i] = 1; }\n");
  std::filesystem::last_write_time(package.path() / "src/a.hpp", made + std::chrono::seconds(1));
  EXPECT_NE(inventory_of(package).loops.at(0).loop_class, LoopClass::vectorized);
}

TEST(Inventory, DoesNotBelieveABuildThatIsOlderThanItsSource) {
  Package package;
  package.add("a.cpp",
              "void f(volatile float* x, int n) {\n  for (int i = 0; i < n; ++i) x[i] = 1;\n}\n",
              {"-fopt-info-vec-optimized-missed=a.vec"});
  const auto source = package.path() / "src/a.cpp", record = package.path() / "a.vec";
  test::write_file(record,
                   source.string() + ":2:21: optimized: loop vectorized using 16 byte vectors\n");
  EXPECT_EQ(inventory_of(package).loops.at(0).rule, "V2");
  std::filesystem::last_write_time(
      record, std::filesystem::last_write_time(source) - std::chrono::seconds(1));
  EXPECT_NE(inventory_of(package).loops.at(0).rule, "V2");
}

TEST(Inventory, ExitsWithThreeForALoopToDoThatNobodyExplained) {
  Package package;
  package.add("loops.cpp", loops);
  const Outcome open = package.run("--fail-on todo");
  EXPECT_EQ(open.exit_code, 3);
  EXPECT_THAT(open.out, HasSubstr("to do: src/loops.cpp:10: while"));
  test::write_file(package.path() / "notes.yaml",
                   "loops: [{id: 'src/loops.cpp:a::*', class: todo, reason: next month}]\n");
  EXPECT_EQ(package.run("--fail-on todo --annotations notes.yaml").exit_code, 0);
}

TEST(Inventory, ExitsWithThreeForLostVectorisationInAHotLoop) {
  Package package;
  package.add("a.cpp", "void f(float* x, int n) {\n  for (int i = 0; i < n; ++i) x[i] *= 2;\n}\n");
  inventory_of(package);
  std::filesystem::rename(package.path() / "out/loop_inventory.json", package.path() / "old.json");
  const std::string compare = "--compare old.json --fail-on lost";
  EXPECT_EQ(package.run(compare).exit_code, 0);
  package.add("a.cpp",
              "// longer\nvoid f(float* x, int n) {\n"
              "  for (int i = 0; i < n; ++i) x[i] = i > 0 ? x[i - 1] * 2 : 0;\n}\n");
  const Outcome lost = package.run(compare);
  EXPECT_EQ(lost.exit_code, 3);
  EXPECT_THAT(lost.out, HasSubstr("src/a.cpp:f:for:1"));
  EXPECT_THAT(lost.out, testing::EndsWith(read_file(package.path() / "out/changes.md")));
  // Where others are the hot ones, this one may go.
  const std::string
      head = "module,line,loop_id,percent_inclusive,percent_self,call_count,class,notes\n";
  test::write_file(package.path() / "cold.csv", head + "src,2,src/b.cpp:g:for:1,50,50,1,todo,\n");
  EXPECT_EQ(package.run(compare + " --hot cold.csv").exit_code, 0);
  test::write_file(package.path() / "hot.csv", head + "src,2,src/a.cpp:f:for:1,50,50,1,todo,\n");
  EXPECT_EQ(package.run(compare + " --hot hot.csv").exit_code, 3);
  EXPECT_EQ(package.run("--fail-on lost").exit_code, 1);
}

constexpr const char*
    doubling = "void f(float* x, int n) {\n  for (int i = 0; i < n; ++i) x[i] *= 2;\n}\n";

TEST(Inventory, ListsWhatItCouldReadAndNamesTheSourcesThatItCouldNot) {
  Package package;
  package.add("good.cpp", doubling);
  package.add("bad.cpp", "int a;\nint b = c;\n");
  package.compile("gone.cpp", {"g++", "-O3"});
  const Outcome outcome = package.run();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("not read: src/bad.cpp: "));
  EXPECT_THAT(outcome.err, HasSubstr("bad.cpp:2: use of undeclared identifier 'c'"));
  EXPECT_THAT(outcome.err, HasSubstr("not read: src/gone.cpp: does not exist"));
  EXPECT_THAT(outcome.out, HasSubstr("1 loops in 1 sources"));
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  EXPECT_EQ(loop_at(inventory, 2).loop_class, LoopClass::vectorized);
  ASSERT_EQ(inventory.unread.size(), 2U);
  EXPECT_EQ(inventory.unread[0].file, "src/bad.cpp");
  EXPECT_EQ(inventory.unread[1], (Unread{"src/gone.cpp", "does not exist"}));
  const std::string table = read_file(package.path() / "out/loop_inventory.md");
  EXPECT_THAT(table, HasSubstr("- src/gone.cpp: does not exist\n"));
}

TEST(Inventory, ExitsWithTwoWhereNoSourceCanBeRead) {
  Package package;
  package.add("bad.cpp", "int a;\nint b = c;\n");
  package.compile("gone.cpp", {"g++", "-O3"});
  const Outcome outcome = package.run();
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("none of the sources could be read"));
  EXPECT_THAT(outcome.err, HasSubstr("bad.cpp:2: use of undeclared identifier 'c'"));
  EXPECT_TRUE(std::filesystem::is_empty(package.path() / "out"));
}

TEST(Inventory, ReadsCAndCxxOfOneBuildEachAsWhatItIs) {
  if (std::system("clang++ --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no clang++ here";
  Package package;
  // Not C++: a word of it is a name, and a pointer to anything becomes one to float.
  package.add("plain.c",
              "#include <stdlib.h>\nfloat* f(int n) {\n  float* new = malloc(n * sizeof(float));\n"
              "  for (int i = 0; i < n; ++i) new[i] = i;\n  return new;\n}\n");
  package.compile("plain.c", {"gcc", "-std=c11", "-O3"});
  package.add("good.cpp", doubling);
  // C++ by the name of the compiler
  package.add("other.c",
              "template <class T> void f(T* x) {\n  for (int i = 0; i < 64; ++i) x[i] *= 2;\n}\n"
              "template void f(float*);\n");
  package.compile("other.c", {"g++", "-O3"});
  const Outcome outcome = test::run_program(package.path(), "--build . --outdir out");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("not read")));
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  ASSERT_EQ(inventory.loops.size(), 3U);
  EXPECT_EQ(inventory.compilers, (std::vector<std::string>{"g++", "clang++"}));
  for (const Loop& loop : inventory.loops) EXPECT_EQ(loop.verdicts.size(), 2U) << loop.id;
}

TEST(Inventory, SurvivesCudaSourcesAndCompilersThatAreNotHere) {
  Package package;
  package.add(
      "kernel.cu",
      "__global__ void f(float* x, int n) {\n  for (int i = 0; i < n; ++i) x[i] *= 2;\n}\n");
  package.compile("kernel.cu", {"nvcc-that-is-not-here", "-forward-unknown-to-host-compiler", "-O3",
                                "-std=c++17", "--generate-code=arch=compute_80,code=[sm_80]",
                                "-Xcompiler=-Wall", "-x", "cu"});
  package.add("good.cpp", doubling);
  package.add("lost.cpp", doubling);
  package.compile("lost.cpp", {"no-such-compiler", "-O3"});
  const Outcome outcome = package.run();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("nvcc-that-is-not-here"));
  EXPECT_THAT(outcome.err, HasSubstr("not read: src/kernel.cu: "));
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  EXPECT_EQ(inventory.compilers, std::vector<std::string>{"g++"});
  ASSERT_EQ(inventory.loops.size(), 2U);
  EXPECT_EQ(inventory.loops[0].verdicts.size(), 1U);
  ASSERT_EQ(inventory.unread.size(), 1U);
  EXPECT_EQ(inventory.unread[0].file, "src/kernel.cu");
}

TEST(Inventory, TakesTheCompilerOfMostSourcesForTheBuilds) {
  if (std::system("clang++ --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no clang++ here";
  Package package;
  package.add("other.cc", doubling);
  package.compile("other.cc", {"clang++", "-O1"});
  package.add("a.cpp", doubling);
  package.add("b.cpp", doubling);
  EXPECT_EQ(test::run_program(package.path(), "--build . --outdir out").exit_code, 0);
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  EXPECT_EQ(inventory.compilers, (std::vector<std::string>{"g++", "clang++"}));
  ASSERT_EQ(inventory.loops.size(), 3U);
  EXPECT_EQ(inventory.loops[0].rule, "V2");
  EXPECT_EQ(inventory.loops[0].verdicts.size(), 2U);
  EXPECT_EQ(inventory.loops[2].verdicts.size(), 1U);  // not asked twice
}

TEST(Inventory, NamesTheSourcesThatOneOfTheCompilersDoesNotCompile) {
  if (std::system("clang++ --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no clang++ here";
  Package package;
  package.add("a.cpp",
              std::string("#ifndef __clang__\nint x = no_such_name;\n#endif\n") + doubling);
  const Outcome outcome = test::run_program(package.path(), "--build . --outdir out");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err,
              HasSubstr("not read: src/a.cpp: is not compiled by g++; its messages are in "));
  const Inventory inventory = read_inventory(package.path() / "out/loop_inventory.json");
  ASSERT_EQ(inventory.loops.size(), 1U);
  ASSERT_EQ(inventory.loops[0].verdicts.size(), 1U);
  EXPECT_EQ(inventory.loops[0].verdicts[0].compiler, "clang++");
}

TEST(Inventory, ExitsWithThreeForALossThatCannotBeSeenBecauseTheSourceIsNotRead) {
  Package package;
  package.add("a.cpp", doubling);
  package.add("b.cpp", "int b;\n");
  inventory_of(package);
  std::filesystem::rename(package.path() / "out/loop_inventory.json", package.path() / "old.json");
  package.add("b.cpp", "int b = c;\n");
  EXPECT_EQ(package.run("--compare old.json --fail-on lost").exit_code, 0);
  package.add("a.cpp", "int a = c;\nint b;\n");
  package.add("b.cpp", "int b;\n");
  EXPECT_EQ(package.run("--compare old.json --fail-on lost").exit_code, 3);
}

TEST(Inventory, ExitsWithOneForArgumentsThatItDoesNotKnow) {
  Package package;
  package.add("a.cpp", "int a;\n");
  EXPECT_EQ(package.run("--no-such").exit_code, 1);
  EXPECT_EQ(package.run("--package lib").exit_code, 1);
  EXPECT_EQ(package.run("--second-opinion no-such-compiler").exit_code, 1);
  EXPECT_EQ(test::run_program(package.path(), "--build .").exit_code, 1);
  EXPECT_EQ(test::run_program(package.path(), "--help").exit_code, 0);
}

TEST(Inventory, ExitsWithTwoWithoutACompilationDatabase) {
  Package package;
  std::filesystem::create_directory(package.path() / "src");
  const Outcome outcome = package.run();
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("compile_commands.json: does not exist; let the build write"));
}

TEST(InventoryFile, OfAnotherKindOrVersionIsRefused) {
  const test::TempDir dir;
  EXPECT_THAT(message_of<InputError>([&] { read_inventory(dir.file("a", "[]")); }),
              HasSubstr("is no loop inventory"));
  EXPECT_THAT(message_of<InputError>([&] { read_inventory(dir.file("a", "{")); }),
              HasSubstr("is no complete loop inventory"));
  EXPECT_THAT(
      message_of<InputError>([&] {
        read_inventory(dir.file("a", R"({"schema":"nablabragg-loop-inventory","version":99})"));
      }),
      HasSubstr("another version"));
  EXPECT_THAT(message_of<InputError>([&] { read_inventory(dir / "none"); }),
              HasSubstr("none: No such file or directory"));
}

}  // namespace
}  // namespace nablabragg::inventory
