// Pictures of images: greys, colours, and what is drawn over and around the pixels.
#include "nablabragg/picture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "nablabragg/error.hpp"
#include "nablabragg/geometry.hpp"
#include "readout/heat.hpp"
#include "readout/letters.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr float none = std::numeric_limits<float>::quiet_NaN();

/// All rows, one after the other.
struct Samples {
  int width, height, channels;
  std::vector<std::uint16_t> values;

  explicit Samples(const Picture& picture)
      : width(picture.width()), height(picture.height()), channels(picture.channels()) {
    std::vector<std::uint16_t> row(static_cast<std::size_t>(width * channels));
    for (int y = 0; y < height; ++y) {
      picture.fill_row(y, row);
      values.insert(values.end(), row.begin(), row.end());
    }
  }
  std::array<int, 3> color(int x, int y) const {
    const auto at = static_cast<std::size_t>((y * width + x) * channels);
    const auto step = static_cast<std::size_t>(channels == 3);
    return {values[at], values[at + step], values[at + 2 * step]};
  }
  bool is_marked(int x, int y) const { return color(x, y) != std::array{0, 0, 0}; }
};

/// A panel that nothing is known of but its pixels.
Geometry bare_panel(int fast, int slow) {
  Geometry geometry;
  geometry.panels.resize(1);
  geometry.panels[0].fast_pixels = fast;
  geometry.panels[0].slow_pixels = slow;
  return geometry;
}

/// Square to the beam, which meets it at a place in mm from its corner.
GeometryPanel square_panel(int fast, int slow, double left_mm, double top_mm) {
  GeometryPanel p;
  p.fast_pixels = fast;
  p.slow_pixels = slow;
  p.fast_pixel_mm = p.slow_pixel_mm = 0.5;
  p.origin_mm = {-left_mm, top_mm, -100};
  p.fast_axis = {1, 0, 0};
  p.slow_axis = {0, -1, 0};
  return p;
}

/// As many zeros as the panels have pixels.
std::vector<float> zeros(const Resolved& r) {
  std::size_t pixels = 0;
  for (std::size_t i = 0; i <= r.more_panels.size(); ++i)
    pixels += static_cast<std::size_t>(panel_of(r, i).fast_pixels) *
              static_cast<std::size_t>(panel_of(r, i).slow_pixels);
  return std::vector<float>(pixels, 0.0F);
}

/// d of what scatters to a point of a panel [Angstrom]: wavelength / (2 sin theta), with the angle
/// from the cross product.
double d_of(const Resolved& r, std::size_t panel, double fast, double slow) {
  const Panel& p = panel_of(r, panel);
  const Vec3d place = p.origin + (fast * p.pixel) * p.fast + (slow * p.slow_pixel) * p.slow;
  const double two_theta = std::atan2(length(cross(p.beam, place)), dot(p.beam, place));
  return 1e10 * r.wavelength / (2 * std::sin(two_theta / 2));
}

// ---- Greys -----------------------------------------------------------------------------------

TEST(Pictures, HaveTheSameGreysForTheSameNumbersFromVersionToVersion) {
  const std::vector<float> shown{0, 1, 4, 25, 100, 1000, -3, none};
  const auto greys = [&](PictureScale scale, int bits, bool inverted) {
    PictureStyle style;
    style.scale = scale;
    style.bits = bits;
    style.inverted = inverted;
    style.white_photons = 100;
    return Samples(Picture(bare_panel(4, 2), shown, style)).values;
  };
  EXPECT_THAT(greys(PictureScale::sqrt, 8, false), ElementsAre(0, 26, 51, 128, 255, 255, 0, 0));
  EXPECT_THAT(greys(PictureScale::linear, 8, false), ElementsAre(0, 3, 10, 64, 255, 255, 0, 0));
  EXPECT_THAT(greys(PictureScale::log, 8, false), ElementsAre(0, 89, 137, 204, 255, 255, 0, 0));
  EXPECT_THAT(greys(PictureScale::sqrt, 16, false),
              ElementsAre(0, 6554, 13107, 32768, 65535, 65535, 0, 0));
  EXPECT_THAT(greys(PictureScale::sqrt, 8, true), ElementsAre(255, 230, 204, 128, 0, 0, 255, 255));
}

