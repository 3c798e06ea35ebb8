// How alike two images of the same shape are.
#pragma once
#include <cstdint>
#include <span>
#include <utility>  // for std::pair
#include <vector>
#include "nablabragg/image.hpp"     // for Image
#include "nablabragg/sampling.hpp"  // for RegionOfInterest

namespace nablabragg::instruments {

/// Sums over pairs of pixels, which may come in parts.
class PairStatistics {
 public:
  /// Two spans of the same length.
  void add(std::span<const float> reference, std::span<const float> image);

  std::int64_t count() const { return count_; }
  double sum_reference() const { return mean_reference_ * static_cast<double>(count_); }
  double sum_image() const { return mean_image_ * static_cast<double>(count_); }
  /// Image over reference; not a number when the reference adds up to nothing.
  double sum_ratio() const;
  /// Pearson's; not a number when one of the two has the same value everywhere, except that
  /// images without any difference have 1.
  double correlation() const;
  double rmse() const;
  /// |image - reference|, and where it is first met in the order in which pixels were added.
  double largest_difference() const { return largest_; }
  std::int64_t largest_at() const { return largest_at_; }

 private:
  std::int64_t count_ = 0, largest_at_ = 0;
  double mean_reference_ = 0, mean_image_ = 0;
  // Sums of squares and of products about the means
  double square_reference_ = 0, square_image_ = 0, product_ = 0;
  double square_difference_ = 0, largest_ = 0;
};

/// The mean structural similarity: 1 for equal images.  With means m, variances v and covariance c
/// under a Gaussian window of 11 x 11 pixels and sigma 1.5, cut off at the image's edge,
///   (2 m1 m2 + C1)(2 c + C2) / ((m1^2 + m2^2 + C1)(v1 + v2 + C2)),
/// C1 = (0.01 L)^2, C2 = (0.03 L)^2, L the reference's range of values (1 if that is 0).
double structural_similarity(const Image& reference, const Image& image);

struct Peak {
  int fast = 0, slow = 0;
  float value = 0;
};

/// The brightest local maxima, brightest first: positive pixels that none of the eight neighbours
/// exceeds; of equal neighbours the first in raster order counts.
std::vector<Peak> brightest_peaks(const Image& image, std::size_t most);

/// The largest number of pairs, one of each list, that are no further apart than this; no peak is
/// in two pairs.
std::size_t matched_peaks(const std::vector<Peak>& reference, const std::vector<Peak>& image,
                          double distance_px);

Image cropped(const Image& image, const RegionOfInterest& region);

/// Fewer pixels over the same area: each is the mean of the pixels under it, weighted by the
/// area of each that it covers.  Neither edge may become longer.
Image area_averaged(const Image& image, int fast_pixels, int slow_pixels);

/// Image - reference.
Image difference(const Image& reference, const Image& image);

/// What this percentage of the non-zero, finite pixels stays below, regardless of their sign; 0
/// when there are none.
double percentile_of_lit(const Image& image, double percent);

}  // namespace nablabragg::instruments
