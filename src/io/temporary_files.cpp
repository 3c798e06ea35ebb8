#include "io/temporary_files.hpp"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace nablabragg::io {

namespace {

struct Registry {
  std::mutex mutex;
  std::set<std::string> paths;
};

/// Never destroyed: the thread that ends the program may need it while main() returns.
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

void remove_path(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace

TemporaryName::TemporaryName(std::string path, const std::unique_lock<std::mutex>&)
    : path_(std::move(path)) {
  registry().paths.insert(path_);
}

TemporaryName::TemporaryName(std::string path)
    : TemporaryName(std::move(path), lock_temporary_files()) {}

TemporaryName::TemporaryName(TemporaryName&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryName& TemporaryName::operator=(TemporaryName&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

TemporaryName::~TemporaryName() { remove(); }

void TemporaryName::forget(const std::unique_lock<std::mutex>&) {
  registry().paths.erase(path_);
  path_.clear();
}

void TemporaryName::remove() {
  if (path_.empty()) return;
  const auto held = lock_temporary_files();
  remove_path(path_);
  forget(held);
}

std::unique_lock<std::mutex> lock_temporary_files() { return std::unique_lock(registry().mutex); }

void remove_temporary_files() {
  lock_temporary_files().release();  // for good
  for (const std::string& path : registry().paths) remove_path(path);
}

}  // namespace nablabragg::io
