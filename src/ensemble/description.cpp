#include "ensemble/description.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "ensemble/yaml_field.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

using Words = std::vector<std::string>;

Place place_of(const YamlField& field) { return {field.line(), field.path()}; }

/// As a shell takes words apart: by white space, but not between quotation marks.
Words split_flags(const YamlField& field) {
  const std::string text = field.text();
  Words words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) field.fail("has a quotation mark without its partner");
  if (in_word) words.push_back(word);
  return words;
}

Words read_flags(const YamlField& field) {
  if (!field.is_list()) return split_flags(field);
  Words words;
  for (const YamlField& item : field.items("flags")) words.push_back(item.text());
  return words;
}

Rows read_rows(const YamlField& field) {
  static const Words words{"in_order", "random"};
  return field.word(words) == 0 ? Rows::in_order : Rows::random;
}

// ---- Distributions ------------------------------------------------------------------------------

/// The lists of `choice`, all of one length.
std::vector<std::vector<double>> read_choices(const YamlField& field) {
  std::vector<std::vector<double>> all;
  for (const YamlField& item : field.items("values to choose from")) {
    all.push_back(item.is_list() ? item.numbers(0, "") : std::vector<double>{item.number()});
    if (all.back().size() != all.front().size())
      item.fail("has " + std::to_string(all.back().size()) + " numbers, and the first choice " +
                std::to_string(all.front().size()));
  }
  return all;
}

std::vector<double> read_weights(const YamlField& field, std::size_t choices) {
  const std::vector<double> weights = field.numbers(choices,
                                                    std::to_string(choices) + ", one a choice,");
  if (std::ranges::any_of(weights, [](double w) { return w < 0; }) ||
      !(std::accumulate(weights.begin(), weights.end(), 0.0) > 0))
    field.fail("has a weight below 0, or none above it");
  return weights;
}

class DistributionReader {
 public:
  /// Files that several parameters take columns of are read once.
  Distribution read(const YamlField& field) {
    if (field.is_scalar()) return Constant{{field.number()}};
    if (field.is_list()) return Constant{field.numbers(0, "")};
    static const Words kinds{"uniform", "normal", "log_normal", "choice", "column"};
    static const Words all{"uniform", "normal",  "log_normal", "choice", "column",
                           "within",  "weights", "file",       "rows"};
    const auto members = field.members(all);
    const YamlField* of = nullptr;
    std::string kind;
    std::map<std::string, const YamlField*> more;
    for (const auto& [key, value] : members) {
      if (std::ranges::find(kinds, key) == kinds.end()) {
        more[key] = &value;
        continue;
      }
      if (of) value.fail("is one distribution, and " + kind + " another; give one of them");
      of = &value;
      kind = key;
    }
    if (!of) field.fail("names no distribution: uniform, normal, log_normal, choice or column");
    const auto take = [&](const char* key) {
      const auto found = more.find(key);
      const YamlField* value = found == more.end() ? nullptr : found->second;
      if (value) more.erase(found);
      return value;
    };
    Distribution made = read_kind(kind, *of, take);
    if (!more.empty()) more.begin()->second->fail("is of another distribution than " + kind);
    return made;
  }

 private:
  template <class Take>
  Distribution read_kind(const std::string& kind, const YamlField& of, const Take& take) {
    if (kind == "choice") {
      Choice d{read_choices(of), {}};
      const YamlField* const weights = take("weights");
      d.weights = weights ? read_weights(*weights, d.values.size())
                          : std::vector<double>(d.values.size(), 1);
      return d;
    }
    if (kind == "column") return read_column(of, take("file"), take("rows"));
    if (kind == "uniform") {
      const std::vector<double> ends = of.numbers(2, "two, lowest and highest,");
      if (!(ends[0] <= ends[1])) of.fail("ends below its beginning; the lowest number comes first");
      return Uniform{ends[0], ends[1]};
    }
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const bool is_log = kind == "log_normal";
    const std::vector<double> numbers = of.numbers(
        2, is_log ? "two, median and standard deviation of the logarithm,"
                  : "two, mean and standard deviation,");
    if (numbers[1] < 0) of.fail("has a negative standard deviation");
    if (is_log && !(numbers[0] > 0)) of.fail("has a median that is not positive");
    double low = is_log ? 0 : -infinity, high = infinity;
    if (const YamlField* const within = take("within")) {
      const std::vector<double> ends = within->numbers(2, "two, lowest and highest,");
      low = ends[0];
      high = ends[1];
      // As far out as this, shares are no numbers any more.
      constexpr double most_deviations = 30;
      const auto deviations = [&](double x) {
        return (is_log ? std::log(x / numbers[0]) : x - numbers[0]) / numbers[1];
      };
      if (!(low < high)) within->fail("ends at or below its beginning");
      if (is_log && low < 0) within->fail("begins below 0, where no log-normal number lies");
      if (numbers[1] > 0 ? deviations(low) > most_deviations || deviations(high) < -most_deviations
                         : numbers[0] < low || numbers[0] > high)
        within->fail("holds none of the distribution");
    }
    if (is_log) return LogNormal{numbers[0], numbers[1], low, high};
    return Normal{numbers[0], numbers[1], low, high};
  }

