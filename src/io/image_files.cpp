#include "nablabragg/image_files.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>  // for getenv
#include <ctime>
#include <string_view>
#include <vector>

#include "io/cbf.hpp"
#include "io/crystfel_geometry.hpp"
#include "io/expt.hpp"
#include "io/input_bytes.hpp"
#include "io/nxmx.hpp"
#include "io/png.hpp"
#include "io/poni.hpp"
#include "io/refl.hpp"
#include "io/smv_images.hpp"
#include "io/tiff.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

/// What other programs' images are called whose beginning tells them; empty: it is none.
std::string foreign_image(std::string_view head) {
  const auto holds = [&](std::string_view text) { return head.find(text) != head.npos; };
  const std::string_view first = head.substr(std::min(head.find_first_not_of("\r\n"), head.size()));
  if (first.starts_with('{') && (holds("HeaderID") || holds("EDF_") || holds("ByteOrder")))
    return "an EDF image of the ESRF";
  if (head.starts_with("\x93NUMPY")) return "an array of numpy";
  if (head.starts_with("FORMAT :")) return "a frame of Bruker";
  if (head.starts_with("OD SAPPHIRE")) return "an image of Oxford Diffraction";
  if (head.starts_with("ESPERANTO FORMAT")) return "an Esperanto image of CrysAlis";
  if (head.starts_with("RAXIS") || head.starts_with("R-AXIS")) return "an image of an R-AXIS";
  if (holds("mar research")) return "an image of a MAR345";
  return "";
}

/// Null: of no known format.
const FileFormat* find_format(const std::string& path) {
  const std::string head(Input(path).head());
  if (const std::string foreign = foreign_image(head); !foreign.empty())
    throw InputError(path, 0,
                     "is " + foreign +
                         ", which is not read; nb.write_image of Python or fabio-convert writes "
                         "its pixels as CBF");
  for (const FileFormat& format : file_formats())
    if (format.begins && format.begins(head)) return &format;
  return nullptr;
}

const FileFormat& format_of_content(const std::string& path) {
  if (const FileFormat* const format = find_format(path)) return *format;
  std::vector<std::string> names;
  for (const FileFormat& format : file_formats())
    if (format.begins) names.emplace_back(format.name);
  throw InputError(path, 0,
                   "is no image and no geometry that can be read, which are " + listed(names));
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
  std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (const char* const stated = std::getenv("SOURCE_DATE_EPOCH")) {
    const std::string_view text = stated;
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc{} && end == text.data() + text.size())
      now = static_cast<std::time_t>(seconds);
  }
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::span<const FileFormat> file_formats() {
  // What is read is told by the first of them that a file's head fits.
  static const std::vector<FileFormat> formats{nxmx_format(), cbf_format(),  smv_format(),
                                               tiff_format(), expt_format(), refl_format(),
                                               geom_format(), poni_format(), png_format()};
  return formats;
}

const FileFormat& format_to_write(const std::string& path) {
  std::vector<std::string> endings;
  for (const FileFormat& format : file_formats()) {
    if (!format.is_written()) continue;
    for (const char* ending : format.endings) {
      if (ends_with(path, ending)) return format;
      endings.push_back(std::string(ending) + " (" + format.name + ")");
    }
  }
  throw UsageError("no format is known by the ending of '" + path + "'; known are " +
                   listed(endings));
}

ImageFile read_image(const std::string& path, int image) {
  const FileFormat& format = format_of_content(path);
  if (!format.read) throw InputError(path, 0, "states a geometry and has no pixels");
  return format.read(path, image);
}

Geometry read_geometry(const std::string& path, int experiment, std::optional<double> distance_mm) {
  return format_of_content(path).read_geometry(path, experiment, distance_mm);
}

bool is_known_format(const std::string& path) { return find_format(path) != nullptr; }

bool is_smv(const std::string& path) { return begins_as_smv(Input(path).head()); }

}  // namespace nablabragg::io
