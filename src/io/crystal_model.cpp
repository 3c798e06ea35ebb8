#include "io/crystal_model.hpp"

#include <algorithm>  // for any_of, find_if, max, min
#include <cmath>
#include <cstddef>
#include <cstdio>  // for snprintf
#include <exception>
#include <string_view>
#include <utility>  // for move

#include <gemmi/cif.hpp>    // for cif::read_memory
#include <gemmi/it92.hpp>   // for IT92
#include <gemmi/mmcif.hpp>  // for make_structure
#include <gemmi/pdb.hpp>    // for read_pdb_from_memory

#include "io/atom_tally.hpp"
#include "io/cif_symmetry.hpp"
#include "io/crowded_atoms.hpp"
#include "io/gemmi_errors.hpp"
#include "io/groups.hpp"
#include "io/input_bytes.hpp"
#include "io/quotes.hpp"
#include "io/small_structure.hpp"
#include "io/symmetry.hpp"
#include "io/trimmed.hpp"

namespace nablabragg::io {
namespace {

// Atoms nearer to their own images than this are one atom: refinements leave atoms somewhat beside
// their axis.  Two real atoms are never as near as the second.
constexpr double same_place_A = 0.4, nearest_atoms_A = 1.0;

// Occupancies are written with two decimals: 0.34 of three atoms are one.
constexpr double occupancy_rounding = 0.01;

// No displacement gives B < 0.  Slightly negative ones come out of refinements; below this, undoing
// the blur would amplify rounding.
constexpr double min_b_A2 = -10.0, max_b_A2 = 10000.0;

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string text_of(const gemmi::UnitCell& cell) {
  std::string text = short_number(cell.a);
  for (const double number : {cell.b, cell.c, cell.alpha, cell.beta, cell.gamma})
    text += ' ' + short_number(number);
  return text;
}

// ---- PDB -------------------------------------------------------------------------------------

struct Columns {
  std::size_t begin, end;  ///< from 0, the last one not included
  const char* name;
};

constexpr Columns atom_columns[] = {
    {30, 38, "x"}, {38, 46, "y"}, {46, 54, "z"}, {54, 60, "occupancy"}, {60, 66, "B"}};
constexpr Columns cell_columns[] = {{6, 15, "a"},      {15, 24, "b"},    {24, 33, "c"},
                                    {33, 40, "alpha"}, {40, 47, "beta"}, {47, 54, "gamma"}};
constexpr Columns anisou_columns[] = {{28, 35, "U11"}, {35, 42, "U22"}, {42, 49, "U33"},
                                      {49, 56, "U12"}, {56, 63, "U13"}, {63, 70, "U23"}};
constexpr Columns matrix_columns[] = {
    {10, 20, "column 1"}, {20, 30, "column 2"}, {30, 40, "column 3"}, {45, 55, "shift"}};

std::string_view columns_of(std::string_view line, std::size_t begin, std::size_t end) {
  return begin < line.size() ? trimmed(line.substr(begin, end - begin)) : std::string_view();
}

bool is_finite_number(std::string_view word) {
  double value = 0;
  const auto result = gemmi::fast_from_chars(word.data(), word.data() + word.size(), value);
  return result.ec == std::errc() && result.ptr == word.data() + word.size() &&
         std::isfinite(value);
}

/// gemmi takes 0 for what is no number, and values of its own for what the line leaves out.
template <std::size_t n>
void check_numbers(std::string_view line, const Columns (&columns)[n], const std::string& of,
                   const std::string& path, long number) {
  for (const Columns& c : columns) {
    const std::string_view word = columns_of(line, c.begin, c.end);
    if (is_finite_number(word)) continue;
    throw InputError(
        path, number,
        (word.empty()
             ? of + " has no " + c.name
             : of + " has " + in_quotes(word) + " for " + c.name + ", which is no number") +
            " (columns " + std::to_string(c.begin + 1) + " to " + std::to_string(c.end) + ")");
  }
}

/// Returns the atoms whose element stands nowhere but in their name.
int check_pdb(std::string_view text, const std::string& path) {
  int without_element = 0;
  long number = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    const auto is = [&](const char* record) {
      return gemmi::pdb_impl::is_record_type(std::string(line.substr(0, 6)).append(4, ' ').c_str(),
                                             record);
    };
    const auto is_long = [&](std::size_t most) { return trimmed(line.substr(0, most)).size() > 6; };
    if (is("ATOM") || is("HETATM")) {
      const std::string name(columns_of(line, 12, 16)), residue(columns_of(line, 17, 20)),
          sequence(columns_of(line, 22, 27));
      check_numbers(line, atom_columns,
                    "atom " + in_quotes(name) + " of " + residue + " " + sequence, path, number);
      if (columns_of(line, 76, 78).empty()) ++without_element;
    } else if (is("ANISOU")) {
      check_numbers(line, anisou_columns, "ANISOU", path, number);
    } else if (is("CRYST1") && is_long(54)) {
      check_numbers(line, cell_columns, "CRYST1", path, number);
    } else if (is("SCALEn") || is("MTRIXn")) {
      check_numbers(line, matrix_columns, std::string(line.substr(0, 6)), path, number);
    } else if (trimmed(line) == "END") {
      break;
    }
  }
  return without_element;
}

gemmi::Structure read_pdb(const InputBytes& input, std::vector<std::string>& notes) {
  const int without_element = check_pdb(input.text(), input.path);
  gemmi::Structure structure = gemmi::read_pdb_from_memory(input.bytes.data(), input.bytes.size(),
                                                           input.path);
  if (without_element > 0)
    notes.push_back(std::to_string(without_element) +
                    (without_element == 1 ? " atom has its element from its name"
                                          : " atoms have their elements from their names") +
                    ", because columns 77 and 78 are empty");
  return structure;
}

// ---- mmCIF -----------------------------------------------------------------------------------

/// gemmi asks for the author's numbers of residues, which only the archive's files must have.
void number_residues(gemmi::cif::Block& block) {
  const std::string author = "_atom_site.auth_seq_id", label = "_atom_site.label_seq_id";
  if (block.has_tag(author) || !block.has_tag(label)) return;
  if (const gemmi::cif::Item* item = block.find_pair_item(label)) {
    block.set_pair(author, std::string(item->pair[1]));
    return;
  }
  gemmi::cif::Loop& loop = *block.find_loop(label).get_loop();
  const std::size_t width = loop.tags.size();
  const auto column = static_cast<std::size_t>(loop.find_tag(label));
  std::vector<std::string> values;
  values.reserve(loop.values.size() + loop.length());
  for (std::size_t row = 0; row < loop.length(); ++row) {
    const auto begin = loop.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
    values.push_back(loop.val(row, column));
  }
  loop.tags.push_back(author);
  loop.values = std::move(values);
}

/// gemmi reads no atom at all where one of these is not there.
void check_mmcif(gemmi::cif::Block& block, const std::string& path) {
  for (const char* item : {"id", "type_symbol", "label_alt_id", "label_asym_id", "Cartn_x",
                           "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id"})
    if (!block.has_tag(std::string("_atom_site.") + item))
      throw InputError(path, 0, std::string("_atom_site.") + item + " is missing");
  for (auto row : block.find("_atom_site.", {"id", "occupancy", "B_iso_or_equiv"})) {
    const bool no_occupancy = !gemmi::cif::is_null(row[1]) && !gemmi::cif::is_numb(row[1]);
    if (no_occupancy || !gemmi::cif::is_numb(row[2]))
      throw InputError(
          path, 0,
          "atom " + in_quotes(row.str(0)) + " has " + in_quotes(row[no_occupancy ? 1 : 2]) +
              " for " + (no_occupancy ? "occupancy" : "B_iso_or_equiv") + ", which is no number");
  }
}

// ---- all formats -----------------------------------------------------------------------------

enum class Format { pdb, mmcif, core_cif };

/// Atoms, cell and, for CIFs, symmetry.
struct ReadModel {
  Format format = Format::pdb;
  gemmi::Structure structure;
  CifSymmetry symmetry;
};

ReadModel read_cif(const InputBytes& input, std::vector<std::string>& notes) {
  ReadModel read;
  const std::string& path = input.path;
  gemmi::cif::Document document = gemmi::cif::read_memory(input.bytes.data(), input.bytes.size(),
                                                          path.c_str());
  const auto end = document.blocks.end();
  const auto block_with = [&](const char* tag) {
    const auto has_it = [tag](const gemmi::cif::Block& block) { return block.has_tag(tag); };
    const auto found = std::find_if(document.blocks.begin(), end, has_it);
    if (found != end && std::any_of(found + 1, end, has_it))
      notes.push_back("of several blocks with atoms the first is used, data_" + found->name);
    return found;
  };
  auto block = block_with("_atom_site.Cartn_x");
  if (block != end) {
    read.format = Format::mmcif;
    number_residues(*block);
    check_mmcif(*block, path);
    read.structure = gemmi::make_structure_from_block(*block);
    undot_tags(document);
  } else {
    undot_tags(document);
    block = block_with("_atom_site_fract_x");
    if (block == end) {
      const bool reflections = std::any_of(
          document.blocks.begin(), end,
          [](const gemmi::cif::Block& each) { return each.has_tag("_refln_index_h"); });
      throw InputError(path, 0,
                       std::string("holds no atoms (_atom_site)") +
                           (reflections ? ", but reflections: -hkl reads them" : ""));
    }
    read.format = Format::core_cif;
    read.structure = read_small_structure(*block, path, notes);
  }
  const gemmi::UnitCell& cell = read.structure.cell;
  read.symmetry = symmetry_of(document, *block, cell.alpha, cell.gamma, path, notes);
  return read;
}

/// Strict non-crystallographic symmetry (virus capsids) is stored as operators without the atoms.
void add_ncs_copies(gemmi::Structure& structure) {
  std::vector<gemmi::Chain>& chains = structure.models.front().chains;
  const std::size_t deposited = chains.size();
  for (const gemmi::NcsOp& op : structure.ncs) {
    if (op.given) continue;
    for (std::size_t i = 0; i < deposited; ++i) {
      gemmi::Chain copy = chains[i];
      for (gemmi::Residue& residue : copy.residues)
        for (gemmi::Atom& atom : residue.atoms) {
          atom.pos = op.apply(atom.pos);
          atom.aniso = atom.aniso.transformed_by<float>(op.tr.mat);
        }
      chains.push_back(std::move(copy));
    }
  }
  structure.ncs.clear();
}

/// Leaves out what is no atom that scatters; throws InputError for atoms without sense.
void take_scatterers(gemmi::Model& model, const std::string& path,
                     std::vector<std::string>& notes) {
  AtomTally dummies, unknown, charged, crowded;
  double largest_b = 0;
  const auto examine = [&](const gemmi::Residue& residue, const gemmi::Atom& atom) {
    const auto problem = [&](const std::string& text) {
      throw InputError(path, 0, "atom " + name_of(residue, atom) + text);
    };
    if (atom.calc_flag == gemmi::CalcFlag::Dummy) {
      dummies.add(residue, atom);
      return false;
    }
    constexpr double max_coordinate_A = 1e5;
    for (const double x : {atom.pos.x, atom.pos.y, atom.pos.z})
      if (!(std::abs(x) < max_coordinate_A)) problem(" has no sensible coordinates");
    if (!std::isfinite(atom.occ)) problem(" has no occupancy");
    if (atom.occ < 0) problem(" has the negative occupancy " + short_number(atom.occ));
    // Unoccupied atoms neither scatter nor keep the solvent out.
    if (atom.occ == 0) return false;
    if (atom.element == gemmi::El::X) {
      // The PDB's residue for what nobody knows.
      if (residue.name != "UNX")
        problem(
            " has no known element: write it into columns 77 and 78 (PDB) or type_symbol (CIF)");
      unknown.add(residue, atom);
      return false;
    }
    if (!(min_b(atom) >= min_b_A2) || !(max_b(atom) <= max_b_A2))
      problem(" has an impossible temperature factor (below -10 A^2 or above 10000 A^2)");
    if (!gemmi::IT92<double>::has(atom.element.elem))
      problem(std::string(" is ") + atom.element.name() +
              ", which has no tabulated scattering factor");
    if (atom.charge != 0)
      charged.add(residue, atom,
                  std::to_string(std::abs(atom.charge)) + (atom.charge > 0 ? "+" : "-"));
    if (atom.occ > 1 + occupancy_rounding)
      crowded.add(residue, atom, "occupancy " + short_number(static_cast<double>(atom.occ)));
    largest_b = std::max(largest_b, max_b(atom));
    return true;
  };
  bool any = false;
  for (gemmi::Chain& chain : model.chains)
    for (gemmi::Residue& residue : chain.residues) {
      gemmi::vector_remove_if(residue.atoms,
                              [&](const gemmi::Atom& atom) { return !examine(residue, atom); });
      any = any || !residue.atoms.empty();
    }
  dummies.tell(notes, " atom of calc_flag dum is", " atoms of calc_flag dum are", " left out");
  unknown.tell(notes, " atom of unknown element is", " atoms of unknown element are", " left out");
  charged.tell(notes, " ion scatters", " ions scatter",
               " like neutral atoms, because no factors of ions are tabulated");
  crowded.tell(notes, " atom has", " atoms have", " an occupancy above 1");
  if (any && largest_b == 0) notes.push_back("all temperature factors are 0");
  if (!any)
    throw InputError(path, 0,
                     "no occupied atoms of known element: not a PDB, mmCIF or core CIF model");
}

void check_cell(gemmi::UnitCell& cell, const std::string& path) {
  // gemmi's cell of a file that states none; it calls a matrix of ones no crystal, too.
  if (cell.a == 1)
    throw InputError(path, 0, "no unit cell (CRYST1 or _cell): a model without one has no crystal");
  if (!(cell.a > 0 && cell.b > 0 && cell.c > 0) || !(cell.volume > 0) ||
      !std::isfinite(cell.volume) || !(std::min({cell.alpha, cell.beta, cell.gamma}) > 0) ||
      !(std::max({cell.alpha, cell.beta, cell.gamma}) < 180))
    throw InputError(path, 0, "the unit cell " + text_of(cell) + " is impossible");
}

/// What a matrix says of the axes, as numbers that can be compared with a cell's: lengths and
/// angles, whatever way the axes are turned.
gemmi::UnitCell cell_of(const gemmi::Mat33& axes) {
  gemmi::UnitCell cell;
  cell.set_from_vectors(axes.column_copy(0), axes.column_copy(1), axes.column_copy(2));
  return cell;
}

bool is_near(const gemmi::UnitCell& a, const gemmi::UnitCell& b) {
  const auto differ = [](double x, double y) { return !(std::abs(x / y - 1) < other_cell); };
  const auto differ_deg = [](double x, double y) { return !(std::abs(x - y) < other_angle_deg); };
  return !differ(a.a, b.a) && !differ(a.b, b.b) && !differ(a.c, b.c) &&
         !differ_deg(a.alpha, b.alpha) && !differ_deg(a.beta, b.beta) &&
         !differ_deg(a.gamma, b.gamma);
}

/// " (they hold those of b, c, a in this order)": the axes of the cell that the rows of the matrix
/// belong to, where that is all that is wrong.
std::string order_of_axes(const gemmi::UnitCell& cell, const gemmi::Mat33& axes) {
  constexpr int orders[5][3] = {{1, 0, 2}, {0, 2, 1}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
  for (const auto& order : orders) {
    gemmi::Mat33 sorted;
    for (int i = 0; i < 3; ++i)
      for (int row = 0; row < 3; ++row) sorted[row][order[i]] = axes[row][i];
    if (!is_near(cell_of(sorted), cell)) continue;
    std::string names;
    for (int i = 0; i < 3; ++i) names += std::string(i > 0 ? ", " : "") + "abc"[order[i]];
    return " (its rows are those of " + names + ", in this order)";
  }
  return {};
}

/// A file's own matrix of fractional coordinates must be that of its cell; a turn and a shift are
/// its own, and told.
void check_fractions(const gemmi::UnitCell& cell, const std::string& path,
                     std::vector<std::string>& notes) {
  if (!cell.explicit_matrices) return;
  const char* const matrix =
      "its matrix of fractional coordinates (SCALE records, "
      "fract_transf_matrix)";
  const auto refuse = [&](const std::string& what) {
    throw InputError(path, 0, matrix + what + ": correct it or leave it out");
  };
  const double determinant = cell.frac.mat.determinant();
  if (!std::isfinite(determinant) || std::abs(determinant) * cell.volume < 1e-6)
    refuse(" cannot be inverted");
  const gemmi::UnitCell stated = cell_of(cell.orth.mat);
  if (!is_near(stated, cell))
    refuse(" makes the axes " + text_of(stated) + ", and the unit cell is " + text_of(cell) +
           order_of_axes(cell, cell.orth.mat));
  if (determinant < 0) refuse(" is left-handed, which makes the crystal its mirror image");
  gemmi::UnitCell standard;
  standard.set(cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma);
  const gemmi::Mat33 turn = cell.orth.mat.multiply(standard.frac.mat);
  // What matrices of five or six decimals leave of a cell is not worth a line.
  constexpr double notable_turn = 0.001, notable_shift = 1e-4;
  std::string done;
  if (!turn.approx(gemmi::Mat33(), notable_turn))
    done = "turns the axes from where they usually are";
  const gemmi::Vec3& shift = cell.frac.vec;
  if (!shift.approx(gemmi::Vec3(), notable_shift))
    done += std::string(done.empty() ? "" : " and ") + "moves the atoms by " +
            short_number(shift.x) + ' ' + short_number(shift.y) + ' ' + short_number(shift.z) +
            " of the cell";
  if (!done.empty()) notes.push_back(matrix + (" " + done) + ", and is applied");
}

/// How far the operators turn the cell into another one.
void check_cell_symmetry(const CrystalModel& model, const gemmi::GroupOps& operators,
                         const std::string& group, const std::string& path,
                         std::vector<std::string>& notes) {
  const gemmi::UnitCell& cell = model.cell;
  const CellChange change = change_of({cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma},
                                      symmetry_of(operators, group));
  if (change.is_rounding()) return;
  const std::string text = "the unit cell " + text_of(cell) + " does not have the symmetry of " +
                           group;
  if (change.is_of_another_cell()) throw InputError(path, 0, text + ": correct one of them");
  notes.push_back(text + ", but nearly");
}

/// Divides occupancies where several operators leave an atom in its place, by the convention of the
/// format.
void share_special_positions(CrystalModel& model, Format format) {
  AtomTally divided, as_written, once, disagreeing, clashing;
  for_each_atom(model.atoms, [&](const gemmi::Residue& residue, gemmi::Atom& atom) {
    const gemmi::Fractional place = model.cell.fractionalize(atom.pos);
    int order = 1, near = 1;
    for (const gemmi::FTransform& image : model.cell.images) {
      const double squared = model.cell.distance_sq(image.apply(place), place);
      if (squared < same_place_A * same_place_A) ++order;
      if (squared < nearest_atoms_A * nearest_atoms_A) ++near;
    }
    const double occupancy = static_cast<double>(atom.occ);
    const auto crowds = [&](int n) { return occupancy > 1.0 / n + occupancy_rounding; };
    if (format == Format::core_cif) {
      // Atoms that are disordered about an element of symmetry have order 1 in the file.
      const int told = atom.serial;
      if (told > 0 && told != order) {
        disagreeing.add(
            residue, atom,
            "order " + std::to_string(told) + ", " + std::to_string(order) + " by its coordinates");
        order = std::min(told, order);
      }
      if (order > 1) once.add(residue, atom, "order " + std::to_string(order));
      atom.occ = static_cast<float>(occupancy / order);
    } else if (order > 1) {
      const std::string detail = short_number(occupancy) + " for " + std::to_string(order) +
                                 " operators";
      if (crowds(order)) {
        atom.occ = static_cast<float>(occupancy / order);
        divided.add(residue, atom, detail);
      } else {
        as_written.add(residue, atom, detail);
      }
    }
    if (near > order && static_cast<double>(atom.occ) > 1.0 / near + occupancy_rounding)
      clashing.add(residue, atom);
  });
  divided.tell(model.notes, " atom lies", " atoms lie",
               " on a special position with an occupancy that would count it more than once, and "
               "which is divided by the number of operators that leave it there");
  as_written.tell(model.notes, " atom lies", " atoms lie",
                  " on a special position with an occupancy that is divided already, by the "
                  "convention of PDB and mmCIF files, and taken as written");
  once.tell(model.notes, " atom lies", " atoms lie",
            " on a special position and counts once, by the convention of core CIFs");
  disagreeing.tell(
      model.notes, " atom has", " atoms have",
      " another _atom_site_site_symmetry_order than their coordinates, and the smaller "
      "one is taken");
  clashing.tell(model.notes, " atom lies", " atoms lie",
                " within 1 A of its own image by symmetry, and both count");
}

/// For settings that have no name: all atoms of the cell, in P 1.
void expand_to_p1(CrystalModel& model, const std::string& path) {
  const gemmi::UnitCell& cell = model.cell;
  const std::size_t chains = model.atoms.chains.size();
  double atoms = 0;
  for_each_atom(model.atoms, [&](const gemmi::Residue&, const gemmi::Atom&) { ++atoms; });
  const double operators = 1 + static_cast<double>(cell.images.size());
  check_memory_for(
      atoms * operators * sizeof(gemmi::Atom), path,
      short_number(atoms) + " atoms and their images by " + short_number(operators) + " operators");
  for (const gemmi::FTransform& image : cell.images) {
    const gemmi::Mat33 turn = cell.orth.mat.multiply(image.mat).multiply(cell.frac.mat);
    for (std::size_t i = 0; i < chains; ++i) {
      gemmi::Chain copy = model.atoms.chains[i];
      for (gemmi::Residue& residue : copy.residues)
        for (gemmi::Atom& atom : residue.atoms) {
          atom.pos = cell.orthogonalize(image.apply(cell.fractionalize(atom.pos)));
          atom.aniso = atom.aniso.transformed_by<float>(turn);
        }
      model.atoms.chains.push_back(std::move(copy));
    }
  }
  model.group = &gemmi::get_spacegroup_p1();
  model.cell.set_cell_images_from_spacegroup(model.group);
  model.notes.push_back(
      "the symmetry operators are those of no setting that has a name: all atoms of the cell are "
      "used in P 1");
}

CrystalModel assemble(ReadModel read, const std::string& path, std::vector<std::string> notes) {
  gemmi::Structure& structure = read.structure;
  CrystalModel model;
  model.notes = std::move(notes);
  if (structure.models.empty()) structure.models.emplace_back("1");
  if (structure.models.size() > 1)
    model.notes.push_back("model " + structure.models.front().name + ", the first of " +
                          std::to_string(structure.models.size()) + ", is used");
  take_scatterers(structure.models.front(), path, model.notes);
  check_cell(structure.cell, path);
  if (read.format == Format::pdb) {
    if (structure.spacegroup_hm.empty())
      throw InputError(path, 0, "no space group (CRYST1): a model without one has no crystal");
    read.symmetry.group = structure.find_spacegroup();
    if (!read.symmetry.group)
      throw InputError(path, 0, "unknown space group '" + structure.spacegroup_hm + "'");
    read.symmetry.operators = read.symmetry.group->operations();
  }
  add_ncs_copies(structure);
  model.atoms = std::move(structure.models.front());
  model.cell = structure.cell;
  model.group = read.symmetry.group;
  model.cell.images.clear();
  for (const gemmi::Op& op : read.symmetry.operators)
    if (!(op == gemmi::Op::identity()))
      model.cell.images.push_back(
          gemmi::Transform{gemmi::rot_as_mat33(op), gemmi::tran_as_vec3(op)});
  model.cell.cs_count = static_cast<short>(model.cell.images.size());
  check_fractions(model.cell, path, model.notes);
  check_cell_symmetry(model, read.symmetry.operators,
                      model.group ? model.group->xhm() : std::string("its operators"), path,
                      model.notes);
  share_special_positions(model, read.format);
  say_crowded_atoms(model);
  if (!model.group) expand_to_p1(model, path);
  return model;
}

}  // namespace

std::string name_of(const gemmi::Residue& residue, const gemmi::Atom& atom) {
  std::string name = atom.name;
  if (!residue.name.empty()) name += " of " + residue.name + " " + residue.seqid.str();
  for (char& c : name)
    if (c < ' ' || c > '~') c = '?';
  return name;
}

double min_b(const gemmi::Atom& atom) {
  if (!atom.aniso.nonzero()) return static_cast<double>(atom.b_iso);
  const auto u = atom.aniso.calculate_eigenvalues();
  return gemmi::u_to_b() * std::min({u[0], u[1], u[2]});
}

double max_b(const gemmi::Atom& atom) {
  if (!atom.aniso.nonzero()) return static_cast<double>(atom.b_iso);
  return gemmi::u_to_b() * static_cast<double>(atom.aniso.trace());
}

CrystalModel read_crystal_model(const std::string& path) {
  // The largest models, of whole viruses, have a quarter of it.
  constexpr std::size_t most_bytes = std::size_t{1} << 30;
  Input opened(path);
  const std::string_view head = opened.head();
  refuse_binary(path, head, "which holds no atoms");
  if (head.find('\0') != std::string_view::npos && !begins_as_mtz(head))
    throw InputError(path, 0, "holds control bytes, so it is neither a PDB nor a CIF file");
  const InputBytes input{path, opened.read_rest(most_bytes)};
  if (input.bytes.empty()) throw InputError(path, 0, "is empty");
  if (begins_as_mtz(input.text()))
    throw InputError(path, 0, "is an MTZ file, which holds reflections: -hkl reads them");
  if (begins_as_shelx(input.text()))
    throw InputError(
        path, 0,
        "is an .ins or .res file of SHELX, which is not read; give the CIF that SHELXL "
        "writes with ACTA");
  std::vector<std::string> notes;
  for (const std::string_view words : {"RESIDUAL B FACTORS ONLY", ": RESIDUAL ONLY"})
    if (input.text().find(words) != std::string_view::npos) {
      notes.push_back("its temperature factors leave out what its TLS groups describe (" +
                      in_quotes(words) +
                      "), and count as they stand; CCP4's tlsanl adds that part");
      break;
    }
  try {
    ReadModel read;
    if (begins_as_cif(input.text()))
      read = read_cif(input, notes);
    else
      read.structure = read_pdb(input, notes);
    return assemble(std::move(read), path, std::move(notes));
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw_input_error(path, e.what());
  }
}

}  // namespace nablabragg::io
