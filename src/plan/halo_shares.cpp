#include "plan/halo_shares.hpp"

#include <algorithm>
#include <cmath>

#include "plan/scattering_curve.hpp"  // for gauss_legendre

namespace nablabragg {

namespace {

/// rho(z) = (arctan z - z/(1 + z^2))/2 and z rho'(z).
std::array<double, 2> radial(double z) {
  const double z2 = z * z, slope = z * z2 / ((1 + z2) * (1 + z2));
  if (z > 0.1) return {0.5 * (std::atan(z) - z / (1 + z2)), slope};
  double sum = 0, power = z * z2;
  for (int k = 1; k <= 8; ++k, power *= -z2) sum += k * power / (2 * k + 1);
  return {sum, slope};
}

}  // namespace

std::vector<HaloShare> halo_shares(const physics::SpotMetric<double>& x, double half,
                                   std::size_t orders) {
  // The box of order n is one of order 1 over n.  It is made of six pyramids, on a face each; along
  // a ray to a point p of the face, where x is a = p.x.p, the integral of t^2/(1 + a t^2)^2 is
  // a^(-3/2) rho(sqrt(a) t).  Opposite faces have the same.
  std::vector<HaloShare> shares(orders, HaloShare{0, {}});
  // The longer x is along one axis than along another, the sharper a^(-3/2) is on their faces.
  const double ratio = std::sqrt(std::max({x.aa, x.bb, x.cc}) / std::min({x.aa, x.bb, x.cc}));
  const auto nodes = gauss_legendre(std::min(48, static_cast<int>(std::ceil(9 + 1.2 * ratio))));
  std::vector<std::array<double, 2>> line;  // where, and its weight
  for (const PathPoint& node : nodes)
    for (const double side : {1.0, -1.0}) line.push_back({side * node.along, node.weight});
  for (int face = 0; face < 3; ++face)
    for (const auto& [u, weight_u] : line)
      for (const auto& [v, weight_v] : line) {
        const Vec3d p = face == 0 ? Vec3d{1, u, v} : face == 1 ? Vec3d{u, 1, v} : Vec3d{u, v, 1};
        const double a = spot_radius2(x, p), root = std::sqrt(a),
                     weight = 2 * weight_u * weight_v / (a * root);
        const std::array<double, 6> by_form = {p.x * p.x,     p.y * p.y,     p.z * p.z,
                                               2 * p.x * p.y, 2 * p.y * p.z, 2 * p.z * p.x};
        for (std::size_t i = 0; i < orders; ++i) {
          const auto [rho, slope] = radial(root * half / double(i + 1));
          shares[i].value += weight * rho;
          const double by_a = weight / a * (0.5 * slope - 1.5 * rho);
          for (std::size_t k = 0; k < 6; ++k) shares[i].slopes[k] += by_a * by_form[k];
        }
      }
  return shares;
}

}  // namespace nablabragg
