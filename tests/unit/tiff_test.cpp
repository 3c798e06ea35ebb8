// TIFF images of detectors: numbers of all kinds, DECTRIS' comment, damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tiffio.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "io/tiff.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Layout {
  std::uint16_t compression = COMPRESSION_NONE, samples = 1, format = SAMPLEFORMAT_UINT;
  bool tiled = false;
  const char* mode = "w";
  std::string description = {};
};

/// 20 x 18 pixels that count up from `first`.
template <class Number>
std::string tiff_of(const Layout& layout, double first = 0) {
  constexpr std::uint32_t width = 20, height = 18, tile = 16;
  const TempDir dir;
  const std::string path = dir / "a.tif";
  TIFF* const tiff = TIFFOpen(path.c_str(), layout.mode);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, layout.samples);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8 * sizeof(Number));
  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, layout.format);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, layout.compression);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  if (!layout.description.empty())
    TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, layout.description.c_str());
  const auto value = [&](std::uint32_t row, std::uint32_t column) {
    return static_cast<Number>(first + row * width + column);
  };
  if (layout.tiled) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, tile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, tile);
    std::vector<Number> piece(tile * tile);
    for (std::uint32_t top = 0; top < height; top += tile)
      for (std::uint32_t left = 0; left < width; left += tile) {
        for (std::uint32_t i = 0; i < tile * tile; ++i)
          piece[i] = value(top + i / tile, left + i % tile);
        TIFFWriteTile(tiff, piece.data(), left, top, 0, 0);
      }
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 5);
    std::vector<Number> line(width * layout.samples);
    for (std::uint32_t row = 0; row < height; ++row) {
      for (std::uint32_t i = 0; i < line.size(); ++i) line[i] = value(row, i / layout.samples);
      TIFFWriteScanline(tiff, line.data(), row, 0);
    }
  }
  TIFFClose(tiff);
  return dir.content("a.tif");
}

ImageFile image_of(const std::string& bytes) {
  const TempDir dir;
  return read_tiff(dir.file("a.tif", bytes));
}

std::string problem_of(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.file("a.tif", bytes);
  const std::string problem = message_of<InputError>([&] { read_tiff(path); });
  return problem.starts_with(path) ? "a.tif" + problem.substr(path.size()) : problem;
}

template <class Number>
void expect_counting(const Layout& layout) {
  const ImageFile image = image_of(tiff_of<Number>(layout));
  ASSERT_EQ(image.pixels.size(), 360);
  for (std::size_t i = 0; i < 360; ++i)
    EXPECT_EQ(image.pixels[i], static_cast<double>(static_cast<Number>(i)));
  EXPECT_EQ(image.geometry.panels[0].fast_pixels, 20);
  EXPECT_EQ(image.geometry.panels[0].slow_pixels, 18);
}

TEST(Tiff, HoldsNumbersOfAllKindsInStripsAndTilesOfEitherByteOrder) {
  for (const char* const mode : {"w", "wb", "w8"})
    for (const bool tiled : {false, true})
      for (const std::uint16_t packed :
           std::initializer_list<std::uint16_t>{COMPRESSION_NONE, COMPRESSION_LZW,
                                                COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS}) {
        SCOPED_TRACE(std::string(mode) + (tiled ? " tiles " : " strips ") + std::to_string(packed));
        expect_counting<std::uint8_t>({packed, 1, SAMPLEFORMAT_UINT, tiled, mode, ""});
        expect_counting<std::uint16_t>({packed, 1, SAMPLEFORMAT_UINT, tiled, mode, ""});
        expect_counting<std::int32_t>({packed, 1, SAMPLEFORMAT_INT, tiled, mode, ""});
        expect_counting<float>({packed, 1, SAMPLEFORMAT_IEEEFP, tiled, mode, ""});
        expect_counting<double>({packed, 1, SAMPLEFORMAT_IEEEFP, tiled, mode, ""});
      }
}

TEST(Tiff, HoldsNoCountWhereItIsNegative) {
  const ImageFile image = image_of(tiff_of<std::int32_t>({.format = SAMPLEFORMAT_INT}, -2));
  EXPECT_TRUE(std::isnan(image.pixels[0]) && std::isnan(image.pixels[1]));
  EXPECT_EQ(image.pixels[2], 0);
}

TEST(Tiff, HasTheGeometryOfDectrisComment) {
  const std::string comment =
      "# Pixel_size 172e-6 m x 172e-6 m\r\n# Silicon sensor, thickness 0.000320 m\r\n"
      "# Count_cutoff 1071896 counts\r\n# Wavelength 1.54 A\r\n# Detector_distance 0.15 m\r\n"
      "# Beam_xy (10.5, 4.25) pixels\r\n";
  const TempDir dir;
  const std::string path = dir.file(
      "a.tif", tiff_of<std::int32_t>({.format = SAMPLEFORMAT_INT, .description = comment}));
  const Geometry geometry = read_tiff_geometry(path);
  EXPECT_EQ(geometry.beam->wavelength_A, 1.54);
  const GeometryPanel& panel = geometry.panels[0];
  EXPECT_LT(length(panel.origin_mm - Vec3d{-10.5 * 0.172, 4.25 * 0.172, -150}), 1e-12);
  EXPECT_EQ(panel.sensor_material, "Si");
  EXPECT_THAT(read_tiff(path).geometry.notices, IsEmpty());
}

TEST(Tiff, NamesTheGeometryThatItLacks) {
  const std::string bytes = tiff_of<std::uint16_t>({});
  EXPECT_THAT(image_of(bytes).geometry.notices,
              ElementsAre(HasSubstr("no comment of a DECTRIS detector (ImageDescription)")));
  const TempDir dir;
  const std::string path = dir.file("a.tif", bytes);
  EXPECT_EQ(message_of<InputError>([&] { read_tiff_geometry(path); }),
            path + ": the header holds no comment of a DECTRIS detector (ImageDescription)");
}

TEST(Tiff, IsRefusedByNameWhereItIsNoGreyImageOfNumbers) {
  EXPECT_EQ(problem_of("P5 2 2 255\n"), "a.tif: is no TIFF file: it should start with II* or MM*");
  EXPECT_EQ(problem_of(tiff_of<std::uint8_t>({.samples = 3})),
            "a.tif: holds 3 numbers a pixel (SamplesPerPixel), and only grey images can be read");
  EXPECT_EQ(problem_of(tiff_of<std::uint64_t>({})),
            "a.tif: holds numbers of 64 bits (BitsPerSample, SampleFormat 1), and only integers of "
            "8, 16 and 32 bits and reals of 32 and 64 can be read");
}

TEST(Tiff, IsRefusedWhereItIsCutOrItsSizesAreForged) {
  const std::string whole = tiff_of<std::uint16_t>({});
  for (std::size_t length = 4; length < whole.size(); length += 9)
    EXPECT_THAT(problem_of(whole.substr(0, length)), HasSubstr("a.tif: ")) << length;
  // The ImageLength of the directory: tag 257, type 4 or 3, one value
  std::string forged = whole;
  const std::size_t at = forged.find(std::string("\x01\x01", 2) +
                                     std::string("\x03\0\x01\0\0\0", 6));
  ASSERT_NE(at, std::string::npos);
  forged[at + 2] = 4;
  forged[at + 8] = '\x40';
  forged[at + 9] = '\x42';
  forged[at + 10] = '\x0f';  // 1000000
  EXPECT_THAT(problem_of(forged), HasSubstr("a.tif: "));
}

}  // namespace
}  // namespace nablabragg::io
