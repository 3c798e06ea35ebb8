// The categories of a CIF text as tables of words; gemmi stays behind it.  C++17, as gemmi_errors.
#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::io {

/// A category: "_axis.id" is column "id" of table "axis".  Names are in small letters, values
/// without their quotes; empty where the file has "." or "?".
struct CifTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  std::optional<std::size_t> column(std::string_view name) const;
};

/// All of the first data block.  Throws InputError where it is no CIF.
std::map<std::string, CifTable> read_cif_tables(const std::string& path, const std::string& text);

}  // namespace nablabragg::io
