// A number of its own for the intensity of each spot, where structure factors are not known: which
// reflections there are, where, and what the fit of the pixels made of them.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/structure_factors.hpp"
#include "refine/pixel_fit.hpp"
#include "refine/spot_positions.hpp"

namespace nablabragg::refinement {

/// Whether the centring of a lattice lets a reflection be.
bool allowed(Centring centring, const MillerIndex& hkl);

/// F of all reflections that the panels can see: those of the experiment, and 0 where the centring
/// allows none.
std::shared_ptr<const StructureFactorGrid> visible_reflections(const StructureFactors& factors,
                                                               const Resolved& resolved,
                                                               Centring centring);

/// The intensities while they are fitted, as F in a table.
class FreeIntensities {
 public:
  FreeIntensities() = default;
  explicit FreeIntensities(std::shared_ptr<const StructureFactorGrid> grid)
      : start_(std::move(grid)), now_(start_) {}

  const std::shared_ptr<const StructureFactorGrid>& grid() const { return now_; }
  bool exists(const MillerIndex& hkl) const;
  /// The boxes' reflections as they started, and all others dark.
  void reset(std::span<const Shoebox> boxes);
  /// All as they started.
  void restart() { now_ = start_; }

  /// Reflections of all crystals that cross the Ewald sphere, or nearly so, where they do on the
  /// panels of an image.
  std::vector<Spot> expected_spots(const SpotGeometry& geometry, const PhotonImages& image) const;

  /// Takes the boxes' intensities into the table, `model` being the photons of their pixels by it.
  /// What is left to the boxes is 1, but where two boxes of a reflection disagree and where there
  /// is hardly any light.
  void take(std::span<const double> model, std::span<Shoebox> boxes);

  /// Of the boxes' reflections, with the deviations that the boxes' pixels say.
  std::vector<RefinedFactor> factors(const PixelData& data, std::span<const double> model,
                                     std::span<const Shoebox> boxes) const;

 private:
  std::shared_ptr<const StructureFactorGrid> start_, now_;
};

/// Those boxes whose own reflection is lit by a tenth or more of what most of its crystal get;
/// `light` is what the box's crystal alone sends to its pixels.
std::vector<Shoebox> lit_boxes(std::span<const double> light, std::span<const Shoebox> boxes);

/// A table of these reflections alone.
StructureFactors factors_alone(std::span<const RefinedFactor> factors);

}  // namespace nablabragg::refinement
