// Random small experiments for property tests: every option may be on, every number lies where an
// image has spots and costs milliseconds.  A property switches off what it cannot have.
//
// Numbers come from integer ranges because rapidcheck's own doubles crowd around zero.
#pragma once
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <random>
#include <vector>

#include "model/panel.hpp"  // for convention_frame
#include "model/resolve.hpp"
#include "nablabragg/simulate.hpp"
#include "physics/rotation.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::test {

// ---- Numbers --------------------------------------------------------------------------------

/// Its ranges too begin small and grow with the number of tests, unless told the final size.
inline rc::Gen<int> any_count(int fewest, int most) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(fewest, most + 1));
}
inline rc::Gen<double> any_between(double low, double high) {
  constexpr int parts = 1'000'000;
  return rc::gen::map(any_count(0, parts),
                      [=](int i) { return low + (high - low) * (double(i) / parts); });
}
inline rc::Gen<CrystalShape> any_shape() {
  std::vector<CrystalShape> shapes;
  physics::for_each_shape([&]<class Shape>() { shapes.push_back(Shape::id); });
  return rc::gen::elementOf(shapes);
}
inline rc::Gen<bool> any_choice() { return rc::gen::arbitrary<bool>(); }

/// Uniform on the sphere.
inline rc::Gen<Vec3d> any_direction() {
  return rc::gen::apply(
      [](double z, double turn) {
        const double ring = std::sqrt(1 - z * z);
        return unit(Vec3d{ring * std::cos(turn), ring * std::sin(turn), z});
      },
      any_between(-1, 1), any_between(0, 6.283));
}

/// A proper rotation as a function of vectors.
struct Rotation {
  Vec3d axis;
  double angle = 0;
  Vec3d operator()(const Vec3d& v) const { return physics::rotate_about(v, axis, angle); }
};
inline rc::Gen<Rotation> any_rotation() {
  return rc::gen::apply(
      [](const Vec3d& axis, double angle) {
        return Rotation{axis, angle};
      },
      any_direction(), any_between(-3, 3));
}

// ---- Parts of an experiment -------------------------------------------------------------------

/// Amplitudes between -100 and 100 on a box of indices.  They come from a seed, because nobody
/// would learn from a shrunk table.
inline std::shared_ptr<const StructureFactorGrid> table_of(int seed, int low, int high) {
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{low, low, low},
                                                    MillerIndex{high, high, high}, 0.0);
  std::minstd_rand random(static_cast<unsigned>(seed) + 1);
  for (double& value : grid->values()) value = static_cast<double>(random() % 200'001) / 1000 - 100;
  return grid;
}

inline StructureFactors draw_structure_factors() {
  StructureFactors factors;
  factors.default_F = *any_between(1, 50);
  if (*any_choice())
    factors.grid = table_of(*any_count(0, 1000), *any_count(-8, -3), *any_count(3, 8));
  factors.interpolation = *rc::gen::element(Interpolation::automatic, Interpolation::nearest,
                                            Interpolation::tricubic);
  return factors;
}

inline Crystal draw_crystal() {
  Crystal crystal;
  crystal.cell = UnitCell{*any_between(20, 60),  *any_between(20, 60),  *any_between(20, 60),
                          *any_between(70, 110), *any_between(70, 110), *any_between(70, 110)};
  crystal.misset_deg = {*any_between(-180, 180), *any_between(-90, 90), *any_between(-180, 180)};
  crystal.cells = {double(*any_count(1, 7)), double(*any_count(1, 7)), double(*any_count(1, 7))};
  crystal.shape = *any_shape();
  crystal.fudge = *any_between(0.5, 2);
  if (*any_choice())
    crystal.spot_metric = *rc::gen::element(SpotMetricKind::cell, SpotMetricKind::reciprocal,
                                            SpotMetricKind::round);
  if (*any_choice()) {
    crystal.mosaic_spread_deg = *any_between(0, 2);
    crystal.mosaic_domains = *any_count(1, 5);
    crystal.mosaic_seed = *any_count(1, 1000);
  }
  return crystal;
}

/// Sources within a few milliradian of the beam, of several wavelengths and weights.
inline std::vector<Source> draw_sources(const Vec3d& beam) {
  std::vector<Source> sources(static_cast<std::size_t>(*any_count(1, 3)));
  for (Source& source : sources)
    source = {-10.0 * beam + 0.05 * *any_direction(), *any_between(0.1, 5), *any_between(0.8, 1.6)};
  return sources;
}

