// Field units <-> SI.  The descriptions (Beam, Crystal, Detector...) hold field units
// and say so in the member's name; everything behind them is metres and radians.
// These functions are the only place where the one becomes the other.
#pragma once
#include <numbers>  // for inv_pi_v

namespace nablabragg::units {

/// Degrees in a radian, rounded as nanoBragg rounds it, so that angles agree to the last bit.
inline constexpr double degrees_per_radian = 180.0 * std::numbers::inv_pi_v<double>;

/// Energy x wavelength [eV Angstrom], the value nanoBragg uses.
inline constexpr double ev_angstrom = 12398.42;

template <class T>
constexpr T radians_from_degrees(const T& deg) {
  return deg / degrees_per_radian;
}
template <class T>
constexpr T degrees_from_radians(const T& rad) {
  return rad * degrees_per_radian;
}
template <class T>
constexpr T metres_from_mm(const T& mm) {
  return mm / 1000.0;
}
template <class T>
constexpr T mm_from_metres(const T& m) {
  return m * 1000.0;
}
template <class T>
constexpr T metres_from_um(const T& um) {
  return um * 1e-6;
}
template <class T>
constexpr T metres_from_angstrom(const T& angstrom) {
  return angstrom / 1e10;
}
template <class T>
constexpr T radians_from_mrad(const T& mrad) {
  return mrad / 1000.0;
}
template <class T>
constexpr T angstrom_from_ev(const T& ev) {
  return ev_angstrom / ev;
}

}  // namespace nablabragg::units
