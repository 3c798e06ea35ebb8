#include "flags/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>

#include "description/unit_cells.hpp"
#include "model/panel.hpp"
#include "model/rays.hpp"
#include "model/resolve.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/panel_arrays.hpp"
#include "nablabragg/plausible.hpp"
#include "nablabragg/reflection_table.hpp"
#include "nablabragg/series.hpp"
#include "nablabragg/spectra.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::flags {

namespace {

io::ReflectionFile read_table(const Request& request) {
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

/// A doubt about an input: an error, or, where nanoBragg's answer is kept, a notice.
void doubt(Request& request, const std::string& path, const std::string& problem) {
  if (!keeps_nanobraggs_answer(request.experiment)) throw InputError(path, 0, problem);
  request.warnings.push_back(path + ": " + problem);
}

/// The wavelength that the data were measured at.
void use_wavelength_of(const io::ReflectionFile& file, Request& request) {
  const double measured_A = file.wavelength_A;
  double& wavelength_A = request.experiment.beam.wavelength_A;
  if (!(measured_A >= plausible::shortest_wavelength_A &&
        measured_A <= plausible::longest_wavelength_A))
    return;
  const std::string measured = fmt::format("{}: was measured at {:g} Angstrom", file.path,
                                           measured_A);
  if (!request.wavelength_given && !request.lists_sources() &&
      !keeps_nanobraggs_answer(request.experiment)) {
    wavelength_A = measured_A;
    request.experiment.structure_factors.stated_wavelength_A = measured_A;
    request.warnings.push_back(measured +
                               ", which is taken as the wavelength; -lambda sets another");
  } else if (std::abs(wavelength_A / measured_A - 1) > plausible::notable_difference &&
             (!request.wavelength_given || file.anomalous) && !request.lists_sources()) {
    request.warnings.push_back(measured +
                               fmt::format(", and the wavelength is {:g}", wavelength_A));
  }
}

/// The cell that the data are of: taken where no other is given, compared where one is.
void use_cell_of(const io::ReflectionFile& file, Request& request) {
  if (!file.cell) return;
  Crystal& crystal = request.experiment.crystal;
  StructureFactors& factors = request.experiment.structure_factors;
  const UnitCell held = description::unit_cell(*file.cell);
  if (!crystal.cell && !crystal.mosflm_matrix) {
    if (!description::is_plausible(held))
      throw InputError(file.path, 0,
                       "says that its cell is " + description::text_of(held) +
                           ", which no crystal has; give -cell after -hkl");
    crystal.cell = factors.stated_cell = held;
    request.warnings.push_back(file.path + ": its cell is taken, " + description::text_of(held) +
                               "; -cell or -mat gives another");
    return;
  }
  factors.stated_cell = held;
  const auto found = description::doubt_of_data(held, description::cell_of(request.experiment),
                                                crystal.cell ? "-cell gives" : "-mat gives");
  if (!found) return;
  const std::string problem = "is " + found->problem;
  if (found->refused && !request.cell_follows_hkl)
    doubt(request, file.path, problem + "; for isomorphous data give -cell after -hkl");
  else
    request.warnings.push_back(file.path + ": " + problem);
  // The user has heard of it and wants it so.
  factors.stated_cell.reset();
}

/// The file of -hkl, without the reflections that the table has taken.
std::optional<io::ReflectionFile> load_table(Request& request) {
  StructureFactors& factors = request.experiment.structure_factors;
  const Quirks& quirks = request.experiment.quirks;

  if (!request.hkl_file.empty()) {
    io::ReflectionFile file = read_table(request);
    for (const std::string& sentence : file.doubts) doubt(request, file.path, sentence);
    std::shared_ptr<StructureFactorGrid> grid;
    Repeats repeats;
    try {
      grid = std::make_shared<StructureFactorGrid>(
          grid_of(file.reflections, factors.default_F, repeats));
    } catch (const InputError& error) {
      throw InputError(request.hkl_file, 0, error.what());
    }
    request.table_entries = static_cast<std::int64_t>(file.reflections.size());
    request.table_origin = io::origin_of(file);
    for (std::string& notice : io::notices_of(file)) request.warnings.push_back(std::move(notice));
    if (const std::string notice = notice_of(repeats); !notice.empty())
      request.warnings.push_back(request.hkl_file + ": " + notice);
    if (request.may_use_cache()) {
      request.writes_cache = true;
      request.cache_message = "writing the structure-factor cache " + request.cache_file +
                              " for runs without -hkl";
    }
    factors.grid = std::move(grid);
    file.reflections = {};
    return file;
  }
  if (request.may_use_cache() && std::filesystem::exists(request.cache_file)) {
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
  return std::nullopt;
}

/// Energies that the light of an experiment has, close enough to tell whether it comes near an
/// edge.
std::vector<double> energies_of(const Beam& beam) {
  std::vector<double> energies;
  const auto add = [&](double wavelength_A) {
    energies.push_back(units::ev_angstrom / wavelength_A);
  };
  add(beam.wavelength_A);
  for (const Source& source : beam.sources) add(source.wavelength_A);
  const double range = beam.dispersion_percent.range.value_or(0) / 100;
  constexpr int steps = 50;
  if (range > 0)
    for (int i = -steps; i <= steps; ++i) add(beam.wavelength_A * (1 + 0.5 * range * i / steps));
  return energies;
}

/// F of the atomic model of -hkl.
io::ReflectionFile load_model(Request& request) {
  StructureFactors& factors = request.experiment.structure_factors;
  const std::string& path = request.hkl_file;
  if (!request.hkl_column.empty())
    throw UsageError(
        "-hkl_column is of a table, and -model_dmin says that -hkl is an atomic model");
  if (request.anomalous && !(request.experiment.quirks == Quirks::corrected()))
    throw UsageError(
        "-model_dmin makes structure factors that follow the energy of the light, which "
        "are not nanoBragg's; give -corrected, or -noanomalous");
  if (!request.anomalous && !request.dispersion_files.empty())
    throw UsageError("-noanomalous leaves out what -anomalous gives; give one of them");
  std::vector<DispersionCurve> measured;
  std::vector<std::string> named;
  for (const auto& [element, file] : request.dispersion_files) {
    measured.push_back(read_dispersion(element, file));
    named.push_back(element);
  }
  const io::CalculatedFactors calculated = io::calculate_structure_factors(
      path, *request.model_dmin_A, {}, {}, request.anomalous ? std::optional(named) : std::nullopt);
  for (const std::string& note : calculated.notes) request.warnings.push_back(path + ": " + note);
  request.table_entries = static_cast<std::int64_t>(calculated.reflections.size());
  request.table_origin = fmt::format("{}: F of {} atoms to {:g} A", path, calculated.atoms,
                                     *request.model_dmin_A);
  if (request.anomalous) {
    const std::vector<double> energies = energies_of(request.experiment.beam);
    factors.grid = anomalous_grid(calculated, measured, factors.default_F, energies);
    std::string elements;
    for (const AnomalousSpecies& species : factors.grid->anomalous()->species)
      elements.append(elements.empty() ? "" : ", ").append(species.curve.element);
    request.table_origin += ", with f' and f'' of " + elements + " at the energy of each ray";
    for (std::string& sentence : edge_warnings(*factors.grid, energies))
      request.warnings.push_back(path + ": " + std::move(sentence));
  } else {
    factors.grid = std::make_shared<StructureFactorGrid>(
        StructureFactorGrid::from_reflections(calculated.reflections, factors.default_F));
  }
  io::ReflectionFile file;
  file.path = path;
  file.cell = std::to_array(calculated.cell);
  return file;
}

void load_matrix(Request& request) {
  if (request.matrix_file.empty()) return;
  const std::string& path = request.matrix_file;
  const io::MatrixFile file = io::read_mosflm_matrix(path);
  if (model::is_singular(file.matrix)) throw InputError(path, 0, model::singular_matrix);
  Experiment& e = request.experiment;
  e.crystal.mosflm_matrix = file.matrix;
  if (const std::string problem = model::no_crystals_matrix(file.matrix, e.beam.wavelength_A);
      !problem.empty())
    return doubt(request, path, problem);
  // The cell follows from the matrix and the wavelength, and file and flag say which one it should
  // be.
  const auto compare = [&](const UnitCell& held, const char* who) {
    const auto found = description::doubt_of_matrix(file.matrix, e.beam.wavelength_A, held, who,
                                                    "-lambda");
    if (!found) return;
    const std::string problem = "its " + found->problem;
    if (found->refused)
      doubt(request, path, problem);
    else
      request.warnings.push_back(path + ": " + problem);
  };
  if (file.cell) compare(description::unit_cell(*file.cell), "the file says");
  if (e.crystal.cell) compare(*e.crystal.cell, "-cell says");
}

/// Where no flag says a wavelength, the mean of the list; another experiment's is refused.
void use_wavelength_of_sources(Request& request) {
  Beam& beam = request.experiment.beam;
  double sum = 0, weights = 0, shortest_A = beam.sources[0].wavelength_A, longest_A = shortest_A;
  for (const Source& source : beam.sources) {
    sum += source.weight * source.wavelength_A;
    weights += source.weight;
    shortest_A = std::min(shortest_A, source.wavelength_A);
    longest_A = std::max(longest_A, source.wavelength_A);
  }
  const bool other = beam.wavelength_A < shortest_A || beam.wavelength_A > longest_A;
  if (!other || !(weights > 0)) return;
  const double mean_A = sum / weights;
  if (!request.wavelength_given && !keeps_nanobraggs_answer(request.experiment)) {
    beam.wavelength_A = mean_A;
    request.warnings.push_back(fmt::format(
        "{}: its sources have {:.6g} Angstrom in the mean, which is taken as the wavelength; "
        "-lambda sets another",
        request.source_file, mean_A));
  }
}

/// `flag` is -spectrum or -spectra.
void refuse_beside_spectrum(const Request& request, const std::string& flag) {
  const Beam& beam = request.experiment.beam;
  const auto refuse = [&](bool given, const char* other) {
    if (given)
      throw UsageError(flag + " says how much light each wavelength has, and so does " + other +
                       "; give one of them");
  };
  refuse(!request.source_file.empty(), "-sourcefile");
  refuse(flag != "-spectra" && !request.spectra_file.empty(), "-spectra");
  refuse(!beam.dispersion_percent.empty(), "-dispersion");
  refuse(beam.spectrum_model != Beam().spectrum_model, "-spectrum_model");
  if (!beam.horizontal_divergence_mrad.empty() || !beam.vertical_divergence_mrad.empty())
    throw UsageError(flag +
                     " is of a beam of one direction; several directions with a spectrum each are "
                     "a list of sources (-sourcefile)");
  if (request.experiment.quirks.source_weights_ignored)
    throw UsageError(flag + " needs -corrected: as in nanoBragg all wavelengths would weigh alike");
}

void use_spectrum(Request& request, const Spectrum& spectrum, const Vec3d& towards_source) {
  Beam& beam = request.experiment.beam;
  beam.sources = sources_of(spectrum, towards_source);
  if (!request.wavelength_given) beam.wavelength_A = mean_wavelength_A(spectrum);
}

void load_spectrum(Request& request, const Vec3d& towards_source) {
  refuse_beside_spectrum(request, "-spectrum");
  Spectrum spectrum = read_spectrum(request.spectrum_file, request.spectrum_unit);
  if (request.spectrum_channels) {
    const std::size_t rows = spectrum.weight.size();
    ThinnedSpectrum fewer = thinned(spectrum, *request.spectrum_channels);
    if (fewer.spectrum.weight.size() < rows)
      request.warnings.push_back(
          fmt::format("{}: {} channels became {}, which moves its light by {:.3g} eV (rms)",
                      request.spectrum_file, rows, fewer.spectrum.weight.size(), fewer.moved_eV));
    spectrum = std::move(fewer.spectrum);
  }
  use_spectrum(request, spectrum, towards_source);
}

/// The experiment gets the light of all shots together.
void load_spectra(Request& request, const Vec3d& towards_source) {
  refuse_beside_spectrum(request, "-spectra");
  auto spectra = std::make_shared<const Spectra>(
      read_spectra(request.spectra_file, request.spectrum_unit,
                   {request.spectrum_channels, request.shot_light}));
  if (spectra->moved_eV() > 0)
    request.warnings.push_back(fmt::format(
        "{}: the {} channels of each shot became {} at most, which moves its light by up to "
        "{:.3g} eV (rms)",
        request.spectra_file, spectra->wavelength_A().size(), spectra->most_channels(),
        spectra->moved_eV()));
  use_spectrum(request, spectra->mean(), towards_source);
  request.spectra = std::move(spectra);
}

void load_sources(Request& request) {
  if (request.spectrum_file.empty() && request.spectra_file.empty() &&
      (request.spectrum_unit || request.spectrum_channels))
    throw UsageError(
        "-spectrum_unit and -spectrum_channels are of -spectrum FILE or -spectra FILE, and there "
        "is none");
  if (request.spectra_file.empty() && request.shot_light != ShotLight::relative)
    throw UsageError("-spectra_scale is of -spectra FILE, which is missing");
  if (!request.lists_sources()) return;
  Beam& beam = request.experiment.beam;
  const Vec3d towards = -beam.direction.value_or(
      model::convention_frame(request.experiment.detector.convention).beam);
  const Vec3d position = model::source_distance * unit(towards);
  if (!request.spectrum_file.empty()) {
    load_spectrum(request, position);
    return;
  }
  if (!request.spectra_file.empty()) {
    load_spectra(request, position);
    return;
  }
  std::vector<std::string> implausible;
  beam.sources = io::read_source_list(
      request.source_file, {position, 1, beam.wavelength_A},
      keeps_nanobraggs_answer(request.experiment) ? &implausible : nullptr);
  if (!implausible.empty())
    request.warnings.push_back(
        implausible.front() + "; it counts as in nanoBragg, -corrected refuses it" +
        (implausible.size() > 1 ? " (and " + std::to_string(implausible.size() - 1) + " more)"
                                : ""));
  if (request.source_wavelength_from_cli)
    for (Source& source : beam.sources) source.wavelength_A = beam.wavelength_A;
  else
    use_wavelength_of_sources(request);
}

/// What is in the beam besides the crystal.
void load_materials(Request& request) {
  const auto needs = [](const std::string& part, bool given, const char* whole) {
    if (!part.empty() && !given) throw UsageError(part + " is of " + whole + ", which is missing");
  };
  needs(request.background_part, !request.backgrounds.empty(), "-background FILE");
  needs(request.gas_part, request.gas_path_mm.has_value(), "-air FROM TO");
  needs(request.ice_part, request.ice.thickness_um > 0, "-ice UM");
  std::vector<Material>& materials = request.experiment.materials;
  for (const Request::Background& given : request.backgrounds) {
    Material material = read_background(given.file);
    material.thickness_mm = given.thickness_mm;
    material.density_g_cm3 = given.density_g_cm3;
    material.molar_mass = given.molar_mass;
    material.interpolation = request.background_interpolation.value_or(material.interpolation);
    materials.push_back(material);
    if (!given.compton.empty() && given.compton != "included")
      materials.push_back(compton_of(given.compton, material));
  }
  if (request.gas_path_mm)
    for (Material& gas :
         gas_in_beam((*request.gas_path_mm)[0], (*request.gas_path_mm)[1], request.gas))
      materials.push_back(std::move(gas));
  if (request.ice.thickness_um > 0) materials.push_back(ice_rings(request.ice));
}

/// A factor for each pixel; what holds no number in the file has 0.
std::shared_ptr<const PixelFactors> read_factors(const std::string& path, Request& request) {
  io::ImageFile file = io::read_image(path);
  const SettledExperiment settled(request.experiment);
  const Resolved& resolved = settled.resolved();
  io::cut_into_panels(file, path, io::panels_in_array(request.geometry_file, settled));
  const auto& panels = file.geometry.panels;
  const auto size_of = [](int fast, int slow) {
    return std::to_string(fast) + " x " + std::to_string(slow) + " pixels";
  };
  if (panels.size() != 1 + resolved.more_panels.size())
    throw InputError(path, 0,
                     "has factors of " + std::to_string(panels.size()) +
                         " panels, and the detector has " +
                         std::to_string(1 + resolved.more_panels.size()));
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const Panel& panel = panel_of(resolved, i);
    if (panels[i].fast_pixels != panel.fast_pixels || panels[i].slow_pixels != panel.slow_pixels)
      throw InputError(path, 0,
                       "has factors of " + size_of(panels[i].fast_pixels, panels[i].slow_pixels) +
                           ", and panel " + std::to_string(i) + " of the detector has " +
                           size_of(panel.fast_pixels, panel.slow_pixels));
  }
  PixelFactors factors(file.pixels.begin(), file.pixels.end());
  if (const auto below = std::ranges::count_if(factors, [](float x) { return x < 0; }); below > 0)
    throw InputError(path, 0, "has negative factors, in " + std::to_string(below) + " pixels");
  std::size_t without = 0;
  for (float& factor : factors)
    if (!std::isfinite(factor)) factor = 0, ++without;
  if (without > 0)
    request.warnings.push_back(path + ": " + std::to_string(without) +
                               " pixels hold no factor, and are taken to see nothing");
  return std::make_shared<const PixelFactors>(std::move(factors));
}

/// Of a run that names none: the time in seconds as in nanoBragg, or another one in every
/// run, which a double and JSON hold to its last digit.
std::int64_t seed_of_this_run(const Quirks& quirks) {
  if (quirks.shared_random_stream) return static_cast<std::int64_t>(std::time(nullptr));
  std::random_device device;
  std::uniform_int_distribution<std::int64_t> seeds(1, std::int64_t{1} << 53);
  return seeds(device);
}

void settle_seeds(Request& request) {
  if (!request.seed) request.seed = seed_of_this_run(request.experiment.quirks);
  if (request.random_misset)
    request.experiment.crystal.random_misset_seed = request.misset_seed.value_or(*request.seed);
}

/// -orientations, and how many of them -images takes.
void load_orientations(Request& request) {
  if (request.orientations.empty()) return;
  const Crystal& crystal = request.experiment.crystal;
  if (request.random_misset || length(crystal.misset_deg) > 0)
    throw UsageError("-orientations states how the crystal lies in each image; leave -misset out");
  if (const auto seed = random_orientations_seed(request)) {
    if (!request.images)
      throw UsageError("-orientations " + request.orientations +
                       " makes as many as -images says, and it is missing");
    request.missets_deg = random_missets_deg(*request.images, *seed);
    return;
  }
  request.missets_deg = io::read_orientations(request.orientations);
  const std::size_t lines = request.missets_deg.size();
  if (!request.images) return;
  if (static_cast<std::size_t>(*request.images) > lines)
    throw InputError(request.orientations, 0,
                     "holds " + std::to_string(lines) + " orientations, and -images asks for " +
                         std::to_string(*request.images));
  request.missets_deg.resize(static_cast<std::size_t>(*request.images));
}

/// A shot for each image, or one for all of them.
void settle_spectra(Request& request) {
  if (!request.spectra) return;
  const int shots = request.spectra->shots();
  if (shots == 1) {
    request.spectra.reset();  // the experiment has its light
    if (!request.images && request.orientations.empty()) request.images = 1;
    return;
  }
  const bool is_still = request.experiment.scan.oscillation_deg.empty();
  if (!request.images && request.orientations.empty() && !is_still)
    throw UsageError("-spectra with an oscillation is of a scan, whose -images are missing");
  const int images = !request.orientations.empty() ? static_cast<int>(request.missets_deg.size())
                                                   : request.images.value_or(shots);
  if (images != shots)
    throw InputError(request.spectra_file, 0,
                     fmt::format("holds the spectra of {} shots, and the series has {} images: "
                                 "each image needs one, or all of them one",
                                 shots, images));
}

}  // namespace

std::optional<std::int64_t> random_orientations_seed(const Request& request) {
  constexpr std::string_view random = "random:";
  if (!request.orientations.starts_with(random)) return std::nullopt;
  const std::string text = request.orientations.substr(random.size());
  std::int64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size())
    throw UsageError("-orientations " + request.orientations +
                     " needs a whole number behind the colon, the seed of its orientations");
  return seed;
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

void load_detector_maps(Request& request) {
  if (!request.responds) return;
  DetectorResponse& response = request.response;
  if (!request.calibration_map_file.empty())
    response.calibration_map = read_factors(request.calibration_map_file, request);
  if (!request.gain_map_file.empty())
    response.gain_map = read_factors(request.gain_map_file, request);
  check_response(response, request.experiment);
}

void load_inputs(Request& request) {
  for (const std::string& path : request.stol_files) io::check_stol_table(path);
  load_materials(request);
  if (!request.model_dmin_A && (!request.dispersion_files.empty() || !request.anomalous))
    throw UsageError(
        "-anomalous and -noanomalous are of an atomic model, of which F is calculated: "
        "-hkl MODEL with -model_dmin");
  if (request.model_dmin_A && request.hkl_file.empty())
    throw UsageError("-model_dmin is of an atomic model, -hkl MODEL, which is missing");
  std::optional<io::ReflectionFile> table;
  if (!request.model_dmin_A) table = load_table(request);
  if (table) use_wavelength_of(*table, request);
  load_sources(request);
  load_matrix(request);
  // Behind the light, whose energies it asks for
  if (request.model_dmin_A) table = load_model(request);
  if (table) use_cell_of(*table, request);
  load_orientations(request);
  settle_spectra(request);
  load_detector_maps(request);
  settle_seeds(request);
}

}  // namespace nablabragg::flags
