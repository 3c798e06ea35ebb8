// Lists of reflections as text, a line each.  nanoBragg reads a stream of numbers and loses its
// step at a fifth column or a comment; here a line is a reflection or an error.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <exception>
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

/// A part of the file that begins with line `first_line`.
std::vector<Reflection> parse_lines(const std::string& path, std::string_view text, long first_line,
                                    std::size_t line_count) {
  std::vector<Reflection> reflections;
  reflections.reserve(line_count);
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    const auto refuse = [&](const std::string& problem) {
      throw InputError(path, first_line + lines.number() - 1,
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
  return reflections;
}

struct Part {
  std::string_view text;
  long first_line = 1;
  std::size_t lines = 0;
  std::vector<Reflection> reflections;
  std::exception_ptr fault;
};

/// Whole lines, some hundred thousand bytes each.
std::vector<Part> parts_of(std::string_view text) {
  constexpr std::size_t bytes = 200'000;
  std::vector<Part> parts;
  long line = 1;
  while (!text.empty()) {
    const std::size_t end = text.size() > bytes ? text.find('\n', bytes) : std::string_view::npos;
    Part part;
    part.text = text.substr(0, end == std::string_view::npos ? end : end + 1);
    part.first_line = line;
    part.lines = 1 + static_cast<std::size_t>(std::count(part.text.begin(), part.text.end(), '\n'));
    line += static_cast<long>(part.lines) - 1;
    text.remove_prefix(part.text.size());
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

std::vector<Reflection> read_hkl(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<Part> parts = parts_of(text);
  tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t i) {
    Part& part = parts[i];
    try {
      part.reflections = parse_lines(path, part.text, part.first_line, part.lines);
    } catch (const InputError&) {
      part.fault = std::current_exception();
    }
  });
  std::size_t count = 0;
  for (const Part& part : parts) {
    // Of several faults the first in the file is told.
    if (part.fault) std::rethrow_exception(part.fault);
    count += part.reflections.size();
  }
  if (count == 0) throw InputError(path, 0, "holds no reflections");
  if (parts.size() == 1) return std::move(parts[0].reflections);
  std::vector<Reflection> reflections;
  reflections.reserve(count);
  for (const Part& part : parts)
    reflections.insert(reflections.end(), part.reflections.begin(), part.reflections.end());
  return reflections;
}

}  // namespace nablabragg::io
