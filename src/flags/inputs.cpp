#include "flags/inputs.hpp"

#include <ctime>
#include <filesystem>
#include <memory>

#include "model/panel.hpp"
#include "model/rays.hpp"
#include "model/resolve.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::flags {

namespace {

std::vector<Reflection> read_table(const Request& request) {
  try {
    return io::read_reflections(request.hkl_file, request.hkl_column);
  } catch (const UsageError& error) {
    throw UsageError(std::string("-hkl_column: ") + error.what());
  }
}

std::shared_ptr<StructureFactorGrid> read_cache(const std::string& path) {
  try {
    return std::make_shared<StructureFactorGrid>(io::read_fdump(path));
  } catch (const InputError& error) {
    throw InputError(std::string(error.what()) + "; -nocache runs without this cache");
  }
}

void load_table(Request& request) {
  StructureFactors& factors = request.experiment.structure_factors;
  const Quirks& quirks = request.experiment.quirks;

  if (!request.hkl_file.empty()) {
    const auto reflections = read_table(request);
    std::shared_ptr<StructureFactorGrid> grid;
    try {
      grid = std::make_shared<StructureFactorGrid>(
          StructureFactorGrid::from_reflections(reflections, factors.default_F));
    } catch (const InputError& error) {
      throw InputError(request.hkl_file, 0, error.what());
    }
    request.table_entries = static_cast<std::int64_t>(reflections.size());
    if (request.may_use_cache()) {
      request.writes_cache = true;
      request.cache_message = "writing the structure-factor cache " + request.cache_file +
                              " for runs without -hkl";
    }
    factors.grid = std::move(grid);
  } else if (request.may_use_cache() && std::filesystem::exists(request.cache_file)) {
    auto grid = read_cache(request.cache_file);
    if (!quirks.cache_without_default)
      for (double& value : grid->values())
        if (value == 0) value = factors.default_F;
    request.table_entries = static_cast<std::int64_t>(grid->values().size());
    request.cache_message = "reading structure factors from the cache " + request.cache_file +
                            " (-nocache ignores it)";
    factors.grid = std::move(grid);
  } else if (factors.default_F == 0) {
    throw UsageError(
        "there are no structure factors; give -hkl FILE, or -default_F for the same amplitude "
        "everywhere");
  }
}

void load_sources(Request& request) {
  if (request.source_file.empty()) return;
  Beam& beam = request.experiment.beam;
  const Vec3d towards = -beam.direction.value_or(
      model::convention_frame(request.experiment.detector.convention).beam);
  beam.sources = io::read_source_list(
      request.source_file, {model::source_distance * unit(towards), 1, beam.wavelength_A});
  if (request.source_wavelength_from_cli)
    for (Source& source : beam.sources) source.wavelength_A = beam.wavelength_A;
}

void settle_seeds(Request& request) {
  if (!request.seed) request.noise_seed_from_clock = static_cast<std::uint64_t>(std::time(nullptr));
  const std::int64_t noise = request.seed.value_or(
      static_cast<std::int64_t>(request.noise_seed_from_clock));
  request.seed = noise;
  if (request.random_misset)
    request.experiment.crystal.random_misset_seed = request.misset_seed.value_or(noise);
}

}  // namespace

void load_matrix(Request& request) {
  if (request.matrix_file.empty()) return;
  const Mat3d matrix = io::read_mosflm_matrix(request.matrix_file);
  if (model::is_singular(matrix)) throw InputError(request.matrix_file, 0, model::singular_matrix);
  request.experiment.crystal.mosflm_matrix = matrix;
}

void write_cache(const Request& request, std::vector<std::string>& warnings) {
  if (!request.writes_cache) return;
  try {
    io::write_fdump(request.cache_file, *request.experiment.structure_factors.grid);
  } catch (const OutputError& error) {
    if (request.cache_named) throw;
    warnings.push_back(std::string("the structure-factor cache was not written: ") + error.what());
  }
}

void load_inputs(Request& request) {
  load_matrix(request);
  for (const std::string& path : request.stol_files) io::check_stol_table(path);
  load_table(request);
  load_sources(request);
  settle_seeds(request);
}

}  // namespace nablabragg::flags
