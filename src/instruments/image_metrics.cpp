#include "instruments/image_metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace nablabragg::instruments {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr int reach = 5;  // of the Gaussian window to either side

double as_double(float value) { return static_cast<double>(value); }

/// Rows of the five quantities whose window means make the similarity: a, b, a^2, b^2, ab.
using Moments = std::array<std::vector<double>, 5>;

std::array<double, reach + 1> gaussian() {
  std::array<double, reach + 1> weights{};
  for (int i = 0; i <= reach; ++i)
    weights[static_cast<std::size_t>(i)] = std::exp(-i * i / (2 * 1.5 * 1.5));
  return weights;
}

double weight(int offset) {
  static const std::array<double, reach + 1> weights = gaussian();
  return weights[static_cast<std::size_t>(std::abs(offset))];
}

Moments smoothed_along_row(std::span<const float> a, std::span<const float> b) {
  const int width = static_cast<int>(a.size());
  Moments row;
  for (auto& values : row) values.assign(a.size(), 0);
  for (int x = 0; x < width; ++x) {
    double total = 0;
    std::array<double, 5> sum{};
    for (int i = std::max(0, x - reach); i <= std::min(width - 1, x + reach); ++i) {
      const double w = weight(i - x), p = as_double(a[static_cast<std::size_t>(i)]),
                   q = as_double(b[static_cast<std::size_t>(i)]);
      total += w;
      sum[0] += w * p;
      sum[1] += w * q;
      sum[2] += w * p * p;
      sum[3] += w * q * q;
      sum[4] += w * p * q;
    }
    for (std::size_t m = 0; m < sum.size(); ++m)
      row[m][static_cast<std::size_t>(x)] = sum[m] / total;
  }
  return row;
}

/// Finds a partner for `peak`, moving earlier ones to others where that frees one (augmenting
/// path).
bool find_partner(std::size_t peak, const std::vector<std::vector<std::size_t>>& near,
                  std::vector<bool>& tried, std::vector<std::ptrdiff_t>& partner_of) {
  for (const std::size_t other : near[peak]) {
    if (tried[other]) continue;
    tried[other] = true;
    if (partner_of[other] < 0 ||
        find_partner(static_cast<std::size_t>(partner_of[other]), near, tried, partner_of)) {
      partner_of[other] = static_cast<std::ptrdiff_t>(peak);
      return true;
    }
  }
  return false;
}

bool is_peak(const Image& image, int fast, int slow) {
  const float value = image.at(fast, slow);
  if (!(value > 0)) return false;
  for (int y = std::max(0, slow - 1); y <= std::min(image.slow_pixels - 1, slow + 1); ++y)
    for (int x = std::max(0, fast - 1); x <= std::min(image.fast_pixels - 1, fast + 1); ++x) {
      const bool earlier = y < slow || (y == slow && x < fast);
      if (image.at(x, y) > value || (earlier && image.at(x, y) == value)) return false;
    }
  return true;
}

/// The share of source pixels [first, last] that target pixel `i` of `count` covers.
struct Cover {
  int first = 0, last = 0;
  double first_share = 1, last_share = 1;
  double share(int at) const { return at == first ? first_share : at == last ? last_share : 1.0; }
};

Cover cover(int i, int count, int source) {
  const double scale = static_cast<double>(source) / count;
  const double begin = i * scale, end = (i + 1) * scale;
  Cover c;
  c.first = static_cast<int>(begin);
  c.last = std::clamp(static_cast<int>(std::ceil(end)) - 1, c.first, source - 1);
  c.first_share = std::min(end, c.first + 1.0) - begin;
  c.last_share = end - c.last;
  return c;
}

}  // namespace

void PairStatistics::add(std::span<const float> reference, std::span<const float> image) {
  if (reference.empty()) return;
  const auto n = static_cast<double>(reference.size());
  double sum_a = 0, sum_b = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double a = as_double(reference[i]), b = as_double(image[i]);
    sum_a += a;
    sum_b += b;
    const double gap = std::abs(b - a);
    square_difference_ += gap * gap;
    if (gap > largest_) {
      largest_ = gap;
      largest_at_ = count_ + static_cast<std::int64_t>(i);
    }
  }
  const double mean_a = sum_a / n, mean_b = sum_b / n;
  double square_a = 0, square_b = 0, product = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double a = as_double(reference[i]) - mean_a, b = as_double(image[i]) - mean_b;
    square_a += a * a;
    square_b += b * b;
    product += a * b;
  }
  // Moments about the new part's means join those about the old means
  const double before = static_cast<double>(count_), all = before + n, joint = before * n / all;
  const double step_a = mean_a - mean_reference_, step_b = mean_b - mean_image_;
  square_reference_ += square_a + step_a * step_a * joint;
  square_image_ += square_b + step_b * step_b * joint;
  product_ += product + step_a * step_b * joint;
  mean_reference_ += step_a * n / all;
  mean_image_ += step_b * n / all;
  count_ += static_cast<std::int64_t>(reference.size());
}

double PairStatistics::sum_ratio() const {
  return mean_reference_ == 0 ? nan : mean_image_ / mean_reference_;
}

double PairStatistics::correlation() const {
  if (square_difference_ == 0) return 1;
  const double both = std::sqrt(square_reference_) * std::sqrt(square_image_);
  return both > 0 ? std::clamp(product_ / both, -1.0, 1.0) : nan;
}

