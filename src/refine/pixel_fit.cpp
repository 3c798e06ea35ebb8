#include "refine/pixel_fit.hpp"

#include <ceres/ceres.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>  // for std::exception_ptr
#include <limits>
#include <memory>
#include <optional>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "refine/ceres_support.hpp"
#include "refine/likelihood.hpp"
#include "refine/shoeboxes.hpp"

namespace nablabragg::refinement {

std::vector<BoxesOfImage> by_image(const PixelData& data, std::span<const double> values,
                                   std::span<const Shoebox> boxes) {
  std::vector<BoxesOfImage> images;
  for (std::size_t first = 0; first < boxes.size();) {
    const int number = boxes[first].image;
    const auto image = static_cast<std::size_t>(number);
    std::size_t end = first;
    std::vector<PixelIndex> pixels;
    for (; end < boxes.size() && boxes[end].image == number; ++end)
      pixels.insert(pixels.end(), boxes[end].pixels.begin(), boxes[end].pixels.end());
    const std::size_t count = pixels.size();
    // The reach follows a free width from step to step: what it leaves out must not be felt
    const double beyond = data.free.has_free_width() ? 1e-6 : 1e-4;
    images.push_back(
        {image, boxes.subspan(first, end - first),
         SpreadPixels(data.free.experiment(values, image), data.free.point_spread(values, image),
                      std::move(pixels), beyond),
         count});
    first = end;
  }
  return images;
}

namespace {

void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

double background_in(const Shoebox& box, std::span<const double> terms, const PixelIndex& pixel) {
  const BackgroundTerms weights = background_at(box, pixel);
  double sum = 0;
  for (std::size_t t = 0; t < terms.size(); ++t) sum += terms[t] * weights.values[t];
  return sum;
}

/// Of pixels with `columns` numbers each: one more for each of them.
std::vector<double> with_column(const std::vector<double>& rows, std::size_t columns,
                                const std::vector<double>& more) {
  std::vector<double> all;
  all.reserve(rows.size() + more.size());
  for (std::size_t i = 0; i < more.size(); ++i) {
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>(i * columns);
    all.insert(all.end(), row, row + static_cast<std::ptrdiff_t>(columns));
    all.push_back(more[i]);
  }
  return all;
}

/// The model's photons at the current steps, and how they change with the free numbers: computed
/// once for all shoeboxes.
class Model : public ceres::EvaluationCallback {
 public:
  Model(const PixelData& data, std::span<const double> values, std::span<const Shoebox> boxes)
      : steps(values.size(), 0.0),
        units(values.size(), 1.0),
        data_(data),
        boxes_(boxes),
        centre_(values.begin(), values.end()),
        images_(by_image(data, values, boxes)) {}

  std::vector<double> steps;  ///< from the centre: what Ceres changes
  std::vector<double> units;  ///< what a step changes its number by

  std::vector<double> values() const {
    std::vector<double> v = centre_;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const FreeNumber& n = data_.free.numbers()[i];  // a step to a bound may end a bit behind it
      v[i] = std::clamp(v[i] + units[i] * steps[i], n.lower, n.upper);
    }
    return v;
  }
  const std::vector<double>& centre() const { return centre_; }

  void set_centre(std::vector<double> values) {
    const bool moves = data_.free.has_free_width() && values != centre_;
    centre_ = std::move(values);
    std::fill(steps.begin(), steps.end(), 0.0);
    if (!moves) return;
    // What a wider spread brings from further away counts from here on
    images_ = by_image(data_, centre_, boxes_);
    computed_at_.clear();
  }

  void compute(bool slopes) {
    std::vector<double> now = values();
    if (now == computed_at_ && (have_slopes_ || !slopes)) return;
    computed_at_.clear();
    photons_.clear();
    slopes_.clear();
    for (BoxesOfImage& of : images_) {
      const Experiment experiment = data_.free.experiment(now, of.image);
      if (data_.free.has_free_width())
        of.pixels.set_fwhm_um(data_.free.point_spread(now, of.image)->fwhm_um);
      if (slopes) {
        Jacobian j = jacobian(experiment, data_.free.names(), of.pixels.sources(),
                              data_.options.compute);
        std::vector<double> rows = of.pixels.spread(std::move(j.slopes), j.columns.size());
        if (data_.free.has_free_width())
          rows = with_column(rows, j.columns.size(), of.pixels.slopes_by_fwhm(j.photons));
        append(slopes_, rows);
        append(photons_, of.pixels.spread(std::move(j.photons)));
      } else {
        append(photons_,
               of.pixels.spread(photons(experiment, of.pixels.sources(), data_.options.compute)));
      }
    }
    have_slopes_ = slopes;
    computed_at_ = std::move(now);
  }

