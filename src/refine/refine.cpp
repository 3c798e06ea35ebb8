#include "nablabragg/refine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "description/digits.hpp"
#include "nablabragg/beamstop_shadow.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "refine/digest.hpp"
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

void check_panels(const Resolved& resolved, const Image& counts, const std::string& of) {
  const std::size_t panels = 1 + resolved.more_panels.size();
  const auto number_of = [](std::size_t count) {
    return std::to_string(count) + (count == 1 ? " panel" : " panels");
  };
  if (counts.panels() != panels)
    throw InputError(of + " has " + number_of(counts.panels()) + " and the model " +
                     number_of(panels) +
                     "; give the model the panels of the image (-img, -expt, -detector)");
  for (std::size_t i = 0; i < panels; ++i) {
    const PanelImage image = counts.panel(i);
    const Panel& panel = panel_of(resolved, i);
    if (image.fast_pixels == panel.fast_pixels && image.slow_pixels == panel.slow_pixels) continue;
    const std::string which = panels > 1 ? " " + std::to_string(i) : "";
    throw InputError(
        (panels > 1 ? "panel" + which + " of " + of : of) + " has " +
        std::to_string(image.fast_pixels) + " x " + std::to_string(image.slow_pixels) +
        " pixels and the model's panel" + which + " " + std::to_string(panel.fast_pixels) + " x " +
        std::to_string(panel.slow_pixels) + " (fast x slow); check " +
        (panels > 1 ? "-img, -expt and -detector" : "-detpixels, -detsize and -pixel"));
  }
}

/// The background of a spot's box ends at the shadow of a beamstop, which tells nothing of any
/// number but those of the stop.
bool leaves_out_shadow(const Experiment& e, const RefineOptions& options) {
  const auto is_of_stop = [](const std::string& name) { return name.starts_with("beamstop"); };
  return e.beamstop.radius_mm > 0 && std::ranges::none_of(options.parameters, is_of_stop) &&
         std::ranges::none_of(options.own, is_of_stop);
}

