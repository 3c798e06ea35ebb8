// `nablabragg refine` on images in every format that is read: of simulations, whose truth comes
// back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tiffio.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "nablabragg/experiment_json.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/simulate.hpp"
#include "support/experiment.hpp"
#include "support/program_test.hpp"
#include "support/refined_numbers.hpp"
#include "support/shared_files.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string crystal =
    "-corrected -noprogress -N 15 -gauss_xtal -mosaic_domains 20 -lambda 1 -oversample 1 "
    "-default_F 100 -water 0.07 -sensor Si 45 -cell 40 45 50 90 90 90 -fluence 3e27 ";
const std::string square = "-detpixels 256 -pixel 0.2 -distance 60 ";
const std::string right = "-misset 12 -7 33 -mosaic 0.6 ",
                  off = "-misset 12.3 -7.3 33.3 -mosaic 0.42 ";
const std::string truth = crystal + square + right + "-Xbeam 25.5 -Ybeam 25.7 ";
const std::string start = crystal + square + off + "-Xbeam 25.8 -Ybeam 25.4 ";
const std::vector<double> expected{12, -7, 33, 25.5, 25.7, 0.6, 3e27};

class RefineImages : public test::ProgramTest {
 protected:
  Outcome refine(const std::string& options, const std::string& model = start) const {
    return run("refine --quiet --outdir r " + options + " -- " + model);
  }

  json result() const { return json::parse(folder.content("r/refined.json")); }

  void expect_comes_back(const std::string& options) const {
    SCOPED_TRACE(options);
    const Outcome outcome = refine("--parameters misset,beam_center,mosaic_spread,fluence " +
                                   options);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    test::expect_refined_to(expected, result());
  }

  /// Pixels that a fit of the whole image takes.
  std::size_t pixels_used(const std::string& options, const std::string& model = truth) const {
    const Outcome outcome = refine("--all-pixels --iterations 1 --parameters fluence " + options,
                                   model);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return result()["stages"][0]["pixels"];
  }

  /// In one sentence, and nothing is written.
  void expect_refused(const Outcome& outcome, int code, const std::string& part) const {
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_FALSE(fs::exists(folder / "r/refined.json"));
  }

  /// Counts of the truth.
  std::vector<std::int32_t> counts() const {
    if (!fs::exists(folder / "counts.cbf")) good_run(truth + "-seed 1 -o counts.cbf");
    const io::ImageFile image = io::read_image(folder / "counts.cbf");
    return {image.pixels.begin(), image.pixels.end()};
  }

  /// Images of the truth's detector.
  void write_images(
      const std::string& name, const std::vector<std::vector<std::int32_t>>& images,
      void (*change)(GeometryPanel&) = [](GeometryPanel&) {}) const {
    counts();
    io::ImageSeries series;
    series.geometry = io::read_image(folder / "counts.cbf").geometry;
    series.geometry.scan.reset();
    change(series.geometry.panels[0]);
    series.images.resize(images.size());
    const auto file = io::format_to_write(name).open(folder / name, series);
    for (const auto& image : images) file->add(std::span<const std::int32_t>(image));
    file->close();
  }

  void write_tiff(const std::string& name, const std::vector<std::int32_t>& pixels) const {
    TIFF* const tiff = TIFFOpen((folder / name).c_str(), "w");
    ASSERT_TRUE(tiff);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 256);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 256);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 32);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_INT);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    std::vector<std::int32_t> row(256);
    for (std::uint32_t y = 0; y < 256; ++y) {
      std::copy_n(pixels.begin() + y * 256, 256, row.begin());
      TIFFWriteScanline(tiff, row.data(), y, 0);
    }
    TIFFClose(tiff);
  }

  void write_smv(const std::string& name, const std::vector<std::int32_t>& pixels,
                 const std::string& more = "") const {
    std::string bytes =
        "{\nHEADER_BYTES=  512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=signed_long;\n"
        "SIZE1=256;\nSIZE2=256;\n" +
        more + "}\n";
    bytes.resize(512, ' ');
    bytes.append(reinterpret_cast<const char*>(pixels.data()), pixels.size() * sizeof(pixels[0]));
    folder.file(name, bytes);
  }
};

