// Writes and reads image files for the tests beside other programs, which are in Python.
//   image_files write PATH < series.json   the pixels of an image are (7 i + 13 n) % 1000 of pixel
//   i
//                                          in image n, -1 in masked rectangles; "values" of the
//                                          series replace them
//   image_files read PATH [PIXELS]         geometry as JSON; the pixels as float64
//   image_files poni PATH < series.json
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "io/cbf.hpp"
#include "io/input_bytes.hpp"
#include "io/poni.hpp"
#include "io/smv_images.hpp"
#include "io/tiff.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {
namespace {

using Json = nlohmann::json;

Vec3d vector_of(const Json& json) { return {json.at(0), json.at(1), json.at(2)}; }
Json json_of(const Vec3d& v) { return {v.x, v.y, v.z}; }

ImageSeries series_of(const Json& json) {
  ImageSeries series;
  Geometry& g = series.geometry;
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
    panel.sensor_material = from.value("material", "");
    panel.sensor_thickness_mm = from.value("thickness", 0.0);
    panel.gain = from.value("gain", 1.0);
    panel.pedestal = from.value("pedestal", 0.0);
    if (from.contains("saturation")) panel.saturation = from.at("saturation").get<double>();
    for (const Json& m : from.value("masked", Json::array()))
      panel.masked.push_back({m.at(0), m.at(1), m.at(2), m.at(3)});
    g.panels.push_back(std::move(panel));
  }
  g.beam.emplace();
  g.beam->wavelength_A = json.at("wavelength");
  if (json.contains("polarization")) g.beam->polarization = json.at("polarization").get<double>();
  int images = json.value("images", 1);
  double start = 0, width = 0;
  if (json.contains("scan")) {
    const Json& from = json.at("scan");
    GeometryScan& scan = g.scan.emplace();
    scan.spindle_axis = vector_of(from.at("axis"));
    start = scan.start_deg = from.at("start");
    width = scan.width_deg = from.at("width");
    scan.images = images;
    scan.first_image = from.value("first", 1);
    scan.exposure_s = from.value("exposure", 0.0);
  }
  for (int i = 0; i < images; ++i) series.images.push_back({start + i * width, 0});
  series.counts = json.value("counts", true);
  series.provenance = {"nablaBragg test", "nablabragg -o x.cbf", 0, "", "2026-11-28T18:50:08Z"};
  return series;
}

std::vector<std::int32_t> counts_of(const Geometry& geometry, int image) {
  std::vector<std::int32_t> counts;
  for (const GeometryPanel& panel : geometry.panels)
    for (int slow = 0; slow < panel.slow_pixels; ++slow)
      for (int fast = 0; fast < panel.fast_pixels; ++fast) {
        const auto i = static_cast<std::int64_t>(counts.size());
        bool masked = false;
        for (const PixelRectangle& m : panel.masked)
          masked = masked || (fast >= m.fast_begin && fast < m.fast_end && slow >= m.slow_begin &&
                              slow < m.slow_end);
        counts.push_back(masked ? gap_pixel
                                : static_cast<std::int32_t>((7 * i + 13 * image) % 1000));
      }
  return counts;
}

Json json_of(const Geometry& g) {
  Json json;
  json["detector"] = g.detector_name;
  json["notices"] = g.notices;
  json["groups"] = Json::array();
  for (const GeometryGroup& group : g.groups)
    json["groups"].push_back({{"name", group.name},
                              {"parent", group.parent},
                              {"origin", json_of(group.origin_mm)},
                              {"fast", json_of(group.fast_axis)},
                              {"slow", json_of(group.slow_axis)}});
  json["panels"] = Json::array();
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
               {"gain", p.gain},
               {"pedestal", p.pedestal},
               {"masked", p.masked.size()}};
    if (p.saturation) panel["saturation"] = *p.saturation;
    if (p.underload) panel["underload"] = *p.underload;
    json["panels"].push_back(panel);
  }
  if (g.beam) {
    json["wavelength"] = g.beam->wavelength_A;
    json["direction"] = json_of(g.beam->direction);
    if (g.beam->polarization) json["polarization"] = *g.beam->polarization;
  }
  if (g.scan)
    json["scan"] = {{"axis", json_of(g.scan->spindle_axis)},
                    {"start", g.scan->start_deg},
                    {"width", g.scan->width_deg},
                    {"first", g.scan->first_image},
                    {"exposure", g.scan->exposure_s}};
  return json;
}

int run(const std::vector<std::string>& arguments) {
  const std::string& command = arguments.at(1);
  const std::string& path = arguments.at(2);
  if (command == "read") {
    Input input(path);
    const std::string_view head = input.head();
    const ImageFile file = is_cbf(head)          ? read_cbf(path, 0)
                           : begins_as_smv(head) ? read_smv_image(path)
                                                 : read_tiff(path);
    std::cout << json_of(file.geometry).dump() << '\n';
    if (arguments.size() > 3)
      std::ofstream(arguments[3], std::ios::binary)
          .write(reinterpret_cast<const char*>(file.pixels.data()),
                 static_cast<std::streamsize>(file.pixels.size() * sizeof(double)));
    return 0;
  }
  const Json json = Json::parse(std::cin);
  const ImageSeries series = series_of(json);
  if (command == "poni") {
    write_poni(path, series.geometry);
    return 0;
  }
  const ImageFormat format = path.ends_with(".cbf") ? cbf_format() : smv_format();
  const auto writer = format.open(path, series);
  for (std::size_t i = 0; i < series.images.size(); ++i)
    writer->add(json.contains("values") ? json.at("values").get<std::vector<std::int32_t>>()
                                        : counts_of(series.geometry, static_cast<int>(i)));
  writer->close();
  return 0;
}

}  // namespace
}  // namespace nablabragg::io

int main(int argc, char** argv) {
  try {
    return nablabragg::io::run({argv, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
