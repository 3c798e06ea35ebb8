// Files of real detectors that lie next to the repository and not in it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace nablabragg::test {

/// Empty where there is none; the test then skips.  A work tree may lie one folder deeper.
inline std::optional<std::string> shared_file(const std::string& name) {
  for (const char* folder : {"/../shared/", "/../../shared/"}) {
    const std::string path = std::string(NABLA_SOURCE_DIR) + folder + name;
    if (std::filesystem::exists(path)) return path;
  }
  return std::nullopt;
}

}  // namespace nablabragg::test
