#include "engine/cuda/closed_derivatives.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>

#include "engine/closed/closed_adjoints.hpp"
#include "engine/closed/closed_gradient.hpp"
#include "engine/closed/spots_of_tiles.hpp"
#include "engine/cpu/kernels.hpp"
#include "engine/cpu/material_gradient.hpp"
#include "engine/cuda/pixel_parts.hpp"
#include "engine/driver.hpp"  // for Watch

namespace nablabragg::engine::cuda {

namespace {

constexpr double steps_of_launch = 1e9;  ///< a few hundredths of a second
constexpr int most_pixels = 1 << 22,     ///< of all layers, whose light is on the card
    least_pixels = 1 << 14;
constexpr int points_of_part = 2048;  ///< that a warp goes back from
constexpr std::size_t bytes_of_sums = std::size_t{64} << 20;

bool is_flat(const PlanPanel& panel) { return panel.frame.curvature == Curvature::flat; }

/// The pixels of a panel with a weight.
struct WeightedPixels {
  struct Listed {
    int fast, slow;
    double weight;
  };
  RegionOfInterest region;     ///< that holds all of them
  std::vector<Listed> listed;  ///< of a list

  WeightedPixels(const Plan& plan, std::size_t number, const Pixels& pixels,
                 std::span<const double> weights)
      : region(plan.panels[number].roi) {
    if (pixels.all) return;
    for (std::size_t i = 0; i < pixels.list.size(); ++i)
      if (pixels.list[i].panel == static_cast<int>(number) && weights[i] != 0)
        listed.push_back({pixels.list[i].fast, pixels.list[i].slow, weights[i]});
    region = {0, -1, 0, -1};
    if (listed.empty()) return;
    region = {listed[0].fast, listed[0].fast, listed[0].slow, listed[0].slow};
    for (const Listed& pixel : listed) {
      region.fast_min = std::min(region.fast_min, pixel.fast);
      region.fast_max = std::max(region.fast_max, pixel.fast);
      region.slow_min = std::min(region.slow_min, pixel.slow);
      region.slow_max = std::max(region.slow_max, pixel.slow);
    }
  }
  bool empty() const {
    return region.fast_max < region.fast_min || region.slow_max < region.slow_min;
  }
};

/// Of some rows, each pixel's; empty: all are zero.  The derivative of pixels that a list names is
/// that of the rows with their weights, those that it names twice with the sum.
std::vector<double> weights_of_rows(const Plan& plan, std::size_t number,
                                    const WeightedPixels& wanted, const DevicePixels& rows,
                                    const Pixels& pixels, std::span<const double> weights) {
  const PlanPanel& panel = plan.panels[number];
  std::vector<double> of_rows(rows.count());
  bool any = false;
  const auto at = [&](int fast, int slow) -> double& {
    return of_rows[static_cast<std::size_t>(slow - rows.slow_min) *
                       static_cast<std::size_t>(rows.columns) +
                   static_cast<std::size_t>(fast - rows.fast_min)];
  };
  const auto put = [&](int fast, int slow, double weight) {
    at(fast, slow) += weight;
    any |= weight != 0;
  };
  if (pixels.all) {
    for (int slow = rows.slow_min; slow < rows.slow_min + rows.rows; ++slow)
      for (int fast = rows.fast_min; fast < rows.fast_min + rows.columns; ++fast)
        if (panel.visits(fast, slow))
          put(fast, slow, weights[panel.first_pixel + panel.offset_of(fast, slow)]);
  } else {
    for (const auto& [fast, slow, weight] : wanted.listed)
      if (slow >= rows.slow_min && slow < rows.slow_min + rows.rows) put(fast, slow, weight);
  }
  if (!any) of_rows.clear();
  return of_rows;
}

}  // namespace

/// What the adjoints of a panel's spots, of itself and of the light come to.
struct ClosedDerivatives::PanelSums {
  double value = 0;
  ViewAdjoints<double> view;
  std::vector<SpotSums<double>> spots;
};

ClosedGradientJob ClosedDerivatives::job_of(std::size_t number, const DevicePixels& pixels) const {
  const DevicePanel& panel = contents_.panel(number);
  ClosedGradientJob job;
  job.closed = &panel.spots->closed;
  job.plan = &panel.plan;
  job.pixels = pixels;
  job.blocks = opened_.plugin->blocks_of_gradient(pixels);
  return job;
}

std::size_t ClosedDerivatives::bytes_of_light(const ClosedGradientJob& job) const {
  return job.pixels.count() * static_cast<std::size_t>(job.plan->view.panel.sensor.layers) *
         (job.closed->single ? sizeof(float) : sizeof(double));
}

int ClosedDerivatives::pixels_at_once(std::size_t panel) const {
  const int most = most_pixels / plan_.panels[panel].sensor.layers;
  return static_cast<int>(std::clamp(steps_of_launch / contents_.panel(panel).spots->steps_of_pixel,
                                     double(std::min(least_pixels, most)), double(most)));
}

// ---- In reverse ---------------------------------------------------------------------------------

PlanGradient ClosedDerivatives::pull_back(const Pixels& pixels, std::span<const double> weights) {
  PlanGradient total;
  total.adjoint = zero_plan(plan_);
  if (plan_.lattice.grid)
    total.table = std::make_shared<StructureFactorGrid>(plan_.lattice.grid->min(),
                                                        plan_.lattice.grid->max(), 0.0);
  const PlanRay& ray = plan_.light.rays.front();
  Watch watch(options_, static_cast<int>(plan_.panels.size()));
  std::vector<std::vector<ClosedSpotAdjoints>> spots;
  for (std::size_t number = 0; number < plan_.panels.size(); ++number) {
    const PlanPanel& panel = plan_.panels[number];
    PanelSums sums;
    sums.view.clear();
    sums.spots.resize(found_.panels[number].size());
    const WeightedPixels wanted(plan_, number, pixels, weights);
    if (!wanted.empty()) {
      const RegionOfInterest& region = wanted.region;
      DevicePixels rows;
      rows.fast_min = region.fast_min;
      rows.columns = region.fast_max - region.fast_min + 1;
      const int at_once = std::max(1, pixels_at_once(number) / rows.columns);
      for (int slow = region.slow_min; slow <= region.slow_max; slow += at_once) {
        rows.slow_min = slow;
        rows.rows = std::min(at_once, region.slow_max - slow + 1);
        const auto of_rows = weights_of_rows(plan_, number, wanted, rows, pixels, weights);
        if (!of_rows.empty()) pull_back_rows(number, rows, of_rows, sums);
        watch.check();
      }
    }
    // What panel and light are of the places of its spots
    std::vector<ClosedSpotAdjoints>& of_panel = spots.emplace_back(sums.spots.size());
    for (std::size_t i = 0; i < of_panel.size(); ++i) {
      const SpotSums<double>& from = sums.spots[i];
      if (from.light == 0 && from.d == Vec3d{}) continue;
      of_panel[i] = {from.numbers, from.d, from.light, true};
      pull_back_wave(ray, from, sums.view);
      const ClosedSpot& spot = *found_.panels[number][i];
      if (is_flat(panel))
        pull_back_anchor(panel, ray,
                         sensor_spot(seen_at(static_cast<const PanelNumbers&>(panel), spot.layer,
                                             plan_.oversample, spot.anchor_fast, spot.anchor_slow)),
                         from, sums.view);
    }
    complete_frame(panel.frame, sums.view.numbers.panel.frame);
    sums.view.for_each([](const double& adjoint, double& to) { to += adjoint; }, total.adjoint,
                       number);
    total.value += sums.value;
    watch.finish_part();
    watch.check();
  }
  engine::pull_back_spots(found_, spots, kernels_of_this_machine().closed_gradient(), options_,
                          total);
  add_materials(plan_, pixels, weights, options_, total);
  return total;
}

void ClosedDerivatives::pull_back_rows(std::size_t number, const DevicePixels& rows,
                                       std::span<const double> weights, PanelSums& sums) const {
  ClosedGradientJob job = job_of(number, rows);
  const auto weights_on_card = on_device(device(), weights.data(), weights.size());
  const DeviceArray<unsigned char> light(device(), bytes_of_light(job));
  const DeviceArray<double> of_blocks(device(),
                                      sums_of_view * static_cast<std::size_t>(job.blocks)),
      of_view(device(), sums_of_view);
  job.weights = weights_on_card.data();
  job.light = light.data();
  job.of_blocks = of_blocks.data();
  job.sums = of_view.data();
  for (const ClosedStage stage : {ClosedStage::light, ClosedStage::factors}) {
    job.stage = stage;
    device().differentiate(job);
  }
  device().wait();
  std::array<double, sums_of_view> on_host;
  device().download(on_host.data(), of_view.data(), of_view.bytes());
  const double* next = on_host.data();
  for_each_number_of_view([&](double& x) { x += *next++; }, sums.view);
  sums.value += *next;
  job.stage = ClosedStage::spots;
  pull_back_spots(job, number, sums);
}

void ClosedDerivatives::pull_back_spots(ClosedGradientJob& job, std::size_t number,
                                        PanelSums& sums) const {
  const std::vector<const ClosedSpot*>& spots = found_.panels[number];
  const bool flat = is_flat(plan_.panels[number]);
  const auto columns = static_cast<std::size_t>(sums_of_spot(found_.terms, !flat));
  const DevicePixels& rows = job.pixels;
  std::vector<SpotPart> parts;
  std::vector<double> of_parts;
  DeviceArray<double> sums_on_card;
  double steps = 0;
  const auto run = [&] {
    if (parts.empty()) return;
    const auto parts_on_card = on_device(device(), parts.data(), parts.size());
    of_parts.resize(parts.size() * columns);
    if (sums_on_card.size() < of_parts.size())
      sums_on_card = DeviceArray<double>(device(), of_parts.size());
    job.parts = parts_on_card.data();
    job.part_count = static_cast<int>(parts.size());
    job.of_parts = sums_on_card.data();
    device().differentiate(job);
    device().wait();
    device().download(of_parts.data(), sums_on_card.data(), of_parts.size() * sizeof(double));
    const double* next = of_parts.data();
    const auto add = [&](double& x) { x += *next++; };
    physics::with_terms(found_.terms, [&]<bool band, bool slice, bool second>() {
      for (const SpotPart& part : parts) {
        for_each_sum_of_spot<band, slice, second>(add, true, flat, sums.spots[part.spot]);
        if (flat) continue;
        for_each_number_of_panel(add, sums.view.numbers.panel);
        add(sums.view.ray.wavenumber);
      }
    });
    parts.clear();
    steps = 0;
  };
  for (std::size_t i = 0; i < spots.size(); ++i) {
    const ClosedSpot& spot = *spots[i];
    SpotPart part;
    part.spot = static_cast<std::uint32_t>(i);
    part.fast_min = std::max(spot.fast_min, rows.fast_min);
    part.slow_min = std::max(spot.slow_min, rows.slow_min);
    part.columns = std::min(spot.fast_max, rows.fast_min + rows.columns - 1) - part.fast_min + 1;
    const int height = std::min(spot.slow_max, rows.slow_min + rows.rows - 1) - part.slow_min + 1;
    if (part.columns <= 0 || height <= 0) continue;
    const int points = spot.subpixels_fast * spot.subpixels_slow, pixels = part.columns * height,
              of_part = std::max(32, points_of_part / points);
    for (part.first = 0; part.first < pixels; part.first += of_part) {
      part.end = std::min(pixels, part.first + of_part);
      const double more = double(part.end - part.first) * points;
      if (steps + more > steps_of_launch ||
          (parts.size() + 1) * columns * sizeof(double) > bytes_of_sums)
        run();
      parts.push_back(part);
      steps += more;
    }
  }
  run();
}

// ---- Forwards -----------------------------------------------------------------------------------

/// Along some tangents, by how much a slope of a pixel grows with each sum of its points of a spot.
class ClosedDerivatives::SpotTangents {
 public:
  SpotTangents(const ClosedDerivatives& of, const WantedSpots& wanted,
               std::span<const Plan* const> tangents, const StructureFactorGrid* table_of_last) {
    std::vector<ClosedTangent> all;
    for (std::size_t t = 0; t < tangents.size(); ++t)
      all.push_back(tangent_of_spots(of.found_, wanted, *tangents[t],
                                     t + 1 == tangents.size() ? table_of_last : nullptr,
                                     of.options_));
    for (std::size_t number = 0; number < of.plan_.panels.size(); ++number) {
      if (of.contents_.panel(number).spots->closed.single)
        panels_.push_back(on_card(of, number, wanted[number], all,
                                  [](double x) { return static_cast<float>(x); }));
      else
        panels_.push_back(on_card(of, number, wanted[number], all, [](double x) { return x; }));
    }
  }
  const void* of_panel(std::size_t number) const { return panels_[number].data(); }

