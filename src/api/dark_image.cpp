// What is said of an image without light.
#include <algorithm>

#include "model/resolve.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

namespace {

bool has_amplitudes(const StructureFactors& factors) {
  if (factors.default_F != 0) return true;
  return factors.grid &&
         std::ranges::any_of(factors.grid->values(), [](double F) { return F != 0; });
}

/// Whether every source is on the side of the sample where the panel is.
bool sources_are_behind(const Resolved& r) {
  const Panel& p = r.panel;
  const Vec3d middle = p.origin + 0.5 * p.fast_size * p.fast + 0.5 * p.slow_size * p.slow;
  return r.more_panels.empty() && std::ranges::all_of(r.rays, [&](const Ray& ray) {
           return dot(ray.towards_source, middle) > 0;
         });
}

bool leaves_no_pixel(const Experiment& experiment) {
  const auto& mask = experiment.sampling.mask;
  return mask && experiment.more_panels.empty() &&
         std::ranges::none_of(mask->keep, [](auto keep) { return bool(keep); });
}

std::string cause_of(const Experiment& experiment) {
  if (leaves_no_pixel(experiment)) return "the mask leaves none";
  if (!has_amplitudes(experiment.structure_factors)) return "all structure factors are 0";
  const Resolved r = resolve(experiment);
  if (!(r.fluence != 0)) return "the fluence is 0";
  if (sources_are_behind(r))
    return "the sources are on that side of the sample where the detector is";
  // In closed form no spot falls between points.
  if (!r.closed && r.oversample < model::least_share_of_subpixels * r.recommended_oversample)
    return "the crystal's spots are finer than the steps of the sub-pixels (-oversample) and fall "
           "between these";
  return "no reflection with a structure factor is near its Bragg condition; look at the "
         "orientation (-misset, -mat), at -dmin and at the range of the structure factors (-hkl)";
}

template <class Number>
std::string warning(const Experiment& experiment, std::span<const Number> photons) {
  if (std::ranges::any_of(photons, [](Number x) { return x != 0; })) return {};
  return "every pixel of the image is 0: " + cause_of(experiment);
}

}  // namespace

std::string dark_warning(const Experiment& experiment, std::span<const float> photons) {
  return warning(experiment, photons);
}

std::string dark_warning(const Experiment& experiment, std::span<const double> photons) {
  return warning(experiment, photons);
}

}  // namespace nablabragg
