// CBF: byte offsets, what is written for which geometry, and headers of others, whole and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "io/cbf.hpp"
#include "io/cbf_byte_offset.hpp"
#include "io/image_series.hpp"
#include "io/img_cif.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::int64_t least = std::numeric_limits<std::int32_t>::min(),
                       most = std::numeric_limits<std::int32_t>::max();

std::string compressed(const std::vector<std::int32_t>& numbers) {
  std::string bytes;
  compress_byte_offset(numbers, bytes);
  return bytes;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  if (at == std::string::npos) throw std::runtime_error("the text holds no " + what);
  return text.replace(at, what.size(), by);
}

// ---- Byte offsets -------------------------------------------------------------------------------

TEST(ByteOffset, TakesAsFewBytesAsADifferenceNeeds) {
  EXPECT_EQ(compressed({5, 132, 5}), std::string("\x05\x7f\x81", 3));
  EXPECT_EQ(compressed({128}), std::string("\x80\x80\x00", 3));
  EXPECT_EQ(compressed({-128}), std::string("\x80\x80\xff", 3));
  EXPECT_EQ(compressed({32768}), std::string("\x80\x00\x80\x00\x80\x00\x00", 7));
  EXPECT_EQ(compressed({-32768}), std::string("\x80\x00\x80\x00\x80\xff\xff", 7));
  EXPECT_EQ(compressed({-2147483647 - 1}).size(), 15);
}

TEST(ByteOffset, GivesAnyNumbersBack) {
  std::mt19937 random(14);
  std::vector<std::int32_t> numbers;
  for (int i = 0; i < 20000; ++i)
    numbers.push_back(static_cast<std::int32_t>(random()) >> (random() % 32));
  for (const std::int32_t edge : {-2147483647 - 1, 2147483647, 0, -1, 2147483647, -2})
    numbers.push_back(edge);
  const std::string bytes = compressed(numbers);
  const auto back = expand_byte_offset(bytes, numbers.size(), least, most);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, std::vector<double>(numbers.begin(), numbers.end()));
  EXPECT_EQ(expand_byte_offset(std::string_view(bytes).substr(0, bytes.size() - 1), numbers.size(),
                               least, most),
            std::nullopt);
}

TEST(ByteOffset, RefusesCountsThatTheBytesCannotHoldBeforeItTakesMemory) {
  EXPECT_EQ(expand_byte_offset("\x01\x02", std::size_t{1} << 40, least, most), std::nullopt);
}

TEST(ByteOffset, RefusesNumbersThatTheTypeDoesNotHold) {
  EXPECT_EQ(expand_byte_offset(compressed({100, 40000}), 2, -32768, 32767), std::nullopt);
  EXPECT_EQ(expand_byte_offset(compressed({-1}), 1, 0, 65535), std::nullopt);
}

// ---- Series -------------------------------------------------------------------------------------

/// Square to the beam: what mini-CBF states.
ImageSeries flat_series(int images = 1) {
  ImageSeries series;
  GeometryPanel panel;
  panel.fast_pixels = 4;
  panel.slow_pixels = 3;
  panel.fast_pixel_mm = 0.172;
  panel.slow_pixel_mm = 0.1;
  panel.origin_mm = {-0.5, 0.25, -123.4567890123};
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  panel.sensor_material = "CdTe";
  panel.sensor_thickness_mm = 1;
  panel.saturation = 1e6;
  series.geometry.panels = {panel};
  series.geometry.beam.emplace().wavelength_A = 0.98765432109;
  GeometryScan& scan = series.geometry.scan.emplace();
  scan.start_deg = 10;
  scan.width_deg = 0.25;
  scan.first_image = 7;
  scan.exposure_s = 0.5;
  for (int i = 0; i < images; ++i) series.images.push_back({10 + 0.25 * i, 0});
  series.provenance = {"nablaBragg 0", "nablabragg -o a.cbf", 0, "", "2026-11-28T18:50:08Z"};
  return series;
}

const std::vector<std::int32_t> twelve{0, 1, 2, -1, 300, 70000, -2, 1000000, 0, 5, 5, 127};

void write(const std::string& path, const ImageSeries& series) {
  const auto writer = cbf_format().open(path, series);
  for (std::size_t i = 0; i < series.images.size(); ++i) {
    std::vector<std::int32_t> counts;
    for (std::size_t p = 0; p < series.geometry.panels.size(); ++p)
      counts.insert(counts.end(), twelve.begin(), twelve.end());
    writer->add(counts);
  }
  writer->close();
}