TEST(Pictures, AreAsBrightAsTheirFinitePixelsSay) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> shown{25, infinite, 100, none};
  for (const bool axes : {false, true}) {
    PictureStyle style;
    style.axes = axes;
    EXPECT_EQ(Picture(bare_panel(4, 1), shown, style).white_photons(), 25);
  }
  EXPECT_THAT(Samples(Picture(bare_panel(4, 1), shown)).values, ElementsAre(255, 255, 255, 0));
}

TEST(Pictures, AreRefusedWhereNoNumberOfPhotonsIsWhite) {
  const std::vector<float> shown{1, 2};
  PictureStyle style;
  style.white_photons = std::numeric_limits<double>::infinity();
  EXPECT_THAT(message_of<UsageError>([&] { Picture(bare_panel(2, 1), shown, style); }),
              HasSubstr("white needs a finite number"));
}

TEST(Pictures, AreTheRootOfThePhotonsInGreyWithoutAFrameWhereNothingIsSaid) {
  EXPECT_EQ(PictureStyle().scale, PictureScale::sqrt);
  const std::vector<float> shown(12, 1);
  const Samples bare{Picture(bare_panel(4, 3), shown)};
  EXPECT_EQ(bare.channels, 1);
  EXPECT_EQ(bare.width, 4);
  EXPECT_EQ(bare.height, 3);
}

TEST(Pictures, ThatAreReducedShowTheLargestOrTheMeanOfTheirPixelsWithoutThoseThatAreMasked) {
  const std::vector<float> shown{1, 3, none, none, 7,     //
                                 5, 7, none, none, none,  //
                                 9, 1, 2,    none, 8};
  PictureStyle style;
  style.scale = PictureScale::linear;
  style.bits = 16;
  style.white_photons = 65535;
  style.reduced = 2;
  EXPECT_THAT(Samples(Picture(bare_panel(5, 3), shown, style)).values,
              ElementsAre(7, 0, 7, 9, 2, 8));
  style.as_one = PixelsAsOne::mean;
  EXPECT_THAT(Samples(Picture(bare_panel(5, 3), shown, style)).values,
              ElementsAre(4, 0, 7, 5, 2, 8));
}

// ---- Colours ---------------------------------------------------------------------------------

/// CIELAB of a colour of sRGB.
std::array<double, 3> lab_of(const readout::Rgb& rgb) {
  const auto linear = [&](std::size_t i) {
    return rgb[i] <= 0.04045 ? rgb[i] / 12.92 : std::pow((rgb[i] + 0.055) / 1.055, 2.4);
  };
  const double r = linear(0), g = linear(1), b = linear(2);
  const auto f = [](double t) {
    return t > std::pow(6.0 / 29, 3) ? std::cbrt(t) : t / 3 * std::pow(29.0 / 6, 2) + 4.0 / 29;
  };
  const double x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047),
               y = f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b),
               z = f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

TEST(Heat, GoesFromBlackToWhiteByVioletRedAndOrange) {
  EXPECT_NEAR(readout::heat(0)[0] + readout::heat(0)[1] + readout::heat(0)[2], 0, 1e-6);
  for (const double share : readout::heat(1)) EXPECT_NEAR(share, 1, 1e-3);
  const auto violet = readout::heat(0.15), red = readout::heat(0.5), orange = readout::heat(0.75);
  EXPECT_GT(violet[2], violet[0]);
  EXPECT_GT(violet[0], violet[1]);
  EXPECT_GT(red[0], 1.5 * red[1]);
  EXPECT_GT(red[0], 1.5 * red[2]);
  EXPECT_GT(orange[0], orange[1] + 0.2);
  EXPECT_GT(orange[1], orange[2]);
}

