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
    const auto h = axis<N>(d.x, cells.x, narrow), k = axis<N>(d.y, cells.y, narrow),
               l = axis<N>(d.z, cells.z, narrow);
    // One division for all: 1/(x P(x)) of each axis is this times the other two sines.
    const N sines_kl = k.sine * l.sine, inverse = inverse_of(h.sine * sines_kl),
            inverse_kl = inverse * h.sine;
    // S of the other two axes, over x P(x)
    const N wave_l = l.wave * inverse, others_h = k.wave * wave_l, others_k = h.wave * wave_l,
            others_l = h.wave * (k.wave * inverse), factor = h.wave * others_h;
    const auto by_d = [&](const Axis<N>& a, const N& others, const N& inverse_sine, const T& from) {
      return with_sign_of(N(narrow(from)), a.slope * (others * inverse_sine));
    };
    return LatticeSlopes<N>{
        factor,
        {by_d(h, others_h, inverse * sines_kl, d.x), by_d(k, others_k, inverse_kl * l.sine, d.y),
         by_d(l, others_l, inverse_kl * k.sine, d.z)},
        {h.per_cell * others_h, k.per_cell * others_k, l.per_cell * others_l}};
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

  /// One axis of a block.
  template <class N>
  struct Axis {
    N sine, wave;  ///< sin(pi x), sin(pi t)
    N slope;       ///< dS/dx (x P(x))^2; one cell has none, whose terms cancel to the last bit
    N per_cell;    ///< x (P(t) + C(t))
  };
  template <class N, class T, class Narrow>
  static NABLA_INLINE Axis<N> axis(const T& d, const T& cells, const Narrow& narrow) {
    const T distance = positive(d, narrow), turns = cells * distance, whole = round_even(turns);
    const N x = narrow(distance), t = narrow(turns - whole);
    const auto P = sin_pi_over_x(x), Q = sin_pi_over_x(t);
    const N cosine = Q.over_x + Q.change;  // times pi
    return {
        x * P.over_x, t * Q.over_x,
        t * (Q.change * P.over_x - Q.over_x * P.change) + (N(narrow(whole)) * P.over_x) * cosine,
        x * cosine};
  }
};

}  // namespace nablabragg::physics