inline Beam draw_beam(Convention convention) {
  Beam beam;
  beam.wavelength_A = *any_between(0.8, 1.6);
  beam.polarization_correction = *any_count(0, 3) > 0;
  beam.polarization_fraction = *any_between(-1, 1);
  beam.fluence_per_m2 = default_fluence * *any_between(0.1, 10);
  switch (*any_count(0, 3)) {
    case 1:
      beam.horizontal_divergence_mrad = {*any_between(0.5, 4), {}, *any_count(2, 3)};
      beam.vertical_divergence_mrad = {*any_between(0.5, 4), {}, 3};
      beam.round_divergence = *any_choice();
      break;
    case 2:
      beam.dispersion_percent = {*any_between(0.5, 4), {}, *any_count(2, 3)};
      break;
    case 3:
      beam.sources = draw_sources(model::convention_frame(convention).beam);
      break;
    default:
      break;
  }
  return beam;
}

inline Detector draw_detector() {
  Detector detector;
  detector.convention = *rc::gen::element(Convention::mosflm, Convention::adxv, Convention::denzo,
                                          Convention::xds, Convention::dials, Convention::custom);
  detector.fast_pixels = *any_count(8, 20);
  detector.slow_pixels = *any_count(8, 20);
  detector.pixel_mm = *any_between(0.5, 2);
  detector.distance_mm = *any_between(60, 200);
  if (*any_choice()) detector.pivot = *rc::gen::element(Pivot::beam, Pivot::sample);
  if (*any_choice()) {
    detector.beam_x_mm = *any_between(0, 20);
    detector.beam_y_mm = *any_between(0, 20);
  }
  if (*any_choice()) {
    detector.rotation_deg = {*any_between(-10, 10), *any_between(-10, 10), *any_between(-10, 10)};
    detector.two_theta_deg = *any_between(-20, 20);
  }
  detector.curved = *any_count(0, 4) == 0;
  detector.point_pixel = *any_count(0, 4) == 0;
  if (*any_choice()) {
    detector.sensor_thickness_um = *any_between(50, 1000);
    detector.attenuation_depth_um = *any_between(50, 1000);
    detector.sensor_layers = *any_count(1, 3);
  }
  return detector;
}

/// A panel that has moved, by itself and in groups, and whose pixels may not be square.
inline void move_panel(Experiment& e) {
  const auto any_shift = [] {
    return Vec3d{*any_between(-2, 2), *any_between(-2, 2), *any_between(-2, 2)};
  };
  const auto any_turn = [] {
    return Vec3d{*any_between(-5, 5), *any_between(-5, 5), *any_between(-5, 5)};
  };
  if (*any_choice()) {
    e.detector.shift_mm = any_shift();
    e.detector.turn_deg = any_turn();
  }
  if (*any_choice() && !e.detector.curved && !e.detector.point_pixel)
    e.detector.slow_pixel_mm = *any_between(0.5, 2);
  if (!*any_choice()) return;
  const Vec3d direction = *any_direction();
  DetectorGroup outer{"all", "", any_shift(), direction, {}, any_shift(), any_turn()};
  outer.slow_axis = cross(direction, unit(direction + Vec3d{0.3, -1.1, 0.7}));
  DetectorGroup inner{"quadrant", "all",       any_shift(), {0, 1, 0},
                      {0, 0, 1},  any_shift(), any_turn()};
  e.detector_groups = {outer, inner};
  e.detector.group = *any_choice() ? "all" : "quadrant";
}

/// Matter whose light is about as bright as that of water().
inline std::vector<Material> draw_materials() {
  std::vector<Material> materials(static_cast<std::size_t>(*any_count(1, 2)));
  for (Material& m : materials) {
    m.name = "any";
    for (int i = 0; i < 5; ++i) {
      m.stol_per_A.push_back(0.02 + 0.13 * i);
      m.F.push_back(*any_between(1, 8));
    }
    m.interpolation = static_cast<MaterialInterpolation>(*any_count(0, 2));
    m.process = *any_choice() ? MaterialProcess::coherent : MaterialProcess::compton;
    if (*any_choice()) {
      m.start_mm = *any_between(-9, 0);
      m.end_mm = *any_between(1, 9);
    } else {
      m.thickness_mm = *any_between(0.1, 10);
    }
    m.molar_mass = 18 * *any_between(1e6, 1e8);
  }
  return materials;
}