TEST(Heat, IsAsFarFromTheColorBeforeAtEveryLevelAndEverLighter) {
  constexpr int steps = 100;
  std::array<double, steps> distances{};
  for (int i = 0; i < steps; ++i) {
    const auto here = lab_of(readout::heat(i / 100.0)),
               next = lab_of(readout::heat((i + 1) / 100.0));
    EXPECT_GT(next[0], here[0] + 0.5) << i;
    distances[static_cast<std::size_t>(i)] = std::hypot(next[0] - here[0], next[1] - here[1],
                                                        next[2] - here[2]);
  }
  const auto [least, most] = std::ranges::minmax(distances);
  EXPECT_LT(most / least, 1.02);
}

TEST(Heat, IsWhatThePixelsOfAPictureHave) {
  PictureStyle style;
  style.colors = PictureColors::heat;
  style.white_photons = 100;
  const std::vector<float> shown{0, 25, 100, none};
  const Samples picture{Picture(bare_panel(4, 1), shown, style)};
  for (int x = 0; x < 3; ++x)
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_EQ(
          picture.color(x, 0)[i],
          std::lround(255 * readout::heat(std::sqrt(shown[static_cast<std::size_t>(x)] / 100))[i]));
  // What is no measurement has a colour of its own.
  EXPECT_EQ(picture.color(3, 0), (std::array{71, 82, 97}));
}

// ---- Rings and the beam ----------------------------------------------------------------------

/// Far from the middle of the beam, tilted about three axes, with pixels of two edges.
const std::string tilted =
    "-corrected -cell 70 80 90 90 90 90 -default_F 1 -N 5 -lambda 1 -distance 60 -pixel 0.5 "
    "-detpixels_f 180 -detpixels_s 140 -twotheta 25 -detector_rotx 12 -detector_roty -9 "
    "-detector_rotz 20 -Xbeam 20 -Ybeam 30 ";

TEST(Rings, LieWhereThePixelsOfATiltedPanelHaveTheirDSpacing) {
  const Resolved r = resolve(experiment_of(tilted));
  const std::vector<float> shown = zeros(r);
  PictureStyle style;
  style.rings_A = {2};
  const Picture picture(r, shown, style);
  const Samples samples(picture);
  ASSERT_EQ(samples.width, 180);
  ASSERT_EQ(samples.height, 140);
  int inside = 0, outside = 0;
  std::size_t covered = 0;  ///< by the number, which has a dark edge
  for (int y = 1; y + 1 < samples.height; ++y)
    for (int x = 1; x + 1 < samples.width; ++x) {
      const double here = d_of(r, 0, x + 0.5, y + 0.5);
      double low = here, high = here;
      for (const int i : {-1, 1}) {
        low = std::min({low, d_of(r, 0, x + 0.5 + i, y + 0.5), d_of(r, 0, x + 0.5, y + 0.5 + i)});
        high = std::max({high, d_of(r, 0, x + 0.5 + i, y + 0.5), d_of(r, 0, x + 0.5, y + 0.5 + i)});
      }
      const bool passes = low <= 2 && high >= 2;
      const bool passes_middle = std::abs(here - 2) < 0.2 * (high - low);
      const bool is_blue = samples.color(x, y)[2] > 64;
      if (passes_middle) {
        ++inside;
        if (!is_blue) ++covered;
      }
      if (!passes && is_blue) ++outside;
    }
  EXPECT_GT(inside, 100);
  // Two letters, and the cross of the beam
  EXPECT_LT(covered, 30u);
  EXPECT_LT(outside, 60);
}