TEST_F(RefineImages, OfAllFormatsGiveTheTruthBack) {
  good_run(truth + "-seed 1 -o still.cbf -o still.nxs -o still_001.img");
  write_tiff("still.tif", counts());
  write_smv("still_long.img", counts());
  for (const char* name : {"still.cbf", "still.nxs", "still_001.img"})
    expect_comes_back(std::string("--image ") + name);
  // TIFF says nothing of its counts, and SMV of other programs often neither
  expect_refused((fs::remove_all(folder / "r"), refine("--image still.tif --parameters misset")), 3,
                 "still.tif: says neither what a dark pixel counts nor its gain; give --offset");
  expect_comes_back("--offset 0 --image still.tif");
  // Nobody says that its dark pixels have no counts
  expect_comes_back("--offset 0 --image still_long.img");
  write_smv("still_said.img", counts(), "IMAGE_PEDESTAL=0;\n");
  expect_comes_back("--image still_said.img");
}

TEST_F(RefineImages, OfPhotonsInFloatsFitToo) {
  good_run(truth + "-nonoise -o still.nxs");
  const Outcome outcome = refine("--image still.nxs --parameters misset",
                                 truth + "-misset 12.1 -7.1 33.1");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json r = result();
  EXPECT_LT(r["residual"], 0.3);
}

TEST_F(RefineImages, AreTakenByTheirNumberOutOfASeries) {
  const std::vector<std::int32_t> dark(256 * 256, 1);
  write_images("two.nxs", {dark, counts()});
  expect_comes_back("--image two.nxs --image-number 2");
  fs::remove_all(folder / "r");
  const Outcome first = refine("--image two.nxs --parameters misset");
  expect_refused(first, 3, "no spot of 20 photons was found");
  EXPECT_THAT(first.err, HasSubstr("two.nxs: holds 2 images, of which the first is taken; "
                                   "--image-number takes another"));
  expect_refused(refine("--image two.nxs --image-number 3 --parameters misset"), 3, "two.nxs");
  write_tiff("still.tif", counts());
  expect_refused(refine("--image still.tif --image-number 2 --offset 0 --parameters misset"), 2,
                 "--image-number 2: still.tif holds 1 image");
}

TEST_F(RefineImages, LeaveOutWhatIsNoCount) {
  std::vector<std::int32_t> pixels = counts();
  std::size_t bright = 0;
  for (std::int32_t& n : pixels)
    if (n > 60) ++bright;
  ASSERT_GT(bright, 20U);
  ASSERT_LT(bright, 2000U);
  // Gaps and dead pixels: marks below zero
  std::vector<std::int32_t> marked = pixels;
  for (std::size_t i = 0; i < 10 * 256; ++i) marked[100 * 256 + i] = i % 2 == 0 ? -1 : -2;
  write_tiff("marked.tif", marked);
  write_smv("marked.img", marked, "IMAGE_PEDESTAL=0;\n");
  write_images("marked.nxs", {marked}, [](GeometryPanel& panel) { panel.underload = 0; });
  write_images("marked.cbf", {marked});
  for (const char* name : {"marked.tif --offset 0", "marked.img", "marked.nxs", "marked.cbf"}) {
    EXPECT_EQ(pixels_used(std::string("--image ") + name), 246U * 256) << name;
    expect_comes_back(std::string("--image ") + name);
  }
  // A mask, and counts beyond what can be trusted, which --overload replaces.  The largest number
  // of a type may be a mark.
  std::vector<std::int32_t> beyond = pixels;
  beyond[5] = 2147483647;
  write_images("masked.nxs", {beyond}, [](GeometryPanel& panel) {
    panel.masked = {{0, 256, 100, 110}};
    panel.saturation = 60;
  });
  std::size_t good = 0;
  for (std::size_t i = 0; i < beyond.size(); ++i)
    if ((i / 256 < 100 || i / 256 >= 110) && beyond[i] <= 60) ++good;
  EXPECT_EQ(pixels_used("--image masked.nxs --saturated left-out"), good);
  EXPECT_EQ(pixels_used("--image masked.nxs"), 246U * 256 - 1);
  EXPECT_EQ(pixels_used("--image masked.nxs --overload 1000000 --saturated left-out"),
            246U * 256 - 1);
}

