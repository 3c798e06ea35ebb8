// Files of HDF5 that have room for numbers which come later, from one process or several.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace nablabragg::io {

/// Such a file, open.  Only room that there is is written into, so that several may write at a
/// time, each another part.  Its functions throw OutputError.
class LaidOutFile {
 public:
  virtual ~LaidOutFile() = default;
  /// The packed bytes of an image, as many as its data set has room for.
  virtual void put_image(const std::string& data_set, std::uint64_t image,
                         std::span<const std::byte> packed) = 0;
  /// Rows from `first` on, in the type that the data set has.
  virtual void put_rows(const std::string& data_set, std::uint64_t first,
                        std::span<const std::byte> rows) = 0;
  /// All was written.
  virtual void close() = 0;
};

/// By this process.  Throws OutputError.
std::unique_ptr<LaidOutFile> open_laid_out(const std::string& path);

}  // namespace nablabragg::io