TEST(Rings, AreNoCirclesAboutTheBeamOnATiltedPanel) {
  const Resolved r = resolve(experiment_of(tilted));
  const DetectorView view(r);
  const PanelPoint beam = *view.beam_spot();
  EXPECT_NEAR(beam.fast_px, r.panel.beam_fast / r.panel.pixel, 1e-9);
  EXPECT_NEAR(beam.slow_px, r.panel.beam_slow / r.panel.pixel, 1e-9);
  for (const auto& [fast, slow] :
       {std::pair{0.5, 0.5}, {90.25, 3.0}, {179.5, 139.5}, {12.0, 100.0}})
    EXPECT_NEAR(view.d_spacing_A({0, fast, slow}), d_of(r, 0, fast, slow), 1e-9);
  const double right = view.d_spacing_A({0, beam.fast_px + 60, beam.slow_px}),
               below = view.d_spacing_A({0, beam.fast_px, beam.slow_px + 60});
  EXPECT_GT(std::abs(right - below), 0.05);
}

TEST(Rings, OfACurvedDetectorAreAsFarApartAsTheirAngles) {
  const std::string line =
      "-corrected -cell 70 80 90 90 90 90 -default_F 1 -N 5 -lambda 1 "
      "-distance 60 -pixel 0.5 -detpixels 160 -Xbeam 30 -Ybeam 25 -curved_det ";
  const Resolved r = resolve(experiment_of(line));
  const DetectorView view(r);
  const PanelPoint beam = *view.beam_spot();
  // Along either axis through the beam an arc of 60 mm is one radian.
  const auto d_at_arc = [](double pixels) { return 1 / (2 * std::sin(0.5 * pixels / 60 / 2)); };
  for (const double pixels : {20.0, 55.0, 90.0}) {
    EXPECT_NEAR(view.d_spacing_A({0, beam.fast_px + pixels, beam.slow_px}), d_at_arc(pixels), 1e-9);
    EXPECT_NEAR(view.d_spacing_A({0, beam.fast_px, beam.slow_px + pixels}), d_at_arc(pixels), 1e-9);
  }
  PictureStyle style;
  style.rings_A = {d_at_arc(80.5)};
  EXPECT_NO_THROW(check_picture(experiment_of(line), style));
  const std::vector<float> shown = zeros(r);
  const Samples samples{Picture(r, shown, style)};
  const auto is_marked = [&](double fast, double slow) {
    return samples.color(static_cast<int>(fast), static_cast<int>(slow))[2] > 64;
  };
  EXPECT_TRUE(is_marked(beam.fast_px + 80.5, beam.slow_px));
  EXPECT_TRUE(is_marked(beam.fast_px, beam.slow_px + 80.5));
  // Where it would be on a flat panel
  const double flat = 60 / 0.5 * std::tan(0.5 * 80.5 / 60);
  EXPECT_FALSE(is_marked(beam.fast_px + flat, beam.slow_px));
}

TEST(Rings, LieWhereThePixelsOfEachOfSeveralPanelsHaveTheirDSpacing) {
  const std::string crystal = "-corrected -cell 70 80 90 90 90 90 -default_F 1 -N 5 -lambda 1 ";
  Experiment e = experiment_of(crystal +
                               "-distance 60 -pixel 0.5 -detpixels 80 -Xbeam 20 -Ybeam 20 ");
  // Nearer to the beam's way out, tilted, with other pixels, below the first
  e.more_panels.push_back(
      {experiment_of(crystal + "-distance 66 -pixel 0.4 -detpixels 90 -Xbeam 20 "
                               "-Ybeam -24 -detector_rotx 8 -detector_roty -5 ")
           .detector,
       {},
       {}});
  const Resolved r = resolve(e);
  // The first panel is square to the beam, so its axes are those of the picture.
  const Vec3d x_axis = r.panel.fast, y_axis = r.panel.slow;
  const auto place = [&](std::size_t panel, double fast, double slow) {
    const Panel& p = panel_of(r, panel);
    const Vec3d v = p.origin + (fast * p.pixel) * p.fast + (slow * p.slow_pixel) * p.slow;
    return std::pair{dot(v, x_axis) / r.panel.pixel, dot(v, y_axis) / r.panel.pixel};
  };
  double left = 1e9, top = 1e9;
  for (std::size_t i = 0; i < 2; ++i)
    for (const int fast : {0, panel_of(r, i).fast_pixels})
      for (const int slow : {0, panel_of(r, i).slow_pixels}) {
        left = std::min(left, place(i, fast, slow).first);
        top = std::min(top, place(i, fast, slow).second);
      }
  PictureStyle style;
  style.rings_A = {3.5, 2};  // on the first panel, and on the second
  const std::vector<float> shown = zeros(r);
  const Samples samples{Picture(r, shown, style)};
  std::array<int, 2> on_ring{}, marked{};
  for (std::size_t i = 0; i < 2; ++i)
    for (int slow = 1; slow + 1 < panel_of(r, i).slow_pixels; ++slow)
      for (int fast = 1; fast + 1 < panel_of(r, i).fast_pixels; ++fast) {
        const double here = d_of(r, i, fast + 0.5, slow + 0.5);
        const double step = std::hypot(d_of(r, i, fast + 1.5, slow + 0.5) - here,
                                       d_of(r, i, fast + 0.5, slow + 1.5) - here);
        if (std::abs(here - style.rings_A[i]) > 0.2 * step) continue;
        const auto [x, y] = place(i, fast + 0.5, slow + 0.5);
        ++on_ring[i];
        marked[i] += samples.color(static_cast<int>(x - left), static_cast<int>(y - top))[2] > 64;
      }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_GT(on_ring[i], 10) << i;
    // The number covers a few.
    EXPECT_GE(marked[i], on_ring[i] - 6) << i;
  }
}

