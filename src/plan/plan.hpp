// The joint between the cold code and the hot: everything an engine needs, as flat arrays and
// plain numbers, in SI units and double precision.  An engine sees this and nothing else.
//
// What of a part is plain numbers, the same wherever its arrays lie, is a struct of its own
// (PanelNumbers, LightNumbers...): derivatives and GPU kernels want just that.
#pragma once
#include <cstddef>  // for std::size_t
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>
#include "nablabragg/crystal.hpp"            // for CrystalShape
#include "nablabragg/detector.hpp"           // for Curvature
#include "nablabragg/image.hpp"              // for PixelIndex
#include "nablabragg/sampling.hpp"           // for RegionOfInterest, Mask
#include "nablabragg/structure_factors.hpp"  // for StructureFactorGrid
#include "nablabragg/vec3.hpp"
#include "physics/shapes/block.hpp"  // for BlockNumbers
#include "plan/scattering_curve.hpp"

namespace nablabragg {

struct EnergyTerms;  // energy_terms.hpp

/// How a factor that varies over a pixel (solid angle, polarization, capture) enters its sum.
enum class Apply {
  to_each_term,   ///< sum of term x factor
  once,           ///< first value found in the pixel (capture: first of the last layer) x whole sum
  to_running_sum  ///< (sum + term) x factor, after every term: nanoBragg's -oversample_*
};

enum class SolidAngle {
  oblique,  ///< area close / R^3
  facing,   ///< area / R^2
  per_area  ///< 1 / R^2
};

/// What tricubic interpolation does where its neighbourhood leaves the grid.
enum class OutOfRange {
  default_F,       ///< this evaluation takes default_F
  nearest_for_all  ///< this evaluation and, in raster order, all later ones take the nearest node
};

template <class Real>
struct BasicPlanFrame {
  int fast_pixels = 0, slow_pixels = 0;
  Vec3<Real> origin;        ///< corner of pixel (0,0) [m]
  Vec3<Real> fast, normal;  ///< unit vectors
  Vec3<Real> slow;          ///< of the length slow_edge
  Real pixel{0};            ///< edge along fast [m]
  double slow_edge = 1;    ///< that along slow over it: what is `pixel` along fast is as many times
                           ///< `slow` along slow
  Real area{0};            ///< of a pixel [m^2]
  Real subpixel{0};        ///< pixel / oversample [m]
  Real close_distance{0};  ///< [m], as it enters the solid angle
  Curvature curvature = Curvature::flat;
  Vec3<Real> beam;           ///< the rest serves the curved detector only
  Real curvature_radius{0};  ///< [m]
  Real beam_fast{0}, beam_slow{0};
  double handedness = 1;
  SolidAngle solid_angle = SolidAngle::oblique;
};

template <class Real>
struct BasicPlanSensor {
  int layers = 1;
  Real layer_step{0};        ///< [m]
  Real absorption_per_m{0};  ///< 0: every layer captures all

  NABLA_INLINE bool absorbs() const { return absorption_per_m > Real(0); }
};

/// What of a panel is plain numbers.
template <class Real>
struct BasicPanelNumbers {
  BasicPlanFrame<Real> frame;
  BasicPlanSensor<Real> sensor;
  RegionOfInterest roi;
  std::size_t first_pixel = 0;  ///< in the one index space of the pixels of all panels
};

template <class Real>
struct BasicPlanPanel : BasicPanelNumbers<Real> {
  std::shared_ptr<const Mask> mask;  ///< may be empty

