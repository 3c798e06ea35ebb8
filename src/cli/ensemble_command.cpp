// nablabragg ensemble: many shots that a file describes.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <malloc.h>  // for mallopt, malloc_trim
#include <sys/resource.h>
#include <unistd.h>  // for isatty

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/commands.hpp"
#include "cli/contact_sheet.hpp"
#include "cli/files.hpp"
#include "cli/image_outputs.hpp"
#include "cli/options.hpp"
#include "cli/outputs.hpp"
#include "cli/progress_bar.hpp"
#include "cli/say.hpp"
#include "cli/set_up.hpp"
#include "cli/stopping.hpp"
#include "engine/cuda/open_device.hpp"
#include "ensemble/ensemble.hpp"
#include "ensemble/labelled_shot.hpp"
#include "ensemble/make_shots.hpp"
#include "ensemble/run.hpp"
#include "ensemble/shared_factors.hpp"
#include "flags/command_line.hpp"
#include "flags/flags_of.hpp"
#include "io/atomic_file.hpp"
#include "io/named_files.hpp"
#include "io/nxmx.hpp"  // for nxmx_bitshuffle
#include "io/quotes.hpp"
#include "io/smv_header.hpp"  // for command_line_text
#include "io/temporary_files.hpp"
#include "mpi/open_ranks.hpp"
#include "mpi/together.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/series.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;

struct EnsembleRequest {
  std::string description;
  int threads = 0;
  std::optional<int> preview, shot;
  bool dry_run = false, flags = false, quiet = false;
  std::vector<std::string> outputs;
};

/// False where help was asked for.
bool parse(const std::vector<std::string>& arguments, std::ostream& out, EnsembleRequest& request) {
  CLI::App app("Makes the shots that a file describes, as shards of NXmx with labels.",
               "nablabragg ensemble");
  app.add_option("description", request.description, "YAML or JSON (docs/ensembles.md)")
      ->required();
  app.add_option("--threads", request.threads, "0: as many as the machine has (0)")
      ->check(CLI::Range(0, engine::most_threads));
  app.add_option("--preview", request.preview,
                 "draw so many of the first shots on one sheet, --output FILE.png (preview.png in "
                 "the folder of the ensemble)")
      ->check(CLI::Range(1, 400));
  app.add_flag("--dry-run", request.dry_run,
               "make a few shots, and say what all of them would take");
  app.add_option("--shot", request.shot, "make this shot alone, counted from 0, for --output FILE")
      ->check(CLI::Range(0, 2147483647));
  app.add_flag("--flags", request.flags, "with --shot: print the flags that state it");
  app.add_option("--output", request.outputs,
                 "with --shot and --preview: a file, in the format that its name tells; repeatable")
      ->take_all();
  app.add_flag("--quiet", request.quiet, "neither summary nor progress");
  if (!parse_options(app, arguments, out)) return false;
  const int modes = int{request.preview.has_value()} + int{request.dry_run} +
                    int{request.shot.has_value()};
  if (modes > 1) throw UsageError("--preview, --dry-run and --shot exclude each other");
  if (request.flags && !request.shot) throw UsageError("--flags is of --shot, which is missing");
  if (!request.outputs.empty() && !request.preview && !request.shot)
    throw UsageError("--output is of --shot and --preview; the description says where shots go");
  if (request.preview && request.outputs.size() > 1)
    throw UsageError("--preview draws one sheet; give one --output");
  if (request.shot && request.outputs.empty() && !request.flags)
    throw UsageError("--shot makes a file of one shot: --output shot.cbf names it");
  return true;
}

/// Of a rank among others those that are its share of the machine, where nothing else is said.
ComputeOptions options_of(const flags::Request& base, const EnsembleRequest& request,
                          const mpi::Ranks& ranks) {
  ComputeOptions options = compute_options(base);
  if (request.threads > 0) options.threads = request.threads;
  if (options.threads == 0) options.threads = ranks.threads();
  const bool may_take_gpu = options.engine == Engine::cuda || options.engine == Engine::automatic;
  if (ranks.size_on_node() > 1 && may_take_gpu && options.device == 0)
    options.device = ranks.rank_on_node() % std::max(1, engine::cuda::device_count());
  return options;
}

