#include "description/doubts.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "description/digits.hpp"
#include "description/ranges.hpp"
#include "model/crystal_axes.hpp"
#include "model/panel.hpp"
#include "model/resolution.hpp"
#include "model/resolve.hpp"
#include "model/spot_width.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::description {

namespace {

/// A beam centre in pixels or micrometres is far off a panel that nobody turned away.
void look_at_beam_spot(const Experiment& e, const Resolved& r, Doubts& found) {
  const Detector& d = e.detector;
  if (!e.more_panels.empty() || d.origin_m || d.two_theta_deg != 0 || !(d.rotation_deg == Vec3d{}))
    return;
  const auto beyond = [](double at, double size) { return at < -size || at > 2 * size; };
  const Panel& p = r.panel;
  if (!beyond(p.beam_fast, p.fast_size) && !beyond(p.beam_slow, p.slow_size)) return;
  found.unlikely.push_back("the direct beam is at " + digits(units::mm_from_metres(p.beam_fast)) +
                           " and " + digits(units::mm_from_metres(p.beam_slow)) +
                           " mm along the edges of a panel of " +
                           digits(units::mm_from_metres(p.fast_size)) + " x " +
                           digits(units::mm_from_metres(p.slow_size)) +
                           " mm; beam centres (-Xbeam, -Ybeam) are in mm: are they in pixels?");
}

/// A detector that the beam runs away from records backscattered light alone.
void look_at_side(const Resolved& r, Doubts& found) {
  const auto is_upstream = [&](const Panel& p) {
    const Vec3d middle = p.origin + p.fast_size / 2 * p.fast + p.slow_size / 2 * p.slow;
    return dot(middle, r.panel.beam) < 0;
  };
  if (!is_upstream(r.panel)) return;
  for (const ResolvedPanel& further : r.more_panels)
    if (!is_upstream(further.panel)) return;
  found.unlikely.emplace_back(
      "the beam runs away from the detector, which stands on the source's side of the sample: its "
      "light is scattered backwards");
}

bool phi_steps_stated(const Experiment& e) {
  return e.scan.oscillation_deg.steps || e.scan.oscillation_deg.step;
}

/// Spots that stand between two phi steps are not in the image.
void look_at_scan(const Experiment& e, const Resolved& r, Doubts& found) {
  if (r.closed || r.scan.steps < 2 || !(r.wavelength > 0)) return;
  double q = model::largest_q(r.panel, r.wavelength);
  if (e.sampling.dmin_A > 0) q = std::min(q, 1 / (e.sampling.dmin_A * 1e-10));
  // What a spot turns through: the width that the block, the mosaic spread and the beam give it
  const auto width_of = [&](const Resolved& crystal) {
    const Vec3d edges = model::edges_of_spots_m(e, crystal);
    return 1 / (std::min({edges.x, edges.y, edges.z}) * q) + 2 * crystal.mosaic_spread +
           r.horizontal.range + r.vertical.range + r.dispersion.range;
  };
  double width = width_of(r);
  for (const Resolved& further : r.more_crystals) width = std::min(width, width_of(further));
  if (!std::isfinite(width)) return;
  const double step = std::abs(r.scan.step);
  // Who chose the steps may have the coarser ones
  const double sparse = phi_steps_stated(e) ? 4 : 1;
  if (!(step > sparse * width)) return;
  const double steps = std::ceil(std::abs(r.scan.range) / width);
  found.unlikely.push_back(
      "phi steps of " + digits(units::degrees_from_radians(step)) + " degrees are wider than the " +
      digits(units::degrees_from_radians(width)) + " degrees that a spot at " + digits(1e10 / q) +
      " Angstrom turns through, so that spots between them are lost: -phisteps " + digits(steps) +
      " would find all");
}

/// The closed form follows the bend of mosaic arcs to second order.
void look_at_arcs(const Experiment& e, const Resolved& r, Doubts& found) {
  if (!r.closed) return;
  double q = model::largest_q(r.panel, r.wavelength);
  if (e.sampling.dmin_A > 0) q = std::min(q, 1 / (e.sampling.dmin_A * 1e-10));
  double bend = 0, eta = 0;  // of the crystal whose arcs are bent most
  const auto look = [&](const Resolved& crystal) {
    const Vec3d edges = model::edges_of_spots_m(e, crystal);
    const double edge = std::max({edges.x, edges.y, edges.z});
    const Vec3d& s = crystal.spread.mosaic;
    const double spread = std::max({s.x, s.y, s.z});
    // The standard deviation of a Gaussian block's spot
    const double width = 0.397 / (edge * std::sqrt(e.crystal.fudge));
    if (spread * spread * q / width <= bend) return;
    bend = spread * spread * q / width;
    eta = spread;
  };
  look(r);
  for (const Resolved& further : r.more_crystals) look(further);
  constexpr double most = 10;
  if (!(bend > most)) return;
  found.unlikely.push_back(
      "mosaic arcs of " + digits(units::degrees_from_radians(eta)) + " degrees are bent by " +
      digits(bend) + " times the width of a spot of these blocks at " + digits(1e10 / q) +
      " Angstrom, more than the closed form follows well: per cents of such spots' light is "
      "misplaced (-summation sampled is exact, and so are smaller blocks)");
}

double angle_deg(const Vec3d& a, const Vec3d& b) {
  return units::degrees_from_radians(std::atan2(length(cross(a, b)), dot(a, b)));
}

/// Edges that lie along each other span no panel.
void look_at_axes(const Detector& d, Doubts& found) {
  if (!d.fast_axis && !d.slow_axis) return;
  const model::ConventionFrame frame = model::convention_frame(d.convention);
  const Vec3d fast = unit(d.fast_axis.value_or(frame.fast)),
              slow = unit(d.slow_axis.value_or(frame.slow));
  if (length(cross(fast, slow)) < 1e-6)
    found.wrong.emplace_back(
        "the fast and slow axes of the detector (-fdet_vector, -sdet_vector) are parallel; a panel "
        "needs two directions");
  // Vectors that are written with three digits are that far off.
  else if (std::abs(dot(fast, slow)) > 1e-3)
    found.unlikely.push_back(
        "the fast and slow axes of the detector (-fdet_vector, -sdet_vector) are " +
        digits(angle_deg(fast, slow)) +
        " degrees apart, and a panel's are at right angles: its pixels become parallelograms, "
        "whose area is taken as that of squares");
}

/// The field of a wave is across its way: an axis along the way says nothing of it, and divergence
/// is counted about that axis.
void look_at_polarization(const Experiment& e, const Resolved& r, Doubts& found) {
  const bool polarized = e.beam.polarization_correction && e.beam.polarization_fraction != 0;
  const bool diverges = e.beam.sources.empty() && r.divergence.size() > 1;
  if (!polarized && !diverges) return;
  const Vec3d& axis = r.panel.polarization_axis;
  const bool along = std::ranges::any_of(
      r.rays, [&](const Ray& ray) { return length(cross(axis, unit(ray.towards_source))) < 1e-3; });
  const double from_beam_deg = angle_deg(axis, r.panel.beam);
  constexpr double notable_deg = 3;
  if (along)
    found.wrong.push_back(std::string("the polarization axis (-polar_vector) lies along the beam, "
                                      "so that the ") +
                          (polarized ? "polarization" : "direction of the divergence") +
                          " is undefined; give an axis across the beam");
  else if (polarized && std::abs(from_beam_deg - 90) > notable_deg)
    found.unlikely.push_back("the polarization axis (-polar_vector) is " + digits(from_beam_deg) +
                             " degrees from the beam; its part across the beam counts");
}

/// What is given and has no effect, or stands for what is not given.
void look_at_open_ends(const Experiment& e, const Resolved& r, Doubts& found) {
  const Beam& b = e.beam;
  const auto spread = [](const SampledRange<double>& range) { return range.range.value_or(0) > 0; };
  if (!b.sources.empty() && (spread(b.horizontal_divergence_mrad) ||
                             spread(b.vertical_divergence_mrad) || spread(b.dispersion_percent)))
    found.unlikely.emplace_back(
        "the list of sources (-sourcefile) replaces divergence and dispersion, which have no "
        "effect");
  if (!b.flux_per_s && b.exposure_s != Beam().exposure_s)
    found.unlikely.emplace_back(
        "the exposure (-exposure) has no effect without a flux (-flux): the fluence (-fluence) "
        "counts");
  if (b.flux_per_s && !b.size_mm)
    found.unlikely.emplace_back(
        "the size of the beam (-beamsize) is not given with its flux (-flux): 0.1 mm is taken");
  const SampledRange<double>& osc = e.scan.oscillation_deg;
  if (osc.steps.value_or(0) > 1 && !osc.range && !osc.step && r.scan.steps > 1)
    found.unlikely.push_back("phi steps (-phisteps) are given without a width (-osc): " +
                             digits(units::degrees_from_radians(r.scan.range)) +
                             " degree is taken");
  const auto steps_not_taken = [&](const char* flag, const SampledRange<double>& range, int taken) {
    if (range.steps && *range.steps != taken)
      found.unlikely.push_back(std::string(flag) + ' ' + std::to_string(*range.steps) +
                               " is not taken: " + std::to_string(taken) +
                               (taken == 1 ? " step is" : " steps are"));
  };
  steps_not_taken("-hdivsteps", b.horizontal_divergence_mrad, r.horizontal.steps);
  steps_not_taken("-vdivsteps", b.vertical_divergence_mrad, r.vertical.steps);
  steps_not_taken("-dispsteps", b.dispersion_percent, r.dispersion.steps);
  if (!r.closed) steps_not_taken("-phisteps", osc, r.scan.steps);
}

std::string direction_text(const Vec3d& v) {
  return digits(v.x) + ' ' + digits(v.y) + ' ' + digits(v.z);
}

void look_at_sources(const Experiment& e, const Resolved& r, Doubts& found) {
  const std::vector<Source>& sources = e.beam.sources;
  if (sources.empty()) return;
  const auto away = static_cast<std::size_t>(std::ranges::count_if(
      sources, [&](const Source& s) { return dot(unit(s.position), r.panel.beam) > 0; }));
  if (away > 0) {
    const bool all = away == sources.size(), one = away == 1;
    const std::string
        sentence = (all ? std::string(one ? "the source lies" : "all sources lie")
                        : std::to_string(away) + " of " + std::to_string(sources.size()) +
                              " sources " + (one ? "lies" : "lie")) +
                   " where the beam goes to, " + direction_text(r.panel.beam) +
                   "; X Y Z lead from the sample to the source: did you mean the opposite signs?";
    found.unlikely.push_back(sentence);
  }

  const auto [shortest, longest] = std::ranges::minmax(sources, {}, &Source::wavelength_A);
  const double near_A = std::clamp(e.beam.wavelength_A, shortest.wavelength_A,
                                   longest.wavelength_A);
  if (!(std::abs(near_A / e.beam.wavelength_A - 1) > plausible::notable_difference)) return;
  found.unlikely.push_back("the wavelength (-lambda) is " + digits(e.beam.wavelength_A, 6) +
                           " Angstrom, and the sources have " + digits(shortest.wavelength_A, 6) +
                           (longest.wavelength_A > shortest.wavelength_A
                                ? " to " + digits(longest.wavelength_A, 6)
                                : std::string()) +
                           ": the image is made with theirs; headers of -intfile and -noisefile" +
                           (e.crystal.mosflm_matrix ? ", the scale of the A matrix" : "") +
                           " and the attenuation of a stated material go by the other");
}

/// A crystal and its blocks hold at least one cell.
void look_at_sizes(const Experiment& e, const Resolved& r, Doubts& found) {
  const Mat3d axes = model::axes_in_metres(r.axes);
  const std::array<double, 3> cell{length(axes.a), length(axes.b), length(axes.c)},
      crystal{e.crystal.size_mm.x, e.crystal.size_mm.y, e.crystal.size_mm.z};
  const auto look = [&](const char* what, double size_mm, std::size_t i) {
    const double cell_mm = units::mm_from_metres(cell[i]);
    if (!(size_mm > 0) || size_mm > cell_mm * (1 - 1e-9)) return false;
    found.wrong.push_back(std::string(what) + " is " + digits(size_mm) + " mm along " + "abc"[i] +
                          ", and a unit cell " + digits(cell_mm) +
                          " mm; it must hold one cell or more (is it in metres?)");
    return true;
  };
  for (std::size_t i = 0; i < crystal.size(); ++i)
    if (look("the crystal (-xtalsize)", crystal[i], i)) break;
  for (std::size_t i = 0; i < crystal.size(); ++i)
    if (look("a block (-block_size)", e.crystal.block_size_mm, i)) break;
}

/// Beyond the last row F is a guess.
void look_at_materials(const Experiment& e, const Resolved& r, Doubts& found) {
  for (const Material& material : e.materials) {
    const double last = material.stol_per_A.back(), seen = 0.5e-10 * model::largest_q(r);
    if (seen <= last || material.F.back() == 0) continue;
    found.unlikely.push_back(
        "the table of " + material.name + " ends at sin(theta)/lambda = " + digits(last) +
        " /Angstrom, and the detector sees " + digits(seen) + "; beyond its end " +
        (material.interpolation == MaterialInterpolation::nonbragg
             ? "F follows the line through its last two rows"
             : "F of its last row counts"));
  }
}

}  // namespace

