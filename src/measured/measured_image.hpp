// The image that a model is fitted to, in any format that images are read in.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/geometry.hpp"  // for PixelRectangle
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::measured {

struct MeasuredImage {
  std::string path;
  std::optional<int> number;  ///< of an image in a file of several, from 1
  // What counts in place of what the file states
  std::optional<double> gain, offset, overload;
  double readout_noise = 0;                 ///< [counts]
  std::optional<PointSpread> point_spread;  ///< of the detector
  /// Of the model's detector, in a file that is one array; empty: such a file is of one panel.
  std::vector<PixelRectangle> panels_in_array = {};
};

/// Where each of `count` images is: names of one file each, one name with # for their number
/// (sweep_####.cbf), or one file that holds them.  `how.number` is that of the first.  Throws
/// UsageError for names of other images.
std::vector<MeasuredImage> files_of_images(std::span<const std::string> names,
                                           const MeasuredImage& how, std::size_t count);

/// What is known of the counts of a measurement beside the numbers in it.
struct CountsKnown {
  bool offset = false;  ///< stated by the user, the file or its format
  bool gain = false;
  bool overload = false;  ///< by the user
  /// 65535 of 16 bits without a sign, in which -1 and -2, marks, are the two largest.
  double largest_count = 0;
};

struct Reading {
  Measurement measurement;
  CountsKnown known;
  std::vector<std::string> notices;  ///< what the file states and the model contradicts
};

/// Pixels that hold no count, and those below what their panel can be trusted in, are NaN; those
/// above it counted at least that.  Throws InputError for a file of no image, for one of another
/// size than the model's panels where the file does not say its size itself, and where the two
/// contradict each other beyond doubt.
Reading read_measurement(const MeasuredImage& image, const SettledExperiment& model);

}  // namespace nablabragg::measured
