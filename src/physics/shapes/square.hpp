// A parallelepiped of cells: the interference function sin(pi N h)/sin(pi h) along each axis.
#pragma once
#include "physics/shapes/block.hpp"

namespace nablabragg::physics {

/// Where one axis of a block is among its fringes: x = |d|, not zero, and N x = whole + turns.
template <class T>
struct FringePosition {
  T x, turns, whole, cells, d;
};

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

  template <class Real, class T, class Narrow = Unchanged>
  static NABLA_INLINE auto slopes(const BlockNumbers<Real>& block, const Vec3<T>& d,
                                  const Narrow& narrow = {}) {
    const Vec3<T> cells = cells_as<T>(block);
    return slopes(fringe_position(d.x, cells.x, narrow), fringe_position(d.y, cells.y, narrow),
                  fringe_position(d.z, cells.z, narrow));
  }

  template <class T>
  static NABLA_INLINE void add_adjoint(const LatticeSlopes<T>& at, const Vec3<T>&, const T& adjoint,
                                       BlockNumbers<T>& adjoints) {
    adjoints.cells = adjoints.cells + adjoint * at.cells;
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

  template <class T, class Narrow>
  static NABLA_INLINE auto fringe_position(const T& d, const T& cells, const Narrow& narrow) {
    const T x = positive(d, narrow), turns = cells * x, whole = round_even(turns);
    using N = std::decay_t<decltype(narrow(d))>;
    return FringePosition<N>{narrow(x), narrow(turns - whole), narrow(whole), narrow(cells),
                             narrow(d)};
  }

  /// Per axis, with P(x) = sin(pi x)/x and C(x) = x P'(x), which is pi cos(pi x) - P(x);
  /// t = N x without its m whole turns and S = t P(t)/(x P(x)):
  ///   dS/dx = ( m P(t)/x + N C(t) - S C(x) ) / (x P(x)),
  ///   dS/dN = ( P(t) + C(t) ) / P(x) at fixed x, without the turns.
  /// The terms of the textbook form that cancel near a lattice point are gone, so that a Bragg peak
  /// needs no series of its own: m is 0 there and the rest is of the order of x.
  template <class T>
  static NABLA_INLINE LatticeSlopes<T> slopes(const FringePosition<T>& h,
                                              const FringePosition<T>& k,
                                              const FringePosition<T>& l) {
    struct Axis {
      T S, slope, per_cell;
    };
    const auto P_h = sin_pi_over_x(h.x), P_k = sin_pi_over_x(k.x), P_l = sin_pi_over_x(l.x);
    // One division for all: 1/(x P(x)) of each axis is this times the other two sines.
    const T sine_h = h.x * P_h.over_x, sine_k = k.x * P_k.over_x, sine_l = l.x * P_l.over_x;
    const T sines_kl = sine_k * sine_l, inverse = T(1) / (sine_h * sines_kl),
            inverse_kl = inverse * sine_h;
    const auto along = [](const FringePosition<T>& at, const SineOverX<T>& P,
                          const T& inverse_sine) -> Axis {
      const auto Q = sin_pi_over_x(at.turns);
      const T S = at.turns * Q.over_x * inverse_sine;
      const T whole_over_x = at.whole * P.over_x * inverse_sine;
      const T slope = (Q.over_x * whole_over_x + at.cells * Q.change - S * P.change) * inverse_sine;
      return {S, with_sign_of(at.d, slope), (Q.over_x + Q.change) * (at.x * inverse_sine)};
    };
    const Axis a = along(h, P_h, inverse * sines_kl), b = along(k, P_k, inverse_kl * sine_l),
               c = along(l, P_l, inverse_kl * sine_k);
    const T bc = b.S * c.S, ca = c.S * a.S, ab = a.S * b.S;
    return {a.S * bc,
            {a.slope * bc, b.slope * ca, c.slope * ab},
            {a.per_cell * bc, b.per_cell * ca, c.per_cell * ab}};
  }
};

}  // namespace nablabragg::physics
