// What an image must obey whatever the experiment: linearity, symmetry, independence of how the
// same thing is described and of what computes it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>  // for snprintf
#include <numbers>

#include "nablabragg/io.hpp"
#include "support/random_experiment.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

/// nanoBragg's interpolation cutoff ties pixels to those before them, and its running products and
/// water make a pixel no sum of its terms.  Properties about sums leave these out.
void make_additive(Experiment& e) {
  if (e.quirks == Quirks::corrected()) return;
  e.structure_factors.interpolation = Interpolation::nearest;
  e.sampling.oversample_thick = e.sampling.oversample_polar = e.sampling.oversample_omega = false;
  e.water_um = 0;
}

/// Any engine.
ComputeOptions any_options() {
  ComputeOptions options;
  options.engine = *any_choice() ? Engine::cpu : Engine::reference;
  options.precision = *any_choice() ? Precision::float32 : Precision::float64;
  return options;
}

// ---- Sanity ---------------------------------------------------------------------------------

RC_GTEST_PROP(Image, HoldsNoNegativeAndNoUndefinedPixelWhenCorrected, ()) {
  const Experiment e = *any_experiment();
  const Simulation s = simulate(e, any_options());
  for (const float pixel : s.image.pixels) RC_ASSERT(std::isfinite(pixel) && pixel >= 0.0F);
  RC_ASSERT(std::isfinite(s.statistics.rmsd) && std::isfinite(s.statistics.mean));
  RC_ASSERT(s.statistics.solid_angle_sr > 0 && s.statistics.solid_angle_sr < 12.567);
}

RC_GTEST_PROP(Image, HasTheSameBitsForAnyNumberOfThreads, ()) {
  const Experiment e = *any_experiment_of_either_mode();
  ComputeOptions options = any_options();
  options.threads = 1;
  const Simulation alone = simulate(e, options);
  for (const int threads : {2, 3, 7}) {
    options.threads = threads;
    const Simulation shared = simulate(e, options);
    RC_ASSERT(shared.image.pixels == alone.image.pixels);
    RC_ASSERT(shared.statistics.solid_angle_sr == alone.statistics.solid_angle_sr);
    RC_ASSERT(shared.table_miss.has_value() == alone.table_miss.has_value());
  }
}

RC_GTEST_PROP(Image, HasTheSameBitsWhereverThreadsMeetTheInterpolationCutoff, ()) {
  // nanoBragg's interpolation cutoff goes by raster order, which threads do not keep: rows that one
  // thread has interpolated are made again when another finds a miss before them.  Enough work a
  // row lets threads overlap; a beam centre below the middle puts the first miss somewhere in the
  // image.
  Experiment e;
  e.crystal = draw_crystal();
  make_compat(e);
  e.crystal.cells = {2, 2, 2};
  e.crystal.shape = CrystalShape::round;
  e.crystal.mosaic_spread_deg = 1;
  e.crystal.mosaic_domains = 5;
  e.detector.fast_pixels = 12;
  e.detector.slow_pixels = 32;
  e.detector.pixel_mm = 0.5;
  e.detector.distance_mm = *any_between(80, 200);
  e.detector.beam_x_mm = *any_between(0, 12);
  e.sampling.oversample = 3;
  e.structure_factors = {table_of(*any_count(0, 1000), -5, 5), 20, Interpolation::tricubic, {}, {}};
  ComputeOptions options = any_options();
  options.threads = 1;
  const Simulation alone = simulate(e, options);
  for (const int threads : {2, 7}) {
    options.threads = threads;
    const Simulation shared = simulate(e, options);
    RC_ASSERT(shared.image.pixels == alone.image.pixels);
    RC_ASSERT(shared.table_miss.has_value() == alone.table_miss.has_value());
    RC_ASSERT(!alone.table_miss || shared.table_miss->lookup == alone.table_miss->lookup);
  }
}

// ---- Linearity --------------------------------------------------------------------------------

