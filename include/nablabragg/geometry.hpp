// Where beam, panels, spindle and crystal are, as the files of DIALS, NeXus, imgCIF and CrystFEL
// state it: lengths in millimetres, all vectors in one right-handed laboratory frame.
//
// In files that follow imgCIF (dxtbx's .expt, CBF) its z axis points from the sample to the source
// and x along the spindle.  A frame of its own is as good: nothing but a file's format asks for
// one.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/settled.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d, Mat3d

namespace nablabragg {

/// A block of pixels; the ends are not part of it.
struct PixelRectangle {
  int fast_begin = 0, fast_end = 0, slow_begin = 0, slow_end = 0;
  friend bool operator==(const PixelRectangle&, const PixelRectangle&) = default;
};

/// Panels that move together, and the frame in which they do.
struct GeometryGroup {
  std::string name;
  int parent = -1;  ///< in Geometry::groups, before this one; -1: none
  Vec3d origin_mm;  ///< in the laboratory frame, as are the axes
  Vec3d fast_axis{1, 0, 0}, slow_axis{0, 1, 0};
};

struct GeometryPanel {
  std::string name;
  int group = -1;  ///< in Geometry::groups; -1: none
  int fast_pixels = 0, slow_pixels = 0;
  double fast_pixel_mm = 0, slow_pixel_mm = 0;
  Vec3d origin_mm;                     ///< outer corner of pixel (0,0)
  Vec3d fast_axis, slow_axis;          ///< unit vectors
  std::string sensor_material;         ///< "Si", "CdTe", "GaAs"...; empty: not stated
  double sensor_thickness_mm = 0;      ///< 0: everything is captured at the surface
  double attenuation_per_mm = 0;       ///< 0: not stated
  std::optional<double> underload;     ///< smallest count that can be trusted
  std::optional<double> saturation;    ///< largest count that can be trusted
  double gain = 1;                     ///< counts a photon
  double pedestal = 0;                 ///< counts without a photon
  std::vector<PixelRectangle> masked;  ///< gaps and what else is no measurement
  /// Bent about the sample: the rest states the plane that it was.  No file can say so.
  bool curved = false;
};

struct GeometryBeam {
  double wavelength_A = 0;
  Vec3d direction{0, 0, -1};  ///< of propagation
  /// (I_p - I_n) / (I_p + I_n), p in the plane normal to `polarization_normal`: 0 unpolarized, 1
  /// fully polarized; empty: not stated.  (dxtbx's polarization_fraction f is (1 + this) / 2.)
  std::optional<double> polarization;
  Vec3d polarization_normal{0, 1, 0};                ///< along the magnetic vector
  std::vector<double> spectrum_A, spectrum_weights;  ///< empty: one wavelength
};

/// A rotation at constant speed, image after image.
struct GeometryScan {
  Vec3d spindle_axis{1, 0, 0};  ///< right-handed, where the goniometer's other axes put it
  double start_deg = 0;         ///< of the first image
  double width_deg = 0;         ///< of each image, not negative
  int images = 1;
  int first_image = 1;    ///< its number
  double exposure_s = 0;  ///< of each image; 0: not stated
};

struct GeometryCrystal {
  Mat3d real_axes_A;  ///< rows a, b, c at spindle angle 0, the goniometer's other axes applied
  std::string space_group;  ///< name or Hall symbol; empty: not stated
};

struct Geometry {
  std::vector<GeometryGroup> groups;
  std::vector<GeometryPanel> panels;
  std::optional<GeometryBeam> beam;
  Vec3d beam_direction{0, 0, -1};    ///< of propagation in this frame, where `beam` is not stated
  std::optional<GeometryScan> scan;  ///< empty: a still, or not stated
  std::vector<GeometryCrystal> crystals;
  std::string detector_name;         ///< "EIGER2 16M"; empty: not stated
  std::vector<std::string> notices;  ///< what a reader left out or decided, one sentence each
};

/// Where everything of an experiment is, in its own laboratory frame.
Geometry geometry_of(const SettledExperiment& experiment);

/// The experiment with the panels of a geometry, and with the beam, spindle and crystal where it
/// states them; the beam and the spindle of other ones are turned into nothing: they stay those of
/// the experiment.  Panels become those of the custom convention, whose shifts and turns are
/// parameters; the crystal's matrix replaces cell and misset, and of a still its phi; a stated beam
/// replaces tilt and spectrum, or a spectrum that is not stated comes along it.  Crystals beside
/// the first keep their missettings.  Throws UsageError for what is no detector.
Experiment with_geometry(const Experiment& experiment, const Geometry& geometry);

/// A sentence on sensors whose thickness is stated and nothing that stops photons: with_geometry()
/// leaves them out.  Empty: there are none.
std::string unstated_sensors(const Geometry& geometry);

/// The same turned into imgCIF's frame: the beam runs along -z, the spindle, made normal to it, is
/// x; where there is no spindle, or it runs along the beam, the electric vector is, with the sign
/// that is nearer to x before.
Geometry in_imgcif_frame(const Geometry& geometry);

/// What the rectangles leave of a panel; empty where there is none.
std::shared_ptr<const Mask> mask_of(const GeometryPanel& panel);

/// The pixels that a mask leaves out, as rectangles that do not overlap.
std::vector<PixelRectangle> masked_rectangles(const Mask& mask);

}  // namespace nablabragg
