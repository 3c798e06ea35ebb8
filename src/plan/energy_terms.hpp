// |F|^2 of rays of several energies.  It is quadratic in f' and f'', so that its mean over a
// channel is a sum of products: coefficients of a reflection times moments of f' and f'' over the
// channel (docs/anomalous.md).
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>
#include "nablabragg/structure_factors.hpp"

namespace nablabragg {

struct DispersionCurve;

/// F^2 of each reflection for each ray: sum over k of what the reflection has times what the ray
/// has.  As few products as the rays tell apart.
struct LightTerms {
  int terms = 0;
  /// `terms` of each reflection, and then of what the table does not hold [electrons^2]
  std::vector<double> of_reflections;
  std::vector<double> of_rays;  ///< `terms` of each ray
};

/// The energies that a ray stands for: as far as half way to its neighbours.
struct EnergyChannel {
  double energy_eV, low_eV, high_eV;
};

/// Half a channel is no wider; rays that are farther apart are lines of a spectrum.
inline constexpr double most_half_channel_eV = 10;

/// Of energies that increase.
std::vector<EnergyChannel> channels_of(std::span<const double> energies_eV);

/// How many coefficients |F|^2 has for some species: (1 + species)^2.
constexpr std::size_t terms_of(std::size_t species) { return (1 + species) * (1 + species); }

/// The means over a channel of what |F|^2 depends on: 1; f', f'' of each species; |f|^2 of each;
/// real and imaginary part of conj(f) times another f for each pair.
std::vector<double> channel_moments(std::span<const DispersionCurve* const> curves,
                                    const EnergyChannel& channel);

/// A node of a curve of which a channel has a part, and d(moment)/d(f', f'') there.
struct MomentSlope {
  std::size_t species, row, moment;
  double f_prime, f_double_prime;
};
std::vector<MomentSlope> moment_slopes(std::span<const DispersionCurve* const> curves,
                                       const EnergyChannel& channel);

/// What F depends on in the light of a plan.  Rays of one energy make a group.
struct EnergyTerms {
  /// `grid` follows the energy.  Throws UsageError for an energy that a curve does not reach.
  EnergyTerms(std::shared_ptr<const StructureFactorGrid> grid, double default_F,
              std::span<const double> wavenumbers_per_m, std::span<const double> weights);

  std::size_t groups() const { return channels.size(); }
  std::size_t moments_of_group() const { return terms_of(species_); }

  std::shared_ptr<const StructureFactorGrid> of;  ///< that follows the energy
  std::vector<EnergyChannel> channels;            ///< of the groups
  std::vector<std::size_t> group_of_ray;
  std::vector<double> moments;  ///< of each group

  /// |F| of a group of rays, made when it is asked for.
  StructureFactorGrid amplitudes(std::size_t group) const;
  /// The root mean square of |F| in all of the light.
  const std::shared_ptr<const StructureFactorGrid>& mean_amplitudes() const { return mean_; }
  /// Made when they are first asked for.
  const LightTerms& light_terms() const;
  /// From the derivative with respect to amplitudes(group), which are given, to that with respect
  /// to the moments of the group.
  std::vector<double> pull_back(const StructureFactorGrid& amplitudes,
                                const StructureFactorGrid& adjoint) const;
  /// The change of amplitudes(group), which are given, along a change of the moments.
  StructureFactorGrid push_forward(const StructureFactorGrid& amplitudes,
                                   std::span<const double> change) const;
  /// d(moments of each group)/d(energy of the ray of each group) times a change of the energies.
  std::vector<double> moments_along(std::span<const double> energies_eV) const;
  /// The way back: from adjoints of the moments to those of the energies of the groups.
  std::vector<double> energies_from(std::span<const double> adjoints) const;

 private:
  StructureFactorGrid amplitudes_of(std::span<const double> moments) const;
  template <class Work>
  void for_each_reflection(Work&& work) const;
  std::vector<const DispersionCurve*> curves() const;
  template <class Work>
  void for_each_energy_slope(Work&& work) const;

  std::size_t species_;
  double default_F_;
  std::vector<double> weights_;  ///< of the groups, their sum is 1
  std::shared_ptr<const StructureFactorGrid> mean_;
  mutable std::once_flag once_;
  mutable LightTerms light_;
};

/// For a plan; the last ones are kept, as images of a series ask for the same.
std::shared_ptr<const EnergyTerms> energy_terms_of(
    const std::shared_ptr<const StructureFactorGrid>& grid, double default_F,
    std::span<const double> wavenumbers_per_m, std::span<const double> weights);

}  // namespace nablabragg
