#include "nablabragg/series.hpp"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "model/crystal_axes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "nablabragg/units.hpp"
#include "physics/matrix.hpp"
#include "physics/rotation.hpp"
#include "readout/keyed_bits.hpp"

namespace nablabragg {

namespace {

/// Bits of a pair of numbers.
std::uint64_t bits_of(std::int64_t seed, std::uint64_t number) {
  using readout::golden, readout::mixed;
  return mixed(mixed(static_cast<std::uint64_t>(seed) + golden) + number * golden);
}

/// Two that follow from a seed alone (Box and Muller), others than those of the noise.
std::array<double, 2> normal_deviates(std::int64_t seed) {
  constexpr std::uint64_t first = 0x6a09e667f3bcc908U;  // of a stream of its own
  const auto uniform = [&](std::uint64_t number) {      // in (0, 1]
    return (static_cast<double>(bits_of(seed, first + number) >> 11) + 1) * 0x1p-53;
  };
  constexpr double two_pi = 6.283185307179586;
  const double radius = std::sqrt(-2 * std::log(uniform(0))), angle = two_pi * uniform(1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

Vec3d misset_of_first_deg(const Experiment& e) {
  if (!e.crystal.random_misset_seed) return e.crystal.misset_deg;
  const Vec3d drawn = resolve(e).misset;
  return {units::degrees_from_radians(drawn.x), units::degrees_from_radians(drawn.y),
          units::degrees_from_radians(drawn.z)};
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
      is_scan_(false),
      missets_deg_(std::move(missets_deg)) {
  if (images_ < 1) throw UsageError("a series has at least one image");
  if (!experiment.scan.oscillation_deg.empty())
    throw UsageError(
        "stills do not turn: an orientation for each image (-orientations) and an oscillation "
        "(-osc, or -phisteps alone, which makes it 1 degree) exclude each other");
  if (!experiment.more_crystals.empty())
    first_.crystal.misset_deg = misset_of_first_deg(experiment);
}

Series::Series(const Experiment& experiment, std::shared_ptr<const Spectra> spectra)
    : first_(experiment), images_(spectra->shots()), is_scan_(false) {
  if (!experiment.scan.oscillation_deg.empty())
    throw UsageError(
        "stills do not turn: these are one for each shot, and an oscillation (-osc) makes a scan");
  *this = in_light_of(std::move(spectra));
}

Series Series::in_light_of(std::shared_ptr<const Spectra> spectra) const {
  if (spectra->shots() != images_)
    throw UsageError("there are " + std::to_string(spectra->shots()) + " spectra, and " +
                     std::to_string(images_) + " images; each image has one");
  check_takes_spectrum(first_.beam);
  Series lit = *this;
  constexpr double distance_m = 10;  // any: only the direction counts
  lit.towards_source_ = first_.beam.sources.empty() ? -distance_m * resolve(first_).panel.beam
                                                    : first_.beam.sources.front().position;
  lit.spectra_ = std::move(spectra);
  return lit;
}

Series Series::jittered(double deviation_mrad, std::int64_t seed) const {
  if (!(deviation_mrad >= 0))
    throw UsageError("the jitter of the beam (-beam_jitter) needs a standard deviation in mrad");
  Series varied = *this;
  varied.jitter_mrad_ = deviation_mrad;
  varied.jitter_seed_ = seed;
  return varied;
}

Experiment Series::experiment(int i) const {
  if (i < 0 || i >= images_)
    throw UsageError("there is no image " + std::to_string(i) + " in a series of " +
                     std::to_string(images_));
  Experiment e = first_;
  if (!missets_deg_.empty()) {
    e.crystal.random_misset_seed.reset();
    turn_as_one_body(e, missets_deg_[static_cast<std::size_t>(i)]);
  } else {
    e.scan.phi_deg += i * step_deg_;
  }
  if (spectra_) {
    e.beam.sources = sources_of(spectra_->shot(i), towards_source_);
    e.beam.fluence_per_m2 *= spectra_->relative_light(i);
    if (e.beam.flux_per_s) *e.beam.flux_per_s *= spectra_->relative_light(i);
  }
  if (jitter_mrad_ != 0) {
    const auto [horizontal, vertical] = normal_deviates(seed_of_image(jitter_seed_, i));
    e.beam.tilt_horizontal_mrad += jitter_mrad_ * horizontal;
    e.beam.tilt_vertical_mrad += jitter_mrad_ * vertical;
  }
  return e;
}

Experiment Series::in_mean_light() const {
  Experiment e = experiment(0);
  e.beam.tilt_horizontal_mrad = first_.beam.tilt_horizontal_mrad;
  e.beam.tilt_vertical_mrad = first_.beam.tilt_vertical_mrad;
  if (!spectra_) return e;
  e.beam.sources = sources_of(spectra_->mean(), towards_source_);
  e.beam.fluence_per_m2 = first_.beam.fluence_per_m2;
  e.beam.flux_per_s = first_.beam.flux_per_s;
  return e;
}

void turn_as_one_body(Experiment& e, const Vec3d& misset_deg) {
  const Mat3d back = transposed(rotation_of_misset(e.crystal.misset_deg)),
              turn = rotation_of_misset(misset_deg);
  e.crystal.misset_deg = misset_deg;
  for (FurtherCrystal& further : e.more_crystals)
    further.misset_deg = misset_deg_of(turn * (back * rotation_of_misset(further.misset_deg)));
}

std::int64_t seed_of_image(std::int64_t seed, int image) {
  // A double and JSON hold 53 bits.
  return image == 0
             ? seed
             : static_cast<std::int64_t>(bits_of(seed, static_cast<std::uint64_t>(image)) >> 11);
}

Vec3d random_misset_deg(int image, std::int64_t seed) {
  const auto uniform = [&](std::uint64_t number) {
    return static_cast<double>(bits_of(seed, number) >> 11) * 0x1p-53;
  };
  const std::uint64_t first = 3 * static_cast<std::uint64_t>(image);
  return misset_deg_of(
      model::orientation_of(uniform(first), uniform(first + 1), uniform(first + 2)));
}

std::vector<Vec3d> random_missets_deg(int images, std::int64_t seed) {
  std::vector<Vec3d> missets;
  for (int i = 0; i < images; ++i) missets.push_back(random_misset_deg(i, seed));
  return missets;
}

bool is_rotation(const Mat3d& m) {
  constexpr double most_skew = 2e-3;
  const auto off = [](double value, double wanted) { return std::abs(value - wanted) > most_skew; };
  return !(off(length(m.a), 1) || off(length(m.b), 1) || off(length(m.c), 1) ||
           off(dot(m.a, m.b), 0) || off(dot(m.b, m.c), 0) || off(dot(m.c, m.a), 0) ||
           off(dot(cross(m.a, m.b), m.c), 1));
}

Mat3d rotation_of_misset(const Vec3d& misset_deg) {
  const Vec3d misset{units::radians_from_degrees(misset_deg.x),
                     units::radians_from_degrees(misset_deg.y),
                     units::radians_from_degrees(misset_deg.z)};
  return transposed(Mat3d{physics::rotate(Vec3d{1, 0, 0}, misset),
                          physics::rotate(Vec3d{0, 1, 0}, misset),
                          physics::rotate(Vec3d{0, 0, 1}, misset)});
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