RC_GTEST_PROP(Image, IsLinearInTheFluence, ()) {
  Experiment e = *any_experiment_of_either_mode();
  // nanoBragg's water carries the fluence twice
  if (e.quirks.water_scaled_twice) e.water_um = 0;
  const double factor = *any_between(0.01, 100);
  const Image once = rendered(e);
  e.beam.fluence_per_m2 *= factor;
  RC_ASSERT(same_image(once, rendered(e), 3e-7, factor));
}

RC_GTEST_PROP(Image, IsQuadraticInTheStructureFactors, ()) {
  Experiment e = without_background(*any_experiment_of_either_mode());
  const double factor = *any_between(0.1, 10);
  const Image once = rendered(e);
  e.structure_factors.default_F *= factor;
  if (e.structure_factors.grid) {
    auto grid = std::make_shared<StructureFactorGrid>(*e.structure_factors.grid);
    for (double& value : grid->values()) value *= factor;
    e.structure_factors.grid = grid;
  }
  RC_ASSERT(same_image(once, rendered(e), 3e-7, factor * factor));
}

RC_GTEST_PROP(Image, OfAScanIsTheAverageOfItsHalves, ()) {
  Experiment e = *any_experiment_of_either_mode();
  make_additive(e);
  const double range = *any_between(0.2, 6);
  const int half_steps = *any_count(1, 3);
  // Whole degrees let a step land on exactly zero now and then
  if (*any_choice()) e.scan.phi_deg = double(*any_count(-3, 0)) * range / (2.0 * half_steps);
  e.scan.oscillation_deg = {range, {}, 2 * half_steps};
  const Image whole = rendered(e);
  e.scan.oscillation_deg = {range / 2, {}, half_steps};
  const Image first = rendered(e);
  e.scan.phi_deg += range / 2;
  Image average = rendered(e);
  for (std::size_t i = 0; i < average.pixels.size(); ++i)
    average.pixels[i] = (average.pixels[i] + first.pixels[i]) / 2;
  RC_ASSERT(same_image(average, whole));
}

RC_GTEST_PROP(Image, OfASourceListKeepsWhenAllWeightsAreScaled, ()) {
  Experiment e = *any_experiment_of_either_mode();
  e.beam.sources = draw_sources(model::convention_frame(e.detector.convention).beam);
  const Image before = rendered(e);
  const double factor = *any_between(0.001, 1000);
  for (Source& source : e.beam.sources) source.weight *= factor;
  RC_ASSERT(same_image(rendered(e), before, 3e-7));
}

RC_GTEST_PROP(Image, OfWeightedSourcesIsTheWeightedMeanOfTheirImages, ()) {
  Experiment e = *any_experiment();
  e.beam.sources = draw_sources(model::convention_frame(e.detector.convention).beam);
  const auto sources = e.beam.sources;
  const Image together = rendered(e);
  std::vector<double> sum(together.pixels.size());
  double total = 0;
  for (const Source& source : sources) {
    e.beam.sources = {source};
    const Image one = rendered(e);
    total += source.weight;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += source.weight * double(one.pixels[i]);
  }
  Image mean = together;
  for (std::size_t i = 0; i < sum.size(); ++i) mean.pixels[i] = static_cast<float>(sum[i] / total);
  RC_ASSERT(same_image(mean, together));
}

// ---- Frames -------------------------------------------------------------------------------------

RC_GTEST_PROP(Image, KeepsWhenCrystalBeamAndDetectorTurnTogether, ()) {
  Experiment e = *any_experiment_of_either_mode();
  e.detector.convention = Convention::custom;
  e.beam.sources.clear();
  e.beam.direction = Vec3d{1, 0, 0};
  e.beam.polarization_axis = unit(Vec3d{0, *any_between(-1, 1), *any_between(0.1, 1)});
  e.scan.spindle_axis = *any_direction();
  e.detector.fast_axis = Vec3d{0, 0, 1};
  e.detector.slow_axis = Vec3d{0, -1, 0};
  e.detector.normal = Vec3d{1, 0, 0};
  e.detector.two_theta_axis = *any_direction();
  e.detector.rotation_deg = {};  // about laboratory axes, which do not turn
  if (e.quirks.curved_about_lab_axes) e.detector.curved = false;
  if (*any_choice()) e.beam.sources = draw_sources(*e.beam.direction);
  state_crystal_as_matrix(e);
  const Image before = rendered(e);

  const Rotation turn = *any_rotation();
  for (auto* axis :
       {&e.beam.direction, &e.beam.polarization_axis, &e.scan.spindle_axis, &e.detector.fast_axis,
        &e.detector.slow_axis, &e.detector.normal, &e.detector.two_theta_axis})
    *axis = turn(**axis);
  for (Source& source : e.beam.sources) source.position = turn(source.position);
  e.crystal.mosflm_matrix = turned_columns(*e.crystal.mosflm_matrix, turn);
  RC_ASSERT(same_image(rendered(e), before));
}