  void PrepareForEvaluation(bool jacobians, bool /*new_point*/) override {
    if (failure_) return;
    impossible_ = false;
    try {
      compute(jacobians);
    } catch (const UsageError&) {  // no experiment: too long a step
      impossible_ = true;
    } catch (...) {  // Ceres' own code is no place for it
      failure_ = std::current_exception();
    }
  }

  bool usable() const { return !impossible_ && !failure_; }
  bool failed() const { return failure_ != nullptr; }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  std::size_t pixels() const {
    std::size_t all = 0;
    for (const BoxesOfImage& of : images_) all += of.number;
    return all;
  }
  double photons_of(std::size_t pixel) const { return photons_[pixel]; }
  /// By a number that changes the pixel's image.
  double slope(std::size_t pixel, std::size_t number) const {
    const FreeNumber& n = data_.free.numbers()[number];
    const double* const first = slopes_.data() + pixel * data_.free.columns() + n.column;
    double sum = 0;
    for (std::size_t e = 0; e < n.count; ++e) sum += first[e];
    return sum;
  }

 private:
  const PixelData& data_;
  std::span<const Shoebox> boxes_;
  std::vector<double> centre_;
  std::vector<BoxesOfImage> images_;
  std::vector<double> photons_, slopes_, computed_at_;
  bool have_slopes_ = false, impossible_ = false;
  std::exception_ptr failure_;
};

/// The free numbers are in blocks for Ceres: those that all images share, then each image's own.
struct Block {
  std::size_t first = 0, size = 0;
};

/// Those that change an image; all in one where there is one image.
std::vector<Block> blocks_of(const FreeParameters& free, std::size_t image) {
  std::vector<Block> blocks;
  if (free.shared() > 0) blocks.push_back({0, free.shared()});
  if (free.own() > 0) blocks.push_back({free.first_own(image), free.own()});
  return blocks;
}

std::vector<Block> all_blocks(const FreeParameters& free) {
  std::vector<Block> blocks = blocks_of(free, 0);
  if (free.own() > 0)
    for (std::size_t image = 1; image < free.images(); ++image)
      blocks.push_back({free.first_own(image), free.own()});
  return blocks;
}

/// How many numbers a box has of its own: those of the background, then a free intensity.
std::size_t own_numbers(const RefineOptions& options) {
  return static_cast<std::size_t>(background_terms(options.background)) +
         (options.intensities == Intensities::free ? 1 : 0);
}

double misfit_variance(const Shoebox& box, std::size_t pixel) {
  return box.misfit_variance.empty() ? 0 : box.misfit_variance[pixel];
}

/// The residuals of one box, by the steps of the free numbers that change its image and by the
/// box's own.
class BoxCost : public ceres::CostFunction {
 public:
  BoxCost(const PixelData& data, const Model& model, const Shoebox& box, std::size_t first_pixel)
      : data_(data),
        model_(model),
        box_(box),
        first_(first_pixel),
        blocks_(blocks_of(data.free, static_cast<std::size_t>(box.image))) {
    set_num_residuals(static_cast<int>(box.pixels.size()));
    for (const Block& block : blocks_)
      mutable_parameter_block_sizes()->push_back(static_cast<int>(block.size));
    if (const std::size_t own = own_numbers(data.options); own > 0)
      mutable_parameter_block_sizes()->push_back(static_cast<int>(own));
  }

  /// For the Gaussian likelihood, whose variances stay while Ceres iterates.
  void set_variances(std::span<const double> variances) { variances_ = variances; }