std::string written(const ImageSeries& series) {
  const TempDir dir;
  write(dir / "a.cbf", series);
  return dir.content("a.cbf");
}

ImageFile image_of(const std::string& bytes) {
  const TempDir dir;
  return read_cbf(dir.file("a.cbf", bytes), 0);
}

std::string without(const std::string& text, const std::string& dir) {
  return text.starts_with(dir) ? text.substr(dir.size()) : text;
}

std::string problem_of(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.file("a.cbf", bytes);
  return without(message_of<InputError>([&] { read_cbf(path, 0); }), dir / "");
}

std::string geometry_problem_of(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.file("a.cbf", bytes);
  return without(message_of<InputError>([&] { read_cbf_geometry(path); }), dir / "");
}

/// Three panels, one of them turned about the spindle.
ImageSeries tilted_series() {
  ImageSeries series = flat_series();
  GeometryPanel turned = series.geometry.panels[0];
  turned.slow_axis = {0, -0.8, 0.6};
  turned.origin_mm = {1, 2, -90};
  series.geometry.panels.push_back(turned);
  return series;
}

TEST(CbfSeries, NamesItsFilesByTheNumbersOfTheirImages) {
  const ImageSeries three = flat_series(3), one = flat_series();
  EXPECT_EQ(
      files_of_series("d.1/lyso.cbf", three),
      (std::vector<std::string>{"d.1/lyso_00007.cbf", "d.1/lyso_00008.cbf", "d.1/lyso_00009.cbf"}));
  EXPECT_EQ(files_of_series("lyso.cbf", one), std::vector<std::string>{"lyso.cbf"});
  EXPECT_EQ(files_of_series("lyso_###.cbf", one), std::vector<std::string>{"lyso_007.cbf"});
  EXPECT_EQ(files_of_series("d#/lyso", three)[0], "d#/lyso_00007");
  ImageSeries stills = three;
  stills.geometry.scan.reset();
  EXPECT_EQ(files_of_series("#.cbf", stills),
            (std::vector<std::string>{"1.cbf", "2.cbf", "3.cbf"}));
}

TEST(CbfSeries, HasNoFileBeforeAllOfItsImagesAreThere) {
  const TempDir dir;
  {
    const auto writer = cbf_format().open(dir / "a.cbf", flat_series(3));
    writer->add(twelve);
    writer->add(twelve);
    EXPECT_EQ(message_of<OutputError>([&] { writer->close(); }),
              "cannot write " + (dir / "a_00009.cbf") + ": only 2 of 3 images were made");
  }
  EXPECT_THAT(dir.names(), IsEmpty());
  write(dir / "a.cbf", flat_series(3));
  EXPECT_THAT(dir.names(), UnorderedElementsAre("a_00007.cbf", "a_00008.cbf", "a_00009.cbf"));
}

TEST(CbfSeries, MayHaveMoreImagesThanAProcessHasDescriptors) {
  const TempDir dir;
  write(dir / "a.cbf", flat_series(3000));
  EXPECT_EQ(dir.names().size(), 3000);
}

TEST(CbfSeries, RefusesAFolderThatIsNotThereBeforeAnyImageIsMade) {
  const TempDir dir;
  EXPECT_THAT(message_of<OutputError>([&] { cbf_format().open(dir / "no/a.cbf", flat_series()); }),
              HasSubstr("No such file or directory"));
}

TEST(CbfSeries, TakesImagesOfTheirSizeAlone) {
  const TempDir dir;
  const auto writer = cbf_format().open(dir / "a.cbf", flat_series());
  EXPECT_EQ(message_of<OutputError>([&] { writer->add(std::vector<std::int32_t>(11)); }),
            "cannot write " + (dir / "a.cbf") + ": the panels have 12 pixels, not 11");
  writer->add(twelve);
  EXPECT_EQ(message_of<OutputError>([&] { writer->add(twelve); }),
            "cannot write " + (dir / "a.cbf") + ": the series has only 1 images");
  EXPECT_THROW(writer->add(std::vector<float>(12)), UsageError);
}

