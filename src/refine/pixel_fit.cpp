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

namespace {

std::vector<PixelIndex> pixels_of(std::span<const Shoebox> boxes) {
  std::vector<PixelIndex> pixels;
  for (const Shoebox& box : boxes)
    pixels.insert(pixels.end(), box.pixels.begin(), box.pixels.end());
  return pixels;
}

double background_in(const Shoebox& box, std::span<const double> terms, const PixelIndex& pixel) {
  const BackgroundTerms weights = background_at(box, pixel);
  double sum = 0;
  for (std::size_t t = 0; t < terms.size(); ++t) sum += terms[t] * weights.values[t];
  return sum;
}

/// The model's photons at the current steps, and how they change with the free numbers: computed
/// once for all shoeboxes.
class Model : public ceres::EvaluationCallback {
 public:
  Model(const PixelData& data, std::span<const double> values, std::span<const Shoebox> boxes)
      : steps(values.size(), 0.0),
        units(values.size(), 1.0),
        data_(data),
        centre_(values.begin(), values.end()),
        pixels_(pixels_of(boxes)) {}

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
    centre_ = std::move(values);
    std::fill(steps.begin(), steps.end(), 0.0);
  }

  void compute(bool slopes) {
    std::vector<double> now = values();
    if (now == computed_at_ && (have_slopes_ || !slopes)) return;
    const Experiment experiment = data_.free.experiment(now);
    if (slopes) {
      Jacobian j = jacobian(experiment, data_.free.names(), pixels_, data_.options.compute);
      photons_ = std::move(j.photons);
      slopes_ = std::move(j.slopes);
    } else {
      photons_ = photons(experiment, pixels_, data_.options.compute);
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
  std::span<const PixelIndex> pixels() const { return pixels_; }
  std::span<const double> all_photons() const { return photons_; }
  double photons_of(std::size_t pixel) const { return photons_[pixel]; }
  double slope(std::size_t pixel, std::size_t number) const {
    const FreeNumber& n = data_.free.numbers()[number];
    const double* const first = slopes_.data() + pixel * data_.free.columns() + n.column;
    double sum = 0;
    for (std::size_t e = 0; e < n.count; ++e) sum += first[e];
    return sum;
  }

 private:
  const PixelData& data_;
  std::vector<double> centre_;
  std::vector<PixelIndex> pixels_;
  std::vector<double> photons_, slopes_, computed_at_;
  bool have_slopes_ = false, impossible_ = false;
  std::exception_ptr failure_;
};

/// How many numbers a box has of its own: those of the background, then a free intensity.
std::size_t own_numbers(const RefineOptions& options) {
  return static_cast<std::size_t>(background_terms(options.background)) +
         (options.intensities == Intensities::free ? 1 : 0);
}

double misfit_variance(const Shoebox& box, std::size_t pixel) {
  return box.misfit_variance.empty() ? 0 : box.misfit_variance[pixel];
}

/// The residuals of one box, by the steps of all free numbers and by the box's own.
class BoxCost : public ceres::CostFunction {
 public:
  BoxCost(const PixelData& data, const Model& model, const Shoebox& box, std::size_t first_pixel)
      : data_(data), model_(model), box_(box), first_(first_pixel) {
    set_num_residuals(static_cast<int>(box.pixels.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(data.free.size()));
    if (const std::size_t own = own_numbers(data.options); own > 0)
      mutable_parameter_block_sizes()->push_back(static_cast<int>(own));
  }

  /// For the Gaussian likelihood, whose variances stay while Ceres iterates.
  void set_variances(std::span<const double> variances) { variances_ = variances; }

  bool Evaluate(const double* const* blocks, double* residuals, double** jacobians) const override {
    if (!model_.usable()) return false;
    const std::size_t numbers = data_.free.size(), terms = box_.background.size(),
                      own = own_numbers(data_.options);
    const std::span<const double> background(terms ? blocks[1] : nullptr, terms);
    const double intensity = own > terms ? blocks[1][terms] : 1;
    for (std::size_t i = 0; i < box_.pixels.size(); ++i) {
      const PixelIndex& pixel = box_.pixels[i];
      const double photons = data_.images.photons(pixel);
      const double expected = intensity * model_.photons_of(first_ + i) +
                              background_in(box_, background, pixel);
      const Residual r = data_.options.likelihood == Likelihood::poisson
                             ? softened(poisson_residual(photons, expected), i, photons)
                             : gauss_residual(photons, expected, variances_[i]);
      residuals[i] = r.value;
      if (!jacobians) continue;
      if (jacobians[0])
        for (std::size_t n = 0; n < numbers; ++n)
          jacobians[0][i * numbers + n] = r.slope * intensity * model_.slope(first_ + i, n) *
                                          model_.units[n];
      if (own && jacobians[1]) {
        const BackgroundTerms weights = background_at(box_, pixel);
        for (std::size_t t = 0; t < terms; ++t)
          jacobians[1][i * own + t] = r.slope * weights.values[t];
        if (own > terms) jacobians[1][i * own + terms] = r.slope * model_.photons_of(first_ + i);
      }
    }
    return true;
  }

 private:
  /// By as much as the variance is larger than that of counting.
  Residual softened(const Residual& r, std::size_t i, double photons) const {
    const double misfit = misfit_variance(box_, i);
    if (misfit == 0) return r;
    const double counting = counting_variance(photons, data_.readout_variance);
    const double softer = std::sqrt(counting / (counting + misfit));
    return {softer * r.value, softer * r.slope};
  }

  const PixelData& data_;
  const Model& model_;
  const Shoebox& box_;
  std::size_t first_;
  std::span<const double> variances_;
};

class RestraintCost : public ceres::CostFunction {
 public:
  RestraintCost(const FreeParameters& free, const Model& model) : free_(free), model_(model) {
    set_num_residuals(static_cast<int>(free.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(free.size()));
  }
  bool Evaluate(const double* const*, double* residuals, double** jacobians) const override {
    const std::vector<double> values = model_.values();
    const std::size_t count = values.size();
    if (jacobians && jacobians[0]) std::fill_n(jacobians[0], count * count, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
      const FreeNumber& n = free_.numbers()[i];
      residuals[i] = 0;
      if (!(n.restraint_deviation > 0)) continue;
      residuals[i] = (values[i] - n.restrained_to) / n.restraint_deviation;
      if (jacobians && jacobians[0])
        jacobians[0][i * count + i] = model_.units[i] / n.restraint_deviation;
    }
    return true;
  }

 private:
  const FreeParameters& free_;
  const Model& model_;
};

/// What spots were seen at all says, by the steps of all free numbers.
class MissedCost : public ceres::CostFunction {
 public:
  MissedCost(const MissedSphere& missed, const Model& model) : missed_(missed), model_(model) {
    set_num_residuals(static_cast<int>(missed.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(model.units.size()));
  }
  bool Evaluate(const double* const*, double* residuals, double** jacobians) const override {
    if (!model_.usable()) return false;  // no experiment
    const std::vector<double> values = model_.values();
    const std::size_t rows = missed_.size(), numbers = values.size();
    if (!missed_.residuals(values, {residuals, rows})) return false;
    if (!jacobians || !jacobians[0]) return true;
    if (!missed_.slopes(values, {jacobians[0], rows * numbers})) return false;
    for (std::size_t i = 0; i < rows * numbers; ++i) jacobians[0][i] *= model_.units[i % numbers];
    return true;
  }

 private:
  const MissedSphere& missed_;
  const Model& model_;
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
      const double expected = expected_in(model, box, first, i),
                   off = data.images.photons(box.pixels[i]) - expected;
      const double counting = counting_variance(expected, data.readout_variance);
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

/// What the spots that were seen say of the free numbers.
template <class PullOf>
void add_missed(const MissedSphere& missed, std::span<const double> values, Eigen::MatrixXd& fisher,
                const PullOf& pull_of) {
  const auto spots = static_cast<Eigen::Index>(missed.size());
  Eigen::Matrix<double, -1, -1, Eigen::RowMajor> slopes(spots, fisher.cols());
  Eigen::VectorXd off(spots);
  if (!missed.residuals(values, {off.data(), missed.size()}) ||
      !missed.slopes(values, {slopes.data(), missed.size() * values.size()}))
    return;
  fisher += slopes.transpose() * slopes;
  for (Eigen::Index i = 0; i < spots; ++i) {
    const Spot& spot = missed.spot(static_cast<std::size_t>(i));
    pull_of(spot.panel, spot.fast, spot.slow) -= off(i) * slopes.row(i).transpose();
  }
}

struct BoxSums {
  Eigen::MatrixXd fisher, pulls;
};

/// About the free numbers alone, the boxes' own marginalized, without the restraints.
BoxSums sums_of_boxes(const PixelData& data, const Model& model, std::span<const Shoebox> boxes) {
  const auto numbers = static_cast<Eigen::Index>(data.free.size());
  const auto own = static_cast<Eigen::Index>(own_numbers(data.options));
  BoxSums total{Eigen::MatrixXd::Zero(numbers, numbers), Eigen::MatrixXd::Zero(numbers, numbers)};
  const Regions regions(data.images);
  Eigen::MatrixXd pulls = Eigen::MatrixXd::Zero(numbers, static_cast<Eigen::Index>(regions.size()));
  const auto pull_of = [&](int panel, double fast, double slow) {
    return pulls.col(static_cast<Eigen::Index>(regions.of(panel, fast, slow)));
  };
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    const auto rows = static_cast<Eigen::Index>(box.pixels.size());
    const auto terms = static_cast<Eigen::Index>(box.background.size());
    Eigen::MatrixXd j(rows, numbers + own);
    Eigen::VectorXd off(rows);
    for (Eigen::Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double expected = expected_in(model, box, first, i);
      const double weight = 1 / std::sqrt(counting_variance(expected, data.readout_variance) +
                                          misfit_variance(box, i));
      off(r) = weight * (data.images.photons(box.pixels[i]) - expected);
      for (Eigen::Index n = 0; n < numbers; ++n)
        j(r, n) = weight * box.intensity * model.slope(first + i, static_cast<std::size_t>(n));
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
    total.fisher += fisher;
    pull_of(box.panel, box.fast, box.slow) += along;
    first += box.pixels.size();
  }
  if (data.missed) add_missed(*data.missed, model.values(), total.fisher, pull_of);
  total.pulls = pulls * pulls.transpose();
  return total;
}

}  // namespace

std::vector<double> model_photons(const PixelData& data, std::span<const double> values,
                                  std::span<const Shoebox> boxes) {
  return photons(data.free.experiment(values), pixels_of(boxes), data.options.compute);
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
      if (expected < least_expected) continue;
      const double off = data.images.photons(p) - expected;
      sum += off * off / counting_variance(expected, data.readout_variance);
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
  for (const Shoebox& box : boxes)
    for (std::size_t i = 0; i < box.pixels.size(); ++i, ++pixel) {
      const double expected = box.intensity * model.photons_of(pixel) +
                              background_in(box, box.background, box.pixels[i]);
      const double variance = counting_variance(expected, data.readout_variance) +
                              misfit_variance(box, i);
      for (std::size_t n = 0; n < known.size(); ++n) {
        const double slope = box.intensity * model.slope(pixel, n);
        known[n] += slope * slope / variance;
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
      const double seen = data.images.photons(box.pixels[i]);
      const double expected = expected_in(model, box, first, i);
      // A model that is far off expects nothing where there is much
      variances.push_back(counting_variance(round == 0 ? std::max(seen, expected) : expected,
                                            data.readout_variance) +
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
  std::size_t first = 0;
  for (std::size_t b = 0; b < boxes.size(); ++b) {
    auto* cost = new BoxCost(data, model, boxes[b], first);
    const std::size_t pixels = boxes[b].pixels.size();
    if (!variances.empty()) cost->set_variances(variances.subspan(first, pixels));
    if (own == 0) {
      problem.AddResidualBlock(cost, nullptr, model.steps.data());
    } else {
      double* const block = own_of_boxes.data() + b * own;
      problem.AddResidualBlock(cost, nullptr, model.steps.data(), block);
      ordering->AddElementToGroup(block, 0);
      if (own > terms) problem.SetParameterLowerBound(block, static_cast<int>(terms), 0);
    }
    first += pixels;
  }
  if (data.missed)
    problem.AddResidualBlock(new MissedCost(*data.missed, model), nullptr, model.steps.data());
  problem.AddResidualBlock(new RestraintCost(data.free, model), nullptr, model.steps.data());
  ordering->AddElementToGroup(model.steps.data(), 1);
  for (std::size_t i = 0; i < data.free.size(); ++i) {
    const FreeNumber& n = data.free.numbers()[i];
    set_bounds(problem, model.steps.data(), i, n.lower, n.upper, model.centre()[i], model.units[i]);
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
  solver.linear_solver_type = own > 0 ? ceres::DENSE_SCHUR : ceres::DENSE_QR;
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
  // Such a step moves no number by more than a fiftieth of its standard deviation
  constexpr double least_change = 2e-4;
  if (helped->cost_change < least_change) return Leg::converged;
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
  report.pixels = model.pixels().size();
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
      const double photons = data.images.photons(box.pixels[i]);
      const double weight = 1 / std::sqrt(std::max(photons, 1.0) + data.readout_variance);
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
    g += row * row.transpose() /
         (counting_variance(expected, data.readout_variance) + misfit_variance(box, i));
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
