// Measured or calculated amplitudes from MTZ and SF-mmCIF files, expanded by the space group to
// the whole P1 sphere.  Amplitudes computed from a model are calculate.cpp's, text files of
// "h k l F" are read elsewhere.
#include <algorithm>  // for stable_sort, unique
#include <cmath>      // for isnan, abs
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>  // for move
#include <vector>

#include <gemmi/cif.hpp>    // for cif::read
#include <gemmi/mtz.hpp>    // for Mtz
#include <gemmi/refln.hpp>  // for ReflnBlock

#include "io/gemmi_errors.hpp"  // for throw_input_error
#include "io/reflections.hpp"
#include "nablabragg/crystallography.hpp"

namespace nablabragg::io {
namespace {

// Beyond this an index is a damaged file, and sums of index products could overflow.
constexpr int max_index = 100000;

/// Every symmetry image and its Friedel mate, each (h,k,l) once; where the file disagrees with
/// itself the reflection that comes first in it wins.
std::vector<Reflection> expand_to_p1(const std::vector<Reflection>& unique,
                                     const gemmi::GroupOps& group) {
  std::vector<Reflection> all;
  all.reserve(unique.size() * group.sym_ops.size() * 2);
  for (const Reflection& r : unique)
    for (const gemmi::Op& op : group.sym_ops) {
      const MillerIndex image = op.apply_to_hkl(r.hkl);
      all.push_back({image, r.amplitude});
      all.push_back({{-image[0], -image[1], -image[2]}, r.amplitude});
    }
  std::stable_sort(all.begin(), all.end(),
                   [](const Reflection& a, const Reflection& b) { return a.hkl < b.hkl; });
  all.erase(std::unique(all.begin(), all.end(),
                        [](const Reflection& a, const Reflection& b) { return a.hkl == b.hkl; }),
            all.end());
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "nothing" : text;
}

// ---- MTZ -----------------------------------------------------------------------------------

const gemmi::Mtz::Column& amplitude_column(const gemmi::Mtz& mtz, const std::string& path,
                                           const std::string& label) {
  std::vector<std::string> amplitudes, others;
  for (const gemmi::Mtz::Column& column : mtz.columns) {
    if (column.type == 'F' && (label.empty() || column.label == label)) return column;
    if (column.type == 'F') amplitudes.push_back(column.label);
    others.push_back(column.label + " of type " + column.type);
  }
  if (amplitudes.empty())
    throw InputError(path, 0, "no column of type F (it has: " + joined(others) + ")");
  throw InputError(
      path, 0,
      "no column " + label + " of type F; the columns of type F are: " + joined(amplitudes));
}

gemmi::GroupOps symmetry_of(const gemmi::Mtz& mtz, const std::string& path) {
  if (mtz.spacegroup) return mtz.spacegroup->operations();
  // A setting that gemmi does not list by name is still described by the SYMM records.
  if (!mtz.symops.empty()) return gemmi::split_centering_vectors(mtz.symops);
  throw InputError(path, 0,
                   "unknown space group '" + mtz.spacegroup_name + "' and no symmetry operations");
}

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
  check_counts(input.text().substr(static_cast<std::size_t>(word_bytes * (mtz.header_offset - 1))),
               path);
  mtz.read_main_headers(stream);
  mtz.setup_spacegroup();
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
}

std::vector<Reflection> unique_reflections(const gemmi::Mtz& mtz, const gemmi::Mtz::Column& column,
                                           const std::string& path) {
  std::vector<Reflection> unique;
  for (std::size_t row = 0; row < mtz.data.size(); row += mtz.columns.size()) {
    const auto value = static_cast<double>(mtz.data[row + column.idx]);
    // Old files mark missing values by a number, the VALM record, instead of NaN.
    if (std::isnan(value) || value == static_cast<double>(mtz.valm)) continue;
    if (!std::isfinite(value))
      throw InputError(path, 0, "column " + column.label + " holds an infinite value");
    MillerIndex hkl;
    for (std::size_t i = 0; i < 3; ++i) {
      const float index = mtz.data[row + i];
      if (!(std::abs(index) <= static_cast<float>(max_index)))
        throw InputError(path, 0,
                         "reflection " + std::to_string(row / mtz.columns.size() + 1) +
                             " has no sensible Miller index");
      hkl[i] = static_cast<int>(std::lround(index));
    }
    unique.push_back({hkl, value});
  }
  return unique;
}

// ---- SF-mmCIF ------------------------------------------------------------------------------

// Observations before models, and of the models the one with solvent first.
constexpr const char* default_items[] = {"F_meas_au", "F_meas", "pdbx_F_calc_with_solvent",
                                         "F_calc_au", "F_calc"};

std::vector<Reflection> unique_reflections(const gemmi::ReflnBlock& block, const std::string& item,
                                           const std::string& path) {
  const gemmi::ReflnDataProxy data(block);
  const std::size_t column = data.column_index(item);
  std::vector<Reflection> unique;
  for (std::size_t row = 0; row < data.size(); row += data.stride()) {
    const double value = data.get_num(row + column);
    if (std::isnan(value)) continue;
    const MillerIndex hkl = data.get_hkl(row);
    for (const int index : hkl)
      if (index < -max_index || index > max_index)
        throw InputError(path, 0,
                         "reflection " + std::to_string(row / data.stride() + 1) +
                             " has no sensible Miller index");
    unique.push_back({hkl, value});
  }
  return unique;
}

gemmi::GroupOps symmetry_of(const gemmi::ReflnBlock& block, const std::string& path) {
  if (block.spacegroup) return block.spacegroup->operations();
  for (const char* tag : {"_symmetry.Int_Tables_number", "_space_group.IT_number"})
    if (const std::string* number = block.block.find_value(tag))
      if (const gemmi::SpaceGroup* group = gemmi::find_spacegroup_by_number(
              gemmi::cif::as_int(*number, 0)))
        return group->operations();
  throw InputError(path, 0, "no known space group (_symmetry.space_group_name_H-M)");
}

[[noreturn]] void fail_without_item(const std::vector<gemmi::ReflnBlock>& blocks,
                                    const std::string& path, const std::string& item) {
  std::vector<std::string> there;
  bool any_loop = false, any_intensity = false;
  for (const gemmi::ReflnBlock& block : blocks)
    if (block.refln_loop) {
      any_loop = true;
      for (const std::string& label : block.column_labels()) {
        if (gemmi::starts_with(label, "index_") ||
            std::find(there.begin(), there.end(), label) != there.end())
          continue;
        there.push_back(label);
        any_intensity = any_intensity || gemmi::starts_with(label, "intensity_") ||
                        gemmi::starts_with(label, "pdbx_I_") ||
                        gemmi::starts_with(label, "F_squared_");
      }
    }
  if (!any_loop)
    throw InputError(path, 0, "no loop of _refln.index_h: not a structure-factor mmCIF file");
  if (!item.empty())
    throw InputError(path, 0,
                     "no item _refln." + item + " with values (it has: " + joined(there) + ")");
  throw InputError(
      path, 0,
      std::string(any_intensity ? "only intensities, no amplitudes" : "no amplitudes") +
          " (it has: " + joined(there) + ")" +
          (any_intensity ? "; convert them to amplitudes first" : ""));
}

}  // namespace

