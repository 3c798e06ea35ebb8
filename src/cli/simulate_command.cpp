#include <tbb/global_control.h>

#include <iostream>
#include <optional>
#include <utility>

#include "api/run_plan.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/image_outputs.hpp"
#include "cli/outputs.hpp"
#include "cli/profile.hpp"
#include "cli/progress_bar.hpp"
#include "cli/say.hpp"
#include "cli/series.hpp"
#include "cli/set_up.hpp"
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
  ProgressBar bar(static_cast<double>(steps_of_all_crystals(resolved)) * all, request.progress);
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
  check_files(inputs_of(request), outputs_of(request));
  say(err, check_endings(request));
  engine::check_threads(request.threads);
  std::optional<tbb::global_control> limit;  // of the statistics and the files as well
  if (request.threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(request.threads));
  if (request.is_series()) return simulate_series(std::move(request), arguments, out, err);
  check_names_of_one_image(request);
  std::optional<Profile> recorder;
  if (!request.profile_file.empty()) recorder.emplace(start);
  Profile* const profile = recorder ? &*recorder : nullptr;

  start_device(compute_options(request));
  flags::load_inputs(request);
  if (profile) profile->add_span("read inputs", start, Profile::Clock::now());
  const SetUp made = set_up(request, profile);
  const Resolved& resolved = made.resolved;
  const Plan& plan = made.plan;
  check_outputs(request);
  SummaryStream stream(request, out, err);
  std::ostream& summary = stream.get();
  std::ostream& printout = stream.printout();
  {
    const Stage stage(profile, "print setup");
    say_set_up(summary, err, request, made);
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
  std::vector<std::string> notices;
  write_outputs(summary, notices, request, resolved, provenance(request, arguments), simulation,
                profile);
  say(err, notices);
  if (!request.output_files.empty())
    say(err, format_notices(request.output_files, series_of(request)));
  if (request.trace_pixel) {
    const Stage stage(profile, "trace pixel");
    std::optional<RecordedPixel> recorded;
    if (request.responds)
      recorded = record_pixel(request.experiment, simulation.image, request.response, *request.seed,
                              *request.trace_pixel);
    print_trace(request.trace_format == flags::TraceFormat::json ? out : printout, request, plan,
                simulation.table_miss, recorded);
  }
  if (profile) write_profile(summary, request.profile_file, *profile);
  for (const std::string& sentence : {not_finite, simulation.dark})
    if (!sentence.empty()) say(err, sentence);
  if (interrupted()) throw Cancelled();
  files.commit();
  set_stop_sentence("stopped after all files were written");
}

}  // namespace nablabragg::cli
