// An experiment with every open choice settled, in SI units: what the summary prints, what
// image headers hold and what the Plan is made from.
#pragma once
#include <array>
#include <cstddef>  // for std::size_t
#include <cstdint>  // for std::int64_t
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"

namespace nablabragg {

/// The detector in its place.  Unit vectors in the laboratory frame, lengths in metres.
template <class Real>
struct BasicPanel {
  Convention convention = Convention::mosflm;
  Pivot pivot = Pivot::beam;
  Vec3<Real> beam;                         ///< direction of propagation
  Vec3<Real> fast, slow, normal;           ///< after all rotations
  Vec3<Real> polarization_axis, vertical;  ///< E vector; beam x E
  Vec3<Real> spindle, two_theta_axis;
  Vec3<Real> origin;           ///< outer corner of pixel (0,0)
  Real pixel{}, slow_pixel{};  ///< edges along fast and along slow
  Real fast_size{}, slow_size{};
  int fast_pixels = 0, slow_pixels = 0;
  Real distance{}, close_distance{};      ///< along the beam; along the normal
  Real beam_fast{}, beam_slow{};          ///< direct-beam spot on the panel (Fbeam, Sbeam)
  Real near_fast{}, near_slow{};          ///< foot of the normal (Fclose, Sclose)
  Real org_x{}, org_y{};                  ///< the same in XDS pixels
  Real named_beam_x{}, named_beam_y{};    ///< in the convention's own meaning (Xbeam, Ybeam)
  Real named_close_x{}, named_close_y{};  ///< Xclose, Yclose
  Real two_theta{};
  Vec3<Real> rotation;
  Vec3<Real> dials_origin_mm, xds_beam;
  bool normal_generated = false;
  Curvature curvature = Curvature::flat;  ///< where it is bent, all else is of the flat panel
};

/// The crystal's axes before phi and mosaic rotations.
template <class Real>
struct BasicCrystalAxes {
  Mat3<Real> real_A;            ///< rows a, b, c [Angstrom]
  Mat3<Real> reciprocal_per_A;  ///< rows a*, b*, c* [1/Angstrom]
  Real volume_A3{};
};

/// One ray of the incident beam.
template <class Real>
struct BasicRay {
  Vec3<Real> towards_source;  ///< not normalised; 10 m long where the program made it
  Real weight{1};             ///< relative; every ray counts 1 where weights are ignored
  Real wavelength{};          ///< [m]
};

template <class Real>
struct BasicSensor {
  int layers = 1;
  Real thickness{0}, layer_step{0};  ///< [m]
  Real first_depth{0};               ///< of the first layer's photons behind the surface [m]
  Real mean_depth{0};                ///< of those of all layers, at normal incidence [m]
  Real absorption_per_m{-1};         ///< negative: nobody gave any
};

/// A grid of angles or wavelength offsets that stands for a continuous range.
template <class Real>
struct BasicGrid {
  int steps = 1;
  Real range{0}, step{0};
};

/// Standard deviations of what is summed in closed form.
template <class Real>
struct BasicGaussianSpread {
  Vec3<Real> mosaic;                ///< of rotations about a, c* x a and c* [rad]
  Real bandwidth{0};                ///< of the wavenumber, relative
  Real horizontal{0}, vertical{0};  ///< of the incident direction [rad]
};

/// Blocks of one size among others.
template <class Real>
struct BasicBlockSize {
  Vec3d cells;     ///< Na, Nb, Nc: whole numbers
  Real weight{1};  ///< how many there are for each block that the crystal would have without a
                   ///< spread
};

/// A panel in addition to Resolved::panel.
template <class Real>
struct BasicResolvedPanel {
  BasicPanel<Real> panel;
  BasicSensor<Real> sensor;
  RegionOfInterest roi;
};

template <class Real>
struct BasicResolved {
  BasicPanel<Real> panel;  ///< of Experiment::detector, as are sensor and roi
  std::vector<BasicResolvedPanel<Real>> more_panels;
  /// Of Experiment::more_crystals: each as if it were the only one, but for the choices that are
  /// made for all of them, which are those of the outer one.
  std::vector<BasicResolved<Real>> more_crystals;
  BasicCrystalAxes<Real> axes;
  Vec3<Real> misset;                              ///< [rad], drawn or given
  Vec3<Real> cells;                               ///< Na, Nb, Nc
  Real blocks{1};                                 ///< whose spots add up
  std::vector<BasicBlockSize<Real>> block_sizes;  ///< where blocks differ; else empty
  std::vector<Real> phi;                          ///< spindle angle of each step [rad]
  BasicGrid<Real> scan;
  Real mosaic_spread{0};            ///< [rad]
  std::vector<Mat3<Real>> domains;  ///< rotation of each mosaic domain
  /// Real-space axes [Angstrom] of each domain before it is turned; empty: those of `axes`.
  std::vector<Mat3<Real>> domain_cells_A;
  BasicGrid<Real> horizontal, vertical, dispersion;  ///< [rad], [rad], fraction of the wavelength
  std::vector<std::array<Real, 2>> divergence;  ///< (horizontal, vertical) of each kept point [rad]
  std::vector<Real> wavelengths;                ///< of one divergence point [m]
  std::vector<BasicRay<Real>> rays;             ///< divergence points x wavelengths
  /// In closed form there is one domain and one ray, the mean, and each of `phi` is the middle of a
  /// slice that is integrated.
  bool closed = false;
  std::string summation_reason;  ///< why closed, or why not; empty where nobody asked
  BasicGaussianSpread<Real> spread;
  BasicSensor<Real> sensor;
  bool tricubic = false;
  int oversample = 1, recommended_oversample = 1;
  Real fluence{}, flux{};  ///< [photons/m^2], [photons/s]
  Real wavelength{};       ///< central [m]
  RegionOfInterest roi;
  std::int64_t steps = 1;  ///< rays x domains x phi x oversample^2; layers are not counted
  std::vector<std::string> warnings;  ///< choices made for the user, one sentence each
};

using Panel = BasicPanel<double>;
using CrystalAxes = BasicCrystalAxes<double>;
using Ray = BasicRay<double>;
using Sensor = BasicSensor<double>;
using Grid = BasicGrid<double>;
using ResolvedPanel = BasicResolvedPanel<double>;
using Resolved = BasicResolved<double>;

/// The panel with that number, as PixelIndex counts them.
template <class Real>
const BasicPanel<Real>& panel_of(const BasicResolved<Real>& resolved, std::size_t panel) {
  return panel == 0 ? resolved.panel : resolved.more_panels[panel - 1].panel;
}

/// Rays x domains x phi x sub-pixels of all crystals and sizes of blocks.
std::int64_t steps_of_all_crystals(const Resolved& resolved);

/// An image of these panels.
Image image_of(const Resolved& resolved, std::vector<float> pixels);

/// Whether the image has as many panels, of the same sizes.
bool has_panels_of(const Image& image, const Resolved& resolved);

/// Throws UsageError when the description is not of an experiment.
Resolved resolve(const Experiment& experiment);

/// Edges [Angstrom] and angles [degree] of the cell that three vectors span.
UnitCell unit_cell_of(const Mat3d& axes);

}  // namespace nablabragg
