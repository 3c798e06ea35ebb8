// Panels, beam and wavelength as a picture sees them.
#pragma once
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>
#include "nablabragg/picture.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/vec3.hpp"
#include "plan/panel_places.hpp"

namespace nablabragg::readout {

/// A panel; lengths in metres.
struct ViewedPanel {
  int fast_pixels = 0, slow_pixels = 0;
  std::size_t first_pixel = 0;  ///< in the image
  double pixel = 0, slow_pixel = 0;
  Vec3d origin;                    ///< outer corner of pixel (0,0)
  Vec3d fast, slow;                ///< unit vectors
  std::optional<Panel> bent = {};  ///< itself, where it is not flat

  double fast_size() const { return fast_pixels * pixel; }
  double slow_size() const { return slow_pixels * slow_pixel; }
  /// On the plane of the panel, before it is bent.
  Vec3d on_plane(double fast_px, double slow_px) const {
    return origin + (fast_px * pixel) * fast + (slow_px * slow_pixel) * slow;
  }
  Vec3d at(double fast_px, double slow_px) const {
    return bent ? place_on(*bent, fast_px, slow_px) : on_plane(fast_px, slow_px);
  }
};

struct View {
  std::vector<ViewedPanel> panels;
  bool placed = false;    ///< the panels are where they say
  Vec3d beam{0, 0, -1};   ///< of propagation, a unit vector
  double wavelength = 0;  ///< [m]; 0: not known

  /// 2 sin(theta) / wavelength of what scatters to a place [1/m].
  double inverse_d(const Vec3d& place) const {
    const double along = dot(place, beam) / length(place);
    return 2 / wavelength * std::sqrt(std::max(0.0, (1 - along) / 2));
  }
  std::optional<PanelPoint> beam_on(std::size_t panel) const;
};

View view_of(const Resolved& resolved);

}  // namespace nablabragg::readout
