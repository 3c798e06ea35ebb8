#include "description/sensors.hpp"

#include "nablabragg/materials.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::description {

void set_attenuation_depths(Experiment& e) {
  const auto set = [&](Detector& d) {
    if (d.sensor_material.empty() || !(d.sensor_thickness_um > 0) || d.attenuation_depth_um) return;
    const double energy_eV = units::ev_angstrom / e.beam.wavelength_A;
    d.attenuation_depth_um = 1000 / attenuation_per_mm(d.sensor_material, energy_eV);
  };
  set(e.detector);
  for (FurtherPanel& further : e.more_panels) set(further.detector);
}

}  // namespace nablabragg::description
