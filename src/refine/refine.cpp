#include "nablabragg/refine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "nablabragg/error.hpp"
#include "nablabragg/gradient.hpp"
#include "refine/factor_fit.hpp"
#include "refine/free_intensities.hpp"
#include "refine/free_parameters.hpp"
#include "refine/pixel_fit.hpp"
#include "refine/shoeboxes.hpp"
#include "refine/spot_positions.hpp"
#include "refine/spots.hpp"
#include "refine/uncertainty.hpp"

namespace nablabragg {

namespace {

using namespace refinement;

/// Automatic oversampling stays what it is for the start: the objective must not jump with it.  In
/// closed form each spot has sub-pixels of its own, whose boxes are part of it.
Experiment with_fixed_sampling(Experiment e) {
  const Resolved resolved = resolve(e);
  if (!resolved.closed) e.sampling.oversample = resolved.oversample;
  return e;
}

void check_panels(const Resolved& resolved, const Image& counts) {
  const std::size_t panels = 1 + resolved.more_panels.size();
  const auto number_of = [](std::size_t count) {
    return std::to_string(count) + (count == 1 ? " panel" : " panels");
  };
  if (counts.panels() != panels)
    throw InputError("the image has " + number_of(counts.panels()) + " and the model " +
                     number_of(panels) +
                     "; give the model the panels of the image (-img, -expt, -detector)");
  for (std::size_t i = 0; i < panels; ++i) {
    const PanelImage image = counts.panel(i);
    const Panel& panel = panel_of(resolved, i);
    if (image.fast_pixels == panel.fast_pixels && image.slow_pixels == panel.slow_pixels) continue;
    const std::string which = panels > 1 ? " " + std::to_string(i) : "";
    throw InputError(
        (panels > 1 ? "panel" + which + " of the image" : "the image") + " has " +
        std::to_string(image.fast_pixels) + " x " + std::to_string(image.slow_pixels) +
        " pixels and the model's panel" + which + " " + std::to_string(panel.fast_pixels) + " x " +
        std::to_string(panel.slow_pixels) + " (fast x slow); check " +
        (panels > 1 ? "-img, -expt and -detector" : "-detpixels, -detsize and -pixel"));
  }
}

/// Photons of the usable pixels: of the region of interest, not masked, not overloaded.
PhotonImages photon_images(const Experiment& start, const Measurement& m) {
  check_panels(resolve(start), m.counts);
  if (!(m.counts_per_photon > 0) || !std::isfinite(m.counts_per_photon))
    throw UsageError("the gain, in counts per photon, must be positive");
  PhotonImages images;
  std::vector<PanelImage> counts;
  for (std::size_t i = 0; i < m.counts.panels(); ++i) {
    counts.push_back(m.counts.panel(i));
    const PanelImage& panel = counts.back();
    PhotonImage& image = images.panels.emplace_back();
    image.fast_pixels = panel.fast_pixels;
    image.slow_pixels = panel.slow_pixels;
    image.usable.resize(panel.pixels.size());
    image.photons.reserve(panel.pixels.size());
    for (const float count : panel.pixels)
      image.photons.push_back((static_cast<double>(count) - m.offset) / m.counts_per_photon);
  }
  for (const PixelIndex& p : visited_pixels(start)) {
    PhotonImage& image = images.panels[static_cast<std::size_t>(p.panel)];
    const std::size_t i = image.at(p.fast, p.slow);
    image.usable[i] = std::isfinite(image.photons[i]) &&
                      static_cast<double>(counts[static_cast<std::size_t>(p.panel)].pixels[i]) <
                          m.overload;
  }
  return images;
}

/// The spots of the direct beam, h k l = 0 0 0, belong to the beam stop.
void drop_direct_beam(const Resolved& resolved, std::vector<Spot>& spots) {
  constexpr double radius_px = 10;
  std::erase_if(spots, [&](const Spot& s) {
    const Panel& panel = panel_of(resolved, static_cast<std::size_t>(s.panel));
    return std::hypot(s.fast - (panel.beam_fast / panel.pixel - 0.5),
                      s.slow - (panel.beam_slow / panel.slow_pixel - 0.5)) < radius_px;
  });
}

/// Spots of the model's image, which noise has no part in choosing.
std::vector<Spot> predicted_spots(const Experiment& experiment, const PhotonImages& measured,
                                  const RefineOptions& options) {
  PhotonImages predicted = measured;
  const Simulation s = simulate(experiment, options.compute);
  for (std::size_t panel = 0; panel < predicted.panels.size(); ++panel) {
    const std::span<const float> photons = s.image.panel(panel).pixels;
    predicted.panels[panel].photons.assign(photons.begin(), photons.end());
  }
  return find_spots(predicted, options.least_photons);
}

std::string combination(const std::vector<double>& shares, const FreeParameters& free) {
  std::string text;
  for (std::size_t i = 0; i < shares.size(); ++i)
    if (std::abs(shares[i]) > 0.05)
      text.append(text.empty() ? "" : ", ").append(free.numbers()[i].name);
  return text;
}

class Run {
 public:
  Run(const Experiment& start, const Measurement& measurement, const RefineOptions& options)
      : options_(options),
        free_(with_fixed_sampling(start), options),
        images_(photon_images(start, measurement)),
        data_{free_, images_, options,
              measurement.readout_noise * measurement.readout_noise /
                  (measurement.counts_per_photon * measurement.counts_per_photon)},
        values_(options.resume ? free_.values_of(*options.resume) : free_.start()) {
    if (options.intensities == Intensities::of_model) return;
    intensities_ = FreeIntensities(visible_reflections(
        free_.structure_factors(), resolve(free_.experiment(values_)), options.centring));
    free_.set_structure_factors(intensities_.grid());
  }

