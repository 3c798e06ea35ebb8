// What electrons scatter of a ray, over r_e^2, and its slopes.
#pragma once
#include "physics/detection.hpp"
#include "physics/lane.hpp"

namespace nablabragg::physics {

/// h/(m c) of the electron [m] (CODATA 2018).
inline constexpr double compton_wavelength_m = 2.42631023867e-12;

/// What F = 1 scatters, or F, and its derivatives with respect to the cosine c of the scattering
/// angle, e_B and the polarization K (kahn_polarization()), sin(theta)/lambda [1/m] and, where the
/// photon loses energy, the wavenumber [1/m].
template <class T>
struct ScatteredRay {
  T value, c, e_b, fraction, stol, wavenumber;
};

/// Coherently: the polarization factor P, or 1.  By the Compton effect: k'^2/k^2 (P + (k'/k +
/// k/k' - 2)/2), k'/k = 1/(1 + (h/(m c)) k (1 - c)): Klein and Nishina's over Thomson's, summed
/// over the polarizations of what is scattered, times P, which may be zero.
template <class T>
NABLA_INLINE ScatteredRay<T> scattered_ray(const T& c, const T& e_b, const T& fraction,
                                           const T& wavenumber, bool polarizes, bool compton) {
  const T none(0);
  ScatteredRay<T> out{T(1), none, none, none, none, none};
  if (polarizes) {
    const auto slopes = kahn_polarization_slopes(c, e_b, fraction);
    out = {kahn_polarization(c, e_b, fraction), slopes.c, slopes.e_b, slopes.fraction, none, none};
  }
  if (!compton) return out;
  const T length = constant<T>(compton_wavelength_m), back = T(1) - c;
  const T ratio = T(1) / (T(1) + length * wavenumber * back), ratio2 = ratio * ratio;
  const T bracket = out.value + T(0.5) * (ratio + T(1) / ratio - T(2));
  const T by_ratio = T(2) * ratio * bracket + T(0.5) * (ratio2 - T(1));
  return {ratio2 * bracket,
          ratio2 * (out.c + by_ratio * length * wavenumber),
          ratio2 * out.e_b,
          ratio2 * out.fraction,
          none,
          -ratio2 * by_ratio * length * back};
}

/// sign(F) F^2 times that; `slope`: of F by sin(theta)/lambda.
template <class T>
NABLA_INLINE ScatteredRay<T> times_F2(const ScatteredRay<T>& ray, const T& F, const T& slope) {
  const T size = select(F < T(0), -F, F), F2 = F * size;
  return {F2 * ray.value,
          F2 * ray.c,
          F2 * ray.e_b,
          F2 * ray.fraction,
          T(2) * size * slope * ray.value,
          F2 * ray.wavenumber};
}

}  // namespace nablabragg::physics
