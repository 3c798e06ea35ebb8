// Lists of reflections that other programs write as text.  They hold intensities, mostly, and look
// like h k l F to who does not know them: they are read as what they are, where their beginning
// shows it for sure, or refused by name.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

#include "io/quotes.hpp"
#include "io/reflections.hpp"
#include "io/symmetry.hpp"
#include "io/text_lines.hpp"
#include "io/trimmed.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::size_t most_list_bytes = std::size_t{1} << 30;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line))
    words.push_back(word);
  return words;
}

/// The first lines that are whole and not blank.
std::vector<std::string_view> first_lines(std::string_view head, std::size_t most) {
  std::vector<std::string_view> result;
  const std::size_t end = head.rfind('\n');
  Lines lines(head.substr(0, end == std::string_view::npos ? head.size() : end));
  while (result.size() < most && lines.next())
    if (lines.line().find_first_not_of(" \t") != std::string_view::npos)
      result.push_back(lines.line());
  return result;
}

[[noreturn]] void refuse_list(const std::string& path, const std::string& what,
                              const std::string& advice) {
  throw InputError(path, 0, "is " + what + ", not a table of h k l F; " + advice);
}

MillerIndex index_in(const std::string& path, long line,
                     const std::array<std::string_view, 3>& words) {
  MillerIndex hkl{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto index = parse_number<int>(words[axis]);
    if (!index || *index < -max_index || *index > max_index)
      throw InputError(
          path, line,
          std::string(1, "hkl"[axis]) + " is no whole number that fits: " + in_quotes(words[axis]));
    hkl[axis] = *index;
  }
  return hkl;
}

/// Appends the root, or counts what is negative.
void state_root(const MillerIndex& hkl, double intensity, std::size_t row,
                std::vector<StatedAmplitude>& stated, ReflectionFile& file) {
  if (intensity < 0)
    ++file.negative;
  else
    stated.push_back({hkl, std::sqrt(intensity), row});
}

// ---- XDS_ASCII.HKL -----------------------------------------------------------------------------

/// What stands behind each "!KEY=" in the header: XSCALE repeats some for each of its inputs.
std::vector<std::string_view> xds_values(std::string_view header, std::string_view key) {
  std::vector<std::string_view> values;
  Lines lines(header);
  while (lines.next()) {
    // Several keys share a line: !FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=TRUE
    const std::size_t at = lines.line().find(std::string(key) + "=");
    if (at == std::string_view::npos || at == 0) continue;
    const char before = lines.line()[at - 1];
    if (before == '!' || before == ' ') values.push_back(lines.line().substr(at + key.size() + 1));
  }
  return values;
}

/// The first of them; empty: there is none.
std::string_view xds_value(std::string_view header, std::string_view key) {
  const std::vector<std::string_view> values = xds_values(header, key);
  return values.empty() ? std::string_view() : values[0];
}

