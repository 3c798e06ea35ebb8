#include "nablabragg/image_files.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <ctime>
#include <string_view>
#include <vector>

#include "io/cbf.hpp"
#include "io/crystfel_geometry.hpp"
#include "io/expt.hpp"
#include "io/input_bytes.hpp"
#include "io/nxmx.hpp"
#include "io/smv_images.hpp"
#include "io/tiff.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

/// What a file that begins so is, as its readers take it.
struct ReadableFormat {
  bool (*begins)(std::string_view head);
  ImageFile (*read)(const std::string& path, int image);  ///< null: it has no pixels
  Geometry (*read_geometry)(const std::string& path, int which, std::optional<double> distance_mm);
};

const ReadableFormat readable[] = {
    {is_nxmx, read_nxmx,
     [](const std::string& path, int, auto) { return read_nxmx_geometry(path); }},
    {is_cbf, read_cbf, [](const std::string& path, int, auto) { return read_cbf_geometry(path); }},
    {begins_as_smv, [](const std::string& path, int) { return read_smv_image(path); },
     [](const std::string& path, int, auto) { return read_smv_geometry(path); }},
    {is_tiff, [](const std::string& path, int) { return read_tiff(path); },
     [](const std::string& path, int, auto) { return read_tiff_geometry(path); }},
    {begins_as_expt, nullptr,
     [](const std::string& path, int which, auto) { return read_expt_geometry(path, which); }},
    {begins_as_crystfel_geometry, nullptr,
     [](const std::string& path, int, std::optional<double> distance_mm) {
       return read_crystfel_geometry(path, {distance_mm, {}});
     }}};

/// Null: of no known format.
const ReadableFormat* find_format(const std::string& path) {
  const std::string head(Input(path).head());
  for (const ReadableFormat& format : readable)
    if (format.begins(head)) return &format;
  return nullptr;
}

const ReadableFormat& format_of_content(const std::string& path) {
  if (const ReadableFormat* const format = find_format(path)) return *format;
  throw InputError(path, 0,
                   "is no image and no geometry that can be read: CBF, NXmx (HDF5), SMV, TIFF, a "
                   "dxtbx .expt and a CrystFEL .geom can");
}

bool ends_with(std::string_view name, std::string_view ending) {
  return name.size() >= ending.size() &&
         std::equal(ending.rbegin(), ending.rend(), name.rbegin(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace

std::string date_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::span<const ImageFormat> image_formats() {
  static const std::vector<ImageFormat> formats{nxmx_format(), cbf_format(), smv_format()};
  return formats;
}

const ImageFormat& image_format_of(const std::string& path) {
  std::string endings;
  for (const ImageFormat& format : image_formats())
    for (const char* ending : format.endings) {
      if (ends_with(path, ending)) return format;
      endings.append(endings.empty() ? "" : ", ")
          .append(ending)
          .append(" (")
          .append(format.name)
          .append(")");
    }
  throw UsageError("no format of images is known by the ending of '" + path + "'; known are " +
                   endings + ", and what describes them: .expt, .refl, .poni, .png");
}

ImageFile read_image(const std::string& path, int image) {
  const ReadableFormat& format = format_of_content(path);
  if (!format.read) throw InputError(path, 0, "states a geometry and has no pixels");
  return format.read(path, image);
}

Geometry read_geometry(const std::string& path, int experiment, std::optional<double> distance_mm) {
  return format_of_content(path).read_geometry(path, experiment, distance_mm);
}

bool is_known_format(const std::string& path) { return find_format(path) != nullptr; }

bool is_smv(const std::string& path) { return begins_as_smv(Input(path).head()); }

}  // namespace nablabragg::io
