#include "ensemble/shared_factors.hpp"

#include <fmt/format.h>

#include <exception>
#include <sstream>
#include <utility>
#include <vector>

#include "memory/shared_table.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

using memory::SharedTable;

SharedFactors shared_factors(std::shared_ptr<const StructureFactorGrid> grid, mpi::Ranks& ranks) {
  SharedFactors result{std::move(grid), false, {}};
  std::string problem;
  const auto use = [&](auto&&... arguments) {
    try {
      const StructureFactorGrid& own = *result.grid;
      result.grid = std::make_shared<const StructureFactorGrid>(
          own.in(std::make_shared<const SharedTable>(arguments..., own.values())));
    } catch (const InputError&) {
      result.differ = true;
    } catch (const std::exception& error) {
      problem = error.what();
    }
  };
  const auto is_shared = [&] { return result.grid && result.grid->shared(); };

  const bool is_first = ranks.rank_on_node() == 0;
  if (is_first && result.grid) use();
  if (ranks.size() == 1) return result;  // whose threads have one table anyway
  std::string address;
  if (is_first && is_shared()) {
    const auto [process, file] = result.grid->shared()->address();
    address = fmt::format("{} {} {}\n", ranks.rank(), process, file);
  }
  const mpi::Idle no_work = [] {};
  std::istringstream addresses(
      ranks.broadcast(fmt::format("{}", fmt::join(ranks.gather(address, no_work), "")), no_work));
  int rank = 0;
  for (memory::TableAddress at; addresses >> rank >> at.process >> at.file;)
    if (!is_first && result.grid && rank == ranks.first_on_node()) use(at);
  // Nobody goes on, and may end, before all have found it.
  for (const std::string& text : ranks.gather(problem, no_work))
    if (result.why_not.empty()) result.why_not = text;
  return result;
}

}  // namespace nablabragg::ensemble
