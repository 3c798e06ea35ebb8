// Shots that are complete while their shard is not: packed images and labels in a file of the rank
// that made them, until the shard is put together.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>
#include "ensemble/labels.hpp"
#include "io/nxmx_shards.hpp"     // for PackedSizes
#include "io/series_journal.hpp"  // for DoneFile

namespace nablabragg::ensemble {

/// A shot as its shard gets it.
struct PackedShot {
  ShotLabels labels;
  std::vector<std::byte> image, mask;  ///< no mask: empty
};

/// Some shots, written one behind the other at the end of a file.
class PartWriter {
 public:
  /// Throws OutputError, as put().
  explicit PartWriter(std::string path);
  PartWriter(const PartWriter&) = delete;
  PartWriter& operator=(const PartWriter&) = delete;
  ~PartWriter();

  void put(const PackedShot& shot);
  /// Where they lie, with their SHA-256, when all are written.
  io::DoneFile close();

 private:
  void close_descriptor();

  std::string path_;
  int descriptor_ = -1;
  io::DoneFile done_;
  io::Sha256 sum_;
};

/// What a shot of a part takes in a file of all shots.
struct ShotSize {
  io::PackedSizes packed;
  std::size_t reflections = 0;
};

/// Of the shots of a part, in their order.  Throws as read_part(), which looks at all of it.
std::vector<ShotSize> sizes_of_part(const io::DoneFile& part, const std::string& path);

/// Hands on the shots of a part, in the order in which they were put.  Throws InputError where they
/// are not what was written.
void read_part(const io::DoneFile& part, const std::string& path,
               const std::function<void(PackedShot)>& take);

}  // namespace nablabragg::ensemble
