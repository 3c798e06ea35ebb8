// An ellipsoid of cells with the axes Na a, Nb b, Nc c.
#pragma once
#include <algorithm>
#include <cmath>
#include "physics/shapes/block.hpp"

namespace nablabragg::physics {

/// 3 (sin x - x cos x)/x^3 as a function of x^2: the transform of a ball, 1 at 0.
template <class T>
NABLA_INLINE T ball_transform(T x2) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  // Below 1/2 the closed form cancels; the series is cut off below 1e-14.
  const T series = T(1) + x2 * (constant<T>(-1.0 / 10) +
                                x2 * (constant<T>(1.0 / 280) +
                                      x2 * (constant<T>(-1.0 / 15120) +
                                            x2 * (constant<T>(1.0 / 1330560) -
                                                  x2 * constant<T>(1.0 / 172972800)))));
  const auto small = x2 < T(0.25);
  const T safe2 = select(small, T(1), x2);
  const T x = sqrt(safe2);
  return select(small, series, T(3) * (sin(x) / x - cos(x)) / safe2);
}

/// d(ball_transform)/d(x^2).
template <class T>
NABLA_INLINE T ball_transform_slope(T x2) {
  using std::cos;
  using std::sin;
  using std::sqrt;
  const T series = constant<T>(-1.0 / 10) +
                   x2 * (constant<T>(1.0 / 140) +
                         x2 * (constant<T>(-1.0 / 5040) + x2 * (constant<T>(1.0 / 332640) -
                                                                x2 * constant<T>(1.0 / 34594560))));
  const auto small = x2 < T(is_single<T> ? 1.0f : 0.25f);
  const T safe2 = select(small, T(1), x2);
  const T x = sqrt(safe2), sine = sin(x) / x;
  const T ball = T(3) * (sine - cos(x)) / safe2;
  return select(small, series, constant<T>(1.5) * (sine - ball) / safe2);
}

struct Round {
  static constexpr auto id = CrystalShape::round;
  static constexpr const char* name = "round";
  static constexpr const char* title = "ellipsoidal";
  static constexpr std::array flags{"-round_xtal"};
  static constexpr const char* help = "ellipsoidal crystal";
  static constexpr bool of_nanobragg = true;
  static constexpr bool has_fudge = true, width_in_metric = false, sums_along_lines = false;
  static constexpr const char* why_double = nullptr;

  /// sqrt(pi/6), of the volume of a ball in its cube: the sum over a spot is that of a square one.
  static constexpr double volume_ratio_root = 0.723601254558268;
  static constexpr double pi2 = 9.86960440108935861883;

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto factor(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const Position<T> at(block, d);
    return narrow(at.peak * ball_transform(at.scale * dot(at.r, at.r)));
  }

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto slopes(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const Position<T> at(block, d);
    const T x2 = at.scale * dot(at.r, at.r);
    const T slope = T(2) * at.scale * at.peak * ball_transform_slope(x2);
    const Vec3<T> cells = cells_as<T>(block), along = slope * at.r;
    using N = std::decay_t<decltype(narrow(slope))>;
    return LatticeSlopes<N>{
        narrow(at.peak * ball_transform(x2)),
        narrowed(narrow, Vec3<T>{along.x * cells.x, along.y * cells.y, along.z * cells.z}),
        narrowed(narrow, Vec3<T>{along.x * d.x, along.y * d.y, along.z * d.z})};
  }

  template <class T>
  static NABLA_INLINE Vec3<T> width_adjoint(const LatticeSlopes<T>& at, const Vec3<T>&,
                                            const T& adjoint) {
    return adjoint * at.cells;
  }
  /// fudge N^2 is what the spot's width depends on.
  template <class T>
  static NABLA_INLINE void complete(const BlockNumbers<double>& block, const T& peak,
                                    BlockNumbers<T>& adjoints) {
    const Vec3d per_fudge = (1 / (2 * block.fudge)) * block.cells;
    adjoints.fudge = dot(constant<T>(per_fudge), adjoints.cells);
    add_scaling(block, peak, adjoints);
  }

  static SpotMetric<double> metric(const BlockNumbers<double>& block) {
    const Vec3d& n = block.cells;
    return {n.x * n.x, n.y * n.y, n.z * n.z, 0, 0, 0};
  }
  /// |3 (sin x - x cos x)/x^3| <= 3 (1 + x)/x^3 <= 6/x^2 for x >= 1.
  static double dark_radius2(const BlockNumbers<double>& block, double least_intensity) {
    const double highest = 6 * volume_ratio_root * cell_count<double>(block);
    return std::max(1.0, highest / std::sqrt(least_intensity)) / (pi2 * block.fudge);
  }

 private:
  template <class T>
  struct Position {
    Vec3<T> r;  ///< N d
    T scale;    ///< x^2 of the ball is scale r . r
    T peak;

    template <class Real>
    NABLA_INLINE Position(const BlockNumbers<Real>& block, const Vec3<T>& d)
        : r{number<T>(block.cells.x) * d.x, number<T>(block.cells.y) * d.y,
            number<T>(block.cells.z) * d.z},
          scale(constant<T>(pi2) * number<T>(block.fudge)),
          peak(cell_count<T>(block) * constant<T>(volume_ratio_root)) {}
  };
};

}  // namespace nablabragg::physics
