#include "inventory/remarks.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "instruments/child_process.hpp"
#include "inventory/text.hpp"
#include "inventory/tool_output.hpp"
#include "io/temporary_files.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

std::string absolute(const std::string& path, const std::string& directory) {
  return (fs::path(directory) / path).lexically_normal().string();
}

/// clang leaves out what a file's folder and the folder that it runs in have in common: the name
/// continues `directory` or a folder above it.
std::string found_from(const std::string& name, const std::string& directory) {
  for (fs::path folder = directory; folder.has_relative_path(); folder = folder.parent_path())
    if (fs::exists(folder / name)) return absolute(name, folder.string());
  return absolute(name, directory);
}

std::string contents_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw InputError(file, 0, "cannot be opened");
  return {std::istreambuf_iterator<char>(in), {}};
}

int number_in(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The words of a remark; numbers are arguments of their own.
std::string sentence_of(const YAML::Node& arguments) {
  std::string sentence;
  for (const YAML::Node& argument : arguments)
    for (const auto& part : argument)
      if (part.second.IsScalar()) sentence += part.second.as<std::string>();
  return one_line(sentence);
}

int argument_of(const YAML::Node& arguments, const char* name) {
  for (const YAML::Node& argument : arguments)
    if (argument[name]) return number_in(argument[name].as<std::string>());
  return 0;
}

/// FNV-1a: names a file by the arguments that made it.
std::string fingerprint(const std::vector<std::string>& arguments) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::string& argument : arguments)
    for (const char c : argument + '\n')
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::ostringstream out;
  out << std::hex << hash;
  return out.str();
}

/// Is the record younger than all that its depfile names?
bool fresh(const std::string& record, const std::string& depfile, const std::string& directory) {
  std::error_code error;
  const auto made = fs::last_write_time(record, error);
  if (error || !fs::exists(depfile)) return false;
  std::string text = contents_of(depfile);
  for (std::size_t at = text.find("\\\n"); at != std::string::npos; at = text.find("\\\n", at))
    text.replace(at, 2, "  ");
  std::istringstream words(text.substr(std::min(text.find(": ") + 1, text.size())));
  for (std::string name; words >> name;) {
    const auto changed = fs::last_write_time(absolute(name, directory), error);
    if (error || changed > made) return false;
  }
  return true;
}

/// Is the build's record of this source, not of one that was changed since?  g++ leaves an old one
/// alone when it has nothing to say.
bool of_this_source(const std::string& record, const std::string& source) {
  std::error_code error;
  const auto made = fs::last_write_time(record, error);
  if (error) return false;
  const auto changed = fs::last_write_time(source, error);
  return !error && changed <= made;
}

/// Where the build itself writes the record; empty: nowhere.
std::string record_of_build(const CompileCommand& command, CompilerKind kind) {
  std::string file;
  for (const std::string& argument : command.arguments) {
    if (kind == CompilerKind::gcc && argument.starts_with("-fopt-info-vec") &&
        argument.find('=') != std::string::npos)
      file = argument.substr(argument.find('=') + 1);
    if (kind == CompilerKind::clang && argument == "-fsave-optimization-record" && file.empty())
      file = fs::path(command.object).replace_extension(".opt.yaml").string();
    if (kind == CompilerKind::clang && argument.starts_with("-foptimization-record-file="))
      file = argument.substr(argument.find('=') + 1);
  }
  return file.empty() ? file : absolute(file, command.directory);
}

}  // namespace

