#include "inventory/compile_database.hpp"

#include <clang-c/CXCompilationDatabase.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

std::string text_of(CXString string) {
  const char* characters = clang_getCString(string);
  std::string text = characters ? characters : "";
  clang_disposeString(string);
  return text;
}

std::string absolute(const std::string& path, const std::string& directory) {
  return (fs::path(directory) / path).lexically_normal().string();
}

}  // namespace

std::vector<CompileCommand> read_compile_database(const std::string& build) {
  const std::string name = (fs::path(build) / "compile_commands.json").string();
  if (!fs::is_regular_file(name))
    throw InputError(name, 0,
                     "does not exist; let the build write it: "
                     "cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, or bear -- make");
  CXCompilationDatabase_Error problem = CXCompilationDatabase_NoError;
  const std::unique_ptr<void, decltype(&clang_CompilationDatabase_dispose)> database(
      clang_CompilationDatabase_fromDirectory(build.c_str(), &problem),
      clang_CompilationDatabase_dispose);
  if (problem != CXCompilationDatabase_NoError)
    throw InputError(name, 0, "is no compilation database");
  const std::unique_ptr<void, decltype(&clang_CompileCommands_dispose)> commands(
      clang_CompilationDatabase_getAllCompileCommands(database.get()),
      clang_CompileCommands_dispose);

  std::vector<CompileCommand> all;
  for (unsigned i = 0; i < clang_CompileCommands_getSize(commands.get()); ++i) {
    CXCompileCommand each = clang_CompileCommands_getCommand(commands.get(), i);
    CompileCommand command;
    command.directory = text_of(clang_CompileCommand_getDirectory(each));
    command.file = absolute(text_of(clang_CompileCommand_getFilename(each)), command.directory);
    for (unsigned a = 0; a < clang_CompileCommand_getNumArgs(each); ++a) {
      std::string argument = text_of(clang_CompileCommand_getArg(each, a));
      // libclang's own addition
      if (!argument.starts_with("--driver-mode=")) command.arguments.push_back(std::move(argument));
    }
    const std::string program = command.arguments.empty()
                                    ? ""
                                    : fs::path(command.arguments[0]).filename();
    if (program == "ccache" || program == "distcc")
      command.arguments.erase(command.arguments.begin());
    const auto output = std::find(command.arguments.begin(), command.arguments.end(), "-o");
    if (output != command.arguments.end() && output + 1 != command.arguments.end())
      command.object = absolute(output[1], command.directory);
    if (!command.arguments.empty()) all.push_back(std::move(command));
  }
  if (all.empty()) throw InputError(name, 0, "has no compile commands");
  return all;
}

std::vector<std::string> flags_of(const CompileCommand& command) {
  std::vector<std::string> flags;
  for (std::size_t i = 1; i < command.arguments.size(); ++i) {
    const std::string& argument = command.arguments[i];
    if (argument == "-o" || argument == "-MF" || argument == "-MT" || argument == "-MQ") {
      ++i;
      continue;
    }
    if (argument.starts_with("-fopt-info") || argument.starts_with("-fsave-optimization-record") ||
        argument.starts_with("-foptimization-record"))
      continue;
    if (argument == "-c" || argument == "-MD" || argument == "-MMD" || argument == "--" ||
        absolute(argument, command.directory) == command.file)
      continue;
    flags.push_back(argument);
  }
  return flags;
}

std::vector<std::string> language_flags(const CompileCommand& command) {
  if (fs::path(command.file).extension() != ".c") return {};
  for (const std::string& argument : command.arguments)
    if (argument.starts_with("-x")) return {};
  const std::string program = fs::path(command.arguments.front()).filename().string();
  return {"-x", program.find("++") == std::string::npos ? "c" : "c++"};
}

std::vector<CompileCommand> commands_of_package(const std::vector<CompileCommand>& all,
                                                const std::vector<std::string>& folders) {
  std::vector<CompileCommand> commands;
  std::set<std::vector<std::string>> seen;
  for (const CompileCommand& command : all) {
    // The build may have come here by a link.
    if (!lies_in(fs::weakly_canonical(command.file).string(), folders)) continue;
    std::vector<std::string> key = flags_of(command);
    key.push_back(command.file);
    if (seen.insert(key).second) commands.push_back(command);
  }
  return commands;
}

bool lies_in(const std::string& file, const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& folder) { return file.starts_with(folder + '/'); });
}

}  // namespace nablabragg::inventory