 private:
  template <class Convert>
  static DeviceArray<unsigned char> on_card(const ClosedDerivatives& of, std::size_t number,
                                            const std::vector<char>& wanted,
                                            std::span<const ClosedTangent> tangents,
                                            Convert&& convert) {
    using Real = decltype(convert(0.0));
    const std::vector<const ClosedSpot*>& spots = of.found_.panels[number];
    const PlanPanel& panel = of.plan_.panels[number];
    const bool flat = is_flat(panel);
    const auto columns = static_cast<std::size_t>(sums_of_spot(of.found_.terms, !flat) -
                                                  (flat ? 0 : sums_of_curved_panel));
    std::vector<Real> rows(tangents.size() * spots.size() * columns);
    with_threads(of.options_.threads, [&] {
      tbb::parallel_for(std::size_t{0}, spots.size(), [&](std::size_t i) {
        if (!wanted[i]) return;
        for (std::size_t t = 0; t < tangents.size(); ++t) {
          const SpotSums<double> row = row_of(of, number, *spots[i], tangents[t].panels[number][i],
                                              *tangents[t].plan);
          Real* next = rows.data() + (t * spots.size() + i) * columns;
          physics::with_terms(of.found_.terms, [&]<bool band, bool slice, bool second>() {
            for_each_sum_of_spot<band, slice, second>(
                [&](const double& x) { *next++ = convert(x); }, true, flat, row);
          });
        }
      });
    });
    DeviceArray<unsigned char> array(of.device(), rows.size() * sizeof(Real));
    if (!rows.empty()) of.device().upload(array.data(), rows.data(), array.bytes());
    return array;
  }

