#include "flags/notices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/run_plan.hpp"
#include "model/resolve.hpp"
#include "model/spot_width.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::flags {

namespace {

constexpr const char* puts_right = "; -corrected puts it right";

class Notices {
 public:
  Notices(const Request& request, const Resolved& resolved)
      : request_(request), e_(request.experiment), r_(resolved) {}

  std::vector<std::string> all() {
    check_crystal();
    check_detector();
    check_placement();
    check_beam();
    check_sampling();
    check_files();
    return std::move(lines_);
  }

 private:
  template <class... Args>
  void say(const char* id, fmt::format_string<Args...> text, Args&&... args) {
    lines_.push_back(
        fmt::format("{}: {}{}", id, fmt::format(text, std::forward<Args>(args)...), puts_right));
  }

  /// The panel as the same arguments with one quirk less would place it; empty when they would
  /// place none.
  std::optional<Panel> panel_without(bool Quirks::*quirk) const {
    Experiment changed = e_;
    changed.quirks.*quirk = false;
    try {
      return model::place_panel(changed);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  bool rotated() const {
    return !(e_.detector.rotation_deg == Vec3d{}) || e_.detector.two_theta_deg != 0;
  }

  void check_crystal() {
    const Crystal& c = e_.crystal;
    if (e_.quirks.triclinic_c_star && c.cell && !c.mosflm_matrix) {
      const UnitCell got = unit_cell_of(r_.axes.real_A);
      const double off = std::max({std::abs(got.alpha_deg - c.cell->alpha_deg),
                                   std::abs(got.beta_deg - c.cell->beta_deg),
                                   std::abs(got.gamma_deg - c.cell->gamma_deg)});
      if (off > 1e-6)
        say("Q-01", "the cell angles come out as {:g} {:g} {:g} instead of {:g} {:g} {:g} degrees",
            got.alpha_deg, got.beta_deg, got.gamma_deg, c.cell->alpha_deg, c.cell->beta_deg,
            c.cell->gamma_deg);
    }
    if (e_.quirks.interpolation_from_flags) {
      Experiment changed = e_;
      changed.quirks.interpolation_from_flags = false;
      if (model::resolve(changed).tricubic != r_.tricubic)
        say("Q-18",
            "structure factors are {}interpolated although the crystal has {:g} x {:g} x {:g} "
            "cells, "
            "because its size came from a length",
            r_.tricubic ? "" : "not ", r_.cells.x, r_.cells.y, r_.cells.z);
    }
    if (e_.quirks.volume_scaled_spots && model::width_in_metric(e_))
      say("Q-31", "spots are as narrow as 1/(Na Nb Nc) in 1/Angstrom, not as 1/N along each axis");
    if (e_.quirks.clip_by_default_beam && !e_.beam.size_mm &&
        (c.size_mm.y > 0.1 || c.size_mm.z > 0.1))
      say("Q-46", "the crystal is clipped to 0.1 mm in y and z by a beam size that was not given");
  }

  void check_detector() {
    const Detector& d = e_.detector;
    if (e_.quirks.last_layer_capture && r_.sensor.thickness > 0) {
      const double mu = r_.sensor.absorption_per_m;
      const int n = r_.sensor.layers;
      const double used = n * (std::exp(-(n - 1) * r_.sensor.layer_step * mu) -
                               std::exp(-n * r_.sensor.layer_step * mu));
      say("Q-03",
          "the {} layers are summed and scaled by the last one's capture: at normal incidence "
          "{:.4g} of the photons "
          "instead of {:.4g}",
          n, used, 1 - std::exp(-r_.sensor.thickness * mu));
    }
    if (e_.quirks.curved_about_lab_axes && d.curved)
      say("Q-05",
          "the curved detector bends about laboratory axes, which transposes or garbles the "
          "picture");
    if (e_.quirks.ratio_without_two_theta && d.two_theta_deg != 0) {
      const double truth = r_.panel.close_distance / dot(r_.panel.beam, r_.panel.normal);
      say("Q-06",
          "two-theta is left out of distances: headers say DISTANCE={:g} mm where the beam meets "
          "the detector at {:g} mm, "
          "and their beam centres follow",
          r_.panel.distance * 1000, truth * 1000);
    }
    if (e_.quirks.point_pixel_without_area && d.point_pixel)
      say("Q-32", "-point_pixel drops the pixel area: intensities are {:g} times too large",
          1 / (r_.panel.pixel * r_.panel.slow_pixel));
  }

  void check_placement() {
    const Detector& d = e_.detector;
    if (e_.quirks.convention_forces_pivot && d.convention != Convention::custom && rotated()) {
      const std::optional<Pivot> meant = request_.pivot_flag ? request_.pivot_flag
                                                             : request_.implied_pivot;
      if (meant && *meant != r_.panel.pivot)
        say("Q-07",
            "the convention makes the detector pivot about the {}, and {} does not change that",
            r_.panel.pivot == Pivot::beam ? "direct-beam spot" : "sample",
            request_.pivot_flag ? "-pivot" : request_.implying_flag);
    }
    if (request_.two_theta_axis_set_angle)
      say("Q-08", "-twotheta_axis also set two-theta, to {:g} degrees", d.two_theta_deg);
    else if (e_.quirks.two_theta_axis_is_two_theta && d.two_theta_axis && d.two_theta_deg != 0 &&
             std::abs(length(*d.two_theta_axis) - 1) > 1e-12)
      say("Q-08",
          "the two-theta axis has length {:g} and is not normalised, which distorts the detector "
          "axes",
          length(*d.two_theta_axis));
    if (e_.quirks.pix0_ignored && request_.pix0_given && d.convention == Convention::custom)
      say("Q-09", "the numbers of -pix0_vector have no effect");
    const bool sample_frames = d.convention == Convention::xds || d.convention == Convention::dials;
    const bool near_flags = d.close_x_mm || d.close_y_mm ||
                            (d.org_x_px && request_.image_file.empty() &&
                             request_.mask_file.empty());
    const bool dead = (sample_frames &&
                       (d.beam_x_mm || d.beam_y_mm || d.close_x_mm || d.close_y_mm)) ||
                      (!sample_frames && d.convention != Convention::custom && near_flags);
    if (e_.quirks.beam_centre_needs_pivot && dead)
      say("Q-10",
          "this convention takes its centre from {} alone; the other beam-centre flags move "
          "nothing",
          sample_frames ? "-ORGX, -ORGY" : "-Xbeam, -Ybeam");
    if (e_.quirks.custom_normal_kept && d.convention == Convention::custom) {
      const auto meant = panel_without(&Quirks::custom_normal_kept);
      if (!meant || length(meant->normal - r_.panel.normal) > 1e-9)
        say("Q-11",
            "the detector normal is {:g} {:g} {:g}, which is not at right angles to its axes or "
            "faces the sample",
            r_.panel.normal.x, r_.panel.normal.y, r_.panel.normal.z);
    }
  }

  void check_beam() {
    if (e_.quirks.water_scaled_twice && e_.water_um != 0)
      say("Q-04",
          "the water background contains r_e^2 x fluence twice and is divided by the {} steps",
          r_.steps);
    if (e_.quirks.source_weights_ignored) {
      for (const Source& source : e_.beam.sources)
        if (source.weight != e_.beam.sources[0].weight) {
          say("Q-19", "the weights of the {} sources are ignored", e_.beam.sources.size());
          break;
        }
    }
    if (e_.quirks.one_sided_grids && e_.beam.sources.empty()) {
      const auto& h = e_.beam.horizontal_divergence_mrad;
      const auto& v = e_.beam.vertical_divergence_mrad;
      const auto counts_alone = [](const SampledRange<double>& asked) {
        return asked.steps && *asked.steps > 0 && !asked.range && !asked.step;
      };
      const auto off_centre = [](const Grid& grid) { return grid.steps == 1 && grid.range > 0; };
      if (counts_alone(h) || counts_alone(v))
        say("Q-30", "a number of divergence steps without a range means a range of 1 radian");
      else if (off_centre(r_.horizontal) || off_centre(r_.vertical))
        say("Q-30", "the single divergence step sits at {:g} mrad, not at zero",
            -500 * (off_centre(r_.horizontal) ? r_.horizontal : r_.vertical).range);
    }
    if (e_.quirks.oversample_polar_polarizes && !e_.beam.polarization_correction &&
        e_.sampling.oversample_polar)
      say("Q-37", "-oversample_polar cancels -nopolar");
  }

  void check_sampling() {
    const Sampling& s = e_.sampling;
    const SampledRange<double>& osc = e_.scan.oscillation_deg;
    if (e_.quirks.phi_at_slice_start && (osc.range.value_or(0) < 0 || osc.step.value_or(0) < 0))
      say("Q-45",
          "a negative -osc or -phistep (OSC_RANGE) counts as not given: the scan is {:g} degrees "
          "in "
          "{} steps",
          units::degrees_from_radians(r_.scan.range), r_.scan.steps);
    const bool several = r_.steps > 1 || r_.sensor.layers > 1;
    if (e_.quirks.running_products && several &&
        (s.oversample_omega || s.oversample_polar ||
         (s.oversample_thick && r_.sensor.thickness > 0)))
      say("Q-02",
          "the -oversample_ factors multiply the running sum, so little more than each pixel's "
          "last of {} steps survives",
          r_.steps * r_.sensor.layers);
    if (e_.quirks.first_value_factors) {
      const bool several_directions = std::any_of(
          r_.rays.begin(), r_.rays.end(),
          [&](const Ray& ray) { return !(ray.towards_source == r_.rays[0].towards_source); });
      std::vector<const char*> factors;
      if (r_.oversample > 1 && !s.oversample_omega) factors.push_back("solid angle");
      if ((r_.oversample > 1 || several_directions) && !s.oversample_polar &&
          e_.beam.polarization_correction)
        factors.push_back("polarization");
      if (!factors.empty())
        say("Q-29", "the {} of each pixel's first sub-pixel{} {} for all {} x {}",
            fmt::join(factors, " and "), several_directions ? " and source" : "",
            factors.size() > 1 ? "stand" : "stands", r_.oversample, r_.oversample);
    }
  }

  void check_files() {
    if (e_.quirks.header_keys_by_substring && request_.header_two_theta_deg != 0)
      say("Q-24",
          "the header's TWOTHETA={:g} is ignored and its DISTANCE is read from CLOSE_DISTANCE",
          request_.header_two_theta_deg);
    if (e_.quirks.unnamed_files && request_.hkl_file.empty() && e_.structure_factors.grid &&
        !request_.cache_named)
      say("Q-25",
          "structure factors come from {} because that file lies in this folder (-nocache ignores "
          "it)",
          request_.cache_file);
  }

  const Request& request_;
  const Experiment& e_;
  const Resolved& r_;
  std::vector<std::string> lines_;
};

}  // namespace

std::string table_miss_notice(const Request& request, const Plan& plan, const TableMiss& miss) {
  const std::string what = table_miss_warning(plan, miss);
  return request.experiment.quirks.interpolation_latch ? "Q-20: " + what + puts_right : what;
}

std::vector<std::string> quirk_notices(const Request& request, const Resolved& resolved) {
  return Notices(request, resolved).all();
}

std::string cost_notice(const std::string& cost) {
  return "Q-51: " + cost + "; -corrected stops here";
}

}  // namespace nablabragg::flags
