// nablabragg view: a page that shows an experiment's image while its parameters change.
#include <fcntl.h>  // for open
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>  // for mkdtemp
#include <filesystem>
#include <optional>
#include <sstream>
#include <thread>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/options.hpp"
#include "cli/outputs.hpp"
#include "cli/say.hpp"
#include "cli/set_up.hpp"
#include "cli/stopping.hpp"
#include "cli/trace.hpp"
#include "engine/threads.hpp"
#include "flags/command_line.hpp"
#include "flags/experiment_file.hpp"
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "io/expt.hpp"
#include "io/input_bytes.hpp"
#include "io/nxmx.hpp"
#include "io/quotes.hpp"
#include "io/temporary_files.hpp"
#include "io/text_lines.hpp"
#include "measured/counts.hpp"
#include "measured/measured_image.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/panel_arrays.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/settled.hpp"
#include "options/command.hpp"
#include "plan/make_plan.hpp"
#include "view/server.hpp"
#include "view/session.hpp"

// What a process that is started inherits
extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;

struct ViewRequest {
  std::string listen = "127.0.0.1";
  int port = 0;
  bool no_browser = false;
  std::vector<std::string> files;
  std::string measured_file, experiment_file;  ///< of those, by what they hold
  measured::MeasuredImage image;               ///< how the measured one is read
  std::vector<std::string> model;              ///< flags
};

/// The words before the first flag of the simulator, which begins with one dash, are options.
std::vector<std::string>::const_iterator first_flag(const std::vector<std::string>& words) {
  return std::find_if(words.begin(), words.end(), [](const std::string& word) {
    return word == "--" ||
           (word.size() > 1 && word[0] == '-' && word[1] != '-' && word != "-h" && word != "-help");
  });
}

/// How a file begins; of a pipe nothing, which looking would use up.
std::string head_of(const std::string& path) {
  const bool is_pipe = fs::exists(path) && !fs::is_regular_file(path);
  return is_pipe ? std::string() : std::string(io::Input(path).head());
}

/// Sorts the files by what they hold.
void tell_files_apart(ViewRequest& r) {
  const auto take = [](std::string& place, const std::string& path, const char* what) {
    if (!place.empty())
      throw UsageError(io::quoted_name(place) + " and " + io::quoted_name(path) + " both hold " +
                       what + ", and view takes one");
    place = path;
  };
  std::string geometry;
  for (const std::string& path : r.files) {
    const std::string head = head_of(path);
    if (io::begins_as_expt(head))
      take(geometry, path, "a dxtbx experiment list");
    else if (io::begins_as_json(head))
      take(r.experiment_file, path, "an experiment");
    else
      take(r.measured_file, path, "an image");
  }
  if (!geometry.empty()) r.model.insert(r.model.begin(), {"-expt", geometry});
  if (r.measured_file.empty() && (r.image.number || r.image.gain || r.image.offset))
    throw UsageError(
        "--image-number, --gain and --offset are of a measured image, which is missing");
}

/// Empty: help was asked for, and printed.
std::optional<ViewRequest> parse(const std::vector<std::string>& arguments, std::ostream& out) {
  ViewRequest r;
  CLI::App app(
      "Serves a page on this machine, in which a crystal is turned and parameters are changed "
      "while one looks at the image.",
      "nablabragg view");
  app.add_option("FILE", r.files,
                 "a measured image to be shown beside it (CBF, NXmx, SMV, TIFF), an experiment in "
                 "JSON, or a dxtbx .expt, as -expt reads it; an NXmx file that nablabragg has "
                 "written has its experiment inside, which is taken where no flags state one");
  app.add_option("--image-number", r.image.number, "which image of a file of several, from 1 (1)")
      ->check(CLI::Range(1, 1000000000));
  app.add_option("--gain", r.image.gain, "its counts per photon (what the image states, or 1)")
      ->check(options::above_zero());
  app.add_option(
      "--offset", r.image.offset,
      "its counts of a dark pixel (what the image or its format states, else estimated)");
  app.add_flag("--no-browser", r.no_browser, "print the address of the page and open nothing");
  app.add_option("--port", r.port, "of the address (one that is free)")
      ->check(CLI::Range(1, 65535));
  app.add_option("--listen", r.listen,
                 "the address to serve at: another one than 127.0.0.1 lets other machines in, who "
                 "know the token");
  app.footer(
      "Behind the options follow the flags of the experiment: nablabragg view still.cbf "
      "-corrected -hkl ubiquitin.hkl -mat ubiquitin.mat ...  Beside an experiment in a file they "
      "are of its structure factors and of computing: nablabragg view experiment.json -hkl "
      "ubiquitin.hkl");
  const auto flags = first_flag(arguments);
  if (!parse_options(app, {arguments.begin(), flags}, out)) return std::nullopt;
  r.model.assign(flags != arguments.end() && *flags == "--" ? flags + 1 : flags, arguments.end());
  tell_files_apart(r);
  return r;
}