  static SpotSums<double> row_of(const ClosedDerivatives& of, std::size_t number,
                                 const ClosedSpot& spot, const ClosedSpotTangent& change,
                                 const Plan& tangent) {
    const PlanPanel& panel = of.plan_.panels[number];
    const PlanRay& ray = of.plan_.light.rays.front();
    SpotSums<double> row{}, one{};
    row.numbers = change.spot;
    row.light = change.amplitude;
    row.d = change.d;
    // And through panel and light, to which its place is pulled back
    const auto anchor = sensor_spot(seen_at(static_cast<const PanelNumbers&>(panel), spot.layer,
                                            of.plan_.oversample, spot.anchor_fast,
                                            spot.anchor_slow));
    const auto add_view = [&](double& sum, double& to) {
      sum = 1;
      ViewAdjoints<double> view;
      view.clear();
      pull_back_wave(ray, one, view);
      if (is_flat(panel)) pull_back_anchor(panel, ray, anchor, one, view);
      complete_frame(panel.frame, view.numbers.panel.frame);
      view.for_each([&](const double& adjoint, const double& slope) { to += adjoint * slope; },
                    tangent, number);
      sum = 0;
    };
    for_each_component(add_view, one.d, row.d);
    if (!is_flat(panel)) return row;
    for_each_component(add_view, one.position, row.position);
    for_each_component(add_view, one.by_x, row.by_x);
    for_each_component(add_view, one.by_y, row.by_y);
    add_view(one.along, row.along);
    return row;
  }

