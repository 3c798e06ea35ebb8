// What both fits ask of Ceres: silence, one thread, a report after every iteration.
#pragma once
#include <ceres/ceres.h>
#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>

namespace nablabragg::refinement {

/// Passes iterations on, and ends the solver when it is answered with something else than
/// SOLVER_CONTINUE.
class Watcher : public ceres::IterationCallback {
 public:
  using Watch = std::function<ceres::CallbackReturnType(const ceres::IterationSummary&)>;
  explicit Watcher(Watch watch) : watch_(std::move(watch)) {}
  ceres::CallbackReturnType operator()(const ceres::IterationSummary& summary) override {
    return watch_(summary);
  }

 private:
  Watch watch_;
};

/// Ceres reports failed steps on standard error, which belongs to the program: its callers are told
/// by the summary.
inline void silence_ceres() { FLAGS_minloglevel = google::GLOG_FATAL; }

/// Without the look at where it begins, which Ceres counts, too.
template <class Summary>
int iterations_of(const Summary& summary) {
  return std::max(0, static_cast<int>(summary.iterations.size()) - 1);
}

inline ceres::Solver::Options solver_options(int iterations, Watcher& watcher) {
  silence_ceres();
  ceres::Solver::Options options;
  options.max_num_iterations = iterations;
  options.num_threads = 1;  // its sums would depend on their number; the model has its own threads
  options.logging_type = ceres::SILENT;
  options.update_state_every_iteration = true;
  options.callbacks.push_back(&watcher);
  return options;
}

/// Bounds of a number as Ceres sees it: 0 at `centre`, 1 a `unit` further.
inline void set_bounds(ceres::Problem& problem, double* block, std::size_t i, double lower,
                       double upper, double centre, double unit) {
  if (std::isfinite(lower))
    problem.SetParameterLowerBound(block, static_cast<int>(i), (lower - centre) / unit);
  if (std::isfinite(upper))
    problem.SetParameterUpperBound(block, static_cast<int>(i), (upper - centre) / unit);
}

}  // namespace nablabragg::refinement
