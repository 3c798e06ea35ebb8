// nablabragg fcalc: structure factors from an atomic model.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <span>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/progress_bar.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "cli/subcommands.hpp"
#include "flags/flags.hpp"
#include "io/atomic_file.hpp"
#include "io/named_files.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/units.hpp"
#include "nablabragg/version.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

const options::Command& fcalc() {
  static const options::Command command{
      "nablabragg fcalc",
      "MODEL -dmin d -o FILE [-ksol k] [-bsol B] [-energy E [-anomalous EL FILE]...]",
      "Calculates the structure factors of an atomic model.",
      {{{}, "MODEL", "PDB, mmCIF or core CIF (small molecules) file, also gzipped", "", {}, true},
       {{"-dmin"}, "d", "resolution limit [Angstrom]"},
       {{"-o"},
        "FILE",
        "h k l F text, electrons, every reflection of the P1 sphere; FILE.mtz: an MTZ file with FC "
        "and PHIC of the asymmetric unit",
        "",
        {},
        true},
       {{"-ksol"}, "k", "electron density of the bulk solvent [e/A^3]; 0: none", "0.35"},
       {{"-bsol"}, "B", "its temperature factor [A^2]", "46"},
       {{"-energy"},
        "E",
        "with f' and f'' of the elements heavier than neon at E [eV]: mates differ; FILE.mtz: F(+) "
        "and F(-) of the asymmetric unit"},
       {{"-anomalous"},
        "EL FILE",
        "f' and f'' of an element from a table of energy [eV], f', f''; may be given again",
        "",
        {},
        true},
       {{"-h", "-help"}, "", "this text"}}};
  return command;
}

bool is_flag(const std::string& word) {
  return std::ranges::any_of(fcalc().options, [&](const options::Option& option) {
    return std::ranges::find(option.names, word) != option.names.end();
  });
}

struct FcalcRequest {
  std::string model, output;
  double dmin_A = 0;
  io::BulkSolvent solvent;
  std::optional<double> energy_eV;
  std::map<std::string, std::string> dispersion_files;  ///< by element
};

bool is_mtz(const std::string& path) { return ending_of(path) == ".mtz"; }

/// A file whose name promises another format would mislead whoever opens it.
void check_format(const std::string& output) {
  constexpr std::array others{".cif", ".mmcif", ".pdb", ".ent", ".gz",  ".bz2", ".xz",  ".zip",
                              ".sca", ".fcf",   ".ins", ".res", ".img", ".cbf", ".png", ".pgm",
                              ".h5",  ".nxs",   ".npy", ".bin", ".mat", ".json"};
  const std::string extension = ending_of(output);
  if (std::find(others.begin(), others.end(), extension) != others.end())
    throw UsageError("fcalc writes no " + extension + " file, only text (h k l F) and .mtz: " +
                     "give -o " + io::quoted_name(output) + " another name");
}

/// Names of the PDB's entries: 1UBQ, pdb_00001ubq.
bool is_pdb_id(const std::string& name) {
  const auto alphanumeric = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; });
  };
  if (name.size() == 4) return name[0] >= '1' && name[0] <= '9' && alphanumeric(name);
  return name.size() == 12 && name.starts_with("pdb_") && alphanumeric(name.substr(4));
}

