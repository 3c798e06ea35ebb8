// Lists of reflections as text, a line each.  nanoBragg reads a stream of numbers and loses its
// step at a fifth column or a comment; here a line is a reflection or an error.
#include <cmath>
#include <limits>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

namespace {

/// Some programs write indices as reals, 1.0 for 1.
std::optional<int> parse_index(std::string_view word) {
  if (const auto whole = parse_number<int>(word)) return whole;
  const auto real = parse_number<double>(word);
  constexpr double most = std::numeric_limits<int>::max();
  if (!real || !(std::abs(*real) <= most) || *real != std::trunc(*real)) return std::nullopt;
  return static_cast<int>(*real);
}

}  // namespace

std::vector<Reflection> read_hkl(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<Reflection> reflections;
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    const auto refuse = [&](const std::string& problem) {
      throw InputError(path, lines.number(),
                       problem + " in " + in_quotes(lines.line()) +
                           "; expected: h k l F, with whole h, k, l and finite F");
    };
    std::string_view word = next_word(rest);
    if (word.empty()) continue;
    Reflection reflection{};
    for (std::size_t axis = 0; axis < 3; ++axis, word = next_word(rest)) {
      if (word.empty()) refuse("fewer than four columns");
      const std::optional<int> index = parse_index(word);
      if (!index) refuse(std::string(1, "hkl"[axis]) + " is no whole number that fits");
      // INT_MIN alone could not be negated.
      if (*index == std::numeric_limits<int>::min()) refuse("an index is too large");
      reflection.hkl[axis] = *index;
    }
    if (word.empty()) refuse("fewer than four columns");
    const std::optional<double> amplitude = parse_number<double>(word);
    if (!amplitude || !std::isfinite(*amplitude)) refuse("F is no finite number");
    reflection.amplitude = *amplitude;
    reflections.push_back(reflection);
  }
  if (reflections.empty()) throw InputError(path, 0, "holds no reflections");
  return reflections;
}

}  // namespace nablabragg::io
