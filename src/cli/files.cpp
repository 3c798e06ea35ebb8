#include "cli/files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "flags/inputs.hpp"
#include "io/quotes.hpp"
#include "io/spectra.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

namespace fs = std::filesystem;

/// Endings that promise a format, of files that people of this field exchange.
constexpr std::array telling_endings{".bmp",  ".cbf", ".cif",  ".cxi",  ".edf",  ".ent",
                                     ".gif",  ".h5",  ".hdf5", ".jpeg", ".jpg",  ".mtz",
                                     ".json", ".npy", ".npz",  ".nxs",  ".pdb",  ".pdf",
                                     ".pgm",  ".png", ".svg",  ".tif",  ".tiff", ".webp"};

struct Written {
  const char *flag, *ending, *format;
  std::string name;
};

bool promises_another_format(const Written& file) {
  const std::string ending = ending_of(file.name);
  return ending != file.ending &&
         std::find(telling_endings.begin(), telling_endings.end(), ending) != telling_endings.end();
}

std::string sentence(const Written& file) {
  return std::string(file.flag) + " writes " + file.format + ", and the ending of " +
         io::quoted_name(file.name) + " promises another format; " +
         io::quoted_name(fs::path(file.name).replace_extension(file.ending).string()) +
         " would say what it is";
}

}  // namespace

std::string ending_of(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return ending;
}

bool wanted(const flags::Request& request, const flags::OutputName& file) {
  return file.on &&
         (file.named || (request.experiment.quirks.unnamed_files && request.output_files.empty()));
}

std::vector<io::NamedFile> inputs_of(const flags::Request& request) {
  std::vector<io::NamedFile> files{
      {"-mat", request.matrix_file},        {"-hkl", request.hkl_file},
      {"-sourcefile", request.source_file}, {"-spectrum", request.spectrum_file},
      {"-img", request.image_file},         {"-mask", request.mask_file}};
  if (std::error_code error; std::filesystem::is_regular_file(request.geometry_file, error))
    files.push_back({"the geometry's file", request.geometry_file});
  if (!request.orientations.empty() && !flags::random_orientations_seed(request))
    files.push_back({"-orientations", request.orientations});
  if (!request.spectra_file.empty())
    files.push_back({"-spectra", io::place_of_spectra(request.spectra_file).file});
  files.push_back({"-calibration_map", request.calibration_map_file});
  files.push_back({"-gain_map", request.gain_map_file});
  for (const auto& [element, name] : request.dispersion_files)
    files.push_back({"-anomalous", name});
  for (const std::string& name : request.stol_files) files.push_back({"-stol", name});
  for (const auto& background : request.backgrounds)
    files.push_back({"-background", background.file});
  if (request.hkl_file.empty() && request.may_use_cache())
    files.push_back({"-dump", request.cache_file});
  std::erase_if(files, [](const io::NamedFile& file) { return file.path.empty(); });
  return files;
}

std::vector<io::NamedFile> outputs_of(const flags::Request& request) {
  std::vector<io::NamedFile> files;
  const auto add = [&](const std::string& flag, const flags::OutputName& file) {
    if (wanted(request, file))
      files.push_back({file.named ? flag : flag + ", which has its default name,", file.name});
  };
  add("-floatfile", request.float_file);
  add("-intfile", request.int_file);
  add("-pgmfile", request.pgm_file);
  add("-noisefile", request.noise_file);
  for (const std::string& name : request.output_files) files.push_back({"-o", name});
  if (!request.png_file.empty()) files.push_back({"-pngfile", request.png_file});
  if (!request.truth_file.empty()) files.push_back({"-truth", request.truth_file});
  if (!request.profile_file.empty()) files.push_back({"-profile", request.profile_file});
  if (!request.hkl_file.empty() && request.may_use_cache()) {
    if (request.cache_file == "-")
      throw UsageError("-dump - would be a cache that no later run can read; give it a file");
    files.push_back({request.cache_named
                         ? "-dump"
                         : "the structure-factor cache, which -dump names and -nocache leaves out,",
                     request.cache_file});
  }
  if (request.trace_pixel && request.trace_format == flags::TraceFormat::json)
    files.push_back({"-trace_format json", "-"});
  return files;
}

void check_files(const std::vector<io::NamedFile>& inputs,
                 const std::vector<io::NamedFile>& outputs) {
  io::check_distinct(inputs, outputs);
  io::check_apart_from_streams(inputs, outputs);
}

std::vector<std::string> check_endings(const flags::Request& request) {
  std::vector<std::string> lines;
  const auto name_of = [&](const flags::OutputName& file) {
    return wanted(request, file) ? file.name : "";
  };
  for (const Written& file :
       {Written{"-floatfile", ".bin", "raw floats", name_of(request.float_file)},
        Written{"-intfile", ".img", "an SMV image", name_of(request.int_file)},
        Written{"-noisefile", ".img", "an SMV image", name_of(request.noise_file)},
        Written{"-pgmfile", ".pgm", "a portable greymap", name_of(request.pgm_file)}}) {
    if (!promises_another_format(file)) continue;
    if (!request.experiment.quirks.unnamed_files) throw UsageError(sentence(file));
    lines.push_back(sentence(file));
  }
  for (const Written& file : {Written{"-pngfile", ".png", "a PNG picture", request.png_file},
                              Written{"-profile", ".json", "JSON", request.profile_file}})
    if (promises_another_format(file)) throw UsageError(sentence(file));
  return lines;
}

}  // namespace nablabragg::cli
