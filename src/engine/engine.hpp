// Plan -> pixels and their derivatives.  An engine knows no flags, no files and no units.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "engine/diffuse.hpp"
#include "engine/kept_background.hpp"
#include "nablabragg/device_image.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions, TableMiss
#include "physics/photon_counter.hpp"
#include "plan/panel_region.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// Which pixels a call is about, and in which order its values are: those of all panels, each at
/// its place in the index space of the plan, or some, wherever regions of interest and masks are.
struct Pixels {
  bool all = true;
  std::span<const PixelIndex> list;

  Pixels() = default;
  explicit Pixels(std::span<const PixelIndex> some) : all(false), list(some) {}
};

struct Report {
  std::vector<double> solid_angle_sums;  ///< of each panel, over visited pixels, layers and
                                         ///< sub-pixels [sr]
  std::optional<TableMiss> miss;         ///< the first one
  EngineUsed used;
  /// Of all pixels: values were written in these regions alone, which do not overlap and are in the
  /// order of panels, rows and columns; empty: they may have been written anywhere.
  std::optional<std::vector<PanelRegion>> written;
};

/// How photons become counts.
struct CountRule {
  std::uint64_t key = 0;  ///< of the Poisson deviates (physics/poisson.hpp), keyed by pixel
  std::vector<physics::PhotonCounter> panels;
};

/// Counts that were drawn where the light was computed.
struct CountReport {
  Report report;
  std::int64_t saturated = 0;  ///< pixels that would hold more than they can
};

/// Of sum(weights x photons): the value, and its derivative with respect to every number of the
/// plan.
struct PlanGradient {
  double value = 0;
  Plan adjoint;  ///< each number is the derivative with respect to that number of the plan
  /// With respect to F; empty without a table and where rays have several.
  std::shared_ptr<StructureFactorGrid> table;
  /// Where F follows the energy: with respect to EnergyTerms::moments.
  std::vector<double> moments;
};

/// A plan in the hands of an engine, with all that it prepares beforehand.  Results have the same
/// bits for any number of threads.  All throw Cancelled when progress returned false.
class Loaded {
 public:
  virtual ~Loaded() = default;
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  /// Of the spots, without what is added to them.
  const Plan& plan() const { return plan_; }

  /// Of all pixels: `values` are zero on entry; those that no panel wants are left as they are.
  Report render(const Pixels& pixels, std::span<float> values) { return rendered(pixels, values); }
  Report render(const Pixels& pixels, std::span<double> values) { return rendered(pixels, values); }

  /// Of all pixels: the counts that the rule draws about what render() gives in single precision,
  /// so that these alone leave the device; where nothing is counted, masked_pixel or gap_pixel.
  /// Empty, whatever the counts then hold: to be drawn from the image, by engines that draw none,
  /// of an image that is dark and of one that has pixels which are NaN, infinite or too bright.
  std::optional<CountReport> count(const CountRule& rule, std::vector<std::int32_t>& counts) {
    if (diffuse_.present()) return std::nullopt;
    return count_spots(rule, counts);
  }

  /// What render() gives of all pixels, in the memory of the device; empty: where there is none,
  /// and where this light is completed outside of it.
  std::optional<DeviceImage> render_on_device(bool in_double) {
    if (diffuse_.present()) return std::nullopt;
    return render_spots_on_device(in_double);
  }

  /// One weight for each pixel.  The plan must have no factor that multiplies a running sum.  Where
  /// a weight that counts is NaN or infinite, all of the gradient is NaN: dark pixels, which an
  /// engine passes over, do not make it zero.
  PlanGradient pull_back(const Pixels& pixels, std::span<const double> weights);

