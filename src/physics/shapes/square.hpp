// A parallelepiped of cells: the interference function sin(pi N h)/sin(pi h) along each axis.
#pragma once
#include "physics/shapes/block.hpp"

namespace nablabragg::physics {

struct Square {
  static constexpr auto id = CrystalShape::square;
  static constexpr const char* name = "square";
  static constexpr const char* title = "parallelpiped";  // as nanoBragg spells it
  static constexpr std::array flags{"-square_xtal"};
  static constexpr const char* help = "parallelepiped crystal: spots with fringes";
  static constexpr bool of_nanobragg = true;
  static constexpr bool has_fudge = false, width_in_metric = false, sums_along_lines = false;
  static constexpr const char* why_double = nullptr;

  /// The product over the axes of sin(pi N d)/sin(pi d), N at a lattice point.
  ///
  /// The sign (-1)^(h0 (N-1)) is dropped: callers square the factor, so it cannot be seen.  N d is
  /// reduced by its own nearest integer for the same reason, which keeps the sine short for any N;
  /// in double precision, where that is at hand, a large N costs no digits.
  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto factor(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    // At a lattice point both sines vanish and their quotient is N; close enough, it is, too.
    const Vec3<T> cells = cells_as<T>(block),
                  x{positive(d.x, narrow), positive(d.y, narrow), positive(d.z, narrow)};
    const Vec3<T> turns{cells.x * x.x, cells.y * x.y, cells.z * x.z};
    const auto t = narrowed(narrow,
                            Vec3<T>{turns.x - round_even(turns.x), turns.y - round_even(turns.y),
                                    turns.z - round_even(turns.z)}),
               s = narrowed(narrow, x);
    const auto sines = sin_pi(std::array{t.x, t.y, t.z, s.x, s.y, s.z});
    return sines[0] * sines[1] * sines[2] / (sines[3] * sines[4] * sines[5]);
  }

  /// Per axis, with P(x) = sin(pi x)/x and C(x) = x P'(x), which is pi cos(pi x) - P(x);
  /// x = |d|, t = N x without its m whole turns and S = t P(t)/(x P(x)):
  ///   dS/dx = ( m P(t)/x + N C(t) - S C(x) ) / (x P(x)),
  ///   dS/dN = ( P(t) + C(t) ) / P(x) at fixed x, without the turns.
  /// The terms of the textbook form that cancel near a lattice point are gone, so that a Bragg peak
  /// needs no series of its own: m is 0 there and the rest is of the order of x.
  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto slopes(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    using N = std::decay_t<decltype(narrow(d.x))>;
    const Vec3<T> cells = cells_as<T>(block);
    N x_h, x_k, x_l, t_h, t_k, t_l, m_h, m_k, m_l;
    place(d.x, cells.x, narrow, x_h, t_h, m_h);
    place(d.y, cells.y, narrow, x_k, t_k, m_k);
    place(d.z, cells.z, narrow, x_l, t_l, m_l);
    const auto P_h = sin_pi_over_x(x_h), P_k = sin_pi_over_x(x_k), P_l = sin_pi_over_x(x_l);
    // One division for all: 1/(x P(x)) of each axis is this times the other two sines.
    const N sine_h = x_h * P_h.over_x, sine_k = x_k * P_k.over_x, sine_l = x_l * P_l.over_x;
    const N sines_kl = sine_k * sine_l, inverse = N(1) / (sine_h * sines_kl),
            inverse_kl = inverse * sine_h;
    N S_h, S_k, S_l, slope_h, slope_k, slope_l, per_cell_h, per_cell_k, per_cell_l;
    axis(x_h, t_h, m_h, N(narrow(cells.x)), N(narrow(d.x)), P_h, inverse * sines_kl, S_h, slope_h,
         per_cell_h);
    axis(x_k, t_k, m_k, N(narrow(cells.y)), N(narrow(d.y)), P_k, inverse_kl * sine_l, S_k, slope_k,
         per_cell_k);
    axis(x_l, t_l, m_l, N(narrow(cells.z)), N(narrow(d.z)), P_l, inverse_kl * sine_k, S_l, slope_l,
         per_cell_l);
    const N S_kl = S_k * S_l, S_lh = S_l * S_h, S_hk = S_h * S_k;
    return LatticeSlopes<N>{S_h * S_kl,
                            {slope_h * S_kl, slope_k * S_lh, slope_l * S_hk},
                            {per_cell_h * S_kl, per_cell_k * S_lh, per_cell_l * S_hk}};
  }

  template <class T>
  static NABLA_INLINE Vec3<T> width_adjoint(const LatticeSlopes<T>& at, const Vec3<T>&,
                                            const T& adjoint) {
    return adjoint * at.cells;
  }
  template <class T>
  static NABLA_INLINE void complete(const BlockNumbers<double>&, const T&, BlockNumbers<T>&) {}

  static SpotMetric<double> metric(const BlockNumbers<double>& block) { return block.metric; }
  /// Its fringes reach everywhere.
  static double dark_radius2(const BlockNumbers<double>&, double) {
    return std::numeric_limits<double>::infinity();
  }

 private:
  template <class T, class Narrow>
  static NABLA_INLINE T positive(const T& d, const Narrow& narrow) {
    using N = std::decay_t<decltype(narrow(d))>;
    if constexpr (is_single<N> && !is_single<T>)
      return not_zero(d, 0x1p-31);
    else
      return not_zero(d);
  }

  /// Where one axis of a block is among its fringes.
  template <class T, class N, class Narrow>
  static NABLA_INLINE void place(const T& d, const T& cells, const Narrow& narrow, N& x, N& t,
                                 N& m) {
    const T distance = positive(d, narrow), turns = cells * distance, whole = round_even(turns);
    x = narrow(distance);
    t = narrow(turns - whole);
    m = narrow(whole);
  }

  template <class N>
  static NABLA_INLINE void axis(const N& x, const N& t, const N& m, const N& cells, const N& d,
                                const SineOverX<N>& P, const N& inverse_sine, N& factor, N& by_d,
                                N& by_cells) {
    const auto Q = sin_pi_over_x(t);
    factor = t * Q.over_x * inverse_sine;
    const N m_over_x = m * P.over_x * inverse_sine;
    by_d = with_sign_of(
        d, (Q.over_x * m_over_x + cells * Q.change - factor * P.change) * inverse_sine);
    by_cells = (Q.over_x + Q.change) * (x * inverse_sine);
  }
};

}  // namespace nablabragg::physics
