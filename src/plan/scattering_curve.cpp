#include "plan/scattering_curve.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

namespace nablabragg {

namespace {

/// The polynomial through some points, in powers of x - x[0], by Newton's divided differences.
std::array<double, 4> through(std::span<const double> x, std::span<const double> y, double origin) {
  std::array<double, 4> differences{};
  std::copy(y.begin(), y.end(), differences.begin());
  const std::size_t count = x.size();
  for (std::size_t order = 1; order < count; ++order)
    for (std::size_t i = count - 1; i >= order; --i)
      differences[i] = (differences[i] - differences[i - 1]) / (x[i] - x[i - order]);
  std::array<double, 4> powers{};
  for (std::size_t i = count; i-- > 0;) {
    // powers = powers (x - x[i]) + difference
    for (std::size_t k = 3; k > 0; --k) powers[k] = powers[k - 1] - (x[i] - origin) * powers[k];
    powers[0] = differences[i] - (x[i] - origin) * powers[0];
  }
  return powers;
}

}  // namespace

std::vector<PathPoint> gauss_legendre(int points) {
  // The zeros of Legendre's polynomial by Newton's method from Tricomi's estimate
  std::vector<PathPoint> all;
  const double n = points;
  for (int i = points; i >= 1; --i) {
    double x = std::cos(std::numbers::pi * (i - 0.25) / (n + 0.5)), slope = 1;
    for (int step = 0; step < 10; ++step) {
      double p = 1, before = 0;
      for (int k = 1; k <= points; ++k) {
        const double next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
        before = p;
        p = next;
      }
      slope = n * (x * p - before) / (x * x - 1);
      x -= p / slope;
    }
    all.push_back({0.5 * (1 + x), 1 / ((1 - x * x) * slope * slope)});
  }
  return all;
}

ScatteringCurve::ScatteringCurve(std::span<const double> stol_per_A, std::span<const double> F,
                                 MaterialInterpolation interpolation) {
  constexpr double angstrom = 1e10;
  for (const double x : stol_per_A) rows_.push_back(x * angstrom);
  const std::size_t count = rows_.size();
  const auto add = [&](double origin, const std::array<double, 4>& powers) {
    intervals_.push_back(origin);
    intervals_.insert(intervals_.end(), powers.begin(), powers.end());
  };
  const std::span<const double> x = rows_;
  const auto line = [&](std::size_t first, double origin) {
    return through(x.subspan(first, 2), F.subspan(first, 2), origin);
  };
  const bool straight_outside = interpolation == MaterialInterpolation::nonbragg && count > 1;
  add(x[0], straight_outside ? line(0, x[0]) : std::array<double, 4>{F[0]});
  for (std::size_t i = 0; i + 1 < count; ++i) {
    std::size_t first = i, last = i + 1;
    if (interpolation != MaterialInterpolation::linear) {
      if (i > 0) --first;
      if (i + 2 < count) ++last;
    }
    const std::size_t points = last - first + 1;
    add(x[i], through(x.subspan(first, points), F.subspan(first, points), x[i]));
  }
  add(x[count - 1],
      straight_outside ? line(count - 2, x[count - 1]) : std::array<double, 4>{F[count - 1]});

  const auto buckets = 4 * count;
  const double width = x[count - 1] - x[0], per_step = width > 0 ? double(buckets) / width : 0;
  for (std::size_t b = 0, before = 0; b < buckets; ++b) {
    // One less than there are is made good by looking at the next row
    while (before < count && per_step * (x[before] - x[0]) < double(b)) ++before;
    rows_before_.push_back(static_cast<double>(b == 0 ? 0 : before == 0 ? 0 : before - 1));
  }
  rows_.push_back(std::numeric_limits<double>::infinity());
  view_ = {rows_before_.data(), rows_.data(), intervals_.data(), rows_[0], per_step,
           double(buckets - 1)};
}

}  // namespace nablabragg