Doubts doubts_about(const Experiment& experiment) {
  Doubts found{out_of_range(experiment), unusual_numbers(experiment)};
  look_at_axes(experiment.detector, found);
  for (const FurtherPanel& panel : experiment.more_panels) look_at_axes(panel.detector, found);
  return found;
}

Doubts doubts_about(const Experiment& experiment, const Resolved& resolved) {
  Doubts found;
  look_at_polarization(experiment, resolved, found);
  look_at_sources(experiment, resolved, found);
  look_at_sizes(experiment, resolved, found);
  look_at_open_ends(experiment, resolved, found);
  look_at_beam_spot(experiment, resolved, found);
  look_at_side(resolved, found);
  look_at_scan(experiment, resolved, found);
  look_at_arcs(experiment, resolved, found);
  look_at_materials(experiment, resolved, found);
  return found;
}

std::string subpixel_warning(const Resolved& r) {
  if (r.oversample >= r.recommended_oversample) return {};
  // Mosaic domains widen spots, so that none falls between.
  const Panel& p = r.panel;
  const double widened = r.domains.size() > 1 ? 2 * r.mosaic_spread * std::abs(p.close_distance)
                                              : 0;
  if (widened > p.pixel / r.oversample) return {};
  constexpr int most = 30000;
  const std::string number = r.recommended_oversample <= most
                                 ? "-oversample " + std::to_string(r.recommended_oversample)
                                 : "no -oversample";
  if (r.oversample < model::least_share_of_subpixels * r.recommended_oversample)
    return "the crystal's spots are finer than the steps of the sub-pixels, so that light falls "
           "between these and the image may miss spots: " +
           number +
           " would resolve them, and smaller mosaic blocks need fewer (-block_size with -xtalsize, "
           "or -N with -blocks)";
  return "the crystal's fringes are finer than the sub-pixels: " + number + " would resolve them";
}

std::string phi_step_notice(const Experiment& e, const Resolved& r) {
  if (r.closed || phi_steps_stated(e) || r.scan.range == 0) return {};
  return "the scan is summed in " + std::to_string(r.scan.steps) + " phi steps of " +
         digits(units::degrees_from_radians(std::abs(r.scan.step))) +
         " degrees, the default (-phisteps)";
}

}  // namespace nablabragg::description
