// The likelihood of the pixels of all shoeboxes, made largest by Levenberg-Marquardt.
#pragma once
#include <functional>
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"
#include "refine/free_parameters.hpp"
#include "refine/spots.hpp"

namespace nablabragg::refinement {

/// What a fit of pixels needs and does not change.
struct PixelData {
  const FreeParameters& free;
  const PhotonImages& images;
  const RefineOptions& options;
  double readout_variance = 0;  ///< [photons^2]
};

/// Photons of the model in the pixels of the boxes, one box after the other, without backgrounds.
std::vector<double> model_photons(const PixelData& data, std::span<const double> values,
                                  std::span<const Shoebox> boxes);

/// Mean of (photons - expected)^2 / variance over the pixels: about 1 for the right model.
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

/// Told of every iteration; returns false to stop.
using Iterated = std::function<bool(std::span<const double> values, double residual,
                                    double change)>;

/// Goes on from the state, whose last stage is one of pixels, and changes it after every step that
/// helped: its values, its stage's numbers, the trust region.  `boxes` are those of the state, with
/// their backgrounds.  Returns false where `iterated` has stopped it.
bool fit_pixels(const PixelData& data, RefineState& state, std::vector<Shoebox>& boxes,
                const Iterated& iterated);

std::vector<double> backgrounds_of(std::span<const Shoebox> boxes);
/// One box after the other.  Throws UsageError for another number of them than the boxes have.
void set_backgrounds(std::span<Shoebox> boxes, std::span<const double> backgrounds);

/// Fisher information of the free numbers with the restraints, the backgrounds being unknown too,
/// row by row.
std::vector<double> fisher_information(const PixelData& data, std::span<const double> values,
                                       std::span<const Shoebox> boxes);

}  // namespace nablabragg::refinement
