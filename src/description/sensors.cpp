#include "description/sensors.hpp"

#include <algorithm>
#include <cmath>

#include "nablabragg/materials.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::description {

int layers_of(double thickness_um) {
  constexpr double thickest_um = 50, most = 1000;
  return static_cast<int>(std::clamp(std::ceil(thickness_um / thickest_um), 1.0, most));
}

void settle_sensors(Experiment& e) {
  const auto set = [&](Detector& d) {
    if (d.sensor_material.empty() || !(d.sensor_thickness_um > 0)) return;
    if (!d.sensor_layers) d.sensor_layers = layers_of(d.sensor_thickness_um);
    if (d.attenuation_depth_um) return;
    const double energy_eV = units::ev_angstrom / e.beam.wavelength_A;
    d.attenuation_depth_um = 1000 / attenuation_per_mm(d.sensor_material, energy_eV);
  };
  set(e.detector);
  for (FurtherPanel& further : e.more_panels) set(further.detector);
}

void reopen_sensors(Experiment& e) {
  const double energy_eV = units::ev_angstrom / e.beam.wavelength_A;
  const auto reopen = [&](Detector& d) {
    if (!d.attenuation_depth_um || !sensor_material_named(d.sensor_material)) return;
    const double of_material_um = 1000 / attenuation_per_mm(d.sensor_material, energy_eV);
    if (std::abs(*d.attenuation_depth_um / of_material_um - 1) < 1e-12)
      d.attenuation_depth_um.reset();
  };
  reopen(e.detector);
  for (FurtherPanel& further : e.more_panels) reopen(further.detector);
}

}  // namespace nablabragg::description
