// nablabragg-inventory --package src --build build/release --outdir DIR
#include <clang-c/Index.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "instruments/child_process.hpp"
#include "instruments/machine.hpp"
#include "inventory/changes.hpp"
#include "inventory/classify.hpp"
#include "inventory/commands.hpp"
#include "inventory/correlation_report.hpp"
#include "inventory/remarks.hpp"
#include "inventory/report.hpp"
#include "inventory/scan.hpp"
#include "inventory/text.hpp"
#include "inventory/verdicts.hpp"
#include "io/named_files.hpp"
#include "nablabragg/error.hpp"
#include "options/man_page.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

constexpr double hot_percent = 1;

struct Request {
  std::vector<std::string> packages{"src"};
  std::string build = "build/release", outdir, records, annotations, second = "auto";
  std::vector<std::string> fail_on;
  std::string compare, hot;
  unsigned jobs = 0;
  bool help = false, man = false;
};

Request parse(const std::vector<std::string>& arguments, std::ostream& out) {
  Request r;
  CLI::App app{"Which loops of a C++ code base became vector instructions.",
               "nablabragg-inventory"};
  app.set_help_flag();
  app.add_flag("-h,--help", r.help, "this text");
  app.add_flag("--man", r.man, "the man page of this command");
  app.add_option("--package", r.packages,
                 "folder whose loops are listed, below the current one (src); may be given again");
  app.add_option("--build", r.build, "build folder, with compile_commands.json (build/release)");
  app.add_option("--outdir", r.outdir, "where loop_inventory.json and the other files go");
  app.add_option("--annotations", r.annotations, "YAML file with what people know of loops");
  app.add_option(
      "--second-opinion", r.second,
      "compiler asked in addition to the build's; 'none' (clang++, or g++ after clang++)");
  app.add_option("--records", r.records,
                 "where what compilers said is kept (BUILD/vectorization-records)");
  app.add_option("--compare", r.compare,
                 "an older loop_inventory.json: changes.md says what changed");
  app.add_option(
      "--hot", r.hot,
      "hot_loops.csv of correlate: its loops with 1 % or more of their own are the hot ones");
  app.add_option(
         "--fail-on", r.fail_on,
         "exit with 3: 'todo' for a hot loop to do that is not annotated, 'lost' for a hot "
         "loop that is vectorised in --compare's inventory and no longer; may be given again")
      ->check(CLI::IsMember({"todo", "lost"}));
  app.add_option("--jobs", r.jobs, "sources read at a time (one per processor)");
  options::parse(app, arguments);
  if (r.man) {
    options::Command command = options::described(app);
    command.synopsis += "\ncorrelate [OPTIONS]";
    options::write_man_page(out, command, "which loops of C++ code became vector instructions", {},
                            {{"SEE ALSO", "nablabragg-inventory-correlate(1)\n"}});
    r.help = true;
    return r;
  }
  if (r.help) {
    out << app.help() << "\nnablabragg-inventory correlate --help: the same with a profile.\n";
    return r;
  }
  if (std::count(r.fail_on.begin(), r.fail_on.end(), "lost") > 0 && r.compare.empty())
    throw UsageError("--fail-on lost needs --compare with an older loop_inventory.json");
  if (r.outdir.empty()) throw UsageError("--outdir is needed: the folder that the files go to");
  if (r.records.empty()) r.records = (fs::path(r.build) / "vectorization-records").string();
  if (r.jobs == 0) r.jobs = static_cast<unsigned>(instruments::usable_processors());
  return r;
}

/// The older inventory that this one is compared with, above all, is still there afterwards.
void check_files(const Request& request) {
  std::vector<io::NamedFile> inputs, outputs;
  for (const auto& [role, path] : {std::pair{"--annotations", request.annotations},
                                   {"--compare", request.compare},
                                   {"--hot", request.hot}})
    if (!path.empty()) inputs.push_back({role, path});
  inputs.push_back({"--build", (fs::path(request.build) / "compile_commands.json").string()});
  for (const char* name :
       {"loop_inventory.json", "loop_inventory.md", "commands.txt", "env.json", "changes.md"})
    outputs.push_back({"--outdir", (fs::path(request.outdir) / name).string()});
  io::check_distinct(inputs, outputs);
}

/// Absolute, without links.
std::vector<std::string> folders_of(const Request& request) {
  std::vector<std::string> folders;
  for (const std::string& package : request.packages) {
    if (!fs::is_directory(package))
      throw UsageError("--package " + package + ": there is no such folder here");
    folders.push_back(fs::canonical(package).string());
  }
  return folders;
}

bool in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "";
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    if (access((folders.substr(begin, end - begin) + "/" + program).c_str(), X_OK) == 0)
      return true;
    begin = end + 1;
  }
  return false;
}