  /// The photons of pixels, and their change along each tangent of the plan: slopes has a row of as
  /// many numbers as there are tangents for each pixel.  `table_tangent`, which may be null,
  /// belongs to the last tangent.  `photons` and `slopes` are zero on entry.  Along a tangent that
  /// holds NaN or infinity every slope is NaN.
  void push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, std::span<double> photons,
                    std::span<double> slopes);

  /// The light of another plan, as a shot has its own; scale and background follow its fluence.
  void set_light(const Plan& of) {
    plan_.light = of.light;
    plan_.spread = of.spread;
    plan_.scale = of.scale;
    plan_.more_lattices = of.more_lattices;
    plan_.background = of.background;
    plan_.materials = of.materials;
    const auto table = plan_.lattice.grid;
    plan_.lattice.grid = of.lattice.grid;
    plan_.lattice.by_energy = of.lattice.by_energy;
    if (of.diffuse.present) take_diffuse(of);
    background_ = std::make_shared<KeptBackground>();
    keeps_background_ = false;
    forget_light();
    if (plan_.lattice.grid != table) forget_lattice(false);
  }
  /// The lattice of another plan, as an image of a sweep has its own; the scale follows the number
  /// of its orientations.
  void set_lattice(const Plan& of) {
    const auto table = plan_.lattice.grid;
    const double default_F = plan_.lattice.default_F;
    plan_.lattice = of.lattice;
    plan_.spread = of.spread;
    plan_.scale = of.scale;
    plan_.more_lattices = of.more_lattices;
    take_diffuse(of);
    keeps_background_ = true;
    forget_lattice(plan_.lattice.grid == table && plan_.lattice.default_F == default_F);
  }
  /// From `other`, of the same light and panels: the background that both keep from one lattice to
  /// the next is in memory once.
  void share_background(const Loaded& other) { background_ = other.background_; }

 protected:
  /// Whose diffuse scattering is added behind what render_spots() and the others compute: here, or
  /// by each of the parts that these are put together from, whose plans then have it.
  enum class DiffuseLight { added_here, of_parts };
  Loaded(Plan plan, ComputeOptions options, DiffuseLight diffuse_light = DiffuseLight::added_here)
      : plan_(std::move(plan)), options_(std::move(options)), diffuse_light_(diffuse_light) {
    split_diffuse();
  }
  /// Without diffuse scattering, as all that follows.
  virtual Report render_spots(const Pixels& pixels, std::span<float> values) = 0;
  virtual Report render_spots(const Pixels& pixels, std::span<double> values) = 0;
  virtual std::optional<CountReport> count_spots(const CountRule&, std::vector<std::int32_t>&) {
    return std::nullopt;
  }
  virtual std::optional<DeviceImage> render_spots_on_device(bool) { return std::nullopt; }
  /// For finite weights and tangents.
  virtual PlanGradient pull_back_finite(const Pixels& pixels, std::span<const double> weights) = 0;
  virtual void push_forward_finite(const Pixels& pixels, std::span<const Plan* const> tangents,
                                   const StructureFactorGrid* table_tangent,
                                   std::span<double> photons, std::span<double> slopes) = 0;
  virtual void forget_light() = 0;
  virtual void forget_lattice(bool same_table) = 0;
  /// Null where the image is the only one, so far.
  KeptBackground* kept_background() const {
    return keeps_background_ ? background_.get() : nullptr;
  }

  Plan plan_;
  const ComputeOptions options_;

 private:
  template <class Number>
  Report rendered(const Pixels& pixels, std::span<Number> values) {
    Report report = render_spots(pixels, values);
    if (!diffuse_.present()) return report;
    diffuse_.add_photons(plan_, pixels, options_, values);
    report.written.reset();
    if (const std::string how = diffuse_.how(plan_); !how.empty())
      report.used.reason += (report.used.reason.empty() ? "" : "; ") + how;
    return report;
  }
  void push_forward_spots(const Pixels& pixels, std::span<const Plan* const> tangents,
                          const StructureFactorGrid* table_tangent, std::span<double> photons,
                          std::span<double> slopes);
  /// Of another plan, with the table that the user gave.
  void take_diffuse(const Plan& of) {
    plan_.lattice.grid = of.lattice.grid;
    plan_.lattice.default_F = of.lattice.default_F;
    plan_.diffuse = of.diffuse;
    split_diffuse();
  }
  void split_diffuse() {
    if (diffuse_light_ == DiffuseLight::added_here) diffuse_.take_from(plan_);
  }

  const DiffuseLight diffuse_light_;
  Diffuse diffuse_;
  std::shared_ptr<KeptBackground> background_ = std::make_shared<KeptBackground>();
  bool keeps_background_ = false;
};

/// Who computes.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual nablabragg::Engine id() const = 0;
  virtual const char* name() const = 0;
  virtual const char* description() const = 0;
  /// Why it does not run on this machine, as a sentence; empty: it does.
  virtual std::string why_not_here() const = 0;
  /// Why it cannot compute such a plan here; empty: it can.
  virtual std::string why_not(const Plan& plan, const ComputeOptions& options) const = 0;
  /// Why it has no derivatives of such a plan; empty: it has.
  virtual std::string why_no_gradients(const Plan&) const { return {}; }
  /// Whether its images take rays of several F as they are; else it is given the rays of one F at a
  /// time (by_energy.hpp).
  virtual bool takes_several_F(const Plan&, const ComputeOptions&) const { return false; }
  /// Throws UsageError with why_not_here().
  virtual std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options) const = 0;

 protected:
  Engine() = default;
  Engine(const Engine&) = default;
};

/// What is asked of an engine.
enum class Use { images, gradients };

/// All that this program has.
std::span<const Engine* const> engines();
/// The one that the options name, or the one to take for such a plan.
const Engine& engine_of(const Plan& plan, const ComputeOptions& options, Use use = Use::images);

const Engine& reference_engine();  ///< double precision and plain loops
const Engine& cpu_engine();        ///< SIMD lanes and tiles, in the precision that is asked for
const Engine& cuda_engine();       ///< a GPU, in the precision that is asked for

/// The plan in the hands of the engine that the options name; throws UsageError, saying why not.
std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options,
                             Use use = Use::images);

/// The same of an engine that can compute it: light of several lattices and rays of several F are
/// put together from what it computes, and dimmed by a beamstop.
std::unique_ptr<Loaded> load_with(const Engine& engine, const Plan& plan,
                                  const ComputeOptions& options);

/// Whether what is loaded of one plan may be given light and lattice of the other: whether load()
/// goes the same way for both.  Their panels and rules are taken for the same.
bool may_follow(const Plan& a, const Plan& b);

/// What a build without NABLA_GRADIENTS answers.
[[noreturn]] void throw_no_gradients();

/// What NABLABRAGG_TARGET may name on this machine, best first: avx512, avx2, sse4, scalar.
std::vector<std::string> instruction_sets();

/// Sub-pixels x layers x rays x orientations of all lattices.
inline std::int64_t steps_of_pixel(const Plan& plan, const PlanPanel& panel) {
  std::size_t orientations = plan.lattice.orientations.size();
  for (const auto& further : plan.more_lattices)
    orientations += further.lattice.orientations.size();
  return static_cast<std::int64_t>(plan.light.rays.size() * orientations) * plan.oversample *
         plan.oversample * panel.sensor.layers;
}

}  // namespace nablabragg::engine
