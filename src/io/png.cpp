// PNG pictures through libspng, row by row so that no second image is held.
#include "io/png.hpp"

#include <spng.h>

#include <algorithm>
#include <exception>  // for std::exception_ptr
#include <memory>
#include <vector>

#include "io/atomic_file.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

namespace {

/// Where libspng writes.  Exceptions must not pass through its C code, so one waits here.
struct Sink {
  AtomicFile file;
  std::exception_ptr failure;
};

int write_to_sink(spng_ctx*, void* user, void* bytes, std::size_t length) {
  auto& sink = *static_cast<Sink*>(user);
  try {
    sink.file.write({static_cast<const std::byte*>(bytes), length});
    return SPNG_OK;
  } catch (...) {
    sink.failure = std::current_exception();
    return SPNG_IO_ERROR;
  }
}

struct Free {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};

void check(const Sink& sink, int result) {
  if (sink.failure) std::rethrow_exception(sink.failure);
  if (result != SPNG_OK && result != SPNG_EOI)
    throw OutputError("cannot write " + sink.file.path() + ": " + spng_strerror(result));
}

}  // namespace

void write_png(const std::string& path, int fast_pixels, int slow_pixels, int bits,
               const FillRow<std::uint16_t>& fill, std::span<const PngText> texts, int channels) {
  Sink sink{AtomicFile(path), nullptr};
  const std::unique_ptr<spng_ctx, Free> context(spng_ctx_new(SPNG_CTX_ENCODER));
  if (!context) check(sink, SPNG_EMEM);
  check(sink, spng_set_png_stream(context.get(), write_to_sink, &sink));
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(fast_pixels);
  header.height = static_cast<std::uint32_t>(slow_pixels);
  header.bit_depth = static_cast<std::uint8_t>(bits);
  header.color_type = channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR : SPNG_COLOR_TYPE_GRAYSCALE;
  check(sink, spng_set_ihdr(context.get(), &header));
  std::vector<spng_text> chunks(texts.size());  // which point to `texts`
  for (std::size_t i = 0; i < texts.size(); ++i) {
    chunks[i].type = SPNG_TEXT;
    texts[i].keyword.copy(chunks[i].keyword, sizeof chunks[i].keyword - 1);
    chunks[i].text = const_cast<char*>(texts[i].text.c_str());
    chunks[i].length = texts[i].text.size();
  }
  if (!chunks.empty())
    check(sink,
          spng_set_text(context.get(), chunks.data(), static_cast<std::uint32_t>(chunks.size())));
  // Photon noise does not compress: more effort takes ten times as long for the same size.
  check(sink, spng_set_option(context.get(), SPNG_IMG_COMPRESSION_LEVEL, 1));
  check(sink, spng_set_option(context.get(), SPNG_FILTER_CHOICE, SPNG_DISABLE_FILTERING));
  // SPNG_FMT_PNG takes 16-bit samples in the machine's byte order.
  check(sink, spng_encode_image(context.get(), nullptr, 0, SPNG_FMT_PNG,
                                SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE));
  std::vector<std::uint16_t> row(static_cast<std::size_t>(fast_pixels) *
                                 static_cast<std::size_t>(channels));
  std::vector<std::uint8_t> narrow(bits == 8 ? row.size() : 0);
  for (int slow = 0; slow < slow_pixels; ++slow) {
    fill(slow, row);
    if (bits == 8) {
      std::transform(row.begin(), row.end(), narrow.begin(), [](std::uint16_t v) {
        return static_cast<std::uint8_t>(std::min<int>(v, 255));
      });
      check(sink, spng_encode_row(context.get(), narrow.data(), narrow.size()));
    } else {
      check(sink, spng_encode_row(context.get(), row.data(), row.size() * sizeof(std::uint16_t)));
    }
  }
  sink.file.commit();
}

FileFormat png_format() {
  return {.name = "PNG",
          .endings = {".png"},
          .written = "a picture, as `-pngfile` makes it",
          .geometry = "all panels in their places",
          .write_picture = write_png};
}

}  // namespace nablabragg::io
