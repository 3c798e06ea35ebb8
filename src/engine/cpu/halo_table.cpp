#include "engine/cpu/halo_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "physics/diffuse.hpp"

namespace nablabragg::engine {

namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::size_t apart = 2;  ///< orders that stay what they are

/// Of an order that has 1 in the first one; f(n): the rest of its term.
template <class F>
double sum_over_orders(double W, std::size_t orders, F&& f) {
  double sum = 0, weight = 1;
  for (std::size_t i = 1; i <= orders; weight *= W / double(++i)) sum += weight * f(i);
  return sum;
}

/// Those from the third on, over W exp(-W), times (pole + x)^2.
double smooth_orders(double W, double x, double pole, std::size_t orders) {
  return sum_over_orders(W, orders, [&](std::size_t i) {
    const double n = double(i), near = (pole + x) / (n * n + x);
    return i > apart ? n * near * near : 0;
  });
}

/// P by its values at the zeros of a Chebyshev polynomial; powers of t, the highest first.
std::vector<double> coefficients_of(double W, double pole, std::size_t count, std::size_t orders) {
  std::vector<double> values, angles;
  for (std::size_t i = 0; i < count; ++i) {
    angles.push_back(pi * (double(i) + 0.5) / double(count));
    const double t = std::cos(angles.back());
    values.push_back(smooth_orders(W, pole * (1 + t) / (1 - t), pole, orders));
  }
  // T_0 = 1, T_1 = t, T_(j+1) = 2 t T_j - T_(j-1)
  std::vector<double> sum(count), before(count), polynomial(count);
  polynomial[0] = 1;
  for (std::size_t j = 0; j < count; ++j) {
    double series = 0;
    for (std::size_t i = 0; i < count; ++i) series += values[i] * std::cos(double(j) * angles[i]);
    series *= (j == 0 ? 1.0 : 2.0) / double(count);
    std::vector<double> next(count);
    for (std::size_t k = 0; k < count; ++k) {
      sum[k] += series * polynomial[k];
      next[k] = (k == 0 ? 0 : (j == 0 ? 1 : 2) * polynomial[k - 1]) - before[k];
    }
    before = std::move(polynomial);
    polynomial = std::move(next);
  }
  std::reverse(sum.begin(), sum.end());
  return sum;
}

/// Largest relative error of the whole sum.
double error_of(double W, double pole, std::size_t count, std::size_t orders) {
  const auto c = coefficients_of(W, pole, count, orders);
  double worst = 0;
  for (double x = 0; x < 1e7; x = 1.35 * x + 0.02) {
    const double t = (x - pole) / (x + pole);
    double p = 0;
    for (const double one : c) p = p * t + one;
    const double error = p - smooth_orders(W, x, pole, orders),
                 whole = physics::sum_of_orders(W, x, orders).value * (pole + x) * (pole + x) /
                         (W * std::exp(-W));
    worst = std::max(worst, std::abs(error / whole));
  }
  return worst;
}

}  // namespace

std::optional<HaloTable> HaloTable::make(const std::vector<double>& outside) {
  const std::size_t orders = outside.size();
  double largest_W = 0;
  while (physics::orders_for(largest_W + step) <= orders) largest_W += step;
  HaloTable table;
  constexpr double good = 3e-7;
  constexpr std::array<std::size_t, 8> counts{9, 11, 13, 15, 17, 19, 21, most_coefficients};
  for (const std::size_t count : counts) {
    double best = 1;
    for (double pole = 9; pole < 80; pole *= 1.15) {
      double worst = 0;
      for (const double share : {1.0, 0.8, 0.6, 0.4, 0.2, 0.05}) {
        worst = std::max(worst, error_of(share * largest_W, pole, count, orders));
        if (worst > std::min(best, good)) break;
      }
      if (worst >= best) continue;
      best = worst;
      table.pole_ = pole;
    }
    if (best > good) continue;
    table.coefficients_ = count;
    break;
  }
  if (table.coefficients_ == 0) return {};
  // One row before and one behind for the parabola through three
  const auto rows = static_cast<std::size_t>(largest_W / step) + 4;
  table.rows_.reserve(rows * table.row_size());
  for (std::size_t i = 0; i < rows; ++i) {
    const double W = double(i) * step;
    for (const double c : coefficients_of(W, table.pole_, table.coefficients_, orders))
      table.rows_.push_back(static_cast<float>(c));
    table.rows_.push_back(static_cast<float>(
        sum_over_orders(W, orders, [&](std::size_t n) { return outside[n - 1]; })));
  }
  return table;
}

}  // namespace nablabragg::engine
