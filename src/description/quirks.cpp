#include "nablabragg/quirks.hpp"

#include <array>

#include "description/quirk_names.hpp"

namespace nablabragg {

namespace {

using enum QuirkPolicy;

constexpr std::array catalogue = {
    QuirkEntry{"Q-01", "Triclinic cells", reproduced_and_said, &Quirks::triclinic_c_star,
               "The z component of c* is too short or too long by sin(gamma)/sin(gamma*), so the "
               "angles of a triclinic cell "
               "drift (75 85 95 becomes 75.04 85.01 95.01). Edges and volume are right.",
               "The angles are those given."},
    QuirkEntry{"Q-02", "-oversample_thick, -oversample_polar, -oversample_omega",
               reproduced_and_said, &Quirks::running_products,
               "After every term the whole sum is multiplied by the factor, so with more than one "
               "step a pixel keeps little more "
               "than its last terms.",
               "Each term is multiplied by its own factors; the three flags change nothing."},
    QuirkEntry{
        "Q-03", "Sensor layers", reproduced_and_said, &Quirks::last_layer_capture,
        "The layers' patterns are added up and scaled by the capture fraction of the last "
        "layer; n layers are "
        "thickness/(n-1) apart.",
        "Each layer's pattern is scaled by its own capture fraction; n layers fill the "
        "thickness, and their "
        "fractions add up to 1 - exp(-thickness mu/cos). A layer's photons are caught at the "
        "mean depth of those that it captures at normal incidence, not at its front."},
    QuirkEntry{
        "Q-04", "-water", reproduced_and_said, &Quirks::water_scaled_twice,
        "The background contains r_e^2 x fluence twice and is divided by the number of steps.",
        "The background is added once, scaled by solid angle, polarization and capture."},
    QuirkEntry{
        "Q-05", "-curved_det", reproduced_and_said, &Quirks::curved_about_lab_axes,
        "The laboratory y and z of the flat position serve as bending angles: the picture is "
        "transposed about the beam in "
        "the MOSFLM frame and nonsense in frames with the beam along z.",
        "The panel bends about the sample along its own axes; the direct-beam spot stays put."},
    QuirkEntry{"Q-06", "-twotheta and distances", reproduced_and_said,
               &Quirks::ratio_without_two_theta,
               "The ratio of the distances along beam and normal leaves two-theta out: DISTANCE "
               "and the beam centres in image "
               "headers are wrong, the curved detector's radius and the automatic oversampling "
               "follow them. Pixel positions are right.",
               "Headers describe the detector where it is."},
    QuirkEntry{"Q-07", "-pivot", reproduced_and_said, &Quirks::convention_forces_pivot,
               "Only custom vectors let -pivot (and the flags that imply one) count; every "
               "convention sets its own pivot after "
               "the command line is read.",
               "-pivot wins; else the last of -distance, -Xbeam, -Ybeam (beam) and "
               "-close_distance, -Xclose, -Yclose, -ORGX, "
               "-ORGY (sample); else the convention."},
    QuirkEntry{"Q-08", "-twotheta_axis", reproduced_and_said, &Quirks::two_theta_axis_is_two_theta,
               "The flag also sets two-theta to the axis's first component, and the axis is not "
               "normalised, which distorts the "
               "detector axes.",
               "The axis is an axis, and is normalised."},
    QuirkEntry{"Q-09", "-pix0_vector", reproduced_and_said, &Quirks::pix0_ignored,
               "Only chooses the custom convention; its numbers have no effect.",
               "Places the corner of pixel (0,0) before the detector rotations (-pix0_vector in m, "
               "-pix0_vector_mm in mm)."},
    QuirkEntry{"Q-10", "Beam-centre flags", reproduced_and_said, &Quirks::beam_centre_needs_pivot,
               "-Xbeam, -Ybeam, -Xclose, -Yclose move nothing with XDS and DIALS; -ORGX, -ORGY, "
               "-Xclose, -Yclose move nothing with "
               "ADXV, MOSFLM and DENZO.",
               "They act in every convention."},
    QuirkEntry{"Q-11", "The normal of custom detectors", reproduced_and_said,
               &Quirks::custom_normal_kept,
               "Without -odet_vector the normal stays (1,0,0) whatever the axes; a given one whose "
               "length is not exactly 1 is "
               "replaced by fast x slow.",
               "A normal that is not given, or not at right angles to the axes, is fast x slow, "
               "facing away from the sample."},
    QuirkEntry{"Q-12", "-misset_seed", right_in_both, nullptr,
               "Sets the seed; it does not also set the angles.", "As compat."},
    QuirkEntry{"Q-13", "Default seeds", right_in_both, nullptr,
               "-misset_seed follows -seed; the clock serves where neither is given. Every seed is "
               "printed.",
               "As compat."},
    QuirkEntry{"Q-14", "-misset random", reproduced, &Quirks::random_misset_90_radians,
               "A rotation by up to 90 radians about a random axis.",
               "Uniform over all orientations."},
    QuirkEntry{"Q-15", "phi of exactly 0", right_in_both, nullptr,
               "The crystal at phi 0 is not rotated (nanoBragg leaves the orientation of the step "
               "before).",
               "As compat."},
    QuirkEntry{"Q-16", "Source files", right_in_both, nullptr,
               "# begins a comment; Windows line ends and a missing final newline are accepted.",
               "As compat."},
    QuirkEntry{"Q-17", "Interpolation with threads", error_in_both, nullptr,
               "Threads share no scratch memory; the image does not depend on them.", "As compat."},
    QuirkEntry{"Q-18", "Automatic interpolation", reproduced_and_said,
               &Quirks::interpolation_from_flags,
               "Decided from -N before -xtalsize is turned into cells, so a crystal given by size "
               "is always interpolated.",
               "Decided from the final number of cells."},
    QuirkEntry{"Q-19", "Source weights", reproduced_and_said, &Quirks::source_weights_ignored,
               "The weight column is ignored; the wavelength column counts.",
               "Weights count, relative to their mean."},
    QuirkEntry{"Q-20", "Interpolation at the edge of the table", reproduced_and_said,
               &Quirks::interpolation_latch,
               "The first lookup, in raster order, whose neighbourhood is not in the table turns "
               "interpolation off for that lookup "
               "and the rest of the image.",
               "Only the lookups that miss take default_F."},
    QuirkEntry{"Q-21", "-curved_det as the last argument", right_in_both, nullptr, "Counts.",
               "As compat."},
    QuirkEntry{"Q-22", "-detector_abs inf with a thickness", right_in_both, nullptr,
               "Everything is captured, in either order of the flags.", "As compat."},
    QuirkEntry{"Q-23", "-img and -mask files that are not SMV", error_in_both, nullptr, "An error.",
               "An error."},
    QuirkEntry{"Q-24", "Keys of -img headers", reproduced_and_said,
               &Quirks::header_keys_by_substring,
               "The last place that contains the key counts, so DISTANCE is read from "
               "CLOSE_DISTANCE; TWOTHETA is ignored.",
               "Keys are matched whole; TWOTHETA is applied."},
    QuirkEntry{"Q-25", "Structure-factor cache", reproduced_and_said, &Quirks::unnamed_files,
               "Without -hkl a Fdump.bin in the folder is read; with -hkl it is written. -nocache "
               "turns both off.",
               "The cache is used only when -dump names it."},
    QuirkEntry{"Q-26", "HKL files", right_in_both, nullptr,
               "Read line by line, the first four columns, # begins a comment; a line that does "
               "not fit is an error that names it.",
               "As compat."},
    QuirkEntry{"Q-27", "Reading the cache", right_in_both, nullptr,
               "No data byte is taken for white space.", "As compat."},
    QuirkEntry{"Q-28", "A matrix file that cannot be read", error_in_both, nullptr, "An error.",
               "An error."},
    QuirkEntry{"Q-29", "First values", reproduced_and_said, &Quirks::first_value_factors,
               "The solid angle of the first sub-pixel, the polarization of the first sub-pixel "
               "and source and the capture "
               "fraction of the last layer stand for the whole pixel.",
               "Every term has its own."},
    QuirkEntry{
        "Q-30", "Divergence grids", reproduced_and_said, &Quirks::one_sided_grids,
        "Begin at -range/2 and may stop short of +range/2; a single step sits at -range/2; "
        "a count alone means a range of "
        "1 radian; the ellipse is skipped when one range is zero. (Reported for counts alone "
        "and single steps.)",
        "Symmetric about zero, ends included; a single step sits at zero; the inscribed "
        "ellipse; a count alone is an error."},
    QuirkEntry{"Q-31", "Width of gauss and top-hat spots", reproduced_and_said,
               &Quirks::volume_scaled_spots,
               "The distance to the lattice point in 1/Angstrom is scaled by Na Nb Nc.",
               "Each index is scaled by its own number of cells; -spot_metric has others."},
    QuirkEntry{"Q-32", "-point_pixel", reproduced_and_said, &Quirks::point_pixel_without_area,
               "The solid angle is 1/R^2, without the pixel's area.", "pixel^2/R^2."},
    QuirkEntry{"Q-33", "Steps", reproduced, nullptr, "Layers are not counted; counted in 64 bits.",
               "As compat."},
    QuirkEntry{"Q-34", "Files nobody named", reproduced, &Quirks::unnamed_files,
               "floatimage.bin, intimage.img, image.pgm and noiseimage.img are written.",
               "Only files that are named are written."},
    QuirkEntry{"Q-35", "-img with -mask", reproduced, &Quirks::image_header_wins,
               "-img wins in any order.", "The last one wins."},
    QuirkEntry{"Q-36", "Integer image", reproduced, nullptr,
               "Rounded through single precision; pixels outside the region of interest hold 0, "
               "masked ones the offset.",
               "As compat."},
    QuirkEntry{"Q-37", "-nopolar with -oversample_polar", reproduced_and_said,
               &Quirks::oversample_polar_polarizes, "The polarization factor is applied after all.",
               "-nopolar holds."},
    QuirkEntry{"Q-38", "-oversample_thick without a thickness", right_in_both, nullptr,
               "Captures everything.", "As compat."},
    QuirkEntry{"Q-39", "Default beam centre", reproduced, &Quirks::default_beam_centre_offset,
               "One pixel off the middle with MOSFLM, half a pixel with ADXV and DENZO.",
               "The middle of the detector."},
    QuirkEntry{"Q-40", "Dead options", reproduced, nullptr,
               "-coherent, -density, -MW, -stol and similar flags are accepted and have no effect, "
               "which a line says.",
               "As compat."},
    QuirkEntry{"Q-41", "Statistics", reproduced, &Quirks::statistics_count_masked,
               "rmsd counts masked pixels as zeros; the solid angle is divided by the steps.",
               "Over the rendered pixels."},
    QuirkEntry{
        "Q-42", "Noise", reproduced, &Quirks::shared_random_stream,
        "nanoBragg's generator, one stream in raster order; above 1e6 photons the deviates "
        "are not whole; without -seed the seed is the time in seconds, so runs of the same "
        "second share their noise.",
        "Poisson at every mean, a generator keyed by seed and pixel; without -seed every run "
        "has a seed of its own."},
    QuirkEntry{"Q-43", "-default_F with a cache", reproduced, &Quirks::cache_without_default,
               "Does not fill holes of the cached table.", "Fills what is zero in it."},
    QuirkEntry{"Q-44", "Masks of another size", error_in_both, nullptr, "An error.", "An error."},
    QuirkEntry{"Q-45", "phi steps", reproduced_and_said, &Quirks::phi_at_slice_start,
               "At the start of their slices; several steps of zero degrees are accepted; a "
               "negative -osc or -phistep counts as not given. (Reported for negative ones.)",
               "At the centres of their slices; several steps of zero degrees are an error; a "
               "negative scan turns the other way."},
    QuirkEntry{"Q-46", "Crystal larger than the beam", reproduced_and_said,
               &Quirks::clip_by_default_beam,
               "Clipped in y and z, by 0.1 mm when no -beamsize is given.",
               "Clipped only by a beam size that was given."},
    QuirkEntry{"Q-47", "SMV header", reproduced, &Quirks::short_smv_header,
               "DIALS_ORIGIN has no semicolon; a header longer than 512 bytes is not padded.",
               "A semicolon, and padding to a multiple of 512."},
    QuirkEntry{"Q-48", "Numbers without sense", reproduced_and_said, &Quirks::implausible_numbers,
               "A negative fluence, a polarization of 95, a wavelength of 1000 Angstrom are taken "
               "as they are, with a line on standard error (docs/checks.md has all ranges).",
               "An error that says which numbers would be taken."},
    QuirkEntry{"Q-49", "Cells counted from a length", reproduced, &Quirks::cells_by_last_bit,
               "A length that is a multiple of a cell edge takes that many cells or one more, by "
               "the last bit of the quotient.",
               "A length that is a multiple of an edge to nine digits takes that many cells."},
    QuirkEntry{
        "Q-50", "-round_xtal in the middle of a spot", right_in_both, nullptr,
        "Exactly where a reflection is in its Bragg condition nanoBragg's 3 (sin x / x - cos "
        "x) / x^2 "
        "loses its digits when x is small, 1e-8 of the direct beam say: it gives 0 or is off "
        "by per cents there. The value is right here.",
        "As compat."},
    QuirkEntry{
        "Q-51", "Automatic oversampling of large crystals", reproduced_and_said, &Quirks::any_cost,
        "As fine as the crystal's fringes, whether it takes seconds or years; the estimate is "
        "on standard error where it is above two minutes.",
        "An error above two minutes, which says the steps, the time and the ways out."},
    QuirkEntry{"Q-52", "Outputs that are inputs or other outputs", error_in_both, nullptr,
               "An error, where nanoBragg destroys the file: no output replaces a file that the "
               "command reads, or another of its outputs, by "
               "name, symbolic link or hard link, default names (-img noiseimage.img) included. "
               "Fdump.bin is read and written again.",
               "An error."},
};

}  // namespace

Quirks Quirks::compat() {
  Quirks all;
  for (const QuirkEntry& entry : catalogue)
    if (entry.member) all.*entry.member = true;
  return all;
}

std::span<const QuirkEntry> quirk_catalogue() { return catalogue; }

namespace description {

std::vector<std::string> names_of(const Quirks& quirks) {
  if (quirks == Quirks::corrected()) return {"corrected"};
  if (quirks == Quirks::compat()) return {"compat"};
  std::vector<std::string> names;
  for (const QuirkEntry& entry : quirk_catalogue())
    if (entry.member && quirks.*entry.member) names.emplace_back(entry.id);
  return names;
}

std::optional<Quirks> quirks_named(std::span<const std::string> names) {
  if (names.size() == 1 && names[0] == "corrected") return Quirks::corrected();
  if (names.size() == 1 && names[0] == "compat") return Quirks::compat();
  Quirks quirks;
  for (const std::string& name : names) {
    bool known = false;
    for (const QuirkEntry& entry : quirk_catalogue())
      if (entry.member && entry.id == name) known = quirks.*entry.member = true;
    if (!known) return std::nullopt;
  }
  return quirks;
}

}  // namespace description

}  // namespace nablabragg