  bool Evaluate(const double* const* blocks, double* residuals, double** jacobians) const override {
    if (!model_.usable()) return false;
    const std::size_t terms = box_.background.size(), own = own_numbers(data_.options);
    const double* const own_block = own > 0 ? blocks[blocks_.size()] : nullptr;
    const std::span<const double> background(own_block, terms);
    const double intensity = own > terms ? own_block[terms] : 1;
    for (std::size_t i = 0; i < box_.pixels.size(); ++i) {
      const PixelIndex& pixel = box_.pixels[i];
      const Seen seen = data_.seen(box_, pixel);
      const double expected = intensity * model_.photons_of(first_ + i) +
                              background_in(box_, background, pixel);
      const Residual r = data_.options.likelihood == Likelihood::poisson
                             ? softened(poisson_residual(seen, expected), i, seen.photons)
                             : gauss_residual(seen, expected, variances_[i]);
      residuals[i] = r.value;
      if (!jacobians) continue;
      for (std::size_t b = 0; b < blocks_.size(); ++b) {
        const auto [first, size] = blocks_[b];
        if (!jacobians[b]) continue;
        for (std::size_t n = 0; n < size; ++n)
          jacobians[b][i * size + n] = r.slope * intensity * model_.slope(first_ + i, first + n) *
                                       model_.units[first + n];
      }
      if (double* const by_own = own ? jacobians[blocks_.size()] : nullptr) {
        const BackgroundTerms weights = background_at(box_, pixel);
        for (std::size_t t = 0; t < terms; ++t) by_own[i * own + t] = r.slope * weights.values[t];
        if (own > terms) by_own[i * own + terms] = r.slope * model_.photons_of(first_ + i);
      }
    }
    return true;
  }

 private:
  /// By as much as the variance is larger than that of counting.
  Residual softened(const Residual& r, std::size_t i, double photons) const {
    const double misfit = misfit_variance(box_, i);
    if (misfit == 0) return r;
    const double counting = counting_variance(photons, data_.readout_variance(box_));
    const double softer = std::sqrt(counting / (counting + misfit));
    return {softer * r.value, softer * r.slope};
  }

  const PixelData& data_;
  const Model& model_;
  const Shoebox& box_;
  std::size_t first_;
  std::vector<Block> blocks_;
  std::span<const double> variances_;
};

class RestraintCost : public ceres::CostFunction {
 public:
  RestraintCost(const FreeParameters& free, const Model& model, const Block& block)
      : free_(free), model_(model), block_(block) {
    set_num_residuals(static_cast<int>(block.size));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(block.size));
  }
  bool Evaluate(const double* const*, double* residuals, double** jacobians) const override {
    const std::vector<double> values = model_.values();
    const std::size_t count = block_.size;
    if (jacobians && jacobians[0]) std::fill_n(jacobians[0], count * count, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
      const FreeNumber& n = free_.numbers()[block_.first + i];
      residuals[i] = 0;
      if (!(n.restraint_deviation > 0)) continue;
      residuals[i] = (values[block_.first + i] - n.restrained_to) / n.restraint_deviation;
      if (jacobians && jacobians[0])
        jacobians[0][i * count + i] = model_.units[block_.first + i] / n.restraint_deviation;
    }
    return true;
  }

 private:
  const FreeParameters& free_;
  const Model& model_;
  Block block_;
};

/// What spots were seen at all says, by the steps of the free numbers that change their image.
class MissedCost : public ceres::CostFunction {
 public:
  MissedCost(const FreeParameters& free, const MissedSphere& missed, const Model& model)
      : missed_(missed), model_(model), blocks_(blocks_of(free, missed.image())) {
    set_num_residuals(static_cast<int>(missed.size()));
    for (const Block& block : blocks_)
      mutable_parameter_block_sizes()->push_back(static_cast<int>(block.size));
  }
  bool Evaluate(const double* const*, double* residuals, double** jacobians) const override {
    if (!model_.usable()) return false;  // no experiment
    const std::vector<double> values = model_.values();
    const std::size_t rows = missed_.size();
    if (!missed_.residuals(values, {residuals, rows})) return false;
    if (!jacobians) return true;
    std::size_t columns = 0, column = 0;
    for (const Block& block : blocks_) columns += block.size;
    std::vector<double> slopes(rows * columns);
    if (!missed_.slopes(values, slopes)) return false;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const auto [first, size] = blocks_[b];
      for (std::size_t i = 0; jacobians[b] && i < rows; ++i)
        for (std::size_t n = 0; n < size; ++n)
          jacobians[b][i * size + n] = slopes[i * columns + column + n] * model_.units[first + n];
      column += size;
    }
    return true;
  }

 private:
  const MissedSphere& missed_;
  const Model& model_;
  std::vector<Block> blocks_;
};

double expected_in(const Model& model, const Shoebox& box, std::size_t first, std::size_t i) {
  return box.intensity * model.photons_of(first + i) +
         background_in(box, box.background, box.pixels[i]);
}

/// Of each pixel of a box the mean light of the model in it and its eight neighbours.
std::vector<double> smeared_light(const Model& model, const Shoebox& box, std::size_t first) {
  std::vector<double> smeared(box.pixels.size());
  for (std::size_t i = 0; i < box.pixels.size(); ++i) {
    const double light = box.intensity * model.photons_of(first + i) / 9;
    for (std::size_t k = 0; k < box.pixels.size(); ++k)
      if (std::abs(box.pixels[k].fast - box.pixels[i].fast) <= 1 &&
          std::abs(box.pixels[k].slow - box.pixels[i].slow) <= 1)
        smeared[k] += light;
  }
  return smeared;
}

