// Where a point of the detector is, seen from the crystal, and what turning the crystal by hand
// makes of its orientation.
#pragma once
#include <vector>
#include "nablabragg/picture.hpp"  // for PanelPoint
#include "nablabragg/resolved.hpp"
#include "nablabragg/vec3.hpp"

namespace nablabragg::view {

/// Right-handed, about an axis of the laboratory.
struct Turn {
  Vec3d axis{0, 0, 1};
  double angle_rad = 0;
};

/// What lies in the direction of one point is taken to the other.
Turn turn_with_pointer(const Resolved& r, const PanelPoint& from, const PanelPoint& to);
/// By the angle between the points, seen along the beam.
Turn turn_about_beam(const Resolved& r, const PanelPoint& from, const PanelPoint& to);
/// What lies along the beam is taken towards a direction of the first panel: so much of its fast
/// and of its slow axis.
Turn turn_towards(const Resolved& r, double fast, double slow, double angle_rad);

/// misset [degree] after the crystal of `r` is turned where the middle of the scan has it.
Vec3d turned_misset_deg(const Resolved& r, const Turn& turn);

struct SeenAt {
  double d_A = 0;  ///< infinite where the direct beam goes
  Vec3d hkl;       ///< fractional Miller indices, of the mean wavelength and orientation
};
SeenAt seen_at(const Resolved& r, const PanelPoint& point);

/// Parts of the ring of a d-spacing on the panels, each point on its panel; none where the
/// wavelength does not reach it or the panels are beside it.
std::vector<std::vector<PanelPoint>> ring(const Resolved& r, double d_A);

}  // namespace nablabragg::view
