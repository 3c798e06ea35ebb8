// Tables of two columns of numbers, which spectra and scattering are written as.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace nablabragg::io {

struct TwoColumnRow {
  double first, second;
  long line;
};

/// The rows, and the lines before them.
struct TwoColumns {
  std::vector<TwoColumnRow> rows;
  std::vector<std::string> titles;
};

/// What errors call a table and its columns.
struct TableWords {
  const char *table, *first, *second;
};

/// White space, commas and semicolons separate columns, # begins a comment.  Throws InputError for
/// rows that are none and for a file without rows.
TwoColumns read_two_columns(const std::string& path, const TableWords& words);

}  // namespace nablabragg::io
