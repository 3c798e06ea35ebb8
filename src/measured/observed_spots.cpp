#include "measured/observed_spots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "io/refl.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::measured {

namespace {

/// Of `all` those of the experiments of an image, one for each crystal, and of an image of them
/// where they have several.
void add_spots(std::vector<io::MeasuredSpot> all, const std::string& path, int experiment,
               int crystals, int number, int image, std::vector<ObservedSpot>& spots) {
  // What is on no experiment is not indexed and has the id -1
  std::erase_if(all, [&](const auto& s) {
    return s.experiment >= 0 &&
           (s.experiment < experiment || s.experiment >= experiment + crystals);
  });
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
    if (s.experiment >= 0) spot.crystal = s.experiment - experiment;
    if (s.hkl != MillerIndex{}) spot.hkl = s.hkl;
    spots.push_back(spot);
  }
  const std::string which = crystals > 1 ? fmt::format("experiments {} to {}", experiment,
                                                       experiment + crystals - 1)
                                         : fmt::format("experiment {}", experiment);
  if (spots.size() == before)
    throw InputError(path, 0,
                     of_several_images
                         ? fmt::format("has no spots on image {} of {}", number, which)
                         : fmt::format("has no spots of {}", which));
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
    const Experiment& of_image = images[static_cast<std::size_t>(i)];
    const bool still = of_image.scan.oscillation_deg.empty();
    const int crystals = 1 + static_cast<int>(of_image.more_crystals.size());
    add_spots(all, path, experiment + (still ? i * crystals : 0), crystals,
              number + (still ? 0 : i), i, spots);
  }
  return spots;
}

}  // namespace nablabragg::measured
