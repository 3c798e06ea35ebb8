// What a detector makes of the photons that reach it: point spread, calibration, statistics,
// readout.  docs/detector-response.md has the formulas and the order of the steps.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/simulate.hpp"  // for CountedImage

namespace nablabragg {

/// How the light that arrives in the middle of a pixel is spread over the panel.
struct PointSpread {
  enum class Shape {
    gauss,  ///< a Gaussian
    fiber   ///< g/(2 pi) (r^2 + g^2)^(-3/2): a phosphor on a fibre-optic taper
  };
  Shape shape = Shape::gauss;
  double fwhm_um = 46;  ///< full width at half maximum of the density
};

/// "gauss", "fiber"
const char* name_of(PointSpread::Shape shape);

/// Throws UsageError for a width that is none.
void check_point_spread(const PointSpread& spread);

/// A factor for each pixel of an image, panel by panel.
using PixelFactors = std::vector<float>;

/// A detector's steps, in the order in which they happen.  What is 0 does nothing.
struct DetectorResponse {
  enum class Kind {
    counting,    ///< each photon is counted in one pixel, or in none
    integrating  ///< the charge of all photons is read out and digitized
  };
  enum class DeadTime {
    nonparalysable,  ///< of a photon that was counted
    paralysable      ///< of every photon: one that is not counted begins it anew
  };
  Kind kind = Kind::counting;
  std::optional<PointSpread> point_spread;  ///< empty: none
  double flicker = 0;  ///< standard deviation of the beam's intensity, image by image [fraction]
  double calibration = 0;  ///< standard deviation, pixel by pixel, of what is absorbed [fraction]
  std::int64_t calibration_seed = 123456789;  ///< of the panels, the same for all images
  /// What each pixel absorbs, of what it would without; null: 1.  Beside `calibration`.
  std::shared_ptr<const PixelFactors> calibration_map;
  double dead_pixels = 0;  ///< share of the pixels that see nothing, drawn by calibration_seed
  double hot_pixels = 0;   ///< share of the pixels that hold the largest count, drawn likewise

  // Of counting detectors
  double dead_time_ns = 0;  ///< after each photon, of the exposure of the beam
  DeadTime dead_time_model = DeadTime::nonparalysable;

  // Of integrating detectors, whose signal is the gain of the panel for each photon
  double photon_spread = 0;     ///< standard deviation of the signal of one photon [of that signal]
  double photon_charge_e = 0;   ///< of one photon [electrons], by which the next two are told
  double dark_current_e_s = 0;  ///< of a pixel, as long as the exposure [electrons/s]
  double full_well_e = 0;       ///< the largest charge of a pixel [electrons]; 0: no limit
  double gain_spread = 0;       ///< standard deviation, pixel by pixel, of the gain [fraction]
  std::shared_ptr<const PixelFactors> gain_map;  ///< of the panel's gain; null: 1
  double readout_noise = 0;                      ///< standard deviation [counts]
  double offset = 40;                            ///< of every pixel [counts]

  std::optional<int> bits;  ///< no more than 2^bits - 1 is recorded; empty: the panel's saturation
};

/// Throws UsageError for a response of no detector, for what its kind does not have, and for what
/// the panels of the experiment or its exposure contradict.
void check_response(const DetectorResponse& response, const Experiment& experiment);

/// The steps in words, with their numbers.
std::string to_string(const DetectorResponse& response);

/// The image, of this experiment, as its detector records it.  Pixels that are not computed
/// (outside the region of interest, masked) send no light to their neighbours.  The same `seed`
/// gives the same counts, for any number of threads; seed_of_image() gives each image of a series
/// its own. Throws UsageError as check_response() does, for an image of other panels and
/// for light that is NaN or infinite.
CountedImage record_photons(const Experiment& experiment, const Image& image,
                            const DetectorResponse& response, std::int64_t seed);

/// The mean of record_photons() over all seeds for this light, a number for each pixel of all
/// panels, as if counts had no limit and were not rounded: exact but for the dead time, whose mean
/// is that of the mean light.  Hot pixels hold the largest count.  Pixels outside the region of
/// interest and the mask have what their neighbours send them.  Throws as record_photons().
std::vector<double> expected_counts(const Experiment& experiment, const DetectorResponse& response,
                                    std::span<const double> light);

/// Of a function of the expected counts.
struct ExpectedCountsSlopes {
  std::vector<double> light;  ///< by the photons that arrive in each pixel
  double fwhm_um = 0;         ///< by the width of the point spread [um]; 0 where there is none
  // Of integrating detectors
  std::vector<double> gain;     ///< by the gain of each panel [counts/photon]
  double offset = 0;            ///< by that of all pixels [counts]
  double dark_current_e_s = 0;  ///< by that of all pixels [electrons/s]
};

/// The way back through expected_counts(), at this light: from the derivative by the counts of each
/// pixel.  Those of pixels outside the region of interest and the mask do not count.
ExpectedCountsSlopes pull_back_counts(const Experiment& experiment,
                                      const DetectorResponse& response,
                                      std::span<const double> light,
                                      std::span<const double> slopes);

/// A function of the expected counts as one of the photons, for value_and_gradient().  `slopes`,
/// where given, is filled when the loss is called.
std::function<double(std::span<const double> photons, std::span<double> slopes)> loss_of_counts(
    const Experiment& experiment, const DetectorResponse& response,
    std::function<double(std::span<const double> counts, std::span<double> slopes)> loss,
    ExpectedCountsSlopes* slopes = nullptr);

enum class PixelState : std::uint8_t { good = 0, dead = 1, hot = 2 };

/// Which pixels the response makes dead or hot, panel by panel: the same in all images.  Throws
/// UsageError as check_response() does.
std::vector<PixelState> pixel_states(const Experiment& experiment,
                                     const DetectorResponse& response);

/// The light of all panels, spread on each; what leaves a panel is lost.  Linear in the light, and
/// its own adjoint: for arrays u and v of all pixels, sum(v spread(u)) = sum(u spread(v)).
/// Throws UsageError for another number of pixels than the experiment has, and for light that is
/// NaN or infinite.
std::vector<double> spread_light(const Experiment& experiment, const PointSpread& point_spread,
                                 std::span<const double> light);

}  // namespace nablabragg
