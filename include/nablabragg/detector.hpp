// A flat (or curved) panel, as beamline conventions describe it, and groups of panels that move
// together.
#pragma once
#include <optional>
#include <string>
#include "nablabragg/vec3.hpp"  // for Vec3

namespace nablabragg {

/// How a panel is bent.
enum class Curvature {
  flat,
  about_lab_axes,  ///< nanoBragg's: the flat position's laboratory y and z become angles
  spherical        ///< about the sample, the direct-beam spot stays put
};

/// Which program's frame and beam-centre meaning the numbers follow.
enum class Convention { adxv, mosflm, denzo, xds, dials, custom };

/// What stays put when the detector is rotated.
enum class Pivot {
  beam,   ///< the direct-beam spot on the detector
  sample  ///< the sample; the near point stays at its distance
};

template <class Real>
struct BasicDetector {
  std::string name;   ///< of the panel, for files; may be empty
  std::string group;  ///< of Experiment::detector_groups, with which it moves; empty: none

  Convention convention = Convention::mosflm;

  int fast_pixels = 0;  ///< 0: from the size
  int slow_pixels = 0;
  Real fast_size_mm{102.4}, slow_size_mm{102.4};
  Real pixel_mm{0.1};
  std::optional<Real> slow_pixel_mm;  ///< edge along slow; empty: the pixels are square

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

  /// From where all that put it, in its own frame: along its fast and slow axes and their cross
  /// product.  Empty: it is no parameter.
  std::optional<Vec3<Real>> shift_mm;
  std::optional<Vec3<Real>> turn_deg;  ///< about the same, in turn, through its middle

  bool curved = false;       ///< every pixel at the same distance from the sample
  bool point_pixel = false;  ///< leave the obliquity out of the solid angle

  std::string sensor_material;  ///< "Si", "CdTe"...: gives the attenuation depth where none is
                                ///< given
  Real sensor_thickness_um{0};
  /// 1/e depth; infinity or empty: see sensor_thickness_um.  Empty with a thickness: the thickness.
  std::optional<Real> attenuation_depth_um;
  std::optional<int> sensor_layers;

  // What the counts of a file mean
  std::optional<double> underload, saturation;  ///< smallest and largest count to be trusted
  double gain = 1;                              ///< counts a photon
};

/// Panels that move together: a frame, and how it has moved from there.
template <class Real>
struct BasicDetectorGroup {
  std::string name;
  std::string parent;  ///< the group, before this one in the list, that it moves with; empty: none
  Vec3<Real> origin_mm;  ///< about which it turns, in the laboratory frame as are the axes
  Vec3<Real> fast_axis{Real(1), Real(0), Real(0)}, slow_axis{Real(0), Real(1), Real(0)};
  Vec3<Real> shift_mm;      ///< along its fast and slow axes and their cross product
  Vec3<Real> rotation_deg;  ///< about the same, in turn
};

using Detector = BasicDetector<double>;
using DetectorGroup = BasicDetectorGroup<double>;

}  // namespace nablabragg
