// nablabragg refine: the parameters of a model that explain an image.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>  // for join

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "api/cost.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/options.hpp"
#include "cli/outputs.hpp"
#include "cli/refinement_files.hpp"
#include "cli/say.hpp"
#include "cli/series.hpp"
#include "cli/stopping.hpp"
#include "description/field.hpp"  // for same_value
#include "flags/command_line.hpp"
#include "flags/flags_of.hpp"
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "measured/counts.hpp"
#include "measured/measured_image.hpp"
#include "measured/observed_spots.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"  // for file_of_image
#include "nablabragg/io.hpp"
#include "nablabragg/panel_arrays.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/refine.hpp"
#include "options/command.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;

constexpr int done = 0;

struct RefineRequest {
  std::vector<std::string> images;  ///< files
  measured::MeasuredImage image;    ///< how they are read
  std::string outdir = "refinement", resume, spots_file;
  int spots_experiment = 0;
  std::vector<std::string> bounds, restraints, model;
  std::string likelihood = "poisson", background = "constant", intensities = "model",
              centring = "P", variances = "counted", saturated = "censored";
  std::string psf;
  std::optional<double> psf_fwhm_um;
  bool no_spot_stage = false, quiet = false, help = false;
  RefineOptions options;
};

double parse_number(const std::string& digits, const std::string& option) {
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc{} || stop != end)
    throw UsageError("'" + digits + "' in '" + option + "' is no number");
  return value;
}

/// "distance=99:101"; either end may be left out.
ParameterBounds parse_bounds(const std::string& text) {
  const std::size_t equals = text.find('='), colon = text.find(':', equals + 1);
  if (equals == std::string::npos || colon == std::string::npos)
    throw UsageError("'" + text + "' is no bound; write for example distance=99:101");
  ParameterBounds b;
  b.name = text.substr(0, equals);
  const std::string low = text.substr(equals + 1, colon - equals - 1),
                    high = text.substr(colon + 1);
  if (!low.empty()) b.lower = parse_number(low, text);
  if (!high.empty()) b.upper = parse_number(high, text);
  return b;
}

/// "distance=0.05", or "distance=100.2:0.05" about another value than the start.
Restraint parse_restraint(const std::string& text) {
  const std::size_t equals = text.find('='), colon = text.find(':', equals + 1);
  if (equals == std::string::npos)
    throw UsageError("'" + text + "' is no restraint; write for example distance=0.05");
  Restraint r;
  r.name = text.substr(0, equals);
  if (colon != std::string::npos)
    r.value = parse_number(text.substr(equals + 1, colon - equals - 1), text);
  r.deviation = parse_number(text.substr(colon == std::string::npos ? equals + 1 : colon + 1),
                             text);
  return r;
}

Centring centring_named(const std::string& name) {
  constexpr std::array all{std::pair{"P", Centring::P}, std::pair{"A", Centring::A},
                           std::pair{"B", Centring::B}, std::pair{"C", Centring::C},
                           std::pair{"I", Centring::I}, std::pair{"F", Centring::F},
                           std::pair{"R", Centring::R}};
  for (const auto& [letter, centring] : all)
    if (name == letter) return centring;
  return Centring::P;
}

