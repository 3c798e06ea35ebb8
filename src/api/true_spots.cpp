// Which reflections an image holds, where they are and how much of its light is theirs.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "model/resolution.hpp"
#include "model/spot_width.hpp"
#include "nablabragg/series_truth.hpp"
#include "nablabragg/simulate.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace {

/// A spot's light is looked for this far from its middle along both axes.
constexpr int reach_px = 4;

/// The pixels of a panel around a spot.
struct Box {
  int fast_begin, fast_end, slow_begin, slow_end;

  Box(const PredictedSpot& spot, const PanelImage& panel) {
    const auto around = [](double middle, int pixels, int& begin, int& end) {
      const int at = static_cast<int>(std::floor(middle));
      begin = std::clamp(at - reach_px, 0, pixels);
      end = std::clamp(at + reach_px + 1, 0, pixels);
    };
    around(spot.fast_px, panel.fast_pixels, fast_begin, fast_end);
    around(spot.slow_px, panel.slow_pixels, slow_begin, slow_end);
  }

  /// Calls f(number of the pixel in the image, its squared distance from the spot).
  template <class F>
  void for_each(const PredictedSpot& spot, const PanelImage& panel, F&& f) const {
    for (int slow = slow_begin; slow < slow_end; ++slow)
      for (int fast = fast_begin; fast < fast_end; ++fast) {
        const double x = fast + 0.5 - spot.fast_px, y = slow + 0.5 - spot.slow_px;
        f(panel.first_pixel +
              static_cast<std::size_t>(slow) * static_cast<std::size_t>(panel.fast_pixels) +
              static_cast<std::size_t>(fast),
          x * x + y * y);
      }
  }
};

/// The photons of each spot of `numbers`: a pixel's light is that of the nearest of them.
std::vector<SpotLight> light_near(std::span<const PredictedSpot> spots,
                                  std::span<const std::int64_t> numbers, const Image& image) {
  std::vector<PanelImage> panels;
  for (std::size_t i = 0; i < image.panels(); ++i) panels.push_back(image.panel(i));
  struct Claim {
    std::size_t pixel;
    double distance2;
    std::size_t spot;  ///< in `numbers`
    bool operator<(const Claim& other) const {
      return std::tie(pixel, distance2, spot) < std::tie(other.pixel, other.distance2, other.spot);
    }
  };
  std::vector<Claim> claims;
  for (std::size_t n = 0; n < numbers.size(); ++n) {
    const PredictedSpot& spot = spots[static_cast<std::size_t>(numbers[n])];
    const PanelImage& panel = panels[static_cast<std::size_t>(spot.panel)];
    Box(spot, panel).for_each(spot, panel, [&](std::size_t pixel, double distance2) {
      if (image.pixels[pixel] != 0) claims.push_back({pixel, distance2, n});
    });
  }
  std::ranges::sort(claims, std::less());
  std::vector<double> photons(numbers.size());
  for (std::size_t i = 0; i < claims.size(); ++i)
    if (i == 0 || claims[i].pixel != claims[i - 1].pixel)
      photons[claims[i].spot] += double(image.pixels[claims[i].pixel]);
  std::vector<SpotLight> light;
  for (std::size_t n = 0; n < numbers.size(); ++n)
    if (photons[n] > 0) light.emplace_back(numbers[n], photons[n]);
  return light;
}

std::vector<std::int64_t> all_numbers(std::size_t count) {
  std::vector<std::int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

double finest_d_A(const SettledExperiment& e) {
  const double asked = e.experiment().sampling.dmin_A;
  return asked > 0 ? asked : 1e10 / model::largest_q(e.resolved());
}

/// How far a reflection may be from the Ewald sphere and still shine, in 1/Angstrom along its ray,
/// as a sum of what widens it; of several crystals the farthest.
class Extent {
 public:
  explicit Extent(const SettledExperiment& settled) {
    const Experiment& e = settled.experiment();
    const Resolved& r = settled.resolved();
    constexpr double deviations = 3;
    const bool gaussian = e.crystal.mosaic_model == Distribution::gaussian;
    double spread_deg = e.crystal.mosaic_spread_deg.value_or(0);
    if (e.crystal.mosaic_spread_axes_deg) {
      const Vec3d& axes = *e.crystal.mosaic_spread_axes_deg;
      spread_deg = std::max({axes.x, axes.y, axes.z});
    }
    Vec3d edges_m = model::edges_of_spots_m(e, r);
    for (std::size_t i = 0; i < r.more_crystals.size(); ++i) {
      spread_deg = std::max(spread_deg, e.more_crystals[i].mosaic_spread_deg.value_or(0));
      const Vec3d others_m = model::edges_of_spots_m(e, r.more_crystals[i]);
      edges_m = {std::min(edges_m.x, others_m.x), std::min(edges_m.y, others_m.y),
                 std::min(edges_m.z, others_m.z)};
    }
    rotation_ = units::radians_from_degrees(spread_deg) * (gaussian ? deviations : 1);
    for (const auto* divergence :
         {&e.beam.horizontal_divergence_mrad, &e.beam.vertical_divergence_mrad})
      rotation_ = rotation_ + divergence->range.value_or(0) / 1000;
    band_ = e.beam.dispersion_percent.range.value_or(0) / 100;
    // Lengths of q change by as much as edges, its direction by as much as angles.
    if (e.crystal.cell_spread_A) {
      const Vec3d& sigma = *e.crystal.cell_spread_A;
      const Mat3d& axes = r.axes.real_A;
      radial_ = deviations * std::max({sigma.x / length(axes.a), sigma.y / length(axes.b),
                                       sigma.z / length(axes.c)});
    }
    if (e.crystal.cell_angle_spread_deg) {
      const Vec3d& sigma = *e.crystal.cell_angle_spread_deg;
      radial_ += deviations * units::radians_from_degrees(sigma.x + sigma.y + sigma.z);
    }
    block_per_A_ = 1.5e-10 / std::min({edges_m.x, edges_m.y, edges_m.z});
  }

  double operator()(const Vec3d& q, const Vec3d& towards) const {
    const double along = dot(q, towards), size2 = dot(q, q);
    return block_per_A_ + radial_ * std::sqrt(size2) +
           rotation_ * std::sqrt(std::max(0.0, size2 - along * along)) + band_ * std::abs(along);
  }

 private:
  double rotation_ = 0, radial_ = 0, band_ = 0, block_per_A_ = 0;
};

/// The share of a Gaussian between two places.
double gaussian_between(double from, double to, double deviation) {
  const auto below = [&](double x) { return std::erfc(-x / deviation / std::sqrt(2.0)) / 2; };
  return deviation > 0 ? below(to) - below(from) : 1;
}

}  // namespace

