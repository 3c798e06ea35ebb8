// Writing files all or nothing, and asking beforehand whether one could be written.
#include "io/atomic_file.hpp"

#include <fcntl.h>     // for open, fallocate
#include <sys/stat.h>  // for stat
#include <unistd.h>

#include <cerrno>
#include <cstdio>  // for std::rename
#include <filesystem>
#include <random>        // for std::random_device
#include <system_error>  // for std::generic_category

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"  // for check_writable

namespace nablabragg::io {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;

[[noreturn]] void cannot_write(const std::string& path, const std::string& why) {
  throw OutputError("cannot write " + path + ": " + why);
}

[[noreturn]] void cannot_write(const std::string& path, int error) {
  cannot_write(path, std::generic_category().message(error));
}

/// access() would ask for the user who started the program, not for the one it runs as.
bool may_access(const std::string& path, int mode) {
  return faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0;
}

/// What rename() should replace: the file behind symbolic links, whether it exists or not.
/// Empty when the name stands for something that is no regular file, so that it is opened as it is.
std::string target_of(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) == 0) {
    if (S_ISDIR(about.st_mode)) cannot_write(path, EISDIR);
    if (!S_ISREG(about.st_mode)) return {};
    // rename() would replace a write-protected file without asking.
    if (!may_access(path, W_OK)) cannot_write(path, errno);
  }
  std::filesystem::path target = path;
  constexpr int most_links = 40;  // as the kernel
  std::error_code error;
  for (int i = 0; std::filesystem::is_symlink(target, error); ++i) {
    if (i == most_links) cannot_write(path, ELOOP);
    const std::filesystem::path link = std::filesystem::read_symlink(target, error);
    if (error) cannot_write(path, error.value());
    target = link.is_absolute() ? link : target.parent_path() / link;
    // /dev/stdout redirected to a file: what holds it open should get the bytes.
    if (target.native().starts_with("/proc/")) return {};
  }
  return target.native();
}

/// A new file next to `target`.  Not mkstemp: that ignores the umask and makes the file private.
int create_beside(const std::string& path, const std::string& target, std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(target).parent_path();
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    // Of fixed length, so that a long target name does not make it too long.
    name = (folder / (".nablabragg-" + std::to_string(random()) + ".tmp")).native();
    const int descriptor = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return descriptor;
    if (errno == EINTR || errno == EEXIST) continue;
    const int error = errno;
    name.clear();
    // The folder is at fault, not the name, when the target itself is there and writable.
    if (may_access(target, F_OK))
      cannot_write(
          path, "no new file can be made in its folder: " + std::generic_category().message(error));
    cannot_write(path, error);
  }
  name.clear();
  cannot_write(path, "no free name for a temporary file in its folder");
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(target_of(path)) {
  buffer_.reserve(buffer_bytes);
  if (path.empty()) fail(ENOENT);
  if (!target_.empty()) {
    // A name that is too long would otherwise show only at the rename.
    struct stat about {};
    if (stat(target_.c_str(), &about) != 0 && errno != ENOENT) fail(errno);
    if (target_.ends_with('/')) fail(EISDIR);
    descriptor_ = create_beside(path, target_, temporary_);
    return;
  }
  do {
    descriptor_ = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail(errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::fail(int error) const { cannot_write(path_, error); }

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written >= 0)
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      fail(errno);
  }
}

void AtomicFile::expect(std::size_t bytes) {
  // Without it ext4 looks for the blocks within rename(), which takes twice as long as writing.  A
  // file system that cannot do this, or is full, says so when it is written to.
  if (!temporary_.empty())
    static_cast<void>(fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)));
}

void AtomicFile::flush() {
  write_through(buffer_);
  buffer_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > buffer_bytes) flush();
  if (bytes.size() >= buffer_bytes)
    write_through(bytes);
  else
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::commit() {
  flush();
  // Network file systems report a full disk here.  The descriptor is gone even when close fails.
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0 && errno != EINTR) fail(errno);
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void check_writable(const std::string& path) {
  struct stat about {};
  const bool exists = stat(path.c_str(), &about) == 0;
  if (exists && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
    // Opening a fifo would wait for its reader, and closing it would end what the reader sees.
    if (!may_access(path, W_OK)) cannot_write(path, errno);
    return;
  }
  const AtomicFile attempt(path);
}

}  // namespace nablabragg::io