ReflectionFile read_xds_ascii(const std::string& path, std::string_view text) {
  ReflectionFile file;
  file.path = path;
  file.format = "XDS_ASCII";
  constexpr std::string_view end_of_header = "!END_OF_HEADER", end_of_data = "!END_OF_DATA";
  const std::size_t end = text.find(end_of_header);
  if (end == std::string_view::npos)
    throw InputError(path, 0, "has no line " + std::string(end_of_header));
  const std::string_view header = text.substr(0, end);

  const auto column = [&](const char* item) -> std::size_t {
    std::string_view value = xds_value(header, item);
    const auto number = parse_number<int>(next_word(value));
    if (!number || *number < 1 || *number > 100)
      throw InputError(path, 0, std::string("its header has no !") + item + "=");
    return static_cast<std::size_t>(*number) - 1;
  };
  const std::array<std::size_t, 3> index_columns{column("ITEM_H"), column("ITEM_K"),
                                                 column("ITEM_L")};
  const std::size_t intensity_column = column("ITEM_IOBS"),
                    sigma_column = xds_value(header, "ITEM_SIGMA(IOBS)").empty()
                                       ? intensity_column + 1
                                       : column("ITEM_SIGMA(IOBS)");

  std::string_view cell_text = xds_value(header, "UNIT_CELL_CONSTANTS");
  if (!cell_text.empty()) {
    CellNumbers cell{};
    for (double& number : cell)
      number = finite_number(path, 0, "UNIT_CELL_CONSTANTS", next_word(cell_text));
    if (is_cell(cell)) file.cell = cell;
  }
  bool several_wavelengths = false;
  for (std::string_view value : xds_values(header, "X-RAY_WAVELENGTH")) {
    const double wavelength_A = finite_number(path, 0, "X-RAY_WAVELENGTH", next_word(value));
    if (file.wavelength_A == 0) file.wavelength_A = wavelength_A;
    several_wavelengths = several_wavelengths || wavelength_A != file.wavelength_A;
  }
  if (several_wavelengths)
    file.remarks.emplace_back(
        "holds data of several wavelengths, whose means are taken; the first is taken for that of "
        "all");
  std::string_view number_text = xds_value(header, "SPACE_GROUP_NUMBER");
  const std::string number(next_word(number_text));
  const auto symmetry = symmetry_of_number(parse_number<int>(number).value_or(0), file.cell);
  if (!symmetry)
    throw InputError(
        path, 0,
        "its header names no known space group: SPACE_GROUP_NUMBER is " + in_quotes(number));
  std::string_view law_text = xds_value(header, "FRIEDEL'S_LAW");
  const bool friedel = next_word(law_text) != "FALSE";
  file.space_group = symmetry->name;
  file.anomalous = !friedel;
  file.taken = "roots of the mean intensities (IOBS)";

  std::vector<Observation> observations;
  Lines lines(text);
  bool whole = false;
  while (!whole && lines.next()) {
    if (lines.line().starts_with('!')) {
      whole = lines.line().starts_with(end_of_data);
      continue;
    }
    const std::vector<std::string_view> words = words_of(lines.line());
    if (words.empty()) continue;
    if (words.size() <= std::max({index_columns[0], index_columns[1], index_columns[2],
                                  intensity_column, sigma_column}))
      throw InputError(path, lines.number(), "fewer columns than the header names");
    const Observation observation{
        index_in(path, lines.number(),
                 {words[index_columns[0]], words[index_columns[1]], words[index_columns[2]]}),
        finite_number(path, lines.number(), "IOBS", words[intensity_column]),
        finite_number(path, lines.number(), "SIGMA(IOBS)", words[sigma_column])};
    // XDS marks misfits by a negative sigma.
    if (observation.sigma > 0)
      observations.push_back(observation);
    else
      ++file.rejected;
  }
  if (!whole)
    throw InputError(path, 0, "ends early: the line " + std::string(end_of_data) + " is missing");
  file.reflections = expand_to_p1(merge_observations(observations, *symmetry, friedel, file),
                                  *symmetry, file);
  return file;
}

// ---- CrystFEL ----------------------------------------------------------------------------------

