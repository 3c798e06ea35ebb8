// What a Fisher information says about each number: standard deviations and correlations.
#pragma once
#include <span>
#include <vector>

namespace nablabragg::refinement {

struct Uncertainty {
  std::vector<double> deviations;    ///< infinite for a number that is not determined
  std::vector<double> correlations;  ///< row by row; 0 for a number that is not determined
  /// Shares of the numbers in each combination that is not determined, largest 1, in units of what
  /// each number would be known to if it were the only one.
  std::vector<std::vector<double>> undetermined;
};

/// `information` row by row.
Uncertainty uncertainty(std::span<const double> information, std::size_t size);

}  // namespace nablabragg::refinement
