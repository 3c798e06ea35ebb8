// Structure-factor amplitudes of the P1 cell on a dense box of Miller indices.
// Reading them from files is io.hpp; looking them up in the pixel loop is the engine's.
#pragma once
#include <cstddef>  // for std::size_t
#include <memory>   // for std::shared_ptr
#include <optional>
#include <span>
#include <utility>  // for std::move
#include <vector>
#include "nablabragg/crystal.hpp"     // for UnitCell
#include "nablabragg/reflection.hpp"  // for MillerIndex, Reflection

namespace nablabragg {

struct AnomalousFactors;  // anomalous.hpp
namespace memory {
class SharedTable;  // the library's own
}

/// Values on every (h,k,l) of the box min..max, both ends included, l fastest.
class StructureFactorGrid {
 public:
  /// Throws InputError, naming the memory it would need, when the box has more than `max_bytes` of
  /// values.
  StructureFactorGrid(MillerIndex min, MillerIndex max, double fill,
                      std::size_t max_bytes = default_max_bytes());

  /// The smallest box that holds the reflections; a later duplicate replaces an earlier one,
  /// absent reflections hold `fill`.  Throws InputError when there are none.
  static StructureFactorGrid from_reflections(std::span<const Reflection> reflections, double fill,
                                              std::size_t max_bytes = default_max_bytes());

  /// Half of the machine's memory.
  static std::size_t default_max_bytes();

  const MillerIndex& min() const { return min_; }
  const MillerIndex& max() const { return max_; }
  /// Number of indices along an axis, max - min + 1.
  int extent(int axis) const { return extent_[static_cast<std::size_t>(axis)]; }
  std::span<const double> values() const {
    return shared_ ? shared_values_ : std::span<const double>(values_);
  }
  /// To be changed.
  std::vector<double>& values() {
    if (shared_) take_copy();
    return values_;
  }

  /// The same table, with its values in that memory, which holds them: copies of it, too, have none
  /// of their own until they are to be changed.
  StructureFactorGrid in(std::shared_ptr<const memory::SharedTable> shared) const;
  /// Null: the values are the table's own.
  const std::shared_ptr<const memory::SharedTable>& shared() const { return shared_; }

  /// How the amplitudes follow the energy of the light; null: not at all.  The values are then
  /// those without anomalous scattering.
  const std::shared_ptr<const AnomalousFactors>& anomalous() const { return anomalous_; }
  void set_anomalous(std::shared_ptr<const AnomalousFactors> factors) {
    anomalous_ = std::move(factors);
  }

  bool contains(int h, int k, int l) const {
    return h >= min_[0] && h <= max_[0] && k >= min_[1] && k <= max_[1] && l >= min_[2] &&
           l <= max_[2];
  }
  double& at(int h, int k, int l) { return values()[offset(h, k, l)]; }
  double at(int h, int k, int l) const { return values()[offset(h, k, l)]; }

 private:
  std::size_t offset(int h, int k, int l) const {
    const auto i = static_cast<std::size_t>(h - min_[0]);
    const auto j = static_cast<std::size_t>(k - min_[1]);
    const auto m = static_cast<std::size_t>(l - min_[2]);
    return (i * static_cast<std::size_t>(extent_[1]) + j) * static_cast<std::size_t>(extent_[2]) +
           m;
  }

  StructureFactorGrid() = default;
  void take_copy();

  MillerIndex min_{}, max_{}, extent_{};
  std::vector<double> values_;
  std::shared_ptr<const memory::SharedTable> shared_;
  std::span<const double> shared_values_;
  std::shared_ptr<const AnomalousFactors> anomalous_;
};

/// How F is found between the lattice points.
enum class Interpolation {
  automatic,  ///< tricubic when a crystal edge has two cells or fewer, else nearest
  nearest,
  tricubic
};

struct StructureFactors {
  std::shared_ptr<const StructureFactorGrid> grid;  ///< may be empty: default_F everywhere
  double default_F = 0;                             ///< [electrons] for what the grid does not hold
  Interpolation interpolation = Interpolation::automatic;
  /// Of the crystal that the grid's amplitudes are of, where their file says it.
  std::optional<UnitCell> stated_cell;
  std::optional<double> stated_wavelength_A;  ///< at which they were measured, likewise
};

}  // namespace nablabragg
