// Many images in several NXmx files, each with columns of numbers about its images, and one file
// that shows all of them as one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>
#include "nablabragg/image_files.hpp"

namespace nablabragg::io {

/// Numbers about each image, or about each of other things that are listed.
struct ShotColumn {
  std::string name;
  std::vector<std::size_t> row;  ///< the shape of what one has; empty: a number
  std::string unit;              ///< empty: none
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::int32_t>,
               std::vector<std::uint8_t>>
      values;
};

/// Columns of one length, in a group of the file's root.
struct ShotTable {
  std::string group;  ///< "shots"; "shots/reflections" lies in another one
  std::vector<ShotColumn> columns;
};

/// Packs images as SeriesWriter does, without a file; by several threads at a time.
class ImagePacker {
 public:
  virtual ~ImagePacker() = default;
  virtual std::vector<std::byte> pack(std::span<const std::int32_t> counts) const = 0;
  virtual std::vector<std::byte> pack(std::span<const float> photons) const = 0;
  /// A byte for each pixel of the panels, as ShardWriter::put_mask() takes it.
  virtual std::vector<std::byte> pack_mask(std::span<const std::uint8_t> mask) const = 0;
};

/// What it packs, writers of shards of that series put(); errors name `path`.
std::unique_ptr<ImagePacker> nxmx_packer(const std::string& path, const ImageSeries& series);

class ShardWriter : public SeriesWriter {
 public:
  /// Once, before close().  A table that lies in the group of another one stands behind it.
  virtual void put_tables(std::span<const ShotTable> tables) = 0;
  /// That of the next image, before put().
  virtual void put_mask(std::span<const std::byte> packed) = 0;
};

/// As open_nxmx(); the file gets its name at close(), and where the program ends before nothing of
/// it stays.  `masks`: the path of the data set of masks, in a group of the root; empty: none.
std::unique_ptr<ShardWriter> open_nxmx_shard(const std::string& path, const ImageSeries& series,
                                             const std::string& masks = {});

/// Bytes of a packed image, and of its mask; no mask: 0.
struct PackedSizes {
  std::size_t image = 0, mask = 0;
};

/// NXmx of all images whose packed pixels and columns are still to come, from as many processes as
/// there are, through a LaidOutFile.
class NxmxLayout {
 public:
  virtual ~NxmxLayout() = default;
  /// All is in it: it gets its name.
  virtual void commit() = 0;
};

/// `unfinished`: its name until then, which the caller removes where it does not come to that.  Of
/// `tables` the columns, without values, of which `rows` are to come; images are deflated.  Throws
/// as open_nxmx(), and OutputError where the disk has no room for all of it.
std::unique_ptr<NxmxLayout> lay_out_nxmx(const std::string& path, const std::string& unfinished,
                                         const ImageSeries& series,
                                         std::span<const PackedSizes> sizes,
                                         std::span<const ShotTable> tables,
                                         const std::vector<std::size_t>& rows,
                                         const std::string& masks);

/// Where it has the packed images: "/entry/data/data".
inline constexpr const char* nxmx_images = "/entry/data/data";

/// A complete shard, of which the file of all shows `images` and so many rows of each table.
struct Shard {
  std::string file;  ///< as the file of all names it, in whose folder it looks
  std::size_t images = 0;
  std::vector<std::size_t> rows;  ///< of each table
};

/// NXmx of all images, whose pixels and columns are virtual data sets: those of the shards, one
/// after the other.  The columns' values do not matter.  `series.spectra` is null; where
/// `spectrum_wavelengths_A` are given the shards have spectra on this one axis, and they are shown
/// as well, as are `masks`.
void write_nxmx_of_shards(const std::string& path, const ImageSeries& series,
                          std::span<const Shard> shards, std::span<const ShotTable> tables,
                          const std::vector<double>& spectrum_wavelengths_A,
                          const std::string& masks = {});

}  // namespace nablabragg::io