/// A crystal with hexagonal axes, seen by a panel that has a few spots, and the same turned by 60
/// degrees about c*.
struct Hexagonal {
  Experiment e;
  explicit Hexagonal(const Rotation& orientation) {
    e.detector.fast_pixels = e.detector.slow_pixels = 24;
    e.detector.pixel_mm = 2;
    e.detector.distance_mm = 100;
    e.sampling.oversample = 2;
    e.structure_factors.default_F = 30;
    const double a = 1 / std::sqrt(3.0) / 20, c = 1 / 45.0;  // [1/A]
    axes_ = {{2 * a, 0, 0}, {a, a * std::sqrt(3.0), 0}, {0, 0, c}};
    for (Vec3d* axis : {&axes_.a, &axes_.b, &axes_.c}) *axis = orientation(*axis);
    state();
  }
  Image turned_image() const {
    Hexagonal other = *this;
    const Rotation turn{unit(axes_.c), std::numbers::pi / 3};
    for (Vec3d* axis : {&other.axes_.a, &other.axes_.b, &other.axes_.c}) *axis = turn(*axis);
    other.state();
    return rendered(other.e);
  }

 private:
  void state() {
    const double wavelength = e.beam.wavelength_A;
    const auto column = [&](double Vec3d::*x) {
      return wavelength * Vec3d{axes_.a.*x, axes_.b.*x, axes_.c.*x};
    };
    e.crystal.mosflm_matrix = Mat3d{column(&Vec3d::x), column(&Vec3d::y), column(&Vec3d::z)};
  }
  Mat3d axes_;  ///< rows a*, b*, c* [1/A]
};

RC_GTEST_PROP(Image, OfAHexagonalCrystalKeepsWhenItTurnsBySixtyDegreesByARoundMetric, ()) {
  Hexagonal crystal(*any_rotation());
  Crystal& c = crystal.e.crystal;
  c.shape = *rc::gen::element(CrystalShape::gauss, CrystalShape::tophat);
  c.spot_metric = *rc::gen::element(SpotMetricKind::round, SpotMetricKind::reciprocal);
  const double across = *any_count(6, 9);
  c.cells = {across, across, double(*any_count(6, 9))};
  RC_ASSERT(same_image(crystal.turned_image(), rendered(crystal.e)));
}

TEST(Image, OfAHexagonalCrystalChangesWhenItTurnsBySixtyDegreesByTheMetricOfIndices) {
  Hexagonal crystal(Rotation{unit(Vec3d{1, 2, 3}), 0.7});
  Crystal& c = crystal.e.crystal;
  c.cells = {6, 6, 8};
  for (const CrystalShape shape : {CrystalShape::gauss, CrystalShape::tophat}) {
    c.shape = shape;
    EXPECT_FALSE(same_image(crystal.turned_image(), rendered(crystal.e), 0.05));
    c.spot_metric = SpotMetricKind::round;
    EXPECT_TRUE(same_image(crystal.turned_image(), rendered(crystal.e)));
    c.spot_metric.reset();
  }
  c.shape = CrystalShape::square;
  EXPECT_FALSE(same_image(crystal.turned_image(), rendered(crystal.e), 0.05));
}

