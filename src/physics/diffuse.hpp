// Diffuse scattering of correlated displacements, over that of the lattice, for each cell.
//
// Displacements are Gaussian, of covariance Sigma, and correlated by exp(-|r/gamma|).  With W = 4
// pi^2 q.Sigma q a cell scatters beside the spots exp(-W) sum_n W^n/n! (1/V) sum_G |F_G|^2 T_n(q -
// G), T_n(k) = 8 pi gamma_1 gamma_2 gamma_3 n^-3 / (1 + x/n^2)^2, x = 4 pi^2 sum (gamma_i k_i)^2
// (Caspar et al., Nature 332, 659, 1988; Wall et al., PNAS 94, 6180, 1997; all orders n).
#pragma once
#include <cmath>
#include <cstddef>
#include "physics/lane.hpp"
#include "physics/spot_metric.hpp"

namespace nablabragg::physics {

/// exp(-W) W^n/n! for n = 1, 2...: the weights of the orders and their slopes by W.
template <class T>
class OrderWeights {
 public:
  NABLA_INLINE explicit OrderWeights(const T& W) : W_(W) {
    using std::exp;
    before_ = exp(-W);
    weight_ = before_ * W;
  }
  NABLA_INLINE const T& weight() const { return weight_; }
  NABLA_INLINE T slope() const { return before_ - weight_; }
  NABLA_INLINE void next() {
    n_ += 1;
    before_ = weight_;
    weight_ = weight_ * W_ * constant<T>(1 / n_);
  }

 private:
  T W_, before_, weight_;
  double n_ = 1;
};

/// A value and its slopes by W and x.
template <class T>
struct OrderSum {
  T value, W, x;
};

/// sum_n exp(-W) W^n/n! n/(n^2 + x)^2, which times 8 pi gamma_1 gamma_2 gamma_3 |F_G|^2 / V is what
/// a lattice point gives.
template <class T>
NABLA_INLINE OrderSum<T> sum_of_orders(const T& W, const T& x, std::size_t orders) {
  OrderWeights<T> w(W);
  OrderSum<T> out{T(0), T(0), T(0)};
  for (std::size_t i = 1; i <= orders; ++i, w.next()) {
    const double n = double(i);
    const T near = T(1) / (constant<T>(n * n) + x), term = constant<T>(n) * near * near;
    out.value = out.value + w.weight() * term;
    out.W = out.W + w.slope() * term;
    out.x = out.x - w.weight() * term * near;
  }
  out.x = T(2) * out.x;
  return out;
}

/// sum_n exp(-W) W^n/n! outside_n: what the lattice points beyond the stencil give, over the mean
/// |F|^2.  The slope by outside_n is the weight of the order.
template <class T, class Outside>
NABLA_INLINE OrderSum<T> sum_outside(const T& W, const Outside& outside) {
  OrderWeights<T> w(W);
  OrderSum<T> out{T(0), T(0), T(0)};
  for (std::size_t i = 0; i < outside.size(); ++i, w.next()) {
    const T share = number<T>(outside[i]);
    out.value = out.value + w.weight() * share;
    out.W = out.W + w.slope() * share;
  }
  return out;
}

/// Orders beyond have less than 2e-7 of the weight.
inline std::size_t orders_for(double largest_W) {
  return static_cast<std::size_t>(std::ceil(largest_W + 5 * std::sqrt(largest_W) + 5));
}

}  // namespace nablabragg::physics
