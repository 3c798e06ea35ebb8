// A file that appears under its name only when it is complete.  It guards against a failing or
// interrupted program, not against a failing machine: nothing is synchronized to the disk.
#pragma once
#include <cstddef>  // for std::byte
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::io {

/// Bytes go to a new file in the target's folder; commit() renames it.  A target that exists and is
/// no regular file (/dev/null, a fifo) is written directly.  Every failure is an OutputError.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Without commit(): removes what was written and leaves the target as it was.
  ~AtomicFile();

  /// How long the file will be.  Only for speed: disk space that is laid out beforehand is written
  /// and renamed faster.
  void expect(std::size_t bytes);
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Writes the rest out, closes and renames.  Once, at the end.
  void commit();

  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(int error) const;
  void flush();
  void write_through(std::span<const std::byte> bytes);

  std::string path_;       // as the caller gave it, for messages
  std::string target_;     // behind symbolic links; empty: written directly
  std::string temporary_;  // empty: written directly, or done
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
};

}  // namespace nablabragg::io
