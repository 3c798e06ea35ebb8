// The numbers that a refinement changes: by name, in units of how well they are known.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::refinement {

/// "image[2]": as its own numbers begin, and as sentences name it.
std::string name_of_image(std::size_t image);
/// Where there is one image: "the image".
std::string image_in_words(std::size_t image, std::size_t images);

/// One number of a parameter, or several in a row that stay equal.
struct FreeNumber {
  /// "cell[0]", "A"; of several "cell[0-2]"; of one image "image[2].cell[0]"
  std::string name, unit;
  std::optional<std::size_t> image;  ///< whose own it is; empty: all images share it
  bool of_point_spread = false;      ///< its width, which is of no experiment
  std::size_t parameter = 0;         ///< which of FreeParameters::names()
  std::size_t element = 0;           ///< which of its numbers, the first of several
  std::size_t column = 0;            ///< of a Jacobian for FreeParameters::names(), likewise
  std::size_t count = 1;             ///< how many there are
  double start = 0, lower = 0, upper = 0;
  double restrained_to = 0, restraint_deviation = 0;  ///< deviation 0: no restraint
};

class FreeParameters {
 public:
  /// One experiment for each image, and the point spread of its detector (none at all: empty).
  /// Throws UsageError for names that there are not, for bounds, restraints and equalities of
  /// numbers that are not refined, and for shared numbers that do not start alike.
  FreeParameters(std::span<const SettledExperiment> starts, const RefineOptions& options,
                 std::vector<std::optional<PointSpread>> point_spreads = {});
  FreeParameters(const SettledExperiment& start, const RefineOptions& options)
      : FreeParameters(std::span(&start, 1), options) {}

  std::size_t images() const { return starts_.size(); }
  std::size_t size() const { return numbers_.size(); }
  /// Those that all images share, then those of the first image, of the second, and so on.
  const std::vector<FreeNumber>& numbers() const { return numbers_; }
  std::size_t shared() const { return shared_; }
  /// How many numbers each image has for itself, and the first of those of an image.
  std::size_t own() const { return (size() - shared_) / images(); }
  std::size_t first_own(std::size_t image) const { return shared_ + image * own(); }
  /// Those that change an image: what is shared, then its own.
  std::vector<std::size_t> numbers_of(std::size_t image) const;

  /// The parameters of experiments of which a Jacobian of any image is wanted.
  const std::vector<std::string>& names() const { return names_; }
  /// How many columns it then has, the last one by the width of the point spread, where that is
  /// free.
  std::size_t columns() const { return columns_ + (has_free_width_ ? 1 : 0); }
  bool has_free_width() const { return has_free_width_; }

  /// Replaces the table of the starting experiments.
  void set_structure_factors(const std::shared_ptr<const StructureFactorGrid>& grid) {
    for (Experiment& start : starts_) start.structure_factors.grid = grid;
  }
  /// Of the first image.
  const StructureFactors& structure_factors() const { return starts_.front().structure_factors; }

  std::vector<double> start() const;
  /// The starting experiment of an image with these values of the free numbers.
  Experiment experiment(std::span<const double> values, std::size_t image = 0) const;
  /// Of an image, with the width that these values have.
  std::optional<PointSpread> point_spread(std::span<const double> values, std::size_t image) const;
  /// A state's values in the order of numbers().  Throws UsageError when they are of other numbers.
  std::vector<double> values_of(const RefineState& state) const;
  /// Values with the names of numbers().
  std::vector<std::pair<std::string, double>> named(std::span<const double> values) const;

 private:
  std::vector<Experiment> starts_;  // settled
  std::vector<FreeNumber> numbers_;
  std::vector<std::string> names_;
  // Of each image the starting values of each name, free or not
  std::vector<std::vector<std::vector<double>>> whole_;
  std::vector<std::optional<PointSpread>> point_spreads_;  ///< of each image, as it starts
  std::size_t columns_ = 0, shared_ = 0;
  bool has_free_width_ = false;
};

}  // namespace nablabragg::refinement