/// The experiment in the measured image, where the flags state none.
std::optional<io::NxmxExperiment> experiment_within(const ViewRequest& r) {
  if (r.measured_file.empty() || !io::is_nxmx(head_of(r.measured_file))) return std::nullopt;
  std::optional<io::NxmxExperiment> within = io::read_nxmx_experiment(r.measured_file);
  std::vector<std::string> words = r.model;
  words.insert(words.begin(), "-corrected");
  if (!within || !flags::states_no_experiment(flags::parse_command_line(words)))
    return std::nullopt;
  if (within->images > 1)
    throw UsageError(fmt::format(
        "{} holds {} images, and the experiment in it is that of their series; give the flags of "
        "one image's experiment",
        io::quoted_name(r.measured_file), within->images));
  return within;
}

/// As much of an experiment as makes one, in flags.
std::vector<std::string> flags_to_begin_with(const Experiment& e) {
  std::vector<std::string> words{e.quirks == Quirks::compat() ? "-compat" : "-corrected", "-cell"};
  const SettledExperiment settled(e);
  for (const double number : parameter(settled, "cell").values)
    words.push_back(fmt::format("{}", number));
  if (!e.structure_factors.grid)
    words.insert(words.end(), {"-default_F", fmt::format("{}", e.structure_factors.default_F)});
  return words;
}

/// What the page begins with: the experiment that the flags state, or one of the files.
struct Model {
  flags::Request request;
  std::vector<std::string> arguments;
  Experiment files;  ///< as flags_of() takes it
};

Model read_model(const ViewRequest& r) {
  std::string json, name;
  if (!r.experiment_file.empty()) {
    name = r.experiment_file;
    json = io::read_text(name);
  } else if (auto within = experiment_within(r)) {
    name = r.measured_file + ": the experiment in it";
    json = std::move(within->json);
  } else if (r.model.empty()) {
    throw UsageError(
        "view needs an experiment, as flags or as a file: nablabragg view -cell 100 100 100 90 90 "
        "90 -default_F 100 -N 5, or nablabragg view experiment.json");
  }
  Model model{{}, r.model, {}};
  flags::Request& request = model.request;
  if (json.empty()) {
    request = flags::parse_command_line(r.model);
  } else {
    model.arguments.insert(model.arguments.begin(), "-corrected");
    request = flags::parse_command_line(model.arguments);
  }
  flags::check_is_of_one_image(request, "view");
  engine::check_threads(request.threads);
  if (json.empty()) {
    flags::load_inputs(request);
    model.files = request.experiment;
    return model;
  }
  flags::load_inputs_beside(json, name, request);
  model.files.structure_factors = request.experiment.structure_factors;
  model.arguments = flags_to_begin_with(request.experiment);
  model.arguments.insert(model.arguments.end(), r.model.begin(), r.model.end());
  if (request.responds) {
    request.responds = false;
    request.warnings.push_back(name +
                               ": the response of its detector is left out; the page shows the "
                               "photons that reach it");
  }
  return model;
}

