// Geometry as JSON, which the tests beside other programs write and read.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nablabragg/geometry.hpp"

namespace nablabragg::test {

using Json = nlohmann::json;

inline Vec3d vector_of(const Json& json) { return {json.at(0), json.at(1), json.at(2)}; }
inline Json json_of(const Vec3d& v) { return {v.x, v.y, v.z}; }
inline Json json_of(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

/// Of panels that state none.
struct UsualSensor {
  std::string material;
  double thickness_mm = 0;
};

/// Groups and panels, the beam's wavelength, spectrum and polarization, the scan of `images`.
inline Geometry geometry_of(const Json& json, const UsualSensor& usual) {
  Geometry g;
  g.detector_name = json.value("detector", "");
  for (const Json& from : json.value("groups", Json::array()))
    g.groups.push_back({from.value("name", ""), from.value("parent", -1),
                        vector_of(from.at("origin")), vector_of(from.at("fast")),
                        vector_of(from.at("slow"))});
  for (const Json& from : json.at("panels")) {
    GeometryPanel panel;
    panel.name = from.value("name", "");
    panel.group = from.value("group", -1);
    panel.fast_pixels = from.at("size").at(0);
    panel.slow_pixels = from.at("size").at(1);
    panel.fast_pixel_mm = from.at("pixel").at(0);
    panel.slow_pixel_mm = from.at("pixel").at(1);
    panel.origin_mm = vector_of(from.at("origin"));
    panel.fast_axis = vector_of(from.at("fast"));
    panel.slow_axis = vector_of(from.at("slow"));
    panel.sensor_material = from.value("material", usual.material);
    panel.sensor_thickness_mm = from.value("thickness", usual.thickness_mm);
    panel.gain = from.value("gain", 1.0);
    panel.pedestal = from.value("pedestal", 0.0);
    if (from.contains("saturation")) panel.saturation = from.at("saturation").get<double>();
    if (from.contains("underload")) panel.underload = from.at("underload").get<double>();
    for (const Json& m : from.value("masked", Json::array()))
      panel.masked.push_back({m.at(0), m.at(1), m.at(2), m.at(3)});
    g.panels.push_back(std::move(panel));
  }
  GeometryBeam& beam = g.beam.emplace();
  beam.wavelength_A = json.at("wavelength");
  beam.spectrum_A = json.value("spectrum", std::vector<double>());
  beam.spectrum_weights = json.value("weights", std::vector<double>());
  if (json.contains("polarization")) beam.polarization = json.at("polarization").get<double>();
  if (!json.contains("scan")) return g;
  const Json& from = json.at("scan");
  GeometryScan& scan = g.scan.emplace();
  scan.spindle_axis = vector_of(from.at("axis"));
  scan.start_deg = from.at("start");
  scan.width_deg = from.at("width");
  scan.images = json.value("images", 1);
  scan.first_image = from.value("first", 1);
  scan.exposure_s = from.value("exposure", 0.0);
  return g;
}

/// All of it.
inline Json json_of(const Geometry& g) {
  Json out{{"detector_name", g.detector_name},
           {"notices", g.notices},
           {"groups", Json::array()},
           {"panels", Json::array()},
           {"crystals", Json::array()}};
  for (const GeometryGroup& group : g.groups)
    out["groups"].push_back({{"name", group.name},
                             {"parent", group.parent},
                             {"origin", json_of(group.origin_mm)},
                             {"fast", json_of(group.fast_axis)},
                             {"slow", json_of(group.slow_axis)}});
  for (const GeometryPanel& p : g.panels) {
    Json panel{{"name", p.name},
               {"group", p.group},
               {"size", {p.fast_pixels, p.slow_pixels}},
               {"pixel", {p.fast_pixel_mm, p.slow_pixel_mm}},
               {"origin", json_of(p.origin_mm)},
               {"fast", json_of(p.fast_axis)},
               {"slow", json_of(p.slow_axis)},
               {"material", p.sensor_material},
               {"thickness", p.sensor_thickness_mm},
               {"mu", p.attenuation_per_mm},
               {"gain", p.gain},
               {"pedestal", p.pedestal},
               {"underload", json_of(p.underload)},
               {"saturation", json_of(p.saturation)},
               {"masked", Json::array()}};
    for (const PixelRectangle& r : p.masked)
      panel["masked"].push_back({r.fast_begin, r.slow_begin, r.fast_end, r.slow_end});
    out["panels"].push_back(std::move(panel));
  }
  if (g.beam)
    out["beam"] = {{"wavelength", g.beam->wavelength_A},
                   {"direction", json_of(g.beam->direction)},
                   {"polarization", json_of(g.beam->polarization)},
                   {"normal", json_of(g.beam->polarization_normal)},
                   {"spectrum", g.beam->spectrum_A},
                   {"weights", g.beam->spectrum_weights}};
  if (g.scan)
    out["scan"] = {{"axis", json_of(g.scan->spindle_axis)},
                   {"start", g.scan->start_deg},
                   {"width", g.scan->width_deg},
                   {"images", g.scan->images},
                   {"first", g.scan->first_image},
                   {"exposure", g.scan->exposure_s}};
  for (const GeometryCrystal& c : g.crystals)
    out["crystals"].push_back({{"a", json_of(c.real_axes_A.a)},
                               {"b", json_of(c.real_axes_A.b)},
                               {"c", json_of(c.real_axes_A.c)},
                               {"group", c.space_group}});
  return out;
}

}  // namespace nablabragg::test