  Refinement result() {
    stages();
    if (intensities_free() && !boxes_.empty())
      result_.factors = intensities_.factors(data_, model_photons(data_, values_, boxes_), boxes_);
    Refinement r = std::move(result_);
    r.experiment = free_.experiment(values_);
    if (intensities_free() && !r.factors.empty())
      r.experiment.structure_factors = factors_alone(r.factors);
    r.state = free_.state(stage_, values_);
    r.shoeboxes = std::move(boxes_);
    numbers(r);
    return r;
  }

 private:
  std::string least_photons() const {
    return std::to_string(static_cast<int>(options_.least_photons));
  }

  bool intensities_free() const { return options_.intensities == Intensities::free; }

  ReflectionExists which_exist() const {
    if (!intensities_free()) return [](const MillerIndex&) { return true; };
    return [this](const MillerIndex& hkl) { return intensities_.exists(hkl); };
  }

  RefineStage first_stage() const {
    return options_.resume ? options_.resume->stage : RefineStage::spot_positions;
  }

  void stages() {
    std::vector<Spot> found;
    if (!options_.all_pixels) {
      found = find_spots(images_, options_.least_photons);
      drop_direct_beam(resolve(free_.experiment(values_)), found);
      if (found.empty())
        throw InputError("no spot of " + least_photons() +
                         " photons was found in the image; check offset and gain");
    }
    if (first_stage() <= RefineStage::spot_positions && options_.spot_stage &&
        !options_.all_pixels) {
      const auto why_not = why_no_spot_stage(resolve(free_.experiment(values_)));
      if (why_not)
        result_.warnings.push_back("the stage of spot positions was left out, since " + *why_not);
      else
        stage(RefineStage::spot_positions, [&] {
          return fit_spot_positions(free_, found, which_exist(), options_, values_, watch());
        });
    }
    if (first_stage() <= RefineStage::measured_spots && !result_.stopped) {
      if (intensities_free()) {
        look_at_sphere(found);
        std::set<MillerIndex> seen;
        for (const IndexedSpot& s : indexed(found)) seen.insert(s.index);
        set_boxes_of_reflections([&](const MillerIndex& hkl) { return seen.contains(hkl); });
      } else {
        set_boxes(found);
      }
      pixels(RefineStage::measured_spots);
    }
    if (options_.all_pixels || result_.stopped) return;
    if (intensities_free()) {
      look_at_sphere(found);
      set_boxes_of_reflections([](const MillerIndex&) { return true; });
    } else {
      set_boxes(predicted_spots(free_.experiment(values_), images_, options_));
    }
    pixels(RefineStage::predicted_spots);
    if (intensities_free()) {
      const std::vector<IndexedSpot> spots = indexed(found);
      const SpotDistances d = spot_distances(geometry(), spots);
      result_.found_spots = {found.size(), d.spots, d.fast_rms, d.slow_rms};
    }
    if (options_.structure_factor_deviation && !result_.stopped) structure_factors();
  }

