// The arrays of a .npz of numpy: a ZIP archive, which minizip reads, of .npy files.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include "io/hdf5_reader.hpp"  // for Shape

namespace nablabragg::io {

/// What is damaged, missing or no array of numbers is an InputError that names file and array.  An
/// hdf5::Session, whose library converts the numbers, must live while an NpzFile does.
class NpzFile {
 public:
  /// Reads the list of arrays; what is in them is read when it is asked for.
  explicit NpzFile(const std::string& path);

  [[noreturn]] void fail(const std::string& problem) const;
  [[noreturn]] void fail(const std::string& array, const std::string& problem) const;

  /// By the name that it has in np.load.
  bool has(const std::string& array) const { return places_.contains(array); }
  /// Of all arrays, in quotes.
  std::string names() const;

  hdf5::Shape shape(const std::string& array) const;
  /// All of an array that has no more numbers than `most`, row by row.
  std::vector<double> numbers(const std::string& array, hsize_t most) const;

 private:
  class Entry;
  /// In the archive's list.
  struct Place {
    std::uint64_t offset = 0, number = 0;
  };
  struct Close {
    void operator()(void* archive) const;
  };

  std::string path_;
  std::unique_ptr<void, Close> archive_;
  std::map<std::string, Place> places_;
};

}  // namespace nablabragg::io
