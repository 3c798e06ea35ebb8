#include "io/tiff.hpp"

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>  // for vsnprintf
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "io/input_bytes.hpp"
#include "io/mini_cbf.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

/// A file in memory as libtiff reads it, and what it complained about first.
struct Source {
  std::string path, bytes, problem;
  std::uint64_t at = 0;
};

Source& source_of(thandle_t handle) { return *static_cast<Source*>(handle); }

tmsize_t read_bytes(thandle_t handle, void* to, tmsize_t bytes) {
  Source& source = source_of(handle);
  const std::uint64_t left = source.bytes.size() -
                             std::min<std::uint64_t>(source.at, source.bytes.size());
  const auto count = std::min<std::uint64_t>(
      left, static_cast<std::uint64_t>(std::max<tmsize_t>(bytes, 0)));
  std::memcpy(to, source.bytes.data() + (source.bytes.size() - left), count);
  source.at += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t write_nothing(thandle_t, void*, tmsize_t) { return -1; }

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Source& source = source_of(handle);
  if (whence == SEEK_CUR) offset += source.at;
  if (whence == SEEK_END) offset += source.bytes.size();
  return source.at = offset;
}

int close_nothing(thandle_t) { return 0; }
toff_t size(thandle_t handle) { return source_of(handle).bytes.size(); }

int keep_problem(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  auto& source = *static_cast<Source*>(user);
  char text[300];
  std::vsnprintf(text, sizeof text, format, arguments);
  if (source.problem.empty()) source.problem = text;
  return 1;
}

int pass_over(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};

[[noreturn]] void refuse(const Source& source, const std::string& problem) {
  throw InputError(source.path, 0, problem);
}

/// With libtiff's words.
[[noreturn]] void refuse_damaged(const Source& source) {
  std::string words = source.problem;
  for (char& c : words)
    if (c < ' ' || c > '~') c = '?';
  while (words.ends_with('.')) words.pop_back();
  refuse(source, "cannot be read as a TIFF image" + (words.empty() ? "" : ": " + words));
}

struct Kind {
  std::uint16_t bits, format;
  double (*value)(const char* bytes);
};

template <class Number>
double value_at(const char* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof number);
  // Detectors write -1 and -2 where they did not measure.
  if constexpr (std::numeric_limits<Number>::is_integer && std::numeric_limits<Number>::is_signed)
    if (number < 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(number);
}

constexpr Kind kinds[] = {{8, SAMPLEFORMAT_UINT, &value_at<std::uint8_t>},
                          {8, SAMPLEFORMAT_INT, &value_at<std::int8_t>},
                          {16, SAMPLEFORMAT_UINT, &value_at<std::uint16_t>},
                          {16, SAMPLEFORMAT_INT, &value_at<std::int16_t>},
                          {32, SAMPLEFORMAT_UINT, &value_at<std::uint32_t>},
                          {32, SAMPLEFORMAT_INT, &value_at<std::int32_t>},
                          {32, SAMPLEFORMAT_IEEEFP, &value_at<float>},
                          {64, SAMPLEFORMAT_IEEEFP, &value_at<double>}};

struct Picture {
  int fast_pixels = 0, slow_pixels = 0;
  std::string description;
  std::vector<double> pixels;
};