  void structure_factors() {
    stage(RefineStage::structure_factors, [&] {
      StageReport report = fit_structure_factors(data_, values_, boxes_, result_.factors, watch());
      free_.set_structure_factors(with_factors(*free_.structure_factors().grid, result_.factors));
      report.residual = mean_square_residual(data_, model_photons(data_, values_, boxes_), boxes_);
      return report;
    });
  }

  SpotGeometry geometry() const { return SpotGeometry(resolve(free_.experiment(values_))); }

  /// Spots that are within two pixels and half a degree of where the lattice has them.
  std::vector<IndexedSpot> indexed(std::span<const Spot> found) const {
    constexpr double any_resolution = 1e9, most_px = 2, most_missed_rad = 0.5 / 57.3;
    const SpotGeometry here = geometry();
    std::vector<IndexedSpot> spots = index_spots(here, found, any_resolution, which_exist());
    std::erase_if(spots, [&](const IndexedSpot& s) {
      const auto e = here.expected(s.index, s.spot.panel);
      return std::hypot(e->fast - s.spot.fast, e->slow - s.spot.slow) > most_px ||
             std::abs(e->missed_by_rad) > most_missed_rad;
    });
    return spots;
  }

  /// Before pixels are fitted: what it says that a spot was seen.
  void look_at_sphere(std::span<const Spot> found) {
    if (!geometry().turns()) return;
    missed_.emplace(free_, indexed(found), values_);
    data_.missed = &*missed_;
  }

  std::vector<double> model_photons_of(std::span<const Shoebox> boxes) const {
    return model_photons(data_, values_, boxes);
  }

  /// One box for each reflection that the model lights and `wanted` wants, the brightest in the
  /// image first.
  void set_boxes_of_reflections(const std::function<bool(const MillerIndex&)>& wanted) {
    std::vector<Spot> spots = intensities_.expected_spots(geometry(), images_);
    drop_direct_beam(resolve(free_.experiment(values_)), spots);
    boxes_ = make_shoeboxes(images_, spots, options_.shoebox_px, static_cast<int>(spots.size()));
    intensities_.reset(boxes_);
    free_.set_structure_factors(intensities_.grid());
    boxes_ = lit_boxes(model_photons_of(boxes_), boxes_);
    intensities_.reset(boxes_);
    free_.set_structure_factors(intensities_.grid());
    fit_intensities();
    const std::vector<double> model = model_photons_of(boxes_);
    std::vector<std::pair<double, Shoebox>> bright;
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      double photons = 0;
      for (std::size_t i = 0; i < box.pixels.size(); ++i) photons += box.intensity * model[first++];
      if (photons >= options_.least_photons && wanted(*box.hkl))
        bright.emplace_back(photons, std::move(box));
    }
    leave_out_cut_ones(bright);
    std::ranges::stable_sort(bright, std::greater(), [](const auto& b) { return b.first; });
    boxes_.clear();
    for (auto& [photons, box] : bright)
      if (boxes_.size() < static_cast<std::size_t>(options_.most_shoeboxes))
        boxes_.push_back(std::move(box));
    if (boxes_.empty())
      throw InputError("no reflection of the model has " + least_photons() +
                       " photons in the image; check cell, orientation and centring");
  }