TEST(Rings, ThatNoPanelHasAreNamed) {
  const Resolved r = resolve(experiment_of(tilted));
  PictureStyle style;
  style.rings_A = {2, 0.52, 3, 0.55};
  const std::vector<float> shown = zeros(r);
  EXPECT_THAT(Picture(r, shown, style).unseen_rings_A(), ElementsAre(0.52, 0.55));
}

TEST(Rings, AreRefusedWhereNoLightGoesAndWhereNothingIsKnown) {
  const Experiment e = experiment_of(tilted);
  PictureStyle style;
  style.rings_A = {2, 0.49};
  EXPECT_EQ(message_of<UsageError>([&] { check_picture(e, style); }),
            "a ring of 0.49 Angstrom is beyond half the wavelength, 0.5 Angstrom, which no light "
            "reaches");
  style.rings_A = {2};
  EXPECT_NO_THROW(check_picture(e, style));
  const std::vector<float> shown(4, 0.0F);
  EXPECT_THAT(message_of<UsageError>([&] { Picture(bare_panel(2, 2), shown, style); }),
              HasSubstr("need the place of the detector and the wavelength"));
}

TEST(BeamMark, IsACrossAboutThePointWhereTheBeamMeetsThePanelWhichStaysFree) {
  Geometry geometry;
  geometry.panels = {square_panel(400, 420, 61.3, 80.2)};
  const std::vector<float> shown(400 * 420, 0.0F);
  PictureStyle style;
  style.axes = true;
  const Samples with{Picture(geometry, shown, style)};
  geometry.panels[0].origin_mm.z = 100;  // upstream of the sample
  const Samples without{Picture(geometry, shown, style)};
  ASSERT_EQ(with.values.size(), without.values.size());
  double x = 0, y = 0;
  int points = 0, left = with.width, right = 0;
  for (int j = 0; j < with.height; ++j)
    for (int i = 0; i < with.width; ++i)
      if (with.color(i, j) != without.color(i, j)) {
        x += i + 0.5;
        y += j + 0.5;
        left = std::min(left, i);
        right = std::max(right, i);
        ++points;
      }
  ASSERT_GT(points, 20);
  x /= points;
  y /= points;
  const int middle_x = static_cast<int>(x), middle_y = static_cast<int>(y);
  EXPECT_EQ(with.color(middle_x, middle_y), without.color(middle_x, middle_y));
  // The first pixel is where the frame ends: the first dark row and column of pixels
  int first_x = 0, first_y = 0;
  while (!(with.color(first_x, middle_y) == std::array{0, 0, 0} &&
           with.color(first_x + 10, middle_y) == std::array{0, 0, 0}))
    ++first_x;
  while (!(with.color(middle_x - 40, first_y) == std::array{0, 0, 0} &&
           with.color(middle_x - 40, first_y + 10) == std::array{0, 0, 0}))
    ++first_y;
  // The frame's own line is one point
  EXPECT_NEAR(x - first_x - 1, 61.3 / 0.5, 1);
  EXPECT_NEAR(y - first_y - 1, 80.2 / 0.5, 1);
}

