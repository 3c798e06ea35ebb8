// Rows are summed on their own, each in a fixed order, and then one after the other: the same bits
// for any number of threads.
#include "readout/statistics.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

namespace nablabragg::readout {

namespace {

/// Pixels of a row that the mean counts, and those that the deviation does.
struct RowSums {
  std::int64_t pixels = 0, counted = 0;
  double sum = 0;
  double squares = 0;  ///< squared in single precision, as nanoBragg does
  float max = 0;
  double counted_mean = 0;
  double deviation = 0;  ///< squared, about counted_mean
};

/// As many sums side by side, so that none waits for the one before, and so many that compilers
/// keep the loop over them and make it a loop over vectors.
constexpr std::size_t lanes = 32;
using Lanes = std::array<double, lanes>;

double total(const Lanes& sums) { return std::accumulate(sums.begin(), sums.end(), 0.0); }

/// Squared deviations from `mean`.
double deviation_about(double mean, std::span<const float> row) {
  Lanes deviation{};
  std::size_t i = 0;
  for (; i + lanes <= row.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const double off = static_cast<double>(row[i + lane]) - mean;
      deviation[lane] += off * off;
    }
  for (; i < row.size(); ++i) {
    const double off = static_cast<double>(row[i]) - mean;
    deviation[0] += off * off;
  }
  return total(deviation);
}

RowSums sums_of(std::span<const float> row) {
  Lanes sum{}, squares{};
  std::array<float, lanes> max{};
  const auto add = [&](std::size_t lane, float value) {
    sum[lane] += static_cast<double>(value);
    squares[lane] += static_cast<double>(value * value);
    max[lane] = value > max[lane] ? value : max[lane];
  };
  std::size_t i = 0;
  for (; i + lanes <= row.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) add(lane, row[i + lane]);
  for (; i < row.size(); ++i) add(0, row[i]);

  RowSums sums;
  sums.pixels = sums.counted = static_cast<std::int64_t>(row.size());
  sums.sum = total(sum);
  sums.squares = total(squares);
  sums.max = *std::max_element(max.begin(), max.end());
  sums.counted_mean = sums.sum / static_cast<double>(std::max<std::int64_t>(sums.counted, 1));
  sums.deviation = deviation_about(sums.counted_mean, row);
  return sums;
}

}  // namespace

Statistics image_statistics(const Plan& plan, const Image& image, bool count_masked) {
  /// A row of a panel's region of interest.
  struct Row {
    std::size_t panel;
    int slow;
  };
  std::vector<Row> places;
  std::vector<PanelImage> images;
  for (std::size_t p = 0; p < plan.panels.size(); ++p) {
    const RegionOfInterest& roi = plan.panels[p].roi;
    images.push_back(image.panel(p));
    for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow) places.push_back({p, slow});
  }
  const auto sum_row = [&](const Row& row, std::vector<float>& visited) {
    const PlanPanel& panel = plan.panels[row.panel];
    const RegionOfInterest& roi = panel.roi;
    const auto pixels = images[row.panel].row(row.slow).subspan(
        static_cast<std::size_t>(roi.fast_min),
        static_cast<std::size_t>(roi.fast_max) + 1 - static_cast<std::size_t>(roi.fast_min));
    if (!panel.mask) return sums_of(pixels);
    visited.clear();
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
      if (panel.visits(fast, row.slow)) visited.push_back(images[row.panel].at(fast, row.slow));
    RowSums sums = sums_of(visited);
    if (!count_masked) return sums;
    const RowSums all = sums_of(pixels);
    sums.counted = all.counted;
    sums.counted_mean = all.counted_mean;
    sums.deviation = all.deviation;
    return sums;
  };
  std::vector<RowSums> rows(places.size());
  constexpr std::size_t rows_at_least = 16;  // fewer are not worth another thread
  tbb::parallel_for(tbb::blocked_range<std::size_t>(0, places.size(), rows_at_least),
                    [&](const tbb::blocked_range<std::size_t>& range) {
                      std::vector<float> visited;
                      for (std::size_t i = range.begin(); i != range.end(); ++i)
                        rows[i] = sum_row(places[i], visited);
                    });

  Statistics s;
  double sum_of_squares = 0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowSums& row = rows[i];
    s.pixels += row.pixels;
    counted += row.counted;
    s.sum += row.sum;
    sum_of_squares += row.squares;
    if (static_cast<double>(row.max) > s.max) {
      s.max = static_cast<double>(row.max);
      s.max_slow = places[i].slow;
      s.max_panel = static_cast<int>(places[i].panel);
    }
  }
  const auto degrees_of_freedom = [](std::int64_t n) {
    return static_cast<double>(n > 1 ? n - 1 : 1);
  };
  s.mean = s.sum / static_cast<double>(s.pixels > 0 ? s.pixels : 1);
  s.rms = std::sqrt(sum_of_squares / degrees_of_freedom(s.pixels));

  // About the image's mean: about the row's own, and that mean's distance for every pixel
  double deviation = 0;
  for (const RowSums& row : rows) {
    const double off = row.counted_mean - s.mean;
    deviation += row.deviation + static_cast<double>(row.counted) * off * off;
  }
  s.rmsd = std::sqrt(deviation / degrees_of_freedom(counted));

  if (s.max_slow >= 0) {
    const auto p = static_cast<std::size_t>(s.max_panel);
    const PlanPanel& panel = plan.panels[p];
    s.max_fast = panel.roi.fast_min;
    while (!panel.visits(s.max_fast, s.max_slow) ||
           static_cast<double>(images[p].at(s.max_fast, s.max_slow)) != s.max)
      ++s.max_fast;
    const double step = panel.frame.pixel / plan.oversample;
    const auto last = [&](int pixel) {
      return step * (double(pixel) * plan.oversample + plan.oversample - 1) + step / 2;
    };
    s.max_fast_m = last(s.max_fast);
    s.max_slow_m = panel.frame.slow_edge * last(s.max_slow);
  }
  return s;
}

}  // namespace nablabragg::readout