/// Gives the boxes as much variance beyond counting as makes the mean squared residual of the spots
/// 1, and returns the share of smeared_light() whose square that is, `most` at most.
double fit_misfit(const PixelData& data, const Model& model, std::span<Shoebox> boxes,
                  double most) {
  struct Pixel {
    double off2, counting, light2;
  };
  std::vector<Pixel> pixels;
  std::size_t first = 0;
  for (Shoebox& box : boxes) {
    box.misfit_variance = smeared_light(model, box, first);
    for (std::size_t i = 0; i < box.pixels.size(); ++i) {
      double& light2 = box.misfit_variance[i];
      light2 *= light2;
      const Seen seen = data.seen(box, box.pixels[i]);
      if (seen.at_least) continue;
      const double expected = expected_in(model, box, first, i), off = seen.photons - expected;
      const double counting = counting_variance(expected, data.readout_variance(box));
      if (light2 > counting) pixels.push_back({off * off, counting, light2});
    }
    first += box.pixels.size();
  }
  const auto too_much = [&](double share2) {
    double sum = 0;
    for (const Pixel& p : pixels) sum += p.off2 / (p.counting + share2 * p.light2);
    return sum > static_cast<double>(pixels.size());
  };
  double low = 0, high = too_much(0) ? most * most : 0;
  for (int i = 0; i < 60 && high > 0; ++i)
    (too_much((low + high) / 2) ? low : high) = (low + high) / 2;
  for (Shoebox& box : boxes)
    for (double& variance : box.misfit_variance) variance *= high;
  return std::sqrt(high);
}

/// Areas of the panels, about 25 in all, within which errors of the model may go together: of where
/// a module stands, of the sensor, of the shape of spots.
class Regions {
 public:
  explicit Regions(const PhotonImages& images)
      : images_(images),
        edge_(static_cast<std::size_t>(
            std::max(1.0, std::round(5 / std::sqrt(static_cast<double>(images.panels.size())))))) {}
  std::size_t size() const { return images_.panels.size() * edge_ * edge_; }
  std::size_t of(int panel, double fast, double slow) const {
    const PhotonImage& image = images_.panels[static_cast<std::size_t>(panel)];
    const auto step = [&](double place, int pixels) {
      const double share = std::clamp((place + 0.5) / pixels, 0.0, 0.9999);
      return static_cast<std::size_t>(share * static_cast<double>(edge_));
    };
    return (static_cast<std::size_t>(panel) * edge_ + step(slow, image.slow_pixels)) * edge_ +
           step(fast, image.fast_pixels);
  }

 private:
  const PhotonImages& images_;
  std::size_t edge_;
};

/// Adds what is known of some of the numbers.
void add_to(Eigen::MatrixXd& fisher, std::span<const std::size_t> numbers,
            const Eigen::MatrixXd& more) {
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t k = 0; k < numbers.size(); ++k)
      fisher(static_cast<Eigen::Index>(numbers[i]), static_cast<Eigen::Index>(numbers[k])) += more(
          static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(k));
}

struct BoxSums {
  Eigen::MatrixXd fisher, pulls;
};

