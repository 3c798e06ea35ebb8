// F of a molecule against sin(theta)/lambda, as engines evaluate it: a polynomial between each two
// rows of its table.
#pragma once
#include <span>
#include <vector>
#include "nablabragg/background.hpp"  // for MaterialInterpolation

namespace nablabragg {

/// A point of a path: its way from the start to the end is 1; the weights of all come to 1.
struct PathPoint {
  double along = 0, weight = 1;
};

/// The points and weights of Gauss and Legendre.
std::vector<PathPoint> gauss_legendre(int points);

/// What engines read of a curve; someone else's memory, which may be a GPU's.
struct ScatteringCurveView {
  /// Of each of `buckets` equal steps from `least` on: how many rows lie before it.
  const double* rows_before = nullptr;
  const double* rows = nullptr;  ///< sin(theta)/lambda [1/m], rising; the last one is infinity
  /// Of each interval, the one before the first row included: where it is counted from and four
  /// coefficients, from the constant up.
  const double* intervals = nullptr;
  double least = 0, buckets_per_step = 0, last_bucket = 0;

  static constexpr int numbers_of_interval = 5;
};

class ScatteringCurve {
 public:
  /// Rising rows of as many F, one or more.
  ScatteringCurve(std::span<const double> stol_per_A, std::span<const double> F,
                  MaterialInterpolation interpolation);
  ScatteringCurve(const ScatteringCurve&) = delete;
  ScatteringCurve& operator=(const ScatteringCurve&) = delete;

  const ScatteringCurveView& view() const { return view_; }
  // The arrays that the view points to
  std::span<const double> rows_before() const { return rows_before_; }
  std::span<const double> rows() const { return rows_; }
  std::span<const double> intervals() const { return intervals_; }

 private:
  std::vector<double> rows_before_, rows_, intervals_;
  ScatteringCurveView view_;
};

}  // namespace nablabragg
