// Hands bytes to a reader of files.  A reader may return or throw an Error; anything else that it
// throws ends the fuzzer, which then keeps the input.
#pragma once
#include <sys/mman.h>  // for memfd_create
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>  // for abort
#include <string>
#include "nablabragg/error.hpp"

namespace nablabragg::fuzz {

/// Calls read(path) with a file in memory that holds the bytes.
template <class Read>
void read_bytes(const std::uint8_t* data, std::size_t size, Read&& read) {
  const int file = memfd_create("input", MFD_CLOEXEC);
  if (file < 0) std::abort();
  for (std::size_t written = 0; written < size;) {
    const ssize_t n = write(file, data + written, size - written);
    if (n <= 0) std::abort();
    written += static_cast<std::size_t>(n);
  }
  try {
    read("/proc/self/fd/" + std::to_string(file));
  } catch (const Error&) {
  }
  close(file);
}

}  // namespace nablabragg::fuzz
