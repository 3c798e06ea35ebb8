// nablabragg fcalc: structure factors from an atomic model.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/stopping.hpp"
#include "flags/flags.hpp"
#include "io/atomic_file.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/version.hpp"

namespace nablabragg::cli {

namespace {

constexpr const char* usage =
    "usage: nablabragg fcalc MODEL -dmin d -o FILE [-ksol k] [-bsol B]\n"
    "  MODEL      PDB or mmCIF file, also gzipped\n"
    "  -dmin d    resolution limit [Angstrom]\n"
    "  -o FILE    h k l F text, electrons, every reflection of the P1 sphere\n"
    "  -ksol k    electron density of the bulk solvent [e/A^3] (0.35; 0: none)\n"
    "  -bsol B    its temperature factor [A^2] (46)\n";

struct FcalcRequest {
  std::string model, output;
  double dmin_A = 0;
  io::BulkSolvent solvent;
};

FcalcRequest parse(const std::vector<std::string>& arguments) {
  FcalcRequest request;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string argument = arguments[i].starts_with("--") ? arguments[i].substr(1)
                                                                : arguments[i];
    if (!argument.starts_with('-')) {
      if (!request.model.empty())
        throw UsageError("fcalc takes one model, not also '" + argument + "'");
      request.model = argument;
      continue;
    }
    if (argument != "-dmin" && argument != "-o" && argument != "-ksol" && argument != "-bsol")
      throw UsageError("fcalc has no flag " + argument + "; it has -dmin, -o, -ksol and -bsol");
    if (i + 1 == arguments.size())
      throw UsageError(argument + " needs a value, and nothing follows");
    const flags::Values values(argument, {&arguments[++i], 1});
    if (argument == "-o") request.output = values.text(0);
    if (argument == "-dmin") request.dmin_A = values.real(0);
    if (argument == "-ksol") request.solvent.k_e_per_A3 = values.real(0);
    if (argument == "-bsol") request.solvent.b_A2 = values.real(0);
  }
  if (request.model.empty())
    throw UsageError("fcalc needs a PDB or mmCIF model; nablabragg fcalc -help shows how");
  if (request.output.empty()) throw UsageError("fcalc needs -o FILE for the structure factors");
  if (!(request.dmin_A > 0))
    throw UsageError("fcalc needs -dmin with a positive resolution limit in Angstrom");
  return request;
}

}  // namespace

void fcalc_command(const std::vector<std::string>& arguments, std::ostream& out,
                   std::ostream& err) {
  if (std::any_of(arguments.begin(), arguments.end(), [](const std::string& w) {
        return w == "-h" || w == "-help" || w == "--help";
      })) {
    out << usage;
    return;
  }
  const FcalcRequest request = parse(arguments);
  set_stop_sentence("stopped before the structure factors were complete; no file was written");
  check_files({{"MODEL", request.model}}, {{"-o", request.output}});
  io::check_writable(io::writable_name(request.output));
  const io::CalculatedFactors factors = io::calculate_structure_factors(
      request.model, request.dmin_A, request.solvent);
  const auto& cell = factors.cell;
  fmt::memory_buffer text;
  const auto append = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  };
  append(
      "# structure factors [electrons] of {} to {:g} A, all of P1; nablabragg {} fcalc -ksol {:g} "
      "-bsol {:g}\n",
      io::quoted_name(request.model), request.dmin_A, version(), request.solvent.k_e_per_A3,
      request.solvent.b_A2);
  append("# cell {:g} {:g} {:g} {:g} {:g} {:g}  space group {}\n", cell[0], cell[1], cell[2],
         cell[3], cell[4], cell[5], factors.space_group);
  for (const Reflection& r : factors.reflections)
    append("{} {} {} {:.4f}\n", r.hkl[0], r.hkl[1], r.hkl[2], r.amplitude);
  io::AtomicFile file(io::writable_name(request.output));
  file.write({text.data(), text.size()});
  file.commit();
  fmt::print(io::is_standard_output(request.output) ? err : out,
             "{}: {} atoms, {}, cell {:g} {:g} {:g} {:g} {:g} {:g}\nwriting {} with {} structure "
             "factors to {:g} A\n",
             request.model, factors.atoms, factors.space_group, cell[0], cell[1], cell[2], cell[3],
             cell[4], cell[5], request.output, factors.reflections.size(), request.dmin_A);
}

}  // namespace nablabragg::cli