/// Photons of the usable pixels: of the region of interest, not masked, and beside the shadow of a
/// beamstop where that is left out.  Counts are whole numbers:
/// from half a count below the overload on all are possible where a detector ended.
PhotonImages photon_images(const Experiment& start, const Measurement& m,
                           const RefineOptions& options, const std::string& of) {
  check_panels(resolve(start), m.counts, of);
  if (!m.at_least.empty() && m.at_least.size() != m.counts.pixels.size())
    throw UsageError("at_least must have a number for each pixel of the counts");
  if (!(m.counts_per_photon > 0) || !std::isfinite(m.counts_per_photon))
    throw UsageError("the gain, in counts per photon, must be positive");
  PhotonImages images;
  const double readout_noise = m.readout_noise / m.counts_per_photon;
  images.readout_variance = readout_noise * readout_noise;
  for (std::size_t i = 0; i < m.counts.panels(); ++i) {
    const PanelImage panel = m.counts.panel(i);
    PhotonImage& image = images.panels.emplace_back();
    image.fast_pixels = panel.fast_pixels;
    image.slow_pixels = panel.slow_pixels;
    image.usable.resize(panel.pixels.size());
    image.at_least.resize(panel.pixels.size());
    image.photons.reserve(panel.pixels.size());
    for (std::size_t k = 0; k < panel.pixels.size(); ++k) {
      double count = panel.pixels[k];
      image.at_least[k] = count >= m.overload ||
                          (!m.at_least.empty() && m.at_least[panel.first_pixel + k]);
      if (image.at_least[k]) count = std::min(count, m.overload) - 0.5;
      image.photons.push_back((count - m.offset) / m.counts_per_photon);
    }
  }
  for (const PixelIndex& p : visited_pixels(start)) {
    PhotonImage& image = images.panels[static_cast<std::size_t>(p.panel)];
    const std::size_t i = image.at(p.fast, p.slow);
    image.usable[i] = std::isfinite(image.photons[i]) &&
                      !(image.at_least[i] && options.saturated == Saturated::left_out);
  }
  if (!leaves_out_shadow(start, options)) return images;
  const std::vector<double> shares = shares_past_beamstop(start);
  auto share = shares.begin();
  for (PhotonImage& image : images.panels)
    for (auto& usable : image.usable)
      if (*share++ < 1 && usable) {
        usable = false;
        ++images.in_shadow;
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
std::vector<Spot> predicted_spots(const Experiment& experiment,
                                  const std::optional<PointSpread>& spread,
                                  const PhotonImages& measured, const RefineOptions& options) {
  PhotonImages predicted = measured;
  const Simulation s = simulate(experiment, options.compute);
  std::vector<double> light(s.image.pixels.begin(), s.image.pixels.end());
  if (spread) light = spread_light(experiment, *spread, light);
  for (std::size_t panel = 0; panel < predicted.panels.size(); ++panel) {
    const PanelImage here = s.image.panel(panel);
    const auto first = light.begin() + static_cast<std::ptrdiff_t>(here.first_pixel);
    predicted.panels[panel].photons.assign(first,
                                           first + static_cast<std::ptrdiff_t>(here.pixels.size()));
  }
  return find_spots(predicted, options.least_photons);
}

/// One of the crystals in the beam as the only one there.
Experiment crystal_alone(Experiment e, std::size_t crystal) {
  if (crystal > 0) {
    const FurtherCrystal& further = e.more_crystals[crystal - 1];
    e.crystal.misset_deg = further.misset_deg;
    e.beam.fluence_per_m2 *= further.weight;
    if (e.beam.flux_per_s) *e.beam.flux_per_s *= further.weight;
    if (further.cells) e.crystal.cells = *further.cells;
    if (further.mosaic_spread_deg) {
      e.crystal.mosaic_spread_deg = further.mosaic_spread_deg;
      e.crystal.mosaic_spread_axes_deg.reset();
    }
  }
  e.more_crystals.clear();
  return e;
}

std::string combination(const std::vector<double>& shares, const FreeParameters& free) {
  std::string text;
  for (std::size_t i = 0; i < shares.size(); ++i)
    if (std::abs(shares[i]) > 0.05)
      text.append(text.empty() ? "" : ", ").append(free.numbers()[i].name);
  return text;
}

/// Of all that decides where a refinement ends but how long it may take.
std::uint64_t digest(std::span<const Experiment> starts, std::span<const Measurement> measurements,
                     std::span<const PhotonImages> images, const RefineOptions& o) {
  Digest d;
  for (const Experiment& start : starts) d.add(to_json(start));
  for (const PhotonImages& image : images) {
    for (const PhotonImage& panel : image.panels)
      for (std::size_t i = 0; i < panel.photons.size(); ++i)
        d.add_number(panel.usable[i] ? panel.photons[i] : -1e300), d.add_number(panel.at_least[i]);
    d.add_number(image.readout_variance);
  }
  for (const Measurement& m : measurements)
    if (const auto& spread = m.point_spread)
      d.add_number(static_cast<int>(spread->shape)), d.add_number(spread->fwhm_um);
  for (const std::string& name : o.parameters) d.add(name + '\n');
  for (const std::string& name : o.own) d.add("." + name + '\n');
  for (const std::string& name : o.equal) d.add("=" + name + '\n');
  for (const ParameterBounds& b : o.bounds)
    d.add(b.name), d.add_number(b.lower), d.add_number(b.upper);
  for (const Restraint& r : o.restraints)
    d.add(r.name), d.add_number(r.deviation), d.add_number(r.value.value_or(-1e300));
  for (const int choice :
       {static_cast<int>(o.likelihood), static_cast<int>(o.background), int{o.spot_stage},
        int{o.all_pixels}, o.shoebox_px, o.most_shoeboxes, static_cast<int>(o.compute.precision),
        static_cast<int>(o.variances), static_cast<int>(o.intensities),
        static_cast<int>(o.centring), static_cast<int>(o.saturated)})
    d.add_number(choice);
  d.add_number(o.least_photons);
  for (const ObservedSpot& s : o.observed_spots) {
    for (const double x : {s.fast, s.slow, s.photons}) d.add_number(x);
    const MillerIndex hkl = s.hkl.value_or(MillerIndex{});
    for (const int x :
         {s.panel, int{s.hkl.has_value()}, hkl[0], hkl[1], hkl[2], s.crystal, s.image})
      d.add_number(x);
  }
  d.add_number(o.structure_factor_deviation.value_or(0));
  return d.value();
}

using SpotsOfImages = std::vector<std::vector<Spot>>;

class Run {
 public:
  Run(std::span<const Experiment> starts, std::span<const Measurement> measurements,
      const RefineOptions& options)
      : options_(options),
        free_(settled(starts), options, point_spreads(measurements)),
        images_(photons_of(starts, measurements, options)),
        data_{free_, images_, options, missed_} {
    const std::uint64_t of = digest(starts, measurements, images_, options);
    if (options.resume) {
      state_ = *options.resume;
      free_.values_of(state_);  // names other numbers where they are others
      if (state_.of != of)
        throw UsageError(
            "the interrupted refinement was of another image, model or options; resume with the "
            "same ones, or begin again");
      check_state();
    }
    // Of free intensities and fitted variances the state does not hold all that the next step
    // depends on: the same steps are taken again.
    if (intensities_free() || options.variances == Variances::fitted) state_ = {};
    state_.of = of;
    if (!intensities_free()) return;
    intensities_ = FreeIntensities(visible_reflections(
        free_.structure_factors(), resolve(free_.experiment(free_.start())), options.centring));
    free_.set_structure_factors(intensities_.grid());
  }

  Refinement result() {
    stages();
    Refinement r;
    const std::vector<double> values = free_.values_of(state_);
    for (std::size_t image = 0; image < images(); ++image) {
      r.experiments.push_back(free_.experiment(values, image));
      r.point_spreads.push_back(free_.point_spread(values, image));
    }
    r.factors = state_.factors;
    if (intensities_free() && !boxes_.empty()) {
      r.factors = intensities_.factors(data_, model_photons_of(boxes_), boxes_);
      const StructureFactors alone = factors_alone(r.factors);
      for (Experiment& e : r.experiments) e.structure_factors = alone;
    }
    for (const PhotonImages& image : images_) r.pixels_in_shadow.push_back(image.in_shadow);
    r.found_spots = found_spots_;
    r.stages = state_.stages;
    r.warnings = state_.warnings;
    r.stopped = stopped_;
    describe_boxes(values);
    r.shoeboxes = std::move(boxes_);
    numbers(values, r);
    r.state = std::move(state_);
    return r;
  }

 private:
  static std::vector<SettledExperiment> settled(std::span<const Experiment> starts) {
    std::vector<SettledExperiment> all;
    for (const Experiment& start : starts) all.emplace_back(with_fixed_sampling(start));
    return all;
  }
  static std::vector<std::optional<PointSpread>> point_spreads(
      std::span<const Measurement> measurements) {
    std::vector<std::optional<PointSpread>> all;
    for (const Measurement& m : measurements) all.push_back(m.point_spread);
    return all;
  }
  static std::vector<PhotonImages> photons_of(std::span<const Experiment> starts,
                                              std::span<const Measurement> measurements,
                                              const RefineOptions& options) {
    std::vector<PhotonImages> all;
    for (std::size_t image = 0; image < starts.size(); ++image)
      all.push_back(photon_images(starts[image], measurements[image], options,
                                  image_in_words(image, starts.size())));
    return all;
  }

  std::size_t images() const { return images_.size(); }
  std::string words_for(std::size_t image) const { return image_in_words(image, images()); }

  /// Of a file that somebody has changed.
  void check_state() const {
    const auto finite = [](const std::vector<double>& numbers) {
      return std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); });
    };
    const auto is_place = [&](const ShoeboxPlace& p) {
      if (p.image < 0 || static_cast<std::size_t>(p.image) >= images()) return false;
      const PhotonImages& image = images_[static_cast<std::size_t>(p.image)];
      if (p.panel < 0 || static_cast<std::size_t>(p.panel) >= image.panels.size()) return false;
      const PhotonImage& panel = image.panels[static_cast<std::size_t>(p.panel)];
      return p.fast >= 0 && p.fast < panel.fast_pixels && p.slow >= 0 && p.slow < panel.slow_pixels;
    };
    const auto is_factor = [&](const RefinedFactor& f) {
      const StructureFactorGrid& grid = *free_.structure_factors().grid;
      for (std::size_t i = 0; i < 3; ++i)
        if (f.hkl[i] < grid.min()[i] || f.hkl[i] > grid.max()[i]) return false;
      return f.start > 0 && f.value > 0 && std::isfinite(f.start) && std::isfinite(f.value);
    };
    const RefineState& s = state_;
    const bool of_pixels = s.stage() > RefineStage::spot_positions;
    const bool sound = finite(values()) && finite(s.own_of_boxes) && finite(s.round_values) &&
                       finite(s.round_own_of_boxes) && std::ranges::all_of(s.places, is_place) &&
                       std::ranges::is_sorted(s.places, {}, &ShoeboxPlace::image) && s.round >= 0 &&
                       s.round < pixel_rounds(options_) &&
                       (s.round_values.empty()
                            ? s.round_own_of_boxes.empty()
                            : s.round_values.size() == free_.size() &&
                                  s.round_own_of_boxes.size() == s.own_of_boxes.size()) &&
                       (!of_pixels || (s.trust_radius > 0 && std::isfinite(s.trust_radius))) &&
                       (s.factors.empty() || (free_.structure_factors().grid &&
                                              std::ranges::all_of(s.factors, is_factor))) &&
                       std::ranges::all_of(
                           s.stages, [](const StageReport& r) { return r.iterations >= 0; }) &&
                       (s.stage() != RefineStage::structure_factors ||
                        options_.structure_factor_deviation);
    if (!sound) throw UsageError("the state of the interrupted refinement is damaged; begin again");
  }

  std::size_t most_shoeboxes() const {
    return static_cast<std::size_t>(std::max(options_.most_shoeboxes, 0));
  }
  std::string least_photons() const {
    return std::to_string(static_cast<int>(options_.least_photons));
  }

  std::vector<double> values() const { return free_.values_of(state_); }
  std::vector<double> model_photons_of(std::span<const Shoebox> boxes) const {
    return model_photons(data_, values(), boxes);
  }
  Experiment experiment(std::size_t image) const { return free_.experiment(values(), image); }
  SpotGeometry geometry(std::size_t image) const {
    return SpotGeometry(resolve(experiment(image)));
  }

  bool intensities_free() const { return options_.intensities == Intensities::free; }
  ReflectionExists which_exist() const {
    if (!intensities_free()) return [](const MillerIndex&) { return true; };
    return [this](const MillerIndex& hkl) { return intensities_.exists(hkl); };
  }

  void stages() {
    const bool resumed = state_.stage() > RefineStage::spot_positions;
    SpotsOfImages found;
    if (!resumed) {
      state_ = {state_.of, {}, {}, free_.named(free_.start()), {}, {}, 0, 0, {}, {}, {}};
      found = measured();
      if (options_.spot_stage && !options_.all_pixels && !spot_positions(found)) return;
      if (intensities_free()) {
        look_at_sphere(found);
        std::vector<std::set<std::pair<MillerIndex, int>>> seen(images());
        for (std::size_t image = 0; image < images(); ++image)
          for (const IndexedSpot& s : indexed(image, found[image]))
            seen[image].emplace(s.point.index, s.point.crystal);
        begin_reflections(RefineStage::measured_spots, [&](const Shoebox& box) {
          return seen[static_cast<std::size_t>(box.image)].contains({*box.hkl, box.crystal});
        });
      } else {
        begin(RefineStage::measured_spots, found);
      }
    } else {
      go_on();
    }
    if (state_.stage() == RefineStage::measured_spots) {
      if (!pixels() || options_.all_pixels) return;
      if (intensities_free()) {
        look_at_sphere(found);
        begin_reflections(RefineStage::predicted_spots, [](const Shoebox&) { return true; });
      } else {
        SpotsOfImages predicted;
        for (std::size_t image = 0; image < images(); ++image)
          predicted.push_back(predicted_spots(
              experiment(image), free_.point_spread(values(), image), images_[image], options_));
        begin(RefineStage::predicted_spots, std::move(predicted));
      }
    }
    if (state_.stage() == RefineStage::predicted_spots) {
      if (!pixels()) return;
      if (intensities_free()) compare_with(found);
      if (!options_.structure_factor_deviation) return;
      state_.stages.push_back({RefineStage::structure_factors});
      state_.round = 0;
      state_.factors = choose_factors(data_, values(), boxes_);
      state_.stages.back().residual_before = mean_square_residual(data_, model_photons_of(boxes_),
                                                                  boxes_);
    }
    structure_factors();
  }

  void compare_with(const SpotsOfImages& found) {
    FoundSpots all;
    for (std::size_t image = 0; image < images(); ++image) {
      const SpotDistances d = spot_distances(geometry(image), indexed(image, found[image]));
      const auto spots = static_cast<double>(d.spots);
      all.found += found[image].size();
      all.placed += d.spots;
      all.fast_rms_px += spots * d.fast_rms * d.fast_rms;
      all.slow_rms_px += spots * d.slow_rms * d.slow_rms;
    }
    const auto placed = static_cast<double>(std::max<std::size_t>(all.placed, 1));
    all.fast_rms_px = std::sqrt(all.fast_rms_px / placed);
    all.slow_rms_px = std::sqrt(all.slow_rms_px / placed);
    found_spots_ = all;
  }

  SpotsOfImages measured() const {
    SpotsOfImages all(images());
    for (std::size_t image = 0; image < images() && !options_.all_pixels; ++image) {
      all[image] = options_.observed_spots.empty()
                       ? find_spots(images_[image], options_.least_photons)
                       : observed(image);
      drop_direct_beam(resolve(experiment(image)), all[image]);
      if (all[image].empty())
        throw InputError("no spot of " + least_photons() + " photons was found in " +
                         words_for(image) + "; check offset and gain");
    }
    return all;
  }

  /// Those of the user: the indexed ones, where some are.
  std::vector<Spot> observed(std::size_t image) const {
    const std::vector<ObservedSpot>& all = options_.observed_spots;
    const bool indexed = std::ranges::any_of(all, [](const auto& s) { return s.hkl.has_value(); });
    const std::size_t crystals = 1 + experiment(image).more_crystals.size();
    std::vector<Spot> spots;
    for (const ObservedSpot& s : all) {
      if ((indexed && !s.hkl) || s.image != static_cast<int>(image)) continue;
      if (s.panel < 0 || static_cast<std::size_t>(s.panel) >= images_[image].panels.size())
        throw InputError("an observed spot is on panel " + std::to_string(s.panel) +
                         ", and the model has " + std::to_string(images_[image].panels.size()));
      if (s.crystal < 0 || static_cast<std::size_t>(s.crystal) >= crystals)
        throw InputError("an observed spot is of crystal " + std::to_string(s.crystal) +
                         ", and the model has " + std::to_string(crystals));
      spots.push_back({s.fast, s.slow, std::max(s.photons, 1.0), 0, s.panel, s.hkl, s.crystal});
    }
    std::ranges::stable_sort(spots, std::greater(), &Spot::photons);
    return spots;
  }

  /// False: stopped.  The stage is short, and is begun again then.
  bool spot_positions(const SpotsOfImages& found) {
    for (std::size_t image = 0; image < images(); ++image)
      if (const auto why_not = why_no_spot_stage(resolve(experiment(image)))) {
        state_.warnings.push_back("the stage of spot positions was left out, since " + *why_not);
        return true;
      }
    state_.stages.push_back({RefineStage::spot_positions});
    std::vector<double> moved = values();
    return timed([&] {
      StageReport report = fit_spot_positions(free_, found, which_exist(), options_, moved,
                                              watch());
      if (stopped_) return false;
      state_.stages.back() = report;
      state_.values = free_.named(moved);
      return true;
    });
  }

  /// Spots that are within two pixels and half a degree of where the lattice has them.
  std::vector<IndexedSpot> indexed(std::size_t image, std::span<const Spot> found) const {
    constexpr double any_resolution = 1e9, most_px = 2, most_missed_rad = 0.5 / 57.3;
    const SpotGeometry here = geometry(image);
    std::vector<IndexedSpot> spots = index_spots(here, found, any_resolution, which_exist());
    std::erase_if(spots, [&](const IndexedSpot& s) {
      const auto e = here.expected(s.point, s.spot.panel);
      return std::hypot(e->fast - s.spot.fast, e->slow - s.spot.slow) > most_px ||
             std::abs(e->missed_by_rad) > most_missed_rad;
    });
    return spots;
  }

  /// Before pixels are fitted: what it says that a spot was seen.
  void look_at_sphere(const SpotsOfImages& found) {
    missed_.clear();
    for (std::size_t image = 0; image < images(); ++image)
      if (geometry(image).turns())
        missed_.emplace_back(free_, image, indexed(image, found[image]), values());
  }

  /// One box for each reflection that the model lights and `wanted` wants, the brightest of each
  /// image first.
  void begin_reflections(RefineStage stage, const std::function<bool(const Shoebox&)>& wanted) {
    boxes_.clear();
    for (std::size_t image = 0; image < images(); ++image) {
      std::vector<Spot> spots = intensities_.expected_spots(geometry(image), images_[image]);
      drop_direct_beam(resolve(experiment(image)), spots);
      std::vector<ShoeboxPlace> places;
      for (const Spot& s : spots)
        places.push_back({s.fast, s.slow, s.panel, s.hkl, static_cast<int>(image), s.crystal});
      std::ranges::move(make_shoeboxes(images_[image], places, options_.shoebox_px),
                        std::back_inserter(boxes_));
    }
    // Of several crystals spots without a box, dim ones and such that lie too near to others, send
    // light to boxes, too
    const auto light_boxes = [&] {
      if (has_one_crystal())
        intensities_.reset(boxes_);
      else
        intensities_.restart();
      free_.set_structure_factors(intensities_.grid());
    };
    light_boxes();
    boxes_ = lit_boxes(light_of_crystals().own, boxes_);
    light_boxes();
    fit_intensities();
    // One number for a box does not make the light of two crystals: what the others send there must
    // stay below the deviation that counting gives
    constexpr double most_deviations = 0.5;
    const std::vector<double> model = model_photons_of(boxes_);
    const LightOfCrystals light = light_of_crystals();
    std::vector<std::vector<std::pair<double, Shoebox>>> bright(images());
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      double photons = 0, others = 0;
      for (std::size_t i = 0; i < box.pixels.size(); ++i, ++first) {
        photons += box.intensity * model[first];
        others += light.others[first];
      }
      const auto image = static_cast<std::size_t>(box.image);
      if (photons >= options_.least_photons && others <= most_deviations * std::sqrt(photons) &&
          wanted(box))
        bright[image].emplace_back(photons, std::move(box));
    }
    leave_out_cut_ones(bright);
    boxes_.clear();
    for (auto& of_image : bright) {
      std::ranges::stable_sort(of_image, std::greater(), [](const auto& b) { return b.first; });
      if (of_image.size() > most_shoeboxes()) of_image.resize(most_shoeboxes());
      for (auto& [photons, box] : of_image) boxes_.push_back(std::move(box));
    }
    if (boxes_.empty())
      throw InputError("no reflection of the model has " + least_photons() + " photons in " +
                       (images() > 1 ? "the images" : "the image") +
                       "; check cell, orientation and centring" +
                       (has_one_crystal() ? ""
                                          : ", and whether spots of one crystal lie on those of "
                                            "another (--shoebox)"));
    begin_pixels(stage);
  }

  /// What the crystal whose reflection a box is of sends to its pixels, and what all others do.
  struct LightOfCrystals {
    std::vector<double> own, others;
  };
  LightOfCrystals light_of_crystals() const {
    LightOfCrystals all;
    if (has_one_crystal()) {
      all.own = model_photons_of(boxes_);
      all.others.resize(all.own.size());
      return all;
    }
    for (const BoxesOfImage& of : by_image(data_, values(), boxes_)) {
      const Experiment e = without_background(experiment(of.image));
      const std::size_t first = all.own.size();
      all.own.resize(first + of.number);
      all.others.resize(first + of.number);
      for (std::size_t crystal = 0; crystal <= e.more_crystals.size(); ++crystal) {
        const std::vector<double> light = of.pixels.spread(
            photons(crystal_alone(e, crystal), of.pixels.sources(), options_.compute));
        std::size_t pixel = 0;
        for (const Shoebox& box : of.boxes) {
          std::vector<double>& to = box.crystal == static_cast<int>(crystal) ? all.own : all.others;
          for (std::size_t i = 0; i < box.pixels.size(); ++i, ++pixel)
            to[first + pixel] += light[pixel];
        }
      }
    }
    return all;
  }
  bool has_one_crystal() const {
    for (std::size_t image = 0; image < images(); ++image)
      if (!experiment(image).more_crystals.empty()) return false;
    return true;
  }

  /// What the ends of the turn cut off changes the shape of a spot in a way that says more of how
  /// the model is wrong than of how the crystal is turned.
  void leave_out_cut_ones(std::vector<std::vector<std::pair<double, Shoebox>>>& boxes) const {
    constexpr double widths = 3, least_share = 0.3;
    for (const MissedSphere& missed : missed_) {
      auto& of_image = boxes[missed.image()];
      const SpotGeometry here = geometry(missed.image());
      const auto is_cut = [&](const auto& b) {
        const auto e = here.expected(LatticePoint{*b.second.hkl, b.second.crystal}, b.second.panel);
        return !e || e->within_by_rad < widths * missed.blur_rad();
      };
      const auto cut = std::ranges::count_if(of_image, is_cut);
      if (static_cast<double>(cut) < (1 - least_share) * static_cast<double>(of_image.size()))
        std::erase_if(of_image, is_cut);
    }
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

  /// A stage of pixels with shoeboxes about these spots.
  void begin(RefineStage stage, SpotsOfImages spots) {
    state_.places.clear();
    for (std::size_t image = 0; image < images(); ++image) {
      drop_direct_beam(resolve(experiment(image)), spots[image]);
      if (spots[image].size() > most_shoeboxes()) spots[image].resize(most_shoeboxes());
      for (const Spot& s : spots[image])
        state_.places.push_back({s.fast, s.slow, s.panel, {}, static_cast<int>(image)});
    }
    set_boxes();
    if (boxes_.empty())
      throw InputError("there are no usable pixels around spots of " + least_photons() +
                       " photons; check mask, region of interest, overload and fluence");
    const std::vector<double> model = model_photons(data_, values(), boxes_);
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      const auto own = std::span(model).subspan(first, box.pixels.size());
      start_background(images_[static_cast<std::size_t>(box.image)], options_.background, own, box);
      first += box.pixels.size();
    }
    begin_pixels(stage);
  }

  void begin_pixels(RefineStage stage) {
    state_.stages.push_back({stage});
    state_.own_of_boxes = own_numbers_of(options_, boxes_);
    state_.trust_radius = first_trust_radius;
    state_.round = 0;
  }

  void set_boxes() {
    boxes_.clear();
    auto place = state_.places.begin();
    for (std::size_t image = 0; image < images(); ++image) {
      const auto first = place;
      while (place != state_.places.end() && place->image == static_cast<int>(image)) ++place;
      std::vector<Shoebox> more = options_.all_pixels
                                      ? whole_panels(images_[image])
                                      : make_shoeboxes(images_[image], std::span(first, place),
                                                       options_.shoebox_px);
      for (Shoebox& box : more) {
        box.image = static_cast<int>(image);
        boxes_.push_back(std::move(box));
      }
    }
    for (Shoebox& box : boxes_)
      box.background.assign(static_cast<std::size_t>(background_terms(options_.background)), 0.0);
  }

  void go_on() {
    set_boxes();
    set_own_numbers(options_, boxes_, state_.own_of_boxes);
  }

  /// False: stopped.
  bool pixels() {
    return timed([&] {
      const bool finished = fit_pixels(data_, state_, boxes_, watch());
      if (intensities_free()) {
        intensities_.take(model_photons_of(boxes_), boxes_);
        free_.set_structure_factors(intensities_.grid());
      }
      return finished;
    });
  }

  void structure_factors() {
    const auto grid = free_.structure_factors().grid;
    timed([&] {
      FactorLeg leg = FactorLeg::goes_on;
      while (leg == FactorLeg::goes_on) {
        free_.set_structure_factors(with_factors(*grid, state_.factors));
        leg = fit_structure_factors(data_, state_, boxes_, watch());
      }
      free_.set_structure_factors(with_factors(*grid, state_.factors));
      state_.stages.back().residual = mean_square_residual(
          data_, model_photons(data_, values(), boxes_), boxes_);
      return leg == FactorLeg::ended;
    });
  }

  /// False: stopped.
  template <class Fit>
  bool timed(const Fit& fit) {
    StageReport& report = state_.stages.back();
    iteration_ = report.iterations > 0 ? report.iterations + 1 : 0;
    const double before = report.seconds;
    const auto begin = std::chrono::steady_clock::now();
    const bool finished = fit();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    state_.stages.back().seconds = before + took.count();
    if (finished && !report.converged)
      state_.warnings.push_back("the stage '" + std::string(name_of(report.stage)) +
                                "' had not converged after " + std::to_string(report.iterations) +
                                (report.iterations == 1 ? " iteration" : " iterations"));
    return finished;
  }

  Iterated watch() {
    return [this](std::span<const double> now, double residual, double change) {
      if (!options_.progress) return true;
      stopped_ = !options_.progress(
          {state_, state_.stage(), free_.named(now), iteration_++, residual, change});
      return !stopped_;
    };
  }

  void describe_boxes(std::span<const double> values) {
    if (boxes_.empty() || stopped_) return;
    const std::vector<double> model = model_photons(data_, values, boxes_);
    std::optional<std::size_t> image;
    std::optional<SpotGeometry> geometry;  // where lattice points are told apart
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      if (image != static_cast<std::size_t>(box.image)) {
        image = static_cast<std::size_t>(box.image);
        geometry.reset();
        const Resolved resolved = resolve(free_.experiment(values, *image));
        if (!options_.all_pixels && !why_no_spot_stage(resolved)) geometry.emplace(resolved);
      }
      box.residual = mean_square_residual(data_, std::span(model).subspan(first, box.pixels.size()),
                                          {&box, 1});
      first += box.pixels.size();
      if (!geometry || box.hkl) continue;
      Spot spot;
      spot.fast = box.fast;
      spot.slow = box.slow;
      spot.panel = box.panel;
      const std::vector<IndexedSpot> found = index_spots(*geometry, {&spot, 1}, 1e9);
      if (found.empty()) continue;
      box.hkl = found[0].point.index;
      box.crystal = found[0].point.crystal;
    }
  }

  /// A number that is known no better than this is not known.
  static double widest_deviation(const FreeNumber& n, double value) {
    constexpr double circle_deg = 360, times = 1000;
    return n.unit == "deg" ? circle_deg : times * std::max(std::abs(value), 1.0);
  }

  /// `by_parts`: of how much parts of the detector disagree.
  Uncertainty known(std::span<const double> values, bool by_parts, Refinement& r) const {
    Information known_of = information(data_, values, r.shoeboxes);
    std::vector<double>& fisher = known_of.fisher;
    const std::size_t count = free_.size();
    const auto forget = [&](std::size_t i) {
      for (std::size_t k = 0; k < count; ++k)
        for (std::vector<double>* matrix : {&fisher, &known_of.pulls})
          (*matrix)[i * count + k] = (*matrix)[k * count + i] = 0;
    };
    const auto widest = [&](std::size_t i) {
      return widest_deviation(free_.numbers()[i], values[i]);
    };
    for (std::size_t i = 0; i < count; ++i)
      if (!(fisher[i * count + i] > 1 / (widest(i) * widest(i)))) forget(i);
    Uncertainty u = uncertainty(fisher, count);
    if (by_parts) widen(u, fisher, known_of.pulls);
    for (std::size_t i = 0; i < count; ++i) {
      if (std::isinf(u.deviations[i]) || u.deviations[i] <= widest(i)) continue;
      u.deviations[i] = std::numeric_limits<double>::infinity();
      for (std::size_t k = 0; k < count; ++k)
        if (k != i) u.correlations[i * count + k] = u.correlations[k * count + i] = 0;
      r.warnings.push_back("the image does not determine " + free_.numbers()[i].name +
                           " beside the other numbers; leave it out or restrain it");
    }
    return u;
  }

  void numbers(std::span<const double> values, Refinement& r) {
    Uncertainty u;
    const bool at_the_end = !r.shoeboxes.empty() && !r.stopped;
    const bool explained = r.stages.empty() || r.stages.back().residual <= too_much;
    // A few boxes disagree by chance
    const bool by_parts = (!explained || options_.variances == Variances::fitted) &&
                          r.shoeboxes.size() >= 5 * free_.size();
    if (at_the_end) u = known(values, by_parts, r);
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const FreeNumber& n = free_.numbers()[i];
      RefinedNumber& number = r.numbers.emplace_back();
      number.name = n.name;
      number.unit = n.unit;
      number.start = n.start;
      number.value = values[i];
      number.deviation = at_the_end ? u.deviations[i] : std::numeric_limits<double>::quiet_NaN();
      const double near = 1e-3 *
                          (at_the_end && std::isfinite(number.deviation) ? number.deviation : 0);
      number.at_bound = values[i] <= n.lower + near || values[i] >= n.upper - near;
      if (at_the_end) say_vanished(number, r);
    }
    if (!at_the_end) return;
    if (!r.factors.empty() && !intensities_free())
      r.warnings.emplace_back(
          "the standard deviations of the numbers take the structure factors as known");
    r.correlations = u.correlations;
    for (const auto& shares : u.undetermined) {
      const std::string names = combination(shares, free_);
      r.warnings.push_back(names.find(',') == std::string::npos
                               ? "the image does not determine " + names +
                                     "; leave it out or restrain it"
                               : "the image does not determine this combination: " + names +
                                     "; refine fewer of them or restrain one");
    }
    judge_residual(values, by_parts, r);
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

  void judge_residual(std::span<const double> values, bool by_parts, Refinement& r) const {
    if (r.stages.empty()) return;
    const double residual = r.stages.back().residual;
    if (residual > too_much)
      r.warnings.push_back(
          "the model does not explain the image: the mean squared residual is " +
          description::digits(residual) +
          " of what noise would leave, so that the standard deviations " +
          (by_parts ? "are of how much parts of the detector disagree" : "are too small"));
    if (residual > too_little) return;
    // Where next to nothing is expected and nothing came, there is nothing to vary
    constexpr double least_expected = 0.1;
    const LitResidual lit = lit_residual(data_, model_photons(data_, values, r.shoeboxes),
                                         r.shoeboxes, least_expected);
    if (lit.pixels > 100 && lit.residual < too_little)
      r.warnings.push_back(
          "the counts vary less than photons do: the mean squared residual is " +
          std::to_string(lit.residual) +
          " of what noise would leave, so that the standard deviations are too large; an offset "
          "that is too small does this, more counts per photon than there are, and an image "
          "without noise");
  }

  /// Several hundred pixels and more: both are many standard deviations from 1.
  static constexpr double too_much = 1.2, too_little = 0.8;

  const RefineOptions& options_;
  FreeParameters free_;
  std::vector<PhotonImages> images_;
  std::vector<MissedSphere> missed_;  ///< with free intensities, of images of turning crystals
  PixelData data_;
  RefineState state_;
  std::vector<Shoebox> boxes_;
  FreeIntensities intensities_;
  std::optional<FoundSpots> found_spots_;  ///< with free intensities
  int iteration_ = 0;
  bool stopped_ = false;
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
  std::vector<std::string> names = options.parameters;
  names.insert(names.end(), options.own.begin(), options.own.end());
  for (const std::string& text : names)
    for (const char* name : {"fluence", "flux", "exposure", "beam_size", "blocks", "default_F"})
      if (text == name || text.starts_with(std::string(name) + '['))
        throw UsageError(std::string(name) +
                         " cannot be refined where the intensities are free: it makes all spots "
                         "brighter alike");
  for (const std::string& text : names)
    if (text.starts_with("crystal[") && text.ends_with("].weight"))
      throw UsageError(text +
                       " cannot be refined where the intensities are free: it makes all spots of "
                       "that crystal brighter alike");
}

}  // namespace

