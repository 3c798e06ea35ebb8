#include "engine/cuda/derivatives.hpp"

#include <algorithm>
#include <cmath>

#include "engine/cpu/material_gradient.hpp"
#include "engine/cuda/pixel_parts.hpp"
#include "engine/driver.hpp"  // for Watch
#include "engine/light_adjoints.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine::cuda {

namespace {

constexpr int pixels_at_once = 1 << 22;  ///< whose weights or slopes are on the card
constexpr double steps_of_launch = 1e9;  ///< a few hundredths of a second
constexpr int pairs_of_chunk = 32;       ///< of the kernels
constexpr std::size_t bytes_of_sums = std::size_t{64} << 20;

}  // namespace

std::string CudaDerivatives::why_not(const Plan& plan) {
  if (plan.spread.closed) return {};
  if (plan.dmin > 0 && plan.rules.once_polarization())
    return "with -dmin another source polarizes each pixel, whose derivative only the cpu has: "
           "-device cpu";
  const auto captures_once = [&](const PlanPanel& panel) {
    return plan.rules.once_capture(panel.sensor);
  };
  if (plan.background.per_sr != 0 &&
      std::any_of(plan.panels.begin(), plan.panels.end(), captures_once))
    return "a background behind layers that capture once has derivatives on the cpu only: -device "
           "cpu";
  return {};
}

/// Calls work(part, panel, job with its pixels) for all pixels, some at a time.
template <class Work>
void CudaDerivatives::for_each_part(const Pixels& pixels, Work&& work) {
  const std::vector<PixelPart> parts = parts_of(plan_, pixels, pixels_at_once);
  Watch watch(options_, std::max(1, static_cast<int>(parts.size())));
  for (const PixelPart& part : parts) {
    const DevicePanel& panel = contents_.gradient_panel(part.panel);
    GradientJob job{contents_.job_of(panel)};
    job.cutoff = device_cutoff(cutoff_, plan_, panel.number);
    const auto list = on_device(device(), part.list.data(), part.list.size());
    job.pixels = part.pixels;
    if (!part.list.empty()) {
      job.pixels.list = list.data();
      job.pixels.listed = static_cast<int>(part.list.size());
    } else {
      job.pixels.keep = panel.keep.data();
    }
    job.blocks = opened_.plugin->blocks_of_gradient(job.pixels);
    work(part, panel, job, watch);
    watch.finish_part();
    watch.check();
  }
}

/// Calls work() for launches over some of the pairs each, until it returns false.
template <class Work>
void CudaDerivatives::for_each_range(GradientJob& job, Work&& work) const {
  const auto orientations = static_cast<int>(plan_.lattice.orientations.size());
  const int pairs = static_cast<int>(plan_.light.rays.size()) * orientations;
  const PlanSensor& sensor = job.plan->view.panel.sensor;
  const double steps_of_pair = double(job.pixels.count()) * sensor.layers * plan_.oversample *
                               plan_.oversample;
  const double for_time = steps_of_launch / steps_of_pair,
               for_memory = double(bytes_of_sums) /
                            (double(job.blocks) * sizeof(double) * (sums_of_pair + sums_of_ray));
  const int chunks = std::max(
      1, static_cast<int>(std::min({for_time, for_memory, double(pairs)}) / pairs_of_chunk));
  for (int first = 0; first < pairs; first += chunks * pairs_of_chunk) {
    job.first_pair = first;
    job.pairs = std::min(chunks * pairs_of_chunk, pairs - first);
    job.first_ray = first / orientations;
    job.rays = (first + job.pairs - 1) / orientations - job.first_ray + 1;
    if (!work()) return;
  }
}