  std::size_t pixels() const {
    return static_cast<std::size_t>(this->frame.fast_pixels) *
           static_cast<std::size_t>(this->frame.slow_pixels);
  }
  /// Within the panel.
  std::size_t offset_of(int fast, int slow) const {
    return static_cast<std::size_t>(slow) * static_cast<std::size_t>(this->frame.fast_pixels) +
           static_cast<std::size_t>(fast);
  }
  /// Whether the mask, if any, keeps the pixel.
  bool visits(int fast, int slow) const { return !mask || mask->keep[offset_of(fast, slow)] != 0; }
  /// Whether the pixel is in the region of interest, too.
  bool wants(int fast, int slow) const {
    const RegionOfInterest& r = this->roi;
    return fast >= r.fast_min && fast <= r.fast_max && slow >= r.slow_min && slow <= r.slow_max &&
           visits(fast, slow);
  }
};

template <class Real>
struct BasicPlanRay {
  Vec3<Real> incident;  ///< unit vector along propagation
  Vec3<Real> magnetic;  ///< unit(E axis x incident)
  Real wavenumber{0};   ///< 1 / wavelength [1/m]
  Real weight{1};       ///< 1 on average
};

/// What of the light is plain numbers.
template <class Real>
struct BasicLightNumbers {
  Real polarization_fraction{0};
  /// Rays that agree in incident and magnetic have the same derivatives there: they come from a
  /// grid, not from a list whose directions are parameters.
  bool shared_directions = false;
};

template <class Real>
struct BasicPlanLight : BasicLightNumbers<Real> {
  std::vector<BasicPlanRay<Real>> rays;
};

/// What of a lattice is plain numbers.
template <class Real>
struct BasicLatticeNumbers : physics::BlockNumbers<Real> {
  CrystalShape shape = CrystalShape::square;
  int domains = 1;  ///< orientations of one phi step

  // Structure factors
  Real default_F{0};
  bool tricubic = false;
  OutOfRange out_of_range = OutOfRange::default_F;
};

template <class Real>
struct BasicPlanLattice : BasicLatticeNumbers<Real> {
  std::vector<Mat3<Real>> orientations;  ///< rows a, b, c [m] for each phi step and domain, phi
                                         ///< slowest
  std::shared_ptr<const StructureFactorGrid> grid;  ///< may be empty
  /// Where F follows the energy: what each ray has; the grid then has the root mean square of F in
  /// the light.  Empty: all rays have the grid's.
  std::shared_ptr<const EnergyTerms> by_energy;
};

/// What a closed sum integrates over: distributions about the one ray and, for each orientation, a
/// slice of phi about it.
template <class Real>
struct BasicPlanSpread {
  bool closed = false;
  std::string reason;              ///< why, as a sentence says it
  bool pixels_are_boxes = true;    ///< false: plain sub-pixels, `oversample` along each edge
  std::vector<Mat3<Real>> mosaic;  ///< covariance of the rotations of domains, for each orientation
                                   ///< [rad^2]
  Mat3<Real> divergence{};         ///< covariance of the incident direction [rad^2]
  Real bandwidth2{0};              ///< variance of the wavenumber over its square
  Vec3<Real> spindle;              ///< unit vector
  Real half_slice{0};              ///< [rad]
};

/// Another lattice in the same light, whose photons are added: that of another crystal, or blocks
/// of another size.  Structure factors and displacements are those of the first.
template <class Real>
struct BasicFurtherLattice {
  BasicPlanLattice<Real> lattice;
  BasicPlanSpread<Real> spread;
  Real scale{1};
};

/// What falls on a pixel besides the lattice's spots.
template <class Real>
struct BasicPlanBackground {
  Real starting_sum{0};  ///< what every pixel's sum begins with (compat water)
  Real per_sr{0};        ///< photons that ride on solid angle, polarization and capture alone
};

/// What of a material is plain numbers.
template <class Real>
struct BasicMaterialNumbers {
  Real per_sr{0};         ///< photons that F = 1 scatters
  Real start{0}, end{0};  ///< of its path along the beam [m], from the sample on
  // Of the light from the edge of a beamstop, whose F^2 is a Gaussian of the angle to the beam
  Real ring_middle{0}, ring_width{0};  ///< [rad]; no width: F is that of the curve
  Real ring_wavelength{0};  ///< at which these angles are [m]; with others sin(theta)/lambda is
                            ///< kept
};

/// Matter in the beam that is no crystal.  Each point, spot of the sensor and ray has factors of
/// its own, whatever the rules say of those of the lattice.
template <class Real>
struct BasicPlanMaterial : BasicMaterialNumbers<Real> {
  /// Which of Experiment::materials it is of, which has two where a beamstop is in its way; as many
  /// as there are: of none, but of the stop's ring.
  std::size_t number = 0;
  bool compton = false;
  std::shared_ptr<const ScatteringCurve> curve;  ///< of a ring null
  std::vector<PathPoint> points;                 ///< at which the path is sampled
};

/// What is in the way of the light behind the sample: a disk and a bar from the beam outwards, both
/// in a plane across the beam (engine/beamstop_shadow.hpp).
template <class Real>
struct BasicPlanBeamstop {
  bool present = false;
  Vec3<Real> beam;     ///< unit vector along propagation
  Real distance{0};    ///< from the sample to the plane [m]
  Real radius{0};      ///< of the disk [m]
  Vec3<Real> offset;   ///< from the beam to its middle [m]
  Real half_width{0};  ///< of the bar [m]; 0: there is none
  Vec3<Real> arm;      ///< unit vector along it
  Real transmission{0};
};

/// What of diffuse scattering is plain numbers; the forms are of Miller indices.
template <class Real>
struct BasicDiffuseNumbers {
  physics::SpotMetric<Real> displacement;  ///< W = 4 pi^2 q.Sigma q
  physics::SpotMetric<Real> correlation;   ///< x = 4 pi^2 sum (gamma_i k_i)^2
  Real peak{0};                            ///< 8 pi gamma_1 gamma_2 gamma_3 / V
};

/// Light between the spots (physics/diffuse.hpp).
template <class Real>
struct BasicPlanDiffuse : BasicDiffuseNumbers<Real> {
  bool present = false;
  DiffuseMotion motion = DiffuseMotion::liquid;
  bool in_F = false;
  bool isotropic = false;  ///< W follows from |q| alone
  int stencil = 1;
  Vec3d reach;                ///< largest indices that a panel sees
  std::vector<Real> outside;  ///< of the halos of each order: what lies beyond the stencil
  Mat3d reciprocal;           ///< rows a*, b*, c* [1/m], for means over shells, not for slopes
  double shell = 0;           ///< thickness of a shell of |q| [1/m]
  // What light at few pixels of few orientations stands for that of all
  double error = 0;     ///< that a halo may have, over its peak; 0: none
  double farthest = 0;  ///< |q| that a panel sees [1/m]
  double longest = 0;  ///< what light changes with q by: a halo is 1/(1 + (longest |k|)^2)^2 at its
                       ///< sharpest [m]
  double edge = 0;     ///< the longest of the cell [m]

