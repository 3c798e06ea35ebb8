// The images of shots, one after the other: what they share is prepared once.
#pragma once
#include <memory>
#include "engine/engine.hpp"
#include "ensemble/ensemble.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::ensemble {

/// One image at a time; several of them may work side by side.  A shot whose panels are those of
/// the shot before is given the lattice and, where it differs, the light; any other is loaded
/// anew.  Either way the image is that of simulate(), to the last bit.
class ShotImages {
 public:
  ShotImages(const Ensemble& ensemble, ComputeOptions options);
  /// To work beside that one: where all shots have one light, both keep one background.
  ShotImages(const ShotImages& beside, ComputeOptions options);

  /// The image takes over the memory of `used`.  Throws what simulate() throws, of which UsageError
  /// names the shot.
  Simulation simulation(const Shot& shot, Image used = {});

 private:
  bool light_varies_;
  ComputeOptions options_;
  /// Of shots with the crystal in the beam, and without: the tables of F differ.
  std::unique_ptr<engine::Loaded> hits_, blanks_;
  const engine::Loaded* beside_ = nullptr;
};

}  // namespace nablabragg::ensemble
