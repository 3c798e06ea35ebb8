// Acceptance tests that were written to compare two programs.  Here the program is held against
// physics instead: Bragg's law, the scaling of intensities, and a textbook image that this file
// computes by its own formulas.  That the numbers are those of the C program is the business of
// tests/golden.  docs/acceptance.md lists the tests with the mode that each holds in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>  // for pi
#include <numeric>

#include "support/experiment.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using std::numbers::pi;
using test::image_of;
using test::pixel_of;
using test::resolved_of;
using testing::HasSubstr;

constexpr double degree = pi / 180;
const std::string corrected = " -corrected ";
const std::array<std::string, 2> both_modes = {"", corrected};

// ---- A textbook image ------------------------------------------------------------------------

/// A cubic or triclinic crystal of square shape before a flat detector in MOSFLM's setting: beam
/// along x, fast axis z, slow axis -y, pivot at the beam spot.  Millimetres, Angstrom, degrees.
struct Textbook {
  std::array<double, 6> cell{100, 100, 100, 90, 90, 90};
  Vec3d misset;
  double N = 5, F = 100, lambda = 1;
  int pixels = 64;
  double pixel = 0.1, distance = 100, x_beam = 3.2, y_beam = 3.2;
  Vec3d rotation;
  double two_theta = 0, phi = 0, K = 0;

  std::string flags() const {
    std::string line;
    const auto add = [&](const char* flag, std::initializer_list<double> values) {
      line += flag;
      for (const double value : values) {
        char text[40];
        std::snprintf(text, sizeof text, " %.12g", value);
        line += text;
      }
      line += ' ';
    };
    add("-cell", {cell[0], cell[1], cell[2], cell[3], cell[4], cell[5]});
    add("-misset", {misset.x, misset.y, misset.z});
    add("-N", {N});
    add("-default_F", {F});
    add("-lambda", {lambda});
    add("-detpixels", {double(pixels)});
    add("-pixel", {pixel});
    add("-distance", {distance});
    add("-Xbeam", {x_beam});
    add("-Ybeam", {y_beam});
    add("-detector_rotx", {rotation.x});
    add("-detector_roty", {rotation.y});
    add("-detector_rotz", {rotation.z});
    add("-twotheta", {two_theta});
    add("-pivot beam -phi", {phi});
    add("-polar", {K});
    return line + "-oversample 1 ";
  }
};

/// Right-handed, about a unit vector.
Vec3d turned(const Vec3d& v, const Vec3d& axis, double degrees) {
  const double c = std::cos(degrees * degree), s = std::sin(degrees * degree);
  return (1 - c) * dot(axis, v) * axis + c * v + s * cross(axis, v);
}
Vec3d turned_xyz(const Vec3d& v, const Vec3d& degrees) {
  return turned(turned(turned(v, {1, 0, 0}, degrees.x), {0, 1, 0}, degrees.y), {0, 0, 1},
                degrees.z);
}

/// Cell vectors [Angstrom]: a* along x, b* in the xy plane, then misset and spindle rotation.
Mat3d cell_vectors(const Textbook& t) {
  const auto [a, b, c, al, be, ga] = t.cell;
  const double ca = std::cos(al * degree), cb = std::cos(be * degree), cg = std::cos(ga * degree),
               sa = std::sin(al * degree);
  // c along z and b in the yz plane are the reciprocal statement of that
  const double v = std::sqrt(1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg);
  Mat3d axes{{a * v / sa, a * (cg - ca * cb) / sa, a * cb}, {0, b * sa, b * ca}, {0, 0, c}};
  for (Vec3d* axis : {&axes.a, &axes.b, &axes.c})
    *axis = turned(turned_xyz(*axis, t.misset), {0, 0, 1}, t.phi);
  return axes;
}

struct Panel2 {
  Vec3d fast, slow, normal, origin;
};

Panel2 panel_of(const Textbook& t) {
  const auto swung = [&](const Vec3d& v) {
    return turned(turned_xyz(v, t.rotation), {0, 0, -1}, t.two_theta);
  };
  Panel2 p{swung({0, 0, 1}), swung({0, -1, 0}), swung({1, 0, 0}), {}};
  // MOSFLM counts its beam centre from the centre of the first pixel and calls slow x
  p.origin = Vec3d{t.distance, 0, 0} - (t.y_beam + t.pixel / 2) * p.fast -
             (t.x_beam + t.pixel / 2) * p.slow;
  return p;
}

/// Miller indices at a pixel's centre.
Vec3d indices_at(const Textbook& t, double fast, double slow) {
  const Panel2 p = panel_of(t);
  const Vec3d d = unit(p.origin + (fast + 0.5) * t.pixel * p.fast +
                       (slow + 0.5) * t.pixel * p.slow);
  return cell_vectors(t) * ((d - Vec3d{1, 0, 0}) / t.lambda);
}

double interference(double h, double N) {
  const double from_peak = h - std::round(h);
  if (std::abs(from_peak) < 1e-9) return N;
  return std::sin(pi * N * from_peak) / std::sin(pi * from_peak);
}

