#include "refine/factor_fit.hpp"

#include <algorithm>
#include <cmath>
#include <exception>  // for std::exception_ptr
#include <numeric>

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

/// The sum of all pixels and how it changes with every F.
ValueAndGradient all_photons(const PixelData& data, const Experiment& e,
                             std::span<const PixelIndex> pixels) {
  const Loss sum = [](std::span<const double> model, std::span<double> slopes) {
    std::fill(slopes.begin(), slopes.end(), 1.0);
    return std::accumulate(model.begin(), model.end(), 0.0);
  };
  return value_and_gradient(e, pixels, sum, data.options.compute);
}

/// Of one reflection: F dI/dF is twice as many.
double photons_of(const MillerIndex& hkl, const Experiment& e, const ValueAndGradient& all) {
  const auto& [h, k, l] = hkl;
  return e.structure_factors.grid->at(h, k, l) * all.gradient.structure_factors->at(h, k, l) / 2;
}

/// Half the sum of all squared residuals, by steps of the free numbers, of the backgrounds and of
/// ln F, each in units of about what the image says about it alone.
class Objective : public ceres::FirstOrderFunction {
 public:
  Objective(const PixelData& data, std::span<const double> values, std::vector<Shoebox>& boxes,
            std::vector<RefinedFactor>& factors)
      : data_(data),
        centre_(values.begin(), values.end()),
        boxes_(boxes),
        factors_(factors),
        relative_deviation_(*data.options.structure_factor_deviation),
        pixels_(pixels_of(boxes)) {
    choose_units();
  }

  int NumParameters() const override { return static_cast<int>(units_.size()); }
  std::size_t pixel_count() const { return pixels_.size(); }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  bool failed() const { return failure_ != nullptr; }

  std::vector<double> values(const double* steps) const {
    std::vector<double> v = centre_;
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += steps[i] * units_[i];
    return v;
  }

  /// Writes what the steps stand for into boxes and factors.
  void settle(const double* steps) {
    std::size_t at = centre_.size();
    for (Shoebox& box : boxes_)
      for (double& term : box.background) {
        term += steps[at] * units_[at];
        ++at;
      }
    for (RefinedFactor& f : factors_) {
      f.value *= std::exp(steps[at] * units_[at]);
      f.deviation = f.value * units_[at];
      ++at;
    }
  }

  bool Evaluate(const double* steps, double* cost, double* gradient) const override {
    if (failure_) return false;
    try {
      return evaluate(steps, cost, gradient);
    } catch (const UsageError&) {  // no experiment: too long a step
      return false;
    } catch (...) {  // Ceres' own code is no place for it
      failure_ = std::current_exception();
      return false;
    }
  }

 private:
  Experiment experiment(const double* steps) const {
    Experiment e = data_.free.experiment(values(steps));
    auto grid = std::make_shared<StructureFactorGrid>(*e.structure_factors.grid);
    const double* step = steps + (units_.size() - factors_.size());
    const double* unit = units_.data() + (units_.size() - factors_.size());
    for (std::size_t i = 0; i < factors_.size(); ++i) {
      const auto& [h, k, l] = factors_[i].hkl;
      grid->at(h, k, l) = factors_[i].value * std::exp(step[i] * unit[i]);
    }
    e.structure_factors.grid = std::move(grid);
    return e;
  }

