// What another program prints.
#pragma once
#include <filesystem>
#include <string>
#include <vector>
#include "io/temporary_files.hpp"

namespace nablabragg::inventory {

/// A folder in /tmp, gone with its files.
class WorkFolder {
 public:
  WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  io::TemporaryName name_;
};

/// Runs the program that `arguments` begin with in the folder and returns its standard output.
/// Throws InputError when it cannot be started or fails.
std::string printed_by(const WorkFolder& folder, std::vector<std::string> arguments);

}  // namespace nablabragg::inventory
