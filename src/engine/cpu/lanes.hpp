// SIMD lanes as a number type, on Google Highway.  For the files that are compiled once for each
// instruction set: everything here lies in the namespace of the one at hand (HWY_NAMESPACE).
#pragma once
#include <hwy/highway.h>
// Highway's mathematics needs the line above.
#include <hwy/contrib/math/math-inl.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include "physics/lane.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// K registers of numbers that are computed side by side.
template <class S, int K>
struct Lanes {
  using D = hn::ScalableTag<S>;
  using Register = hn::Vec<D>;
  static constexpr int per_register = static_cast<int>(hn::MaxLanes(D()));
  static constexpr int count = K * per_register;

  Register part[K];

  NABLA_INLINE Lanes() = default;
  // Register by register: g++ copies a struct of several in halves of registers, through memory.
  NABLA_INLINE Lanes(const Lanes& a) { *this = a; }
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): it changes nothing
  NABLA_INLINE Lanes& operator=(const Lanes& a) {
    for (int i = 0; i < K; ++i) part[i] = a.part[i];
    return *this;
  }
  /// A number of a description or a plan, in the precision of the lanes.
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  NABLA_INLINE Lanes(Number value) {
    for (auto& p : part) p = hn::Set(D(), static_cast<S>(value));
  }
  template <class Function>
  NABLA_INLINE static Lanes of(Function&& f) {
    Lanes out;
    for (int i = 0; i < K; ++i) out.part[i] = f(i);
    return out;
  }
  NABLA_INLINE static Lanes load(const S* from) {
    return of([&](int i) { return hn::LoadU(D(), from + i * per_register); });
  }
  NABLA_INLINE void store(S* to) const {
    for (int i = 0; i < K; ++i) hn::StoreU(part[i], D(), to + i * per_register);
  }

  NABLA_INLINE friend Lanes operator+(const Lanes& a, const Lanes& b) {
    return of([&](int i) { return hn::Add(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Lanes operator-(const Lanes& a, const Lanes& b) {
    return of([&](int i) { return hn::Sub(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Lanes operator*(const Lanes& a, const Lanes& b) {
    return of([&](int i) { return hn::Mul(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Lanes operator/(const Lanes& a, const Lanes& b) {
    return of([&](int i) { return hn::Div(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Lanes operator-(const Lanes& a) {
    return of([&](int i) { return hn::Neg(a.part[i]); });
  }

#if HWY_TARGET == HWY_SCALAR
  // Highway's take branches.
  NABLA_INLINE friend Lanes round_even(const Lanes& a) {
    return of([&](int i) { return hn::Set(D(), physics::round_even(hn::GetLane(a.part[i]))); });
  }
  NABLA_INLINE friend Lanes round_half_down(const Lanes& a) {
    return of(
        [&](int i) { return hn::Set(D(), physics::round_half_down(hn::GetLane(a.part[i]))); });
  }
  NABLA_INLINE friend Lanes floor_of(const Lanes& a) {
    return of([&](int i) { return hn::Set(D(), physics::floor_of(hn::GetLane(a.part[i]))); });
  }
#else
  NABLA_INLINE friend Lanes round_even(const Lanes& a) {
    return of([&](int i) { return hn::Round(a.part[i]); });
  }
  NABLA_INLINE friend Lanes round_half_down(const Lanes& a) {
    const auto half = hn::Set(D(), static_cast<S>(0.5));
    return of([&](int i) { return hn::Ceil(hn::Sub(a.part[i], half)); });
  }
  NABLA_INLINE friend Lanes floor_of(const Lanes& a) {
    return of([&](int i) { return hn::Floor(a.part[i]); });
  }
#endif
  NABLA_INLINE friend Lanes magnitude(const Lanes& a) {
    return of([&](int i) { return hn::Abs(a.part[i]); });
  }
  /// As in physics/lane.hpp; `tiny` is 2^-127 or, where single precision follows, 2^-31.
  NABLA_INLINE friend Lanes not_zero(const Lanes& a,
                                     S tiny = static_cast<S>(sizeof(S) == 4 ? 0x1p-31 : 0x1p-127)) {
    return of([&](int i) { return hn::Max(hn::Abs(a.part[i]), hn::Set(D(), tiny)); });
  }
  NABLA_INLINE friend Lanes with_sign_of(const Lanes& d, const Lanes& x) {
    const auto sign = hn::SignBit(D());
    return of([&](int i) { return hn::Xor(x.part[i], hn::And(sign, d.part[i])); });
  }
  /// In single precision by one step of Newton's: a division of many lanes keeps others waiting.
  NABLA_INLINE friend Lanes inverse_of(const Lanes& a) {
    if constexpr (std::is_same_v<S, double>) {
      return Lanes(1) / a;
    } else {
      return of([&](int i) {
        const auto guess = hn::ApproximateReciprocal(a.part[i]);
        const auto wrong = hn::NegMulAdd(a.part[i], guess, hn::Set(D(), S{1}));
        return hn::MulAdd(wrong, guess, guess);
      });
    }
  }
  NABLA_INLINE friend Lanes sqrt(const Lanes& a) {
    return of([&](int i) { return hn::Sqrt(a.part[i]); });
  }
  NABLA_INLINE friend Lanes exp(const Lanes& a) {
    return of([&](int i) { return hn::Exp(D(), a.part[i]); });
  }
  NABLA_INLINE friend Lanes expm1(const Lanes& a) {
    return of([&](int i) { return hn::Expm1(D(), a.part[i]); });
  }
  /// In double precision lane by lane; in single a rational function, good to 4e-7, of
  /// coefficients that are common to several libraries (Eigen, XLA).
  NABLA_INLINE friend Lanes erf(const Lanes& a) {
    if constexpr (std::is_same_v<S, double>) {
      alignas(64) S each[count];
      a.store(each);
      for (S& x : each) x = std::erf(x);
      return load(each);
    } else {
      const Lanes most(3.832506856900711), least = -most;
      const Lanes x = select(a < least, least, select(most < a, most, a)), u = x * x;
      Lanes p(0.00022905065861350646);
      for (const double c :
           {0.0034082910107109506, 0.050955695062380861, 0.18520832239976145, 1.128379143519084})
        p = p * u + Lanes(c);
      Lanes q(-1.1791602954361697e-7);
      for (const double c : {0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667,
                             0.11098505178285362, 0.49746925110067538, 1.0})
        q = q * u + Lanes(c);
      return x * p / q;
    }
  }
  NABLA_INLINE friend Lanes sin(const Lanes& a) {
    return of([&](int i) { return hn::Sin(D(), a.part[i]); });
  }
  NABLA_INLINE friend Lanes cos(const Lanes& a) {
    return of([&](int i) { return hn::Cos(D(), a.part[i]); });
  }

  /// True or false for each lane.
  struct Mask {
    hn::Mask<D> part[K];

    template <class Function>
    NABLA_INLINE static Mask of(Function&& f) {
      Mask out;
      for (int i = 0; i < K; ++i) out.part[i] = f(i);
      return out;
    }
    NABLA_INLINE friend Mask operator&(const Mask& a, const Mask& b) {
      return of([&](int i) { return hn::And(a.part[i], b.part[i]); });
    }
    NABLA_INLINE friend Mask operator|(const Mask& a, const Mask& b) {
      return of([&](int i) { return hn::Or(a.part[i], b.part[i]); });
    }
    NABLA_INLINE friend Mask operator!(const Mask& a) {
      return of([&](int i) { return hn::Not(a.part[i]); });
    }
    NABLA_INLINE friend bool any(const Mask& a) {
      bool found = false;
      for (const auto& p : a.part) found |= !hn::AllFalse(D(), p);
      return found;
    }
    /// The first true lane; -1 if there is none.
    NABLA_INLINE friend int first(const Mask& a) {
      for (int i = 0; i < K; ++i) {
        const auto found = hn::FindFirstTrue(D(), a.part[i]);
        if (found >= 0) return static_cast<int>(found) + i * per_register;
      }
      return -1;
    }
  };

  NABLA_INLINE friend Mask operator==(const Lanes& a, const Lanes& b) {
    return Mask::of([&](int i) { return hn::Eq(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Mask operator!=(const Lanes& a, const Lanes& b) {
    return Mask::of([&](int i) { return hn::Ne(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Mask operator<(const Lanes& a, const Lanes& b) {
    return Mask::of([&](int i) { return hn::Lt(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Mask operator<=(const Lanes& a, const Lanes& b) {
    return Mask::of([&](int i) { return hn::Le(a.part[i], b.part[i]); });
  }
  NABLA_INLINE friend Mask operator>(const Lanes& a, const Lanes& b) { return b < a; }
  NABLA_INLINE friend Mask operator>=(const Lanes& a, const Lanes& b) { return b <= a; }
  NABLA_INLINE friend Lanes select(const Mask& which, const Lanes& yes, const Lanes& no) {
    return of([&](int i) { return hn::IfThenElse(which.part[i], yes.part[i], no.part[i]); });
  }

  /// values[offset] of the wanted lanes, offsets being whole numbers; anything elsewhere.
  NABLA_INLINE friend Lanes value_at(const S* values, const Lanes& offset, const Mask& wanted) {
    return of([&](int i) {
      const auto inside = hn::IfThenElseZero(wanted.part[i], offset.part[i]);
      return hn::GatherIndex(D(), values, hn::ConvertTo(hn::RebindToSigned<D>(), inside));
    });
  }
  /// Calls `work(offset, lanes)` once for each different offset of the wanted lanes.
  template <class Work>
  NABLA_INLINE friend void for_each_offset(const Lanes& offset, Mask wanted, Work&& work) {
    alignas(64) S each[count];
    offset.store(each);
    for (int lane = first(wanted); lane >= 0; lane = first(wanted)) {
      const Mask same = (offset == Lanes(each[lane])) & wanted;
      work(static_cast<std::int64_t>(each[lane]), same);
      wanted = wanted & !same;
    }
  }
};

template <class S>
NABLA_INLINE S sum_of(const Lanes<S, 1>& a) {
  return hn::GetLane(hn::SumOfLanes(typename Lanes<S, 1>::D(), a.part[0]));
}

template <class S, int K>
NABLA_INLINE S largest_of(const Lanes<S, K>& a) {
  auto largest = a.part[0];
  for (int i = 1; i < K; ++i) largest = hn::Max(largest, a.part[i]);
  const typename Lanes<S, K>::D d;
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

/// The lanes of one register of single precision, a bit for each.
template <class Mask>
NABLA_INLINE std::uint32_t bits_of(const Mask& which) {
  constexpr int bytes = 8;  // Highway stores up to 64 bits and wants room for them
  std::uint8_t stored[bytes] = {};
  hn::StoreMaskBits(hn::ScalableTag<float>(), which.part[0], stored);
  return stored[0] | std::uint32_t{stored[1]} << 8;
}

/// Calls `work(lane)` for the true lanes of one register, in order.
template <class Mask, class Work>
NABLA_INLINE void for_each_lane(const Mask& which, Work&& work) {
  for (std::uint32_t bits = bits_of(which); bits != 0; bits &= bits - 1)
    work(static_cast<std::size_t>(std::countr_zero(bits)));
}

/// K registers of single precision, and as many lanes of double.
template <int K>
using Singles = Lanes<float, K>;
template <int K>
using Doubles = Lanes<double, K * Singles<1>::per_register / Lanes<double, 1>::per_register>;
using Single = Singles<1>;
using Double = Doubles<1>;

#if HWY_TARGET == HWY_SCALAR
template <int K>
NABLA_INLINE Singles<K> narrow(const Lanes<double, K>& wide) {
  return Singles<K>::of([&](int i) { return hn::DemoteTo(Single::D(), wide.part[i]); });
}
template <int K>
NABLA_INLINE Doubles<K> widen(const Singles<K>& narrow) {
  return Doubles<K>::of([&](int i) { return hn::PromoteTo(Double::D(), narrow.part[i]); });
}
#else
using HalfSingle = hn::Half<Single::D>;
template <int TwoK>
NABLA_INLINE Singles<TwoK / 2> narrow(const Lanes<double, TwoK>& wide) {
  const auto half = [&](int i) { return hn::DemoteTo(HalfSingle(), wide.part[i]); };
  return Singles<TwoK / 2>::of(
      [&](int i) { return hn::Combine(Single::D(), half(2 * i + 1), half(2 * i)); });
}
template <int K>
NABLA_INLINE Doubles<K> widen(const Singles<K>& narrow) {
  return Doubles<K>::of([&](int i) {
    const auto& part = narrow.part[i / 2];
    return hn::PromoteTo(Double::D(), i % 2 == 0 ? hn::LowerHalf(HalfSingle(), part)
                                                 : hn::UpperHalf(HalfSingle(), part));
  });
}
#endif

template <class T>
struct WideOf;
template <int K>
struct WideOf<Singles<K>> {
  using type = Doubles<K>;
};
template <int K>
struct WideOf<Lanes<double, K>> {
  using type = Lanes<double, K>;
};
/// As many lanes as T has, in double precision.
template <class T>
using Wide = typename WideOf<T>::type;

template <class T>
inline constexpr bool is_wide = std::is_same_v<T, Wide<T>>;

/// From double precision to that of the shapes.
template <class T>
struct Shaped {
  NABLA_INLINE T operator()(const Wide<T>& x) const {
    if constexpr (is_wide<T>)
      return x;
    else
      return narrow(x);
  }
};
template <int K>
NABLA_INLINE auto narrow(const Vec3<Lanes<double, K>>& v) {
  return Vec3<decltype(narrow(v.x))>{narrow(v.x), narrow(v.y), narrow(v.z)};
}

/// The registers of `a`, N times.
template <int N, int K>
NABLA_INLINE Singles<N * K> repeated(const Singles<K>& a) {
  return Singles<N * K>::of([&](int i) { return a.part[i % K]; });
}
/// The n-th K registers of `a`.
template <int K, int NK>
NABLA_INLINE Singles<K> nth(const Singles<NK>& a, int n) {
  return Singles<K>::of([&](int i) { return a.part[n * K + i]; });
}

/// Each register filled with its own number.
template <int K, class Value>
NABLA_INLINE Singles<K> by_part(Value&& value) {
  return Singles<K>::of([&](int i) { return hn::Set(Single::D(), value(i)); });
}

}  // namespace nablabragg::engine::HWY_NAMESPACE

namespace nablabragg::physics {

template <class S, int K>
struct ScalarOf<engine::HWY_NAMESPACE::Lanes<S, K>> {
  using type = S;
};

}  // namespace nablabragg::physics
