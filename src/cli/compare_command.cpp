// nablabragg compare: the same arguments to two programs, and how alike their images are.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/options.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "flags/flags.hpp"
#include "instruments/child_process.hpp"
#include "instruments/float_files.hpp"
#include "instruments/image_metrics.hpp"
#include "instruments/machine.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/version.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;
using namespace instruments;

/// This subcommand's own, since scripts branch on them.
enum ExitCode {
  alike = 0,
  program_failed = 1,
  usage = 2,
  below_threshold = 3,
  shapes_differ = 4,
  input_or_output = 5
};

/// What ends a comparison that was asked for properly.
struct Failure {
  ExitCode code;
  std::string sentence;
};

constexpr std::size_t peaks_compared = 100;
constexpr double peak_distance_px = 1;

struct CompareRequest {
  std::string reference, ours, outdir = "comparisons";
  std::vector<std::string> arguments;
  std::vector<int> roi;
  double threshold = 0.95, png_percent = 99.5;
  bool resample = false, save_difference = false, help = false;
};

CompareRequest parse(const std::vector<std::string>& arguments, std::ostream& out) {
  CompareRequest request;
  CLI::App app("Runs two programs with the same ARGS and compares their float images.",
               "nablabragg compare");
  app.add_option("--reference", request.reference, "program to compare with");
  app.add_option("--ours", request.ours, "program to be judged (this one)");
  app.add_option("--outdir", request.outdir, "where the folder of this run is made (comparisons)");
  app.add_option("--roi", request.roi, "x0 x1 y0 y1: pixels to compare, both ends included (all)")
      ->expected(4)
      ->check(options::not_negative());
  app.add_option("--threshold", request.threshold, "least correlation (0.95)")
      ->check(CLI::Range(-1.0, 1.0));
  app.add_flag("--resample", request.resample,
               "average the larger image down where the shapes differ");
  app.add_option("--png-scale", request.png_percent,
                 "percentile of the lit pixels that is white in the pictures (99.5)")
      ->check(CLI::Range(0.0, 100.0));
  app.add_flag("--save-diff", request.save_difference, "the difference as a float image as well");
  app.footer("ARGS follow --: nablabragg compare --reference nanoBragg -- -cell 100 ...");
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  request.help = !parse_options(app, {arguments.begin(), dashes}, out);
  if (request.help) return request;
  if (request.reference.empty())
    throw UsageError("compare needs --reference PROGRAM (nablabragg compare --help shows how)");
  if (dashes == arguments.end() || dashes + 1 == arguments.end())
    throw UsageError(
        "compare needs the programs' arguments after -- (nablabragg compare --help "
        "shows how)");
  request.arguments.assign(dashes + 1, arguments.end());
  return request;
}

/// The arguments as both programs get them, each in its own folder.
struct SharedArguments {
  std::vector<std::string> list;
  std::string float_file = "floatimage.bin", smv_file = "intimage.img";
  std::vector<fs::path> caches;        ///< structure-factor caches to copy into both folders
  std::vector<io::NamedFile> outputs;  ///< what both programs write into their folders
};

/// Files to read become absolute; files to write keep only their name, so that neither program
/// overwrites the other's or the caller's.
SharedArguments shared_arguments(const std::vector<std::string>& given) {
  SharedArguments shared;
  bool names_float = false, names_hkl = false, names_cache = false;
  std::string flag;  // the last one, by its first spelling; empty: the table does not have it
  bool takes_file = true;
  for (const std::string& argument : given) {
    if (argument.starts_with('-') && argument != "-" && !flags::is_number(argument)) {
      const flags::Flag* known = flags::find_flag(argument);
      flag = known ? known->spellings[0] : "";
      takes_file = !known || known->values.find("FILE") != std::string_view::npos;
      names_float |= flag == "-floatfile";
      names_hkl |= flag == "-hkl";
      names_cache |= flag == "-dump";
      shared.list.push_back(argument);
      continue;
    }
    const std::string name = fs::path(argument).filename().string();
    if (flag == "-floatfile") shared.float_file = name;
    if (flag == "-intfile") shared.smv_file = name;
    if (flag == "-dump" && fs::exists(argument)) shared.caches.emplace_back(argument);
    constexpr std::array written{"-floatfile", "-intfile", "-noisefile", "-pgmfile",
                                 "-pngfile",   "-dump",    "-profile"};
    const bool output = std::find(written.begin(), written.end(), flag) != written.end();
    if (output && argument == "-")
      throw UsageError(flag + " - would be mixed with what a program prints; give it a file");
    const bool input = !output && takes_file && !flags::is_number(argument) && fs::exists(argument);
    // A cache is read and written
    if (output && flag != "-dump") shared.outputs.push_back({flag, name});
    shared.list.push_back(output ? name : input ? fs::absolute(argument).string() : argument);
  }
  if (!names_float) {
    shared.list.emplace_back("-floatfile");
    shared.list.push_back(shared.float_file);
  }
  // What a run without -hkl would read where the caller is
  if (!names_hkl && !names_cache && fs::exists("Fdump.bin"))
    shared.caches.emplace_back("Fdump.bin");
  return shared;
}

