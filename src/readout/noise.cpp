// Expected photons -> counted photons.  What is float here must stay float, and no product may be
// fused with a sum: at a million photons the acceptance test is decided by single-precision
// rounding.
#include "readout/noise.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>

namespace nablabragg::readout {

namespace {

/// 64 well-mixed bits of a counter (SplitMix64's output function, a bijection).
std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;

/// Random bits of one pixel.  Mixing the sum, not adding the mixed, keeps neighbours' streams
/// apart.
class PixelBits {
 public:
  using result_type = std::uint64_t;
  PixelBits(std::uint64_t seed, std::uint64_t pixel)
      : counter_(mixed(mixed(seed + golden) + pixel)) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return mixed(counter_ += golden); }

 private:
  std::uint64_t counter_;
};

std::int64_t internal_seed(std::int64_t user_seed) {
  // The one value that cannot be negated.
  if (user_seed == std::numeric_limits<std::int64_t>::min()) ++user_seed;
  return -user_seed;
}

}  // namespace

float nanobragg_log_gamma(float x) {
  constexpr std::array<double, 6> coefficients{76.18009172947146,     -86.50532032941677,
                                               24.01409824083091,     -1.231739572450155,
                                               0.1208650973866179e-2, -0.5395239384953e-5};
  const double xd = x;
  double t = xd + 5.5;
  t -= (xd + 0.5) * std::log(t);
  double series = 1.000000000190015, y = xd;
  for (const double c : coefficients) {
    y += 1;
    series += c / y;
  }
  return static_cast<float>(-t + std::log(2.5066282746310005 * series / xd));
}

NanobraggPoisson::NanobraggPoisson(model::NanobraggRandom random, std::int64_t user_seed)
    : random_(random), seed_(internal_seed(user_seed)) {}

float NanobraggPoisson::operator()(float mean) {
  const double mean_d = mean;
  if (mean_d > 1e6)
    return static_cast<float>(mean_d +
                              std::sqrt(mean_d) * static_cast<double>(random_.gauss(seed_)));
  if (mean < 12) {
    if (mean != last_mean_) {
      last_mean_ = mean;
      g_ = static_cast<float>(std::exp(-mean_d));
    }
    float count = -1, t = 1;
    do {
      count += 1;
      t = t * random_.uniform(seed_);
    } while (t > g_);
    return count;
  }
  // Not a number arrives here as well, takes two draws and comes back.
  if (mean != last_mean_) {
    last_mean_ = mean;
    root_ = static_cast<float>(std::sqrt(2.0 * mean_d));
    log_ = static_cast<float>(std::log(mean_d));
    g_ = mean * log_ - nanobragg_log_gamma(static_cast<float>(mean_d + 1.0));
  }
  float count, t;
  do {
    float y;
    do {
      y = static_cast<float>(
          std::tan(std::numbers::pi * static_cast<double>(random_.uniform(seed_))));
      count = root_ * y + mean;
    } while (count < 0);
    count = std::floor(count);
    const float log_ratio = count * log_ -
                            nanobragg_log_gamma(
                                static_cast<float>(static_cast<double>(count) + 1.0)) -
                            g_;
    const float y2 = y * y;
    t = static_cast<float>(0.9 * (1.0 + static_cast<double>(y2)) *
                           std::exp(static_cast<double>(log_ratio)));
  } while (random_.uniform(seed_) > t);
  return count;
}

double pixel_poisson(double mean, std::uint64_t seed, std::uint64_t pixel) {
  if (!(mean > 0)) return 0;
  if (std::isinf(mean)) return mean;
  PixelBits bits(seed, pixel);
  // Beyond this the skewness, 3e-5, cannot be told from a normal deviate's 0, and the library's
  // logarithms of factorials cancel.
  constexpr double nearly_normal = 1e9;
  if (mean > nearly_normal)
    return std::round(mean + std::sqrt(mean) * std::normal_distribution<double>()(bits));
  return static_cast<double>(std::poisson_distribution<std::int64_t>(mean)(bits));
}

}  // namespace nablabragg::readout
