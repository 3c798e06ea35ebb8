// Lists of reflections as text, a line each.  nanoBragg reads a stream of numbers and loses its
// step at a fifth column or a comment; here a line is a reflection or an error.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>

#include "io/quotes.hpp"
#include "io/reflections.hpp"
#include "io/symmetry.hpp"
#include "io/text_lines.hpp"
#include "memory/huge_pages.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/vec3.hpp"  // for NABLA_INLINE

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

// Nearly every line of a list begins with three whole numbers and a decimal fraction.  Those are
// taken as they come; what else a line may be, faults above all, is left to parse_line() below.  No
// end is asked for: lines end with a newline, and the last one with the zero behind every string.

bool is_blank(char c) { return c == ' ' || c == '\t'; }

NABLA_INLINE void skip_blanks(const char*& at) {
  while (is_blank(*at)) ++at;
}

/// Takes a sign; true for a minus.
NABLA_INLINE bool take_minus(const char*& at) {
  const bool minus = *at == '-';
  at += minus || *at == '+';
  return minus;
}

/// Takes digits and puts them behind those of `number`; more than 19 of them fall out of it.
NABLA_INLINE void take_digits(const char*& at, std::uint64_t& number) {
  for (; *at >= '0' && *at <= '9'; ++at)
    number = 10 * number + static_cast<std::uint64_t>(*at - '0');
}

NABLA_INLINE bool take_index(const char*& at, int& index) {
  skip_blanks(at);
  const bool minus = take_minus(at);
  const char* const begin = at;
  std::uint64_t digits = 0;
  take_digits(at, digits);
  constexpr std::ptrdiff_t most_digits = 9;  // all of which an int holds
  if (at == begin || at - begin > most_digits || !is_blank(*at)) return false;
  index = minus ? -static_cast<int>(digits) : static_cast<int>(digits);
  return true;
}