TEST_F(RefineImages, AreSaturatedWhereTheirSmvHeaderSaysSo) {
  const std::vector<std::int32_t> pixels = counts();
  const auto unsaturated = static_cast<std::size_t>(
      std::count_if(pixels.begin(), pixels.end(), [](std::int32_t n) { return n < 60; }));
  ASSERT_LT(unsaturated, pixels.size());
  for (const char* key : {"SATURATED_VALUE", "CCD_IMAGE_SATURATION"}) {
    write_smv("limit.img", pixels, std::string("IMAGE_PEDESTAL=0;\n") + key + "=60;\n");
    EXPECT_EQ(pixels_used("--image limit.img --saturated left-out"), unsaturated) << key;
    EXPECT_EQ(pixels_used("--image limit.img"), pixels.size()) << key;
    EXPECT_EQ(pixels_used("--image limit.img --overload 1000000 --saturated left-out"),
              pixels.size())
        << key;
  }
}

TEST_F(RefineImages, HaveTheGainAndThePedestalThatTheyState) {
  std::vector<std::int32_t> pixels = counts();
  for (std::int32_t& n : pixels) n = 3 * n + 25;
  write_images("gain.nxs", {pixels}, [](GeometryPanel& panel) {
    panel.gain = 3;
    panel.pedestal = 25;
  });
  expect_comes_back("--image gain.nxs");
  EXPECT_THAT(refine("--image gain.nxs --parameters misset --iterations 1").err,
              HasSubstr("gain.nxs: states 3 counts per photon, which are taken; --gain sets"));
  write_smv("gain.img", pixels, "IMAGE_PEDESTAL=25;\nGAIN=3;\n");
  expect_comes_back("--image gain.img");
  write_tiff("gain.tif", pixels);
  expect_comes_back("--image gain.tif --gain 3 --offset 25");
  // Of one that states its gain alone, or of which the gain is given, the offset is estimated
  write_smv("gain_alone.img", pixels, "GAIN=3;\n");
  for (const char* image : {"gain_alone.img", "gain.tif --gain 3"}) {
    expect_comes_back(std::string("--image ") + image);
    EXPECT_NEAR(result()["images"][0]["offset"], 25, 3) << image;
    EXPECT_THAT(result()["images"][0]["findings"].dump(),
                HasSubstr("does not say what a dark pixel counts; by how counts vary it is "))
        << image;
  }
}