std::vector<double> textbook_image(const Textbook& t) {
  const Panel2 p = panel_of(t);
  const Mat3d axes = cell_vectors(t);
  std::vector<double> image;
  for (int slow = 0; slow < t.pixels; ++slow)
    for (int fast = 0; fast < t.pixels; ++fast) {
      const Vec3d at = p.origin + (fast + 0.5) * t.pixel * p.fast + (slow + 0.5) * t.pixel * p.slow;
      const double R = length(at);
      const Vec3d d = at / R;
      const Vec3d h = axes * ((d - Vec3d{1, 0, 0}) / t.lambda);
      const double latt = interference(h.x, t.N) * interference(h.y, t.N) * interference(h.z, t.N);
      const double omega = t.pixel * t.pixel * dot(p.origin, p.normal) / (R * R * R);
      const double polar = 0.5 * (1 + d.x * d.x - t.K * (d.z * d.z - d.y * d.y));
      // r_e^2 times the standard fluence is 1
      image.push_back(t.F * t.F * latt * latt * omega * polar);
    }
  return image;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double n = double(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n,
               mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return ab / std::sqrt(aa * bb);
}

std::vector<double> pixels_of(const Image& image) {
  return {image.pixels.begin(), image.pixels.end()};
}
std::vector<double> pixels_of(const std::string& line) { return pixels_of(image_of(line).image); }

double sum(const std::vector<double>& image) {
  return std::accumulate(image.begin(), image.end(), 0.0);
}
double largest(const std::vector<double>& image) {
  return *std::max_element(image.begin(), image.end());
}

/// Pixel by pixel to a millionth of the brightest: six digits of a float.
void expect_same_picture(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  const double allowed = 2e-6 * largest(expected);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(got[i] - expected[i]));
  EXPECT_LE(worst, allowed);
  EXPECT_GE(correlation(got, expected), 0.999999);
}

void expect_textbook(const Textbook& t, const std::string& mode, const std::string& more = "") {
  SCOPED_TRACE(t.flags() + more + mode);
  expect_same_picture(pixels_of(t.flags() + more + mode), textbook_image(t));
}

struct Spot {
  int fast, slow;
  double value;
};

/// Pixels brighter than their eight neighbours and than `share` of all, the brightest first.
std::vector<Spot> spots_of(const Image& image, double share, std::size_t most) {
  std::vector<float> sorted = image.pixels;
  std::sort(sorted.begin(), sorted.end());
  const float level = sorted[static_cast<std::size_t>(share * double(sorted.size() - 1))];
  std::vector<Spot> spots;
  for (int slow = 1; slow + 1 < image.slow_pixels; ++slow)
    for (int fast = 1; fast + 1 < image.fast_pixels; ++fast) {
      const float value = image.at(fast, slow);
      bool top = value > level;
      for (int j = -1; j <= 1; ++j)
        for (int i = -1; i <= 1; ++i)
          top = top && (value > image.at(fast + i, slow + j) || (i == 0 && j == 0));
      if (top) spots.push_back({fast, slow, double(value)});
    }
  std::sort(spots.begin(), spots.end(),
            [](const Spot& a, const Spot& b) { return a.value > b.value; });
  if (spots.size() > most) spots.resize(most);
  return spots;
}

Spot brightest(const Image& image) {
  const auto at = std::max_element(image.pixels.begin(), image.pixels.end()) - image.pixels.begin();
  return {int(at) % image.fast_pixels, int(at) / image.fast_pixels,
          double(image.pixels[std::size_t(at)])};
}

/// Centre of the light above a tenth of the brightest pixel [pixels, from the outer corner].
std::array<double, 2> centroid(const Image& image) {
  const double level = 0.1 * brightest(image).value;
  double total = 0, fast_sum = 0, slow_sum = 0;
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    for (int fast = 0; fast < image.fast_pixels; ++fast) {
      const double value = double(image.at(fast, slow)) - level;
      if (value <= 0) continue;
      total += value;
      fast_sum += value * (fast + 0.5);
      slow_sum += value * (slow + 0.5);
    }
  return {fast_sum / total, slow_sum / total};
}

/// Slope of y over x by least squares, and how much of y it explains.
struct Fit {
  double slope, r2;
};
Fit fit(const std::vector<double>& x, const std::vector<double>& y) {
  const double n = double(x.size()), mx = std::accumulate(x.begin(), x.end(), 0.0) / n,
               my = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return {xy / xx, xy * xy / (xx * yy)};
}

// ---- Beam centres ----------------------------------------------------------------------------

TEST(Acceptance, AT_PARALLEL_001_TheBeamCentreScalesWithTheDetector) {
  for (const std::string& mode : both_modes)
    for (const int size : {64, 128, 256, 512, 1024}) {
      const Simulation s = image_of("-cell 100 -default_F 100 -N 3 -lambda 6.2 -detpixels " +
                                    std::to_string(size) + mode);
      // compat keeps nanoBragg's half pixel in the default
      const double middle_mm = size / 2.0 * 0.1;
      const double named_mm = resolved_of("-detpixels " + std::to_string(size) + mode)
                                  .panel.named_beam_x *
                              1000;
      EXPECT_NEAR(named_mm, middle_mm + (mode.empty() ? 0.05 : -0.05), 1e-9);
      const Spot top = brightest(s.image);
      EXPECT_NEAR(top.fast, size / 2, 2);
      EXPECT_NEAR(top.slow, size / 2, 2);
    }
}

