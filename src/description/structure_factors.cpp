#include "nablabragg/structure_factors.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>  // for snprintf

#include "memory/huge_pages.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

/// max - min + 1 of an axis, in 64 bits because indices may be anything an int holds.
long long span_of(int min, int max) { return static_cast<long long>(max) - min + 1; }

std::string mebibytes(double bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.0f MiB", bytes / 1048576);
  return text;
}

}  // namespace

std::size_t StructureFactorGrid::default_max_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || page_bytes <= 0) return std::size_t{1} << 32;
  return static_cast<std::size_t>(pages) / 2 * static_cast<std::size_t>(page_bytes);
}

StructureFactorGrid::StructureFactorGrid(MillerIndex min, MillerIndex max, double fill,
                                         std::size_t max_bytes)
    : min_(min), max_(max) {
  double cells = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const long long n = span_of(min[axis], max[axis]);
    if (n < 1) throw InputError("the structure-factor table has an empty range of Miller indices");
    cells *= static_cast<double>(n);
    extent_[axis] = static_cast<int>(std::min<long long>(n, 2147483647));
  }
  if (cells * sizeof(double) > static_cast<double>(max_bytes))
    throw InputError(
        "the Miller indices span h " + std::to_string(min[0]) + ".." + std::to_string(max[0]) +
        ", k " + std::to_string(min[1]) + ".." + std::to_string(max[1]) + ", l " +
        std::to_string(min[2]) + ".." + std::to_string(max[2]) + ": their table would need " +
        mebibytes(cells * sizeof(double)) + " of memory and at most " +
        mebibytes(static_cast<double>(max_bytes)) + " may be used; look for a stray index");
  memory::reserve_in_huge_pages(values_, static_cast<std::size_t>(cells));
  values_.assign(static_cast<std::size_t>(cells), fill);
}

StructureFactorGrid StructureFactorGrid::from_reflections(std::span<const Reflection> reflections,
                                                          double fill, std::size_t max_bytes) {
  if (reflections.empty()) throw InputError("there are no reflections");
  MillerIndex min = reflections[0].hkl, max = min;
  for (const Reflection& r : reflections)
    for (std::size_t axis = 0; axis < 3; ++axis) {
      min[axis] = std::min(min[axis], r.hkl[axis]);
      max[axis] = std::max(max[axis], r.hkl[axis]);
    }
  StructureFactorGrid grid(min, max, fill, max_bytes);
  for (const Reflection& r : reflections) grid.at(r.hkl[0], r.hkl[1], r.hkl[2]) = r.amplitude;
  return grid;
}

}  // namespace nablabragg
