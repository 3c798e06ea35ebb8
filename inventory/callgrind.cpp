#include "inventory/callgrind.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

/// Both columns of `positions: instr line`; each may be missing from a file.
struct Position {
  std::uint64_t address = 0, line = 0;
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : lines_(text), file_(file) {
    profile_.kind = ProfileKind::calls;
  }

  Profile read() {
    while (lines_.next()) {
      std::string_view line = lines_.line();
      while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
      if (line.empty() || line.front() == '#') continue;
      const char first = line.front();
      if (first == '+' || first == '-' || first == '*' || (first >= '0' && first <= '9'))
        cost_line(line);
      else
        word_line(line);
    }
    if (profile_.unit.empty()) fail("holds no events: line; this is no complete callgrind file");
    if (after_ != After::cost) fail("ends within a call");
    double sum = 0;
    for (const SelfCost& cost : profile_.costs) sum += cost.cost;
    if (told_ > 0 && sum != told_)
      throw InputError(file_, 0,
                       fmt::format("holds costs of {:.0f}, not the {:.0f} that its summary: says; "
                                   "it is not complete",
                                   sum, told_));
    return std::move(profile_);
  }

 private:
  enum class After { cost, call, jump };

  [[noreturn]] void fail(const std::string& problem) const {
    throw InputError(file_, lines_.number(), problem);
  }

  void word_line(std::string_view line) {
    const std::size_t end = line.find_first_of("=:");
    if (end == std::string_view::npos) fail("is no line of a callgrind file: " + shown(line));
    const std::string_view key = line.substr(0, end);
    std::string_view value = line.substr(end + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (line[end] == ':')
      header(key, value);
    else
      entry(key, value);
  }

  void header(std::string_view key, std::string_view value) {
    if (key == "positions") {
      by_address_ = by_line_ = false;
      while (true) {
        const std::string_view word = io::next_word(value);
        if (word.empty()) break;
        if (word == "instr")
          by_address_ = true;
        else if (word == "line")
          by_line_ = true;
        else
          fail("knows no position " + shown(word) + "; there are instr and line");
      }
      profile_.has_addresses |= by_address_;
    } else if (key == "events") {
      const std::string_view word = io::next_word(value);
      if (word.empty()) fail("names no event");
      if (!profile_.unit.empty() && profile_.unit != word)
        fail("has another first event than the part before it");
      profile_.unit = word;
    } else if (key == "part") {
      last_ = {};
    } else if (key == "summary") {
      told_ += static_cast<double>(number(io::next_word(value)));
    }
  }

  void entry(std::string_view key, std::string_view value) {
    if (key == "fl" || key == "fi" || key == "fe") {
      at_file_ = file_number(value);
      if (key == "fl") function_file_ = at_file_;
    } else if (key == "fn") {
      at_file_ = function_file_;
      function_ = function_number(value, object_);
      callee_object_ = -1;
    } else if (key == "ob") {
      object_ = profile_.objects.number(name_of_id(value, object_names_));
    } else if (key == "cob") {
      callee_object_ = profile_.objects.number(name_of_id(value, object_names_));
    } else if (key == "cfi" || key == "cfl" || key == "jfi") {
      file_number(value);  // the name of a number may stand only here
    } else if (key == "cfn") {
      callee_ = function_number(value, callee_object_ >= 0 ? callee_object_ : object_);
      callee_object_ = -1;
    } else if (key == "calls") {
      if (callee_ < 0) fail("counts a call before cfn= says of what");
      call_count_ = static_cast<double>(number(io::next_word(value)));
      after_ = After::call;
    } else if (key == "jump" || key == "jcnd") {
      after_ = After::jump;
    } else if (key == "jfn" || key == "frfn") {
      name_of_id(value, function_names_);
    } else {
      fail("is no line of a callgrind file: " + shown(key));
    }
  }

  void cost_line(std::string_view line) {
    if (profile_.unit.empty()) fail("has a cost before the events: line");
    if (by_address_) last_.address = next_position(line, last_.address);
    if (by_line_) last_.line = next_position(line, last_.line);
    const std::string_view word = io::next_word(line);
    const double cost = word.empty() ? 0 : static_cast<double>(number(word));
    const After what = std::exchange(after_, After::cost);
    if (what == After::jump) return;
    if (function_ < 0) fail("has a cost before fn= says of what");
    const CodePlace place{object_, last_.address, at_file_, static_cast<int>(last_.line)};
    if (what == After::call) {
      profile_.calls.push_back({function_, place, callee_, call_count_, cost});
      callee_ = -1;
    } else {
      profile_.costs.push_back({function_, place, cost});
    }
  }

  std::uint64_t next_position(std::string_view& rest, std::uint64_t before) {
    const std::string_view word = io::next_word(rest);
    if (word.empty()) fail("lacks a position");
    if (word == "*") return before;
    if (word.front() == '+') return before + number(word.substr(1));
    if (word.front() == '-') {
      const std::uint64_t back = number(word.substr(1));
      if (back > before) fail("goes back to before the first position");
      return before - back;
    }
    return number(word);
  }

  std::uint64_t number(std::string_view word) const {
    const bool hex = word.starts_with("0x");
    const std::string_view digits = hex ? word.substr(2) : word;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                              hex ? 16 : 10);
    if (error != std::errc{} || end != digits.data() + digits.size())
      fail("expects a number where it says " + shown(word));
    return value;
  }

  using Ids = std::unordered_map<std::uint64_t, std::string>;

  /// "(7) text" names 7 and "(7)" uses it.
  std::string name_of_id(std::string_view value, Ids& ids) {
    const std::optional<std::uint64_t> id = take_id(value);
    if (!id) return std::string(value);
    if (!value.empty()) return ids[*id] = value;
    const auto found = ids.find(*id);
    if (found == ids.end()) fail(fmt::format("uses a number that no line has named: ({})", *id));
    return found->second;
  }

  std::optional<std::uint64_t> take_id(std::string_view& value) const {
    if (!value.starts_with('(')) return std::nullopt;
    const std::size_t close = value.find(')');
    // "(below main)" is a name
    if (close == std::string_view::npos || close == 1 || value[1] < '0' || value[1] > '9')
      return std::nullopt;
    const std::uint64_t id = number(value.substr(1, close - 1));
    value.remove_prefix(close + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    return id;
  }

  int file_number(std::string_view value) {
    return profile_.files.number(name_of_id(value, file_names_));
  }

  /// Functions of one name are told apart by their compression number.
  int function_number(std::string_view value, int object) {
    std::string_view rest = value;
    const std::optional<std::uint64_t> id = take_id(rest);
    const std::string name = name_of_id(value, function_names_);
    const std::string key = id ? fmt::format("({})", *id) : fmt::format("{} {}", object, name);
    const auto [at, is_new] = functions_.try_emplace(key,
                                                     static_cast<int>(profile_.functions.size()));
    if (is_new) profile_.functions.push_back({name, object, 0});
    return at->second;
  }

  static std::string shown(std::string_view text) { return io::in_quotes(text); }

  io::Lines lines_;
  const std::string& file_;
  Profile profile_;
  bool by_address_ = false, by_line_ = true;
  Ids file_names_, function_names_, object_names_;
  std::unordered_map<std::string, int> functions_;
  int object_ = -1, callee_object_ = -1, function_file_ = -1, at_file_ = -1;
  int function_ = -1, callee_ = -1;
  double call_count_ = 0, told_ = 0;
  Position last_;
  After after_ = After::cost;
};

}  // namespace

Profile parse_callgrind(std::string_view text, const std::string& file) {
  return Reader(text, file).read();
}

}  // namespace nablabragg::inventory
