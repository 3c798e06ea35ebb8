// Writing files all or nothing, and asking beforehand whether one could be written.
#include "io/atomic_file.hpp"

#include <fcntl.h>  // for open, fallocate
#include <sys/sendfile.h>
#include <sys/stat.h>  // for stat
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>  // for std::rename
#include <filesystem>
#include <memory>        // for std::unique_ptr
#include <random>        // for std::random_device
#include <system_error>  // for std::generic_category
#include <utility>       // for std::exchange

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"  // for check_writable

namespace nablabragg::io {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
constexpr mode_t permissions = 0777;

FileGroup* current_group = nullptr;

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

/// The number behind /dev/fd/ and the like.
std::optional<int> descriptor_named(const std::string& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    int number = 0;
    const char* const end = path.data() + path.size();
    const auto [stop, error] = std::from_chars(path.data() + folder.size(), end, number);
    if (error == std::errc{} && stop == end && number >= 0) return number;
  }
  return std::nullopt;
}

/// Where symbolic links lead, as far as a descriptor.  Returns what is wrong with them, or 0.
int follow_links(const std::string& path, Target& target) {
  std::filesystem::path name = path;
  constexpr int most_links = 40;  // as the kernel
  std::error_code error;
  for (int i = 0;; ++i) {
    target.descriptor = descriptor_named(name.native());
    if (target.descriptor) return 0;
    if (!std::filesystem::is_symlink(name, error)) break;
    if (i == most_links) return ELOOP;
    const std::filesystem::path link = std::filesystem::read_symlink(name, error);
    if (error) return error.value();
    name = link.is_absolute() ? link : name.parent_path() / link;
  }
  target.file = name.native();
  return 0;
}

/// Opened anew, a file behind a descriptor would be emptied, and what others write through that
/// descriptor would land on top of ours.
int duplicate(const std::string& path, int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) cannot_write(path, errno);
  if ((flags & O_ACCMODE) == O_RDONLY) cannot_write(path, EACCES);
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) cannot_write(path, errno);
  return copy;
}

/// Of fixed length, so that a long target name does not make it too long.
std::string new_name(const std::string& target) {
  std::random_device random;
  const std::filesystem::path folder = std::filesystem::path(target).parent_path();
  return (folder / (".nablabragg-" + std::to_string(random()) + ".tmp")).native();
}

constexpr int most_attempts = 100;

[[noreturn]] void no_free_name(const std::string& path) {
  cannot_write(path, "no free name for a temporary file in its folder");
}

}  // namespace

Target target_of(const std::string& path) {
  Target target;
  if (const int error = follow_links(path, target)) cannot_write(path, error);
  if (target.descriptor) return target;
  struct stat about {};
  if (stat(path.c_str(), &about) == 0) {
    if (S_ISDIR(about.st_mode)) cannot_write(path, EISDIR);
    if (!S_ISREG(about.st_mode)) return {};
    // rename() would replace a write-protected file without asking.
    if (!may_access(path, W_OK)) cannot_write(path, errno);
  }
  return target;
}

std::optional<int> descriptor_of(const std::string& path) {
  Target target;
  return follow_links(path, target) == 0 ? target.descriptor : std::nullopt;
}

// ---- FileAside ---------------------------------------------------------------------------------

FileAside::FileAside(const std::string& path) : path_(path) {
  const Target target = target_of(path);
  target_ = target.file;
  if (target.descriptor) {
    descriptor_ = duplicate(path, *target.descriptor);
  } else if (replaces()) {
    // A name that is too long would otherwise show only at the rename.
    struct stat about {};
    if (stat(target_.c_str(), &about) != 0 && errno != ENOENT) fail(errno);
    if (target_.ends_with('/')) fail(EISDIR);
    create();
    keep_mode_and_owner();
  } else {
    if (path.empty()) fail(ENOENT);
    do {
      descriptor_ = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) fail(errno);
  }
}

