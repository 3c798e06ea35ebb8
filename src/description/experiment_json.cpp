#include "nablabragg/experiment_json.hpp"

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "description/experiment_json_words.hpp"
#include "description/fields.hpp"
#include "description/quirk_names.hpp"
#include "description/response_fields.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

using description::below;
using Json = nlohmann::ordered_json;
using Table = std::shared_ptr<const StructureFactorGrid>;

/// Lengths of runs: of pixels that are left out, that are computed, that are left out, ...
Json runs_of(const Mask& mask) {
  Json runs = Json::array();
  bool kept = false;
  std::size_t length = 0;
  for (const std::uint8_t keep : mask.keep) {
    if ((keep != 0) != kept) {
      runs.push_back(length);
      kept = !kept;
      length = 0;
    }
    ++length;
  }
  runs.push_back(length);
  return runs;
}

/// `path` names the value in errors: "beam.wavelength".
template <class T>
Json json_of(const T& value, const std::string& path) {
  if constexpr (std::is_same_v<T, double>) {
    if (std::isnan(value)) throw UsageError(path + " is no number (NaN) and cannot be saved");
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    return value;
  } else if constexpr (description::is_optional<T>) {
    return value ? json_of(*value, path) : Json(nullptr);
  } else if constexpr (std::is_same_v<T, Quirks>) {
    const auto names = description::names_of(value);
    if (names.size() == 1 && !names[0].starts_with("Q-")) return names[0];
    return names;
  } else if constexpr (std::is_enum_v<T>) {
    for (const auto& choice : description::Choices<T>::all)
      if (choice.value == value) return choice.name;
    throw UsageError(path + " is none of its choices and cannot be saved");
  } else if constexpr (std::is_same_v<T, std::shared_ptr<const Mask>>) {
    if (!value) return nullptr;
    return {{"fast_pixels", value->fast_pixels},
            {"slow_pixels", value->slow_pixels},
            {"runs", runs_of(*value)}};
  } else if constexpr (std::is_same_v<T, Table>) {
    if (!value) return nullptr;
    return {
        {"min", value->min()}, {"max", value->max()}, {"checksum", description::checksum(*value)}};
  } else if constexpr (std::is_same_v<T, std::shared_ptr<const PixelFactors>>) {
    if (!value) return nullptr;
    return {{"pixels", value->size()}, {"checksum", description::checksum(*value)}};
  } else if constexpr (description::is_vector<T>) {
    Json list = Json::array();
    for (std::size_t i = 0; i < value.size(); ++i)
      list.push_back(json_of(value[i], path + '[' + std::to_string(i) + ']'));
    return list;
  } else if constexpr (description::HasFields<T>) {
    Json object = Json::object();
    description::for_each_field<T>([&](const auto& row) {
      object[row.name] = json_of(row.get(value), below(path, row.name));
    });
    return object;
  } else if constexpr (requires { value.first; }) {
    return {json_of(value.first, path), json_of(value.second, path)};
  } else if constexpr (std::is_aggregate_v<T>) {
    Json list = Json::array();
    std::apply([&](const auto&... member) { (list.push_back(json_of(member, path)), ...); },
               description::members(value));
    return list;
  } else {
    return value;
  }
}

}  // namespace

std::string to_json(const Experiment& experiment, const std::optional<DetectorResponse>& response) {
  Json json{{"schema", description::schema}, {"version", description::schema_version}};
  json.update(json_of(experiment, ""));
  if (response) json[description::response_key] = json_of(*response, description::response_key);
  return json.dump(1);
}

}  // namespace nablabragg
