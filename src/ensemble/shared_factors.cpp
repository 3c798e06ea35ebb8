#include "ensemble/shared_factors.hpp"

#include <fmt/format.h>

#include <exception>
#include <span>
#include <sstream>
#include <utility>
#include <vector>

#include "memory/shared_table.hpp"
#include "nablabragg/anomalous.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

using memory::SharedTable;

namespace {

/// What a table has in memory: its values and, where they follow the energy, what they follow from.
std::vector<std::span<const double>> numbers_of(const StructureFactorGrid& grid) {
  std::vector<std::span<const double>> all{grid.values()};
  const auto add = [&](const ReflectionNumbers& numbers) {
    all.emplace_back(reinterpret_cast<const double*>(numbers.all().data()), 2 * numbers.size());
  };
  if (const auto& factors = grid.anomalous()) {
    add(factors->F0);
    for (const AnomalousSpecies& species : factors->species) add(species.G);
  }
  return all;
}

using Tables = std::vector<std::shared_ptr<const SharedTable>>;

/// The same in those, in the order of numbers_of().
StructureFactorGrid grid_in(const Tables& tables, const StructureFactorGrid& own) {
  StructureFactorGrid grid = own.in(tables.front());
  if (!own.anomalous()) return grid;
  auto factors = std::make_shared<AnomalousFactors>(
      AnomalousFactors{own.anomalous()->F0.in(tables[1]), {}});
  for (const AnomalousSpecies& species : own.anomalous()->species)
    factors->species.push_back({species.curve, species.G.in(tables[2 + factors->species.size()])});
  grid.set_anomalous(std::move(factors));
  return grid;
}

}  // namespace

SharedFactors shared_factors(std::shared_ptr<const StructureFactorGrid> grid, mpi::Ranks& ranks) {
  SharedFactors result{std::move(grid), false, {}};
  std::string problem;
  Tables tables;
  /// `table(i, numbers)` for each.
  const auto use = [&](const auto& table) {
    try {
      const StructureFactorGrid& own = *result.grid;
      for (const std::span<const double> numbers : numbers_of(own))
        tables.push_back(table(tables.size(), numbers));
      result.grid = std::make_shared<const StructureFactorGrid>(grid_in(tables, own));
    } catch (const InputError&) {
      result.differ = true;
    } catch (const std::exception& error) {
      problem = error.what();
    }
  };
  const auto is_shared = [&] { return result.grid && result.grid->shared(); };

  const bool is_first = ranks.rank_on_node() == 0;
  if (is_first && result.grid)
    use([](std::size_t, std::span<const double> numbers) {
      return std::make_shared<const SharedTable>(numbers);
    });
  if (ranks.size() == 1) return result;  // whose threads have one table anyway
  std::string address;
  if (is_first && is_shared())
    for (const auto& table : tables) {
      const auto [process, file] = table->address();
      address += fmt::format("{} {} {}\n", ranks.rank(), process, file);
    }
  const mpi::Idle no_work = [] {};
  std::istringstream addresses(
      ranks.broadcast(fmt::format("{}", fmt::join(ranks.gather(address, no_work), "")), no_work));
  std::vector<memory::TableAddress> of_first;
  int rank = 0;
  for (memory::TableAddress at; addresses >> rank >> at.process >> at.file;)
    if (rank == ranks.first_on_node()) of_first.push_back(at);
  if (!is_first && result.grid && !of_first.empty())
    use([&](std::size_t i, std::span<const double> numbers) {
      if (i >= of_first.size()) throw InputError("another process has read another table");
      return std::make_shared<const SharedTable>(of_first[i], numbers);
    });
  // Nobody goes on, and may end, before all have found it.
  for (const std::string& text : ranks.gather(problem, no_work))
    if (result.why_not.empty()) result.why_not = text;
  return result;
}

}  // namespace nablabragg::ensemble
