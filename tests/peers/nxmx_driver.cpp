// What the tests beside other programs run:
//   nablabragg_nxmx_driver write FILE < SERIES     images of the series that the JSON text states
//   nablabragg_nxmx_driver read FILE IMAGE PIXELS  its geometry as JSON, its pixels as doubles
//   nablabragg_nxmx_driver geometry FILE           the geometry of all images
#include <cstdint>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/nxmx.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

using nlohmann::json;

void from_json(const json& j, Vec3d& v) { v = {j.at(0), j.at(1), j.at(2)}; }
void to_json(json& j, const Vec3d& v) { j = {v.x, v.y, v.z}; }

namespace {

io::ImageSeries series_of(const json& j) {
  io::ImageSeries series;
  Geometry& geometry = series.geometry;
  for (const json& g : j.value("groups", json::array()))
    geometry.groups.push_back(
        {g.at("name"), g.at("parent"), g.at("origin"), g.at("fast"), g.at("slow")});
  for (const json& p : j.at("panels")) {
    GeometryPanel panel;
    panel.name = p.value("name", "");
    panel.group = p.value("group", -1);
    panel.fast_pixels = p.at("size").at(0);
    panel.slow_pixels = p.at("size").at(1);
    panel.fast_pixel_mm = p.at("pixel").at(0);
    panel.slow_pixel_mm = p.at("pixel").at(1);
    panel.origin_mm = p.at("origin");
    panel.fast_axis = p.at("fast");
    panel.slow_axis = p.at("slow");
    panel.sensor_material = p.value("material", "Si");
    panel.sensor_thickness_mm = p.value("thickness", 0.45);
    if (p.contains("saturation")) panel.saturation = p.at("saturation").get<double>();
    if (p.contains("underload")) panel.underload = p.at("underload").get<double>();
    for (const json& m : p.value("masked", json::array()))
      panel.masked.push_back({m.at(0), m.at(1), m.at(2), m.at(3)});
    geometry.panels.push_back(panel);
  }
  geometry.beam.emplace();
  geometry.beam->wavelength_A = j.at("wavelength");
  geometry.beam->spectrum_A = j.value("spectrum", std::vector<double>());
  geometry.beam->spectrum_weights = j.value("weights", std::vector<double>());
  series.images.resize(j.value("images", 1));
  if (j.contains("scan")) {
    const json& s = j.at("scan");
    GeometryScan scan;
    scan.spindle_axis = s.at("axis");
    scan.start_deg = s.at("start");
    scan.width_deg = s.at("width");
    scan.exposure_s = s.at("exposure");
    scan.images = static_cast<int>(series.images.size());
    geometry.scan = scan;
    for (std::size_t i = 0; i < series.images.size(); ++i)
      series.images[i].phi_deg = scan.start_deg + static_cast<double>(i) * scan.width_deg;
  }
  const auto wavelengths = j.value("wavelengths", std::vector<double>());
  for (std::size_t i = 0; i < wavelengths.size(); ++i)
    series.images.at(i).wavelength_A = wavelengths[i];
  series.counts = j.value("counts", true);
  series.provenance = {"nablaBragg 0.0.0", "a command", 0, "{}", "2026-11-28T12:00:00Z"};
  return series;
}

/// A number that differs from pixel to pixel and from image to image.
std::int32_t count_of(std::size_t pixel, std::size_t image) {
  const auto mixed = static_cast<std::uint32_t>(pixel) * 2654435761u;
  return static_cast<std::int32_t>((mixed >> 20) + image);
}

void write(const std::string& path, const io::ImageSeries& series) {
  std::size_t pixels = 0;
  for (const GeometryPanel& panel : series.geometry.panels)
    pixels += static_cast<std::size_t>(panel.fast_pixels) *
              static_cast<std::size_t>(panel.slow_pixels);
  const auto writer = io::open_nxmx(path, series);
  std::vector<std::int32_t> counts(pixels);
  std::vector<float> photons(pixels);
  for (std::size_t i = 0; i < series.images.size(); ++i) {
    for (std::size_t p = 0; p < pixels; ++p) {
      counts[p] = count_of(p, i);
      photons[p] = 0.25f * static_cast<float>(counts[p]);
    }
    if (series.counts)
      writer->add(counts);
    else
      writer->add(photons);
  }
  writer->close();
}

json json_of(const Geometry& geometry) {
  json j = {{"panels", json::array()},
            {"groups", json::array()},
            {"notices", geometry.notices},
            {"detector_name", geometry.detector_name}};
  for (const GeometryGroup& g : geometry.groups)
    j["groups"].push_back({{"name", g.name},
                           {"parent", g.parent},
                           {"origin", g.origin_mm},
                           {"fast", g.fast_axis},
                           {"slow", g.slow_axis}});
  for (const GeometryPanel& p : geometry.panels)
    j["panels"].push_back({{"name", p.name},
                           {"group", p.group},
                           {"size", {p.fast_pixels, p.slow_pixels}},
                           {"pixel", {p.fast_pixel_mm, p.slow_pixel_mm}},
                           {"origin", p.origin_mm},
                           {"fast", p.fast_axis},
                           {"slow", p.slow_axis},
                           {"material", p.sensor_material},
                           {"thickness", p.sensor_thickness_mm},
                           {"underload", p.underload ? json(*p.underload) : json()},
                           {"saturation", p.saturation ? json(*p.saturation) : json()},
                           {"masked", p.masked.size()}});
  if (geometry.beam)
    j["beam"] = {{"wavelength", geometry.beam->wavelength_A},
                 {"spectrum", geometry.beam->spectrum_A},
                 {"weights", geometry.beam->spectrum_weights}};
  if (geometry.scan)
    j["scan"] = {{"axis", geometry.scan->spindle_axis},   {"start", geometry.scan->start_deg},
                 {"width", geometry.scan->width_deg},     {"images", geometry.scan->images},
                 {"exposure", geometry.scan->exposure_s}, {"first", geometry.scan->first_image}};
  return j;
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "write") {
    write(words[1], series_of(json::parse(std::cin)));
    return 0;
  }
  if (words.size() == 2 && words[0] == "geometry") {
    std::cout << json_of(io::read_nxmx_geometry(words[1]));
    return 0;
  }
  if (words.size() == 4 && words[0] == "read") {
    const io::ImageFile file = io::read_nxmx(words[1], std::stoi(words[2]));
    json j = json_of(file.geometry);
    j["images"] = file.images;
    std::ofstream(words[3], std::ios::binary)
        .write(reinterpret_cast<const char*>(file.pixels.data()),
               static_cast<std::streamsize>(file.pixels.size() * sizeof(double)));
    std::cout << j;
    return 0;
  }
  std::cerr << "usage: see the first lines of tests/peers/nxmx_driver.cpp\n";
  return 2;
}

}  // namespace
}  // namespace nablabragg

int main(int count, char** words) try {
  return nablabragg::run({words + 1, words + count});
} catch (const nablabragg::Error& error) {
  std::cerr << error.what() << '\n';
  return 3;
}
