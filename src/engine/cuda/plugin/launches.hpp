// The kernels of a shape, each shape in a unit of its own: all of them in one take minutes to
// compile.
#pragma once
#include "engine/cuda/plugin/image_kernels.hpp"

namespace nablabragg::engine::cuda {

/// What all shapes share.
void add_parts_of(const RenderJob& job, const LaunchSize& size, bool is_first, bool is_last);

/// Of a job whose plan has bands, which only Gaussian spots have.
void launch_bands(const RenderJob& job, const LaunchSize& size, const TileOutput& out);

/// Of a job in closed form.
void launch_closed(const RenderJob& job, const LaunchSize& size, const TileOutput& out);

/// Of a gradient in closed form: its stage.
void launch_closed_gradient(const ClosedGradientJob& job);
void launch_closed_light(const ClosedGradientJob& job);
void launch_pull_back_spots(const ClosedGradientJob& job);
void launch_push_forward_spots(const ClosedGradientJob& job);

void launch_counts(const CountJob& job);

template <class Shape>
struct Launches {
  static void tiles(const RenderJob& job, const LaunchSize& size, const TileOutput& out);
  static void walk(const RenderJob& job, const LaunchSize& size);
};

template <class Shape>
struct GradientLaunches {
  static void launch_one(const GradientJob& job);
};
/// Adds the sums of blocks, each `columns` of them, in the order of the blocks.
void add_blocks_of(const double* of_blocks, int blocks, int columns, double* sums);
int blocks_of_gradient(const DevicePixels& pixels);

/// Calls work.operator()<lookup>() for the kind that a job has.
template <class Work>
decltype(auto) with_lookup(Lookup lookup, Work&& work) {
  switch (lookup) {
    case Lookup::constant:
      return work.template operator()<Lookup::constant>();
    case Lookup::nearest:
      return work.template operator()<Lookup::nearest>();
    case Lookup::tricubic:
      break;
  }
  return work.template operator()<Lookup::tricubic>();
}

}  // namespace nablabragg::engine::cuda
