#include "refine/free_intensities.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace nablabragg::refinement {

bool allowed(Centring centring, const MillerIndex& hkl) {
  const auto& [h, k, l] = hkl;
  const auto even = [](int n) { return n % 2 == 0; };
  switch (centring) {
    case Centring::P:
      return true;
    case Centring::A:
      return even(k + l);
    case Centring::B:
      return even(h + l);
    case Centring::C:
      return even(h + k);
    case Centring::I:
      return even(h + k + l);
    case Centring::F:
      return even(h + k) && even(k + l);
    case Centring::R:
      return (-h + k + l) % 3 == 0;
  }
  return true;
}

std::shared_ptr<const StructureFactorGrid> visible_reflections(const StructureFactors& factors,
                                                               const Resolved& resolved,
                                                               Centring centring) {
  // The corners of a panel see furthest; the cell may change by a few percent
  constexpr double margin = 1.05;
  double most_per_A = 0;
  for (std::size_t i = 0; i <= resolved.more_panels.size(); ++i) {
    const Panel& p = panel_of(resolved, i);
    for (const double fast : {0.0, p.pixel * p.fast_pixels})
      for (const double slow : {0.0, p.slow_pixel * p.slow_pixels}) {
        const Vec3d corner = p.origin + fast * p.fast + slow * p.slow;
        most_per_A = std::max(most_per_A,
                              length(unit(corner) - p.beam) / (resolved.wavelength * 1e10));
      }
  }
  const Mat3d& real = resolved.axes.real_A;
  const auto most = [&](const Vec3d& edge) {
    return static_cast<int>(std::ceil(margin * most_per_A * length(edge)));
  };
  const MillerIndex last{most(real.a), most(real.b), most(real.c)};
  auto grid = std::make_shared<StructureFactorGrid>(MillerIndex{-last[0], -last[1], -last[2]}, last,
                                                    factors.default_F);
  for (int h = -last[0]; h <= last[0]; ++h)
    for (int k = -last[1]; k <= last[1]; ++k)
      for (int l = -last[2]; l <= last[2]; ++l) {
        double& f = grid->at(h, k, l);
        if (factors.grid && factors.grid->contains(h, k, l)) f = factors.grid->at(h, k, l);
        if (!allowed(centring, {h, k, l})) f = 0;
      }
  return grid;
}

bool FreeIntensities::exists(const MillerIndex& hkl) const {
  const auto& [h, k, l] = hkl;
  return start_->contains(h, k, l) && start_->at(h, k, l) != 0;
}

std::vector<Spot> FreeIntensities::expected_spots(const SpotGeometry& geometry,
                                                  const PhotonImages& image) const {
  // Wider than what a mosaic crystal lights from outside; the model's light decides later
  constexpr double most_missed_rad = 0.5 / 57.3;
  std::vector<Spot> spots;
  const MillerIndex &first = start_->min(), &last = start_->max();
  const auto add = [&](const LatticePoint& point) {
    for (std::size_t panel = 0; panel < image.panels.size(); ++panel) {
      const auto e = geometry.expected(point, static_cast<int>(panel));
      if (!e || std::abs(e->missed_by_rad) > most_missed_rad) continue;
      const PhotonImage& on = image.panels[panel];
      if (!(e->fast > -0.5 && e->fast < on.fast_pixels - 0.5 && e->slow > -0.5 &&
            e->slow < on.slow_pixels - 0.5))
        continue;
      Spot spot;
      spot.fast = e->fast;
      spot.slow = e->slow;
      spot.panel = static_cast<int>(panel);
      spot.hkl = point.index;
      spot.crystal = point.crystal;
      spots.push_back(spot);
    }
  };
  for (int h = first[0]; h <= last[0]; ++h)
    for (int k = first[1]; k <= last[1]; ++k)
      for (int l = first[2]; l <= last[2]; ++l)
        for (std::size_t crystal = 0; exists({h, k, l}) && crystal < geometry.crystals(); ++crystal)
          add({{h, k, l}, static_cast<int>(crystal)});
  return spots;
}

void FreeIntensities::reset(std::span<const Shoebox> boxes) {
  auto grid = std::make_shared<StructureFactorGrid>(start_->min(), start_->max(), 0.0);
  for (const Shoebox& box : boxes) {
    const auto& [h, k, l] = *box.hkl;
    grid->at(h, k, l) = start_->at(h, k, l);
  }
  now_ = std::move(grid);
}

