#include "plan/energy_terms.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>

#include "memory/shared_table.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace {

using Complex = std::complex<double>;

/// What |F|^2 has for each moment of channel_moments(), in their order.
template <class GOf>
void add_coefficients(const Complex& F0, std::size_t species, GOf&& G, double* to) {
  *to++ = std::norm(F0);
  for (std::size_t s = 0; s < species; ++s) {
    const Complex product = std::conj(F0) * G(s);
    *to++ = 2 * product.real();
    *to++ = -2 * product.imag();
  }
  for (std::size_t s = 0; s < species; ++s) *to++ = std::norm(G(s));
  for (std::size_t s = 0; s < species; ++s)
    for (std::size_t t = s + 1; t < species; ++t) {
      const Complex product = std::conj(G(s)) * G(t);
      *to++ = 2 * product.real();
      *to++ = -2 * product.imag();
    }
}

/// The moments of one f of each species, added to `to`, times a weight.
void add_moments(std::span<const Complex> f, double weight, double* to) {
  *to++ += weight;
  for (const Complex& x : f) {
    *to++ += weight * x.real();
    *to++ += weight * x.imag();
  }
  for (const Complex& x : f) *to++ += weight * std::norm(x);
  for (std::size_t s = 0; s < f.size(); ++s)
    for (std::size_t t = s + 1; t < f.size(); ++t) {
      const Complex product = std::conj(f[s]) * f[t];
      *to++ += weight * product.real();
      *to++ += weight * product.imag();
    }
}

/// Where an energy is among the rows of a curve: between `row` and the next one.
struct PlaceInCurve {
  std::size_t row;
  double share;  ///< of the next one
};
PlaceInCurve place_in(const DispersionCurve& curve, double energy_eV) {
  const auto& rows = curve.energy_eV;
  if (rows.size() == 1) return {0, 0};
  const auto above = std::upper_bound(rows.begin() + 1, rows.end() - 1, energy_eV);
  const auto row = static_cast<std::size_t>(above - rows.begin()) - 1;
  return {row, (energy_eV - rows[row]) / (rows[row + 1] - rows[row])};
}
Complex value_in(const DispersionCurve& curve, double energy_eV) {
  const auto [row, share] = place_in(curve, energy_eV);
  const Complex here(curve.f_prime[row], curve.f_double_prime[row]);
  if (share == 0) return here;
  const Complex next(curve.f_prime[row + 1], curve.f_double_prime[row + 1]);
  return here + share * (next - here);
}

struct Point {
  double energy_eV, weight;
};
/// Points at which the mean of what is quadratic between the rows is exact: two of Gauss and
/// Legendre on each stretch without a row.
std::vector<Point> points_of(std::span<const DispersionCurve* const> curves,
                             const EnergyChannel& channel) {
  if (!(channel.high_eV > channel.low_eV)) return {{channel.energy_eV, 1}};
  std::vector<double> ends{channel.low_eV, channel.high_eV};
  for (const DispersionCurve* curve : curves) {
    const auto& rows = curve->energy_eV;
    ends.insert(ends.end(), std::upper_bound(rows.begin(), rows.end(), channel.low_eV),
                std::lower_bound(rows.begin(), rows.end(), channel.high_eV));
  }
  std::sort(ends.begin(), ends.end());
  std::vector<Point> points;
  for (std::size_t i = 1; i < ends.size(); ++i) {
    const double width = ends[i] - ends[i - 1], middle = 0.5 * (ends[i] + ends[i - 1]);
    if (!(width > 0)) continue;
    const double weight = 0.5 * width / (channel.high_eV - channel.low_eV),
                 off = 0.5 * width / std::sqrt(3.0);
    points.push_back({middle - off, weight});
    points.push_back({middle + off, weight});
  }
  return points;
}

std::vector<Complex> values_in(std::span<const DispersionCurve* const> curves, double energy_eV) {
  std::vector<Complex> f;
  for (const DispersionCurve* curve : curves) f.push_back(value_in(*curve, energy_eV));
  return f;
}