RefineRequest parse(const std::vector<std::string>& arguments, std::ostream& out) {
  RefineRequest request;
  RefineOptions& o = request.options;
  CLI::App app("Fits parameters of a model to one image or several.", "nablabragg refine");
  measured::MeasuredImage& image = request.image;
  app.add_option("--image", request.images,
                 "measured image: CBF, NXmx (HDF5), SMV, TIFF, or raw float32; of several images a "
                 "name with # (sweep_####.cbf), one file that holds them, or one --image for each")
      ->take_all();
  app.add_option("--image-number", image.number,
                 "which image of a file of several, from 1; of several images the first (1)")
      ->check(CLI::Range(1, 1000000000));
  app.add_option("--parameters", o.parameters,
                 "what is refined, separated by commas: misset,cell[0-2],distance; several images "
                 "share it")
      ->delimiter(',');
  app.add_option("--own", o.own,
                 "what each of several images has for itself, separated by commas: misset,fluence")
      ->delimiter(',');
  app.add_option("--likelihood", request.likelihood, "poisson or gauss (poisson)")
      ->check(CLI::IsMember({"poisson", "gauss"}));
  app.add_option("--background", request.background,
                 "of each shoebox: none, constant or plane (constant)")
      ->check(CLI::IsMember({"none", "constant", "plane"}));
  app.add_option("--variances", request.variances,
                 "counted, or fitted: and a share of the model's light nearby (counted)")
      ->check(CLI::IsMember({"counted", "fitted"}));
  app.add_option("--intensities", request.intensities,
                 "model: structure factors and fluence; free: a number for each spot (model)")
      ->check(CLI::IsMember({"model", "free"}));
  app.add_option("--centring", request.centring,
                 "of the lattice, P A B C I F or R, with free intensities (P)")
      ->check(CLI::IsMember({"P", "A", "B", "C", "I", "F", "R"}));
  app.add_option("--equal", o.equal,
                 "numbers of a parameter that are refined as one: cell[0-2]; repeatable")
      ->take_all();
  app.add_option("--gain", image.gain, "counts per photon (what the image states, or 1)")
      ->check(options::above_zero());
  app.add_option("--offset", image.offset,
                 "counts of a dark pixel (what the image or its format states; otherwise estimated "
                 "where the gain is known)");
  app.add_option("--readout-noise", image.readout_noise,
                 "its standard deviation in counts, with --likelihood gauss (0)")
      ->check(options::not_negative());
  app.add_option("--psf", request.psf,
                 "point spread of the detector, gauss or fiber, that the model's light goes "
                 "through (none)")
      ->check(CLI::IsMember({"gauss", "fiber"}));
  app.add_option("--psf-fwhm", request.psf_fwhm_um, "its full width at half maximum in um")
      ->check(options::above_zero());
  app.add_option(
         "--overload", image.overload,
         "counts at which the detector ends (beyond what the image states as saturation; the "
         "largest count where ten pixels or more share it)")
      ->check(options::above_zero());
  app.add_option("--saturated", request.saturated,
                 "of pixels that count as much: censored, it was that or more, or left-out "
                 "(censored)")
      ->check(CLI::IsMember({"censored", "left-out"}));
  app.add_option("--bound", request.bounds, "NAME=LOWER:UPPER, either may be empty; repeatable")
      ->take_all();
  app.add_option("--restrain", request.restraints,
                 "NAME=DEVIATION or NAME=VALUE:DEVIATION; repeatable")
      ->take_all();
  app.add_option("--shoebox", o.shoebox_px, "edge of a shoebox in pixels (15)")
      ->check(CLI::Range(3, 1001));
  app.add_option("--spots", o.most_shoeboxes, "most shoeboxes of an image, the brightest (300)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--least-photons", o.least_photons, "photons of a spot that counts (20)")
      ->check(options::above_zero());
  app.add_flag("--all-pixels", o.all_pixels,
               "fit the whole region of interest instead of shoeboxes");
  app.add_flag("--no-spot-stage", request.no_spot_stage,
               "begin with the pixels instead of the positions of the spots");
  app.add_option(
      "--spots-of", request.spots_file,
      "a .refl of DIALS: its spots, with their indices, in place of those that are looked "
      "for in the image");
  app.add_option("--spots-experiment", request.spots_experiment,
                 "which experiment of the .refl, from 0; of several stills the first (0)")
      ->check(CLI::Range(0, 1000000000));
  app.add_option("--structure-factors", o.structure_factor_deviation,
                 "refine F(h,k,l) too, restrained to this relative standard deviation")
      ->check(options::above_zero());
  app.add_option("--iterations", o.iterations, "of each stage at most (50)")
      ->check(CLI::Range(1, 100000));
  app.add_option("--outdir", request.outdir, "folder for everything that is written (refinement)");
  app.add_option("--resume", request.resume, "resume.json of an interrupted run");
  app.add_flag("--quiet", request.quiet, "no line for every iteration");
  app.footer(
      "The starting model follows -- in nanoBragg's flags: nablabragg refine --image still.img "
      "--parameters misset,distance -- -corrected -hkl ...");
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  request.help = !parse_options(app, {arguments.begin(), dashes}, out);
  if (request.help) return request;
  if (request.images.empty()) throw UsageError("refine needs --image FILE (--help shows how)");
  if (o.parameters.empty() && o.own.empty())
    throw UsageError("refine needs --parameters, for example misset,cell[0-2],distance");
  if (dashes == arguments.end() || dashes + 1 == arguments.end())
    throw UsageError("refine needs the flags of the starting model after -- (--help shows how)");
  request.model.assign(dashes + 1, arguments.end());
  o.likelihood = request.likelihood == "gauss" ? Likelihood::gauss : Likelihood::poisson;
  o.background = request.background == "none"       ? Background::none
                 : request.background == "constant" ? Background::constant
                                                    : Background::plane;
  o.variances = request.variances == "fitted" ? Variances::fitted : Variances::counted;
  o.saturated = request.saturated == "left-out" ? Saturated::left_out : Saturated::censored;
  o.intensities = request.intensities == "free" ? Intensities::free : Intensities::of_model;
  o.centring = centring_named(request.centring);
  if (request.psf.empty() != !request.psf_fwhm_um)
    throw UsageError("a point spread is --psf and its width, --psf-fwhm; one of them is missing");
  if (request.psf_fwhm_um)
    image.point_spread = {
        request.psf == "gauss" ? PointSpread::Shape::gauss : PointSpread::Shape::fiber,
        *request.psf_fwhm_um};
  if (image.readout_noise > 0 && o.likelihood == Likelihood::poisson)
    throw UsageError("--readout-noise needs --likelihood gauss: photons alone have none");
  o.spot_stage = !request.no_spot_stage;
  for (const std::string& text : request.bounds) o.bounds.push_back(parse_bounds(text));
  for (const std::string& text : request.restraints) o.restraints.push_back(parse_restraint(text));
  check_options(o);
  return request;
}

