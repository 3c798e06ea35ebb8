// Regions are summed on their own, each in a fixed order, and then one after the other: the same
// bits for any number of threads.
#include "readout/statistics.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <cmath>
#include <span>
#include <tuple>

#include "readout/row_kernels.hpp"

namespace nablabragg::readout {

namespace {

std::int64_t pixels_of(const RegionOfInterest& roi) {
  return std::int64_t{roi.fast_max + 1 - roi.fast_min} * (roi.slow_max + 1 - roi.slow_min);
}

/// Pixels of a region that the mean counts, and those that the deviation does.
struct RegionSums {
  std::int64_t pixels = 0;
  BlockSums visited;
  std::int64_t counted = 0;
  double mean = 0, deviation = 0;  ///< squared, about that mean
};

/// Rows of the region of interest, or, where no pixel is masked, what was written of it.
std::vector<PanelRegion> summed_regions(const Plan& plan,
                                        const std::optional<std::vector<PanelRegion>>& written) {
  std::vector<PanelRegion> regions;
  auto next = written ? written->begin() : std::vector<PanelRegion>::const_iterator();
  for (std::size_t p = 0; p < plan.panels.size(); ++p) {
    const auto panel = static_cast<int>(p);
    const bool by_rows = !written || plan.panels[p].mask;
    if (written)
      for (; next != written->end() && next->panel == panel; ++next)
        if (!by_rows) regions.push_back(*next);
    if (!by_rows) continue;
    RegionOfInterest row = plan.panels[p].roi;
    for (int slow = plan.panels[p].roi.slow_min; slow <= plan.panels[p].roi.slow_max; ++slow) {
      row.slow_min = row.slow_max = slow;
      regions.push_back({panel, row});
    }
  }
  return regions;
}

}  // namespace

Statistics image_statistics(const Plan& plan, const Image& image, bool count_masked,
                            const std::optional<std::vector<PanelRegion>>& written) {
  const SumBlock sum_block = row_kernels().sum_block;
  std::vector<PanelImage> images;
  for (std::size_t p = 0; p < plan.panels.size(); ++p) images.push_back(image.panel(p));
  const std::vector<PanelRegion> regions = summed_regions(plan, written);

  const auto sums_of = [&](const PanelRegion& region, std::vector<float>& visited) {
    const auto p = static_cast<std::size_t>(region.panel);
    const RegionOfInterest& roi = region.pixels;
    RegionSums sums;
    sums.counted = pixels_of(roi);
    if (sums.counted == 0) return sums;
    const PixelBlock all{&images[p].row(roi.slow_min)[static_cast<std::size_t>(roi.fast_min)],
                         static_cast<std::size_t>(roi.fast_max + 1 - roi.fast_min),
                         static_cast<std::size_t>(roi.slow_max + 1 - roi.slow_min),
                         static_cast<std::size_t>(images[p].fast_pixels)};
    BlockSums of_all;
    if (!plan.panels[p].mask || count_masked) of_all = sum_block(all);
    sums.pixels = sums.counted;
    sums.visited = of_all;
    if (plan.panels[p].mask) {
      visited.clear();
      for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow)
        for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
          if (plan.panels[p].visits(fast, slow)) visited.push_back(images[p].at(fast, slow));
      sums.pixels = static_cast<std::int64_t>(visited.size());
      sums.visited = {};
      if (!visited.empty()) sums.visited = sum_block({visited.data(), visited.size(), 1, 0});
      if (!count_masked) {
        of_all = sums.visited;
        sums.counted = sums.pixels;
      }
    }
    sums.mean = of_all.mean;
    sums.deviation = of_all.deviation;
    return sums;
  };
  std::vector<RegionSums> sums(regions.size());
  constexpr std::size_t regions_at_least = 16;  // fewer are not worth another thread
  tbb::parallel_for(tbb::blocked_range<std::size_t>(0, regions.size(), regions_at_least),
                    [&](const tbb::blocked_range<std::size_t>& range) {
                      std::vector<float> visited;
                      for (std::size_t i = range.begin(); i != range.end(); ++i)
                        sums[i] = sums_of(regions[i], visited);
                    });

  Statistics s;
  double sum_of_squares = 0;
  std::int64_t counted = 0, dark = 0;
  if (written)
    for (const PlanPanel& panel : plan.panels)
      if (!panel.mask) dark += pixels_of(panel.roi);
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const RegionSums& region = sums[i];
    s.pixels += region.pixels;
    counted += region.counted;
    if (written && !plan.panels[static_cast<std::size_t>(regions[i].panel)].mask)
      dark -= region.counted;
    s.sum += region.visited.sum;
    sum_of_squares += region.visited.squares;
    if (static_cast<double>(region.visited.max) > s.max)
      s.max = static_cast<double>(region.visited.max);
  }
  s.pixels += dark;
  counted += dark;
  const auto degrees_of_freedom = [](std::int64_t n) {
    return static_cast<double>(n > 1 ? n - 1 : 1);
  };
  s.mean = s.sum / static_cast<double>(s.pixels > 0 ? s.pixels : 1);
  s.rms = std::sqrt(sum_of_squares / degrees_of_freedom(s.pixels));

  // About the image's mean: about the region's own, and that mean's distance for every pixel
  double deviation = static_cast<double>(dark) * s.mean * s.mean;
  for (const RegionSums& region : sums) {
    const double off = region.mean - s.mean;
    deviation += region.deviation + static_cast<double>(region.counted) * off * off;
  }
  s.rmsd = std::sqrt(deviation / degrees_of_freedom(counted));

  // The first pixel that holds the maximum; regions that do may lie side by side.
  for (std::size_t i = 0; s.max > 0 && i < regions.size(); ++i) {
    if (static_cast<double>(sums[i].visited.max) != s.max) continue;
    const int p = regions[i].panel;
    const RegionOfInterest& roi = regions[i].pixels;
    const auto panel = static_cast<std::size_t>(p);
    int fast = roi.fast_min, slow = roi.slow_min;
    while (!plan.panels[panel].visits(fast, slow) ||
           static_cast<double>(images[panel].at(fast, slow)) != s.max)
      if (++fast > roi.fast_max) {
        fast = roi.fast_min;
        ++slow;
      }
    if (s.max_slow < 0 ||
        std::tuple(p, slow, fast) < std::tuple(s.max_panel, s.max_slow, s.max_fast)) {
      s.max_panel = p;
      s.max_slow = slow;
      s.max_fast = fast;
    }
  }
  if (s.max_slow >= 0) {
    const PlanFrame& frame = plan.panels[static_cast<std::size_t>(s.max_panel)].frame;
    const double step = frame.pixel / plan.oversample;
    const auto last = [&](int pixel) {
      return step * (double(pixel) * plan.oversample + plan.oversample - 1) + step / 2;
    };
    s.max_fast_m = last(s.max_fast);
    s.max_slow_m = frame.slow_edge * last(s.max_slow);
  }
  return s;
}

}  // namespace nablabragg::readout
