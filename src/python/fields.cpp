#include "python/fields.hpp"

namespace nablabragg::python {

namespace {

template <class Part, class T>
Field<Part> field(const char* name, const char* kind, const char* help, T Part::*member) {
  return {name, kind, help, [=](const Part& part) { return Convert<T>::to(part.*member); },
          [=](Part& part, py::handle value) { part.*member = Convert<T>::from(value, name); }};
}

/// Two members that users think of as one.
template <class Part, class T>
Field<Part> pair(const char* name, const char* kind, const char* help, T Part::*first,
                 T Part::*second) {
  using Pair = std::pair<T, T>;
  return {name, kind, help,
          [=](const Part& part) {
            return Convert<Pair>::to({part.*first, part.*second});
          },
          [=](Part& part, py::handle value) {
            std::tie(part.*first, part.*second) = Convert<Pair>::from(value, name);
          }};
}

}  // namespace

const Fields<SampledRange<double>>& fields_of(const SampledRange<double>*) {
  using Range = SampledRange<double>;
  static const Fields<Range> fields = {
      field("range", "number or None", "full width", &Range::range),
      field("step", "number or None", "between two steps", &Range::step),
      field("steps", "int or None", "how many", &Range::steps)};
  return fields;
}

const Fields<Crystal>& fields_of(const Crystal*) {
  static const Fields<Crystal> fields = {
      field("cell", "6 numbers [A A A deg deg deg] or None",
            "edges and angles; needed where there is no matrix", &Crystal::cell),
      field("a_matrix", "3 x 3 numbers or None",
            "MOSFLM's A matrix: columns a*, b*, c* times the wavelength", &Crystal::mosflm_matrix),
      field("misset", "3 numbers [deg]", "rotations about laboratory x, then y, then z",
            &Crystal::misset_deg),
      field("misset_seed", "int or None", "seed of a random orientation, which replaces misset",
            &Crystal::random_misset_seed),
      field("cells", "3 numbers, or one for all", "unit cells along a, b, c", &Crystal::cells),
      field("size", "3 numbers [mm], or one for all",
            "where positive, replaces the number of cells", &Crystal::size_mm),
      field("shape", R"("square", "round", "gauss" or "tophat")", "what a spot looks like",
            &Crystal::shape),
      field("fudge", "number", "scales the squared radius of round, gauss and tophat spots",
            &Crystal::fudge),
      field("mosaic_spread", "number [deg] or None", "largest rotation of a mosaic domain",
            &Crystal::mosaic_spread_deg),
      field("mosaic_domains", "int or None", "domains to average; 10 with a spread",
            &Crystal::mosaic_domains),
      field("mosaic_seed", "int", "seed of their rotations", &Crystal::mosaic_seed)};
  return fields;
}

const Fields<Beam>& fields_of(const Beam*) {
  static const Fields<Beam> fields = {
      field("wavelength", "number [A]", "central wavelength", &Beam::wavelength_A),
      field("direction", "3 numbers or None", "of propagation; None: the convention's",
            &Beam::direction),
      field("polarization_correction", "bool", "False: every polarization factor is 1",
            &Beam::polarization_correction),
      field("polarization", "number", "Kahn factor: 0 unpolarized, 1 fully polarized",
            &Beam::polarization_fraction),
      field("polarization_axis", "3 numbers or None", "of the E vector; None: the convention's",
            &Beam::polarization_axis),
      field("fluence", "number [photons/m^2]", "ignored when a flux is given",
            &Beam::fluence_per_m2),
      field("flux", "number [photons/s] or None", "with exposure and size replaces the fluence",
            &Beam::flux_per_s),
      field("exposure", "number [s]", "exposure time", &Beam::exposure_s),
      field("size", "number [mm] or None", "edge of the square beam; 0.1 where a number is needed",
            &Beam::size_mm),
      field("horizontal_divergence", "SampledRange [mrad] or None", "full width",
            &Beam::horizontal_divergence_mrad),
      field("vertical_divergence", "SampledRange [mrad] or None", "full width",
            &Beam::vertical_divergence_mrad),
      field("round_divergence", "bool", "only grid points inside the ellipse",
            &Beam::round_divergence),
      field("dispersion", "SampledRange [percent] or None", "full width of the spectrum",
            &Beam::dispersion_percent),
      field("sources", "rows of 5 numbers: x, y, z, weight, wavelength [A]",
            "direction from the sample to each source; replaces divergence and dispersion",
            &Beam::sources)};
  return fields;
}

const Fields<Detector>& fields_of(const Detector*) {
  static const Fields<Detector> fields = {
      field("convention", R"("mosflm", "adxv", "denzo", "xds", "dials" or "custom")",
            "whose frame and beam centre the numbers are in", &Detector::convention),
      pair("pixels", "(fast, slow), or one int for both", "0: from the size",
           &Detector::fast_pixels, &Detector::slow_pixels),
      pair("size", "(fast, slow) [mm], or one number for both", "used where pixels is 0",
           &Detector::fast_size_mm, &Detector::slow_size_mm),
      field("pixel_size", "number [mm]", "edge of a pixel", &Detector::pixel_mm),
      field("distance", "number [mm]", "from the sample along the beam", &Detector::distance_mm),
      field("close_distance", "number [mm] or None", "along the normal; beats distance",
            &Detector::close_distance_mm),
      field("pivot", R"("beam", "sample" or None)",
            "what stays put when the detector is rotated; None: the convention's",
            &Detector::pivot),
      pair("beam_center", "(x, y) [mm] or None",
           "direct-beam position in the convention's own meaning (Xbeam, Ybeam); None: the middle",
           &Detector::beam_x_mm, &Detector::beam_y_mm),
      pair("near_point", "(x, y) [mm] or None", "foot of the normal (Xclose, Yclose)",
           &Detector::close_x_mm, &Detector::close_y_mm),
      pair("org", "(x, y) [pixel] or None", "the same as XDS counts pixels (ORGX, ORGY)",
           &Detector::org_x_px, &Detector::org_y_px),
      field("origin", "3 numbers [m] or None",
            "outer corner of pixel (0,0) before the rotations; beats distance and centres",
            &Detector::origin_m),
      field("fast_axis", "3 numbers or None", "of the custom convention", &Detector::fast_axis),
      field("slow_axis", "3 numbers or None", "of the custom convention", &Detector::slow_axis),
      field("normal", "3 numbers or None", "of the custom convention", &Detector::normal),
      field("two_theta_axis", "3 numbers or None", "None: the convention's",
            &Detector::two_theta_axis),
      field("rotation", "3 numbers [deg]", "about laboratory x, then y, then z",
            &Detector::rotation_deg),
      field("two_theta", "number [deg]", "about its axis, after the rotations",
            &Detector::two_theta_deg),
      field("curved", "bool", "every pixel at the same distance from the sample",
            &Detector::curved),
      field("point_pixel", "bool", "leave the obliquity out of the solid angle",
            &Detector::point_pixel),
      field("sensor_thickness", "number [um]", "0: everything is captured at the surface",
            &Detector::sensor_thickness_um),
      field("attenuation_depth", "number [um] or None",
            "1/e depth; None with a thickness: the thickness", &Detector::attenuation_depth_um),
      field("sensor_layers", "int or None", "layers of the sensor", &Detector::sensor_layers)};
  return fields;
}

const Fields<Scan>& fields_of(const Scan*) {
  static const Fields<Scan> fields = {
      field("phi", "number [deg]", "spindle angle where the scan begins", &Scan::phi_deg),
      field("oscillation", "SampledRange [deg] or None", "None: a still", &Scan::oscillation_deg),
      field("spindle_axis", "3 numbers or None", "None: the convention's", &Scan::spindle_axis)};
  return fields;
}

const Fields<Sampling>& fields_of(const Sampling*) {
  static const Fields<Sampling> fields = {
      field("oversample", "int", "sub-pixels along each edge; 0: as many as the crystal needs",
            &Sampling::oversample),
      field("oversample_thick", "bool", R"(nanoBragg's flag; changes nothing in mode "corrected")",
            &Sampling::oversample_thick),
      field("oversample_polar", "bool", "likewise", &Sampling::oversample_polar),
      field("oversample_omega", "bool", "likewise", &Sampling::oversample_omega),
      field("dmin", "number [A]", "leave out what scatters beyond this d-spacing; 0: nothing",
            &Sampling::dmin_A),
      field("roi", "(fast_min, fast_max, slow_min, slow_max) or None",
            "pixels to compute, both ends included", &Sampling::roi),
      field("mask", "bool array (slow, fast) or None", "True: compute this pixel",
            &Sampling::mask)};
  return fields;
}

}  // namespace nablabragg::python
