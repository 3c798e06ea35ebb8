// What refined.json says of a fit whose truth is known.
#pragma once
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace nablabragg::test {

/// Each number within 4.5 of its deviations of the truth, and the residual that of photons that are
/// counted.
inline void expect_refined_to(const std::vector<double>& truth, const nlohmann::json& refined) {
  const nlohmann::json& numbers = refined["numbers"];
  ASSERT_EQ(numbers.size(), truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    SCOPED_TRACE(numbers[i].dump());
    EXPECT_NEAR(numbers[i]["value"], truth[i], 4.5 * numbers[i]["deviation"].get<double>());
  }
  EXPECT_NEAR(refined["residual"], 1, 0.1);
}

}  // namespace nablabragg::test
