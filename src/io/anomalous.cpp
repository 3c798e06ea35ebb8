#include "nablabragg/anomalous.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "io/dispersion.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

constexpr double least_eV = 2000, most_eV = 60000;

int known_element(const std::string& element) {
  const int number = io::atomic_number(element);
  if (number < 3 || number > 92)
    throw UsageError("f' and f'' are known of Li to U, and " + element + " is none of them");
  return number;
}

/// gemmi integrates over energies, and where one of its points meets an edge, f' at that energy
/// alone is off, by up to tens of electrons: at twice an edge (17 for 0.35 at 14224 eV of iron,
/// findings/gemmi-f-prime-leaps-at-twice-an-edge.sh).  A row that leaps takes the median of what is
/// around it, which on a curve that rises or falls is the value in the middle.
void mend_leaps(int number, std::span<const double> edges, DispersionCurve& curve) {
  constexpr double leap = 2e-3, widest_eV = 1;
  constexpr int reach = 3;
  const std::vector<double>& rows = curve.energy_eV;
  std::vector<double> mended = curve.f_prime;
  for (std::size_t i = 1; i + 1 < rows.size(); ++i) {
    const double share = (rows[i] - rows[i - 1]) / (rows[i + 1] - rows[i - 1]);
    const double between = std::lerp(curve.f_prime[i - 1], curve.f_prime[i + 1], share);
    if (std::abs(curve.f_prime[i] - between) < leap) continue;
    double step = widest_eV;  // no further than a part of the way to an edge
    for (const double edge : edges) step = std::min(step, std::abs(rows[i] - edge) / (reach + 1));
    std::vector<double> around, f_prime, f_double_prime;
    for (int k = -reach; k <= reach; ++k) around.push_back(rows[i] + k * step);
    io::cromer_liberman(number, around, f_prime, f_double_prime);
    std::ranges::nth_element(f_prime, f_prime.begin() + reach);
    mended[i] = f_prime[reach];
  }
  curve.f_prime = std::move(mended);
}

}  // namespace

DispersionCurve dispersion_of_atom(const std::string& element, std::span<const double> also_eV) {
  const int number = known_element(element);
  DispersionCurve curve;
  curve.element = io::symbol_of(number);
  std::vector<double>& rows = curve.energy_eV;
  rows = {least_eV, most_eV};
  for (double energy = least_eV; energy < most_eV; energy *= 1.005) rows.push_back(energy);
  // f' has the logarithm of the distance to an edge: rows at equal ratios of it
  constexpr double nearest_eV = 0.5, farthest_eV = 3000, ratio = 1.05;
  const std::vector<double> edges = io::binding_energies_eV(number);
  for (const double edge : edges)
    for (double off = nearest_eV; off < farthest_eV; off *= ratio)
      for (const double energy : {edge - off, edge + off})
        if (energy > least_eV && energy < most_eV) rows.push_back(energy);
  std::ranges::copy_if(also_eV, std::back_inserter(rows),
                       [](double energy) { return energy > least_eV && energy < most_eV; });
  // What lies closer to an edge has no value of its own.
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [&](double row) {
                              return std::any_of(edges.begin(), edges.end(), [&](double edge) {
                                return std::abs(row - edge) < nearest_eV;
                              });
                            }),
             rows.end());
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  io::cromer_liberman(number, rows, curve.f_prime, curve.f_double_prime);
  mend_leaps(number, edges, curve);
  return curve;
}

std::vector<double> edges_eV(const std::string& element) {
  return io::binding_energies_eV(known_element(element));
}

