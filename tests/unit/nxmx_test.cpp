// NXmx files: what is written is read again; what cannot be held is refused; what readers of other
// programs' files meet.
#include "io/nxmx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numbers>

#include "io/atomic_file.hpp"
#include "io/hdf5_handles.hpp"
#include "io/shuffled_deflate.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using io::ImageFile;
using io::ImageSeries;
using io::open_nxmx;
using io::read_nxmx;
using io::read_nxmx_geometry;
using test::message_of;
using test::TempDir;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- Series to write ---------------------------------------------------------------------------

Vec3d rotated(const Vec3d& v, const Vec3d& axis, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  const Vec3d u = unit(axis);
  return std::cos(angle) * v + std::sin(angle) * cross(u, v) +
         (1 - std::cos(angle)) * dot(u, v) * u;
}

GeometryPanel panel_of(const std::string& name, int fast, int slow, const Vec3d& origin,
                       double tilt_deg) {
  GeometryPanel panel;
  panel.name = name;
  panel.fast_pixels = fast;
  panel.slow_pixels = slow;
  panel.fast_pixel_mm = 0.1;
  panel.slow_pixel_mm = 0.172;
  panel.origin_mm = origin;
  panel.fast_axis = rotated({1, 0, 0}, {1, 2, 3}, tilt_deg);
  panel.slow_axis = rotated({0, -1, 0}, {1, 2, 3}, tilt_deg);
  panel.sensor_material = "Si";
  panel.sensor_thickness_mm = 0.45;
  panel.underload = 0;
  panel.saturation = 65534;
  return panel;
}

/// One flat panel and one still.
ImageSeries still() {
  ImageSeries series;
  series.geometry.panels = {panel_of("main", 7, 5, {-0.3, 0.4, -123.456}, 0)};
  series.geometry.beam = GeometryBeam{};
  series.geometry.beam->wavelength_A = 0.97625;
  series.images = {{}};
  series.provenance = {"nablaBragg 1.2.3", "nablabragg -a \"b c\"", 0, R"({"key": 1})",
                       "2026-02-28T23:59:58Z"};
  return series;
}

/// Three panels of different size, tilted, in groups within groups.
ImageSeries many_panels() {
  ImageSeries series = still();
  Geometry& geometry = series.geometry;
  geometry.detector_name = "three tilted panels";
  geometry.groups = {{"arm", -1, {1, 2, -100}, rotated({1, 0, 0}, {0, 1, 0}, 20), {0, 1, 0}},
                     {"quad µ", 0, {-4, 5, -101}, {0, 1, 0}, {-1, 0, 0}},
                     {"as it was", -1, {0, 0, 0}, {1, 0, 0}, {0, 1, 0}}};
  geometry.panels = {panel_of("a", 7, 5, {-30, 40, -150}, 12.5),
                     panel_of("b", 4, 6, {30, -40, -140}, -170),
                     panel_of("c", 9, 3, {-3, 4, -500}, 1e-7)};
  geometry.panels[0].group = 1;
  geometry.panels[1].group = 2;
  geometry.panels[2].group = -1;
  return series;
}

ImageSeries sweep(int images) {
  ImageSeries series = still();
  GeometryScan scan;
  scan.spindle_axis = unit(Vec3d{1, 0.02, -0.01});
  scan.start_deg = -17.3;
  scan.width_deg = 0.1;
  scan.images = images;
  scan.exposure_s = 0.25;
  series.geometry.scan = scan;
  series.images.resize(static_cast<std::size_t>(images));
  for (int i = 0; i < images; ++i)
    series.images[static_cast<std::size_t>(i)].phi_deg = scan.start_deg + i * scan.width_deg;
  return series;
}

std::size_t pixels_of(const ImageSeries& series) {
  std::size_t pixels = 0;
  for (const GeometryPanel& panel : series.geometry.panels)
    pixels += static_cast<std::size_t>(panel.fast_pixels * panel.slow_pixels);
  return pixels;
}

std::vector<std::int32_t> counts_of(const ImageSeries& series, std::int32_t first) {
  std::vector<std::int32_t> counts(pixels_of(series));
  for (std::size_t i = 0; i < counts.size(); ++i)
    counts[i] = first + 37 * static_cast<std::int32_t>(i);
  return counts;
}

/// Image i begins with the count 1000 i.
std::string written(const TempDir& folder, const ImageSeries& series) {
  const std::string path = folder / "image.nxs";
  const auto writer = open_nxmx(path, series);
  for (std::size_t i = 0; i < series.images.size(); ++i)
    writer->add(counts_of(series, 1000 * static_cast<std::int32_t>(i)));
  writer->close();
  return path;
}

void expect_near(const Vec3d& a, const Vec3d& b, double tolerance) {
  EXPECT_NEAR(a.x, b.x, tolerance);
  EXPECT_NEAR(a.y, b.y, tolerance);
  EXPECT_NEAR(a.z, b.z, tolerance);
}

void expect_same_panels(const Geometry& a, const Geometry& b) {
  ASSERT_EQ(a.panels.size(), b.panels.size());
  for (std::size_t i = 0; i < a.panels.size(); ++i) {
    SCOPED_TRACE(b.panels[i].name);
    const GeometryPanel &p = a.panels[i], &q = b.panels[i];
    EXPECT_EQ(p.name, q.name);
    EXPECT_EQ(p.group, q.group);
    EXPECT_EQ(p.fast_pixels, q.fast_pixels);
    EXPECT_EQ(p.slow_pixels, q.slow_pixels);
    EXPECT_DOUBLE_EQ(p.fast_pixel_mm, q.fast_pixel_mm);
    EXPECT_DOUBLE_EQ(p.slow_pixel_mm, q.slow_pixel_mm);
    expect_near(p.origin_mm, q.origin_mm, 1e-12);
    expect_near(p.fast_axis, q.fast_axis, 1e-14);
    expect_near(p.slow_axis, q.slow_axis, 1e-14);
    EXPECT_EQ(p.sensor_material, q.sensor_material);
    EXPECT_DOUBLE_EQ(p.sensor_thickness_mm, q.sensor_thickness_mm);
    EXPECT_EQ(p.underload, q.underload);
    EXPECT_EQ(p.saturation, q.saturation);
    EXPECT_DOUBLE_EQ(p.gain, q.gain);
    EXPECT_EQ(p.pedestal, q.pedestal);
  }
}

// ---- Files of HDF5, changed --------------------------------------------------------------------