PlanGradient CudaDerivatives::pull_back(const Pixels& pixels, std::span<const double> weights) {
  PlanGradient total;
  total.adjoint = zero_plan(plan_);
  std::vector<std::int64_t> table;
  DeviceArray<unsigned long long> on_card;
  if (plan_.lattice.grid) {
    total.table = std::make_shared<StructureFactorGrid>(plan_.lattice.grid->min(),
                                                        plan_.lattice.grid->max(), 0.0);
    // On a curved panel all is in double precision.
    table.resize(static_cast<std::size_t>(words_of_table(Method::float64)) *
                 total.table->values().size());
    on_card = DeviceArray<unsigned long long>(device(), table.size());
  }
  for_each_part(pixels, [&](const PixelPart& part, const DevicePanel& panel, GradientJob& job,
                            Watch& watch) {
    std::vector<double> of_part(part.count());
    double largest = 0, sum = 0;
    for (std::size_t i = 0; i < part.count(); ++i) {
      of_part[i] = weights[part.places[i]];
      largest = std::max(largest, std::abs(of_part[i]));
      sum += std::abs(of_part[i]);
    }
    if (largest == 0) return;
    const auto weights_on_card = on_device(device(), of_part.data(), of_part.size());
    job.weights = weights_on_card.data();
    if (plan_.lattice.grid) {
      device().clear(on_card.data(), on_card.bytes());
      job.table = on_card.data();
      job.table_size = static_cast<long long>(total.table->values().size());
      job.table_scale = table_scale(panel, sum);
    }
    DeviceArray<double> of_blocks, sums;
    std::vector<double> on_host;
    for_each_range(job, [&] {
      const auto columns = static_cast<std::size_t>(sums_of_gradient(job));
      if (sums.size() < columns) {
        sums = DeviceArray<double>(device(), columns);
        of_blocks = DeviceArray<double>(device(), columns * static_cast<std::size_t>(job.blocks));
      }
      job.sums = sums.data();
      job.of_blocks = of_blocks.data();
      device().differentiate(job);
      on_host.resize(columns);
      device().download(on_host.data(), sums.data(), columns * sizeof(double));
      add_sums(panel, job, on_host, total);
      return !watch.stopped();
    });
    if (!plan_.lattice.grid) return;
    device().download(table.data(), on_card.data(), on_card.bytes());
    std::vector<double>& values = total.table->values();
    double unit = 1 / job.table_scale / panel.plan.largest_F;
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (i > 0 && i % values.size() == 0) unit /= next_word;
      values[i % values.size()] += double(table[i]) * unit;
    }
  });
  add_materials(plan_, pixels, weights, options_, total);
  return total;
}

/// By which adjoints of F are multiplied to become integers: their sum cannot be larger than if all
/// steps were at the top of the brightest spot, and 2^61 is room for it.
double CudaDerivatives::table_scale(const DevicePanel& panel, double weight) const {
  const PanelNumbers& numbers = plan_.panels[panel.number];
  const PlanFrame& frame = numbers.frame;
  const double nearest = std::max(frame.pixel / 4, frame.curvature == Curvature::flat
                                                       ? std::abs(dot(frame.origin, frame.normal))
                                                       : frame.curvature_radius);
  const double omega = std::abs(
      solid_angle(frame, 1 / nearest, numbers.sensor.layer_step * numbers.sensor.layers));
  const double polarization = 1 + std::abs(plan_.light.polarization_fraction);
  double of_rays = 0;
  for (const PlanRay& ray : plan_.light.rays) of_rays += std::abs(ray.weight);
  const double steps = of_rays * double(plan_.lattice.orientations.size()) * plan_.oversample *
                       plan_.oversample * numbers.sensor.layers;
  const Vec3d& cells = panel.plan.wide_block.cells;
  const double peak = cells.x * cells.y * cells.z;
  constexpr double overshoot = 32;  // of interpolated F, and of the shares of the entries around it
  const double bound = 2 * weight * std::abs(panel.plan.unit) * peak * peak * steps * omega *
                       polarization * overshoot;
  if (!(bound > 0 && std::isfinite(bound))) return 1;
  return std::exp2(60 - std::ceil(std::log2(bound)));
}

