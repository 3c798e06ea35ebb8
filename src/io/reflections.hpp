// The readers of reflections, on inputs that are open already.
//
// Kept to C++17, as crystallography.hpp.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "io/input_bytes.hpp"
#include "nablabragg/crystallography.hpp"
#include "nablabragg/reflection.hpp"

namespace nablabragg::io {

// Beyond this an index is a damaged file, and sums of index products could overflow.
constexpr int max_index = 100000;

/// Six positive finite numbers.
inline bool is_cell(const CellNumbers& numbers) {
  for (const double number : numbers)
    if (!(number > 0 && number < 1e300)) return false;
  return true;
}

ReflectionFile read_mtz(const InputBytes& input, const std::string& column);
ReflectionFile read_sf_mmcif(const InputBytes& input, const std::string& column);

/// Says that it is a model and what to do with it.
[[noreturn]] void fail_as_model(const std::string& path);

/// "h k l F" a line; of `column` I intensities, whose roots are taken, of F amplitudes, whatever
/// the list looks like.
ReflectionFile read_text_table(Input input, const std::string& column);

/// A list that another program wrote, where its head shows for sure that it is one; throws
/// InputError, naming the program, for those that cannot be read.  Empty: none that is known, and
/// all of `input` is there to be read.  `column` says what SHELX lists hold: I or F.
std::optional<ReflectionFile> read_foreign_list(Input& input, const std::string& column);

}  // namespace nablabragg::io
