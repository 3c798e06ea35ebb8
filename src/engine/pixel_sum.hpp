// One pixel of the reference engine: the sum over sensor layers, sub-pixels, rays and
// orientations, in double precision, as the formulas read.
//
// The order of the loops is part of the definition: nanoBragg's running products and its
// interpolation latch depend on it.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include "physics/detection.hpp"
#include "physics/interpolation.hpp"
#include "physics/lane.hpp"
#include "physics/lattice_factor.hpp"
#include "physics/rotation.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// Where the sub-pixel lies and what it sees of the sensor.
struct SubPixel {
  int layer = 0, sub_slow = 0, sub_fast = 0;
  double fast = 0, slow = 0;  ///< on the panel [m]
  Vec3d position;             ///< from the sample [m]
  double distance = 0;
  Vec3d direction;
};

/// Every factor of one step, for those who watch the sum.
struct StepRecord {
  SubPixel at;
  int ray = 0, phi = 0, domain = 0;
  Vec3d q;             ///< scattering vector [1/m]
  Vec3d hkl, nearest;  ///< fractional and nearest Miller indices
  double lattice_factor = 0, structure_factor = 0;
  bool interpolated = false;
  double solid_angle = 0, polarization = 1, capture = 1;
  double term = 0;  ///< F_cell^2 F_latt^2 x weight
  double sum = 0;   ///< after this step
};

/// A visitor that watches nothing and costs nothing.
struct NoVisitor {
  static constexpr bool active = false;
  void operator()(const StepRecord&) const {}
};

inline constexpr std::int64_t all_steps = std::numeric_limits<std::int64_t>::max();

struct PixelSum {
  double photons = 0;  ///< the pixel's value before it is rounded to float
  double sum = 0;      ///< the accumulator, before scale and factors
  double solid_angle = 0, polarization = 0, capture = 0;  ///< the last values in use
  double solid_angle_sum = 0;                             ///< over layers and sub-pixels
  /// Lookups that interpolated before a neighbourhood first left the grid; all_steps: none did.
  std::int64_t first_miss = all_steps;
};

/// The grid as the inner loop wants it.
struct GridView {
  const double* values = nullptr;
  Vec3d min, max;
  std::int64_t stride_h = 0, stride_k = 0;

  explicit GridView(const StructureFactorGrid* grid) {
    if (!grid) return;
    values = grid->values().data();
    const auto& lo = grid->min();
    const auto& hi = grid->max();
    min = {double(lo[0]), double(lo[1]), double(lo[2])};
    max = {double(hi[0]), double(hi[1]), double(hi[2])};
    stride_k = grid->extent(2);
    stride_h = stride_k * grid->extent(1);
  }

  /// Value at integral indices that are on the grid.
  const double* at(const Vec3d& h) const {
    return values + static_cast<std::int64_t>(h.x - min.x) * stride_h +
           static_cast<std::int64_t>(h.y - min.y) * stride_k +
           static_cast<std::int64_t>(h.z - min.z);
  }
  bool holds(const Vec3d& h) const {
    return h.x >= min.x && h.x <= max.x && h.y >= min.y && h.y <= max.y && h.z >= min.z &&
           h.z <= max.z;
  }
  /// nanoBragg's test: one index stricter on each side than four nodes need.
  bool surrounds(const Vec3d& h) const {
    return !(h.x - 2 < min.x || h.x + 2 > max.x || h.y - 2 < min.y || h.y + 2 > max.y ||
             h.z - 2 < min.z || h.z + 2 > max.z);
  }
};

NABLA_INLINE double nearest_structure_factor(const GridView& grid, double default_F,
                                             const Vec3d& nearest) {
  return grid.values && grid.holds(nearest) ? *grid.at(nearest) : default_F;
}

NABLA_INLINE double tricubic_structure_factor(const GridView& grid, const Vec3d& h) {
  const Vec3d base{physics::floor_of(h.x), physics::floor_of(h.y), physics::floor_of(h.z)};
  const double* corner = grid.at(base - Vec3d{1, 1, 1});
  return physics::tricubic(h.x - base.x, h.y - base.y, h.z - base.z, [&](int i, int j, int k) {
    return corner[i * grid.stride_h + j * grid.stride_k + k];
  });
}

