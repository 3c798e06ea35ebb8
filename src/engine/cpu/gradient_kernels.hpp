// Between the driver of the gradients and its kernels, which are compiled once for each instruction
// set.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>
#include "engine/cpu/kernels.hpp"

namespace nablabragg::engine {

/// d(loss)/d(F) of entries of the table, gathered in a small cache: a spot asks for the same one
/// again and again.
class TableAdjoints {
 public:
  void add(std::int64_t offset, double adjoint) {
    Entry& entry = cache_[static_cast<std::size_t>(offset) % cache_.size()];
    if (entry.offset != offset) {
      if (entry.offset >= 0) all_.emplace_back(entry.offset, entry.adjoint);
      entry = {offset, 0};
    }
    entry.adjoint += adjoint;
  }
  /// In an order that follows from the calls alone.
  template <class Work>
  void drain(Work&& work) {
    for (const auto& [offset, adjoint] : all_) work(offset, adjoint);
    for (Entry& entry : cache_) {
      if (entry.offset >= 0) work(entry.offset, entry.adjoint);
      entry = {};
    }
    all_.clear();
  }

 private:
  struct Entry {
    std::int64_t offset = -1;
    double adjoint = 0;
  };
  std::array<Entry, 1021> cache_{};
  std::vector<std::pair<std::int64_t, double>> all_;
};

/// Numbers of rays, in the order of CpuPlan::band_change.
struct BandNumbers {
  std::vector<float> wavenumber, weight;
};

/// A direction in the space of plans.
struct Tangent {
  const Plan* plan;
  bool turns_crystal;  ///< its orientations are not all zero
  BandNumbers bands;   ///< of bands: the rays' part; empty where they do not change
};

/// Adjoints of the rays of some bands: one row for all pixels or, forwards, one for each lane.
class BandAdjoints {
 public:
  /// `begin`: of each row, in CpuPlan::band_change.
  void clear(std::size_t rows, std::size_t begin, std::size_t size);
  std::size_t begin() const { return begin_; }
  std::size_t size() const { return size_; }
  float* wavenumber(std::size_t row) { return adjoints_.wavenumber.data() + row * size_; }
  float* weight(std::size_t row) { return adjoints_.weight.data() + row * size_; }

 private:
  std::size_t begin_ = 0, size_ = 0;
  BandNumbers adjoints_;
};

/// What becomes of the derivatives of a tile's pixels.
struct GradientSink {
  // In reverse, added to: weights x d(photons)/d(plan)
  Plan* adjoints = nullptr;  ///< null: no reverse
  double value = 0;          ///< added to: weights x photons
  TableAdjoints table;       ///< in units of the largest F
  bool wants_table = false;

  // Forwards: d(photons) of each pixel along each of these directions
  std::span<const Tangent> tangents;
  double* slopes = nullptr;               ///< tile_pixels x tangents
  const double* table_tangent = nullptr;  ///< of the last direction, as the table's values

  BandAdjoints bands;  ///< for the kernel's own use

  alignas(64) std::array<double, tile_pixels> photons;
};

/// The same of the light of materials.
struct MaterialSink {
  // In reverse, added to
  Plan* adjoints = nullptr;  ///< null: forwards
  double value = 0;

  // Forwards, added to
  std::span<const Plan* const> tangents;
  double* slopes = nullptr;  ///< tile_pixels x tangents
  alignas(64) std::array<double, tile_pixels> photons{};
};

}  // namespace nablabragg::engine
