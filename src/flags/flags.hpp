// The one table of flags: it parses the command line and makes -help and docs/flags.md.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "flags/request.hpp"

namespace nablabragg::flags {

/// The arguments after a flag, read as what the flag needs.  Every failure is a UsageError that
/// names the flag.
class Values {
 public:
  /// `unit`: what the numbers are in, as a multiple of the flag's own unit.
  Values(std::string_view flag, std::span<const std::string> arguments, double unit = 1)
      : flag_(flag), arguments_(arguments), unit_(unit) {}
  std::string_view flag() const { return flag_; }
  int count() const { return static_cast<int>(arguments_.size()); }
  const std::string& text(int i) const { return arguments_[static_cast<std::size_t>(i)]; }
  double real(int i) const;
  int whole(int i) const;
  std::int64_t seed(int i) const;
  Vec3d vector() const { return {real(0), real(1), real(2)}; }
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  std::string_view flag_;
  std::span<const std::string> arguments_;
  double unit_;
};

enum class Match {
  prefix,  ///< the argument begins with the flag's text
  exact,   ///< the argument is the flag's text
  own  ///< the same, of a flag that nanoBragg does not have: it must not take it for another one
};

inline constexpr std::string_view any_word = "*";

struct Flag {
  std::string_view group;
  std::vector<std::string_view> spellings;
  Match match;
  std::string_view values;  ///< as shown in the help: "mm", "x y z", "FILE"
  int fewest, most;         ///< how many arguments it takes
  std::string_view standard;
  std::string_view help;
  void (*apply)(Request&, const Values&);
  std::string_view optional_value = {};  ///< not empty: the only text that an optional value may
                                         ///< be, or any_word; empty: a number
};

/// A flag as it was given, with its values.
struct FlagUse {
  const Flag* flag;
  std::span<const std::string> values;
  std::string spelling;
};

std::span<const Flag> flag_table();

/// The flag that an argument means: an exact spelling, else the longest that it begins with.  Null:
/// none.
const Flag* find_flag(std::string_view argument);

/// A finite number and nothing else.
bool is_number(const std::string& text);

/// A word whose first character only looks like a minus, with a minus there.
std::string with_plain_dash(const std::string& word);

/// The spelling that was most likely meant: the only flag that begins so, else the one with fewest
/// changes; empty when none is near.
std::string_view nearest_spelling(std::string_view argument);

/// "; did you mean -lambda?", or where all flags are listed: the end of a sentence about a word
/// that is no flag.
std::string suggestion(std::string_view argument);

}  // namespace nablabragg::flags
