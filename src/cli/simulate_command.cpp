#include <csignal>
#include <iostream>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/inputs.hpp"
#include "cli/notices.hpp"
#include "cli/outputs.hpp"
#include "cli/progress_bar.hpp"
#include "cli/summary.hpp"
#include "cli/trace.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/version.hpp"
#include "plan/make_plan.hpp"
#include "simulation.hpp"

namespace nablabragg::cli {

namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

void say(std::ostream& err, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) err << "nablabragg: " << line << '\n';
}

}  // namespace

bool interrupted() { return interrupt_seen != 0; }

void install_interrupt_handler() {
  std::signal(SIGINT, [](int) { interrupt_seen = 1; });
}

void simulate_command(const std::vector<std::string>& words, std::ostream& out, std::ostream& err) {
  Request request = parse_command_line(words);
  if (request.help) return print_help(out);
  if (request.version) {
    out << "nablabragg " << version() << '\n';
    return;
  }
  load_inputs(request);
  const Resolved resolved = resolve(request.experiment);
  const Plan plan = make_plan(request.experiment, resolved);
  check_pixels(request, plan);
  check_outputs(request);
  write_cache(request, request.warnings);

  // JSON has standard output to itself
  std::ostream& summary = request.trace_pixel && request.trace_format == TraceFormat::json ? err
                                                                                           : out;
  say(err, request.warnings);
  say(err, resolved.warnings);
  say(err, quirk_notices(request, resolved));
  print_setup(summary, request, resolved);
  summary.flush();

  Simulation simulation;
  {
    ProgressBar bar(static_cast<double>(resolved.steps) * resolved.sensor.layers *
                        (resolved.roi.fast_max - resolved.roi.fast_min + 1.0) *
                        (resolved.roi.slow_max - resolved.roi.slow_min + 1.0),
                    request.progress);
    const auto progress = [&](double share) {
      bar.show(share);
      return !interrupted();
    };
    simulation = run_plan(request.experiment, resolved, plan, {request.threads, progress});
  }
  if (simulation.table_miss) say(err, {table_miss_notice(request, plan, *simulation.table_miss)});
  if (request.printout) print_pixels(summary, request, plan, simulation.table_miss);
  print_statistics(summary, resolved, simulation);
  write_outputs(summary, request, resolved, simulation);
  if (request.trace_pixel) print_trace(out, request, plan, simulation.table_miss);
}

}  // namespace nablabragg::cli