/// A file that was written, to be spoilt or to be given what other programs write.
class Changed {
 public:
  explicit Changed(const std::string& path)
      : file_(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)) {}

  void remove(const std::string& path) { H5Ldelete(file_.get(), path.c_str(), H5P_DEFAULT); }
  void remove_attribute(const std::string& path, const char* name) {
    H5Adelete_by_name(file_.get(), path.c_str(), name, H5P_DEFAULT);
  }
  void attribute(const std::string& path, const char* name, const std::string& text) {
    if (H5Aexists_by_name(file_.get(), path.c_str(), name, H5P_DEFAULT) > 0)
      remove_attribute(path, name);
    const io::hdf5::Type type = io::hdf5::text_type(text.size());
    const io::hdf5::Space scalar(H5Screate(H5S_SCALAR));
    const io::hdf5::Attribute made(H5Acreate_by_name(file_.get(), path.c_str(), name, type.get(),
                                                     scalar.get(), H5P_DEFAULT, H5P_DEFAULT,
                                                     H5P_DEFAULT));
    H5Awrite(made.get(), type.get(), text.data());
  }
  void numbers(const std::string& path, std::vector<double> values, std::vector<hsize_t> shape,
               hid_t type = H5T_NATIVE_DOUBLE) {
    remove(path);
    const io::hdf5::Space space(
        H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    const io::hdf5::Object made(H5Dcreate2(file_.get(), path.c_str(), type, space.get(),
                                           H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Dwrite(made.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
  void text(const std::string& path, const std::string& value) {
    remove(path);
    const io::hdf5::Type type = io::hdf5::text_type(value.size());
    const io::hdf5::Space scalar(H5Screate(H5S_SCALAR));
    const io::hdf5::Object made(H5Dcreate2(file_.get(), path.c_str(), type.get(), scalar.get(),
                                           H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Dwrite(made.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.data());
  }
  hid_t id() const { return file_.get(); }

 private:
  const io::hdf5::Session session_;
  io::hdf5::File file_;
};

std::string text_in(const std::string& path, const std::string& field) {
  const io::hdf5::Session session;
  const io::hdf5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  const io::hdf5::Object data(H5Oopen(file.get(), field.c_str(), H5P_DEFAULT));
  if (!data) return "nothing there";
  const io::hdf5::Type type(H5Dget_type(data.get()));
  std::string text(H5Tget_size(type.get()), '\0');
  H5Dread(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data());
  return text;
}

const std::string detector = "/entry/instrument/detector", module = detector + "/module",
                  beam = "/entry/instrument/beam";

class Nxmx : public testing::Test {
 protected:
  /// What is said about a still after `change`.
  std::string problem(const std::function<void(Changed&)>& change) {
    return problem(still(), change);
  }
  std::string problem(const ImageSeries& series, const std::function<void(Changed&)>& change) {
    const std::string path = written(folder, series);
    {
      Changed file(path);
      change(file);
    }
    const std::string said = message_of<InputError>([&] { read_nxmx(path, 0); });
    EXPECT_TRUE(said.starts_with(path + ": ") || said == "nothing was thrown") << said;
    return said.substr(std::min(said.size(), path.size() + 2));
  }
  ImageFile read_after(const ImageSeries& series, const std::function<void(Changed&)>& change,
                       int image = 0) {
    const std::string path = written(folder, series);
    {
      Changed file(path);
      change(file);
    }
    return read_nxmx(path, image);
  }
  TempDir folder;
};

// ---- Round trips -------------------------------------------------------------------------------

TEST_F(Nxmx, OnePanelComesBackWithItsPixels) {
  const ImageSeries series = still();
  const ImageFile file = read_nxmx(written(folder, series));
  EXPECT_EQ(file.format, "NXmx");
  EXPECT_EQ(file.images, 1);
  expect_same_panels(file.geometry, series.geometry);
  EXPECT_EQ(file.geometry.beam->wavelength_A, 0.97625);
  EXPECT_EQ(file.geometry.beam->direction, (Vec3d{0, 0, -1}));
  EXPECT_FALSE(file.geometry.scan);
  EXPECT_THAT(file.geometry.groups, IsEmpty());
  EXPECT_THAT(file.geometry.notices, IsEmpty());
  const std::vector<std::int32_t> counts = counts_of(series, 0);
  EXPECT_EQ(file.pixels, std::vector<double>(counts.begin(), counts.end()));
}

TEST_F(Nxmx, TiltedPanelsOfDifferentSizeComeBackWithTheirGroups) {
  const ImageSeries series = many_panels();
  const ImageFile file = read_nxmx(written(folder, series));
  EXPECT_EQ(file.geometry.detector_name, "three tilted panels");
  expect_same_panels(file.geometry, series.geometry);
  ASSERT_EQ(file.geometry.groups.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const GeometryGroup &read = file.geometry.groups[i], &wrote = series.geometry.groups[i];
    EXPECT_EQ(read.name, wrote.name);
    EXPECT_EQ(read.parent, wrote.parent);
    expect_near(read.origin_mm, wrote.origin_mm, 1e-12);
    expect_near(read.fast_axis, wrote.fast_axis, 1e-14);
    expect_near(read.slow_axis, wrote.slow_axis, 1e-14);
  }
  const std::vector<std::int32_t> counts = counts_of(series, 0);
  EXPECT_EQ(file.pixels, std::vector<double>(counts.begin(), counts.end()));
}

TEST_F(Nxmx, GroupsTurnedAboutEveryAxisComeBack) {
  for (const Vec3d& axis : {Vec3d{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, -1, 1}, {-3, 2, 1}})
    for (const double degrees : {0.0, 1e-9, 90.0, 179.999999, 180.0, -120.0}) {
      ImageSeries series = many_panels();
      GeometryGroup& group = series.geometry.groups[0];
      group.fast_axis = rotated({1, 0, 0}, axis, degrees);
      group.slow_axis = rotated({0, 1, 0}, axis, degrees);
      const Geometry geometry = read_nxmx_geometry(written(folder, series));
      expect_near(geometry.groups[0].fast_axis, group.fast_axis, 1e-14);
      expect_near(geometry.groups[0].slow_axis, group.slow_axis, 1e-14);
      expect_same_panels(geometry, series.geometry);
    }
}

TEST_F(Nxmx, ThePanelsOf64ModulesKeepTheirOrder) {
  ImageSeries series = still();
  series.geometry.panels.clear();
  for (int i = 0; i < 64; ++i)
    series.geometry.panels.push_back(
        panel_of("panel " + std::to_string(i), 4, 3, {1.0 * i, -2.0 * i, -100}, i));
  expect_same_panels(read_nxmx_geometry(written(folder, series)), series.geometry);
}

TEST_F(Nxmx, ASweepComesBackWithTheAnglesOfEachImage) {
  const ImageSeries series = sweep(4);
  const std::string path = written(folder, series);
  const Geometry all = read_nxmx_geometry(path);
  ASSERT_TRUE(all.scan);
  expect_near(all.scan->spindle_axis, series.geometry.scan->spindle_axis, 1e-14);
  EXPECT_NEAR(all.scan->start_deg, -17.3, 1e-12);
  EXPECT_NEAR(all.scan->width_deg, 0.1, 1e-12);
  EXPECT_EQ(all.scan->images, 4);
  EXPECT_EQ(all.scan->first_image, 1);
  EXPECT_EQ(all.scan->exposure_s, 0.25);
  const ImageFile third = read_nxmx(path, 2);
  EXPECT_EQ(third.images, 4);
  EXPECT_EQ(third.pixels[0], 2000);
  EXPECT_NEAR(third.geometry.scan->start_deg, -17.1, 1e-12);
  EXPECT_NEAR(third.geometry.scan->width_deg, 0.1, 1e-12);
  EXPECT_EQ(third.geometry.scan->images, 1);
  EXPECT_EQ(third.geometry.scan->first_image, 3);
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx(path, 4); }),
              HasSubstr("has no image 5: it holds 4"));
}

TEST_F(Nxmx, ASweepOfOneImageHasItsWidth) {
  const Geometry geometry = read_nxmx_geometry(written(folder, sweep(1)));
  EXPECT_NEAR(geometry.scan->width_deg, 0.1, 1e-12);
}

TEST_F(Nxmx, AScanWithoutWidthIsWrittenAsStills) {
  ImageSeries series = sweep(2);
  series.geometry.scan->width_deg = 0;
  EXPECT_FALSE(read_nxmx_geometry(written(folder, series)).scan);
}

TEST_F(Nxmx, StillsHaveAWavelengthEach) {
  ImageSeries series = still();
  series.images = {{0, 1.1}, {0, 0}, {0, 1.3}};
  const std::string path = written(folder, series);
  EXPECT_EQ(read_nxmx(path, 0).geometry.beam->wavelength_A, 1.1);
  EXPECT_EQ(read_nxmx(path, 1).geometry.beam->wavelength_A, 0.97625);
  EXPECT_EQ(read_nxmx(path, 2).geometry.beam->wavelength_A, 1.3);
}

TEST_F(Nxmx, ASpectrumStandsBesideTheWavelength) {
  ImageSeries series = still();
  series.geometry.beam->spectrum_A = {0.97, 0.98, 0.99};
  series.geometry.beam->spectrum_weights = {1, 5, 2};
  const Geometry geometry = read_nxmx_geometry(written(folder, series));
  EXPECT_EQ(geometry.beam->wavelength_A, 0.97625);
  EXPECT_THAT(geometry.beam->spectrum_A, ElementsAre(0.97, 0.98, 0.99));
  EXPECT_THAT(geometry.beam->spectrum_weights, ElementsAre(1, 5, 2));
}

TEST_F(Nxmx, PolarizationComesBackWithItsPlane) {
  for (const double degree : {0.0, 0.99, 1.0})
    for (const double turn_deg : {0.0, 30.0, 90.0, 135.0}) {
      ImageSeries series = still();
      GeometryBeam& wrote = *series.geometry.beam;
      wrote.polarization = degree;
      wrote.polarization_normal = rotated({0, 1, 0}, {0, 0, 1}, turn_deg);
      const GeometryBeam read = *read_nxmx_geometry(written(folder, series)).beam;
      EXPECT_NEAR(read.polarization.value(), degree, 1e-14);
      if (degree > 0) {
        EXPECT_NEAR(std::abs(dot(read.polarization_normal, wrote.polarization_normal)), 1, 1e-14);
      }
    }
  EXPECT_FALSE(read_nxmx_geometry(written(folder, still())).beam->polarization);
}

TEST_F(Nxmx, GainAndPedestalComeBack) {
  ImageSeries series = still();
  series.geometry.panels[0].gain = 1.25;
  series.geometry.panels[0].pedestal = 40;
  expect_same_panels(read_nxmx_geometry(written(folder, series)), series.geometry);
}

TEST_F(Nxmx, PhotonsComeBackAsTheyAre) {
  ImageSeries series = still();
  series.counts = false;
  std::vector<float> photons(35);
  for (std::size_t i = 0; i < photons.size(); ++i) photons[i] = 0.1f * static_cast<float>(i);
  photons[3] = std::numeric_limits<float>::quiet_NaN();
  photons[4] = std::numeric_limits<float>::infinity();
  const auto writer = open_nxmx(folder / "p.h5", series);
  writer->add(photons);
  writer->close();
  const ImageFile file = read_nxmx(folder / "p.h5");
  EXPECT_TRUE(std::isnan(file.pixels[3]));
  EXPECT_TRUE(std::isnan(file.pixels[4]));
  for (std::size_t i = 5; i < photons.size(); ++i) EXPECT_EQ(file.pixels[i], photons[i]);
}

TEST_F(Nxmx, WhatIsMaskedHoldsNoCount) {
  for (ImageSeries series : {still(), many_panels()}) {
    GeometryPanel& panel = series.geometry.panels[0];
    panel.masked = {{2, 4, 0, 5}, {0, 7, 3, 4}, {6, 7, 0, 1}};
    const ImageFile file = read_nxmx(written(folder, series));
    const std::vector<std::int32_t> counts = counts_of(series, 0);
    for (int slow = 0; slow < 5; ++slow)
      for (int fast = 0; fast < 7; ++fast) {
        const auto i = static_cast<std::size_t>(7 * slow + fast);
        const bool masked = fast == 2 || fast == 3 || slow == 3 || (fast == 6 && slow == 0);
        EXPECT_EQ(std::isnan(file.pixels[i]), masked) << fast << " " << slow;
        if (!masked) {
          EXPECT_EQ(file.pixels[i], counts[i]);
        }
      }
    // Where all panels are as wide, the file states the mask itself.
    int covered = 0;
    for (const PixelRectangle& block : file.geometry.panels[0].masked)
      covered += (block.fast_end - block.fast_begin) * (block.slow_end - block.slow_begin);
    EXPECT_EQ(covered, series.geometry.panels.size() == 1 ? 16 : 0);
  }
}

TEST_F(Nxmx, AMaskOfFewRectanglesComesBackAsThose) {
  ImageSeries series = still();
  series.geometry.panels[0].masked = {{0, 2, 0, 2}, {4, 6, 0, 2}, {1, 3, 3, 5}};
  EXPECT_EQ(read_nxmx_geometry(written(folder, series)).panels[0].masked,
            series.geometry.panels[0].masked);
}

TEST_F(Nxmx, TheFileSaysHowItWasMade) {
  const std::string path = written(folder, sweep(8));
  EXPECT_EQ(text_in(path, "/entry/definition"), "NXmx");
  EXPECT_EQ(text_in(path, "/entry/process/program"), "nablaBragg");
  EXPECT_EQ(text_in(path, "/entry/process/version"), "1.2.3");
  EXPECT_EQ(text_in(path, "/entry/process/command_line/data"), "nablabragg -a \"b c\"");
  EXPECT_EQ(text_in(path, "/entry/process/experiment/data"), R"({"key": 1})");
  EXPECT_EQ(text_in(path, "/entry/start_time"), "2026-02-28T23:59:58Z");
  EXPECT_EQ(text_in(path, "/entry/end_time_estimated"), "2026-03-01T00:00:00Z");
}

TEST_F(Nxmx, TheSameSeriesMakesTheSameBytes) {
  const TempDir other;
  written(folder, many_panels());
  written(other, many_panels());
  EXPECT_EQ(folder.content("image.nxs"), other.content("image.nxs"));
}

TEST_F(Nxmx, BitshuffleIsWrittenWhereItsFilterIs) {
  volatile double tiny = 1e-310;
  bool there = false;
  {
    const io::hdf5::Session session;
    there = H5Zfilter_avail(32008) > 0;
  }
  EXPECT_GT(tiny * 0.5, 0) << "the filter changed how the processor computes";
  ImageSeries series = sweep(3);
  series.compression = io::nxmx_bitshuffle;
  if (!there) {
    EXPECT_THAT(message_of<UsageError>([&] { open_nxmx(folder / "b.h5", series); }),
                HasSubstr("install Debian's package bitshuffle"));
    return;
  }
  const ImageFile file = read_nxmx(written(folder, series), 2);
  const std::vector<std::int32_t> counts = counts_of(series, 2000);
  EXPECT_EQ(file.pixels, std::vector<double>(counts.begin(), counts.end()));
}

TEST_F(Nxmx, TypesWhoseBitsLieOutsideOfThemAreRefused) {
  const std::string path = written(folder, still());
  std::string bytes = folder.content("image.nxs");
  // Of the counts: a signed integer of 4 bytes, the first bit 0 of 32
  const std::string type("\x10\x08\0\0\x04\0\0\0\0\0\x20\0", 12);
  ASSERT_NE(bytes.find(type), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find(type, at)) != std::string::npos; ++at)
    bytes[at + 11] = '\x20';
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx(path); }),
              HasSubstr("holds numbers of a type that is damaged"));
}

