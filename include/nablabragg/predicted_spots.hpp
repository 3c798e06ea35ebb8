// Where the reflections of a geometry are, without intensities: of one wavelength, a perfect
// lattice and no divergence.
#pragma once
#include <vector>
#include "nablabragg/geometry.hpp"    // for Geometry
#include "nablabragg/reflection.hpp"  // for MillerIndex

namespace nablabragg {

/// Where a reflection is and how strong it is.
struct PredictedSpot {
  MillerIndex hkl{};
  int experiment = 0;  ///< of io::write_expt(): image x crystals + crystal of stills
  int panel = 0;
  double fast_px = 0, slow_px = 0;  ///< centroid; 0 is the outer edge of pixel 0
  double frame = 0;                 ///< images since the scan began, 0.5 in the middle of the
                                    ///< first; of stills not used
  double photons = 0;               ///< of the whole spot
  double partiality = 1;            ///< what share of the reflection they are
  double wavelength_A = 0;          ///< mean of its photons
  double phi_deg = 0;               ///< spindle angle of its middle
};

/// All reflections with d of at least `min_d_A` whose rays meet a panel where it is not masked, of
/// each crystal; `experiment` is the number of the crystal.  Of a scan those that cross the Ewald
/// sphere while it turns; of a still those that a rotation by at most `most_missed_deg` puts there.
/// Spots lie where photons are captured on the mean: in thick sensors behind where the ray enters.
/// Throws UsageError without a beam or a crystal and for a resolution that is not positive or would
/// list more than 100 million reflections.
std::vector<PredictedSpot> predicted_spots(const Geometry& geometry, double min_d_A,
                                           double most_missed_deg = 0.1);

}  // namespace nablabragg