TEST(Acceptance, AT_PARALLEL_002_PeaksMoveInverselyWithThePixelSize) {
  // A detector of constant 51.2 mm, so that the beam stays on it
  for (const std::string& mode : both_modes)
    for (const double pixel : {0.05, 0.1, 0.2, 0.4}) {
      const std::string line =
          "-cell 100 -default_F 100 -N 5 -lambda 6.2 -oversample 1 -Xbeam 25.6 "
          "-Ybeam 25.6 -detsize 51.2 -pixel " +
          std::to_string(pixel);
      const Panel panel = resolved_of(line + mode).panel;
      EXPECT_NEAR(panel.named_beam_x / panel.pixel, 25.6 / pixel, 0.1);
      const std::array<double, 2> at = centroid(image_of(line + mode).image);
      // MOSFLM counts from the centre of the first pixel
      EXPECT_NEAR(at[0], 25.6 / pixel + 0.5, 0.5);
      EXPECT_NEAR(at[1], 25.6 / pixel + 0.5, 0.5);
    }
}

TEST(Acceptance, AT_PARALLEL_003_ADisplacedBeamDisplacesThePicture) {
  int tried = 0;
  for (const std::string& mode : both_modes)
    for (const int size : {256, 512, 1024})
      for (const auto& [x, y] : {std::pair{20, 20}, {30, 40}, {45, 25}, {60, 60}}) {
        if (std::max(x, y) * 10 >= size) continue;  // off this detector
        ++tried;
        const Spot top = brightest(
            image_of("-cell 100 -default_F 100 -N 5 -oversample 1 -lambda 6.2 -detpixels " +
                     std::to_string(size) + " -Xbeam " + std::to_string(x) + " -Ybeam " +
                     std::to_string(y) + mode)
                .image);
        // MOSFLM's x is slow
        EXPECT_NEAR(top.slow, x * 10, 1);
        EXPECT_NEAR(top.fast, y * 10, 1);
        EXPECT_NEAR(double(top.slow) / top.fast, double(x) / y, 0.02 * x / y);
      }
  EXPECT_EQ(tried, 2 * (1 + 3 + 4));
}

TEST(Acceptance, AT_PARALLEL_004_MosflmAndXdsDifferByHalfAPixel) {
  const std::string
      line = "-cell 100 -default_F 100 -N 5 -lambda 6.2 -detpixels 256 -oversample 1 ";
  for (const std::string& mode : both_modes) {
    // compat's XDS takes its centre from -ORGX alone; 128.5 is 12.8 mm
    const std::string same = mode.empty() ? "-ORGX 128.5 -ORGY 128.5 " : "";
    const Image mosflm = image_of(line + "-mosflm -Xbeam 12.8 -Ybeam 12.8" + mode).image,
                xds = image_of(line + same + "-xds -Xbeam 12.8 -Ybeam 12.8" + mode).image;
    for (const std::size_t axis : {0u, 1u})
      EXPECT_NEAR(centroid(mosflm)[axis] - centroid(xds)[axis], 0.5, 0.1);
    // Aligned, and turned as MOSFLM's slow axis runs the other way, they are one picture
    const Image aligned = image_of(line + (mode.empty() ? "-ORGX 129 -ORGY 129 " : "") +
                                   "-xds -Xbeam 12.85 -Ybeam 12.85" + mode)
                              .image;
    EXPECT_GE(correlation(pixels_of(mosflm), pixels_of(aligned)), 0.9999);
  }
}

TEST(Acceptance, AT_PARALLEL_005_BeamCentreFlagsThatMeanTheSameAgree) {
  // Corrected: within one convention.  12.85 mm is the centre of pixel 129 as XDS counts
  struct Case {
    const char* flags;
    Pivot pivot;
  };
  for (const Case& c :
       {Case{"-Xbeam 12.8 -Ybeam 12.8", Pivot::beam}, Case{"-ORGX 129 -ORGY 129", Pivot::sample},
        Case{"-Xclose 12.85 -Yclose 12.85", Pivot::sample}}) {
    const Panel panel = resolved_of(std::string("-mosflm -detpixels 256 ") + c.flags + corrected)
                            .panel;
    EXPECT_NEAR(panel.beam_fast, 12.85e-3, 1e-12) << c.flags;
    EXPECT_NEAR(panel.beam_slow, 12.85e-3, 1e-12) << c.flags;
    EXPECT_EQ(panel.pivot, c.pivot) << c.flags;
  }
  // compat: each flag in the convention that reads it
  for (const Case& c : {Case{"-mosflm -Xbeam 12.8 -Ybeam 12.8", Pivot::beam},
                        Case{"-xds -ORGX 129 -ORGY 129", Pivot::sample},
                        Case{"-spindle_axis 0 0 1 -Xclose 12.85 -Yclose 12.85", Pivot::sample}}) {
    const Panel panel = resolved_of(std::string("-detpixels 256 ") + c.flags).panel;
    EXPECT_NEAR(panel.beam_fast, 12.85e-3, 1e-12) << c.flags;
    EXPECT_NEAR(panel.beam_slow, 12.85e-3, 1e-12) << c.flags;
    EXPECT_EQ(panel.pivot, c.pivot) << c.flags;
  }
}

// ---- Peak positions --------------------------------------------------------------------------