TEST_F(Nxmx, HasNoOtherCompression) {
  ImageSeries series = still();
  series.compression = "gzip";
  EXPECT_THAT(message_of<UsageError>([&] { open_nxmx(folder / "b.h5", series); }),
              HasSubstr("NXmx is packed by deflate or bitshuffle_lz4, not \"gzip\""));
}

// ---- Compression -------------------------------------------------------------------------------

TEST(ShuffledDeflate, IsOneStreamOfWhatTheShuffleFilterMakes) {
  for (const std::size_t width : {1u, 2u, 4u, 8u})
    for (const std::size_t count : {1u, 5u, 131072u, 131073u, 1000003u}) {
      std::vector<std::byte> elements(count * width);
      std::uint32_t random = 1;
      for (std::byte& byte : elements) {
        random = random * 1664525u + 1013904223u;
        byte = static_cast<std::byte>((random >> 28) * (&byte - elements.data()) % 7);
      }
      const std::vector<std::byte> packed = io::shuffle_and_deflate(elements, width, 1);
      std::vector<std::byte> shuffled(elements.size() + 1);
      uLongf bytes = shuffled.size();
      ASSERT_EQ(uncompress(reinterpret_cast<Bytef*>(shuffled.data()), &bytes,
                           reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
                Z_OK);
      ASSERT_EQ(bytes, elements.size());
      std::vector<std::byte> back(elements.size());
      for (std::size_t i = 0; i < back.size(); ++i)
        back[i] = shuffled[i % width * count + i / width];
      EXPECT_EQ(back, elements) << width << " " << count;
    }
}

// ---- What is refused, and what is left ---------------------------------------------------------

std::string refusal(const std::function<void(ImageSeries&)>& change, ImageSeries series = still()) {
  change(series);
  return io::nxmx_format().why_not(series);
}

TEST(NxmxFormat, HoldsWhatItsReadersRead) {
  EXPECT_EQ(refusal([](ImageSeries&) {}), "");
  EXPECT_EQ(refusal([](ImageSeries&) {}, many_panels()), "");
  EXPECT_EQ(refusal([](ImageSeries&) {}, sweep(5)), "");
}

TEST(NxmxFormat, RefusesASensorThatItsReadersDoNotKnow) {
  EXPECT_EQ(
      refusal([](ImageSeries& s) { s.geometry.panels[0].sensor_material = "Gd2O2S"; }),
      "readers of NXmx take no sensor but Si, CdTe or GaAs of a stated thickness, and the "
      "panel \"main\" has one of \"Gd2O2S\"; give it one (-sensor Si 450), or write CBF or .expt");
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.panels[0].sensor_material = ""; }),
              HasSubstr("states none"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.panels[0].sensor_thickness_mm = 0; }),
              HasSubstr("states no thickness"));
  EXPECT_EQ(refusal([](ImageSeries& s) { s.geometry.panels[0].sensor_material = "Silicon"; }), "");
}

