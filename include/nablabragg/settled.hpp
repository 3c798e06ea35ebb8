// An experiment with every choice made that its user left open, in field units.
#pragma once
#include "nablabragg/experiment.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg {

/// Each parameter has a number, and counts (pixels, sub-pixels, cells) stay what they are when a
/// parameter changes.  Whoever asks several things of one experiment makes it once.
class SettledExperiment {
 public:
  /// Implicit: what takes a settled experiment takes any.  Throws UsageError for a description of
  /// no experiment.
  SettledExperiment(const Experiment& experiment);

  const Experiment& experiment() const { return experiment_; }
  /// The same in SI units, as resolve() gives it for the experiment as its user stated it.
  const Resolved& resolved() const { return resolved_; }
  /// Whether the number of sub-pixels was left open.
  bool oversample_is_automatic() const { return oversample_is_automatic_; }

 private:
  bool oversample_is_automatic_;
  Resolved resolved_;
  Experiment experiment_;
};

}  // namespace nablabragg