/// In the folder of a program all its files lie beside each other, and beside what it prints.
void check_own_names(const SharedArguments& arguments) {
  std::map<std::string, std::string> taken{{"stdout.txt", "what a program prints"},
                                           {"stderr.txt", "what a program complains of"}};
  for (const io::NamedFile& file : arguments.outputs) {
    const auto [before, is_new] = taken.try_emplace(file.path, file.role);
    if (!is_new && before->second != file.role)
      throw UsageError(
          fmt::format("{} and {} would both be written to {} in the folder of a run; "
                      "give them two names",
                      before->second, file.role, io::quoted_name(file.path)));
  }
}

/// FNV-1a, so that runs of different arguments are told apart.
std::string short_hash(const std::vector<std::string>& arguments) {
  std::uint32_t hash = 2166136261U;
  for (const std::string& argument : arguments)
    for (const char* c = argument.c_str(); c <= argument.c_str() + argument.size(); ++c)
      hash = (hash ^ static_cast<unsigned char>(*c)) * 16777619U;
  return fmt::format("{:08x}", hash);
}

fs::path make_run_directory(const CompareRequest& request) {
  const std::string name = utc_time_compact() + '-' + short_hash(request.arguments);
  std::error_code error;
  fs::create_directories(request.outdir, error);
  fs::path path = fs::path(request.outdir) / name;
  // Two runs within one second
  for (int n = 2; !error && !fs::create_directory(path, error) && !error; ++n)
    path = fs::path(request.outdir) / fmt::format("{}-{}", name, n);
  if (error) throw OutputError("cannot make the folder " + path.string() + ": " + error.message());
  return path;
}

struct Run {
  ChildCommand command;
  ChildOutcome outcome;
  fs::path image_file;
  FoundShape found;
  Image image;
};

Run execute(const std::string& whose, const std::string& program, const fs::path& directory,
            const SharedArguments& arguments, const std::vector<std::string>& more) {
  std::error_code error;
  fs::create_directory(directory, error);
  for (const fs::path& cache : arguments.caches)
    if (!error) fs::copy_file(cache, directory / cache.filename(), error);
  if (error) throw OutputError("cannot fill " + directory.string() + ": " + error.message());
  set_stop_sentence(fmt::format("stopped while {} program ran; what there is is in {}", whose,
                                directory.parent_path().string()));
  Run run;
  run.command.arguments = {program};
  run.command.arguments.insert(run.command.arguments.end(), arguments.list.begin(),
                               arguments.list.end());
  run.command.arguments.insert(run.command.arguments.end(), more.begin(), more.end());
  run.command.directory = directory.string();
  run.command.out_file = "stdout.txt";
  run.command.err_file = "stderr.txt";
  run.image_file = directory / arguments.float_file;
  try {
    run.outcome = run_child(run.command);
  } catch (const InputError& not_started) {
    throw Failure{program_failed, fmt::format("{} program failed: {}", whose, not_started.what())};
  }
  if (interrupted()) throw Cancelled();
  if (run.outcome.exit_code != 0) {
    // nanoBragg complains on standard output
    std::string last = last_line((directory / "stderr.txt").string());
    if (last.empty()) last = last_line((directory / "stdout.txt").string());
    throw Failure{program_failed, fmt::format("{} program {} failed with exit code {}, {}", whose,
                                              program, run.outcome.exit_code,
                                              last.empty() ? "saying nothing" : "saying: " + last)};
  }
  return run;
}

void read_image(Run& run, const SharedArguments& arguments) {
  const fs::path directory = run.command.directory;
  run.found = find_shape(run.image_file.string(), (directory / arguments.smv_file).string(),
                         (directory / "stdout.txt").string());
  run.image = read_float_image(run.image_file.string(), run.found.shape);
}

std::string size_text(const ImageShape& shape) {
  return fmt::format("{} x {}", shape.fast_pixels, shape.slow_pixels);
}