/// What the build compiles with.  One that is not here, or is neither g++ nor clang (nvcc, say), is
/// of the kind `other`.
std::map<std::string, Compiler> compilers_of(const std::vector<CompileCommand>& commands,
                                             std::ostream& err) {
  std::map<std::string, Compiler> compilers;
  for (const CompileCommand& command : commands) {
    const std::string& program = command.arguments.front();
    if (compilers.contains(program)) continue;
    try {
      const Compiler compiler = compilers.emplace(program, compiler_of(program)).first->second;
      if (compiler.kind == CompilerKind::other)
        fmt::print(err, "nablabragg-inventory: {} is neither g++ nor clang: it is not asked\n",
                   program);
    } catch (const Error& error) {
      compilers.emplace(program, Compiler{program, program, "", CompilerKind::other});
      fmt::print(err, "nablabragg-inventory: {}: it is not asked\n", error.what());
    }
  }
  return compilers;
}

/// What a compiler is asked about a command, and what it says.
struct Said {
  std::size_t index;  ///< of the compile command
  Compiler compiler;
  std::vector<Remark> remarks{};
  std::string command{};
  std::string problem{};  ///< why it could not be asked; empty: it was
};

/// Asks several at a time.
void ask(std::vector<Said>& all, const std::vector<CompileCommand>& commands,
         const Request& request) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::map<std::size_t, std::exception_ptr> errors;
  const auto work = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) {
      const Compiler& compiler = all[i].compiler;
      try {
        // What one version says is not what the next one does.
        std::string folder = compiler.version;
        std::replace(folder.begin(), folder.end(), ' ', '-');
        auto unit = remarks_of(
            commands[all[i].index], compiler,
            (fs::absolute(request.records) / folder).lexically_normal().string());
        all[i].remarks = std::move(unit.remarks);
        all[i].command = std::move(unit.command);
      } catch (const InputError& error) {
        all[i].problem = error.what();
      } catch (...) {
        const std::scoped_lock lock(mutex);
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min<std::size_t>(request.jobs, all.size()); ++i)
      threads.emplace_back(work);
  }
  if (!errors.empty()) std::rethrow_exception(errors.begin()->second);
}

/// "FILE: PROBLEM", as errors have it, in its two parts.
Unread unread(const CompileCommand& command, std::string problem, const std::string& root) {
  if (problem.starts_with(command.file + ": ")) problem.erase(0, command.file.size() + 2);
  const std::string canonical = fs::weakly_canonical(command.file).string();
  return {fs::path(canonical).lexically_relative(root).string(), problem};
}

/// Commands that can be read on another machine.
std::string below_root(std::string commands, const std::string& root) {
  for (std::size_t at = commands.find(root); at != std::string::npos; at = commands.find(root, at))
    commands.replace(at, root.size(), "$ROOT");
  return commands;
}

std::string clang_version() {
  const CXString version = clang_getClangVersion();
  std::string text = clang_getCString(version);
  clang_disposeString(version);
  return text;
}

/// Compares, prints what --fail-on is about, and says how the program ends.
int judge(const Request& request, const Inventory& inventory,
          const std::optional<Inventory>& before, std::optional<std::vector<std::string>> hot,
          std::ostream& out) {
  const auto asked = [&](const char* what) {
    return std::find(request.fail_on.begin(), request.fail_on.end(), what) != request.fail_on.end();
  };
  ExitCode code = done;
  if (before) {
    const Changes changes = find_changes(*before, inventory, hot);
    write_text((fs::path(request.outdir) / "changes.md").string(), changes_text(changes));
    out << changes_text(changes);
    if (asked("lost") && changes.lost_in_hot_loop()) code = refused;
    // Whether a loop of a source that could be read then has lost anything is not known.
    const auto was_read = [&](const Unread& u) {
      return std::any_of(before->loops.begin(), before->loops.end(),
                         [&](const Loop& loop) { return loop.file == u.file; });
    };
    if (asked("lost") && std::any_of(inventory.unread.begin(), inventory.unread.end(), was_read))
      code = refused;
    // The profile names loops as the older inventory does.
    if (hot)
      for (const MovedLoop& moved : changes.moved)
        std::replace(hot->begin(), hot->end(), moved.before, moved.after);
  }
  if (!asked("todo")) return code;
  for (const Loop& loop : inventory.loops) {
    if (loop.loop_class != LoopClass::todo || loop.rule == "annotation") continue;
    if (hot && std::find(hot->begin(), hot->end(), loop.id) == hot->end()) continue;
    fmt::print(out, "to do: {}:{}: {} ({})\n", loop.file, loop.line, loop.header, loop.reason);
    code = refused;
  }
  return code;
}

}  // namespace