TEST(Cbf, HasAMiniHeaderWhereItsReadersAreRightAndAxesElsewhere) {
  EXPECT_THAT(written(flat_series()), HasSubstr("\"GENERIC_MINI\""));
  const auto has_axes = [](const ImageSeries& series) {
    const std::string text = written(series);
    return text.find("GENERIC_MINI") == std::string::npos &&
           text.find("_axis.vector[1]") != std::string::npos;
  };
  ImageSeries series = flat_series();
  series.geometry.panels[0].slow_axis = {0, 1, 0};
  EXPECT_TRUE(has_axes(series));
  series = flat_series();
  series.geometry.panels[0].fast_axis = {std::cos(1e-6), 0, std::sin(1e-6)};
  EXPECT_TRUE(has_axes(series));
  series = flat_series();
  series.geometry.scan->spindle_axis = {-1, 0, 0};
  EXPECT_TRUE(has_axes(series));
  series = flat_series();
  series.geometry.panels[0].origin_mm.z = 100;
  EXPECT_TRUE(has_axes(series));
  series = flat_series();
  series.geometry.panels[0].gain = 2;
  EXPECT_TRUE(has_axes(series));
  series = flat_series();
  series.geometry.scan.reset();
  EXPECT_FALSE(has_axes(series)) << "its sensor is said in a mini header alone";
  series.geometry.panels[0].sensor_thickness_mm = 0;
  EXPECT_TRUE(has_axes(series)) << "DIALS reads a still";
  EXPECT_TRUE(has_axes(tilted_series()));
}

TEST(Cbf, SaysWhatProgramsWillNotFindInIt) {
  ImageSeries series = flat_series();
  EXPECT_THAT(cbf_notices(series), IsEmpty());
  series.geometry.beam->polarization = 0;
  EXPECT_THAT(cbf_notices(series), testing::ElementsAre(HasSubstr("nothing of polarization")));
  series.geometry.beam->polarization = 1;
  series.geometry.panels[0].slow_axis = {0, 1, 0};
  EXPECT_THAT(cbf_notices(series), testing::ElementsAre(HasSubstr("does not read the sensor")));
  series = flat_series();
  series.geometry.panels[0].sensor_material = "Ge";
  EXPECT_THAT(cbf_notices(series), testing::ElementsAre(HasSubstr("does not read the sensor")));
  series = flat_series();
  series.geometry.scan.reset();
  EXPECT_THAT(cbf_notices(series), testing::ElementsAre(HasSubstr("scan of no width")));
}

TEST(Cbf, ReadsItsOwnFilesToTheLastDigit) {
  for (const ImageSeries& series : {flat_series(), tilted_series()}) {
    const ImageFile image = image_of(written(series));
    ASSERT_EQ(image.geometry.panels.size(), series.geometry.panels.size());
    for (std::size_t i = 0; i < image.geometry.panels.size(); ++i) {
      const GeometryPanel &ours = image.geometry.panels[i], &wanted = series.geometry.panels[i];
      EXPECT_LT(length(ours.origin_mm - wanted.origin_mm), 1e-12);
      EXPECT_LT(length(ours.fast_axis - wanted.fast_axis), 1e-14);
      EXPECT_LT(length(ours.slow_axis - wanted.slow_axis), 1e-14);
      EXPECT_EQ(ours.sensor_material, "CdTe");
      EXPECT_DOUBLE_EQ(ours.sensor_thickness_mm, 1);
      EXPECT_EQ(ours.saturation, 1e6);
      for (std::size_t k = 0; k < 12; ++k) {
        const double pixel = image.pixels[12 * i + k];
        if (twelve[k] < 0)
          EXPECT_TRUE(std::isnan(pixel));
        else
          EXPECT_EQ(pixel, twelve[k]);
      }
    }
    EXPECT_EQ(image.format, "CBF");
    EXPECT_THAT(image.geometry.notices, IsEmpty());
    EXPECT_DOUBLE_EQ(image.geometry.beam->wavelength_A, 0.98765432109);
    EXPECT_EQ(image.geometry.beam->polarization, std::nullopt);
    ASSERT_TRUE(image.geometry.scan);
    EXPECT_EQ(image.geometry.scan->width_deg, 0.25);
    EXPECT_EQ(image.geometry.scan->exposure_s, 0.5);
  }
}

TEST(Cbf, KeepsACommandLineFromBeingTakenForAHeader) {
  ImageSeries series = flat_series();
  series.provenance.command_line = "nablabragg # Wavelength 5 A\n# Beam_xy (0, 0)\n;\ndata_x " +
                                   std::string(3000, 'x');
  EXPECT_DOUBLE_EQ(image_of(written(series)).geometry.beam->wavelength_A, 0.98765432109);
  series.geometry.panels[0].slow_axis = {0, 1, 0};
  EXPECT_DOUBLE_EQ(image_of(written(series)).geometry.beam->wavelength_A, 0.98765432109);
}