  /// What the ends of the turn cut off changes the shape of a spot in a way that says more of how
  /// the model is wrong than of how the crystal is turned.
  void leave_out_cut_ones(std::vector<std::pair<double, Shoebox>>& boxes) const {
    if (!missed_) return;
    constexpr double widths = 3, least_share = 0.3;
    const SpotGeometry here = geometry();
    const auto is_cut = [&](const auto& b) {
      const auto e = here.expected(*b.second.hkl, b.second.panel);
      return !e || e->within_by_rad < widths * missed_->blur_rad();
    };
    const auto cut = std::ranges::count_if(boxes, is_cut);
    if (static_cast<double>(cut) < (1 - least_share) * static_cast<double>(boxes.size()))
      std::erase_if(boxes, is_cut);
  }

  /// Each box sees the light of its neighbours, too, so that this is repeated.
  void fit_intensities() {
    for (int round = 0; round < 3; ++round) {
      const std::vector<double> model = model_photons_of(boxes_);
      start_intensities(data_, model, boxes_);
      intensities_.take(model, boxes_);
      free_.set_structure_factors(intensities_.grid());
    }
  }

  void set_boxes(std::vector<Spot> spots) {
    drop_direct_beam(resolve(free_.experiment(values_)), spots);
    boxes_ = options_.all_pixels
                 ? whole_panels(images_)
                 : make_shoeboxes(images_, spots, options_.shoebox_px, options_.most_shoeboxes);
    if (boxes_.empty())
      throw InputError("there are no usable pixels around spots of " + least_photons() +
                       " photons; check mask, region of interest, overload and fluence");
    const std::vector<double> model = model_photons(data_, values_, boxes_);
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      const auto own = std::span(model).subspan(first, box.pixels.size());
      start_background(images_, options_.background, own, box);
      first += box.pixels.size();
    }
  }

  void pixels(RefineStage which) {
    stage(which, [&] {
      StageReport report = fit_pixels(data_, which, values_, boxes_, watch());
      if (intensities_free()) {
        intensities_.take(model_photons_of(boxes_), boxes_);
        free_.set_structure_factors(intensities_.grid());
      }
      return report;
    });
  }

  template <class Fit>
  void stage(RefineStage which, const Fit& fit) {
    stage_ = which;
    iteration_ = 0;
    const auto begin = std::chrono::steady_clock::now();
    StageReport report = fit();
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
                         .count();
    result_.stages.push_back(report);
    if (!report.converged && !result_.stopped)
      result_.warnings.push_back("the stage '" + std::string(name_of(which)) +
                                 "' had not converged after " + std::to_string(report.iterations) +
                                 (report.iterations == 1 ? " iteration" : " iterations"));
  }

  std::function<bool(std::span<const double>, double, double)> watch() {
    return [this](std::span<const double> values, double residual, double change) {
      if (!options_.progress) return true;
      const RefineProgress now{free_.state(stage_, values), iteration_++, residual, change};
      result_.stopped = !options_.progress(now);
      return !result_.stopped;
    };
  }