int inventory_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err) {
  const Request request = parse(arguments, out);
  if (request.help) return done;
  const auto begin = std::chrono::steady_clock::now();
  const std::string begun = instruments::utc_time();
  check_files(request);
  const Annotations annotations = request.annotations.empty()
                                      ? Annotations{}
                                      : read_annotations(request.annotations);
  std::optional<Inventory> before;
  if (!request.compare.empty()) before = read_inventory(request.compare);
  std::optional<std::vector<std::string>> hot;
  if (!request.hot.empty()) {
    hot.emplace();
    for (const HotLoop& loop : read_hot_loops(request.hot))
      if (loop.percent_self >= hot_percent) hot->push_back(loop.id);
  }
  const auto folders = folders_of(request);
  const auto commands = commands_of_package(read_compile_database(request.build), folders);
  if (commands.empty())
    throw InputError((fs::path(request.build) / "compile_commands.json").string(), 0,
                     "compiles nothing in " + request.packages.front());

  const bool automatic = request.second == "auto";
  if (request.second != "none" && !automatic && !in_path(request.second))
    throw UsageError("--second-opinion " + request.second + ": there is no such program");

  std::error_code failed;
  fs::create_directories(request.outdir, failed);
  if (failed) throw OutputError(request.outdir + ": cannot be made: " + failed.message());

  ScanOptions options{fs::canonical(".").string(), folders, annotations.span_types, request.jobs};
  Scan scan = scan_sources(commands, options);
  if (std::none_of(scan.problems.begin(), scan.problems.end(),
                   [](const std::string& problem) { return problem.empty(); }))
    throw InputError("none of the sources could be read; " + scan.problems.front());

  Inventory inventory;
  std::vector<Said> conversation;
  const auto of_build = compilers_of(commands, err);
  std::map<std::string, std::pair<int, Compiler>> by_name;  // and how many sources it compiles
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (!scan.problems[i].empty()) {
      inventory.unread.push_back(unread(commands[i], scan.problems[i], options.root));
      continue;
    }
    const Compiler& own = of_build.at(commands[i].arguments.front());
    if (own.kind == CompilerKind::other) continue;
    conversation.push_back({i, own});
    ++by_name.try_emplace(own.name, 0, own).first->second.first;
  }
  std::vector<Compiler> compilers;  // the build's, the one of most sources first
  for (const auto& [name, counted] : by_name) compilers.push_back(counted.second);
  std::stable_sort(compilers.begin(), compilers.end(), [&](const auto& a, const auto& b) {
    return by_name.at(a.name).first > by_name.at(b.name).first;
  });
  std::string second = request.second;
  if (automatic)
    second = !compilers.empty() && compilers[0].kind == CompilerKind::clang ? "g++" : "clang++";
  if (automatic && !in_path(second)) {
    fmt::print(err, "nablabragg-inventory: there is no {}: no second opinion\n", second);
  } else if (second != "none") {
    const Compiler opinion = compiler_of(second);
    if (!by_name.contains(opinion.name)) compilers.push_back(opinion);
    for (std::size_t i = 0; i < commands.size(); ++i)
      if (scan.problems[i].empty() &&
          of_build.at(commands[i].arguments.front()).name != opinion.name)
        conversation.push_back({i, opinion});
  }
  ask(conversation, commands, request);
  std::string asked;
  int lost = 0;
  for (const Said& said : conversation) {
    if (!said.problem.empty()) {
      inventory.unread.push_back(unread(commands[said.index], said.problem, options.root));
      continue;
    }
    lost += add_verdicts(scan.loops, said.remarks, options.root, scan.targets[said.index],
                         said.compiler.name);
    asked += said.command + '\n';
  }
  rank_reasons(scan.loops);

  inventory.package = request.packages.front();
  for (std::size_t i = 1; i < request.packages.size(); ++i)
    inventory.package += " " + request.packages[i];
  for (const Compiler& compiler : compilers) inventory.compilers.push_back(compiler.name);
  for (FoundLoop& found : scan.loops) inventory.loops.push_back(std::move(found.loop));
  inventory.functions = std::move(scan.functions);
  inventory.spans = std::move(scan.spans);
  for (const std::string& what : classify(inventory, annotations))
    fmt::print(err, "{}: nothing is called '{}'; the annotation is out of date\n",
               request.annotations, what);

  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  nlohmann::ordered_json environment{{"begun", begun},
                                     {"seconds", seconds.count()},
                                     {"cpu", instruments::cpu_model()},
                                     {"jobs", request.jobs},
                                     {"load_averages", instruments::load_averages()},
                                     {"libclang", clang_version()},
                                     {"remarks_outside_loops", lost}};
  for (const Compiler& compiler : compilers) environment["compilers"].push_back(compiler.version);
  const auto write = [&](const char* name, const std::string& text) {
    write_text((fs::path(request.outdir) / name).string(), text);
  };
  std::vector<std::string> own{"nablabragg-inventory"};
  own.insert(own.end(), arguments.begin(), arguments.end());
  write("loop_inventory.json", to_json(inventory));
  write("loop_inventory.md", to_markdown(inventory));
  write("commands.txt", "ROOT=$PWD\n" + below_root(instruments::quoted(own), options.root) +
                            "\n\n" + below_root(asked, options.root));
  write("env.json", environment.dump(2, ' ', true) + '\n');
  for (const Unread& source : inventory.unread)
    fmt::print(err, "nablabragg-inventory: not read: {}: {}\n", source.file, source.reason);
  fmt::print(out, "{} loops in {} sources: {}\n", inventory.loops.size(),
             std::count(scan.problems.begin(), scan.problems.end(), ""),
             counts_by_class(inventory));
  fmt::print(out, "{}/loop_inventory.json, loop_inventory.md, commands.txt, env.json; {:.1f} s\n",
             request.outdir, seconds.count());

  return judge(request, inventory, before, hot, out);
}

}  // namespace nablabragg::inventory