TEST(Cbf, StatesEachStillsOwnWavelength) {
  ImageSeries series = flat_series(2);
  series.images[1].wavelength_A = 1.25;
  const TempDir dir;
  write(dir / "a.cbf", series);
  EXPECT_EQ(read_cbf_geometry(dir / "a_00008.cbf").beam->wavelength_A, 1.25);
}

// ---- Headers of others --------------------------------------------------------------------------

/// A mini-CBF of 2 x 1 pixels with these comment lines.
std::string mini(const std::string& lines, const std::string& pixels = compressed({7, -1})) {
  return "###CBF: VERSION 1.5\r\n\r\ndata_a\r\n\r\n_array_data.header_convention "
         "\"PILATUS_1.2\"\r\n"
         "_array_data.header_contents\r\n;\r\n" +
         lines +
         ";\r\n_array_data.data\r\n;\r\n--CIF-BINARY-FORMAT-SECTION--\r\n"
         "Content-Type: application/octet-stream;\r\n     conversions=\"x-CBF_BYTE_OFFSET\"\r\n"
         "Content-Transfer-Encoding: BINARY\r\nX-Binary-Size: " +
         std::to_string(pixels.size()) +
         "\r\nX-Binary-Element-Type: \"signed 32-bit integer\"\r\n"
         "X-Binary-Element-Byte-Order: LITTLE_ENDIAN\r\nX-Binary-Number-of-Elements: 2\r\n"
         "X-Binary-Size-Fastest-Dimension: 2\r\nX-Binary-Size-Second-Dimension: 1\r\n\r\n"
         "\x0C\x1A\x04\xD5" +
         pixels + "\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n";
}

const std::string needed =
    "# Pixel_size 75e-6 m x 75e-6 m\r\n# Wavelength 0.9 A\r\n"
    "# Detector_distance 0.2 m\r\n# Beam_xy (1000.5, 2000.25) pixels\r\n";

/// With this line in the place of the one of its key.
std::string needed_but(const std::string& line) {
  const std::string key = line.substr(0, line.find(' ', 2) + 1);
  const std::size_t at = needed.find(key);
  return needed.substr(0, at) + line + needed.substr(needed.find("\r\n", at));
}

TEST(MiniCbf, IsReadAsDectrisWritesIt) {
  const ImageFile image = image_of(mini(
      "# Detector: Dectris EIGER 16M, S/N E-32-0100\r\n# 2016-01-02T03:04:05.678\r\n" + needed +
      "# CdTe sensor, thickness 0.000750 m\r\n# Exposure_period 0.0100 s\r\n"
      "# Count_cutoff 65535 counts\r\n# Start_angle 30.0000 deg.\r\n"
      "# Angle_increment 0.1000 deg.\r\n"));
  const GeometryPanel& panel = image.geometry.panels[0];
  EXPECT_EQ(image.geometry.detector_name, "Dectris EIGER 16M");
  EXPECT_DOUBLE_EQ(panel.origin_mm.x, -1000.5 * 0.075);
  EXPECT_DOUBLE_EQ(panel.origin_mm.y, 2000.25 * 0.075);
  EXPECT_DOUBLE_EQ(panel.origin_mm.z, -200);
  EXPECT_EQ(panel.fast_axis, (Vec3d{1, 0, 0}));
  EXPECT_EQ(panel.slow_axis, (Vec3d{0, -1, 0}));
  EXPECT_EQ(panel.sensor_material, "CdTe");
  EXPECT_DOUBLE_EQ(panel.sensor_thickness_mm, 0.75);
  EXPECT_EQ(panel.saturation, 65535);
  EXPECT_EQ(image.geometry.scan->start_deg, 30);
  EXPECT_EQ(image.geometry.scan->width_deg, 0.1);
  EXPECT_EQ(image.geometry.scan->exposure_s, 0.01);
  EXPECT_EQ(image.pixels[0], 7);
  EXPECT_TRUE(std::isnan(image.pixels[1]));
  EXPECT_THAT(image.geometry.notices, IsEmpty());
}

