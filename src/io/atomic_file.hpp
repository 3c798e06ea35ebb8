// A file that appears under its name only when it is complete.  It guards against a failing or
// interrupted program, not against a failing machine: nothing is synchronized to the disk.
#pragma once
#include <cstddef>  // for std::byte
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "io/temporary_files.hpp"

namespace nablabragg::io {

/// Where the bytes of a name go.
struct Target {
  std::string file;               ///< behind symbolic links; empty: written directly
  std::optional<int> descriptor;  ///< of this process, for /dev/stdout, /dev/fd/3 and the like
};

/// Throws OutputError for a folder, a write-protected file and links in circles.
Target target_of(const std::string& path);

/// The descriptor alone.
std::optional<int> descriptor_of(const std::string& path);

/// A file's open descriptor and the name that it has until it gets its own.
class FileAside {
 public:
  explicit FileAside(const std::string& path);
  /// It has the name `unfinished` until it gets its own, in the same folder, and keeps that where
  /// the program ends before: whoever knows what is complete in it may go on from there.
  FileAside(const std::string& path, const std::string& unfinished);
  FileAside(FileAside&& other) noexcept;
  FileAside(const FileAside&) = delete;
  FileAside& operator=(const FileAside&) = delete;
  FileAside& operator=(FileAside&&) = delete;
  ~FileAside();

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  bool replaces() const { return !target_.empty(); }
  [[noreturn]] void fail(int error) const;

  /// Room on the disk for all of its length, where the file system can tell, so that others may
  /// write into it.
  void take_room() const;
  /// No more bytes: what a file system only says when a file is closed is said here.
  void finish();
  /// Gives it a name in its folder, where it has none yet.
  void make_name(const std::unique_lock<std::mutex>& held);
  void rename(const std::unique_lock<std::mutex>& held);

 private:
  void create();
  void create_named(const std::unique_lock<std::mutex>& held);
  void copy_to_name(const std::unique_lock<std::mutex>& held);
  void close_descriptor();
  void keep_mode_and_owner() const;

  std::string path_;         // as the caller gave it, for messages
  std::string target_;       // empty: written directly
  TemporaryName temporary_;  // empty: written directly, without a name, unfinished_, or done
  std::string unfinished_;   // not empty: its name, which stays
  int descriptor_ = -1;
};

/// Files of one output, as many as there may be: none has its name before all are complete, and
/// none that is complete keeps a descriptor.
class FileSeries {
 public:
  void add(FileAside file);
  /// Renames them one right after the other, or when the outputs of the run are (FileGroup).
  void commit();

 private:
  std::vector<FileAside> files_;
};

/// Nothing more is written to it: it gets its name now, or with its FileGroup.
void put_in_place(FileAside file);

/// Bytes go to a new file in the target's folder, without a name where the file system can do that;
/// commit() gives it the target's.  It then has the mode and, where that is allowed, the owner of
/// what it replaces; other hard links to that keep the old bytes.  A target that exists and is no
/// regular file (/dev/null, a fifo) or names a descriptor (/dev/stdout) is written directly.  Every
/// failure is an OutputError.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Without commit(): removes what was written and leaves the target as it was.
  ~AtomicFile() = default;

  /// How long the file will be.  Only for speed: disk space that is laid out beforehand is written
  /// and renamed faster.
  void expect(std::size_t bytes);
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Writes the rest out, closes and renames.  Once, at the end.
  void commit();
  /// The same, but it gets its name with the others of the series.
  void commit_with(FileSeries& series);

  const std::string& path() const { return file_.path(); }

 private:
  void flush();
  void write_through(std::span<const std::byte> bytes);

  FileAside file_;
  std::vector<std::byte> buffer_;
};

/// The outputs of a run, which are all old or all new: while it lives, files that are committed
/// wait for its own commit(), which renames them one right after the other; without that none is.
/// One at a time, and all files from the thread that made it.
class FileGroup {
 public:
  FileGroup();
  FileGroup(const FileGroup&) = delete;
  FileGroup& operator=(const FileGroup&) = delete;
  ~FileGroup();

  void add(FileAside file) { files_.push_back(std::move(file)); }
  void commit();

 private:
  std::vector<FileAside> files_;
};

}  // namespace nablabragg::io
