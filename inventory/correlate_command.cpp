// nablabragg-inventory correlate: an inventory and a profile together.

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "inventory/backlog.hpp"
#include "inventory/commands.hpp"
#include "inventory/correlation.hpp"
#include "inventory/correlation_report.hpp"
#include "inventory/text.hpp"
#include "io/named_files.hpp"
#include "nablabragg/error.hpp"
#include "options/man_page.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

struct Request {
  std::string inventory, profile, outdir, program, tests;
  std::vector<std::string> within;
  double least_percent = 1;
  bool help = false, man = false;
};

Request parse(const std::vector<std::string>& arguments, std::ostream& out) {
  Request r;
  CLI::App app{"Which loops of an inventory a profiled run spent its time in.",
               "nablabragg-inventory correlate"};
  app.set_help_flag();
  app.add_flag("-h,--help", r.help, "this text");
  app.add_flag("--man", r.man, "the man page of this command");
  app.add_option("--inventory", r.inventory, "loop_inventory.json");
  app.add_option("--profile", r.profile,
                 "output of valgrind --tool=callgrind --dump-instr=yes, of perf script after perf "
                 "record -g, or of nablabragg -profile");
  app.add_option("--outdir", r.outdir, "where hot_loops.csv, correlation.md and backlog.md go");
  app.add_option("--binary", r.program,
                 "the program that was profiled, with debug information (where the profile says)");
  app.add_option("--within", r.within,
                 "only what runs under functions whose names contain this; may be given again");
  app.add_option("--tests", r.tests, "folder of tests, searched for those that cover a loop");
  app.add_option("--least", r.least_percent, "loops with less per cent are left out (1)")
      ->check(CLI::Range(0.0, 100.0));
  app.footer(
      "For callgrind use one thread, and let the calls pass through the task scheduler, where\n"
      "those of all parallel loops would meet:\n"
      "  valgrind --tool=callgrind --dump-instr=yes '--fn-skip=tbb::*' '--fn-skip=void tbb::*' \\\n"
      "    build/profile/nablabragg ... -threads 1\n"
      "For perf, whose chains otherwise end in functions without frame pointers or with large "
      "frames:\n"
      "  perf record --call-graph dwarf,65528 build/profile/nablabragg ...; perf script > FILE");
  options::parse(app, arguments);
  if (r.man) {
    options::write_man_page(out, options::described(app), "which loops a run spent its time in", {},
                            {{"SEE ALSO", "nablabragg-inventory(1)\n"}});
    r.help = true;
    return r;
  }
  if (r.help) {
    out << app.help();
    return r;
  }
  for (const auto& [value, name] :
       {std::pair{&r.inventory, "--inventory"}, {&r.profile, "--profile"}, {&r.outdir, "--outdir"}})
    if (value->empty())
      throw UsageError(fmt::format(
          "correlate needs {} (nablabragg-inventory correlate --help shows how)", name));
  return r;
}

std::vector<CodePlace> places_of(const Profile& profile) {
  std::vector<CodePlace> places;
  for (const SelfCost& c : profile.costs) places.push_back(c.place);
  for (const CallCost& c : profile.calls) places.push_back(c.place);
  for (const ChainSample& sample : profile.samples)
    for (const ChainFrame& frame : sample.frames) places.push_back(frame.place);
  return places;
}

/// That `program` was, by its name; without it the one with the highest cost.  -1: none.
int object_of(const Profile& profile, const std::string& program) {
  std::vector<double> costs(static_cast<std::size_t>(profile.objects.size()));
  const auto add = [&](int object, double cost) {
    if (object >= 0) costs[static_cast<std::size_t>(object)] += cost;
  };
  for (const SelfCost& c : profile.costs) add(c.place.object, c.cost);
  for (const ChainSample& s : profile.samples) add(s.frames[0].place.object, s.cost);
  const std::string name = fs::path(program).filename().string();
  for (int i = 0; !name.empty() && i < profile.objects.size(); ++i)
    if (fs::path(profile.objects[i]).filename() == name) return i;
  if (!name.empty())
    throw UsageError("--binary " + program + ": the profile has no program of that name");
  const auto most = std::max_element(costs.begin(), costs.end());
  return most == costs.end() ? -1 : static_cast<int>(most - costs.begin());
}

