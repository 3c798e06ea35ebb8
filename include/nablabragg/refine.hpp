// Measured images + starting experiments -> the experiments that explain them, with errors.
//
// In stages, because the landscape is rough: first the positions of the spots, which need no
// intensities and find home from several spot widths away; then the likelihood of the pixels around
// the measured spots; then that of the pixels around the spots which the model predicts.
// docs/refinement.md describes them and has the measured accuracy.  For stills and rotations by a
// few degrees at one wavelength; longer scans and pink beams begin with the pixels and so need a
// start within a spot's width.  Of several images of a crystal, or of several crystals, some
// numbers are shared and others are each image's own; all are fitted together.
#pragma once
#include <cstddef>  // for std::size_t
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>  // for std::pair
#include <vector>
#include "nablabragg/detector_response.hpp"  // for PointSpread
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
  /// A pixel that counts as much or more has counted this at least.
  double overload = std::numeric_limits<double>::infinity();
  /// Of each pixel, whether it has counted at least its `counts`, whatever `overload` is; empty:
  /// none.
  std::vector<std::uint8_t> at_least;
  /// What the model's photons go through before they are counted; empty: nothing.
  std::optional<PointSpread> point_spread;
};

enum class Likelihood {
  poisson,  ///< of the photons
  gauss     ///< variance: the photons of the model and the readout noise
};

/// What is made of pixels at which the detector ended.
enum class Saturated {
  censored,  ///< they counted what they hold or more (a likelihood of its own)
  left_out
};

/// How far a pixel may be from its expected photons.
enum class Variances {
  counted,  ///< as counting says
  fitted  ///< and a share of the light that the model has in the pixel and its neighbours, as large
          ///< as the misfit asks for: bright spots that no model has the shape of, or that are not
          ///< quite where a lattice has them, do not decide alone
};

/// What lies under the spots of a shoebox, in addition to the model's own background.
enum class Background { none, constant, plane };

/// Where the intensities of the spots come from.
enum class Intensities {
  of_model,  ///< structure factors of the table, fluence
  free       ///< a number for each spot, not below zero; only where it is and its shape count
};

/// Which reflections of a lattice there are.
enum class Centring { P, A, B, C, I, F, R /* obverse, hexagonal axes */ };

struct ParameterBounds {
  /// One number: "distance", "cell[0]"; "misset[0]" of every image whose own it is,
  /// "image[2].misset[0]" of one.
  std::string name;
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
};

/// Knowledge from elsewhere: a Gaussian about a value.
struct Restraint {
  std::string name;             ///< as for bounds
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
  /// With Variances::fitted: by how much of the light of a pixel and its eight neighbours, on the
  /// mean of the nine, it is off.
  double misfit_share = 0;
  double seconds = 0;
  bool converged = false;
};

struct RefinedFactor {
  MillerIndex hkl{};
  double start = 0, value = 0;
  double deviation = 0;  ///< as if all else, but a free intensity's background, were known
};

/// What a shoebox is centred on [pixels of its panel].
struct ShoeboxPlace {
  double fast = 0, slow = 0;
  int panel = 0;
  std::optional<MillerIndex> hkl = {};  ///< of whose spot it is, where intensities are free
  int image = 0;
  int crystal = 0;  ///< whose reflection that is, as ObservedSpot has it
};

/// Where a refinement stands, with all that its next step depends on: one that goes on from here
/// ends with the bits of one that was not stopped.  As text: to_json().
struct RefineState {
  std::uint64_t of = 0;             ///< digest of image, model and options, which must be the same
  std::vector<StageReport> stages;  ///< the last is the one that goes on, after its iterations
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, double>> values;  ///< of the refined numbers
  std::vector<ShoeboxPlace> places;                    ///< of the stage's shoeboxes
  std::vector<double> own_of_boxes;  ///< backgrounds of all shoeboxes, one after the other
  double trust_radius = 0;           ///< of the next step of pixels, in standard deviations
  // The variances of the Gaussian likelihood, which follow the model from round to round, are those
  // of this point
  int round = 0;
  std::vector<double> round_values, round_own_of_boxes;
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
  int image = 0;
  int crystal = 0;  ///< whose reflection hkl is: 0 Experiment::crystal, i more_crystals[i - 1]
};

