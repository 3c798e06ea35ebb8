// Pictures in a terminal.
#pragma once
#include <ostream>
#include "nablabragg/picture.hpp"

namespace nablabragg::cli {

enum class TerminalPicture {
  blocks,  ///< upper half blocks: two points a character, in 24-bit colour
  sixel    ///< the pixels of DEC's VT300 series, 256 colours at most
};

/// A picture of 8 bits.
void write_in_terminal(std::ostream& out, const Picture& picture, TerminalPicture kind);

}  // namespace nablabragg::cli