std::vector<Remark> read_clang_record(const std::string& file, const std::string& directory) {
  const std::string text = contents_of(file);
  std::vector<Remark> remarks;
  std::map<std::string, std::string> reasons;  // of a function, until the loop's own remark
  // A record of all passes is long: only the documents of interest go to the YAML library.
  long line = 1;
  for (std::size_t begin = text.starts_with("---") ? 0 : text.find("\n---");
       begin != std::string::npos;) {
    if (text[begin] == '\n') ++begin;
    const std::size_t next = text.find("\n---", begin);
    const std::string document = text.substr(begin,
                                             next == std::string::npos ? next : next + 1 - begin);
    const long at = line;
    line += std::count(document.begin(), document.end(), '\n');
    begin = next;
    if (document.find("loop-vectorize") == std::string::npos) continue;
    try {
      const YAML::Node node = YAML::Load(document);
      if (node["Pass"].as<std::string>() != "loop-vectorize" || !node["DebugLoc"]) continue;
      const YAML::Node arguments = node["Args"];
      const auto name = node["Name"].as<std::string>();
      const auto function = node["Function"].as<std::string>();
      if (document.starts_with("--- !Analysis")) {
        std::string reason = sentence_of(arguments);
        const std::string prefix = "loop not vectorized: ";
        if (reason.starts_with(prefix)) reason = reason.substr(prefix.size());
        reasons[function] = reason;
        continue;
      }
      Remark remark;
      const YAML::Node place = node["DebugLoc"];
      remark.file = found_from(place["File"].as<std::string>(), directory);
      remark.line = place["Line"].as<int>();
      remark.column = place["Column"].as<int>();
      remark.vectorized = document.starts_with("--- !Passed") && name == "Vectorized";
      if (remark.vectorized) {
        remark.width = argument_of(arguments, "VectorizationFactor");
        remark.interleave = argument_of(arguments, "InterleaveCount");
      } else if (name != "MissedDetails") {
        continue;
      } else {
        remark.reason = reasons[function];
      }
      reasons.erase(function);
      remarks.push_back(std::move(remark));
    } catch (const YAML::Exception& error) {
      throw InputError(file, at, "is no optimization record: " + one_line(error.what()));
    }
  }
  if (!text.empty() && !text.starts_with("---") && text.find("\n---") == std::string::npos)
    throw InputError(file, 1, "is no optimization record: it has no YAML document");
  return remarks;
}

std::vector<Remark> read_gcc_record(const std::string& file, const std::string& directory) {
  std::ifstream in(file);
  if (!in) throw InputError(file, 0, "cannot be opened");
  const std::string vectorized = "loop vectorized using ", missed = "couldn't vectorize loop",
                    reason = "not vectorized: ";
  std::vector<Remark> remarks;
  bool reason_follows = false;
  for (std::string line; std::getline(in, line);) {
    // FILE:LINE:COLUMN: optimized: TEXT, or missed; most lines are notes of the analysis.
    std::size_t said = line.find(": missed: ");
    if (said == std::string::npos) said = line.find(": optimized: ");
    if (said == std::string::npos) continue;
    const std::string_view text = std::string_view(line).substr(said);
    if (const std::size_t why = text.find(reason);
        reason_follows && why != std::string_view::npos) {
      remarks.back().reason = one_line(std::string(text.substr(why + reason.size())));
      reason_follows = false;
      continue;
    }
    const std::size_t width = text.find(vectorized);
    if (width == std::string_view::npos && text.find(missed) == std::string_view::npos) continue;
    const std::size_t column = line.rfind(':', said - 1);
    if (column == std::string::npos || column == 0) continue;
    const std::size_t number = line.rfind(':', column - 1);
    if (number == std::string::npos) continue;
    Remark remark;
    remark.file = absolute(line.substr(0, number), directory);
    remark.line = number_in(std::string_view(line).substr(number + 1));
    remark.column = number_in(std::string_view(line).substr(column + 1));
    remark.vectorized = width != std::string_view::npos;
    if (remark.vectorized) remark.bytes = number_in(text.substr(width + vectorized.size()));
    reason_follows = !remark.vectorized;
    remarks.push_back(std::move(remark));
  }
  return remarks;
}

