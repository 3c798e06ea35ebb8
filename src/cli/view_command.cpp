// nablabragg view: a page that shows an experiment's image while its parameters change.
#include <fcntl.h>  // for open
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
#include "flags/inputs.hpp"
#include "flags/notices.hpp"
#include "io/temporary_files.hpp"
#include "measured/counts.hpp"
#include "measured/measured_image.hpp"
#include "nablabragg/error.hpp"
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
  std::string file;                ///< measured image
  measured::MeasuredImage image;   ///< how it is read
  std::vector<std::string> model;  ///< flags
};

/// The words before the first flag of the simulator, which begins with one dash, are options.
std::vector<std::string>::const_iterator first_flag(const std::vector<std::string>& words) {
  return std::find_if(words.begin(), words.end(), [](const std::string& word) {
    return word == "--" ||
           (word.size() > 1 && word[0] == '-' && word[1] != '-' && word != "-h" && word != "-help");
  });
}

/// Empty: help was asked for, and printed.
std::optional<ViewRequest> parse(const std::vector<std::string>& arguments, std::ostream& out) {
  ViewRequest r;
  CLI::App app(
      "Serves a page on this machine, in which a crystal is turned and parameters are changed "
      "while one looks at the image.",
      "nablabragg view");
  app.add_option("FILE", r.file,
                 "measured image to be shown beside it: CBF, NXmx (HDF5), SMV, TIFF");
  app.add_option("--image-number", r.image.number, "which image of a file of several, from 1 (1)")
      ->check(CLI::Range(1, 1000000000));
  app.add_option("--gain", r.image.gain, "its counts per photon (what the image states, or 1)")
      ->check(CLI::PositiveNumber);
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
      "-corrected -hkl ubiquitin.hkl -mat ubiquitin.mat ...");
  const auto flags = first_flag(arguments);
  if (!parse_options(app, {arguments.begin(), flags}, out)) return std::nullopt;
  r.model.assign(flags != arguments.end() && *flags == "--" ? flags + 1 : flags, arguments.end());
  if (r.model.empty())
    throw UsageError(
        "view needs the flags of an experiment, for example nablabragg view -cell 100 100 100 90 "
        "90 90 -default_F 100 -N 5");
  return r;
}

/// What the file says, and what was settled where it says nothing.
Measurement read_measured(const ViewRequest& r, const Experiment& model,
                          std::vector<std::string>& notices) {
  measured::MeasuredImage how = r.image;
  how.path = r.file;
  const SettledExperiment settled(model);
  measured::Reading reading = measured::read_measurement(how, settled);
  notices.insert(notices.end(), reading.notices.begin(), reading.notices.end());
  const std::vector<std::string> found = measured::settle_counts(reading, r.file, settled);
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
  flags::Request request = flags::parse_command_line(asked->model);
  flags::check_is_of_one_image(request, "view");
  engine::check_threads(request.threads);
  std::vector<io::NamedFile> inputs = inputs_of(request);
  flags::load_inputs(request);
  const SetUp made = set_up(request, nullptr);

  view::Start start;
  start.experiment = request.experiment;
  start.arguments = asked->model;
  start.compute = compute_options(request);
  start.notices = request.warnings;
  for (const auto& some : {made.resolved.warnings, flags::quirk_notices(request, made.resolved)})
    start.notices.insert(start.notices.end(), some.begin(), some.end());
  if (!asked->file.empty()) {
    start.measured = read_measured(*asked, request.experiment, start.notices);
    start.measured_name = fs::path(asked->file).filename().string();
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
