// dxtbx's experiment lists, read and written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/expt.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/shared_files.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using nlohmann::json;
using test::message_of;
using test::TempDir;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A still on one panel, with all that is compulsory and nothing else.
json still() {
  return json::parse(R"({
    "__id__": "ExperimentList",
    "experiment": [{"__id__": "Experiment", "identifier": "", "beam": 0, "detector": 0}],
    "imageset": [], "goniometer": [], "scan": [], "crystal": [],
    "beam": [{"direction": [0, 0, 1], "wavelength": 1.1}],
    "detector": [{"panels": [{"fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0],
      "origin": [-10, 10, -100], "image_size": [200, 100], "pixel_size": [0.1, 0.2]}]}]
  })");
}

json with_crystal() {
  json file = still();
  file["experiment"][0]["crystal"] = 0;
  file["crystal"] = json::parse(R"([{"__id__": "crystal", "real_space_a": [10, 0, 0],
    "real_space_b": [0, 20, 0], "real_space_c": [0, 0, 30],
    "space_group_hall_symbol": " P 2ac 2ab"}])");
  return file;
}

json with_scan() {
  json file = with_crystal();
  file["experiment"][0]["scan"] = 0;
  file["experiment"][0]["goniometer"] = 0;
  file["scan"] = json::parse(R"([{"image_range": [11, 20], "batch_offset": 0,
    "oscillation": [5, 0.5], "exposure_time": [0.1, 0.1], "epochs": [],
    "valid_image_ranges": {}}])");
  file["goniometer"] = json::parse(R"([{"rotation_axis": [1, 0, 0],
    "fixed_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "setting_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1]}])");
  return file;
}

struct Expt : testing::Test {
  Geometry read(const json& file, int experiment = 0) {
    return read_expt_geometry(folder.file("a.expt", file.dump()), experiment);
  }
  std::string problem(const json& file, int experiment = 0) {
    return message_of<InputError>([&] { read(file, experiment); });
  }
  Geometry again(const Geometry& geometry, const std::string& image = "") {
    ImageSeries series;
    series.geometry = geometry;
    series.images.resize(geometry.scan ? static_cast<std::size_t>(geometry.scan->images) : 1);
    write_expt(folder / "b.expt", series, image);
    return read_expt_geometry(folder / "b.expt");
  }
  json written() { return json::parse(folder.content("b.expt")); }
  TempDir folder;
};

void expect_near(const Vec3d& a, const Vec3d& b, double tolerance = 1e-12) {
  EXPECT_NEAR(a.x, b.x, tolerance);
  EXPECT_NEAR(a.y, b.y, tolerance);
  EXPECT_NEAR(a.z, b.z, tolerance);
}

TEST_F(Expt, IsToldByItsContent) {
  EXPECT_TRUE(begins_as_expt(still().dump()));
  EXPECT_TRUE(begins_as_expt(still().dump(2)));
  EXPECT_FALSE(begins_as_expt(R"({"experiment": {}})"));
  EXPECT_FALSE(begins_as_expt("{\nHEADER_BYTES=512;\n"));
  EXPECT_FALSE(begins_as_expt(""));
}

TEST_F(Expt, OfAStillGivesItsPanelAndBeam) {
  const Geometry g = read(still());
  ASSERT_EQ(g.panels.size(), 1u);
  const GeometryPanel& p = g.panels[0];
  EXPECT_EQ(p.fast_pixels, 200);
  EXPECT_EQ(p.slow_pixels, 100);
  EXPECT_EQ(p.fast_pixel_mm, 0.1);
  EXPECT_EQ(p.slow_pixel_mm, 0.2);
  EXPECT_EQ(p.origin_mm, (Vec3d{-10, 10, -100}));
  EXPECT_EQ(p.slow_axis, (Vec3d{0, -1, 0}));
  EXPECT_EQ(p.gain, 1);
  EXPECT_EQ(p.group, -1);
  EXPECT_FALSE(p.underload || p.saturation);
  ASSERT_TRUE(g.beam);
  EXPECT_EQ(g.beam->wavelength_A, 1.1);
  EXPECT_EQ(g.beam->direction, (Vec3d{0, 0, -1}));
  EXPECT_FALSE(g.beam->polarization);
  EXPECT_FALSE(g.scan);
  EXPECT_THAT(g.notices, IsEmpty());
}