  bool evaluate(const double* steps, double* cost, double* gradient) const {
    const std::vector<double> now = values(steps);
    for (std::size_t i = 0; i < now.size(); ++i)
      if (now[i] < data_.free.numbers()[i].lower || now[i] > data_.free.numbers()[i].upper)
        return false;
    std::vector<double> slopes_of_all(units_.size());
    const Experiment e = experiment(steps);
    const auto loss = [&](std::span<const double> model, std::span<double> slopes) {
      return pixel_loss(steps, model, slopes, slopes_of_all);
    };
    if (!gradient) {
      const std::vector<double> model = photons(e, pixels_, data_.options.compute);
      std::vector<double> unused(model.size());
      *cost = loss(model, unused);
    } else {
      const ValueAndGradient r = value_and_gradient(e, pixels_, loss, data_.options.compute);
      *cost = r.value;
      for (std::size_t i = 0; i < now.size(); ++i) {
        const FreeNumber& n = data_.free.numbers()[i];
        const std::string& name = data_.free.names()[n.parameter];
        const std::vector<double>& slopes = r.gradient.parameters.find(name)->second;
        for (std::size_t k = 0; k < n.count; ++k)
          slopes_of_all[i] += slopes[n.element + k] * units_[i];
      }
      const std::size_t first = units_.size() - factors_.size();
      for (std::size_t i = 0; i < factors_.size(); ++i) {
        const auto& [h, k, l] = factors_[i].hkl;
        slopes_of_all[first + i] += r.gradient.structure_factors->at(h, k, l) *
                                    e.structure_factors.grid->at(h, k, l) * units_[first + i];
      }
    }
    restrain(steps, now, cost, slopes_of_all);
    if (gradient) std::copy(slopes_of_all.begin(), slopes_of_all.end(), gradient);
    return std::isfinite(*cost);
  }

  double pixel_loss(const double* steps, std::span<const double> model, std::span<double> slopes,
                    std::vector<double>& slopes_of_all) const {
    double sum = 0;
    std::size_t pixel = 0, at = centre_.size();
    for (const Shoebox& box : boxes_) {
      const std::size_t terms = box.background.size();
      for (const PixelIndex& p : box.pixels) {
        const BackgroundTerms weights = background_at(box, p);
        double expected = model[pixel];
        for (std::size_t t = 0; t < terms; ++t)
          expected += (box.background[t] + steps[at + t] * units_[at + t]) * weights.values[t];
        const double photons = data_.images.photons(p);
        const Residual r = data_.options.likelihood == Likelihood::poisson
                               ? poisson_residual(photons, expected)
                               : gauss_residual(photons, expected, variances_[pixel]);
        sum += r.value * r.value / 2;
        const double slope = r.value * r.slope;
        slopes[pixel++] = slope;
        for (std::size_t t = 0; t < terms; ++t)
          slopes_of_all[at + t] += slope * weights.values[t] * units_[at + t];
      }
      at += terms;
    }
    return sum;
  }

  void restrain(const double* steps, std::span<const double> now, double* cost,
                std::vector<double>& slopes) const {
    for (std::size_t i = 0; i < now.size(); ++i) {
      const FreeNumber& n = data_.free.numbers()[i];
      if (!(n.restraint_deviation > 0)) continue;
      const double off = (now[i] - n.restrained_to) / n.restraint_deviation;
      *cost += off * off / 2;
      slopes[i] += off * units_[i] / n.restraint_deviation;
    }
    const std::size_t first = units_.size() - factors_.size();
    for (std::size_t i = first; i < units_.size(); ++i) {
      const RefinedFactor& f = factors_[i - first];
      const double off = (std::log(f.value / f.start) + steps[i] * units_[i]) / relative_deviation_;
      *cost += off * off / 2;
      slopes[i] += off * units_[i] / relative_deviation_;
    }
  }

  void choose_units() {
    const Experiment e = data_.free.experiment(centre_);
    const ValueAndGradient all = all_photons(data_, e, pixels_);
    const std::vector<double> information = refinement::information(data_, centre_, boxes_).fisher;
    for (std::size_t i = 0; i < centre_.size(); ++i) {
      const double known = information[i * centre_.size() + i];
      units_.push_back(known > 0 ? 1 / std::sqrt(known)
                                 : 1e-3 * std::max(std::abs(centre_[i]), 1.0));
    }
    std::size_t pixel = 0;
    for (const Shoebox& box : boxes_) {
      double sums[3]{};
      for (const PixelIndex& p : box.pixels) {
        const BackgroundTerms weights = background_at(box, p);
        double expected = all.photons[pixel++];
        for (std::size_t t = 0; t < box.background.size(); ++t)
          expected += box.background[t] * weights.values[t];
        const double variance = counting_variance(expected, data_.readout_variance);
        variances_.push_back(variance);
        for (std::size_t t = 0; t < box.background.size(); ++t)
          sums[t] += weights.values[t] * weights.values[t] / variance;
      }
      for (std::size_t t = 0; t < box.background.size(); ++t)
        units_.push_back(1 / std::sqrt(sums[t]));
    }
    // They alone determine ln F to 1/(2 sqrt(photons))
    for (const RefinedFactor& f : factors_)
      units_.push_back(1 / std::sqrt(4 * photons_of(f.hkl, e, all) +
                                     1 / (relative_deviation_ * relative_deviation_)));
  }

