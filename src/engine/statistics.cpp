#include "engine/statistics.hpp"

#include <cmath>

namespace nablabragg::engine {

Statistics image_statistics(const Plan& plan, const Image& image, bool count_masked) {
  Statistics s;
  double sum_of_squares = 0;
  const RegionOfInterest& roi = plan.roi;
  for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast) {
      if (!plan.visits(fast, slow)) continue;
      const float value = image.at(fast, slow);
      ++s.pixels;
      s.sum += static_cast<double>(value);
      sum_of_squares += static_cast<double>(value * value);
      if (static_cast<double>(value) > s.max) {
        s.max = static_cast<double>(value);
        s.max_fast = fast;
        s.max_slow = slow;
      }
    }
  const auto degrees_of_freedom = [](std::int64_t n) {
    return static_cast<double>(n > 1 ? n - 1 : 1);
  };
  s.mean = s.sum / static_cast<double>(s.pixels > 0 ? s.pixels : 1);
  s.rms = std::sqrt(sum_of_squares / degrees_of_freedom(s.pixels));

  double deviation = 0;
  std::int64_t counted = 0;
  for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
    for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast) {
      if (!count_masked && !plan.visits(fast, slow)) continue;
      const double off = static_cast<double>(image.at(fast, slow)) - s.mean;
      deviation += off * off;
      ++counted;
    }
  s.rmsd = std::sqrt(deviation / degrees_of_freedom(counted));

  if (s.max_fast >= 0) {
    const double step = plan.frame.pixel / plan.oversample;
    const auto last = [&](int pixel) {
      return step * (double(pixel) * plan.oversample + plan.oversample - 1) + step / 2;
    };
    s.max_fast_m = last(s.max_fast);
    s.max_slow_m = last(s.max_slow);
  }
  return s;
}

}  // namespace nablabragg::engine