TEST_F(Expt, PutsPanelsWhereTheirGroupsAre) {
  json file = still();
  json panel = file["detector"][0]["panels"][0];
  panel["origin"] = {1, 2, 3};
  file["detector"][0]["panels"] = {panel, panel};
  const json leaf = {{"name", "inner"},
                     {"origin", {0, 0, 5}},
                     {"fast_axis", {0, 1, 0}},
                     {"slow_axis", {-1, 0, 0}},
                     {"children", {{{"panel", 1}}}}};
  file["detector"][0]["hierarchy"] = {{"name", "outer"},
                                      {"origin", {0, 0, -200}},
                                      {"fast_axis", {0, 1, 0}},
                                      {"slow_axis", {-1, 0, 0}},
                                      {"children", {{{"panel", 0}}, leaf}}};
  const Geometry g = read(file);
  ASSERT_EQ(g.groups.size(), 2u);
  EXPECT_EQ(g.groups[0].name, "outer");
  EXPECT_EQ(g.groups[1].parent, 0);
  EXPECT_EQ(g.panels[0].group, 0);
  EXPECT_EQ(g.panels[1].group, 1);
  // A quarter turn about z: x becomes y, y becomes -x.
  expect_near(g.panels[0].origin_mm, {-2, 1, -197});
  expect_near(g.panels[0].fast_axis, {0, 1, 0});
  // Two quarter turns
  expect_near(g.groups[1].origin_mm, {0, 0, -195});
  expect_near(g.panels[1].origin_mm, {-1, -2, -192});
  expect_near(g.panels[1].fast_axis, {-1, 0, 0});
  expect_near(g.panels[1].slow_axis, {0, 1, 0});
}

TEST_F(Expt, NeedsEachPanelOnceInTheHierarchy) {
  json file = still();
  json& hierarchy = file["detector"][0]["hierarchy"];
  hierarchy = {{"origin", {0, 0, 0}},
               {"fast_axis", {1, 0, 0}},
               {"slow_axis", {0, 1, 0}},
               {"children", json::array()}};
  EXPECT_THAT(problem(file), HasSubstr("'detector[0].hierarchy' does not hold panel 0"));
  hierarchy["children"] = {{{"panel", 0}}, {{"panel", 0}}};
  EXPECT_THAT(problem(file), HasSubstr("has a place already"));
  hierarchy["children"] = {{{"panel", 1}}};
  EXPECT_THAT(problem(file), HasSubstr("children[0].panel' is 1; it must be between 0 and 0"));
}

TEST_F(Expt, ThatNestsWithoutEndIsRefused) {
  const std::string panels = still()["detector"][0]["panels"].dump();
  std::string node = R"({"panel": 0})";
  for (int i = 0; i < 5000; ++i)
    node.insert(0, R"({"origin": [0, 0, 0], "fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0],
                      "children": [)")
        .append("]}");
  const std::string text = R"({"__id__": "ExperimentList", "experiment": [{"detector": 0}],
    "detector": [{"panels": )" +
                           panels + R"(, "hierarchy": )" + node + "}]}";
  EXPECT_THAT(message_of<InputError>([&] { read_expt_geometry(folder.file("a.expt", text)); }),
              HasSubstr("lies more than 32 groups deep"));
}

TEST_F(Expt, GivesSensorResponseAndMask) {
  json file = still();
  file["detector"][0]["panels"][0].update(json::parse(R"({"name": "p", "material": "Si",
    "thickness": 0.45, "mu": 3.5, "gain": 2, "pedestal": 40, "trusted_range": [0, 65535],
    "mask": [[10, 20, 15, 30], [-5, 90, 300, 400], [5, 5, 5, 9]],
    "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy"}})"));
  const Geometry g = read(file);
  const GeometryPanel& p = g.panels[0];
  EXPECT_EQ(p.sensor_material, "Si");
  EXPECT_EQ(p.sensor_thickness_mm, 0.45);
  EXPECT_EQ(p.attenuation_per_mm, 3.5);
  EXPECT_EQ(p.gain, 2);
  EXPECT_EQ(p.pedestal, 40);
  EXPECT_EQ(p.underload, 0);
  EXPECT_EQ(p.saturation, 65535);
  EXPECT_THAT(p.masked,
              ElementsAre(PixelRectangle{10, 15, 20, 30}, PixelRectangle{0, 200, 90, 100}));
  EXPECT_THAT(g.notices, IsEmpty());
}

