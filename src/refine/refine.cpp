#include "nablabragg/refine.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>  // for std::greater
#include <span>
#include <string_view>

#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "refine/factor_fit.hpp"
#include "refine/free_parameters.hpp"
#include "refine/pixel_fit.hpp"
#include "refine/shoeboxes.hpp"
#include "refine/spot_positions.hpp"
#include "refine/spots.hpp"
#include "refine/uncertainty.hpp"

namespace nablabragg {

namespace {

using namespace refinement;

/// Automatic oversampling stays what it is for the start: the objective must not jump with it.
Experiment with_fixed_sampling(Experiment e) {
  e.sampling.oversample = resolve(e).oversample;
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

/// FNV-1a: tells inputs apart, and no more.
class Digest {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes)
      value_ = (value_ ^ static_cast<unsigned char>(c)) * std::uint64_t{1099511628211U};
  }
  template <class Number>
  void add_number(Number x) {
    const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(x);
    add({bytes.data(), bytes.size()});
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

/// Of all that decides where a refinement ends but how long it may take.
std::uint64_t digest(const Experiment& start, const PhotonImages& images, double readout_variance,
                     const RefineOptions& o) {
  Digest d;
  d.add(to_json(start));
  for (const PhotonImage& panel : images.panels)
    for (std::size_t i = 0; i < panel.photons.size(); ++i)
      d.add_number(panel.usable[i] ? panel.photons[i] : -1e300);
  d.add_number(readout_variance);
  for (const std::string& name : o.parameters) d.add(name + '\n');
  for (const ParameterBounds& b : o.bounds)
    d.add(b.name), d.add_number(b.lower), d.add_number(b.upper);
  for (const Restraint& r : o.restraints)
    d.add(r.name), d.add_number(r.deviation), d.add_number(r.value.value_or(-1e300));
  for (const int choice :
       {static_cast<int>(o.likelihood), static_cast<int>(o.background), int{o.spot_stage},
        int{o.all_pixels}, o.shoebox_px, o.most_shoeboxes, static_cast<int>(o.compute.precision)})
    d.add_number(choice);
  d.add_number(o.least_photons);
  for (const ObservedSpot& s : o.observed_spots) {
    for (const double x : {s.fast, s.slow, s.photons}) d.add_number(x);
    const MillerIndex hkl = s.hkl.value_or(MillerIndex{});
    for (const int x : {s.panel, int{s.hkl.has_value()}, hkl[0], hkl[1], hkl[2]}) d.add_number(x);
  }
  d.add_number(o.structure_factor_deviation.value_or(0));
  return d.value();
}

class Run {
 public:
  Run(const Experiment& start, const Measurement& measurement, const RefineOptions& options)
      : options_(options),
        free_(with_fixed_sampling(start), options),
        images_(photon_images(start, measurement)),
        data_{free_, images_, options,
              measurement.readout_noise * measurement.readout_noise /
                  (measurement.counts_per_photon * measurement.counts_per_photon)} {
    const std::uint64_t of = digest(start, images_, data_.readout_variance, options);
    if (options.resume) {
      state_ = *options.resume;
      free_.values_of(state_);  // names other numbers where they are others
      if (state_.of != of)
        throw UsageError(
            "the interrupted refinement was of another image, model or options; resume with the "
            "same ones, or begin again");
    }
    state_.of = of;
    if (state_.stage() == RefineStage::spot_positions) state_.values = free_.named(free_.start());
  }

  Refinement result() {
    stages();
    Refinement r;
    const std::vector<double> values = free_.values_of(state_);
    r.experiment = free_.experiment(values);
    r.factors = state_.factors;
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
  std::string least_photons() const {
    return std::to_string(static_cast<int>(options_.least_photons));
  }

  std::vector<double> values() const { return free_.values_of(state_); }

  void stages() {
    const bool resumed = state_.stage() > RefineStage::spot_positions;
    if (!resumed) {
      state_ = {state_.of, {}, {}, free_.named(free_.start()), {}, {}, 0, 0, {}, {}, {}};
      const std::vector<Spot> found = measured();
      if (options_.spot_stage && !options_.all_pixels && !spot_positions(found)) return;
      begin(RefineStage::measured_spots, found);
    } else {
      go_on();
    }
    if (state_.stage() == RefineStage::measured_spots) {
      if (!pixels() || options_.all_pixels) return;
      begin(RefineStage::predicted_spots,
            predicted_spots(free_.experiment(values()), images_, options_));
    }
    if (state_.stage() == RefineStage::predicted_spots) {
      if (!pixels() || !options_.structure_factor_deviation) return;
      state_.stages.push_back({RefineStage::structure_factors});
      state_.factors = choose_factors(data_, values(), boxes_);
      state_.stages.back().residual_before = mean_square_residual(
          data_, model_photons(data_, values(), boxes_), boxes_);
    }
    structure_factors();
  }

  std::vector<Spot> measured() const {
    if (options_.all_pixels) return {};
    std::vector<Spot> found = options_.observed_spots.empty()
                                  ? find_spots(images_, options_.least_photons)
                                  : observed();
    drop_direct_beam(resolve(free_.experiment(values())), found);
    if (found.empty())
      throw InputError("no spot of " + least_photons() +
                       " photons was found in the image; check offset and gain");
    return found;
  }

  /// Those of the user: the indexed ones, where some are.
  std::vector<Spot> observed() const {
    const std::vector<ObservedSpot>& all = options_.observed_spots;
    const bool indexed = std::ranges::any_of(all, [](const auto& s) { return s.hkl.has_value(); });
    std::vector<Spot> spots;
    for (const ObservedSpot& s : all) {
      if (indexed && !s.hkl) continue;
      if (s.panel < 0 || static_cast<std::size_t>(s.panel) >= images_.panels.size())
        throw InputError("an observed spot is on panel " + std::to_string(s.panel) +
                         ", and the model has " + std::to_string(images_.panels.size()));
      spots.push_back({s.fast, s.slow, std::max(s.photons, 1.0), 0, s.panel, s.hkl});
    }
    std::ranges::stable_sort(spots, std::greater(), &Spot::photons);
    return spots;
  }

  /// False: stopped.  The stage is short, and is begun again then.
  bool spot_positions(const std::vector<Spot>& found) {
    const auto why_not = why_no_spot_stage(resolve(free_.experiment(values())));
    if (why_not) {
      state_.warnings.push_back("the stage of spot positions was left out, since " + *why_not);
      return true;
    }
    state_.stages.push_back({RefineStage::spot_positions});
    std::vector<double> moved = values();
    return timed([&] {
      StageReport report = fit_spot_positions(free_, found, options_, moved, watch());
      if (stopped_) return false;
      state_.stages.back() = report;
      state_.values = free_.named(moved);
      return true;
    });
  }

  /// A stage of pixels with shoeboxes about these spots.
  void begin(RefineStage stage, std::vector<Spot> spots) {
    drop_direct_beam(resolve(free_.experiment(values())), spots);
    spots.resize(
        std::min(spots.size(), static_cast<std::size_t>(std::max(options_.most_shoeboxes, 0))));
    state_.places.clear();
    for (const Spot& s : spots) state_.places.push_back({s.fast, s.slow, s.panel});
    set_boxes();
    if (boxes_.empty())
      throw InputError("there are no usable pixels around spots of " + least_photons() +
                       " photons; check mask, region of interest, overload and fluence");
    const std::vector<double> model = model_photons(data_, values(), boxes_);
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      const auto own = std::span(model).subspan(first, box.pixels.size());
      start_background(images_, options_.background, own, box);
      first += box.pixels.size();
    }
    state_.stages.push_back({stage});
    state_.backgrounds = backgrounds_of(boxes_);
    state_.trust_radius = first_trust_radius;
    state_.round = 0;
  }

  void set_boxes() {
    boxes_ = options_.all_pixels ? whole_panels(images_)
                                 : make_shoeboxes(images_, state_.places, options_.shoebox_px);
    for (Shoebox& box : boxes_)
      box.background.assign(static_cast<std::size_t>(background_terms(options_.background)), 0.0);
  }

  void go_on() {
    set_boxes();
    set_backgrounds(boxes_, state_.backgrounds);
  }

  /// False: stopped.
  bool pixels() {
    return timed([&] { return fit_pixels(data_, state_, boxes_, watch()); });
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
    const Resolved resolved = resolve(free_.experiment(values));
    const bool told_apart = !options_.all_pixels && !why_no_spot_stage(resolved);
    const SpotGeometry geometry(resolved);
    const std::vector<double> model = model_photons(data_, values, boxes_);
    std::size_t first = 0;
    for (Shoebox& box : boxes_) {
      box.residual = mean_square_residual(data_, std::span(model).subspan(first, box.pixels.size()),
                                          {&box, 1});
      first += box.pixels.size();
      if (!told_apart) continue;
      Spot spot;
      spot.fast = box.fast;
      spot.slow = box.slow;
      spot.panel = box.panel;
      const std::vector<IndexedSpot> found = index_spots(geometry, {&spot, 1}, 1e9);
      if (!found.empty()) box.hkl = found[0].index;
    }
  }

  /// A number that is known no better than this is not known.
  static double widest_deviation(const FreeNumber& n, double value) {
    constexpr double circle_deg = 360, times = 1000;
    return n.unit == "deg" ? circle_deg : times * std::max(std::abs(value), 1.0);
  }

  Uncertainty known(std::span<const double> values, Refinement& r) const {
    std::vector<double> information = fisher_information(data_, values, r.shoeboxes);
    const std::size_t count = free_.size();
    const auto forget = [&](std::size_t i) {
      for (std::size_t k = 0; k < count; ++k)
        information[i * count + k] = information[k * count + i] = 0;
    };
    const auto widest = [&](std::size_t i) {
      return widest_deviation(free_.numbers()[i], values[i]);
    };
    for (std::size_t i = 0; i < count; ++i)
      if (!(information[i * count + i] > 1 / (widest(i) * widest(i)))) forget(i);
    Uncertainty u = uncertainty(information, count);
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
    if (at_the_end) u = known(values, r);
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
    }
    if (!at_the_end) return;
    if (!r.factors.empty())
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
    judge_residual(values, r);
  }

  /// Several hundred pixels and more: 1.2 is many standard deviations from 1, and so is 0.8.
  void judge_residual(std::span<const double> values, Refinement& r) const {
    constexpr double too_much = 1.2, too_little = 0.8;
    if (r.stages.empty()) return;
    const double residual = r.stages.back().residual;
    if (residual > too_much)
      r.warnings.push_back(
          "the model does not explain the image: the mean squared residual is " +
          std::to_string(residual) +
          " of what noise would leave, so that the standard deviations are too small");
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

  const RefineOptions& options_;
  FreeParameters free_;
  PhotonImages images_;
  PixelData data_;
  RefineState state_;
  std::vector<Shoebox> boxes_;
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

Refinement refine(const Experiment& start, const Measurement& measurement,
                  const RefineOptions& options) {
  if (options.structure_factor_deviation) {
    if (!(*options.structure_factor_deviation > 0))
      throw UsageError("structure factors need a positive relative standard deviation");
    if (!start.structure_factors.grid)
      throw UsageError("structure factors can be refined only where there is a table (-hkl)");
  }
  return Run(start, measurement, options).result();
}

}  // namespace nablabragg
