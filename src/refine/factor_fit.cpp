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

/// Of the pixels of all images, and how their sum changes with every F.
struct AllPhotons {
  std::vector<double> photons;
  std::shared_ptr<StructureFactorGrid> slopes;
};

void add_to(std::shared_ptr<StructureFactorGrid>& sum,
            const std::shared_ptr<StructureFactorGrid>& more) {
  if (!sum) {
    sum = more;
    return;
  }
  for (int h = sum->min()[0]; h <= sum->max()[0]; ++h)
    for (int k = sum->min()[1]; k <= sum->max()[1]; ++k)
      for (int l = sum->min()[2]; l <= sum->max()[2]; ++l) sum->at(h, k, l) += more->at(h, k, l);
}

AllPhotons all_photons(const PixelData& data, std::span<const double> values,
                       std::span<const BoxesOfImage> images) {
  AllPhotons all;
  for (const BoxesOfImage& of : images) {
    const Loss sum = [&](std::span<const double> model, std::span<double> slopes) {
      const std::vector<double> here = of.pixels.spread({model.begin(), model.end()});
      all.photons.insert(all.photons.end(), here.begin(), here.end());
      of.pixels.pull_back(std::vector<double>(of.number, 1.0), slopes);
      return std::accumulate(here.begin(), here.end(), 0.0);
    };
    const ValueAndGradient r = value_and_gradient(data.free.experiment(values, of.image),
                                                  of.pixels.sources(), sum, data.options.compute);
    add_to(all.slopes, r.gradient.structure_factors);
  }
  return all;
}

