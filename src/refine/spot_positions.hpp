// Where spots are expected, and the first stage of a refinement: to make that agree with where they
// were found.  As DIALS refines stills (D. G. Waterman et al., Acta Cryst. D72, 558, 2016; stills
// in A. S. Brewster et al., Acta Cryst. D74, 877, 2018): distances on the detector, and the angles
// by which lattice points miss the Ewald sphere.  In an image of a turning crystal a spot may have
// been seen at any angle of the turn: its lattice point misses the sphere only if it does not cross
// it on the way.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>
#include "nablabragg/reflection.hpp"  // for MillerIndex
#include "nablabragg/resolved.hpp"
#include "refine/free_parameters.hpp"
#include "refine/spots.hpp"

namespace nablabragg::refinement {

/// Whether a lattice point can scatter at all.
using ReflectionExists = std::function<bool(const MillerIndex&)>;

struct ExpectedSpot {
  double fast = 0, slow = 0;    ///< [pixels], whole numbers in the middle of a pixel
  double missed_by_rad = 0;     ///< rotation that puts the lattice point on the Ewald sphere; 0
                                ///< where it crosses it while the crystal turns
  double within_by_rad = 0;     ///< where it crosses: by how much it misses at the nearer end
  double reciprocal_per_A = 0;  ///< 1/d
};

/// A lattice point of one of the crystals in the beam: 0 is Experiment::crystal, i is
/// Experiment::more_crystals[i - 1].
struct LatticePoint {
  MillerIndex index{};
  int crystal = 0;
};

/// Lattices and flat panels, of a still or of crystals that turn by a few degrees.
class SpotGeometry {
 public:
  explicit SpotGeometry(const Resolved& resolved);

  bool turns() const { return half_turn_rad_ > 0; }
  std::size_t crystals() const { return lattices_.size(); }
  /// The lattice point, of any crystal, that is nearest to a spot at some angle of the turn, if
  /// within 0.3 along each axis and if there is such a reflection.
  std::optional<LatticePoint> nearest_point(const Spot& spot, const ReflectionExists& exists) const;
  /// The spot of a lattice point: where it crosses the Ewald sphere, or at the end of the turn that
  /// is nearest to that, turned onto the sphere with its length kept.  Empty for 000, for what is
  /// out of reach of the wavelength and for what does not hit the plane of the panel.
  std::optional<ExpectedSpot> expected(const LatticePoint& point, int panel_index = 0) const;
  /// Of the first crystal.
  std::optional<ExpectedSpot> expected(const MillerIndex& index, int panel_index = 0) const {
    return expected(LatticePoint{index, 0}, panel_index);
  }

 private:
  struct Lattice {
    Mat3d real_A, reciprocal_per_A;  ///< in the middle of the turn
  };
  Vec3d scattering_vector(const Spot& spot) const;
  /// h, k and l, not whole, of what scatters by q at an angle from the middle of the turn.
  Vec3d index_at(const Lattice& lattice, const Vec3d& q, double turn_rad) const;
  double turn_onto_sphere(const Vec3d& q) const;

  std::vector<Lattice> lattices_;  ///< of the crystals
  Vec3d spindle_;
  double half_turn_rad_ = 0;
  std::vector<Panel> panels_;  ///< moved back to where photons are captured on the mean
  double wavelength_A_;
};

/// Whether spots of this experiment lie where SpotGeometry says, and if not why.
std::optional<std::string> why_no_spot_stage(const Resolved& resolved);

struct IndexedSpot {
  LatticePoint point;
  Spot spot;
};

/// Spots with the lattice points that are known to be theirs, or that they are nearest to; spots of
/// the same lattice point become one.
std::vector<IndexedSpot> index_spots(
    const SpotGeometry& geometry, std::span<const Spot> spots, double most_reciprocal_per_A,
    const ReflectionExists& exists = [](const MillerIndex&) { return true; });

/// Changes `values` until the spots of each image are where they were found.  Low resolution comes
/// first, where indices are certain from further away.  `iterated` is told of every iteration and
/// returns false to stop.  Throws InputError when too few spots of an image can be indexed.
StageReport fit_spot_positions(
    const FreeParameters& free, std::span<const std::vector<Spot>> spots,
    const ReflectionExists& exists, const RefineOptions& options, std::vector<double>& values,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated);

/// How far the lattice points of spots that were seen in an image stay from the Ewald sphere while
/// the crystal turns, in units of what is usual: what says how the crystal is turned about its
/// spindle where intensities say nothing.
class MissedSphere {
 public:
  MissedSphere(const FreeParameters& free, std::size_t image, std::vector<IndexedSpot> spots,
               std::span<const double> values);

  std::size_t image() const { return image_; }
  std::size_t size() const { return spots_.size(); }
  const Spot& spot(std::size_t i) const { return spots_[i].spot; }
  /// The standard deviation of the angles of those that do not cross it, outliers aside.
  double blur_rad() const { return blur_rad_; }
  /// False where a lattice point is out of reach.
  bool residuals(std::span<const double> values, std::span<double> out) const;
  /// By the free numbers that change the image, row by row.
  bool slopes(std::span<const double> values, std::span<double> out) const;

 private:
  const FreeParameters& free_;
  std::size_t image_;
  std::vector<IndexedSpot> spots_;
  double usual_rad_ = 1, blur_rad_ = 0;
};

/// How far spots are from where the model has them, in pixels.
struct SpotDistances {
  std::size_t spots = 0;
  double fast_rms = 0, slow_rms = 0;
};
SpotDistances spot_distances(const SpotGeometry& geometry, std::span<const IndexedSpot> spots);

}  // namespace nablabragg::refinement