RegionOfInterest region(const CompareRequest& request, const Image& image) {
  if (request.roi.empty()) return {0, image.fast_pixels - 1, 0, image.slow_pixels - 1};
  const std::vector<int>& r = request.roi;
  if (r[0] > r[1] || r[2] > r[3] || r[1] >= image.fast_pixels || r[3] >= image.slow_pixels)
    throw UsageError(fmt::format("--roi {} {} {} {} is no part of an image of {} x {} pixels", r[0],
                                 r[1], r[2], r[3], image.fast_pixels, image.slow_pixels));
  return {r[0], r[1], r[2], r[3]};
}

/// Grey from black at `black` to white at `white`.
void write_picture(const fs::path& path, const Image& image, double black, double white) {
  const double range = white > black ? white - black : 1;
  io::write_png(path.string(), image.fast_pixels, image.slow_pixels, 8,
                [&](int slow, std::span<std::uint16_t> row) {
                  for (std::size_t i = 0; i < row.size(); ++i) {
                    const double value = static_cast<double>(image.row(slow)[i]);
                    const double share = std::clamp((value - black) / range, 0.0, 1.0);
                    // Not a number is neither above nor below
                    row[i] = share >= 0 ? static_cast<std::uint16_t>(std::lround(255 * share)) : 0;
                  }
                });
}

struct Metrics {
  PairStatistics pair;
  double similarity = 0;
  std::size_t peaks_reference = 0, peaks_ours = 0, peaks_matched = 0;
  int largest_fast = 0, largest_slow = 0;
};

Metrics measure(const Image& reference, const Image& ours, const RegionOfInterest& roi) {
  Metrics m;
  for (int slow = 0; slow < reference.slow_pixels; ++slow)
    m.pair.add(reference.row(slow), ours.row(slow));
  m.similarity = structural_similarity(reference, ours);
  const auto peaks = brightest_peaks(reference, peaks_compared),
             our_peaks = brightest_peaks(ours, peaks_compared);
  m.peaks_reference = peaks.size();
  m.peaks_ours = our_peaks.size();
  m.peaks_matched = matched_peaks(peaks, our_peaks, peak_distance_px);
  m.largest_fast = roi.fast_min + static_cast<int>(m.pair.largest_at() % reference.fast_pixels);
  m.largest_slow = roi.slow_min + static_cast<int>(m.pair.largest_at() / reference.fast_pixels);
  return m;
}

nlohmann::ordered_json run_json(const Run& run) {
  return {{"command", shell_line(run.command)},
          {"exit_code", run.outcome.exit_code},
          {"seconds", run.outcome.seconds},
          {"cpu_seconds", run.outcome.cpu_seconds},
          {"peak_memory_bytes", run.outcome.peak_bytes},
          {"float_image", run.image_file.filename().string()},
          {"shape", {run.found.shape.fast_pixels, run.found.shape.slow_pixels}},
          {"shape_from", run.found.from}};
}

void print_table(std::ostream& out, const Run& reference, const Run& ours, const Metrics& m,
                 const Image& compared, double threshold, bool passed) {
  const auto row = [&](const char* name, double a, double b, const std::string& more) {
    fmt::print(out, "{:<20}{:>15.6g}{:>15.6g}   {}\n", name, a, b, more);
  };
  constexpr double mebibyte = 1024.0 * 1024.0;
  fmt::print(out, "{:<20}{:>15}{:>15}\n", "", "reference", "ours");
  row("seconds", reference.outcome.seconds, ours.outcome.seconds,
      fmt::format("reference / ours {:.3g}", reference.outcome.seconds / ours.outcome.seconds));
  row("peak memory [MiB]", static_cast<double>(reference.outcome.peak_bytes) / mebibyte,
      static_cast<double>(ours.outcome.peak_bytes) / mebibyte, "");
  row("sum [photons]", m.pair.sum_reference(), m.pair.sum_image(),
      fmt::format("ours / reference {:.9g}", m.pair.sum_ratio()));
  row("brightest peaks", static_cast<double>(m.peaks_reference), static_cast<double>(m.peaks_ours),
      fmt::format("{} matched within {:g} pixel", m.peaks_matched, peak_distance_px));
  fmt::print(out, "{:<20}{}\n", "pixels compared",
             size_text({compared.fast_pixels, compared.slow_pixels}));
  fmt::print(out, "{:<20}{:.9g} ({} the threshold of {:g})\n", "correlation", m.pair.correlation(),
             passed ? "not under" : "UNDER", threshold);
  fmt::print(out, "{:<20}{:.6g} photons\n", "RMSE", m.pair.rmse());
  fmt::print(out, "{:<20}{:.6g} photons at fast {} slow {}\n", "largest difference",
             m.pair.largest_difference(), m.largest_fast, m.largest_slow);
  fmt::print(out, "{:<20}{:.6f}\n", "SSIM", m.similarity);
}

