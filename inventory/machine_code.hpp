// What instructions of a program are, and from which source lines they come, inlined ones with
// all the functions around them.  binutils' addr2line, nm and objdump read the program.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "inventory/profile.hpp"  // for Names

namespace nablabragg::inventory {

enum class Operation { packed, scalar_float, scalar_double, other };

/// Of an instruction as objdump writes it: "vaddps", "%ymm1,%ymm2,%ymm3".  Copies between
/// registers and bitwise logic of 16 bytes count as other: scalar code uses them, too.
Operation operation_of(std::string_view mnemonic, std::string_view operands);

struct InlineFrame {
  int function = 0;  ///< of MachineCode::functions, as the linker names it
  int file = 0;      ///< of MachineCode::files
  int line = 0;      ///< 0: not known
};

struct MachineCode {
  Names files, functions;
  std::unordered_map<std::uint64_t, std::vector<InlineFrame>> stacks;  ///< the innermost first
  std::unordered_map<std::uint64_t, Operation> operations;
};

/// Addresses are the file's own.  Throws InputError when the tools cannot be had.
MachineCode read_machine_code(const std::string& program, std::span<const std::uint64_t> addresses);

/// By which the profile's addresses within `object` are larger than those in the program's file:
/// where most of the functions that both name say so.  Nothing if they name none.
std::optional<std::int64_t> load_offset(const std::string& program, const Profile& profile,
                                        int object);

/// What addr2line -a -f -i prints.  Throws InputError, naming `program`.
void parse_addr2line(std::string_view text, const std::string& program, MachineCode& code);

/// What objdump -d --no-show-raw-insn prints; keeps the instructions that `code.stacks` has.
void parse_objdump(std::string_view text, MachineCode& code);

/// Difference that most of the pairs (seen, in the file) have.
std::optional<std::int64_t> most_frequent_difference(
    std::span<const std::pair<std::uint64_t, std::uint64_t>> pairs);

/// For reading; the name itself where it is none of C++.
std::string demangled(const std::string& name);

}  // namespace nablabragg::inventory
