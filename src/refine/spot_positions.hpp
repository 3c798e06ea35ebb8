// Where spots are expected, and the first stage of a refinement: to make that agree with where they
// were found.  As DIALS refines stills (D. G. Waterman et al., Acta Cryst. D72, 558, 2016; stills
// in A. S. Brewster et al., Acta Cryst. D74, 877, 2018): distances on the detector, and the angles
// by which lattice points miss the Ewald sphere.
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

struct ExpectedSpot {
  double fast = 0, slow = 0;    ///< [pixels], whole numbers in the middle of a pixel
  double missed_by_rad = 0;     ///< rotation that puts the lattice point on the Ewald sphere
  double reciprocal_per_A = 0;  ///< 1/d
};

/// Lattice and flat panels of a still.
class SpotGeometry {
 public:
  explicit SpotGeometry(const Resolved& resolved);

  /// h, k and l, not whole, of what scatters to a place on a panel.
  Vec3d fractional_index(const Spot& spot) const;
  /// The spot of a lattice point, turned onto the Ewald sphere with its length kept.  Empty for
  /// 000, for what is out of reach of the wavelength and for what does not hit the plane of the
  /// panel.
  std::optional<ExpectedSpot> expected(const MillerIndex& index, int panel_index = 0) const;

 private:
  Mat3d real_A_, reciprocal_per_A_;
  std::vector<Panel> panels_;  ///< moved back to where photons are captured on the mean
  double wavelength_A_;
};

/// Whether spots of this experiment lie where SpotGeometry says, and if not why.
std::optional<std::string> why_no_spot_stage(const Resolved& resolved);

struct IndexedSpot {
  MillerIndex index;
  Spot spot;
};

/// Spots with the lattice points that are known to be theirs, or that they are nearest to, if
/// within 0.3 along each axis; spots of the same lattice point become one.
std::vector<IndexedSpot> index_spots(const SpotGeometry& geometry, std::span<const Spot> spots,
                                     double most_reciprocal_per_A);

/// Changes `values` until the spots are where they were found.  Low resolution comes first, where
/// indices are certain from further away.  `iterated` is told of every iteration and returns false
/// to stop.  Throws InputError when too few spots can be indexed.
StageReport fit_spot_positions(
    const FreeParameters& free, std::span<const Spot> spots, const RefineOptions& options,
    std::vector<double>& values,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated);

}  // namespace nablabragg::refinement