TEST(NxmxFormat, RefusesWhatPanelsCannotDifferIn) {
  for (const auto& [change, word] :
       {std::pair<void (*)(GeometryPanel&), const char*>{
            [](GeometryPanel& p) { p.sensor_thickness_mm = 1; }, "one sensor"},
        {[](GeometryPanel& p) { p.sensor_material = "CdTe"; }, "one sensor"},
        {[](GeometryPanel& p) { p.saturation = 5; }, "one trusted range"},
        {[](GeometryPanel& p) { p.underload.reset(); }, "one trusted range"},
        {[](GeometryPanel& p) { p.gain = 2; }, "one gain"},
        {[](GeometryPanel& p) { p.pedestal = 2; }, "one gain"}})
    EXPECT_THAT(refusal([&](ImageSeries& s) { change(s.geometry.panels[2]); }, many_panels()),
                AllOf(HasSubstr(word), HasSubstr("write CBF or .expt")));
}

TEST(NxmxFormat, RefusesGeometryThatItsReadersWouldChange) {
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.panels[0].origin_mm.z = 100; }),
              HasSubstr("from upstream"));
  EXPECT_EQ(refusal([](ImageSeries& s) { s.geometry.panels[0].origin_mm.z = 100; }, many_panels()),
            "");
  EXPECT_THAT(refusal([](ImageSeries& s) {
                s.geometry.beam->direction = {0, 0.01, -1};
              }),
              HasSubstr("along its z axis"));
  EXPECT_THAT(refusal([](ImageSeries& s) {
                s.geometry.panels[0].fast_axis = {1, 1e-5, 0};
              }),
              HasSubstr("not perpendicular"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.images[2].phi_deg += 0.01; }, sweep(4)),
              HasSubstr("image 3 begins elsewhere"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.images[2].wavelength_A = 2; }, sweep(4)),
              HasSubstr("first wavelength"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.beam.reset(); }), HasSubstr("wavelength"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.images.clear(); }), HasSubstr("at least one"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.panels.clear(); }), HasSubstr("a panel"));
  EXPECT_THAT(refusal([](ImageSeries& s) { s.geometry.beam->spectrum_A = {1}; }),
              HasSubstr("1 wavelengths and 0 weights"));
  EXPECT_THAT(refusal([](ImageSeries& s) {
                s.geometry.panels[0].fast_pixels = s.geometry.panels[0].slow_pixels = 40000;
              }),
              HasSubstr("4 GiB"));
}

