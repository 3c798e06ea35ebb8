// A file opened for reading as bytes; every failure is an InputError that names it.
// What the bytes mean is the readers' business.
#pragma once
#include <sys/stat.h>  // for fstat
#include <unistd.h>    // for isatty

#include <cerrno>
#include <cstdint>
#include <cstdio>  // for FILE
#include <memory>  // for std::unique_ptr
#include <string>
#include <system_error>          // for std::generic_category
#include "nablabragg/error.hpp"  // for InputError

namespace nablabragg::io {

class InputFile {
 public:
  explicit InputFile(const std::string& path)
      : path_(path), file_(std::fopen(path.c_str(), "rbe")) {
    if (!file_) fail(errno);
    struct stat about {};
    if (fstat(fileno(file_.get()), &about) != 0) fail(errno);
    // Opening a directory succeeds; only reading would not.
    if (S_ISDIR(about.st_mode)) fail(EISDIR);
    regular_ = S_ISREG(about.st_mode);
    // A terminal is where a person types, and its end comes.
    device_ = S_ISBLK(about.st_mode) ||
              (S_ISCHR(about.st_mode) && isatty(fileno(file_.get())) == 0);
    size_ = static_cast<std::uint64_t>(about.st_size);
  }

  const std::string& path() const { return path_; }

  /// A disk, or something like /dev/zero.
  bool is_device() const { return device_; }

  /// Throws for pipes and devices, whose length is not known before they end.
  std::uint64_t size() const {
    if (!regular_)
      throw InputError(path_, 0, "is not a regular file, so its length cannot be checked");
    return size_;
  }

  /// What a regular file holds now; 0 for pipes and devices.
  std::uint64_t known_bytes() const { return regular_ ? size_ : 0; }

  /// Fewer than asked for only at the end of the file.
  std::size_t read(void* to, std::size_t bytes) {
    errno = 0;
    const std::size_t got = std::fread(to, 1, bytes, file_.get());
    if (got < bytes && std::ferror(file_.get())) fail(errno);
    return got;
  }

  void seek(std::uint64_t offset) {
    if (fseeko(file_.get(), static_cast<off_t>(offset), SEEK_SET) != 0) fail(errno);
  }

 private:
  [[noreturn]] void fail(int error) const {
    throw InputError("cannot read " + path_ + ": " + std::generic_category().message(error));
  }
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  bool regular_ = false, device_ = false;
  std::uint64_t size_ = 0;
};

}  // namespace nablabragg::io