  /// Whether it weakens the spots.
  bool damps() const { return present && !in_F; }
};

/// How the factors that vary over a pixel enter its sum: decided once, read by every walk.
struct FactorRules {
  Apply solid_angle = Apply::to_each_term, polarization = Apply::to_each_term,
        capture = Apply::to_each_term;
  bool polarized = true;  ///< false: the polarization factor is 1

  NABLA_INLINE bool each_solid_angle() const { return solid_angle == Apply::to_each_term; }
  NABLA_INLINE bool each_polarization() const {
    return polarized && polarization == Apply::to_each_term;
  }
  NABLA_INLINE bool once_polarization() const { return polarized && polarization == Apply::once; }
  template <class Real>
  NABLA_INLINE bool each_capture(const BasicPlanSensor<Real>& sensor) const {
    return sensor.absorbs() && capture == Apply::to_each_term;
  }
  template <class Real>
  NABLA_INLINE bool once_capture(const BasicPlanSensor<Real>& sensor) const {
    return sensor.absorbs() && capture == Apply::once;
  }
  /// Does any factor multiply the sum after every term?
  NABLA_INLINE bool running() const {
    return solid_angle == Apply::to_running_sum || polarization == Apply::to_running_sum ||
           capture == Apply::to_running_sum;
  }
};

/// What all parts share.  `Real` is double; a dual number, whose slopes are the plan's derivative;
/// SIMD lanes, which gather one.
template <class Real>
struct BasicPlanNumbers {
  int oversample = 1;
  FactorRules rules;
  double dmin = 0;  ///< [m]; 0: no limit
  BasicPlanBackground<Real> background;
  Real scale{1};  ///< r_e^2 fluence / steps
};

/// The parts that vary independently: where light is caught, the light, what scatters it.
template <class Real>
struct BasicPlan : BasicPlanNumbers<Real> {
  std::vector<BasicPlanPanel<Real>> panels;
  BasicPlanLight<Real> light;
  BasicPlanLattice<Real> lattice;
  std::vector<BasicPlanMaterial<Real>> materials;
  BasicPlanDiffuse<Real> diffuse;
  BasicPlanBeamstop<Real> beamstop;
  BasicPlanSpread<Real> spread;
  std::vector<BasicFurtherLattice<Real>> more_lattices;

