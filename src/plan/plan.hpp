// The joint between the cold code and the hot: everything an engine needs, as flat arrays and
// plain numbers, in SI units and double precision.  An engine sees this and nothing else.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>
#include "nablabragg/crystal.hpp"            // for CrystalShape
#include "nablabragg/sampling.hpp"           // for RegionOfInterest, Mask
#include "nablabragg/structure_factors.hpp"  // for StructureFactorGrid
#include "nablabragg/vec3.hpp"
#include "physics/lattice_factor.hpp"  // for SpotMetric

namespace nablabragg {

/// How a factor that varies over a pixel (solid angle, polarization, capture) enters its sum.
enum class Apply {
  to_each_term,   ///< sum of term x factor
  once,           ///< first value found in the pixel (capture: first of the last layer) x whole sum
  to_running_sum  ///< (sum + term) x factor, after every term: nanoBragg's -oversample_*
};

enum class Curvature {
  flat,
  about_lab_axes,  ///< nanoBragg's: the flat position's laboratory y and z become angles
  spherical        ///< about the sample, the direct-beam spot stays put
};

enum class SolidAngle {
  oblique,  ///< pixel^2 close / R^3
  facing,   ///< pixel^2 / R^2
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
  Vec3<Real> origin, fast, slow, normal;  ///< corner of pixel (0,0) [m]; unit vectors
  Real pixel{0};                          ///< [m]
  Real subpixel{0};                       ///< pixel / oversample [m]
  Real close_distance{0};                 ///< [m], as it enters the solid angle
  Curvature curvature = Curvature::flat;
  Vec3<Real> beam;  ///< the rest serves the curved detector only
  Real radius{0};   ///< [m]
  Real beam_fast{0}, beam_slow{0};
  double handedness = 1;
  SolidAngle solid_angle = SolidAngle::oblique;
};

template <class Real>
struct BasicPlanSensor {
  int layers = 1;
  Real layer_step{0};        ///< [m]
  Real absorption_per_m{0};  ///< 0: every layer captures all
};

template <class Real>
struct BasicPlanRay {
  Vec3<Real> incident;  ///< unit vector along propagation
  Vec3<Real> magnetic;  ///< unit(E axis x incident)
  Real wavenumber{0};   ///< 1 / wavelength [1/m]
  Real weight{1};       ///< 1 on average
};

template <class Real>
struct BasicPlanLattice {
  CrystalShape shape = CrystalShape::square;
  Vec3<Real> cells;  ///< Na, Nb, Nc
  Real fudge{1};
  physics::SpotMetric<Real> metric{};  ///< of the gauss and top-hat shapes
};

/// What of a plan is plain numbers: the same wherever the arrays lie.  `Real` is double; a dual
/// number, whose slopes are the plan's derivative; SIMD lanes, which gather one.
template <class Real>
struct BasicPlanNumbers {
  BasicPlanFrame<Real> frame;
  BasicPlanSensor<Real> sensor;
  int domains = 1;  ///< orientations of one phi step
  BasicPlanLattice<Real> lattice;

  Real default_F{0};
  bool tricubic = false;
  OutOfRange out_of_range = OutOfRange::default_F;

  int oversample = 1;
  Apply solid_angle = Apply::to_each_term, polarization = Apply::to_each_term,
        capture = Apply::to_each_term;
  bool polarized = true;  ///< false: the polarization factor is 1
  Real polarization_fraction{0};
  double dmin = 0;  ///< [m]; 0: no limit
  /// Rays that agree in incident and magnetic have the same derivatives there: they come from a
  /// grid, not from a list whose directions are parameters.
  bool shared_directions = false;

  Real scale{1};              ///< r_e^2 fluence / steps
  Real starting_sum{0};       ///< what every pixel's sum begins with (compat water)
  Real background_per_sr{0};  ///< photons that ride on solid angle, polarization and capture alone

  RegionOfInterest roi;
};

template <class Real>
struct BasicPlan : BasicPlanNumbers<Real> {
  std::vector<BasicPlanRay<Real>> rays;
  std::vector<Mat3<Real>> orientations;  ///< rows a, b, c [m] for each phi step and domain, phi
                                         ///< slowest
  std::shared_ptr<const StructureFactorGrid> grid;  ///< may be empty
  std::shared_ptr<const Mask> mask;

  bool visits(int fast, int slow) const {
    return !mask || mask->keep[static_cast<std::size_t>(slow) *
                                   static_cast<std::size_t>(this->frame.fast_pixels) +
                               static_cast<std::size_t>(fast)] != 0;
  }
};

using PlanFrame = BasicPlanFrame<double>;
using PlanSensor = BasicPlanSensor<double>;
using PlanRay = BasicPlanRay<double>;
using PlanLattice = BasicPlanLattice<double>;
using PlanNumbers = BasicPlanNumbers<double>;
using Plan = BasicPlan<double>;

/// What the pixel loop reads of a plan, structure factors aside.  The arrays are someone else's and
/// may lie in a GPU's memory; the view itself is handed to a kernel byte by byte.
struct PlanView : PlanNumbers {
  std::span<const PlanRay> rays;
  std::span<const Mat3d> orientations;
};
static_assert(std::is_trivially_copyable_v<PlanView>);

}  // namespace nablabragg