/// Of one image of the model, which a refinement needs at least.
void say_cost(const Experiment& model, const Resolved& resolved, const ComputeOptions& options,
              std::ostream& err) {
  const std::string cost = costly_oversampling(model, resolved, make_plan(model, resolved), {},
                                               options);
  if (cost.empty()) return;
  if (!model.quirks.any_cost) throw UsageError(cost);
  say(err, flags::cost_notice(cost));
}

void print_progress(std::ostream& err, const RefineProgress& p) {
  fmt::print(err, "{}, iteration {}: residual {:.6f}, objective down by {:.4g}\n", name_of(p.stage),
             p.iteration, p.residual, p.change);
}

/// The experiments that the images are of.
std::vector<Experiment> starts_of(const flags::Request& model) {
  if (!model.is_series()) return {model.experiment};
  if (model.beam_jitter_mrad != 0)
    throw UsageError(
        "-beam_jitter draws a direction of the beam for each image, and refine takes the images "
        "as they are; state their direction (-beam_tilt), or refine beam_tilt");
  const Series series = requested_series(model);
  std::vector<Experiment> all;
  for (int i = 0; i < series.images(); ++i) all.push_back(series.experiment(i));
  return all;
}

/// What the files say, and what was settled where they say nothing.
std::vector<ReadImage> read_images(std::span<const measured::MeasuredImage> files,
                                   std::span<const Experiment> starts, std::ostream& err) {
  std::vector<ReadImage> all;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const SettledExperiment settled(starts[i]);
    measured::Reading reading = measured::read_measurement(files[i], settled);
    std::vector<std::string> findings = reading.notices;
    say(err, findings);
    for (std::string& line : measured::settle_counts(reading, files[i].path, settled)) {
      say(err, line);
      findings.push_back(std::move(line));
    }
    all.push_back({files[i].path, files[i].number.value_or(1), std::move(reading.measurement),
                   std::move(findings)});
  }
  return all;
}