DispersionCurve read_dispersion(const std::string& element, const std::string& path) {
  const int number = known_element(element);
  struct Row {
    double energy_eV, f_prime, f_double_prime;
    long line;
  };
  std::vector<Row> rows;
  const std::string text = io::read_text(path);
  io::Lines lines(text);
  while (lines.next()) {
    constexpr std::string_view separators = ",;";
    std::string_view rest = io::without_comment(lines.line());
    std::string_view words[4];
    for (std::string_view& word : words) word = io::next_word(rest, separators);
    if (words[0].empty()) continue;
    if (rows.empty() && !io::parse_number<double>(words[0])) continue;  // a title
    if (words[2].empty() || !words[3].empty())
      throw InputError(path, lines.number(),
                       "is no row of a table of f' and f'', which has three columns: energy [eV], "
                       "f', f''");
    rows.push_back({io::finite_number(path, lines.number(), "energy", words[0]),
                    io::finite_number(path, lines.number(), "f'", words[1]),
                    io::finite_number(path, lines.number(), "f''", words[2]), lines.number()});
  }
  if (rows.size() < 2)
    throw InputError(path, 0, "holds no rows of energy, f' and f''; two are the least");
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.energy_eV < b.energy_eV; });
  DispersionCurve curve;
  curve.element = io::symbol_of(number);
  curve.measured = true;
  for (const Row& row : rows) {
    if (!(row.energy_eV >= 100 && row.energy_eV <= 1e6))
      throw InputError(path, row.line,
                       fmt::format("has an energy of {:g} eV; energies are in eV, from 100 to 1e6",
                                   row.energy_eV));
    if (!(row.f_double_prime >= 0))
      throw InputError(path, row.line, "has a negative f'', and no atom emits what it absorbs");
    if (!curve.energy_eV.empty() && row.energy_eV == curve.energy_eV.back())
      throw InputError(path, row.line, "repeats an energy; each has one f' and one f''");
    curve.energy_eV.push_back(row.energy_eV);
    curve.f_prime.push_back(row.f_prime);
    curve.f_double_prime.push_back(row.f_double_prime);
  }
  return curve;
}

std::shared_ptr<const StructureFactorGrid> anomalous_grid(const io::CalculatedFactors& calculated,
                                                          std::span<const DispersionCurve> measured,
                                                          double default_F,
                                                          std::span<const double> also_eV) {
  auto grid = std::make_shared<StructureFactorGrid>(
      StructureFactorGrid::from_reflections(calculated.reflections, default_F));
  auto factors = std::make_shared<AnomalousFactors>();
  const std::size_t entries = grid->values().size();
  factors->F0 = std::vector<std::complex<double>>(entries, default_F);
  const auto place = [&](const MillerIndex& hkl) {
    return static_cast<std::size_t>(&grid->at(hkl[0], hkl[1], hkl[2]) - grid->values().data());
  };
  for (std::size_t i = 0; i < calculated.reflections.size(); ++i)
    factors->F0[place(calculated.reflections[i].hkl)] = calculated.F0[i];
  for (const DispersionCurve& curve : measured)
    if (std::none_of(calculated.species.begin(), calculated.species.end(),
                     [&](const auto& species) { return species.element == curve.element; }))
      throw UsageError("f' and f'' are given for " + curve.element +
                       ", and the model has no such atom");
  for (const auto& species : calculated.species) {
    AnomalousSpecies& to = factors->species.emplace_back();
    const auto given = std::find_if(
        measured.begin(), measured.end(),
        [&](const DispersionCurve& curve) { return curve.element == species.element; });
    to.curve = given != measured.end() ? *given : dispersion_of_atom(species.element, also_eV);
    to.G = std::vector<std::complex<double>>(entries);
    for (std::size_t i = 0; i < calculated.reflections.size(); ++i)
      to.G[place(calculated.reflections[i].hkl)] = species.G[i];
  }
  if (factors->species.empty())
    throw UsageError(
        "the model has no atom heavier than neon, and none for which f' and f'' are given");
  grid->set_anomalous(std::move(factors));
  return grid;
}

std::vector<std::string> edge_warnings(const StructureFactorGrid& grid,
                                       std::span<const double> energies_eV) {
  constexpr double below_eV = 100, above_eV = 50;
  std::vector<std::string> sentences;
  for (const AnomalousSpecies& species : grid.anomalous()->species) {
    if (species.curve.measured) continue;
    const auto near = [&](double edge) {
      return std::any_of(energies_eV.begin(), energies_eV.end(), [&](double energy) {
        return energy > edge - below_eV && energy < edge + above_eV;
      });
    };
    const std::vector<double> edges = edges_eV(species.curve.element);
    const auto edge = std::find_if(edges.begin(), edges.end(), near);
    if (edge == edges.end()) continue;
    sentences.push_back(fmt::format(
        "the light comes near the edge of {0} at {1:.1f} eV (from 100 eV below to 50 above), where "
        "f' and f'' of an atom that is alone are wrong by several electrons; give measured ones "
        "(-anomalous {0} FILE)",
        species.curve.element, *edge));
  }
  return sentences;
}

}  // namespace nablabragg