Geometry geometry_of(const Series& series) {
  Geometry geometry = geometry_of(series.in_mean_light());
  if (geometry.scan) geometry.scan->images = series.images();
  return geometry;
}

std::vector<PredictedSpot> true_spots(const SettledExperiment& experiment, const Image& image) {
  SeriesTruth truth(Series(experiment.experiment(), 1));
  truth.add(0, truth.light_of(0, image));
  return truth.spots();
}

std::vector<PredictedSpot> SeriesTruth::predicted_for(int i) const {
  const SettledExperiment e(series_.experiment(i));
  return predicted_spots(geometry_of(e), finest_d_A(e));
}

SeriesTruth::SeriesTruth(const Series& series) : series_(series) {
  const SettledExperiment first(series.in_mean_light());
  const Geometry geometry = geometry_of(series);
  if (!geometry.scan) {
    of_stills_.resize(static_cast<std::size_t>(series.images()));
    return;
  }
  of_scan_ = predicted_spots(geometry, finest_d_A(first));
  const Extent extent(first);
  const Vec3d axis = unit(geometry.scan->spindle_axis);
  constexpr double longest_deg = 5;  // of what hardly moves through the sphere
  for (PredictedSpot& spot : of_scan_) {
    const GeometryPanel& panel = geometry.panels[static_cast<std::size_t>(spot.panel)];
    const Vec3d towards = unit(panel.origin_mm +
                               (spot.fast_px * panel.fast_pixel_mm) * panel.fast_axis +
                               (spot.slow_px * panel.slow_pixel_mm) * panel.slow_axis);
    const Vec3d q = (towards - unit(geometry.beam->direction)) / geometry.beam->wavelength_A;
    const double speed = std::abs(dot(cross(axis, q), towards));  // 1/Angstrom a radian
    const double reach_deg = std::min(
        longest_deg, units::degrees_from_radians(extent(q, towards) / std::max(speed, 1e-30)));
    const double reach = reach_deg / geometry.scan->width_deg;
    reach_images_.push_back(reach);
    longest_reach_ = std::max(longest_reach_, reach);
    constexpr double deviations = 3;
    spot.partiality = gaussian_between(-spot.frame, series.images() - spot.frame,
                                       reach / deviations);
  }
  by_frame_ = all_numbers(of_scan_.size());
  std::ranges::stable_sort(
      by_frame_, {}, [&](std::int64_t n) { return of_scan_[static_cast<std::size_t>(n)].frame; });
}

std::vector<SpotLight> SeriesTruth::light_of(int i, const Image& image) const {
  if (of_scan_.empty()) {
    const std::vector<PredictedSpot> spots = predicted_for(i);
    return light_near(spots, all_numbers(spots.size()), image);
  }
  const auto frame_of = [&](std::int64_t n) { return of_scan_[static_cast<std::size_t>(n)].frame; };
  std::vector<std::int64_t> near;
  for (auto at = std::ranges::lower_bound(by_frame_, i - longest_reach_, {}, frame_of);
       at != by_frame_.end() && frame_of(*at) <= i + 1 + longest_reach_; ++at) {
    const double reach = reach_images_[static_cast<std::size_t>(*at)], frame = frame_of(*at);
    if (frame >= i - reach && frame <= i + 1 + reach) near.push_back(*at);
  }
  return light_near(of_scan_, near, image);
}

void SeriesTruth::add(int i, std::span<const SpotLight> light) {
  if (of_stills_.empty()) {
    for (const auto& [number, photons] : light)
      of_scan_.at(static_cast<std::size_t>(number)).photons += photons;
    return;
  }
  const std::vector<PredictedSpot> spots = predicted_for(i);
  std::vector<PredictedSpot>& lit = of_stills_.at(static_cast<std::size_t>(i));
  for (const auto& [number, photons] : light) {
    lit.push_back(spots.at(static_cast<std::size_t>(number)));
    lit.back().photons = photons;
    lit.back().experiment += i * (1 + static_cast<int>(series_.experiment(i).more_crystals.size()));
  }
}

std::vector<PredictedSpot> SeriesTruth::spots() const {
  std::vector<PredictedSpot> all;
  std::ranges::copy_if(of_scan_, std::back_inserter(all),
                       [](const PredictedSpot& spot) { return spot.photons > 0; });
  for (const std::vector<PredictedSpot>& still : of_stills_)
    all.insert(all.end(), still.begin(), still.end());
  return all;
}

}  // namespace nablabragg