template <CrystalShape Shape>
NABLA_INLINE double lattice_factor(const PlanLattice& lattice, const Vec3d& d) {
  if constexpr (Shape == CrystalShape::square)
    return physics::square_lattice_factor(d, lattice.cells);
  if constexpr (Shape == CrystalShape::round)
    return physics::round_lattice_factor(d, lattice.cells, lattice.fudge);
  const double count = lattice.cells.x * lattice.cells.y * lattice.cells.z;
  const double radius2 = physics::spot_radius2(lattice.metric, d);
  if constexpr (Shape == CrystalShape::gauss)
    return physics::gauss_lattice_factor(radius2, count, lattice.fudge);
  return physics::tophat_lattice_factor(radius2, count, lattice.fudge);
}

inline void place(const Plan& plan, int fast, int slow, SubPixel& at) {
  const PlanFrame& f = plan.frame;
  at.fast = f.subpixel * (double(fast) * plan.oversample + at.sub_fast) + f.subpixel / 2.0;
  at.slow = f.subpixel * (double(slow) * plan.oversample + at.sub_slow) + f.subpixel / 2.0;
  const double deep = plan.sensor.layer_step * at.layer;
  at.position = at.fast * f.fast + at.slow * f.slow + deep * f.normal + f.origin;
  switch (f.curvature) {
    case Curvature::flat:
      break;
    case Curvature::about_lab_axes: {
      const double y = at.position.y, z = at.position.z;
      at.position = physics::rotate_about(f.radius * f.beam, f.slow, y / f.radius);
      at.position = physics::rotate_about(at.position, f.fast, z / f.radius);
      break;
    }
    case Curvature::spherical:
      at.position = physics::rotate_about((f.radius + deep) * f.beam, f.slow,
                                          f.handedness * (at.fast - f.beam_fast) / f.radius);
      at.position = physics::rotate_about(at.position, f.fast,
                                          -f.handedness * (at.slow - f.beam_slow) / f.radius);
      break;
  }
  at.distance = length(at.position);
  at.direction = (1 / at.distance) * at.position;
}

/// `depth`: how far behind the front of the sensor.
NABLA_INLINE double solid_angle(const PlanFrame& f, double distance, double depth) {
  const double near = 1 / distance;
  switch (f.solid_angle) {
    case SolidAngle::oblique:
      return f.pixel * f.pixel * (f.close_distance + depth) * near * near * near;
    case SolidAngle::facing:
      return f.pixel * f.pixel * near * near;
    case SolidAngle::per_area:
      break;
  }
  return near * near;
}