Compiler compiler_of(const std::string& program) {
  static const std::regex number(R"((\d+\.\d+[.\d]*))");
  const WorkFolder folder;
  std::string line = printed_by(folder, {program, "--version"});
  line.resize(std::min(line.find('\n'), line.size()));
  Compiler compiler{program, fs::path(program).filename().string(), "", CompilerKind::other};
  if (line.find("clang") != std::string::npos) {
    compiler.kind = CompilerKind::clang;
    compiler.name = "clang++";
  } else if (line.find("GCC") != std::string::npos || line.find("g++") != std::string::npos ||
             line.find("gcc") != std::string::npos || line.starts_with("c++ ") ||
             line.starts_with("cc ")) {
    compiler.kind = CompilerKind::gcc;
    compiler.name = "g++";
  }
  std::smatch parts;
  compiler.version = compiler.name;
  if (std::regex_search(line, parts, number)) compiler.version += " " + parts[1].str();
  return compiler;
}

bool drop_unknown_flag(const std::string& complaint, std::vector<std::string>& flags) {
  static const std::regex unknown(
      "(?:unknown argument:?|unknown or unsupported argument:?|unrecognized command-line option|"
      "unsupported option|optimization flag) '([^']+)'");
  bool dropped = false;
  for (std::sregex_iterator at(complaint.begin(), complaint.end(), unknown), none; at != none;
       ++at) {
    const std::string flag = (*at)[1];
    dropped = std::erase(flags, flag) > 0 || dropped;
  }
  return dropped;
}

RemarksOfUnit remarks_of(const CompileCommand& command, const Compiler& compiler,
                         const std::string& folder) {
  const auto read = [&](const std::string& file) {
    return compiler.kind == CompilerKind::gcc ? read_gcc_record(file, command.directory)
                                              : read_clang_record(file, command.directory);
  };
  const std::string own = record_of_build(command, compiler.kind);
  if (!own.empty() && compiler.program == command.arguments[0] && of_this_source(own, command.file))
    return {read(own), "# the build wrote " + own};

  std::vector<std::string> flags = language_flags(command);
  const auto own_flags = flags_of(command);
  flags.insert(flags.end(), own_flags.begin(), own_flags.end());
  std::vector<std::string> key = flags;
  key.insert(key.end(), {compiler.program, command.directory, command.file});
  const fs::path base = fs::path(folder) /
                        (fs::path(command.file).stem().string() + "-" + fingerprint(key));
  const std::string record = base.string() +
                             (compiler.kind == CompilerKind::gcc ? ".vec" : ".opt.yaml"),
                    depfile = base.string() + ".d", log = base.string() + ".log";
  flags.emplace_back("-w");
  for (;;) {
    std::vector<std::string> arguments{compiler.program};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    if (compiler.kind == CompilerKind::gcc) {
      arguments.push_back("-fopt-info-vec-all=" + record + ".part");
    } else {
      // The record is complete before machine code is made, a quarter of the time.
      arguments.insert(arguments.end(), {"-emit-llvm", "-fsave-optimization-record",
                                         "-foptimization-record-passes=loop-vectorize",
                                         "-foptimization-record-file=" + record + ".part"});
    }
    arguments.insert(arguments.end(),
                     {"-MD", "-MF", depfile, "-o", "/dev/null", "-c", command.file});
    const instruments::ChildCommand child{arguments, command.directory, "", log, {{"LC_ALL", "C"}}};
    const std::string line = instruments::shell_line(child);
    if (fresh(record, depfile, command.directory)) return {read(record), line};
    fs::create_directories(folder);
    // g++ would append to what a killed run left.
    fs::remove(record + ".part");
    const io::TemporaryName part(record + ".part");
    const auto outcome = instruments::run_child(child);
    if (outcome.exit_code == 0) {
      // g++ makes no file when it has nothing to say.
      if (!fs::exists(record + ".part")) std::ofstream(record + ".part");
      fs::rename(record + ".part", record);
      return {read(record), line};
    }
    if (!drop_unknown_flag(contents_of(log), flags))
      throw InputError(command.file, 0,
                       "is not compiled by " + compiler.name + "; its messages are in " + log);
  }
}

}  // namespace nablabragg::inventory
