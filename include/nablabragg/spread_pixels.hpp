// Some pixels behind a point spread: whose light reaches them, and how much of it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>
#include "nablabragg/detector_response.hpp"
#include "nablabragg/image.hpp"  // for PixelIndex

namespace nablabragg {

/// Pixels and those around them on their panel, as far as light of one pixel leaves `beyond` of
/// itself beyond, or twelve pixels: what comes from further away to a fibre's tails is smooth, and
/// missing.
class SpreadPixels {
 public:
  /// Without a point spread each pixel has its own light.  Throws UsageError as spread_light()
  /// does, and for a pixel that is not on its panel.
  SpreadPixels(const Experiment& experiment, const std::optional<PointSpread>& point_spread,
               std::vector<PixelIndex> pixels, double beyond = 1e-4);

  /// Another full width at half maximum, of the light of the same sources.  Throws UsageError for a
  /// width that is none, and without a point spread.
  void set_fwhm_um(double fwhm_um);

  /// Whose photons the pixels get light of.
  const std::vector<PixelIndex>& sources() const { return sources_; }

  /// From numbers of the sources, `columns` for each, to those of the pixels.
  std::vector<double> spread(std::vector<double> of_sources, std::size_t columns = 1) const;

  /// What of that changes with the full width at half maximum [1/um]; nothing without a point
  /// spread.
  std::vector<double> slopes_by_fwhm(std::span<const double> of_sources) const;

  /// The way back: from the derivative by the light of each pixel to that by the photons of each
  /// source.
  void pull_back(std::span<const double> by_pixels, std::span<double> by_sources) const;

 private:
  struct PanelMap {
    int fast_pixels = 0, slow_pixels = 0;
    double fast_um = 0, slow_um = 0;     ///< edges of a pixel
    std::vector<double> shares, slopes;  ///< of the pixels up to `reach` away, a square of them
    std::vector<std::int32_t> sources;   ///< which source a pixel is; -1: none
  };
  void set_shares();
  template <class Visit>
  void for_each_share(std::vector<double> PanelMap::*numbers, Visit&& visit) const;

  std::vector<PixelIndex> pixels_, sources_;
  std::optional<PointSpread> spread_;
  std::vector<PanelMap> panels_;  ///< empty: no point spread
  int reach_ = 0;
};

}  // namespace nablabragg
