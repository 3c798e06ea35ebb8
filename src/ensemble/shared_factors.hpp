// The table of structure factors, once for all processes of a machine.
#pragma once
#include <memory>
#include <string>
#include "mpi/ranks.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg::ensemble {

struct SharedFactors {
  std::shared_ptr<const StructureFactorGrid> grid;
  bool differ = false;  ///< this rank has read other values than the first one of its machine
  /// On rank 0: why some ranks have a table of their own; empty: none has.
  std::string why_not;
};

/// The table that each rank has read (null: there is none), in memory that the ranks of a machine
/// have in common, and that what the engines make of it is put in, too.  By all ranks.
SharedFactors shared_factors(std::shared_ptr<const StructureFactorGrid> grid, mpi::Ranks& ranks);

}  // namespace nablabragg::ensemble
