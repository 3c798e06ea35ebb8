// Detectors by their names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "nablabragg/detector_presets.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/materials.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

std::string found(std::string_view name) {
  const DetectorPreset preset = find_detector_preset(name);
  return preset.name() + ", " + preset.sensor_name();
}

TEST(DetectorPresets, AreFoundWhateverCaseAndSeparatorsTheNameHas) {
  for (const char* name : {"EIGER2 16M", "EIGER2-16M", "eiger2_16m", "Eiger2 X 16M",
                           "EIGER2 XE 16M", "EIGER2-16", "EIGER2/16M/Si", "eiger2 16m si 450 um"})
    EXPECT_EQ(found(name), "EIGER2 16M, Si 450 um") << name;
  EXPECT_EQ(found("PILATUS 6M"), "PILATUS3 6M, Si 450 um");
  EXPECT_EQ(found("cspad"), "CSPAD, Si 500 um");
  EXPECT_EQ(found("epix"), "ePix10k2M, Si 500 um");
  EXPECT_EQ(found("Q315r"), "ADSC Q315r, ");
  EXPECT_EQ(found("MX340"), "Rayonix MX340-HS, Gd2O2S 40 um");
  EXPECT_EQ(found("MX340-HS binned"), "Rayonix MX340-HS binned, Gd2O2S 40 um");
}

TEST(DetectorPresets, TakeASensorBehindTheirNames) {
  EXPECT_EQ(found("EIGER2-16M-CdTe"), "EIGER2 16M, CdTe 750 um");
  EXPECT_EQ(found("EIGER2 CdTe 16M"), "EIGER2 16M, CdTe 750 um");
  EXPECT_EQ(found("PILATUS3 6M Si 1000"), "PILATUS3 6M, Si 1000 um");
  EXPECT_EQ(found("PILATUS3 2M CdTe"), "PILATUS3 2M, CdTe 1000 um");
  EXPECT_EQ(found("mpccd octal si 300"), "MPCCD octal, Si 300 um");
}

TEST(DetectorPresets, ThatAreMeantByNothingOrSeveralAreRefusedWithTheNames) {
  const auto refusal = [](const char* name) {
    return message_of<UsageError>([&] { find_detector_preset(name); });
  };
  EXPECT_EQ(refusal("JUNGFRAU"),
            "no detector is called 'JUNGFRAU', and several names begin so: JUNGFRAU 4M, JUNGFRAU "
            "16M");
  EXPECT_EQ(refusal("EIGRE2_16M"), "no detector is called 'EIGRE2_16M'; did you mean EIGER2 16M?");
  EXPECT_EQ(refusal("foo"),
            "no detector is called 'foo'; nablabragg detectors lists those there are");
  EXPECT_THAT(refusal(""), HasSubstr("nablabragg detectors lists"));
  EXPECT_THAT(refusal("EIGER2 16M Ge"), HasSubstr("did you mean EIGER2 16M?"));
}

TEST(DetectorPresets, AreAllFoundByTheirOwnNames) {
  std::set<std::string> names;
  for (const DetectorPreset& preset : detector_presets()) {
    EXPECT_EQ(find_detector_preset(preset.name()).name(), preset.name());
    EXPECT_TRUE(names.insert(preset.name()).second) << preset.name();
    EXPECT_FALSE(preset.source.empty()) << preset.name();
    for (const PresetSensor& sensor : preset.sensors)
      EXPECT_TRUE(sensor.material.empty() ||
                  find_sensor_material(sensor.material).name == sensor.material);
  }
  EXPECT_GT(names.size(), 25u);
}