/// The files of the refined model beside its flags, which name them where they say something else
/// than those of the start.
struct FilesOfFlags {
  std::string matrix, factors, orientations;
};

bool has_other_matrix(const Experiment& start, const Refinement& refinement) {
  return start.crystal.mosflm_matrix &&
         !description::same_value(start.crystal.mosflm_matrix,
                                  refinement.experiments[0].crystal.mosflm_matrix);
}

bool is_misset(const std::string& name) { return name == "misset" || name.starts_with("misset["); }

bool has_own_orientations(const RefineRequest& request, const flags::Request& model) {
  return !model.missets_deg.empty() && std::ranges::any_of(request.options.own, is_misset);
}

/// What all images share, with all else as it started in the first.
Experiment without_own(const RefineRequest& request, const Experiment& start, Experiment refined) {
  for (const std::string& text : request.options.own) {
    if (text == "response.fwhm") continue;  // of no experiment
    const std::string name = text.substr(0, text.ends_with(']') ? text.rfind('[') : text.size());
    refined = with_parameter(refined, name, parameter(start, name).values);
  }
  return refined;
}

/// A refined model that the flags cannot state at all is kept in the other files.
flags::FlagsOf refined_flags(const RefineRequest& request, const flags::Request& model,
                             const Experiment& start, const FilesOfFlags& names,
                             const Refinement& refinement) {
  std::vector<std::string> arguments = request.model, files;
  Experiment held = model.experiment, shared = refinement.experiments[0];
  if (!request.options.own.empty()) shared = without_own(request, start, std::move(shared));
  // Those of stills are in a file of their own, which turns all crystals with the first
  if (!model.missets_deg.empty()) {
    shared.crystal.misset_deg = held.crystal.misset_deg;
    for (std::size_t i = 0; i < shared.more_crystals.size(); ++i)
      shared.more_crystals[i].misset_deg = held.more_crystals[i].misset_deg;
  }
  if (has_other_matrix(model.experiment, refinement)) {
    files.insert(files.end(), {"-mat", names.matrix});
    held.crystal.mosflm_matrix = shared.crystal.mosflm_matrix;
  }
  // Of a column of -hkl_column, the list has none
  if (!refinement.factors.empty() && model.hkl_column.empty()) {
    files.insert(files.end(), {"-hkl", names.factors});
    held.structure_factors.grid = shared.structure_factors.grid;
  }
  const bool orientations = has_own_orientations(request, model);
  if (orientations) files.insert(files.end(), {"-orientations", names.orientations});
  arguments.insert(arguments.end(), files.begin(), files.end());
  try {
    flags::FlagsOf refined = flags::flags_of(shared, arguments, held);
    refined.flags.insert(refined.flags.begin(), files.begin(), files.end());
    std::string own;
    for (const std::string& name : request.options.own)
      if (name != "response.fwhm" && !(orientations && is_misset(name)))
        own.append(own.empty() ? "" : ", ").append(name);
    if (!own.empty())
      refined.not_in_flags.push_back("what each image has for itself (" + own +
                                     "); experiment_####.json state it");
    if (std::ranges::find(request.options.own, "response.fwhm") != request.options.own.end())
      refined.not_in_flags.emplace_back(
          "the width of each image's point spread (response.fwhm); the numbers of refined.json "
          "state it");
    const auto any_number = [&](const auto& is_one) {
      return std::ranges::any_of(refinement.numbers,
                                 [&](const RefinedNumber& n) { return is_one(n.name); });
    };
    if (!model.missets_deg.empty() && !shared.more_crystals.empty() &&
        any_number(
            [](const std::string& name) { return name.find("misset[") != std::string::npos; }))
      refined.not_in_flags.emplace_back(
          "how the crystals beside the first lie in each still, as -orientations turns them with "
          "the first; experiment_####.json state it");
    const bool moved = any_number([](const std::string& name) {
      return name.starts_with("panel[") || name.starts_with("group[");
    });
    if (!moved) return refined;
    // One sentence for what is said of the lists and of the first panel's own shift
    std::erase_if(refined.not_in_flags, [](const std::string& line) {
      return line == "more_panels has no flag" || line == "detector_groups has no flag" ||
             line == "shift has no flag" || line == "rotation has no flag";
    });
    refined.not_in_flags.emplace_back(
        "where panels and groups stand; -expt refined.expt states it in place of what states the "
        "detector now, without -cell, -mat and -misset, as it has the crystal too");
    return refined;
  } catch (const Error& error) {
    return {{}, {std::string("the flags of the refined model are refused: ") + error.what()}};
  }
}

