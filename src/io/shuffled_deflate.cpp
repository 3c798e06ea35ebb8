#include "io/shuffled_deflate.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>  // for memmove
#include <new>      // for std::bad_alloc
#include <span>

namespace nablabragg::io {

namespace {

/// Large against the 32 KiB that deflate looks back, small against an image.
constexpr std::size_t block_bytes = std::size_t{1} << 19;

/// Bytes [begin, end) of the shuffled elements.
void shuffle_part(std::span<const std::byte> elements, std::size_t width, std::size_t begin,
                  std::size_t end, std::byte* to) {
  const std::size_t count = elements.size() / width;
  while (begin < end) {
    const std::size_t byte = begin / count, first = begin % count;
    const std::size_t here = std::min(end - begin, count - first);
    const std::byte* const from = elements.data() + first * width + byte;
    if (width == 4)  // known to the compiler
      for (std::size_t i = 0; i < here; ++i) to[i] = from[4 * i];
    else
      for (std::size_t i = 0; i < here; ++i) to[i] = from[width * i];
    to += here;
    begin += here;
  }
}

struct Block {
  std::size_t bytes = 0;
  uLong adler = 0;
};

/// What any block takes at most; a flush takes up to five bytes, and more room than it takes ends
/// it.
std::size_t room_of_block() { return compressBound(uLong{block_bytes}) + 16; }

Block deflate_block(std::span<const std::byte> bytes, bool last, int level,
                    std::span<std::byte> room) {
  z_stream stream{};
  constexpr int raw = -MAX_WBITS, usual_memory = 8;
  if (deflateInit2(&stream, level, Z_DEFLATED, raw, usual_memory, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  struct End {
    z_stream* stream;
    ~End() { deflateEnd(stream); }
  } const end{&stream};
  auto* const input = reinterpret_cast<const Bytef*>(bytes.data());
  stream.next_in = const_cast<Bytef*>(input);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(room.data());
  stream.avail_out = static_cast<uInt>(room.size());
  deflate(&stream, last ? Z_FINISH : Z_SYNC_FLUSH);
  return {room.size() - stream.avail_out,
          adler32(adler32(0, nullptr, 0), input, static_cast<uInt>(bytes.size()))};
}

}  // namespace

std::vector<std::byte> shuffle_and_deflate(std::vector<std::byte> elements, std::size_t width,
                                           int level) {
  const std::size_t size = elements.size();
  const std::size_t count = std::max<std::size_t>(1, (size + block_bytes - 1) / block_bytes);
  const auto length_of = [&](std::size_t i) {
    return std::min(size - i * block_bytes, block_bytes);
  };
  // RFC 1950: method and window, no dictionary, and the check of these two bytes; the checksum.
  constexpr std::byte head[] = {std::byte{0x78}, std::byte{0x01}};
  constexpr std::size_t checksum_bytes = 4;
  // Blocks are deflated in one piece of memory and pushed together there: of many small pieces,
  // each of the thread that deflates it, freed memory is not given back.
  const std::size_t room = room_of_block();
  std::vector<std::byte> stream(sizeof head + count * room + checksum_bytes);
  std::copy(std::begin(head), std::end(head), stream.begin());
  const auto room_for = [&](std::size_t i) {
    return std::span(stream).subspan(sizeof head + i * room, room);
  };
  std::vector<Block> blocks(count);
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, count, 1),
      [&](const tbb::blocked_range<std::size_t>& range) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) {
          std::vector<std::byte> shuffled(length_of(i));
          shuffle_part(elements, width, i * block_bytes, i * block_bytes + shuffled.size(),
                       shuffled.data());
          blocks[i] = deflate_block(shuffled, i + 1 == count, level, room_for(i));
        }
      },
      tbb::simple_partitioner());
  elements = {};

  uLong adler = adler32(0, nullptr, 0);
  std::size_t bytes = sizeof head;
  for (std::size_t i = 0; i < count; ++i) {
    adler = adler32_combine(adler, blocks[i].adler, static_cast<z_off_t>(length_of(i)));
    std::memmove(stream.data() + bytes, room_for(i).data(), blocks[i].bytes);
    bytes += blocks[i].bytes;
  }
  for (int shift = 24; shift >= 0; shift -= 8)
    stream[bytes++] = static_cast<std::byte>((adler >> shift) & 0xFF);
  stream.resize(bytes);
  return stream;
}

}  // namespace nablabragg::io
