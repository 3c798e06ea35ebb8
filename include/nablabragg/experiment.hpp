// Everything that makes an image, as its user states it: field units, open choices left open.
// `resolve` (resolved.hpp) settles the choices; `simulate` (simulate.hpp) computes the image.
#pragma once
#include <cstddef>  // for std::size_t
#include <memory>   // for std::shared_ptr
#include <optional>
#include <vector>
#include "nablabragg/background.hpp"
#include "nablabragg/beam.hpp"
#include "nablabragg/beamstop.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/detector.hpp"
#include "nablabragg/quirks.hpp"
#include "nablabragg/sampling.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

/// The region of interest of a panel, one of several, of which no pixel is computed.
inline constexpr RegionOfInterest no_pixels{1, 0, 1, 0};

/// A panel in addition to Experiment::detector: of its own size, place, pixels and sensor.  Beam,
/// polarization and spindle are those of the experiment, whatever the panel's convention.
template <class Real>
struct BasicFurtherPanel {
  BasicDetector<Real> detector;
  std::optional<RegionOfInterest> roi;
  std::shared_ptr<const Mask> mask;
};
using FurtherPanel = BasicFurtherPanel<double>;

/// `Real` is double, or a dual number where derivatives with respect to the description are wanted.
template <class Real>
struct BasicExperiment {
  BasicBeam<Real> beam;
  BasicCrystal<Real> crystal;
  std::vector<BasicFurtherCrystal<Real>> more_crystals;
  BasicDetector<Real> detector;  ///< the only panel of most experiments
  std::vector<BasicFurtherPanel<Real>> more_panels;
  std::vector<BasicDetectorGroup<Real>> detector_groups;
  BasicScan<Real> scan;
  Sampling sampling;
  StructureFactors structure_factors;
  Real water_um{0};                            ///< edge of the cube of water around the crystal
  std::vector<BasicMaterial<Real>> materials;  ///< what else is in the beam
  BasicBeamstop<Real> beamstop;
  Quirks quirks = Quirks::corrected();
};

using Experiment = BasicExperiment<double>;

/// Whether light falls on pixels that the crystal leaves dark.
inline bool has_background(const Experiment& e) {
  return e.water_um != 0 || !e.materials.empty() || e.beamstop.ring_share != 0;
}

/// The crystal alone in the beam, in the shadow of the same beamstop.
inline Experiment without_background(Experiment e) {
  e.water_um = 0;
  e.materials.clear();
  e.beamstop.ring_share = 0;
  return e;
}

/// The panel with that number, as PixelIndex counts them.
template <class Real>
const BasicDetector<Real>& detector_of(const BasicExperiment<Real>& e, std::size_t panel) {
  return panel == 0 ? e.detector : e.more_panels[panel - 1].detector;
}

}  // namespace nablabragg
