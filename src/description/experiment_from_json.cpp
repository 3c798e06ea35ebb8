#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>  // for cmp_less_equal

#include "description/experiment_json_words.hpp"
#include "description/fields.hpp"
#include "description/quirk_names.hpp"
#include "description/response_fields.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"

namespace nablabragg {

namespace {

using description::below;
using description::checksum;
using description::response_key;
using description::schema;
using description::schema_version;
using Json = nlohmann::ordered_json;
using Table = std::shared_ptr<const StructureFactorGrid>;
using Map = std::shared_ptr<const PixelFactors>;

[[noreturn]] void fail(const std::string& path, const std::string& problem) {
  throw InputError((path.empty() ? "the experiment" : path) + ' ' + problem);
}

/// The value, cut where it is long.
std::string shown(const Json& json) {
  std::string text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return text;
}

[[noreturn]] void fail_kind(const std::string& path, const std::string& needs, const Json& json) {
  fail(path, "needs " + needs + ", not " + shown(json));
}

template <class T>
T whole_number(const Json& json, const std::string& path) {
  const bool fits = json.is_number_integer() &&
                    (json.is_number_unsigned()
                         ? std::cmp_less_equal(json.get<std::uint64_t>(),
                                               std::numeric_limits<T>::max())
                         : std::cmp_greater_equal(json.get<std::int64_t>(),
                                                  std::numeric_limits<T>::min()));
  if (!fits) fail_kind(path, "a whole number", json);
  return json.get<T>();
}

/// Throws for keys that are none of `known`.
void check_keys(const Json& json, const std::vector<std::string>& known, const std::string& path) {
  if (!json.is_object()) fail_kind(path, "an object", json);
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string names;
    for (const std::string& name : known) names.append(names.empty() ? "" : ", ").append(name);
    throw InputError(below(path, key) + " is no key of an experiment; " +
                     (path.empty() ? "it" : path) + " has " + names);
  }
}

const Json& member_of(const Json& json, const char* key, const std::string& path) {
  const auto found = json.find(key);
  if (found == json.end()) fail(below(path, key), "is missing");
  return *found;
}

std::shared_ptr<const Mask> mask_from(const Json& json, const std::string& path) {
  check_keys(json, {"fast_pixels", "slow_pixels", "runs"}, path);
  const auto count = [&](const char* key) {
    const int n = whole_number<int>(member_of(json, key, path), below(path, key));
    if (n < 0) fail(below(path, key), "is negative");
    return n;
  };
  auto mask = std::make_shared<Mask>();
  mask->fast_pixels = count("fast_pixels");
  mask->slow_pixels = count("slow_pixels");
  const auto size = static_cast<std::size_t>(mask->fast_pixels) *
                    static_cast<std::size_t>(mask->slow_pixels);
  const Json& runs = member_of(json, "runs", path);
  if (!runs.is_array()) fail_kind(below(path, "runs"), "a list of whole numbers", runs);
  std::uint8_t keep = 0;
  for (const Json& run : runs) {
    const int length = whole_number<int>(run, below(path, "runs"));
    if (length < 0 || static_cast<std::size_t>(length) > size - mask->keep.size())
      fail(below(path, "runs"), "does not fill the mask's pixels exactly");
    mask->keep.insert(mask->keep.end(), static_cast<std::size_t>(length), keep);
    keep ^= 1;
  }
  if (mask->keep.size() != size)
    fail(below(path, "runs"), "does not fill the mask's pixels exactly");
  return mask;
}

/// The table that was given, if it is the one that the text states.
Table table_from(const Json& json, const std::string& path, const Table& given) {
  if (json.is_null()) {
    if (given) fail(path, "is null: the experiment has no table, and one is given");
    return nullptr;
  }
  check_keys(json, {"min", "max", "checksum"}, path);
  const auto index = [&](const char* key) {
    const Json& list = member_of(json, key, path);
    if (!list.is_array() || list.size() != 3)
      fail_kind(below(path, key), "three whole numbers", list);
    MillerIndex out{};
    for (std::size_t i = 0; i < 3; ++i) out[i] = whole_number<int>(list[i], below(path, key));
    return out;
  };
  const auto box = [](const MillerIndex& min, const MillerIndex& max) {
    std::string text;
    for (std::size_t i = 0; i < 3; ++i)
      text += std::string(i > 0 ? ", " : "") + "hkl"[i] + ' ' + std::to_string(min[i]) + ".." +
              std::to_string(max[i]);
    return text;
  };
  const MillerIndex min = index("min"), max = index("max");
  if (!given)
    fail(path, "is a table that is not stored here (" + box(min, max) +
                   "); give the experiment's table of structure factors");
  if (given->min() != min || given->max() != max)
    fail(path, "is a table of " + box(min, max) + ", and the one given has " +
                   box(given->min(), given->max()));
  if (member_of(json, "checksum", path) != checksum(*given))
    fail(path, "is a table with other values than the one given");
  return given;
}

/// The map that was given, if it is the one that the text states.
Map map_from(const Json& json, const std::string& path, const Map& given) {
  if (json.is_null()) {
    if (given) fail(path, "is null: the response has no such map, and one is given");
    return nullptr;
  }
  check_keys(json, {"pixels", "checksum"}, path);
  const auto pixels = whole_number<std::size_t>(member_of(json, "pixels", path),
                                                below(path, "pixels"));
  if (!given)
    fail(path, "is a map of " + std::to_string(pixels) +
                   " pixels that is not stored here; give the detector's map");
  if (given->size() != pixels)
    fail(path, "is a map of " + std::to_string(pixels) + " pixels, and the one given has " +
                   std::to_string(given->size()));
  if (member_of(json, "checksum", path) != checksum(*given))
    fail(path, "is a map with other factors than the one given");
  return given;
}

/// Reads values into a description.
struct Reader {
  Table table;
  const ResponseMaps* maps = nullptr;  ///< null: a response is looked through, not wanted