/// About the free numbers alone, the boxes' own marginalized, without the restraints.
BoxSums sums_of_boxes(const PixelData& data, const Model& model, std::span<const Shoebox> boxes) {
  const auto size = static_cast<Eigen::Index>(data.free.size());
  const auto own = static_cast<Eigen::Index>(own_numbers(data.options));
  BoxSums total{Eigen::MatrixXd::Zero(size, size), Eigen::MatrixXd::Zero(size, size)};
  // An error of the model is in one place of the detector in all images
  std::vector<Regions> regions;
  std::size_t most_regions = 0;
  std::vector<std::vector<std::size_t>> numbers_of;
  for (std::size_t image = 0; image < data.images.size(); ++image) {
    regions.emplace_back(data.images[image]);
    most_regions = std::max(most_regions, regions.back().size());
    numbers_of.push_back(data.free.numbers_of(image));
  }
  Eigen::MatrixXd pulls = Eigen::MatrixXd::Zero(size, static_cast<Eigen::Index>(most_regions));
  const auto add_pull = [&](std::size_t image, int panel, double fast, double slow,
                            const Eigen::VectorXd& pull) {
    const auto region = static_cast<Eigen::Index>(regions[image].of(panel, fast, slow));
    for (std::size_t n = 0; n < numbers_of[image].size(); ++n)
      pulls(static_cast<Eigen::Index>(numbers_of[image][n]),
            region) += pull(static_cast<Eigen::Index>(n));
  };
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    const auto image = static_cast<std::size_t>(box.image);
    const auto rows = static_cast<Eigen::Index>(box.pixels.size());
    const auto terms = static_cast<Eigen::Index>(box.background.size());
    const auto numbers = static_cast<Eigen::Index>(numbers_of[image].size());
    Eigen::MatrixXd j(rows, numbers + own);
    Eigen::VectorXd off(rows);
    for (Eigen::Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double expected = expected_in(model, box, first, i);
      const double variance = counting_variance(expected, data.readout_variance(box)) +
                              misfit_variance(box, i);
      const auto [pull, known] = evidence(data.seen(box, box.pixels[i]), expected, variance);
      const double weight = std::sqrt(known) / std::sqrt(variance);
      off(r) = known > 0 ? pull / std::sqrt(known) : 0;
      for (Eigen::Index n = 0; n < numbers; ++n)
        j(r, n) = weight * box.intensity *
                  model.slope(first + i, numbers_of[image][static_cast<std::size_t>(n)]);
      const BackgroundTerms weights = background_at(box, box.pixels[i]);
      for (Eigen::Index t = 0; t < terms; ++t) j(r, numbers + t) = weight * weights.values[t];
      if (own > terms) j(r, numbers + terms) = weight * model.photons_of(first + i);
    }
    const Eigen::MatrixXd g = j.transpose() * j;
    const Eigen::VectorXd pull = j.transpose() * off;
    Eigen::MatrixXd fisher = g.topLeftCorner(numbers, numbers);
    Eigen::VectorXd along = pull.head(numbers);
    if (own > 0) {
      // Where the model is dark nothing is known of an intensity
      const Eigen::MatrixXd by_own = g.bottomRightCorner(own, own)
                                         .completeOrthogonalDecomposition()
                                         .solve(g.bottomLeftCorner(own, numbers));
      fisher -= g.topRightCorner(numbers, own) * by_own;
      along -= by_own.transpose() * pull.tail(own);
    }
    add_to(total.fisher, numbers_of[image], fisher);
    add_pull(image, box.panel, box.fast, box.slow, along);
    first += box.pixels.size();
  }
  // What the spots that were seen say
  const std::vector<double> values = model.values();
  for (const MissedSphere& missed : data.missed) {
    const std::vector<std::size_t>& numbers = numbers_of[missed.image()];
    const auto spots = static_cast<Eigen::Index>(missed.size());
    Eigen::Matrix<double, -1, -1, Eigen::RowMajor> slopes(
        spots, static_cast<Eigen::Index>(numbers.size()));
    Eigen::VectorXd off(spots);
    if (!missed.residuals(values, {off.data(), missed.size()}) ||
        !missed.slopes(values, {slopes.data(), missed.size() * numbers.size()}))
      continue;
    add_to(total.fisher, numbers, slopes.transpose() * slopes);
    for (Eigen::Index i = 0; i < spots; ++i) {
      const Spot& spot = missed.spot(static_cast<std::size_t>(i));
      add_pull(missed.image(), spot.panel, spot.fast, spot.slow,
               -off(i) * slopes.row(i).transpose());
    }
  }
  total.pulls = pulls * pulls.transpose();
  return total;
}

}  // namespace

std::vector<double> model_photons(const PixelData& data, std::span<const double> values,
                                  std::span<const Shoebox> boxes) {
  std::vector<double> all;
  for (const BoxesOfImage& of : by_image(data, values, boxes))
    append(all, of.pixels.spread(photons(data.free.experiment(values, of.image),
                                         of.pixels.sources(), data.options.compute)));
  return all;
}

LitResidual lit_residual(const PixelData& data, std::span<const double> model,
                         std::span<const Shoebox> boxes, double least_expected) {
  LitResidual lit;
  double sum = 0;
  std::size_t pixel = 0;
  for (const Shoebox& box : boxes)
    for (const PixelIndex& p : box.pixels) {
      const double expected = box.intensity * model[pixel++] +
                              background_in(box, box.background, p);
      const Seen seen = data.seen(box, p);
      if (expected < least_expected || seen.at_least) continue;
      const double off = seen.photons - expected;
      sum += off * off / counting_variance(expected, data.readout_variance(box));
      ++lit.pixels;
    }
  if (lit.pixels > 0) lit.residual = sum / static_cast<double>(lit.pixels);
  return lit;
}

