#include "nablabragg/structure_factors.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>      // for snprintf
#include <functional>  // for std::greater

#include "memory/huge_pages.hpp"
#include "memory/shared_table.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/reflection_table.hpp"

namespace nablabragg {

namespace {

/// max - min + 1 of an axis, in 64 bits because indices may be anything an int holds.
long long span_of(int min, int max) { return static_cast<long long>(max) - min + 1; }

std::string mebibytes(double bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.0f MiB", bytes / 1048576);
  return text;
}

/// Entries of the box, as a double because there may be more than integers count.
double entries_of(const MillerIndex& min, const MillerIndex& max) {
  double entries = 1;
  for (std::size_t axis = 0; axis < 3; ++axis)
    entries *= static_cast<double>(span_of(min[axis], max[axis]));
  return entries;
}

std::string text_of(const MillerIndex& hkl) {
  return std::to_string(hkl[0]) + " " + std::to_string(hkl[1]) + " " + std::to_string(hkl[2]);
}

/// A large table that is all but empty has a stray index, and is no table.  Names the reflection
/// that is farthest from the others.
void refuse_empty_box(std::span<const Reflection> reflections, const MillerIndex& min,
                      const MillerIndex& max) {
  constexpr double large_bytes = 256 << 20, most_entries_each = 10000, shrinks = 10;
  const double entries = entries_of(min, max);
  if (entries * sizeof(double) <= large_bytes) return;
  // How the box shrinks when one reflection, the outermost at an end of an axis, is left out.
  double smallest = entries;
  MillerIndex outermost = reflections[0].hkl;
  for (std::size_t axis = 0; axis < 3; ++axis)
    for (const bool at_max : {false, true}) {
      const int end = at_max ? max[axis] : min[axis];
      const auto is_there = [&](const Reflection& r) { return r.hkl[axis] == end; };
      const auto stray = std::find_if(reflections.begin(), reflections.end(), is_there);
      const MillerIndex hkl = stray->hkl;
      MillerIndex rest_min = max, rest_max = min;
      for (const Reflection& r : reflections)
        for (std::size_t i = 0; i < 3 && r.hkl != hkl; ++i) {
          rest_min[i] = std::min(rest_min[i], r.hkl[i]);
          rest_max[i] = std::max(rest_max[i], r.hkl[i]);
        }
      const bool none_left = rest_min[0] > rest_max[0];
      const double left = none_left ? 1 : entries_of(rest_min, rest_max);
      if (left >= smallest) continue;
      smallest = left;
      outermost = hkl;
    }
  const bool stands_alone = entries > shrinks * smallest;
  const bool is_empty = entries > most_entries_each * static_cast<double>(reflections.size());
  if (!stands_alone && !is_empty) return;
  throw InputError("the table of structure factors would need " +
                   mebibytes(entries * sizeof(double)) + " for " +
                   std::to_string(reflections.size()) + " reflections, nearly all of it empty: " +
                   text_of(outermost) + " lies far from the others; look for a stray index");
}

std::size_t offset_of(const Reflection& r, const StructureFactorGrid& grid) {
  std::size_t offset = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    offset = offset * static_cast<std::size_t>(grid.extent(axis)) +
             static_cast<std::size_t>(r.hkl[i] - grid.min()[i]);
  }
  return offset;
}

/// Counts again, where the list is in no order.
Repeats find_repeats(std::span<const Reflection> reflections, const StructureFactorGrid& grid) {
  Repeats repeats;
  constexpr unsigned char seen = 1, again = 2, contradicted = 4;
  std::vector<unsigned char> states(grid.values().size());
  for (const Reflection& r : reflections) {
    // The table holds the last amplitude.
    const std::size_t offset = offset_of(r, grid);
    const double counts = grid.values()[offset];
    unsigned char& state = states[offset];
    if ((state & (seen | again)) == seen) {
      ++repeats.reflections;
      state |= again;
    }
    if (r.amplitude != counts && (state & contradicted) == 0) {
      if (repeats.contradicting++ == 0) repeats.first_contradiction = r.hkl;
      state |= contradicted;
    }
    state |= seen;
  }
  return repeats;
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
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const long long n = span_of(min[axis], max[axis]);
    if (n < 1) throw InputError("the structure-factor table has an empty range of Miller indices");
    extent_[axis] = static_cast<int>(std::min<long long>(n, 2147483647));
  }
  const double cells = entries_of(min, max);
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

StructureFactorGrid StructureFactorGrid::in(
    std::shared_ptr<const memory::SharedTable> shared) const {
  StructureFactorGrid grid;
  grid.min_ = min_;
  grid.max_ = max_;
  grid.extent_ = extent_;
  grid.anomalous_ = anomalous_;
  grid.shared_values_ = shared->numbers();
  grid.shared_ = std::move(shared);
  return grid;
}

void StructureFactorGrid::take_copy() {
  values_.assign(shared_values_.begin(), shared_values_.end());
  shared_values_ = {};
  shared_.reset();
}

ReflectionNumbers ReflectionNumbers::in(std::shared_ptr<const memory::SharedTable> shared) const {
  ReflectionNumbers numbers;
  const std::span<const double> parts = shared->numbers();
  numbers.in_shared_ = {reinterpret_cast<const Number*>(parts.data()), parts.size() / 2};
  numbers.shared_ = std::move(shared);
  return numbers;
}

void ReflectionNumbers::take_copy() {
  own_.assign(in_shared_.begin(), in_shared_.end());
  in_shared_ = {};
  shared_.reset();
}

StructureFactorGrid StructureFactorGrid::from_reflections(std::span<const Reflection> reflections,
                                                          double fill, std::size_t max_bytes) {
  Repeats repeats;
  return grid_of(reflections, fill, repeats, max_bytes);
}

StructureFactorGrid grid_of(std::span<const Reflection> reflections, double fill, Repeats& repeats,
                            std::size_t max_bytes) {
  if (reflections.empty()) throw InputError("there are no reflections");
  MillerIndex min = reflections[0].hkl, max = min;
  for (const Reflection& r : reflections)
    for (std::size_t axis = 0; axis < 3; ++axis) {
      min[axis] = std::min(min[axis], r.hkl[axis]);
      max[axis] = std::max(max[axis], r.hkl[axis]);
    }
  refuse_empty_box(reflections, min, max);
  StructureFactorGrid grid(min, max, fill, max_bytes);
  const double* previous = nullptr;
  bool in_order = true;
  for (const Reflection& r : reflections) {
    double& value = grid.at(r.hkl[0], r.hkl[1], r.hkl[2]);
    in_order &= std::greater<>{}(static_cast<const double*>(&value), previous);
    previous = &value;
    value = r.amplitude;
  }
  // What is in order stands there once.
  if (!in_order) repeats = find_repeats(reflections, grid);
  return grid;
}

std::string notice_of(const Repeats& repeats) {
  if (repeats.contradicting == 0) return {};
  return std::to_string(repeats.contradicting) +
         (repeats.contradicting == 1 ? " reflection stands" : " reflections stand") +
         " there several times with amplitudes that disagree, the first at " +
         text_of(repeats.first_contradiction) + "; the last one counts";
}

}  // namespace nablabragg