TEST(Acceptance, AT_PARALLEL_006_OneReflectionLiesWhereBraggsLawPutsIt) {
  // (1,0,0) lies along this setting's beam and is never excited; (0,1,0) has the same spacing
  const test::TempDir folder;
  const std::string table = folder.file("one.hkl", "0 1 0 100\n");
  for (const std::string& mode : both_modes) {
    std::map<std::pair<double, double>, double> offset_mm;
    for (const double distance : {50.0, 100.0, 200.0})
      for (const double lambda : {1.0, 1.5, 2.0}) {
        const Image image = image_of(
                                "-cell 100 -N 10 -oversample 1 -nointerpolate -detpixels 128 "
                                "-Xbeam 6.4 -Ybeam 6.4 -hkl " +
                                table + " -distance " + std::to_string(distance) + " -lambda " +
                                std::to_string(lambda) + mode)
                                .image;
        const double expected = distance * std::tan(2 * std::asin(lambda / 200));
        // Up, which is towards smaller slow
        const Spot top = brightest(image);
        EXPECT_LE(std::abs(64.5 - (top.slow + 0.5) - expected * 10), 0.51);
        EXPECT_EQ(top.fast, 64);
        offset_mm[{distance, lambda}] = (64.5 - centroid(image)[1]) * 0.1;
        const double two_theta = std::atan(offset_mm[{distance, lambda}] / distance);
        EXPECT_NEAR(2 * 100 * std::sin(two_theta / 2), lambda, 0.01 * lambda);
      }
    for (const double lambda : {1.0, 1.5, 2.0}) {
      const double near = offset_mm[{50.0, lambda}], middle = offset_mm[{100.0, lambda}],
                   far = offset_mm[{200.0, lambda}];
      EXPECT_NEAR(middle / near, 2, 0.04);
      EXPECT_NEAR(far / middle, 2, 0.04);
    }
  }
}

Textbook tilted() {
  Textbook t;
  t.pixels = 256;
  t.x_beam = t.y_beam = 12.8;
  t.rotation = {5, 3, 2};
  t.two_theta = 10;
  return t;
}

TEST(Acceptance, AT_PARALLEL_007_PeaksOnATurnedDetectorLieAtReflections) {
  const Textbook t = tilted();
  for (const std::string& mode : both_modes) {
    expect_textbook(t, mode);
    const std::vector<Spot> spots = spots_of(image_of(t.flags() + mode).image, 0.995, 25);
    ASSERT_GE(spots.size(), 20u);
    int at_reflections = 0;
    for (const Spot& spot : spots) {
      const Vec3d h = indices_at(t, spot.fast, spot.slow);
      // One pixel is a tenth of an index here
      at_reflections += std::abs(h.y - std::round(h.y)) < 0.1 &&
                        std::abs(h.z - std::round(h.z)) < 0.1;
    }
    EXPECT_GE(at_reflections, 0.95 * double(spots.size()));
  }
}

Textbook triclinic() {
  Textbook t;
  t.cell = {70, 80, 90, 75, 85, 95};
  t.pixels = 512;
  t.x_beam = t.y_beam = 25.6;
  return t;
}

TEST(Acceptance, AT_PARALLEL_008_ManyPeaksOfATriclinicCrystalLieWhereTheTextbookPutsThem) {
  // Corrected, as compat has nanoBragg's drifting angles; tests/golden has its picture
  const Textbook t = triclinic();
  const Image image = image_of(t.flags() + corrected).image;
  const std::vector<double> expected = textbook_image(t);
  expect_same_picture(pixels_of(image), expected);
  Image textbook{t.pixels, t.pixels, {expected.begin(), expected.end()}};
  const std::vector<Spot> spots = spots_of(image, 0.99, 100),
                          wanted = spots_of(textbook, 0.99, 100);
  ASSERT_GE(spots.size(), 50u);
  std::size_t matched = 0;
  for (const Spot& spot : spots)
    matched += std::any_of(wanted.begin(), wanted.end(), [&](const Spot& w) {
      return std::hypot(w.fast - spot.fast, w.slow - spot.slow) <= 1 &&
             std::abs(w.value - spot.value) < 1e-3 * w.value;
    });
  EXPECT_GE(double(matched), 0.95 * double(spots.size()));
}

// ---- Intensities -----------------------------------------------------------------------------

TEST(Acceptance, AT_PARALLEL_009_IntensityGrowsAsTheSixthPowerOfNAndTheSquareOfF) {
  // The beam goes through the centre of a pixel, which then is an exact reflection
  const std::string line = "-cell 100 -detpixels 64 -oversample 1 -Xbeam 3.2 -Ybeam 3.2 ";
  for (const std::string& mode : both_modes) {
    std::vector<double> log_n, log_in, log_f, log_if;
    for (const int n : {1, 2, 3, 5, 10}) {
      log_n.push_back(std::log(n));
      log_in.push_back(
          std::log(largest(pixels_of(line + "-default_F 100 -N " + std::to_string(n) + mode))));
    }
    for (const int f : {50, 100, 200, 500}) {
      log_f.push_back(std::log(f));
      log_if.push_back(
          std::log(largest(pixels_of(line + "-N 5 -default_F " + std::to_string(f) + mode))));
    }
    EXPECT_NEAR(fit(log_n, log_in).slope, 6, 1e-4);
    EXPECT_GE(fit(log_n, log_in).r2, 0.9999);
    EXPECT_NEAR(fit(log_f, log_if).slope, 2, 1e-5);
    EXPECT_GE(fit(log_f, log_if).r2, 0.9999);
  }
}