  Distribution read_column(const YamlField& of, const YamlField* file, const YamlField* rows) {
    if (!file) of.fail("is of a table, whose file is missing (file: NAME)");
    std::shared_ptr<const Table>& table = tables_[file->text()];
    if (!table) table = std::make_shared<const Table>(read_table(file->text()));
    const std::string name = of.text();
    const auto found = std::ranges::find(table->names, name);
    if (found == table->names.end())
      of.fail("is " + name + ", and " + table->file + " has no such column" +
              suggestion_among(name, table->names));
    return Column{table, static_cast<std::size_t>(found - table->names.begin()),
                  rows ? read_rows(*rows) : Rows::in_order};
  }

  std::map<std::string, std::shared_ptr<const Table>> tables_;
};

// ---- What is drawn together ---------------------------------------------------------------------

/// n rows of n numbers.
std::vector<double> read_matrix(const YamlField& field, std::size_t n) {
  std::vector<double> matrix;
  const auto rows = field.items("rows of numbers");
  if (rows.size() != n)
    field.fail("has " + std::to_string(rows.size()) + " rows, and there are " + std::to_string(n) +
               " parameters");
  for (const YamlField& row : rows)
    for (const double x : row.numbers(n, std::to_string(n))) matrix.push_back(x);
  return matrix;
}

Correlated read_correlated(const YamlField& field) {
  static const Words keys{"parameters", "mean", "covariance", "sd", "correlation"};
  Correlated c;
  c.place = place_of(field);
  std::map<std::string, YamlField> given;
  for (const auto& [key, value] : field.members(keys)) given.emplace(key, value);
  const auto find = [&](const char* key) -> const YamlField* {
    const auto found = given.find(key);
    return found == given.end() ? nullptr : &found->second;
  };
  const YamlField* const names = find("parameters");
  if (!names) field.fail("lacks parameters, the names of what is drawn together");
  for (const YamlField& item : names->items("names of parameters")) c.names.push_back(item.text());
  const std::size_t n = c.names.size();
  if (const YamlField* mean = find("mean"))
    c.mean = mean->numbers(n, std::to_string(n) + ", one a parameter,");
  const YamlField *const covariance = find("covariance"), *const sd = find("sd"),
                         *const correlation = find("correlation");
  if (covariance ? (sd || correlation) : !(sd && correlation))
    field.fail("needs covariance, or else sd and correlation");
  std::vector<double> matrix = read_matrix(covariance ? *covariance : *correlation, n);
  if (!covariance) {
    const std::vector<double> sds = sd->numbers(n, std::to_string(n) + ", one a parameter,");
    for (std::size_t i = 0; i < n; ++i) {
      if (sds[i] < 0) sd->fail("has a negative standard deviation");
      if (matrix[i * n + i] != 1) correlation->fail("has a diagonal that is not 1");
      for (std::size_t j = 0; j < n; ++j) matrix[i * n + j] *= sds[i] * sds[j];
    }
  }
  const auto lower = cholesky(matrix, n);
  if (!lower)
    (covariance ? covariance : correlation)
        ->fail("is not symmetric, or no numbers vary so: it is not positive semidefinite");
  c.lower = *lower;
  return c;
}

// ---- The rest -----------------------------------------------------------------------------------

