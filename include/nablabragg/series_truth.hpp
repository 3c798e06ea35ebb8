// Which reflections the images of a series hold, and how much of their light is theirs.
#pragma once
#include <cstdint>
#include <span>
#include <utility>  // for std::pair
#include <vector>
#include "nablabragg/geometry.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/predicted_spots.hpp"
#include "nablabragg/series.hpp"

namespace nablabragg {

/// What an image holds of a reflection: its number among those of the scan, or of the still, and
/// its photons.
using SpotLight = std::pair<std::int64_t, double>;

/// The reflections of a series: those that are predicted for its geometry, with the photons of the
/// pixels that are nearer to them than to others, at most four pixels away.  A reflection of a scan
/// is one, however many images it rocks through.
class SeriesTruth {
 public:
  explicit SeriesTruth(const Series& series);

  /// Of image i, without what is not the lattice's (water).  By several threads at a time.
  std::vector<SpotLight> light_of(int i, const Image& image) const;
  /// One image at a time, in any order.
  void add(int i, std::span<const SpotLight> light);

  /// Those that got light, as io::write_expt() and .refl number them: of a scan with the photons of
  /// all images and what share of the reflection they are, as far as the scan begins or ends while
  /// it rocks (estimated as if it rocked like a Gaussian); of stills image after image.
  std::vector<PredictedSpot> spots() const;

 private:
  std::vector<PredictedSpot> predicted_for(int i) const;

  Series series_;
  std::vector<PredictedSpot> of_scan_;  ///< all that are predicted
  std::vector<double> reach_images_;    ///< how far from its middle each may shine
  std::vector<std::int64_t> by_frame_;  ///< their numbers
  double longest_reach_ = 0;
  std::vector<std::vector<PredictedSpot>> of_stills_;  ///< those with light
};

/// Where everything of a series is: that of its first image, with all images of a scan and the mean
/// of their light.
Geometry geometry_of(const Series& series);

}  // namespace nablabragg
