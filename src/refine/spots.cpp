#include "refine/spots.hpp"

#include <algorithm>
#include <cmath>

namespace nablabragg::refinement {

namespace {

constexpr int half_window_px = 15;
constexpr double deviations = 6;

/// Mean of the chosen pixels in a square window about each pixel, by sums over rectangles.
std::vector<double> local_means(const PhotonImage& image, const std::vector<std::uint8_t>& chosen) {
  const auto width = static_cast<std::size_t>(image.fast_pixels) + 1;
  const auto height = static_cast<std::size_t>(image.slow_pixels) + 1;
  std::vector<double> sums(width * height), counts(width * height);
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    for (int fast = 0; fast < image.fast_pixels; ++fast) {
      const std::size_t i = image.at(fast, slow);
      const std::size_t here = (static_cast<std::size_t>(slow) + 1) * width +
                               static_cast<std::size_t>(fast) + 1;
      const auto extend = [&](std::vector<double>& table, double value) {
        table[here] = value + table[here - 1] + table[here - width] - table[here - width - 1];
      };
      extend(sums, chosen[i] ? image.photons[i] : 0);
      extend(counts, chosen[i] ? 1 : 0);
    }
  std::vector<double> means(image.photons.size());
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    for (int fast = 0; fast < image.fast_pixels; ++fast) {
      const auto clipped = [](int at, int size) {
        return static_cast<std::size_t>(std::clamp(at, 0, size));
      };
      const std::size_t left = clipped(fast - half_window_px, image.fast_pixels);
      const std::size_t right = clipped(fast + half_window_px + 1, image.fast_pixels);
      const std::size_t top = clipped(slow - half_window_px, image.slow_pixels) * width;
      const std::size_t bottom = clipped(slow + half_window_px + 1, image.slow_pixels) * width;
      const auto sum = [&](const std::vector<double>& table) {
        return table[bottom + right] - table[bottom + left] - table[top + right] +
               table[top + left];
      };
      const double count = sum(counts);
      means[image.at(fast, slow)] = count > 0 ? sum(sums) / count : 0;
    }
  return means;
}

/// The variance is that of photons, and of at least one.
std::vector<std::uint8_t> standing_out(const PhotonImage& image,
                                       const std::vector<double>& background, double by) {
  std::vector<std::uint8_t> bright(image.photons.size());
  for (std::size_t i = 0; i < bright.size(); ++i)
    bright[i] = image.usable[i] &&
                image.photons[i] > background[i] + by * std::sqrt(std::max(background[i], 1.0));
  return bright;
}

void sort_by_photons(std::vector<Spot>& spots) {
  std::stable_sort(spots.begin(), spots.end(),
                   [](const Spot& a, const Spot& b) { return a.photons > b.photons; });
}

}  // namespace

std::vector<Spot> find_spots(const PhotonImage& image, double least_photons) {
  // What stands out of the first mean is no background
  std::vector<std::uint8_t> dim = image.usable;
  std::vector<double> background = local_means(image, dim);
  const std::vector<std::uint8_t> first = standing_out(image, background, 3);
  for (std::size_t i = 0; i < dim.size(); ++i) dim[i] = image.usable[i] && !first[i];
  background = local_means(image, dim);
  std::vector<std::uint8_t> bright = standing_out(image, background, deviations);

  std::vector<Spot> spots;
  std::vector<std::pair<int, int>> members;
  for (int slow = 0; slow < image.slow_pixels; ++slow)
    for (int fast = 0; fast < image.fast_pixels; ++fast) {
      if (!bright[image.at(fast, slow)]) continue;
      Spot spot;
      bright[image.at(fast, slow)] = 0;
      members.assign(1, {fast, slow});
      for (std::size_t next = 0; next < members.size(); ++next) {
        const auto [x, y] = members[next];
        const double photons = image.photons[image.at(x, y)] - background[image.at(x, y)];
        spot.photons += photons;
        spot.fast += photons * x;
        spot.slow += photons * y;
        for (int j = std::max(y - 1, 0); j <= std::min(y + 1, image.slow_pixels - 1); ++j)
          for (int i = std::max(x - 1, 0); i <= std::min(x + 1, image.fast_pixels - 1); ++i)
            if (bright[image.at(i, j)]) {
              bright[image.at(i, j)] = 0;
              members.emplace_back(i, j);
            }
      }
      if (spot.photons < least_photons) continue;
      spot.fast /= spot.photons;
      spot.slow /= spot.photons;
      spot.pixels = static_cast<int>(members.size());
      spots.push_back(spot);
    }
  sort_by_photons(spots);
  return spots;
}

std::vector<Spot> find_spots(const PhotonImages& images, double least_photons) {
  std::vector<Spot> all;
  for (std::size_t panel = 0; panel < images.panels.size(); ++panel)
    for (Spot spot : find_spots(images.panels[panel], least_photons)) {
      spot.panel = static_cast<int>(panel);
      all.push_back(spot);
    }
  sort_by_photons(all);
  return all;
}

}  // namespace nablabragg::refinement