TEST(Acceptance, AT_PARALLEL_010_SolidAnglesFallWithDistanceAndTilt) {
  // Flat scattering from water: a sum over Bragg peaks would change with what the detector sees
  const test::TempDir folder;
  const std::string line = "-cell 100 -N 5 -oversample 1 -nopolar -water 10 -detpixels 64 -hkl " +
                           folder.file("none.hkl", "0 0 0 0\n") + ' ';
  for (const std::string& mode : both_modes) {
    std::vector<double> flat, facing;
    const double distances[] = {50, 100, 200, 400};
    for (const double R : distances) {
      const std::string at = " -distance " + std::to_string(R);
      facing.push_back(sum(pixels_of(line + "-point_pixel" + at + mode)));
      flat.push_back(sum(pixels_of(line + at + mode)));
      for (const int tilt : {10, 20, 30}) {
        const double tilted_sum = sum(
            pixels_of(line + at + mode + " -pivot beam -detector_rotz " + std::to_string(tilt)));
        // close distance over R^3
        EXPECT_NEAR(tilted_sum / flat.back(), std::cos(tilt * degree), 0.01);
      }
    }
    for (std::size_t i = 1; i < flat.size(); ++i) {
      EXPECT_NEAR(facing[i - 1] / facing[i], 4, 0.05 * 4);
      EXPECT_NEAR(flat[i - 1] / flat[i], 4, 0.05 * 4);
    }
  }
}

TEST(Acceptance, AT_PARALLEL_011_PolarizationIsTheoryPixelByPixel) {
  for (const std::string& mode : both_modes)
    for (const double K : {0.0, 0.95}) {
      Textbook t;
      t.pixels = 256;
      t.pixel = 0.4;
      t.x_beam = t.y_beam = 51.2;
      t.K = K;
      const std::vector<double> polarized = pixels_of(t.flags() + mode),
                                bare = pixels_of(t.flags() + "-nopolar" + mode);
      const Panel2 p = panel_of(t);
      std::vector<double> got, theory;
      double error = 0;
      for (int slow = 0; slow < 256; ++slow)
        for (int fast = 0; fast < 256; ++fast) {
          const std::size_t i = static_cast<std::size_t>(slow * 256 + fast);
          if (bare[i] < 1e-6 * largest(bare)) continue;
          const Vec3d d = unit(p.origin + (fast + 0.5) * 0.4 * p.fast +
                               (slow + 0.5) * 0.4 * p.slow);
          const double two_theta = std::acos(d.x), psi = std::atan2(d.y, d.z);
          theory.push_back(0.5 * (1 + std::pow(std::cos(two_theta), 2) -
                                  K * std::cos(2 * psi) * std::pow(std::sin(two_theta), 2)));
          got.push_back(polarized[i] / bare[i]);
          error += std::abs(got.back() / theory.back() - 1);
        }
      EXPECT_GE(fit(theory, got).r2, 0.999999);
      EXPECT_NEAR(fit(theory, got).slope, 1, 1e-5);
      EXPECT_LE(error / double(got.size()), 1e-6);
    }
}

// ---- Whole pictures --------------------------------------------------------------------------

TEST(Acceptance, AT_PARALLEL_012_ReferencePatternsAreTheTextbooks) {
  // tests/golden compares the same cases with the C program
  Textbook cubic;
  cubic.lambda = 6.2;
  cubic.pixels = 512;
  cubic.x_beam = cubic.y_beam = 25.6;
  for (const std::string& mode : both_modes) {
    expect_textbook(cubic, mode);
    expect_textbook(tilted(), mode);
  }
  Textbook triclinic_P1;
  triclinic_P1.cell = {70, 80, 90, 75, 85, 95};
  triclinic_P1.misset = {-89.968546, -31.328953, 177.753396};
  triclinic_P1.pixels = 256;
  triclinic_P1.x_beam = triclinic_P1.y_beam = 12.8;
  expect_textbook(triclinic_P1, corrected);
}

TEST(Acceptance, AT_PARALLEL_012_TheHighResolutionPatternIsFinite) {
  // 4096 x 4096 pixels, of which the middle is computed
  for (const std::string& mode : both_modes) {
    const Simulation s = image_of(
        "-cell 100 -default_F 100 -N 5 -lambda 0.5 -detpixels 4096 -pixel "
        "0.05 -distance 500 -oversample 1 -roi 1984 2112 1984 2112" +
        mode);
    EXPECT_TRUE(std::isfinite(s.statistics.sum));
    EXPECT_NEAR(brightest(s.image).fast, 2048, 1);
    EXPECT_NEAR(brightest(s.image).slow, 2048, 1);
  }
}

TEST(Acceptance, AT_PARALLEL_013_RunsAndThreadCountsGiveTheSameBits) {
  for (const std::string& mode : both_modes) {
    const Experiment e = test::experiment_of(triclinic().flags() + "-detpixels 128" + mode);
    const std::vector<float> once = image_of(e, 1).image.pixels;
    for (const int threads : {1, 2, 3, 8}) EXPECT_EQ(image_of(e, threads).image.pixels, once);
  }
}

