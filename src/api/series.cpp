#include "nablabragg/series.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "model/crystal_axes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "readout/keyed_bits.hpp"

namespace nablabragg {

namespace {

/// Bits of a pair of numbers.
std::uint64_t bits_of(std::int64_t seed, std::uint64_t number) {
  using readout::golden, readout::mixed;
  return mixed(mixed(static_cast<std::uint64_t>(seed) + golden) + number * golden);
}

}  // namespace

Series::Series(const Experiment& experiment, int images) : first_(experiment), images_(images) {
  if (images < 1) throw UsageError("a series has at least one image");
  const auto& asked = experiment.scan.oscillation_deg.range;
  step_deg_ = asked ? *asked : units::degrees_from_radians(resolve(experiment).scan.range);
  if (images > 1 && step_deg_ == 0)
    throw UsageError(
        "the images of a scan follow each other by its oscillation, which is 0; give one (-osc), "
        "or "
        "an orientation for each image (-orientations)");
}

Series::Series(const Experiment& experiment, std::vector<Vec3d> missets_deg)
    : first_(experiment),
      images_(static_cast<int>(missets_deg.size())),
      missets_deg_(std::move(missets_deg)) {
  if (images_ < 1) throw UsageError("a series has at least one image");
  if (!experiment.scan.oscillation_deg.empty())
    throw UsageError(
        "stills do not turn: an orientation for each image (-orientations) and an oscillation "
        "(-osc) "
        "exclude each other");
}

Experiment Series::experiment(int i) const {
  if (i < 0 || i >= images_)
    throw UsageError("there is no image " + std::to_string(i) + " in a series of " +
                     std::to_string(images_));
  Experiment e = first_;
  if (is_scan()) {
    e.scan.phi_deg += i * step_deg_;
  } else {
    e.crystal.random_misset_seed.reset();
    e.crystal.misset_deg = missets_deg_[static_cast<std::size_t>(i)];
  }
  return e;
}

std::int64_t seed_of_image(std::int64_t seed, int image) {
  // A double and JSON hold 53 bits.
  return image == 0
             ? seed
             : static_cast<std::int64_t>(bits_of(seed, static_cast<std::uint64_t>(image)) >> 11);
}

std::vector<Vec3d> random_missets_deg(int images, std::int64_t seed) {
  std::vector<Vec3d> missets;
  const auto uniform = [&](std::uint64_t number) {
    return static_cast<double>(bits_of(seed, number) >> 11) * 0x1p-53;
  };
  for (int i = 0; i < images; ++i) {
    const std::uint64_t first = 3 * static_cast<std::uint64_t>(i);
    missets.push_back(misset_deg_of(
        model::orientation_of(uniform(first), uniform(first + 1), uniform(first + 2))));
  }
  return missets;
}

bool is_rotation(const Mat3d& m) {
  constexpr double most_skew = 2e-3;
  const auto off = [](double value, double wanted) { return std::abs(value - wanted) > most_skew; };
  return !(off(length(m.a), 1) || off(length(m.b), 1) || off(length(m.c), 1) ||
           off(dot(m.a, m.b), 0) || off(dot(m.b, m.c), 0) || off(dot(m.c, m.a), 0) ||
           off(dot(cross(m.a, m.b), m.c), 1));
}

Vec3d misset_deg_of(const Mat3d& r) {
  // r = Rz Ry Rx.  z from what is left without Rx: where y is a right angle, x and z turn about the
  // same axis, and any x will do.
  const double x = std::atan2(r.c.y, r.c.z), y = std::atan2(-r.c.x, std::hypot(r.c.y, r.c.z));
  const double cosine = std::cos(x), sine = std::sin(x);
  const double z = std::atan2(sine * r.a.z - cosine * r.a.y, cosine * r.b.y - sine * r.b.z);
  return {units::degrees_from_radians(x), units::degrees_from_radians(y),
          units::degrees_from_radians(z)};
}

}  // namespace nablabragg
