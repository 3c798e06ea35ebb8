// The images of a crystal that turns.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

/// The pixels of an image that are not zero, in the order of the image.
template <class Number>
struct LitPixels {
  std::vector<std::int64_t> pixels;  ///< their places in Image::pixels
  std::vector<Number> photons;       ///< of each of them
};

/// Images that follow each other: image i is the one that simulate() makes of the experiment at phi
/// + i x oscillation, to the last bit.  What does not depend on phi is made once, for all images,
/// and so is the memory: where a sum in closed form leaves an image dark it costs nothing.
/// `Number` is float, as in an Image, or double, as photons() gives them.  A sweep makes one image
/// at a time; several sweeps may work side by side, and share the table of structure factors.
class Sweep {
 public:
  /// Throws UsageError as simulate() does, for no images, and for several without an oscillation.
  Sweep(const Experiment& experiment, int images, const ComputeOptions& options = {});
  ~Sweep();
  Sweep(Sweep&&) noexcept;
  Sweep& operator=(Sweep&&) noexcept;

  int images() const;
  /// Of all panels.
  std::size_t pixels() const;
  /// That image i alone is of.
  Experiment experiment(int i) const;
  /// Of the first image, with the warnings.
  const Resolved& resolved() const;

  /// Into memory of the caller, whatever it holds: one number for each pixel, panel by panel.
  /// Throws UsageError for another size, and, as all that follow, for an image that there is not
  /// and Cancelled when progress returned false.
  template <class Number>
  void render(int i, std::span<Number> pixels);
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