TEST(Acceptance, AT_PARALLEL_014_NoiseKeepsTheMeanAndThePeaks) {
  const test::TempDir folder;
  for (const std::string& mode : both_modes) {
    std::vector<double> overloads;
    for (const char* seed : {"123", "456"}) {
      // Thousands of photons per pixel, and more than the counters hold in some
      const test::Outcome outcome = test::run_program(
          folder.path(),
          "-cell 100 -default_F 100 -N 5 -lambda 1 -detpixels 128 -oversample 1 "
          "-fluence 2e32 -floatfile f.bin -noisefile n.img -seed " +
              std::string(seed) + mode);
      ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
      const std::size_t at = outcome.out.find(" photons on noise image (");
      overloads.push_back(std::stod(outcome.out.substr(at + 25)));
      const std::vector<float> mean = test::read_floats(folder / "f.bin");
      const std::vector<std::uint16_t> counts = test::read_smv_pixels(folder / "n.img");
      // Below the counter's ceiling the mean must stay
      double expected = 0, got = 0;
      for (std::size_t i = 0; i < mean.size(); ++i) {
        if (mean[i] > 6e4f) continue;
        expected += double(mean[i]);
        got += counts[i] - 40.0;
      }
      EXPECT_NEAR(got, expected, 0.01 * expected);
      EXPECT_GT(expected / double(mean.size()), 500);

      const Image quiet{128, 128, mean}, noisy{128, 128, {counts.begin(), counts.end()}};
      std::vector<double> shifts;
      for (const Spot& spot : spots_of(quiet, 0.99, 20)) {
        const auto middle = [&](const Image& image, double floor) {
          double total = 0, x = 0, y = 0;
          for (int j = -2; j <= 2; ++j)
            for (int i = -2; i <= 2; ++i) {
              const int fast = std::clamp(spot.fast + i, 0, 127),
                        slow = std::clamp(spot.slow + j, 0, 127);
              const double value = std::min(65495.0, double(image.at(fast, slow)) - floor);
              total += value;
              x += i * value;
              y += j * value;
            }
          return std::array{x / total, y / total};
        };
        const auto a = middle(quiet, 0), b = middle(noisy, 40);
        shifts.push_back(std::hypot(a[0] - b[0], a[1] - b[1]));
      }
      std::sort(shifts.begin(), shifts.end());
      EXPECT_LE(shifts[shifts.size() / 2], 0.5);
      EXPECT_LE(shifts[shifts.size() * 9 / 10], 1.0);
    }
    EXPECT_GT(overloads[0], 0);
    EXPECT_NEAR(overloads[1], overloads[0], 0.1 * overloads[0]);
  }
}

TEST(Acceptance, AT_PARALLEL_015_UnitsOfTheSameThingGiveTheSamePicture) {
  const std::string line = "-cell 100 -default_F 100 -N 5 -oversample 1 ";
  for (const std::string& mode : both_modes) {
    const auto image = [&](const std::string& flags) { return pixels_of(line + flags + mode); };
    expect_same_picture(image("-detpixels 64 -energy 12398.42"), image("-detpixels 64 -lambda 1"));
    expect_same_picture(image("-pixel 0.1 -detsize 6.4"), image("-pixel 0.1 -detpixels 64"));
    expect_same_picture(image("-xds -detpixels 64 -ORGX 30 -ORGY 20 -detector_roty 0"),
                        image("-spindle_axis 1 0 0 -beam_vector 0 0 1 -fdet_vector 1 0 0 "
                              "-sdet_vector 0 1 0 -odet_vector 0 0 1 -polar_vector 1 0 0 "
                              "-detpixels 64 -Xclose 2.95 -Yclose 1.95 -pivot sample"));
    expect_same_picture(image("-detpixels 64 -phi 360"), image("-detpixels 64"));
    expect_same_picture(image("-detpixels 64 -Na 5 -Nb 5 -Nc 5"),
                        image("-detpixels 64 -xtalsize 5e-5 -nointerpolate"));
    expect_same_picture(image("-detpixels 64 -flux 1e12 -exposure 2 -beamsize 0.05"),
                        image("-detpixels 64 -fluence 8e20"));
  }
}

TEST(Acceptance, AT_PARALLEL_016_ExtremesOfScaleGiveFinitePictures) {
  for (const std::string& mode : both_modes)
    for (const char* line :
         {"-cell 100 -N 1 -lambda 0.1 -distance 10 -detpixels 128 -pixel 0.05",
          "-cell 300 300 300 90 90 90 -N 10 -lambda 6 -detpixels 1024 -pixel 0.1",
          "-cell 100 -N 5 -distance 10000 -detpixels 256 -pixel 0.2"}) {
      const Image image = image_of(std::string(line) + " -default_F 100 -oversample 1" + mode)
                              .image;
      for (const float value : image.pixels)
        ASSERT_TRUE(std::isfinite(value) && value >= 0) << line;
      EXPECT_GT(brightest(image).value, 0);
    }
  Textbook large;
  large.cell = {300, 300, 300, 90, 90, 90};
  large.N = 10;
  large.lambda = 6;
  Textbook far;
  far.distance = 10000;
  for (const std::string& mode : both_modes) {
    expect_textbook(large, mode);
    expect_textbook(far, mode);
  }
}

TEST(Acceptance, AT_PARALLEL_017_GrazingDetectorsAreTheTextbooks) {
  for (const std::string& mode : both_modes) {
    Textbook t;
    t.rotation = {50, 0, 0};
    expect_textbook(t, mode);
    t.rotation = {0, 55, 0};
    expect_textbook(t, mode);
    t.rotation = {10, 20, 60};
    expect_textbook(t, mode);
    t.rotation = {};
    t.two_theta = 75;
    expect_textbook(t, mode);
    t.rotation = {20, 30, 0};
    t.two_theta = -65;
    expect_textbook(t, mode);
  }
}

