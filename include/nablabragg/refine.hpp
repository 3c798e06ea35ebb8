// Measured image + starting experiment -> the experiment that explains the image, with errors.
//
// In stages, because the landscape is rough: first the positions of the spots, which need no
// intensities and find home from several spot widths away; then the likelihood of the pixels around
// the measured spots; then that of the pixels around the spots which the model predicts.
// docs/refinement.md describes them and has the measured accuracy.  For stills of one wavelength;
// scans and pink beams begin with the pixels and so need a start within a spot's width.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>  // for std::pair
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/reflection.hpp"  // for MillerIndex
#include "nablabragg/sampling.hpp"    // for RegionOfInterest
#include "nablabragg/simulate.hpp"    // for ComputeOptions, PixelIndex

namespace nablabragg {

/// What a detector counted, on the panels of the model.
struct Measurement {
  Image counts;  ///< NaN: no measurement
  double counts_per_photon = 1;
  double offset = 0;         ///< counts of a pixel that saw nothing
  double readout_noise = 0;  ///< standard deviation that is no photon's [counts]
  /// A pixel that counts as much or more is not used.
  double overload = std::numeric_limits<double>::infinity();
};

enum class Likelihood {
  poisson,  ///< of the photons
  gauss     ///< variance: the photons of the model and the readout noise
};

/// What lies under the spots of a shoebox, in addition to the model's own background.
enum class Background { none, constant, plane };

struct ParameterBounds {
  std::string name;  ///< one number: "distance", "cell[0]"
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
};

/// Knowledge from elsewhere: a Gaussian about a value.
struct Restraint {
  std::string name;             ///< one number
  double deviation = 0;         ///< its standard deviation
  std::optional<double> value;  ///< empty: the starting value
};

enum class RefineStage {
  spot_positions,    ///< where the spots are, and how far their lattice points are from diffracting
  measured_spots,    ///< pixels around spots that were found in the image
  predicted_spots,   ///< pixels around spots that the model predicts
  structure_factors  ///< the same pixels, F's too
};

const char* name_of(RefineStage stage);

/// What one stage did.
struct StageReport {
  RefineStage stage = RefineStage::spot_positions;
  int iterations = 0;
  std::size_t spots = 0, pixels = 0;
  double residual_before = 0, residual = 0;  ///< as in RefineProgress
  double seconds = 0;
  bool converged = false;
};

struct RefinedFactor {
  MillerIndex hkl{};
  double start = 0, value = 0;
  double deviation = 0;  ///< as if all else were known
};

/// What a shoebox is centred on [pixels of its panel].
struct ShoeboxPlace {
  double fast = 0, slow = 0;
  int panel = 0;
};

/// Where a refinement stands, with all that its next step depends on: one that goes on from here
/// ends with the bits of one that was not stopped.  As text: to_json().
struct RefineState {
  std::uint64_t of = 0;             ///< digest of image, model and options, which must be the same
  std::vector<StageReport> stages;  ///< the last is the one that goes on, after its iterations
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, double>> values;  ///< of the refined numbers
  std::vector<ShoeboxPlace> places;                    ///< of the stage's shoeboxes
  std::vector<double> backgrounds;                     ///< of all shoeboxes, one after the other
  double trust_radius = 0;  ///< of the next step of pixels, in standard deviations
  // The variances of the Gaussian likelihood, which follow the model from round to round, are those
  // of this point
  int round = 0;
  std::vector<double> round_values, round_backgrounds;
  std::vector<RefinedFactor> factors;  ///< without deviations

  RefineStage stage() const {
    return stages.empty() ? RefineStage::spot_positions : stages.back().stage;
  }
};

/// To the last bit.
std::string to_json(const RefineState& state);
/// Throws UsageError for what to_json() has not written.
RefineState refine_state_from_json(const std::string& text);

struct RefineProgress {
  const RefineState& state;  ///< to go on from; after a stop it is Refinement::state
  RefineStage stage = RefineStage::spot_positions;
  std::vector<std::pair<std::string, double>> values;  ///< of the refined numbers, now
  int iteration = 0;                                   ///< of this stage
  double residual = 0;  ///< mean squared residual in units of its expected size: about 1 in the end
  double change = 0;    ///< of the objective in this iteration
};

/// A spot that another program has found.
struct ObservedSpot {
  double fast = 0, slow = 0;  ///< [pixels], whole numbers in the middle of a pixel
  int panel = 0;
  double photons = 1;              ///< how much it weighs beside others of its reflection
  std::optional<MillerIndex> hkl;  ///< empty: that of the nearest lattice point
};

struct RefineOptions {
  /// Names of parameters(experiment), "cell"; some of their numbers: "cell[0]", "cell[0-2]".
  std::vector<std::string> parameters;
  std::vector<ParameterBounds> bounds;
  std::vector<Restraint> restraints;

  Likelihood likelihood = Likelihood::poisson;
  Background background = Background::constant;
  bool spot_stage = true;  ///< begin with the positions of the spots
  /// Where these are, in place of those that are looked for in the image, whose brightness they
  /// have no part in.
  std::vector<ObservedSpot> observed_spots;
  bool all_pixels = false;    ///< the whole region of interest of each panel as one shoebox
  int shoebox_px = 15;        ///< edge
  int most_shoeboxes = 300;   ///< the brightest
  double least_photons = 20;  ///< of a spot that counts
  int iterations = 50;        ///< of each stage at most

  /// Refine F(h,k,l) of the table as well, at the end, restrained to where they start with this
  /// relative standard deviation.
  std::optional<double> structure_factor_deviation;

  /// Throws UsageError where it is of another image, model or options; `iterations`, `progress` and
  /// the threads may be others.
  std::optional<RefineState> resume;
  ComputeOptions compute;
  /// Called after every iteration; return false to stop.
  std::function<bool(const RefineProgress&)> progress = {};
};

struct RefinedNumber {
  std::string name, unit;
  double start = 0, value = 0;
  /// Standard deviation by the Fisher information of the pixels and the restraints; infinite where
  /// they do not determine the number.
  double deviation = 0;
  bool at_bound = false;
};

/// One spot's pixels with their own background.
struct Shoebox {
  double fast = 0, slow = 0;       ///< what it is centred on
  int panel = 0;                   ///< of all its pixels
  std::vector<PixelIndex> pixels;  ///< usable ones; no pixel is in two boxes
  std::vector<double> background;  ///< none, the value at the centre, or that and the slopes per px
  /// In the end: the refined model's reflection there, where its lattice points are told apart, and
  /// the box's own mean squared residual.
  std::optional<MillerIndex> hkl;
  double residual = 0;
};

struct Refinement {
  Experiment experiment;               ///< refined
  std::vector<RefinedNumber> numbers;  ///< in the order of RefineOptions::parameters
  std::vector<double> correlations;    ///< numbers x numbers, row by row
  std::vector<RefinedFactor> factors;  ///< in the experiment's table
  std::vector<StageReport> stages;
  std::vector<Shoebox> shoeboxes;     ///< of the last stage
  std::vector<std::string> warnings;  ///< what the numbers do not say, one sentence each
  bool stopped = false;               ///< by the progress callback; the numbers are the latest
  RefineState state;
};

/// Throws UsageError for a parameter, bound or restraint that there is not, InputError for an image
/// that does not fit the panel or shows no spots, and what simulate() throws.
Refinement refine(const Experiment& start, const Measurement& measurement,
                  const RefineOptions& options);

}  // namespace nablabragg
