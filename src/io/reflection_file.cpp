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

std::string counted(long count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

void fail_as_model(const std::string& path) {
  throw InputError(path, 0,
                   "is an atomic model, which holds no reflections; nablabragg fcalc calculates "
                   "them: nablabragg fcalc " +
                       path +
                       " -dmin 2 -o F.hkl (or -model_dmin 2 behind -hkl, at the light's energy)");
}

ReflectionFile read_reflections(const std::string& path, const std::string& column) {
  Input input(path);
  const std::string_view head = telling_head(input);
  refuse_binary(path, head,
                "which holds no structure factors; they are read from MTZ, CIF and text files");
  if (begins_as_mtz(head)) return read_mtz({path, input.read_rest(most_input_bytes)}, column);
  if (begins_as_cif(head)) return read_sf_mmcif({path, input.read_rest(most_input_bytes)}, column);
  if (auto list = read_foreign_list(input, column)) return *std::move(list);
  if (!column.empty() && column != "I" && column != "F")
    throw UsageError("a column is named (" + column + "), and " + path +
                     " is neither an MTZ nor an SF-mmCIF file; of a text I or F may be named");
  return read_text_table(std::move(input), column);
}

std::string origin_of(const ReflectionFile& file) {
  if (file.taken.empty()) return {};
  std::string text = file.path + ": " + file.taken;
  if (!file.space_group.empty()) text += ", expanded by " + file.space_group;
  if (file.missing > 0) text += ", " + counted(file.missing, "row", "rows") + " without a value";
  if (file.repeated > 0)
    text += ", " + counted(file.repeated, "reflection", "reflections") + " in several rows";
  return text;
}

std::vector<std::string> notices_of(const ReflectionFile& file) {
  std::vector<std::string> notices;
  if (file.rejected > 0)
    notices.push_back(counted(file.rejected, "row is", "rows are") +
                      " left out, marked as unreliable or absent by symmetry");
  if (file.negative > 0)
    notices.push_back(
        counted(file.negative, "negative intensity has", "negative intensities have") +
        " no root and " + (file.negative == 1 ? "is" : "are") + " left out");
  if (file.contradicting > 0) {
    const MillerIndex& hkl = file.first_contradiction;
    notices.push_back(counted(file.contradicting, "reflection stands", "reflections stand") +
                      " in several rows that disagree, the first at " + std::to_string(hkl[0]) +
                      " " + std::to_string(hkl[1]) + " " + std::to_string(hkl[2]) +
                      "; the last row counts");
  }
  if (file.hands_differ > 0) {
    const MillerIndex& hkl = file.first_differing_hands;
    notices.push_back(
        counted(file.hands_differ, "centric reflection has", "centric reflections have") +
        " an F(+) and an F(-) that disagree, the first at " + std::to_string(hkl[0]) + " " +
        std::to_string(hkl[1]) + " " + std::to_string(hkl[2]) + "; F(-) counts");
  }
  notices.insert(notices.end(), file.remarks.begin(), file.remarks.end());
  for (std::string& notice : notices) notice.insert(0, file.path + ": ");
  return notices;
}

}  // namespace nablabragg::io