/// FNV-1a of what a table was made of.
std::uint64_t key_of(std::span<const double> numbers) {
  std::uint64_t key = 0xcbf29ce484222325;
  for (const std::byte byte : std::as_bytes(numbers))
    key = (key ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return key;
}

/// The table that `make` makes of `of` and `from`; where several processes have `of` in common they
/// have it, too.
template <class Make>
std::shared_ptr<const StructureFactorGrid> in_common(const StructureFactorGrid& of,
                                                     std::span<const double> from, Make&& make) {
  if (of.shared())
    if (auto table = of.shared()->derived(key_of(from), [&] {
          StructureFactorGrid made = make();
          return std::move(made.values());
        })) {
      StructureFactorGrid grid = of.in(std::move(table));
      grid.set_anomalous(nullptr);
      return std::make_shared<const StructureFactorGrid>(std::move(grid));
    }
  return std::make_shared<const StructureFactorGrid>(make());
}

std::vector<double> moments_at(std::span<const DispersionCurve* const> curves, double energy_eV) {
  std::vector<double> moments(terms_of(curves.size()));
  add_moments(values_in(curves, energy_eV), 1, moments.data());
  return moments;
}

}  // namespace

std::complex<double> dispersion_at(const DispersionCurve& curve, double energy_eV) {
  const auto& rows = curve.energy_eV;
  if (!(energy_eV >= rows.front() && energy_eV <= rows.back()))
    throw UsageError("f' and f'' of " + curve.element + " are known from " +
                     std::to_string(std::llround(std::ceil(rows.front()))) + " to " +
                     std::to_string(std::llround(std::floor(rows.back()))) +
                     " eV, and the light reaches " + std::to_string(std::llround(energy_eV)) +
                     " eV; a table (-anomalous " + curve.element +
                     " FILE) can go as far, and -noanomalous leaves them out");
  return value_in(curve, energy_eV);
}

StructureFactorGrid amplitudes_at(const StructureFactorGrid& grid, double energy_eV) {
  if (!grid.anomalous())
    throw UsageError("these structure factors do not follow the energy of the light");
  const double per_m = energy_eV / (1e-10 * units::ev_angstrom), weight = 1;
  const std::shared_ptr<const StructureFactorGrid> unowned(std::shared_ptr<void>(), &grid);
  return EnergyTerms(unowned, 0, {&per_m, 1}, {&weight, 1}).amplitudes(0);
}

std::vector<EnergyChannel> channels_of(std::span<const double> energies_eV) {
  std::vector<EnergyChannel> channels;
  const std::size_t n = energies_eV.size();
  for (std::size_t i = 0; i < n; ++i) {
    const double here = energies_eV[i];
    const double below = i > 0 ? here - energies_eV[i - 1] : 0,
                 above = i + 1 < n ? energies_eV[i + 1] - here : 0;
    // The first and the last one reach as far to either side
    const auto half = [](double distance, double otherwise) {
      const double half_way = 0.5 * (distance > 0 ? distance : otherwise);
      return half_way <= most_half_channel_eV ? half_way : 0;
    };
    channels.push_back({here, here - half(below, above), here + half(above, below)});
  }
  return channels;
}

std::vector<double> channel_moments(std::span<const DispersionCurve* const> curves,
                                    const EnergyChannel& channel) {
  std::vector<double> moments(terms_of(curves.size()));
  for (const Point& point : points_of(curves, channel))
    add_moments(values_in(curves, point.energy_eV), point.weight, moments.data());
  return moments;
}

std::vector<MomentSlope> moment_slopes(std::span<const DispersionCurve* const> curves,
                                       const EnergyChannel& channel) {
  const std::size_t n = curves.size();
  std::vector<MomentSlope> slopes;
  for (const Point& point : points_of(curves, channel)) {
    const std::vector<Complex> f = values_in(curves, point.energy_eV);
    for (std::size_t s = 0; s < n; ++s) {
      const PlaceInCurve place = place_in(*curves[s], point.energy_eV);
      const std::size_t row = place.row;
      const double share = place.share;
      const auto add = [&](std::size_t moment, double by_real, double by_imaginary) {
        const double weight = point.weight;
        if (share != 1)
          slopes.push_back({s, row, moment, weight * (1 - share) * by_real,
                            weight * (1 - share) * by_imaginary});
        if (share != 0)
          slopes.push_back(
              {s, row + 1, moment, weight * share * by_real, weight * share * by_imaginary});
      };
      add(1 + 2 * s, 1, 0);
      add(2 + 2 * s, 0, 1);
      add(1 + 2 * n + s, 2 * f[s].real(), 2 * f[s].imag());
      std::size_t moment = 1 + 3 * n;
      for (std::size_t a = 0; a < n; ++a)
        for (std::size_t b = a + 1; b < n; ++b, moment += 2) {
          // conj(a) b
          if (a == s) {
            add(moment, f[b].real(), f[b].imag());
            add(moment + 1, f[b].imag(), -f[b].real());
          } else if (b == s) {
            add(moment, f[a].real(), f[a].imag());
            add(moment + 1, -f[a].imag(), f[a].real());
          }
        }
    }
  }
  return slopes;
}

