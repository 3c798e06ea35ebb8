// Gaussian spots, which have no fringes.
#pragma once
#include <algorithm>
#include <cmath>
#include "physics/shapes/block.hpp"

namespace nablabragg::physics {

struct Gauss {
  static constexpr auto id = CrystalShape::gauss;
  static constexpr const char* name = "gauss";
  static constexpr const char* title = "gaussian";
  static constexpr std::array flags{"-gauss_xtal"};
  static constexpr const char* help = "Gaussian spots, no fringes";
  static constexpr bool of_nanobragg = true;
  static constexpr bool has_fudge = true, width_in_metric = true, sums_along_lines = true;
  static constexpr const char*
      why_double = "the exponent of a Gaussian needs indices in double precision";

  /// nanoBragg's: with it volume and width at half height are about those of a square block's spot.
  static constexpr double width2 = 0.63;

  /// Of a squared radius.
  template <class T>
  static NABLA_INLINE T factor_at(const T& radius2, const T& cell_count, const T& fudge) {
    using std::exp;
    return cell_count * exp(-(radius2 * (fudge / constant<T>(width2))));
  }
  /// The factor is the number of cells times 2^-(this times the squared radius).
  static double halvings_per_radius2(double fudge) {
    constexpr double halvings_per_e = 1.442695040888963407;  // 1 / ln 2
    return fudge / width2 * halvings_per_e;
  }
  /// The squared factor relative to its peak.
  template <class T>
  static NABLA_INLINE T intensity_at(const T& radius2, const T& fudge) {
    return factor_at(radius2, T(1), T(2) * fudge);
  }

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto factor(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    return narrow(factor_at(spot_radius2(metric_as<T>(block.metric), d), cell_count<T>(block),
                            number<T>(block.fudge)));
  }

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto slopes(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const auto metric = metric_as<T>(block.metric);
    const T fudge = number<T>(block.fudge);
    const T factor = factor_at(spot_radius2(metric, d), cell_count<T>(block), fudge);
    const T slope = -(factor * (fudge / constant<T>(width2)));
    using N = std::decay_t<decltype(narrow(slope))>;
    return LatticeSlopes<N>{narrow(factor),
                            narrowed(narrow, (T(2) * slope) * stretched(metric, d)),
                            {N(0), N(0), N(0)},
                            narrow(slope)};
  }

  template <class T>
  static NABLA_INLINE SpotMetric<T> width_adjoint(const LatticeSlopes<T>& at, const Vec3<T>& d,
                                                  const T& adjoint) {
    const Vec3<T> scaled = (adjoint * at.radius2) * d;
    return {scaled.x * d.x,        scaled.y * d.y,        scaled.z * d.z,
            T(2) * scaled.x * d.y, T(2) * scaled.y * d.z, T(2) * scaled.z * d.x};
  }
  /// fudge times the metric is what the spot's width depends on.
  template <class T>
  static NABLA_INLINE void complete(const BlockNumbers<double>& block, const T& peak,
                                    BlockNumbers<T>& adjoints) {
    const auto& m = block.metric;
    const auto& by = adjoints.metric;
    const auto share = [&](double of) { return constant<T>(of / block.fudge); };
    adjoints.fudge = share(m.aa) * by.aa + share(m.bb) * by.bb + share(m.cc) * by.cc +
                     share(m.ab) * by.ab + share(m.bc) * by.bc + share(m.ca) * by.ca;
    add_scaling(block, peak, adjoints);
  }

  static SpotMetric<double> metric(const BlockNumbers<double>& block) { return block.metric; }
  static double dark_radius2(const BlockNumbers<double>& block, double least_intensity) {
    const auto count = cell_count<double>(block);
    return std::max(0.0, std::log(count * count / least_intensity) * width2 / (2 * block.fudge));
  }
};

/// Intensities I_j at the points c + u_j h of a line: the sums of I_j, u_j I_j and u_j^2 I_j.
template <class T>
struct LineMoments {
  T zeroth{0}, first{0}, second{0};
};

/// How the sum of Gauss::intensity_at() over the points of a line changes: with the indices, where
/// those of each point are (1 + at + u) times what changes, and with the metric.
template <class T>
struct LineSlopes {
  Vec3<T> index;
  SpotMetric<T> metric;
};

/// d(I)/d(point) = -4 fudge/width2 I M point and d(I)/d(M) = -2 fudge/width2 I point x point,
/// summed. Off the diagonal a number of the metric stands for two of the matrix.
template <class T>
NABLA_INLINE LineSlopes<T> gauss_line_slopes(const SpotMetric<T>& m, const Vec3<T>& c,
                                             const Vec3<T>& h, const T& at,
                                             const LineMoments<T>& sums, T fudge) {
  const T per_radius2 = T(-2) * (fudge / constant<T>(Gauss::width2)), twice = T(2) * per_radius2;
  const T stretch = T(1) + at;
  const Vec3<T> stretched_points = (stretch * sums.zeroth + sums.first) * c +
                                   (stretch * sums.first + sums.second) * h;
  // The sum of point x point is c x c_sum + h x h_sum.
  const Vec3<T> c_sum = sums.zeroth * c + sums.first * h, h_sum = sums.first * c + sums.second * h;
  return {
      twice * stretched(m, stretched_points),
      {per_radius2 * (c.x * c_sum.x + h.x * h_sum.x), per_radius2 * (c.y * c_sum.y + h.y * h_sum.y),
       per_radius2 * (c.z * c_sum.z + h.z * h_sum.z), twice * (c.x * c_sum.y + h.x * h_sum.y),
       twice * (c.y * c_sum.z + h.y * h_sum.z), twice * (c.z * c_sum.x + h.z * h_sum.x)}};
}

}  // namespace nablabragg::physics
