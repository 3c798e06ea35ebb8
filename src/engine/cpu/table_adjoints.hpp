// Structure factors and how they change, and the way back from their adjoints to those of the
// table. For the files that are compiled once for each instruction set, like lanes.hpp.
#pragma once
#include "engine/cpu/adjoint_lanes.hpp"
#include "engine/cpu/gradient_kernels.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

/// Structure factors in units of the largest, and how they change with the indices.
template <class T, class Index, Lookup lookup>
struct AmplitudeSlopes {
  T F;
  Index offset;                 ///< in the table, of the node
  typename Index::Mask inside;  ///< is in the table
};
template <class T, class Index>
struct AmplitudeSlopes<T, Index, Lookup::tricubic> {
  T F;
  Index offset;  ///< in the table, of the neighbourhood's corner
  typename Index::Mask inside;
  Vec3<T> slope;
  Vec3<T> between;  ///< where in its cell
};

/// Between the nodes of a table whose values are `values`; `otherwise` outside.
template <class T, class Real>
NABLA_INLINE physics::TricubicSlopes<T> interpolated_slopes(const GridView& grid,
                                                            const Real* values, const T& corner,
                                                            const typename T::Mask& inside,
                                                            const Vec3<T>& between,
                                                            const T& otherwise) {
  const auto stride_h = static_cast<std::int64_t>(grid.stride_h),
             stride_k = static_cast<std::int64_t>(grid.stride_k);
  const T none(0);
  physics::TricubicSlopes<T> found{otherwise, {none, none, none}};
  for_each_offset(corner, inside, [&](std::int64_t offset, const typename T::Mask& mask) {
    const Real* nodes = values + offset;
    const auto here = physics::tricubic_slopes(
        between.x, between.y, between.z,
        [&](int i, int j, int k) { return T(nodes[i * stride_h + j * stride_k + k]); });
    found = {select(mask, here.value, found.value),
             {select(mask, here.slope.x, found.slope.x), select(mask, here.slope.y, found.slope.y),
              select(mask, here.slope.z, found.slope.z)}};
  });
  return found;
}

/// At indices in double precision.
template <Lookup lookup, class T>
NABLA_INLINE AmplitudeSlopes<T, Wide<T>, lookup> amplitude_slopes(const CpuPlan& p,
                                                                  const Vec3<Wide<T>>& h,
                                                                  const Vec3<Wide<T>>& nearest) {
  using W = Wide<T>;
  AmplitudeSlopes<T, W, lookup> found;
  if constexpr (lookup == Lookup::constant) found.F = T(1);  // part of the unit
  const W unit(1 / p.largest_F), otherwise(p.plan->lattice.default_F);
  if constexpr (lookup == Lookup::nearest) {
    found.inside = p.grid.holds(nearest);
    found.offset = p.grid.offset(nearest);
    found.F = shaped<T>(unit * select(found.inside,
                                      value_at(p.grid.values, found.offset, found.inside),
                                      otherwise));
  }
  if constexpr (lookup == Lookup::tricubic) {
    const Vec3<W> base{floor_of(h.x), floor_of(h.y), floor_of(h.z)}, between = h - base;
    found.inside = p.grid.surrounds(h);
    found.offset = p.grid.offset(base - Vec3<W>{W(1), W(1), W(1)});
    const auto here = interpolated_slopes(p.grid, p.grid.values, found.offset, found.inside,
                                          between, otherwise);
    found.F = shaped<T>(unit * here.value);
    found.slope = shaped<T>(unit * here.slope);
    found.between = shaped<T>(between);
  }
  return found;
}

/// Adjoints of interpolated structure factors, in the lanes of one register until another
/// neighbourhood is asked for.
template <class S>
class NodeAdjoints {
 public:
  /// Of all registers of the lanes.
  template <int K>
  NABLA_INLINE void add(std::int64_t corner, const Lanes<S, K>& adjoint,
                        const Vec3<Lanes<S, K>>& between) {
    Neighbourhood& here = cache_[static_cast<size_t>(corner) % std::size(cache_)];
    if (here.corner != corner) {
      flush(here);
      here.corner = corner;
      for (Register& sum : here.sums) sum = Register(S{0});
    }
    const auto weights = physics::tricubic_weights(between.x, between.y, between.z);
    for (size_t i = 0; i < 4; ++i)
      for (size_t j = 0; j < 4; ++j) {
        const Lanes<S, K> line = adjoint * weights.x[i] * weights.y[j];
        for (size_t k = 0; k < 4; ++k) {
          auto& sum = here.sums[16 * i + 4 * j + k].part[0];
          for (int part = 0; part < K; ++part)
            sum = hn::MulAdd(line.part[part], weights.z[k].part[part], sum);
        }
      }
  }

  explicit NodeAdjoints(const CpuPlan& p, TableAdjoints& table) : p_(p), table_(table) {}
  ~NodeAdjoints() {
    for (Neighbourhood& each : cache_) flush(each);
  }
  NodeAdjoints(const NodeAdjoints&) = delete;
  NodeAdjoints& operator=(const NodeAdjoints&) = delete;

 private:
  using Register = Lanes<S, 1>;
  struct Neighbourhood {
    std::int64_t corner = -1;
    Register sums[64];
  };

  HWY_NOINLINE void flush(Neighbourhood& here) {
    if (here.corner < 0) return;
    const auto stride_h = static_cast<std::int64_t>(p_.grid.stride_h),
               stride_k = static_cast<std::int64_t>(p_.grid.stride_k);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 4; ++k)
          table_.add(here.corner + i * stride_h + j * stride_k + k,
                     double{sum_of(here.sums[16 * i + 4 * j + k])});
    here.corner = -1;
  }

  const CpuPlan& p_;
  TableAdjoints& table_;
  Neighbourhood cache_[7];
};

/// Adjoints of the nearest structure factors, lane by lane until other lattice points come: the
/// pairs of a tile mostly share theirs.
class NearestAdjoints {
 public:
  explicit NearestAdjoints(TableAdjoints& table) : table_(table) { offsets_.fill(-1); }

  NABLA_INLINE void add(std::int32_t offset, const Single& adjoint) {
    const size_t slot = static_cast<std::uint32_t>(offset) * 0x9E3779B1U >> (32 - slot_bits);
    if (offset != offsets_[slot]) [[unlikely]] {
      if (offsets_[slot] >= 0) flush(slot);
      offsets_[slot] = offset;
      sums_[slot] = adjoint;
    } else {
      sums_[slot] = sums_[slot] + adjoint;
    }
  }
  NABLA_INLINE void flush() {
    for (size_t slot = 0; slot < offsets_.size(); ++slot)
      if (offsets_[slot] >= 0) flush(slot);
  }

 private:
  static constexpr int slot_bits = 6;

  HWY_NOINLINE void flush(size_t slot) {
    table_.add(offsets_[slot], double{sum_of(sums_[slot])});
    offsets_[slot] = -1;
  }

  TableAdjoints& table_;
  std::array<std::int32_t, 1 << slot_bits> offsets_;
  Single sums_[1 << slot_bits];
};

}  // namespace nablabragg::engine::HWY_NAMESPACE
