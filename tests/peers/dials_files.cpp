// Our readers and writers of DIALS' and CrystFEL's files, for tests in Python that put them next to
// those programs:
//   read FILE [EXPERIMENT]          the geometry as JSON
//   rewrite FILE EXPERIMENT OUT IMAGE  the geometry of an .expt, written again
//   refl EXPT ROWS OUT              reflections of the experiments of an .expt; ROWS, in JSON:
//                                   [h, k, l, experiment, panel, fast, slow, frame, photons,
//                                   partiality, wavelength, phi]
//   list FILE                       the reflections of a .refl as JSON
//   geom FILE [CLEN_MM [EV]]        a CrystFEL geometry as JSON
//   predict EXPT MIN_D OUT          where its reflections are, as a .refl
//   preset NAME DISTANCE_MM         a detector's geometry as JSON
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/crystfel_geometry.hpp"
#include "io/expt.hpp"
#include "io/refl.hpp"
#include "nablabragg/detector_presets.hpp"
#include "nablabragg/error.hpp"
#include "peers/geometry_json.hpp"

using namespace nablabragg;
using nlohmann::json;

namespace {

io::ImageSeries series_of(const Geometry& geometry) {
  io::ImageSeries series;
  series.geometry = geometry;
  series.images.resize(geometry.scan ? static_cast<std::size_t>(geometry.scan->images) : 1);
  return series;
}

std::vector<PredictedSpot> spots_of(const json& rows) {
  std::vector<PredictedSpot> spots;
  for (const json& r : rows) {
    PredictedSpot spot;
    spot.hkl = {r[0], r[1], r[2]};
    spot.experiment = r[3];
    spot.panel = r[4];
    spot.fast_px = r[5];
    spot.slow_px = r[6];
    spot.frame = r[7];
    spot.photons = r[8];
    spot.partiality = r[9];
    spot.wavelength_A = r[10];
    spot.phi_deg = r[11];
    spots.push_back(spot);
  }
  return spots;
}

std::string run(const std::vector<std::string>& words) {
  const std::string& command = words.at(0);
  if (command == "read")
    return test::json_of(
               io::read_expt_geometry(words.at(1), words.size() > 2 ? std::stoi(words[2]) : 0))
        .dump();
  if (command == "rewrite") {
    io::write_expt(words.at(3),
                   series_of(io::read_expt_geometry(words.at(1), std::stoi(words.at(2)))),
                   words.at(4));
    return "";
  }
  if (command == "refl") {
    std::ifstream rows(words.at(2));
    io::write_refl(words.at(3), spots_of(json::parse(rows)),
                   series_of(io::read_expt_geometry(words.at(1), 0)));
    return "";
  }
  if (command == "predict") {
    const Geometry geometry = io::read_expt_geometry(words.at(1));
    io::write_refl(words.at(3), predicted_spots(geometry, std::stod(words.at(2))),
                   series_of(geometry));
    return "";
  }
  if (command == "list") {
    json out = json::array();
    for (const io::MeasuredSpot& s : io::read_refl(words.at(1)))
      out.push_back({s.hkl[0], s.hkl[1], s.hkl[2], s.experiment, s.panel, s.fast_px, s.slow_px,
                     s.frame, s.intensity, s.flags});
    return out.dump();
  }
  if (command == "geom") {
    io::CrystfelValues given;
    if (words.size() > 2) given.camera_length_mm = std::stod(words[2]);
    if (words.size() > 3) given.photon_energy_eV = std::stod(words[3]);
    return test::json_of(io::read_crystfel_geometry(words.at(1), given)).dump();
  }
  if (command == "preset")
    return test::json_of(
               detector_geometry(find_detector_preset(words.at(1)), std::stod(words.at(2))))
        .dump();
  throw UsageError("no such command");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::puts(run({argv + 1, argv + argc}).c_str());
    return 0;
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
    return 3;
  }
}
