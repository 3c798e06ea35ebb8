// What the tests beside other programs run:
//   nablabragg_nxmx_driver write FILE < SERIES     images of the series that the JSON text states
//   nablabragg_nxmx_driver read FILE IMAGE PIXELS  its geometry as JSON, its pixels as doubles
//   nablabragg_nxmx_driver geometry FILE           the geometry of all images
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "io/nxmx.hpp"
#include "nablabragg/error.hpp"
#include "peers/geometry_json.hpp"

namespace nablabragg {

namespace {

using test::Json;

io::ImageSeries series_of(const Json& json) {
  io::ImageSeries series;
  series.geometry = test::geometry_of(json, {"Si", 0.45});
  series.images.resize(json.value("images", 1));
  if (const auto& scan = series.geometry.scan)
    for (std::size_t i = 0; i < series.images.size(); ++i)
      series.images[i].phi_deg = scan->start_deg + static_cast<double>(i) * scan->width_deg;
  const auto wavelengths = json.value("wavelengths", std::vector<double>());
  for (std::size_t i = 0; i < wavelengths.size(); ++i)
    series.images.at(i).wavelength_A = wavelengths[i];
  series.counts = json.value("counts", true);
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

int run(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "write") {
    write(words[1], series_of(Json::parse(std::cin)));
    return 0;
  }
  if (words.size() == 2 && words[0] == "geometry") {
    std::cout << test::json_of(io::read_nxmx_geometry(words[1]));
    return 0;
  }
  if (words.size() == 4 && words[0] == "read") {
    const io::ImageFile file = io::read_nxmx(words[1], std::stoi(words[2]));
    Json j = test::json_of(file.geometry);
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