/// Displacements whose W is a few at most.
inline void draw_diffuse(Experiment& e) {
  const auto any_vector = [](double from, double to) {
    return Vec3d{*any_between(from, to), *any_between(from, to), *any_between(from, to)};
  };
  Crystal& c = e.crystal;
  c.diffuse_sigma_A = any_vector(0.1, 0.5);
  if (*any_choice()) c.diffuse_sigma_A = Vec3d{} + c.diffuse_sigma_A.x * Vec3d{1, 1, 1};
  c.diffuse_gamma_A = any_vector(5, 60);
  if (*any_choice()) c.diffuse_motion = DiffuseMotion::rigid;
  c.diffuse_in_F = e.structure_factors.grid && e.structure_factors.default_F == 0 && *any_choice();
  c.diffuse_stencil = *any_count(0, 1);
}

/// An experiment of any kind, in the corrected arithmetic.
inline Experiment draw_experiment() {
  Experiment e;
  e.detector = draw_detector();
  e.beam = draw_beam(e.detector.convention);
  e.crystal = draw_crystal();
  e.structure_factors = draw_structure_factors();
  e.scan.phi_deg = *any_between(-90, 90);
  if (*any_choice()) e.scan.oscillation_deg = {*any_between(0.1, 5), {}, *any_count(1, 3)};
  e.sampling.oversample = *any_count(1, 3);
  e.sampling.oversample_thick = *any_choice();
  e.sampling.oversample_polar = *any_choice();
  e.sampling.oversample_omega = *any_choice();
  if (*any_count(0, 3) == 0) e.sampling.dmin_A = *any_between(2, 10);
  if (*any_choice()) e.water_um = *any_between(1, 10);
  if (*any_count(0, 2) == 0) e.materials = draw_materials();
  if (*any_count(0, 4) == 0) draw_diffuse(e);
  return e;
}
inline rc::Gen<Experiment> any_experiment() { return rc::gen::exec(draw_experiment); }

/// nanoBragg's spots have its metric alone.
inline void make_compat(Experiment& e) {
  e.quirks = Quirks::compat();
  e.materials.clear();
  e.crystal.spot_metric.reset();
  e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
}

/// The same in either mode.
inline rc::Gen<Experiment> any_experiment_of_either_mode() {
  return rc::gen::exec([] {
    Experiment e = draw_experiment();
    if (*any_choice()) make_compat(e);
    // nanoBragg's curved detector puts pixels behind the sample where the beam is along z,
    // and its running products of a factor above one end at infinity
    const Convention c = e.detector.convention;
    if (e.quirks.curved_about_lab_axes && model::convention_frame(c).beam.z != 0)
      e.detector.curved = false;
    if (e.quirks.running_products && e.detector.point_pixel) e.sampling.oversample_omega = false;
    return e;
  });
}

/// The same, also with a panel that has moved.
inline rc::Gen<Experiment> any_experiment_of_any_panel() {
  return rc::gen::exec([] {
    Experiment e = *any_experiment_of_either_mode();
    if (*any_count(0, 3) == 0) move_panel(e);
    return e;
  });
}

/// The crystal as a matrix instead of cell and misset, so that a change of frame can act on it.
/// Mosaic rotations are made in the laboratory frame and so cannot follow: one domain is left.
inline void state_crystal_as_matrix(Experiment& e) {
  const Mat3d r = resolve(e).axes.reciprocal_per_A;
  const double wavelength = e.beam.wavelength_A;
  e.crystal.mosflm_matrix = Mat3d{wavelength * Vec3d{r.a.x, r.b.x, r.c.x},
                                  wavelength * Vec3d{r.a.y, r.b.y, r.c.y},
                                  wavelength * Vec3d{r.a.z, r.b.z, r.c.z}};
  e.crystal.cell.reset();
  e.crystal.misset_deg = {};
  e.crystal.mosaic_spread_deg.reset();
  e.crystal.mosaic_domains.reset();
}

/// `turn` applied to the columns of a MOSFLM matrix, which are the reciprocal axes.
template <class Turn>
Mat3d turned_columns(const Mat3d& m, Turn&& turn) {
  const Vec3d a = turn(Vec3d{m.a.x, m.b.x, m.c.x}), b = turn(Vec3d{m.a.y, m.b.y, m.c.y}),
              c = turn(Vec3d{m.a.z, m.b.z, m.c.z});
  return {{a.x, b.x, c.x}, {a.y, b.y, c.y}, {a.z, b.z, c.z}};
}

// ---- Comparing images -------------------------------------------------------------------------

/// By the reference engine: properties of the physics need double precision.
inline Image rendered(const Experiment& e) {
  ComputeOptions options;
  options.engine = Engine::reference;
  return simulate(e, options).image;
}

