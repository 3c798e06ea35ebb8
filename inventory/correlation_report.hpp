// hot_loops.csv and correlation.md: a correlation for spreadsheets and for readers.
#pragma once
#include <string>
#include <vector>
#include "inventory/correlation.hpp"

namespace nablabragg::inventory {

/// Loops in which at least `least_percent` of the total runs.
std::string hot_loops_csv(const Inventory& inventory, const Correlation& correlation,
                          double least_percent);

/// Per cent of the total that is vectorised.
struct VectorisedShare {
  double loops = 0, called_by_them = 0;  ///< the second is part of the first
  double outside_loops = 0;              ///< code of vector types
  /// Of other classes: code of vector types there, or all their own where it is mostly packed.
  double in_other_loops = 0;

  double all() const { return loops + outside_loops + in_other_loops; }
};

/// Half or more of its own instructions are packed.
bool is_packed(const LoopShare& share);
/// Hardly any instruction is packed, with those of loops inside of it, and many are scalar
/// floating-point ones.
bool is_scalar(const LoopShare& share);
VectorisedShare vectorised_share(const Inventory& inventory, const Correlation& correlation);

/// `about`: lines in front: which profile, which program.
std::string correlation_markdown(const Inventory& inventory, const Correlation& correlation,
                                 double least_percent, const std::vector<std::string>& about);

struct HotLoop {
  std::string id;
  double percent_inclusive = 0, percent_self = 0;
};

/// Of hot_loops.csv.  Throws InputError, naming file and line.
std::vector<HotLoop> read_hot_loops(const std::string& file);

}  // namespace nablabragg::inventory
