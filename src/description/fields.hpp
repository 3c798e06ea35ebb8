// The fields of an experiment: every number and every choice, one row a field.
//
// Made from these rows: experiments in other number types (lift.hpp), parameters by name
// (parameter_table.hpp), JSON (experiment_json.cpp), flags that say an experiment
// (flags/flags_of.hpp), and all that Python knows of an experiment's parts (python/fields.cpp).
// docs/gradients.md and python/nablabragg/__init__.pyi are held against them by tests.
#pragma once
#include "description/field.hpp"
#include "nablabragg/plausible.hpp"

namespace nablabragg::description {

// ---- Where a parameter exists -------------------------------------------------------------------

inline bool orientation_given(const Experiment& e) { return !e.crystal.random_misset_seed; }
inline bool has_fudge(const Experiment& e) {
  return physics::with_shape(e.crystal.shape, []<class Shape>() { return Shape::has_fudge; });
}
template <class... Shape>
constexpr auto flags_of(physics::ShapeList<Shape...>) {
  return std::array<std::string_view, sizeof...(Shape)>{Shape::flags[0]...};
}
/// In the order of their choices.
inline constexpr auto flags_of_shapes = flags_of(physics::Shapes());
inline bool has_mosaicity(const Experiment& e) {
  return *e.crystal.mosaic_spread_deg > 0 && !e.crystal.mosaic_spread_axes_deg;
}
inline bool has_no_source_list(const Experiment& e) { return e.beam.sources.empty(); }
inline bool is_polarized(const Experiment& e) { return e.beam.polarization_correction; }
inline bool flux_counts(const Experiment& e) {
  return e.beam.flux_per_s && *e.beam.flux_per_s != 0 && e.beam.exposure_s > 0;
}
inline bool is_beam_tilted(const Experiment& e) {
  return e.beam.tilt_horizontal_mrad != 0 || e.beam.tilt_vertical_mrad != 0;
}
inline bool fluence_counts(const Experiment& e) { return !flux_counts(e); }
/// Matter fills the beam, however the fluence is stated.
inline bool beam_size_counts(const Experiment& e) {
  return flux_counts(e) || !e.materials.empty() || e.beamstop.ring_share != 0;
}
inline bool origin_counts(const Experiment& e) {
  return e.detector.origin_m && !e.quirks.pix0_ignored;
}
inline bool centres_count(const Experiment& e) { return !origin_counts(e); }
inline bool distance_counts(const Experiment& e) {
  return !origin_counts(e) && !e.detector.close_distance_mm;
}
inline bool sensor_absorbs(const Experiment& e) {
  const auto& depth = e.detector.attenuation_depth_um;
  return e.detector.sensor_thickness_um > 0 && depth && *depth > 0 && *depth < 1e300;
}
inline bool has_water(const Experiment& e) { return e.water_um != 0; }
// Of the first material: those that parameters are asked of stand alone
inline bool has_path(const Experiment& e) {
  return e.materials.front().start_mm != e.materials.front().end_mm;
}
inline bool has_no_path(const Experiment& e) { return !has_path(e); }

inline bool has_beamstop(const Experiment& e) { return e.beamstop.radius_mm > 0; }
inline bool has_beamstop_arm(const Experiment& e) {
  return has_beamstop(e) && e.beamstop.arm_width_mm > 0;
}
inline bool has_beamstop_ring(const Experiment& e) {
  return has_beamstop(e) && e.beamstop.ring_share > 0;
}

inline bool has_diffuse(const Experiment& e) { return e.crystal.diffuse_sigma_A != Vec3d{}; }
inline bool has_correlation(const Experiment& e) {
  return has_diffuse(e) && e.crystal.diffuse_gamma_A != Vec3d{};
}

inline bool block_sizes_differ(const Experiment& e) { return e.crystal.block_size_spread > 0; }
inline bool has_blocks(const Experiment& e) { return e.crystal.blocks != 1; }

// Outside of `within` there is nothing that could be measured, or single precision has no room;
// outside of `usually` the number was most likely meant in another unit.
inline constexpr const char *in_metres = "is it in metres?",
                            *in_micrometres = "is it in micrometres?",
                            *in_millimetres = "is it in millimetres?",
                            *in_nanometres = "is it in nanometres?",
                            *in_picometres = "is it in picometres?",
                            *a_power_of_ten = "is it the power of ten alone?";

/// Angles are turned through in degrees.
inline constexpr Range turns{.from = -plausible::most_degrees, .to = plausible::most_degrees};
/// Cells of triclinic proteins reach 50 and 130 degrees; a right angle is 1.57 radians.
inline constexpr Range cell_angles{
    .from = 10, .to = 170, .below = "is it in radians?", .above = "angles are in degrees"};
inline constexpr Range cell_edges{.from = plausible::shortest_edge_A,
                                  .to = plausible::longest_edge_A,
                                  .below = in_nanometres,
                                  .above = in_picometres,
                                  .angles = &positive};
/// [mm] An edge is no shorter than the smallest cell; 1 m is the largest silicon there is.
inline constexpr Range crystal_sizes{
    .from = 2e-7, .to = 1000, .or_zero = true, .below = in_metres, .above = in_micrometres};
/// [mm] Around a panel and its beam centre.
inline constexpr Range places{.from = -plausible::farthest_mm,
                              .to = plausible::farthest_mm,
                              .below = in_micrometres,
                              .above = in_micrometres};
/// [mm] An edge of a pixel.
inline constexpr Range pixels{.from = plausible::smallest_pixel_mm,
                              .to = plausible::largest_pixel_mm,
                              .below = in_metres,
                              .above = in_micrometres};
/// [mm] From what a scintillator resolves to wire chambers.
inline constexpr Range usual_pixels{
    .from = 0.001, .to = 10, .below = in_metres, .above = in_micrometres};
/// Counts of a file are integers of 32 bits; an integrating detector's are down to minus noise.
inline constexpr Range counts{.from = -4294967296.0, .to = 4294967296.0};
/// [counts/photon]
inline constexpr Range gains{.from = 1e-6, .to = 1e6};
/// [mm]
inline constexpr Range distances{.from = plausible::nearest_mm,
                                 .to = plausible::farthest_mm,
                                 .below = in_metres,
                                 .above = in_micrometres};
/// [mm] From a sensor in vacuum that touches the sample's holder to beamlines of 100 m.
inline constexpr Range usual_distances{
    .from = 1, .to = 1e5, .below = in_metres, .above = in_micrometres};
/// [mrad] Full widths; no more than a circle.
inline constexpr Range divergences{.from = 0, .to = 6284};
/// [mrad] Capillaries and multilayers end at 20.
inline constexpr Range usual_divergences{.to = 100, .above = "is it in microradians?"};

/// What the numbers of a pair are.
inline constexpr std::array<const char*, 2> fast_and_slow{"fast", "slow"}, x_and_y{"x", "y"};

/// [Angstrom]
inline constexpr Range wavelengths{
    .from = plausible::shortest_wavelength_A,
    .to = plausible::longest_wavelength_A,
    .below = "did you mean metres? wavelengths are in Angstrom",
    .above = "did you mean keV? energies are in eV, wavelengths in Angstrom"};

// ---- The rows -----------------------------------------------------------------------------------

template <class Real>
struct Fields<SampledRange<Real>> {
  using P = SampledRange<Real>;
  static constexpr std::tuple rows{field("range", &P::range, "", "full width"),
                                   field("step", &P::step, "", "between two steps"),
                                   field("steps", &P::steps, "", "how many").within(not_negative)};
};

template <class Real>
struct Fields<BasicCrystal<Real>> {
  using P = BasicCrystal<Real>;
  using enum FlagRule;
  static constexpr std::tuple rows{
      field("cell", &P::cell, {"A", "A", "A", "deg", "deg", "deg"},
            "edges and angles; needed where there is no matrix")
          .within(cell_edges)
          .usually({.angles = &cell_angles})
          .by({"-cell"})
          .differentiable(),
      field("a_matrix", &P::mosflm_matrix, "",
            "MOSFLM's A matrix: columns a*, b*, c* times the wavelength")
          .by({"-mat"}, file)
          .differentiable(),
      field("misset", &P::misset_deg, "deg", "rotations about laboratory x, then y, then z")
          .within(turns)
          .by({"-misset"})
          .differentiable(orientation_given),
      field("misset_seed", &P::random_misset_seed, "",
            "seed of a random orientation, which replaces misset")
          .by({"-misset random -misset_seed"}),
      field("cells", &P::cells, "", "unit cells along a, b, c, or one number for all")
          .within({.from = 1, .to = 1e9})
          // 1e6 cells of 100 Angstrom are 10 mm
          .usually({.to = 1e6, .above = "is it the number in the whole crystal?"})
          .by({"-Na", "-Nb", "-Nc"}, whole_numbers)
          .differentiable(),
      field("size", &P::size_mm, "mm",
            "where positive, replaces the number of cells; one number for all or three")
          .within(crystal_sizes)
          // 0.1 um are the smallest crystals that free-electron lasers have measured
          .usually({.from = 1e-4, .to = 10, .below = in_metres, .above = in_micrometres})
          .by({"-sample_x", "-sample_y", "-sample_z"}),
      field("blocks", &P::blocks, "",
            "mosaic blocks whose light adds up: the spots of one times this number")
          .within({.from = 0, .to = 1e24, .without_from = true})
          // 1 mm^3 holds 1e14 blocks of 0.02 um
          .usually({.from = 1,
                    .to = 1e16,
                    .below = "a crystal has at least one",
                    .above = "a crystal of 1 mm has fewer"})
          .by({"-blocks"})
          .differentiable(has_blocks),
      field("block_size", &P::block_size_mm, "mm",
            "edge of a block, where positive: gives cells from it, and blocks from size")
          .within(crystal_sizes)
          // From a few cells to a perfect crystal of a size that extinction would darken
          .usually({.from = 2e-5, .to = 1, .below = in_metres, .above = in_micrometres})
          .by({"-block_size"}),
      field("block_size_spread", &P::block_size_spread, "",
            "standard deviation of ln(u), where blocks have u times cells along each axis, in "
            "whole cells, and ln(u) is normal with <u> = 1; 0: all are alike")
          .within({.from = 0, .to = 1})
          .by({"-block_size_spread"})
          .differentiable(block_sizes_differ),
      field("block_size_fixed", &P::block_size_fixed, "",
            "what that spread leaves as it is: the mean edge of a block, or the number of cells in "
            "the crystal")
          .by({"", "-block_size_fixed cells"}),
      field("shape", &P::shape, "", "what a spot looks like").by(flags_of_shapes),
      field("fudge", &P::fudge, "", "scales the squared radius of round, gauss and tophat spots")
          // Spots a thousand times as wide, or as narrow, as the block's
          .within({.from = 1e-6, .to = 1e6})
          .by({"-fudge"})
          .differentiable(has_fudge),
      field(
          "spot_metric", &P::spot_metric, "",
          "in what the width of gauss and tophat spots is measured; None: \"cell\", and in compat "
          "mode nanoBragg's \"reciprocal\"")
          .by({"-spot_metric cell", "-spot_metric reciprocal", "-spot_metric round"}),
      field("mosaic_spread", &P::mosaic_spread_deg, "deg",
            "largest rotation of a mosaic domain; of a Gaussian the standard deviation about each "
            "axis")
          .within({.from = 0, .to = 180})
          .by({"-mosaic"})
          .differentiable(has_mosaicity),
      field("mosaic_model", &P::mosaic_model, "", "how the rotations of domains are distributed")
          .by({"", "-mosaic_model gaussian"}),
      field("mosaic_spread_axes", &P::mosaic_spread_axes_deg, "deg",
            "of a Gaussian: standard deviations about a, about c* x a and about c*, in place of "
            "mosaic_spread")
          .within({.from = 0, .to = 180})
          .by({"-mosaic_axes"})
          .differentiable(),
      field("mosaic_domains", &P::mosaic_domains, "", "domains to average; 10 with a spread")
          .within(at_least_one)
          .by({"-mosaic_domains"}),
      field("mosaic_seed", &P::mosaic_seed, "", "seed of their rotations and cells")
          .by({"-mosaic_seed"}),
      field("cell_spread", &P::cell_spread_A, "A",
            "standard deviations of the edges of the cell, from domain to domain; equal edges that "
            "spread alike vary together")
          .within({.from = 0, .to = 1000})
          .by({"-unit_cell_spread"})
          .differentiable(),
      field("cell_angle_spread", &P::cell_angle_spread_deg, "deg",
            "standard deviations of its angles, likewise")
          .within({.from = 0, .to = 45})
          .by({"-unit_cell_angle_spread"})
          .differentiable(),
      field("diffuse_sigma", &P::diffuse_sigma_A, "A",
            "standard deviations, along a, c* x a and c*, of displacements that scatter between "
            "the spots; one number for all or three")
          .within({.from = 0, .to = 10})
          // B = 8 pi^2 sigma^2 is 1 to 100 A^2 in proteins
          .usually({.from = 0.01,
                    .to = 1.5,
                    .or_zero = true,
                    .below = in_nanometres,
                    .above = "is it B?"})
          .by({"-diffuse_sigma"})
          .differentiable(has_diffuse),
      field("diffuse_gamma", &P::diffuse_gamma_A, "A",
            "lengths over which their correlation falls to 1/e, along the same; one number for all "
            "or three")
          .within({.from = 0, .to = 1e5})
          .usually({.from = 1, .to = 1000, .or_zero = true, .below = in_nanometres})
          .by({"-diffuse_gamma"})
          .differentiable(has_correlation),
      field("diffuse_motion", &P::diffuse_motion, "",
            "what moves together: neighbouring atoms, or each cell as a whole")
          .by({"", "-diffuse_motion rigid"}),
      field("diffuse_in_F", &P::diffuse_in_F, "",
            "True: the structure factors are already those of the displaced atoms; False: the "
            "displacements weaken the spots")
          .by({"", "-diffuse_in_F"}),
      field("diffuse_stencil", &P::diffuse_stencil, "",
            "lattice points on either side of the nearest whose halos are summed one by one")
          .within({.from = 0, .to = 4})
          .by({"-diffuse_stencil"}),
      field("diffuse_error", &P::diffuse_error, "",
            "largest error of a halo, over its peak, that light summed at few pixels of few "
            "orientations in place of all may have; 0: that of all is summed")
          .within({.from = 0, .to = 0.1})
          .by({"-diffuse_error"})};
};

template <class Real>
struct Fields<BasicFurtherCrystal<Real>> {
  using P = BasicFurtherCrystal<Real>;
  static constexpr std::tuple rows{
      field("misset", &P::misset_deg, "deg",
            "rotations about laboratory x, then y, then z, in place of those of the first crystal")
          .within(turns)
          .differentiable(),
      field("weight", &P::weight, "",
            "factor on its photons: its share beside the first crystal, whose weight is 1")
          .within({.from = 0, .to = 1e12})
          .differentiable(),
      field("cells", &P::cells, "",
            "unit cells along a, b, c, or one number for all; None: as the first crystal")
          .within({.from = 1, .to = 1e9})
          .usually({.to = 1e6, .above = "is it the number in the whole crystal?"})
          .differentiable(),
      field("mosaic_spread", &P::mosaic_spread_deg, "deg", "None: as the first crystal")
          .within({.from = 0, .to = 180})
          .differentiable()};
};

/// One ray of a list; the list's parameters have a row of numbers for each.
template <class Real>
struct Fields<BasicSource<Real>> {
  using P = BasicSource<Real>;
  static constexpr std::tuple rows{
      field("position", &P::position, "", "from the sample towards the source; any length")
          .within(a_direction)
          .differentiable_as("source_directions"),
      field("weight", &P::weight, "", "relative intensity")
          .within({.from = 0, .to = 1e30})
          .differentiable_as("source_weights"),
      field("wavelength", &P::wavelength_A, "A", "of the ray")
          .within(wavelengths)
          .differentiable_as("source_wavelengths")};
};

template <class Real>
struct Fields<BasicBeam<Real>> {
  using P = BasicBeam<Real>;
  using enum FlagRule;
  static constexpr std::tuple rows{
      field("wavelength", &P::wavelength_A, "A", "central wavelength")
          .within(wavelengths)
          .by({"-lambda"})
          .differentiable(has_no_source_list),
      field("direction", &P::direction, "", "of propagation; None: the convention's")
          .within(a_direction)
          .by({"-beam_vector"}, custom_frame)
          .differentiable_as("beam_direction"),
      field("tilt", {"horizontal", "vertical"}, &P::tilt_horizontal_mrad, &P::tilt_vertical_mrad,
            "mrad",
            "by which the light comes in beside the direction; the detector stays where it is")
          .within({.from = -1000, .to = 1000})
          .usually({.from = -20,
                    .to = 20,
                    .below = "is it in microradians?",
                    .above = "is it in microradians?"})
          .by({"-beam_tilt"})
          .differentiable_as("beam_tilt", is_beam_tilted),
      field("polarization_correction", &P::polarization_correction, "",
            "False: every polarization factor is 1")
          .by({"-nopolar", ""}),
      field("polarization", &P::polarization_fraction, "",
            "Kahn factor: 0 unpolarized, 1 fully polarized")
          .within({.from = -1, .to = 1, .above = "is it in percent?"})
          .by({"-polar"})
          .differentiable(is_polarized),
      field("polarization_axis", &P::polarization_axis, "",
            "of the E vector; None: the convention's")
          .within(a_direction)
          .by({"-polar_vector"}, custom_frame)
          .differentiable(),
      field("fluence", &P::fluence_per_m2, "photons/m^2", "ignored when a flux is given")
          // What is too much for an image shows there
          .within(not_negative)
          // Less than a photon a um^2 shows no spot
          .usually({.from = 1e12,
                    .to = 1e36,
                    .below = "is it in photons/um^2?",
                    .above = a_power_of_ten})
          .by({"-fluence"})
          .differentiable(fluence_counts),
      field("flux", &P::flux_per_s, "photons/s", "with exposure and size replaces the fluence")
          .within({.from = 0, .to = 1e36, .without_from = true})
          // Laboratory sources give more than 1e5, free-electron lasers 1e26 within a pulse
          .usually({.from = 1000, .to = 1e30, .below = a_power_of_ten, .above = a_power_of_ten})
          .by({"-flux"})
          .differentiable(flux_counts),
      field("exposure", &P::exposure_s, "s", "exposure time")
          // Pulses are longer than 1e-17 s, and a day has 1e5
          .within({.from = 0, .to = 1e9, .without_from = true})
          .usually({.from = 1e-17,
                    .to = 1e5,
                    .below = a_power_of_ten,
                    .above = "is it in milliseconds?"})
          .by({"-exposure"})
          .differentiable(flux_counts),
      field("size", &P::size_mm, "mm", "edge of the square beam; 0.1 where a number is needed")
          .within({.from = 1e-7, .to = 1e4, .below = in_metres, .above = in_micrometres})
          // The finest focus is 5 nm; nothing is measured in a beam wider than 10 cm
          .usually({.from = 1e-6, .to = 100, .below = in_metres, .above = in_micrometres})
          .by({"-beamsize"})
          .differentiable_as("beam_size", beam_size_counts),
      field("horizontal_divergence", &P::horizontal_divergence_mrad, "mrad",
            "full width; of a Gaussian at half maximum")
          .within(divergences)
          .usually(usual_divergences)
          .by({"-hdivrange", "-hdivstep", "-hdivsteps"})
          .differentiable(has_no_source_list),
      field("vertical_divergence", &P::vertical_divergence_mrad, "mrad",
            "full width; of a Gaussian at half maximum")
          .within(divergences)
          .usually(usual_divergences)
          .by({"-vdivrange", "-vdivstep", "-vdivsteps"})
          .differentiable(has_no_source_list),
      field("divergence_model", &P::divergence_model, "",
            "how the directions of the beam are distributed")
          .by({"", "-beam_model gaussian"}),
      field("round_divergence", &P::round_divergence, "", "only grid points inside the ellipse")
          .by({"-square_div", "-round_div"}),
      field("dispersion", &P::dispersion_percent, "percent",
            "full width of the spectrum; of a Gaussian at half maximum")
          .within({.from = 0, .to = 200})
          .by({"-dispersion", "", "-dispsteps"})
          .differentiable(has_no_source_list),
      field("spectrum_model", &P::spectrum_model, "",
            "how wavelengths are distributed; a Gaussian is one in wavenumber")
          .by({"", "-spectrum_model gaussian"}),
      field("sources", &P::sources, "A",
            "direction from the sample to each source; replaces divergence and dispersion")
          .by({"-sourcefile"}, file)};
};

template <class Real>
struct Fields<BasicDetector<Real>> {
  using P = BasicDetector<Real>;
  using enum FlagRule;
  static constexpr std::tuple rows{
      field("name", &P::name, "", "of the panel, for files"),
      field("group", &P::group, "", "of detector_groups, with which it moves; empty: none"),
      field("convention", &P::convention, "", "whose frame and beam centre the numbers are in")
          .by({"-adxv", "-mosflm", "-denzo", "-xds", "-dials", "-spindle_axis 0 0 1"}),
      field("pixels", fast_and_slow, &P::fast_pixels, &P::slow_pixels, "", "0: from the size")
          .within(not_negative)
          .by({"-detpixels_f", "-detpixels_s"}),
      field("size", fast_and_slow, &P::fast_size_mm, &P::slow_size_mm, "mm",
            "used where pixels is 0")
          .within({.from = plausible::smallest_pixel_mm,
                   .to = plausible::farthest_mm,
                   .below = in_metres,
                   .above = in_micrometres})
          // Panels are no smaller than a chip and no larger than a room
          .usually({.from = 1, .to = 1e4, .below = in_metres, .above = in_micrometres})
          .by({"-detsize_f", "-detsize_s"}),
      field("pixel_size", &P::pixel_mm, "mm", "edge of a pixel")
          .within(pixels)
          .usually(usual_pixels)
          .by({"-pixel"})
          .differentiable(),
      field("slow_pixel_size", &P::slow_pixel_mm, "mm",
            "edge of a pixel along slow; None: pixels are square")
          .within(pixels)
          .usually(usual_pixels)
          .differentiable(),
      field("distance", &P::distance_mm, "mm", "from the sample along the beam")
          .within(distances)
          .usually(usual_distances)
          .by({"-distance"})
          .differentiable(distance_counts),
      field("close_distance", &P::close_distance_mm, "mm", "along the normal; beats distance")
          .within(distances)
          .usually(usual_distances)
          .by({"-close_distance"})
          .differentiable(centres_count),
      field("beam_center", x_and_y, &P::beam_x_mm, &P::beam_y_mm, "mm",
            "direct-beam position in the convention's own meaning (Xbeam, Ybeam); None: the middle")
          .within(places)
          .by({"-Xbeam", "-Ybeam"})
          .differentiable(centres_count),
      field("near_point", x_and_y, &P::close_x_mm, &P::close_y_mm, "mm",
            "foot of the normal (Xclose, Yclose)")
          .within(places)
          .by({"-Xclose", "-Yclose"})
          .differentiable(centres_count),
      field("org", x_and_y, &P::org_x_px, &P::org_y_px, "px",
            "the same as XDS counts pixels (ORGX, ORGY)")
          .within({.from = -plausible::most_pixels, .to = plausible::most_pixels})
          .by({"-ORGX", "-ORGY"})
          .differentiable(centres_count),
      field("origin", &P::origin_m, "m",
            "outer corner of pixel (0,0) before the rotations; beats distance and centres")
          .within({.from = -plausible::farthest_mm / 1000,
                   .to = plausible::farthest_mm / 1000,
                   .below = in_millimetres,
                   .above = in_millimetres})
          // Detectors farther away than 20 m are in small-angle cameras, whose beam is at zero
          .usually({.from = -20, .to = 20, .below = in_millimetres, .above = in_millimetres})
          .by({"-pix0_vector"}, custom_frame)
          .differentiable(origin_counts),
      field("fast_axis", &P::fast_axis, "", "of the custom convention")
          .within(a_direction)
          .by({"-fdet_vector"}, custom_frame)
          .differentiable(),
      field("slow_axis", &P::slow_axis, "", "of the custom convention")
          .within(a_direction)
          .by({"-sdet_vector"}, custom_frame)
          .differentiable(),
      field("normal", &P::normal, "", "of the custom convention")
          .within(a_direction)
          .by({"-odet_vector"}, custom_frame),
      field("two_theta_axis", &P::two_theta_axis, "", "None: the convention's")
          .within(a_direction)
          .by({"-twotheta_axis"}, custom_frame)
          .differentiable(),
      field("rotation", &P::rotation_deg, "deg", "about laboratory x, then y, then z")
          .within(turns)
          .by({"-detector_rotx", "-detector_roty", "-detector_rotz"})
          .differentiable_as("detector_rotation"),
      field("two_theta", &P::two_theta_deg, "deg", "about its axis, after the rotations")
          .within(turns)
          .by({"-twotheta"})
          .differentiable(),
      field("shift", &P::shift_mm, "mm",
            "along its own axes and their cross product; None: it is no parameter")
          .within(places)
          .differentiable(),
      field(
          "turn", &P::turn_deg, "deg",
          "about its own axes and their cross product, in turn, through the panel's middle; None: "
          "it is no parameter")
          .within(turns)
          .differentiable_as("rotation"),
      field("curved", &P::curved, "", "every pixel at the same distance from the sample")
          .by({"", "-curved_det"}),
      field("point_pixel", &P::point_pixel, "", "leave the obliquity out of the solid angle")
          .by({"", "-point_pixel"}),
      field("sensor_material", &P::sensor_material, "",
            "Si, CdTe...: gives the attenuation depth where none is given"),
      field("sensor_thickness", &P::sensor_thickness_um, "um",
            "0: everything is captured at the surface")
          .within({.from = 0, .to = 1e7})
          // Fully depleted silicon is thicker than 1 um, and no sensor than 10 cm
          .usually({.from = 1, .to = 1e5, .below = in_millimetres, .above = in_nanometres})
          .by({"-detector_thick"})
          .differentiable(sensor_absorbs),
      field("attenuation_depth", &P::attenuation_depth_um, "um",
            "1/e depth; None with a thickness: the thickness")
          .within({.from = 0, .or_infinity = true})
          // Silicon: 0.5 um at 500 eV, 1e5 um at 150 keV
          .usually({.from = 0.5, .to = 1e7, .below = in_millimetres, .above = in_nanometres})
          .by({"-detector_abs"})
          .differentiable(sensor_absorbs),
      field("sensor_layers", &P::sensor_layers, "", "layers of the sensor")
          .within({.from = 1, .to = 1e6})
          .by({"-detector_thicksteps"}),
      field("trusted", {"underload", "saturation"}, &P::underload, &P::saturation, "counts",
            "smallest and largest count that can be trusted, for files")
          .within(counts),
      field("gain", &P::gain, "counts/photon", "of the detector, for files").within(gains),
      // After the flags that choose it by the way
      field("pivot", &P::pivot, "",
            "what stays put when the detector is rotated; None: the convention's")
          .by({"-pivot beam", "-pivot sample"})};
};

template <class Real>
struct Fields<BasicScan<Real>> {
  using P = BasicScan<Real>;
  static constexpr std::tuple rows{
      field("phi", &P::phi_deg, "deg", "spindle angle where the scan begins")
          .within(turns)
          .by({"-phi"})
          .differentiable(),
      field("oscillation", &P::oscillation_deg, "deg", "None: a still")
          .within(turns)
          .by({"-osc", "-phistep", "-phisteps"})
          .differentiable(),
      field("spindle_axis", &P::spindle_axis, "", "None: the convention's")
          .within(a_direction)
          .by({"-spindle_axis"}, FlagRule::custom_frame)
          .differentiable()};
};

template <>
struct Fields<Sampling> {
  using P = Sampling;
  static constexpr std::tuple rows{
      field("oversample", &P::oversample, "",
            "sub-pixels along each edge; 0: as many as the crystal needs")
          .within({.from = 0, .to = 30000})
          .by({"-oversample"}),
      field("oversample_thick", &P::oversample_thick, "",
            R"(nanoBragg's flag; changes nothing in mode "corrected")")
          .by({"", "-oversample_thick"}),
      field("oversample_polar", &P::oversample_polar, "", "likewise").by({"", "-oversample_polar"}),
      field("oversample_omega", &P::oversample_omega, "", "likewise").by({"", "-oversample_omega"}),
      field("summation", &P::summation, "",
            "how rotations, wavelengths and directions are added up: step by step, or in closed "
            "form")
          .by({"", "-summation closed", "-summation sampled"}),
      field("dmin", &P::dmin_A, "A", "leave out what scatters beyond this d-spacing; 0: nothing")
          .within({.from = 0, .to = plausible::longest_edge_A})
          // Half of the shortest wavelengths in use, and the longest cells
          .usually({.from = 0.1, .to = 1000, .below = in_nanometres, .above = in_picometres})
          .by({"-dmin"}),
      field("roi", &P::roi, "", "pixels to compute, both ends included").by({"-roi"}),
      field("mask", &P::mask, "", "True: compute this pixel").by({"-mask"}, FlagRule::file)};
};

template <>
struct Fields<StructureFactors> {
  using P = StructureFactors;
  static constexpr std::tuple rows{
      field("F", &P::grid, "electrons",
            "amplitudes of the P1 cell on a box of Miller indices; read-only")
          .by({"-hkl"}, FlagRule::file),
      field("default_F", &P::default_F, "electrons", "amplitude of what F does not hold")
          // A ribosome has 1e6 electrons
          .usually({.from = -1e8,
                    .to = 1e8,
                    .below = "is it an intensity?",
                    .above = "is it an intensity?"})
          .by({"-default_F"})
          .differentiable(),
      field("interpolation", &P::interpolation, "",
            "how F is found between the lattice points; automatic: tricubic where an edge has two "
            "cells or fewer")
          .by({"", "-nointerpolate", "-interpolate"}),
      field("stated_cell", &P::stated_cell, {"A", "A", "A", "deg", "deg", "deg"},
            "of the crystal that F is of, where its file says it; compared with the crystal's cell")
          .within(cell_edges),
      field("stated_wavelength", &P::stated_wavelength_A, "A",
            "of the measurement of F, where its file says it; compared with the beam's")
          .within(wavelengths)};
};

template <class Real>
struct Fields<BasicFurtherPanel<Real>> {
  using P = BasicFurtherPanel<Real>;
  static constexpr std::tuple rows{
      field("detector", &P::detector, "", "the panel and where it is"),
      field("roi", &P::roi, "",
            "pixels to compute, both ends included; no_pixels, (1, 0, 1, 0): none"),
      field("mask", &P::mask, "", "True: compute this pixel")};
};

template <class Real>
struct Fields<BasicDetectorGroup<Real>> {
  using P = BasicDetectorGroup<Real>;
  static constexpr std::tuple rows{
      field("name", &P::name, "", "that its panels state"),
      field("parent", &P::parent, "",
            "group that it moves with, before it in the list; empty: none"),
      field("origin", &P::origin_mm, "mm", "about which it turns").within(places),
      field("fast_axis", &P::fast_axis, "", "of its frame").within(a_direction),
      field("slow_axis", &P::slow_axis, "", "of its frame").within(a_direction),
      field("shift", &P::shift_mm, "mm", "along its axes and their cross product")
          .within(places)
          .differentiable(),
      field("rotation", &P::rotation_deg, "deg", "about the same, in turn")
          .within(turns)
          .differentiable()};
};

template <class Real>
struct Fields<BasicMaterial<Real>> {
  using P = BasicMaterial<Real>;
  static constexpr std::tuple rows{
      field("name", &P::name, "", "what summaries and errors call it"),
      field("stol", &P::stol_per_A, "1/A", "sin(theta)/wavelength of the rows of F, rising"),
      field(
          "F", &P::F, "electrons",
          "of one molecule; by the Compton effect the root of its incoherent scattering function"),
      field("interpolation", &P::interpolation, "",
            "between the rows: linear, through four of them, or as nonBragg has it"),
      field("process", &P::process, "", "whether the photon keeps its energy"),
      field("thickness", &P::thickness_mm, "mm", "along the beam, all of it at the sample")
          .within({.from = 0, .to = 1e5})
          .differentiable(has_no_path),
      field("start", &P::start_mm, "mm",
            "of a path along the beam, counted from the sample; replaces the thickness")
          .within(places)
          .differentiable(has_path),
      field("end", &P::end_mm, "mm", "of the path").within(places).differentiable(has_path),
      field("density", &P::density_g_cm3, "g/cm^3", "of the material")
          // Osmium has 22.6
          .within({.from = 0, .to = 30, .above = "is it in kg/m^3?"})
          .differentiable(),
      field("molar_mass", &P::molar_mass, "g/mol", "of what F is of")
          .within({.from = 0, .to = 1e12, .without_from = true})};
};

template <class Real>
struct Fields<BasicBeamstop<Real>> {
  using P = BasicBeamstop<Real>;
  static constexpr std::tuple rows{
      field("distance", &P::distance_mm, "mm", "from the sample, along the beam")
          .within({.from = 0, .to = plausible::farthest_mm, .above = in_micrometres})
          .by({"-beamstop_distance"})
          .differentiable_as("beamstop_distance", has_beamstop),
      field("radius", &P::radius_mm, "mm", "of the disk; 0: there is no beamstop")
          .within({.from = 0, .to = 1000, .above = in_micrometres})
          .by({"-beamstop_radius"})
          .differentiable_as("beamstop_radius", has_beamstop),
      field("offset", fast_and_slow, &P::offset_fast_mm, &P::offset_slow_mm, "mm",
            "from the beam to the middle of the disk, along the axes of the first panel")
          .within({.from = -1000, .to = 1000, .below = in_micrometres, .above = in_micrometres})
          .by({"-beamstop_offset"})
          .differentiable_as("beamstop_offset", has_beamstop),
      field("transmission", &P::transmission, "", "of light that meets it, and of the beam")
          .within({.from = 0, .to = 1, .above = "is it in percent?"})
          .by({"-beamstop_transmission"})
          .differentiable_as("beamstop_transmission", has_beamstop),
      field("arm_width", &P::arm_width_mm, "mm",
            "of a bar from the beam outwards that holds it; 0: there is none")
          .within({.from = 0, .to = 1000, .above = in_micrometres})
          .by({"-beamstop_arm_width"})
          .differentiable_as("beamstop_arm_width", has_beamstop_arm),
      field("arm_angle", &P::arm_deg, "deg",
            "direction of the bar, from the fast towards the slow axis of the first panel")
          .within(turns)
          .by({"-beamstop_arm_angle"})
          .differentiable_as("beamstop_arm_angle", has_beamstop_arm),
      field("ring_share", &P::ring_share, "",
            "of the photons in the beam that its edge scatters into a ring; 0: there is none")
          .within({.from = 0, .to = 1, .above = "is it in percent?"})
          .by({"-beamstop_ring_share"})
          .differentiable_as("beamstop_ring_share", has_beamstop_ring),
      field("ring_angle", &P::ring_deg, "deg", "of the ring's maximum to the beam, from the stop")
          .within({.from = 0, .to = 90})
          .by({"-beamstop_ring_angle"})
          .differentiable_as("beamstop_ring_angle", has_beamstop_ring),
      field("ring_width", &P::ring_width_deg, "deg",
            "of the ring: standard deviation of a Gaussian")
          .within({.from = 0, .to = 90})
          .by({"-beamstop_ring_width"})
          .differentiable_as("beamstop_ring_width", has_beamstop_ring)};
};

template <class Real>
struct Fields<BasicExperiment<Real>> {
  using P = BasicExperiment<Real>;
  static constexpr std::tuple rows{
      field("crystal", &P::crystal, "", "cell, orientation, size, shape, mosaicity"),
      field("more_crystals", &P::more_crystals, "",
            "crystals of the same kind beside it in the beam, whose photons are added"),
      field("beam", &P::beam, "", "spectrum, divergence, polarization, fluence"),
      field("detector", &P::detector, "", "the panel and where it is"),
      field("more_panels", &P::more_panels, "", "panels in addition to it"),
      field("detector_groups", &P::detector_groups, "", "panels that move together"),
      field("scan", &P::scan, "", "the rotation of the crystal"),
      field("sampling", &P::sampling, "", "which pixels, and how finely"),
      field("structure_factors", &P::structure_factors, "", "what the cell scatters"),
      field("water", &P::water_um, "um", "edge of the cube of water around the crystal")
          .within({.from = 0, .to = 1e7})
          // Liquid sheets are thicker than 0.1 um; 10 cm of water let nothing through
          .usually({.from = 0.1, .to = 1e5, .below = in_millimetres, .above = in_nanometres})
          .by({"-water"})
          .differentiable(has_water),
      field("materials", &P::materials, "", "liquids, powders and gases in the beam"),
      field("beamstop", &P::beamstop, "", "what stops the direct beam before the detector"),
      field("mode", &P::quirks, "",
            "right physics, or nanoBragg's image bug for bug (docs/differences.md)")};
};

// ---- No member without a row --------------------------------------------------------------------

template <class A, class B>
constexpr bool same_member(A a, B b) {
  if constexpr (std::is_same_v<A, B>)
    return a == b;
  else
    return false;
}
/// How often one of them is among all of them.
template <class One, class... Members>
constexpr std::size_t count_of(One one, Members... all) {
  return (std::size_t{same_member(one, all)} + ...);
}
/// Whether the rows name every member of a part, each once.
template <class Part>
consteval bool has_a_row_for_each_member() {
  constexpr auto all = std::apply(
      [](const auto&... row) { return std::tuple_cat(std::tuple_cat(row.members)...); },
      rows_of<Part>());
  return std::tuple_size_v<std::remove_const_t<decltype(all)>> == count_members<Part>() &&
         std::apply([](auto... member) { return ((count_of(member, member...) == 1) && ...); },
                    all);
}
static_assert(has_a_row_for_each_member<SampledRange<double>>());
static_assert(has_a_row_for_each_member<Crystal>());
static_assert(has_a_row_for_each_member<FurtherCrystal>());
static_assert(has_a_row_for_each_member<Source>());
static_assert(has_a_row_for_each_member<Beam>());
static_assert(has_a_row_for_each_member<Detector>());
static_assert(has_a_row_for_each_member<FurtherPanel>());
static_assert(has_a_row_for_each_member<Scan>());
static_assert(has_a_row_for_each_member<Sampling>());
static_assert(has_a_row_for_each_member<StructureFactors>());
static_assert(has_a_row_for_each_member<Material>());
static_assert(has_a_row_for_each_member<Beamstop>());
static_assert(has_a_row_for_each_member<Experiment>());

}  // namespace nablabragg::description