TEST(DetectorPresets, HaveThePixelsOfTheTable) {
  const auto pixels = [](const char* name) {
    const DetectorPreset p = find_detector_preset(name);
    return std::tuple(p.fast_pixels, p.slow_pixels, p.panels, p.pixel_mm);
  };
  EXPECT_EQ(pixels("PILATUS3 12M"), std::tuple(2463, 5071, 1, 0.172));
  EXPECT_EQ(pixels("PILATUS3 6M"), std::tuple(2463, 2527, 1, 0.172));
  EXPECT_EQ(pixels("PILATUS3 2M"), std::tuple(1475, 1679, 1, 0.172));
  EXPECT_EQ(pixels("PILATUS3 1M"), std::tuple(981, 1043, 1, 0.172));
  EXPECT_EQ(pixels("PILATUS3 300K"), std::tuple(487, 619, 1, 0.172));
  EXPECT_EQ(pixels("EIGER X 16M"), std::tuple(4150, 4371, 1, 0.075));
  EXPECT_EQ(pixels("EIGER X 9M"), std::tuple(3110, 3269, 1, 0.075));
  EXPECT_EQ(pixels("EIGER X 4M"), std::tuple(2070, 2167, 1, 0.075));
  EXPECT_EQ(pixels("EIGER X 1M"), std::tuple(1030, 1065, 1, 0.075));
  EXPECT_EQ(pixels("EIGER2 16M"), std::tuple(4148, 4362, 1, 0.075));
  EXPECT_EQ(pixels("EIGER2 9M"), std::tuple(3108, 3262, 1, 0.075));
  EXPECT_EQ(pixels("EIGER2 4M"), std::tuple(2068, 2162, 1, 0.075));
  EXPECT_EQ(pixels("EIGER2 1M"), std::tuple(1028, 1062, 1, 0.075));
  EXPECT_EQ(pixels("JUNGFRAU 4M"), std::tuple(2068, 2164, 1, 0.075));
  EXPECT_EQ(pixels("JUNGFRAU 16M"), std::tuple(1030, 514, 32, 0.075));
  EXPECT_EQ(pixels("CSPAD"), std::tuple(194, 185, 64, 0.10992));
  EXPECT_EQ(pixels("AGIPD"), std::tuple(128, 64, 128, 0.2));
  EXPECT_EQ(pixels("MPCCD"), std::tuple(512, 1024, 8, 0.05));
}

TEST(DetectorPresets, MaskTheGapsBetweenModules) {
  const Geometry g = detector_geometry(find_detector_preset("EIGER2 1M"), 100);
  EXPECT_THAT(g.panels[0].masked, testing::ElementsAre(PixelRectangle{0, 1028, 512, 550}));
  const Geometry cdte = detector_geometry(find_detector_preset("EIGER2 4M CdTe"), 100);
  EXPECT_THAT(
      cdte.panels[0].masked,
      testing::ElementsAre(PixelRectangle{1028, 1040, 0, 2162}, PixelRectangle{0, 2068, 512, 550},
                           PixelRectangle{0, 2068, 1062, 1100}, PixelRectangle{0, 2068, 1612, 1650},
                           PixelRectangle{513, 515, 0, 2162}, PixelRectangle{1553, 1555, 0, 2162}));
  EXPECT_EQ(cdte.panels[0].sensor_material, "CdTe");
  EXPECT_EQ(cdte.panels[0].sensor_thickness_mm, 0.75);
}

TEST(DetectorPresets, LieNormalToTheBeam) {
  for (const DetectorPreset& preset : detector_presets()) {
    const Geometry g = detector_geometry(preset, 123.5);
    EXPECT_EQ(g.detector_name, preset.name());
    ASSERT_EQ(g.panels.size(), static_cast<std::size_t>(preset.panels)) << preset.name();
    for (const GeometryPanel& p : g.panels) {
      EXPECT_EQ(p.origin_mm.z, -123.5);
      EXPECT_EQ(p.fast_axis.z, 0);
      EXPECT_EQ(p.slow_axis.z, 0);
      EXPECT_EQ(dot(p.fast_axis, p.slow_axis), 0);
      EXPECT_EQ(length(p.fast_axis), 1);
      EXPECT_LT(p.group, static_cast<int>(g.groups.size()));
      EXPECT_EQ(p.group >= 0, preset.panels > 1);
    }
    for (std::size_t i = 0; i < g.groups.size(); ++i) {
      EXPECT_LT(g.groups[i].parent, static_cast<int>(i));
      EXPECT_EQ(g.groups[i].origin_mm.z, -123.5);
    }
  }
}

struct Rectangle {
  double left, right, bottom, top;
};

