#include "io/small_structure.hpp"

#include <algorithm>  // for any_of, min
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <unordered_map>
#include <utility>  // for move

#include <gemmi/numb.hpp>   // for as_number
#include <gemmi/smcif.hpp>  // for make_small_structure_from_block

#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {
namespace {

using gemmi::cif::as_number;
using gemmi::cif::is_null;

/// What gemmi passes over, a row each.
struct SiteRow {
  std::string coordinates[3], u_iso, b_iso, occupancy;
  bool dummy = false;
  bool hydrogens = false;  ///< attached ones without coordinates
  int order = 0;
  std::string assembly, group;  ///< of disorder
};

std::vector<SiteRow> site_rows(gemmi::cif::Block& block) {
  std::vector<SiteRow> rows;
  for (auto row : block.find("_atom_site_",
                             {"label", "fract_x", "fract_y", "fract_z", "?U_iso_or_equiv",
                              "?B_iso_or_equiv", "?occupancy", "?calc_flag", "?attached_hydrogens",
                              "?site_symmetry_order", "?disorder_assembly", "?disorder_group"})) {
    const auto text = [&](int column) {
      return row.has2(static_cast<std::size_t>(column)) ? row.str(column) : std::string();
    };
    SiteRow site;
    for (int i = 0; i < 3; ++i) site.coordinates[i] = text(1 + i);
    site.u_iso = text(4);
    site.b_iso = text(5);
    site.occupancy = text(6);
    site.dummy = text(7) == "dum";
    site.hydrogens = as_number(text(8), 0.0) > 0;
    site.order = static_cast<int>(as_number(text(9), 0.0));
    site.assembly = text(10);
    site.group = text(11);
    rows.push_back(std::move(site));
  }
  return rows;
}

/// U of the reciprocal axes by label, from U or from B.
using Tensors = std::unordered_map<std::string, gemmi::SMat33<double>>;

Tensors tensors_of(gemmi::cif::Block& block, const std::string& path) {
  Tensors result;
  for (const bool as_b : {false, true}) {
    std::vector<std::string> tags{"label"};
    for (const char* axes : {"11", "22", "33", "12", "13", "23"})
      tags.push_back((as_b ? "B_" : "U_") + std::string(axes));
    for (auto row : block.find("_atom_site_aniso_", tags)) {
      std::array<double, 6> u{};
      int unknown = 0;
      for (int i = 0; i < 6; ++i) {
        const std::string& word = row[static_cast<std::size_t>(i + 1)];
        u[static_cast<std::size_t>(i)] = as_number(word) / (as_b ? gemmi::u_to_b() : 1.0);
        unknown += is_null(word);
      }
      if (unknown == 6) continue;
      if (std::any_of(u.begin(), u.end(), [](double x) { return !std::isfinite(x); }))
        throw InputError(
            path, 0,
            "atom " + in_quotes(row.str(0)) + " has an anisotropic displacement that is no number");
      result.emplace(row.str(0), gemmi::SMat33<double>{u[0], u[1], u[2], u[3], u[4], u[5]});
    }
  }
  return result;
}

/// Groups of one assembly stand for each other.  Files leave assemblies apart that they do not
/// name, so that a group's own is its smallest occupancy.
class DisorderGroups {
 public:
  void add(const SiteRow& row, const gemmi::Atom& atom) {
    // Negative ones are disordered about an element of symmetry.
    if (row.group.empty() || is_null(row.group) || row.group[0] == '-') return;
    Group& group = assemblies_[row.assembly][row.group];
    const auto occupancy = static_cast<double>(atom.occ);
    if (group.atoms++ == 0) group.first = atom.name;
    group.occupancy = group.atoms == 1 ? occupancy : std::min(group.occupancy, occupancy);
  }

  void tell(std::vector<std::string>& notes) const {
    int atoms = 0;
    std::string first;
    for (const auto& [assembly, groups] : assemblies_) {
      double sum = 0;
      for (const auto& [name, group] : groups) sum += group.occupancy;
      constexpr double rounding = 0.01;
      if (groups.size() < 2 || !(sum > 1 + rounding)) continue;
      for (const auto& [name, group] : groups) {
        if (atoms == 0) first = group.first + ", group " + name;
        atoms += group.atoms;
      }
    }
    if (atoms > 0)
      notes.push_back(
          std::to_string(atoms) +
          " atoms belong to disorder groups whose occupancies add up to more than 1, and "
          "all of them count; the first: " +
          first);
  }