double PairStatistics::rmse() const {
  return count_ == 0 ? nan : std::sqrt(square_difference_ / static_cast<double>(count_));
}

double structural_similarity(const Image& reference, const Image& image) {
  const auto [low, high] = std::minmax_element(reference.pixels.begin(), reference.pixels.end());
  const double range = *high > *low ? as_double(*high) - as_double(*low) : 1.0;
  const double c1 = 0.01 * range * 0.01 * range, c2 = 0.03 * range * 0.03 * range;

  // The smoothed rows under the window, the row `slow` at slow modulo their number
  constexpr int kept = 2 * reach + 1;
  std::array<Moments, kept> rows;
  int ready = 0;
  double sum = 0;
  for (int slow = 0; slow < reference.slow_pixels; ++slow) {
    const int first = std::max(0, slow - reach),
              last = std::min(reference.slow_pixels - 1, slow + reach);
    for (; ready <= last; ++ready)
      rows[static_cast<std::size_t>(ready % kept)] = smoothed_along_row(reference.row(ready),
                                                                        image.row(ready));
    for (std::size_t x = 0; x < static_cast<std::size_t>(reference.fast_pixels); ++x) {
      double total = 0;
      std::array<double, 5> m{};
      for (int y = first; y <= last; ++y) {
        const double w = weight(y - slow);
        total += w;
        for (std::size_t k = 0; k < m.size(); ++k)
          m[k] += w * rows[static_cast<std::size_t>(y % kept)][k][x];
      }
      for (double& value : m) value /= total;
      const double v1 = m[2] - m[0] * m[0], v2 = m[3] - m[1] * m[1], c = m[4] - m[0] * m[1];
      sum += (2 * m[0] * m[1] + c1) * (2 * c + c2) /
             ((m[0] * m[0] + m[1] * m[1] + c1) * (v1 + v2 + c2));
    }
  }
  return sum / static_cast<double>(reference.pixels.size());
}

std::vector<Peak> brightest_peaks(const Image& image, std::size_t most) {
  std::vector<Peak> peaks;
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    for (int fast = 0; fast < image.fast_pixels; ++fast)
      if (is_peak(image, fast, slow)) peaks.push_back({fast, slow, image.at(fast, slow)});
  std::stable_sort(peaks.begin(), peaks.end(),
                   [](const Peak& a, const Peak& b) { return a.value > b.value; });
  if (peaks.size() > most) peaks.resize(most);
  return peaks;
}

std::size_t matched_peaks(const std::vector<Peak>& reference, const std::vector<Peak>& image,
                          double distance_px) {
  std::vector<std::vector<std::size_t>> near(reference.size());
  for (std::size_t i = 0; i < reference.size(); ++i)
    for (std::size_t j = 0; j < image.size(); ++j)
      if (std::hypot(reference[i].fast - image[j].fast, reference[i].slow - image[j].slow) <=
          distance_px)
        near[i].push_back(j);
  std::vector<std::ptrdiff_t> partner_of(image.size(), -1);
  std::size_t matched = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    std::vector<bool> tried(image.size(), false);
    if (find_partner(i, near, tried, partner_of)) ++matched;
  }
  return matched;
}

Image cropped(const Image& image, const RegionOfInterest& region) {
  Image part{region.fast_max - region.fast_min + 1, region.slow_max - region.slow_min + 1, {}};
  for (int slow = region.slow_min; slow <= region.slow_max; ++slow) {
    const auto row = image.row(slow).subspan(static_cast<std::size_t>(region.fast_min),
                                             static_cast<std::size_t>(part.fast_pixels));
    part.pixels.insert(part.pixels.end(), row.begin(), row.end());
  }
  return part;
}

Image area_averaged(const Image& image, int fast_pixels, int slow_pixels) {
  if (fast_pixels == image.fast_pixels && slow_pixels == image.slow_pixels) return image;
  Image small{fast_pixels, slow_pixels, {}};
  for (int slow = 0; slow < slow_pixels; ++slow)
    for (int fast = 0; fast < fast_pixels; ++fast) {
      const Cover x = cover(fast, fast_pixels, image.fast_pixels),
                  y = cover(slow, slow_pixels, image.slow_pixels);
      double sum = 0, area = 0;
      for (int j = y.first; j <= y.last; ++j)
        for (int i = x.first; i <= x.last; ++i) {
          const double share = x.share(i) * y.share(j);
          sum += share * as_double(image.at(i, j));
          area += share;
        }
      small.pixels.push_back(static_cast<float>(sum / area));
    }
  return small;
}

Image difference(const Image& reference, const Image& image) {
  Image result = image;
  for (std::size_t i = 0; i < result.pixels.size(); ++i) result.pixels[i] -= reference.pixels[i];
  return result;
}

double percentile_of_lit(const Image& image, double percent) {
  std::vector<float> lit;
  for (const float value : image.pixels)
    if (value != 0 && std::isfinite(value)) lit.push_back(std::abs(value));
  if (lit.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(percent / 100 *
                                                static_cast<double>(lit.size() - 1));
  std::nth_element(lit.begin(), lit.begin() + rank, lit.end());
  return as_double(lit[static_cast<std::size_t>(rank)]);
}

}  // namespace nablabragg::instruments
