#include "ensemble/ensemble.hpp"

#include <fmt/format.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <span>
#include <sstream>
#include <utility>

#include "description/parameter_table.hpp"
#include "description/ranges.hpp"
#include "description/sensors.hpp"
#include "ensemble/keyed_draws.hpp"
#include "ensemble/yaml_field.hpp"  // for suggestion_among
#include "flags/command_line.hpp"
#include "flags/experiment_file.hpp"
#include "flags/inputs.hpp"
#include "io/quotes.hpp"
#include "io/series_journal.hpp"  // for sha256_of
#include "io/text_lines.hpp"
#include "model/crystal_axes.hpp"  // for orientation_of
#include "nablabragg/detector_response.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/version.hpp"

namespace nablabragg::ensemble {

namespace {

/// Parameters of the lattice alone.
bool is_of_lattice(std::string_view name) {
  constexpr std::string_view all[] = {"cell",          "a_matrix",
                                      "misset",        "cells",
                                      "blocks",        "fudge",
                                      "mosaic_spread", "mosaic_spread_axes",
                                      "cell_spread",   "cell_angle_spread",
                                      "diffuse_sigma", "diffuse_gamma",
                                      "default_F",     "block_size_spread"};
  return std::ranges::find(all, name) != std::end(all) || name.starts_with("crystal[");
}

/// Parameters that the files state of each shot, or of none.
bool is_of_no_geometry(std::string_view name) {
  constexpr std::string_view all[] = {"wavelength",
                                      "dispersion",
                                      "horizontal_divergence",
                                      "vertical_divergence",
                                      "source_directions",
                                      "source_weights",
                                      "source_wavelengths",
                                      "fluence",
                                      "flux",
                                      "exposure",
                                      "beam_size",
                                      "water",
                                      "phi",
                                      "spindle_axis"};
  return is_of_lattice(name) || std::ranges::find(all, name) != std::end(all) ||
         name.starts_with("material[");
}

/// Gives sensors whose attenuation depth nobody stated that of the shot's wavelength.
void settle_sensors_anew(const Experiment& stated, Experiment& shot) {
  const double wavelength_A = shot.beam.wavelength_A;
  if (!(wavelength_A >= plausible::shortest_wavelength_A &&
        wavelength_A <= plausible::longest_wavelength_A))
    return;  // the shot is refused by name
  const auto open = [](const Detector& from, Detector& to) {
    if (!from.attenuation_depth_um && !from.sensor_material.empty())
      to.attenuation_depth_um.reset();
  };
  open(stated.detector, shot.detector);
  for (std::size_t k = 0; k < stated.more_panels.size(); ++k)
    open(stated.more_panels[k].detector, shot.more_panels[k].detector);
  description::settle_sensors(shot);
}

std::string misset_of_crystal(std::size_t crystal) {
  return fmt::format("crystal[{}].misset", crystal);
}

/// What a description says in its own words.
void refuse_flags(const Description& d, const flags::Request& r) {
  const auto refuse = [&](bool given, const char* flags, const char* instead) {
    if (given) d.fail(d.base, std::string("has ") + flags + "; " + instead);
  };
  const bool named = r.float_file.named || r.int_file.named || r.pgm_file.named ||
                     r.noise_file.named || !r.png_file.empty() || !r.truth_file.empty() ||
                     !r.output_files.empty() || !r.compression.empty();
  refuse(named, "flags that name files to write", "output says where the shots go");
  refuse(r.images || !r.orientations.empty() || r.goes_on, "-images, -orientations or -continue",
         "shots and orientation say which images there are");
  refuse(r.seed.has_value(), "-seed", "seed is the ensemble's");
  refuse(r.random_misset, "-misset random", "orientation: random turns each shot");
  refuse(r.printout || r.print_plan || r.trace_pixel || !r.profile_file.empty(),
         "flags that look at one image (-printout, -trace_pixel, -profile)",
         "nablabragg ensemble --shot makes one shot");
  refuse(r.help || r.version, "a flag that asks for help", "leave it out");
  refuse(flags::keeps_nanobraggs_answer(r.experiment), "no -corrected",
         "an ensemble needs it: nanoBragg's own mode makes one image");
  refuse(!r.experiment.scan.oscillation_deg.empty(), "an oscillation (-osc)", "shots are stills");
}

std::vector<std::string> flags_of_base(const Description& d) {
  std::vector<std::string> arguments = d.flags;
  if (!d.experiment_file.empty()) arguments.insert(arguments.begin(), "-corrected");
  return arguments;
}

std::vector<std::string> arguments_of(const Description& d) {
  std::vector<std::string> arguments = flags_of_base(d);
  if (const auto& s = d.spectra) {
    arguments.insert(arguments.end(), {"-spectra", s->file, "-spectra_scale", s->scale});
    if (s->channels)
      arguments.insert(arguments.end(), {"-spectrum_channels", std::to_string(*s->channels)});
    if (!s->unit.empty()) arguments.insert(arguments.end(), {"-spectrum_unit", s->unit});
  }
  return arguments;
}

}  // namespace

flags::Request Ensemble::base_of(const Description& d) {
  if (d.spectra && !d.experiment_file.empty())
    d.fail(d.spectra->place, "are of a base that flags state; an experiment's file has its light");
  if (std::ranges::find(d.flags, "-spectra") != d.flags.end())
    d.fail(d.base, "has -spectra; the key spectra says which light each shot has");
  const std::vector<std::string> arguments = arguments_of(d);
  flags::Request request;
  try {
    request = flags::parse_command_line(arguments);
  } catch (const UsageError& error) {
    d.fail(d.base, error.what());
  }
  refuse_flags(d, request);
  request.seed = d.seed;
  try {
    if (d.experiment_file.empty())
      flags::load_inputs(request);
    else
      flags::load_inputs_beside(io::read_text(d.experiment_file), d.experiment_file, request);
  } catch (const UsageError& error) {
    d.fail(d.base, error.what());
  }
  refuse_flags(d, [&] {
    flags::Request of_file = request;
    of_file.seed.reset();
    of_file.images.reset();
    return of_file;
  }());
  request.images.reset();
  if (request.responds) check_response(request.response, request.experiment);
  request.noise_file.on = d.counts;
  request.compression = d.compression;
  return request;
}

Ensemble::Ensemble(Description description, flags::Request base)
    : description_(std::move(description)),
      request_(std::move(base)),
      base_(request_.experiment),
      known_(parameters(base_)) {
  const Description& d = description_;
  for (const Varied& varied : d.vary) {
    const Target target = target_of(varied.name, varied.place);
    const Parameter& p = varied_[target.parameter];
    const std::size_t wanted = target.element ? 1 : p.values.size(),
                      given = numbers_of(varied.distribution);
    if (given != wanted)
      d.fail(varied.place,
             fmt::format("is {} number{}, and is given {}{}", wanted, wanted == 1 ? "" : "s", given,
                         given == 1 ? fmt::format("; {}[0] is the first of them, and lists of {} "
                                                  "are values to choose from",
                                                  p.name, wanted)
                                    : std::string()));
    if (const auto* column = std::get_if<Column>(&varied.distribution);
        column && column->rows == Rows::in_order &&
        column->table->rows() < static_cast<std::size_t>(d.shots))
      d.fail(varied.place,
             fmt::format("has a row of {} for each shot, and there are {} rows and {} shots; "
                         "rows: random takes any of them",
                         column->table->file, column->table->rows(), d.shots));
    targets_.push_back(target);
  }
  for (const Correlated& c : d.correlated) {
    std::vector<Target>& targets = correlated_targets_.emplace_back();
    std::vector<double> means;
    for (const std::string& name : c.names) {
      targets.push_back(target_of(name, c.place));
      const Parameter& p = varied_[targets.back().parameter];
      if (!targets.back().element && p.values.size() != 1)
        d.fail(c.place, fmt::format("has {}, which is {} numbers; {}[0] is the first of them", name,
                                    p.values.size(), p.name));
      means.push_back(p.values[targets.back().element.value_or(0)]);
    }
    means_.push_back(c.mean.value_or(means));
  }
  refuse_rivals();
  if (const auto& spectra = request_.spectra) {
    if (d.spectra->rows == Rows::in_order && spectra->shots() < d.shots)
      d.fail(d.spectra->place,
             fmt::format("has the spectra of {} shots, and there are {}; rows: random takes any of "
                         "them",
                         spectra->shots(), d.shots));
    check_takes_spectrum(request_.experiment.beam);
    towards_source_ = request_.experiment.beam.sources.front().position;
  }
}

Ensemble::Target Ensemble::target_of(const std::string& name, const Place& place) {
  const auto find = [](std::vector<Parameter>& list, std::string_view wanted) {
    return std::ranges::find(list, wanted, &Parameter::name);
  };
  Target target;
  auto found = find(known_, name);
  int number = -1;
  if (found == known_.end() && name.ends_with(']')) {
    const std::size_t open = name.rfind('[');
    const std::string digits = name.substr(open + 1, name.size() - open - 2);
    const auto element = io::parse_number<int>(digits);
    if (element) found = find(known_, name.substr(0, open));
    if (element && found != known_.end()) {
      if (*element < 0 || static_cast<std::size_t>(*element) >= found->values.size() ||
          found->values.size() == 1)
        description_.fail(place, found->name + (found->values.size() == 1
                                                    ? " is one number, without [...]"
                                                    : fmt::format(" has the numbers [0] to [{}]",
                                                                  found->values.size() - 1)));
      number = *element;
      target.element = static_cast<std::size_t>(number);
    }
  }
  if (found == known_.end()) {
    std::vector<std::string> names;
    for (const Parameter& p : known_) names.push_back(p.name);
    const std::string bare = name.substr(0, name.find('['));
    for (const char* count : {"mosaic_domains", "oversample", "pixels", "phi_steps", "layers",
                              "mosaic_seed", "dispersion_steps", "divergence_steps"})
      if (bare == count)
        description_.fail(place, io::in_quotes(name) +
                                     " is a whole number that all shots share; it does not vary");
    const std::string near = suggestion_among(bare, names);
    description_.fail(
        place, io::in_quotes(name) + " is no parameter of the base experiment" +
                   (near.empty() ? "; docs/gradients.md lists them, and what varies needs a value "
                                   "there, such as -mosaic 0.1 for mosaic_spread"
                                 : near));
  }
  const auto twice = [&](int which) { return taken_.contains({found->name, which}); };
  bool rival = twice(-1) || twice(number);
  for (const auto& [key, _] : taken_) rival = rival || (number < 0 && key.first == found->name);
  if (rival) description_.fail(place, "is stated twice; give each number once");
  taken_[{found->name, number}] = place;
  auto known = find(varied_, found->name);
  if (known == varied_.end()) known = varied_.insert(varied_.end(), *found);
  target.parameter = static_cast<std::size_t>(known - varied_.begin());
  return target;
}

/// What two keys would state.
void Ensemble::refuse_rivals() const {
  const Description& d = description_;
  for (const auto& [key, place] : taken_) {
    const std::string& name = key.first;
    const bool of_light = name == "wavelength" || name == "dispersion" ||
                          name.starts_with("source_") || name.ends_with("_divergence");
    if (d.spectra && of_light)
      d.fail(place, name + " and spectra both say which light a shot has; give one of them");
    if (name == "oscillation") d.fail(place, "shots are stills, and have no oscillation");
  }
  refuse_rivals_of_orientation();
}

void Ensemble::refuse_rivals_of_orientation() const {
  const Description& d = description_;
  if (d.orientations == Orientations::base) return;
  const bool each = d.orientations == Orientations::random_each;
  for (const auto& [key, place] : taken_)
    if (key.first == "misset" || (each && key.first.ends_with("].misset")))
      d.fail(place, fmt::format("and orientation: {} both say how the crystal lies; give one of "
                                "them",
                                each ? "random_each" : "random"));
  const Experiment& e = base_.experiment();
  // Of several crystals that turn together it says how they lie to one another.
  if ((each || e.more_crystals.empty()) && length(e.crystal.misset_deg) > 0)
    d.fail(d.orientation, "says how the crystal lies in each shot; leave -misset out of the base");
  if (!each) return;
  for (std::size_t k = 0; k < e.more_crystals.size(); ++k)
    if (length(e.more_crystals[k].misset_deg) > 0)
      d.fail(d.orientation,
             fmt::format("says how each crystal lies in each shot; give crystal {} of the base the "
                         "angles 0 0 0, or say random, by which all turn together",
                         k + 1));
}

void Ensemble::turn_crystals(int i, Experiment& e) const {
  const Description& d = description_;
  if (d.orientations == Orientations::base) return;
  const Vec3d first_deg = random_misset_deg(i, d.seed);
  if (d.orientations == Orientations::random) {
    turn_as_one_body(e, first_deg);
    return;
  }
  e.crystal.misset_deg = first_deg;
  for (std::size_t k = 0; k < e.more_crystals.size(); ++k) {
    const std::uint64_t stream = stream_of(misset_of_crystal(k + 1));
    const auto draw = [&](std::uint64_t number) { return uniform(d.seed, stream, i, number); };
    e.more_crystals[k].misset_deg = misset_deg_of(model::orientation_of(draw(0), draw(1), draw(2)));
  }
}

bool Ensemble::light_varies() const {
  return request_.spectra ||
         !std::ranges::all_of(varied_, [](const Parameter& p) { return is_of_lattice(p.name); });
}

std::vector<std::string> Ensemble::moving_parameters() const {
  std::vector<std::string> names;
  for (const Parameter& p : varied_)
    if (!is_of_no_geometry(p.name)) names.push_back(p.name);
  return names;
}

bool Ensemble::wavelengths_vary() const {
  return request_.spectra ||
         std::ranges::any_of(varied_, [](const Parameter& p) { return p.name == "wavelength"; });
}

Shot Ensemble::shot(int i) const {
  const Description& d = description_;
  if (i < 0 || i >= d.shots)
    throw UsageError(
        fmt::format("there is no shot {}: {} has shots 0 to {}", i, d.file, d.shots - 1));
  Shot shot;
  shot.index = i;
  shot.seed = seed_of_image(d.seed, i);
  shot.experiment = base_.experiment();
  Experiment& e = shot.experiment;
  for (const Parameter& p : varied_) shot.values.push_back(p.values);
  for (std::size_t v = 0; v < d.vary.size(); ++v) {
    const std::vector<double> numbers = drawn(d.vary[v].distribution, d.seed, d.vary[v].name, i);
    std::vector<double>& values = shot.values[targets_[v].parameter];
    if (targets_[v].element)
      values[*targets_[v].element] = numbers[0];
    else
      values = numbers;
  }
  for (std::size_t c = 0; c < d.correlated.size(); ++c) {
    std::string name;
    for (const std::string& each : d.correlated[c].names) name += each + '\n';
    const std::vector<double> numbers = drawn_together(means_[c], d.correlated[c].lower, d.seed,
                                                       name, i);
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      const Target& target = correlated_targets_[c][k];
      shot.values[target.parameter][target.element.value_or(0)] = numbers[k];
    }
  }
  for (std::size_t p = 0; p < varied_.size(); ++p) {
    // Fringes are of whole cells.
    if (varied_[p].name == "cells" || varied_[p].name.ends_with("].cells"))
      for (double& cells : shot.values[p]) cells = std::max(1.0, std::round(cells));
    description::set_parameter(e, varied_[p].name, shot.values[p]);
  }
  const auto varies = [&](std::string_view name) {
    return std::ranges::any_of(varied_, [&](const Parameter& p) { return p.name.ends_with(name); });
  };
  if (varies("wavelength") && !varies("attenuation_depth"))
    settle_sensors_anew(request_.experiment, e);
  turn_crystals(i, e);
  // What was drawn of a crystal beside the first is turned, and labels say how it lies then.
  for (std::size_t k = 0; k < e.more_crystals.size(); ++k) {
    const auto drawn_as = std::ranges::find(varied_, misset_of_crystal(k + 1), &Parameter::name);
    const Vec3d& deg = e.more_crystals[k].misset_deg;
    if (drawn_as != varied_.end())
      shot.values[static_cast<std::size_t>(drawn_as - varied_.begin())] = {deg.x, deg.y, deg.z};
  }
  if (const auto& spectra = request_.spectra) {
    shot.spectrum = row_of(d.spectra->file, static_cast<std::size_t>(spectra->shots()),
                           d.spectra->rows, d.seed, i);
    const int row = static_cast<int>(shot.spectrum);
    shot.relative_light = spectra->relative_light(row);
    e.beam.sources = sources_of(spectra->shot(row), towards_source_);
    e.beam.fluence_per_m2 *= shot.relative_light;
    if (e.beam.flux_per_s) *e.beam.flux_per_s *= shot.relative_light;
  }
  shot.hit = d.hit_rate >= 1 || uniform(d.seed, stream_of("hit_rate"), i, 0) < d.hit_rate;
  if (!shot.hit) {
    // Of a lattice whose F are all 0 every engine makes an image without a spot.
    e.structure_factors.grid.reset();
    e.structure_factors.default_F = 0;
    e.structure_factors.interpolation = Interpolation::nearest;
    e.crystal.diffuse_sigma_A = e.crystal.diffuse_gamma_A = {};
  }
  return shot;
}