std::vector<const DispersionCurve*> EnergyTerms::curves() const {
  std::vector<const DispersionCurve*> all;
  for (const AnomalousSpecies& species : of->anomalous()->species) all.push_back(&species.curve);
  return all;
}

EnergyTerms::EnergyTerms(std::shared_ptr<const StructureFactorGrid> grid, double default_F,
                         std::span<const double> wavenumbers_per_m, std::span<const double> weights)
    : of(std::move(grid)), species_(of->anomalous()->species.size()), default_F_(default_F) {
  const auto energy_of = [](double per_m) { return per_m * 1e-10 * units::ev_angstrom; };
  std::vector<double> energies;
  for (const double per_m : wavenumbers_per_m) energies.push_back(energy_of(per_m));
  std::sort(energies.begin(), energies.end());
  // Rays of one wavelength, whatever the last digit of its inverse is
  constexpr double alike = 1e-12;
  energies.erase(std::unique(energies.begin(), energies.end(),
                             [](double a, double b) { return b - a <= alike * a; }),
                 energies.end());
  channels = channels_of(energies);
  weights_.resize(channels.size());
  double total = 0;
  for (std::size_t i = 0; i < wavenumbers_per_m.size(); ++i) {
    const double energy = energy_of(wavenumbers_per_m[i]) * (1 + alike);
    const auto group = static_cast<std::size_t>(
        std::upper_bound(energies.begin(), energies.end(), energy) - energies.begin() - 1);
    group_of_ray.push_back(group);
    weights_[group] += std::abs(weights[i]);
    total += std::abs(weights[i]);
  }
  for (double& weight : weights_) weight = total > 0 ? weight / total : 1.0 / double(groups());
  const auto all = curves();
  for (const EnergyChannel& channel : channels) {
    for (const DispersionCurve* curve : all) {
      dispersion_at(*curve, channel.low_eV);
      dispersion_at(*curve, channel.high_eV);
    }
    const std::vector<double> of_channel = channel_moments(all, channel);
    moments.insert(moments.end(), of_channel.begin(), of_channel.end());
  }
  std::vector<double> mean(moments_of_group());
  for (std::size_t g = 0; g < groups(); ++g)
    for (std::size_t k = 0; k < mean.size(); ++k)
      mean[k] += weights_[g] * moments[g * mean.size() + k];
  mean_ = in_common(*of, mean, [&] { return amplitudes_of(mean); });
}

/// work(number, coefficients of |F|^2).
template <class Work>
void EnergyTerms::for_each_reflection(Work&& work) const {
  const AnomalousFactors& factors = *of->anomalous();
  std::vector<double> coefficients(terms_of(species_));
  for (std::size_t i = 0; i < factors.F0.size(); ++i) {
    add_coefficients(
        factors.F0[i], species_,
        [&](std::size_t s) -> const Complex& { return factors.species[s].G[i]; },
        coefficients.data());
    work(i, coefficients.data());
  }
}

StructureFactorGrid EnergyTerms::amplitudes_of(std::span<const double> some) const {
  StructureFactorGrid grid(of->min(), of->max(), 0.0);
  for_each_reflection([&](std::size_t i, const double* coefficients) {
    const double F2 = std::inner_product(some.begin(), some.end(), coefficients, 0.0);
    grid.values()[i] = std::sqrt(std::max(0.0, F2));
  });
  return grid;
}

StructureFactorGrid EnergyTerms::amplitudes(std::size_t group) const {
  return amplitudes_of(std::span(moments).subspan(group * moments_of_group(), moments_of_group()));
}

