#include "model/resolve.hpp"

namespace nablabragg {

UnitCell unit_cell_of(const Mat3d& axes) {
  const double a = length(axes.a), b = length(axes.b), c = length(axes.c);
  const auto angle = [](const Vec3d& u, const Vec3d& v) {
    return units::degrees_from_radians(std::acos(std::clamp(dot(unit(u), unit(v)), -1.0, 1.0)));
  };
  return {a, b, c, angle(axes.b, axes.c), angle(axes.c, axes.a), angle(axes.a, axes.b)};
}

}  // namespace nablabragg
