// Photons that reach a panel -> what it records, step by step in the order of their physics
// (docs/detector-response.md).
#pragma once
#include <cstdint>
#include <span>
#include "nablabragg/detector_response.hpp"  // for DetectorResponse
#include "readout/point_spread.hpp"          // for PixelGrid

namespace nablabragg::readout {

/// A panel of an image.
struct RecordedPanel {
  std::size_t number = 0;         ///< of the experiment's panels
  std::uint64_t first_pixel = 0;  ///< in the image
  PixelGrid grid;
  double gain = 1;                              ///< counts/photon, of an integrating detector
  double limit = 0;                             ///< the largest count
  double dead_time_share = 0;                   ///< of the exposure, after one photon
  double dark_charge_e = 0;                     ///< mean of a pixel [electrons]
  std::span<const float> calibration_map = {};  ///< of its pixels; empty: 1
  std::span<const float> gain_map = {};         ///< likewise
};

/// The factor by which this image's light differs from the beam's mean.
double flicker_factor(const DetectorResponse& response, std::int64_t seed);

/// Of a pixel of the panel: the same for all images.
PixelState pixel_state(const DetectorResponse& response, std::size_t panel, std::size_t pixel);

/// What the panel records of the light; how many pixels would be above the limit or their full
/// well.  Random numbers
/// are those of (seed, step, panel, pixel), of the panel's calibration those of (calibration seed,
/// step, panel, pixel): the same in any order and for any number of threads.
std::int64_t record_panel(const DetectorResponse& response, const RecordedPanel& panel,
                          std::int64_t seed, std::span<const float> light,
                          std::span<std::int32_t> counts);

}  // namespace nablabragg::readout
