// How much of a run each loop of the inventory took, and what its instructions are.
//
// An instruction belongs to the innermost loop of the innermost function, inlined ones included,
// that has one around it.  Code of functions without such a loop belongs to the loops that call
// them: by its chain for a sample, for callgrind in proportion to the callers' inclusive costs,
// which takes a function to cost the same whoever calls it.  Code of functions that compute with
// vector types stays where it is: it counts as vectorised outside of loops.
#pragma once
#include <string>
#include <vector>
#include "inventory/inventory.hpp"
#include "inventory/machine_code.hpp"
#include "inventory/profile.hpp"

namespace nablabragg::inventory {

/// Executed instructions by kind; all zero where there is no machine code to see.
struct OperationMix {
  double packed = 0, scalar_float = 0, scalar_double = 0, other = 0;

  double scalar() const { return scalar_float + scalar_double; }
  /// Parts of the whole; 0 where nothing is known.
  double packed_part() const { return total() > 0 ? packed / total() : 0; }
  double scalar_part() const { return total() > 0 ? scalar() / total() : 0; }
  double total() const { return packed + scalar_float + scalar_double + other; }
  void add(Operation operation, double cost);
  void add(const OperationMix& more);
};

struct LoopShare {
  std::size_t loop = 0;     ///< of Inventory::loops
  double inclusive = 0;     ///< per cent of the total: while in the loop
  double self = 0;          ///< per cent: its own, not of loops within
  double called = 0;        ///< of `self`: in called functions without loops of their own
  double simd_code = 0;     ///< of `self`: in functions of vector types that are inlined into it
  double calls = 0;         ///< entries of the functions that hold it; samples; events
  OperationMix mix;         ///< of `self` without `called`
  OperationMix mix_called;  ///< of `called`, as far as that lies in the program
  OperationMix mix_inside;  ///< with loops inside of it in the same piece of machine code
  std::string notes;
};

struct NamedShare {
  std::string name;
  double percent = 0;
};

struct Correlation {
  std::string unit;
  std::string method;  ///< in a sentence: how costs came to loops
  std::string calls_are;
  double whole = 0;              ///< cost of the run
  double total = 0;              ///< of what the percentages are: the same, or what `within` leaves
  std::vector<LoopShare> loops;  ///< that have a cost, by self
  double simd_outside = 0;       ///< per cent: code of vector types in no loop
  double outside = 0;            ///< per cent: in no loop otherwise
  std::vector<NamedShare> simd_outside_by, outside_by;  ///< functions, the largest first
  OperationMix mix;                                     ///< of all that lies in the program
};

/// A profile's addresses of `object` are `offset` larger than those of `code`.
struct LoadedCode {
  const MachineCode* code = nullptr;
  int object = -1;
  std::int64_t offset = 0;
};

/// Without `loaded.code`: by the lines that the profile knows.  `within`: only what runs under
/// functions whose names contain one of these texts; throws InputError if nothing does.
Correlation correlate(const Inventory& inventory, const Profile& profile, const LoadedCode& loaded,
                      const std::vector<std::string>& within = {});

/// Per cent of the total, by class of the loop.
double share_of_class(const Inventory& inventory, const Correlation& correlation, LoopClass c);

}  // namespace nablabragg::inventory