double mean_square_residual(const PixelData& data, std::span<const double> model,
                            std::span<const Shoebox> boxes) {
  constexpr double all = -std::numeric_limits<double>::infinity();
  return lit_residual(data, model, boxes, all).residual;
}

std::vector<double> own_numbers_of(const RefineOptions& options, std::span<const Shoebox> boxes) {
  std::vector<double> all;
  for (const Shoebox& box : boxes) {
    all.insert(all.end(), box.background.begin(), box.background.end());
    if (options.intensities == Intensities::free) all.push_back(box.intensity);
  }
  return all;
}

void set_own_numbers(const RefineOptions& options, std::span<Shoebox> boxes,
                     std::span<const double> numbers) {
  if (boxes.size() * own_numbers(options) != numbers.size())
    throw UsageError("the interrupted refinement had other shoeboxes; begin again");
  auto next = numbers.begin();
  for (Shoebox& box : boxes) {
    for (double& term : box.background) term = *next++;
    if (options.intensities == Intensities::free) box.intensity = *next++;
  }
}

namespace {

/// What the pixels alone would say about each number; where they say nothing, any length.
void choose_units(const PixelData& data, std::span<const Shoebox> boxes, Model& model) {
  std::vector<double> known(data.free.size());
  std::size_t pixel = 0;
  for (const Shoebox& box : boxes) {
    const std::vector<std::size_t> numbers = data.free.numbers_of(
        static_cast<std::size_t>(box.image));
    for (std::size_t i = 0; i < box.pixels.size(); ++i, ++pixel) {
      const double expected = box.intensity * model.photons_of(pixel) +
                              background_in(box, box.background, box.pixels[i]);
      const double variance = counting_variance(expected, data.readout_variance(box)) +
                              misfit_variance(box, i);
      for (const std::size_t n : numbers) {
        const double slope = box.intensity * model.slope(pixel, n);
        known[n] += slope * slope / variance;
      }
    }
  }
  for (std::size_t n = 0; n < known.size(); ++n) {
    const double any = 1e-3 * std::max(std::abs(data.free.numbers()[n].start), 1.0);
    model.units[n] = known[n] > 0 && std::isfinite(known[n]) ? 1 / std::sqrt(known[n]) : any;
  }
}

/// Of every pixel of the boxes, for the Gaussian likelihood, at the model's point.
std::vector<double> variances_of(const PixelData& data, const Model& model,
                                 std::span<const Shoebox> boxes, int round) {
  std::vector<double> variances;
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    for (std::size_t i = 0; i < box.pixels.size(); ++i) {
      const double seen = data.seen(box, box.pixels[i]).photons;
      const double expected = expected_in(model, box, first, i);
      // A model that is far off expects nothing where there is much
      variances.push_back(counting_variance(round == 0 ? std::max(seen, expected) : expected,
                                            data.readout_variance(box)) +
                          misfit_variance(box, i));
    }
    first += box.pixels.size();
  }
  return variances;
}

enum class Leg : std::uint8_t { helped, converged, ended, stopped };

