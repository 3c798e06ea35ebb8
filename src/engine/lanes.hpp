// SIMD lanes as a number type, on Google Highway.  For the files that are compiled once for each
// instruction set: everything here lies in the namespace of the one at hand (HWY_NAMESPACE).
#pragma once
#include <hwy/highway.h>
// Highway's mathematics needs the line above.
#include <hwy/contrib/math/math-inl.h>

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
  NABLA_INLINE Lanes(S value) {
    for (auto& p : part) p = hn::Set(D(), value);
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

  NABLA_INLINE friend Lanes round_even(const Lanes& a) {
    return of([&](int i) { return hn::Round(a.part[i]); });
  }
  NABLA_INLINE friend Lanes magnitude(const Lanes& a) {
    return of([&](int i) { return hn::Abs(a.part[i]); });
  }
  NABLA_INLINE friend Lanes away_from_zero(const Lanes& a) {
    const auto tiny = hn::Set(D(), static_cast<S>(sizeof(S) == 4 ? 1e-9 : 1e-90));
    return of([&](int i) { return hn::Max(hn::Abs(a.part[i]), tiny); });
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

/// One register of single precision, and as many lanes of double.
using Single = Lanes<float, 1>;
using Double = Lanes<double, Single::count / Lanes<double, 1>::count>;

#if HWY_TARGET == HWY_SCALAR
NABLA_INLINE Single narrow(const Double& wide) {
  return Single::of([&](int i) { return hn::DemoteTo(Single::D(), wide.part[i]); });
}
NABLA_INLINE Double widen(const Single& narrow) {
  return Double::of([&](int i) { return hn::PromoteTo(Double::D(), narrow.part[i]); });
}
#else
using HalfSingle = hn::Half<Single::D>;
NABLA_INLINE Single narrow(const Double& wide) {
  const auto half = [&](int i) { return hn::DemoteTo(HalfSingle(), wide.part[i]); };
  return Single::of([&](int) { return hn::Combine(Single::D(), half(1), half(0)); });
}
NABLA_INLINE Double widen(const Single& narrow) {
  return Double::of([&](int i) {
    return hn::PromoteTo(Double::D(), i == 0 ? hn::LowerHalf(HalfSingle(), narrow.part[0])
                                             : hn::UpperHalf(HalfSingle(), narrow.part[0]));
  });
}
#endif

NABLA_INLINE Vec3<Single> narrow(const Vec3<Double>& v) {
  return {narrow(v.x), narrow(v.y), narrow(v.z)};
}

}  // namespace nablabragg::engine::HWY_NAMESPACE

namespace nablabragg::physics {

template <class S, int K>
struct ScalarOf<engine::HWY_NAMESPACE::Lanes<S, K>> {
  using type = S;
};

}  // namespace nablabragg::physics
