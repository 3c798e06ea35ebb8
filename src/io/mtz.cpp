// Amplitudes of MTZ files.
#include <algorithm>  // for any_of
#include <cctype>
#include <cmath>
#include <cstdint>
#include <exception>
#include <new>  // for bad_alloc
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gemmi/mtz.hpp>

#include "io/gemmi_errors.hpp"
#include "io/quotes.hpp"
#include "io/reflections.hpp"
#include "io/symmetry.hpp"
#include "nablabragg/crystallography.hpp"

namespace nablabragg::io {

namespace {

using Column = gemmi::Mtz::Column;

/// No count in the headers may stand for more than the file can hold: gemmi takes memory for it.
void check_counts(std::string_view headers, const std::string& path) {
  constexpr std::size_t record_bytes = 80;
  const double most = static_cast<double>(headers.size() / record_bytes);
  for (; headers.size() >= record_bytes; headers.remove_prefix(record_bytes)) {
    const std::string record(headers.substr(0, record_bytes));
    const auto check = [&](const char* name, const char* what, int position) {
      if (!gemmi::starts_with(record, name)) return;
      const char* words = gemmi::Mtz::skip_word(record.c_str());
      int count = 0;
      for (int i = 0; i < position; ++i) count = gemmi::simple_atoi(words, &words);
      if (count < 0 || static_cast<double>(count) > most)
        throw InputError(path, 0,
                         "damaged: its header promises " + std::to_string(count) + " " + what +
                             ", more than the file can hold");
    };
    check("NCOL", "batches", 3);
    check("SYMI", "symmetry operations", 1);
    check("NDIF", "data sets", 1);
    if (gemmi::starts_with(record, "END")) return;
  }
}

/// Headers and data, checked against the size of the file before anything is allocated from them.
void read_checked(gemmi::Mtz& mtz, const InputBytes& input) {
  const std::string& path = input.path;
  gemmi::MemoryStream stream(input.bytes.data(), input.bytes.size());
  mtz.read_first_bytes(stream);
  constexpr std::int64_t word_bytes = 4, first_word = 21;
  const auto words = static_cast<std::int64_t>(input.bytes.size()) / word_bytes;
  if (mtz.header_offset < first_word || mtz.header_offset > words)
    throw InputError(path, 0, "truncated: the headers at the end of the file are missing");
  check_counts(std::string_view(input.bytes)
                   .substr(static_cast<std::size_t>(word_bytes * (mtz.header_offset - 1))),
               path);
  mtz.read_main_headers(stream);
  if (mtz.columns.empty())
    throw InputError(path, 0, "truncated: the headers at the end of the file are missing");
  if (mtz.columns.size() < 3 || mtz.columns[0].type != 'H' || mtz.columns[1].type != 'H' ||
      mtz.columns[2].type != 'H')
    throw InputError(path, 0, "the first three columns are not Miller indices (type H)");
  constexpr double header_bytes = 80, value_bytes = 4;
  const double data_bytes = value_bytes * static_cast<double>(mtz.columns.size()) *
                            mtz.nreflections;
  if (mtz.nreflections < 0 || header_bytes + data_bytes > static_cast<double>(input.bytes.size()))
    throw InputError(path, 0,
                     "truncated: its header promises " + std::to_string(mtz.nreflections) +
                         " reflections of " + std::to_string(mtz.columns.size()) + " columns");
  mtz.read_raw_data(stream);
  for (gemmi::Mtz::Column& column : mtz.columns) column.label = printable(column.label);
  mtz.spacegroup_name = printable(mtz.spacegroup_name);
}

// ---- Which column ------------------------------------------------------------------------------

std::string capitals(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

/// Some programs give sigmas the type of what they are of.
bool is_named_sigma(const Column& column) {
  return gemmi::starts_with(capitals(column.label), "SIG");
}

bool is_amplitude(const Column& column) {
  return (column.type == 'F' || column.type == 'G') && !is_named_sigma(column);
}
bool is_intensity(const Column& column) {
  return (column.type == 'J' || column.type == 'K') && !is_named_sigma(column);
}

bool is_calculated(const Column& column) {
  const std::string label = capitals(column.label);
  for (const char* start : {"FC", "F-MODEL", "FMODEL", "F_MODEL", "F-CALC", "F_CALC"})
    if (gemmi::starts_with(label, start)) return true;
  return false;
}

/// The column of this type that belongs to an amplitude or intensity: by its name, or as one of
/// those that stand behind it, before the next such column.
const Column* companion(const gemmi::Mtz& mtz, const Column& column, const std::string& types,
                        std::initializer_list<const char*> prefixes) {
  const auto fits = [&](const Column& other) {
    return types.find(other.type) != std::string::npos && other.dataset_id == column.dataset_id;
  };
  const std::string label = capitals(column.label);
  // PHIC of FC, PHWT of FWT; SIGFP of FP.
  const std::string without_F = label.substr(gemmi::starts_with(label, "F") ? 1 : 0);
  for (const char* prefix : prefixes)
    for (const Column& other : mtz.columns)
      if (fits(other) &&
          (capitals(other.label) == prefix + label || capitals(other.label) == prefix + without_F))
        return &other;
  for (std::size_t i = column.idx + 1; i < mtz.columns.size(); ++i) {
    const Column& other = mtz.columns[i];
    if (is_amplitude(other) || is_intensity(other)) break;
    if (!fits(other)) continue;
    // SIGFP behind FC is that of an FP.
    bool named_for_another = false;
    for (const Column& owner : mtz.columns)
      for (const char* prefix : prefixes)
        named_for_another = named_for_another ||
                            capitals(other.label) == prefix + capitals(owner.label);
    if (!named_for_another) return &other;
  }
  return nullptr;
}

const Column* sigma_of(const gemmi::Mtz& mtz, const Column& column) {
  return companion(mtz, column, "QLM", {"SIG", "SIG_", "SIGMA"});
}

const Column* phase_of(const gemmi::Mtz& mtz, const Column& column) {
  return companion(mtz, column, "P", {"PH", "PHI", "PHI_", "PHIF"});
}

/// Coefficients of an electron density map have the type of amplitudes and are none of the crystal.
/// Where the name leaves a doubt, what has a sigma was measured, be it on a wild type called WT.
bool is_map_coefficient(const gemmi::Mtz& mtz, const Column& column) {
  if (column.type != 'F') return false;
  const std::string label = capitals(column.label);
  const auto holds = [&](const char* part) { return contains(label, part); };
  constexpr const char* sure[] = {"DELF", "FDEL", "FOFC", "FO-FC", "FODFC", "FO-DFC"};
  if (label == "FWT" || std::any_of(std::begin(sure), std::end(sure), holds)) return true;
  constexpr const char* likely[] = {"WT", "MFO", "FEM"};
  return !sigma_of(mtz, column) && std::any_of(std::begin(likely), std::end(likely), holds);
}

/// The column of the other hand: "(+)" and "(-)", "plus" and "minus", "+" and "-" change places.
const Column* other_half(const gemmi::Mtz& mtz, const Column& column) {
  const std::pair<const char*, const char*> hands[] = {
      {"(+)", "(-)"}, {"plus", "minus"}, {"Plus", "Minus"}, {"PLUS", "MINUS"}, {"+", "-"}};
  for (const auto& [plus, minus] : hands)
    for (const auto& [from, to] : {std::pair{plus, minus}, std::pair{minus, plus}}) {
      const std::size_t at = column.label.rfind(from);
      if (at == std::string::npos) continue;
      std::string label = column.label;
      label.replace(at, std::string(from).size(), to);
      for (const Column& other : mtz.columns)
        if (other.label == label && other.type == column.type &&
            other.dataset_id == column.dataset_id)
          return &other;
    }
  return nullptr;
}

bool is_plus(const Column& column) {
  return contains(column.label, "+") || contains(capitals(column.label), "PLUS");
}

/// F(+) and F(-) have types of their own, which older programs do not use.
bool is_half(const gemmi::Mtz& mtz, const Column& column) {
  return column.type == 'G' || column.type == 'K' || other_half(mtz, column);
}

/// What the amplitudes come from.
struct Choice {
  const Column* column = nullptr;  ///< F or I of the reflection, or that of its own hand
  const Column* mate = nullptr;    ///< of the other hand
};

Choice with_mate(const gemmi::Mtz& mtz, const Column& column) {
  if (!is_half(mtz, column)) return {&column, nullptr};
  const Column* const other = other_half(mtz, column);
  if (other && !is_plus(column)) return {other, &column};
  return {&column, other};
}

std::string list_of(const gemmi::Mtz& mtz, bool usable_only) {
  std::string text;
  for (const Column& column : mtz.columns) {
    const bool usable = (is_amplitude(column) && !is_map_coefficient(mtz, column)) ||
                        is_intensity(column);
    if (usable || !usable_only)
      text += (text.empty() ? "" : ", ") + column.label + " of type " + column.type;
  }
  return text;
}

Choice choose_column(const gemmi::Mtz& mtz, const std::string& path) {
  const auto first = [&](auto&& suits) -> const Column* {
    for (const Column& column : mtz.columns)
      if (suits(column)) return &column;
    return nullptr;
  };
  const auto is_mean_F = [&](const Column& c) {
    return c.type == 'F' && is_amplitude(c) && !is_half(mtz, c) && !is_map_coefficient(mtz, c);
  };
  // Observations before models; among them means before halves.
  if (const Column* c = first([&](const Column& f) { return is_mean_F(f) && sigma_of(mtz, f); }))
    return {c, nullptr};
  if (const Column* c = first([&](const Column& f) { return is_mean_F(f) && !phase_of(mtz, f); }))
    return {c, nullptr};
  const auto is_half_of = [&](auto&& is_kind) {
    return [&mtz, is_kind](const Column& c) {
      return is_kind(c) && is_half(mtz, c) && !is_map_coefficient(mtz, c);
    };
  };
  if (const Column* c = first(is_half_of(is_amplitude))) return with_mate(mtz, *c);
  if (const Column* c = first([&](const Column& f) { return is_mean_F(f) && is_calculated(f); }))
    return {c, nullptr};
  if (const Column* c = first([&](const Column& i) { return is_intensity(i) && !is_half(mtz, i); }))
    return {c, nullptr};
  if (const Column* c = first(is_half_of(is_intensity))) return with_mate(mtz, *c);
  const std::string usable = list_of(mtz, true);
  if (usable.empty())
    throw InputError(
        path, 0, "no column of amplitudes or intensities (it has: " + list_of(mtz, false) + ")");
  throw InputError(
      path, 0, "no column that is surely an amplitude of the crystal; name it, one of: " + usable);
}

Choice named_column(const gemmi::Mtz& mtz, const std::string& path, const std::string& label) {
  const Column* found = nullptr;
  for (const Column& column : mtz.columns) {
    if (column.label != label) continue;
    // Of columns of one name in several data sets the first that can be taken.
    found = &column;
    if (is_map_coefficient(mtz, column)) break;
    if (is_amplitude(column) || is_intensity(column)) return with_mate(mtz, column);
  }
  const std::string all_usable = list_of(mtz, true);
  const std::string usable = all_usable.empty() ? "; none of its columns can be taken (it has: " +
                                                      list_of(mtz, false) + ")"
                                                : "; these can be taken: " + all_usable;
  if (!found) throw InputError(path, 0, "has no column " + label + usable);
  if (is_map_coefficient(mtz, *found))
    throw InputError(path, 0,
                     "column " + label +
                         " holds the coefficients of a map, no amplitudes of the crystal" + usable);
  throw InputError(path, 0,
                   "column " + label + " of type " + found->type +
                       " holds neither amplitudes nor intensities" + usable);
}

/// In words.
std::string description(const gemmi::Mtz& mtz, const Choice& choice) {
  const Column& column = *choice.column;
  std::string text = choice.mate ? "columns " + column.label + " and " + choice.mate->label
                                 : "column " + column.label;
  text += std::string(" (type ") + column.type;
  if (const Column* sigma = sigma_of(mtz, column); sigma && !choice.mate)
    text += ", with " + sigma->label;
  else if (const Column* phase = phase_of(mtz, column); phase && !choice.mate)
    text += ", with " + phase->label;
  text += ")";
  if (is_intensity(column)) text = "roots of the intensities in " + text;
  return text;
}

// ---- Symmetry and rows -------------------------------------------------------------------------

/// Empty where the file holds none, or numbers that make no cell.
std::optional<CellNumbers> cell_of(const gemmi::UnitCell& cell) {
  const CellNumbers numbers{cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma};
  return is_cell(numbers) && cell.is_crystal() ? std::optional(numbers) : std::nullopt;
}

/// The operations where there are any: names are mistyped, unusual or of another setting.
Symmetry symmetry_of(const gemmi::Mtz& mtz, ReflectionFile& file) {
  std::optional<Symmetry> named = symmetry_of_name(mtz.spacegroup_name, file.cell);
  if (!mtz.symops.empty()) {
    std::vector<std::string> triplets;
    for (const gemmi::Op& op : mtz.symops) triplets.push_back(op.triplet());
    const Symmetry listed = symmetry_of_operations(triplets);
    if (named && !same_rotations(*named, listed))
      file.remarks.push_back("its SYMM records are those of space group " + listed.name +
                             ", not of '" + mtz.spacegroup_name +
                             "', as which it is named; the records count");
    return listed;
  }
  if (!named) named = symmetry_of_number(mtz.spacegroup_number, file.cell);
  if (!named)
    throw InputError(file.path, 0,
                     "has no SYMM records, and '" + mtz.spacegroup_name +
                         "' is no known space group; it needs SYMM records, a Hermann-Mauguin "
                         "symbol like P 21 21 21 or a space-group number");
  return *named;
}

std::vector<StatedAmplitude> stated_amplitudes(const gemmi::Mtz& mtz, const Choice& choice,
                                               ReflectionFile& file) {
  std::vector<StatedAmplitude> stated;
  for (std::size_t at = 0; at < mtz.data.size(); at += mtz.columns.size()) {
    const std::size_t row = at / mtz.columns.size();
    MillerIndex hkl{};
    for (std::size_t i = 0; i < 3; ++i) {
      const float index = mtz.data[at + i];
      if (!(std::abs(index) <= static_cast<float>(max_index)) ||
          std::abs(index - std::round(index)) > 0.01F)
        throw InputError(file.path, 0,
                         "reflection " + std::to_string(row + 1) + " has no sensible Miller index");
      hkl[i] = static_cast<int>(std::lround(index));
    }
    bool any = false;
    const auto take = [&](const Column* column, const MillerIndex& index) {
      if (!column) return;
      const auto value = static_cast<double>(mtz.data[at + column->idx]);
      // Old files mark missing values by a number, the VALM record, instead of NaN.
      if (std::isnan(value) || value == static_cast<double>(mtz.valm)) return;
      if (!std::isfinite(value))
        throw InputError(file.path, 0, "column " + column->label + " holds an infinite value");
      any = true;
      if (!is_intensity(*column))
        stated.push_back({index, value, row});
      else if (value < 0)
        ++file.negative;
      else
        stated.push_back({index, std::sqrt(value), row});
    };
    take(choice.column, hkl);
    take(choice.mate, {-hkl[0], -hkl[1], -hkl[2]});
    file.missing += !any;
  }
  return stated;
}

}  // namespace

ReflectionFile read_mtz(const InputBytes& input, const std::string& column) {
  ReflectionFile file;
  file.path = input.path;
  file.format = "MTZ";
  if (input.bytes.empty()) throw InputError(file.path, 0, "is empty");
  try {
    gemmi::Mtz mtz;
    read_checked(mtz, input);
    // Not all programs that number the batches of their rows describe them.
    const bool numbers_batches = std::any_of(mtz.columns.begin(), mtz.columns.end(),
                                             [](const Column& c) { return c.type == 'B'; });
    if (!mtz.batches.empty() || numbers_batches)
      throw InputError(
          file.path, 0,
          "holds unmerged observations" +
              (mtz.batches.empty() ? std::string(" (a column of type B numbers their batches)")
                                   : ", in " + std::to_string(mtz.batches.size()) + " batches") +
              "; merge them first, with aimless or dials.merge");
    const Choice choice = column.empty() ? choose_column(mtz, file.path)
                                         : named_column(mtz, file.path, column);
    file.taken = description(mtz, choice);
    file.anomalous = is_half(mtz, *choice.column);
    file.cell = cell_of(mtz.get_cell(choice.column->dataset_id));
    for (const gemmi::Mtz::Dataset& set : mtz.datasets)
      if (set.id == choice.column->dataset_id && std::isfinite(set.wavelength))
        file.wavelength_A = set.wavelength;
    const Symmetry symmetry = symmetry_of(mtz, file);
    file.space_group = symmetry.name;
    const std::vector<StatedAmplitude> stated = stated_amplitudes(mtz, choice, file);
    if (stated.empty() && file.negative == 0)
      throw InputError(file.path, 0, "no value is given in " + file.taken);
    file.reflections = expand_to_p1(stated, symmetry, file);
    return file;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw_input_error(file.path, e.what());
  }
}

ReflectionFile read_mtz(const std::string& path, const std::string& column) {
  return read_mtz(read_input(path), column);
}

}  // namespace nablabragg::io
