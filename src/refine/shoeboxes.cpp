#include "refine/shoeboxes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nablabragg::refinement {

std::vector<Shoebox> make_shoeboxes(const PhotonImages& images,
                                    std::span<const ShoeboxPlace> places, int edge_px) {
  constexpr std::size_t least_pixels = 10;
  const std::size_t count = places.size();
  std::vector<Shoebox> boxes(count);
  std::vector<std::vector<std::size_t>> owners;
  for (const PhotonImage& image : images.panels) owners.emplace_back(image.photons.size(), count);
  const int half = edge_px / 2;
  const auto distance2 = [&](std::size_t box, int fast, int slow) {
    const double x = fast - places[box].fast, y = slow - places[box].slow;
    return x * x + y * y;
  };
  const auto each_pixel = [&](std::size_t box, const auto& visit) {
    const auto panel = static_cast<std::size_t>(places[box].panel);
    const PhotonImage& image = images.panels[panel];
    const int x = static_cast<int>(std::lround(places[box].fast));
    const int y = static_cast<int>(std::lround(places[box].slow));
    for (int j = std::max(y - half, 0); j <= std::min(y + half, image.slow_pixels - 1); ++j)
      for (int i = std::max(x - half, 0); i <= std::min(x + half, image.fast_pixels - 1); ++i)
        if (image.usable[image.at(i, j)]) visit(i, j, owners[panel][image.at(i, j)]);
  };
  for (std::size_t box = 0; box < count; ++box)
    each_pixel(box, [&](int i, int j, std::size_t& now) {
      if (now == count || distance2(box, i, j) < distance2(now, i, j)) now = box;
    });
  for (std::size_t box = 0; box < count; ++box) {
    boxes[box].fast = places[box].fast;
    boxes[box].slow = places[box].slow;
    boxes[box].image = places[box].image;
    boxes[box].panel = places[box].panel;
    boxes[box].hkl = places[box].hkl;
    boxes[box].crystal = places[box].crystal;
    each_pixel(box, [&](int i, int j, std::size_t owner) {
      if (owner == box) boxes[box].pixels.push_back({i, j, places[box].panel});
    });
  }
  std::erase_if(boxes, [](const Shoebox& box) { return box.pixels.size() < least_pixels; });
  return boxes;
}

std::vector<Shoebox> whole_panels(const PhotonImages& images) {
  std::vector<Shoebox> boxes;
  for (std::size_t panel = 0; panel < images.panels.size(); ++panel) {
    const PhotonImage& image = images.panels[panel];
    Shoebox box;
    box.fast = (image.fast_pixels - 1) / 2.0;
    box.slow = (image.slow_pixels - 1) / 2.0;
    box.panel = static_cast<int>(panel);
    for (int j = 0; j < image.slow_pixels; ++j)
      for (int i = 0; i < image.fast_pixels; ++i)
        if (image.usable[image.at(i, j)]) box.pixels.push_back({i, j, box.panel});
    if (!box.pixels.empty()) boxes.push_back(std::move(box));
  }
  return boxes;
}

int background_terms(Background background) {
  switch (background) {
    case Background::none:
      return 0;
    case Background::constant:
      return 1;
    case Background::plane:
      return 3;
  }
  return 0;
}

void start_background(const PhotonImages& images, Background background,
                      std::span<const double> model, Shoebox& box) {
  box.background.assign(static_cast<std::size_t>(background_terms(background)), 0.0);
  if (box.background.empty() || box.pixels.empty()) return;
  const auto median = [](std::vector<double>& numbers) {
    const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
    std::nth_element(numbers.begin(), middle, numbers.end());
    return *middle;
  };
  std::vector<double> photons, expected(model.begin(), model.end());
  photons.reserve(box.pixels.size());
  for (const PixelIndex& p : box.pixels) photons.push_back(images.seen(p).photons);
  // Photons are whole numbers: the mean of all that are not much above the median is finer
  const double middle = median(photons), limit = middle + 2 * std::sqrt(std::max(middle, 1.0));
  double sum = 0, count = 0;
  for (const double n : photons)
    if (n <= limit) sum += n, count += 1;
  box.background[0] = sum / count - median(expected);
}

}  // namespace nablabragg::refinement