TEST_F(RefineImages, ThatAreOneArrayAreCutIntoThePanelsOfAGeom) {
  folder.file(
      "two.geom",
      "photon_energy = 12398.42 eV\nclen = 60 mm\nres = 5000\nadu_per_photon = 1\n"
      "upper/min_fs = 0\nupper/max_fs = 255\nupper/min_ss = 128\nupper/max_ss = 255\n"
      "upper/corner_x = -127.3\nupper/corner_y = 2\nupper/fs = x\nupper/ss = y\n"
      "lower/min_fs = 0\nlower/max_fs = 255\nlower/min_ss = 0\nlower/max_ss = 127\n"
      "lower/corner_x = 128.5\nlower/corner_y = -2\nlower/fs = -x\nlower/ss = -0.96y + 0.28z\n");
  const std::string model =
      "-corrected -noprogress -N 15 -gauss_xtal -mosaic_domains 20 -oversample 1 -default_F 100 "
      "-water 0.07 -sensor Si 45 -cell 40 45 50 90 90 90 -fluence 3e27 -detector two.geom ";
  good_run(model + right + "-seed 1 -o two.nxs");
  // In the array the second panel comes first
  const io::ImageFile image = io::read_image(folder / "two.nxs");
  std::vector<std::int32_t> array(image.pixels.begin(), image.pixels.end());
  std::rotate(array.begin(), array.begin() + 128 * 256, array.end());
  write_tiff("array.tif", array);
  const std::string asked = "--parameters misset,mosaic_spread,fluence ";
  ASSERT_EQ(refine(asked + "--image two.nxs", model + off).exit_code, 0);
  const json of_panels = result();
  EXPECT_NEAR(of_panels["residual"], 1, 0.05);
  const Outcome outcome = refine(asked + "--image array.tif --offset 0", model + off);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("array.tif: is one array, which is cut into the 2 panels of the model"));
  EXPECT_EQ(result()["numbers"], of_panels["numbers"]);

  // A mask likewise: without the first ten rows of the upper panel
  std::fill_n(array.begin() + 128 * 256, 10 * 256, 0);
  std::replace_if(
      array.begin(), array.begin() + 128 * 256, [](int n) { return n == 0; }, 1);
  std::replace_if(
      array.begin() + 138 * 256, array.end(), [](int n) { return n == 0; }, 1);
  write_tiff("mask.tif", array);
  EXPECT_EQ(pixels_used("--image array.tif --offset 0", model + off + "-mask mask.tif"),
            246U * 256);

  // An array of other panels is no image of these
  fs::remove_all(folder / "r");
  std::string other = folder.content("two.geom");
  folder.file("other.geom", other.replace(other.find("max_ss = 255"), 12, "max_ss = 265"));
  expect_refused(
      refine(asked + "--image array.tif --offset 0", model + off + "-detector other.geom"), 3,
      "array.tif: is one array of 256 x 256 pixels, and the 2 panels of the detector "
      "make up 256 x 266");
}

TEST_F(RefineImages, ThatContradictTheModelSaySo) {
  good_run(truth + "-seed 1 -o still.cbf -o still.nxs");
  for (const std::string name : {"still.cbf", "still.nxs"}) {
    const std::string line = "--no-spot-stage --iterations 1 --parameters misset --image " + name;
    EXPECT_THAT(refine(line, truth).err, Not(HasSubstr("where the model has"))) << name;
    expect_refused((fs::remove_all(folder / "r"), refine(line, truth + "-lambda 1.2")), 3,
                   name +
                       ": says a wavelength in Angstrom of 1 where the model has 1.2, more than "
                       "5 % apart; give the model what the image says");
    expect_refused(refine(line, truth + "-pixel 0.3"), 3,
                   name + ": says a pixel size in mm of 0.2");
    EXPECT_THAT(refine(line, truth + "-distance 65").err,
                HasSubstr(name + ": says a distance in mm of 60 where the model has 65\n"));
    EXPECT_THAT(
        refine(line, truth + "-Xbeam 20").err,
        AllOf(HasSubstr(name + ": has the beam at fast "), HasSubstr("where the model has")));
    EXPECT_THAT(refine(line, truth + "-phi 1 -osc 0.1").err, Not(IsEmpty()));
  }
  good_run(truth + "-phi 3 -osc 0.1 -seed 1 -o turned.cbf -o turned.nxs");
  for (const std::string name : {"turned.cbf", "turned.nxs"}) {
    const std::string line = "--iterations 1 --parameters misset --image " + name;
    EXPECT_THAT(refine(line, truth + "-phi 3 -osc 0.1").err, Not(HasSubstr("where the model has")));
    EXPECT_THAT(
        refine(line, truth).err,
        AllOf(HasSubstr(name + ": says an oscillation in degrees of 0.1 where the model has 0"),
              HasSubstr(name + ": says that phi begins at 3 degrees where the model has 0")));
  }
}

