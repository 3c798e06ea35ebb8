#include "flags/experiment_file.hpp"

#include <string>
#include <utility>
#include <vector>

#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"

namespace nablabragg::flags {

namespace {

/// Structure factors aside.
std::string what_is_stated(Experiment e) {
  e.structure_factors = {};
  e.crystal.cell.reset();  // a table's file may state it
  return to_json(e);
}

bool is_bare(const Request& request) {
  const Request bare = parse_command_line(std::vector<std::string>{"-corrected"});
  return what_is_stated(bare.experiment) == what_is_stated(request.experiment);
}

/// The maps of the detector are those of panels that are not known yet.
void load_without_maps(Request& request) {
  const auto calibration = std::exchange(request.calibration_map_file, {}),
             gain = std::exchange(request.gain_map_file, {});
  // That of the experiment takes its place
  if (request.hkl_file.empty()) request.experiment.structure_factors.default_F = 1;
  load_inputs(request);
  request.calibration_map_file = calibration;
  request.gain_map_file = gain;
}

}  // namespace

void load_inputs_beside(std::string_view json, const std::string& name, Request& request) {
  const auto read = [&name](auto&& from_json) {
    try {
      return from_json();
    } catch (const InputError& error) {
      throw InputError(name + ": " + error.what());
    }
  };
  request.experiment.structure_factors.default_F = read([&] {
                                                     return structure_factors_from_json(json);
                                                   }).default_F;
  load_without_maps(request);
  if (!is_bare(request))
    throw UsageError(
        "the flags state the experiment twice: beside its JSON they are of structure factors "
        "(-hkl), of the detector's response (-response) and of computing (-threads, -engine)");
  request.experiment = read(
      [&] { return experiment_from_json(json, request.experiment.structure_factors.grid); });
  if (request.responds) return load_detector_maps(request);
  auto response = read([&] { return response_from_json(json); });
  if (!response) return;
  request.response = std::move(*response);
  request.responds = true;
  check_response(request.response, request.experiment);
}

bool states_no_experiment(Request request) {
  load_without_maps(request);
  return is_bare(request);
}

}  // namespace nablabragg::flags