TEST(Acceptance, AT_PARALLEL_018_AlignedAndSingularOrientationsAreRegular) {
  for (const std::string& mode : both_modes) {
    for (const Vec3d& misset : {Vec3d{0, 0, 0},
                                {90, 0, 0},
                                {0, 90, 0},
                                {0, 0, 180},
                                {45, 0, 0},
                                {0, 90, 90},
                                {90, 90, 90},
                                {360, -360, 720}}) {
      Textbook t;
      t.misset = misset;
      expect_textbook(t, mode);
      // ... and next to it the picture is nearly the same
      Textbook near = t;
      near.misset = misset + Vec3d{1e-4, -1e-4, 1e-4};
      const std::vector<double> a = pixels_of(t.flags() + mode), b = pixels_of(near.flags() + mode);
      EXPECT_GE(correlation(a, b), 0.999999);
    }
    // A cube turned onto itself
    Textbook t;
    const std::vector<double> plain = pixels_of(t.flags() + mode);
    t.misset = {90, 180, 270};
    expect_same_picture(pixels_of(t.flags() + mode), plain);
  }
}

TEST(Acceptance, AT_PARALLEL_020_AScanIsTheMeanOfItsSteps) {
  const std::string line =
      "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -mosaic 0.5 -mosaic_dom 5 -mosaic_seed 7 "
      "-detector_rotx 5 -detector_roty 3 -detector_rotz 2 -twotheta 10 -detector_abs 500 "
      "-detector_thick 450 -thicksteps 5 -polar 0.95 -detpixels 64 -pixel 0.4 -oversample 1 ";
  for (const std::string& mode : both_modes) {
    const Simulation scan = image_of(line + "-phi 0 -osc 90 -phisteps 9" + mode);
    EXPECT_EQ(scan.statistics.pixels, 64 * 64);
    EXPECT_TRUE(std::isfinite(scan.statistics.sum));
    std::vector<double> mean(64 * 64);
    for (int step = 0; step < 9; ++step) {
      // compat samples the start of a slice, corrected its middle
      const double phi = 10 * (step + (mode.empty() ? 0 : 0.5));
      const std::vector<double> still = pixels_of(line + "-phi " + std::to_string(phi) + mode);
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += still[i] / 9;
    }
    expect_same_picture(pixels_of(scan.image), mean);
  }
}

TEST(Acceptance, AT_PARALLEL_021_TheSpindleTurnsTheCrystal) {
  Textbook t;
  t.pixels = 128;
  t.x_beam = t.y_beam = 6.4;
  const std::vector<double> still_0 = textbook_image(t);
  t.phi = 45;
  const std::vector<double> still_45 = textbook_image(t);
  EXPECT_LT(correlation(still_0, still_45), 0.9);
  for (const std::string& mode : both_modes) {
    expect_textbook(t, mode);
    // One step over 90 degrees: the start in compat, the middle in corrected mode
    Textbook scan = t;
    scan.phi = 0;
    expect_same_picture(pixels_of(scan.flags() + "-osc 90 -phisteps 1" + mode),
                        mode.empty() ? still_0 : still_45);
    // Nine steps: the mean of nine stills
    std::vector<double> mean(still_0.size());
    for (int step = 0; step < 9; ++step) {
      Textbook still = t;
      still.phi = 10 * (step + (mode.empty() ? 0 : 0.5));
      const std::vector<double> image = textbook_image(still);
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += image[i] / 9;
    }
    expect_same_picture(pixels_of(scan.flags() + "-osc 90 -phisteps 9" + mode), mean);
  }
}

TEST(Acceptance, AT_PARALLEL_022_DetectorAndCrystalTurnTogether) {
  for (const std::string& mode : both_modes)
    for (const double phi : {0.0, 10.0, 45.0, 80.0}) {
      Textbook t = tilted();
      t.phi = phi;
      t.pixels = 128;
      expect_textbook(t, mode);
    }
}

TEST(Acceptance, AT_PARALLEL_023_MissetAnglesTurnAboutXThenYThenZ) {
  for (const Vec3d& misset :
       {Vec3d{0, 0, 0}, {10.5, 0, 0}, {0, 10.25, 0}, {0, 0, 9.75}, {15, 20.5, 30.25}}) {
    Textbook t;
    t.misset = misset;
    t.pixels = 256;
    t.x_beam = t.y_beam = 12.8;
    for (const std::string& mode : both_modes) expect_textbook(t, mode);
    // Triclinic angles drift in compat mode
    t.cell = {70, 80, 90, 75, 85, 95};
    expect_textbook(t, corrected);
  }
}

TEST(Acceptance, AT_PARALLEL_024_RandomOrientationsFollowTheirSeed) {
  const std::string line =
      "-cell 100 -default_F 100 -N 5 -detpixels 256 -oversample 1 -misset random "
      "-misset_seed ";
  for (const std::string& mode : both_modes) {
    const std::vector<double> first = pixels_of(line + "12345" + mode);
    EXPECT_EQ(pixels_of(line + "12345" + mode), first);
    EXPECT_LE(correlation(pixels_of(line + "54321" + mode), first), 0.7);
  }
  // The angles that the C program prints
  const Vec3d a = resolved_of(line + "12345").misset, b = resolved_of(line + "54321").misset;
  EXPECT_CLOSE_WITHIN(1e-12, a / degree,
                      (Vec3d{105.720754730633, -34.9513183631866, -97.8235714406551}));
  EXPECT_CLOSE_WITHIN(1e-12, b / degree,
                      (Vec3d{-27.5297148613793, 53.3737593813304, 91.8791645748598}));
}

TEST(Acceptance, AT_PARALLEL_025_TheBrightestPixelIsAtTheBeam) {
  // One cell has no peaks: polarization and solid angle alone decide
  for (const std::string& mode : both_modes) {
    const std::string line = "-cell 100 -default_F 100 -N 1 -lambda 1 -detpixels 64 ";
    const Panel panel = resolved_of(line + mode).panel;
    const Spot top = brightest(image_of(line + mode).image);
    EXPECT_LE(std::abs(top.fast + 0.5 - panel.beam_fast / panel.pixel), 0.5 + 1e-6);
    EXPECT_LE(std::abs(top.slow + 0.5 - panel.beam_slow / panel.pixel), 0.5 + 1e-6);
  }
}

