// Comparing engines: the bounds that every fast one must keep, and how to ask for one.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "model/resolve.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::test {

/// Which engine tests of fast engines are about: that of the environment's NABLABRAGG_TEST_ENGINE,
/// or cpu.
inline std::string tested_engine() {
  const char* name = std::getenv("NABLABRAGG_TEST_ENGINE");
  return name ? name : "cpu";
}

/// The variants of that engine: the instruction sets of the cpu's, the one of another.
inline std::vector<std::string> tested_targets() {
  if (tested_engine() == "cpu") return engine::instruction_sets();
  return {tested_engine()};
}

/// For the life of the object the cpu engine uses this instruction set.
class ForcedTarget {
 public:
  explicit ForcedTarget(const std::string& name) {
    if (tested_engine() == "cpu") setenv("NABLABRAGG_TARGET", name.c_str(), 1);
  }
  ~ForcedTarget() { unsetenv("NABLABRAGG_TARGET"); }
  ForcedTarget(const ForcedTarget&) = delete;
  ForcedTarget& operator=(const ForcedTarget&) = delete;
};

inline ComputeOptions reference_engine() {
  ComputeOptions options;
  options.engine = Engine::reference;
  return options;
}

inline ComputeOptions cpu_engine(Precision precision) {
  ComputeOptions options;
  options.precision = precision;
  return options;
}

inline ComputeOptions fast_engine(Precision precision) {
  ComputeOptions options = cpu_engine(precision);
  if (!choose_engine(tested_engine(), options))
    throw std::runtime_error("NABLABRAGG_TEST_ENGINE names no engine");
  return options;
}

/// Without what keeps the tested engine from differentiating it.
inline Experiment differentiable_here(Experiment e) {
  const Plan plan = make_plan(e, resolve(e));
  const ComputeOptions options = fast_engine(Precision::float64);
  if (engine::engine_of(plan, options).why_no_gradients(plan).empty()) return e;
  e.sampling.dmin_A = 0;
  return without_background(std::move(e));
}

/// How far an image is from the reference's.
struct Agreement {
  double over_max = 0;     ///< largest difference over the largest pixel
  double over_both = 0;    ///< largest difference over the sum of the largest pixel and this one
  double relative = 0;     ///< largest relative difference of pixels above 1e-5 of that
  double correlation = 1;  ///< Pearson's
  double sum_ratio = 1;

  /// What mixed precision has to keep; empty if it does.
  std::string broken_bounds() const {
    std::ostringstream text;
    if (!(over_max <= 1e-5)) text << "off by " << over_max << " of the maximum; ";
    if (!(relative <= 2e-3)) text << "off by " << relative << " of a bright pixel; ";
    if (!(correlation >= 0.999999)) text << "correlation " << correlation << "; ";
    if (!(std::abs(sum_ratio - 1) <= 1e-5)) text << "sum ratio " << sum_ratio << "; ";
    return text.str();
  }

  /// What double precision has to keep; empty if it does.
  std::string broken_double_bounds() const {
    std::ostringstream text;
    if (!(over_both <= 2e-6)) text << "off by " << over_both << " of the maximum and the pixel; ";
    return text.str();
  }
};

inline Agreement agreement(const std::vector<float>& got, const std::vector<float>& reference) {
  Agreement result;
  double largest = 0, sum_got = 0, sum_reference = 0;
  const auto n = static_cast<double>(got.size());
  // What is below the range of normal numbers is left out (ComputeOptions::skip_below).
  constexpr double smallest = 1.2e-38;
  for (std::size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(double(reference[i])));
    sum_got += double(got[i]);
    sum_reference += double(reference[i]);
  }
  if (largest < 1e6 * smallest) return result;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double x = double(got[i]), r = double(reference[i]);
    double off = std::max(0.0, std::abs(x - r) - smallest);
    // Comparisons with NaN are false, and maxima would lose it.
    if (std::isnan(x - r)) off = std::numeric_limits<double>::infinity();
    if (off > 0) {
      result.over_max = std::max(result.over_max, off / largest);
      result.over_both = std::max(result.over_both, off / (largest + std::abs(r)));
    }
    if (std::abs(r) >= 1e-5 * largest && largest > 0)
      result.relative = std::max(result.relative, off / std::abs(r));
    xx += (x - sum_got / n) * (x - sum_got / n);
    yy += (r - sum_reference / n) * (r - sum_reference / n);
    xy += (x - sum_got / n) * (r - sum_reference / n);
  }
  // An image without contrast has nothing to correlate but the rounding of its pixels.
  if (std::sqrt(yy / n) > 1e-3 * largest) result.correlation = xy / std::sqrt(xx * yy);
  if (sum_reference != 0) result.sum_ratio = sum_got / sum_reference;
  return result;
}

}  // namespace nablabragg::test
