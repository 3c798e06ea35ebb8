// What the light of each pixel is made of: labels for whoever trains or tests on simulated images.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"  // for PanelExtent
#include "nablabragg/reflection.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions

namespace nablabragg {

/// The light of one origin in all pixels.
struct PartOfLight {
  std::string name;  ///< "lattice", "diffuse", "water", or that of a material
  std::vector<double> photons;
};

/// Pixels are in the order of an image's.
struct PixelTruth {
  std::vector<PanelExtent> panels;
  std::vector<PartOfLight> parts;  ///< their sum is the image without noise; the lattice is first
  /// The reflection that more than half of the lattice's light in a pixel is of, where `has_hkl`.
  /// Where none has so much, it may be there, too, the strongest or one about as strong.  Both are
  /// empty where F is interpolated between reflections.
  std::vector<MillerIndex> hkl;
  std::vector<std::uint8_t> has_hkl;
  /// Of several crystals in the beam that whose reflection it is; 0: Experiment::crystal, i:
  /// Experiment::more_crystals[i - 1].  Empty of one crystal.
  std::vector<std::int32_t> crystal;
};

/// The photons of the lattice alone in each pixel: without water, other materials and what lies
/// between reflections because atoms move.  Throws as simulate() does.
std::vector<double> photons_of_spots(const Experiment& experiment,
                                     const ComputeOptions& options = {});

/// The lattice is that of all crystals in the beam.  Takes the time of some thirty images: the
/// lattice's light is rendered once for each binary digit of the reflections' numbers, with the
/// reflections alone that have it.  What holds for an image, however it is summed, holds for its
/// truth.  Throws UsageError as simulate() does, and for an experiment that keeps nanoBragg's
/// answer.
PixelTruth pixel_truth(const Experiment& experiment, const ComputeOptions& options = {});

}  // namespace nablabragg