const LightTerms& EnergyTerms::light_terms() const {
  std::call_once(once_, [this] {
    const std::size_t all = moments_of_group();
    // What each moment counts, so that directions are compared by the light they make
    std::vector<double> size(all);
    for_each_reflection([&](std::size_t, const double* coefficients) {
      for (std::size_t k = 0; k < all; ++k) size[k] += coefficients[k] * coefficients[k];
    });
    for (double& x : size) x = std::sqrt(x / double(of->values().size()));
    // The mean over the light, and then orthogonal directions of what is left of the groups, the
    // longest one first (Gram and Schmidt, with pivots).
    constexpr double negligible = 1e-10;
    std::vector<std::vector<double>> directions, left(groups(), std::vector<double>(all)),
        shares(groups());
    std::vector<double> mean(all);
    for (std::size_t g = 0; g < groups(); ++g)
      for (std::size_t k = 0; k < all; ++k) mean[k] += weights_[g] * moments[g * all + k];
    const auto length_of = [](const std::vector<double>& v) {
      return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
    };
    double whole = 0;
    for (std::size_t k = 0; k < all; ++k) whole += std::abs(mean[k] * size[k]);
    for (std::size_t g = 0; g < groups(); ++g) {
      for (std::size_t k = 0; k < all; ++k) left[g][k] = (moments[g * all + k] - mean[k]) * size[k];
      shares[g] = {1.0};
    }
    while (directions.size() + 1 < all) {
      const auto longest = std::max_element(
          left.begin(), left.end(),
          [&](const auto& a, const auto& b) { return length_of(a) < length_of(b); });
      const double length = length_of(*longest);
      if (!(length > negligible * whole)) break;
      std::vector<double> direction = *longest;
      for (double& x : direction) x /= length;
      for (std::size_t g = 0; g < groups(); ++g) {
        const double share = std::inner_product(direction.begin(), direction.end(), left[g].begin(),
                                                0.0);
        for (std::size_t k = 0; k < all; ++k) left[g][k] -= share * direction[k];
        shares[g].push_back(share);
      }
      for (std::size_t k = 0; k < all; ++k) direction[k] = size[k] > 0 ? direction[k] / size[k] : 0;
      directions.push_back(std::move(direction));
    }
    light_.terms = static_cast<int>(1 + directions.size());
    const auto terms = static_cast<std::size_t>(light_.terms);
    light_.of_reflections.resize(terms * (of->values().size() + 1));
    for_each_reflection([&](std::size_t i, const double* coefficients) {
      double* const to = light_.of_reflections.data() + i * terms;
      to[0] = std::inner_product(mean.begin(), mean.end(), coefficients, 0.0);
      for (std::size_t d = 0; d < directions.size(); ++d)
        to[d + 1] = std::inner_product(directions[d].begin(), directions[d].end(), coefficients,
                                       0.0);
    });
    light_.of_reflections[terms * of->values().size()] = default_F_ * default_F_;
    for (const std::size_t group : group_of_ray)
      light_.of_rays.insert(light_.of_rays.end(), shares[group].begin(), shares[group].end());
  });
  return light_;
}

std::vector<double> EnergyTerms::pull_back(const StructureFactorGrid& amplitudes,
                                           const StructureFactorGrid& adjoint) const {
  std::vector<double> of_moments(moments_of_group());
  for_each_reflection([&](std::size_t i, const double* coefficients) {
    const double F = amplitudes.values()[i];
    if (adjoint.values()[i] == 0 || F == 0) return;
    const double of_F2 = adjoint.values()[i] / (2 * F);
    for (std::size_t k = 0; k < of_moments.size(); ++k) of_moments[k] += of_F2 * coefficients[k];
  });
  return of_moments;
}

StructureFactorGrid EnergyTerms::push_forward(const StructureFactorGrid& amplitudes,
                                              std::span<const double> change) const {
  StructureFactorGrid slopes(of->min(), of->max(), 0.0);
  for_each_reflection([&](std::size_t i, const double* coefficients) {
    const double F = amplitudes.values()[i];
    if (F != 0)
      slopes.values()[i] = std::inner_product(change.begin(), change.end(), coefficients, 0.0) /
                           (2 * F);
  });
  return slopes;
}

