// Expected photons -> counted photons.
//
// Two generators.  nanoBragg's, bit for bit: one sequential stream in single precision, so rows
// must be drawn in raster order.  The other draws each pixel from a generator keyed by (seed,
// pixel), so a pixel's count depends neither on the region of interest nor on the order.
#pragma once
#include <cstdint>
#include <span>
#include "model/nanobragg_random.hpp"  // for NanobraggRandom
#include "readout/row_kernels.hpp"     // for DrawPoisson

namespace nablabragg::readout {

/// Poisson deviates as nanoBragg draws them, in single precision (noise-stream state included).
class NanobraggPoisson {
 public:
  /// `random` carries the shuffle table that earlier streams of the run left; `user_seed` is what
  /// -seed was given.
  NanobraggPoisson(model::NanobraggRandom random, std::int64_t user_seed);
  float operator()(float mean);
  std::int64_t state() const { return seed_; }

 private:
  model::NanobraggRandom random_;
  std::int64_t seed_;
  float last_mean_ = -1, g_ = 0, root_ = 0, log_ = 0;
};

/// ln Gamma(x) as that generator rounds it.
float nanobragg_log_gamma(float x);

/// Poisson deviates keyed by (seed, pixel): the same for the same mean, whatever else is drawn, in
/// whatever order, on any processor.  Many pixels at a time.
class KeyedPoisson {
 public:
  explicit KeyedPoisson(std::uint64_t seed);
  /// Counts of the pixels number `first`, `first + 1`... of these means.  Infinite for an infinite
  /// mean, 0 for what is no number.
  template <class Real>
  void operator()(std::span<const Real> means, std::uint64_t first, std::span<double> counts) const;

 private:
  std::uint64_t key_;
  DrawPoisson draw_;
};

}  // namespace nablabragg::readout
