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

/// Changes the values and the boxes' backgrounds.  `iterated` is told of every iteration and
/// returns false to stop.
StageReport fit_pixels(
    const PixelData& data, RefineStage stage, std::vector<double>& values,
    std::vector<Shoebox>& boxes,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated);

/// Fisher information of the free numbers with the restraints, the backgrounds being unknown too,
/// row by row.
std::vector<double> fisher_information(const PixelData& data, std::span<const double> values,
                                       std::span<const Shoebox> boxes);

}  // namespace nablabragg::refinement
