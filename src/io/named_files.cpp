#include "io/named_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "io/atomic_file.hpp"  // for target_of, descriptor_of
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

namespace fs = std::filesystem;

/// What makes two names one file: device and inode, of the file or, where there is none yet, of its
/// folder, with the name in it.
struct Identity {
  dev_t device;
  ino_t inode;
  std::string name;
  bool operator==(const Identity&) const = default;
};

/// Nothing for what is no regular file and none to be.
std::optional<Identity> identity_of(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) == 0) {
    if (!S_ISREG(about.st_mode)) return std::nullopt;
    return Identity{about.st_dev, about.st_ino, {}};
  }
  // Where links lead nowhere yet, the file is made at their end.
  const fs::path target = target_of(path).file;
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  if (target.empty() || stat(folder.c_str(), &about) != 0) return std::nullopt;
  return Identity{about.st_dev, about.st_ino, target.filename().string()};
}

struct Output {
  const NamedFile* file;
  std::optional<Identity> identity;
  bool stream;  ///< open already, and written where it stands
};

std::string both(const std::string& path, const std::string& other) {
  return path == other ? quoted_name(path)
                       : quoted_name(path) + ", the same file as " + quoted_name(other);
}

}  // namespace

std::string quoted_name(const std::string& path) {
  std::string result(1, '"');
  for (const char c : path) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return result + '"';
}

std::string writable_name(const std::string& path) { return path == "-" ? "/dev/stdout" : path; }

bool is_standard_output(const std::string& path) {
  return path == "-" || descriptor_of(path) == STDOUT_FILENO;
}

void check_distinct(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs) {
  std::vector<Output> all;
  const NamedFile* dash = nullptr;
  for (const NamedFile& file : outputs) {
    if (file.path == "-" && dash)
      throw UsageError(dash->role + " and " + file.role +
                       " would both be written to standard output; give one of them a file");
    if (file.path == "-") dash = &file;
    const std::string path = writable_name(file.path);
    all.push_back({&file, identity_of(path), descriptor_of(path).has_value()});
  }
  for (const NamedFile& input : inputs) {
    struct stat about {};
    if (stat(input.path.c_str(), &about) != 0) continue;  // its reader says so
    const std::optional<Identity> identity = identity_of(input.path);
    for (const Output& output : all)
      if (identity && output.identity == identity)
        throw UsageError(output.file->role + " would destroy what " + input.role + " reads, " +
                         both(output.file->path, input.path) + "; give the output another name");
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (all[i].identity && all[i].identity == all[j].identity &&
          !(all[i].stream && all[j].stream))
        throw UsageError(all[j].file->role + " and " + all[i].file->role +
                         " would both be written to " + both(all[j].file->path, all[i].file->path) +
                         "; give them two names");
}

}  // namespace nablabragg::io
