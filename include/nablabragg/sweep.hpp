// The images of a series, one after the other, in memory that is used again.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

/// The pixels of an image that are not zero, in the order of the image.
template <class Number>
struct LitPixels {
  std::vector<std::int64_t> pixels;  ///< their places in Image::pixels
  std::vector<Number> photons;       ///< of each of them
};

/// Counts that were drawn by the GPU that has the light, so that they alone left it.
struct CountedSimulation {
  CountedImage counted;
  Simulation simulation;  ///< without pixels and statistics
};

/// Images that follow each other: image i is the one that simulate() makes of experiment(i) of the
/// series, to the last bit.  What does not depend on the crystal's orientation is made once, for
/// all images, and so is the memory: where a sum in closed form leaves an image dark it costs
/// nothing, and the background of water is computed with the second image, for it and all that
/// follow (8 bytes a pixel).  `Number` is float, as in an Image, or double, as photons() gives
/// them.  A sweep makes one image at a time; several sweeps may work side by side, and share the
/// table of structure factors.
class Sweep {
 public:
  /// Throws UsageError as simulate() does.
  explicit Sweep(const Series& series, const ComputeOptions& options = {});
  /// Of a scan.
  Sweep(const Experiment& experiment, int images, const ComputeOptions& options = {})
      : Sweep(Series(experiment, images), options) {}
  /// Of the same series, to work beside that sweep: they share the background, too.
  Sweep(const Sweep& beside, const ComputeOptions& options);
  ~Sweep();
  Sweep(Sweep&&) noexcept;
  Sweep& operator=(Sweep&&) noexcept;

  const Series& series() const;
  int images() const { return series().images(); }
  /// Of all panels.
  std::size_t pixels() const;
  /// Of the first image, with the warnings.
  const Resolved& resolved() const;

  /// Into memory of the caller, whatever it holds: one number for each pixel, panel by panel.
  /// Throws UsageError for another size, and, as all that follow, for an image that there is not
  /// and Cancelled when progress returned false.
  template <class Number>
  void render(int i, std::span<Number> pixels);
  /// As simulate() gives it, with statistics and warnings; the pixels take over the memory of
  /// `used`, an image that is not wanted any more.
  Simulation simulation(int i, Image used = {});
  /// What count_photons() draws about the image that simulation() gives, without bringing that one
  /// here.  Empty where it has to be: other engines draw none, nor does this one with nanoBragg's
  /// generator, diffuse scattering, a beamstop, several lattices or F by energy, for an image that
  /// is 0 everywhere and one with pixels that are NaN, infinite or above 1e9 photons.
  std::optional<CountedSimulation> counted_by_engine(int i, std::int64_t seed);
  /// In the sweep's own memory, where the next image takes its place: what was lit is cleared, not
  /// all of it.
  template <class Number = float>
  std::span<const Number> image(int i);
  /// Of image(i), in memory that the next ones take.
  template <class Number = float>
  const LitPixels<Number>& lit_pixels(int i);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nablabragg