struct RefineOptions {
  /// Names of parameters(experiment), "cell"; some of their numbers: "cell[0]", "cell[0-2]"; and
  /// "response.fwhm", the width of Measurement::point_spread.  All images share them, and start
  /// from one value.
  std::vector<std::string> parameters;
  /// The same, of each image for itself: "misset" is refined as image[0].misset[0] and so on.
  std::vector<std::string> own;
  /// Neighbouring numbers of a parameter that are refined as one: "cell[0-2]".  They start equal.
  std::vector<std::string> equal;
  std::vector<ParameterBounds> bounds;
  std::vector<Restraint> restraints;

  Likelihood likelihood = Likelihood::poisson;
  Variances variances = Variances::counted;
  Saturated saturated = Saturated::censored;
  Background background = Background::constant;
  /// Free ones need no structure factors: those of the experiment (its default_F where it has no
  /// table) say which reflections there are and how bright they start.
  Intensities intensities = Intensities::of_model;
  Centring centring = Centring::P;  ///< with free intensities
  bool spot_stage = true;           ///< begin with the positions of the spots
  /// Where these are, in place of those that are looked for in the image, whose brightness they
  /// have no part in.
  std::vector<ObservedSpot> observed_spots;
  bool all_pixels = false;    ///< the whole region of interest of each panel as one shoebox
  int shoebox_px = 15;        ///< edge
  int most_shoeboxes = 300;   ///< of each image, the brightest
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
  /// Standard deviation by the Fisher information of the pixels and the restraints, or, where the
  /// model does not explain the image (a warning says so) and that is more, by how much the
  /// shoeboxes disagree; infinite where they do not determine the number.
  double deviation = 0;
  bool at_bound = false;
};

/// One spot's pixels with their own background.
struct Shoebox {
  double fast = 0, slow = 0;       ///< what it is centred on
  int image = 0, panel = 0;        ///< of all its pixels
  std::vector<PixelIndex> pixels;  ///< usable ones; no pixel is in two boxes
  std::vector<double> background;  ///< none, the value at the centre, or that and the slopes per px
  /// Where intensities are free, whose spot it is; in the end the refined model's reflection there,
  /// where its lattice points are told apart.
  std::optional<MillerIndex> hkl;
  int crystal = 0;       ///< whose reflection that is, as ObservedSpot has it
  double intensity = 1;  ///< by what the model's photons are multiplied; free ones
  /// Of each pixel, in addition to that of counting, with Variances::fitted [photons^2].
  std::vector<double> misfit_variance;
  double residual = 0;  ///< in the end: the box's own mean squared one
};

/// The spots that were found in the images, and how far those that the refined lattice has a place
/// for are from it: root mean squares in pixels.
struct FoundSpots {
  std::size_t found = 0, placed = 0;
  double fast_rms_px = 0, slow_rms_px = 0;
};

struct Refinement {
  std::vector<Experiment> experiments;                    ///< refined, one for each image
  std::vector<std::optional<PointSpread>> point_spreads;  ///< likewise
  /// In the order of RefineOptions::parameters, then of RefineOptions::own, image by image.
  std::vector<RefinedNumber> numbers;
  std::vector<double> correlations;  ///< numbers x numbers, row by row
  /// In the experiments' table; where intensities are free it holds nothing else.
  std::vector<RefinedFactor> factors;
  std::vector<StageReport> stages;
  /// Of each image, how many pixels were left out because they lie in the shadow of its beamstop.
  std::vector<std::size_t> pixels_in_shadow;
  std::vector<Shoebox> shoeboxes;         ///< of the last stage, image by image
  std::optional<FoundSpots> found_spots;  ///< with free intensities
  std::vector<std::string> warnings;      ///< what the numbers do not say, one sentence each
  bool stopped = false;                   ///< by the progress callback; the numbers are the latest
  RefineState state;
};

/// Throws UsageError for options that contradict each other, whatever model and image are; refine()
/// asks, too.
void check_options(const RefineOptions& options);

/// One experiment for each image, as Series has them or any others.  Throws UsageError for a
/// parameter, bound or restraint that there is not, for shared numbers that do not start alike and,
/// where intensities are free or structure factors are refined, for images of several tables;
/// InputError for an image that does not fit the panels or shows no spots; and what simulate()
/// throws.
Refinement refine(std::span<const Experiment> starts, std::span<const Measurement> measurements,
                  const RefineOptions& options);
/// Of one image.
inline Refinement refine(const Experiment& start, const Measurement& measurement,
                         const RefineOptions& options) {
  return refine(std::span(&start, 1), std::span(&measurement, 1), options);
}

}  // namespace nablabragg