/// The program's code that the profile has, and how it is known.
struct Program {
  std::optional<MachineCode> code;
  int object = -1;
  std::int64_t offset = 0;
  std::string about;
};

Program program_of(const Profile& profile, const Request& request) {
  Program program;
  if (!profile.has_addresses) {
    if (!request.program.empty())
      throw InputError(request.profile, 0,
                       "holds no addresses, so that --binary is of no use; callgrind writes them "
                       "with --dump-instr=yes");
    program.about = "Program: not looked at, since the profile holds no addresses.";
    return program;
  }
  program.object = object_of(profile, request.program);
  if (program.object < 0) return program;
  const std::string named = profile.objects[program.object];
  const std::string path = request.program.empty() ? named : fs::absolute(request.program).string();
  const std::string shown = fs::path(path).filename().string();
  if (!fs::is_regular_file(path)) {
    if (!request.program.empty()) throw InputError(request.program, 0, "is no program");
    program.about = fmt::format("Program: {} is not there any more (--binary names another).",
                                shown);
    return program;
  }
  const std::optional<std::int64_t> offset = load_offset(path, profile, program.object);
  if (!offset)
    throw InputError(path, 0, "has none of the profile's functions; it is another program");
  program.offset = *offset;
  std::vector<std::uint64_t> addresses;
  for (const CodePlace& place : places_of(profile))
    if (place.object == program.object)
      addresses.push_back(place.address - static_cast<std::uint64_t>(program.offset));
  program.code = read_machine_code(path, addresses);
  program.about = fmt::format("Program: {}, {} instructions seen.", shown,
                              program.code->operations.size());
  return program;
}

}  // namespace

int correlate_command(const std::vector<std::string>& arguments, std::ostream& out) {
  const Request request = parse(arguments, out);
  if (request.help) return 0;
  const fs::path folder = request.outdir;
  std::vector<io::NamedFile> inputs{{"--inventory", request.inventory},
                                    {"--profile", request.profile}},
      outputs;
  if (!request.program.empty()) inputs.push_back({"--binary", request.program});
  for (const char* name : {"hot_loops.csv", "correlation.md", "backlog.md"})
    outputs.push_back({"--outdir", (folder / name).string()});
  io::check_distinct(inputs, outputs);
  const Inventory inventory = read_inventory(request.inventory);
  const Profile profile = read_profile(request.profile);
  const std::vector<TestSource> tests = request.tests.empty() ? std::vector<TestSource>{}
                                                              : read_tests(request.tests);
  const Program program = program_of(profile, request);
  const LoadedCode loaded{program.code ? &*program.code : nullptr, program.object, program.offset};
  const Correlation correlation = correlate(inventory, profile, loaded, request.within);

  std::vector<std::string> about{"Profile: " + fs::path(request.profile).filename().string() + '.'};
  if (!program.about.empty()) about.push_back(program.about);
  if (!request.within.empty())
    about.push_back(
        fmt::format("Only what runs under functions named {}.", fmt::join(request.within, " or ")));
  const std::vector<Candidate> candidates = rank_candidates(inventory, correlation, tests,
                                                            request.least_percent);

  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw OutputError("cannot make the folder " + folder.string() + ": " + error.message());
  write_text((folder / "hot_loops.csv").string(),
             hot_loops_csv(inventory, correlation, request.least_percent));
  write_text((folder / "correlation.md").string(),
             correlation_markdown(inventory, correlation, request.least_percent, about));
  write_text((folder / "backlog.md").string(),
             backlog_markdown(inventory, candidates, request.least_percent, about));

  const VectorisedShare vectorised = vectorised_share(inventory, correlation);
  fmt::print(out,
             "of {:.6g} {}: {:.1f} % in vectorised loops, {:.1f} % in vector code elsewhere, "
             "{:.1f} % in no loop\n"
             "{} loops to think about in {}\n",
             correlation.total, correlation.unit, vectorised.loops,
             vectorised.all() - vectorised.loops, correlation.outside, candidates.size(),
             (folder / "backlog.md").string());
  return 0;
}

}  // namespace nablabragg::inventory