void check_options(const RefineOptions& options) {
  const bool free = options.intensities == Intensities::free;
  if (free) refuse_brightness(options);
  if (free && options.all_pixels)
    throw UsageError("free intensities need shoeboxes, one for each spot");
  if (!free && options.centring != Centring::P)
    throw UsageError(
        "--centring needs --intensities free: otherwise the structure factors say which "
        "reflections "
        "there are");
  if (!options.structure_factor_deviation) return;
  if (!(*options.structure_factor_deviation > 0))
    throw UsageError("structure factors need a positive relative standard deviation");
  if (free) throw UsageError("structure factors cannot be refined where the intensities are free");
}

Refinement refine(std::span<const Experiment> starts, std::span<const Measurement> measurements,
                  const RefineOptions& options) {
  check_options(options);
  if (starts.size() != measurements.size() || starts.empty())
    throw UsageError("there are " + std::to_string(measurements.size()) + " images and " +
                     std::to_string(starts.size()) +
                     " experiments; each image needs the experiment that it is of");
  for (const ObservedSpot& s : options.observed_spots)
    if (s.image < 0 || static_cast<std::size_t>(s.image) >= starts.size())
      throw UsageError("an observed spot is on image " + std::to_string(s.image) +
                       ", and there are " + std::to_string(starts.size()));
  const auto is_curved = [](const FurtherPanel& panel) { return panel.detector.curved; };
  for (const Experiment& e : starts)
    if (options.intensities == Intensities::free &&
        (e.detector.curved || std::ranges::any_of(e.more_panels, is_curved)))
      throw UsageError(
          "free intensities need to know where each reflection falls, which is known of flat "
          "panels, and this detector is curved (-curved_det)");
  const StructureFactors& first = starts.front().structure_factors;
  const bool changes_factors = options.structure_factor_deviation ||
                               options.intensities == Intensities::free;
  for (const Experiment& e : starts)
    if (changes_factors && (e.structure_factors.grid != first.grid ||
                            e.structure_factors.default_F != first.default_F))
      throw UsageError(
          "structure factors are refined together where all images have the same table of them");
  for (const Experiment& e : starts)
    if (e.structure_factors.grid && e.structure_factors.grid->anomalous())
      throw UsageError(
          "refine takes one F for each reflection, and these follow the energy of the light; make "
          "a table at one energy (nablabragg fcalc -energy)");
  if (options.structure_factor_deviation && !first.grid)
    throw UsageError("structure factors can be refined only where there is a table (-hkl)");
  return Run(starts, measurements, options).result();
}

}  // namespace nablabragg