TEST_F(RefineImages, OfAnotherSizeOrOfNoFormatAreRefusedInASentence) {
  good_run(truth + "-seed 1 -o still.cbf -o still.expt");
  expect_refused(refine("--image still.cbf --parameters misset", start + "-detpixels 128"), 3,
                 "256 x 256 pixels and the model's panel 128 x 128");
  expect_refused(refine("--image still.expt --parameters misset"), 3,
                 "still.expt: states a geometry and has no pixels");
  std::string cut = folder.content("still.cbf");
  cut.resize(cut.size() / 2);
  folder.file("cut.cbf", cut);
  expect_refused(refine("--image cut.cbf --parameters misset"), 3, "cut.cbf: ");
  folder.file("other", std::string("\x93NUMPY\1\0v\0", 10) + std::string(500, 'x'));
  expect_refused(refine("--image other --parameters misset"), 3,
                 "other: is an array of numpy, which is not read");
  folder.file("other", "P5\n9 9\n255\n" + std::string(500, 'x'));
  expect_refused(refine("--image other --parameters misset"), 3,
                 "other: looks like a PGM greymap; refine reads CBF, NXmx (HDF5), SMV and TIFF "
                 "images and raw float32 ones");
  folder.file("other", std::string(500, 'x'));
  expect_refused(refine("--image other --parameters misset"), 3,
                 "other: holds 500 bytes, and 256 x 256 float32 pixels are 262144; refine reads");
}

TEST_F(RefineImages, OfARealDetectorLeaveOutItsGapsAndDeadPixels) {
  const auto path = test::shared_file("real/pilatus300k-one-degree.cbf");
  if (!path) GTEST_SKIP() << "there is no real/pilatus300k-one-degree.cbf beside the repository";
  // As fabio counts those that are not negative
  EXPECT_EQ(pixels_used("--image " + *path,
                        "-corrected -img " + *path +
                            " -cell 51.6 51.6 51.6 90 90 90 -N 5 -gauss_xtal -default_F 100 "
                            "-oversample 1 -phisteps 1 -fluence 1e26"),
            284861U);
}

// ---- Several panels -----------------------------------------------------------------------------

const std::string seed = "-seed 1 ";

class RefinePanels : public RefineImages {
 protected:
  RefinePanels() {
    // Four panels of 128 x 128 pixels with gaps of a millimetre, the right ones in a group
    good_run(truth + "-o whole.expt");
    Geometry g = io::read_geometry(folder / "whole.expt");
    const GeometryPanel whole = g.panels[0];
    const Vec3d fast = whole.fast_axis, slow = whole.slow_axis;
    g.groups = {{"all", -1, {0, 0, -60}, fast, slow}, {"right", 0, {0, 0, -60}, fast, slow}};
    g.panels.clear();
    for (int i = 0; i < 4; ++i) {
      GeometryPanel p = whole;
      p.name = "p" + std::to_string(i);
      p.group = i % 2;
      p.fast_pixels = p.slow_pixels = 128;
      p.origin_mm = p.origin_mm + (i % 2 == 0 ? -0.5 : 26.1) * fast + (i < 2 ? -0.5 : 26.1) * slow;
      g.panels.push_back(p);
    }
    write("start.expt", g);
    const Experiment start_e = with_geometry(test::experiment_of(truth), g);
    Experiment moved = with_parameter(start_e, "panel[2].shift", std::vector<double>{0.3, -0.2, 0});
    moved = with_parameter(moved, "group[right].shift", std::vector<double>{-0.2, 0.3, 0});
    moved = with_parameter(moved, "group[right].rotation", std::vector<double>{0, 0, 0.3});
    write("moved.expt", geometry_of(moved));
    std::swap(g.panels[1].origin_mm, g.panels[2].origin_mm);
    write("swapped.expt", g);
  }