/// The nearest double, as of std::from_chars: digits and power of ten are exact, so that their
/// quotient is rounded once.
NABLA_INLINE bool take_amplitude(const char*& at, double& amplitude) {
  constexpr std::array powers_of_ten{1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  constexpr auto most_digits = static_cast<std::ptrdiff_t>(powers_of_ten.size()) - 1;
  skip_blanks(at);
  const bool minus = take_minus(at);
  std::uint64_t digits = 0;
  const char* begin = at;
  take_digits(at, digits);
  std::ptrdiff_t whole = at - begin, decimals = 0;
  if (*at == '.') {
    begin = ++at;
    take_digits(at, digits);
    decimals = at - begin;
  }
  const bool ends = is_blank(*at) || *at == '\n' || *at == '\r' || *at == '\0';
  if (!ends || whole + decimals == 0 || whole + decimals > most_digits) return false;
  const double size = static_cast<double>(digits) /
                      powers_of_ten[static_cast<std::size_t>(decimals)];
  amplitude = minus ? -size : size;
  return true;
}

/// False for any other line.
NABLA_INLINE bool take_reflection(const char*& at, Reflection& reflection) {
  return take_index(at, reflection.hkl[0]) && take_index(at, reflection.hkl[1]) &&
         take_index(at, reflection.hkl[2]) && take_amplitude(at, reflection.amplitude);
}

/// What any line holds: nothing where it is blank or a comment.  Calls `refuse(problem)`, which
/// throws, for what is no reflection.
template <class Refuse>
std::optional<Reflection> parse_line(std::string_view line, Refuse&& refuse) {
  std::string_view rest = without_comment(line);
  std::string_view word = next_word(rest);
  if (word.empty()) return std::nullopt;
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
  return reflection;
}

/// The numbers of the comment "# cell a b c alpha beta gamma ...", which fcalc writes; empty where
/// it is another comment.  Calls `doubt` for numbers that are no cell.
template <class Doubt>
std::optional<CellNumbers> cell_comment(std::string_view line, Doubt&& doubt) {
  const std::size_t mark = line.find('#');
  if (mark == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(mark + 1);
  if (next_word(rest) != "cell") return std::nullopt;
  CellNumbers cell{};
  std::size_t count = 0;
  for (; count < cell.size(); ++count) {
    const auto number = parse_number<double>(next_word(rest));
    if (!number) break;
    cell[count] = *number;
  }
  if (count == 0) return std::nullopt;
  if (count == cell.size() && is_cell(cell)) return cell;
  doubt();
  return std::nullopt;
}

/// Whether a comment names the columns h, k, l and then an intensity, whose square root F is.
bool heads_intensities(std::string_view line) {
  const std::size_t mark = line.find('#');
  if (mark == std::string_view::npos) return false;
  std::string small(line.substr(mark + 1));
  for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view rest = small;
  constexpr std::string_view separators = ",;";
  for (const char* index : {"h", "k", "l"})
    if (next_word(rest, separators) != index) return false;
  const std::string_view column = next_word(rest, separators);
  constexpr std::array<std::string_view, 14> names{
      "i",  "iobs", "i_obs", "i(obs)", "imean",     "<i>",       "int",
      "f2", "f^2",  "f**2",  "fsq",    "f_squared", "intensity", "intensities"};
  return std::find(names.begin(), names.end(), column) != names.end();
}

/// The number behind F.
std::optional<double> fifth_column(std::string_view line) {
  std::string_view rest = without_comment(line);
  for (int column = 0; column < 4; ++column) next_word(rest);
  return parse_number<double>(next_word(rest));
}

/// A line that says something of the list, by its first byte.
struct Place {
  const char* begin = nullptr;
  std::string_view line;
};

/// Whole lines of a piece of text and their reflections.
struct Part {
  std::string_view text;
  std::vector<Reflection> reflections;
  std::vector<std::pair<CellNumbers, Place>> cells;
  Place no_cell;              ///< the first comment that should be one
  Place intensities;          ///< the first comment by which F are intensities
  Place negative_with_sigma;  ///< the first line with a negative F and a number behind it
  long negative = 0;          ///< amplitudes
  std::exception_ptr fault;
};

/// The parts of one piece take the room of those of the piece before.
void split(std::string_view text, std::vector<Part>& parts) {
  constexpr std::size_t bytes = std::size_t{1} << 16;
  std::size_t count = 0;
  for (; !text.empty(); ++count) {
    const std::size_t end = text.size() > bytes ? text.find('\n', bytes) : std::string_view::npos;
    if (count == parts.size()) parts.emplace_back();
    parts[count].text = text.substr(0, end == std::string_view::npos ? end : end + 1);
    text.remove_prefix(parts[count].text.size());
  }
  parts.resize(count);
}

/// Calls `refuse(line, where, problem)`, which throws, for what is no reflection.
template <class Refuse>
void parse(Part& part, Refuse&& refuse) {
  part.reflections.clear();
  part.cells.clear();
  part.no_cell = part.intensities = part.negative_with_sigma = {};
  part.negative = 0;
  const auto note_negative = [&](double amplitude, Place place) {
    if (!(amplitude < 0)) return;
    ++part.negative;
    // A sigma; phases may have any sign, and their amplitudes have none.
    if (!part.negative_with_sigma.begin && fifth_column(place.line).value_or(-1) >= 0)
      part.negative_with_sigma = place;
  };
  const char* const end = part.text.data() + part.text.size();
  for (const char* begin = part.text.data(); begin < end;) {
    const char* at = begin;
    Reflection reflection;
    const bool usual = take_reflection(at, reflection);
    const char* const newline = std::find(usual ? at : begin, end, '\n');
    if (usual) {
      part.reflections.push_back(reflection);
      note_negative(reflection.amplitude, {begin, std::string_view(begin, newline)});
    } else {
      Lines one(std::string_view(begin, newline));
      one.next();
      const auto other = parse_line(
          one.line(), [&](const std::string& problem) { refuse(one.line(), begin, problem); });
      const Place here{begin, one.line()};
      if (other) {
        part.reflections.push_back(*other);
        note_negative(other->amplitude, here);
      } else if (const auto cell = cell_comment(one.line(), [&] {
                   if (!part.no_cell.begin) part.no_cell = here;
                 })) {
        part.cells.emplace_back(*cell, here);
      } else if (!part.intensities.begin && heads_intensities(one.line())) {
        part.intensities = here;
      }
    }
    begin = newline + 1;
  }
}

/// What a list may hold.  A pipe may never end, and each of its lines be right.
class ListSize {
 public:
  explicit ListSize(const std::string& path) : path_(path) {}

  /// Looks at what was added, now and then.
  void check(const std::vector<Reflection>& reflections) {
    if (reflections.size() < next_) return;
    next_ = reflections.size() + much;
    for (; seen_ < reflections.size(); ++seen_)
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const int index = reflections[seen_].hkl[axis];
        min_[axis] = std::min(min_[axis], index);
        max_[axis] = std::max(max_[axis], index);
      }
    double entries = 1;
    int largest = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      entries *= static_cast<double>(max_[axis]) - min_[axis] + 1;
      largest = std::max({largest, -min_[axis], max_[axis]});
    }
    const auto count = static_cast<double>(reflections.size());
    const std::string many = "holds " + std::to_string(reflections.size()) +
                             " reflections and more";
    // Unmerged lists state an index several times.
    constexpr double most_each = 16;
    if (count > most_each * entries)
      throw InputError(path_, 0,
                       many + ", of only " + std::to_string(static_cast<long>(entries)) +
                           " different indices; no list of amplitudes repeats them so often");
    if (largest > max_index)
      throw InputError(
          path_, 0,
          many + ", with indices up to " + std::to_string(largest) + ", which no crystal has");
    // The list may have to move once more.
    check_memory_for(count * sizeof(Reflection) + entries * sizeof(double), path_,
                     many + ", which with their table");
  }

 private:
  static constexpr std::size_t much = std::size_t{1} << 22;
  const std::string& path_;
  MillerIndex min_{}, max_{};
  std::size_t seen_ = 0, next_ = much;
};