RC_GTEST_PROP(Image, TakesAMissetAboutTheSpindleForAnOffsetOfPhi, ()) {
  Experiment e = *any_experiment_of_either_mode();
  // Missetting turns about z last, and phi about the spindle after it
  e.scan.spindle_axis = Vec3d{0, 0, 1};
  const double offset = *any_between(-30, 30);
  Experiment offset_phi = e;
  e.crystal.misset_deg.z += offset;
  offset_phi.scan.phi_deg += offset;
  RC_ASSERT(same_image(rendered(offset_phi), rendered(e)));
}

/// Numbers of one geometry, free of conventions: beam along the third axis of the frame in which
/// XDS and DIALS work, fast along the first, slow along the second.
struct Geometry {
  double fast_mm, slow_mm;  ///< direct beam on the panel
  double two_theta_deg;
};

/// From the frame of XDS to that of MOSFLM and DENZO: beam z -> x, fast x -> z, slow y -> -y.
Vec3d in_mosflm_frame(const Vec3d& v) { return {v.z, -v.y, v.x}; }

Experiment as_described_by(Convention convention, const Experiment& in_xds_frame,
                           const Geometry& g) {
  Experiment e = in_xds_frame;
  Detector& d = e.detector;
  d.convention = convention;
  const double pixel = d.pixel_mm;
  switch (convention) {
    case Convention::adxv:  // the rows count the other way, and so does Ybeam
      d.beam_x_mm = g.fast_mm;
      d.beam_y_mm = g.slow_mm;
      break;
    case Convention::mosflm:
      d.beam_x_mm = g.slow_mm - pixel / 2;
      d.beam_y_mm = g.fast_mm - pixel / 2;
      break;
    case Convention::denzo:
      d.beam_x_mm = g.slow_mm;
      d.beam_y_mm = g.fast_mm;
      break;
    default:
      d.org_x_px = g.fast_mm / pixel + 0.5;
      d.org_y_px = g.slow_mm / pixel + 0.5;
      break;
  }
  d.two_theta_axis = Vec3d{1, 0, 0};
  d.two_theta_deg = g.two_theta_deg;
  if (convention == Convention::mosflm || convention == Convention::denzo) {
    e.crystal.mosflm_matrix = turned_columns(*e.crystal.mosflm_matrix, in_mosflm_frame);
    for (auto* axis : {&e.scan.spindle_axis, &e.beam.polarization_axis, &d.two_theta_axis})
      *axis = in_mosflm_frame(**axis);
    for (Source& source : e.beam.sources) source.position = in_mosflm_frame(source.position);
  }
  return e;
}

RC_GTEST_PROP(Image, IsTheSameInTheWordsOfEveryConvention, ()) {
  Experiment e = *any_experiment_of_either_mode();
  const bool compat = e.quirks == Quirks::compat();
  e.detector.convention = Convention::xds;
  e.detector.rotation_deg = {};
  e.detector.beam_x_mm.reset();
  e.detector.beam_y_mm.reset();
  e.scan.spindle_axis = *any_direction();
  e.beam.polarization_axis = unit(Vec3d{*any_between(0.1, 1), *any_between(-1, 1), 0});
  e.beam.sources.clear();
  if (*any_choice()) e.beam.sources = draw_sources({0, 0, 1});
  Geometry g{*any_between(0, 20), *any_between(0, 20), 0};
  if (compat) {
    // Conventions force their pivots, a curved detector is bent about laboratory axes
    // and what is computed of the first sub-pixel or in raster order sees that ADXV's
    // rows run the other way
    e.detector.curved = false;
    e.sampling.oversample = 1;
    make_additive(e);
  } else {
    e.detector.pivot = *rc::gen::element(Pivot::beam, Pivot::sample);
    g.two_theta_deg = *any_between(-20, 20);
  }
  e.detector.two_theta_deg = 0;
  state_crystal_as_matrix(e);

  const Image xds = rendered(as_described_by(Convention::xds, e, g));
  RC_ASSERT(same_image(rendered(as_described_by(Convention::dials, e, g)), xds));
  RC_ASSERT(same_image(rendered(as_described_by(Convention::mosflm, e, g)), xds));
  RC_ASSERT(same_image(rendered(as_described_by(Convention::denzo, e, g)), xds));
  RC_ASSERT(same_image(upside_down(rendered(as_described_by(Convention::adxv, e, g))), xds));
}

