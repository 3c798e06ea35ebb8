#include "readout/noise_rows.hpp"

#include "model/resolve.hpp"  // for random_after_resolving

namespace nablabragg::readout {

NoiseRows::NoiseRows(const Experiment& experiment, const Resolved& resolved, const Image& image,
                     std::int64_t seed)
    : image_(image),
      roi_(resolved.roi),
      one_stream_(experiment.quirks.shared_random_stream),
      nanobragg_(
          model::random_after_resolving(experiment, static_cast<int>(resolved.domains.size())),
          seed),
      keyed_(static_cast<std::uint64_t>(seed)) {}

void NoiseRows::row(int slow, std::span<double> photons) {
  const auto first = static_cast<std::size_t>(roi_.fast_min);
  const std::span<const float> means = image_.row(slow).subspan(first, pixels_of_a_row());
  if (one_stream_)
    nanobragg_(means, photons);
  else
    keyed_(
        means,
        static_cast<std::uint64_t>(slow) * static_cast<std::uint64_t>(image_.fast_pixels) + first,
        photons);
}

}  // namespace nablabragg::readout