TEST(MiniCbf, SaysWhatItLeavesOut) {
  const Geometry geometry = image_of(mini(needed +
                                          "# Detector_2theta 20.0000 deg.\r\n"
                                          "# Kappa -0.002 deg.\r\n# Chi 0.0000 deg.\r\n"
                                          "# Phi 1.0000 deg.\r\n# Start_angle 1.0000 deg.\r\n"))
                                .geometry;
  EXPECT_THAT(
      geometry.notices,
      testing::ElementsAre(
          "the header says Detector_2theta \"20.0000 deg.\", Kappa \"-0.002 deg.\", which is "
          "left out, as in DIALS: the panel is taken to be square to the beam, and the "
          "spindle along its rows"));
}

TEST(MiniCbf, TurnsTheAxisOverForANegativeIncrement) {
  const Geometry geometry = image_of(mini(needed + "# Start_angle 30 deg.\r\n"
                                                   "# Angle_increment -0.5 deg.\r\n"))
                                .geometry;
  EXPECT_EQ(geometry.scan->spindle_axis, (Vec3d{-1, 0, 0}));
  EXPECT_EQ(geometry.scan->start_deg, -30);
  EXPECT_EQ(geometry.scan->width_deg, 0.5);
}

TEST(MiniCbf, NamesTheKeysThatItLacks) {
  const std::string bytes = mini(
      "# Detector: X\r\n# Wavelength 1 A\r\n# Beam_xy (1, 2) pixels\r\n");
  EXPECT_EQ(geometry_problem_of(bytes),
            "a.cbf: the header holds no Pixel_size and Detector_distance");
  const ImageFile image = image_of(bytes);
  EXPECT_EQ(image.pixels[0], 7);
  EXPECT_EQ(image.geometry.panels[0].fast_pixels, 2);
  EXPECT_THAT(
      image.geometry.notices,
      testing::ElementsAre("the header holds no Pixel_size and Detector_distance, so it does "
                           "not say where the detector is"));
  EXPECT_EQ(geometry_problem_of(mini("# Something else\r\n")),
            "a.cbf: the header holds no _array_data.header_contents (mini-CBF) and no _axis.id "
            "(imgCIF)");
}

TEST(MiniCbf, RefusesWhatIsNoNumberOfTheRightUnit) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"# Wavelength one A", "Wavelength is no number: \"one A\""},
      {"# Wavelength nan A", "Wavelength is no number: \"nan A\""},
      {"# Wavelength 5e9 A", "Wavelength cannot be meant: \"5e9 A\""},
      {"# Wavelength 12 keV", "Wavelength has a unit that is not known: \"12 keV\""},
      {"# Detector_distance 0.2 furlongs",
       "Detector_distance has a unit that is not known: \"0.2 furlongs\""},
      {"# Detector_distance -0.2 m", "Detector_distance cannot be meant: \"-0.2 m\""},
      {"# Beam_xy (5) pixels", "Beam_xy has one number and needs two: \"(5) pixels\""},
      {"# Pixel_size 75e-6 m", "Pixel_size has one number and needs two: \"75e-6 m\""},
      {"# Pixel_size 0 m x 0 m", "Pixel_size cannot be meant: \"0 m x 0 m\""}};
  for (const auto& [line, problem] : cases)
    EXPECT_EQ(problem_of(mini(needed_but(line))), "a.cbf: " + problem);
  EXPECT_EQ(
      image_of(mini(needed_but("# Pixel_size 75 um X 80 um"))).geometry.panels[0].slow_pixel_mm,
      0.08);
}

TEST(MiniCbf, RefusesKeysThatContradictThemselves) {
  EXPECT_EQ(geometry_problem_of(mini(needed + "# Detector_distance 0.3 m\r\n")),
            "a.cbf: Detector_distance stands twice in the header, differently: \"0.3 m\"");
  EXPECT_EQ(image_of(mini(needed + needed)).pixels[0], 7);
}

TEST(MiniCbf, NamesTheSizeThatItsPixelsLack) {
  const std::string good = mini(needed), fastest = "X-Binary-Size-Fastest-Dimension: 2\r\n";
  EXPECT_EQ(geometry_problem_of(replaced(good, fastest, "")),
            "a.cbf: the header of its pixels holds no X-Binary-Size-Fastest-Dimension");
  EXPECT_EQ(geometry_problem_of(replaced(good, fastest, "X-Binary-Size-Fastest-Dimension: 3\r\n")),
            "a.cbf: X-Binary-Number-of-Elements is 2 where 3 x 1 pixels are stated");
  EXPECT_EQ(geometry_problem_of(good.substr(0, good.find("_array_data.data"))),
            "a.cbf: holds no pixels, and nothing else says how many there are");
}

