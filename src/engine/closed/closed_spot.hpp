// The light of one spot of the closed form in a pixel: for numbers, SIMD lanes and GPU threads.
#pragma once
#include <cmath>
#include "engine/sensor_geometry.hpp"
#include "physics/detection.hpp"
#include "physics/gaussian_spot.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// Where a point of a panel's layer is seen; x and y in pixels, 0 being the outer edge of the
/// first.
template <class Real, class T>
NABLA_INLINE BasicSubPixel<T> seen_at(const BasicPanelNumbers<Real>& panel, int layer,
                                      double oversample, const T& x, const T& y) {
  BasicSubPixel<T> at;
  at.layer = layer;
  const T half = T(0.5 / oversample);
  place(panel, oversample, x - half, y - half, at);
  return at;
}

/// What of a spot is plain numbers, in the precision of a kernel.  On a flat panel offsets of q0
/// are taken from the spot's anchor, so that single precision keeps their digits:
///   d(x, y) = d + (x along_fast + y along_slow)(1 + w) + w outwards,  1 + w = (1 + e)^(-1/2),
///   e = (|r + x f + y s|/|r|)^2 - 1,
/// x and y being pixels from the anchor r.
template <class Real>
struct SpotNumbers {
  physics::GaussianSpot<Real> spot;
  Vec3<Real> d;                                 ///< of the anchor, with the spot's offset [1/m]
  Vec3<Real> along_fast, along_slow, outwards;  ///< [1/m]
  Real e_fast, e_slow, e_fast2, e_slow2, e_both;
  Real amplitude;   ///< of a sub-pixel, solid angle, polarization and capture aside [photons/sr]
  Real narrowing2;  ///< of spot_darkness()
};

/// Up to here (1 + e)^(-1/2) below has a short series in single precision.
inline constexpr double near_e = 1.0 / 32;

/// A point of a flat panel, x and y pixels from a spot's anchor:
///   q0 = longer (across + outwards),  longer = 1 + w.
template <class T>
struct FlatPoint {
  T w, longer;
  Vec3<T> across;

  /// q0 - g with the spot's offset.
  template <class Real>
  NABLA_INLINE Vec3<T> offset(const SpotNumbers<Real>& n) const {
    return vec3_as<T>(n.d) + longer * across + w * vec3_as<T>(n.outwards);
  }
};

/// `near`: |e| is no larger than near_e there.
template <bool near, class T, class Real>
NABLA_INLINE FlatPoint<T> flat_point(const SpotNumbers<Real>& n, const T& x, const T& y) {
  using std::sqrt;
  const T e = x * (T(n.e_fast) + x * T(n.e_fast2) + y * T(n.e_both)) +
              y * (T(n.e_slow) + y * T(n.e_slow2));
  // (1 + e)^(-1/2) - 1, from a small e
  FlatPoint<T> p;
  if constexpr (near) {
    // The binomial series: what is left out is 231/1024 e^6, 2e-10
    p.w = T(-63.0 / 256);
    for (const double c : {35.0 / 128, -5.0 / 16, 3.0 / 8, -1.0 / 2}) p.w = p.w * e + T(c);
    p.w = p.w * e;
  } else {
    const T length2 = T(1) + e;
    p.w = -e / (sqrt(length2) + length2);
  }
  p.longer = T(1) + p.w;
  p.across = x * vec3_as<T>(n.along_fast) + y * vec3_as<T>(n.along_slow);
  return p;
}

/// q0 - g with the spot's offset on any panel, where digits cancel: in double precision.  x and y:
/// pixels from the edge of the panel.
template <class T>
NABLA_INLINE Vec3<T> curved_offset(const SpotNumbers<double>& n, const PanelNumbers& panel,
                                   int layer, double oversample, double wavenumber, const T& x,
                                   const T& y) {
  const Vec3<T> outwards = T(wavenumber) * seen_at(panel, layer, oversample, x, y).direction;
  return (outwards - vec3_as<T>(n.outwards)) + vec3_as<T>(n.d);
}

/// Of the tiles of pixels whose spots are listed together [pixels].
inline constexpr int spots_tile_side = 16;

/// From the middle of a pixel to that of a sub-pixel [pixels].
template <class Real>
NABLA_INLINE Real sub_offset(int sub, int subpixels) {
  constexpr Real half(0.5);
  return (static_cast<Real>(sub) + half) / static_cast<Real>(subpixels) - half;
}

// Of numbers, as lanes have their own
NABLA_INLINE double magnitude(double x) { return x < 0 ? -x : x; }
NABLA_INLINE float magnitude(float x) { return x < 0 ? -x : x; }

/// Which pixels a spot may light: those near enough to the ellipse in which its darkness, as a
/// parabola of pixels, has not yet grown by `left`.
template <class Real>
struct SpotEllipse {
  Real to_fast, to_slow;        ///< from its middle to that of the first pixel [pixels]
  Real fast2, both, slow2;      ///< half the curvature of the darkness
  Real left;                    ///< from its least on
  Real twice_fast, twice_slow;  ///< twice how far the light of a pixel is from its middle [pixels]

  /// By the tangent of the darkness in the middle of the pixel, as it is convex.
  template <class T>
  NABLA_INLINE auto may_light(const T& fast, const T& slow) const {
    const T dx = fast + T(to_fast), dy = slow + T(to_slow);
    const T by_x = T(fast2) * dx + T(both) * dy, by_y = T(both) * dx + T(slow2) * dy;
    return dx * by_x + dy * by_y - T(twice_fast) * magnitude(by_x) -
               T(twice_slow) * magnitude(by_y) <=
           T(left);
  }
};

/// What the light of a layer is multiplied by.
template <class T>
struct FactorOnLayer {
  T solid_angle;  ///< [sr]
  T all;          ///< times polarization and capture
};

/// What the light of all spots of a panel goes through, in the precision of a kernel.
template <class Real>
struct ClosedView {
  BasicPanelNumbers<Real> panel;
  BasicPlanRay<Real> ray;
  Real polarization_fraction;
  double oversample;
  bool polarized;
  bool diverges;  ///< see spot_value()

  /// At a point of a layer, in pixels as in seen_at().
  template <class T>
  NABLA_INLINE FactorOnLayer<T> factor(int layer, const T& x, const T& y) const {
    const auto at = seen_at(panel, layer, oversample, x, y);
    const T solid_angle = engine::solid_angle(panel.frame, T(1) / at.distance,
                                              panel.sensor.layer_step * static_cast<Real>(layer));
    T all = solid_angle;
    if (polarized)
      all = all * physics::kahn_polarization(dot(vec3_as<T>(ray.incident), at.direction),
                                             dot(at.direction, vec3_as<T>(ray.magnetic)),
                                             T(polarization_fraction));
    if (panel.sensor.absorbs())
      all = all * physics::capture_fraction(T(static_cast<Real>(layer)), T(panel.sensor.layer_step),
                                            T(panel.sensor.absorption_per_m),
                                            obliquity(panel.frame, at.direction));
    return {solid_angle, all};
  }
};

}  // namespace nablabragg::engine
