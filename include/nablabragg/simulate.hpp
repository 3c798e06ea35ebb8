// Experiment -> image.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/image.hpp"
#include "nablabragg/predicted_spots.hpp"  // for PredictedSpot
#include "nablabragg/resolved.hpp"

namespace nablabragg {

enum class Engine {
  reference,  ///< double precision, plain loops: what the others are tested against
  cpu,        ///< SIMD lanes and tiles
  cuda,       ///< a GPU, where the plugin for it was built
  automatic   ///< a GPU where one is at hand, can do it and is faster; otherwise cpu
};

enum class Precision {
  float32,  ///< mixed: phases in double or relative to a nearby anchor, shapes in single
  float64   ///< double throughout
};

/// The smallest number that a float32 image can hold at full precision [photons].
inline constexpr double default_skip_below = std::numeric_limits<float>::min();
/// In closed form tails are most of the pixels: of a Gaussian they go on to 13 standard deviations
/// before a float is zero [photons].
inline constexpr double default_skip_below_closed = 1e-6;

/// What one thread did between two moments: a part of the pixels.
struct WorkSpan {
  std::chrono::steady_clock::time_point begin, end;
  std::int64_t steps = 0;    ///< sub-pixel x layer x ray x orientation, of the pixels in this part
  std::int64_t skipped = 0;  ///< those of them that were known to be dark and not evaluated
};

struct ComputeOptions {
  int threads = 0;  ///< 0: as many as the machine has; the image does not depend on it
  /// Called now and then, by any thread and one at a time, with the share of the work that is
  /// done; return false to stop.
  std::function<bool(double share)> progress = {};
  Engine engine = Engine::cpu;
  Precision precision = Precision::float32;  ///< of the cpu and cuda engines
  int device = 0;                            ///< which GPU, of the cuda engine
  /// Steps that together add less than this to a pixel [photons] may be left out; 0: none are.
  /// Empty: default_skip_below, in closed form default_skip_below_closed.
  std::optional<double> skip_below = {};
  /// Called by the working threads, each for its own work.
  std::function<void(const WorkSpan&)> on_work = {};
};

/// Which code computed the image.
struct EngineUsed {
  std::string kernel;                   ///< "square, nearest, anchored float32", "reference"
  std::string reason;                   ///< why this one
  std::string instruction_set;          ///< "AVX-512", "AVX2", "SSE4", "scalar"; empty: plain code
  std::string device;                   ///< the GPU, by its name; empty: none
  std::int64_t steps = 0, skipped = 0;  ///< as in WorkSpan, of the whole image; a GPU counts none
                                        ///< as skipped
  double device_seconds = 0;            ///< that the GPU's kernels took, by its own clock
};

/// Of the rendered pixels.
struct Statistics {
  double max = 0;                    ///< [photons]
  int max_fast = -1, max_slow = -1;  ///< first pixel that holds it; -1: no positive pixel
  int max_panel = 0;
  double max_fast_m = 0, max_slow_m = 0;  ///< its last sub-pixel on the panel [m]
  double sum = 0, mean = 0, rms = 0;
  double rmsd = 0;  ///< about the mean
  std::int64_t pixels = 0;
  double solid_angle_sr = 0;
};

/// The first lookup, in raster order, whose tricubic neighbourhood is not in the table.
struct TableMiss {
  int fast = 0, slow = 0;
  int panel = 0;
  std::int64_t lookup = 0;  ///< how many lookups of that pixel came before it
};

struct Simulation {
  Image image;
  Statistics statistics;
  Resolved resolved;
  double seconds = 0;  ///< in the engine
  EngineUsed engine;
  std::optional<TableMiss> table_miss;
  std::vector<std::string> warnings;  ///< what was decided for the user, one sentence each
  /// Of the warnings those on an image that holds NaN or infinity, and on one that is 0 everywhere.
  std::string not_finite, dark;
};

/// One of the engines that this program has.
struct EngineInfo {
  Engine engine;
  std::string name;  ///< as -engine takes it
  std::string description;
  std::string why_not_here;  ///< why it does not run on this machine; empty: it does
};
std::vector<EngineInfo> engines();

/// Sets engine and device as -device and Python's `device` name them: the name of one of engines(),
/// "cuda:1" for the second GPU and so on, "auto" for Engine::automatic.  False: it is none of them.
bool choose_engine(const std::string& name, ComputeOptions& options);

/// Starts the GPU that the options ask for, if any, which takes a quarter of a second: while inputs
/// are read.  Throws UsageError where there is none.
void start_device(const ComputeOptions& options);

/// Why the engine that the options name cannot compute the experiment, as a sentence; empty: it
/// can. Throws UsageError for a description of no experiment.
std::string why_not(const Experiment& experiment, const ComputeOptions& options = {});

/// Throws UsageError for a description of no experiment, Cancelled when progress returned false.
Simulation simulate(const Experiment& experiment, const ComputeOptions& options = {});

/// Photons of some pixels, one value for each, in their order; the region of interest and the mask
/// do not matter.  In time in proportion to their number (but nanoBragg's interpolation cutoff,
/// Q-20, asks for a look at all of the panel).  Throws UsageError as simulate() does, and for a
/// pixel that is on no panel.
std::vector<float> simulate_pixels(const Experiment& experiment, std::span<const PixelIndex> pixels,
                                   const ComputeOptions& options = {});

/// An image as a counting detector records it.
struct CountedImage {
  /// Panel by panel; where nothing is counted, masked_pixel or gap_pixel.
  std::vector<std::int32_t> counts;
  std::int64_t saturated = 0;  ///< pixels that would hold more than they can
};

/// Photons drawn at random about those of the image, which is of this experiment, times the gain of
/// their panel; no more than its saturation.  The same `seed` gives the same counts.
CountedImage count_photons(const Experiment& experiment, const Image& image, std::int64_t seed);

/// The reflections that an image of this experiment shows: those that are predicted for its
/// geometry, with the photons of the pixels that are nearer to them than to others, at most four
/// pixels away.  What is not the lattice's (water) should not be in the image.
std::vector<PredictedSpot> true_spots(const SettledExperiment& experiment, const Image& image);

/// A sentence on the pixels that are NaN or infinite: how many, the first of them, and what may
/// have led to it; empty where all are finite.  `photons` are those of all pixels, in the order of
/// the image, or of `pixels`.  Simulation::warnings has it.
std::string not_finite_warning(const Experiment& experiment, std::span<const float> photons,
                               std::span<const PixelIndex> pixels = {});
std::string not_finite_warning(const Experiment& experiment, std::span<const double> photons,
                               std::span<const PixelIndex> pixels = {});

/// Why all pixels of the image are 0, as a sentence; empty where one is not.
/// Simulation::warnings has it.
std::string dark_warning(const Experiment& experiment, std::span<const float> photons);
std::string dark_warning(const Experiment& experiment, std::span<const double> photons);

}  // namespace nablabragg