  void write(const std::string& name, Geometry geometry) const {
    io::ImageSeries series;
    series.geometry = in_imgcif_frame(geometry);
    series.geometry.crystals.clear();
    series.geometry.scan.reset();
    series.images.resize(1);
    io::write_expt(folder / name, series, "");
  }
};

TEST_F(RefinePanels, ImagesOfThemGiveTheCrystalBack) {
  good_run(crystal + right + seed + "-expt start.expt -o still.nxs -o still.cbf");
  for (const std::string name : {"still.nxs", "still.cbf"}) {
    SCOPED_TRACE(name);
    const Outcome outcome = refine("--parameters misset,mosaic_spread,fluence --image " + name,
                                   crystal + off + "-img " + name);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, Not(HasSubstr("where the model has")));
    test::expect_refined_to({12, -7, 33, 0.6, 3e27}, result());
    const json r = result();
    EXPECT_GT(r["stages"].back()["spots"], 40);
    EXPECT_EQ(r["stages"][0]["stage"], "spot positions");
    EXPECT_THAT(folder.content("r/refined.png"), HasSubstr("PNG"));
  }
  EXPECT_EQ(pixels_used("--image still.nxs", crystal + right + "-expt start.expt"), 4U * 128 * 128);
  // Bare floats, panel by panel
  good_run(crystal + right + "-expt start.expt -floatfile still.f32");
  ASSERT_EQ(refine("--parameters misset --image still.f32", crystal + off +
                                                                "-mosaic 0.6 "
                                                                "-expt start.expt")
                .exit_code,
            0);
  EXPECT_NEAR(result()["numbers"][0]["value"], 12, 1e-3);
}

TEST_F(RefinePanels, ThatStandElsewhereAreFoundWithTheCrystalAndWrittenAsAGeometry) {
  good_run(crystal + right + seed +
           "-expt moved.expt -o still.nxs -floatfile still.f32 -noprogress");
  const Outcome outcome = refine(
      "--image still.nxs --restrain group[right].shift[2]=0.05 --bound panel[2].shift[0]=-1:1 "
      "--parameters "
      "panel[2].shift[0-1],group[right].shift,group[right].rotation[2],misset,mosaic_spread,"
      "fluence",
      crystal + off + "-expt start.expt");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  test::expect_refined_to({0.3, -0.2, -0.2, 0.3, 0, 0.3, 12, -7, 33, 0.6, 3e27}, result());
  const json r = result();
  EXPECT_EQ(r["numbers"][0]["name"], "panel[2].shift[0]");
  EXPECT_LT(r["numbers"][0]["deviation"], 0.01);
  EXPECT_EQ(r["not_in_flags"],
            json::array({"where panels and groups stand; -expt refined.expt states it in place of "
                         "what states the detector now, without -cell, -mat and -misset, as it has "
                         "the crystal too"}));
  EXPECT_THAT(outcome.out, HasSubstr("refined.expt"));

  // The panels are where they were when the image was made
  const Geometry is = io::read_geometry(folder / "r/refined.expt"),
                 was = io::read_geometry(folder / "moved.expt");
  ASSERT_EQ(is.panels.size(), was.panels.size());
  for (std::size_t i = 0; i < is.panels.size(); ++i) {
    const Vec3d a = is.panels[i].origin_mm, b = was.panels[i].origin_mm;
    EXPECT_LT(std::hypot(a.x - b.x, a.y - b.y), 0.03) << i;
    EXPECT_LT(length(is.panels[i].fast_axis - was.panels[i].fast_axis), 2e-3) << i;
  }
  // ...and with the crystal that the file states they make the image of the refined model
  std::string others =
      "-corrected -noprogress -N 15 -gauss_xtal -mosaic_domains 20 -oversample 1 -default_F 100 "
      "-water 0.07 ";
  for (const json& n : r["numbers"])
    if (n["name"] == "mosaic_spread")
      others += "-mosaic " + n["value"].dump() + ' ';
    else if (n["name"] == "fluence")
      others += "-fluence " + n["value"].dump() + ' ';
  good_run(others + "-expt r/refined.expt -floatfile again.f32");
  const std::vector<float> again = test::read_floats(folder / "again.f32");
  const Image refined = simulate(experiment_from_json(folder.content("r/experiment.json"))).image;
  ASSERT_EQ(again.size(), refined.pixels.size());
  const float most = *std::max_element(again.begin(), again.end());
  for (std::size_t i = 0; i < again.size(); ++i)
    ASSERT_NEAR(again[i], refined.pixels[i], 2e-5F * most) << i;
  // ...which is nearly that of the truth
  const std::vector<float> truth_image = test::read_floats(folder / "still.f32");
  double apart = 0, all = 0;
  for (std::size_t i = 0; i < again.size(); ++i) {
    apart += std::abs(double(truth_image[i]) - double(again[i]));
    all += double(truth_image[i]);
  }
  EXPECT_LT(apart, 0.03 * all);
}

