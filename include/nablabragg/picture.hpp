// Images as greys to look at.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg {

enum class PictureScale { linear, log, sqrt };

struct PictureStyle {
  PictureScale scale = PictureScale::linear;
  int bits = 8;              ///< of a grey: 8 or 16
  double white_photons = 0;  ///< of a white pixel; 0: what 99.9 % of the lit pixels stay below
  bool inverted = false;     ///< dark spots on white, as on film
};

/// What 99.9 % of the lit pixels stay below; 1 where none is lit.
double white_photons_of(std::span<const float> photons);

/// One panel as it is, or all of several in their places, seen along the beam.  It looks at the
/// image, which must stay.
class Picture {
 public:
  /// `shown` are the numbers to be seen, one for each pixel of the image: its photons, or counts.
  Picture(const Resolved& resolved, const Image& image, std::span<const float> shown,
          const PictureStyle& style = {});
  ~Picture();

  int width() const;
  int height() const;
  double white_photons() const { return white_; }
  /// The greys of one row, from the top: 0 to 255, or to 65535.
  void fill_row(int y, std::span<std::uint16_t> greys) const;

 private:
  struct Places;
  std::unique_ptr<const Places> places_;
  std::span<const float> shown_;
  PictureStyle style_;
  double white_;
};

}  // namespace nablabragg
