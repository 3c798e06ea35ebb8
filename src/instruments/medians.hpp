// Of a few measured times.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

namespace nablabragg::instruments {

/// Not a number where there is none; the same of the next one.
inline double minimum(const std::vector<double>& values) {
  return values.empty() ? std::numeric_limits<double>::quiet_NaN()
                        : *std::min_element(values.begin(), values.end());
}

inline double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace nablabragg::instruments