/// work(moment, of which group, group, slope): how a moment of a group changes with the energy of a
/// group, its neighbour's included, which moves where its channel ends.
template <class Work>
void EnergyTerms::for_each_energy_slope(Work&& work) const {
  const auto all = curves();
  const std::size_t count = moments_of_group();
  for (std::size_t g = 0; g < groups(); ++g) {
    const EnergyChannel& c = channels[g];
    const double width = c.high_eV - c.low_eV;
    const double* const mean = moments.data() + g * count;
    const auto at_low = moments_at(all, c.low_eV), at_high = moments_at(all, c.high_eV);
    if (!(width > 0)) {
      // Between two rows what is quadratic has this slope at its middle.
      std::vector<MomentSlope> slopes = moment_slopes(all, c);
      for (const MomentSlope& slope : slopes) {
        const DispersionCurve& curve = *all[slope.species];
        const auto [row, share] = place_in(curve, c.energy_eV);
        if (curve.energy_eV.size() < 2) continue;
        // d(moment)/d(f) is that of both rows together.
        const double run = curve.energy_eV[row + 1] - curve.energy_eV[row];
        work(slope.moment, g, g,
             (slope.f_prime * (curve.f_prime[row + 1] - curve.f_prime[row]) +
              slope.f_double_prime * (curve.f_double_prime[row + 1] - curve.f_double_prime[row])) /
                 run);
      }
      continue;
    }
    const bool has_below = c.low_eV < c.energy_eV && g > 0 &&
                           c.energy_eV - channels[g - 1].energy_eV <= 2 * most_half_channel_eV,
               has_above = c.high_eV > c.energy_eV && g + 1 < groups() &&
                           channels[g + 1].energy_eV - c.energy_eV <= 2 * most_half_channel_eV;
    for (std::size_t k = 0; k < count; ++k) {
      const double by_low = (mean[k] - at_low[k]) / width, by_high = (at_high[k] - mean[k]) / width;
      const auto both = [&](double by_end, bool has_neighbour, std::size_t neighbour,
                            std::size_t other_neighbour, bool other_exists) {
        if (has_neighbour) {
          work(k, g, g, 0.5 * by_end);
          work(k, g, neighbour, 0.5 * by_end);
        } else if (other_exists) {
          // As far as to the other side: twice the energy less the other end
          work(k, g, g, 1.5 * by_end);
          work(k, g, other_neighbour, -0.5 * by_end);
        } else {
          work(k, g, g, by_end);
        }
      };
      const bool low_moves = c.low_eV<c.energy_eV, high_moves = c.high_eV> c.energy_eV;
      if (low_moves)
        both(by_low, has_below, g - 1, g + 1, has_above);
      else
        work(k, g, g, by_low);
      if (high_moves)
        both(by_high, has_above, g + 1, g - 1, has_below);
      else
        work(k, g, g, by_high);
    }
  }
}

std::vector<double> EnergyTerms::moments_along(std::span<const double> energies_eV) const {
  std::vector<double> changes(moments.size());
  for_each_energy_slope([&](std::size_t k, std::size_t g, std::size_t by, double slope) {
    changes[g * moments_of_group() + k] += slope * energies_eV[by];
  });
  return changes;
}

std::vector<double> EnergyTerms::energies_from(std::span<const double> adjoints) const {
  std::vector<double> energies(groups());
  for_each_energy_slope([&](std::size_t k, std::size_t g, std::size_t by, double slope) {
    energies[by] += slope * adjoints[g * moments_of_group() + k];
  });
  return energies;
}

std::shared_ptr<const EnergyTerms> energy_terms_of(
    const std::shared_ptr<const StructureFactorGrid>& grid, double default_F,
    std::span<const double> wavenumbers_per_m, std::span<const double> weights) {
  struct Kept {
    std::weak_ptr<const EnergyTerms> terms;
    double default_F = 0;
    std::vector<double> wavenumbers, weights;
  };
  static std::mutex mutex;
  static Kept kept;
  const std::lock_guard lock(mutex);
  if (auto terms = kept.terms.lock();
      terms && terms->of == grid && kept.default_F == default_F &&
      std::equal(kept.wavenumbers.begin(), kept.wavenumbers.end(), wavenumbers_per_m.begin(),
                 wavenumbers_per_m.end()) &&
      std::equal(kept.weights.begin(), kept.weights.end(), weights.begin(), weights.end()))
    return terms;
  auto terms = std::make_shared<const EnergyTerms>(grid, default_F, wavenumbers_per_m, weights);
  kept = {terms,
          default_F,
          {wavenumbers_per_m.begin(), wavenumbers_per_m.end()},
          {weights.begin(), weights.end()}};
  return terms;
}

}  // namespace nablabragg