/// Levenberg-Marquardt up to the first step that helps.  What it depends on is in the state, and
/// Ceres keeps nothing over such a step but the radius of its trust region: the next leg is the
/// same whoever computed this one.
Leg step_that_helps(const PixelData& data, Model& model, std::span<const double> variances,
                    RefineState& state, std::vector<Shoebox>& boxes, int most_iterations,
                    const Iterated& iterated) {
  StageReport& report = state.stages.back();
  model.compute(true);
  choose_units(data, boxes, model);

  // One array for what the boxes have of their own: Ceres orders blocks by address, and its sums
  // with them
  std::vector<double> own_of_boxes = state.own_of_boxes;
  const auto terms = static_cast<std::size_t>(background_terms(data.options.background));
  const std::size_t own = own_numbers(data.options);
  ceres::Problem::Options owner;
  owner.evaluation_callback = &model;
  ceres::Problem problem(owner);
  auto* ordering = new ceres::ParameterBlockOrdering;
  const auto steps_of = [&](const Block& block) { return model.steps.data() + block.first; };
  std::size_t first = 0;
  for (std::size_t b = 0; b < boxes.size(); ++b) {
    auto* cost = new BoxCost(data, model, boxes[b], first);
    const std::size_t pixels = boxes[b].pixels.size();
    if (!variances.empty()) cost->set_variances(variances.subspan(first, pixels));
    std::vector<double*> blocks;
    for (const Block& block : blocks_of(data.free, static_cast<std::size_t>(boxes[b].image)))
      blocks.push_back(steps_of(block));
    if (own > 0) blocks.push_back(own_of_boxes.data() + b * own);
    problem.AddResidualBlock(cost, nullptr, blocks);
    if (own > 0) ordering->AddElementToGroup(blocks.back(), 0);
    if (own > terms) problem.SetParameterLowerBound(blocks.back(), static_cast<int>(terms), 0);
    first += pixels;
  }
  for (const MissedSphere& missed : data.missed) {
    std::vector<double*> blocks;
    for (const Block& block : blocks_of(data.free, missed.image()))
      blocks.push_back(steps_of(block));
    problem.AddResidualBlock(new MissedCost(data.free, missed, model), nullptr, blocks);
  }
  // Images have their own numbers eliminated where boxes have none
  const bool eliminates_images = own == 0 && data.free.own() > 0 && data.free.shared() > 0;
  for (const Block& block : all_blocks(data.free)) {
    double* const steps = steps_of(block);
    problem.AddResidualBlock(new RestraintCost(data.free, model, block), nullptr, steps);
    ordering->AddElementToGroup(steps, eliminates_images && block.first > 0 ? 0 : 1);
    for (std::size_t i = 0; i < block.size; ++i) {
      const std::size_t number = block.first + i;
      const FreeNumber& n = data.free.numbers()[number];
      set_bounds(problem, steps, i, n.lower, n.upper, model.centre()[number], model.units[number]);
    }
  }

  const bool begins = report.iterations == 0 && state.round == 0;
  const auto residual_of = [&](const ceres::IterationSummary& s) {
    return 2 * s.cost / static_cast<double>(report.pixels);
  };
  bool stopped = false;
  std::optional<ceres::IterationSummary> helped;
  Watcher watcher([&](const ceres::IterationSummary& s) {
    if (model.failed()) return ceres::SOLVER_ABORT;
    if (s.iteration > 0 && s.step_is_successful) {
      helped = s;
      return ceres::SOLVER_TERMINATE_SUCCESSFULLY;
    }
    if (s.iteration > 0 || begins)
      stopped = !iterated(model.values(), residual_of(s), s.cost_change);
    return stopped ? ceres::SOLVER_ABORT : ceres::SOLVER_CONTINUE;
  });
  ceres::Solver::Options solver = solver_options(most_iterations - report.iterations, watcher);
  solver.linear_solver_type = own > 0 || eliminates_images ? ceres::DENSE_SCHUR : ceres::DENSE_QR;
  solver.linear_solver_ordering.reset(ordering);
  solver.function_tolerance = 1e-8;
  solver.parameter_tolerance = 1e-12;
  solver.initial_trust_region_radius = state.trust_radius;
  ceres::Solver::Summary summary;
  ceres::Solve(solver, &problem, &summary);
  model.rethrow();
  if (stopped) return Leg::stopped;

  report.iterations += iterations_of(summary);
  state.own_of_boxes = std::move(own_of_boxes);
  set_own_numbers(data.options, boxes, state.own_of_boxes);
  model.set_centre(model.values());
  state.values = data.free.named(model.centre());
  if (summary.termination_type == ceres::CONVERGENCE) return Leg::converged;
  if (!helped) return Leg::ended;
  state.trust_radius = helped->trust_region_radius;
  // Such a step moves no number by more than a fiftieth of its standard deviation.  What the slopes
  // promised counts, too: spots that are cut off elsewhere than before change the rest.
  constexpr double least_change = 2e-4;
  const double promised = helped->cost_change / helped->relative_decrease;
  if (std::min(helped->cost_change, promised) < least_change) return Leg::converged;
  return iterated(model.centre(), residual_of(*helped), helped->cost_change) ? Leg::helped
                                                                             : Leg::stopped;
}

}  // namespace

