// What a Fisher information says about each number: standard deviations and correlations.
#pragma once
#include <span>
#include <vector>

namespace nablabragg::refinement {

struct Uncertainty {
  std::vector<double> deviations;    ///< infinite for a number that is not determined
  std::vector<double> correlations;  ///< row by row; 0 for a number that is not determined
  /// Shares of the numbers in each combination that is not determined, the largest 1 or -1, in
  /// units of what each number would be known to if it were the only one.  Each combination has a
  /// number that is in no other one.
  std::vector<std::vector<double>> undetermined;
};

/// `information` row by row.
Uncertainty uncertainty(std::span<const double> information, std::size_t size);

/// For a model that does not explain its data: each deviation becomes what F^-1 P F^-1 says, where
/// that is more.  `fisher` with what the uncertainty was made from, `pulls` of parts of the data
/// that are independent (H. White, Econometrica 50, 1982, 1).
void widen(Uncertainty& uncertainty, std::span<const double> fisher, std::span<const double> pulls);

}  // namespace nablabragg::refinement
