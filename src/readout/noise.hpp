// Expected photons -> counted photons.
//
// Two generators.  nanoBragg's, bit for bit: one sequential stream in single precision, so rows
// must be drawn in raster order.  The other draws each pixel from a generator keyed by (seed,
// pixel), so a pixel's count depends neither on the region of interest nor on the order.
#pragma once
#include <cstdint>
#include <span>
#include <vector>
#include "model/nanobragg_random.hpp"  // for NanobraggRandom
#include "readout/row_kernels.hpp"     // for DrawPoisson

namespace nablabragg::readout {

/// Poisson deviates as nanoBragg draws them, in single precision (noise-stream state included).
class NanobraggPoisson {
 public:
  /// `random` carries the shuffle table that earlier streams of the run left; `user_seed` is what
  /// -seed was given.
  NanobraggPoisson(model::NanobraggRandom random, std::int64_t user_seed);
  float operator()(float mean) { return drawn(mean, prepared(mean)); }
  /// The next pixels' counts.
  void operator()(std::span<const float> means, std::span<double> counts);
  std::int64_t state() const {
    return used_ > 0 ? block_.seeds[static_cast<std::size_t>(used_ - 1)] : seed_;
  }

 private:
  /// What depends on the mean alone: exp(-mean), or what the rejection needs.
  struct Prepared {
    float g = 0, root = 0, log = 0;
  };
  static Prepared prepared(float mean);
  float drawn(float mean, const Prepared& p);
  float uniform() {
    if (used_ == block_.size) {
      random_.draw(seed_, block_);
      used_ = 0;
    }
    return block_.values[static_cast<std::size_t>(used_++)];
  }
  float log_factorial(float count);

  model::NanobraggRandom random_;
  std::int64_t seed_;  ///< after all that is drawn
  model::NanobraggRandom::Block block_;
  int used_ = 0;
  std::vector<float> log_factorials_;  ///< not a number where none was asked for
};

/// ln Gamma(x) as that generator rounds it.
float nanobragg_log_gamma(float x);

/// Poisson deviates keyed by (seed, pixel): the same for the same mean, whatever else is drawn, in
/// whatever order, on any processor.  Many pixels at a time.
class KeyedPoisson {
 public:
  explicit KeyedPoisson(std::uint64_t seed);
  /// What a seed is mixed to, as physics/poisson.hpp takes it.
  static std::uint64_t key_of(std::uint64_t seed);
  /// Counts of the pixels number `first`, `first + 1`... of these means.  Infinite for an infinite
  /// mean, 0 for what is no number.
  template <class Real>
  void operator()(std::span<const Real> means, std::uint64_t first, std::span<double> counts) const;

 private:
  std::uint64_t key_;
  DrawPoisson draw_;
};

}  // namespace nablabragg::readout
