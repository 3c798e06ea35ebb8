// A file of reflections, whatever its format: which one it is, its bytes say.
#include "io/reflections.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

namespace {

/// As much of the beginning as tells what the input is.
std::string_view telling_head(Input& input) {
  std::size_t bytes = 4096;
  constexpr std::size_t most_bytes = std::size_t{1} << 22;
  while (is_only_comment(input.head(bytes)) && input.head(bytes).size() == bytes &&
         bytes < most_bytes)
    bytes *= 4;
  return input.head(bytes);
}

}  // namespace

std::vector<Reflection> read_reflections(const std::string& path, const std::string& column) {
  Input input(path);
  const std::string_view head = telling_head(input);
  if (begins_as_mtz(head)) return read_mtz({path, input.read_rest(most_input_bytes)}, column);
  if (begins_as_cif(head)) return read_sf_mmcif({path, input.read_rest(most_input_bytes)}, column);
  if (!column.empty())
    throw UsageError("a column is named (" + column + "), and " + path +
                     " is neither an MTZ nor an SF-mmCIF file");
  return read_hkl(std::move(input));
}

}  // namespace nablabragg::io
