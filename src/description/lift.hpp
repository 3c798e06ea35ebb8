// An experiment in another number type.
#pragma once
#include "description/fields.hpp"

namespace nablabragg::description {

/// `from` in the number type of `to`, field by field.
template <class To, class From>
void lift(To& to, const From& from) {
  if constexpr (std::is_same_v<To, From>) {
    to = from;
  } else if constexpr (is_optional<From>) {
    to.reset();
    if (from) lift(to.emplace(), *from);
  } else if constexpr (is_vector<From>) {
    to.resize(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) lift(to[i], from[i]);
  } else if constexpr (HasFields<From>) {
    for_each_index<row_count<From>>([&](auto i) {
      const auto& source = std::get<i>(rows_of<From>());
      const auto& target = std::get<i>(rows_of<To>());
      for (std::size_t k = 0; k < source.members.size(); ++k)
        lift(to.*target.members[k], from.*source.members[k]);
    });
  } else if constexpr (std::is_aggregate_v<From>) {
    auto targets = members(to);
    const auto sources = members(from);
    for_each_index<std::tuple_size_v<decltype(targets)>>(
        [&](auto i) { lift(std::get<i>(targets), std::get<i>(sources)); });
  } else {
    to = To(from);
  }
}

template <class Real>
BasicExperiment<Real> lifted(const Experiment& e) {
  BasicExperiment<Real> out;
  lift(out, e);
  return out;
}

}  // namespace nablabragg::description
