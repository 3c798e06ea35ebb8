// The images of an experiment that changes while somebody looks at it.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "engine/engine.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/settled.hpp"
#include "nablabragg/simulate.hpp"
#include "plan/plan.hpp"

namespace nablabragg::view {

/// Which pixels are computed: every n-th one along both axes of each panel, from its first on.
struct Coarseness {
  int every = 1;

  /// How many of so many are computed.
  int of(int pixels) const { return (pixels + every - 1) / every; }
};

/// One at a time.  What an image shares with the one before, the engine keeps: of an experiment in
/// which only the crystal differs it is given the lattice, of one on the same panels lattice and
/// light; any other is loaded anew.  Either way the pixels are those of simulate(), to the last
/// bit.
class LiveImages {
 public:
  /// `goes_on` is asked while an image is made; where it says no, Cancelled is thrown.
  LiveImages(ComputeOptions options, std::function<bool()> goes_on);

  /// The photons of the pixels that are computed, panel by panel, row by row; zero outside regions
  /// of interest and masks.  They stay until the next call.  Throws as simulate() does.
  std::span<const float> photons(const SettledExperiment& e, const Coarseness& coarse);

  /// How the same pixels change with one number of a parameter, per its unit.  Throws as jvp()
  /// does.
  std::span<const float> slopes(const SettledExperiment& e, const std::string& parameter,
                                std::size_t index, const Coarseness& coarse);

 private:
  void show(const SettledExperiment& e);
  void list_pixels(const Plan& plan, const Coarseness& coarse);

  ComputeOptions options_;
  std::unique_ptr<engine::Loaded> loaded_;
  Experiment shown_;  ///< what is loaded
  std::vector<float> values_, listed_;
  std::vector<PixelIndex> pixels_;   ///< of a coarse image that are visited
  std::vector<std::size_t> places_;  ///< of each of them in values_
};

}  // namespace nablabragg::view
