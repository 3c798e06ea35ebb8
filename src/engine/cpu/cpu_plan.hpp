// A plan as the kernels of the cpu engine want it.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "engine/beam.hpp"
#include "engine/pixel_sum.hpp"  // for GridView
#include "plan/plan.hpp"

namespace nablabragg::memory {
class SharedTable;
}

namespace nablabragg::engine {

inline constexpr int most_lanes = 32;  ///< that a kernel loads at once

/// A spot of the sensor at which every pixel is sampled: a sub-pixel in a layer.
struct Sample {
  int layer = 0, sub_slow = 0, sub_fast = 0;
  float right = 0, up = 0;  ///< from the middle of the pixel, along its axes [m]
  Vec3<float> offset;       ///< from the middle of the pixel and of the sensor's depth [m]
};

/// Structure factors in single precision, in units of the largest, l fastest: what is kept while
/// the light changes.  Without a table F is part of the unit.
struct SingleTable {
  std::span<const float> F;
  double largest = 1;  ///< [electrons], default_F included
  /// Where rays have several F: the first of the LightTerms of each reflection and of what the
  /// table does not hold, then all second ones, and so on.
  std::vector<float> terms;

  explicit SingleTable(const PlanLattice& lattice);
  SingleTable(const SingleTable&) = delete;
  SingleTable& operator=(const SingleTable&) = delete;

 private:
  // Where F lies
  std::vector<float> own_;
  std::shared_ptr<const memory::SharedTable> shared_;
};

/// A plan with what the kernels want to know beforehand about one of its panels.
struct CpuPlan {
  const Plan* plan = nullptr;
  std::size_t panel_number = 0;
  const PlanPanel* panel = nullptr;
  GridView grid{nullptr};

  // Structure factors as in SingleTable
  std::span<const float> F;
  float default_F = 0;
  Vec3d extent;  ///< numbers of indices; zero: no table
  // Where rays have several F, as LightTerms: F^2 is a sum of so many products
  int terms = 0;
  std::span<const float> of_reflections;
  std::vector<float> of_rays;     ///< `terms` of each beam that is no band
  std::vector<float> band_terms;  ///< of each term behind the first, like band_weight: times it

  double largest_F = 1;      ///< the unit of F [electrons]
  LatticeNumbers lattice;    ///< its number of cells is part of the unit where it can be
  double unit = 1;           ///< photons of one unit of the kernels' sums, before factors
  bool ray_factors = false;  ///< terms of different rays have different factors
  std::vector<Beam> beams;
  bool bands = false;  ///< each beam is a band
  /// Of each ray of a band, sorted: wavenumber over that of the band, less one.  Weights of zero
  /// follow the last ray of a band, as many as two registers can hold.
  std::vector<double> band_change;
  std::vector<float> band_weight;
  std::vector<int> band_ray;  ///< which ray of the plan it is
  /// Where the rays of each bin of a band begin and end, a little too early and too late.
  std::vector<std::array<int, 2>> band_bins;
  std::vector<Sample> samples;  ///< fast axis fastest, then slow axis, layers
  NABLA_INLINE const Sample& sample(int layer, int sub_slow, int sub_fast) const {
    const int number = (layer * plan->oversample + sub_slow) * plan->oversample + sub_fast;
    return samples[static_cast<std::size_t>(number)];
  }
  double dark_radius2 = 0;  ///< beyond which a spot is dark

  Vec3d edges_m;  ///< longest a, b, c of all orientations
  double max_wavenumber = 0;
  bool anchors_allowed = false;
  Vec3d anchor_weight;  ///< 1 / the number of indices that a block may span with anchored phases
  bool skips = false;   ///< steps that are known to be dark
  Vec3d reach;          ///< how far from a lattice point light is seen; 1/2 or more: everywhere
};

/// `skip_below` as in ComputeOptions; without `bands_allowed` every beam is one ray.
/// The plan and the table must outlive it.
CpuPlan make_cpu_plan(const Plan& plan, std::size_t panel, const SingleTable& table,
                      double skip_below, bool bands_allowed = true);

/// Why the mixed-precision kernels cannot compute a plan; empty: they can.
std::string needs_wide(const Plan& plan);

}  // namespace nablabragg::engine
