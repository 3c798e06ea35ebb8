// The images of a scan, or of stills in many orientations: which experiment each of them is of.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/spectra.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d, Mat3d

namespace nablabragg {

/// Several images of one crystal.  They are those of experiment(i), each for itself.
class Series {
 public:
  /// A scan that goes on: image i begins at phi + i x oscillation.  Throws UsageError for no
  /// images, and for several without an oscillation.
  Series(const Experiment& experiment, int images);
  /// Stills: the crystal of image i is turned by its rotations about laboratory x, then y, then z
  /// [degree], in place of misset.  Crystals beside it (more_crystals) turn with it, so that all
  /// lie to one another as in the experiment.  Throws UsageError for no images and for an
  /// oscillation.
  Series(const Experiment& experiment, std::vector<Vec3d> missets_deg);
  /// Stills in one orientation, one for each shot of spectra, whose light alone differs.  Throws
  /// UsageError for an oscillation, and as in_light_of().
  Series(const Experiment& experiment, std::shared_ptr<const Spectra> spectra);

  /// The same images, image i in the light of shot i: its channels stand in place of the sources,
  /// along the beam, and multiply the fluence by relative_light().  The wavelength stays that of
  /// the experiment, and with it the sub-pixels, the attenuation of sensors and what else follows
  /// from it.  Throws UsageError where there are not as many shots as images, and as
  /// check_takes_spectrum().
  Series in_light_of(std::shared_ptr<const Spectra> spectra) const;

  /// The same images, in each of which the beam comes in from its own direction: Beam::tilt of
  /// image i is that of the experiment plus normal deviates of this standard deviation, along both
  /// axes, which follow from seed_of_image(seed, i) alone.  Throws UsageError for a negative one.
  Series jittered(double deviation_mrad, std::int64_t seed) const;

  int images() const { return images_; }
  bool is_scan() const { return is_scan_; }
  /// Null where all images have one light.
  const std::shared_ptr<const Spectra>& spectra() const { return spectra_; }
  /// Whether the crystal lies otherwise from image to image.
  bool turns() const { return step_deg_ != 0 || !missets_deg_.empty(); }
  /// Whether the light differs from image to image.
  bool light_varies() const { return spectra_ != nullptr || jitter_mrad_ != 0; }
  /// Throws UsageError for an image that there is not.
  Experiment experiment(int i) const;
  /// That of the first image in the light of all of them together.
  Experiment in_mean_light() const;

 private:
  Experiment first_;
  int images_;
  bool is_scan_ = true;
  double step_deg_ = 0;
  std::vector<Vec3d> missets_deg_;  ///< of stills; empty: that of the experiment
  std::shared_ptr<const Spectra> spectra_;
  Vec3d towards_source_;  ///< of their light
  double jitter_mrad_ = 0;
  std::int64_t jitter_seed_ = 0;
};

/// Turns all crystals together: the first by these rotations in place of its misset, those beside
/// it so that they lie to it as before.
void turn_as_one_body(Experiment& experiment, const Vec3d& misset_deg);

/// The seed of the noise of image i, as -seed takes it: of the first image `seed` itself, of others
/// one that depends on both.
std::int64_t seed_of_image(std::int64_t seed, int image);

/// Rotations as Series takes them, uniform over all orientations; that of image i depends on `seed`
/// and i alone.
std::vector<Vec3d> random_missets_deg(int images, std::int64_t seed);
/// That of one image.
Vec3d random_misset_deg(int image, std::int64_t seed);

/// Whether the rows are 1 long, at right angles and right-handed, to three digits.
bool is_rotation(const Mat3d& matrix);

/// The rotations about laboratory x, then y, then z [degree] that together are this one: a matrix
/// that turns a column behind it.
Vec3d misset_deg_of(const Mat3d& rotation);
/// The matrix that they are.
Mat3d rotation_of_misset(const Vec3d& misset_deg);

}  // namespace nablabragg