TEST_F(RefineImages, OfACrystalThatAFileStatesGiveItsCellAndFlagsThatMakeItsImage) {
  const std::string others =
      "-corrected -noprogress -N 15 -gauss_xtal -mosaic_domains 20 -oversample 1 -default_F 100 "
      "-water 0.07 -fluence 3e27 -mosaic 0.6 -sensor Si 45 ";
  // In the frame of the file, where the mosaic domains are others
  good_run(truth + "-o truth.expt");
  good_run(others + "-expt truth.expt -seed 1 -o still.nxs");
  good_run(crystal + square +
           "-cell 40.1 45.2 49.9 90 90.1 90 -misset 12.1 -7.1 33.1 -Xbeam 25.5 "
           "-Ybeam 25.7 -o start.expt");
  const std::string model = others + "-expt start.expt ";
  const Outcome outcome = refine("--image still.nxs --parameters cell,misset", model);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json r = result();
  const std::vector<double> cell{40, 45, 50, 90, 90, 90};
  for (std::size_t i = 0; i < cell.size(); ++i) {
    SCOPED_TRACE(r["numbers"][i].dump());
    EXPECT_NEAR(r["numbers"][i]["value"], cell[i],
                4.5 * r["numbers"][i]["deviation"].get<double>());
  }
  EXPECT_EQ(r["not_in_flags"], json::array());
  std::string again = model;
  for (const json& flag : r["refined_flags"]) again += flag.get<std::string>() + ' ';
  EXPECT_THAT(again, HasSubstr("-mat r/refined.mat"));
  good_run(again + "-floatfile again.f32");
  EXPECT_EQ(test::read_floats(folder / "again.f32"),
            simulate(experiment_from_json(folder.content("r/experiment.json"))).image.pixels);
}

TEST_F(RefinePanels, OfDifferentGainsAreReadAsPhotons) {
  good_run(crystal + right + seed + "-expt start.expt -o still.cbf");
  io::ImageFile image = io::read_image(folder / "still.cbf");
  std::vector<std::int32_t> pixels;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    const std::size_t panel = i / (128 * 128);
    image.geometry.panels[panel].gain = 1 + double(panel);
    pixels.push_back(static_cast<std::int32_t>(image.pixels[i] * (1 + double(panel))));
  }
  io::ImageSeries series;
  series.geometry = image.geometry;
  series.images.resize(1);
  const auto file = io::format_to_write("gains.cbf").open(folder / "gains.cbf", series);
  file->add(std::span<const std::int32_t>(pixels));
  file->close();
  const std::string line = "--image gains.cbf --parameters misset,mosaic_spread,fluence ";
  const Outcome outcome = refine(line, crystal + off + "-expt start.expt");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  test::expect_refined_to({12, -7, 33, 0.6, 3e27}, result());
  fs::remove_all(folder / "r");
  expect_refused(
      refine(line + "--likelihood gauss --readout-noise 2", crystal + off + "-expt start.expt"), 2,
      "--readout-noise is in counts, and the panels of gains.cbf differ in their counts "
      "per photon; give one for all by --gain");
}

