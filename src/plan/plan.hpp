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

struct PlanFrame {
  int fast_pixels = 0, slow_pixels = 0;
  Vec3d origin, fast, slow, normal;  ///< corner of pixel (0,0) [m]; unit vectors
  double pixel = 0;                  ///< [m]
  double subpixel = 0;               ///< pixel / oversample [m]
  double close_distance = 0;         ///< [m], as it enters the solid angle
  Curvature curvature = Curvature::flat;
  Vec3d beam;         ///< the rest serves the curved detector only
  double radius = 0;  ///< [m]
  double beam_fast = 0, beam_slow = 0, handedness = 1;
  SolidAngle solid_angle = SolidAngle::oblique;
};

struct PlanSensor {
  int layers = 1;
  double layer_step = 0;        ///< [m]
  double absorption_per_m = 0;  ///< 0: every layer captures all
};

struct PlanRay {
  Vec3d incident;         ///< unit vector along propagation
  Vec3d magnetic;         ///< unit(E axis x incident)
  double wavenumber = 0;  ///< 1 / wavelength [1/m]
  double weight = 1;      ///< 1 on average
};

struct PlanLattice {
  CrystalShape shape = CrystalShape::square;
  Vec3d cells;  ///< Na, Nb, Nc
  double fudge = 1;
  physics::SpotMetric<double> metric{};  ///< of the gauss and top-hat shapes
};

/// What of a plan is plain numbers: the same wherever the arrays lie.
struct PlanNumbers {
  PlanFrame frame;
  PlanSensor sensor;
  int domains = 1;  ///< orientations of one phi step
  PlanLattice lattice;

  double default_F = 0;
  bool tricubic = false;
  OutOfRange out_of_range = OutOfRange::default_F;

  int oversample = 1;
  Apply solid_angle = Apply::to_each_term, polarization = Apply::to_each_term,
        capture = Apply::to_each_term;
  bool polarized = true;  ///< false: the polarization factor is 1
  double polarization_fraction = 0;
  double dmin = 0;  ///< [m]; 0: no limit

  double scale = 1;              ///< r_e^2 fluence / steps
  double starting_sum = 0;       ///< what every pixel's sum begins with (compat water)
  double background_per_sr = 0;  ///< photons that ride on solid angle, polarization and capture
                                 ///< alone

  RegionOfInterest roi;
};

struct Plan : PlanNumbers {
  std::vector<PlanRay> rays;
  std::vector<Mat3d> orientations;  ///< rows a, b, c [m] for each phi step and domain, phi slowest
  std::shared_ptr<const StructureFactorGrid> grid;  ///< may be empty
  std::shared_ptr<const Mask> mask;

  bool visits(int fast, int slow) const {
    return !mask ||
           mask->keep[static_cast<std::size_t>(slow) * static_cast<std::size_t>(frame.fast_pixels) +
                      static_cast<std::size_t>(fast)] != 0;
  }
};

/// What the pixel loop reads of a plan, structure factors aside.  The arrays are someone else's and
/// may lie in a GPU's memory; the view itself is handed to a kernel byte by byte.
struct PlanView : PlanNumbers {
  std::span<const PlanRay> rays;
  std::span<const Mat3d> orientations;
};
static_assert(std::is_trivially_copyable_v<PlanView>);

}  // namespace nablabragg