TEST_F(Expt, SaysWhichConventionOfTheTrustedRangeItTakes) {
  json file = still();
  json& panel = file["detector"][0]["panels"][0];
  const auto range = [&](double lower, double upper) {
    panel["trusted_range"] = {lower, upper};
    const Geometry g = read(file);
    return std::pair(g.panels[0].underload, g.panels[0].saturation);
  };
  using Pair = std::pair<std::optional<double>, std::optional<double>>;
  EXPECT_EQ(range(0, 100), Pair(0, 100));
  EXPECT_EQ(range(-400, 90000), Pair(-400, 90000));
  EXPECT_EQ(range(-0.5, 100.5), Pair(0, 100));
  EXPECT_EQ(range(-2147483647.0, 2147483647.0), Pair());
  EXPECT_EQ(range(0, 0), Pair());
  EXPECT_EQ(range(-1, 101), Pair(0, 100));
  EXPECT_THAT(read(file).notices, ElementsAre(HasSubstr("begins at -1: by the convention of dxtbx "
                                                        "up to 3.11")));
  panel["trusted_range"] = {5, 4};
  EXPECT_THAT(problem(file), HasSubstr("'detector[0].panels[0].trusted_range' ends at 4"));
}

TEST_F(Expt, SaysThatDialsMapsAThickSensorAsAThinOne) {
  json file = still();
  file["detector"][0]["panels"][0].update(
      json::parse(R"({"thickness": 0.3, "px_mm_strategy": {"type": "SimplePxMmStrategy"}})"));
  EXPECT_THAT(read(file).notices, ElementsAre(HasSubstr("as if photons stopped at its surface")));
}

TEST_F(Expt, GivesPolarizationAsTheDifferenceOfBothPlanes) {
  json file = still();
  file["beam"][0]["polarization_fraction"] = 0.995;
  file["beam"][0]["polarization_normal"] = {0, 0.0, -2};
  const Geometry g = read(file);
  EXPECT_NEAR(*g.beam->polarization, 0.99, 1e-15);
  EXPECT_EQ(g.beam->polarization_normal, (Vec3d{0, 0, -1}));
  file["beam"][0]["polarization_fraction"] = 1.5;
  EXPECT_THAT(problem(file), HasSubstr("'beam[0].polarization_fraction' is 1.5, not between"));
}

TEST_F(Expt, OfAPolychromaticBeamGivesTheMiddleAndSaysSo) {
  json file = still();
  file["beam"][0] = {
      {"__id__", "polychromatic"}, {"direction", {0, 0, 1}}, {"wavelength_range", {1.0, 1.2}}};
  const Geometry g = read(file);
  EXPECT_NEAR(g.beam->wavelength_A, 1.1, 1e-15);
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("polychromatic, from 1 to 1.2 A")));
}

TEST_F(Expt, GivesScanAndCrystal) {
  const Geometry g = read(with_scan());
  ASSERT_TRUE(g.scan);
  EXPECT_EQ(g.scan->start_deg, 5);
  EXPECT_EQ(g.scan->width_deg, 0.5);
  EXPECT_EQ(g.scan->images, 10);
  EXPECT_EQ(g.scan->first_image, 11);
  EXPECT_EQ(g.scan->exposure_s, 0.1);
  EXPECT_EQ(g.scan->spindle_axis, (Vec3d{1, 0, 0}));
  ASSERT_EQ(g.crystals.size(), 1u);
  EXPECT_EQ(g.crystals[0].space_group, "P 21 21 21");
  EXPECT_EQ(g.crystals[0].real_axes_A.b, (Vec3d{0, 20, 0}));
}