TEST(MiniCbf, KnowsTheGapsOfAPilatus) {
  ImageSeries series = flat_series();
  series.geometry.detector_name = "PILATUS 300K";
  GeometryPanel& panel = series.geometry.panels[0];
  panel.fast_pixels = 487;
  panel.slow_pixels = 619;
  panel.masked = {{0, 487, 195, 212}, {0, 487, 407, 424}};
  const TempDir dir;
  const auto writer = cbf_format().open(dir / "a.cbf", series);
  writer->add(std::vector<std::int32_t>(487 * 619));
  writer->close();
  EXPECT_EQ(read_cbf_geometry(dir / "a.cbf").panels[0].masked, panel.masked);
  EXPECT_EQ(read_cbf_geometry(dir / "a.cbf").detector_name, "PILATUS 300K");
}

TEST(Cbf, KnowsAPilatusHoweverItsGapsAreCut) {
  ImageSeries series = flat_series();
  series.geometry.scan = GeometryScan{};
  series.geometry.scan->width_deg = 1;
  GeometryPanel& panel = series.geometry.panels[0];
  panel.sensor_material = "Si";
  panel.sensor_thickness_mm = 0.45;
  panel.fast_pixels = 487;
  panel.slow_pixels = 619;
  panel.slow_axis = {0, -std::cos(0.1), -std::sin(0.1)};
  panel.masked = {{0, 487, 195, 200}, {0, 100, 200, 212}, {90, 487, 200, 212}, {0, 487, 400, 430}};
  EXPECT_TRUE(says_pilatus(series.geometry));
  panel.masked[1].fast_end = 89;
  EXPECT_FALSE(says_pilatus(series.geometry));
}

// ---- Damage -------------------------------------------------------------------------------------

TEST(ReadCbf, RefusesWhatIsNoCbf) {
  for (const std::string bytes : {"", "P5 2 2 255\n", "{\nHEADER_BYTES=512;\n"})
    EXPECT_EQ(problem_of(bytes), "a.cbf: is no CBF file: it should start with ###CBF");
  EXPECT_EQ(problem_of("###CBF: VERSION 1.5\ndata_a\n"), "a.cbf: holds no pixels");
  const TempDir dir;
  const std::string path = dir.file("a.cbf", mini(needed));
  EXPECT_EQ(message_of<InputError>([&] { read_cbf(path, 1); }),
            path + ": holds one image, and number 2 is asked for");
}

TEST(ReadCbf, LooksAtForgedCountsBeforeItTakesMemory) {
  const std::string good = mini(needed);
  EXPECT_EQ(
      problem_of(replaced(good, "X-Binary-Size: 2", "X-Binary-Size: 99999999999")).substr(0, 53),
      "a.cbf: is too short: X-Binary-Size is 99999999999 and");
  EXPECT_EQ(problem_of(replaced(good, "Fastest-Dimension: 2", "Fastest-Dimension: 1000000")),
            "a.cbf: X-Binary-Number-of-Elements is 2 where 1000000 x 1 pixels are stated");
  EXPECT_EQ(
      problem_of(replaced(replaced(good, "Fastest-Dimension: 2", "Fastest-Dimension: 1000000"),
                          "X-Binary-Number-of-Elements: 2", "X-Nothing: 2")),
      "a.cbf: is too short: 1000000 pixels need at least a byte each and X-Binary-Size is 2");
  EXPECT_EQ(problem_of(replaced(good, "Fastest-Dimension: 2", "Fastest-Dimension: 99999999999")),
            "a.cbf: has more pixels than any detector");
  EXPECT_EQ(problem_of(replaced(good, "Fastest-Dimension: 2", "Fastest-Dimension: -2")),
            "a.cbf: X-Binary-Size-Fastest-Dimension is no count: \"-2\"");
}

TEST(ReadCbf, NamesWhatItCannotRead) {
  const std::string good = mini(needed);
  EXPECT_EQ(problem_of(replaced(good, "x-CBF_BYTE_OFFSET", "x-CBF_PACKED")),
            "a.cbf: its pixels are compressed by \"x-CBF_PACKED\", and only x-CBF_BYTE_OFFSET and "
            "x-CBF_NONE can be read; CBFlib's convert_image and fabio convert them");
  EXPECT_EQ(problem_of(replaced(good, "BINARY\r\nX-Binary-Size", "BASE64\r\nX-Binary-Size")),
            "a.cbf: Content-Transfer-Encoding is \"BASE64\", and only BINARY can be read");
  EXPECT_EQ(
      problem_of(replaced(good, "signed 32-bit integer", "complex")),
      "a.cbf: X-Binary-Element-Type is \"complex\", and only integers of 8, 16 and 32 bits and "
      "reals of 32 and 64 bits can be read");
  EXPECT_EQ(problem_of(replaced(good, "X-Binary-Size:", "X-Other:")),
            "a.cbf: the header of its pixels holds no X-Binary-Size");
  EXPECT_EQ(
      problem_of(replaced(good, "LITTLE_ENDIAN", "MIDDLE")),
      "a.cbf: X-Binary-Element-Byte-Order is \"MIDDLE\", and only LITTLE_ENDIAN and BIG_ENDIAN "
      "can be read");
}

