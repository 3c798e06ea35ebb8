// Images as pictures to look at.
//
// The first row is on top and the fast axis runs to the right.  Without a frame a picture has one
// point for each pixel.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/image.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg {

struct Geometry;
namespace readout {
struct View;
class PanelCanvas;
}  // namespace readout

enum class PictureScale { linear, log, sqrt };

/// heat: black, violet, red, orange, white, in steps that look equally large
/// (CIELAB, ISO/CIE 11664-4).
enum class PictureColors { grey, heat };

/// What a point shows that stands for several pixels.
enum class PixelsAsOne { largest, mean };

struct PictureStyle {
  PictureScale scale = PictureScale::sqrt;
  int bits = 8;              ///< of a grey or of each of three colours: 8 or 16
  double white_photons = 0;  ///< of a white pixel; 0: what 99.9 % of the lit pixels stay below
  bool inverted = false;     ///< dark spots on white, as on film
  PictureColors colors = PictureColors::grey;
  /// A frame with axes, a cross where the direct beam meets the panel, outlines of several panels,
  /// and a bar with the photons of the colours.
  bool axes = false;
  std::vector<double> rings_A = {};  ///< d-spacings of the resolution rings
  std::string unit = "photons";      ///< of the bar
  int reduced = 1;                   ///< as many pixels along each edge become one point
  PixelsAsOne as_one = PixelsAsOne::largest;

  bool is_grey() const { return colors == PictureColors::grey && !axes && rings_A.empty(); }
};

/// What 99.9 % of the lit pixels stay below; 1 where none is lit.
double white_photons_of(std::span<const float> photons);

/// Throws UsageError for rings that cannot be drawn: of d-spacings that the wavelength does not
/// reach.
void check_picture(const Experiment& experiment, const PictureStyle& style);

/// A point of a panel, in pixels from the outer corner of its first one.
struct PanelPoint {
  int panel = 0;
  double fast_px = 0, slow_px = 0;
};

/// What the places of panels, beam and wavelength say of a point of a panel.
class DetectorView {
 public:
  explicit DetectorView(const Geometry& geometry);
  explicit DetectorView(const Resolved& resolved);

  /// False of an image whose file does not say where the detector is.
  bool knows_places() const;
  bool knows_wavelength() const;
  /// On the panel that the beam meets; on the plane of a single one also beyond its edges.
  std::optional<PanelPoint> beam_spot() const;
  /// Of what scatters to a point of a panel, in pixels from its outer corner [Angstrom]; infinite
  /// where the direct beam goes.
  double d_spacing_A(const PanelPoint& point) const;

 private:
  friend class Picture;
  std::shared_ptr<const readout::View> view_;
};

/// One panel as it is, or all of several in their places, seen along the beam.  It looks at what is
/// shown, which must stay.
class Picture {
 public:
  /// `shown` are the numbers to be seen, one for each pixel of the panels: photons, or counts. What
  /// is not a number is no measurement.  Throws UsageError for rings without a wavelength.
  Picture(const Resolved& resolved, std::span<const float> shown, const PictureStyle& style = {});
  Picture(const Geometry& geometry, std::span<const float> shown, const PictureStyle& style = {});
  ~Picture();

  int width() const;
  int height() const;
  /// Of a point: 1, grey, or 3, red green blue.
  int channels() const { return style_.is_grey() ? 1 : 3; }
  double white_photons() const { return white_; }
  /// Those of which no point is on a panel.
  const std::vector<double>& unseen_rings_A() const;
  /// One row, from the top, `channels()` numbers a point: 0 to 255, or to 65535.
  void fill_row(int y, std::span<std::uint16_t> samples) const;

 private:
  struct Drawing;

  Picture(const DetectorView& view, std::span<const float> shown, const PictureStyle& style);
  void reduce(const readout::PanelCanvas& canvas);
  /// What a point of the pixels' part of the picture shows.
  float shown_at(int x, int y) const;

  std::span<const float> shown_;
  PictureStyle style_;
  double white_;
  std::vector<float> reduced_;  ///< point by point; empty: a point shows one pixel
  std::unique_ptr<const Drawing> drawing_;
};

}  // namespace nablabragg
