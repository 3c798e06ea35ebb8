// Amplitudes of SF-mmCIF files, and of the core CIF (.fcf) that programs of small molecules write.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <exception>
#include <map>
#include <new>  // for bad_alloc
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gemmi/cif.hpp>
#include <gemmi/numb.hpp>

#include "io/cif_symmetry.hpp"
#include "io/gemmi_errors.hpp"
#include "io/groups.hpp"
#include "io/quotes.hpp"
#include "io/reflections.hpp"
#include "io/symmetry.hpp"
#include "nablabragg/crystallography.hpp"

namespace nablabragg::io {

namespace {

namespace cif = gemmi::cif;

/// One spelling for both dictionaries: "_refln.F_meas_au" and "_refln_F_meas", in any case.
std::string plain(std::string tag) {
  for (char& c : tag)
    c = c == '.' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return tag;
}

/// A block of the file: its single values and its loops, by plain tags.
struct Block {
  std::map<std::string, std::string> values;
  struct Column {
    const cif::Loop* loop;
    std::size_t index;
  };
  std::map<std::string, Column> columns;
  const cif::Loop* reflections = nullptr;
  bool has_atoms = false;

  explicit Block(const cif::Block& block) {
    for (const cif::Item& item : block.items) {
      if (item.type == cif::ItemType::Pair && !cif::is_null(item.pair[1]))
        values.emplace(plain(item.pair[0]), cif::as_string(item.pair[1]));
      if (item.type != cif::ItemType::Loop) continue;
      for (std::size_t i = 0; i < item.loop.tags.size(); ++i) {
        const std::string tag = plain(item.loop.tags[i]);
        columns.emplace(tag, Column{&item.loop, i});
        if (tag == "_refln_index_h") reflections = &item.loop;
        has_atoms = has_atoms || gemmi::starts_with(tag, "_atom_site_");
      }
    }
  }

  /// The value, also of a loop with one row; empty where there is none.
  std::string value(const std::string& tag) const {
    if (const auto at = values.find(tag); at != values.end()) return at->second;
    if (const auto at = columns.find(tag); at != columns.end()) {
      const auto& [loop, index] = at->second;
      if (loop->length() == 1 && !cif::is_null(loop->val(0, index)))
        return cif::as_string(loop->val(0, index));
    }
    return {};
  }