/// The detector that records the refined image, as the fit took it to be; empty where there is no
/// point spread or where each image has its own.
std::vector<std::string> response_flags(const Measurement& m, const Refinement& refinement) {
  const std::optional<PointSpread>& spread = refinement.point_spreads[0];
  for (const std::optional<PointSpread>& other : refinement.point_spreads)
    if (!other || other->fwhm_um != spread->fwhm_um) return {};
  const bool counts = m.counts_per_photon == 1 && m.readout_noise == 0;
  std::vector<std::string> flags{"-response", counts ? "counting" : "integrating",
                                 "-psf",      name_of(spread->shape),
                                 "-psf_fwhm", fmt::format("{}", spread->fwhm_um)};
  if (!counts)
    flags.insert(flags.end(), {"-gain", fmt::format("{}", m.counts_per_photon), "-adc",
                               fmt::format("{}", m.offset), "-readout_noise",
                               fmt::format("{}", m.readout_noise)});
  return flags;
}

/// The name of the file or files that state the refined geometry; empty: none can.
std::string write_geometry(const std::string& folder, const Refinement& refinement,
                           std::ostream& err) {
  try {
    return write_refined_geometry(folder, refinement);
  } catch (const UsageError& error) {
    say(err, std::string("there is no refined.expt: ") + error.what());
    return {};
  }
}

void print_result(std::ostream& out, const Refinement& r) {
  fmt::print(out, "{:<20}{:>16}{:>16}{:>14}  {}\n", "", "start", "refined", "deviation", "unit");
  for (const RefinedNumber& n : r.numbers)
    fmt::print(out, "{:<20}{:>16.9g}{:>16.9g}{:>14}  {}{}\n", n.name, n.start, n.value,
               std::isfinite(n.deviation) ? fmt::format("{:.3g}", n.deviation) : "unknown", n.unit,
               n.at_bound ? "  at its bound" : "");
  for (const StageReport& s : r.stages)
    fmt::print(out, "{}: residual {:.4f} -> {:.4f}{}, {} spots{}, {} iterations, {:.1f} s\n",
               name_of(s.stage), s.residual_before, s.residual,
               s.misfit_share > 0 ? fmt::format(", misfit {:.1f} %", 100 * s.misfit_share) : "",
               s.spots, s.pixels > 0 ? fmt::format(", {} pixels", s.pixels) : "", s.iterations,
               s.seconds);
  if (const std::size_t hidden = std::accumulate(r.pixels_in_shadow.begin(),
                                                 r.pixels_in_shadow.end(), std::size_t{0});
      hidden > 0)
    fmt::print(out, "left out: {} {} in the shadow of the beamstop{}\n", hidden,
               hidden == 1 ? "pixel" : "pixels",
               r.pixels_in_shadow.size() > 1 ? ", in all images together" : "");
  if (r.found_spots)
    fmt::print(out,
               "{} of {} found spots lie within two pixels of where the refined model has them: "
               "{:.3f} px rms along fast, {:.3f} px along slow\n",
               r.found_spots->placed, r.found_spots->found, r.found_spots->fast_rms_px,
               r.found_spots->slow_rms_px);
}