// ---- The same described in another way
// -------------------------------------------------------------

RC_GTEST_PROP(Image, OfADivergentBeamIsThatOfItsRaysAsASourceFile, ()) {
  Experiment e = *any_experiment_of_either_mode();
  e.beam.sources.clear();
  e.beam.horizontal_divergence_mrad = {*any_between(0.5, 4), {}, 3};
  e.beam.vertical_divergence_mrad = {*any_between(0.5, 4), {}, *any_count(1, 3)};
  e.beam.dispersion_percent = {*any_between(0.5, 4), {}, *any_count(1, 2)};
  const Resolved grid = resolve(e);
  const Image as_grid = rendered(e);

  std::string text = "# X Y Z weight wavelength\n";
  for (const Ray& ray : grid.rays) {
    std::array<char, 200> line{};
    const Vec3d& at = ray.towards_source;
    std::snprintf(line.data(), line.size(), "%.17g %.17g %.17g 0.25 %.17g\n", at.x, at.y, at.z,
                  ray.wavelength);
    text += line.data();
  }
  const TempDir folder;
  e.beam.sources = io::read_source_list(folder.file("sources", text), {});
  RC_ASSERT(same_image(rendered(e), as_grid));
}

RC_GTEST_PROP(Image, IsTheFullOneWhereKeptAndZeroElsewhere, ()) {
  Experiment e = *any_experiment_of_either_mode();
  make_additive(e);
  const Image full = rendered(e);
  const int width = full.fast_pixels, height = full.slow_pixels;
  const int right = *any_count(1, width - 2), bottom = *any_count(1, height - 2);
  const RegionOfInterest roi{*any_count(0, right), right, *any_count(0, bottom), bottom};
  auto mask = std::make_shared<Mask>(Mask{width, height, {}});
  std::minstd_rand random(static_cast<unsigned>(*any_count(1, 1000)));
  for (int i = 0; i < width * height; ++i) mask->keep.push_back(random() % 3 != 0);
  e.sampling.roi = roi;
  e.sampling.mask = mask;
  const Image part = rendered(e);
  for (int slow = 0; slow < height; ++slow)
    for (int fast = 0; fast < width; ++fast) {
      const bool kept = mask->keep[static_cast<std::size_t>(slow * width + fast)] != 0 &&
                        fast >= roi.fast_min && fast <= roi.fast_max && slow >= roi.slow_min &&
                        slow <= roi.slow_max;
      RC_ASSERT(part.at(fast, slow) == (kept ? full.at(fast, slow) : 0.0F));
    }
}

RC_GTEST_PROP(Image, OfAConstantIntegrandDoesNotDependOnTheOversampling, ()) {
  Experiment e = *any_experiment_of_either_mode();
  make_additive(e);
  // One cell has no fringes; on a sphere about the sample every point sees the same solid angle
  e.crystal.cells = {1, 1, 1};
  e.crystal.shape = CrystalShape::square;
  e.structure_factors.grid.reset();
  e.beam.polarization_correction = false;
  e.detector.curved = true;
  e.detector.rotation_deg = {};
  e.detector.two_theta_deg = 0;
  e.detector.sensor_thickness_um = 0;
  e.sampling.dmin_A = 0;
  e.materials.clear();  // their F is not the same everywhere, nor is diffuse light
  e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
  e.sampling.oversample = 1;
  const Image once = rendered(e);
  RC_ASSERT(largest(once) > 0);
  e.sampling.oversample = *any_count(2, 5);
  RC_ASSERT(same_image(rendered(e), once, 3e-7));
}

RC_GTEST_PROP(Image, DoesNotDependOnTheOversampleFlagsWhenCorrected, ()) {
  Experiment e = *any_experiment();
  const Image before = rendered(e);
  e.sampling.oversample_thick = *any_choice();
  e.sampling.oversample_polar = *any_choice();
  e.sampling.oversample_omega = *any_choice();
  RC_ASSERT(rendered(e).pixels == before.pixels);
}

}  // namespace
}  // namespace nablabragg::test
