// A .npz as numpy writes it, for readers to read.
#pragma once
#include <minizip/zip.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::test {

/// The .npy of an array: what numpy's format says, of `type` ("<f8") and shape ("(2, 3)").
inline std::string npy(std::string_view type, std::string_view shape, std::string_view numbers,
                       std::string_view by_columns = "False") {
  std::string header = "{'descr': '" + std::string(type) +
                       "', 'fortran_order': " + std::string(by_columns) +
                       ", 'shape': " + std::string(shape) + ", }";
  header.append(63 - (10 + header.size()) % 64, ' ').append(1, '\n');
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(numbers);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(sizeof(T) * values.size(), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

class NpzFile {
 public:
  explicit NpzFile(const std::string& path)
      : archive_(zipOpen64(path.c_str(), APPEND_STATUS_CREATE)) {}
  NpzFile(const NpzFile&) = delete;
  NpzFile& operator=(const NpzFile&) = delete;
  ~NpzFile() { zipClose(archive_, nullptr); }

  /// `method`: 0 stores, as np.savez does, Z_DEFLATED packs, as np.savez_compressed.
  void file(const std::string& name, std::string_view content, int method = 0) {
    const zip_fileinfo about{};
    zipOpenNewFileInZip(archive_, name.c_str(), &about, nullptr, 0, nullptr, 0, nullptr, method, 6);
    zipWriteInFileInZip(archive_, content.data(), static_cast<unsigned>(content.size()));
    zipCloseFileInZip(archive_);
  }
  void numbers(const std::string& name, const std::vector<double>& values, const std::string& shape,
               int method = 0) {
    file(name + ".npy", npy("<f8", shape, bytes_of(values)), method);
  }

 private:
  zipFile archive_;
};

}  // namespace nablabragg::test