  void numbers(Refinement& r) {
    Uncertainty u;
    const bool known = !r.shoeboxes.empty() && !r.stopped;
    // Several hundred pixels and more: 1.2 is many standard deviations from 1
    constexpr double too_far = 1.2;
    const bool explained = r.stages.empty() || r.stages.back().residual <= too_far;
    Information known_of;
    if (known) {
      known_of = information(data_, values_, r.shoeboxes);
      u = uncertainty(known_of.fisher, free_.size());
    }
    // A few boxes disagree by chance
    const bool by_boxes = known && (!explained || options_.variances == Variances::fitted) &&
                          r.shoeboxes.size() >= 5 * free_.size();
    if (by_boxes) widen(u, known_of.fisher, known_of.pulls);
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const FreeNumber& n = free_.numbers()[i];
      RefinedNumber& number = r.numbers.emplace_back();
      number.name = n.name;
      number.unit = n.unit;
      number.start = n.start;
      number.value = values_[i];
      number.deviation = known ? u.deviations[i] : std::numeric_limits<double>::quiet_NaN();
      const double near = 1e-3 * (known && std::isfinite(number.deviation) ? number.deviation : 0);
      number.at_bound = values_[i] <= n.lower + near || values_[i] >= n.upper - near;
      if (known) say_vanished(number, r);
    }
    if (!known) return;
    if (!r.factors.empty() && !intensities_free())
      r.warnings.emplace_back(
          "the standard deviations of the numbers take the structure factors as known");
    r.correlations = u.correlations;
    for (const auto& shares : u.undetermined)
      r.warnings.push_back("the image does not determine this combination: " +
                           combination(shares, free_) + "; refine fewer of them or restrain one");
    if (!explained)
      r.warnings.push_back(
          "the model does not explain the image: the mean squared residual is " +
          std::to_string(r.stages.back().residual) + " of what noise would leave, so that " +
          (by_boxes ? "the standard deviations are of how much parts of the detector disagree"
                    : "the standard deviations are too small"));
    constexpr double too_near = 0.5;
    if (!r.stages.empty() && r.stages.back().residual < too_near)
      r.warnings.push_back(
          "the mean squared residual is " + std::to_string(r.stages.back().residual) +
          " of what counting photons would leave: the image is no count of photons, or the gain is "
          "another one, and the standard deviations are too large");
  }

  /// A spread that the image has no use for ends at zero, where nothing changes with it.
  static void say_vanished(RefinedNumber& number, Refinement& r) {
    constexpr double share = 1e-3;
    if (!(number.start > 0) || !(std::abs(number.value) < share * number.start) ||
        number.deviation < number.start)
      return;
    number.deviation = std::numeric_limits<double>::infinity();
    r.warnings.push_back(number.name +
                         " has gone to zero, where the image does not change with it: the image "
                         "does not say how small it is; leave it out and state a small one");
  }

  const RefineOptions& options_;
  FreeParameters free_;
  PhotonImages images_;
  PixelData data_;
  std::vector<double> values_;
  std::vector<Shoebox> boxes_;
  FreeIntensities intensities_;
  std::optional<MissedSphere> missed_;
  RefineStage stage_ = RefineStage::spot_positions;
  int iteration_ = 0;
  Refinement result_;
};

}  // namespace

const char* name_of(RefineStage stage) {
  switch (stage) {
    case RefineStage::spot_positions:
      return "spot positions";
    case RefineStage::measured_spots:
      return "measured spots";
    case RefineStage::predicted_spots:
      return "predicted spots";
    case RefineStage::structure_factors:
      return "structure factors";
  }
  return "";
}

namespace {

/// What only makes all spots brighter has nothing to do where each is as bright as it likes.
void refuse_brightness(const RefineOptions& options) {
  for (const std::string& text : options.parameters)
    for (const char* name : {"fluence", "flux", "exposure", "beam_size", "blocks", "default_F"})
      if (text == name || text.starts_with(std::string(name) + '['))
        throw UsageError(std::string(name) +
                         " cannot be refined where the intensities are free: it makes all spots "
                         "brighter alike");
}

}  // namespace

Refinement refine(const Experiment& start, const Measurement& measurement,
                  const RefineOptions& options) {
  if (options.intensities == Intensities::free) {
    refuse_brightness(options);
    if (options.all_pixels) throw UsageError("free intensities need shoeboxes, one for each spot");
  }
  if (options.structure_factor_deviation) {
    if (!(*options.structure_factor_deviation > 0))
      throw UsageError("structure factors need a positive relative standard deviation");
    if (options.intensities == Intensities::free)
      throw UsageError("structure factors cannot be refined where the intensities are free");
    if (!start.structure_factors.grid)
      throw UsageError("structure factors can be refined only where there is a table (-hkl)");
  }
  return Run(start, measurement, options).result();
}

}  // namespace nablabragg
