#include "refine/free_parameters.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "description/digits.hpp"
#include "description/parameter_table.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::refinement {

std::string name_of_image(std::size_t image) { return "image[" + std::to_string(image) + ']'; }

std::string image_in_words(std::size_t image, std::size_t images) {
  return images > 1 ? name_of_image(image) : "the image";
}

namespace {

/// "cell[0-2]": a name and the first and last of its numbers; all of them without brackets.
struct Selection {
  std::string name;
  std::size_t first = 0, last = 0;
  bool all = true;
};

Selection parse(const std::string& text) {
  Selection s;
  // The brackets of panel[1].shift and group[quadrant].shift are of their names
  const std::size_t prefix = text.rfind("].");
  const std::size_t open = text.find('[', prefix == std::string::npos ? 0 : prefix);
  s.name = text.substr(0, open);
  if (open == std::string::npos) return s;
  s.all = false;
  const char* at = text.data() + open + 1;
  const char* const end = text.data() + text.size();
  const auto fail = [&] {
    return UsageError("'" + text + "' names no numbers; write " + s.name + ", " + s.name +
                      "[0] or " + s.name + "[0-2]");
  };
  const auto number = [&](std::size_t& value) {
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc{}) throw fail();
    at = stop;
  };
  number(s.first);
  s.last = s.first;
  if (at != end && *at == '-') ++at, number(s.last);
  if (at == end || *at != ']' || at + 1 != end || s.last < s.first) throw fail();
  return s;
}

std::string element_name(const Parameter& p, std::size_t element, std::size_t count) {
  if (p.shape.empty()) return p.name;
  const std::string first = p.name + '[' + std::to_string(element);
  return count == 1 ? first + ']' : first + '-' + std::to_string(element + count - 1) + ']';
}

/// The numbers that stay equal to number `element`, itself included, and none where it stands for
/// itself alone.
const Selection* equal_to(const std::vector<Selection>& equal, const std::string& name,
                          std::size_t element) {
  for (const Selection& s : equal)
    if (s.name == name && element >= s.first && element <= s.last) return &s;
  return nullptr;
}

/// The width of the point spread, as gradients of counts name it.
constexpr const char* width_name = "response.fwhm";

std::string own_of(std::size_t image, const std::string& name) {
  return name_of_image(image) + '.' + name;
}

/// Whether a bound or a restraint of this name is of the number; "misset[0]" is of every image's.
bool is_called(const FreeNumber& number, const std::string& name) {
  return number.name == name || (number.image && number.name == own_of(*number.image, name));
}

}  // namespace