constexpr std::array result_files{"refined.json",        "experiment.json", "refined.expt",
                                  "refined.mat",         "refined.png",     "refined.hkl",
                                  "refined.orientations"};

/// Whether a refinement writes such a name, of one image or of several.
bool is_result_file(const std::string& name) {
  const std::size_t number = name.find('_'), ending = name.rfind('.');
  if (number == std::string::npos || ending == std::string::npos || ending < number)
    return std::ranges::find(result_files, name) != result_files.end();
  const std::string digits = name.substr(number + 1, ending - number - 1);
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos &&
         is_result_file(name.substr(0, number) + name.substr(ending));
}

/// What a refinement of before left in the folder and this one has not written; returns the names.
std::vector<std::string> remove_older_results(const fs::path& folder,
                                              std::vector<std::string> written,
                                              std::size_t images) {
  for (std::size_t k = 0, count = written.size(); k < count; ++k)
    for (std::size_t i = 0; i < images && written[k].find('#') != std::string::npos; ++i)
      written.push_back(io::file_of_image(written[k], static_cast<int>(i) + 1));
  std::vector<std::string> older;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (const std::string name = entry.path().filename().string();
        is_result_file(name) && std::ranges::find(written, name) == written.end())
      older.push_back(name);
  std::ranges::sort(older);
  for (const std::string& name : older) fs::remove(folder / name, error);
  return older;
}

void check_refinement_files(const RefineRequest& request, const flags::Request& model,
                            std::span<const measured::MeasuredImage> images,
                            const std::string& resume_file) {
  std::vector<io::NamedFile> inputs = inputs_of(model), outputs;
  for (const measured::MeasuredImage& image : images) inputs.push_back({"--image", image.path});
  if (!request.resume.empty()) inputs.push_back({"--resume", request.resume});
  if (!request.spots_file.empty()) inputs.push_back({"--spots-of", request.spots_file});
  const fs::path folder = request.outdir;
  for (const char* name : result_files) outputs.push_back({"--outdir", (folder / name).string()});
  for (const char* name : {"experiment.json", "refined.expt"})
    for (std::size_t i = 0; i < images.size() && images.size() > 1; ++i)
      outputs.push_back(
          {"--outdir", io::file_of_image(file_of_refinement(request.outdir, name, images.size()),
                                         static_cast<int>(i) + 1)});
  // What goes on from that file writes it again
  std::error_code ignored;
  if (request.resume.empty() || !fs::equivalent(request.resume, resume_file, ignored))
    outputs.push_back({"--outdir", resume_file});
  check_files(inputs, outputs);
}

}  // namespace

