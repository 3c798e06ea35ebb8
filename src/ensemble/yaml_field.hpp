// A value of a YAML file with its place: what is wrong with it is said by line and key.
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::ensemble {

/// Which of some words is meant, as " (did you mean x?)"; empty: none is near.
std::string suggestion_among(std::string_view word, std::span<const std::string> words);

class YamlField {
 public:
  /// The whole file.  Throws InputError, by line, for what is no YAML.
  static YamlField of_file(const std::string& path);

  const std::string& file() const { return file_; }
  /// "vary.cell[0].normal"; empty: the file.
  const std::string& path() const { return path_; }
  long line() const { return line_; }
  /// Throws InputError: "FILE:LINE: PATH: problem".
  [[noreturn]] void fail(const std::string& problem) const;

  bool is_map() const { return node_.IsMap(); }
  bool is_list() const { return node_.IsSequence(); }
  bool is_scalar() const { return node_.IsScalar(); }

  struct Member;
  /// Of a mapping, in their order.  Throws InputError for what is none, for keys that are not among
  /// `known`, with the one that is near, and for one that stands there twice.
  std::vector<Member> members(std::span<const std::string> known) const;
  /// The same, whatever the keys.
  std::vector<Member> members() const;
  /// Of a sequence; throws InputError for what is none and for none at all.
  std::vector<YamlField> items(const std::string& what) const;

  std::string text() const;
  double number() const;
  /// Between two bounds, both allowed.
  std::int64_t whole_number(std::int64_t low, std::int64_t high) const;
  bool truth() const;
  /// The number of the word.
  std::size_t word(std::span<const std::string> words) const;
  /// So many numbers; 0: any number of them.
  std::vector<double> numbers(std::size_t count, const std::string& what) const;

 private:
  YamlField(YAML::Node node, std::string file, std::string path, long line_above);
  std::string shown() const;

  YAML::Node node_;
  std::string file_, path_;
  long line_;
};

struct YamlField::Member {
  std::string key;
  YamlField value;
};

}  // namespace nablabragg::ensemble
