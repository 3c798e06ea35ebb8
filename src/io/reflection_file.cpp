#include <fstream>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::io {

namespace {

enum class TableKind { text, mtz, mmcif };

/// By content, since downloads lose their extensions; what is compressed goes by its name.
TableKind kind_of(const std::string& path) {
  if (path.ends_with(".cif.gz") || path.ends_with(".ent.gz")) return TableKind::mmcif;
  std::ifstream in(path, std::ios::binary);
  std::string line;
  while (std::getline(in, line) && line.size() < 4096) {
    if (line.starts_with("MTZ ")) return TableKind::mtz;
    if (line.starts_with("data_")) return TableKind::mmcif;
    if (!line.empty() && line[0] != '#' && line.find_first_not_of(" \t\r") != std::string::npos)
      break;
  }
  return TableKind::text;
}

}  // namespace

std::vector<Reflection> read_reflections(const std::string& path, const std::string& column) {
  switch (kind_of(path)) {
    case TableKind::mtz:
      return read_mtz(path, column);
    case TableKind::mmcif:
      return read_sf_mmcif(path, column);
    case TableKind::text:
      break;
  }
  if (!column.empty())
    throw UsageError("a column is named (" + column + "), and " + path +
                     " is neither an MTZ nor an SF-mmCIF file");
  return read_hkl(path);
}

}  // namespace nablabragg::io
