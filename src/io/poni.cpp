#include "io/poni.hpp"

#include <algorithm>
#include <cmath>

#include "io/atomic_file.hpp"
#include "io/image_series.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

/// How much the panel faces the beam; with its sign, whether its slow, fast and the way to it are a
/// right-handed set.
double facing(const GeometryPanel& panel, const GeometryBeam& beam) {
  return dot(cross(panel.slow_axis, panel.fast_axis), unit(beam.direction));
}

std::string why_not_poni(const Geometry& geometry) {
  if (std::string why = why_no_place(geometry); !why.empty()) return why;
  if (geometry.panels.size() != 1)
    return "a .poni holds one panel, and there are " + std::to_string(geometry.panels.size()) +
           "; an .expt file holds them";
  if (!geometry.beam) return "a .poni states a wavelength, and there is no beam";
  if (std::abs(facing(geometry.panels[0], *geometry.beam)) < 1e-6)
    return "a .poni states a panel that the beam falls on, and this one is parallel to it";
  return "";
}

}  // namespace

void write_poni(const std::string& path, const Geometry& geometry) {
  if (const std::string why = why_not_poni(geometry); !why.empty())
    throw UsageError(path + ": " + why);
  const GeometryPanel& panel = geometry.panels[0];
  const GeometryBeam& beam = *geometry.beam;

  // pyFAI's frame: axis 3 along the beam, axis 2 in the plane of polarization, axis 1 normal to
  // both.  Its panel has slow, fast and the way to it as a right-handed set; where ours has not,
  // axis 1 is turned over, which leaves angles to the beam and polarization as they are.
  const Vec3d along = unit(beam.direction), plane = unit(cross(beam.polarization_normal, along)),
              across = cross(along, plane);
  const double turn = facing(panel, beam) > 0 ? 1 : -1;
  const auto seen = [&](const Vec3d& v) {
    return Vec3d{turn * dot(across, v), -dot(plane, v), dot(along, v)};
  };
  const Vec3d slow = seen(panel.slow_axis), fast = seen(panel.fast_axis),
              normal = cross(slow, fast), origin = seen(panel.origin_mm);

  // A point of the panel is rot3 rot2 rot1 (p1, p2, distance), about axes 3, 2 and 1, of which the
  // first two are left-handed.
  const double rot2 = std::asin(std::clamp(slow.z, -1.0, 1.0));
  const double rot1 = std::atan2(-fast.z, normal.z), rot3 = std::atan2(slow.y, slow.x);
  const auto metres = [](double mm) { return shortest_text(mm / 1000); };
  std::string text = "# nablaBragg\nponi_version: 2\nDetector: Detector\n";
  text += "Detector_config: {\"pixel1\": " + metres(panel.slow_pixel_mm) +
          ", \"pixel2\": " + metres(panel.fast_pixel_mm) + ", \"max_shape\": [" +
          std::to_string(panel.slow_pixels) + ", " + std::to_string(panel.fast_pixels) + "]}\n";
  text += "Distance: " + metres(dot(normal, origin)) + "\nPoni1: " + metres(-dot(slow, origin)) +
          "\nPoni2: " + metres(-dot(fast, origin)) + "\nRot1: " + shortest_text(rot1) +
          "\nRot2: " + shortest_text(rot2) + "\nRot3: " + shortest_text(rot3) +
          "\nWavelength: " + shortest_text(beam.wavelength_A * 1e-10) + '\n';
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

FileFormat poni_format() {
  return {.name = "pyFAI .poni",
          .endings = {".poni"},
          .written = "the experiment",
          .geometry = "one panel, wavelength",
          .write_experiment = [](const std::string& path, const ImageSeries& series,
                                 const std::string&) { write_poni(path, series.geometry); },
          .why_not = [](const ImageSeries& series) { return why_not_poni(series.geometry); }};
}

}  // namespace nablabragg::io
