// What instructions are, and where they come from.
#include "inventory/machine_code.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "instruments/child_process.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::inventory {
namespace {

TEST(Operations, OfVectorsArePacked) {
  for (const auto& [mnemonic, operands] : {std::pair{"vaddps", "%ymm1,%ymm2,%ymm3"},
                                           {"mulpd", "(%rax),%xmm1"},
                                           {"vpaddd", "%ymm1,%ymm2,%ymm3"},
                                           {"vbroadcastss", "(%rax),%ymm0"},
                                           {"vfmadd231ps", "%zmm1,%zmm2,%zmm3"},
                                           {"vgatherdps", "%ymm1,(%rax,%ymm2,4),%ymm3"},
                                           {"cvtdq2ps", "%xmm0,%xmm1"},
                                           {"vmovups", "%ymm0,(%rdi)"},
                                           {"movaps", "(%rax),%xmm3"},
                                           {"vandps", "%ymm1,%ymm2,%ymm3"},
                                           {"vcmpltps", "%ymm1,%ymm2,%ymm3"},
                                           {"vextractf128", "$0x1,%ymm0,%xmm1"}})
    EXPECT_EQ(operation_of(mnemonic, operands), Operation::packed) << mnemonic;
}

TEST(Operations, OnOneNumberAreScalar) {
  for (const auto& [mnemonic, operands] : {std::pair{"addss", "%xmm1,%xmm2"},
                                           {"vfmadd213ss", "%xmm1,%xmm2,%xmm3"},
                                           {"cvtsi2ss", "%eax,%xmm0"},
                                           {"cvttss2si", "%xmm0,%eax"},
                                           {"ucomiss", "%xmm0,%xmm1"},
                                           {"cvtsd2ss", "%xmm0,%xmm1"}})
    EXPECT_TRUE(operation_of(mnemonic, operands) == Operation::scalar_float ||
                operation_of(mnemonic, operands) == Operation::scalar_double)
        << mnemonic;
  EXPECT_EQ(operation_of("vmulsd", "%xmm1,%xmm2,%xmm3"), Operation::scalar_double);
  EXPECT_EQ(operation_of("cvttsd2si", "%xmm0,%eax"), Operation::scalar_double);
}

TEST(Operations, ThatScalarCodeUsesOnWholeRegistersCountAsOther) {
  for (const auto& [mnemonic, operands] : {std::pair{"pxor", "%xmm0,%xmm0"},
                                           {"movaps", "%xmm0,%xmm1"},
                                           {"andps", "(%rax),%xmm1"},
                                           {"movq", "%rax,%xmm0"},
                                           {"add", "%eax,%ebx"},
                                           {"push", "%rbp"},
                                           {"jne", "4010"},
                                           {"popcnt", "%rax,%rbx"},
                                           {"vzeroupper", ""}})
    EXPECT_EQ(operation_of(mnemonic, operands), Operation::other) << mnemonic;
}

TEST(MachineCode, HasAllFunctionsThatAnInstructionIsInlinedInto) {
  MachineCode code;
  parse_addr2line(
      "0x0000000000001040\n_ZN4lane3addEv\n/src/lane.hpp:12 (discriminator 3)\n"
      "kernel\n/src/kernel.cpp:40\n0x0000000000001050\n??\n??:?\n",
      "program", code);
  const std::vector<InlineFrame>& stack = code.stacks.at(0x1040);
  ASSERT_EQ(stack.size(), 2U);
  EXPECT_EQ(code.files[stack[0].file], "/src/lane.hpp");
  EXPECT_EQ(stack[0].line, 12);
  EXPECT_EQ(code.functions[stack[1].function], "kernel");
  EXPECT_EQ(code.stacks.at(0x1050).at(0).line, 0);
  EXPECT_EQ(demangled(code.functions[stack[0].function]), "lane::add()");

  parse_objdump(
      "\nprogram:     file format elf64-x86-64\n\n0000000000001040 <kernel>:\n"
      "    1040:\tvaddps %ymm1,%ymm0,%ymm0\n    1044:\tret\n    1050:\trep stos %al,%es:(%rdi)\n",
      code);
  EXPECT_EQ(code.operations.at(0x1040), Operation::packed);
  EXPECT_EQ(code.operations.at(0x1050), Operation::other);
  EXPECT_FALSE(code.operations.contains(0x1044));
}

TEST(MachineCode, IsReadFromAProgram) {
  const test::TempDir folder;
  const std::string source = folder.file("sum.cpp",
                                         "static inline float twice(float x) {\n"
                                         "  return x * x;\n"
                                         "}\n"
                                         "extern \"C\" float work(float x) {\n"
                                         "  return twice(x);\n"
                                         "}\n"
                                         "int main() { return work(2) < 0; }\n");
  const std::string program = folder / "sum";
  instruments::ChildCommand compile;
  compile.arguments = {"g++", "-g", "-O1", "-fno-ipa-icf", "-o", program, source};
  compile.directory = folder.path().string();
  if (instruments::run_child(compile).exit_code != 0) GTEST_SKIP() << "g++ is not there";
  const auto symbols = [&] {
    instruments::ChildCommand nm;
    nm.arguments = {"nm", program};
    nm.directory = folder.path().string();
    nm.out_file = "symbols";
    return instruments::run_child(nm).exit_code == 0 ? folder.content("symbols") : std::string();
  }();
  const std::size_t at = symbols.find(" T work\n");
  ASSERT_NE(at, std::string::npos);
  const std::uint64_t address = std::stoull(symbols.substr(at - 16, 16), nullptr, 16);

  const std::vector<std::uint64_t> addresses{address};
  const MachineCode code = read_machine_code(program, addresses);
  const std::vector<InlineFrame>& stack = code.stacks.at(address);
  EXPECT_EQ(code.files[stack.back().file], source);
  EXPECT_GE(stack.back().line, 4);
  EXPECT_TRUE(code.operations.contains(address));

  constexpr std::uint64_t loaded_at = 0x7f0000000000;
  Profile profile;
  profile.functions = {{"work", 0, 0}, {"elsewhere", 0, 0}};
  profile.costs = {{0, {0, loaded_at + address + 4, -1, 0}, 1},
                   {0, {0, loaded_at + address, -1, 0}, 1}};
  EXPECT_EQ(load_offset(program, profile, 0), static_cast<std::int64_t>(loaded_at));
  EXPECT_THAT(test::message_of<InputError>([&] { read_machine_code(source, addresses); }),
              testing::HasSubstr("addr2line failed: "));
}

TEST(MachineCode, RefusesWhatAddr2lineDoesNotPrint) {
  MachineCode code;
  EXPECT_THAT(test::message_of<InputError>([&] { parse_addr2line("main\n", "program", code); }),
              testing::HasSubstr("program: addr2line"));
}

TEST(MachineCode, IsLoadedWhereMostOfItsFunctionsAre) {
  using Pairs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  EXPECT_EQ(most_frequent_difference(Pairs{{0x9100, 0x100}, {0x9200, 0x200}, {0x9310, 0x300}}),
            0x9000);
  EXPECT_EQ(most_frequent_difference(Pairs{{0x100, 0x900}}), -0x800);
  EXPECT_EQ(most_frequent_difference({}), std::nullopt);
}

}  // namespace
}  // namespace nablabragg::inventory
