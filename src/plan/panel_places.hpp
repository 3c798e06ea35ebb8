// Where the points of a panel are, flat or bent.
#pragma once
#include "nablabragg/resolved.hpp"
#include "plan/panel_positions.hpp"

namespace nablabragg {

/// What of a panel says where its points are.
template <class Real>
BasicPlanFrame<Real> placed_frame(const BasicPanel<Real>& p) {
  BasicPlanFrame<Real> f;
  f.fast_pixels = p.fast_pixels;
  f.slow_pixels = p.slow_pixels;
  f.origin = p.origin;
  f.fast = p.fast;
  f.slow = p.slow;
  f.normal = p.normal;
  f.pixel = p.pixel;
  f.curvature = p.curvature;
  f.beam = p.beam;
  f.curvature_radius = p.distance;
  f.beam_fast = p.beam_fast;
  f.beam_slow = p.beam_slow;
  f.handedness = dot(cross(p.fast, p.slow), p.beam) < Real(0) ? -1 : 1;
  return f;
}

/// Where a point of a panel's surface is [m], in pixels from the outer corner of its first one.
inline Vec3d place_on(const Panel& p, double fast_px, double slow_px) {
  const double fast = fast_px * p.pixel, slow = slow_px * p.slow_pixel;
  const Vec3d flat = p.origin + fast * p.fast + slow * p.slow;
  if (p.curvature == Curvature::flat) return flat;
  return curved_position(placed_frame(p), 0.0, flat, fast, slow);
}

}  // namespace nablabragg
