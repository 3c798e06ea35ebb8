// The parameters of an experiment: which there are, and where their numbers lie.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "description/fields.hpp"
#include "nablabragg/parameters.hpp"

namespace nablabragg::description {

/// Sets a parameter of `e`, which is settled.  Throws what with_parameter() throws.
void set_parameter(Experiment& e, std::string_view name, std::span<const double> values);

/// Whether a field has what a parameter of it needs: a value, a width, all numbers of a pair.
template <class T>
bool is_given(const T& value) {
  if constexpr (is_optional<T>)
    return value.has_value();
  else if constexpr (is_range<T>)
    return value.range && *value.range != 0;
  else
    return true;
}

/// Visits one parameter; `place(x)` is the part that has it, in an experiment x of any number type.
template <class Part, std::size_t i, class Place, class Visit>
void visit_parameter(const Experiment& e, Place place, Visit& visit) {
  constexpr const auto& row = std::get<i>(rows_of<Part>());
  if constexpr (row.parameter != nullptr) {
    for (const auto member : row.members)
      if (!is_given(place(e).*member)) return;
    if (row.exists && !row.exists(e)) return;
    auto shape = shape_of<typename std::remove_cvref_t<decltype(row)>::Member>();
    if (row.members.size() == 2) shape.insert(shape.begin(), 2);
    visit(row.parameter, row.units, shape, [place](auto& x, auto&& f) {
      auto& part = place(x);
      const auto wavelength_before = x.beam.wavelength_A;
      for (const auto member :
           std::get<i>(rows_of<std::remove_reference_t<decltype(part)>>()).members)
        for_each_number(part.*member, f);
      if (row.parameter != std::string_view("wavelength") || !x.crystal.mosflm_matrix) return;
      // The lattice behind a matrix, which holds reciprocal axes times the wavelength, stays.
      for_each_number(*x.crystal.mosflm_matrix, [&](auto& entry) {
        entry = entry * (x.beam.wavelength_A / wavelength_before);
      });
    });
  }
}

/// Visits a parameter of a list, which has an entry for each of its items.
template <class List, std::size_t i, class Place, class Visit>
void visit_parameter_of_list(const Experiment& e, Place place, Visit& visit) {
  using Item = typename List::value_type;
  constexpr const auto& row = std::get<i>(rows_of<Item>());
  auto shape = shape_of<typename std::remove_cvref_t<decltype(row)>::Member>();
  shape.insert(shape.begin(), place(e).size());
  visit(row.parameter, row.units, shape, [place](auto& x, auto&& f) {
    for (auto& item : place(x))
      for_each_number(
          item.*std::get<i>(rows_of<std::remove_reference_t<decltype(item)>>()).members[0], f);
  });
}

template <class Part, class Place, class Visit>
void for_each_parameter_of(const Experiment& e, Place place, Visit& visit);

/// Those of one of Experiment::detector_groups, whose names begin with that of the group.
template <class Visit>
void for_each_parameter_of_group(const Experiment& e, std::size_t index, Visit& visit) {
  const std::string prefix = "group[" + e.detector_groups[index].name + "].";
  const auto visit_with_prefix = [&](const char* name, const auto&... rest) {
    visit((prefix + name).c_str(), rest...);
  };
  for_each_parameter_of<DetectorGroup>(
      e, [index](auto& x) -> auto& { return x.detector_groups[index]; }, visit_with_prefix);
}

/// How a panel has moved by itself is said with its number, of the first panel as well.
inline bool takes_number_of_panel(std::string_view parameter) {
  return parameter == "shift" || parameter == "rotation";
}

/// Those of Experiment::more_panels[index], whose names begin with the number of the panel.
template <class Visit>
void for_each_parameter_of_panel(const Experiment& e, std::size_t index, Visit& visit) {
  // What exists of a detector is asked of Experiment::detector.
  Experiment alone = e;
  alone.detector = e.more_panels[index].detector;
  const std::string prefix = "panel[" + std::to_string(index + 1) + "].";
  const auto visit_with_prefix = [&](const char* name, const auto&... rest) {
    visit((prefix + name).c_str(), rest...);
  };
  for_each_parameter_of<Detector>(
      alone, [index](auto& x) -> auto& { return x.more_panels[index].detector; },
      visit_with_prefix);
}

/// Calls visit(name, units, shape, numbers) for each parameter of a part, and of the parts in it;
/// see for_each_parameter().
template <class Part, class Place, class Visit>
void for_each_parameter_of(const Experiment& e, Place place, Visit& visit) {
  for_each_index<row_count<Part>>([&](auto which) {
    constexpr std::size_t i = which;
    using Value = typename std::remove_cvref_t<decltype(std::get<i>(rows_of<Part>()))>::Member;
    const auto inside = [place](auto& x) -> auto& {
      auto& part = place(x);
      return part.*std::get<i>(rows_of<std::remove_reference_t<decltype(part)>>()).members[0];
    };
    // Structure factors are in double precision whatever the number type, and so are left out.
    if constexpr (std::is_same_v<Value, StructureFactors>) {
      return;
    } else if constexpr (std::is_same_v<Part, Experiment> && std::is_same_v<Value, Detector>) {
      const auto visit_of_first = [&](const char* name, const auto&... rest) {
        visit(takes_number_of_panel(name) ? ("panel[0]." + std::string(name)).c_str() : name,
              rest...);
      };
      for_each_parameter_of<Value>(e, inside, visit_of_first);
    } else if constexpr (HasFields<Value> && !is_range<Value>) {
      for_each_parameter_of<Value>(e, inside, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<FurtherPanel>>) {
      for (std::size_t panel = 0; panel < inside(e).size(); ++panel)
        for_each_parameter_of_panel(e, panel, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<DetectorGroup>>) {
      for (std::size_t group = 0; group < inside(e).size(); ++group)
        for_each_parameter_of_group(e, group, visit);
    } else if constexpr (is_vector<Value>) {
      if (inside(e).empty()) return;
      for_each_index<row_count<typename Value::value_type>>(
          [&](auto column) { visit_parameter_of_list<Value, column>(e, inside, visit); });
    } else {
      visit_parameter<Part, i>(e, place, visit);
    }
  });
}

/// Calls visit(name, units, shape, numbers) for each parameter of a settled experiment, where
/// numbers(e, f) calls f for each of its numbers in an experiment of any number type.
template <class Visit>
void for_each_parameter(const Experiment& settled, Visit&& visit) {
  for_each_parameter_of<Experiment>(
      settled, [](auto& x) -> auto& { return x; }, visit);
}

/// default_F is a parameter as well, but no number type other than double ever holds it.
inline constexpr std::string_view default_F_name = "default_F";

}  // namespace nablabragg::description
