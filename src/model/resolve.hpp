// Description -> resolved experiment: every open choice settled, field units gone.
//
// Pure and templated on the number type, so that derivatives of anything resolved with respect
// to anything described come from running this same code with dual numbers.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include "model/block_sizes.hpp"
#include "model/cell_spread.hpp"
#include "model/crystal_axes.hpp"
#include "model/gaussian_spread.hpp"
#include "model/nanobragg_random.hpp"
#include "model/panel.hpp"
#include "model/rays.hpp"
#include "model/sampling_rules.hpp"
#include "model/spot_width.hpp"
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/detection.hpp"

namespace nablabragg::model {

inline constexpr const char*
    singular_matrix = "the A matrix is singular: its three columns do not span a reciprocal cell";

template <class Real>
bool is_singular(const Mat3<Real>& m) {
  using std::abs;
  const Real scale = length(m.a) * length(m.b) * length(m.c);
  return !(abs(dot(m.a, cross(m.b, m.c))) > Real(1e-9) * scale);
}

/// Says why no crystal has this A matrix: left-handed axes, or edges [Angstrom] that no cell has.
/// Empty: one may.
template <class Real>
std::string no_crystals_matrix(const Mat3<Real>& matrix, const Real& wavelength_A) {
  const auto axes = axes_from_reciprocal<Real>(
      reciprocal_from_mosflm(matrix, Real(1e-10) * wavelength_A), nullptr, Real(0));
  if (!(axes.volume_A3 > Real(0)))
    return "the axes of the A matrix are left-handed; turn the sign of one of its columns";
  for (const auto& axis : {axes.real_A.a, axes.real_A.b, axes.real_A.c}) {
    const double edge_A = value_of(length(axis));
    if (!(edge_A >= plausible::shortest_edge_A && edge_A <= plausible::longest_edge_A))
      return "the A matrix makes a cell with an edge of " + std::to_string(edge_A) +
             " Angstrom, which no crystal has; its columns are a*, b*, c* [1/Angstrom] times the "
             "wavelength [Angstrom]";
  }
  return {};
}

/// Throws UsageError for matter in the beam that scatters nothing one could compute.
template <class Real>
void check_materials(const BasicExperiment<Real>& e) {
  if (e.materials.empty()) return;
  if (!(e.quirks == Quirks::corrected()))
    throw UsageError(
        "light of matter in the beam (-background, -air, -ice) is not nanoBragg's; give "
        "-corrected");
  if (e.beam.size_mm && !(*e.beam.size_mm > Real(0)))
    throw UsageError("matter in the beam needs the beam's size; give -beamsize in mm");
  constexpr double closest = 1e-9;  // rows that single precision could not tell apart
  for (const auto& b : e.materials) {
    const auto fail = [&](const std::string& what) {
      throw UsageError("the material \"" + b.name + "\" " + what);
    };
    if (b.stol_per_A.empty()) fail("has no table of F");
    if (b.stol_per_A.size() != b.F.size())
      fail("has " + std::to_string(b.stol_per_A.size()) + " rows of sin(theta)/lambda and " +
           std::to_string(b.F.size()) + " of F");
    for (std::size_t i = 0; i < b.F.size(); ++i) {
      if (!(std::abs(b.F[i]) < 1e9) || !(b.stol_per_A[i] >= 0) || !(b.stol_per_A[i] < 1e6))
        fail("has a row that is none: row " + std::to_string(i + 1) +
             " needs a sin(theta)/lambda that is not negative and F in electrons");
      if (i > 0 && !(b.stol_per_A[i] - b.stol_per_A[i - 1] > closest))
        fail("needs rising sin(theta)/lambda, and row " + std::to_string(i + 1) + " does not rise");
    }
    if (b.start_mm > b.end_mm)
      fail("has a path that ends before it begins; the beam goes from the start to the end");
    if (!(b.start_mm == b.end_mm) && !(b.thickness_mm == Real(0)))
      fail("has a thickness and a path; give one of them");
  }
}

/// Throws UsageError for a beamstop that does not stop the beam, and for parts of none.
template <class Real>
void check_beamstop(const BasicExperiment<Real>& e) {
  const BasicBeamstop<Real>& b = e.beamstop;
  const Real none(0);
  if (b.radius_mm == none) {
    if (!(b.distance_mm == none && b.offset_fast_mm == none && b.offset_slow_mm == none &&
          b.transmission == none && b.arm_width_mm == none && b.ring_share == none))
      throw UsageError(
          "parts of a beamstop (-beamstop_...) are stated and no beamstop; give -beamstop_radius "
          "in mm");
    return;
  }
  if (!(e.quirks == Quirks::corrected()))
    throw UsageError("a beamstop (-beamstop_radius) is not nanoBragg's; give -corrected");
  if (!(b.distance_mm > none))
    throw UsageError(
        "a beamstop (-beamstop_radius) needs a place between sample and detector; give "
        "-beamstop_distance in mm");
  if (!(b.offset_fast_mm * b.offset_fast_mm + b.offset_slow_mm * b.offset_slow_mm <
        b.radius_mm * b.radius_mm))
    throw UsageError(
        "the beam passes beside the beamstop: its offset (-beamstop_offset) is to be smaller than "
        "its radius (-beamstop_radius)");
  if (b.ring_share > none && !(b.ring_width_deg > none))
    throw UsageError(
        "the ring about the beamstop (-beamstop_ring) needs a positive width, in degrees");
  if (b.ring_share > none && e.beam.size_mm && !(*e.beam.size_mm > none))
    throw UsageError(
        "the ring about the beamstop (-beamstop_ring) needs the beam's size; give -beamsize in "
        "mm");
}

/// Throws UsageError for displacements that make no sense.
template <class Real>
void check_diffuse(const BasicExperiment<Real>& e) {
  const auto& c = e.crystal;
  const Vec3<Real>&sigma = c.diffuse_sigma_A, &gamma = c.diffuse_gamma_A;
  const Real none(0);
  const auto is_zero = [&](const Vec3<Real>& v) {
    return v.x == none && v.y == none && v.z == none;
  };
  if (is_zero(sigma)) {
    if (!is_zero(gamma))
      throw UsageError(
          "a correlation length (-diffuse_gamma) needs a size of the displacements; give "
          "-diffuse_sigma in Angstrom");
    return;
  }
  if (!(e.quirks == Quirks::corrected()))
    throw UsageError("diffuse scattering (-diffuse_sigma) is not nanoBragg's; give -corrected");
  const bool correlated = gamma.x > none && gamma.y > none && gamma.z > none;
  if (!correlated && !(c.diffuse_motion == DiffuseMotion::rigid && is_zero(gamma)))
    throw UsageError(
        "displacements (-diffuse_sigma) need correlation lengths along all axes; give "
        "-diffuse_gamma in Angstrom, or -diffuse_motion rigid for cells that move by themselves");
  if (!c.diffuse_in_F) return;
  if (!e.structure_factors.grid || e.structure_factors.default_F != 0)
    throw UsageError(
        "structure factors that contain the displacements (-diffuse_in_F yes) come from a table "
        "with -default_F 0");
}

/// Throws UsageError where nanoBragg has no such thing, or a weight is none.
template <class Real>
void check_more_crystals(const BasicExperiment<Real>& e) {
  const bool corrected = e.quirks == Quirks::corrected();
  if (!e.more_crystals.empty() && !corrected)
    throw UsageError("nanoBragg has one crystal in the beam; -more_crystal needs -corrected");
  if (!(e.crystal.block_size_spread == Real(0)) && !corrected)
    throw UsageError("nanoBragg has blocks of one size; -block_size_spread needs -corrected");
}

/// Throws UsageError for a description that cannot be of an experiment.
template <class Real>
void check(const BasicExperiment<Real>& e) {
  using std::abs;
  const auto finite = [](const Real& x) { return abs(x) < Real(1e300); };
  const auto positive = [&](const Real& x, const char* what) {
    if (!(x > Real(0)) || !finite(x)) throw UsageError(std::string(what) + " must be positive");
  };
  positive(e.beam.wavelength_A, "the wavelength (-lambda, -energy)");
  const auto check_panel = [&](const BasicDetector<Real>& d) {
    positive(d.pixel_mm, "the pixel size (-pixel)");
    if (d.slow_pixel_mm) {
      positive(*d.slow_pixel_mm, "the pixel size along slow");
      if (d.curved || d.point_pixel)
        throw UsageError(
            "pixels that are not square are for flat panels; leave out -curved_det and "
            "-point_pixel, or the pixel size along slow");
    }
    if (d.close_distance_mm)
      positive(*d.close_distance_mm, "the detector distance (-close_distance)");
    else if (!d.origin_m)
      positive(d.distance_mm, "the detector distance (-distance)");
  };
  check_panel(e.detector);
  for (const auto& panel : e.more_panels) check_panel(panel.detector);
  if (!e.crystal.cell && !e.crystal.mosflm_matrix)
    throw UsageError(
        "the crystal has no unit cell; give -cell a b c alpha beta gamma or -mat FILE");
  if (e.crystal.cell) {
    const auto& cell = *e.crystal.cell;
    positive(cell.a_A, "the cell edge a");
    positive(cell.b_A, "the cell edge b");
    positive(cell.c_A, "the cell edge c");
    const std::array<Real, 3> angles{cell.alpha_deg, cell.beta_deg, cell.gamma_deg};
    const Real sum = angles[0] + angles[1] + angles[2];
    for (const Real& angle : angles)
      if (!(angle > Real(0)) || !(angle < Real(180)) || !(sum < Real(360)) || !(2.0 * angle < sum))
        throw UsageError(
            "no unit cell has these angles: each must be between 0 and 180 degrees, smaller than "
            "the sum of the "
            "other two, and all three together less than 360");
  }
  if (e.crystal.mosflm_matrix && is_singular(*e.crystal.mosflm_matrix))
    throw UsageError(singular_matrix);
  if (e.crystal.mosflm_matrix && !e.quirks.implausible_numbers)
    if (const auto problem = no_crystals_matrix(*e.crystal.mosflm_matrix, e.beam.wavelength_A);
        !problem.empty())
      throw UsageError(problem);
  for (const auto& source : e.beam.sources)
    if (!(source.wavelength_A > Real(0)) || !(length(source.position) > Real(0)))
      throw UsageError("every source needs a direction and a positive wavelength");
  if (is_tilted(e.beam) && !(e.quirks == Quirks::corrected()))
    throw UsageError(
        "a tilted beam (-beam_tilt, -beam_jitter) is not nanoBragg's; give -corrected");
  check_materials(e);
  check_beamstop(e);
  check_diffuse(e);
  check_more_crystals(e);
  if (e.beam.flux_per_s && e.beam.size_mm && *e.beam.size_mm == Real(0))
    throw UsageError("a beam of size 0 makes the fluence infinite; give -beamsize in mm");
}

/// Refuses what would fill the memory with orientations or rays.
inline void check_count(double count, const char* what, const char* flags) {
  constexpr double most = 2e7;
  if (!(count <= most))
    throw UsageError("more than 20 million " + std::string(what) + " are asked for; check " +
                     flags);
}

template <class Real>
Real resolved_fluence(const BasicBeam<Real>& beam) {
  const Real size = units::metres_from_mm(beam.size_mm.value_or(Real(0.1)));
  if (beam.flux_per_s && *beam.flux_per_s != Real(0) && beam.exposure_s > Real(0) &&
      !(size < Real(0)))
    return *beam.flux_per_s * beam.exposure_s / size / size;
  return beam.fluence_per_m2;
}

/// How many cells a length takes.  As meant, a length that is a multiple of the edge but for its
/// last digits takes no cell more than that.
template <class Real>
Real cells_along(const Real& length_m, const Real& edge_m, bool by_last_bit) {
  using std::ceil;
  const Real cells = length_m / edge_m;
  return by_last_bit ? ceil(cells) : ceil(cells * Real(1 - 1e-9));
}

template <class Real>
struct CrystalSize {
  Vec3<Real> cells;  ///< of a block: Na, Nb, Nc
  Real blocks;
};

/// From the numbers or sizes given; clips the crystal by the beam, saying so.
template <class Real>
CrystalSize<Real> resolved_size(const BasicExperiment<Real>& e, const Mat3<Real>& axes_m,
                                std::vector<std::string>& warnings) {
  Vec3<Real> size{units::metres_from_mm(e.crystal.size_mm.x),
                  units::metres_from_mm(e.crystal.size_mm.y),
                  units::metres_from_mm(e.crystal.size_mm.z)};
  if (e.beam.size_mm || e.quirks.clip_by_default_beam) {
    const Real beam = units::metres_from_mm(e.beam.size_mm.value_or(Real(0.1)));
    const auto clip = [&](Real& edge, const char* what) {
      if (beam < Real(0) || !(beam < edge)) return;
      warnings.push_back(std::string("the crystal is ") + what +
                         " than the beam and was clipped to the beam size");
      edge = beam;
    };
    clip(size.y, "higher");
    clip(size.z, "wider");
  }
  const Vec3<Real> edges{length(axes_m.a), length(axes_m.b), length(axes_m.c)};
  const auto count = [&](const Real& of_size, const Real& given, const Real& edge) {
    const Real n = of_size > Real(0) ? cells_along(of_size, edge, e.quirks.cells_by_last_bit)
                                     : given;
    return n < Real(1) ? Real(1) : n;
  };
  const Real block = units::metres_from_mm(e.crystal.block_size_mm);
  if (!(block > Real(0)))
    return {{count(size.x, e.crystal.cells.x, edges.x), count(size.y, e.crystal.cells.y, edges.y),
             count(size.z, e.crystal.cells.z, edges.z)},
            e.crystal.blocks};

  if (!(e.crystal.blocks == Real(1)))
    throw UsageError(
        "both the number of blocks (-blocks) and their size (-block_size) are given; the size "
        "gives the number: leave -blocks out");
  if (!(size.x > Real(0)) || !(size.y > Real(0)) || !(size.z > Real(0)))
    throw UsageError(
        "a size of the blocks (-block_size) needs the size of the crystal along a, b and c "
        "(-xtalsize)");
  const Vec3<Real> cells{count(block, Real(1), edges.x), count(block, Real(1), edges.y),
                         count(block, Real(1), edges.z)};
  // Block and crystal are parallelepipeds of the same angles.
  const Vec3<Real> along{size.x / (cells.x * edges.x), size.y / (cells.y * edges.y),
                         size.z / (cells.z * edges.z)};
  const Real whole(1 - 1e-9);
  if (along.x < whole || along.y < whole || along.z < whole)
    throw UsageError(
        "a block (-block_size), in whole cells, is larger than the part of the crystal (-xtalsize) "
        "that is in the beam; give a smaller block, or leave -block_size out");
  return {cells, along.x * along.y * along.z};
}

/// One rotation for each mosaic domain; the first is the identity but draws all the same.
/// `rounded`: the angles, to single precision, which makes a staircase of anything that follows the
/// spread.
template <class Real>
std::vector<Mat3<Real>> mosaic_rotations(int domains, const Real& spread, std::int64_t user_seed,
                                         bool rounded, NanobraggRandom& random) {
  std::vector<Mat3<Real>> rotations;
  rotations.reserve(static_cast<std::size_t>(domains));
  std::int64_t seed = -user_seed;
  for (int i = 0; i < domains; ++i) {
    const RandomRotation r = random_rotation(random, seed);
    const auto scale = static_cast<double>(r.angle_over_cap);
    Real angle = spread * Real(scale);
    if (rounded) {
      const auto single = static_cast<double>(static_cast<float>(value_of(spread)) *
                                              r.angle_over_cap);
      angle = angle + Real(single - value_of(spread) * scale);
    }
    const Vec3<Real> axis{Real(r.axis.x), Real(r.axis.y), Real(r.axis.z)};
    rotations.push_back(i == 0 ? Mat3<Real>::identity() : physics::rotation_matrix(axis, angle));
  }
  return rotations;
}

/// The generator as the orientation and mosaic streams of a run leave it; nanoBragg's noise goes on
/// from there.
inline NanobraggRandom random_after_resolving(const BasicExperiment<double>& e, int domains) {
  NanobraggRandom random;
  if (e.crystal.random_misset_seed) {
    std::int64_t seed = -*e.crystal.random_misset_seed;
    random_rotation(random, seed);
  }
  mosaic_rotations(domains, 0.0, e.crystal.mosaic_seed, false, random);
  return random;
}

/// Domain count and spread [rad] where one or both were left open.
template <class Real>
std::pair<int, Real> resolved_mosaicity(const BasicCrystal<Real>& crystal,
                                        std::vector<std::string>& warnings) {
  const int domains = crystal.mosaic_domains.value_or(-1);
  Real spread = units::radians_from_degrees(crystal.mosaic_spread_deg.value_or(Real(-1)));
  if (crystal.mosaic_spread_axes_deg) {
    const Vec3<Real> of_axes = mosaic_sigmas(crystal);
    spread = std::max({of_axes.x, of_axes.y, of_axes.z});
  }
  if (spread > Real(0) && domains <= 0) {
    warnings.emplace_back("a mosaic spread without -mosaic_domains is sampled with 10 domains");
    return {10, spread};
  }
  if (spread > Real(0)) return {domains, spread};
  if (has_cell_spread(crystal)) {
    if (domains > 0) return {domains, Real(0)};
    warnings.emplace_back(
        "a spread of the cell without -mosaic_domains is sampled with 10 domains");
    return {10, Real(0)};
  }
  if (domains > 1)
    warnings.emplace_back(
        "mosaic domains without a spread (-mosaic) are all alike: one is computed");
  return {1, Real(0)};
}

/// With a smaller share of the recommended sub-pixels whole spots, not only fringes, fall between
/// them.
inline constexpr double least_share_of_subpixels = 1.0 / 3;

/// As many sub-pixels along an edge as keep a fringe from falling between them.  The quotient has
/// no tolerance and the operation order is nanoBragg's: 3.0000000000000004 gives 4 there too.
template <class Real>
int recommended_oversample(const Vec3<Real>& edges_m, const Real& wavelength, const Real& distance,
                           const Real& pixel) {
  using std::ceil;
  const Real largest = std::max({edges_m.x, edges_m.y, edges_m.z});
  const Real reciprocal_pixel = wavelength * distance / pixel;
  const double n = value_of(ceil(Real(3.0) * largest / reciprocal_pixel));
  return n > 1 ? static_cast<int>(std::min(n, 1e9)) : 1;  // NaN is 1, too
}

/// `where` names the panel in sentences.
inline RegionOfInterest resolved_roi(const std::optional<RegionOfInterest>& asked, int fast_pixels,
                                     int slow_pixels, const std::string& where,
                                     std::vector<std::string>& warnings) {
  const RegionOfInterest full{0, fast_pixels - 1, 0, slow_pixels - 1};
  if (!asked) return full;
  RegionOfInterest roi = *asked;
  if (roi.fast_min < 0) roi.fast_min = 0;
  if (roi.slow_min < 0) roi.slow_min = 0;
  if (roi.fast_max < 0 || roi.fast_max > full.fast_max) roi.fast_max = full.fast_max;
  if (roi.slow_max < 0 || roi.slow_max > full.slow_max) roi.slow_max = full.slow_max;
  if (roi.fast_min > roi.fast_max || roi.slow_min > roi.slow_max)
    throw UsageError("the region of interest (-roi " + std::to_string(asked->fast_min) + ' ' +
                     std::to_string(asked->fast_max) + ' ' + std::to_string(asked->slow_min) + ' ' +
                     std::to_string(asked->slow_max) + ") holds no pixel of the " +
                     std::to_string(fast_pixels) + " x " + std::to_string(slow_pixels) + ' ' +
                     where);
  if (asked->fast_max > full.fast_max || asked->slow_max > full.slow_max)
    warnings.push_back("the region of interest (-roi) goes beyond the " +
                       std::to_string(fast_pixels) + " x " + std::to_string(slow_pixels) +
                       " pixels of the " + where + ": " + std::to_string(roi.fast_min) + ' ' +
                       std::to_string(roi.fast_max) + ' ' + std::to_string(roi.slow_min) + ' ' +
                       std::to_string(roi.slow_max) + " is taken");
  return roi;
}

template <class Real>
BasicSensor<Real> resolved_sensor(const BasicDetector<Real>& d, const Quirks& quirks,
                                  std::vector<std::string>& warnings) {
  const Real thickness = units::metres_from_um(d.sensor_thickness_um);
  const auto& depth_um = d.attenuation_depth_um;
  const bool absorbs = !depth_um || (*depth_um > Real(0) && *depth_um < Real(1e300));
  BasicSensor<Real> sensor = quirks.last_layer_capture
                                 ? layers_as_nanobragg(d.sensor_layers,
                                                       absorbs ? thickness : Real(0))
                                 : layers_as_meant(d.sensor_layers, absorbs ? thickness : Real(0));
  if (depth_um) {
    sensor.absorption_per_m = absorbs ? Real(1) / units::metres_from_um(*depth_um) : Real(0);
  } else if (sensor.thickness > Real(0)) {
    sensor.absorption_per_m = Real(1) / sensor.thickness;
    warnings.emplace_back(
        "the sensor has a thickness but no attenuation depth (-detector_abs): the thickness is "
        "taken");
  }
  if (!quirks.last_layer_capture && sensor.thickness > Real(0)) {
    sensor.first_depth = physics::mean_capture_depth(sensor.layer_step, sensor.absorption_per_m);
    sensor.mean_depth = physics::mean_capture_depth(sensor.thickness, sensor.absorption_per_m);
  }
  return sensor;
}

template <class Real>
BasicResolvedPanel<Real> resolved_panel(const BasicExperiment<Real>& e,
                                        const BasicDetector<Real>& d,
                                        const std::optional<RegionOfInterest>& roi,
                                        const std::shared_ptr<const Mask>& mask, std::size_t number,
                                        std::vector<std::string>& warnings) {
  const bool several = !e.more_panels.empty();
  const std::string where = several ? "panel " + std::to_string(number) : "detector";
  BasicResolvedPanel<Real> r;
  r.panel = place_panel(e, d);
  if (r.panel.normal_generated && d.normal)
    warnings.emplace_back(
        "the detector normal that was given is replaced by the cross product of its axes");
  r.sensor = resolved_sensor(d, e.quirks, warnings);
  r.roi = several && roi == no_pixels
              ? no_pixels
              : resolved_roi(roi, r.panel.fast_pixels, r.panel.slow_pixels, where, warnings);
  if (mask &&
      (mask->fast_pixels != r.panel.fast_pixels || mask->slow_pixels != r.panel.slow_pixels))
    throw UsageError("the mask is " + std::to_string(mask->fast_pixels) + " x " +
                     std::to_string(mask->slow_pixels) + " pixels and the " + where + ' ' +
                     std::to_string(r.panel.fast_pixels) + " x " +
                     std::to_string(r.panel.slow_pixels) + "; give a mask of " +
                     (several ? "that size" : "the detector's size"));
  return r;
}

template <class Real>
BasicResolved<Real> resolve(const BasicExperiment<Real>& e);

/// One of Experiment::more_crystals as if it were the only one, with the choices that `r` has made
/// for all of them.
template <class Real>
BasicExperiment<Real> alone(const BasicExperiment<Real>& e, const BasicResolved<Real>& r,
                            const BasicFurtherCrystal<Real>& further) {
  BasicExperiment<Real> single = e;
  single.more_crystals.clear();
  auto& crystal = single.crystal;
  crystal.misset_deg = further.misset_deg;
  crystal.random_misset_seed.reset();
  crystal.cells = further.cells.value_or(r.cells);
  crystal.blocks = r.blocks;
  crystal.size_mm = {};
  crystal.block_size_mm = Real(0);
  if (further.mosaic_spread_deg) {
    crystal.mosaic_spread_deg = further.mosaic_spread_deg;
    crystal.mosaic_spread_axes_deg.reset();
  }
  if (single.structure_factors.grid)
    single.structure_factors.interpolation = r.tricubic ? Interpolation::tricubic
                                                        : Interpolation::nearest;
  single.sampling.summation = r.closed ? Summation::closed : Summation::sampled;
  return single;
}

/// The crystals beside the first, and the sub-pixels that the finest spots of all of them ask for.
template <class Real>
void resolve_more_crystals(const BasicExperiment<Real>& e, BasicResolved<Real>& r) {
  for (const auto& further : e.more_crystals) {
    // Not the public resolve(), which has doubts about each as if it were an image of its own.
    auto& single = r.more_crystals.emplace_back(model::resolve(alone(e, r, further)));
    r.recommended_oversample = std::max(r.recommended_oversample, single.recommended_oversample);
    for (std::string& sentence : single.warnings)
      if (std::find(r.warnings.begin(), r.warnings.end(), sentence) == r.warnings.end())
        r.warnings.push_back(std::move(sentence));
  }
}

/// Throws UsageError.
template <class Real>
BasicResolved<Real> resolve(const BasicExperiment<Real>& e) {
  check(e);
  const Quirks& quirks = e.quirks;
  BasicResolved<Real> r;
  {
    const auto first = resolved_panel(e, e.detector, e.sampling.roi, e.sampling.mask, 0,
                                      r.warnings);
    r.panel = first.panel;
    r.sensor = first.sensor;
    r.roi = first.roi;
  }
  for (const auto& further : e.more_panels)
    r.more_panels.push_back(resolved_panel(e, further.detector, further.roi, further.mask,
                                           r.more_panels.size() + 1, r.warnings));
  if (r.roi == no_pixels && std::all_of(r.more_panels.begin(), r.more_panels.end(),
                                        [](const auto& p) { return p.roi == no_pixels; }))
    throw UsageError("the regions of interest (-roi) hold no pixel of any panel");
  r.wavelength = units::metres_from_angstrom(e.beam.wavelength_A);
  r.fluence = resolved_fluence(e.beam);
  const Real beam_size = units::metres_from_mm(e.beam.size_mm.value_or(Real(0.1)));
  r.flux = e.beam.exposure_s > Real(0) ? r.fluence / e.beam.exposure_s * beam_size * beam_size
                                       : Real(0);

  // Crystal axes
  NanobraggRandom random;
  ReciprocalBasis<Real> basis{};
  if (e.crystal.cell) basis = reciprocal_basis(*e.crystal.cell, quirks.triclinic_c_star);
  if (e.crystal.mosflm_matrix)
    basis.rows = reciprocal_from_mosflm(*e.crystal.mosflm_matrix, r.wavelength);
  if (e.crystal.random_misset_seed) {
    std::int64_t seed = -*e.crystal.random_misset_seed;
    const Vec3d drawn = euler_angles(quirks.random_misset_90_radians
                                         ? nanobragg_random_orientation(random, seed)
                                         : uniform_random_orientation(random, seed));
    r.misset = {Real(drawn.x), Real(drawn.y), Real(drawn.z)};
  } else {
    const auto& deg = e.crystal.misset_deg;
    r.misset = {units::radians_from_degrees(deg.x), units::radians_from_degrees(deg.y),
                units::radians_from_degrees(deg.z)};
  }
  basis.rows = {physics::rotate(basis.rows.a, r.misset), physics::rotate(basis.rows.b, r.misset),
                physics::rotate(basis.rows.c, r.misset)};
  r.axes = axes_from_reciprocal(basis.rows, e.crystal.cell ? &*e.crystal.cell : nullptr,
                                basis.volume_A3);
  const Mat3<Real> axes_m = axes_in_metres(r.axes);
  const auto crystal_size = resolved_size(e, axes_m, r.warnings);
  r.cells = crystal_size.cells;
  r.blocks = crystal_size.blocks;
  check_spot_metric(e, r);
  if (e.crystal.block_size_spread > Real(0))
    r.block_sizes = block_sizes(r.cells, e.crystal.block_size_spread, e.crystal.block_size_fixed);

  // Structure-factor lookup
  const Vec3<Real>& decisive = quirks.interpolation_from_flags ? e.crystal.cells : r.cells;
  const bool few_cells = !(decisive.x > Real(2)) || !(decisive.y > Real(2)) ||
                         !(decisive.z > Real(2));
  r.tricubic = e.structure_factors.grid &&
               (e.structure_factors.interpolation == Interpolation::tricubic ||
                (e.structure_factors.interpolation == Interpolation::automatic && few_cells));

  // Scan and mosaic domains
  const auto in_radians = [](SampledRange<Real> asked, auto convert) {
    if (asked.range) asked.range = convert(*asked.range);
    if (asked.step) asked.step = convert(*asked.step);
    return asked;
  };
  const auto from_degrees = [](const Real& x) { return units::radians_from_degrees(x); };
  const auto from_mrad = [](const Real& x) { return units::radians_from_mrad(x); };
  const auto scan = in_radians(e.scan.oscillation_deg, from_degrees);
  const Real one_degree = units::radians_from_degrees(Real(1));
  r.scan = quirks.phi_at_slice_start ? scan_as_nanobragg(scan, one_degree)
                                     : scan_as_meant(scan, one_degree);
  settle_summation(e, r);
  if (r.closed) integrate_scan(e, r);
  const Real phi0 = units::radians_from_degrees(e.scan.phi_deg);
  const auto [domains, spread] = r.closed ? closed_mosaicity(e.crystal)
                                          : resolved_mosaicity(e.crystal, r.warnings);
  check_count(double(r.scan.steps) * domains, "phi steps times mosaic domains",
              "-phisteps, -phistep and -mosaic_domains");
  for (int i = 0; i < r.scan.steps; ++i)
    r.phi.push_back(phi0 +
                    r.scan.step * (quirks.phi_at_slice_start ? Real(i) : Real(i) + Real(0.5)));
  r.mosaic_spread = spread;
  r.domains = e.crystal.mosaic_model == Distribution::gaussian
                  ? gaussian_rotations(domains, r)
                  : mosaic_rotations(domains, spread, e.crystal.mosaic_seed,
                                     quirks.shared_random_stream, random);
  if (has_cell_spread(e.crystal)) {
    if (!(quirks == Quirks::corrected()))
      throw UsageError(
          "nanoBragg has one cell for all domains; -unit_cell_spread and "
          "-unit_cell_angle_spread need -corrected");
    r.domain_cells_A = spread_cells(e.crystal, r.axes.real_A, domains);
    for (const Mat3<Real>& cell : r.domain_cells_A)
      if (!(dot(cell.a, cross(cell.b, cell.c)) > Real(0)) || !(cell.a.x == cell.a.x))
        throw UsageError(
            "the spread of the cell (-unit_cell_spread, -unit_cell_angle_spread) is so wide that "
            "domains have no cell");
  }

  // Rays
  const bool one_sided = quirks.one_sided_grids;
  const auto horizontal = in_radians(e.beam.horizontal_divergence_mrad, from_mrad);
  const auto vertical = in_radians(e.beam.vertical_divergence_mrad, from_mrad);
  auto dispersion = in_radians(e.beam.dispersion_percent, [](const Real& x) { return x / 100.0; });
  if (one_sided) {
    r.horizontal = grid_as_nanobragg(horizontal, Real(1));
    r.vertical = grid_as_nanobragg(vertical, Real(1));
    if (!dispersion.range) dispersion.range = Real(0);
    r.dispersion = grid_as_nanobragg(dispersion, Real(0));
  } else {
    const auto grid = [&](const auto& asked, Distribution model, const char* name) {
      return model == Distribution::gaussian ? gaussian_grid(asked, r.closed, name)
                                             : grid_as_meant(asked, name);
    };
    r.horizontal = grid(horizontal, e.beam.divergence_model, "divergence");
    r.vertical = grid(vertical, e.beam.divergence_model, "divergence");
    r.dispersion = grid(dispersion, e.beam.spectrum_model, "dispersion");
  }
  check_count(double(r.horizontal.steps) * r.vertical.steps * r.dispersion.steps,
              "divergence points times wavelengths",
              "-divsteps, -hdivstep, -vdivstep and -dispsteps");
  r.wavelengths = e.beam.spectrum_model == Distribution::gaussian
                      ? gaussian_wavelengths(r.dispersion, r.wavelength)
                      : wavelength_points(r.dispersion, r.wavelength, one_sided);
  for (const Real& wavelength : r.wavelengths)
    if (!(wavelength > Real(0)))
      throw UsageError(
          "the dispersion (-dispersion) reaches down to a wavelength of zero; it must be below 200 "
          "percent");
  if (e.beam.sources.empty()) {
    r.divergence = e.beam.divergence_model == Distribution::gaussian
                       ? gaussian_directions(r.horizontal, r.vertical)
                       : divergence_points(r.horizontal, r.vertical, e.beam.round_divergence,
                                           one_sided);
    r.rays = rays_of_grid(r.divergence, r.wavelengths, r.panel.beam, r.panel.polarization_axis,
                          r.panel.vertical);
    weigh_rays(e.beam, r);
  } else {
    r.rays = rays_of_list(e.beam.sources, quirks.source_weights_ignored);
  }
  if (is_tilted(e.beam))
    for (auto& ray : r.rays) ray.towards_source = tilted(ray.towards_source, e.beam, r.panel);

  if (r.closed) {
    if (e.beam.spectrum_model == Distribution::gaussian) r.spread.bandwidth = r.dispersion.step;
    if (e.beam.divergence_model == Distribution::gaussian) {
      r.spread.horizontal = r.horizontal.step;
      r.spread.vertical = r.vertical.step;
    }
    r.tricubic = false;
  }

  // Sub-pixels, which nanoBragg takes by the block however wide its spots are
  const Vec3<Real> edges = Real(size_of_bright_blocks(value_of(e.crystal.block_size_spread))) *
                           (quirks.volume_scaled_spots ? block_edges_m(r) : edges_of_spots_m(e, r));
  const auto recommended = [&](const BasicPanel<Real>& panel) {
    // A detector that the beam misses, or grazes, is as near as its near point.
    const bool met = panel.distance > Real(0) && panel.distance < 10.0 * panel.close_distance;
    const Real reach = quirks.ratio_without_two_theta || met ? panel.distance
                                                             : panel.close_distance;
    return recommended_oversample(edges, r.wavelength, reach,
                                  std::max(panel.pixel, panel.slow_pixel));
  };
  r.recommended_oversample = recommended(r.panel);
  for (const auto& further : r.more_panels)
    r.recommended_oversample = std::max(r.recommended_oversample, recommended(further.panel));
  resolve_more_crystals(e, r);
  // In closed form each spot has its own.
  r.oversample = e.sampling.oversample > 0 ? e.sampling.oversample
                 : r.closed                ? 1
                                           : r.recommended_oversample;
  if (r.oversample > 30000)
    throw UsageError("the crystal's fringes would need " + std::to_string(r.oversample) +
                     " sub-pixels along each edge of a pixel, and there can be 30000; give smaller "
                     "mosaic blocks (-block_size with -xtalsize, or -N with -blocks), or "
                     "-oversample");

  if (!(double(r.rays.size()) * double(r.domains.size()) * double(r.phi.size()) * r.oversample *
            r.oversample <
        9e18))
    throw UsageError(
        "more steps are asked for than can be counted; check -oversample, -mosaic_domains, "
        "-phisteps, -divsteps and -dispsteps");
  r.steps = static_cast<std::int64_t>(r.rays.size()) * static_cast<std::int64_t>(r.domains.size()) *
            static_cast<std::int64_t>(r.phi.size()) * r.oversample * r.oversample;
  return r;
}

}  // namespace nablabragg::model