// ---- Axes ------------------------------------------------------------------------------------

TEST(Frames, StandAroundThePixelsWhichAreThoseOfTheBarePicture) {
  constexpr int fast = 410, slow = 37;
  std::vector<float> shown(fast * slow);
  for (std::size_t i = 0; i < shown.size(); ++i) shown[i] = static_cast<float>((i * 7919) % 1000);
  PictureStyle style;
  style.white_photons = 1000;
  const Samples bare{Picture(bare_panel(fast, slow), shown, style)};
  style.axes = true;
  const Samples framed{Picture(bare_panel(fast, slow), shown, style)};
  EXPECT_GT(framed.width, fast + 50);
  EXPECT_GT(framed.height, slow + 20);
  int places = 0;
  for (int top = 0; top + slow <= framed.height; ++top)
    for (int left = 0; left + fast <= framed.width; ++left) {
      bool same = true;
      for (int y = 0; same && y < slow; ++y)
        for (int x = 0; same && x < fast; ++x)
          same = framed.color(left + x, top + y) == bare.color(x, y);
      places += same;
    }
  EXPECT_EQ(places, 1);
}

TEST(Frames, EnlargeImagesOfFewPixelsByAWholeNumber) {
  const std::vector<float> shown{1, 0, 0, 1};
  PictureStyle style;
  style.axes = true;
  style.white_photons = 1;
  const Samples framed{Picture(bare_panel(2, 2), shown, style)};
  int white_run = 0, longest = 0;
  // A row through the upper pixels: 200 points of white, 200 of black
  for (int y = 0; y < framed.height; ++y) {
    int white = 0, black = 0;
    for (int x = 0; x < framed.width; ++x) {
      if (framed.color(x, y) == std::array{0, 0, 0})
        longest = std::max(longest, ++black);
      else
        black = 0;
      white += framed.color(x, y) == std::array{255, 255, 255};
    }
    white_run = std::max(white_run, white);
  }
  EXPECT_GE(longest, 200);
  EXPECT_GE(white_run, 200);
}

TEST(Frames, OutlineThePanelsOfADetectorWithSeveral) {
  Geometry geometry;
  geometry.panels = {square_panel(200, 150, 100, 80), square_panel(200, 150, -5, 80)};
  geometry.panels[1].slow_axis = unit(Vec3d{0.1, -1, 0});
  geometry.panels[1].fast_axis = unit(Vec3d{1, 0.1, 0});
  const std::vector<float> shown(2 * 200 * 150, 0.0F);
  PictureStyle style;
  const Samples bare{Picture(geometry, shown, style)};
  style.axes = true;
  const Samples framed{Picture(geometry, shown, style)};
  int outline = 0;
  for (int y = 0; y < framed.height; ++y)
    for (int x = 0; x < framed.width; ++x)
      outline += framed.color(x, y) == std::array{153, 179, 204};
  // Twice around 200 x 150 pixels; slanted lines have as many points as rows or columns
  EXPECT_NEAR(outline, 2 * 2 * (200 + 150), 60);
}

TEST(Frames, NeedPlacesForSeveralPanels) {
  Geometry geometry = bare_panel(2, 2);
  geometry.panels.push_back(geometry.panels[0]);
  const std::vector<float> shown(8, 0.0F);
  EXPECT_THAT(message_of<UsageError>([&] { Picture(geometry, shown); }),
              HasSubstr("nothing says where they are"));
}

}  // namespace
}  // namespace nablabragg::test
