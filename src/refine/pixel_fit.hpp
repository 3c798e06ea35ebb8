// The likelihood of the pixels of all shoeboxes, made largest by Levenberg-Marquardt.
#pragma once
#include <functional>
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"
#include "nablabragg/spread_pixels.hpp"
#include "refine/free_parameters.hpp"
#include "refine/spot_positions.hpp"
#include "refine/spots.hpp"

namespace nablabragg::refinement {

/// What a fit of pixels needs and does not change.
struct PixelData {
  const FreeParameters& free;
  const std::vector<PhotonImages>& images;
  const RefineOptions& options;
  /// Of the spots that were found, image by image, where intensities are free and crystals turn.
  const std::vector<MissedSphere>& missed;

  Seen seen(const Shoebox& box, const PixelIndex& pixel) const {
    return images[static_cast<std::size_t>(box.image)].seen(pixel);
  }
  double readout_variance(const Shoebox& box) const {
    return images[static_cast<std::size_t>(box.image)].readout_variance;
  }
};

/// Boxes are always image by image.
struct BoxesOfImage {
  std::size_t image = 0;
  std::span<const Shoebox> boxes;
  SpreadPixels pixels;     ///< of the boxes, one after the other
  std::size_t number = 0;  ///< of pixels
};
std::vector<BoxesOfImage> by_image(const PixelData& data, std::span<const double> values,
                                   std::span<const Shoebox> boxes);

/// Photons of the model in the pixels of the boxes, one box after the other, without backgrounds.
std::vector<double> model_photons(const PixelData& data, std::span<const double> values,
                                  std::span<const Shoebox> boxes);

/// Mean of (photons - expected)^2 / variance over the pixels whose photons are known: about 1 for
/// the right model.
double mean_square_residual(const PixelData& data, std::span<const double> model,
                            std::span<const Shoebox> boxes);

struct LitResidual {
  double residual = 0;
  std::size_t pixels = 0;
};
/// The same over the pixels of which as many photons or more are expected.
LitResidual lit_residual(const PixelData& data, std::span<const double> model,
                         std::span<const Shoebox> boxes, double least_expected);

/// Of the trust region a stage begins with: Ceres' own.
inline constexpr double first_trust_radius = 1e4;

/// In which the variances of the Gaussian likelihood and of the misfit follow the model.
inline int pixel_rounds(const RefineOptions& options) {
  return options.variances == Variances::fitted    ? 4
         : options.likelihood == Likelihood::gauss ? 3
                                                   : 1;
}

/// Told of every iteration; returns false to stop.
using Iterated = std::function<bool(std::span<const double> values, double residual,
                                    double change)>;

/// Goes on from the state, whose last stage is one of pixels, and changes it after every step that
/// helped: its values, its stage's numbers, the trust region.  `boxes` are those of the state, with
/// what is their own.  Returns false where `iterated` has stopped it.
bool fit_pixels(const PixelData& data, RefineState& state, std::vector<Shoebox>& boxes,
                const Iterated& iterated);

/// What boxes have of their own, one box after the other: the terms of the background, then the
/// intensity where intensities are free.
std::vector<double> own_numbers_of(const RefineOptions& options, std::span<const Shoebox> boxes);
/// Throws UsageError for another number of them than the boxes have.
void set_own_numbers(const RefineOptions& options, std::span<Shoebox> boxes,
                     std::span<const double> numbers);

/// Backgrounds and intensities of the boxes that suit these photons of the model best, by weighted
/// least squares.
void start_intensities(const PixelData& data, std::span<const double> model,
                       std::span<Shoebox> boxes);

/// What the pixels of a box say of its intensity: its variance where the model is known and the
/// background is not.  `model` has its pixels alone.
double intensity_variance(const PixelData& data, std::span<const double> model, const Shoebox& box);

/// Fisher information of the free numbers with the restraints, the backgrounds and free intensities
/// being unknown too, row by row.
struct Information {
  std::vector<double> fisher;
  /// How much parts of the detector pull in different ways: the sum over some 25 regions of s s^T,
  /// s being the derivative of the log likelihood of a region's boxes.  For the right model it is
  /// about the information of the pixels (H. White, Econometrica 50, 1982, 1).
  std::vector<double> pulls;
};
Information information(const PixelData& data, std::span<const double> values,
                        std::span<const Shoebox> boxes);

}  // namespace nablabragg::refinement
