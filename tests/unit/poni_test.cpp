// Geometry for pyFAI: what is written; tests/peers hold it against pyFAI itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/poni.hpp"
#include "nablabragg/error.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;

Geometry flat() {
  Geometry geometry;
  GeometryPanel panel;
  panel.fast_pixels = 30;
  panel.slow_pixels = 20;
  panel.fast_pixel_mm = 0.1;
  panel.slow_pixel_mm = 0.2;
  panel.fast_axis = {1, 0, 0};
  panel.slow_axis = {0, -1, 0};
  panel.origin_mm = {-1, 1.5, -100};
  geometry.panels = {panel};
  geometry.beam.emplace().wavelength_A = 1.25;
  return geometry;
}

TEST(Poni, StatesAPanelThatIsSquareToTheBeamWithoutRotations) {
  const TempDir dir;
  write_poni(dir / "a.poni", flat());
  EXPECT_EQ(dir.content("a.poni"),
            "# nablaBragg\nponi_version: 2\nDetector: Detector\n"
            "Detector_config: {\"pixel1\": 0.0002, \"pixel2\": 0.0001, \"max_shape\": [20, 30]}\n"
            "Distance: 0.1\nPoni1: 0.0015\nPoni2: 0.001\nRot1: 0\nRot2: 0\nRot3: 0\n"
            "Wavelength: 1.25e-10\n");
}

TEST(Poni, RefusesWhatItCannotState) {
  const TempDir dir;
  Geometry geometry = flat();
  geometry.panels[0].slow_axis = {0, 0, 1};
  const auto problem = [&] {
    const std::string path = dir / "a.poni";
    return message_of<UsageError>([&] { write_poni(path, geometry); }).substr(path.size());
  };
  EXPECT_EQ(problem(),
            ": a .poni states a panel that the beam falls on, and this one is parallel to it");
  geometry = flat();
  geometry.beam.reset();
  EXPECT_EQ(problem(), ": a .poni states a wavelength, and there is no beam");
  geometry = flat();
  geometry.panels.push_back(geometry.panels[0]);
  EXPECT_EQ(problem(), ": a .poni holds one panel, and there are 2; an .expt file holds them");
  EXPECT_TRUE(dir.names().empty());
}

}  // namespace
}  // namespace nablabragg::io
