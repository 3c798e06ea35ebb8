// Expected photons -> counted photons.  What is float here must stay float, and no product may be
// fused with a sum: at a million photons the acceptance test is decided by single-precision
// rounding.
#include "readout/noise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <type_traits>

#include "physics/poisson.hpp"
#include "readout/keyed_bits.hpp"

namespace nablabragg::readout {

namespace {

/// Random bits of one pixel.  Mixing the sum, not adding the mixed, keeps neighbours' streams
/// apart.
class PixelBits {
 public:
  using result_type = std::uint64_t;
  PixelBits(std::uint64_t key, std::uint64_t pixel) : counter_(mixed(key + pixel)) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return mixed(counter_ += golden); }

 private:
  std::uint64_t counter_;
};

/// For a mean that the kernels leave out.
double nearly_normal(double mean, std::uint64_t key, std::uint64_t pixel) {
  if (std::isinf(mean)) return mean;
  PixelBits bits(key, pixel);
  return std::round(mean + std::sqrt(mean) * std::normal_distribution<double>()(bits));
}

std::int64_t internal_seed(std::int64_t user_seed) {
  // The one value that cannot be negated.
  if (user_seed == std::numeric_limits<std::int64_t>::min()) ++user_seed;
  return -user_seed;
}

/// Below this the product of as many draws as photons ends with exp(-mean), from there on
/// candidates are rejected, and above that deviates are normal.
constexpr float few_photons = 12, most_photons = 1e6F;

/// Whether the first draw of every pixel certainly is below exp(-mean), which ends it, so that the
/// pixels take a draw each: mostly so where it is dark.  The powers are less than exp(-mean), by
/// more than rounding could make of it.
bool all_zero(const float* means, const float* draws, std::size_t pixels) {
  int zeros = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    const double mean = means[i];
    const double below = 1 - 1e-12 - mean * (1 - mean * (0.5 - mean * (1.0 / 6 + 1e-12)));
    zeros += static_cast<double>(draws[i]) < below ? 1 : 0;
  }
  return zeros == static_cast<int>(pixels);
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

NanobraggPoisson::Prepared NanobraggPoisson::prepared(float mean) {
  const double mean_d = mean;
  if (mean < few_photons) return {static_cast<float>(std::exp(-mean_d)), 0, 0};
  if (mean > most_photons) return {};
  // Not a number arrives here as well, takes two draws and comes back.
  const auto root = static_cast<float>(std::sqrt(2.0 * mean_d));
  const auto log = static_cast<float>(std::log(mean_d));
  return {mean * log - nanobragg_log_gamma(static_cast<float>(mean_d + 1.0)), root, log};
}

float NanobraggPoisson::drawn(float mean, const Prepared& p) {
  if (mean < few_photons) {
    float count = 0;
    for (float t = uniform(); t > p.g; t = t * uniform()) count += 1;
    return count;
  }
  const double mean_d = mean;
  if (mean > most_photons)
    return static_cast<float>(
        mean_d + std::sqrt(mean_d) * static_cast<double>(random_.gauss([&] { return uniform(); })));
  float count, t;
  do {
    float y;
    do {
      y = static_cast<float>(std::tan(std::numbers::pi * static_cast<double>(uniform())));
      count = p.root * y + mean;
    } while (count < 0);
    count = std::floor(count);
    const float log_ratio = count * p.log - log_factorial(count) - p.g;
    const float y2 = y * y;
    t = static_cast<float>(0.9 * (1.0 + static_cast<double>(y2)) *
                           std::exp(static_cast<double>(log_ratio)));
  } while (uniform() > t);
  return count;
}

void NanobraggPoisson::operator()(std::span<const float> means, std::span<double> counts) {
  constexpr std::size_t together = 8;
  for (std::size_t i = 0; i < means.size();) {
    const bool whole = i + together <= means.size() &&
                       used_ + static_cast<int>(together) <= block_.size;
    if (whole && all_zero(means.data() + i, block_.values.data() + used_, together)) {
      std::fill_n(counts.begin() + static_cast<std::ptrdiff_t>(i), together, 0.0);
      used_ += static_cast<int>(together);
      i += together;
      continue;
    }
    const std::size_t end = std::min(i + together, means.size());
    // Functions of the means first: when a pixel's draws end cannot be foreseen, and processors
    // would begin with the next one's only then.
    std::array<Prepared, together> p;
    for (std::size_t k = i; k < end; ++k) p[k - i] = prepared(means[k]);
    for (std::size_t k = i; k < end; ++k)
      counts[k] = static_cast<double>(drawn(means[k], p[k - i]));
    i = end;
  }
}

/// ln count!, which is looked up: counts come again and again.
float NanobraggPoisson::log_factorial(float count) {
  constexpr std::size_t kept = 65536;
  if (!(count < static_cast<float>(kept)))
    return nanobragg_log_gamma(static_cast<float>(static_cast<double>(count) + 1.0));
  if (log_factorials_.empty())
    log_factorials_.assign(kept, std::numeric_limits<float>::quiet_NaN());
  float& value = log_factorials_[static_cast<std::size_t>(count)];
  if (std::isnan(value)) value = nanobragg_log_gamma(count + 1);
  return value;
}

KeyedPoisson::KeyedPoisson(std::uint64_t seed)
    : key_(key_of(seed)), draw_(row_kernels().draw_poisson) {}

std::uint64_t KeyedPoisson::key_of(std::uint64_t seed) { return mixed(seed + golden); }

template <class Real>
void KeyedPoisson::operator()(std::span<const Real> means, std::uint64_t first,
                              std::span<double> counts) const {
  std::array<double, poisson_chunk> copied{}, last_counts{};
  for (std::size_t begin = 0; begin < means.size(); begin += poisson_chunk) {
    const std::size_t size = std::min(poisson_chunk, means.size() - begin);
    const std::uint64_t pixel = first + begin;
    const std::size_t whole = (size + poisson_lanes - 1) / poisson_lanes * poisson_lanes;
    const double* mean = copied.data();
    if constexpr (std::is_same_v<Real, double>)
      if (size == whole) mean = means.data() + begin;
    if (mean == copied.data()) {
      for (std::size_t i = 0; i < size; ++i) copied[i] = static_cast<double>(means[begin + i]);
      std::fill(copied.begin() + static_cast<std::ptrdiff_t>(size),
                copied.begin() + static_cast<std::ptrdiff_t>(whole), 0.0);
    }
    double* const count = size == whole ? counts.data() + begin : last_counts.data();
    const bool all = draw_(key_, pixel, mean, whole, count);
    // Beyond the largest mean the skewness, 3e-5, cannot be told from a normal deviate's 0.
    if (!all)
      for (std::size_t i = 0; i < size; ++i)
        if (mean[i] > physics::poisson_largest_mean)
          count[i] = nearly_normal(mean[i], key_, pixel + i);
    if (size != whole)
      std::copy_n(count, size, counts.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

template void KeyedPoisson::operator()(std::span<const float>, std::uint64_t,
                                       std::span<double>) const;
template void KeyedPoisson::operator()(std::span<const double>, std::uint64_t,
                                       std::span<double>) const;

}  // namespace nablabragg::readout
