// What HDF5's filters shuffle and deflate make of a chunk, by all threads.
#pragma once
#include <cstddef>
#include <vector>

namespace nablabragg::io {

/// The bytes of elements of `width` bytes, all first bytes before all second ones and so on, as one
/// zlib stream.  It is cut into blocks that do not look at each other, so the result is the same on
/// any number of threads, and anything that inflates zlib's streams reads it.  `level` is zlib's.
/// The elements are given up before the stream is put together.
/// Throws std::bad_alloc.
std::vector<std::byte> shuffle_and_deflate(std::vector<std::byte> elements, std::size_t width,
                                           int level);

}  // namespace nablabragg::io
