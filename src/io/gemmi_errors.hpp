// How failures of gemmi become ours: one InputError that starts with the file and, when gemmi
// knows it, the line.  Strings only: no gemmi type passes through here.
#pragma once
#include <algorithm>       // for replace
#include <cctype>          // for isdigit
#include <gemmi/util.hpp>  // for starts_with, ends_with
#include <string>
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"  // for InputError

namespace nablabragg::io {

/// Rethrows what gemmi, or a reader around it, reported about `path`.  CIF parsers say
/// "PATH:LINE:COLUMN(BYTE): problem", the PDB reader "Problem in line LINE: problem", zlib's "Error
/// reading PATH: PATH: problem", others append ": PATH".
[[noreturn]] inline void throw_input_error(const std::string& path, std::string what) {
  if (gemmi::ends_with(what, ": " + path)) what.resize(what.size() - path.size() - 2);
  for (const std::string& prefix :
       {"Error reading " + path + ": ", path + ": ", path + ":", std::string("Problem in line ")})
    if (gemmi::starts_with(what, prefix)) what.erase(0, prefix.size());
  std::replace(what.begin(), what.end(), '\n', ' ');
  what = printable(what);
  long line = 0;
  std::size_t end = 0;
  while (end < what.size() && end < 9 && std::isdigit(static_cast<unsigned char>(what[end])))
    line = 10 * line + (what[end++] - '0');
  const std::size_t text = what.find(": ", end);
  if (line > 0 && text != std::string::npos) throw InputError(path, line, what.substr(text + 2));
  throw InputError(path, 0, what);
}

}  // namespace nablabragg::io