void FreeIntensities::take(std::span<const double> model, std::span<Shoebox> boxes) {
  // A reflection keeps enough light to come back
  constexpr double least = 1e-4;
  struct Share {
    double photons = 0, light = 0;
  };
  std::map<MillerIndex, Share> shares;
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    Share& share = shares[*box.hkl];
    for (std::size_t i = 0; i < box.pixels.size(); ++i) {
      share.light += model[first + i];
      share.photons += box.intensity * model[first + i];
    }
    first += box.pixels.size();
  }
  auto grid = std::make_shared<StructureFactorGrid>(*now_);
  for (const auto& [hkl, share] : shares) {
    if (!(share.light > 0)) continue;
    double& f = grid->at(hkl[0], hkl[1], hkl[2]);
    const double begin = start_->at(hkl[0], hkl[1], hkl[2]), before = f;
    f = std::sqrt(std::max(before * before * share.photons / share.light, least * begin * begin));
    for (Shoebox& box : boxes)
      if (box.hkl == hkl) box.intensity *= before * before / (f * f);
  }
  now_ = std::move(grid);
}

std::vector<RefinedFactor> FreeIntensities::factors(const PixelData& data,
                                                    std::span<const double> model,
                                                    std::span<const Shoebox> boxes) const {
  struct Mean {
    double weight = 0, intensity = 0;
  };
  std::map<MillerIndex, Mean> means;
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    const double weight = 1 /
                          intensity_variance(data, model.subspan(first, box.pixels.size()), box);
    first += box.pixels.size();
    if (!(weight > 0) || !std::isfinite(weight)) continue;
    Mean& mean = means[*box.hkl];
    mean.weight += weight;
    mean.intensity += weight * box.intensity;
  }
  std::vector<RefinedFactor> factors;
  for (const auto& [hkl, mean] : means) {
    const auto& [h, k, l] = hkl;
    const double f2 = now_->at(h, k, l) * now_->at(h, k, l);
    const double intensity = f2 * mean.intensity / mean.weight,
                 deviation = f2 / std::sqrt(mean.weight);
    RefinedFactor factor;
    factor.hkl = hkl;
    factor.start = start_->at(h, k, l);
    factor.value = std::sqrt(intensity);
    // To first order deviation/(2 F), and finite for what is not seen
    factor.deviation = std::sqrt(intensity + deviation) - factor.value;
    factors.push_back(factor);
  }
  return factors;
}

std::vector<Shoebox> lit_boxes(std::span<const double> light, std::span<const Shoebox> boxes) {
  constexpr double least_share = 0.1, core_px = 1.6;
  std::vector<double> of_box;
  std::map<int, std::vector<double>> of_crystal;
  std::size_t first = 0;
  for (const Shoebox& box : boxes) {
    double sum = 0;
    for (std::size_t i = 0; i < box.pixels.size(); ++i)
      if (std::hypot(box.pixels[i].fast - box.fast, box.pixels[i].slow - box.slow) < core_px)
        sum += light[first + i];
    of_box.push_back(sum);
    of_crystal[box.crystal].push_back(sum);
    first += box.pixels.size();
  }
  std::map<int, double> least;
  for (auto& [crystal, all] : of_crystal) {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end());
    least[crystal] = least_share * *middle;
  }
  std::vector<Shoebox> lit;
  for (std::size_t b = 0; b < boxes.size(); ++b)
    if (of_box[b] > 0 && of_box[b] >= least[boxes[b].crystal]) lit.push_back(boxes[b]);
  return lit;
}

StructureFactors factors_alone(std::span<const RefinedFactor> factors) {
  StructureFactors alone;
  MillerIndex first = factors.front().hkl, last = first;
  for (const RefinedFactor& f : factors)
    for (std::size_t i = 0; i < 3; ++i) {
      first[i] = std::min(first[i], f.hkl[i]);
      last[i] = std::max(last[i], f.hkl[i]);
    }
  auto grid = std::make_shared<StructureFactorGrid>(first, last, 0.0);
  for (const RefinedFactor& f : factors) grid->at(f.hkl[0], f.hkl[1], f.hkl[2]) = f.value;
  alone.grid = std::move(grid);
  alone.interpolation = Interpolation::nearest;
  return alone;
}

}  // namespace nablabragg::refinement
