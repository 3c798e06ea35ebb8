#include "ensemble/yaml_field.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "description/edit_distance.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

std::string joined(std::span<const std::string> words) {
  std::string all;
  for (const std::string& word : words) all.append(all.empty() ? "" : ", ").append(word);
  return all;
}

}  // namespace

std::string suggestion_among(std::string_view word, std::span<const std::string> words) {
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  const std::string* best = nullptr;
  for (const std::string& each : words)
    if (const std::size_t distance = description::edit_distance(word, each); distance < least) {
      least = distance;
      best = &each;
    }
  return best ? "; did you mean " + *best + "?" : std::string();
}

YamlField::YamlField(YAML::Node node, std::string file, std::string path, long line_above)
    : node_(std::move(node)), file_(std::move(file)), path_(std::move(path)), line_(line_above) {
  if (const YAML::Mark mark = node_.Mark(); !mark.is_null()) line_ = mark.line + 1;
}

YamlField YamlField::of_file(const std::string& path) {
  const std::string text = io::read_text(path);
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty() || documents[0].IsNull())
      throw InputError(path, 0, "is empty; docs/ensembles.md shows what describes an ensemble");
    if (documents.size() > 1)
      throw InputError(path, 0, "holds several YAML documents; an ensemble is one");
    return {documents[0], path, "", 1};
  } catch (const YAML::Exception& error) {
    throw InputError(path, error.mark.is_null() ? 0 : error.mark.line + 1,
                     "is no YAML: " + io::printable(error.msg));
  }
}

void YamlField::fail(const std::string& problem) const {
  throw InputError(file_, line_, path_.empty() ? problem : path_ + ": " + problem);
}

std::string YamlField::shown() const {
  return node_.IsScalar() ? io::in_quotes(node_.Scalar())
         : node_.IsMap()  ? "a mapping"
         : is_list()      ? "a list"
                          : "nothing";
}

std::vector<YamlField::Member> YamlField::members() const {
  if (!is_map()) fail("is " + shown() + ", where keys with their values are wanted");
  std::vector<Member> all;
  for (const auto& pair : node_) {
    const long line = pair.first.Mark().is_null() ? line_ : pair.first.Mark().line + 1;
    if (!pair.first.IsScalar()) fail("has a key that is no word");
    const std::string key = pair.first.Scalar();
    const std::string path = path_.empty() ? key : path_ + "." + key;
    // Of a value on lines below its key, the key says more.
    YamlField value(pair.second, file_, io::printable(path), line);
    value.line_ = line;
    if (std::ranges::any_of(all, [&](const Member& other) { return other.key == key; }))
      value.fail("stands there twice; give it once");
    all.push_back({key, std::move(value)});
  }
  return all;
}

std::vector<YamlField::Member> YamlField::members(std::span<const std::string> known) const {
  std::vector<Member> all = members();
  for (const Member& member : all)
    if (std::ranges::find(known, member.key) == known.end()) {
      const std::string near = suggestion_among(member.key, known);
      member.value.fail("is no key" + (path_.empty() ? std::string() : " of " + path_) +
                        (near.empty() ? "; there are " + joined(known) : near));
    }
  return all;
}

std::vector<YamlField> YamlField::items(const std::string& what) const {
  if (!is_list()) fail("is " + shown() + ", where " + what + " are wanted, as a list");
  if (node_.size() == 0) fail("is an empty list, where " + what + " are wanted");
  std::vector<YamlField> all;
  for (std::size_t i = 0; i < node_.size(); ++i)
    all.push_back(YamlField(node_[i], file_, path_ + "[" + std::to_string(i) + "]", line_));
  return all;
}

std::string YamlField::text() const {
  if (!is_scalar() || node_.Scalar().empty()) fail("is " + shown() + ", where a text is wanted");
  return node_.Scalar();
}

double YamlField::number() const {
  const auto value = is_scalar() ? io::parse_number<double>(node_.Scalar()) : std::nullopt;
  if (!value || !std::isfinite(*value)) fail("is " + shown() + ", where a number is wanted");
  return *value;
}

std::int64_t YamlField::whole_number(std::int64_t low, std::int64_t high) const {
  const auto value = is_scalar() ? io::parse_number<std::int64_t>(node_.Scalar()) : std::nullopt;
  if (!value || *value < low || *value > high)
    fail("is " + shown() + ", where a whole number from " + std::to_string(low) + " to " +
         std::to_string(high) + " is wanted");
  return *value;
}

bool YamlField::truth() const {
  if (is_scalar() && node_.Scalar() == "true") return true;
  if (is_scalar() && node_.Scalar() == "false") return false;
  fail("is " + shown() + ", where true or false is wanted");
}

std::size_t YamlField::word(std::span<const std::string> words) const {
  const std::string given = is_scalar() ? node_.Scalar() : std::string();
  const auto found = std::ranges::find(words, given);
  if (found == words.end())
    fail("is " + shown() + ", and one of " + joined(words) + " is wanted" +
         suggestion_among(given, words));
  return static_cast<std::size_t>(found - words.begin());
}

std::vector<double> YamlField::numbers(std::size_t count, const std::string& what) const {
  std::vector<double> all;
  for (const YamlField& item : items(what)) all.push_back(item.number());
  if (count > 0 && all.size() != count)
    fail("has " + std::to_string(all.size()) + " numbers, where " + what + " are wanted");
  return all;
}

}  // namespace nablabragg::ensemble
