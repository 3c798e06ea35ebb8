#include "inventory/inventory.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "inventory/text.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* schema = "nablabragg-loop-inventory";

constexpr std::array<const char*, 6> kinds{"for", "range-for", "while",
                                           "do",  "algorithm", "parallel"};
constexpr std::array<const char*, 9> drivers{"pixel",  "sub-pixel",  "layer", "source", "phi",
                                             "domain", "reflection", "file",  "other"};
constexpr std::array<const char*, 4> classes{"vectorized", "cold", "todo", "uncertain"};

template <class Enum, std::size_t N>
Enum from_name(const std::array<const char*, N>& names, const std::string& name) {
  for (std::size_t i = 0; i < N; ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  throw std::invalid_argument("'" + name + "' is not known here");
}

Json as_json(const Verdict& v) {
  return {{"target", v.target},         {"compiler", v.compiler}, {"vectorized", v.vectorized},
          {"missed", v.missed},         {"width", v.width},       {"bytes", v.bytes},
          {"interleave", v.interleave}, {"reasons", v.reasons}};
}

Verdict verdict_from(const Json& j) {
  return {j.at("target"), j.at("compiler"), j.at("vectorized"), j.at("missed"),
          j.at("width"),  j.at("bytes"),    j.at("interleave"), j.at("reasons")};
}

Json as_json(const Loop& l) {
  Json verdicts = Json::array();
  for (const Verdict& v : l.verdicts) verdicts.push_back(as_json(v));
  return {{"id", l.id},
          {"parent", l.parent},
          {"module", l.module},
          {"file", l.file},
          {"line", l.line},
          {"column", l.column},
          {"end_line", l.end_line},
          {"end_column", l.end_column},
          {"kind", name_of(l.kind)},
          {"callee", l.callee},
          {"function", l.function},
          {"depth", l.depth},
          {"header", l.header},
          {"driver", name_of(l.driver)},
          {"trip_count", l.trip_count ? Json(*l.trip_count) : Json(nullptr)},
          {"explicit_simd", l.explicit_simd},
          {"targets", l.targets},
          {"verdicts", verdicts},
          {"class", name_of(l.loop_class)},
          {"rule", l.rule},
          {"reason", l.reason}};
}

Loop loop_from(const Json& j) {
  Loop l;
  l.id = j.at("id");
  l.parent = j.at("parent");
  l.module = j.at("module");
  l.file = j.at("file");
  l.line = j.at("line");
  l.column = j.at("column");
  l.end_line = j.at("end_line");
  l.end_column = j.at("end_column");
  l.kind = from_name<LoopKind>(kinds, j.at("kind"));
  l.callee = j.at("callee");
  l.function = j.at("function");
  l.depth = j.at("depth");
  l.header = j.at("header");
  l.driver = from_name<Driver>(drivers, j.at("driver"));
  if (!j.at("trip_count").is_null()) l.trip_count = j.at("trip_count").get<long>();
  l.explicit_simd = j.at("explicit_simd");
  l.targets = j.at("targets").get<std::vector<std::string>>();
  for (const Json& v : j.at("verdicts")) l.verdicts.push_back(verdict_from(v));
  l.loop_class = from_name<LoopClass>(classes, j.at("class"));
  l.rule = j.at("rule");
  l.reason = j.at("reason");
  return l;
}

}  // namespace

const char* name_of(LoopKind kind) { return kinds.at(static_cast<std::size_t>(kind)); }
const char* name_of(Driver driver) { return drivers.at(static_cast<std::size_t>(driver)); }
const char* name_of(LoopClass loop_class) {
  return classes.at(static_cast<std::size_t>(loop_class));
}

std::string to_json(const Inventory& inventory) {
  Json loops = Json::array(), functions = Json::array(), spans = Json::array(),
       unread = Json::array();
  for (const Loop& l : inventory.loops) loops.push_back(as_json(l));
  for (const Function& f : inventory.functions)
    functions.push_back({{"name", f.name},
                         {"file", f.file},
                         {"line", f.line},
                         {"end_line", f.end_line},
                         {"explicit_simd", f.explicit_simd}});
  for (const TraceSpan& s : inventory.spans)
    spans.push_back(
        {{"name", s.name}, {"file", s.file}, {"line", s.line}, {"end_line", s.end_line}});
  for (const Unread& u : inventory.unread)
    unread.push_back({{"file", u.file}, {"reason", u.reason}});
  const Json document{{"schema", schema},
                      {"version", schema_version},
                      {"package", inventory.package},
                      {"compilers", inventory.compilers},
                      {"loops", loops},
                      {"functions", functions},
                      {"spans", spans},
                      {"unread", unread}};
  // ASCII only: other characters of source text become \u escapes.
  return document.dump(1, ' ', true, Json::error_handler_t::replace) + '\n';
}

Inventory read_inventory(const std::string& file) {
  const std::string text = io::read_text(file);
  try {
    const Json j = Json::parse(text);
    if (!j.is_object() || j.value("schema", "") != schema)
      throw InputError(
          file, 0,
          "is no loop inventory; nablabragg-inventory --outdir writes loop_inventory.json");
    if (j.at("version") != schema_version)
      throw InputError(file, 0,
                       "is of another version of the schema; this program reads version " +
                           std::to_string(schema_version));
    Inventory inventory;
    inventory.package = j.at("package");
    inventory.compilers = j.at("compilers").get<std::vector<std::string>>();
    for (const Json& l : j.at("loops")) inventory.loops.push_back(loop_from(l));
    for (const Json& f : j.at("functions"))
      inventory.functions.push_back(
          {f.at("name"), f.at("file"), f.at("line"), f.at("end_line"), f.at("explicit_simd")});
    for (const Json& s : j.at("spans"))
      inventory.spans.push_back({s.at("name"), s.at("file"), s.at("line"), s.at("end_line")});
    // Files of programs that could not go on without a source have none.
    if (j.contains("unread"))
      for (const Json& u : j.at("unread"))
        inventory.unread.push_back({u.at("file"), u.at("reason")});
    return inventory;
  } catch (const InputError&) {
    throw;
  } catch (const Json::parse_error& error) {
    throw InputError(
        file, 0,
        "is no complete loop inventory: it is no JSON at byte " + std::to_string(error.byte));
  } catch (const std::exception& error) {
    throw InputError(file, 0, "is no complete loop inventory: " + one_line(error.what()));
  }
}

}  // namespace nablabragg::inventory
