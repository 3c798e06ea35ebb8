#include "refine/uncertainty.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

namespace nablabragg::refinement {

namespace {

/// Combinations of the rows, as many, each of as few numbers as can be: every one has a number that
/// is in no other one.  Which mixtures of equally unknown combinations an eigenvector is, rounding
/// decides.
Eigen::MatrixXd told_apart(Eigen::MatrixXd rows) {
  for (Eigen::Index done = 0; done < rows.rows(); ++done) {
    Eigen::Index row = 0, column = 0;
    rows.bottomRows(rows.rows() - done).cwiseAbs().maxCoeff(&row, &column);
    rows.row(done).swap(rows.row(done + row));
    const double pivot = rows(done, column);
    rows.row(done) /= pivot;
    for (Eigen::Index other = 0; other < rows.rows(); ++other) {
      const double share = rows(other, column);
      if (other != done) rows.row(other) -= share * rows.row(done);
    }
  }
  for (Eigen::Index row = 0; row < rows.rows(); ++row)
    rows.row(row) /= rows.row(row).cwiseAbs().maxCoeff();
  return rows;
}

}  // namespace

Uncertainty uncertainty(std::span<const double> information, std::size_t size) {
  const auto n = static_cast<Eigen::Index>(size);
  const Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>> given(information.data(),
                                                                               n, n);
  // In units of what each number would be known to alone, so that eigenvalues can be compared
  Eigen::VectorXd alone(n);
  for (Eigen::Index i = 0; i < n; ++i) alone(i) = given(i, i) > 0 ? 1 / std::sqrt(given(i, i)) : 0;
  const Eigen::MatrixXd scaled = alone.asDiagonal() * given * alone.asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(scaled);

  // Where a combination is known a hundred thousand times worse than each of its numbers alone, the
  // arithmetic of the derivatives decides and not the image
  constexpr double least = 1e-10;
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(n, n);
  Eigen::Index unknown = 0;  // the smallest eigenvalues are the first
  for (Eigen::Index e = 0; e < n; ++e) {
    const Eigen::VectorXd v = eigen.eigenvectors().col(e);
    const double value = eigen.eigenvalues()(e);
    if (value > least)
      covariance += v * v.transpose() / value;
    else
      ++unknown;
  }
  std::vector<bool> lost(size);
  Uncertainty result;
  const Eigen::MatrixXd combinations = told_apart(
      eigen.eigenvectors().leftCols(unknown).transpose());
  for (Eigen::Index row = 0; row < unknown; ++row) {
    std::vector<double>& shares = result.undetermined.emplace_back(size);
    for (std::size_t i = 0; i < size; ++i) {
      shares[i] = combinations(row, static_cast<Eigen::Index>(i));
      if (std::abs(shares[i]) > 1e-3) lost[i] = true;
    }
  }
  result.deviations.resize(size);
  result.correlations.assign(size * size, 0.0);
  for (std::size_t i = 0; i < size; ++i) {
    const auto a = static_cast<Eigen::Index>(i);
    result.deviations[i] = lost[i] ? std::numeric_limits<double>::infinity()
                                   : alone(a) * std::sqrt(covariance(a, a));
    for (std::size_t k = 0; k < size; ++k) {
      const auto b = static_cast<Eigen::Index>(k);
      if (i == k)
        result.correlations[i * size + k] = 1;
      else if (!lost[i] && !lost[k])
        result.correlations[i * size + k] = covariance(a, b) /
                                            std::sqrt(covariance(a, a) * covariance(b, b));
    }
  }
  return result;
}

void widen(Uncertainty& uncertainty, std::span<const double> fisher,
           std::span<const double> pulls) {
  using Rows = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;
  const auto n = static_cast<Eigen::Index>(uncertainty.deviations.size());
  const Eigen::Map<const Rows> information(fisher.data(), n, n), parts(pulls.data(), n, n);
  const Eigen::VectorXd alone = information.diagonal().cwiseMax(1e-300).cwiseSqrt().cwiseInverse();
  const auto scaled = [&](const auto& m) -> Eigen::MatrixXd {
    return alone.asDiagonal() * m * alone.asDiagonal();
  };
  const Eigen::MatrixXd
      inverse = scaled(information).completeOrthogonalDecomposition().pseudoInverse();
  const Eigen::MatrixXd covariance = inverse * scaled(parts) * inverse;
  for (Eigen::Index i = 0; i < n; ++i) {
    double& deviation = uncertainty.deviations[static_cast<std::size_t>(i)];
    deviation = std::max(deviation, alone(i) * std::sqrt(covariance(i, i)));
  }
}

}  // namespace nablabragg::refinement
