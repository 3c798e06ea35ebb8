// Beam divergence x dispersion, or a source list -> the rays of the incident beam.
#pragma once
#include <array>
#include <cmath>
#include <vector>
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::model {

/// How far nanoBragg puts the sources it makes [m]; only the direction counts.
inline constexpr double source_distance = 10.0;

/// Where point `i` of a grid lies.  nanoBragg begins at -range/2 and steps on, wherever that ends
///
template <class Real>
Real grid_point(const BasicGrid<Real>& grid, int i, bool one_sided) {
  if (one_sided) return grid.step * Real(i) - grid.range / 2.0;
  return grid.step * (Real(i) - Real(0.5) * Real(grid.steps - 1));
}

namespace detail {

/// Inside the ellipse, by nanoBragg's rule: even grids keep their outermost points, and where a
/// range is zero the quotient is no number and nothing is left out.
template <class Real>
bool keeps_as_nanobragg(const BasicGrid<Real>& h, const BasicGrid<Real>& v, const Real& x,
                        const Real& y) {
  const auto even = [](const BasicGrid<Real>& g) {
    return g.step * g.step / 4.0 * Real(1 - g.steps % 2);
  };
  const Real t = (x * x - even(h)) / h.range / h.range + (y * y - even(v)) / v.range / v.range;
  return !(t * 4.0 > Real(1.1));
}

/// Inside the inscribed ellipse; a grid of one point has no extent that could leave it.
template <class Real>
bool keeps_as_meant(const BasicGrid<Real>& h, const BasicGrid<Real>& v, const Real& x,
                    const Real& y) {
  const auto square = [](const BasicGrid<Real>& g, const Real& at) {
    return g.steps > 1 ? 4.0 * at * at / (g.range * g.range) : Real(0);
  };
  if (h.steps == 1 || v.steps == 1) return true;
  return !(square(h, x) + square(v, y) > Real(1 + 1e-9));
}

}  // namespace detail

/// The kept (horizontal, vertical) angles [rad], horizontal slowest.
template <class Real>
std::vector<std::array<Real, 2>> divergence_points(const BasicGrid<Real>& horizontal,
                                                   const BasicGrid<Real>& vertical, bool round,
                                                   bool one_sided) {
  std::vector<std::array<Real, 2>> points;
  points.reserve(static_cast<std::size_t>(horizontal.steps) *
                 static_cast<std::size_t>(vertical.steps));
  for (int i = 0; i < horizontal.steps; ++i)
    for (int j = 0; j < vertical.steps; ++j) {
      const Real x = grid_point(horizontal, i, one_sided), y = grid_point(vertical, j, one_sided);
      const bool keep = !round ||
                        (one_sided ? detail::keeps_as_nanobragg(horizontal, vertical, x, y)
                                   : detail::keeps_as_meant(horizontal, vertical, x, y));
      if (keep) points.push_back({x, y});
    }
  if (points.empty())
    throw UsageError(
        "no point of the divergence grid lies inside its ellipse; -square_div keeps the corners, "
        "-divsteps 3 or more adds points");
  return points;
}

template <class Real>
std::vector<Real> wavelength_points(const BasicGrid<Real>& dispersion, const Real& wavelength,
                                    bool one_sided) {
  std::vector<Real> wavelengths;
  wavelengths.reserve(static_cast<std::size_t>(dispersion.steps));
  for (int i = 0; i < dispersion.steps; ++i)
    wavelengths.push_back(
        one_sided ? wavelength * (Real(1) + dispersion.step * Real(i) - dispersion.range / 2.0)
                  : wavelength * (Real(1) + grid_point(dispersion, i, false)));
  return wavelengths;
}

/// One ray for each divergence point and wavelength, wavelength fastest.  Each angle's rotation is
/// made once for its row or column of the grid, not once for each ray.
template <class Real>
std::vector<BasicRay<Real>> rays_of_grid(const std::vector<std::array<Real, 2>>& divergence,
                                         const std::vector<Real>& wavelengths,
                                         const Vec3<Real>& beam,
                                         const Vec3<Real>& polarization_axis,
                                         const Vec3<Real>& vertical) {
  std::vector<BasicRay<Real>> rays;
  rays.reserve(divergence.size() * wavelengths.size());
  const Vec3<Real> centre = Real(-source_distance) * beam;
  for (const auto& [horizontal, up] : divergence) {
    const Vec3<Real> direction = physics::rotate_about(
        physics::rotate_about(centre, polarization_axis, up), vertical, horizontal);
    for (const Real& wavelength : wavelengths) rays.push_back({direction, Real(1), wavelength});
  }
  return rays;
}

/// The same rotations for a whole beam.
template <class Real>
Vec3<Real> tilted(const Vec3<Real>& direction, const BasicBeam<Real>& beam,
                  const BasicPanel<Real>& panel) {
  const auto radians = [](const Real& mrad) { return mrad / Real(1000); };
  return physics::rotate_about(
      physics::rotate_about(direction, panel.polarization_axis, radians(beam.tilt_vertical_mrad)),
      panel.vertical, radians(beam.tilt_horizontal_mrad));
}
template <class Real>
bool is_tilted(const BasicBeam<Real>& beam) {
  return !(beam.tilt_horizontal_mrad == Real(0) && beam.tilt_vertical_mrad == Real(0));
}

/// A user's list.  Weights are relative: their mean becomes 1, unless they are ignored.
template <class Real>
std::vector<BasicRay<Real>> rays_of_list(const std::vector<BasicSource<Real>>& sources,
                                         bool ignore_weights) {
  Real total(0);
  for (const auto& source : sources) total = total + source.weight;
  if (!ignore_weights && !(total > Real(0)))
    throw UsageError("the weights of the source list add up to nothing; give positive weights");
  std::vector<BasicRay<Real>> rays;
  rays.reserve(sources.size());
  for (const auto& source : sources) {
    const Real weight = ignore_weights
                            ? Real(1)
                            : source.weight * Real(static_cast<double>(sources.size())) / total;
    rays.push_back({source.position, weight, units::metres_from_angstrom(source.wavelength_A)});
  }
  return rays;
}

}  // namespace nablabragg::model
