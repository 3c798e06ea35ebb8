// What the kernels of the cuda engine take: a plan of one panel as plain numbers, with pointers
// into the device's memory.  Read by the compiler of the program and by that of the kernels.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include "engine/beam.hpp"
#include "engine/closed/closed_spot.hpp"
#include "engine/pixel_sum.hpp"  // for GridView
#include "plan/plan.hpp"

namespace nablabragg::engine::cuda {

/// Of a band: the change of the wavenumber is the sum of the first two, of which the second is less
/// than an ulp of the first.
struct alignas(16) BandRay {
  float change, rest, weight;
};
struct BandBin {
  int begin, end;  ///< of its rays
};

struct DevicePlan {
  PlanView view;
  GridView grid{nullptr};  ///< in double precision

  // As in CpuPlan, for shapes in single precision
  const float* F = nullptr;  ///< in units of the largest, l fastest; null: one F, part of the unit
  int minimum[3] = {}, extent[3] = {};
  float default_F = 0;
  double largest_F = 1;
  physics::BlockNumbers<float> block{};
  LatticeNumbers wide_block;     ///< the same in double precision
  bool cells_are_whole = false;  ///< their numbers, which then are these
  int whole_cells[3] = {};
  float dark_radius2 = 0;    ///< beyond which a spot is dark
  double unit = 1;           ///< photons of one unit of the sums, before factors
  double starting_sum = 0;   ///< what they begin with, in that unit
  bool ray_factors = false;  ///< terms of different rays have different factors

  // Bands of wavelengths, as in CpuPlan
  const Beam* beams = nullptr;  ///< null: pairs are of rays
  int beam_count = 0;
  const BandRay* band_rays = nullptr;
  const BandBin* band_bins = nullptr;
  float band_cells = 1;            ///< the number of cells
  float halvings_per_radius2 = 0;  ///< see Gauss

  /// What gradients want of the view, whose other parts are pointers.
  NABLA_INLINE PixelNumbers numbers() const { return {view, view.panel, view.light, view.lattice}; }

  explicit DevicePlan(const PlanView& of) : view(of) {}
};
static_assert(std::is_trivially_copyable_v<DevicePlan>);
static_assert(sizeof(DevicePlan) <= 2048, "parameters of a kernel have 4 KiB");

/// A spot of the closed form, in the precision of a kernel.
template <class Real>
struct alignas(16) DeviceSpot {
  SpotEllipse<Real> ellipse;
  Real anchor_fast, anchor_slow;  ///< [pixels]
  int layer, subpixels_fast, subpixels_slow;
  bool narrow;  ///< see spot_value()
  SpotNumbers<Real> numbers;
};

/// Those of a panel, in the order in which pixels add them, and which tiles of it each of them
/// reaches: the spots of tile i, row by row, are numbers[starts[i]] to numbers[starts[i + 1]].
template <class Real>
struct DeviceSpots {
  ClosedView<Real> view;
  const DeviceSpot<Real>* spots = nullptr;
  const std::size_t* starts = nullptr;
  const std::uint32_t* numbers = nullptr;
  int tiles_across = 0;
};

/// A panel in closed form, in one precision.
struct DeviceClosed {
  physics::SpotTerms terms{};
  std::optional<DeviceSpots<float>> single;  ///< of flat panels
  std::optional<DeviceSpots<double>> wide;
};

/// A direction in the space of plans.
struct DeviceTangent {
  PixelNumbers numbers{};
  PlanRay first_ray;                    ///< of the polarization that stands for all
  const PlanRay* rays = nullptr;        ///< as many as the plan has
  const Mat3d* orientations = nullptr;  ///< likewise
  const double* table = nullptr;        ///< as the grid's values; null: F does not change
};

struct ListedPixel {
  int fast, slow;
};

/// Pixels of one panel: a rectangle, whose values lie row by row, or a list.
struct DevicePixels {
  int fast_min = 0, slow_min = 0, columns = 0, rows = 0;
  const unsigned char* keep = nullptr;  ///< of the panel's mask; null: all are wanted
  const ListedPixel* list = nullptr;    ///< null: the rectangle
  int listed = 0;

  std::size_t count() const {
    return list ? static_cast<std::size_t>(listed)
                : static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
  }
};

/// Where nanoBragg's interpolation ends: pixels before (fast, slow), in raster order, interpolate
/// at each lookup, those behind it at none, itself at the first `lookups`.
struct DeviceCutoff {
  bool ends = false;
  int fast = 0, slow = 0;
  std::int64_t lookups = 0;

  NABLA_INLINE std::int64_t lookups_of(int pixel_fast, int pixel_slow) const {
    if (!ends) return all_steps;
    if (pixel_slow != slow) return pixel_slow < slow ? all_steps : 0;
    if (pixel_fast != fast) return pixel_fast < fast ? all_steps : 0;
    return lookups;
  }
};

}  // namespace nablabragg::engine::cuda
