#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "nablabragg/error.hpp"
#include "nablabragg/refine.hpp"
#include "refine/digest.hpp"

namespace nablabragg {

namespace {

using Json = nlohmann::ordered_json;

/// Of the form of this text; another one is refused.
constexpr int form = 4;

constexpr RefineStage stages[]{RefineStage::spot_positions, RefineStage::measured_spots,
                               RefineStage::predicted_spots, RefineStage::structure_factors};

/// JSON has no NaN and writes null.
double number(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

std::vector<double> numbers(const Json& json) {
  std::vector<double> all;
  for (const Json& x : json) all.push_back(number(x));
  return all;
}

Json stages_json(const RefineState& state) {
  Json all = Json::array();
  for (const StageReport& s : state.stages)
    all.push_back({{"stage", name_of(s.stage)},
                   {"iterations", s.iterations},
                   {"spots", s.spots},
                   {"pixels", s.pixels},
                   {"residual_before", s.residual_before},
                   {"residual", s.residual},
                   {"seconds", s.seconds},
                   {"converged", s.converged}});
  return all;
}

StageReport stage_of(const Json& json) {
  StageReport s;
  bool known = false;
  for (const RefineStage stage : stages)
    if (json.at("stage") == name_of(stage)) s.stage = stage, known = true;
  if (!known) throw UsageError("names no stage of a refinement");
  json.at("iterations").get_to(s.iterations);
  json.at("spots").get_to(s.spots);
  json.at("pixels").get_to(s.pixels);
  s.residual_before = number(json.at("residual_before"));
  s.residual = number(json.at("residual"));
  s.seconds = number(json.at("seconds"));
  json.at("converged").get_to(s.converged);
  return s;
}

/// An object with a check of the rest of its text before all else.
std::string checked(const std::string& object) {
  refinement::Digest digest;
  digest.add(object);
  const std::string digits = std::to_string(digest.value());
  constexpr std::size_t most_digits = 20;
  return "{\n \"check\": \"" + std::string(most_digits - digits.size(), '0') + digits + "\"," +
         object.substr(1);
}

/// Whether no byte is another one than checked() wrote.
bool is_as_written(std::string text) {
  while (text.ends_with('\n')) text.pop_back();  // of a file's last line
  const std::size_t head = checked("{").size();
  return text.size() > head && checked('{' + text.substr(head)) == text;
}

}  // namespace

std::string to_json(const RefineState& state) {
  Json values = Json::array(), places = Json::array(), factors = Json::array();
  for (const auto& [name, value] : state.values) values.push_back({name, value});
  for (const ShoeboxPlace& p : state.places) places.push_back({p.fast, p.slow, p.panel, p.image});
  for (const RefinedFactor& f : state.factors) factors.push_back({f.hkl, f.start, f.value});
  const Json json{{"form", form},
                  {"of", state.of},
                  {"stages", stages_json(state)},
                  {"warnings", state.warnings},
                  {"values", values},
                  {"places", places},
                  {"backgrounds", state.own_of_boxes},
                  {"trust_radius", state.trust_radius},
                  {"round", state.round},
                  {"round_values", state.round_values},
                  {"round_own_of_boxes", state.round_own_of_boxes},
                  {"factors", factors}};
  return checked(json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

RefineState refine_state_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("form") != form) throw UsageError("is of another version of this program");
    if (!is_as_written(text)) throw UsageError("is damaged; begin again");
    RefineState state;
    json.at("of").get_to(state.of);
    for (const Json& s : json.at("stages")) state.stages.push_back(stage_of(s));
    json.at("warnings").get_to(state.warnings);
    for (const Json& v : json.at("values"))
      state.values.emplace_back(v.at(0).get<std::string>(), v.at(1).get<double>());
    for (const Json& p : json.at("places"))
      state.places.push_back({p.at(0).get<double>(), p.at(1).get<double>(), p.at(2).get<int>(),
                              std::nullopt, p.at(3).get<int>()});
    state.own_of_boxes = numbers(json.at("backgrounds"));
    state.trust_radius = number(json.at("trust_radius"));
    json.at("round").get_to(state.round);
    state.round_values = numbers(json.at("round_values"));
    state.round_own_of_boxes = numbers(json.at("round_own_of_boxes"));
    for (const Json& f : json.at("factors"))
      state.factors.push_back(
          {f.at(0).get<MillerIndex>(), f.at(1).get<double>(), f.at(2).get<double>(), 0});
    return state;
  } catch (const nlohmann::json::exception&) {
    throw UsageError("is no file of an interrupted refinement");
  }
}

}  // namespace nablabragg
