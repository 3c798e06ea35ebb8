// Spots of even height, cut off at the half width of the Gaussian ones.
#pragma once
#include "physics/shapes/block.hpp"

namespace nablabragg::physics {

struct Tophat {
  static constexpr auto id = CrystalShape::tophat;
  static constexpr const char* name = "tophat";
  static constexpr const char* title = "tophat-spot";
  static constexpr std::array flags{"-tophat_spots", "-binary_spots"};
  static constexpr const char* help = "spots cut off at half their height";
  static constexpr bool of_nanobragg = true;
  static constexpr bool has_fudge = true, width_in_metric = true, sums_along_lines = false;
  static constexpr const char*
      why_double = "the sharp edge of a top hat needs indices in double precision";

  /// nanoBragg's: 0.63^2.
  static constexpr double edge_radius2 = 0.3969;

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto factor(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const T radius2 = spot_radius2(metric_as<T>(block.metric), d);
    return narrow(select(radius2 * number<T>(block.fudge) < constant<T>(edge_radius2),
                         cell_count<T>(block), T(0)));
  }

  /// Flat inside and outside; that its edge moves is no slope of a pixel.
  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto slopes(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const auto height = factor(block, d, narrow);
    using N = std::decay_t<decltype(height)>;
    const Vec3<N> none{N(0), N(0), N(0)};
    return LatticeSlopes<N>{height, none, none};
  }

  template <class T>
  static NABLA_INLINE SpotMetric<T> width_adjoint(const LatticeSlopes<T>&, const Vec3<T>&,
                                                  const T&) {
    return {T(0), T(0), T(0), T(0), T(0), T(0)};
  }
  template <class T>
  static NABLA_INLINE void complete(const BlockNumbers<double>& block, const T& peak,
                                    BlockNumbers<T>& adjoints) {
    add_scaling(block, peak, adjoints);
  }

  static SpotMetric<double> metric(const BlockNumbers<double>& block) { return block.metric; }
  static double dark_radius2(const BlockNumbers<double>& block, double) {
    return edge_radius2 / block.fudge;
  }
};

}  // namespace nablabragg::physics