Picture read_picture(const std::string& path, bool with_pixels) {
  Source source{path, {}, {}, 0};
  source.bytes = Input(path).read_rest(most_input_bytes);
  if (!is_tiff(source.bytes)) refuse(source, "is no TIFF file: it should start with II* or MM*");
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             &TIFFOpenOptionsFree);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &keep_problem, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), &pass_over, nullptr);
  // "m": not mapped, as the bytes are there; an allocation never exceeds what an image can need.
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t{1} << 30);
  const std::unique_ptr<TIFF, Close> tiff(
      TIFFClientOpenExt(path.c_str(), "rm", &source, &read_bytes, &write_nothing, &seek,
                        &close_nothing, &size, nullptr, nullptr, options.get()));
  if (!tiff) refuse_damaged(source);

  std::uint32_t width = 0, height = 0;
  std::uint16_t samples = 1, bits = 1, format = SAMPLEFORMAT_UINT,
                photometric = PHOTOMETRIC_MINISBLACK;
  if (TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width) != 1 ||
      TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height) != 1)
    refuse(source, "states no ImageWidth and ImageLength");
  constexpr std::uint32_t most = 1000000;
  if (width == 0 || height == 0 || width > most || height > most)
    refuse(source, "ImageWidth and ImageLength are not from 1 to 1000000");
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_SAMPLEFORMAT, &format);
  if (format == SAMPLEFORMAT_VOID) format = SAMPLEFORMAT_UINT;
  if (samples != 1)
    refuse(source, "holds " + std::to_string(samples) +
                       " numbers a pixel (SamplesPerPixel), and only grey images can be read");
  if (TIFFGetField(tiff.get(), TIFFTAG_PHOTOMETRIC, &photometric) == 1 &&
      photometric == PHOTOMETRIC_PALETTE)
    refuse(source,
           "holds colours of a palette (PhotometricInterpretation), and only grey images "
           "can be read");
  const auto kind = std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& k) {
    return k.bits == bits && k.format == format;
  });
  if (kind == std::end(kinds))
    refuse(source, "holds numbers of " + std::to_string(bits) +
                       " bits (BitsPerSample, SampleFormat " + std::to_string(format) +
                       "), and only integers of 8, 16 and 32 bits and reals of 32 and 64 can be "
                       "read");

  Picture picture;
  picture.fast_pixels = static_cast<int>(width);
  picture.slow_pixels = static_cast<int>(height);
  const char* description = nullptr;
  if (TIFFGetField(tiff.get(), TIFFTAG_IMAGEDESCRIPTION, &description) == 1 && description)
    picture.description = description;
  if (!with_pixels) return picture;

  // The densest packing that libtiff unpacks holds some thousand zeros in a byte.
  constexpr std::uint64_t most_expansion = 5000;
  const std::size_t bytes = bits / 8U;
  const std::uint64_t needed = std::uint64_t{width} * height * bytes;
  if (needed / most_expansion > source.bytes.size())
    refuse(source, "is too short for " + std::to_string(width) + " x " + std::to_string(height) +
                       " pixels");
  picture.pixels.resize(std::size_t{width} * height);

  const bool tiled = TIFFIsTiled(tiff.get()) != 0;
  std::uint32_t piece_width = width, piece_height = height;
  if (tiled) {
    if (TIFFGetField(tiff.get(), TIFFTAG_TILEWIDTH, &piece_width) != 1 ||
        TIFFGetField(tiff.get(), TIFFTAG_TILELENGTH, &piece_height) != 1)
      refuse_damaged(source);
  } else {
    TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_ROWSPERSTRIP, &piece_height);
    piece_height = std::min(piece_height, height);
  }
  const tmsize_t piece_bytes = tiled ? TIFFTileSize(tiff.get()) : TIFFStripSize(tiff.get());
  if (piece_width == 0 || piece_height == 0 || piece_bytes <= 0 ||
      static_cast<std::uint64_t>(piece_bytes) !=
          std::uint64_t{piece_width} * piece_height * bytes ||
      static_cast<std::uint64_t>(piece_bytes) / most_expansion > source.bytes.size())
    refuse_damaged(source);
  std::vector<char> piece(static_cast<std::size_t>(piece_bytes));
  for (std::uint32_t top = 0; top < height; top += piece_height)
    for (std::uint32_t left = 0; left < width; left += piece_width) {
      const std::uint32_t rows = std::min(piece_height, height - top),
                          columns = std::min(piece_width, width - left);
      const tmsize_t wanted = tiled ? piece_bytes
                                    : static_cast<tmsize_t>(std::uint64_t{rows} * width * bytes);
      const tmsize_t got = tiled ? TIFFReadEncodedTile(tiff.get(),
                                                       TIFFComputeTile(tiff.get(), left, top, 0, 0),
                                                       piece.data(), wanted)
                                 : TIFFReadEncodedStrip(tiff.get(),
                                                        TIFFComputeStrip(tiff.get(), top, 0),
                                                        piece.data(), wanted);
      if (got != wanted) refuse_damaged(source);
      for (std::uint32_t row = 0; row < rows; ++row)
        for (std::uint32_t column = 0; column < columns; ++column)
          picture.pixels[std::size_t{top + row} * width + left + column] = kind->value(
              piece.data() + (std::size_t{row} * piece_width + column) * bytes);
    }
  return picture;
}

HeaderGeometry geometry_of(const std::string& path, const Picture& picture) {
  if (has_mini_header(picture.description))
    return read_mini_header(path, picture.description, picture.fast_pixels, picture.slow_pixels);
  return without_geometry(picture.fast_pixels, picture.slow_pixels,
                          "comment of a DECTRIS detector (ImageDescription)");
}

}  // namespace

bool is_tiff(std::string_view head) {
  using namespace std::string_view_literals;
  return head.starts_with("II*\0"sv) || head.starts_with("MM\0*"sv) ||
         head.starts_with("II+\0"sv) || head.starts_with("MM\0+"sv);
}

ImageFile read_tiff(const std::string& path) {
  Picture picture = read_picture(path, true);
  ImageFile image;
  image.format = "TIFF";
  image.geometry = with_notice(geometry_of(path, picture));
  image.pixels = std::move(picture.pixels);
  return image;
}

Geometry read_tiff_geometry(const std::string& path) {
  return complete(path, geometry_of(path, read_picture(path, false)));
}

FileFormat tiff_format() {
  return {
      .name = "TIFF",
      .endings = {".tif", ".tiff"},
      .written = "",
      .geometry = "of DECTRIS' comment: one panel, beam",
      .begins = is_tiff,
      .read = [](const std::string& path, int) { return read_tiff(path); },
      .read_geometry = [](const std::string& path, int, auto) { return read_tiff_geometry(path); }};
}

}  // namespace nablabragg::io