TEST(Acceptance, AT_PARALLEL_026_TheBrightestPeakOfATriclinicCrystalIsWhereTheTextbookPutsIt) {
  Textbook t;
  t.cell = {70, 80, 90, 85, 95, 105};
  t.lambda = 1.5;
  t.distance = 150;
  t.pixels = 256;
  t.x_beam = t.y_beam = 12.8;
  for (const double N : {1.0, 5.0}) {
    t.N = N;
    expect_textbook(t, corrected);
    // compat's angles drift by less than a pixel near the beam
    for (const std::string& mode : both_modes) {
      const Spot top = brightest(image_of(t.flags() + mode).image);
      EXPECT_NEAR(top.fast, 128, 1);
      EXPECT_NEAR(top.slow, 128, 1);
    }
  }
}

TEST(Acceptance, AT_PARALLEL_027_IntensitiesGoWithTheSquareOfEachStructureFactor) {
  // At 6.2 Angstrom this detector sees the direct beam alone, so 1 Angstrom; and (0,k,l), since
  // (h,0,0) lies along the beam
  const test::TempDir folder;
  const std::string table = folder.file(
      "F.hkl", "0 0 0 100\n0 1 0 50\n0 0 1 25\n0 1 1 12.5\n0 2 0 200\n0 0 2 150\n");
  const std::string
      line = "-cell 100 -lambda 1 -N 5 -oversample 1 -detpixels 64 -Xbeam 3.2 -Ybeam 3.2 ";
  for (const std::string& mode : both_modes) {
    const Image image = image_of(line + "-hkl " + table + mode).image,
                even = image_of(line + "-default_F 100" + mode).image;
    const auto strength = [&](int k, int l) {
      return double(image.at(32 + 10 * l, 32 - 10 * k)) / double(even.at(32 + 10 * l, 32 - 10 * k));
    };
    EXPECT_NEAR(strength(0, 0), 1, 1e-5);
    EXPECT_NEAR(strength(1, 0), 0.25, 1e-5);
    EXPECT_NEAR(strength(0, 1), 0.0625, 1e-5);
    EXPECT_NEAR(strength(1, 1), 0.015625, 1e-5);
    EXPECT_NEAR(strength(2, 0), 4, 1e-4);
    EXPECT_NEAR(strength(0, 2), 2.25, 1e-4);
    EXPECT_EQ(strength(-1, 0), 0);
    // 200^2 / 50^2 is 16, not the 4 that the acceptance text also names
    EXPECT_NEAR(strength(2, 0) / strength(1, 0), 16, 1e-3);
  }
}

TEST(Acceptance, AT_PARALLEL_029_OversamplingConvergesAndKeepsPeaksInPlace) {
  const std::string line =
      "-cell 100 -default_F 100 -N 5 -lambda 1 -detpixels 128 -distance 50 "
      "-Xbeam 6.4 -Ybeam 6.4 ";
  for (const std::string& mode : both_modes) {
    std::map<int, Image> images;
    for (const int n : {1, 2, 4, 8})
      images[n] = image_of(line + "-oversample " + std::to_string(n) + mode).image;
    const auto off = [&](int n) {
      double squares = 0;
      for (std::size_t i = 0; i < images[8].pixels.size(); ++i)
        squares += std::pow(double(images[n].pixels[i]) - double(images[8].pixels[i]), 2);
      return std::sqrt(squares);
    };
    // What undersampling folds into the picture falls by more than half each time
    EXPECT_LE(off(2), 0.5 * off(1));
    EXPECT_LE(off(4), 0.5 * off(2));

    const std::vector<Spot> spots = spots_of(images[8], 0.99, 10);
    ASSERT_GE(spots.size(), 5u);
    for (const Spot& spot : spots) {
      // Full width of the peak along fast at half its height, between pixels
      const auto width = [&](const Image& image) {
        const double half = double(image.at(spot.fast, spot.slow)) / 2;
        double total = 0;
        for (const int way : {-1, 1}) {
          int at = spot.fast;
          while (at > 0 && at < 127 && double(image.at(at, spot.slow)) > half) at += way;
          const double outer = image.at(at, spot.slow), inner = image.at(at - way, spot.slow);
          total += std::abs(at - spot.fast) - (half - outer) / (inner - outer);
        }
        return total;
      };
      EXPECT_NEAR(width(images[4]), width(images[8]), 0.05 * width(images[8]));
      for (const int n : {1, 2, 4}) {
        const auto& image = images[n];
        double best = 0;
        int best_fast = 0, best_slow = 0;
        for (int slow = spot.slow - 2; slow <= spot.slow + 2; ++slow)
          for (int fast = spot.fast - 2; fast <= spot.fast + 2; ++fast)
            if (fast >= 0 && slow >= 0 && fast < 128 && slow < 128 &&
                double(image.at(fast, slow)) > best) {
              best = double(image.at(fast, slow));
              best_fast = fast;
              best_slow = slow;
            }
        EXPECT_EQ(best_fast, spot.fast) << n;
        EXPECT_EQ(best_slow, spot.slow) << n;
      }
    }
  }
}

}  // namespace
}  // namespace nablabragg