TEST_F(RefinePanels, OfAnotherDetectorOrInAnotherOrderAreRefused) {
  good_run(crystal + right + seed + "-expt start.expt -o still.nxs");
  const std::string line = "--image still.nxs --parameters misset --iterations 1 ";
  expect_refused(refine(line), 3,
                 "the image has 4 panels and the model 1 panel; give the model the panels of the "
                 "image (-img, -expt, -detector)");
  expect_refused(refine(line, crystal + right + "-expt swapped.expt"), 3,
                 "still.nxs: has panel 1 ('");
  expect_refused(
      refine("--image still.nxs --parameters panel[4].shift", crystal + right + "-expt start.expt"),
      2, "no parameter 'panel[4].shift'");
  EXPECT_THAT(refine(line, crystal + right + "-expt moved.expt").err,
              HasSubstr("mm from where the model has it"));
}

TEST_F(RefinePanels, ThatMoveWithTheirGroupAloneAreTold) {
  Geometry g = io::read_geometry(folder / "start.expt");
  g.panels[3].group = 0;  // the group "right" has panel 1 alone
  write("alone.expt", g);
  good_run(crystal + right + seed + "-expt alone.expt -o still.nxs");
  const std::string
      line = "--image still.nxs --parameters panel[1].shift[0],group[right].shift[0] ";
  const std::string model = crystal + right + "-expt alone.expt";
  const Outcome loose = refine(line, model);
  EXPECT_EQ(loose.exit_code, 0);
  EXPECT_THAT(loose.err, HasSubstr("the image does not determine this combination: "
                                   "panel[1].shift[0], group[right].shift[0]; refine fewer of them "
                                   "or restrain one"));
  EXPECT_TRUE(result()["numbers"][0]["deviation"].is_null());
  EXPECT_THAT(refine(line + "--restrain group[right].shift[0]=0.01", model).err,
              Not(HasSubstr("does not determine")));
}

TEST_F(RefineImages, AQuadrantOfARealCspadIsFoundWhereItWasMovedTo) {
  const auto path = test::shared_file("real/cspad-64-panels-stills.expt");
  if (!path) GTEST_SKIP() << "there is no real/cspad-64-panels-stills.expt beside the repository";
  const std::string still =
      "-corrected -noprogress -N 15 -gauss_xtal -mosaic_domains 10 -mosaic 0.3 -oversample 1 "
      "-default_F 100 -fluence 1e27 -sensor Si 100 ";
  const Experiment moved = with_parameter(
      with_geometry(test::experiment_of(truth), io::read_geometry(*path)), "group[FS_D0Q1].shift",
      std::vector<double>{0.15, -0.1, 0});
  io::ImageSeries series;
  series.geometry = in_imgcif_frame(geometry_of(moved));
  series.images.resize(1);
  io::write_expt(folder / "moved.expt", series, "");
  good_run(still + "-seed 1 -expt moved.expt -o still.nxs");
  const Outcome outcome = refine(
      "--image still.nxs --spots 200 --iterations 15 --parameters "
      "group[FS_D0Q1].shift[0-1],group[FS_D0Q1].rotation[2],misset",
      still + "-expt " + *path);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json numbers = result()["numbers"];
  const std::vector<double> values{0.15, -0.1, 0, 0, 0, 0};
  for (std::size_t i = 0; i < values.size(); ++i) {
    SCOPED_TRACE(numbers[i].dump());
    EXPECT_NEAR(numbers[i]["value"], values[i], 4.5 * numbers[i]["deviation"].get<double>());
    EXPECT_LT(numbers[i]["deviation"], 0.01);
  }
}

}  // namespace
}  // namespace nablabragg
