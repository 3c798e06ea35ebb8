#include "readout/noise_rows.hpp"

#include "model/resolve.hpp"  // for random_after_resolving

namespace nablabragg::readout {

NoiseRows::NoiseRows(const Experiment& experiment, const Resolved& resolved, const Image& image,
                     std::int64_t seed)
    : image_(image),
      roi_(resolved.roi),
      seed_(static_cast<std::uint64_t>(seed)),
      one_stream_(experiment.quirks.shared_random_stream),
      nanobragg_(
          model::random_after_resolving(experiment, static_cast<int>(resolved.domains.size())),
          seed) {}

double NoiseRows::draw(int fast, int slow) {
  const float mean = image_.at(fast, slow);
  if (one_stream_) return static_cast<double>(nanobragg_(mean));
  const auto pixel = static_cast<std::uint64_t>(slow) *
                         static_cast<std::uint64_t>(image_.fast_pixels) +
                     static_cast<std::uint64_t>(fast);
  return pixel_poisson(static_cast<double>(mean), seed_, pixel);
}

}  // namespace nablabragg::readout
