// The binary sections of CBF files: pixels behind a header of their own, in the midst of CIF text.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "io/input_bytes.hpp"

namespace nablabragg::io {

/// Lines as CBF files have them: with a carriage return, which some readers look for, or bare.
enum class CbfLines { with_return, bare };

/// A text whose lines are bare.
std::string cbf_lines(std::string text, CbfLines lines);

/// A section with byte-offset compression and its MD5, from boundary to boundary.
std::string cbf_section(std::span<const std::int32_t> pixels, int binary_id, int fast_pixels,
                        int slow_pixels, CbfLines lines);

struct CbfSection {
  std::string_view header;  ///< "X-Binary-Size: 12" and the like, a line each
  std::string_view bytes;   ///< still compressed
  std::uint64_t elements = 0;
  std::uint64_t fast = 0, slow = 0, sections = 1;
};

struct CbfFile {
  std::string path;
  std::string bytes;
  /// Without the sections: where one was stands "binary section N", N from 0.
  std::string text;
  std::vector<CbfSection> sections;  ///< which point into `bytes`

  CbfFile() = default;
  CbfFile(const CbfFile&) = delete;
  CbfFile& operator=(const CbfFile&) = delete;
};

/// Takes the file apart.  Throws InputError for what is none, and for sections that end early or do
/// not say what is needed.
void read_cbf_file(const std::string& path, CbfFile& file);

/// Throws InputError where the header does not say how many pixels there are along both axes, names
/// another number of all, or more than any detector has.
void check_dimensions(const CbfFile& file, const CbfSection& section);

/// Its numbers.  Throws InputError for compressions other than byte offsets or none, by name, where
/// the bytes are not what the header says, and where they do not have its MD5.
std::vector<double> pixels_of(const CbfFile& file, const CbfSection& section);

}  // namespace nablabragg::io