TEST_F(Nxmx, WhatItCannotHoldIsNotOpened) {
  ImageSeries series = still();
  series.geometry.panels[0].sensor_thickness_mm = 0;
  EXPECT_THAT(message_of<UsageError>([&] { open_nxmx(folder / "x.nxs", series); }),
              HasSubstr("states no thickness"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(Nxmx, NothingHasTheNameBeforeAllIsThere) {
  const ImageSeries series = sweep(2);
  folder.file("image.nxs", "the old one");
  {
    const auto writer = open_nxmx(folder / "image.nxs", series);
    writer->add(counts_of(series, 0));
    EXPECT_EQ(folder.content("image.nxs"), "the old one");
    EXPECT_EQ(message_of<OutputError>([&] { writer->close(); }),
              "cannot write " + folder / "image.nxs" + ": 1 of its 2 images were made");
  }
  EXPECT_EQ(folder.content("image.nxs"), "the old one");
  EXPECT_THAT(folder.names(), ElementsAre("image.nxs"));
}

TEST_F(Nxmx, FilesOfOneGroupAppearTogether) {
  const ImageSeries series = still();
  {
    io::FileGroup group;
    written(folder, series);
    const std::vector<std::string> names = folder.names();
    EXPECT_EQ(std::count(names.begin(), names.end(), "image.nxs"), 0);
    group.commit();
  }
  EXPECT_THAT(folder.names(), ElementsAre("image.nxs"));
}

TEST_F(Nxmx, ImagesOfAnotherKindAreRefused) {
  const ImageSeries series = still();
  const auto writer = open_nxmx(folder / "x.nxs", series);
  EXPECT_THAT(message_of<UsageError>([&] { writer->add(std::vector<float>(35)); }),
              HasSubstr("opened for counts, not photons"));
  EXPECT_THAT(message_of<UsageError>([&] { writer->add(std::vector<std::int32_t>(34)); }),
              HasSubstr("has 35 pixels, not 34"));
  writer->add(std::vector<std::int32_t>(35));
  EXPECT_THAT(message_of<UsageError>([&] { writer->add(std::vector<std::int32_t>(35)); }),
              HasSubstr("1 images, and this is one more"));
}

TEST_F(Nxmx, WhereNothingCanBeWrittenNothingIsLeft) {
  EXPECT_THAT(message_of<OutputError>([&] { open_nxmx(folder / "no/x.nxs", still()); }),
              HasSubstr("No such file or directory"));
  EXPECT_THAT(message_of<OutputError>([&] { open_nxmx("/dev/null", still()); }),
              HasSubstr("regular file"));
}

TEST_F(Nxmx, AFullDiskIsSaidAndNothingIsLeft) {
  // In a process of its own, whose files may not grow beyond 64 KiB.
  const auto fill = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{65536, 65536};
    setrlimit(RLIMIT_FSIZE, &limit);
    ImageSeries series = sweep(5);
    series.geometry.panels[0].fast_pixels = series.geometry.panels[0].slow_pixels = 200;
    std::vector<std::int32_t> counts(40000);
    std::uint32_t random = 1;
    for (std::int32_t& count : counts) {
      random = random * 1664525u + 1013904223u;
      count = static_cast<std::int32_t>(random >> 8);
    }
    std::string said;
    {
      const auto writer = open_nxmx(folder / "x.nxs", series);
      said = message_of<OutputError>([&] {
        for (int i = 0; i < 5; ++i) writer->add(counts);
        writer->close();
      });
    }
    std::fputs(said.c_str(), stderr);
    std::exit(folder.names().empty() ? 7 : 8);
  };
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(fill(), testing::ExitedWithCode(7), "cannot write .*x.nxs: File too large");
}

TEST_F(Nxmx, TheWriterTakesLessMemoryThanFourImages) {
  // In a process of its own, of counts that do not compress.
  const auto write = [&] {
    ImageSeries series = sweep(6);
    series.geometry.panels[0].fast_pixels = series.geometry.panels[0].slow_pixels = 2000;
    std::vector<std::int32_t> counts(4000000);
    std::uint32_t random = 1;
    for (std::int32_t& count : counts) {
      random = random * 1664525u + 1013904223u;
      count = static_cast<std::int32_t>((random >> 1) ^ (random << 13 >> 3));
    }
    const auto most_bytes = [] {  // of this program, not of what started it
      std::ifstream status("/proc/self/status");
      std::string word;
      while (status >> word && word != "VmHWM:") {
      }
      double kib = 0;
      status >> kib;
      return 1024 * kib;
    };
    const double before = most_bytes();
    if (before == 0) std::exit(9);
    const auto writer = open_nxmx(folder / "x.nxs", series);
    for (int i = 0; i < 6; ++i) writer->add(counts);
    writer->close();
    std::exit((most_bytes() - before) / (4.0 * static_cast<double>(counts.size())) < 4 ? 7 : 8);
  };
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(write(), testing::ExitedWithCode(7), "");
}

// ---- Reading what others write -----------------------------------------------------------------

TEST(NxmxFiles, AreToldByTheMarkOfHdf5) {
  const std::string mark = "\x89HDF\r\n\x1a\n";
  EXPECT_TRUE(io::is_nxmx(mark + "more"));
  EXPECT_TRUE(io::is_nxmx(std::string(512, ' ') + mark));
  EXPECT_TRUE(io::is_nxmx(std::string(2048, ' ') + mark));
  EXPECT_FALSE(io::is_nxmx(std::string(100, ' ') + mark));
  EXPECT_FALSE(io::is_nxmx(""));
  EXPECT_FALSE(io::is_nxmx("{\nHEADER_BYTES=512;"));
}

TEST_F(Nxmx, NamesTheFieldThatIsMissing) {
  for (const std::string& field :
       {module + "/fast_pixel_direction", module + "/slow_pixel_direction", module + "/data_origin",
        module + "/data_size", beam + "/incident_wavelength",
        detector + "/transformations/laboratory"})
    EXPECT_THAT(problem([&](Changed& file) { file.remove(field); }),
                AllOf(HasSubstr("\"" + field + "\""), HasSubstr("is missing")));
  EXPECT_EQ(problem([&](Changed& file) { file.remove("/entry/definition"); }),
            "is HDF5 and no NXmx: it has no group of class NXentry whose definition is NXmx");
  for (const auto& [group, within, what] :
       {std::tuple{std::string("/entry/instrument"), std::string("/entry"), "NXinstrument"},
        {detector, std::string("/entry/instrument"), "NXdetector"},
        {beam, std::string("/entry/instrument"), "NXbeam"},
        {module, detector, "NXdetector_module"}})
    EXPECT_EQ(problem([&](Changed& file) { file.remove(group); }),
              "\"" + within + "\", a group of class " + what + " within, is missing");
  EXPECT_THAT(problem([&](Changed& file) {
                file.remove("/entry/data");
                file.remove(detector + "/data");
              }),
              HasSubstr("\"/entry/data/data\", the images, is missing"));
}

TEST_F(Nxmx, NamesTheAttributeThatIsMissing) {
  for (const auto& [field, attribute] : {std::pair{module + "/fast_pixel_direction", "vector"},
                                         {module + "/slow_pixel_direction", "vector"},
                                         {module + "/fast_pixel_direction", "units"},
                                         {module + "/module_offset", "units"},
                                         {module + "/module_offset", "vector"},
                                         {module + "/module_offset", "transformation_type"},
                                         {beam + "/incident_wavelength", "units"},
                                         {detector + "/sensor_thickness", "units"}})
    EXPECT_THAT(problem([&](Changed& file) { file.remove_attribute(field, attribute); }),
                AllOf(HasSubstr("\"" + field + "@" + attribute + "\""), HasSubstr("is missing")));
}

TEST_F(Nxmx, SaysWhatIsWrongWithAField) {
  const std::string offset = module + "/module_offset";
  for (const auto& [change, said] :
       std::vector<std::pair<std::function<void(Changed&)>, std::string>>{
           {[&](Changed& f) { f.attribute(offset, "units", "furlong"); },
            "@units\" is \"furlong\", which is not known here as the unit of a length"},
           {[&](Changed& f) { f.attribute(offset, "transformation_type", "shear"); },
            "is \"shear\", not translation or rotation"},
           {[&](Changed& f) { f.attribute(offset, "depends_on", offset); },
            "goes round in a circle"},
           {[&](Changed& f) { f.attribute(offset, "vector", "x"); }, "has not three components"},
           {[&](Changed& f) {
              f.numbers(module + "/data_size", {5, 1e12}, {2});
            },
            "is no number of pixels"},
           {[&](Changed& f) {
              f.numbers(module + "/data_size", {5, 2.5}, {2});
            },
            "is no number of pixels"},
           {[&](Changed& f) {
              f.numbers(module + "/data_size", {9e8, 9e8}, {2});
            },
            "more pixels than any detector"},
           {[&](Changed& f) { f.numbers(module + "/data_size", {5}, {1}); },
            "has 1 values, not two or three"},
           {[&](Changed& f) {
              f.numbers(module + "/data_size", {1, 5, 7}, {3});
            },
            "of different length"},
           {[&](Changed& f) {
              f.numbers(module + "/data_size", {5, 8}, {2});
            },
            "lies outside the images"},
           {[&](Changed& f) {
              f.numbers(module + "/data_origin", {1, 0}, {2});
            },
            "lies outside the images"},
           {[&](Changed& f) {
              f.numbers(module + "/data_stride", {1, 2}, {2});
            },
            "leaves pixels out"},
           {[&](Changed& f) { f.text(module + "/data_size", "5 7"); }, "holds no numbers"},
           {[&](Changed& f) {
              f.numbers(beam + "/incident_wavelength", {-1}, {1});
              f.attribute(beam + "/incident_wavelength", "units", "angstrom");
            },
            "not positive"},
           {[&](Changed& f) {
              f.numbers(beam + "/incident_wavelength_weights", {1, 1}, {2});
            },
            "another length"},
           {[&](Changed& f) {
              f.numbers(detector + "/saturation_value", {std::numeric_limits<double>::quiet_NaN()},
                        {1});
            },
            "no finite number"},
           {[&](Changed& f) {
              f.numbers(detector + "/saturation_value", {1, 2}, {2});
            },
            "has 2 values where one is expected"},
           {[&](Changed& f) {
              f.numbers(detector + "/pixel_mask", {0, 0}, {1, 2});
            },
            "lies outside the images of \"" + detector + "/pixel_mask\""},
           {[&](Changed& f) {
              f.remove("/entry/data/data");
              f.numbers("/entry/data/data", {1, 2}, {2});
            },
            "has 1 axes, not 3"},
           {[&](Changed& f) { f.text("/entry/definition", "NXsas"); }, "no NXmx"}})
    EXPECT_THAT(problem(change), HasSubstr(said));
}

TEST_F(Nxmx, ReadsAxesOfAnyUnitAndKind) {
  const std::string offset = module + "/module_offset",
                    laboratory = detector + "/transformations/laboratory";
  const ImageFile file = read_after(still(), [&](Changed& f) {
    f.numbers(module + "/fast_pixel_direction", {100}, {1}, H5T_STD_I16BE);
    f.attribute(module + "/fast_pixel_direction", "units", "um");
    f.attribute(module + "/fast_pixel_direction", "depends_on", "module_offset");  // beside it
    f.numbers(laboratory, {0.25}, {1}, H5T_IEEE_F32LE);
    f.attribute(laboratory, "units", "m");
    f.attribute(laboratory, "transformation_type", "translation");
    f.attribute(laboratory, "depends_on", ".");
    const double z[3] = {0, 0, 1};
    const double x[3] = {-1, 0, 0};
    const hsize_t three = 3;
    const io::hdf5::Space space(H5Screate_simple(1, &three, nullptr));
    for (const auto& [path, vector] :
         {std::pair{laboratory, z}, {module + "/fast_pixel_direction", x}}) {
      const io::hdf5::Attribute made(H5Acreate_by_name(f.id(), path.c_str(), "vector",
                                                       H5T_NATIVE_DOUBLE, space.get(), H5P_DEFAULT,
                                                       H5P_DEFAULT, H5P_DEFAULT));
      H5Awrite(made.get(), H5T_NATIVE_DOUBLE, vector);
    }
  });
  EXPECT_NEAR(file.geometry.panels[0].fast_pixel_mm, 0.1, 1e-15);
  expect_near(file.geometry.panels[0].origin_mm, {-0.3, 0.4, -373.456}, 1e-12);
  expect_near(file.geometry.panels[0].fast_axis, {1, 0, 0}, 1e-15);
}

TEST_F(Nxmx, ASensorThatIsNotStatedIsSaid) {
  const ImageFile file = read_after(still(), [](Changed& f) {
    f.remove(detector + "/sensor_material");
    f.remove(detector + "/sensor_thickness");
  });
  EXPECT_EQ(file.geometry.panels[0].sensor_material, "");
  EXPECT_THAT(file.geometry.notices, ElementsAre(HasSubstr("states no sensor_material")));
}

TEST_F(Nxmx, ReadsPixelsOfEveryKind) {
  for (const hid_t type :
       {H5T_STD_I8LE, H5T_STD_U8LE, H5T_STD_I16BE, H5T_STD_U16LE, H5T_STD_I32BE, H5T_STD_U32LE,
        H5T_STD_I64LE, H5T_STD_U64LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE}) {
    std::vector<double> pixels(35);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<double>(3 * i);
    const ImageFile file = read_after(still(), [&](Changed& f) {
      f.remove("/entry/data/data");
      f.numbers("/entry/data/data", pixels, {1, 5, 7}, type);
    });
    EXPECT_EQ(file.pixels, pixels);
  }
}

TEST_F(Nxmx, MarksOfUnsignedPixelsAreNoCounts) {
  const auto pixels_after = [&](std::vector<double> first, hid_t type, double bits) {
    first.resize(35);
    return read_after(still(),
                      [&](Changed& f) {
                        f.remove("/entry/data/data");
                        f.numbers("/entry/data/data", first, {1, 5, 7}, type);
                        if (bits > 0) f.numbers(detector + "/bit_depth_readout", {bits}, {1});
                        f.remove(detector + "/underload_value");
                      })
        .pixels;
  };
  const auto none = testing::IsNan();
  using testing::DoubleEq;
  using testing::ElementsAreArray;
  const auto first = [](const std::vector<double>& pixels) {
    return std::vector<double>(pixels.begin(), pixels.begin() + 3);
  };
  EXPECT_THAT(first(pixels_after({65535, 65534, 65533}, H5T_STD_U16LE, 16)),
              ElementsAre(none, none, DoubleEq(65533)));
  EXPECT_THAT(first(pixels_after({65535, 65534, 65533}, H5T_STD_U16LE, 0)),
              ElementsAre(DoubleEq(65535), DoubleEq(65534), DoubleEq(65533)));
  EXPECT_THAT(first(pixels_after({4294967295.0, 4294967294.0, 4294967293.0}, H5T_STD_U32LE, 0)),
              ElementsAre(none, none, DoubleEq(4294967293.0)));
  EXPECT_THAT(first(pixels_after({2147483647, 2147483646, -1}, H5T_STD_I32LE, 32)),
              ElementsAre(none, none, DoubleEq(-1)));
}

TEST_F(Nxmx, MarksHaveTheBitsOfTheImageNotThoseOfTheElectronics) {
  std::vector<double> pixels{4095, 4094, 65534, 65535};
  pixels.resize(35);
  const ImageFile file = read_after(still(), [&](Changed& f) {
    f.remove("/entry/data/data");
    f.numbers("/entry/data/data", pixels, {1, 5, 7}, H5T_STD_U16LE);
    f.numbers(detector + "/bit_depth_readout", {12}, {1});
    f.numbers(detector + "/bit_depth_image", {16}, {1});
  });
  const auto none = testing::IsNan();
  EXPECT_THAT(std::vector<double>(file.pixels.begin(), file.pixels.begin() + 4),
              ElementsAre(4095.0, 4094.0, none, none));
}

TEST_F(Nxmx, ASizeWithTheFastAxisFirstIsTurnedWhereTheImagesSaySo) {
  const auto change = [](Changed& f) { f.numbers(module + "/data_size", {7, 5}, {2}); };
  const ImageFile file = read_after(still(), change);
  EXPECT_EQ(file.geometry.panels[0].fast_pixels, 7);
  EXPECT_EQ(file.geometry.panels[0].slow_pixels, 5);
  EXPECT_THAT(file.geometry.notices, testing::Contains(HasSubstr("7 x 5 pixels, as the images")));
  const std::vector<std::int32_t> counts = counts_of(still(), 0);
  EXPECT_EQ(file.pixels, std::vector<double>(counts.begin(), counts.end()));
  const Geometry geometry = read_nxmx_geometry(folder / "image.nxs");
  EXPECT_EQ(geometry.panels[0].fast_pixels, 7);
  EXPECT_EQ(geometry.panels[0].slow_pixels, 5);
}

TEST_F(Nxmx, AModuleThatDoesNotFitTheImagesHasNoGeometryEither) {
  read_after(still(), [](Changed&) {});
  {
    Changed file(folder / "image.nxs");
    file.numbers(module + "/data_size", {5, 8}, {2});
  }
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx_geometry(folder / "image.nxs"); }),
              HasSubstr("lies outside the images"));
}

