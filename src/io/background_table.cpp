#include <algorithm>

#include "io/two_columns.hpp"
#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

Material read_background(const std::string& path) {
  std::vector<io::TwoColumnRow>
      rows = io::read_two_columns(path, {"background", "sin(theta)/lambda", "F"}).rows;
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Material material;
  material.name = path;
  for (const auto& [stol, F, line] : rows) {
    if (stol < 0)
      throw InputError(path, line,
                       "has a negative sin(theta)/lambda; it is in 1/Angstrom, from 0 on");
    if (!material.stol_per_A.empty() && stol == material.stol_per_A.back())
      throw InputError(path, line, "repeats a sin(theta)/lambda; a background has one F for each");
    material.stol_per_A.push_back(stol);
    material.F.push_back(F);
  }
  return material;
}

}  // namespace nablabragg