  std::vector<DeviceArray<unsigned char>> panels_;
};

namespace {

WantedSpots wanted_spots(const Plan& plan, const ClosedPlan& found, const Pixels& pixels) {
  WantedSpots wanted;
  for (std::size_t number = 0; number < plan.panels.size(); ++number) {
    wanted.emplace_back(found.panels[number].size(), pixels.all);
    if (pixels.all) continue;
    const SpotsOfTiles tiles(plan.panels[number].frame, found.panels[number]);
    for (const PixelIndex& pixel : pixels.list)
      if (pixel.panel == static_cast<int>(number))
        for (const std::uint32_t spot : tiles.at(pixel.fast, pixel.slow)) wanted[number][spot] = 1;
  }
  return wanted;
}

}  // namespace

void ClosedDerivatives::push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                                     const StructureFactorGrid* table_tangent,
                                     std::span<double> photons, std::span<double> slopes) {
  const std::size_t columns = tangents.size();
  const WantedSpots wanted = wanted_spots(plan_, found_, pixels);
  int at_once = most_pixels;
  for (std::size_t number = 0; number < plan_.panels.size(); ++number)
    at_once = std::min(at_once, pixels_at_once(number));
  const std::vector<PixelPart> parts = parts_of(plan_, pixels, at_once);
  const std::size_t groups = std::max<std::size_t>(1,
                                                   (columns + most_tangents - 1) / most_tangents);
  Watch watch(options_, static_cast<int>(std::max<std::size_t>(1, groups * parts.size())));
  // Without tangents photons are asked for all the same
  for (std::size_t first = 0; first == 0 || first < columns; first += most_tangents) {
    const auto some = tangents.subspan(first,
                                       std::min<std::size_t>(most_tangents, columns - first));
    const SpotTangents of_spots(*this, wanted, some,
                                first + some.size() == columns ? table_tangent : nullptr);
    for (const PixelPart& part : parts) {
      std::vector<DeviceTangent> directions(some.size());
      for (std::size_t t = 0; t < some.size(); ++t) {
        const Plan& tangent = *some[t];
        directions[t].numbers = {tangent, tangent.panels[part.panel], tangent.light,
                                 tangent.lattice};
        directions[t].first_ray = tangent.light.rays.front();
      }
      const auto directions_on_card = on_device(device(), directions.data(), directions.size());
      const auto list = on_device(device(), part.list.data(), part.list.size());
      DevicePixels where = part.pixels;
      if (part.list.empty()) {
        where.keep = contents_.panel(part.panel).keep.data();
      } else {
        where.list = list.data();
        where.listed = static_cast<int>(part.list.size());
      }
      ClosedGradientJob job = job_of(part.panel, where);
      const DeviceArray<unsigned char> light(device(), bytes_of_light(job));
      const DeviceArray<double> of_pixels(device(), part.count() * (1 + some.size()));
      device().clear(of_pixels.data(), of_pixels.bytes());
      job.light = light.data();
      job.photons = of_pixels.data();
      job.slopes = of_pixels.data() + part.count();
      job.tangent_count = static_cast<int>(some.size());
      job.tangents = directions_on_card.data();
      job.spot_tangents = of_spots.of_panel(part.panel);
      job.spot_count = static_cast<int>(found_.panels[part.panel].size());
      for (const ClosedStage stage : {ClosedStage::light, ClosedStage::factors}) {
        job.stage = stage;
        device().differentiate(job);
      }
      device().wait();
      std::vector<double> on_host(of_pixels.size());
      device().download(on_host.data(), of_pixels.data(), of_pixels.bytes());
      for (std::size_t i = 0; i < part.count(); ++i) {
        if (first == 0) photons[part.places[i]] += on_host[i];
        for (std::size_t t = 0; t < some.size(); ++t)
          slopes[part.places[i] * columns + first + t] += on_host[part.count() + i * some.size() +
                                                                  t];
      }
      watch.finish_part();
      watch.check();
    }
  }
  add_materials(plan_, pixels, tangents, options_, photons, slopes);
}

}  // namespace nablabragg::engine::cuda