TEST(ReadCbf, ReadsPixelsThatAreNotCompressedInEitherOrder) {
  const std::string plain = replaced(mini(needed, std::string("\0\0\1\0\xff\xff\xff\xff", 8)),
                                     "x-CBF_BYTE_OFFSET", "x-CBF_NONE");
  EXPECT_EQ(image_of(plain).pixels[0], 65536);
  EXPECT_TRUE(std::isnan(image_of(plain).pixels[1]));
  EXPECT_EQ(image_of(replaced(plain, "LITTLE_ENDIAN", "BIG_ENDIAN")).pixels[0], 256);
  EXPECT_EQ(problem_of(replaced(plain, "32-bit integer", "64-bit real IEEE")),
            "a.cbf: is too short: 2 pixels need 16 bytes and X-Binary-Size is 8");
}

TEST(ReadCbf, FindsDamagedPixelsByTheirMd5) {
  std::string bytes = written(flat_series());
  const std::size_t at = bytes.find("\x0C\x1A\x04\xD5") + 6;
  ++bytes[at];
  EXPECT_EQ(problem_of(bytes), "a.cbf: is damaged: its pixels are not those of its Content-MD5");
}

TEST(ReadCbf, RefusesEveryFileThatIsCut) {
  for (const ImageSeries& series : {flat_series(), tilted_series()}) {
    const std::string whole = written(series);
    const std::size_t pixels_end = whole.rfind("\x0C\x1A\x04\xD5") + 4 + compressed(twelve).size();
    for (std::size_t length = 0; length < pixels_end; length += 31) {
      const TempDir dir;
      const std::string path = dir.file("a.cbf", whole.substr(0, length));
      EXPECT_THROW(read_cbf(path, 0), InputError) << length;
    }
  }
}

// ---- imgCIF -------------------------------------------------------------------------------------

TEST(ImgCif, NamesWhatItsAxesLack) {
  ImageSeries series = flat_series();
  series.geometry.panels[0].slow_axis = {0, 1, 0};
  const std::string good = written(series);
  const auto problem = [&](const std::string& what, const std::string& by) {
    return geometry_problem_of(replaced(good, what, by));
  };
  EXPECT_EQ(problem("detector DETECTOR_FRAME 0 1 0", "detector NOWHERE 0 1 0"),
            "a.cbf: the axis \"NOWHERE\" is not in _axis.id");
  EXPECT_EQ(problem("detector . 0 0 1 0 0 0", "detector FAST_PANEL_0 0 0 1 0 0 0"),
            "a.cbf: the axis \"FAST_PANEL_0\" depends on itself (_axis.depends_on)");
  EXPECT_EQ(problem("detector DETECTOR_FRAME 0 1 0", "detector DETECTOR_FRAME 0 x 0"),
            "a.cbf: _axis.vector[2] is no number that can be meant: \"x\"");
  EXPECT_EQ(problem("WAVELENGTH 0.98765432109", "WAVELENGTH ?"),
            "a.cbf: the header holds no _diffrn_radiation_wavelength.wavelength");
  EXPECT_EQ(problem("1 4 1 increasing", "1 4 1 decreasing"),
            "a.cbf: _array_structure_list.direction is \"decreasing\", and only increasing can be "
            "read");
  EXPECT_EQ(
      problem("1 4 1 increasing", "1 4.5 1 increasing"),
      "a.cbf: _array_structure_list.dimension of \"ARRAY_PANEL_0\" is no whole number from 1 to "
      "1000000");
  EXPECT_EQ(
      problem("FAST_PANEL_0 0 0.172", "FAST_PANEL_0 0 ?"),
      "a.cbf: _array_structure_list_axis.displacement_increment of \"FAST_PANEL_0\" is missing");
  EXPECT_EQ(
      problem("detector SLOW_PANEL_0", "detector DETECTOR_FRAME"),
      "a.cbf: neither of the axes \"FAST_PANEL_0\" and \"SLOW_PANEL_0\" depends on the other");
  EXPECT_THAT(problem("loop_\r\n_axis.id", "loop_\r\n_axis.id\r\n_axis.id"), HasSubstr("a.cbf:"));
  const std::string bytes = replaced(good, "1 4 1 increasing", "1 5 1 increasing");
  EXPECT_EQ(problem_of(bytes),
            "a.cbf: _array_structure_list states 5 x 3 pixels, and there are 4 x 3");
}

