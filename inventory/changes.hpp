// What changed from one inventory to the next; lost vectorisation above all.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

/// For one instruction set and compiler; both empty: the loop's class.
struct VectorisationChange {
  std::string loop;  ///< id in the new inventory
  std::string target, compiler;
  std::string reason;  ///< why it is not vectorised any more; empty for gains
  bool hot = false;
  bool operator==(const VectorisationChange&) const = default;
};

struct ClassChange {
  std::string loop;
  LoopClass before = LoopClass::uncertain, after = LoopClass::uncertain;
  bool operator==(const ClassChange&) const = default;
};

struct MovedLoop {
  std::string before, after;
  bool operator==(const MovedLoop&) const = default;
};

struct Changes {
  std::vector<std::string> appeared, gone;  ///< ids
  std::vector<MovedLoop> moved;             ///< to another file or function, or renumbered
  std::vector<ClassChange> classes;
  std::vector<VectorisationChange> lost, gained;

  bool lost_in_hot_loop() const;
};

/// Hot are the loops with these ids, old or new; without a list, those that are vectorised or to
/// be.
/// Only compilers and instruction sets that both inventories have are compared.
Changes find_changes(const Inventory& before, const Inventory& after,
                     const std::optional<std::vector<std::string>>& hot);

/// For people, ASCII only.
std::string changes_text(const Changes& changes);

}  // namespace nablabragg::inventory
