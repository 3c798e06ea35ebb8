#include "refine/pixel_fit.hpp"

#include <ceres/ceres.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <exception>  // for std::exception_ptr
#include <memory>

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

  std::vector<double> steps;  ///< from the values of the beginning: what Ceres changes
  std::vector<double> units;  ///< what a step changes its number by

  std::vector<double> values() const {
    std::vector<double> v = centre_;
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += units[i] * steps[i];
    return v;
  }

  void compute(bool slopes) {
    const Experiment experiment = data_.free.experiment(values());
    have_slopes_ = slopes;
    if (slopes) {
      Jacobian j = jacobian(experiment, data_.free.names(), pixels_, data_.options.compute);
      photons_ = std::move(j.photons);
      slopes_ = std::move(j.slopes);
    } else {
      photons_ = photons(experiment, pixels_, data_.options.compute);
    }
  }

  void PrepareForEvaluation(bool jacobians, bool new_point) override {
    if (failure_ || (!new_point && (have_slopes_ || !jacobians))) return;
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
    return slopes_[pixel * data_.free.columns() + data_.free.numbers()[number].column];
  }

 private:
  const PixelData& data_;
  std::vector<double> centre_;
  std::vector<PixelIndex> pixels_;
  std::vector<double> photons_, slopes_;
  bool have_slopes_ = false, impossible_ = false;
  std::exception_ptr failure_;
};

/// The residuals of one box, by the steps of all free numbers and by the box's own background.
class BoxCost : public ceres::CostFunction {
 public:
  BoxCost(const PixelData& data, const Model& model, const Shoebox& box, std::size_t first_pixel)
      : data_(data), model_(model), box_(box), first_(first_pixel) {
    set_num_residuals(static_cast<int>(box.pixels.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(data.free.size()));
    if (!box.background.empty())
      mutable_parameter_block_sizes()->push_back(static_cast<int>(box.background.size()));
  }

  /// For the Gaussian likelihood, whose variances stay while Ceres iterates.
  void set_variances(std::vector<double> variances) { variances_ = std::move(variances); }

  bool Evaluate(const double* const* blocks, double* residuals, double** jacobians) const override {
    if (!model_.usable()) return false;
    const std::size_t numbers = data_.free.size(), terms = box_.background.size();
    const std::span<const double> background(terms ? blocks[1] : nullptr, terms);
    for (std::size_t i = 0; i < box_.pixels.size(); ++i) {
      const PixelIndex& pixel = box_.pixels[i];
      const double photons = data_.images.photons(pixel);
      const double expected = model_.photons_of(first_ + i) +
                              background_in(box_, background, pixel);
      const Residual r = data_.options.likelihood == Likelihood::poisson
                             ? poisson_residual(photons, expected)
                             : gauss_residual(photons, expected, variances_[i]);
      residuals[i] = r.value;
      if (!jacobians) continue;
      if (jacobians[0])
        for (std::size_t n = 0; n < numbers; ++n)
          jacobians[0][i * numbers + n] = r.slope * model_.slope(first_ + i, n) * model_.units[n];
      if (terms && jacobians[1]) {
        const BackgroundTerms weights = background_at(box_, pixel);
        for (std::size_t t = 0; t < terms; ++t)
          jacobians[1][i * terms + t] = r.slope * weights.values[t];
      }
    }
    return true;
  }

 private:
  const PixelData& data_;
  const Model& model_;
  const Shoebox& box_;
  std::size_t first_;
  std::vector<double> variances_;
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

double expected_in(const Model& model, const Shoebox& box, std::size_t first, std::size_t i) {
  return model.photons_of(first + i) + background_in(box, box.background, box.pixels[i]);
}

/// Fisher information about the free numbers alone, the backgrounds marginalized, without the
/// restraints.
Eigen::MatrixXd information(const PixelData& data, const Model& model,
                            std::span<const Shoebox> boxes) {
  const auto numbers = static_cast<Eigen::Index>(data.free.size());
  Eigen::MatrixXd total = Eigen::MatrixXd::Zero(numbers, numbers);
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    const auto rows = static_cast<Eigen::Index>(box.pixels.size());
    const auto terms = static_cast<Eigen::Index>(box.background.size());
    Eigen::MatrixXd j(rows, numbers + terms);
    for (Eigen::Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double weight = 1 / std::sqrt(counting_variance(expected_in(model, box, first, i),
                                                            data.readout_variance));
      for (Eigen::Index n = 0; n < numbers; ++n)
        j(r, n) = weight * model.slope(first + i, static_cast<std::size_t>(n));
      const BackgroundTerms weights = background_at(box, box.pixels[i]);
      for (Eigen::Index t = 0; t < terms; ++t) j(r, numbers + t) = weight * weights.values[t];
    }
    const Eigen::MatrixXd g = j.transpose() * j;
    total += g.topLeftCorner(numbers, numbers);
    if (terms > 0)
      total -= g.topRightCorner(numbers, terms) *
               g.bottomRightCorner(terms, terms).ldlt().solve(g.bottomLeftCorner(terms, numbers));
    first += box.pixels.size();
  }
  return total;
}

}  // namespace

std::vector<double> model_photons(const PixelData& data, std::span<const double> values,
                                  std::span<const Shoebox> boxes) {
  return photons(data.free.experiment(values), pixels_of(boxes), data.options.compute);
}