  std::optional<std::size_t> refln_column(const std::string& item) const {
    const auto at = columns.find("_refln_" + plain(item));
    if (at == columns.end() || at->second.loop != reflections) return std::nullopt;
    return at->second.index;
  }
};

std::optional<CellNumbers> cell_of(const Block& block) {
  CellNumbers cell{};
  std::size_t i = 0;
  for (const char* tag : {"_cell_length_a", "_cell_length_b", "_cell_length_c", "_cell_angle_alpha",
                          "_cell_angle_beta", "_cell_angle_gamma"}) {
    const double number = cif::as_number(block.value(tag));
    if (!(number > 0) || !std::isfinite(number)) return std::nullopt;
    cell[i++] = number;
  }
  return cell;
}

/// Of several wavelengths that with this id; 0: the file does not say.
double wavelength_of(const Block& block, const std::optional<std::string>& id) {
  for (const std::string tag :
       {"_diffrn_radiation_wavelength_wavelength", "_diffrn_radiation_wavelength",
        "_diffrn_radiation_wavelength_value"}) {
    std::string text = block.value(tag);
    const auto column = block.columns.find(tag),
               ids = block.columns.find("_diffrn_radiation_wavelength_id");
    if (text.empty() && id && column != block.columns.end() && ids != block.columns.end() &&
        ids->second.loop == column->second.loop) {
      const cif::Loop& loop = *column->second.loop;
      for (std::size_t row = 0; row < loop.length(); ++row)
        if (cif::as_string(loop.val(row, ids->second.index)) == *id)
          text = cif::as_string(loop.val(row, column->second.index));
    }
    if (const double A = cif::as_number(text); A > 0 && std::isfinite(A)) return A;
  }
  return 0;
}

// ---- Which item --------------------------------------------------------------------------------

enum class Kind { amplitude, intensity };

/// An item that can be taken, in the order in which they are: observations before models, of the
/// models the one with solvent first, amplitudes before intensities.
struct Item {
  const char* name;
  Kind kind;
  const char* mate = nullptr;  ///< of the other hand
};

constexpr Item items[] = {{"F_meas_au", Kind::amplitude},
                          {"F_meas", Kind::amplitude},
                          {"pdbx_F_plus", Kind::amplitude, "pdbx_F_minus"},
                          {"pdbx_F_calc_with_solvent", Kind::amplitude},
                          {"F_calc_au", Kind::amplitude},
                          {"F_calc", Kind::amplitude},
                          {"intensity_meas", Kind::intensity},
                          {"F_squared_meas", Kind::intensity},
                          {"pdbx_I_plus", Kind::intensity, "pdbx_I_minus"},
                          {"intensity_calc", Kind::intensity},
                          {"F_squared_calc", Kind::intensity}};

const Item* item_named(const std::string& name) {
  for (const Item& item : items)
    if (plain(item.name) == plain(name) || (item.mate && plain(item.mate) == plain(name)))
      return &item;
  return nullptr;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// What the loops of reflections hold beside the indices.
std::vector<std::string> labels_of(const std::vector<Block>& blocks, bool usable_only) {
  std::vector<std::string> labels;
  constexpr std::size_t category = std::string_view("_refln.").size();
  for (const Block& block : blocks)
    if (block.reflections)
      for (const std::string& tag : block.reflections->tags) {
        if (tag.size() <= category) continue;
        const std::string label = tag.substr(category);
        if (gemmi::starts_with(plain(label), "index_") || (usable_only && !item_named(label)) ||
            std::find(labels.begin(), labels.end(), label) != labels.end())
          continue;
        labels.push_back(label);
      }
  return labels;
}

std::string description(const Item& item, bool has_mate) {
  std::string text = has_mate ? std::string("items ") + item.name + " and " + item.mate
                              : std::string("item ") + item.name;
  return item.kind == Kind::intensity ? "roots of the intensities in " + text : text;
}

// ---- Rows --------------------------------------------------------------------------------------

double number_in(const std::string& value, const std::string& path, std::size_t row,
                 const std::string& name) {
  const double number = cif::as_number(cif::as_string(value));
  if (!std::isfinite(number))
    throw InputError(path, 0,
                     "reflection " + std::to_string(row + 1) + ": " + name +
                         " is no finite number: " + value.substr(0, 60));
  return number;
}

/// Which rows of the loop are not asked for their item at all.
class LeftOut {
 public:
  LeftOut(const Block& block, const Item& item) : loop_(*block.reflections) {
    for (std::size_t i = 0; i < loop_.tags.size(); ++i)
      if (gemmi::starts_with(plain(loop_.tags[i]), "_refln_index_m")) satellite_.push_back(i);
    const auto value = block.refln_column(item.name);
    std::size_t first = 0;
    while (first < loop_.length() &&
           (is_satellite(first) || (value && cif::is_null(loop_.val(first, *value)))))
      ++first;
    for (Label* label : {&wavelength_, &crystal_}) {
      label->column = block.refln_column(label->name);
      if (label->column && first < loop_.length()) label->id = id_in(*label, first);
    }
  }

  /// Counts those that are.
  bool operator()(std::size_t row) {
    if (is_satellite(row)) {
      ++satellites_;
      return true;
    }
    for (Label* label : {&wavelength_, &crystal_})
      if (label->id && id_in(*label, row) != *label->id) {
        ++label->others;
        return true;
      }
    return false;
  }

  /// Of the rows' wavelength; empty where the rows name none.
  const std::optional<std::string>& wavelength_id() const { return wavelength_.id; }

  void tell(ReflectionFile& file) const {
    const auto rows = [](long count) {
      return std::to_string(count) + (count == 1 ? " row is" : " rows are");
    };
    if (satellites_ > 0)
      file.remarks.push_back(rows(satellites_) +
                             " of satellites of a modulated crystal (index_m is not 0), which is "
                             "not simulated, and left out");
    for (const Label* label : {&wavelength_, &crystal_})
      if (label->others > 0)
        file.remarks.push_back(rows(label->others) + " of other " + label->many +
                               " and left out; those with the " + label->name + " " +
                               in_quotes(*label->id) + ", the first, are taken");
  }

 private:
  bool is_satellite(std::size_t row) const {
    return std::any_of(satellite_.begin(), satellite_.end(), [&](std::size_t column) {
      return cif::as_number(loop_.val(row, column), 0) != 0;
    });
  }
  /// What rows of several data sets in one loop differ in.
  struct Label {
    const char *name, *many;
    std::optional<std::size_t> column;
    std::optional<std::string> id;  ///< whose rows are taken
    long others = 0;
  };

  std::string id_in(const Label& label, std::size_t row) const {
    return cif::as_string(loop_.val(row, *label.column));
  }

  const cif::Loop& loop_;
  std::vector<std::size_t> satellite_;
  Label wavelength_{"wavelength_id", "wavelengths", {}, {}},
      crystal_{"crystal_id", "crystals", {}, {}};
  long satellites_ = 0;
};

/// Also says which wavelength the rows have, by its id.
std::vector<StatedAmplitude> stated_amplitudes(const Block& block, const Item& item,
                                               ReflectionFile& file,
                                               std::optional<std::string>& wavelength_id) {
  const cif::Loop& loop = *block.reflections;
  std::array<std::size_t, 3> index_columns{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string name = std::string("index_") + "hkl"[i];
    const auto column = block.refln_column(name);
    if (!column) throw InputError(file.path, 0, "its reflections have no _refln." + name);
    index_columns[i] = *column;
  }
  const auto first = block.refln_column(item.name);
  const auto mate = item.mate ? block.refln_column(item.mate) : std::nullopt;
  auto status = block.refln_column("status");
  for (const char* name : {"include_status", "observed_status"})
    if (!status) status = block.refln_column(name);

  LeftOut is_left_out(block, item);
  wavelength_id = is_left_out.wavelength_id();
  std::vector<StatedAmplitude> stated;
  for (std::size_t row = 0; row < loop.length(); ++row) {
    if (is_left_out(row)) continue;
    MillerIndex hkl{};
    for (std::size_t i = 0; i < 3; ++i) {
      const double index = cif::as_number(loop.val(row, index_columns[i]));
      if (!(std::abs(index) <= max_index) || index != std::trunc(index))
        throw InputError(file.path, 0,
                         "reflection " + std::to_string(row + 1) + " has no sensible Miller index");
      hkl[i] = static_cast<int>(index);
    }
    // By the dictionary x is an unreliable measurement, and - absent by symmetry.
    const std::string mark = status ? cif::as_string(loop.val(row, *status)) : std::string();
    bool any = false;
    const auto take = [&](const std::optional<std::size_t>& column, const char* name,
                          const MillerIndex& index) {
      if (!column || cif::is_null(loop.val(row, *column))) return;
      const double value = number_in(loop.val(row, *column), file.path, row, name);
      any = true;
      if (mark == "x" || mark == "-") return;
      if (item.kind == Kind::amplitude)
        stated.push_back({index, value, row});
      else if (value < 0)
        ++file.negative;
      else
        stated.push_back({index, std::sqrt(value), row});
    };
    take(first, item.name, hkl);
    take(mate, item.mate, {-hkl[0], -hkl[1], -hkl[2]});
    file.missing += !any;
    file.rejected += any && (mark == "x" || mark == "-");
  }
  is_left_out.tell(file);
  return stated;
}

[[noreturn]] void fail_without_item(const std::vector<Block>& blocks, const std::string& path,
                                    const std::string& name) {
  const auto any = [&](auto&& is) { return std::any_of(blocks.begin(), blocks.end(), is); };
  if (!any([](const Block& block) { return block.reflections != nullptr; })) {
    if (any([](const Block& block) { return block.has_atoms; })) fail_as_model(path);
    throw InputError(path, 0, "no loop of _refln.index_h: not a structure-factor mmCIF file");
  }
  const std::string all = joined(labels_of(blocks, false)),
                    usable = joined(labels_of(blocks, true));
  const std::string others = usable.empty() ? " (it has: " + all + ")"
                                            : "; these can be taken: " + usable;
  if (name.empty() && !usable.empty())
    throw InputError(path, 0, "no value that could be taken stands in " + usable);
  if (name.empty()) throw InputError(path, 0, "no amplitudes (it has: " + all + ")");
  if (!item_named(name))
    throw InputError(
        path, 0, "the item _refln." + name + " is neither an amplitude nor an intensity" + others);
  throw InputError(path, 0, "no item _refln." + name + " with values" + others);
}

}  // namespace

ReflectionFile read_sf_mmcif(const InputBytes& input, const std::string& column) {
  ReflectionFile file;
  file.path = input.path;
  file.format = "CIF";
  if (input.bytes.empty()) throw InputError(file.path, 0, "is empty");
  try {
    const std::string_view text = input.text();
    cif::Document document = cif::read_memory(text.data(), text.size(), file.path.c_str());
    undot_tags(document);
    const std::vector<Block> blocks(document.blocks.begin(), document.blocks.end());
    const auto with_reflections = std::count_if(
        blocks.begin(), blocks.end(), [](const Block& block) { return block.reflections; });
    const Item* const named = column.empty() ? nullptr : item_named(column);
    if (!column.empty() && !named) fail_without_item(blocks, file.path, column);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Block& block = blocks[i];
      // A file may also hold unmerged data (_diffrn_refln), which are never amplitudes.
      if (!block.reflections) continue;
      for (const Item& item : items) {
        if (named && named != &item) continue;
        const bool has_mate = item.mate && block.refln_column(item.mate);
        if (!block.refln_column(item.name) && !has_mate) continue;
        ReflectionFile found = file;
        std::optional<std::string> wavelength_id;
        const std::vector<StatedAmplitude> stated = stated_amplitudes(block, item, found,
                                                                      wavelength_id);
        if (stated.empty()) continue;
        file = std::move(found);
        file.taken = description(item, has_mate);
        if (with_reflections > 1)
          file.taken += " of data_" + printable(document.blocks[i].name) + ", one of " +
                        std::to_string(with_reflections) + " blocks with reflections";
        file.anomalous = has_mate;
        file.cell = cell_of(block);
        for (const Block& other : blocks)
          if (!file.cell) file.cell = cell_of(other);
        file.wavelength_A = wavelength_of(block, wavelength_id);
        const CifSymmetry group = symmetry_of(
            document, document.blocks[i], file.cell ? (*file.cell)[3] : 0,
            file.cell ? (*file.cell)[5] : 0, file.path, file.remarks);
        const Symmetry symmetry = symmetry_of(
            group.operators,
            group.group ? group.group->xhm()
                        : name_without_symbol(static_cast<std::size_t>(group.operators.order())));
        file.space_group = symmetry.name;
        file.reflections = expand_to_p1(stated, symmetry, file);
        return file;
      }
    }
    fail_without_item(blocks, file.path, column);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw_input_error(file.path, e.what());
  }
}

ReflectionFile read_sf_mmcif(const std::string& path, const std::string& column) {
  return read_sf_mmcif(read_input(path), column);
}

}  // namespace nablabragg::io
