#include "nablabragg/spread_pixels.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "readout/point_spread.hpp"

namespace nablabragg {

namespace {

/// Beyond which a source leaves little enough.
int reach_of(const PointSpread& spread, readout::PixelGrid grid, double little) {
  constexpr int most = 12;
  for (int reach = 0; reach < most; ++reach) {
    grid.fast_pixels = grid.slow_pixels = 2 * reach + 1;
    if (1 - readout::share_on_panel(spread, grid, reach, reach) < little) return reach;
  }
  return most;
}

}  // namespace

SpreadPixels::SpreadPixels(const Experiment& experiment,
                           const std::optional<PointSpread>& point_spread,
                           std::vector<PixelIndex> pixels, double beyond)
    : pixels_(std::move(pixels)), spread_(point_spread) {
  if (!point_spread) {
    sources_ = pixels_;
    return;
  }
  check_point_spread(*point_spread);
  const Resolved resolved = resolve(experiment);
  const std::size_t panels = 1 + resolved.more_panels.size();
  for (std::size_t i = 0; i < panels; ++i)
    reach_ = std::max(reach_,
                      reach_of(*point_spread, readout::grid_of(panel_of(resolved, i)), beyond));
  for (std::size_t i = 0; i < panels; ++i) {
    const readout::PixelGrid grid = readout::grid_of(panel_of(resolved, i));
    PanelMap& panel = panels_.emplace_back();
    panel.fast_pixels = grid.fast_pixels;
    panel.slow_pixels = grid.slow_pixels;
    panel.fast_um = grid.fast_um;
    panel.slow_um = grid.slow_um;
    panel.sources.assign(PanelExtent{grid.fast_pixels, grid.slow_pixels}.pixels(), -1);
  }
  set_shares();
  for (const PixelIndex& p : pixels_) {
    if (p.panel < 0 || static_cast<std::size_t>(p.panel) >= panels || p.fast < 0 || p.slow < 0 ||
        p.fast >= panels_[static_cast<std::size_t>(p.panel)].fast_pixels ||
        p.slow >= panels_[static_cast<std::size_t>(p.panel)].slow_pixels)
      throw UsageError("pixel (fast " + std::to_string(p.fast) + ", slow " +
                       std::to_string(p.slow) + ") of panel " + std::to_string(p.panel) +
                       " is not on the detector");
    PanelMap& panel = panels_[static_cast<std::size_t>(p.panel)];
    for (int slow = std::max(p.slow - reach_, 0);
         slow <= std::min(p.slow + reach_, panel.slow_pixels - 1); ++slow)
      for (int fast = std::max(p.fast - reach_, 0);
           fast <= std::min(p.fast + reach_, panel.fast_pixels - 1); ++fast) {
        std::int32_t& source = panel.sources[static_cast<std::size_t>(slow) *
                                                 static_cast<std::size_t>(panel.fast_pixels) +
                                             static_cast<std::size_t>(fast)];
        if (source >= 0) continue;
        source = static_cast<std::int32_t>(sources_.size());
        sources_.push_back({fast, slow, p.panel});
      }
  }
}

void SpreadPixels::set_shares() {
  for (PanelMap& panel : panels_) {
    const readout::PixelGrid grid{panel.fast_pixels, panel.slow_pixels, panel.fast_um,
                                  panel.slow_um};
    panel.shares.clear();
    panel.slopes.clear();
    for (int slow = -reach_; slow <= reach_; ++slow)
      for (int fast = -reach_; fast <= reach_; ++fast) {
        panel.shares.push_back(readout::share_of_pixel(*spread_, grid, fast, slow));
        panel.slopes.push_back(readout::share_slope_of_pixel(*spread_, grid, fast, slow));
      }
  }
}

void SpreadPixels::set_fwhm_um(double fwhm_um) {
  if (!spread_) throw UsageError("there is no point spread, whose width could be another one");
  PointSpread other = *spread_;
  other.fwhm_um = fwhm_um;
  check_point_spread(other);
  spread_ = other;
  set_shares();
}

/// visit(pixel, source, share), the share being one of `numbers`
template <class Visit>
void SpreadPixels::for_each_share(std::vector<double> PanelMap::*numbers, Visit&& visit) const {
  const int edge = 2 * reach_ + 1;
  for (std::size_t i = 0; i < pixels_.size(); ++i) {
    const PixelIndex& p = pixels_[i];
    const PanelMap& panel = panels_[static_cast<std::size_t>(p.panel)];
    for (int slow = std::max(p.slow - reach_, 0);
         slow <= std::min(p.slow + reach_, panel.slow_pixels - 1); ++slow)
      for (int fast = std::max(p.fast - reach_, 0);
           fast <= std::min(p.fast + reach_, panel.fast_pixels - 1); ++fast) {
        const std::int32_t source = panel.sources[static_cast<std::size_t>(slow) *
                                                      static_cast<std::size_t>(panel.fast_pixels) +
                                                  static_cast<std::size_t>(fast)];
        const auto share = static_cast<std::size_t>((slow - p.slow + reach_) * edge + fast -
                                                    p.fast + reach_);
        visit(i, static_cast<std::size_t>(source), (panel.*numbers)[share]);
      }
  }
}

std::vector<double> SpreadPixels::spread(std::vector<double> of_sources,
                                         std::size_t columns) const {
  if (panels_.empty()) return of_sources;
  std::vector<double> all(pixels_.size() * columns);
  for_each_share(&PanelMap::shares, [&](std::size_t pixel, std::size_t source, double share) {
    for (std::size_t c = 0; c < columns; ++c)
      all[pixel * columns + c] += share * of_sources[source * columns + c];
  });
  return all;
}

std::vector<double> SpreadPixels::slopes_by_fwhm(std::span<const double> of_sources) const {
  std::vector<double> all(pixels_.size());
  if (panels_.empty()) return all;
  for_each_share(&PanelMap::slopes, [&](std::size_t pixel, std::size_t source, double slope) {
    all[pixel] += slope * of_sources[source];
  });
  return all;
}

void SpreadPixels::pull_back(std::span<const double> by_pixels,
                             std::span<double> by_sources) const {
  if (panels_.empty()) {
    std::ranges::copy(by_pixels, by_sources.begin());
    return;
  }
  std::ranges::fill(by_sources, 0.0);
  for_each_share(&PanelMap::shares, [&](std::size_t pixel, std::size_t source, double share) {
    by_sources[source] += share * by_pixels[pixel];
  });
}

}  // namespace nablabragg