/// Point groups by CrystFEL's names, without the unique axis, which is c where none is named.
std::optional<Symmetry> crystfel_symmetry(std::string name) {
  static const std::map<std::string, std::string> groups = {
      {"1", "P 1"},           {"-1", "P -1"},           {"2", "P 1 1 2"},
      {"m", "P 1 1 m"},       {"2/m", "P 1 1 2/m"},     {"2_uac", "P 1 1 2"},
      {"m_uac", "P 1 1 m"},   {"2/m_uac", "P 1 1 2/m"}, {"2_uab", "P 1 2 1"},
      {"m_uab", "P 1 m 1"},   {"2/m_uab", "P 1 2/m 1"}, {"2_uaa", "P 2 1 1"},
      {"m_uaa", "P m 1 1"},   {"2/m_uaa", "P 2/m 1 1"}, {"222", "P 2 2 2"},
      {"mm2", "P m m 2"},     {"mmm", "P m m m"},       {"4", "P 4"},
      {"-4", "P -4"},         {"4/m", "P 4/m"},         {"422", "P 4 2 2"},
      {"4mm", "P 4 m m"},     {"-42m", "P -4 2 m"},     {"-4m2", "P -4 m 2"},
      {"4/mmm", "P 4/m m m"}, {"3_H", "P 3"},           {"-3_H", "P -3"},
      {"321_H", "P 3 2 1"},   {"312_H", "P 3 1 2"},     {"3m1_H", "P 3 m 1"},
      {"31m_H", "P 3 1 m"},   {"-3m1_H", "P -3 m 1"},   {"-31m_H", "P -3 1 m"},
      {"3_R", "R 3:R"},       {"-3_R", "R -3:R"},       {"32_R", "R 3 2:R"},
      {"3m_R", "R 3 m:R"},    {"-3m_R", "R -3 m:R"},    {"6", "P 6"},
      {"-6", "P -6"},         {"6/m", "P 6/m"},         {"622", "P 6 2 2"},
      {"6mm", "P 6 m m"},     {"-62m", "P -6 2 m"},     {"-6m2", "P -6 m 2"},
      {"6/mmm", "P 6/m m m"}, {"23", "P 2 3"},          {"m-3", "P m -3"},
      {"432", "P 4 3 2"},     {"-43m", "P -4 3 m"},     {"m-3m", "P m -3 m"}};
  if (!groups.contains(name) && name.ends_with("_uac")) name.resize(name.size() - 4);
  const auto at = groups.find(name);
  if (at == groups.end()) return std::nullopt;
  auto symmetry = symmetry_of_name(at->second, std::nullopt);
  if (symmetry) symmetry->name = "point group " + name;
  return symmetry;
}

/// "h k l I ..." in words.
bool is_crystfel_heading(std::string_view line) {
  const auto words = words_of(line);
  return words.size() >= 4 && words[0] == "h" && words[1] == "k" && words[2] == "l" &&
         words[3] == "I";
}

ReflectionFile read_crystfel(const std::string& path, std::string_view text) {
  ReflectionFile file;
  file.path = path;
  file.format = "CrystFEL";
  file.taken = "roots of the intensities (I)";
  std::optional<Symmetry> symmetry;
  std::vector<StatedAmplitude> stated;
  Lines lines(text);
  bool heading = false, whole = false;
  while (!whole && lines.next()) {
    const auto words = words_of(lines.line());
    if (words.empty()) continue;
    whole = lines.line().starts_with("End of reflections");
    if (whole) break;
    if (!heading) {
      heading = is_crystfel_heading(lines.line());
      if (words[0] == "Symmetry:" && words.size() > 1) {
        symmetry = crystfel_symmetry(std::string(words[1]));
        if (!symmetry)
          throw InputError(path, lines.number(),
                           "the symmetry " + in_quotes(words[1]) +
                               " is no point group that is known here; expand the list to 1 with "
                               "get_hkl first");
      }
      continue;
    }
    if (words.size() < 4) throw InputError(path, lines.number(), "fewer than four columns");
    state_root(index_in(path, lines.number(), {words[0], words[1], words[2]}),
               finite_number(path, lines.number(), "I", words[3]), stated.size(), stated, file);
  }
  if (!heading) throw InputError(path, 0, "has no line \"h k l I\"");
  if (!whole) throw InputError(path, 0, "ends early: the line \"End of reflections\" is missing");
  if (!symmetry) {
    symmetry = symmetry_of_name("P 1", std::nullopt);
    file.remarks.emplace_back(
        "names no symmetry, so that only what it lists, and its Friedel mates, shine");
  }
  file.space_group = symmetry->name;
  file.reflections = expand_to_p1(stated, *symmetry, file);
  return file;
}

// ---- SHELX -------------------------------------------------------------------------------------

/// A line of HKLF 4 (3I4,2F8,I4), whose columns may touch.
struct ShelxLine {
  MillerIndex hkl;
  double value, sigma;
  int batch;
  bool has_points;  ///< in both numbers
};

