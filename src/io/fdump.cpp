// nanoBragg's binary cache of the structure-factor table.  Each axis carries one plane of padding
// after its last index; that is how nanoBragg allocates its table, and the format keeps it.
#include <array>
#include <bit>  // for std::endian
#include <cmath>
#include <cstdio>  // for std::snprintf

#include "io/atomic_file.hpp"
#include "io/input_file.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

static_assert(std::endian::native == std::endian::little,
              "the cache holds doubles as the machine has them");

namespace {

struct Header {
  MillerIndex min{}, max{};
  std::size_t bytes = 0;
};

/// "h_min h_max k_min k_max l_min l_max\n\f".  nanoBragg goes on over any white space and so eats
/// the first value's bytes when they look like it; data start right after the form feed
/// here.
Header read_header(InputFile& file) {
  std::array<char, 128> start{};
  const std::string_view text(start.data(), file.read(start.data(), start.size()));
  const std::size_t end = text.find("\n\f");
  std::string_view rest = text.substr(0, end);
  Header header;
  bool good = end != std::string_view::npos;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto min = parse_number<int>(next_word(rest));
    const auto max = parse_number<int>(next_word(rest));
    good = good && min && max;
    if (!good) break;
    if (*min > *max)
      throw InputError(file.path(), 1,
                       "the range of " + std::string(1, "hkl"[axis]) +
                           " is empty: " + std::to_string(*min) + " to " + std::to_string(*max));
    header.min[axis] = *min;
    header.max[axis] = *max;
  }
  if (!good || !next_word(rest).empty())
    throw InputError(file.path(), 1,
                     "this is no structure-factor cache: it should start with six whole numbers "
                     "(h, k and l range), a newline and a form feed");
  header.bytes = end + 2;
  return header;
}

void check_size(const InputFile& file, const Header& header) {
  double expected = sizeof(double);
  for (std::size_t axis = 0; axis < 3; ++axis)
    expected *= static_cast<double>(header.max[axis]) - static_cast<double>(header.min[axis]) + 2;
  expected += static_cast<double>(header.bytes);
  // Exact as long as files are: below 2^53 bytes.
  if (static_cast<double>(file.size()) != expected) {
    std::array<char, 48> number{};
    std::snprintf(number.data(), number.size(), "%.0f", expected);
    throw InputError(file.path(), 0,
                     "is " + std::to_string(file.size()) +
                         " bytes long, but its header stands for " + number.data() +
                         "; write it again from the list of reflections");
  }
}

StructureFactorGrid make_grid(const std::string& path, const Header& header) {
  try {
    return {header.min, header.max, 0.0};
  } catch (const InputError& error) {
    throw InputError(path, 0, error.what());
  }
}

}  // namespace

StructureFactorGrid read_fdump(const std::string& path) {
  InputFile file(path);
  const Header header = read_header(file);
  check_size(file, header);
  StructureFactorGrid grid = make_grid(path, header);

  const auto columns = static_cast<std::size_t>(grid.extent(2));
  std::vector<double> row(columns + 1);
  const std::size_t row_bytes = row.size() * sizeof(double);
  double* value = grid.values().data();
  file.seek(header.bytes);
  for (int i = 0; i < grid.extent(0); ++i) {
    for (int j = 0; j <= grid.extent(1); ++j) {
      if (file.read(row.data(), row_bytes) != row_bytes)
        throw InputError(path, 0, "ended while it was being read");
      if (j == grid.extent(1)) break;  // padding
      for (std::size_t m = 0; m < columns; ++m) {
        if (!std::isfinite(row[m]))
          throw InputError(path, 0,
                           "holds a structure factor that is no finite number, at h k l = " +
                               std::to_string(header.min[0] + i) + " " +
                               std::to_string(header.min[1] + j) + " " +
                               std::to_string(header.min[2] + static_cast<int>(m)));
        *value++ = row[m];
      }
    }
  }
  return grid;
}

void write_fdump(const std::string& path, const StructureFactorGrid& grid) {
  AtomicFile file(path);
  std::string header;
  for (std::size_t axis = 0; axis < 3; ++axis)
    header += std::to_string(grid.min()[axis]) + " " + std::to_string(grid.max()[axis]) +
              (axis < 2 ? " " : "\n\f");
  file.write(header);

  const auto columns = static_cast<std::size_t>(grid.extent(2));
  const std::vector<double> zeros(columns + 1);
  std::span<const double> rest = grid.values();
  for (int i = 0; i <= grid.extent(0); ++i)
    for (int j = 0; j <= grid.extent(1); ++j) {
      if (i == grid.extent(0) || j == grid.extent(1)) {
        file.write(std::as_bytes(std::span(zeros)));
        continue;
      }
      file.write(std::as_bytes(rest.first(columns)));
      file.write(std::as_bytes(std::span(zeros).first(1)));
      rest = rest.subspan(columns);
    }
  file.commit();
}

}  // namespace nablabragg::io
