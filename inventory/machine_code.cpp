#include "inventory/machine_code.hpp"

#include <cxxabi.h>

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "inventory/text.hpp"
#include "inventory/tool_output.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

std::vector<std::uint64_t> sorted_once(std::span<const std::uint64_t> addresses) {
  std::vector<std::uint64_t> result(addresses.begin(), addresses.end());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

/// perf prints names without parameters.
std::string without_parameters(const std::string& name) {
  if (!name.ends_with(')')) return name;
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
    if (depth == 0) return name.substr(0, i);
  }
  return name;
}

/// Of the code in the program's file, by name as profilers print it.  Names that several have are
/// left out.
std::unordered_map<std::string, std::uint64_t> code_symbols(const std::string& program) {
  const WorkFolder folder;
  const std::string text = printed_by(folder, {"nm", "-C", "--defined-only", program});
  std::unordered_map<std::string, std::uint64_t> symbols;
  std::unordered_map<std::string, int> seen;
  io::Lines lines(text);
  while (lines.next()) {
    std::string_view rest = lines.line();
    const std::optional<std::uint64_t> address = hexadecimal(io::next_word(rest));
    const std::string_view type = io::next_word(rest);
    if (!address || type.size() != 1 || std::string_view("tTwWi").find(type) == std::string::npos)
      continue;
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    const std::string full(rest), plain = without_parameters(full);
    for (const std::string& name : std::set{full, plain}) {
      if (++seen[name] > 1)
        symbols.erase(name);
      else
        symbols[name] = *address;
    }
  }
  return symbols;
}

}  // namespace

Operation operation_of(std::string_view mnemonic, std::string_view operands) {
  const auto uses = [&](std::string_view registers) {
    return operands.find(registers) != std::string_view::npos;
  };
  const bool wide = uses("%ymm") || uses("%zmm");
  if (!wide && !uses("%xmm")) return Operation::other;
  std::string_view name = mnemonic;
  if (name.starts_with('v')) name.remove_prefix(1);
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (has("broadcast")) return Operation::packed;
  if (!wide) {
    for (const char* copy : {"movaps", "movapd", "movups", "movupd", "movdqa", "movdqu"})
      if (name == copy && !uses("(")) return Operation::other;
    for (const char* logic : {"xorps", "xorpd", "andps", "andpd", "andnps", "andnpd", "orps",
                              "orpd", "pxor", "pand", "pandn", "por"})
      if (name == logic) return Operation::other;
  }
  if (name.starts_with("cvt")) {
    if (has("sd2") || name.ends_with("2sd")) return Operation::scalar_double;
    if (has("ss2") || name.ends_with("2ss") || name.starts_with("cvtsi2ss"))
      return Operation::scalar_float;
    if (name.starts_with("cvtsi2sd")) return Operation::scalar_double;
    return Operation::packed;
  }
  if (name.ends_with("ss")) return Operation::scalar_float;
  if (name.ends_with("sd")) return Operation::scalar_double;
  if (name == "movd" || name == "movq") return Operation::other;
  if (name.ends_with("ps") || name.ends_with("pd")) return Operation::packed;
  // Single numbers into and out of vectors
  if (name.starts_with("pextr") || name.starts_with("pinsr")) return Operation::other;
  return Operation::packed;
}

void parse_addr2line(std::string_view text, const std::string& program, MachineCode& code) {
  io::Lines lines(text);
  std::vector<InlineFrame>* stack = nullptr;
  while (lines.next()) {
    const std::string_view line = lines.line();
    if (line.starts_with("0x")) {
      const std::optional<std::uint64_t> address = hexadecimal(line.substr(2));
      if (!address)
        throw InputError(program, 0, "addr2line printed no address: " + io::in_quotes(line));
      stack = &code.stacks[*address];
      stack->clear();
      continue;
    }
    const int function = code.functions.number(line);
    if (!stack || !lines.next())
      throw InputError(program, 0, "addr2line printed a function without its place");
    std::string_view place = lines.line();
    place = place.substr(0, place.find(" (discriminator"));
    const std::size_t colon = place.rfind(':');
    const int number = colon == std::string_view::npos
                           ? 0
                           : io::parse_number<int>(place.substr(colon + 1)).value_or(0);
    stack->push_back({function, code.files.number(place.substr(0, colon)), number});
  }
}

void parse_objdump(std::string_view text, MachineCode& code) {
  io::Lines lines(text);
  while (lines.next()) {
    const std::string_view line = lines.line();
    // "  4011a6:\tvaddps %ymm1,%ymm0,%ymm0"; a symbol's line has no tab
    const std::size_t tab = line.find(":\t");
    if (tab == std::string_view::npos) continue;
    std::string_view head = line.substr(0, tab), rest = line.substr(tab + 2);
    const std::optional<std::uint64_t> address = hexadecimal(io::next_word(head));
    if (!address || !code.stacks.contains(*address)) continue;
    std::string_view mnemonic = io::next_word(rest);
    for (const char* prefix : {"lock", "rep", "repz", "repnz", "bnd", "notrack", "data16"})
      if (mnemonic == prefix) mnemonic = io::next_word(rest);
    code.operations[*address] = operation_of(mnemonic, rest);
  }
}

std::optional<std::int64_t> most_frequent_difference(
    std::span<const std::pair<std::uint64_t, std::uint64_t>> pairs) {
  std::map<std::int64_t, int> votes;
  for (const auto& [seen, in_file] : pairs) ++votes[static_cast<std::int64_t>(seen - in_file)];
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == votes.end()) return std::nullopt;
  return most->first;
}

std::optional<std::int64_t> load_offset(const std::string& program, const Profile& profile,
                                        int object) {
  // A function that ran did so from its first instruction on.
  std::vector<std::uint64_t> first(profile.functions.size(), 0);
  for (std::size_t f = 0; f < first.size(); ++f) first[f] = profile.functions[f].address;
  for (const SelfCost& cost : profile.costs) {
    std::uint64_t& lowest = first[static_cast<std::size_t>(cost.function)];
    if (lowest == 0 || cost.place.address < lowest) lowest = cost.place.address;
  }
  const auto symbols = code_symbols(program);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs;
  for (std::size_t f = 0; f < first.size(); ++f) {
    const CodeFunction& function = profile.functions[f];
    const auto symbol = symbols.find(function.name);
    if (function.object == object && first[f] != 0 && symbol != symbols.end())
      pairs.emplace_back(first[f], symbol->second);
  }
  return most_frequent_difference(pairs);
}

MachineCode read_machine_code(const std::string& program,
                              std::span<const std::uint64_t> addresses) {
  MachineCode code;
  if (addresses.empty()) return code;
  const WorkFolder folder;
  const std::vector<std::uint64_t> wanted = sorted_once(addresses);
  {
    std::ofstream list(folder.path() / "addresses");
    for (const std::uint64_t address : wanted) list << fmt::format("{:#x}\n", address);
    if (!list.flush()) throw OutputError("cannot write in " + folder.path().string());
  }
  parse_addr2line(printed_by(folder, {"addr2line", "-a", "-f", "-i", "-e", program, "@addresses"}),
                  program, code);
  // The longest instruction has 15 bytes
  parse_objdump(
      printed_by(folder, {"objdump", "-d", "--no-show-raw-insn",
                          fmt::format("--start-address={:#x}", wanted.front()),
                          fmt::format("--stop-address={:#x}", wanted.back() + 16), program}),
      code);
  return code;
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return text ? text.get() : name;
}

}  // namespace nablabragg::inventory