  template <class T>
  void read(const Json& json, const std::string& path, T& value) const {
    if constexpr (std::is_same_v<T, double>) {
      constexpr double infinity = std::numeric_limits<double>::infinity();
      if (json.is_number())
        value = json.get<double>();
      else if (json == "inf" || json == "-inf")
        value = json == "inf" ? infinity : -infinity;
      else
        fail_kind(path, "a number", json);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!json.is_boolean()) fail_kind(path, "true or false", json);
      value = json.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      value = whole_number<T>(json, path);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.is_string()) fail_kind(path, "a text", json);
      value = json.get<std::string>();
    } else if constexpr (description::is_optional<T>) {
      value.reset();
      if (!json.is_null()) read(json, path, value.emplace());
    } else if constexpr (std::is_same_v<T, Quirks>) {
      const Json list = json.is_string() ? Json::array({json}) : json;
      std::vector<std::string> names;
      for (const Json& name : list)
        if (name.is_string()) names.push_back(name.template get<std::string>());
      const auto quirks = description::quirks_named(names);
      if (!list.is_array() || names.size() != list.size() || !quirks)
        fail_kind(path, description::mode_kind, json);
      value = *quirks;
    } else if constexpr (std::is_enum_v<T>) {
      for (const auto& choice : description::Choices<T>::all)
        if (json == choice.name) {
          value = choice.value;
          return;
        }
      fail_kind(path, "one of " + description::names_of<T>(), json);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const Mask>>) {
      value = json.is_null() ? nullptr : mask_from(json, path);
    } else if constexpr (std::is_same_v<T, Table>) {
      value = table_from(json, path, table);
    } else if constexpr (std::is_same_v<T, Map>) {
      if (maps)
        value = map_from(json, path,
                         path == below(response_key, "gain_map") ? maps->gain : maps->calibration);
    } else if constexpr (description::is_vector<T>) {
      if (!json.is_array()) fail_kind(path, "a list", json);
      value.clear();
      for (std::size_t i = 0; i < json.size(); ++i)
        read(json[i], path + '[' + std::to_string(i) + ']', value.emplace_back());
    } else if constexpr (description::HasFields<T>) {
      std::vector<std::string> names;
      description::for_each_field<T>([&](const auto& row) { names.emplace_back(row.name); });
      if (path.empty()) names.insert(names.end(), {response_key, "schema", "version"});
      check_keys(json, names, path);
      description::for_each_field<T>([&](const auto& row) {
        const auto found = json.find(row.name);
        if (found == json.end()) return;
        auto field = row.get(value);
        read(*found, below(path, row.name), field);
        row.set(value, std::move(field));
      });
    } else if constexpr (requires { value.first; }) {
      if (!json.is_array() || json.size() != 2) fail_kind(path, "a list of two", json);
      read(json[0], path, value.first);
      read(json[1], path, value.second);
    } else {
      auto all = description::members(value);
      constexpr std::size_t count = std::tuple_size_v<decltype(all)>;
      if (!json.is_array() || json.size() != count)
        fail_kind(path, "a list of " + std::to_string(count), json);
      description::for_each_index<count>(
          [&](auto i) { read(json[std::size_t{i}], path, std::get<i>(all)); });
    }
  }
};

/// Of this schema and version.
Json document_from(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string what = error.what();
    throw InputError("the text is no JSON: " + what.substr(what.find("] ") + 2));
  }
  if (!json.is_object()) fail_kind("", "an object", json);
  const Json& name = member_of(json, "schema", "");
  if (name != schema)
    throw InputError(std::string("schema needs \"") + schema + "\", not " + shown(name));
  const Json& number = member_of(json, "version", "");
  if (number != schema_version)
    throw InputError("version is " + shown(number) + ", and this program reads version " +
                     std::to_string(schema_version) + " of " + schema);
  return json;
}

std::optional<DetectorResponse> response_in(const Json& document, const ResponseMaps* maps) {
  std::optional<DetectorResponse> response;
  if (const auto found = document.find(response_key); found != document.end())
    Reader{nullptr, maps}.read(*found, response_key, response);
  return response;
}

}  // namespace

Experiment experiment_from_json(std::string_view text, Table table) {
  const Json json = document_from(text);
  Experiment experiment;
  const bool states_table = json.contains("structure_factors") &&
                            json["structure_factors"].is_object() &&
                            json["structure_factors"].contains("F");
  if (table && !states_table)
    fail("structure_factors.F", "is missing: the experiment has no table, and one is given");
  Reader{std::move(table)}.read(json, "", experiment);
  response_in(json, nullptr);
  return experiment;
}

StructureFactors structure_factors_from_json(std::string_view text) {
  constexpr const char* part = "structure_factors";
  const Json json = document_from(text);
  StructureFactors factors;
  if (const auto found = json.find(part); found != json.end()) {
    Json without_table = *found;
    if (without_table.is_object()) without_table.erase("F");
    Reader{}.read(without_table, part, factors);
  }
  return factors;
}

std::optional<DetectorResponse> response_from_json(std::string_view text,
                                                   const ResponseMaps& maps) {
  std::optional<DetectorResponse> response = response_in(document_from(text), &maps);
  const auto check_stated = [&](const Map& given, Map DetectorResponse::*member, const char* name) {
    if (given && !(response && (*response).*member))
      fail(below(response_key, name), "is missing: the response has no such map, and one is given");
  };
  check_stated(maps.calibration, &DetectorResponse::calibration_map, "calibration_map");
  check_stated(maps.gain, &DetectorResponse::gain_map, "gain_map");
  return response;
}

}  // namespace nablabragg