FcalcRequest parse(const std::vector<std::string>& arguments) {
  FcalcRequest request;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with('-')) {
      if (!request.model.empty())
        throw UsageError("fcalc takes one model, not also '" + word + "'");
      request.model = word;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::size_t dashes = word.starts_with("--") ? 1 : 0;
    const std::string flag = word.substr(dashes, equals - dashes);
    if (flag == "-anomalous") {
      if (equals != std::string::npos || i + 2 >= arguments.size())
        throw UsageError("-anomalous needs an element and a file of its f' and f''");
      request.dispersion_files[arguments[i + 1]] = arguments[i + 2];
      i += 2;
      continue;
    }
    if (!is_flag(flag))
      throw UsageError("fcalc has no flag " + flag + options::suggestion(fcalc(), flag));
    if (equals == std::string::npos && i + 1 == arguments.size())
      throw UsageError(flag + " needs a value, and nothing follows");
    const std::string value = equals == std::string::npos ? arguments[++i]
                                                          : word.substr(equals + 1);
    const flags::Values values(flag, {&value, 1});
    if (flag == "-o") request.output = values.text(0);
    if (flag == "-dmin") request.dmin_A = values.real(0);
    if (flag == "-ksol") request.solvent.k_e_per_A3 = values.real(0);
    if (flag == "-energy") request.energy_eV = values.real(0);
    if (flag == "-bsol") request.solvent.b_A2 = values.real(0);
  }
  if (request.model.empty())
    throw UsageError(
        "fcalc needs a PDB, mmCIF or core CIF model; nablabragg fcalc -help shows how");
  if (request.output.empty()) throw UsageError("fcalc needs -o FILE for the structure factors");
  check_format(request.output);
  if (!request.dispersion_files.empty() && !request.energy_eV)
    throw UsageError("-anomalous is of an energy: give -energy, in eV");
  if (!(request.dmin_A > 0))
    throw UsageError("fcalc needs -dmin with a positive resolution limit in Angstrom");
  return request;
}

std::string energy_of(const FcalcRequest& request) {
  return request.energy_eV ? fmt::format(" -energy {:g}", *request.energy_eV) : "";
}

/// Two lines that say what the list holds and how it was made.
std::array<std::string, 2> description_of(const FcalcRequest& request,
                                          const io::CalculatedFactors& factors) {
  const auto& cell = factors.cell;
  return {fmt::format("structure factors [electrons] of {} to {:g} A, all of P1; nablabragg {} "
                      "fcalc -ksol {:g} -bsol {:g}{}",
                      io::quoted_name(request.model), request.dmin_A, version(),
                      request.solvent.k_e_per_A3, request.solvent.b_A2, energy_of(request)),
          fmt::format("cell {:g} {:g} {:g} {:g} {:g} {:g}  space group {}", cell[0], cell[1],
                      cell[2], cell[3], cell[4], cell[5], factors.space_group)};
}

/// The description stands behind the reflections, because nanoBragg reads no further than to the
/// first line that is no reflection.
void write_list(const FcalcRequest& request, const io::CalculatedFactors& factors) {
  io::AtomicFile file(io::writable_name(request.output));
  fmt::memory_buffer text;
  constexpr std::size_t piece_bytes = std::size_t{1} << 20;
  for (const Reflection& r : factors.reflections) {
    fmt::format_to(std::back_inserter(text), "{} {} {} {:.4f}\n", r.hkl[0], r.hkl[1], r.hkl[2],
                   r.amplitude);
    if (text.size() < piece_bytes) continue;
    if (interrupted()) throw Cancelled();
    file.write({text.data(), text.size()});
    text.clear();
  }
  for (const std::string& line : description_of(request, factors))
    fmt::format_to(std::back_inserter(text), "# {}\n", line);
  file.write({text.data(), text.size()});
  file.commit();
}

void write_mtz(const FcalcRequest& request, const io::CalculatedFactors& factors) {
  io::AtomicFile file(io::writable_name(request.output));
  file.write(io::mtz_of(factors, "Structure factors of " + io::quoted_name(request.model),
                        {fmt::format("nablabragg {} fcalc -dmin {:g} -ksol {:g} -bsol {:g}{}",
                                     version(), request.dmin_A, request.solvent.k_e_per_A3,
                                     request.solvent.b_A2, energy_of(request))}));
  file.commit();
}