FreeParameters::FreeParameters(std::span<const SettledExperiment> starts,
                               const RefineOptions& options,
                               std::vector<std::optional<PointSpread>> point_spreads)
    : point_spreads_(std::move(point_spreads)) {
  if (options.parameters.empty() && options.own.empty())
    throw UsageError("nothing is to be refined; name parameters, for example misset, cell[0-2]");
  for (const SettledExperiment& start : starts) starts_.push_back(start.experiment());
  whole_.resize(images());
  point_spreads_.resize(images());
  const auto known = [&](std::size_t image, const std::string& name) {
    if (name != width_name) return parameter(starts[image], name);
    if (!point_spreads_[image])
      throw UsageError(std::string(width_name) +
                       " is the width of a point spread, and the detector has none; state its "
                       "shape and a width to start from");
    return Parameter{width_name, {"um"}, {}, {point_spreads_[image]->fwhm_um}};
  };
  std::vector<Selection> equal;
  for (const std::string& text : options.equal) {
    equal.push_back(parse(text));
    if (equal.back().first == equal.back().last)
      throw UsageError("'" + text + "' names no numbers that could be equal; write for example " +
                       "cell[0-2]");
  }
  std::vector<std::size_t> first_column;
  const auto index_of = [&](const std::string& name) {
    const auto before = std::find(names_.begin(), names_.end(), name);
    const auto index = static_cast<std::size_t>(before - names_.begin());
    if (before != names_.end()) return index;
    names_.push_back(name);
    first_column.push_back(columns_);
    for (std::size_t image = 0; image < images(); ++image) {
      whole_[image].push_back(parameter(starts[image], name).values);
      if (whole_[image].back().size() != whole_[0].back().size())
        throw UsageError(name + " has " + std::to_string(whole_[0].back().size()) +
                         " numbers in image[0] and " + std::to_string(whole_[image].back().size()) +
                         " in " + name_of_image(image) +
                         "; images that are refined together have the same panels and sources");
    }
    columns_ += whole_[0].back().size();
    return index;
  };
  const auto add = [&](const std::string& text, std::optional<std::size_t> image) {
    const Selection chosen = parse(text);
    const Parameter p = known(image.value_or(0), chosen.name);
    const bool of_point_spread = chosen.name == width_name;
    const std::size_t index = of_point_spread ? 0 : index_of(chosen.name);
    const std::size_t last = chosen.all ? p.values.size() - 1 : chosen.last;
    if (last >= p.values.size())
      throw UsageError("'" + text + "' is not there: " + chosen.name + " has " +
                       std::to_string(p.values.size()) + " numbers, counted from 0");
    for (std::size_t e = chosen.all ? 0 : chosen.first; e <= last; ++e) {
      FreeNumber number;
      if (const Selection* const same = equal_to(equal, chosen.name, e)) {
        if (e != same->first || same->last > last)
          throw UsageError("'" + text + "' has only some of the numbers of " + chosen.name +
                           " that are to be equal");
        number.count = same->last - same->first + 1;
      }
      for (std::size_t other = e; other < e + number.count; ++other)
        if (p.values[other] != p.values[e] || p.units[other] != p.units[e])
          throw UsageError(element_name(p, e, number.count) +
                           " are to be equal and do not start so");
      number.name = element_name(p, e, number.count);
      for (std::size_t other = 1; !image && other < images(); ++other)
        if (const double there = of_point_spread ? known(other, chosen.name).values[e]
                                                 : whole_[other][index][e];
            there != p.values[e])
          throw UsageError(number.name + " starts from " + description::digits(p.values[e], 9) +
                           " in image[0] and from " + description::digits(there, 9) + " in " +
                           name_of_image(other) +
                           "; images share it: start from one value, or refine it as each image's "
                           "own (--own)");
      for (const FreeNumber& other : numbers_)
        if (is_called(other, number.name) && (!image || other.image.value_or(*image) == *image))
          throw UsageError(number.name + " is named twice among the refined parameters");
      if (image) number.name = own_of(*image, number.name);
      number.image = image;
      number.unit = p.units[e];
      number.of_point_spread = of_point_spread;
      has_free_width_ = has_free_width_ || of_point_spread;
      number.parameter = index;
      number.element = e;
      number.column = of_point_spread ? 0 : first_column[index] + e;
      number.start = p.values[e];
      number.lower = -std::numeric_limits<double>::infinity();
      number.upper = std::numeric_limits<double>::infinity();
      numbers_.push_back(number);
      e += number.count - 1;
    }
  };
  for (const std::string& text : options.parameters) add(text, {});
  shared_ = numbers_.size();
  for (std::size_t image = 0; image < images(); ++image)
    for (const std::string& text : options.own) add(text, image);
  for (FreeNumber& number : numbers_)
    if (number.of_point_spread) number.column = columns_;

  const auto is_refined = [&](const char* name) {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  };
  if (is_refined("a_matrix") && is_refined("cell") && !starts_.front().crystal.cell)
    throw UsageError(
        "a_matrix and cell say the same of the lattice; refine one of them, cell with "
        "misset for the orientation");
  for (const Selection& s : equal)
    if (std::ranges::none_of(numbers_, [&](const FreeNumber& n) {
          return n.count > 1 && names_[n.parameter] == s.name && n.element == s.first;
        }))
      throw UsageError(s.name + '[' + std::to_string(s.first) + '-' + std::to_string(s.last) +
                       "] are to be equal and are not refined");
  const auto each = [&](const std::string& name, const char* what, const auto& change) {
    bool found = false;
    for (FreeNumber& number : numbers_)
      if (is_called(number, name)) change(number), found = true;
    if (found) return;
    std::string all;
    for (const FreeNumber& number : numbers_)
      all.append(all.empty() ? "" : ", ").append(number.name);
    throw UsageError(std::string(what) + " is given for '" + name +
                     "', which is not refined; refined are " + all);
  };
  for (const ParameterBounds& b : options.bounds)
    each(b.name, "a bound", [&](FreeNumber& number) {
      if (!(b.lower < b.upper) || number.start < b.lower || number.start > b.upper)
        throw UsageError("the bounds of " + number.name + " do not hold its starting value " +
                         description::digits(number.start, 9));
      number.lower = b.lower;
      number.upper = b.upper;
    });
  for (const Restraint& r : options.restraints)
    each(r.name, "a restraint", [&](FreeNumber& number) {
      if (!(r.deviation > 0) || !std::isfinite(r.deviation))
        throw UsageError("the restraint of " + number.name +
                         " needs a positive standard deviation");
      number.restraint_deviation = r.deviation;
      number.restrained_to = r.value.value_or(number.start);
    });
}

