// Detectors of beamlines by their names: pixels, sensors, gaps and where the panels lie.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/geometry.hpp"  // for Geometry

namespace nablabragg {

/// What a detector can be had with.
struct PresetSensor {
  std::string_view material;  ///< empty: not stated
  double thickness_mm = 0;
  int dead_columns = 0;  ///< in the middle of each module
};

struct DetectorPreset {
  std::string_view family = {}, size = {};  ///< "EIGER2", "16M"; the name is both
  std::vector<std::string_view> also = {};  ///< other names of the family
  int fast_pixels = 0, slow_pixels = 0;     ///< of each panel
  int panels = 1;
  double pixel_mm = 0;
  int fast_modules = 1, slow_modules = 1;  ///< of one image
  int fast_gap_px = 0, slow_gap_px = 0;    ///< between modules, masked
  std::vector<PresetSensor> sensors = {};  ///< the first one is the usual one
  std::optional<double> underload = {}, saturation = {};
  double gain = 1, pedestal = 0;
  std::string_view layout = {};  ///< of what is not one image of modules, in words
  /// Whether panels stand where a drawing or an example puts them; a real detector is calibrated.
  bool nominal = false;
  std::string_view source = {};
  /// Panels and groups around the beam, which runs along -z through the origin; empty: one image.
  Geometry (*placed)(const DetectorPreset&) = nullptr;

  std::size_t sensor = 0;  ///< which one is meant

  std::string name() const;         ///< "EIGER2 16M"
  std::string sensor_name() const;  ///< "Si 450 um"; empty: not stated
};

std::span<const DetectorPreset> detector_presets();

/// By the name or any beginning of it that only one has, whatever its case and separators: "EIGER2
/// 16M", "eiger2_16m".  A sensor may follow the name or the family: "EIGER2-16M-CdTe", "PILATUS3 6M
/// Si 1000".  Throws UsageError, which lists those that are meant or nearly so.
DetectorPreset find_detector_preset(std::string_view name);

enum class LengthUnit { pixels, millimetres };

/// Where the beam meets the detector, along its fast and slow directions from the corner of the
/// rectangle around all panels.
struct BeamOnDetector {
  double fast = 0, slow = 0;
  LengthUnit unit = LengthUnit::pixels;
};

/// The detector normal to the beam, in imgCIF's frame: the beam runs along -z, fast along x and
/// slow along -y.  Empty `beam`: in the middle of one image, and where it passes by design between
/// several panels.  Throws UsageError for a distance that is not positive.
Geometry detector_geometry(const DetectorPreset& preset, double distance_mm,
                           const std::optional<BeamOnDetector>& beam = std::nullopt);

}  // namespace nablabragg