/// What the file says, and what was settled where it says nothing.
Measurement read_measured(const ViewRequest& r, const flags::Request& model,
                          std::vector<std::string>& notices) {
  measured::MeasuredImage how = r.image;
  how.path = r.measured_file;
  const SettledExperiment settled(model.experiment);
  how.panels_in_array = io::panels_in_array(model.geometry_file, settled);
  measured::Reading reading = measured::read_measurement(how, settled);
  notices.insert(notices.end(), reading.notices.begin(), reading.notices.end());
  const std::vector<std::string> found = measured::settle_counts(reading, r.measured_file, settled);
  notices.insert(notices.end(), found.begin(), found.end());
  return std::move(reading.measurement);
}

std::string trace_of(flags::Request request, const Experiment& experiment,
                     const PixelIndex& pixel) {
  request.experiment = experiment;
  request.trace_pixel = pixel;
  request.trace_format = flags::TraceFormat::json;
  const Plan plan = make_plan(experiment, resolve(experiment));
  check_pixels(request, plan);
  std::ostringstream out;
  print_trace(out, request, plan, std::nullopt, std::nullopt);
  return out.str();
}

/// A page of one's own that leads to the address: who lists the processes of this machine sees the
/// name of this file, not the token.
class Signpost {
 public:
  explicit Signpost(const std::string& address) {
    const auto lock = io::lock_temporary_files();
    std::string folder = (fs::temp_directory_path() / "nablabragg-view-XXXXXX").string();
    if (!mkdtemp(folder.data())) return;  // which others cannot look into
    name_ = io::TemporaryName(folder, lock);
    path_ = folder + "/view.html";
    const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const std::string page = "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url=" +
                             address + "\"><title>nablaBragg</title>";
    if (file < 0 || write(file, page.data(), page.size()) != static_cast<ssize_t>(page.size()))
      path_.clear();
    if (file >= 0) close(file);
  }
  /// Empty: there is none.
  const std::string& path() const { return path_; }

 private:
  io::TemporaryName name_;
  std::string path_;
};

/// Whether a browser was asked to show the file.
bool open_browser(const std::string& path) {
  std::string program = "xdg-open", argument = path;
  const std::array<char*, 3> words{program.data(), argument.data(), nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&quiet, stream, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  const bool started = posix_spawnp(&process, program.c_str(), &quiet, nullptr, words.data(),
                                    environ) == 0;
  posix_spawn_file_actions_destroy(&quiet);
  // xdg-open may stay as long as the browser
  if (started) std::thread([process] { waitpid(process, nullptr, 0); }).detach();
  return started;
}

}  // namespace

void view_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  const std::optional<ViewRequest> asked = parse(arguments, out);
  if (!asked) return;
  set_stop_sentence("stopped before the page was there");
  Model model = read_model(*asked);
  const flags::Request& request = model.request;
  const SetUp made = set_up(request, nullptr);

  view::Start start;
  start.experiment = request.experiment;
  start.arguments = std::move(model.arguments);
  start.files = std::move(model.files);
  start.compute = compute_options(request);
  start.notices = request.warnings;
  for (const auto& some : {made.resolved.warnings, flags::quirk_notices(request, made.resolved)})
    start.notices.insert(start.notices.end(), some.begin(), some.end());
  if (!asked->measured_file.empty()) {
    start.measured = read_measured(*asked, request, start.notices);
    start.measured_name = fs::path(asked->measured_file).filename().string();
  }
  say(err, start.notices);
  start.trace = [&request](const Experiment& e, const PixelIndex& pixel) {
    return trace_of(request, e, pixel);
  };
  start.stopped = interrupted;

  view::Session session(std::move(start));
  view::Server server(session.pages(), view::random_token(), asked->listen, asked->port);
  out << server.address() << std::endl;  // at once: somebody waits for it
  std::optional<Signpost> signpost;
  if (!asked->no_browser) {
    signpost.emplace(server.address());
    if (signpost->path().empty() || !open_browser(signpost->path()))
      say(err, "no browser was found (xdg-open); open the address above in one");
  }
  set_stop_sentence("stopped; the page is not served any more");
  server.serve(interrupted);
  throw Cancelled();
}

}  // namespace nablabragg::cli