/// Of one reflection: F dI/dF is twice as many.
double photons_of(const MillerIndex& hkl, const StructureFactorGrid& grid, const AllPhotons& all) {
  const auto& [h, k, l] = hkl;
  return grid.at(h, k, l) * all.slopes->at(h, k, l) / 2;
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
        images_(by_image(data, values, boxes)) {
    choose_units();
  }

  int NumParameters() const override { return static_cast<int>(units_.size()); }
  std::size_t pixel_count() const { return variances_.size(); }
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
  std::shared_ptr<const StructureFactorGrid> grid(const double* steps) const {
    auto grid = std::make_shared<StructureFactorGrid>(*data_.free.structure_factors().grid);
    const double* step = steps + (units_.size() - factors_.size());
    const double* unit = units_.data() + (units_.size() - factors_.size());
    for (std::size_t i = 0; i < factors_.size(); ++i) {
      const auto& [h, k, l] = factors_[i].hkl;
      grid->at(h, k, l) = factors_[i].value * std::exp(step[i] * unit[i]);
    }
    return grid;
  }

  bool evaluate(const double* steps, double* cost, double* gradient) const {
    const std::vector<double> now = values(steps);
    for (std::size_t i = 0; i < now.size(); ++i)
      if (now[i] < data_.free.numbers()[i].lower || now[i] > data_.free.numbers()[i].upper)
        return false;
    std::vector<double> slopes_of_all(units_.size());
    const std::shared_ptr<const StructureFactorGrid> factors = grid(steps);
    *cost = 0;
    std::size_t first_pixel = 0, first_own = centre_.size();
    for (BoxesOfImage& of : images_) {
      Experiment e = data_.free.experiment(now, of.image);
      e.structure_factors.grid = factors;
      if (data_.free.has_free_width())
        of.pixels.set_fwhm_um(data_.free.point_spread(now, of.image)->fwhm_um);
      double by_fwhm = 0;
      const auto loss = [&](std::span<const double> sources, std::span<double> slopes) {
        const std::vector<double> model = of.pixels.spread({sources.begin(), sources.end()});
        std::vector<double> by_model(model.size());
        const double sum = pixel_loss(steps, of, first_pixel, first_own, model, by_model,
                                      slopes_of_all);
        of.pixels.pull_back(by_model, slopes);
        if (data_.free.has_free_width()) {
          const std::vector<double> by_width = of.pixels.slopes_by_fwhm(sources);
          by_fwhm = std::inner_product(by_model.begin(), by_model.end(), by_width.begin(), 0.0);
        }
        return sum;
      };
      if (!gradient) {
        const std::vector<double> sources = photons(e, of.pixels.sources(), data_.options.compute);
        std::vector<double> unused(sources.size());
        *cost += loss(sources, unused);
      } else {
        const ValueAndGradient r = value_and_gradient(e, of.pixels.sources(), loss,
                                                      data_.options.compute);
        *cost += r.value;
        add_slopes(r.gradient, by_fwhm, of.image, *factors, slopes_of_all);
      }
      first_pixel += of.number;
      for (const Shoebox& box : of.boxes) first_own += box.background.size();
    }
    restrain(steps, now, cost, slopes_of_all);
    if (gradient) std::copy(slopes_of_all.begin(), slopes_of_all.end(), gradient);
    return std::isfinite(*cost);
  }

  /// Of the pixels of an image.
  void add_slopes(const Gradient& gradient, double by_fwhm, std::size_t image,
                  const StructureFactorGrid& now, std::vector<double>& slopes_of_all) const {
    for (const std::size_t i : data_.free.numbers_of(image)) {
      const FreeNumber& n = data_.free.numbers()[i];
      if (n.of_point_spread) {
        slopes_of_all[i] += by_fwhm * units_[i];
        continue;
      }
      const std::string& name = data_.free.names()[n.parameter];
      const std::vector<double>& slopes = gradient.parameters.find(name)->second;
      for (std::size_t k = 0; k < n.count; ++k)
        slopes_of_all[i] += slopes[n.element + k] * units_[i];
    }
    const std::size_t first = units_.size() - factors_.size();
    for (std::size_t i = 0; i < factors_.size(); ++i) {
      const auto& [h, k, l] = factors_[i].hkl;
      slopes_of_all[first + i] += gradient.structure_factors->at(h, k, l) * now.at(h, k, l) *
                                  units_[first + i];
    }
  }

  /// Half the sum of the squared residuals of an image, whose pixels and boxes' own numbers begin
  /// at these places.
  double pixel_loss(const double* steps, const BoxesOfImage& of, std::size_t pixel, std::size_t at,
                    std::span<const double> model, std::span<double> slopes,
                    std::vector<double>& slopes_of_all) const {
    double sum = 0;
    const std::size_t first_pixel = pixel;
    for (const Shoebox& box : of.boxes) {
      const std::size_t terms = box.background.size();
      for (const PixelIndex& p : box.pixels) {
        const BackgroundTerms weights = background_at(box, p);
        double expected = model[pixel - first_pixel];
        for (std::size_t t = 0; t < terms; ++t)
          expected += (box.background[t] + steps[at + t] * units_[at + t]) * weights.values[t];
        const Seen seen = data_.seen(box, p);
        const Residual r = data_.options.likelihood == Likelihood::poisson
                               ? poisson_residual(seen, expected)
                               : gauss_residual(seen, expected, variances_[pixel]);
        sum += r.value * r.value / 2;
        const double slope = r.value * r.slope;
        slopes[pixel - first_pixel] = slope;
        ++pixel;
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
    const AllPhotons all = all_photons(data_, centre_, images_);
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
        const double variance = counting_variance(expected, data_.readout_variance(box));
        variances_.push_back(variance);
        for (std::size_t t = 0; t < box.background.size(); ++t)
          sums[t] += weights.values[t] * weights.values[t] / variance;
      }
      for (std::size_t t = 0; t < box.background.size(); ++t)
        units_.push_back(1 / std::sqrt(sums[t]));
    }
    // They alone determine ln F to 1/(2 sqrt(photons))
    for (const RefinedFactor& f : factors_)
      units_.push_back(1 /
                       std::sqrt(4 * photons_of(f.hkl, *data_.free.structure_factors().grid, all) +
                                 1 / (relative_deviation_ * relative_deviation_)));
  }

  const PixelData& data_;
  std::vector<double> centre_;
  std::vector<Shoebox>& boxes_;
  std::vector<RefinedFactor>& factors_;
  double relative_deviation_;
  mutable std::vector<BoxesOfImage> images_;  ///< with the width of the latest steps
  std::vector<double> units_, variances_;
  mutable std::exception_ptr failure_;
};

}  // namespace

std::vector<RefinedFactor> choose_factors(const PixelData& data, std::span<const double> values,
                                          std::span<const Shoebox> boxes) {
  const AllPhotons all = all_photons(data, values, by_image(data, values, boxes));
  const StructureFactorGrid& grid = *data.free.structure_factors().grid;
  std::vector<RefinedFactor> factors;
  for (int h = grid.min()[0]; h <= grid.max()[0]; ++h)
    for (int k = grid.min()[1]; k <= grid.max()[1]; ++k)
      for (int l = grid.min()[2]; l <= grid.max()[2]; ++l) {
        if (!(photons_of({h, k, l}, grid, all) >= data.options.least_photons) ||
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
