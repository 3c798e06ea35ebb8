// The part of JSON Schema that our schemas use.
#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace nablabragg::test {

inline bool is_of_type(const nlohmann::json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number() && std::isfinite(value.get<double>());
  if (type == "integer") return value.is_number_integer();
  return false;
}

/// What is wrong with a value, with its path; empty: nothing.  A keyword that is not known here is
/// wrong, too.
inline std::string fault_by_schema(const nlohmann::json& value, const nlohmann::json& schema,
                                   const std::string& path = "$") {
  static const std::set<std::string> known{"$schema",
                                           "title",
                                           "description",
                                           "type",
                                           "properties",
                                           "required",
                                           "additionalProperties",
                                           "anyOf",
                                           "items",
                                           "minItems",
                                           "maxItems",
                                           "const",
                                           "enum",
                                           "minimum",
                                           "exclusiveMinimum",
                                           "maximum"};
  for (const auto& [keyword, _] : schema.items())
    if (!known.contains(keyword)) return path + ": the schema's keyword " + keyword;
  if (schema.contains("const") && value != schema["const"]) return path + " is not the constant";
  if (schema.contains("enum")) {
    bool found = false;
    for (const auto& one : schema["enum"]) found = found || one == value;
    if (!found) return path + " is none of the words";
  }
  if (schema.contains("anyOf")) {
    std::string faults;
    bool right = false;
    for (const auto& one : schema["anyOf"]) {
      const std::string fault = fault_by_schema(value, one, path);
      right = right || fault.empty();
      faults += fault + "; ";
    }
    if (!right) return path + " is none of its forms: " + faults;
  }
  if (schema.contains("type")) {
    const auto& type = schema["type"];
    bool right = false;
    if (type.is_string())
      right = is_of_type(value, type);
    else
      for (const auto& one : type) right = right || is_of_type(value, one);
    if (!right) return path + " is " + value.dump() + ", no " + type.dump();
  }
  if (value.is_number()) {
    if (schema.contains("minimum") && value < schema["minimum"]) return path + " is too small";
    if (schema.contains("exclusiveMinimum") && value <= schema["exclusiveMinimum"])
      return path + " is too small";
    if (schema.contains("maximum") && value > schema["maximum"]) return path + " is too large";
  }
  if (value.is_object()) {
    for (const auto& name : schema.value("required", nlohmann::json::array()))
      if (!value.contains(name.get<std::string>())) return path + " lacks " + name.dump();
    // Of several forms each says which members it has.
    const bool says_members = schema.contains("properties");
    for (const auto& [name, member] : value.items()) {
      if (!says_members) break;
      const bool known_name = schema["properties"].contains(name);
      const auto& others = schema.value("additionalProperties", nlohmann::json());
      if (!known_name && !others.is_object()) return path + " has " + name;
      if (auto fault = fault_by_schema(member, known_name ? schema["properties"][name] : others,
                                       path + '.' + name);
          !fault.empty())
        return fault;
    }
  }
  if (value.is_array()) {
    if (value.size() < schema.value("minItems", std::size_t{0})) return path + " is too short";
    if (schema.contains("maxItems") && value.size() > schema["maxItems"])
      return path + " is too long";
    for (std::size_t i = 0; schema.contains("items") && i < value.size(); ++i)
      if (auto fault = fault_by_schema(value[i], schema["items"],
                                       path + '[' + std::to_string(i) + ']');
          !fault.empty())
        return fault;
  }
  return "";
}

}  // namespace nablabragg::test
