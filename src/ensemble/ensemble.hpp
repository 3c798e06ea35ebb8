// A description and its base experiment -> which experiment each shot is of.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "ensemble/description.hpp"
#include "flags/request.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::ensemble {

/// Counts what shots of one description have been.  Raised with each change that gives any
/// description other ones, so that no ensemble is half of these and half of those.
/// 2: `orientation: random` turns all crystals as one body, and sensors absorb at the shot's
/// wavelength.
inline constexpr int shots_revision = 3;

/// One shot.  It depends on the description and its number alone.
struct Shot {
  int index = 0;
  std::int64_t seed = 0;      ///< of its noise, as -seed takes it
  Experiment experiment;      ///< with every choice made
  bool hit = true;            ///< false: the crystal is not in the beam
  std::size_t spectrum = 0;   ///< the row of the spectra, where there are some
  double relative_light = 1;  ///< its photons over those of the mean shot, by the spectra
  /// Of each of Ensemble::varied(), with all numbers of the parameter.
  std::vector<std::vector<double>> values;
};

class Ensemble {
 public:
  /// The request of the base experiment, with its inputs read.  Throws InputError, UsageError.
  static flags::Request base_of(const Description& description);

  /// Throws InputError, by line and key, for names of no parameters and what else the base
  /// experiment contradicts.
  Ensemble(Description description, flags::Request base);

  const Description& description() const { return description_; }
  const flags::Request& request() const { return request_; }
  const SettledExperiment& base() const { return base_; }
  int shots() const { return description_.shots; }
  std::size_t crystals() const { return 1 + base_.experiment().more_crystals.size(); }
  /// Parameters whose numbers differ from shot to shot, with the values of the base experiment.
  const std::vector<Parameter>& varied() const { return varied_; }
  /// Whether more than the lattice differs from shot to shot.
  bool light_varies() const;
  /// What moves panels or beam: NXmx has one geometry for all shots.
  std::vector<std::string> moving_parameters() const;
  bool wavelengths_vary() const;

  /// Throws UsageError for a shot that there is not.
  Shot shot(int i) const;
  /// Numbers that no experiment has, of the first of every `step`-th shot that has some, as "shot
  /// 17: ...".  Throws UsageError.
  void check_shots(int begin = 0, int step = 1) const;
  /// Those that the shots' differ from: of the description, with what it leaves unsaid.
  std::vector<std::string> flags() const;
  /// The request of one shot, as the simulator takes it.
  flags::Request request_of(const Shot& shot) const;

  /// Of all that decides what the shots are.
  std::string checksum() const;

 private:
  /// Where drawn numbers go.
  struct Target {
    std::size_t parameter = 0;           ///< in varied_
    std::optional<std::size_t> element;  ///< empty: all of its numbers
  };
  Target target_of(const std::string& name, const Place& place);
  void refuse_rivals() const;
  void refuse_rivals_of_orientation() const;
  void turn_crystals(int i, Experiment& e) const;

  Description description_;
  flags::Request request_;
  SettledExperiment base_;
  std::vector<Parameter> known_;  ///< all that the base has
  std::vector<Parameter> varied_;
  std::map<std::pair<std::string, int>, Place> taken_;  ///< by name and number, -1 for all of them
  std::vector<Target> targets_;                         ///< of description_.vary
  std::vector<std::vector<Target>> correlated_targets_;
  std::vector<std::vector<double>> means_;  ///< of description_.correlated
  Vec3d towards_source_;
};

}  // namespace nablabragg::ensemble