int refine_command(const std::vector<std::string>& arguments, std::ostream& out,
                   std::ostream& err) {
  RefineRequest request = parse(arguments, out);
  if (request.help) return done;
  set_stop_sentence("stopped before the first step; no file was written");
  flags::Request model = flags::parse_command_line(request.model);
  flags::check_is_of_photons(model, "refine");
  if (model.goes_on)
    throw UsageError("-continue goes on with making a series; refine goes on with --resume");
  if (!model.spectra_file.empty())
    throw UsageError(
        "refine takes one spectrum for all images, -spectrum FILE, and none for each of them "
        "(-spectra)");
  const fs::path folder = request.outdir;
  const std::string resume_file = (folder / "resume.json").string();
  flags::load_inputs(model);
  const std::vector<Experiment> starts = starts_of(model);
  const SettledExperiment settled(starts[0]);
  request.image.panels_in_array = io::panels_in_array(model.geometry_file, settled);
  const std::vector<measured::MeasuredImage> files_to_read = measured::files_of_images(
      request.images, request.image, starts.size());
  check_refinement_files(request, model, files_to_read, resume_file);
  const Resolved& resolved = settled.resolved();
  say(err, model.warnings);
  say(err, flags::quirk_notices(model, resolved));
  RefineOptions& options = request.options;
  options.compute = compute_options(model);
  options.compute.precision = model.precision.value_or(Precision::float64);
  say_cost(starts[0], resolved, options.compute, err);
  const std::vector<ReadImage> images = read_images(files_to_read, starts, err);
  std::vector<Measurement> measurements;
  for (const ReadImage& image : images) measurements.push_back(image.measurement);

  if (!request.spots_file.empty())
    options.observed_spots = measured::read_observed_spots(
        request.spots_file, request.spots_experiment, request.image.number.value_or(1), starts);
  if (!request.resume.empty()) options.resume = read_resume_file(request.resume);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw OutputError("cannot make the folder " + folder.string() + ": " + error.message());
  const std::string how_to_go_on = "the same command with --resume " + resume_file +
                                   " goes on from there";
  options.progress = [&](const RefineProgress& p) {
    write_resume_file(resume_file, p.state);
    set_stop_sentence("stopped; " + how_to_go_on);
    if (!request.quiet) print_progress(err, p);
    return !interrupted();
  };

  const Refinement refinement = refine(starts, measurements, options);
  if (refinement.stopped) {
    set_stop_sentence(fmt::format("stopped in the stage '{}'; {}",
                                  name_of(refinement.state.stage()), how_to_go_on));
    throw Cancelled();
  }
  say(err, refinement.warnings);
  const FilesOfFlags names{(folder / "refined.mat").string(), (folder / "refined.hkl").string(),
                           (folder / "refined.orientations").string()};
  const flags::FlagsOf refined = refined_flags(request, model, starts[0], names, refinement);
  for (const std::string& line : refined.not_in_flags) say(err, "not in refined_flags: " + line);
  io::FileGroup files;
  std::vector<std::string> written{"refined.json"};
  const auto add_written = [&](const std::string& path) {
    written.push_back(fs::path(path).filename().string());
  };
  write_refinement_json((folder / "refined.json").string(), refinement, images, request.model,
                        refined, response_flags(images[0].measurement, refinement));
  write_refined_experiments(request.outdir, refinement);
  add_written(file_of_refinement(request.outdir, "experiment.json", images.size()));
  if (const std::string geometry = write_geometry(request.outdir, refinement, err);
      !geometry.empty())
    add_written(geometry);
  if (has_other_matrix(model.experiment, refinement)) {
    write_refined_matrix(names.matrix, refinement);
    add_written(names.matrix);
  }
  if (has_own_orientations(request, model)) {
    write_refined_orientations(names.orientations, refinement);
    add_written(names.orientations);
  }
  std::vector<Experiment> drawn = starts;
  if (options.intensities == Intensities::free)
    for (Experiment& e : drawn) e.structure_factors = refinement.experiments[0].structure_factors;
  write_refinement_picture((folder / "refined.png").string(), drawn, images, refinement,
                           options.compute);
  add_written("refined.png");
  if (!refinement.factors.empty()) {
    write_refined_factors(names.factors, refinement);
    add_written(names.factors);
  }
  files.commit();
  set_stop_sentence("stopped after all files were written");
  fs::remove(resume_file, error);
  const std::vector<std::string> older = remove_older_results(folder, written, images.size());
  print_result(out, refinement);
  fmt::print(out, "written to {}: {}\n", io::printable(folder.string()), fmt::join(written, ", "));
  if (!older.empty())
    fmt::print(out, "removed from {}, of a refinement before: {}\n", io::printable(folder.string()),
               fmt::join(older, ", "));
  return done;
}

}  // namespace nablabragg::cli