Rectangle around(const GeometryPanel& p) {
  const Vec3d a = p.origin_mm, b = a + (p.fast_pixels * p.fast_pixel_mm) * p.fast_axis +
                                   (p.slow_pixels * p.slow_pixel_mm) * p.slow_axis;
  return {std::min(a.x, b.x), std::max(a.x, b.x), std::min(a.y, b.y), std::max(a.y, b.y)};
}

TEST(DetectorPresets, HavePanelsThatDoNotOverlap) {
  for (const DetectorPreset& preset : detector_presets()) {
    const Geometry g = detector_geometry(preset, 100);
    for (std::size_t i = 0; i < g.panels.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const Rectangle a = around(g.panels[i]), b = around(g.panels[j]);
        // The wide pixels at the seams of ePix stand in for two.
        const double width = std::min(a.right, b.right) - std::max(a.left, b.left),
                     height = std::min(a.top, b.top) - std::max(a.bottom, b.bottom);
        EXPECT_FALSE(width > 1e-9 && height > 1e-9)
            << preset.name() << ": " << g.panels[i].name << " and " << g.panels[j].name;
      }
  }
}

TEST(DetectorPresets, LeaveTheBeamAHoleBetweenSeveralPanels) {
  for (const char* name : {"CSPAD", "AGIPD", "ePix10k2M", "JUNGFRAU 16M", "MPCCD"})
    for (const GeometryPanel& p : detector_geometry(find_detector_preset(name), 100).panels) {
      const Rectangle r = around(p);
      EXPECT_FALSE(r.left < 0 && r.right > 0 && r.bottom < 0 && r.top > 0) << name << p.name;
    }
}

TEST(DetectorPresets, PutTheBeamWhereItIsAskedFor) {
  const DetectorPreset eiger = find_detector_preset("EIGER2 16M");
  const auto origin = [](const DetectorPreset& preset, std::optional<BeamOnDetector> beam) {
    return detector_geometry(preset, 200, beam).panels[0].origin_mm;
  };
  const Vec3d middle = origin(eiger, std::nullopt);
  EXPECT_NEAR(middle.x, -4148 * 0.075 / 2, 1e-12);
  EXPECT_NEAR(middle.y, 4362 * 0.075 / 2, 1e-12);
  EXPECT_NEAR(origin(eiger, BeamOnDetector{1000, 2000.5}).x, -75, 1e-12);
  EXPECT_NEAR(origin(eiger, BeamOnDetector{1000, 2000.5}).y, 150.0375, 1e-12);
  EXPECT_NEAR(origin(eiger, BeamOnDetector{-3, 4, LengthUnit::millimetres}).x, 3, 1e-12);
  EXPECT_NEAR(origin(eiger, BeamOnDetector{-3, 4, LengthUnit::millimetres}).y, 4, 1e-12);

  const DetectorPreset cspad = find_detector_preset("CSPAD");
  const Geometry moved = detector_geometry(cspad, 200, BeamOnDetector{0, 0});
  double left = 1e9, top = -1e9;
  for (const GeometryPanel& p : moved.panels) {
    left = std::min(left, around(p).left);
    top = std::max(top, around(p).top);
  }
  EXPECT_NEAR(left, 0, 1e-9);
  EXPECT_NEAR(top, 0, 1e-9);
  const Geometry unmoved = detector_geometry(cspad, 200);
  const Vec3d shift = moved.panels[0].origin_mm - unmoved.panels[0].origin_mm;
  for (std::size_t i = 0; i < moved.groups.size(); ++i)
    EXPECT_NEAR(length(moved.groups[i].origin_mm - unmoved.groups[i].origin_mm - shift), 0, 1e-9);
}

TEST(DetectorPresets, RefuseDistancesThatAreNone) {
  const DetectorPreset eiger = find_detector_preset("EIGER2 16M");
  for (const double distance_mm : {0.0, -1.0, std::nan(""), HUGE_VAL})
    EXPECT_THAT(message_of<UsageError>([&] { detector_geometry(eiger, distance_mm); }),
                HasSubstr("must be positive"));
  EXPECT_THAT(message_of<UsageError>([&] {
                detector_geometry(eiger, 1, BeamOnDetector{NAN, 0});
              }),
              HasSubstr("no number"));
}

}  // namespace
}  // namespace nablabragg
