// backlog.md: which loops would be worth vectorising, the most rewarding first.
#pragma once
#include <string>
#include <vector>
#include "inventory/correlation.hpp"

namespace nablabragg::inventory {

struct Candidate {
  std::size_t loop = 0;        ///< of Inventory::loops
  double share = 0;            ///< per cent of the total
  double called = 0;           ///< of it in functions that would have to become part of the loop
  int lanes = 0;               ///< numbers side by side in the widest vectors asked about
  bool lanes_said = false;     ///< by a compiler
  double floating = 0;         ///< part of its instructions that lanes would divide
  bool floating_seen = false;  ///< in the machine code; otherwise assumed
  double gain = 1;             ///< of the loop: how many times faster
  double saved = 0;            ///< per cent of the total
  std::vector<std::string> tests;
  std::string risk;

  /// Of the whole, by Amdahl's law.
  double whole_gain() const { return 1 / (1 - saved / 100); }
};

struct TestSource {
  std::string name, text;
};

/// C++ and Python files below the folder.  Throws InputError.
std::vector<TestSource> read_tests(const std::string& folder);

/// Those that name the loop's function, or include a header called as its file.
std::vector<std::string> tests_of(const Loop& loop, const std::vector<TestSource>& tests);

/// What vectorising the loop could change in addition to its speed.
std::string risk_of(const Loop& loop);

/// Loops with at least `least_percent` of the total that are not vectorised, neither by their class
/// nor by their instructions; the most saved first.
std::vector<Candidate> rank_candidates(const Inventory& inventory, const Correlation& correlation,
                                       const std::vector<TestSource>& tests, double least_percent);

/// `about`: lines in front: which profile, which program.
std::string backlog_markdown(const Inventory& inventory, const std::vector<Candidate>& candidates,
                             double least_percent, const std::vector<std::string>& about);

}  // namespace nablabragg::inventory