void Ensemble::check_shots(int begin, int step) const {
  std::mutex mutex;
  int first = shots();
  std::string problem;
  const int count = shots() > begin ? (shots() - begin - 1) / step + 1 : 0;
  tbb::parallel_for(tbb::blocked_range<int>(0, count, 64), [&](const auto& range) {
    for (int n = range.begin(); n < range.end(); ++n) {
      const int i = begin + n * step;
      const std::vector<std::string> wrong = description::out_of_range(shot(i).experiment);
      if (wrong.empty()) continue;
      const std::lock_guard lock(mutex);
      if (i < first) {
        first = i;
        problem = wrong.front();
      }
      return;
    }
  });
  if (!problem.empty())
    throw UsageError(
        fmt::format("{}: shot {}: {}; narrow what it is drawn from (within: [low, "
                    "high])",
                    description_.file, first, problem));
}

std::vector<std::string> Ensemble::flags() const {
  std::vector<std::string> flags = flags_of_base(description_);
  const Experiment& e = base_.experiment();
  if (description_.experiment_file.empty()) return flags;
  if (const auto& c = e.crystal.cell)
    for (const std::string& word :
         {std::string("-cell"), fmt::format("{}", c->a_A), fmt::format("{}", c->b_A),
          fmt::format("{}", c->c_A), fmt::format("{}", c->alpha_deg),
          fmt::format("{}", c->beta_deg), fmt::format("{}", c->gamma_deg)})
      flags.push_back(word);
  if (request_.hkl_file.empty())
    flags.insert(flags.end(), {"-default_F", fmt::format("{}", e.structure_factors.default_F)});
  return flags;
}