double mean_square_residual(const PixelData& data, std::span<const double> model,
                            std::span<const Shoebox> boxes) {
  double sum = 0;
  std::size_t pixel = 0;
  for (const Shoebox& box : boxes)
    for (const PixelIndex& p : box.pixels) {
      const double expected = model[pixel++] + background_in(box, box.background, p);
      const double off = data.images.photons(p) - expected;
      sum += off * off / counting_variance(expected, data.readout_variance);
    }
  return pixel > 0 ? sum / static_cast<double>(pixel) : 0;
}

StageReport fit_pixels(
    const PixelData& data, RefineStage stage, std::vector<double>& values,
    std::vector<Shoebox>& boxes,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated) {
  StageReport report;
  report.stage = stage;
  report.spots = boxes.size();
  Model model(data, values, boxes);
  report.pixels = model.pixels().size();
  const std::size_t numbers = data.free.size();

  // A step is what the pixels alone would say about its number; where they say nothing, any length
  model.compute(true);
  const Eigen::MatrixXd g = information(data, model, boxes);
  for (std::size_t i = 0; i < numbers; ++i) {
    const double gi = g(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(i));
    const double fallback = 1e-3 * std::max(std::abs(data.free.numbers()[i].start), 1.0);
    model.units[i] = gi > 0 && std::isfinite(gi) ? 1 / std::sqrt(gi) : fallback;
  }
  report.residual_before = mean_square_residual(data, model.all_photons(), boxes);

  // One array for all backgrounds: Ceres orders blocks by address, and its sums with them
  const auto terms = static_cast<std::size_t>(background_terms(data.options.background));
  std::vector<double> backgrounds;
  for (const Shoebox& box : boxes)
    backgrounds.insert(backgrounds.end(), box.background.begin(), box.background.end());

  // The variances of the Gaussian likelihood follow the model from round to round
  const int rounds = data.options.likelihood == Likelihood::gauss ? 3 : 1;
  for (int round = 0; round < rounds; ++round) {
    ceres::Problem::Options owner;
    owner.evaluation_callback = &model;
    ceres::Problem problem(owner);
    auto* ordering = new ceres::ParameterBlockOrdering;
    std::size_t first = 0;
    for (std::size_t b = 0; b < boxes.size(); ++b) {
      const Shoebox& box = boxes[b];
      auto* cost = new BoxCost(data, model, box, first);
      if (data.options.likelihood == Likelihood::gauss) {
        std::vector<double> variances;
        for (std::size_t i = 0; i < box.pixels.size(); ++i) {
          const PixelIndex& p = box.pixels[i];
          const double seen = data.images.photons(p);
          const double expected = expected_in(model, box, first, i);
          variances.push_back(counting_variance(round == 0 ? std::max(seen, expected) : expected,
                                                data.readout_variance));
        }
        cost->set_variances(std::move(variances));
      }
      if (terms == 0) {
        problem.AddResidualBlock(cost, nullptr, model.steps.data());
      } else {
        double* const background = backgrounds.data() + b * terms;
        problem.AddResidualBlock(cost, nullptr, model.steps.data(), background);
        ordering->AddElementToGroup(background, 0);
      }
      first += box.pixels.size();
    }
    problem.AddResidualBlock(new RestraintCost(data.free, model), nullptr, model.steps.data());
    ordering->AddElementToGroup(model.steps.data(), 1);
    for (std::size_t i = 0; i < numbers; ++i) {
      const FreeNumber& n = data.free.numbers()[i];
      set_bounds(problem, model.steps.data(), i, n.lower, n.upper, values[i], model.units[i]);
    }

    bool stopped = false;
    Watcher watcher([&](const ceres::IterationSummary& s) {
      if (model.failed()) return false;
      const double residual = 2 * s.cost / static_cast<double>(report.pixels);
      stopped = !iterated(model.values(), residual, s.cost_change);
      return !stopped;
    });
    ceres::Solver::Options solver = solver_options(data.options.iterations, watcher);
    solver.linear_solver_type = terms > 0 ? ceres::DENSE_SCHUR : ceres::DENSE_QR;
    solver.linear_solver_ordering.reset(ordering);
    solver.function_tolerance = 1e-8;
    solver.parameter_tolerance = 1e-12;
    ceres::Solver::Summary summary;
    ceres::Solve(solver, &problem, &summary);
    model.rethrow();
    for (std::size_t b = 0; b < boxes.size(); ++b)
      std::copy_n(backgrounds.data() + b * terms, terms, boxes[b].background.begin());
    report.iterations += iterations_of(summary);
    report.converged = summary.termination_type == ceres::CONVERGENCE;
    model.compute(false);
    if (stopped) break;
  }
  report.residual = mean_square_residual(data, model.all_photons(), boxes);
  values = model.values();
  return report;
}

std::vector<double> fisher_information(const PixelData& data, std::span<const double> values,
                                       std::span<const Shoebox> boxes) {
  Model model(data, values, boxes);
  model.compute(true);
  Eigen::MatrixXd g = information(data, model, boxes);
  std::vector<double> rows;
  for (Eigen::Index i = 0; i < g.rows(); ++i) {
    const double deviation = data.free.numbers()[static_cast<std::size_t>(i)].restraint_deviation;
    if (deviation > 0) g(i, i) += 1 / (deviation * deviation);
    for (Eigen::Index k = 0; k < g.cols(); ++k) rows.push_back(g(i, k));
  }
  return rows;
}

}  // namespace nablabragg::refinement
