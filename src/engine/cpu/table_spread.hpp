// Whether the squares of all structure factors fit into single precision beside the largest.
#pragma once
#include <cmath>
#include <string>
#include "engine/cpu/cpu_plan.hpp"

namespace nablabragg::engine {

/// Why a table wants double precision; empty: it does not.  Only amplitudes that no cell has are
/// looked at: a table of usual ones is not walked through again.
inline std::string why_table_needs_double(const PlanLattice& lattice, const SingleTable& table) {
  constexpr double more_than_any_cell = 1e9,  // electrons
      spread = 1e15;                          // whose square leaves single precision 8 decades
  if (!lattice.grid || !(table.largest > more_than_any_cell)) return {};
  for (const double F : lattice.grid->values())
    if (F != 0 && std::abs(F) * spread < table.largest)
      return "the squares of the smallest structure factors vanish in single precision beside that "
             "of the largest";
  return {};
}

}  // namespace nablabragg::engine
