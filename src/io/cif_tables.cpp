#include "io/cif_tables.hpp"

#include <cctype>
#include <exception>
#include <new>  // for bad_alloc

#include <gemmi/cif.hpp>

#include "io/gemmi_errors.hpp"

namespace nablabragg::io {

namespace {

namespace cif = gemmi::cif;

std::string small_letters(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string value_of(const std::string& raw) {
  return cif::is_null(raw) ? std::string() : cif::as_string(raw);
}

/// "_axis.id" is {"axis", "id"}; a name without a point has no column.
std::pair<std::string, std::string> parts_of(const std::string& tag) {
  const std::string name = small_letters(tag.substr(1));
  const std::size_t point = name.find('.');
  if (point == std::string::npos) return {name, ""};
  return {name.substr(0, point), name.substr(point + 1)};
}

void add_loop(const cif::Loop& loop, std::map<std::string, CifTable>& tables) {
  if (loop.tags.empty()) return;
  CifTable& table = tables[parts_of(loop.tags[0]).first];
  table = {};
  for (const std::string& tag : loop.tags) table.columns.push_back(parts_of(tag).second);
  for (std::size_t row = 0; row < loop.length(); ++row) {
    table.rows.emplace_back();
    for (std::size_t i = 0; i < loop.tags.size(); ++i)
      table.rows.back().push_back(value_of(loop.val(row, i)));
  }
}

}  // namespace

std::optional<std::size_t> CifTable::column(std::string_view name) const {
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i] == name) return i;
  return std::nullopt;
}

std::map<std::string, CifTable> read_cif_tables(const std::string& path, const std::string& text) {
  std::map<std::string, CifTable> tables;
  try {
    const cif::Document document = cif::read_memory(text.data(), text.size(), path.c_str());
    if (document.blocks.empty()) throw InputError(path, 0, "holds no data block");
    for (const cif::Item& item : document.blocks[0].items) {
      if (item.type == cif::ItemType::Loop) {
        add_loop(item.loop, tables);
      } else if (item.type == cif::ItemType::Pair) {
        const auto [category, column] = parts_of(item.pair[0]);
        CifTable& table = tables[category];
        if (table.rows.size() > 1) continue;  // a loop has the word
        if (table.rows.empty()) table.rows.emplace_back();
        table.columns.push_back(column);
        table.rows[0].push_back(value_of(item.pair[1]));
      }
    }
  } catch (const InputError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw_input_error(path, error.what());
  }
  return tables;
}

}  // namespace nablabragg::io
