#include "mpi/open_ranks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>

#include "mpi/together.hpp"
#include "nablabragg/error.hpp"
#include "plugins/open_plugin.hpp"

namespace nablabragg::mpi {

namespace {

constexpr plugins::PluginFile plugin_file{"libnablabragg_mpi.so", "NABLABRAGG_MPI_PLUGIN",
                                          plugin_entry, "MPI"};

class OneRank final : public Ranks {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int rank_on_node() const override { return 0; }
  int size_on_node() const override { return 1; }
  int first_on_node() const override { return 0; }
  int threads() const override { return 0; }
  std::int64_t fetch_add(Shared number, std::int64_t more) override {
    return numbers_[static_cast<std::size_t>(number)].fetch_add(more);
  }
  std::vector<std::string> gather(const std::string& mine, const Idle&) override { return {mine}; }
  std::string broadcast(const std::string& of_rank_0, const Idle&) override { return of_rank_0; }
  std::unique_ptr<io::LaidOutFile> open_laid_out(const std::string& path) override {
    return io::open_laid_out(path);
  }

 private:
  std::array<std::atomic<std::int64_t>, shared_numbers> numbers_{};
};

const Plugin& the_plugin(const Launch& launch) {
  const plugins::OpenedPlugin opened = plugins::open_plugin(plugin_file);
  if (opened.path.empty())
    throw UsageError(launch.by + " started several of this program, which was installed without " +
                     plugin_file.name +
                     " (build it where MPI is found: Debian's libopenmpi-dev, docs/ensembles.md); "
                     "started by itself it takes all threads of one machine");
  if (!opened.entry) throw UsageError(opened.why_none);
  const auto* plugin = reinterpret_cast<const Plugin* (*)()>(opened.entry)();
  if (plugin->version != plugin_version) throw UsageError(plugins::of_another_version(opened.path));
  return *plugin;
}

}  // namespace

std::unique_ptr<Ranks> one_rank() { return std::make_unique<OneRank>(); }

Launch launch_of(const std::function<const char*(const char*)>& variable) {
  const auto number = [&](const char* name) {
    const char* text = variable(name);
    return text ? std::max(0, std::atoi(text)) : 0;
  };
  const bool by_pmix = variable("PMIX_RANK") != nullptr;
  // Open MPI's mpirun, also where it starts its own helpers by srun
  if (variable("OMPI_COMM_WORLD_SIZE"))
    return {"mpirun", number("OMPI_COMM_WORLD_SIZE"), number("OMPI_COMM_WORLD_RANK"), by_pmix};
  // Of a step that srun started; SLURM_NTASKS is the job's, and in its shell, too
  const bool of_step = variable("SLURM_STEP_NUM_TASKS") && variable("SLURM_PROCID");
  const int of_step_tasks = number("SLURM_STEP_NUM_TASKS");
  // MPICH's mpirun and its relatives, whose helpers may be a step of one a machine
  if (variable("PMI_SIZE") && !(of_step && number("PMI_SIZE") == of_step_tasks))
    return {"mpirun", number("PMI_SIZE"), number("PMI_RANK"), by_pmix};
  if (of_step) return {"srun", of_step_tasks, number("SLURM_PROCID"), by_pmix};
  if (by_pmix) return {"mpirun", 0, number("PMIX_RANK"), by_pmix};
  return {};
}

std::unique_ptr<Ranks> open_ranks() {
  const Launch launch = launch_of([](const char* name) { return std::getenv(name); });
  if (launch.by.empty() || launch.tasks == 1) return one_rank();
  try {
    const Plugin& plugin = the_plugin(launch);
    if (launch.by == "srun" && !launch.by_pmix && plugin.needs_pmix())
      throw UsageError("srun started " + std::to_string(launch.tasks) +
                       " of this program without PMIx, by which the MPI that it was built with "
                       "finds the others; start it by srun --mpi=pmix (srun --mpi=list says what "
                       "this Slurm has), or by mpirun in the job");
    std::unique_ptr<Ranks> ranks = plugin.open();
    if (launch.tasks > 1 && ranks->size() != launch.tasks) {
      ranks->all_fail();
      throw UsageError(launch.by + " started " + std::to_string(launch.tasks) +
                       " of this program, but the MPI that it was built with knows of " +
                       std::to_string(ranks->size()) +
                       "; start it by mpirun of that MPI, or by srun --mpi=pmix");
    }
    return ranks;
  } catch (const UsageError&) {
    if (launch.rank == 0) throw;
    throw FailedElsewhere(Failure::usage);
  }
}

}  // namespace nablabragg::mpi
