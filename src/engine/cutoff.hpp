// Where nanoBragg's interpolation ends.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>
#include "engine/stopping.hpp"
#include "nablabragg/simulate.hpp"  // for TableMiss, ComputeOptions
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// The first lookup of a panel, in raster order, that asks for a neighbourhood which is not in the
/// table.
std::optional<TableMiss> find_first_miss(const Plan& plan, int panel, const StopFlag& stopped);

/// How many lookups of a pixel interpolate, given the first miss of its panel.
std::int64_t interpolating_lookups(const Plan& plan, const std::optional<TableMiss>& miss,
                                   const PixelIndex& pixel);

/// Of all panels.  nanoBragg has one panel, so each is rendered as if it were alone.
class InterpolationCutoff {
 public:
  /// Without `wants_misses` they are looked for only where pixels depend on them.
  /// Throws Cancelled when the options' progress returned false.
  InterpolationCutoff(const Plan& plan, bool wants_misses, const ComputeOptions& options);

  /// The first one of all panels.
  std::optional<TableMiss> first_miss() const;
  const std::optional<TableMiss>& miss_of(int panel) const {
    return misses_[static_cast<std::size_t>(panel)];
  }
  /// As the function.
  std::int64_t interpolating_lookups(const PixelIndex& pixel) const {
    return engine::interpolating_lookups(plan_, misses_[static_cast<std::size_t>(pixel.panel)],
                                         pixel);
  }
  /// Whether it falls in these rows, or before (< 0) or after them (> 0); where it never falls, it
  /// is after all rows.
  int side_of_rows(int panel, double first, double last) const {
    const auto& miss = misses_[static_cast<std::size_t>(panel)];
    if (!miss || plan_.lattice.out_of_range != OutOfRange::nearest_for_all) return 1;
    return miss->slow < first ? -1 : miss->slow > last ? 1 : 0;
  }

 private:
  const Plan& plan_;
  std::vector<std::optional<TableMiss>> misses_;
};

/// The cutoff of a plan that an engine holds: found when it is asked for, and once.
class RememberedCutoff {
 public:
  /// Both must outlive it.
  RememberedCutoff(const Plan& plan, const ComputeOptions& options)
      : plan_(plan), options_(options) {}

  const InterpolationCutoff& get(bool wants_misses);
  /// As the plan has changed.
  void forget() {
    found_.reset();
    knows_misses_ = false;
  }

 private:
  const Plan& plan_;
  const ComputeOptions& options_;
  std::optional<InterpolationCutoff> found_;
  bool knows_misses_ = false;
};

}  // namespace nablabragg::engine
