#include "readout/noise_rows.hpp"

#include "model/resolve.hpp"  // for random_after_resolving

namespace nablabragg::readout {

NoiseRows::NoiseRows(const Experiment& experiment, const Resolved& resolved, const Image& image,
                     std::int64_t seed)
    : rois_{resolved.roi},
      one_stream_(experiment.quirks.shared_random_stream),
      nanobragg_(
          model::random_after_resolving(experiment, static_cast<int>(resolved.domains.size())),
          seed),
      keyed_(static_cast<std::uint64_t>(seed)) {
  for (const ResolvedPanel& further : resolved.more_panels) rois_.push_back(further.roi);
  for (std::size_t i = 0; i < rois_.size(); ++i) panels_.push_back(image.panel(i));
}

void NoiseRows::row(int slow, std::span<double> photons, std::size_t number) {
  const PanelImage& panel = panels_[number];
  const auto first = static_cast<std::size_t>(rois_[number].fast_min);
  const std::span<const float> means = panel.row(slow).subspan(first, pixels_of_a_row(number));
  if (one_stream_)
    nanobragg_(means, photons);
  else
    keyed_(means,
           panel.first_pixel +
               static_cast<std::uint64_t>(slow) * static_cast<std::uint64_t>(panel.fast_pixels) +
               first,
           photons);
}

}  // namespace nablabragg::readout