TEST_F(Expt, ReadsTheNewFormOfAScanAsTheOldOne) {
  json file = with_scan();
  file["scan"][0].erase("oscillation");
  file["scan"][0].erase("exposure_time");
  json starts = json::array(), times = json::array();
  for (int i = 0; i < 10; ++i) {
    starts.push_back(5 + 0.5 * i);
    times.push_back(i < 5 ? 0.1 : 0.2);
  }
  file["scan"][0]["properties"] = {{"oscillation", starts}, {"exposure_time", times}};
  const Geometry g = read(file);
  EXPECT_EQ(g.scan->start_deg, 5);
  EXPECT_NEAR(g.scan->width_deg, 0.5, 1e-15);
  EXPECT_EQ(g.scan->exposure_s, 0.1);
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("different exposure times")));
  file["scan"][0]["properties"]["oscillation"][4] = 8;
  EXPECT_THAT(problem(file), HasSubstr("oscillation' does not rise by the same angle"));
  file["scan"][0]["properties"]["oscillation"] = {1, 2};
  EXPECT_THAT(problem(file), HasSubstr("has 2 numbers; there must be 10"));
}

TEST_F(Expt, TakesTheWidthOfASingleImageFromItsOwnKey) {
  json file = with_scan();
  file["scan"][0] = json::parse(R"({"image_range": [1, 1], "batch_offset": 0,
    "properties": {"oscillation": [7], "oscillation_width": [0.25]}})");
  EXPECT_EQ(read(file).scan->width_deg, 0.25);
  file["scan"][0]["properties"].erase("oscillation_width");
  EXPECT_FALSE(read(file).scan);
}

TEST_F(Expt, TurnsTheAxisOverWhereTheAngleFalls) {
  json file = with_scan();
  file["scan"][0]["oscillation"] = {5, -0.5};
  const Geometry g = read(file);
  EXPECT_EQ(g.scan->spindle_axis, (Vec3d{-1, 0, 0}));
  EXPECT_EQ(g.scan->start_deg, -5);
  EXPECT_EQ(g.scan->width_deg, 0.5);
}

TEST_F(Expt, TurnsTheCrystalByFixedAndSettingRotation) {
  json file = with_scan();
  // F: x -> y -> z -> x;  S: a quarter turn about z
  file["goniometer"][0]["fixed_rotation"] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
  file["goniometer"][0]["setting_rotation"] = {0, -1, 0, 1, 0, 0, 0, 0, 1};
  const Geometry g = read(file);
  expect_near(g.scan->spindle_axis, {0, 1, 0});
  expect_near(g.crystals[0].real_axes_A.a, {-10, 0, 0});
  expect_near(g.crystals[0].real_axes_A.b, {0, 0, 20});
  expect_near(g.crystals[0].real_axes_A.c, {0, 30, 0});
  EXPECT_THAT(g.notices, IsEmpty());
  file["goniometer"][0]["fixed_rotation"][0] = 0.5;
  EXPECT_THAT(problem(file), HasSubstr("'goniometer[0].fixed_rotation' is no rotation"));
}

TEST_F(Expt, TakesTheOtherAxesOfAGoniometerAtTheirAngles) {
  json file = with_scan();
  file["goniometer"][0] = json::parse(R"({"axes": [[0, 0, 1], [1, 0, 0], [0, 0, 1]],
    "angles": [90, 33, -90], "names": ["phi", "omega", "kappa"], "scan_axis": 1})");
  const Geometry g = read(file);
  expect_near(g.scan->spindle_axis, {0, -1, 0});
  expect_near(g.crystals[0].real_axes_A.a, {10, 0, 0});
  expect_near(g.crystals[0].real_axes_A.b, {0, 20, 0});
}

TEST_F(Expt, TakesTheAngleOfAStillIntoItsCrystal) {
  json file = with_scan();
  file["scan"][0]["oscillation"] = {90, 0};
  const Geometry g = read(file);
  EXPECT_FALSE(g.scan);
  expect_near(g.crystals[0].real_axes_A.b, {0, 0, 20});
  EXPECT_THAT(g.notices, ElementsAre(HasSubstr("turns the crystal of this still")));
}