FileAside::FileAside(const std::string& path, const std::string& unfinished)
    : path_(path), target_(target_of(path).file), unfinished_(unfinished) {
  if (!replaces()) cannot_write(path, "only a regular file can be gone on with");
  do {
    descriptor_ = open(unfinished.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) cannot_write(unfinished, errno);
  keep_mode_and_owner();
}

FileAside::FileAside(FileAside&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::exchange(other.target_, {})),
      temporary_(std::move(other.temporary_)),
      unfinished_(std::move(other.unfinished_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

FileAside::~FileAside() {
  if (descriptor_ >= 0) close(descriptor_);
}

void FileAside::fail(int error) const { cannot_write(path_, error); }

/// Not mkstemp: that ignores the umask and makes the file private.
void FileAside::create() {
  const std::filesystem::path folder = std::filesystem::path(target_).parent_path();
  // Without a name nothing is left, however the program ends.  make_name() needs /proc.
  if (may_access("/proc/self/fd", X_OK)) {
    descriptor_ = open(folder.empty() ? "." : folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) return;
  }
  create_named(lock_temporary_files());
}

void FileAside::create_named(const std::unique_lock<std::mutex>& held) {
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const std::string name = new_name(target_);
    descriptor_ = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) {
      temporary_ = TemporaryName(name, held);
      return;
    }
    if (errno == EINTR || errno == EEXIST) continue;
    const int error = errno;
    // The folder is at fault, not the name, when the target itself is there and writable.
    if (may_access(target_, F_OK))
      cannot_write(path_, "no new file can be made in its folder: " +
                              std::generic_category().message(error));
    fail(error);
  }
  no_free_name(path_);
}

void FileAside::keep_mode_and_owner() const {
  struct stat old {
  }, made{};
  if (stat(target_.c_str(), &old) != 0 || fstat(descriptor_, &made) != 0) return;
  mode_t mode = old.st_mode & permissions;
  if (old.st_uid != made.st_uid) static_cast<void>(fchown(descriptor_, old.st_uid, gid_t(-1)));
  // What the group of the old file might do, another group may not.
  if (old.st_gid != made.st_gid && fchown(descriptor_, uid_t(-1), old.st_gid) != 0)
    mode = (mode & ~mode_t{S_IRWXG}) | ((mode & S_IRWXO) << 3);
  // A file system without modes refuses, and loses nothing.
  static_cast<void>(fchmod(descriptor_, mode));
}

void FileAside::close_descriptor() {
  // The descriptor is gone even when close fails.
  const int descriptor = std::exchange(descriptor_, -1);
  if (descriptor >= 0 && close(descriptor) != 0 && errno != EINTR) fail(errno);
}

void FileAside::take_room() const {
  struct stat about {};
  if (fstat(descriptor_, &about) != 0) fail(errno);
  if (about.st_size > 0 && fallocate(descriptor_, 0, 0, about.st_size) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    fail(errno);
}

void FileAside::finish() {
  // Network file systems report a full disk here.
  if (!replaces() || !temporary_.empty() || !unfinished_.empty()) close_descriptor();
}

void FileAside::make_name(const std::unique_lock<std::mutex>& held) {
  if (!replaces() || !temporary_.empty() || !unfinished_.empty()) return;
  const std::string bytes = "/proc/self/fd/" + std::to_string(descriptor_);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const std::string name = new_name(target_);
    if (linkat(AT_FDCWD, bytes.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = TemporaryName(name, held);
      return;
    }
    if (errno == EEXIST) continue;
    // File systems that make files without names may give them none afterwards.
    return copy_to_name(held);
  }
  no_free_name(path_);
}

void FileAside::copy_to_name(const std::unique_lock<std::mutex>& held) {
  const int unnamed = std::exchange(descriptor_, -1);
  const auto closing = [](const int* descriptor) { close(*descriptor); };
  const std::unique_ptr<const int, decltype(closing)> owner(&unnamed, closing);
  create_named(held);
  keep_mode_and_owner();
  off_t at = 0;
  for (;;) {
    constexpr std::size_t piece_bytes = std::size_t{1} << 20;
    const ssize_t copied = sendfile(descriptor_, unnamed, &at, piece_bytes);
    if (copied == 0) return;
    if (copied < 0 && errno != EINTR) fail(errno);
  }
}

void FileAside::rename(const std::unique_lock<std::mutex>& held) {
  if (!replaces()) return;
  const std::string& name = unfinished_.empty() ? temporary_.path() : unfinished_;
  if (std::rename(name.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.forget(held);
  close_descriptor();
}

// ---- AtomicFile --------------------------------------------------------------------------------

AtomicFile::AtomicFile(const std::string& path) : file_(path) { buffer_.reserve(buffer_bytes); }

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.descriptor(), bytes.data(), bytes.size());
    if (written >= 0)
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      file_.fail(errno);
  }
}

void AtomicFile::expect(std::size_t bytes) {
  // Without it ext4 looks for the blocks within rename(), which takes twice as long as writing.  A
  // file system that cannot do this, or is full, says so when it is written to.
  if (file_.replaces())
    static_cast<void>(
        fallocate(file_.descriptor(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)));
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
  put_in_place(std::move(file_));
}

void put_in_place(FileAside file) {
  file.finish();
  if (current_group) return current_group->add(std::move(file));
  const auto held = lock_temporary_files();
  file.make_name(held);
  file.rename(held);
}

void AtomicFile::commit_with(FileSeries& series) {
  flush();
  series.add(std::move(file_));
}

// ---- FileSeries --------------------------------------------------------------------------------

void FileSeries::add(FileAside file) {
  // A file without a name is gone however the program ends, and needs a descriptor.
  constexpr std::size_t most_descriptors = 64;
  if (files_.size() >= most_descriptors) file.make_name(lock_temporary_files());
  file.finish();
  files_.push_back(std::move(file));
}

void FileSeries::commit() {
  if (current_group) {
    for (FileAside& file : files_) current_group->add(std::move(file));
  } else {
    const auto held = lock_temporary_files();
    for (FileAside& file : files_) file.make_name(held);
    for (FileAside& file : files_) file.rename(held);
  }
  files_.clear();
}

// ---- FileGroup ---------------------------------------------------------------------------------

FileGroup::FileGroup() { current_group = this; }

FileGroup::~FileGroup() { current_group = nullptr; }

void FileGroup::commit() {
  // Not to be ended in the middle
  const auto held = lock_temporary_files();
  for (FileAside& file : files_) file.make_name(held);
  for (FileAside& file : files_) file.rename(held);
  files_.clear();
}

// ---- check_writable ----------------------------------------------------------------------------

void check_writable(const std::string& path) {
  struct stat about {};
  const bool exists = stat(path.c_str(), &about) == 0;
  if (exists && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
    // Opening a fifo would wait for its reader, and closing it would end what the reader sees.
    if (!may_access(path, W_OK)) cannot_write(path, errno);
    return;
  }
  const FileAside attempt(path);
}

}  // namespace nablabragg::io
