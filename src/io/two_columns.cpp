#include "io/two_columns.hpp"

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

TwoColumns read_two_columns(const std::string& path, const TableWords& words) {
  constexpr std::string_view separators = ",;\"";  // quotes as tables in CSV have them
  const std::string text = read_text(path);
  TwoColumns table;
  Lines lines(text);
  while (lines.next()) {
    std::string_view rest = without_comment(lines.line());
    const std::string_view first = next_word(rest, separators),
                           second = next_word(rest, separators),
                           third = next_word(rest, separators);
    // A row that is none may stand at the beginning, too
    const bool is_title = first.empty() || std::string_view("0123456789+-.").find(first[0]) ==
                                               std::string_view::npos;
    if (is_title && !parse_number<double>(first) && table.rows.empty()) {
      table.titles.emplace_back(lines.line());
      continue;
    }
    if (first.empty()) continue;
    if (second.empty() || !third.empty())
      throw InputError(path, lines.number(),
                       std::string("has ") +
                           (second.empty() ? "one column" : "more than two columns") + "; a " +
                           words.table + " has two: " + words.first + ", and " + words.second);
    table.rows.push_back({finite_number(path, lines.number(), words.first, first),
                          finite_number(path, lines.number(), words.second, second),
                          lines.number()});
  }
  if (table.rows.empty())
    throw InputError(path, 0,
                     std::string("holds no rows of ") + words.first + " and " + words.second);
  return table;
}

}  // namespace nablabragg::io