TEST_F(Expt, SaysWhichExperimentItTakesAndHowManyThereAre) {
  json file = with_crystal();
  file["imageset"] = {json::object()};
  file["experiment"][0]["imageset"] = 0;
  file["experiment"].push_back(file["experiment"][0]);
  file["experiment"].push_back(file["experiment"][0]);
  file["experiment"][2].erase("imageset");
  file["beam"].push_back({{"direction", {0, 0, 1}}, {"wavelength", 2}});
  file["experiment"][1]["beam"] = 1;
  const Geometry g = read(file, 1);
  EXPECT_EQ(g.beam->wavelength_A, 2);
  EXPECT_THAT(g.notices, ElementsAre("experiment 1 of 3 (counted from 0) is taken; 1 other has the "
                                     "same images, and their crystals are left out"));
  EXPECT_THAT(problem(file, 3), HasSubstr("'experiment' has no entry 3: they go from 0 to 2"));
  EXPECT_THAT(problem(file, -1), HasSubstr("has no entry -1"));
}

TEST_F(Expt, SaysWhatIsNotTaken) {
  json file = with_scan();
  file["crystal"][0].update(json::parse(R"({"A_at_scan_points": [[1]], "mosaicity": 0.1,
    "ML_half_mosaicity_deg": 0.2, "ML_domain_size_ang": 1000})"));
  file["beam"][0].update(
      json::parse(R"({"s0_at_scan_points": [[0, 0, 1]], "flux": 1e12, "divergence": 0.1,
                      "probe": "neutron"})"));
  file["goniometer"][0]["setting_rotation_at_scan_points"] = {{1}};
  file["imageset"] = {{{"mask", "a.mask"}, {"dx", "dx.pickle"}, {"gain", nullptr}}};
  file["profile"] = {json::object()};
  file["experiment"][0]["imageset"] = 0;
  file["experiment"][0]["profile"] = 0;
  for (const char* part :
       {"crystal changes from image", "mosaicity", "domain size", "beam changes from image", "flux",
        "divergence", "\"neutron\"", "goniometer changes from image", "the mask of its images",
        "shifts of pixels", "its profile is not taken"})
    EXPECT_THAT(read(file).notices, Contains(HasSubstr(part))) << part;
  EXPECT_THAT(read(file).notices, Not(Contains(HasSubstr("the gain of"))));
}

