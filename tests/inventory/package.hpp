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
    nlohmann::json arguments{"g++", "-std=c++20", "-O3"};
    for (const std::string& flag : flags) arguments.push_back(flag);
    for (const char* argument : {"-o", "x.o", "-c"}) arguments.push_back(argument);
    arguments.push_back(path.string());
    commands_.push_back(
        {{"directory", dir_.path().string()}, {"file", path.string()}, {"arguments", arguments}});
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
