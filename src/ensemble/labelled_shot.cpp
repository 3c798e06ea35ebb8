#include "ensemble/labelled_shot.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "nablabragg/detector_response.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/pixel_truth.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::ensemble {

namespace {

Mat3d axes_in_imgcif_frame(const Ensemble& ensemble) {
  Geometry geometry = geometry_of(ensemble.base());
  geometry.crystals = {{Mat3d::identity(), ""}};
  return in_imgcif_frame(geometry).crystals[0].real_axes_A;
}

/// Spacing of the planes that scatter to the middle of a pixel [Angstrom].
double d_A(const GeometryPanel& panel, std::size_t pixel, const Vec3d& beam, double wavelength_A) {
  const auto fast_pixels = static_cast<std::size_t>(panel.fast_pixels);
  const double fast = static_cast<double>(pixel % fast_pixels) + 0.5,
               slow = static_cast<double>(pixel / fast_pixels) + 0.5;
  const Vec3d towards = unit(panel.origin_mm + fast * panel.fast_pixel_mm * panel.fast_axis +
                             slow * panel.slow_pixel_mm * panel.slow_axis);
  return wavelength_A / length(towards - beam);
}

}  // namespace

double wavelength_A(const Ensemble& ensemble, const Shot& shot) {
  const auto& spectra = ensemble.request().spectra;
  return spectra ? mean_wavelength_A(spectra->shot(static_cast<int>(shot.spectrum)))
                 : shot.experiment.beam.wavelength_A;
}

CountedImage counts_of(const Ensemble& ensemble, const Shot& shot, const Image& image) {
  const flags::Request& r = ensemble.request();
  return r.responds ? record_photons(shot.experiment, image, r.response, shot.seed)
                    : count_photons(shot.experiment, image, shot.seed);
}

ShotLabeller::ShotLabeller(const Ensemble& ensemble, const ComputeOptions& options)
    : ensemble_(ensemble), options_(options), frame_(axes_in_imgcif_frame(ensemble)) {
  options_.progress = {};
}

LabelledShot ShotLabeller::operator()(const Shot& shot, const Simulation& simulation) const {
  LabelledShot made;
  ShotLabels& labels = made.labels;
  if (ensemble_.description().counts) {
    CountedImage counted = counts_of(ensemble_, shot, simulation.image);
    labels.saturated = counted.saturated;
    made.counts = std::move(counted.counts);
  }
  labels.index = shot.index;
  labels.seed = shot.seed;
  labels.hit = shot.hit;
  labels.spectrum = static_cast<std::int64_t>(shot.spectrum);
  labels.relative_light = shot.relative_light;
  labels.wavelength_A = wavelength_A(ensemble_, shot);
  labels.photons = simulation.statistics.sum;
  labels.brightest = simulation.statistics.max;
  const Resolved& resolved = simulation.resolved;
  labels.crystals = {{shot.experiment.crystal.misset_deg, axes_of(resolved)}};
  for (std::size_t i = 0; i < resolved.more_crystals.size(); ++i)
    labels.crystals.push_back(
        {shot.experiment.more_crystals[i].misset_deg, axes_of(resolved.more_crystals[i])});
  labels.values = shot.values;
  const bool lists = ensemble_.description().reflections && shot.hit,
             marks = ensemble_.description().spot_mask_photons.has_value();
  if (!lists && !marks) return made;
  const Experiment dry = without_background(shot.experiment);
  Image dry_image;
  if (shot.hit && has_background(shot.experiment)) dry_image = simulate(dry, options_).image;
  const Image& lattice = dry_image.pixels.empty() ? simulation.image : dry_image;
  if (lists) labels.reflections = true_spots(dry, lattice);
  if (marks) find_spots(shot, lattice, made);
  return made;
}

Mat3d ShotLabeller::axes_of(const Resolved& resolved) const {
  const Mat3d rows = physics::rotate_about(resolved.axes.real_A, resolved.panel.spindle,
                                           resolved.phi.front());
  const auto turned = [&](const Vec3d& v) {
    return v.x * frame_.a + v.y * frame_.b + v.z * frame_.c;
  };
  return {turned(rows.a), turned(rows.b), turned(rows.c)};
}

void ShotLabeller::find_spots(const Shot& shot, const Image& lattice, LabelledShot& made) const {
  const Experiment& e = shot.experiment;
  const double least = *ensemble_.description().spot_mask_photons;
  made.spot_mask.assign(lattice.pixels.size(), 0);
  if (shot.hit) {
    const auto mark = [&](const auto& photons) {
      std::ranges::transform(photons, made.spot_mask.begin(),
                             [&](double light) { return std::uint8_t{light >= least}; });
    };
    if (e.crystal.diffuse_sigma_A == Vec3d{})
      mark(lattice.pixels);
    else
      mark(photons_of_spots(e, options_));
  }
  const Geometry geometry = geometry_of(SettledExperiment(e));
  double& finest_A = made.labels.resolution_A;
  finest_A = std::numeric_limits<double>::infinity();
  std::size_t first = 0;
  for (const GeometryPanel& panel : geometry.panels) {
    const std::size_t count = static_cast<std::size_t>(panel.fast_pixels) *
                              static_cast<std::size_t>(panel.slow_pixels);
    for (std::size_t i = 0; i < count; ++i)
      if (made.spot_mask[first + i] != 0)
        finest_A = std::min(finest_A,
                            d_A(panel, i, geometry.beam->direction, made.labels.wavelength_A));
    first += count;
  }
}

}  // namespace nablabragg::ensemble
