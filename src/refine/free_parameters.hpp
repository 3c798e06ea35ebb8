// The numbers that a refinement changes: by name, in units of how well they are known.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::refinement {

/// One number of a parameter, or several in a row that stay equal.
struct FreeNumber {
  std::string name, unit;     ///< "cell[0]", "A"; of several "cell[0-2]"
  std::size_t parameter = 0;  ///< which of FreeParameters::names()
  std::size_t element = 0;    ///< which of its numbers, the first of several
  std::size_t column = 0;     ///< of a Jacobian for FreeParameters::names(), likewise
  std::size_t count = 1;      ///< how many there are
  double start = 0, lower = 0, upper = 0;
  double restrained_to = 0, restraint_deviation = 0;  ///< deviation 0: no restraint
};

class FreeParameters {
 public:
  /// Throws UsageError for names that there are not, and for bounds, restraints and equalities of
  /// numbers that are not refined.
  FreeParameters(const SettledExperiment& start, const RefineOptions& options);

  std::size_t size() const { return numbers_.size(); }
  const std::vector<FreeNumber>& numbers() const { return numbers_; }
  /// The parameters of which a Jacobian is wanted, and how many columns it then has.
  const std::vector<std::string>& names() const { return names_; }
  std::size_t columns() const { return columns_; }

  /// Replaces the table of the starting experiment.
  void set_structure_factors(std::shared_ptr<const StructureFactorGrid> grid) {
    start_.structure_factors.grid = std::move(grid);
  }
  const StructureFactors& structure_factors() const { return start_.structure_factors; }

  std::vector<double> start() const;
  /// The starting experiment with these values of the free numbers.
  Experiment experiment(std::span<const double> values) const;
  /// A state's values in the order of numbers().  Throws UsageError when they are of other numbers.
  std::vector<double> values_of(const RefineState& state) const;
  /// Values with the names of numbers().
  std::vector<std::pair<std::string, double>> named(std::span<const double> values) const;

 private:
  Experiment start_;  // settled
  std::vector<FreeNumber> numbers_;
  std::vector<std::string> names_;
  std::vector<std::vector<double>> whole_;  // starting values of each name, free or not
  std::size_t columns_ = 0;
};

}  // namespace nablabragg::refinement