/// The amplitudes at an energy in place of those without anomalous scattering.
void take_energy(const FcalcRequest& request, std::span<const DispersionCurve> measured,
                 io::CalculatedFactors& factors, std::ostream& err) {
  const double energy_eV = *request.energy_eV;
  const auto grid = anomalous_grid(factors, measured, 0, {&energy_eV, 1});
  for (const std::string& sentence : edge_warnings(*grid, {&energy_eV, 1}))
    say(err, request.model + ": " + sentence);
  const StructureFactorGrid amplitudes = amplitudes_at(*grid, energy_eV);
  for (Reflection& r : factors.reflections)
    r.amplitude = amplitudes.at(r.hkl[0], r.hkl[1], r.hkl[2]);
  for (const io::CalculatedReflection& r : factors.asymmetric_unit)
    factors.hands.push_back({amplitudes.at(r.hkl[0], r.hkl[1], r.hkl[2]),
                             amplitudes.at(-r.hkl[0], -r.hkl[1], -r.hkl[2])});
  factors.wavelength_A = units::ev_angstrom / energy_eV;
}

}  // namespace

void fcalc_command(const std::vector<std::string>& arguments, std::ostream& out,
                   std::ostream& err) {
  if (describe_if_asked(arguments, fcalc(), out)) return;
  if (std::any_of(arguments.begin(), arguments.end(), [](const std::string& w) {
        return w == "-h" || w == "-help" || w == "--help";
      })) {
    options::write_usage(out, fcalc());
    return;
  }
  const FcalcRequest request = parse(arguments);
  set_stop_sentence("stopped before the structure factors were complete; no file was written");
  std::vector<io::NamedFile> inputs{{"MODEL", request.model}};
  for (const auto& [element, file] : request.dispersion_files)
    inputs.push_back({"-anomalous", file});
  check_files(inputs, {{"-o", request.output}});
  if (is_pdb_id(request.model) && !std::filesystem::exists(request.model))
    throw InputError(request.model, 0,
                     "no such file; this entry of the Protein Data Bank can be downloaded: "
                     "https://files.rcsb.org/download/" +
                         request.model + ".cif.gz");
  io::check_writable(io::writable_name(request.output));
  std::optional<std::vector<std::string>> named;
  std::vector<DispersionCurve> measured;
  if (request.energy_eV) named.emplace();
  for (const auto& [element, file] : request.dispersion_files) {
    measured.push_back(read_dispersion(element, file));
    named->push_back(element);
  }
  io::CalculatedFactors factors;
  {
    ProgressBar bar(0, true);
    factors = io::calculate_structure_factors(
        request.model, request.dmin_A, request.solvent,
        [&](double share) {
          bar.show(share);
          return !interrupted();
        },
        named);
  }
  for (const std::string& note : factors.notes) say(err, request.model + ": " + note);
  if (request.energy_eV) take_energy(request, measured, factors, err);
  if (is_mtz(request.output))
    write_mtz(request, factors);
  else
    write_list(request, factors);
  set_stop_sentence("stopped after all files were written");
  std::ostream& summary = io::is_standard_output(request.output) ? err : out;
  const auto& cell = factors.cell;
  fmt::print(summary, "{}: {} atoms, {}, cell {:g} {:g} {:g} {:g} {:g} {:g}\n",
             io::printable(request.model), factors.atoms, factors.space_group, cell[0], cell[1],
             cell[2], cell[3], cell[4], cell[5]);
  fmt::print(summary, "{} of the atoms are hydrogens\n",
             factors.hydrogens == 0 ? "none" : std::to_string(factors.hydrogens));
  if (request.energy_eV) {
    std::string elements;
    for (const io::CalculatedSpecies& species : factors.species)
      elements.append(elements.empty() ? "" : ", ").append(species.element);
    fmt::print(summary, "f' and f'' of {} at {:g} eV: F(h) and F(-h) differ\n", elements,
               *request.energy_eV);
  }
  fmt::print(summary, "writing {} with {} structure factors to {:g} A\n",
             io::printable(request.output),
             is_mtz(request.output) ? factors.asymmetric_unit.size() : factors.reflections.size(),
             request.dmin_A);
}

}  // namespace nablabragg::cli
