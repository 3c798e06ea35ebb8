#include "flags/geometry_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <vector>

#include "description/unit_cells.hpp"
#include "nablabragg/detector_presets.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/materials.hpp"
#include "nablabragg/panel_arrays.hpp"
#include "nablabragg/plausible.hpp"

namespace nablabragg::flags {

namespace {

using Names = std::span<const std::string_view>;

/// What a panel in its place leaves open.
constexpr std::array<std::string_view, 12> beside_panels{
    "-expt",        "-detector", "-img",          "-mask",           "-panel",
    "-roi",         "-sensor",   "-detector_abs", "-detector_thick", "-detector_thicksteps",
    "-point_pixel", "-o"};
/// What the name of a detector says.
constexpr std::array<std::string_view, 7> of_size{
    "-pixel", "-detpixels", "-detpixels_f", "-detpixels_s", "-detsize", "-detsize_f", "-detsize_s"};

bool is_one_of(const FlagUse& use, Names names) {
  return std::ranges::find(names, use.flag->spellings[0]) != names.end();
}

const FlagUse* last_of(std::span<const FlagUse> uses, std::string_view flag) {
  const FlagUse* last = nullptr;
  for (const FlagUse& use : uses)
    if (use.flag->spellings[0] == flag) last = &use;
  return last;
}

bool is_file(const std::string& name) {
  std::error_code error;
  return std::filesystem::is_regular_file(name, error);
}

/// At another wavelength than the file's sensors attenuate as their material does there.  Says
/// whether one is left whose material is not known.
bool forget_attenuation(Experiment& e) {
  bool kept = false;
  const auto forget = [&](Detector& d) {
    if (!d.attenuation_depth_um || d.sensor_thickness_um == 0) return;
    if (sensor_material_named(d.sensor_material))
      d.attenuation_depth_um.reset();
    else
      kept = true;
  };
  forget(e.detector);
  for (FurtherPanel& further : e.more_panels) forget(further.detector);
  return kept;
}

UnitCell cell_of(const GeometryCrystal& crystal) { return unit_cell_of(crystal.real_axes_A); }

/// "1 panel of 487 x 619 pixels, wavelength 0.6894 A, a scan from 1 by 1 degrees, a crystal of..."
std::string summary_of(const Geometry& g) {
  std::vector<std::string> parts;
  if (g.panels.size() == 1)
    parts.push_back(
        fmt::format("1 panel of {} x {} pixels", g.panels[0].fast_pixels, g.panels[0].slow_pixels));
  else
    parts.push_back(fmt::format("{} panels", g.panels.size()));
  if (!g.groups.empty()) parts.back() += fmt::format(" in {} groups", g.groups.size());
  if (g.beam) parts.push_back(fmt::format("wavelength {:g} Angstrom", g.beam->wavelength_A));
  if (g.beam && g.beam->polarization)
    parts.push_back(fmt::format("polarization {:g}", *g.beam->polarization));
  if (g.scan)
    parts.push_back(
        fmt::format("phi {:g} and oscillation {:g} degrees", g.scan->start_deg, g.scan->width_deg));
  if (!g.crystals.empty())
    parts.push_back("a crystal of the cell " + description::text_of(cell_of(g.crystals.front())));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

bool is_smv_image(const FlagUse& use) {
  const std::string& path = use.values[0];
  if (!is_file(path)) return true;
  return io::is_smv(path);
}

StatedGeometry::StatedGeometry(std::span<const FlagUse> uses, Request& request) : uses_(uses) {
  for (const char* flag : {"-expt", "-detector", "-img"}) {
    const FlagUse* const use = last_of(uses, flag);
    if (!use) continue;
    if (use_)
      throw UsageError(std::string(use_->flag->spellings[0]) + " and " + flag +
                       " both state the detector; give one of them");
    use_ = use;
  }
  if (!use_) return;
  name_ = use_->values[0];
  const std::string_view flag = use_->flag->spellings[0];
  if (flag == "-img" && is_smv_image(*use_)) {
    use_ = nullptr;  // ImageHeaders has it
    return;
  }
  if (flag == "-detector" && !is_file(name_) && !name_.ends_with(".geom"))
    apply_preset(request);
  else
    apply_placed(request);
}

std::optional<double> StatedGeometry::distance_mm() const {
  const FlagUse* const use = last_of(uses_, "-distance");
  if (!use) return std::nullopt;
  return Values(use->spelling, use->values).real(0);
}

void StatedGeometry::apply_preset(Request& request) {
  const DetectorPreset preset = find_detector_preset(name_);
  name_ = preset.name();
  const double distance = distance_mm().value_or(100);
  const Geometry geometry = detector_geometry(preset, distance);
  if (geometry.panels.size() > 1) {
    placed_ = geometry;
    return apply_placed(request);
  }
  // One flat panel: it stands where nanoBragg's flags put it.
  const GeometryPanel& panel = geometry.panels.front();
  Detector& d = request.experiment.detector;
  d.name = name_;
  d.fast_pixels = panel.fast_pixels;
  d.slow_pixels = panel.slow_pixels;
  d.pixel_mm = panel.fast_pixel_mm;
  if (!panel.sensor_material.empty() && panel.sensor_thickness_mm > 0) {
    d.sensor_material = panel.sensor_material;
    d.sensor_thickness_um = panel.sensor_thickness_mm * 1000;
  }
  d.underload = panel.underload;
  d.saturation = panel.saturation;
  d.gain = panel.gain;
  request.experiment.sampling.mask = mask_of(panel);
  request.geometry_origin = "-detector " + name_ + ": " + summary_of(geometry);
}

void StatedGeometry::apply_placed(Request& request) {
  const std::string_view flag = use_->flag->spellings[0];
  if (!placed_) placed_ = io::read_geometry(name_, 0, distance_mm());
  if (request.experiment.quirks.pix0_ignored)
    throw UsageError(std::string(flag) + " " + name_ +
                     " places panels as nanoBragg's detector cannot be placed; give -corrected");
  if (placed_->panels.empty())
    throw InputError(name_, 0, "states no detector; give a file that does");
  Experiment& e = request.experiment;
  e = with_geometry(e, *placed_);
  // settle() sets the custom frame from these
  request.fast_axis = e.detector.fast_axis;
  request.slow_axis = e.detector.slow_axis;
  request.origin_m = e.detector.origin_m;
  request.pivot_flag = Pivot::sample;
  request.beam = e.beam.direction;
  request.polarization_axis = e.beam.polarization_axis;
  request.spindle = e.scan.spindle_axis;
  request.wavelength_given |= placed_->beam.has_value();
  request.geometry_origin = std::string(flag) + " " + name_ + ": " + summary_of(*placed_);
  for (const std::string& notice : placed_->notices)
    request.warnings.push_back(name_ + ": " + notice);
}

/// A mask that is no SMV image, panel by panel: zeros and what holds no count are skipped.
void StatedGeometry::apply_mask(Request& request) const {
  const FlagUse* const use = last_of(uses_, "-mask");
  if (!use) return;
  const std::string& path = use->values[0];
  if (is_smv_image(*use)) {
    if (!request.experiment.more_panels.empty())
      throw UsageError("-mask " + path + " is of one panel, and the detector has " +
                       std::to_string(1 + request.experiment.more_panels.size()) +
                       "; a CBF or NXmx file masks all of them");
    return;
  }
  io::ImageFile file = io::read_image(path);
  Experiment& e = request.experiment;
  if (placed_) io::cut_into_panels(file, path, io::panels_in_array(name_, *placed_));
  const auto& panels = file.geometry.panels;
  if (panels.size() != 1 + e.more_panels.size())
    throw InputError(path, 0,
                     "masks " + std::to_string(panels.size()) + " panels, and the detector has " +
                         std::to_string(1 + e.more_panels.size()));
  auto pixel = file.pixels.begin();
  for (std::size_t i = 0; i < panels.size(); ++i) {
    auto mask = std::make_shared<Mask>(Mask{panels[i].fast_pixels, panels[i].slow_pixels, {}});
    const auto count = static_cast<std::size_t>(panels[i].fast_pixels) *
                       static_cast<std::size_t>(panels[i].slow_pixels);
    mask->keep.reserve(count);
    for (std::size_t k = 0; k < count; ++k, ++pixel)
      mask->keep.push_back(*pixel != 0 && !std::isnan(*pixel));
    (i == 0 ? e.sampling.mask : e.more_panels[i - 1].mask) = std::move(mask);
  }
}

void StatedGeometry::refuse(const FlagUse& flag) const {
  throw UsageError(flag.spelling + " and " + std::string(use_->flag->spellings[0]) + " " + name_ +
                   " both state the detector; leave one of them out");
}

void StatedGeometry::check(Request& request) const {
  apply_mask(request);
  if (!use_) return;
  // A name and a .geom leave the distance open.
  const bool takes_distance = use_->flag->spellings[0] == "-detector";
  for (const FlagUse& use : uses_) {
    if (use.flag->group != "Detector") continue;
    if (!placed_) {
      if (is_one_of(use, of_size)) refuse(use);
      continue;
    }
    if (takes_distance && use.flag->spellings[0] == "-distance") continue;
    if (!is_one_of(use, beside_panels)) refuse(use);
  }
  if (!placed_) return;

  Experiment& e = request.experiment;
  if (!last_of(uses_, "-sensor") && !last_of(uses_, "-detector_thick"))
    if (const std::string notice = unstated_sensors(*placed_); !notice.empty())
      request.warnings.push_back(name_ + ": " + notice);
  // Flags of the sensor are for all panels.
  if (last_of(uses_, "-sensor") || last_of(uses_, "-detector_thick"))
    for (FurtherPanel& further : e.more_panels) {
      further.detector.sensor_material = e.detector.sensor_material;
      further.detector.sensor_thickness_um = e.detector.sensor_thickness_um;
      further.detector.attenuation_depth_um = e.detector.attenuation_depth_um;
    }
  if (last_of(uses_, "-detector_abs"))
    for (FurtherPanel& further : e.more_panels)
      further.detector.attenuation_depth_um = e.detector.attenuation_depth_um;
  if (last_of(uses_, "-detector_thicksteps"))
    for (FurtherPanel& further : e.more_panels)
      further.detector.sensor_layers = e.detector.sensor_layers;

  if (placed_->beam && e.beam.wavelength_A != placed_->beam->wavelength_A) {
    const double stated = placed_->beam->wavelength_A, given = e.beam.wavelength_A;
    if (std::abs(given / stated - 1) > plausible::notable_difference)
      request.warnings.push_back(fmt::format(
          "{}: was measured at {:g} Angstrom, and the wavelength is {:g}", name_, stated, given));
    if (std::abs(given / stated - 1) > plausible::notable_difference &&
        !last_of(uses_, "-detector_abs") && forget_attenuation(e))
      request.warnings.push_back(fmt::format(
          "{}: its sensor states no material that is known, so that its attenuation stays that at "
          "{:g} Angstrom; -sensor MATERIAL um gives it at any wavelength",
          name_, stated));
    // The lattice stays; its matrix is in units of the wavelength.
    if (!placed_->crystals.empty() && request.matrix_file.empty()) {
      Mat3d& matrix = *e.crystal.mosflm_matrix;
      const double change = given / stated;
      matrix = {change * matrix.a, change * matrix.b, change * matrix.c};
    }
  }
  if (!placed_->crystals.empty() && e.crystal.cell && request.matrix_file.empty()) {
    // A cell that was typed replaces the crystal.
    request.warnings.push_back(name_ + ": its crystal is left out for that of -cell");
    e.crystal.mosflm_matrix.reset();
  }
}

}  // namespace nablabragg::flags