std::optional<ShelxLine> parse_shelx(std::string_view line) {
  constexpr std::size_t index_width = 4, value_width = 8, least = 3 * index_width + 2 * value_width;
  if (line.size() < least) return std::nullopt;
  ShelxLine result{};
  result.has_points = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::string_view field = line.substr(axis * index_width, index_width);
    const auto index = parse_number<int>(trimmed(field, " "));
    if (!index || field.back() == ' ') return std::nullopt;
    result.hkl[axis] = *index;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string_view field = line.substr(3 * index_width + i * value_width, value_width);
    const auto number = parse_number<double>(trimmed(field, " "));
    if (!number || field.back() == ' ') return std::nullopt;
    result.has_points = result.has_points && field.find('.') != std::string_view::npos;
    (i == 0 ? result.value : result.sigma) = *number;
  }
  const std::string_view batch = trimmed(line.substr(least, index_width), " ");
  if (!batch.empty()) {
    const auto number = parse_number<int>(batch);
    if (!number) return std::nullopt;
    result.batch = *number;
  }
  return result;
}

/// Whether the words of the line are not its columns.
bool columns_touch(std::string_view line, const ShelxLine& parsed) {
  const auto words = words_of(line);
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (words.size() <= axis || parse_number<int>(words[axis]) != parsed.hkl[axis]) return true;
  return words.size() < 5;
}

std::optional<ReflectionFile> read_shelx(const std::string& path, std::string_view text,
                                         const std::string& column) {
  ReflectionFile file;
  file.path = path;
  file.format = "SHELX";
  std::vector<StatedAmplitude> stated;
  std::size_t rows = 0;
  bool touching = false, ended = false, twinned = false, negative = false, has_points = true;
  Lines lines(text);
  while (lines.next()) {
    const auto line = parse_shelx(lines.line());
    // A line of zeros ends the list, and so does a blank one; what follows is SHELXL's own.
    if (!line && (ended || (trimmed(lines.line(), " ").empty() && rows > 0))) break;
    if (!line) return std::nullopt;
    ended = line->hkl == MillerIndex{};
    if (ended && (line->value != 0 || line->sigma != 0)) return std::nullopt;
    if (ended) continue;
    ++rows;
    touching = touching || columns_touch(lines.line(), *line);
    twinned = twinned || line->batch < 0;
    has_points = has_points && line->has_points;
    negative = negative || line->value < 0;
    if (column == "F")
      stated.push_back({line->hkl, line->value, rows});
    else
      state_root(line->hkl, line->value, rows, stated, file);
  }
  if (rows == 0) return std::nullopt;
  if (twinned)
    refuse_list(path, "a SHELX list of a twin (HKLF 5)",
                "give the intensities of one domain, as HKLF 4");
  if (!has_points)
    throw InputError(
        path, 0,
        "looks like a SHELX list (3I4,2F8) and has numbers without a decimal point, of "
        "which SHELX takes a hundredth; write the point into them");
  // Columns of the same widths that end without the line of zeros may be anybody's.
  const bool sure = ended || touching || negative;
  if (column.empty() && !sure)
    throw InputError(path, 0,
                     "looks like a SHELX list (3I4,2F8), and does not tell intensities from "
                     "amplitudes; -hkl_column I or -hkl_column F says which");
  file.taken = column == "F" ? "the amplitudes of a SHELX list (HKLF 3)"
                             : "roots of the intensities of a SHELX list (HKLF 4)";
  file.remarks.emplace_back(
      "a SHELX list names no space group, so that only what it lists, and its Friedel mates, "
      "shine");
  const auto none = symmetry_of_name("P 1", std::nullopt);
  file.reflections = expand_to_p1(stated, *none, file);
  return file;
}

// ---- What is refused by name -------------------------------------------------------------------