SpectraFile read_spectra_file(const YamlField& field) {
  SpectraFile s;
  s.place = place_of(field);
  if (field.is_scalar()) {
    s.file = field.text();
    return s;
  }
  static const Words keys{"file", "scale", "channels", "unit", "rows"};
  static const Words scales{"relative", "absolute"};
  for (const auto& [key, value] : field.members(keys)) {
    if (key == "file") s.file = value.text();
    if (key == "scale") s.scale = scales[value.word(scales)];
    if (key == "channels") s.channels = static_cast<int>(value.whole_number(1, 1000000));
    if (key == "unit") s.unit = value.text();
    if (key == "rows") s.rows = read_rows(value);
  }
  if (s.file.empty()) field.fail("names no file");
  return s;
}

void read_base(const YamlField& field, Description& d) {
  d.base = place_of(field);
  if (!field.is_map()) {
    d.flags = read_flags(field);
    return;
  }
  static const Words keys{"flags", "experiment"};
  for (const auto& [key, value] : field.members(keys)) {
    if (key == "flags") d.flags = read_flags(value);
    if (key == "experiment") d.experiment_file = value.text();
  }
  if (d.flags.empty() && d.experiment_file.empty())
    field.fail("states no experiment: flags, or an experiment's JSON file");
}

void read_output(const YamlField& field, Description& d) {
  d.output = place_of(field);
  if (field.is_scalar()) {
    d.folder = field.text();
    return;
  }
  static const Words keys{"folder",      "files",       "shots_per_shard",
                          "compression", "reflections", "spot_mask"};
  static const Words files{"shards", "one"};
  for (const auto& [key, value] : field.members(keys)) {
    if (key == "folder") d.folder = value.text();
    if (key == "files") d.one_file = value.word(files) == 1;
    if (key == "shots_per_shard")
      d.shots_per_shard = static_cast<int>(value.whole_number(1, 1000000));
    if (key == "compression") d.compression = value.text();
    if (key == "reflections") d.reflections = value.truth();
    if (key == "spot_mask") {
      d.spot_mask_photons = value.number();
      if (!(*d.spot_mask_photons > 0))
        value.fail("is how many photons a pixel of a spot has at least, and positive");
    }
  }
  if (d.folder.empty()) field.fail("names no folder");
}

}  // namespace

void Description::fail(const Place& place, const std::string& problem) const {
  throw InputError(file, place.line, (place.path.empty() ? "" : place.path + ": ") + problem);
}

Description read_description(const std::string& path) {
  static const Words keys{"ensemble", "base",       "shots",   "seed",    "orientation", "hit_rate",
                          "vary",     "correlated", "spectra", "readout", "output"};
  const YamlField all = YamlField::of_file(path);
  Description d;
  d.file = path;
  std::vector<std::string> missing{"ensemble", "base", "shots", "output"};
  const auto members = all.members(keys);
  // Of another form no other key can be understood.
  for (const auto& [key, value] : members)
    if (key == "ensemble" && value.whole_number(0, 1000000) != description_version)
      value.fail("is " + value.text() + ", and this program reads form " +
                 std::to_string(description_version));
  DistributionReader distributions;
  for (const auto& [key, value] : members) {
    std::erase(missing, key);
    if (key == "base") read_base(value, d);
    if (key == "shots")
      d.shots = static_cast<int>(value.whole_number(1, std::numeric_limits<int>::max()));
    if (key == "seed") d.seed = value.whole_number(0, std::int64_t{1} << 53);
    if (key == "orientation") {
      static const Words words{"base", "random", "random_each"};
      d.orientations = static_cast<Orientations>(value.word(words));
      d.orientation = place_of(value);
    }
    if (key == "hit_rate") {
      d.hit_rate = value.number();
      d.hits = place_of(value);
      if (d.hit_rate < 0 || d.hit_rate > 1) value.fail("is a share, between 0 and 1");
    }
    if (key == "vary")
      for (const auto& [name, distribution] : value.members())
        d.vary.push_back({name, distributions.read(distribution), place_of(distribution)});
    if (key == "correlated")
      for (const YamlField& item : value.items("sets of parameters"))
        d.correlated.push_back(read_correlated(item));
    if (key == "spectra") d.spectra = read_spectra_file(value);
    if (key == "readout") {
      static const Words words{"counts", "photons"};
      d.counts = value.word(words) == 0;
    }
    if (key == "output") read_output(value, d);
  }
  if (!missing.empty())
    throw InputError(path, 0, "lacks the key " + missing.front() + "; docs/ensembles.md shows it");
  return d;
}

}  // namespace nablabragg::ensemble
