#include "cli/set_up.hpp"

#include <algorithm>
#include <optional>

#include "api/cost.hpp"
#include "cli/files.hpp"
#include "cli/outputs.hpp"
#include "cli/say.hpp"
#include "cli/summary.hpp"
#include "cli/trace.hpp"
#include "flags/command_line.hpp"
#include "flags/notices.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/version.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::cli {

SetUp set_up(const flags::Request& request, Profile* profile) {
  std::optional<Stage> planning(std::in_place, profile, "plan");
  SetUp made{resolve(request.experiment), {}, {}};
  made.plan = make_plan(request.experiment, made.resolved);
  planning.reset();
  check_pixels(request, made.plan);
  made.cost = costly_oversampling(request.experiment, made.resolved, made.plan, {},
                                  compute_options(request));
  if (!made.cost.empty() && !request.experiment.quirks.any_cost) throw UsageError(made.cost);
  return made;
}

void say_set_up(std::ostream& summary, std::ostream& err, const flags::Request& request,
                const SetUp& set_up) {
  say(err, request.warnings);
  say(err, set_up.resolved.warnings);
  say(err, flags::quirk_notices(request, set_up.resolved));
  if (!writes_images(request) && !request.printout && !request.print_plan && !request.trace_pixel)
    say(err,
        "nothing is written, since no output was named; -floatfile, -intfile, -noisefile "
        "or -pngfile FILE names one");
  if (!set_up.cost.empty()) say(err, flags::cost_notice(set_up.cost));
  print_setup(summary, request, set_up.resolved);
  summary.flush();
}

io::SmvProvenance provenance(const flags::Request& request,
                             const std::vector<std::string>& arguments) {
  if (request.experiment.quirks.short_smv_header) return {};
  std::vector<std::string> words{"nablabragg"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return {"nablaBragg " + std::string(version()), io::command_line_text(words), *request.seed,
          request.adc, request.responds ? request.experiment.detector.gain : 1};
}

SummaryStream::SummaryStream(const flags::Request& request, std::ostream& out, std::ostream& err)
    : quiet_(request.quiet), out_(&out), err_(&err) {
  const std::vector<io::NamedFile> outputs = outputs_of(request);
  taken_ = std::any_of(outputs.begin(), outputs.end(),
                       [](const io::NamedFile& file) { return io::is_standard_output(file.path); });
}

}  // namespace nablabragg::cli