std::vector<Reflection> read_mtz(const InputBytes& input, const std::string& column) {
  const std::string& path = input.path;
  if (input.bytes.empty()) throw InputError(path, 0, "is empty");
  try {
    gemmi::Mtz mtz;
    read_checked(mtz, input);
    const gemmi::Mtz::Column& amplitudes = amplitude_column(mtz, path, column);
    const std::vector<Reflection> unique = unique_reflections(mtz, amplitudes, path);
    if (unique.empty())
      throw InputError(path, 0, "column " + amplitudes.label + " holds no values");
    return expand_to_p1(unique, symmetry_of(mtz, path));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw_input_error(path, e.what());
  }
}

std::vector<Reflection> read_sf_mmcif(const InputBytes& input, const std::string& column) {
  const std::string& path = input.path;
  if (input.bytes.empty()) throw InputError(path, 0, "is empty");
  try {
    gemmi::cif::Document document = gemmi::cif::read_memory(input.bytes.data(), input.bytes.size(),
                                                            path.c_str());
    const std::vector<gemmi::ReflnBlock> blocks = gemmi::as_refln_blocks(
        std::move(document.blocks));
    std::vector<std::string> items;
    if (column.empty())
      items.assign(std::begin(default_items), std::end(default_items));
    else
      items.push_back(column);
    for (const std::string& item : items)
      for (const gemmi::ReflnBlock& block : blocks) {
        // A file may also hold unmerged data (_diffrn_refln), which are never amplitudes.
        if (!block.refln_loop || block.find_column_index(item) < 0) continue;
        const std::vector<Reflection> unique = unique_reflections(block, item, path);
        if (!unique.empty()) return expand_to_p1(unique, symmetry_of(block, path));
      }
    fail_without_item(blocks, path, column);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw_input_error(path, e.what());
  }
}

std::vector<Reflection> read_mtz(const std::string& path, const std::string& column) {
  return read_mtz(read_input(path), column);
}

std::vector<Reflection> read_sf_mmcif(const std::string& path, const std::string& column) {
  return read_sf_mmcif(read_input(path), column);
}

}  // namespace nablabragg::io
