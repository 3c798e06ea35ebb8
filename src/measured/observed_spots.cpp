#include "measured/observed_spots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "io/refl.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::measured {

namespace {

/// Of `all` those of an experiment, and of an image of it where it has several.
void add_spots(std::vector<io::MeasuredSpot> all, const std::string& path, int experiment,
               int number, int image, std::vector<ObservedSpot>& spots) {
  // What is on no experiment is not indexed and has the id -1
  std::erase_if(all,
                [&](const auto& s) { return s.experiment >= 0 && s.experiment != experiment; });
  double first = std::numeric_limits<double>::infinity(), last = -first;
  for (const io::MeasuredSpot& s : all) {
    first = std::min(first, s.frame);
    last = std::max(last, s.frame);
  }
  const bool of_several_images = last - first > 1;
  const std::size_t before = spots.size();
  for (const io::MeasuredSpot& s : all) {
    if (of_several_images && !(s.frame >= number - 1 && s.frame < number)) continue;
    ObservedSpot spot{s.fast_px - 0.5, s.slow_px - 0.5, s.panel, s.intensity, std::nullopt, image};
    if (s.hkl != MillerIndex{}) spot.hkl = s.hkl;
    spots.push_back(spot);
  }
  if (spots.size() == before)
    throw InputError(path, 0,
                     of_several_images ? fmt::format("has no spots on image {} of experiment {}",
                                                     number, experiment)
                                       : fmt::format("has no spots of experiment {}", experiment));
}

}  // namespace

std::vector<ObservedSpot> read_observed_spots(const std::string& path, int experiment, int number,
                                              std::span<const Experiment> images) {
  const std::vector<io::MeasuredSpot> all = io::read_refl(path);
  const bool placed = std::ranges::any_of(
      all, [](const auto& s) { return s.fast_px != 0 || s.slow_px != 0; });
  if (!placed) throw InputError(path, 0, "has no positions of spots (xyzobs.px.value)");
  std::vector<ObservedSpot> spots;
  for (int i = 0; i < static_cast<int>(images.size()); ++i) {
    const bool still = images[static_cast<std::size_t>(i)].scan.oscillation_deg.empty();
    add_spots(all, path, experiment + (still ? i : 0), number + (still ? 0 : i), i, spots);
  }
  return spots;
}

}  // namespace nablabragg::measured