void refuse_known_lists(const std::string& path, std::string_view head) {
  const auto lines = first_lines(head, 20);
  if (lines.empty()) return;
  const auto words = words_of(lines[0]);
  if (begins_as_pdb(head)) fail_as_model(path);
  if (begins_as_shelx(head))
    refuse_list(
        path, "an .ins or .res file of SHELX, the model",
        "give the .hkl beside it, or make a list by nablabragg fcalc of the CIF that SHELXL "
        "writes with ACTA");
  if (lines[0].starts_with("!OUTPUT_FILE=INTEGRATE.HKL"))
    refuse_list(path, "INTEGRATE.HKL of XDS, whose intensities are not corrected",
                "give XDS_ASCII.HKL, which CORRECT writes");
  if (lines[0].starts_with("!FORMAT=") && !lines[0].starts_with("!FORMAT=XDS_ASCII"))
    refuse_list(path, "a list of XDS in another format than XDS_ASCII", "convert it with XDSCONV");
  if (lines.size() > 2 && words.size() == 1 && parse_number<int>(words[0]) &&
      words_of(lines[1]).size() == 1 && parse_number<int>(words_of(lines[1])[0]) &&
      words_of(lines[2]).size() >= 7)
    refuse_list(path, "a scalepack file of intensities",
                "convert it to MTZ with scalepack2mtz or iotbx.reflection_file_converter");
  if (lines[0].starts_with("CrystFEL stream format"))
    refuse_list(path, "a stream of CrystFEL, of single patterns",
                "merge them with process_hkl or partialator, and give the list that they write");
  // The number of operators, the group's name, and operators of whole numbers, three by three.
  if (lines.size() > 3 && words.size() == 2 && parse_number<int>(words[0]) &&
      !parse_number<double>(words[1]) &&
      std::all_of(lines.begin() + 1, lines.begin() + 4, [](std::string_view line) {
        const auto row = words_of(line);
        return row.size() == 3 && std::all_of(row.begin(), row.end(), [](std::string_view word) {
                 return parse_number<int>(word).has_value();
               });
      }))
    refuse_list(path, "a scalepack file of unmerged observations",
                "merge it with pointless and aimless first");
  for (const std::string_view line : lines) {
    std::string capitals(line);
    for (char& c : capitals) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    std::string_view rest = capitals;
    const std::string_view first = next_word(rest);
    if (first.starts_with("NREF") ||
        (first.starts_with("INDE") && capitals.find('=') != std::string::npos))
      refuse_list(path, "a list of CNS or X-PLOR",
                  "convert it to MTZ with cns2mtz or iotbx.reflection_file_converter");
  }
  // Of XDS without the header: h k l, the intensity in powers of ten, and seven columns and more.
  const bool headless = std::all_of(lines.begin(), lines.end(), [](std::string_view line) {
    const auto columns = words_of(line);
    return columns.size() >= 11 && columns[3].find('E') != std::string_view::npos &&
           std::all_of(columns.begin(), columns.end(), [](std::string_view word) {
             return parse_number<double>(word).has_value();
           });
  });
  if (headless)
    refuse_list(path, "INTEGRATE.HKL or XDS_ASCII.HKL of XDS without its header",
                "give XDS_ASCII.HKL with its header");
}

}  // namespace

std::optional<ReflectionFile> read_foreign_list(Input& input, const std::string& column) {
  const std::string path = input.path();
  const std::string_view head = input.head();
  refuse_known_lists(path, head);
  const auto no_column = [&](const char* what) {
    if (!column.empty())
      throw UsageError("a column is named (" + column + "), and " + path + " is " + what +
                       ", which has one alone");
  };
  if (head.starts_with("!FORMAT=XDS_ASCII")) {
    no_column("an XDS_ASCII file");
    return read_xds_ascii(path, input.read_rest(most_list_bytes));
  }
  const auto lines = first_lines(head, 2);
  if (lines.empty()) return std::nullopt;
  if (lines[0].starts_with("CrystFEL reflection list") || is_crystfel_heading(lines[0])) {
    no_column("a CrystFEL list");
    return read_crystfel(path, input.read_rest(most_list_bytes));
  }
  if (!parse_shelx(lines[0])) return std::nullopt;
  // The end of the list tells more; what is no SHELX list is given back.
  std::string text = input.read_rest(most_list_bytes);
  auto file = read_shelx(path, text, column);
  if (!file) input.give_back(std::move(text));
  return file;
}

}  // namespace nablabragg::io
