// Names that must not outlive the program: files that are still being written, folders of work.
#pragma once
#include <mutex>
#include <string>

namespace nablabragg::io {

/// A file or folder that goes, with all that it holds, when this object does, or when the program
/// is ended by remove_temporary_files().  Whoever makes it holds the lock meanwhile, so that no
/// moment is left at which it is there and not known.
class TemporaryName {
 public:
  TemporaryName() = default;
  TemporaryName(std::string path, const std::unique_lock<std::mutex>& held);
  explicit TemporaryName(std::string path);
  TemporaryName(TemporaryName&& other) noexcept;
  TemporaryName& operator=(TemporaryName&& other) noexcept;
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;
  ~TemporaryName();

  bool empty() const { return path_.empty(); }
  const std::string& path() const { return path_; }
  /// It has another name now, or is gone.
  void forget(const std::unique_lock<std::mutex>& held);

 private:
  void remove();
  std::string path_;
};

/// While it is held no temporary file is made, renamed or removed by anyone else, and the program
/// is not ended by a signal.
std::unique_lock<std::mutex> lock_temporary_files();

/// Removes them all, and lets none be made or renamed any more: what calls this ends the process.
void remove_temporary_files();

}  // namespace nablabragg::io