  /// Whether light falls on pixels that the lattice leaves dark.
  bool has_background() const {
    return !(this->background.per_sr == Real(0)) || !materials.empty();
  }
  const BasicPlanPanel<Real>& panel_of(const PixelIndex& pixel) const {
    return panels[static_cast<std::size_t>(pixel.panel)];
  }
  /// Of all panels.
  std::size_t pixels() const { return panels.back().first_pixel + panels.back().pixels(); }
};

/// All numbers that a pixel of one panel depends on smoothly, rays, orientations and structure
/// factors aside.
template <class Real>
struct BasicPixelNumbers : BasicPlanNumbers<Real> {
  BasicPanelNumbers<Real> panel;
  BasicLightNumbers<Real> light;
  BasicLatticeNumbers<Real> lattice;
};

using PlanFrame = BasicPlanFrame<double>;
using PlanSensor = BasicPlanSensor<double>;
using PanelNumbers = BasicPanelNumbers<double>;
using PlanPanel = BasicPlanPanel<double>;
using PlanRay = BasicPlanRay<double>;
using LightNumbers = BasicLightNumbers<double>;
using PlanLight = BasicPlanLight<double>;
using LatticeNumbers = BasicLatticeNumbers<double>;
using PlanLattice = BasicPlanLattice<double>;
using PlanSpread = BasicPlanSpread<double>;
using FurtherLattice = BasicFurtherLattice<double>;
using PlanBackground = BasicPlanBackground<double>;
using MaterialNumbers = BasicMaterialNumbers<double>;
using PlanMaterial = BasicPlanMaterial<double>;
using PlanDiffuse = BasicPlanDiffuse<double>;
using PlanBeamstop = BasicPlanBeamstop<double>;
using PlanNumbers = BasicPlanNumbers<double>;
using PixelNumbers = BasicPixelNumbers<double>;
using Plan = BasicPlan<double>;

/// What the pixel loop reads of a plan, structure factors aside: the same plain numbers, with
/// pointers where the plan owns its arrays.  These are someone else's and may lie in a GPU's
/// memory; the view itself is handed to a kernel byte by byte.  A kernel walks over one panel.
struct LightView : LightNumbers {
  std::span<const PlanRay> rays;
};
struct LatticeView : LatticeNumbers {
  std::span<const Mat3d> orientations;
};
template <class Real>
struct BasicMaterialView : BasicMaterialNumbers<Real> {
  bool compton = false;
  ScatteringCurveView curve;
  std::span<const PathPoint> points;
};
using MaterialView = BasicMaterialView<double>;

template <class Real>
BasicMaterialView<Real> view_of(const BasicPlanMaterial<Real>& m) {
  return {m, m.compton, m.curve ? m.curve->view() : ScatteringCurveView(), m.points};
}
NABLA_INLINE const MaterialView& view_of(const MaterialView& m) { return m; }

struct PlanView : PlanNumbers {
  PanelNumbers panel;
  LightView light;
  LatticeView lattice;
  std::span<const MaterialView> materials;  ///< whose arrays are a GPU's

  PlanView(const Plan& plan, std::size_t panel_number)
      : PlanNumbers(plan),
        panel(plan.panels[panel_number]),
        light{plan.light, plan.light.rays},
        lattice{plan.lattice, plan.lattice.orientations} {}
};
static_assert(std::is_trivially_copyable_v<PlanView>);

}  // namespace nablabragg