  const PixelData& data_;
  std::vector<double> centre_;
  std::vector<Shoebox>& boxes_;
  std::vector<RefinedFactor>& factors_;
  double relative_deviation_;
  std::vector<PixelIndex> pixels_;
  std::vector<double> units_, variances_;
  mutable std::exception_ptr failure_;
};

}  // namespace

std::vector<RefinedFactor> choose_factors(const PixelData& data, std::span<const double> values,
                                          std::span<const Shoebox> boxes) {
  const Experiment e = data.free.experiment(values);
  const ValueAndGradient all = all_photons(data, e, pixels_of(boxes));
  const StructureFactorGrid& grid = *e.structure_factors.grid;
  std::vector<RefinedFactor> factors;
  for (int h = grid.min()[0]; h <= grid.max()[0]; ++h)
    for (int k = grid.min()[1]; k <= grid.max()[1]; ++k)
      for (int l = grid.min()[2]; l <= grid.max()[2]; ++l) {
        if (!(photons_of({h, k, l}, e, all) >= data.options.least_photons) ||
            (h == 0 && k == 0 && l == 0))
          continue;
        factors.push_back({{h, k, l}, grid.at(h, k, l), grid.at(h, k, l), 0});
      }
  return factors;
}

FactorLeg fit_structure_factors(const PixelData& data, RefineState& state,
                                std::vector<Shoebox>& boxes, const Iterated& iterated) {
  constexpr int leg_iterations = 25;
  StageReport& report = state.stages.back();
  const int left = 4 * data.options.iterations - report.iterations;
  if (left <= 0) return FactorLeg::ended;
  auto* objective = new Objective(data, data.free.values_of(state), boxes, state.factors);
  const ceres::GradientProblem problem(objective);
  report.spots = boxes.size();
  report.pixels = objective->pixel_count();
  std::vector<double> steps(static_cast<std::size_t>(objective->NumParameters()), 0.0);

  bool stopped = false;
  Watcher watcher([&](const ceres::IterationSummary& s) {
    if (s.iteration > 0 || report.iterations == 0)
      stopped = !iterated(objective->values(steps.data()),
                          2 * s.cost / static_cast<double>(report.pixels), s.cost_change);
    return stopped ? ceres::SOLVER_ABORT : ceres::SOLVER_CONTINUE;
  });
  silence_ceres();
  ceres::GradientProblemSolver::Options options;
  options.line_search_direction_type = ceres::LBFGS;
  // The deviance is nearly quadratic in these units: ten steps of memory hold what there is to know
  options.max_lbfgs_rank = 10;
  options.max_num_iterations = std::min(leg_iterations, left);
  options.function_tolerance = 1e-8;
  options.parameter_tolerance = 1e-12;
  options.logging_type = ceres::SILENT;
  options.update_state_every_iteration = true;
  options.callbacks.push_back(&watcher);
  ceres::GradientProblemSolver::Summary summary;
  ceres::Solve(options, problem, steps.data(), &summary);
  objective->rethrow();
  if (stopped) return FactorLeg::stopped;
  report.iterations += iterations_of(summary);
  report.converged = summary.termination_type == ceres::CONVERGENCE;
  objective->settle(steps.data());
  state.values = data.free.named(objective->values(steps.data()));
  state.own_of_boxes = own_numbers_of(data.options, boxes);
  return summary.termination_type == ceres::NO_CONVERGENCE ? FactorLeg::goes_on : FactorLeg::ended;
}

std::shared_ptr<const StructureFactorGrid> with_factors(const StructureFactorGrid& grid,
                                                        std::span<const RefinedFactor> factors) {
  auto changed = std::make_shared<StructureFactorGrid>(grid);
  for (const RefinedFactor& f : factors) changed->at(f.hkl[0], f.hkl[1], f.hkl[2]) = f.value;
  return changed;
}

}  // namespace nablabragg::refinement