/// The sum of pixel (fast, slow).  The first `tricubic_steps` lookups interpolate where the plan
/// asks for it, the rest are nearest: how the latch (OutOfRange::nearest_for_all) reaches a pixel.
template <CrystalShape Shape, bool Tricubic, class Visitor>
PixelSum sum_pixel(const Plan& plan, const GridView& grid, int fast, int slow,
                   std::int64_t tricubic_steps, Visitor&& visit) {
  using Visits = std::remove_reference_t<Visitor>;
  const bool absorbs = plan.sensor.absorption_per_m > 0;
  const bool running = plan.solid_angle == Apply::to_running_sum ||
                       plan.polarization == Apply::to_running_sum ||
                       plan.capture == Apply::to_running_sum;
  const auto at_rule = [](Apply rule, Apply wanted, double factor) {
    return rule == wanted ? factor : 1.0;
  };
  const auto combined = [&](Apply rule, double capture, double polarization, double omega) {
    return at_rule(plan.capture, rule, capture) * at_rule(plan.polarization, rule, polarization) *
           at_rule(plan.solid_angle, rule, omega);
  };
  // A term's own solid angle is that of its own layer.
  const double own_depth = plan.solid_angle == Apply::to_each_term ? plan.sensor.layer_step : 0;
  const std::int64_t asked = tricubic_steps;
  const int orientations = static_cast<int>(plan.orientations.size());
  const double default_F = plan.default_F;

  PixelSum out;
  double sum = plan.starting_sum, background = 0;
  double omega = 0, polarization = plan.polarized ? 0 : 1, capture = 1;
  SubPixel at;

  for (at.layer = 0; at.layer < plan.sensor.layers; ++at.layer) {
    if (absorbs) capture = 0;
    for (at.sub_slow = 0; at.sub_slow < plan.oversample; ++at.sub_slow)
      for (at.sub_fast = 0; at.sub_fast < plan.oversample; ++at.sub_fast) {
        place(plan, fast, slow, at);

        // Solid angle and capture of this spot of the sensor; zero means not yet known
        if (omega == 0 || plan.solid_angle != Apply::once)
          omega = solid_angle(plan.frame, at.distance, own_depth * at.layer);
        out.solid_angle_sum += omega;
        if (absorbs && (capture == 0 || plan.capture != Apply::once)) {
          const double rho = plan.frame.curvature == Curvature::spherical
                                 ? 1
                                 : dot(at.direction, plan.frame.normal);
          capture = physics::capture_fraction(double(at.layer), plan.sensor.layer_step,
                                              plan.sensor.absorption_per_m, rho);
        }

        for (std::size_t ray_index = 0; ray_index < plan.rays.size(); ++ray_index) {
          const PlanRay& ray = plan.rays[ray_index];
          const Vec3d q = ray.wavenumber * (at.direction - ray.incident);
          const bool cut = [&] {
            if (plan.dmin <= 0) return false;
            const double stol = 0.5 * length(q);
            return stol > 0 && plan.dmin > 0.5 / stol;
          }();
          if (cut && plan.background_per_sr == 0) continue;
          if (plan.polarized && (polarization == 0 || plan.polarization != Apply::once))
            polarization = physics::kahn_polarization(dot(ray.incident, at.direction),
                                                      dot(at.direction, ray.magnetic),
                                                      plan.polarization_fraction);
          background += ray.weight * omega * polarization * capture;
          if (cut) continue;
          const double running_factor = running ? combined(Apply::to_running_sum, capture,
                                                           polarization, omega)
                                                : 1;

          double ray_sum = 0;
          for (int o = 0; o < orientations; ++o) {
            const Vec3d h = plan.orientations[static_cast<std::size_t>(o)] * q;
            const Vec3d nearest{physics::round_half_down(h.x), physics::round_half_down(h.y),
                                physics::round_half_down(h.z)};
            const double latt = lattice_factor<Shape>(plan.lattice, h - nearest);
            if (latt == 0 && plan.starting_sum == 0) continue;

            double F;
            bool interpolated = false;
            if (Tricubic && tricubic_steps > 0) {
              --tricubic_steps;
              interpolated = grid.surrounds(h);
              F = interpolated ? tricubic_structure_factor(grid, h) : default_F;
              if (!interpolated && out.first_miss == all_steps)
                out.first_miss = asked - tricubic_steps - 1;
            } else {
              F = nearest_structure_factor(grid, default_F, nearest);
            }
            const double term = F * F * latt * latt;
            if (running)
              sum = (sum + ray.weight * term) * running_factor;
            else
              ray_sum += term;

            if constexpr (Visits::active) {
              StepRecord record;
              record.at = at;
              record.ray = static_cast<int>(ray_index);
              record.phi = o / plan.domains;
              record.domain = o % plan.domains;
              record.q = q;
              record.hkl = h;
              record.nearest = nearest;
              record.lattice_factor = latt;
              record.structure_factor = F;
              record.interpolated = interpolated;
              record.solid_angle = omega;
              record.polarization = polarization;
              record.capture = capture;
              record.term = ray.weight * term;
              record.sum = running ? sum
                                   : sum + ray_sum * ray.weight *
                                               combined(Apply::to_each_term, capture, polarization,
                                                        omega);
              visit(record);
            }
          }
          if (!running)
            sum += ray_sum * ray.weight *
                   combined(Apply::to_each_term, capture, polarization, omega);
        }
      }
  }

  out.sum = sum;
  out.solid_angle = omega;
  out.polarization = polarization;
  out.capture = capture;
  out.photons = plan.scale * sum * combined(Apply::once, capture, polarization, omega);
  if (plan.background_per_sr != 0)
    out.photons += plan.background_per_sr * background /
                   (double(plan.rays.size()) * double(plan.oversample) * double(plan.oversample));
  return out;
}

/// The same with the shape and the kind of lookup chosen by the plan.
template <class Visitor>
PixelSum sum_pixel(const Plan& plan, const GridView& grid, int fast, int slow,
                   std::int64_t tricubic_steps, Visitor&& visit) {
  const auto with_shape = [&]<CrystalShape Shape>() {
    return plan.tricubic ? sum_pixel<Shape, true>(plan, grid, fast, slow, tricubic_steps, visit)
                         : sum_pixel<Shape, false>(plan, grid, fast, slow, 0, visit);
  };
  switch (plan.lattice.shape) {
    case CrystalShape::square:
      return with_shape.template operator()<CrystalShape::square>();
    case CrystalShape::round:
      return with_shape.template operator()<CrystalShape::round>();
    case CrystalShape::gauss:
      return with_shape.template operator()<CrystalShape::gauss>();
    case CrystalShape::tophat:
      break;
  }
  return with_shape.template operator()<CrystalShape::tophat>();
}

}  // namespace nablabragg::engine
