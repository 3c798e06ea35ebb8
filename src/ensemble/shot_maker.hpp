// The shots of a description when they are asked for, without a folder of shards.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>
#include "ensemble/ensemble.hpp"
#include "ensemble/labelled_shot.hpp"
#include "io/nxmx_shards.hpp"  // for ShotTable

namespace nablabragg::ensemble {

/// As a shard holds it: panels below each other, those that are narrower than the widest filled up
/// with marks, as is what was not measured.
struct MadeShot {
  int index = 0;
  std::vector<std::int32_t> counts;     ///< empty where the readout is photons
  std::vector<float> photons;           ///< empty where it is counts
  std::vector<std::uint8_t> spot_mask;  ///< empty: not asked for
  std::vector<io::ShotTable> tables;    ///< of this shot alone
};

class ShotMaker {
 public:
  /// Of a file, as read_description() takes it.  Throws InputError and UsageError.
  explicit ShotMaker(const std::string& path);

  const Ensemble& ensemble() const { return ensemble_; }
  std::size_t slow_pixels() const { return slow_; }
  std::size_t fast_pixels() const { return fast_; }

  /// These shots, in this order.  `threads` and `progress` of `asked` count.  Throws what
  /// run_ensemble() throws of a shot.
  std::vector<MadeShot> make(const std::vector<int>& numbers, const ComputeOptions& asked) const;

 private:
  Ensemble ensemble_;
  std::vector<GeometryPanel> panels_;
  std::size_t slow_ = 0, fast_ = 0;
};

}  // namespace nablabragg::ensemble
