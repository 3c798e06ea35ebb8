#include <tbb/global_control.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "api/cost.hpp"
#include "api/run_plan.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/outputs.hpp"
#include "cli/profile.hpp"
#include "cli/progress_bar.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "cli/summary.hpp"
#include "cli/trace.hpp"
#include "engine/threads.hpp"
#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/version.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::cli {

namespace {

Simulation run_engine(const flags::Request& request, const Resolved& resolved, const Plan& plan,
                      Profile* profile) {
  const auto samples = [](const Sensor& sensor, const RegionOfInterest& roi) {
    return sensor.layers * (roi.fast_max - roi.fast_min + 1.0) *
           (roi.slow_max - roi.slow_min + 1.0);
  };
  double all = samples(resolved.sensor, resolved.roi);
  for (const ResolvedPanel& further : resolved.more_panels)
    all += samples(further.sensor, further.roi);
  ProgressBar bar(static_cast<double>(resolved.steps) * all, request.progress);
  ComputeOptions options = compute_options(request);
  options.progress = [&](double share) {
    bar.show(share);
    return !interrupted();
  };
  if (profile) options.on_work = [=](const WorkSpan& tile) { profile->add_work(tile); };

  const Stage stage(profile, "simulate");
  Simulation simulation = run_plan(request.experiment, resolved, plan, options);
  // The engine does not say when it is done; what follows the last tile is the statistics.
  if (profile)
    if (const auto end = profile->last_work())
      profile->add_span("statistics", *end, Profile::Clock::now());
  return simulation;
}

/// What a corrected run writes into its images of how it was made; nanoBragg's say nothing.
io::SmvProvenance provenance(const flags::Request& request,
                             const std::vector<std::string>& arguments) {
  if (request.experiment.quirks.short_smv_header) return {};
  std::vector<std::string> words{"nablabragg"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return {"nablaBragg " + std::string(version()), io::command_line_text(words), *request.seed,
          request.adc};
}

void write_profile(std::ostream& out, const std::string& name, const Profile& profile) {
  io::AtomicFile file(io::writable_name(name));
  file.write(profile.json());
  file.commit();
  out << "writing " << io::printable(name) << " for ui.perfetto.dev or chrome://tracing\n";
}

}  // namespace

void simulate_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err) {
  const auto start = Profile::Clock::now();
  flags::Request request = flags::parse_command_line(arguments);
  if (request.help) return print_help(out);
  if (request.version) {
    out << "nablabragg " << version() << '\n';
    return;
  }
  if (request.quiet) request.progress = false;
  std::ostream nowhere(nullptr);
  const std::vector<io::NamedFile> outputs = outputs_of(request);
  check_files(inputs_of(request), outputs);
  say(err, check_endings(request));
  engine::check_threads(request.threads);
  std::optional<tbb::global_control> limit;  // of the statistics and the files as well
  if (request.threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(request.threads));
  std::optional<Profile> recorder;
  if (!request.profile_file.empty()) recorder.emplace(start);
  Profile* const profile = recorder ? &*recorder : nullptr;

  start_device(compute_options(request));
  flags::load_inputs(request);
  if (profile) profile->add_span("read inputs", start, Profile::Clock::now());
  std::optional<Stage> planning(std::in_place, profile, "plan");
  const Resolved resolved = resolve(request.experiment);
  const Plan plan = make_plan(request.experiment, resolved);
  planning.reset();
  check_pixels(request, plan);
  const std::string cost = costly_oversampling(request.experiment, resolved, plan, {},
                                               compute_options(request));
  if (!cost.empty() && !request.experiment.quirks.any_cost) throw UsageError(cost);
  check_outputs(request);
  // JSON, or a file that goes to standard output, has it to itself
  const bool taken = std::any_of(outputs.begin(), outputs.end(), [](const io::NamedFile& file) {
    return io::is_standard_output(file.path);
  });
  std::ostream& summary = request.quiet ? nowhere : taken ? err : out;
  std::ostream& printout = taken ? err : out;
  {
    const Stage stage(profile, "print setup");
    say(err, request.warnings);
    say(err, resolved.warnings);
    say(err, flags::quirk_notices(request, resolved));
    if (!writes_images(request) && !request.printout && !request.print_plan && !request.trace_pixel)
      say(err,
          "nothing is written, since no output was named; -floatfile, -intfile, -noisefile "
          "or -pngfile FILE names one");
    if (!cost.empty()) say(err, flags::cost_notice(cost));
    print_setup(summary, request, resolved);
    summary.flush();
  }

  const Simulation simulation = run_engine(request, resolved, plan, profile);
  if (simulation.table_miss)
    say(err, flags::table_miss_notice(request, plan, *simulation.table_miss));
  if (request.printout) {
    const Stage stage(profile, "print pixels");
    print_pixels(printout, request, plan, simulation.table_miss);
  }
  if (request.print_plan) print_plan(printout, request, resolved, simulation);
  print_statistics(summary, request, resolved, simulation);
  const std::string& not_finite = simulation.not_finite;
  if (!not_finite.empty() && !flags::keeps_nanobraggs_answer(request.experiment))
    throw UsageError(not_finite + "; nothing was written");
  io::FileGroup files;
  {
    const Stage stage(request.writes_cache ? profile : nullptr, "write ", request.cache_file);
    std::vector<std::string> unwritten;
    flags::write_cache(request, unwritten);
    say(err, unwritten);
  }
  write_outputs(summary, err, request, resolved, provenance(request, arguments), simulation,
                profile);
  if (request.trace_pixel) {
    const Stage stage(profile, "trace pixel");
    print_trace(request.trace_format == flags::TraceFormat::json ? out : printout, request, plan,
                simulation.table_miss);
  }
  if (profile) write_profile(summary, request.profile_file, *profile);
  for (const std::string& sentence : {not_finite, simulation.dark})
    if (!sentence.empty()) say(err, sentence);
  if (interrupted()) throw Cancelled();
  files.commit();
  set_stop_sentence("stopped after all files were written");
}

}  // namespace nablabragg::cli
