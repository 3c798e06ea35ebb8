// Everything that makes an image, as its user states it: field units, open choices left open.
// `resolve` (resolved.hpp) settles the choices; `simulate` (simulate.hpp) computes the image.
#pragma once
#include "nablabragg/beam.hpp"
#include "nablabragg/crystal.hpp"
#include "nablabragg/detector.hpp"
#include "nablabragg/quirks.hpp"
#include "nablabragg/sampling.hpp"
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

/// `Real` is double, or a dual number where derivatives with respect to the description are wanted.
template <class Real>
struct BasicExperiment {
  BasicBeam<Real> beam;
  BasicCrystal<Real> crystal;
  BasicDetector<Real> detector;
  BasicScan<Real> scan;
  Sampling sampling;
  StructureFactors structure_factors;
  Real water_um{0};  ///< edge of the cube of water around the crystal
  Quirks quirks = Quirks::corrected();
};

using Experiment = BasicExperiment<double>;

}  // namespace nablabragg
