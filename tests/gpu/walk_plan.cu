// The pixel loop and the physics as GPU kernels: `./dev check` compiles them, nothing runs them
// yet. They break when a header that they share with the CPU calls what a GPU thread cannot.
#include <cstddef>
#include <type_traits>

#include "engine/pixel_sum.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

// Kernels are handed their arguments byte by byte.
static_assert(std::is_trivially_copyable_v<GridView>);

namespace {

struct Pixel {
  int fast, slow;
  std::size_t index;  ///< in the image
  bool wanted;
};

__device__ Pixel pixel_of_thread(const PanelNumbers& panel) {
  const RegionOfInterest& roi = panel.roi;
  const int fast = roi.fast_min + static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x),
            slow = roi.slow_min + static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  return {fast, slow,
          static_cast<std::size_t>(slow) * static_cast<std::size_t>(panel.frame.fast_pixels) +
              static_cast<std::size_t>(fast),
          fast <= roi.fast_max && slow <= roi.slow_max};
}

}  // namespace

/// The reference engine's loop, one thread a pixel of a panel's region of interest.
template <class Shape, bool Tricubic>
__global__ void walk_plan(const PlanView plan, const GridView grid, float* photons) {
  const Pixel pixel = pixel_of_thread(plan.panel);
  if (!pixel.wanted) return;
  const PixelSum sum = sum_pixels<Shape, Tricubic>(plan, plan.panel, grid, double(pixel.fast),
                                                   double(pixel.slow), all_steps, NoVisitor{});
  photons[pixel.index] = static_cast<float>(sum.photons);
}

/// The formulas in single precision, which the loop above does not ask for: the first step of each
/// pixel, with the 4 x 4 x 4 structure factors of `nodes` around it.
template <class Shape>
__global__ void first_step(const PlanView plan, const float* nodes, float* intensities) {
  const Pixel pixel = pixel_of_thread(plan.panel);
  if (!pixel.wanted) return;
  BasicSubPixel<float> at;
  place(plan.panel, plan.oversample, float(pixel.fast), float(pixel.slow), at);

  const PlanRay& ray = plan.light.rays[0];
  const Vec3<float> incident = vec3_as<float>(ray.incident);
  const Mat3d& axes = plan.lattice.orientations[0];
  const Vec3<float> h = Mat3<float>{vec3_as<float>(axes.a), vec3_as<float>(axes.b),
                                    vec3_as<float>(axes.c)} *
                        (float(ray.wavenumber) * (at.direction - incident));
  const Vec3<float> nearest{round_half_down(h.x), round_half_down(h.y), round_half_down(h.z)};
  const float F_latt = Shape::factor(plan.lattice, h - nearest);
  const float F = physics::tricubic(h.x - floor_of(h.x), h.y - floor_of(h.y), h.z - floor_of(h.z),
                                    [&](int i, int j, int k) { return nodes[16 * i + 4 * j + k]; });

  const float polarization = physics::kahn_polarization(
      dot(incident, at.direction), dot(at.direction, vec3_as<float>(ray.magnetic)),
      float(plan.light.polarization_fraction));
  const float capture = physics::capture_fraction(
      0.0f, float(plan.panel.sensor.layer_step), float(plan.panel.sensor.absorption_per_m),
      dot(at.direction, vec3_as<float>(plan.panel.frame.normal)));
  intensities[pixel.index] = F * F * F_latt * F_latt * polarization * capture *
                             solid_angle(plan.panel.frame, 1 / at.distance, 0.0);
}

#define NABLA_KERNELS(shape)                                                                \
  template __global__ void walk_plan<shape, false>(const PlanView, const GridView, float*); \
  template __global__ void walk_plan<shape, true>(const PlanView, const GridView, float*);  \
  template __global__ void first_step<shape>(const PlanView, const float*, float*)
NABLA_KERNELS(physics::Square);
NABLA_KERNELS(physics::Round);
NABLA_KERNELS(physics::Gauss);
NABLA_KERNELS(physics::Tophat);
#undef NABLA_KERNELS

}  // namespace nablabragg::engine