std::vector<std::size_t> FreeParameters::numbers_of(std::size_t image) const {
  std::vector<std::size_t> all(shared_ + own());
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = i < shared_ ? i : first_own(image) + i - shared_;
  return all;
}

std::vector<double> FreeParameters::start() const {
  std::vector<double> values;
  values.reserve(numbers_.size());
  for (const FreeNumber& number : numbers_) values.push_back(number.start);
  return values;
}

Experiment FreeParameters::experiment(std::span<const double> values, std::size_t image) const {
  std::vector<std::vector<double>> whole = whole_[image];
  for (const std::size_t i : numbers_of(image))
    for (std::size_t e = 0; !numbers_[i].of_point_spread && e < numbers_[i].count; ++e)
      whole[numbers_[i].parameter][numbers_[i].element + e] = values[i];
  Experiment e = starts_[image];
  // A matrix is in units of the wavelength, which changes it
  const auto set = [&](bool matrix) {
    for (std::size_t i = 0; i < names_.size(); ++i)
      if ((names_[i] == "a_matrix") == matrix) description::set_parameter(e, names_[i], whole[i]);
  };
  set(true);
  set(false);
  return e;
}

std::optional<PointSpread> FreeParameters::point_spread(std::span<const double> values,
                                                        std::size_t image) const {
  std::optional<PointSpread> spread = point_spreads_[image];
  for (const std::size_t i : numbers_of(image))
    if (numbers_[i].of_point_spread) spread->fwhm_um = values[i];
  return spread;
}

std::vector<double> FreeParameters::values_of(const RefineState& state) const {
  std::vector<double> values;
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    if (state.values.size() != numbers_.size() || state.values[i].first != numbers_[i].name) {
      std::string saved, wanted;
      for (const auto& [name, value] : state.values)
        saved.append(saved.empty() ? "" : ", ").append(name);
      for (const FreeNumber& number : numbers_)
        wanted.append(wanted.empty() ? "" : ", ").append(number.name);
      throw UsageError(std::string("the interrupted refinement was of ")
                           .append(saved)
                           .append(", this one is of ")
                           .append(wanted)
                           .append("; resume with the same parameters"));
    }
    values.push_back(state.values[i].second);
  }
  return values;
}

std::vector<std::pair<std::string, double>> FreeParameters::named(
    std::span<const double> values) const {
  std::vector<std::pair<std::string, double>> named;
  for (std::size_t i = 0; i < numbers_.size(); ++i) named.emplace_back(numbers_[i].name, values[i]);
  return named;
}

}  // namespace nablabragg::refinement
