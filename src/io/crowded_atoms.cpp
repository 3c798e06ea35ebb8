#include "io/crowded_atoms.hpp"

#include <algorithm>  // for clamp, max
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>  // for pair

#include "io/atom_tally.hpp"

namespace nablabragg::io {
namespace {

// Copies of an atom are not farther apart than writing and refining leave them.
constexpr double same_place_A = 0.1;

/// More than one atom's.  Occupancies are written with two decimals: 0.34 of three atoms are one.
bool is_too_much(double occupancies, std::size_t atoms) {
  constexpr double rounding = 0.01, of_single_precision = 1e-5;
  return occupancies > 1 + rounding * static_cast<double>(atoms) + of_single_precision;
}

using Atoms = std::unordered_set<const gemmi::Atom*>;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// Atoms of one name in one residue that differ in altloc stand for each other.  Returns those
/// whose occupancies are too much for that.
Atoms say_crowded_alternates(CrystalModel& model) {
  // By altloc, because waters of one chain may share a number, too.
  using Alternates = std::map<char, std::pair<const gemmi::Residue*, const gemmi::Atom*>>;
  Atoms told;
  AtomTally tally;
  for (const gemmi::Chain& chain : model.atoms.chains) {
    std::map<std::tuple<int, char, std::string>, Alternates> names;
    for (const gemmi::Residue& residue : chain.residues)
      for (const gemmi::Atom& atom : residue.atoms)
        names[{*residue.seqid.num, residue.seqid.icode, atom.name}].emplace(
            atom.altloc, std::pair(&residue, &atom));
    for (const auto& [name, alternates] : names) {
      if (alternates.size() < 2) continue;
      double sum = 0;
      std::string detail;
      for (const auto& [altloc, place] : alternates) {
        sum += static_cast<double>(place.second->occ);
        detail += (detail.empty() ? "" : " and ") +
                  (altloc == '\0' ? std::string() : std::string(1, altloc) + " ") +
                  number(static_cast<double>(place.second->occ));
      }
      if (!is_too_much(sum, alternates.size())) continue;
      for (const auto& [altloc, place] : alternates) told.insert(place.second);
      const auto& [residue, atom] = alternates.begin()->second;
      tally.add(*residue, *atom, detail);
    }
  }
  tally.tell(model.notes, " atom has", " atoms have",
             " alternates whose occupancies add up to more than 1, and all of them count");
  return told;
}

/// Which atoms are near a place of the cell.
class Neighbours {
 public:
  struct Entry {
    const gemmi::Residue* residue;
    const gemmi::Atom* atom;
    gemmi::Fractional place;
  };

  explicit Neighbours(const CrystalModel& model) : cell_(model.cell) {
    constexpr double bin_A = 1, most_bins = 1 << 20;
    const std::array<double, 3> across_A{1 / cell_.ar, 1 / cell_.br, 1 / cell_.cr};
    for (std::size_t i = 0; i < 3; ++i) {
      bins_[i] = static_cast<std::int64_t>(std::clamp(across_A[i] / bin_A, 1.0, most_bins));
      reach_[i] = same_place_A / across_A[i];
    }
    for_each_atom(model.atoms, [&](const gemmi::Residue& residue, const gemmi::Atom& atom) {
      entries_.push_back({&residue, &atom, cell_.fractionalize(atom.pos).wrap_to_unit()});
    });
    for (const Entry& entry : entries_)
      for_each_bin(entry.place, {}, [&](std::int64_t bin) { members_[bin].push_back(&entry); });
  }

  const std::vector<Entry>& entries() const { return entries_; }

  template <typename Func>
  void for_each(gemmi::Fractional place, Func&& func) const {
    for_each_bin(place.wrap_to_unit(), reach_, [&](std::int64_t bin) {
      const auto found = members_.find(bin);
      if (found == members_.end()) return;
      for (const Entry* entry : found->second)
        if (cell_.distance_sq(entry->place, place) < same_place_A * same_place_A) func(*entry);
    });
  }

 private:
  /// Those that hold places within `reach` of this one, each once.
  template <typename Func>
  void for_each_bin(const gemmi::Fractional& place, const std::array<double, 3>& reach,
                    Func&& func) const {
    std::array<std::int64_t, 3> first{}, count{};
    for (std::size_t i = 0; i < 3; ++i) {
      const double at = place.at(static_cast<int>(i)), bins = static_cast<double>(bins_[i]);
      first[i] = static_cast<std::int64_t>(std::floor((at - reach[i]) * bins));
      const auto last = static_cast<std::int64_t>(std::floor((at + reach[i]) * bins));
      count[i] = std::min(last - first[i] + 1, bins_[i]);
    }
    const auto wrapped = [&](std::size_t i, std::int64_t step) {
      const std::int64_t bin = (first[i] + step) % bins_[i];
      return bin < 0 ? bin + bins_[i] : bin;
    };
    for (std::int64_t u = 0; u < count[0]; ++u)
      for (std::int64_t v = 0; v < count[1]; ++v)
        for (std::int64_t w = 0; w < count[2]; ++w)
          func((wrapped(0, u) * bins_[1] + wrapped(1, v)) * bins_[2] + wrapped(2, w));
  }

  const gemmi::UnitCell& cell_;
  std::array<std::int64_t, 3> bins_{};
  std::array<double, 3> reach_{};  ///< of same_place_A, in fractions of the axes
  std::vector<Entry> entries_;
  std::unordered_map<std::int64_t, std::vector<const Entry*>> members_;
};

void say_doubled_atoms(CrystalModel& model, const Atoms& told) {
  const Neighbours neighbours(model);
  AtomTally tally;
  for (const Neighbours::Entry& entry : neighbours.entries()) {
    if (told.count(entry.atom) > 0) continue;
    double sum = 0;
    std::size_t atoms = 0;
    const Neighbours::Entry* other = nullptr;
    const auto add_those_at = [&](const gemmi::Fractional& place) {
      neighbours.for_each(place, [&](const Neighbours::Entry& found) {
        sum += static_cast<double>(found.atom->occ);
        ++atoms;
        if (found.atom != entry.atom) other = &found;
      });
    };
    add_those_at(entry.place);
    for (const gemmi::FTransform& image : model.cell.images) add_those_at(image.apply(entry.place));
    if (other && is_too_much(sum, atoms))
      tally.add(*entry.residue, *entry.atom,
                number(sum) + " with " + name_of(*other->residue, *other->atom));
  }
  tally.tell(model.notes, " atom lies", " atoms lie",
             " within 0.1 A of another atom or its image by symmetry, where the occupancies add up "
             "to more than 1, and all of them count");
}

}  // namespace

void say_crowded_atoms(CrystalModel& model) {
  say_doubled_atoms(model, say_crowded_alternates(model));
}

}  // namespace nablabragg::io
