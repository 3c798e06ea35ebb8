#include "model/resolve.hpp"

#include <algorithm>
#include <cmath>

#include "description/digits.hpp"
#include "description/ranges.hpp"

namespace nablabragg {

namespace {

using description::digits;

/// A beam centre in pixels or micrometres is far off a panel that nobody turned away.
void look_at_beam_spot(const Experiment& e, const Resolved& r, std::vector<std::string>& said) {
  const Detector& d = e.detector;
  if (!e.more_panels.empty() || d.origin_m || d.two_theta_deg != 0 || !(d.rotation_deg == Vec3d{}))
    return;
  const auto beyond = [](double at, double size) { return at < -size || at > 2 * size; };
  const Panel& p = r.panel;
  if (!beyond(p.beam_fast, p.fast_size) && !beyond(p.beam_slow, p.slow_size)) return;
  said.push_back("the direct beam is at " + digits(units::mm_from_metres(p.beam_fast)) + " and " +
                 digits(units::mm_from_metres(p.beam_slow)) + " mm along the edges of a panel of " +
                 digits(units::mm_from_metres(p.fast_size)) + " x " +
                 digits(units::mm_from_metres(p.slow_size)) +
                 " mm; beam centres (-Xbeam, -Ybeam) are in mm: are they in pixels?");
}

/// What is finer than the steps from sub-pixel to sub-pixel is in the image by chance.
void look_at_subpixels(const Resolved& r, std::vector<std::string>& said) {
  if (r.oversample >= r.recommended_oversample) return;
  const bool spots = r.oversample < model::least_share_of_subpixels * r.recommended_oversample;
  constexpr int most = 30000;
  const std::string number = r.recommended_oversample <= most
                                 ? "-oversample " + std::to_string(r.recommended_oversample)
                                 : "no -oversample";
  if (spots)
    said.push_back(
        "the crystal's spots are finer than the steps of the sub-pixels, so that light falls "
        "between these and the image may miss spots: " +
        number +
        " would resolve them, and smaller mosaic blocks need fewer (-block_size with -xtalsize, or "
        "-N with -blocks)");
  else
    said.push_back("the crystal's fringes are finer than the sub-pixels: " + number +
                   " would resolve them");
}

/// The largest |q| = 1/d [1/m] at a corner of the panel.
double largest_q(const Resolved& r) {
  const Panel& p = r.panel;
  double largest = 0;
  for (const double fast : {0.0, p.fast_size})
    for (const double slow : {0.0, p.slow_size}) {
      const Vec3d towards = unit(p.origin + fast * p.fast + slow * p.slow);
      largest = std::max(largest, length(towards - p.beam) / r.wavelength);
    }
  return largest;
}

/// Spots that stand between two phi steps are not in the image.
void look_at_scan(const Experiment& e, const Resolved& r, std::vector<std::string>& said) {
  if (r.scan.steps < 2 || !(r.wavelength > 0)) return;
  double q = largest_q(r);
  if (e.sampling.dmin_A > 0) q = std::min(q, 1 / (e.sampling.dmin_A * 1e-10));
  const Mat3d axes = model::axes_in_metres(r.axes);
  const double smallest = std::min(
      {r.cells.x * length(axes.a), r.cells.y * length(axes.b), r.cells.z * length(axes.c)});
  if (!(q > 0) || !(smallest > 0)) return;
  // What a spot turns through: the width that the block, the mosaic spread and the beam give it
  const double width = 1 / (smallest * q) + 2 * r.mosaic_spread + r.horizontal.range +
                       r.vertical.range + r.dispersion.range;
  const double step = std::abs(r.scan.step);
  constexpr double sparse = 4;
  if (!(step > sparse * width)) return;
  const double steps = std::ceil(std::abs(r.scan.range) / width);
  said.push_back("phi steps of " + digits(units::degrees_from_radians(step)) +
                 " degrees are wider than the " + digits(units::degrees_from_radians(width)) +
                 " degrees that a spot at " + digits(1e10 / q) +
                 " Angstrom turns through, so that spots between them are lost: -phisteps " +
                 digits(steps) + " would find all");
}

/// Edges that lie along each other span no panel.
void check_axes(const Detector& d) {
  if (!d.fast_axis || !d.slow_axis) return;
  const Vec3d fast = unit(*d.fast_axis), slow = unit(*d.slow_axis);
  if (length(cross(fast, slow)) < 1e-6)
    throw UsageError(
        "the fast and slow axes of the detector (-fdet_vector, -sdet_vector) are parallel; a panel "
        "needs two directions");
}

}  // namespace

Resolved resolve(const Experiment& experiment) {
  const std::vector<std::string> wrong = description::out_of_range(experiment);
  if (!wrong.empty() && !experiment.quirks.implausible_numbers) throw UsageError(wrong.front());
  if (!experiment.quirks.implausible_numbers) check_axes(experiment.detector);
  Resolved r = model::resolve(experiment);
  for (const std::string& sentence : wrong)
    r.warnings.push_back("Q-48: " + sentence +
                         "; it is taken all the same, and -corrected refuses it");
  for (std::string& sentence : description::unusual_numbers(experiment))
    r.warnings.push_back(std::move(sentence));
  look_at_subpixels(r, r.warnings);
  look_at_beam_spot(experiment, r, r.warnings);
  look_at_scan(experiment, r, r.warnings);
  return r;
}

}  // namespace nablabragg
