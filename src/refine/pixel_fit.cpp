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
    return slopes_[pixel * data_.free.columns() + data_.free.numbers()[number].column];
  }

 private:
  const PixelData& data_;
  std::vector<double> centre_;
  std::vector<PixelIndex> pixels_;
  std::vector<double> photons_, slopes_, computed_at_;
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
  void set_variances(std::span<const double> variances) { variances_ = variances; }

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

LitResidual lit_residual(const PixelData& data, std::span<const double> model,
                         std::span<const Shoebox> boxes, double least_expected) {
  LitResidual lit;
  double sum = 0;
  std::size_t pixel = 0;
  for (const Shoebox& box : boxes)
    for (const PixelIndex& p : box.pixels) {
      const double expected = model[pixel++] + background_in(box, box.background, p);
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

std::vector<double> backgrounds_of(std::span<const Shoebox> boxes) {
  std::vector<double> all;
  for (const Shoebox& box : boxes)
    all.insert(all.end(), box.background.begin(), box.background.end());
  return all;
}

void set_backgrounds(std::span<Shoebox> boxes, std::span<const double> backgrounds) {
  std::size_t terms = 0;
  for (const Shoebox& box : boxes) terms += box.background.size();
  if (terms != backgrounds.size())
    throw UsageError("the interrupted refinement had other shoeboxes; begin again");
  auto next = backgrounds.begin();
  for (Shoebox& box : boxes)
    for (double& term : box.background) term = *next++;
}

namespace {

/// What the pixels alone would say about each number; where they say nothing, any length.
void choose_units(const PixelData& data, std::span<const Shoebox> boxes, Model& model) {
  std::vector<double> known(data.free.size());
  std::size_t pixel = 0;
  for (const Shoebox& box : boxes)
    for (std::size_t i = 0; i < box.pixels.size(); ++i, ++pixel) {
      const double variance = counting_variance(
          model.photons_of(pixel) + background_in(box, box.background, box.pixels[i]),
          data.readout_variance);
      for (std::size_t n = 0; n < known.size(); ++n)
        known[n] += model.slope(pixel, n) * model.slope(pixel, n) / variance;
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
                                            data.readout_variance));
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
                    RefineState& state, std::vector<Shoebox>& boxes, const Iterated& iterated) {
  StageReport& report = state.stages.back();
  model.compute(true);
  choose_units(data, boxes, model);

  // One array for all backgrounds: Ceres orders blocks by address, and its sums with them
  std::vector<double> backgrounds = state.backgrounds;
  const auto terms = static_cast<std::size_t>(background_terms(data.options.background));
  ceres::Problem::Options owner;
  owner.evaluation_callback = &model;
  ceres::Problem problem(owner);
  auto* ordering = new ceres::ParameterBlockOrdering;
  std::size_t first = 0;
  for (std::size_t b = 0; b < boxes.size(); ++b) {
    auto* cost = new BoxCost(data, model, boxes[b], first);
    const std::size_t pixels = boxes[b].pixels.size();
    if (!variances.empty()) cost->set_variances(variances.subspan(first, pixels));
    if (terms == 0) {
      problem.AddResidualBlock(cost, nullptr, model.steps.data());
    } else {
      double* const background = backgrounds.data() + b * terms;
      problem.AddResidualBlock(cost, nullptr, model.steps.data(), background);
      ordering->AddElementToGroup(background, 0);
    }
    first += pixels;
  }
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
  ceres::Solver::Options solver = solver_options(data.options.iterations - report.iterations,
                                                 watcher);
  solver.linear_solver_type = terms > 0 ? ceres::DENSE_SCHUR : ceres::DENSE_QR;
  solver.linear_solver_ordering.reset(ordering);
  solver.function_tolerance = 1e-8;
  solver.parameter_tolerance = 1e-12;
  solver.initial_trust_region_radius = state.trust_radius;
  ceres::Solver::Summary summary;
  ceres::Solve(solver, &problem, &summary);
  model.rethrow();
  if (stopped) return Leg::stopped;

  report.iterations += iterations_of(summary);
  state.backgrounds = std::move(backgrounds);
  set_backgrounds(boxes, state.backgrounds);
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

  // The variances of the Gaussian likelihood follow the model from round to round
  for (const int rounds = gauss ? 3 : 1; state.round < rounds; ++state.round) {
    std::vector<double> variances;
    if (gauss) {
      if (state.round_values.empty()) {
        state.round_values = model.centre();
        state.round_backgrounds = state.backgrounds;
      }
      model.set_centre(state.round_values);
      set_backgrounds(boxes, state.round_backgrounds);
      model.compute(true);
      variances = variances_of(data, model, boxes, state.round);
      model.set_centre(data.free.values_of(state));
      set_backgrounds(boxes, state.backgrounds);
    }
    Leg leg = Leg::helped;
    while (leg == Leg::helped && report.iterations < data.options.iterations)
      leg = step_that_helps(data, model, variances, state, boxes, iterated);
    if (leg == Leg::stopped) return false;
    report.converged = leg == Leg::converged;
    state.trust_radius = first_trust_radius;
    state.round_values.clear();
    state.round_backgrounds.clear();
  }
  report.residual = residual();
  return true;
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
