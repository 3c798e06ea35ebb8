// Writes and reads image files for the tests beside other programs, which are in Python.
//   image_files write PATH < series.json   pixel i of image n is (7 i + 13 n) % 1000, and -1 in
//                                          masked rectangles; "values" of the series replace them
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

#include "io/cbf.hpp"
#include "io/input_bytes.hpp"
#include "io/poni.hpp"
#include "io/smv_images.hpp"
#include "io/tiff.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "peers/geometry_json.hpp"

namespace nablabragg::io {
namespace {

using test::Json;

ImageSeries series_of(const Json& json) {
  ImageSeries series;
  series.geometry = test::geometry_of(json, {});
  const auto& scan = series.geometry.scan;
  for (int i = 0; i < json.value("images", 1); ++i)
    series.images.push_back({scan ? scan->start_deg + i * scan->width_deg : 0, 0});
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

int run(const std::vector<std::string>& arguments) {
  const std::string& command = arguments.at(1);
  const std::string& path = arguments.at(2);
  if (command == "read") {
    Input input(path);
    const std::string_view head = input.head();
    const ImageFile file = is_cbf(head)          ? read_cbf(path, 0)
                           : begins_as_smv(head) ? read_smv_image(path)
                                                 : read_tiff(path);
    std::cout << test::json_of(file.geometry).dump() << '\n';
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
  const FileFormat format = path.ends_with(".cbf") ? cbf_format() : smv_format();
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
