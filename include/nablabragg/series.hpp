// The images of a scan, or of stills in many orientations: which experiment each of them is of.
#pragma once
#include <cstdint>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d, Mat3d

namespace nablabragg {

/// Several images of one crystal.  They are those of experiment(i), each for itself.
class Series {
 public:
  /// A scan that goes on: image i begins at phi + i x oscillation.  Throws UsageError for no
  /// images, and for several without an oscillation.
  Series(const Experiment& experiment, int images);
  /// Stills: the crystal of image i is turned by its rotations about laboratory x, then y, then z
  /// [degree], in place of misset.  Throws UsageError for no images and for an oscillation.
  Series(const Experiment& experiment, std::vector<Vec3d> missets_deg);

  int images() const { return images_; }
  bool is_scan() const { return missets_deg_.empty(); }
  /// Throws UsageError for an image that there is not.
  Experiment experiment(int i) const;

 private:
  Experiment first_;
  int images_;
  double step_deg_ = 0;
  std::vector<Vec3d> missets_deg_;  ///< of stills
};

/// The seed of the noise of image i, as -seed takes it: of the first image `seed` itself, of others
/// one that depends on both.
std::int64_t seed_of_image(std::int64_t seed, int image);

/// Rotations as Series takes them, uniform over all orientations; that of image i depends on `seed`
/// and i alone.
std::vector<Vec3d> random_missets_deg(int images, std::int64_t seed);

/// Whether the rows are 1 long, at right angles and right-handed, to three digits.
bool is_rotation(const Mat3d& matrix);

/// The rotations about laboratory x, then y, then z [degree] that together are this one: a matrix
/// that turns a column behind it.
Vec3d misset_deg_of(const Mat3d& rotation);

}  // namespace nablabragg