int compare(const CompareRequest& request, std::ostream& out) {
  const SharedArguments arguments = shared_arguments(request.arguments);
  check_own_names(arguments);
  const fs::path folder = make_run_directory(request);
  fmt::print(out, "comparison in {}\n", io::printable(folder.string()));
  out.flush();
  Run reference = execute("the reference", resolved_program(request.reference),
                          folder / "reference", arguments, {});
  Run ours = execute("our", request.ours.empty() ? own_program() : resolved_program(request.ours),
                     folder / "ours", arguments, {"-noprogress"});
  set_stop_sentence(fmt::format("stopped before the images were compared; what there is is in {}",
                                folder.string()));
  read_image(reference, arguments);
  read_image(ours, arguments);
  const double white = percentile_of_lit(reference.image, request.png_percent);
  write_picture(folder / "reference.png", reference.image, 0, white);
  write_picture(folder / "ours.png", ours.image, 0, white);

  const bool resampled = reference.found.shape != ours.found.shape;
  if (resampled && !request.resample)
    throw Failure{
        shapes_differ,
        fmt::format("the reference's image has {} pixels and ours {}; --resample averages "
                    "the larger one down",
                    size_text(reference.found.shape), size_text(ours.found.shape))};
  const int fast = std::min(reference.image.fast_pixels, ours.image.fast_pixels);
  const int slow = std::min(reference.image.slow_pixels, ours.image.slow_pixels);
  const Image whole_reference = area_averaged(reference.image, fast, slow),
              whole_ours = area_averaged(ours.image, fast, slow);
  const RegionOfInterest roi = region(request, whole_reference);
  const Image a = cropped(whole_reference, roi), b = cropped(whole_ours, roi);
  const Metrics m = measure(a, b, roi);

  const Image gap = difference(a, b);
  const double gap_white = percentile_of_lit(gap, request.png_percent);
  write_picture(folder / "difference.png", gap, gap_white > 0 ? -gap_white : -1,
                gap_white > 0 ? gap_white : 1);
  if (request.save_difference) io::write_float_image((folder / "difference.f32").string(), gap);

  const bool passed = m.pair.correlation() >= request.threshold;  // not a number is under it
  const nlohmann::ordered_json summary{
      {"version", version()},
      {"arguments", request.arguments},
      {"reference", run_json(reference)},
      {"ours", run_json(ours)},
      {"seconds_ratio", reference.outcome.seconds / ours.outcome.seconds},
      {"resampled", resampled},
      {"roi", {roi.fast_min, roi.fast_max, roi.slow_min, roi.slow_max}},
      {"pixels", m.pair.count()},
      {"correlation", m.pair.correlation()},
      {"threshold", request.threshold},
      {"passed", passed},
      {"rmse", m.pair.rmse()},
      {"largest_difference",
       {{"photons", m.pair.largest_difference()},
        {"fast", m.largest_fast},
        {"slow", m.largest_slow}}},
      {"sum_reference", m.pair.sum_reference()},
      {"sum_ours", m.pair.sum_image()},
      {"sum_ratio", m.pair.sum_ratio()},
      {"ssim", m.similarity},
      {"peaks",
       {{"reference", m.peaks_reference},
        {"ours", m.peaks_ours},
        {"matched", m.peaks_matched},
        {"within_px", peak_distance_px}}},
      {"pictures",
       {{"percentile", request.png_percent},
        {"white_photons", white},
        {"difference_white_photons", gap_white}}}};
  io::AtomicFile file((folder / "summary.json").string());
  // Arguments may hold bytes that are no UTF-8
  file.write(summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
  file.commit();
  print_table(out, reference, ours, m, a, request.threshold, passed);
  if (!out.flush()) throw OutputError("standard output could not be written");
  return passed ? alike : below_threshold;
}

}  // namespace

int compare_command(const std::vector<std::string>& arguments, std::ostream& out,
                    std::ostream& err) {
  const auto fail = [&](int code, const std::string& sentence) {
    if (reader_is_gone()) return stop_exit_code();
    out.flush();
    say(err, "error: " + sentence);
    return code;
  };
  try {
    const CompareRequest request = parse(arguments, out);
    return request.help ? alike : compare(request, out);
  } catch (const UsageError& error) {
    return fail(usage, error.what());
  } catch (const Failure& failure) {
    return fail(failure.code, failure.sentence);
  } catch (const Cancelled&) {
    return fail(stop_exit_code(), stop_sentence());
  } catch (const std::exception& error) {
    return fail(input_or_output, error.what());
  }
}

}  // namespace nablabragg::cli
