// How far out a detector sees.
#pragma once
#include <algorithm>
#include "nablabragg/resolved.hpp"

namespace nablabragg::model {

/// The largest |q| = 1/d [1/m] at a corner of the panel.
inline double largest_q(const Panel& p, double wavelength_m) {
  double largest = 0;
  for (const double fast : {0.0, p.fast_size})
    for (const double slow : {0.0, p.slow_size}) {
      const Vec3d towards = unit(p.origin + fast * p.fast + slow * p.slow);
      largest = std::max(largest, length(towards - p.beam) / wavelength_m);
    }
  return largest;
}

/// Of all panels.
inline double largest_q(const Resolved& r) {
  double largest = largest_q(r.panel, r.wavelength);
  for (const ResolvedPanel& further : r.more_panels)
    largest = std::max(largest, largest_q(further.panel, r.wavelength));
  return largest;
}

}  // namespace nablabragg::model