TEST(ImgCif, PutsPanelsWhereAnyChainOfAxesHasThem) {
  // Two-theta about x, a distance along -z behind it, a slide, a panel that is turned by 90 degrees
  // on it, and rows that count downwards.
  const std::string bytes = R"(###CBF: VERSION 1.5
data_a
loop_
_diffrn_radiation_wavelength.id
_diffrn_radiation_wavelength.wavelength
_diffrn_radiation_wavelength.wt
A 1.0 1
B 2.0 3
loop_
_diffrn_data_frame.id
_diffrn_data_frame.array_id
F ARRAY
loop_
_diffrn_scan_axis.axis_id
_diffrn_scan_axis.angle_start
_diffrn_scan_axis.angle_increment
_diffrn_scan_axis.displacement_start
TT 90 0 0
DIST 0 0 100
SLIDE 0 0 1
OMEGA 0 0 0
KAPPA 90 0 0
PHI 20 -0.5 0
_diffrn_scan_frame_axis.axis_id SLIDE
_diffrn_scan_frame_axis.displacement 5
loop_
_axis.id
_axis.type
_axis.equipment
_axis.depends_on
_axis.vector[1] _axis.vector[2] _axis.vector[3]
_axis.offset[1] _axis.offset[2] _axis.offset[3]
SOURCE general source . 0 0 2 . . .
TT rotation detector . 1 0 0 . . .
DIST translation detector TT 0 0 -1 . . .
SLIDE translation detector DIST 0 1 0 0.25 0 0
TURN rotation detector SLIDE 0 0 1 0 0 0
S translation detector TURN 0 1 0 0.5 0 0
F translation detector S 1 0 0 0 0 0
OMEGA rotation goniometer . 1 0 0 . . .
KAPPA rotation goniometer OMEGA 0 0 1 . . .
PHI rotation goniometer KAPPA 1 0 0 . . .
loop_
_array_structure_list.array_id
_array_structure_list.dimension
_array_structure_list.precedence
_array_structure_list.axis_set_id
ARRAY 4 1 F
ARRAY 3 2 S
loop_
_array_structure_list_axis.axis_set_id
_array_structure_list_axis.displacement
_array_structure_list_axis.displacement_increment
F -1 0.1
S 2 -0.2
)";
  const TempDir dir;
  const Geometry geometry = read_cbf_geometry(dir.file("a.cbf", bytes));
  const GeometryPanel& panel = geometry.panels[0];
  const auto near = [](const Vec3d& a, const Vec3d& b) { return length(a - b) < 1e-12; };
  // Rotated by 90 degrees about x, z becomes -y and y becomes z.
  EXPECT_TRUE(near(panel.fast_axis, {1, 0, 0}));
  EXPECT_TRUE(near(panel.slow_axis, {0, 0, -1}));
  EXPECT_TRUE(near(panel.origin_mm, {0.25 + 0.5 - 1, 100, 5 + 2}));
  EXPECT_EQ(panel.fast_pixel_mm, 0.1);
  EXPECT_EQ(panel.slow_pixel_mm, 0.2);
  EXPECT_TRUE(near(geometry.beam->direction, {0, 0, -1}));
  EXPECT_EQ(geometry.beam->wavelength_A, 1.75);
  EXPECT_EQ(geometry.beam->spectrum_A, (std::vector<double>{1, 2}));
  // Kappa takes phi's axis to y; it turns backwards.
  EXPECT_TRUE(near(geometry.scan->spindle_axis, {0, -1, 0}));
  EXPECT_EQ(geometry.scan->start_deg, -20);
  EXPECT_EQ(geometry.scan->width_deg, 0.5);
  EXPECT_THAT(geometry.notices,
              testing::ElementsAre(HasSubstr("taken for its outer corner, as in DIALS")));
}

}  // namespace
}  // namespace nablabragg::io