/// Of values that are intensities.
void take_roots(ReflectionFile& file) {
  std::vector<Reflection>& list = file.reflections;
  const auto is_negative = [](const Reflection& r) { return r.amplitude < 0; };
  const auto end = std::remove_if(list.begin(), list.end(), is_negative);
  file.negative = list.end() - end;
  list.erase(end, list.end());
  if (list.empty()) throw InputError(file.path, 0, "holds no intensity that is not negative");
  for (Reflection& r : list) r.amplitude = std::sqrt(r.amplitude);
  file.taken = "roots of the intensities of a text";
}

}  // namespace

std::vector<Reflection> read_hkl(const std::string& path) {
  return read_text_table(Input(path), {}).reflections;
}

ReflectionFile read_text_table(Input input, const std::string& column) {
  ReflectionFile file;
  file.path = input.path();
  file.format = "text";
  const std::string& path = file.path;
  TextPieces text(std::move(input));
  std::vector<Reflection>& reflections = file.reflections;
  std::vector<Part> parts;
  const auto number_of = [&](const char* where) {
    return text.lines_before() +
           line_at(text.piece(), static_cast<std::size_t>(where - text.piece().data()));
  };
  const auto refuse = [&](std::string_view line, const char* where, const std::string& problem) {
    throw InputError(path, number_of(where),
                     problem + " in " + in_quotes(line) +
                         "; expected: h k l F, with whole h, k, l and finite F");
  };
  const auto in_line = [&](const Place& place) {
    return "line " + std::to_string(number_of(place.begin)) + ", " + in_quotes(place.line) + ", ";
  };
  std::string no_cell, another_cell, intensities, negative_with_sigma;
  long negative = 0;
  ListSize size(path);
  std::exception_ptr fault;
  while (text.next()) {
    // What is no text at all is told before any line.
    if (fault) continue;
    split(text.piece(), parts);
    tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t i) {
      try {
        parse(parts[i], refuse);
      } catch (const InputError&) {
        parts[i].fault = std::current_exception();
      }
    });
    for (const Part& part : parts) {
      if (!fault) fault = part.fault;
      for (const auto& [cell, where] : part.cells) {
        if (file.cell && *file.cell != cell && another_cell.empty()) another_cell = in_line(where);
        file.cell = cell;
      }
      if (part.no_cell.begin && no_cell.empty()) no_cell = in_line(part.no_cell);
      if (part.intensities.begin && intensities.empty()) intensities = in_line(part.intensities);
      if (part.negative_with_sigma.begin && negative_with_sigma.empty())
        negative_with_sigma = in_line(part.negative_with_sigma);
      negative += part.negative;
      if (reflections.empty()) {
        // Lists are even: room for all that may come, of which only what is used becomes memory.
        const double pieces = static_cast<double>(text.known_bytes()) /
                              static_cast<double>(part.text.size());
        memory::reserve_in_huge_pages(
            reflections,
            static_cast<std::size_t>(1.3 * pieces * static_cast<double>(part.reflections.size())));
      }
      reflections.insert(reflections.end(), part.reflections.begin(), part.reflections.end());
    }
    size.check(reflections);
  }
  if (fault) std::rethrow_exception(fault);
  if (reflections.empty()) throw InputError(path, 0, "holds no reflections");
  if (!no_cell.empty())
    file.doubts.push_back(no_cell +
                          "is no cell: a comment \"# cell\" has six positive numbers, a b c alpha "
                          "beta gamma");
  if (!another_cell.empty())
    file.doubts.push_back(another_cell +
                          "is not the cell of the comment before; a list is of one crystal");
  if (column == "I") {
    take_roots(file);
  } else if (column.empty() && !intensities.empty()) {
    file.doubts.push_back(intensities +
                          "names a column of intensities where F is expected; -hkl_column I takes "
                          "the roots, F the values");
  } else if (column.empty() && !negative_with_sigma.empty()) {
    file.doubts.push_back(negative_with_sigma +
                          "has a negative value and a sigma, as lists of intensities have, and no "
                          "amplitude is negative; -hkl_column I takes the roots, F the values");
  } else if (column.empty()) {
    note_negative_amplitudes(negative, file);
  }
  return file;
}

}  // namespace nablabragg::io