TEST_F(Expt, NamesTheKeyThatIsMissingOrWrong) {
  const auto without = [&](const char* pointer) {
    json file = with_scan();
    const json::json_pointer at(pointer);
    file.at(at.parent_pointer()).erase(at.back());
    return problem(file);
  };
  EXPECT_THAT(without("/detector/0/panels/0/fast_axis"),
              HasSubstr("'detector[0].panels[0]' has no 'fast_axis', which an experiment of dxtbx "
                        "needs"));
  EXPECT_THAT(without("/detector/0/panels/0/pixel_size"), HasSubstr("has no 'pixel_size'"));
  EXPECT_THAT(without("/detector/0/panels"), HasSubstr("'detector[0]' has no 'panels'"));
  EXPECT_THAT(without("/experiment/0/detector"), HasSubstr("'experiment[0]' names no detector"));
  EXPECT_THAT(without("/beam/0/wavelength"), HasSubstr("'beam[0]' has no 'wavelength'"));
  EXPECT_THAT(without("/experiment"), HasSubstr("it has no 'experiment'"));
  EXPECT_THAT(without("/experiment/0/goniometer"), HasSubstr("names no goniometer"));
  EXPECT_THAT(without("/scan/0/image_range"), HasSubstr("'scan[0]' has no 'image_range'"));
  EXPECT_THAT(without("/crystal/0/real_space_c"), HasSubstr("'crystal[0]' has no 'real_space_c'"));
  EXPECT_THAT(without("/__id__"), HasSubstr("has no '__id__'"));

  const auto with = [&](const char* pointer, const json& value) {
    json file = with_scan();
    file[json::json_pointer(pointer)] = value;
    return problem(file);
  };
  const std::string panel = "/detector/0/panels/0/";
  EXPECT_THAT(with((panel + "image_size").c_str(), {0, 10}),
              HasSubstr("image_size[0]' is 0; it must be between 1 and 1048576"));
  EXPECT_THAT(with((panel + "image_size").c_str(), {10.5, 10}), HasSubstr("is 10.5, no whole"));
  EXPECT_THAT(with((panel + "pixel_size").c_str(), {0.1, -0.1}), HasSubstr("must be positive"));
  EXPECT_THAT(with((panel + "slow_axis").c_str(), {0, 0, 0}), HasSubstr("its length is 0"));
  EXPECT_THAT(with((panel + "slow_axis").c_str(), {1, 1, 0}), HasSubstr("not at right angles"));
  EXPECT_THAT(with((panel + "origin").c_str(), {1, 2}), HasSubstr("has 2 numbers"));
  EXPECT_THAT(with((panel + "origin").c_str(), "x"), HasSubstr("is no list"));
  EXPECT_THAT(with((panel + "origin").c_str(), {1, 2, "x"}), HasSubstr("origin[2]' is no number"));
  EXPECT_THAT(with("/beam/0/wavelength", -1), HasSubstr("is -1; it must be positive"));
  EXPECT_THAT(with("/experiment/0/beam", 7), HasSubstr("'experiment[0].beam' is 7, and there are"));
  EXPECT_THAT(with("/experiment", json::array()), HasSubstr("is empty"));
  EXPECT_THAT(with("/crystal/0/real_space_c", {0, 0, -30}), HasSubstr("no right-handed cell"));
  EXPECT_THAT(with("/scan/0/image_range", {2, 1}), HasSubstr("ends before its first image"));
  EXPECT_THAT(with("/__id__", "Other"), HasSubstr("its '__id__' is not ExperimentList"));
}

TEST_F(Expt, ThatIsNoJsonIsRefused) {
  for (const char* text : {"", "{", "[1]", "{\"__id__\": \"ExperimentList\", \"experiment\": NaN}",
                           "\xff\xfe", "{\"__id__\": 1e999}"})
    EXPECT_THAT(message_of<InputError>([&] { read_expt_geometry(folder.file("a.expt", text)); }),
                AllOf(HasSubstr("a.expt: "), Not(HasSubstr("exception"))))
        << text;
}