flags::Request Ensemble::request_of(const Shot& shot) const {
  flags::Request r = request_;
  r.experiment = shot.experiment;
  r.seed = shot.seed;
  r.spectra.reset();
  r.spectra_file.clear();
  r.compression.clear();
  return r;
}

std::string Ensemble::checksum() const {
  const Description& d = description_;
  std::ostringstream text;
  text << version() << ' ' << shots_revision << '\n'
       << to_json(base_.experiment(), request_.stated_response()) << '\n';
  text << fmt::format("{} {} {} {} {} {} {} {} {}\n", d.shots, d.seed,
                      static_cast<int>(d.orientations), d.hit_rate, int{d.counts},
                      d.shots_per_shard, d.compression, int{d.reflections},
                      d.spot_mask_photons.value_or(0));
  if (d.one_file) text << "one file\n";
  text << fmt::format("{} {} {}\n", static_cast<int>(request_.engine),
                      static_cast<int>(request_.precision.value_or(Precision::float32)),
                      request_.skip_below.value_or(-1));
  if (const auto& spectra = request_.spectra) {
    text << fmt::format("{} {} {} {}\n", d.spectra->file, static_cast<int>(d.spectra->rows),
                        spectra->options().channels.value_or(0),
                        static_cast<int>(spectra->options().light));
    for (const std::span<const double> numbers :
         {std::span<const double>(spectra->wavelength_A()), spectra->weights()})
      text << io::sha256_of(std::as_bytes(numbers)) << '\n';
  }
  // What is drawn says all of how it is drawn, tables included.
  std::vector<double> numbers;
  for (int i = 0; i < d.shots; ++i)
    for (std::size_t v = 0; v < d.vary.size(); ++v)
      for (const double x : drawn(d.vary[v].distribution, d.seed, d.vary[v].name, i))
        numbers.push_back(x);
  text << io::sha256_of(std::as_bytes(std::span(std::as_const(numbers)))) << '\n';
  for (const Varied& varied : d.vary) text << varied.name << '\n';
  for (std::size_t c = 0; c < d.correlated.size(); ++c) {
    for (const std::string& name : d.correlated[c].names) text << name << ' ';
    for (const auto* list : {&means_[c], &d.correlated[c].lower})
      for (const double x : *list) text << fmt::format("{} ", x);
    text << '\n';
  }
  return io::sha256_of(std::string_view(text.view()));
}

}  // namespace nablabragg::ensemble