TEST_F(Nxmx, ImagesAloneAskForTheFileThatLinksToThem) {
  EXPECT_THAT(message_of<InputError>([&] {
                read_after(still(), [](Changed& f) {
                  f.remove("/entry/definition");
                  f.remove("/entry/instrument");
                });
              }),
              HasSubstr("; it holds images alone, so give the file that links to it"));
}

TEST_F(Nxmx, SaturationOfAnEarlyEigerIsItsCountrateCutoff) {
  const ImageFile file = read_after(still(), [](Changed& f) {
    f.remove(detector + "/saturation_value");
    const std::string specific = detector + "/detectorSpecific";
    const io::hdf5::Object group(
        H5Gcreate2(f.id(), specific.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    f.numbers(specific + "/countrate_correction_count_cutoff", {60123}, {1});
  });
  EXPECT_EQ(file.geometry.panels[0].saturation, 60123);
}

TEST_F(Nxmx, PixelsBelowTheUnderloadAreNoCounts) {
  ImageSeries series = still();
  series.geometry.panels[0].underload = -10;
  std::vector<std::int32_t> counts(35);
  counts[0] = -10;
  counts[1] = -11;
  const auto writer = open_nxmx(folder / "x.nxs", series);
  writer->add(counts);
  writer->close();
  const ImageFile file = read_nxmx(folder / "x.nxs");
  EXPECT_EQ(file.pixels[0], -10);
  EXPECT_TRUE(std::isnan(file.pixels[1]));
}

/// The images in a file of their own, behind a link or in a virtual data set.
void move_images(Changed& master, const TempDir& folder, bool virtual_set) {
  const std::string other = folder / "images.h5";
  {
    const io::hdf5::File file(H5Fcreate(other.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    H5Ocopy(master.id(), "/entry/data/data", file.get(), "images", H5P_DEFAULT, H5P_DEFAULT);
  }
  master.remove("/entry/data/data");
  master.remove(detector + "/data");
  if (!virtual_set) {
    H5Lcreate_external("images.h5", "/images", master.id(), "/entry/data/data_000001", H5P_DEFAULT,
                       H5P_DEFAULT);
    return;
  }
  const hsize_t shape[3] = {1, 5, 7};
  const io::hdf5::Space space(H5Screate_simple(3, shape, nullptr));
  const io::hdf5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_virtual(creation.get(), space.get(), "images.h5", "/images", space.get());
  const io::hdf5::Object made(H5Dcreate2(master.id(), "/entry/data/data", H5T_STD_I32LE,
                                         space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
}

TEST_F(Nxmx, FollowsLinksAndVirtualDataSets) {
  for (const bool virtual_set : {false, true}) {
    const auto move = [&](Changed& file) { move_images(file, folder, virtual_set); };
    const ImageFile file = read_after(still(), move);
    EXPECT_EQ(file.pixels[1], 37);
    EXPECT_EQ(file.images, 1);
    std::filesystem::remove(folder / "images.h5");
    const std::string said = message_of<InputError>([&] { read_nxmx(folder / "image.nxs"); });
    EXPECT_THAT(said, AllOf(HasSubstr("\"images.h5\", which cannot be opened"),
                            HasSubstr("beside this one")));
  }
}

TEST_F(Nxmx, NamesTheFilterThatIsNotThere) {
  for (const H5Z_filter_t filter : {32013, 32008, 40000}) {
    {
      const io::hdf5::Session session;
      if (H5Zfilter_avail(filter) > 0) continue;
    }
    const std::string said = problem([&](Changed& file) {
      file.remove("/entry/data/data");
      file.remove(detector + "/data");
      const hsize_t shape[3] = {1, 5, 7};
      const io::hdf5::Space space(H5Screate_simple(3, shape, nullptr));
      const io::hdf5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
      H5Pset_chunk(creation.get(), 3, shape);
      H5Pset_filter(creation.get(), filter, H5Z_FLAG_OPTIONAL, 0, nullptr);
      const io::hdf5::Object made(H5Dcreate2(file.id(), "/entry/data/data", H5T_STD_I32LE,
                                             space.get(), H5P_DEFAULT, creation.get(),
                                             H5P_DEFAULT));
      const hsize_t begin[3] = {0, 0, 0};
      H5Dwrite_chunk(made.get(), H5P_DEFAULT, 0, begin, 4, "abcd");
    });
    if (filter == 32013)
      EXPECT_EQ(said,
                "\"/entry/data/data\" is packed with the HDF5 filter ZFP (32013), which is not "
                "installed; install Debian's package hdf5-filter-plugin-zfp-serial");
    else
      EXPECT_THAT(said, HasSubstr(std::to_string(filter)));
  }
}

TEST_F(Nxmx, AMaskInAFileThatIsNotThereLeavesTheGeometryAsItIs) {
  const std::string said = problem([](Changed& f) {
    H5Lcreate_external("meta.h5", "mask", f.id(), (detector + "/pixel_mask").c_str(), H5P_DEFAULT,
                       H5P_DEFAULT);
  });
  EXPECT_EQ(said,
            "\"" + detector +
                "/pixel_mask\" is a link to \"mask\" of the file \"meta.h5\", which cannot be "
                "opened; put that file beside this one");
  const Geometry geometry = read_nxmx_geometry(folder / "image.nxs");
  expect_same_panels(geometry, still().geometry);
  EXPECT_THAT(geometry.notices, ElementsAre(AllOf(HasSubstr("no pixel is taken to be masked"),
                                                  HasSubstr("meta.h5"))));
}

TEST_F(Nxmx, APixelMaskThatWasNeverWrittenMasksNothing) {
  const ImageFile file = read_after(still(), [](Changed& f) {
    const hsize_t shape[2] = {5, 7};
    const io::hdf5::Space space(H5Screate_simple(2, shape, nullptr));
    H5Dclose(H5Dcreate2(f.id(), (detector + "/pixel_mask").c_str(), H5T_STD_U32LE, space.get(),
                        H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  });
  EXPECT_THAT(file.geometry.panels[0].masked, IsEmpty());
}

TEST_F(Nxmx, ImagesThatWereNeverWrittenAreNoZeros) {
  EXPECT_THAT(problem([](Changed& f) {
                f.remove("/entry/data/data");
                f.remove(detector + "/data");
                const hsize_t shape[3] = {1, 5, 7};
                const io::hdf5::Space space(H5Screate_simple(3, shape, nullptr));
                H5Dclose(H5Dcreate2(f.id(), "/entry/data/data", H5T_STD_I32LE, space.get(),
                                    H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
              }),
              HasSubstr("holds no images: none was written"));
}

TEST_F(Nxmx, WhatIsNoRegularFileOfHdf5IsRefused) {
  const std::string packed = folder.file("packed.nxs", "\x1F\x8B\b and so on");
  EXPECT_EQ(message_of<InputError>([&] { read_nxmx(packed); }),
            packed + ": is packed by gzip, and HDF5 is read unpacked alone; unpack it first");
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx(folder / "none.h5"); }),
              HasSubstr("No such file"));
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx(folder.file("text.h5", "text")); }),
              HasSubstr("cannot be opened as HDF5"));
  EXPECT_THAT(message_of<InputError>([&] { read_nxmx("/dev/null"); }),
              HasSubstr("not a regular file"));
}

TEST_F(Nxmx, ADamagedFileIsReadOrRefused) {
  ImageSeries series = many_panels();
  written(folder, series);
  const std::string whole = folder.content("image.nxs");
  // The errors alone are looked at: a file that is cut is always refused, a byte may be one of many
  // that nobody reads.
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += 257)
    EXPECT_NE(
        message_of<InputError>([&] { read_nxmx(folder.file("cut.nxs", whole.substr(0, bytes))); }),
        "nothing was thrown")
        << bytes;
  int refused = 0;
  std::uint32_t random = 7;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = whole;
    for (int k = 0; k < 4; ++k) {
      random = random * 1664525u + 1013904223u;
      damaged[(random >> 4) % damaged.size()] ^= static_cast<char>(1 + (random >> 27));
    }
    const std::string path = folder.file("damaged.nxs", damaged);
    refused += message_of<InputError>([&] { read_nxmx(path); }) != "nothing was thrown";
  }
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace nablabragg