/// Of the base experiment.
io::ImageSeries series_of_base(const ensemble::Ensemble& e, const std::vector<std::string>& words) {
  const flags::Request& r = e.request();
  io::ImageSeries series;
  // As a series of stills has it.
  const Series stills(r.experiment, std::vector<Vec3d>{r.experiment.crystal.misset_deg});
  series.geometry = in_imgcif_frame(geometry_of(SettledExperiment(stills.experiment(0))));
  series.images.resize(1);
  series.counts = r.noise_file.on;
  state_offset(series, r);
  const io::SmvProvenance how = provenance(r, words);
  series.provenance = {how.program, how.command_line, how.seed,
                       to_json(r.experiment, r.stated_response()), io::date_now()};
  series.compression = r.compression;
  if (e.description().one_file && series.compression == io::nxmx_bitshuffle)
    e.description().fail(e.description().output,
                         "one file of all shots is packed by deflate, not by bitshuffle_lz4, which "
                         "packs an image where it is written; take files: shards");
  const io::FileFormat& nxmx = io::format_to_write("all.nxs");
  if (const std::string why = nxmx.why_not(series); !why.empty())
    e.description().fail(e.description().output, "is NXmx: " + why);
  return series;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

void say_what_differs(std::ostream& err, const ensemble::Ensemble& e) {
  if (const auto moving = e.moving_parameters(); !moving.empty())
    say(err, fmt::format("{} differ{} from shot to shot: the files state the geometry of the base "
                         "experiment, and the labels what each shot has",
                         joined(moving), moving.size() == 1 ? "s" : ""));
}

// ---- All shots ----------------------------------------------------------------------------------

/// Of several ranks, whose standard error is no terminal: a line after ten seconds and then every
/// minute.
class ProgressLines {
 public:
  ProgressLines(std::ostream& err, int shots) : err_(err), shots_(shots) {}
  void show(double share) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (seconds < next_s_ || share <= 0) return;
    next_s_ = seconds < 60 ? 60 : seconds + 60;
    say(err_, fmt::format("{:.0f} % done, {:.3g} shots/s, {:.0f} s left", 100 * share,
                          share * shots_ / seconds, seconds * (1 - share) / share));
    err_.flush();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::ostream& err_;
  int shots_;
  double next_s_ = 10;
  Clock::time_point start_ = Clock::now();
};

void run_all(const ensemble::Ensemble& e, const EnsembleRequest& request,
             const std::vector<std::string>& words, const ComputeOptions& options,
             mpi::Ranks& ranks, std::ostream& out, std::ostream& err) {
  ensemble::RunSettings settings;
  mpi::together(ranks, [&] { settings.series = series_of_base(e, words); });
  settings.compute = options;
  const int shots = e.shots();
  const auto stop_sentence = [shots](int complete) {
    return fmt::format("stopped: {} of {} shots are complete; the same command goes on", complete,
                       shots);
  };
  say_what_differs(err, e);
  settings.on_unfinished = [&](const std::string& sentence) { say(err, sentence); };
  int to_make = shots;
  if (ranks.rank() == 0) set_stop_sentence(stop_sentence(0));
  settings.on_complete = [&](int complete) { set_stop_sentence(stop_sentence(complete)); };
  settings.on_begin = [&](int missing) { to_make = missing; };
  std::optional<ProgressBar> bar;
  std::optional<ProgressLines> lines;
  settings.compute.progress = [&](double share) {
    if (ranks.rank() > 0) return !interrupted();
    if (!bar) bar.emplace(static_cast<double>(to_make), !request.quiet, "shots");
    bar->show(share);
    if (!lines) lines.emplace(err, to_make);
    if (ranks.size() > 1 && !request.quiet && isatty(STDERR_FILENO) == 0) lines->show(share);
    return !interrupted();
  };
  const ensemble::RunResult result = ensemble::run_ensemble(e, settings, ranks);
  bar.reset();
  if (ranks.rank() > 0) return;
  set_stop_sentence("stopped after all files were written");
  if (result.kept > 0)
    say(err, fmt::format("{} of {} shots were complete already", result.kept, shots));
  if (result.dark > 0)
    say(err, fmt::format("{} of the {} shots made are 0 everywhere", result.dark, result.made));
  if (result.saturated > 0)
    say(err, fmt::format("{} of the {} shots made have pixels at the detector's saturation "
                         "(overloads)",
                         result.saturated, result.made));
  if (request.quiet) return;
  if (result.made > 0)
    fmt::print(out, "made {} shots in {:.3g} s, {:.3g} shots/s{}\n", result.made, result.seconds,
               result.made / result.seconds,
               ranks.size() > 1 ? fmt::format(" on {} ranks of {} thread{}", ranks.size(),
                                              options.threads, options.threads == 1 ? "" : "s")
                                : std::string());
  fmt::print(out, "written: {} of {} shots, {:.3g} MB\n", io::printable(result.all), shots,
             static_cast<double>(result.shard_bytes) / 1e6);
}

// ---- One shot -----------------------------------------------------------------------------------

void print_flags(const ensemble::Ensemble& e, const ensemble::Shot& shot, std::ostream& out,
                 std::ostream& err) {
  Experiment experiment = shot.experiment;
  if (!shot.hit) {
    const Experiment& base = e.base().experiment();
    experiment.structure_factors = base.structure_factors;
    experiment.crystal.diffuse_sigma_A = base.crystal.diffuse_sigma_A;
    experiment.crystal.diffuse_gamma_A = base.crystal.diffuse_gamma_A;
    say(err,
        fmt::format("in shot {} the crystal is not in the beam, which no flag says", shot.index));
  }
  if (const auto& spectra = e.description().spectra) {
    // The wavelength is the base's.
    experiment.beam.sources = e.request().experiment.beam.sources;
    say(err, fmt::format("shot {} is in the light of row {} of {}, which no flag of one image "
                         "states: these flags have one wavelength",
                         shot.index, shot.spectrum, io::printable(spectra->file)));
  }
  std::vector<std::string> all = e.flags();
  const flags::FlagsOf stated = flags::flags_of(experiment, all, e.request().experiment);
  all.insert(all.end(), stated.flags.begin(), stated.flags.end());
  all.insert(all.end(), {"-seed", std::to_string(shot.seed)});
  fmt::print(out, "{}\n", io::command_line_text(all));
  for (const std::string& sentence : stated.not_in_flags) say(err, sentence);
}

void make_one(const ensemble::Ensemble& e, const EnsembleRequest& request,
              const std::vector<std::string>& words, const ComputeOptions& options,
              std::ostream& out, std::ostream& err) {
  const ensemble::Shot shot = e.shot(*request.shot);
  flags::Request r = e.request_of(shot);
  if (request.threads > 0) r.threads = request.threads;
  if (request.flags) print_flags(e, shot, out, err);
  if (request.outputs.empty()) return;
  r.output_files = request.outputs;
  r.float_file.on = r.int_file.on = r.pgm_file.on = false;
  r.png_of_noise = r.noise_file.on;
  check_files({{"the description", e.description().file}}, outputs_of(r));
  check_outputs(r);
  ensemble::ShotImages images(e, options);
  const Simulation simulation = images.simulation(shot);
  std::vector<std::string> notices;
  std::ostream nowhere(nullptr);
  io::FileGroup files;
  write_outputs(nowhere, notices, r, simulation.resolved, provenance(r, words), simulation,
                nullptr);
  files.commit();
  say(err, notices);
  if (!request.quiet)
    for (const std::string& name : request.outputs)
      fmt::print(out, "written: {} of shot {}\n", io::printable(name), shot.index);
}

// ---- Looking ahead ------------------------------------------------------------------------------

void preview(const ensemble::Ensemble& e, const EnsembleRequest& request, ComputeOptions options,
             std::ostream& out) {
  const int shots = std::min(*request.preview, e.shots());
  std::string path = request.outputs.empty() ? e.description().folder + "/preview.png"
                                             : request.outputs[0];
  if (request.outputs.empty()) {
    std::error_code error;
    fs::create_directories(e.description().folder, error);
  }
  if (ending_of(path) != ".png") throw UsageError("--preview draws a PNG picture: name.png");
  check_files({{"the description", e.description().file}}, {{"--output", path}});
  path = io::writable_name(path);
  io::check_writable(path);
  std::vector<Thumbnail> all;
  int next = 0;
  options.progress = [](double) { return !interrupted(); };
  ensemble::make_shots(
      e, static_cast<std::size_t>(shots), options,
      [&]() { return next < shots ? std::optional(next++) : std::nullopt; },
      [&](const ensemble::Shot& shot, Simulation& simulation) {
        const std::string text = fmt::format("shot {}{}", shot.index, shot.hit ? "" : " blank");
        if (!e.description().counts)
          return thumbnail_of(simulation.resolved, simulation.image.pixels, text);
        const CountedImage counted = ensemble::counts_of(e, shot, simulation.image);
        std::vector<float> shown(counted.counts.begin(), counted.counts.end());
        // Where nothing is counted, and what an integrating detector adds
        const auto offset = static_cast<float>(
            e.request().responds && e.request().response.kind == DetectorResponse::Kind::integrating
                ? e.request().response.offset
                : 0);
        for (float& value : shown) value = std::max(0.0F, value - offset);
        return thumbnail_of(simulation.resolved, shown, text);
      },
      [&](Thumbnail made) { all.push_back(std::move(made)); });
  write_contact_sheet(path, all);
  if (!request.quiet)
    fmt::print(out, "written: {}, the first {} shots\n", io::printable(path), shots);
}

std::string duration_text(double seconds) {
  if (seconds < 100) return fmt::format("{:.3g} s", seconds);
  if (seconds < 6000) return fmt::format("{:.3g} min", seconds / 60);
  return fmt::format("{:.3g} h", seconds / 3600);
}

std::string bytes_text(double bytes) {
  return bytes < 1e9 ? fmt::format("{:.3g} MB", bytes / 1e6)
                     : fmt::format("{:.3g} GB", bytes / 1e9);
}

/// Runs some of the shots in a folder that goes again.
void dry_run(const ensemble::Ensemble& e, const std::vector<std::string>& words,
             const ComputeOptions& options, std::ostream& out, std::ostream& err) {
  std::string name = (fs::temp_directory_path() / "nablabragg-XXXXXX").string();
  if (!mkdtemp(name.data())) throw OutputError("cannot make a folder in " + name);
  const io::TemporaryName folder(name);
  ensemble::RunSettings settings;
  settings.series = series_of_base(e, words);
  settings.compute = options;
  settings.compute.progress = [](double) { return !interrupted(); };
  say_what_differs(err, e);
  e.check_shots();
  // A second or two tell what all of them take; the first shots also prepare what all share.
  constexpr double long_enough_s = 1;
  ensemble::RunResult result;
  int shots = std::min(16, e.shots());
  for (int trial = 0;; ++trial) {
    ensemble::Description few = e.description();
    few.shots = shots;
    few.folder = fmt::format("{}/{}", name, trial);
    result = ensemble::run_ensemble(ensemble::Ensemble(std::move(few), e.request()), settings,
                                    *mpi::one_rank());
    if (result.seconds > long_enough_s || shots == e.shots()) break;
    shots = static_cast<int>(std::min<double>(
        e.shots(), shots * std::clamp(2 * long_enough_s / result.seconds, 2.0, 100.0)));
  }
  const double rate = result.made / result.seconds,
               bytes = static_cast<double>(result.shard_bytes) / result.made * e.shots();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const int shards = (e.shots() - 1) / e.description().shots_per_shard + 1;
  // One file is written when all shots are made, from what is on the disk of them.
  const bool one_file = e.description().one_file;
  const double most_bytes = one_file ? 2 * bytes : bytes;
  fmt::print(
      out, "{} shots in {}, {} pixels each, from a trial of {} shots\n", e.shots(),
      one_file ? "one file" : fmt::format("{} shard{}", shards, shards == 1 ? "" : "s"),
      [&] {
        std::size_t pixels = 0;
        for (const GeometryPanel& panel : settings.series.geometry.panels)
          pixels += static_cast<std::size_t>(panel.fast_pixels) *
                    static_cast<std::size_t>(panel.slow_pixels);
        return pixels;
      }(),
      result.made);
  fmt::print(out, "time: {} at {:.3g} shots/s\n", duration_text(e.shots() / rate), rate);
  fmt::print(out, "memory: {}\n", bytes_text(static_cast<double>(used.ru_maxrss) * 1024));
  fs::path place = fs::absolute(e.description().folder);
  while (!fs::exists(place) && place != place.parent_path()) place = place.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(place, error);
  fmt::print(out, "disk: {}{}{}\n", bytes_text(bytes),
             one_file ? fmt::format(", {} while the file is written", bytes_text(most_bytes)) : "",
             error ? std::string()
                   : fmt::format("{} of {} that are free", one_file ? "," : "",
                                 bytes_text(static_cast<double>(space.available))));
  if (!error && most_bytes > static_cast<double>(space.available))
    say(err, "the shots do not fit on the disk of " + e.description().folder);
}

/// Whether this rank's table is another one than that of others.
bool share_factors(StructureFactors& factors, mpi::Ranks& ranks, std::ostream& err) {
  ensemble::SharedFactors shared = ensemble::shared_factors(factors.grid, ranks);
  factors.grid = std::move(shared.grid);
  malloc_trim(0);  // what was read, and is in the common table
  if (!shared.why_not.empty())
    say(err,
        fmt::format("each rank has a table of structure factors of its own, {:.3g} MB: {}",
                    8e-6 * static_cast<double>(factors.grid->values().size()), shared.why_not));
  return shared.differ;
}

/// On one of the ranks, to whose `out` and `err` rank 0 alone writes.
void work(const EnsembleRequest& request, const std::vector<std::string>& words, mpi::Ranks& ranks,
          std::ostream& out, std::ostream& err) {
  set_stop_sentence(ranks.rank() == 0 ? "stopped before the first shot; nothing was written" : "");
  ensemble::Description description;
  flags::Request base;
  mpi::together(ranks, [&] {
    description = ensemble::read_description(request.description);
    base = ensemble::Ensemble::base_of(description);
    say(err, base.warnings);
  });
  const bool differs = share_factors(base.experiment.structure_factors, ranks, err);
  std::optional<ensemble::Ensemble> made;
  ComputeOptions options;
  mpi::together(ranks, [&] {
    if (differs)
      throw InputError(description.file, 0,
                       "the structure factors that its base names are not the same for all ranks "
                       "of a machine; were files changed as the run began?");
    options = options_of(base, request, ranks);
    start_device(options);
    made.emplace(std::move(description), std::move(base));
    say(err, set_up(made->request(), nullptr).resolved.warnings);
  });
  const ensemble::Ensemble& e = *made;

  // As in a series: the memory of an image is kept for the next one.
  constexpr int kept_bytes = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kept_bytes);
  mallopt(M_TRIM_THRESHOLD, kept_bytes);
  const bool all_shots = !request.shot && !request.preview && !request.dry_run;
  if (all_shots) return run_all(e, request, words, options, ranks, out, err);
  mpi::together(ranks, [&] {
    if (ranks.rank() > 0) return;
    if (request.shot) return make_one(e, request, words, options, out, err);
    if (request.preview) return preview(e, request, options, out);
    dry_run(e, words, options, out, err);
  });
}

}  // namespace

void ensemble_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err) {
  const std::unique_ptr<mpi::Ranks> ranks = mpi::open_ranks();
  std::ostream nowhere(nullptr);
  const bool speaks = ranks->rank() == 0;
  EnsembleRequest request;
  bool goes_on = false;
  mpi::together(*ranks, [&] { goes_on = parse(arguments, speaks ? out : nowhere, request); });
  if (!goes_on) return;
  std::vector<std::string> words{"ensemble"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  work(request, words, *ranks, speaks ? out : nowhere, speaks ? err : nowhere);
}

}  // namespace nablabragg::cli