/// Those of a launch, to the adjoint of the plan.
void CudaDerivatives::add_sums(const DevicePanel& panel, const GradientJob& job,
                               std::span<const double> sums, PlanGradient& total) const {
  const double* next = sums.data();
  BasicPixelNumbers<double> numbers = zero_numbers<double>();
  for_each_number([&](double& x) { x = *next++; }, numbers);
  PlanRay& first_ray = total.adjoint.light.rays[0];
  for (Vec3d* to : {&first_ray.incident, &first_ray.magnetic})
    for (double* x : {&to->x, &to->y, &to->z}) *x += *next++;
  total.value += numbers.scale + numbers.background.starting_sum + numbers.background.per_sr;
  const PlanPanel& of_panel = plan_.panels[panel.number];
  physics::with_shape(plan_.lattice.shape, [&]<class Shape>() {
    complete_adjoints<Shape>(PixelNumbers{plan_, of_panel, plan_.light, plan_.lattice},
                             panel.plan.largest_F, job.lookup == Lookup::constant, numbers);
  });
  for_each_number_at([](double& to, const double& more) { to += more; }, total.adjoint,
                     panel.number, numbers);

  const auto orientations = static_cast<int>(plan_.lattice.orientations.size());
  for (int i = 0; i < job.rays; ++i) {
    PlanRay& to = total.adjoint.light.rays[static_cast<std::size_t>(job.first_ray + i)];
    to.weight += *next++;
    for (Vec3d* vector : {&to.incident, &to.magnetic})
      for (double* x : {&vector->x, &vector->y, &vector->z}) *x += *next++;
  }
  // h = k A (direction - incident)
  for (int pair = job.first_pair; pair < job.first_pair + job.pairs; ++pair) {
    const auto r = static_cast<std::size_t>(pair / orientations),
               o = static_cast<std::size_t>(pair % orientations);
    const PlanRay& ray = plan_.light.rays[r];
    const Mat3d& axes = plan_.lattice.orientations[o];
    PlanRay& of_ray = total.adjoint.light.rays[r];
    Mat3d& of_axes = total.adjoint.lattice.orientations[o];
    const Vec3d a{next[0], next[1], next[2]}, b{next[3], next[4], next[5]},
        c{next[6], next[7], next[8]}, index{next[9], next[10], next[11]};
    next += sums_of_pair;
    of_axes.a = of_axes.a + ray.wavenumber * a;
    of_axes.b = of_axes.b + ray.wavenumber * b;
    of_axes.c = of_axes.c + ray.wavenumber * c;
    of_ray.wavenumber += dot(axes.a, a) + dot(axes.b, b) + dot(axes.c, c);
    of_ray.incident = of_ray.incident -
                      ray.wavenumber * (index.x * axes.a + index.y * axes.b + index.z * axes.c);
  }
}

void CudaDerivatives::push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                                   const StructureFactorGrid* table_tangent,
                                   std::span<double> photons, std::span<double> slopes) {
  struct TangentOnCard {
    DeviceArray<PlanRay> rays;
    DeviceArray<Mat3d> orientations;
  };
  std::vector<TangentOnCard> on_card;
  for (const Plan* tangent : tangents)
    on_card.push_back({on_device(device(), tangent->light.rays.data(), tangent->light.rays.size()),
                       on_device(device(), tangent->lattice.orientations.data(),
                                 tangent->lattice.orientations.size())});
  DeviceArray<double> table;
  if (table_tangent)
    table = on_device(device(), table_tangent->values().data(), table_tangent->values().size());
  const std::size_t columns = tangents.size();

  for_each_part(pixels, [&](const PixelPart& part, const DevicePanel& panel, GradientJob& job,
                            Watch& watch) {
    std::vector<DeviceTangent> directions(columns);
    for (std::size_t t = 0; t < columns; ++t) {
      const Plan& tangent = *tangents[t];
      directions[t].numbers = {tangent, tangent.panels[panel.number], tangent.light,
                               tangent.lattice};
      directions[t].first_ray = tangent.light.rays[0];
      directions[t].rays = on_card[t].rays.data();
      directions[t].orientations = on_card[t].orientations.data();
      directions[t].table = table_tangent && t + 1 == columns ? table.data() : nullptr;
    }
    const auto directions_on_card = on_device(device(), directions.data(), columns);
    // Without tangents photons are asked for all the same
    const DeviceArray<double> of_pixels(device(), part.count() * (1 + columns));
    device().clear(of_pixels.data(), of_pixels.bytes());
    job.photons = of_pixels.data();
    job.slopes = of_pixels.data() + part.count();
    job.columns = static_cast<int>(columns);
    for (std::size_t first = 0; first == 0 || first < columns; first += most_tangents) {
      job.first_column = static_cast<int>(first);
      job.tangents = directions_on_card.data() + first;
      job.tangent_count = static_cast<int>(std::min<std::size_t>(most_tangents, columns - first));
      for_each_range(job, [&] {
        device().differentiate(job);
        device().wait();
        return !watch.stopped();
      });
    }
    std::vector<double> on_host(part.count() * (1 + columns));
    device().download(on_host.data(), of_pixels.data(), of_pixels.bytes());
    for (std::size_t i = 0; i < part.count(); ++i) {
      photons[part.places[i]] += on_host[i];
      for (std::size_t t = 0; t < columns; ++t)
        slopes[part.places[i] * columns + t] += on_host[part.count() + i * columns + t];
    }
  });
  add_materials(plan_, pixels, tangents, options_, photons, slopes);
}

}  // namespace nablabragg::engine::cuda
