#include "nablabragg/pixel_truth.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "api/cost.hpp"
#include "engine/diffuse.hpp"
#include "engine/engine.hpp"
#include "engine/lattices.hpp"
#include "model/resolution.hpp"
#include "model/resolve.hpp"  // for alone
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg {

namespace {

std::vector<double> light_of(const Plan& plan, const ComputeOptions& options) {
  std::vector<double> photons(plan.pixels());
  engine::load(plan, options)->render({}, std::span(photons));
  return photons;
}

Plan plan_of(const Experiment& e) { return make_plan(e, resolve(e)); }

/// The crystal scatters nothing.
Experiment without_lattice(Experiment e) {
  e.structure_factors = {};
  e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
  return e;
}

/// With those reflections alone that `keep` takes, by their place in the table.
template <class Keep>
std::shared_ptr<const StructureFactorGrid> some_of(const StructureFactorGrid& all, Keep&& keep) {
  auto some = std::make_shared<StructureFactorGrid>(all);
  std::shared_ptr<AnomalousFactors> by_energy;
  if (all.anomalous()) by_energy = std::make_shared<AnomalousFactors>(*all.anomalous());
  for (std::size_t place = 0; place < some->values().size(); ++place) {
    if (keep(place)) continue;
    some->values()[place] = 0;
    if (!by_energy) continue;
    by_energy->F0[place] = 0;
    for (AnomalousSpecies& species : by_energy->species) species.G[place] = 0;
  }
  some->set_anomalous(by_energy);
  return some;
}

/// F of every reflection that the detector may see; where F follows the energy, of the table alone.
std::shared_ptr<const StructureFactorGrid> all_factors(const Experiment& e, const Resolved& r) {
  const auto& given = e.structure_factors.grid;
  if (given && (e.structure_factors.default_F == 0 || given->anomalous())) return given;
  // Domains that are turned, or have cells of their own, see a bit more
  constexpr int more = 3;
  const double q_per_A = 1e-10 * model::largest_q(r);
  const auto& axes = r.axes.real_A;
  MillerIndex most{};
  for (std::size_t i = 0; i < 3; ++i)
    most[i] = static_cast<int>(
                  std::ceil(1.05 * q_per_A * length(std::array{axes.a, axes.b, axes.c}[i]))) +
              more;
  MillerIndex least{-most[0], -most[1], -most[2]};
  for (std::size_t i = 0; given && i < 3; ++i) {
    least[i] = std::min(least[i], given->min()[i]);
    most[i] = std::max(most[i], given->max()[i]);
  }
  auto all = std::make_shared<StructureFactorGrid>(least, most, e.structure_factors.default_F);
  if (!given) return all;
  for (int h = given->min()[0]; h <= given->max()[0]; ++h)
    for (int k = given->min()[1]; k <= given->max()[1]; ++k)
      for (int l = given->min()[2]; l <= given->max()[2]; ++l)
        all->at(h, k, l) = given->at(h, k, l);
  return all;
}

/// Binary words of reflections, by their place in a table: its digits, then check digits by which a
/// word that several reflections have put together gives itself away.
class Words {
 public:
  explicit Words(std::size_t places) : digits_(static_cast<int>(std::bit_width(places))) {}
  int length() const { return digits_ + check_digits; }
  std::uint64_t of(std::size_t place) const {
    const std::uint64_t number = place + 1;  // 0 is the word of no light
    return number | (check(number) << digits_);
  }
  /// Whether it is a reflection's, and then which.
  bool decode(std::uint64_t word, std::size_t places, std::size_t& place) const {
    const std::uint64_t number = word & ((std::uint64_t{1} << digits_) - 1);
    if (number == 0 || number > places || word != of(number - 1)) return false;
    place = number - 1;
    return true;
  }

 private:
  static constexpr int check_digits = 12;
  /// Some digits of a product with an odd number, which mixes all digits into the upper ones.
  static std::uint64_t check(std::uint64_t number) {
    return (number * 0x9e3779b97f4a7c15U) >> (64 - check_digits);
  }
  int digits_;
};

MillerIndex index_at(const StructureFactorGrid& grid, std::size_t place) {
  const auto along_l = static_cast<std::size_t>(grid.extent(2)),
             along_k = static_cast<std::size_t>(grid.extent(1));
  return {grid.min()[0] + static_cast<int>(place / along_l / along_k),
          grid.min()[1] + static_cast<int>(place / along_l % along_k),
          grid.min()[2] + static_cast<int>(place % along_l)};
}

/// A crystal without the others in the beam.
struct LoneCrystal {
  Experiment experiment;
  double weight = 1;  ///< a factor on its photons
};

std::vector<LoneCrystal> lone_crystals(const Experiment& e, const Resolved& resolved) {
  std::vector<LoneCrystal> all{{e}};
  all[0].experiment.more_crystals.clear();
  for (const FurtherCrystal& further : e.more_crystals)
    all.push_back({model::alone(e, resolved, further), further.weight});
  return all;
}

/// `lattice`: the light of all reflections.  Those of the second crystal are numbered behind those
/// of the first, and so on.
void find_reflections(const Experiment& lattice_alone, const Resolved& resolved,
                      std::span<const double> lattice, const ComputeOptions& options,
                      PixelTruth& truth) {
  const auto factors = all_factors(lattice_alone, resolved);
  const std::size_t places = factors->values().size();
  std::vector<LoneCrystal> crystals = lone_crystals(lattice_alone, resolved);
  const std::size_t reflections = crystals.size() * places;
  const Words words(reflections);
  std::vector<std::uint64_t> found(lattice.size());
  for (int digit = 0; digit < words.length(); ++digit) {
    std::vector<double> light(lattice.size());
    for (std::size_t crystal = 0; crystal < crystals.size(); ++crystal) {
      auto& [experiment, weight] = crystals[crystal];
      experiment.structure_factors.default_F = 0;
      experiment.structure_factors.grid = some_of(*factors, [&, crystal](std::size_t place) {
        return ((words.of(crystal * places + place) >> digit) & 1U) != 0;
      });
      const std::vector<double> own = photons_of_spots(experiment, options);
      for (std::size_t i = 0; i < light.size(); ++i) light[i] += weight * own[i];
    }
    for (std::size_t i = 0; i < light.size(); ++i)
      if (2 * light[i] > lattice[i]) found[i] |= std::uint64_t{1} << digit;
  }
  truth.hkl.resize(lattice.size());
  truth.has_hkl.resize(lattice.size());
  if (crystals.size() > 1) truth.crystal.resize(lattice.size());
  for (std::size_t i = 0; i < lattice.size(); ++i) {
    std::size_t place = 0;
    if (!(lattice[i] > 0) || !words.decode(found[i], reflections, place)) continue;
    truth.hkl[i] = index_at(*factors, place % places);
    truth.has_hkl[i] = 1;
    if (crystals.size() > 1) truth.crystal[i] = static_cast<std::int32_t>(place / places);
  }
}

}  // namespace

std::vector<double> photons_of_spots(const Experiment& experiment, const ComputeOptions& options) {
  const Plan plan = plan_of(without_background(experiment));
  std::vector<double> photons(plan.pixels());
  for (std::size_t lattice = 0; lattice <= plan.more_lattices.size(); ++lattice) {
    engine::SplitPlan split(engine::plan_of_lattice(plan, lattice));
    split.spots.beamstop = plan.beamstop;
    const std::vector<double> own = light_of(split.spots, options);
    std::ranges::transform(photons, own, photons.begin(), std::plus());
  }
  return photons;
}

PixelTruth pixel_truth(const Experiment& experiment, const ComputeOptions& options) {
  if (!(experiment.quirks == Quirks::corrected()))
    throw UsageError("what the light of a pixel is made of is told with -corrected alone");
  const Resolved resolved = resolve(experiment);
  const Plan plan = make_plan(experiment, resolved);
  check_cost(experiment, resolved, plan, {}, options);
  Experiment settled = experiment;  // with fewer reflections no choice is another one
  if (!resolved.closed) settled.sampling.oversample = resolved.oversample;
  settled.sampling.summation = resolved.closed ? Summation::closed : Summation::sampled;

  PixelTruth truth;
  for (const PlanPanel& panel : plan.panels)
    truth.panels.push_back({panel.frame.fast_pixels, panel.frame.slow_pixels});
  Experiment lattice_alone = without_background(settled);
  lattice_alone.structure_factors.interpolation = resolved.tricubic ? Interpolation::tricubic
                                                                    : Interpolation::nearest;
  truth.parts.push_back({"lattice", photons_of_spots(lattice_alone, options)});
  if (plan.diffuse.present) {
    std::vector<double> diffuse = light_of(plan_of(lattice_alone), options);
    for (std::size_t i = 0; i < diffuse.size(); ++i) diffuse[i] -= truth.parts[0].photons[i];
    truth.parts.push_back({"diffuse", std::move(diffuse)});
  }
  const Experiment dark = without_lattice(settled);
  if (dark.water_um != 0) {
    Experiment water = dark;
    water.materials.clear();
    water.beamstop.ring_share = 0;
    truth.parts.push_back({"water", light_of(plan_of(water), options)});
  }
  for (const Material& material : dark.materials) {
    Experiment alone = without_background(dark);
    alone.materials = {material};
    truth.parts.push_back({material.name, light_of(plan_of(alone), options)});
  }
  if (dark.beamstop.ring_share != 0) {
    Experiment ring = dark;
    ring.water_um = 0;
    ring.materials.clear();
    truth.parts.push_back({beamstop_ring_name, light_of(plan_of(ring), options)});
  }
  if (!resolved.tricubic)
    find_reflections(lattice_alone, resolved, truth.parts.front().photons, options, truth);
  return truth;
}

}  // namespace nablabragg
