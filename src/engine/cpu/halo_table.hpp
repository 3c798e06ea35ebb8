// The sum over the orders of a halo, made fit for many lattice points at one W.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

namespace nablabragg::engine {

/// sum_n exp(-W) W^n/n! n/(n^2 + x)^2 = W exp(-W) (1/(1 + x)^2 + W/(4 + x)^2 + P(t)/(pole + x)^2),
/// t = (x - pole)/(x + pole): the orders from the third on are smooth in t.  Each coefficient of P
/// is a function of W, in a row of numbers for each of equal steps of W; so is what lies beyond the
/// stencil, over W exp(-W).
class HaloTable {
 public:
  static constexpr std::size_t most_coefficients = 24;
  static constexpr double step = 0.01;  ///< of W

  /// From what lies beyond the stencil in each order, for all W that so many orders are enough for
  /// (physics::orders_for).  Empty where no P is good to 3e-7 of the sum at all W and x.
  static std::optional<HaloTable> make(const std::vector<double>& outside);

  double pole() const { return pole_; }
  std::size_t coefficients() const { return coefficients_; }
  /// coefficients() numbers, the highest power first, then the sum outside.
  const float* rows() const { return rows_.data(); }
  std::size_t row_size() const { return coefficients_ + 1; }
  std::size_t row_count() const { return rows_.size() / row_size(); }

 private:
  double pole_ = 0;
  std::size_t coefficients_ = 0;
  std::vector<float> rows_;
};

}  // namespace nablabragg::engine