TEST_F(Expt, ThatWasWrittenIsReadBack) {
  json file = with_scan();
  file["goniometer"][0]["rotation_axis"] = {0.8, 0.6, 0};
  file["beam"][0].update({{"polarization_fraction", 0.75}, {"direction", {0.01, 0.02, 0.9997}}});
  json& panel = file["detector"][0]["panels"][0];
  panel.update(json::parse(R"({"name": "p", "material": "Si", "thickness": 0.45, "mu": 3.5,
    "gain": 2.5, "pedestal": 40.25, "trusted_range": [0, 65535], "mask": [[10, 20, 15, 30]],
    "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy"}})"));
  panel["origin"] = {-10.123456789012, 10, 3};
  file["detector"][0]["panels"] = {panel, panel};
  file["detector"][0]["hierarchy"] = {{"name", "outer"},
                                      {"origin", {1, 2, -200}},
                                      {"fast_axis", {0.6, 0.8, 0}},
                                      {"slow_axis", {-0.8, 0.6, 0}},
                                      {"children",
                                       {{{"panel", 0}},
                                        {{"name", "inner"},
                                         {"origin", {5, 6, 7}},
                                         {"fast_axis", {1, 0, 0}},
                                         {"slow_axis", {0, 0.8, 0.6}},
                                         {"children", {{{"panel", 1}}}}}}}};
  const Geometry g = read(file), back = again(g);
  ASSERT_EQ(back.panels.size(), 2u);
  ASSERT_EQ(back.groups.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    expect_near(back.groups[i].origin_mm, g.groups[i].origin_mm);
    expect_near(back.groups[i].slow_axis, g.groups[i].slow_axis);
    EXPECT_EQ(back.groups[i].name, g.groups[i].name);
    EXPECT_EQ(back.groups[i].parent, g.groups[i].parent);
    const GeometryPanel &p = back.panels[i], &q = g.panels[i];
    expect_near(p.origin_mm, q.origin_mm);
    expect_near(p.fast_axis, q.fast_axis);
    expect_near(p.slow_axis, q.slow_axis);
    EXPECT_EQ(p.group, q.group);
    EXPECT_EQ(std::tie(p.name, p.fast_pixels, p.slow_pixels, p.fast_pixel_mm, p.slow_pixel_mm,
                       p.sensor_material, p.sensor_thickness_mm, p.attenuation_per_mm),
              std::tie(q.name, q.fast_pixels, q.slow_pixels, q.fast_pixel_mm, q.slow_pixel_mm,
                       q.sensor_material, q.sensor_thickness_mm, q.attenuation_per_mm));
    EXPECT_EQ(std::tie(p.underload, p.saturation, p.gain, p.pedestal, p.masked),
              std::tie(q.underload, q.saturation, q.gain, q.pedestal, q.masked));
  }
  expect_near(back.beam->direction, g.beam->direction);
  EXPECT_EQ(back.beam->polarization, g.beam->polarization);
  EXPECT_EQ(back.beam->wavelength_A, g.beam->wavelength_A);
  expect_near(back.scan->spindle_axis, g.scan->spindle_axis);
  EXPECT_EQ(std::tie(back.scan->start_deg, back.scan->width_deg, back.scan->images,
                     back.scan->first_image, back.scan->exposure_s),
            std::tie(g.scan->start_deg, g.scan->width_deg, g.scan->images, g.scan->first_image,
                     g.scan->exposure_s));
  expect_near(back.crystals[0].real_axes_A.c, g.crystals[0].real_axes_A.c);
  EXPECT_EQ(back.crystals[0].space_group, "P 21 21 21");
  EXPECT_THAT(back.notices, IsEmpty());
}

TEST_F(Expt, IsWrittenInTheFormThatDebiansDxtbxReads) {
  again(read(with_scan()), folder / "images_master.h5");
  const json file = written();
  EXPECT_EQ(file["scan"][0]["oscillation"], json({5.0, 0.5}));
  EXPECT_EQ(file["scan"][0]["exposure_time"].size(), 10u);
  EXPECT_FALSE(file["scan"][0].contains("properties"));
  EXPECT_EQ(file["beam"][0]["__id__"], "monochromatic");
  EXPECT_EQ(file["imageset"][0]["__id__"], "ImageSequence");
  EXPECT_EQ(file["imageset"][0]["template"], "images_master.h5");
  EXPECT_EQ(file["imageset"][0]["single_file_indices"].size(), 10u);
  EXPECT_EQ(file["crystal"][0]["space_group_hall_symbol"], " P 2ac 2ab");
}

TEST_F(Expt, NamesImagesFromItsOwnFolder) {
  std::filesystem::create_directory(folder / "sub");
  ImageSeries series;
  series.geometry = read(with_scan());
  write_expt(folder / "sub/b.expt", series, folder / "x_####.cbf");
  const json file = json::parse(folder.content("sub/b.expt"));
  EXPECT_EQ(file["imageset"][0]["template"], "../x_####.cbf");
  EXPECT_FALSE(file["imageset"][0].contains("single_file_indices"));
}

