// A small code base in a folder of its own: sources, and how each is compiled.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {

class Package {
 public:
  /// A source below src/; `flags` in addition to -std=c++20 -O3.
  void add(const std::string& name, const std::string& text,
           const std::vector<std::string>& flags = {}) {
    const auto path = dir_.path() / "src" / name;
    std::filesystem::create_directories(path.parent_path());
    write_file(path, text);
    if (path.extension() != ".cpp") return;
    std::vector<std::string> command{"g++", "-std=c++20", "-O3"};
    command.insert(command.end(), flags.begin(), flags.end());
    compile(name, command);
  }

  /// Has the build compile a file below src/, which may not exist, by this command.
  void compile(const std::string& name, std::vector<std::string> command) {
    const std::string path = (dir_.path() / "src" / name).string();
    command.insert(command.end(), {"-o", "x.o", "-c", path});
    commands_.push_back(
        {{"directory", dir_.path().string()}, {"file", path}, {"arguments", command}});
    write_file(dir_.path() / "compile_commands.json", commands_.dump());
  }

  const std::filesystem::path& path() const { return dir_.path(); }

  /// nablabragg-inventory in the folder.
  Outcome run(const std::string& line = "") {
    return run_program(dir_.path(), "--build . --outdir out --second-opinion none " + line);
  }

 private:
  TempDir dir_;
  nlohmann::json commands_ = nlohmann::json::array();
};

}  // namespace nablabragg::test
