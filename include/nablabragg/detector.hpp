// A flat (or curved) panel of square pixels, as beamline conventions describe it.
#pragma once
#include <optional>
#include "nablabragg/vec3.hpp"  // for Vec3

namespace nablabragg {

/// Which program's frame and beam-centre meaning the numbers follow.
enum class Convention { adxv, mosflm, denzo, xds, dials, custom };

/// What stays put when the detector is rotated.
enum class Pivot {
  beam,   ///< the direct-beam spot on the detector
  sample  ///< the sample; the near point stays at its distance
};

template <class Real>
struct BasicDetector {
  Convention convention = Convention::mosflm;

  int fast_pixels = 0;  ///< 0: from the size
  int slow_pixels = 0;
  Real fast_size_mm{102.4}, slow_size_mm{102.4};
  Real pixel_mm{0.1};

  Real distance_mm{100};                  ///< along the beam
  std::optional<Real> close_distance_mm;  ///< along the normal; beats distance_mm
  std::optional<Pivot> pivot;             ///< empty: the convention's

  /// Direct-beam position in the convention's own meaning (Xbeam, Ybeam).
  std::optional<Real> beam_x_mm, beam_y_mm;
  /// Near point, the foot of the normal from the sample (Xclose, Yclose).
  std::optional<Real> close_x_mm, close_y_mm;
  /// The same in XDS pixels (ORGX, ORGY: the centre of the first pixel is 1).
  std::optional<Real> org_x_px, org_y_px;
  /// Outer corner of pixel (0,0) before the rotations; beats distance and centres.
  std::optional<Vec3<Real>> origin_m;

  std::optional<Vec3<Real>> fast_axis, slow_axis, normal;  ///< replace those of the custom
                                                           ///< convention
  std::optional<Vec3<Real>> two_theta_axis;
  Vec3<Real> rotation_deg;  ///< about laboratory x, then y, then z
  Real two_theta_deg{0};    ///< about its axis, after the rotations

  bool curved = false;       ///< every pixel at the same distance from the sample
  bool point_pixel = false;  ///< leave the obliquity out of the solid angle

  Real sensor_thickness_um{0};
  /// 1/e depth; infinity or empty: see sensor_thickness_um.  Empty with a thickness: the thickness.
  std::optional<Real> attenuation_depth_um;
  std::optional<int> sensor_layers;
};

using Detector = BasicDetector<double>;

}  // namespace nablabragg