bool fit_pixels(const PixelData& data, RefineState& state, std::vector<Shoebox>& boxes,
                const Iterated& iterated) {
  const bool gauss = data.options.likelihood == Likelihood::gauss;
  StageReport& report = state.stages.back();
  Model model(data, data.free.values_of(state), boxes);
  report.spots = boxes.size();
  report.pixels = model.pixels();
  const auto residual = [&] {
    return mean_square_residual(data, model_photons(data, model.centre(), boxes), boxes);
  };
  if (report.iterations == 0 && state.round == 0) report.residual_before = residual();

  // The variances of the Gaussian likelihood and of the misfit follow the model from round to round
  const bool misfit = data.options.variances == Variances::fitted;
  double most_misfit = 10;
  const int rounds = pixel_rounds(data.options);
  const int most_iterations = data.options.iterations * (misfit ? rounds : 1);
  for (; state.round < rounds; ++state.round) {
    std::vector<double> variances;
    if (misfit) {
      model.compute(true);
      most_misfit = report.misfit_share = fit_misfit(data, model, boxes, most_misfit);
    }
    if (gauss) {
      if (state.round_values.empty()) {
        state.round_values = model.centre();
        state.round_own_of_boxes = state.own_of_boxes;
      }
      model.set_centre(state.round_values);
      set_own_numbers(data.options, boxes, state.round_own_of_boxes);
      model.compute(true);
      variances = variances_of(data, model, boxes, state.round);
      model.set_centre(data.free.values_of(state));
      set_own_numbers(data.options, boxes, state.own_of_boxes);
    }
    Leg leg = Leg::helped;
    while (leg == Leg::helped && report.iterations < most_iterations)
      leg = step_that_helps(data, model, variances, state, boxes, most_iterations, iterated);
    if (leg == Leg::stopped) return false;
    report.converged = leg == Leg::converged;
    state.trust_radius = first_trust_radius;
    state.round_values.clear();
    state.round_own_of_boxes.clear();
  }
  report.residual = residual();
  return true;
}

void start_intensities(const PixelData& data, std::span<const double> model,
                       std::span<Shoebox> boxes) {
  std::size_t first = 0;
  for (Shoebox& box : boxes) {
    const auto rows = static_cast<Eigen::Index>(box.pixels.size());
    const auto terms = static_cast<Eigen::Index>(background_terms(data.options.background));
    Eigen::MatrixXd j(rows, terms + 1);
    Eigen::VectorXd seen(rows);
    for (Eigen::Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double photons = data.seen(box, box.pixels[i]).photons;
      const double weight = 1 / std::sqrt(std::max(photons, 1.0) + data.readout_variance(box));
      const BackgroundTerms weights = background_at(box, box.pixels[i]);
      for (Eigen::Index t = 0; t < terms; ++t) j(r, t) = weight * weights.values[t];
      j(r, terms) = weight * model[first + i];
      seen(r) = weight * photons;
    }
    Eigen::VectorXd best = j.completeOrthogonalDecomposition().solve(seen);
    if (best(terms) < 0) {
      best(terms) = 0;
      if (terms > 0)
        best.head(terms) = j.leftCols(terms).completeOrthogonalDecomposition().solve(seen).eval();
    }
    box.background.assign(best.data(), best.data() + terms);
    box.intensity = best(terms);
    first += box.pixels.size();
  }
}

double intensity_variance(const PixelData& data, std::span<const double> model,
                          const Shoebox& box) {
  const auto terms = static_cast<Eigen::Index>(box.background.size());
  Eigen::MatrixXd g = Eigen::MatrixXd::Zero(terms + 1, terms + 1);
  for (std::size_t i = 0; i < box.pixels.size(); ++i) {
    const BackgroundTerms weights = background_at(box, box.pixels[i]);
    Eigen::VectorXd row(terms + 1);
    for (Eigen::Index t = 0; t < terms; ++t) row(t) = weights.values[t];
    row(terms) = model[i];
    const double expected = box.intensity * model[i] +
                            background_in(box, box.background, box.pixels[i]);
    const double variance = counting_variance(expected, data.readout_variance(box)) +
                            misfit_variance(box, i);
    const double known = evidence(data.seen(box, box.pixels[i]), expected, variance).information;
    g += row * row.transpose() * (known / variance);
  }
  return g.inverse()(terms, terms);
}

Information information(const PixelData& data, std::span<const double> values,
                        std::span<const Shoebox> boxes) {
  Model model(data, values, boxes);
  model.compute(true);
  BoxSums sums = sums_of_boxes(data, model, boxes);
  Information rows;
  for (Eigen::Index i = 0; i < sums.fisher.rows(); ++i) {
    const double deviation = data.free.numbers()[static_cast<std::size_t>(i)].restraint_deviation;
    if (deviation > 0) sums.fisher(i, i) += 1 / (deviation * deviation);
    for (Eigen::Index k = 0; k < sums.fisher.cols(); ++k) {
      rows.fisher.push_back(sums.fisher(i, k));
      rows.pulls.push_back(sums.pulls(i, k));
    }
  }
  return rows;
}

}  // namespace nablabragg::refinement
