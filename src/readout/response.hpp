// Photons that reach a panel -> what it records, step by step in the order of their physics
// (docs/detector-response.md).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>
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

/// What a pixel holds behind it; in the order of an integrating detector.
enum class Stage : std::size_t {
  light,
  flicker,
  calibration,
  photons,  ///< drawn
  photon_spread,
  point_spread,
  dead_time,
  dead_pixel,
  dark_charge,
  full_well,
  gain,
  readout,  ///< offset and noise
  count,    ///< rounded and limited
  hot_pixel
};
inline constexpr std::size_t stage_count = 14;

/// The stages that a detector of this kind may have, in its order.
std::span<const Stage> stages_of(DetectorResponse::Kind kind);

/// Looks at one pixel of a panel while the panel is recorded.
struct PixelProbe {
  std::size_t pixel = 0;
  std::array<std::optional<double>, stage_count> behind = {};  ///< empty: there is no such stage

  std::optional<double>& operator[](Stage stage) { return behind[static_cast<std::size_t>(stage)]; }
};

/// Of the mean of the photons that arrive, the share that a counter records which is dead for this
/// share of the exposure after each, and the slope of the recorded mean by theirs.
struct LiveShare {
  double share, slope;
};
LiveShare live_share(double mean, double dead_time_share, DetectorResponse::DeadTime model);

/// The factor by which this image's light differs from the beam's mean.
double flicker_factor(const DetectorResponse& response, std::int64_t seed);

/// Of a pixel of the panel: the same for all images.
PixelState pixel_state(const DetectorResponse& response, std::size_t panel, std::size_t pixel);

/// What the panel records of the light on the mean of all seeds, were it to end nowhere: counts =
/// behind (seen K(before light) + dark) + offset, with the point spread K; of a counting detector
/// what its dead time leaves of behind K light.  Hot pixels hold the limit.
class MeanOfPanel {
 public:
  MeanOfPanel(const DetectorResponse& response, const RecordedPanel& panel);

  /// The probe sees every stage that a detector of this kind may have.
  void counts(std::span<const double> light, std::span<double> result,
              PixelProbe* probe = nullptr) const;

  struct Slopes {
    double gain = 0, offset = 0, dark_charge_e = 0, fwhm_um = 0;
  };
  /// From the derivative by the counts to that by the light, at this light, and by four numbers.
  Slopes pull_back(std::span<const double> light, std::span<const double> slopes,
                   std::span<double> by_light) const;

 private:
  std::vector<double> spread(std::vector<double> light) const;
  std::vector<double> signal(std::span<const double> light) const;
  template <class Note>
  double count_of(std::size_t pixel, double light, double arrived, const Note& note) const;

  const DetectorResponse& response_;
  const RecordedPanel& panel_;
  std::vector<double> before_, behind_;
  std::vector<PixelState> states_;
};

/// What the panel records of the light; how many pixels would be above the limit or their full
/// well.  Random numbers are those of (seed, step, panel, pixel), of the panel's calibration those
/// of (calibration seed, step, panel, pixel): the same in any order and for any number of threads.
/// The probe sees the stages that this detector has.
std::int64_t record_panel(const DetectorResponse& response, const RecordedPanel& panel,
                          std::int64_t seed, std::span<const float> light,
                          std::span<std::int32_t> counts, PixelProbe* probe = nullptr);

}  // namespace nablabragg::readout
