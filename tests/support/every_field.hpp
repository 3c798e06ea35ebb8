// The table of fields for tests: a walk over all rows, and an experiment in which no field has its
// default, so that what forgets a field brings its default back.
#pragma once
#include <string>
#include "description/fields.hpp"
#include "description/response_fields.hpp"

namespace nablabragg::test {

/// Sets values to ones that occur nowhere else.
struct EveryField {
  double next = 1;

  template <class T>
  void change(T& value) {
    if constexpr (std::is_same_v<T, double>) {
      value = next += 1.0 / 3;
    } else if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(next += 1);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = "text " + std::to_string(static_cast<int>(next += 1));
    } else if constexpr (description::is_optional<T>) {
      change(value.emplace());
    } else if constexpr (std::is_same_v<T, Quirks>) {
      value.one_sided_grids = value.triclinic_c_star = true;
    } else if constexpr (std::is_enum_v<T>) {
      value = description::Choices<T>::all.back().value;
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const Mask>>) {
      auto mask = std::make_shared<Mask>(Mask{3, 2, {1, 1, 0, 0, 0, 1}});
      value = std::move(mask);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const StructureFactorGrid>>) {
      value = std::make_shared<StructureFactorGrid>(MillerIndex{-1, 0, 2}, MillerIndex{1, 1, 3},
                                                    next += 1.0 / 3);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const PixelFactors>>) {
      value = std::make_shared<PixelFactors>(3, static_cast<float>(next += 1.0 / 3));
    } else if constexpr (description::is_vector<T>) {
      value.resize(2);
      for (auto& item : value) change(item);
    } else if constexpr (description::HasFields<T>) {
      description::for_each_field<T>([&](const auto& row) {
        for (const auto member : row.members) change(value.*member);
      });
    } else {
      std::apply([&](auto&... member) { (change(member), ...); }, description::members(value));
    }
  }
};

inline Experiment experiment_with_every_field() {
  Experiment e;
  EveryField().change(e);
  return e;
}

inline DetectorResponse response_with_every_field() {
  DetectorResponse r;
  EveryField().change(r);
  return r;
}

/// Calls visit(path, row) for each field of a part and of the parts in it.
template <class Part, class Visit>
void for_each_row(const std::string& path, const Visit& visit) {
  description::for_each_field<Part>([&](const auto& row) {
    using Value = typename std::remove_cvref_t<decltype(row)>::Member;
    visit(path + row.name, row);
    if constexpr (description::is_list_of_parts<Value>)
      for_each_row<typename Value::value_type>(path + row.name + '.', visit);
    else if constexpr (description::HasFields<Value> && !description::is_range<Value>)
      for_each_row<Value>(path + row.name + '.', visit);
  });
}

}  // namespace nablabragg::test