TEST_F(Expt, OfStillsHasAnExperimentAnImageAndACrystal) {
  ImageSeries series;
  series.geometry = read(with_crystal());
  series.geometry.crystals.push_back(series.geometry.crystals[0]);
  series.geometry.crystals[1].real_axes_A.a = {11, 0, 0};
  series.images = {{0, 1.0}, {0, 1.2}, {0, 0}};
  write_expt(folder / "b.expt", series, folder / "x.nxs");
  const json file = written();
  EXPECT_EQ(file["experiment"].size(), 6u);
  EXPECT_EQ(file["beam"].size(), 3u);
  EXPECT_EQ(file["detector"].size(), 1u);
  EXPECT_EQ(file["crystal"].size(), 2u);
  EXPECT_EQ(file["imageset"].size(), 3u);
  EXPECT_EQ(file["imageset"][2]["single_file_indices"], json({2}));
  EXPECT_EQ(file["scan"].size(), 0u);
  EXPECT_FALSE(file["experiment"][0].contains("goniometer"));
  EXPECT_EQ(read_expt_geometry(folder / "b.expt", 2).beam->wavelength_A, 1.2);
  EXPECT_EQ(read_expt_geometry(folder / "b.expt", 5).beam->wavelength_A, 1.1);
  EXPECT_EQ(read_expt_geometry(folder / "b.expt", 5).crystals[0].real_axes_A.a.x, 11);
  std::vector<std::string> identifiers;
  for (const json& experiment : file["experiment"]) identifiers.push_back(experiment["identifier"]);
  EXPECT_EQ(identifiers, expt_identifiers(series));

  write_expt(folder / "c.expt", series, folder / "x_##.cbf");
  EXPECT_EQ(json::parse(folder.content("c.expt"))["imageset"][1]["images"], json({"x_02.cbf"}));
}

TEST_F(Expt, StatesWhatTheSensorsMaterialAttenuates) {
  Geometry g = read(still());
  g.beam->wavelength_A = 1;
  g.panels[0].sensor_material = "Si";
  g.panels[0].sensor_thickness_mm = 0.45;
  EXPECT_NEAR(again(g).panels[0].attenuation_per_mm, 4.21, 0.01);
  EXPECT_EQ(written()["detector"][0]["panels"][0]["px_mm_strategy"]["type"],
            "ParallaxCorrectedPxMmStrategy");
  g.panels[0].sensor_material = "unobtainium";
  EXPECT_EQ(again(g).panels[0].attenuation_per_mm, 0);
}

TEST_F(Expt, RefusesToWriteWhatItCannotSay) {
  const auto refusal = [&](const ImageSeries& series) {
    const std::string sentence = message_of<UsageError>(
        [&] { write_expt(folder / "c.expt", series, ""); });
    EXPECT_THAT(folder.names(), Not(Contains("c.expt")));
    return sentence;
  };
  ImageSeries series;
  series.geometry = read(with_scan());
  series.images.resize(10);
  series.images[3].wavelength_A = 1.3;
  EXPECT_THAT(refusal(series), HasSubstr("a wavelength for each image of a scan; write stills"));
  series.images.resize(3);
  EXPECT_THAT(refusal(series), HasSubstr("the scan has 10 images and the series 3"));
  series.images.clear();
  series.geometry.crystals[0].space_group = "nonsense";
  EXPECT_THAT(refusal(series), HasSubstr("\"nonsense\""));
  series.geometry.crystals.clear();
  series.geometry.panels[0].slow_axis = {0.1, -1, 0};
  EXPECT_THAT(refusal(series), HasSubstr("right angles"));
  series.geometry.panels.clear();
  EXPECT_THAT(refusal(series), HasSubstr("needs a panel"));
  series.geometry.beam.reset();
  EXPECT_THAT(refusal(series), HasSubstr("needs a beam"));
}

TEST_F(Expt, OfAnInstalledDetectorIsWhereDxtbxPutsIt) {
  const auto path = test::shared_file("real/cspad-64-panels-stills.expt");
  if (!path) GTEST_SKIP() << "no ../shared/real";
  const Geometry g = read_expt_geometry(*path, 2);
  ASSERT_EQ(g.panels.size(), 64u);
  EXPECT_EQ(g.groups.size(), 1u + 4 + 32);
  // By dxtbx 3.11.2: detector[17].get_origin() and so on
  const GeometryPanel& p = g.panels[17];
  EXPECT_EQ(p.name, "ARRAY_D0Q1S0A1");
  expect_near(p.origin_mm, {18.132475747392732, 48.447889520341676, -129.97165215745412});
  expect_near(p.fast_axis, {0.9999593638178035, -0.009015027071159533, 0});
  expect_near(p.slow_axis, {-0.009015027071157766, -0.9999593638178036, 0});
  EXPECT_THAT(g.notices, Contains(HasSubstr("experiment 2 of 3")));
}

}  // namespace
}  // namespace nablabragg::io
