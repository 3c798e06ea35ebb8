#include "inventory/perf_script.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include "inventory/text.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

struct Reader {
  io::Lines lines;
  const std::string& file;
  Profile profile;
  std::unordered_map<std::string, int> functions;
  ChainSample sample;
  bool in_sample = false;

  [[noreturn]] void fail(const std::string& problem) const {
    throw InputError(file, lines.number(), problem);
  }

  Profile read() {
    profile.kind = ProfileKind::samples;
    while (lines.next()) {
      const std::string_view line = lines.line();
      if (line.starts_with('#')) continue;
      if (line.find_first_not_of(" \t") == std::string_view::npos)
        finish();
      else if (line.front() == ' ' || line.front() == '\t')
        indented(line);
      else
        header(line);
    }
    finish();
    if (profile.samples.empty()) fail("holds no samples; perf script prints them");
    return std::move(profile);
  }

  void finish() {
    if (in_sample && sample.frames.empty())
      fail("ends a sample without a call chain; perf record needs -g");
    if (in_sample) profile.samples.push_back(std::move(sample));
    sample = {};
    in_sample = false;
  }

  /// perf right-aligns the program's name, so that short ones begin with blanks, too.
  void indented(std::string_view line) {
    if (in_sample)
      frame(line);
    else
      header(line);
  }

  /// "name  1234 5678.910:   250000 cycles:u: ": what stands between is as perf was asked.
  void header(std::string_view line) {
    finish();
    while (line.ends_with(' ')) line.remove_suffix(1);
    if (!line.ends_with(':')) fail("is no sample with a call chain: " + io::in_quotes(line));
    line.remove_suffix(1);
    std::string_view event, before;
    for (std::string_view word = io::next_word(line); !word.empty(); word = io::next_word(line)) {
      before = event;
      event = word;
    }
    sample.cost = io::parse_number<double>(before).value_or(1);
    if (profile.unit.empty()) profile.unit = event;
    if (profile.unit != event)
      fail("counts " + io::in_quotes(event) + " beside " + io::in_quotes(profile.unit) +
           ", which have no sum; perf record -e takes one of them");
    in_sample = true;
  }

  /// "55d0b3c5 function(int)+0x12 (/path/program)"
  void frame(std::string_view line) {
    std::string_view rest = line;
    const std::optional<std::uint64_t> address = hexadecimal(io::next_word(rest));
    const std::size_t open = rest.rfind(" (");
    if (!address || open == std::string_view::npos || !rest.ends_with(')'))
      fail("is no frame of a call chain: " + io::in_quotes(line));
    const std::string_view object = rest.substr(open + 2, rest.size() - open - 3);
    // perf's own view of inlined code; we have the debugger's
    if (object == "inlined") return;
    std::string_view name = rest.substr(0, open);
    while (name.starts_with(' ')) name.remove_prefix(1);
    std::optional<std::uint64_t> offset;
    if (const std::size_t plus = name.rfind("+0x"); plus != std::string_view::npos) {
      offset = hexadecimal(name.substr(plus + 1));
      if (offset) name = name.substr(0, plus);
    }
    if (offset && *offset > *address) fail("has an offset that is larger than its address");
    const int object_number = profile.objects.number(object);
    const std::string key = std::string(name) + ' ' + std::to_string(object_number);
    const auto [at, is_new] = functions.try_emplace(key,
                                                    static_cast<int>(profile.functions.size()));
    if (is_new)
      profile.functions.push_back(
          {std::string(name), object_number, offset ? *address - *offset : 0});
    profile.has_addresses = true;
    // A caller's address is the one after its call.
    const std::uint64_t within = *address - (sample.frames.empty() || *address == 0 ? 0 : 1);
    sample.frames.push_back({at->second, {object_number, within, -1, 0}});
  }
};

}  // namespace

Profile parse_perf_script(std::string_view text, const std::string& file) {
  return Reader{io::Lines(text), file, {}, {}, {}, false}.read();
}

}  // namespace nablabragg::inventory
