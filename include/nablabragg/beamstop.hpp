// What stops the direct beam before the detector.
#pragma once

namespace nablabragg {

/// A disk, and the arm that holds it, in a plane that is perpendicular to the beam.  Light that
/// meets them on its way to the detector is multiplied by the transmission, and so is the beam
/// behind them.
template <class Real>
struct BasicBeamstop {
  Real distance_mm{0};                        ///< from the sample, along the beam
  Real radius_mm{0};                          ///< of the disk; 0: there is no beamstop
  Real offset_fast_mm{0}, offset_slow_mm{0};  ///< from the beam to the middle of the disk, along
                                              ///< the axes of the first panel
  Real transmission{0};
  Real arm_width_mm{0};  ///< of a bar from the beam outwards; 0: there is none
  Real arm_deg{0};       ///< its direction, from the fast towards the slow axis

  // Light from the edge of the stop: a ring about the beam
  Real ring_share{0};      ///< of the photons in the beam; 0: there is no ring
  Real ring_deg{0};        ///< angle to the beam of its maximum
  Real ring_width_deg{0};  ///< standard deviation
};
using Beamstop = BasicBeamstop<double>;

/// What traces and truths call the light of the ring.
inline constexpr const char* beamstop_ring_name = "ring about the beamstop";

}  // namespace nablabragg
