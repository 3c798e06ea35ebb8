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

}  // namespace nablabragg::description