inline double largest(const Image& image) {
  return image.pixels.empty() ? 0.0
                              : double(*std::max_element(image.pixels.begin(), image.pixels.end()));
}

/// `weight` x got equals expected to within `tolerance` of the brightest pixel.  Pixels are
/// rounded to float, half a unit of 2^-24, so that 2e-7 is all that equal formulas need; a
/// change of frame also moves h by some 1e-15 N h.
inline bool same_image(const Image& got, const Image& expected, double tolerance = 1e-6,
                       double weight = 1) {
  if (got.pixels.size() != expected.pixels.size()) return false;
  const double allowed = tolerance * largest(expected);
  for (std::size_t i = 0; i < got.pixels.size(); ++i)
    if (!(std::abs(weight * double(got.pixels[i]) - double(expected.pixels[i])) <= allowed))
      return false;
  return true;
}

/// The rows from last to first.
inline Image upside_down(const Image& image) {
  Image flipped = image;
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    std::copy_n(
        image.row(slow).begin(), image.fast_pixels,
        flipped.pixels.begin() + std::ptrdiff_t{image.slow_pixels - 1 - slow} * image.fast_pixels);
  return flipped;
}

}  // namespace nablabragg::test

namespace nablabragg {

/// What rapidcheck prints of a counterexample.
inline void showValue(const Vec3d& v, std::ostream& out) {
  out << '(' << v.x << ' ' << v.y << ' ' << v.z << ')';
}
inline void showValue(const Experiment& e, std::ostream& out) {
  const auto vec = [&](const char* name, const Vec3d& v) {
    out << name << ' ';
    showValue(v, out);
  };
  if (const auto& cell = e.crystal.cell)
    out << "cell " << cell->a_A << ' ' << cell->b_A << ' ' << cell->c_A << ' ' << cell->alpha_deg
        << ' ' << cell->beta_deg << ' ' << cell->gamma_deg;
  vec(" misset", e.crystal.misset_deg);
  vec(" N", e.crystal.cells);
  out << " shape " << int(e.crystal.shape) << " fudge " << e.crystal.fudge << " metric "
      << (e.crystal.spot_metric ? int(*e.crystal.spot_metric) : -1) << " mosaic "
      << e.crystal.mosaic_spread_deg.value_or(0) << " x " << e.crystal.mosaic_domains.value_or(1)
      << "\n convention " << int(e.detector.convention) << ' ' << e.detector.fast_pixels << " x "
      << e.detector.slow_pixels << " pixel " << e.detector.pixel_mm << " distance "
      << e.detector.distance_mm << " pivot " << (e.detector.pivot ? int(*e.detector.pivot) : -1)
      << " beam " << e.detector.beam_x_mm.value_or(-1) << ' ' << e.detector.beam_y_mm.value_or(-1);
  vec(" rotation", e.detector.rotation_deg);
  out << " two-theta " << e.detector.two_theta_deg << " curved " << e.detector.curved << " point "
      << e.detector.point_pixel << " sensor " << e.detector.sensor_thickness_um << " x "
      << e.detector.sensor_layers.value_or(0) << " depth "
      << e.detector.attenuation_depth_um.value_or(0) << "\n lambda " << e.beam.wavelength_A
      << " polarized " << e.beam.polarization_correction << ' ' << e.beam.polarization_fraction
      << " hdiv " << e.beam.horizontal_divergence_mrad.range.value_or(0) << " dispersion "
      << e.beam.dispersion_percent.range.value_or(0) << " sources " << e.beam.sources.size()
      << "\n phi " << e.scan.phi_deg << " osc " << e.scan.oscillation_deg.range.value_or(0) << " x "
      << e.scan.oscillation_deg.steps.value_or(1) << " oversample " << e.sampling.oversample
      << (e.sampling.oversample_thick ? " thick" : "")
      << (e.sampling.oversample_polar ? " polar" : "")
      << (e.sampling.oversample_omega ? " omega" : "") << " dmin " << e.sampling.dmin_A << " table "
      << (e.structure_factors.grid != nullptr) << " interpolation "
      << int(e.structure_factors.interpolation) << " default_F " << e.structure_factors.default_F
      << " water " << e.water_um << " materials " << e.materials.size() << " diffuse "
      << e.crystal.diffuse_sigma_A.x << ' ' << e.crystal.diffuse_gamma_A.x
      << (e.quirks == Quirks::corrected() ? " corrected" : " compat");
}

}  // namespace nablabragg
