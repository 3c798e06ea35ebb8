// What a pixel makes of a ray: polarization, solid angle, capture in the sensor.
#pragma once
#include "nablabragg/vec3.hpp"
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// Kahn polarization factor,
///   p = ( 1 + c^2 - K (1 - c^2 - 2 e_B^2) ) / 2,
/// c = i . d the cosine of 2 theta and e_B = d . unit(axis x i) the part of the diffracted ray
/// along the magnetic vector.  The angle psi of the textbook form, cos(2 psi), is not needed.
template <class T>
NABLA_INLINE T kahn_polarization(T c, T e_b, T fraction) {
  return T(0.5) * (T(1) + c * c - fraction * (T(1) - c * c - T(2) * e_b * e_b));
}

/// Its derivatives with respect to c, e_B and K.
template <class T>
struct KahnSlopes {
  T c, e_b, fraction;
};
template <class T>
NABLA_INLINE KahnSlopes<T> kahn_polarization_slopes(T c, T e_b, T fraction) {
  return {c * (T(1) + fraction), T(2) * fraction * e_b,
          T(-0.5f) * (T(1) - c * c - T(2) * e_b * e_b)};
}

/// Fraction of the photons that layer t of thickness dz takes from a ray that meets the normal
/// under cos = rho: exp(-t dz mu/rho) - exp(-(t+1) dz mu/rho).
template <class T>
NABLA_INLINE T capture_fraction(T layer, T dz, T mu, T rho) {
  using std::exp;
  using std::expm1;
  const T depth = dz * mu / rho;
  return exp(-layer * depth) * -expm1(-depth);
}

/// How far photons go on the mean before they are captured, of those captured within `thickness`
/// along their way: 1/mu - thickness/(exp(mu thickness) - 1).  Of mu = 0, half the thickness.
template <class T>
T mean_capture_depth(const T& thickness, const T& mu) {
  using std::expm1;
  const T t = mu * thickness;
  // 1/t - 1/(exp(t) - 1) loses digits where both are large.
  if (t < T(0.05))
    return thickness * (T(0.5) - t * (T(1) / T(12) - t * t * (T(1) / T(720) - t * t / T(30240))));
  return T(1) / mu - thickness / expm1(t);
}

/// d(log capture_fraction)/d(depth), depth = dz mu/rho; finite where the fraction itself vanishes.
template <class T>
NABLA_INLINE T capture_log_slope(T layer, T depth) {
  using std::expm1;
  return T(1) / expm1(depth) - layer;
}

}  // namespace nablabragg::physics