 private:
  struct Group {
    int atoms = 0;
    double occupancy = 0;
    std::string first;
  };
  std::map<std::string, std::map<std::string, Group>> assemblies_;
};

}  // namespace

gemmi::Structure read_small_structure(gemmi::cif::Block& block, const std::string& path,
                                      std::vector<std::string>& notes) {
  const gemmi::SmallStructure small = gemmi::make_small_structure_from_block(block);
  const std::vector<SiteRow> rows = site_rows(block);
  if (rows.size() != small.sites.size())
    throw InputError(path, 0,
                     "_atom_site_label or a coordinate (_atom_site_fract_x, y, z) is missing");
  const Tensors anisotropic = tensors_of(block, path);
  if (!block.has_tag("_atom_site_type_symbol"))
    notes.push_back(
        "the elements are taken from the labels, because _atom_site_type_symbol is missing");

  gemmi::Structure structure;
  structure.cell = small.cell;
  const gemmi::UnitCell& cell = small.cell;
  // U_ij goes with the reciprocal axes times their lengths.
  gemmi::Mat33 to_cartesian = cell.orth.mat;
  for (int i = 0; i < 3; ++i) {
    to_cartesian[i][0] *= cell.ar;
    to_cartesian[i][1] *= cell.br;
    to_cartesian[i][2] *= cell.cr;
  }

  gemmi::Residue residue;
  int at_rest = 0, with_hydrogens = 0;
  DisorderGroups disorder;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const gemmi::SmallStructure::Site& site = small.sites[i];
    const SiteRow& row = rows[i];
    const auto number = [&](const std::string& word, const char* name, double default_value) {
      const double value = word.empty() ? default_value : as_number(word);
      if (!std::isfinite(value))
        throw InputError(
            path, 0,
            "atom " + in_quotes(site.label) + " has " +
                (word.empty() ? "no " + std::string(name)
                              : in_quotes(word) + " for " + name + ", which is no number"));
      return value;
    };
    gemmi::Atom atom;
    atom.name = site.label;
    if (row.dummy) {
      // Its numbers mean nothing.
      atom.calc_flag = gemmi::CalcFlag::Dummy;
      residue.atoms.push_back(std::move(atom));
      continue;
    }
    atom.element = site.element;
    atom.charge = site.charge;
    atom.serial = row.order;
    gemmi::Fractional place;
    const char* const names[] = {"fract_x", "fract_y", "fract_z"};
    for (int axis = 0; axis < 3; ++axis)
      place.at(axis) = number(row.coordinates[axis], names[axis], NAN);
    atom.pos = cell.orthogonalize(place);
    atom.occ = static_cast<float>(number(row.occupancy, "occupancy", 1.0));
    const auto tensor = anisotropic.find(site.label);
    const double b_A2 = !row.u_iso.empty()
                            ? gemmi::u_to_b() * number(row.u_iso, "U_iso_or_equiv", NAN)
                            : number(row.b_iso, "B_iso_or_equiv", 0.0);
    atom.b_iso = static_cast<float>(b_A2);
    if (tensor != anisotropic.end())
      atom.aniso = tensor->second.transformed_by<float>(to_cartesian);
    else if (row.u_iso.empty() && row.b_iso.empty())
      ++at_rest;
    with_hydrogens += row.hydrogens;
    disorder.add(row, atom);
    residue.atoms.push_back(std::move(atom));
  }
  const auto tell = [&](int count, const char* text) {
    if (count > 0)
      notes.push_back(std::to_string(count) + (count == 1 ? " atom " : " atoms ") + text);
  };
  tell(at_rest, "without a displacement parameter, counted as at rest");
  tell(with_hydrogens, "with attached hydrogens that have no coordinates and are left out");
  disorder.tell(notes);
  gemmi::Chain chain("");
  chain.residues.push_back(std::move(residue));
  structure.models.emplace_back("1");
  structure.models.front().chains.push_back(std::move(chain));
  return structure;
}

}  // namespace nablabragg::io
