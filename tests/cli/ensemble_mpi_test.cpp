// nablabragg ensemble under mpirun: several ranks leave what one process does, whatever ends them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>  // for strerror
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "support/ensemble_runs.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::varied;
using testing::AllOf;
using testing::HasSubstr;

constexpr int usage = 2, input_file = 3, output_file = 4;

/// As root, on fewer cores than ranks, without ssh.
const test::Environment for_mpirun{{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                   {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                   {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                                   {"OMPI_MCA_plm_rsh_agent", ""}};

std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                     "/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

class EnsembleRanks : public test::EnsembleRuns {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun > /dev/null") != 0)
      GTEST_SKIP() << "no mpirun here (Debian's openmpi-bin)";
    if (!fs::exists(fs::path(NABLA_PROGRAM).parent_path() / "libnablabragg_mpi.so"))
      GTEST_SKIP() << "this program was built without MPI (Debian's libopenmpi-dev)";
  }
  static test::Running start(const fs::path& folder, int ranks, const std::string& line,
                             test::Environment more = {}, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"-n", std::to_string(ranks), NABLA_PROGRAM});
    for (const std::string& word : test::split_arguments(line)) arguments.push_back(word);
    more.insert(more.end(), for_mpirun.begin(), for_mpirun.end());
    return test::start_program(folder, arguments, more, "mpirun");
  }
  Outcome run_ranks(int ranks, const std::string& line, const test::Environment& more = {}) const {
    return test::outcome_of(start(folder.path(), ranks, line, more));
  }
  Outcome good_ranks(int ranks, const std::string& line, const test::Environment& more = {}) const {
    Outcome outcome = run_ranks(ranks, line, more);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }
  /// Until `begun` is so, or half a minute.
  template <class Begun>
  static void wait_for(Begun&& begun) {
    for (int i = 0; i < 3000 && !begun(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  /// mpirun may end before the last of its processes; one that nobody waits for stays as a name.
  static void wait_for_end_of(const std::vector<pid_t>& processes) {
    const auto is_over = [](pid_t process) {
      std::string command;
      std::ifstream file("/proc/" + std::to_string(process) + "/cmdline");
      return !std::getline(file, command) || command.empty();
    };
    wait_for([&] { return std::ranges::all_of(processes, is_over); });
  }
};

TEST_F(EnsembleRanks, LeaveWhatOneProcessLeaves) {
  const std::string output = ", shots_per_shard: 7, reflections: true}";
  const std::vector<std::string> lists{"/shots/reflections/shot", "/shots/reflections/photons"};
  describe("one.yaml", 40, varied, "{folder: one" + output);
  good_run("ensemble one.yaml");
  for (const int ranks : {2, 3}) {
    const std::string name = "of" + std::to_string(ranks);
    describe("some.yaml", 40, varied, "{folder: " + name + output);
    const Outcome outcome = good_ranks(ranks, "ensemble some.yaml --threads 1");
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("made 40 shots in"),
                                   HasSubstr("on " + std::to_string(ranks) + " ranks of 1 thread"),
                                   HasSubstr("written: " + name + "/all.nxs of 40 shots")));
    EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 2) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr("distance differs from shot to shot"));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_EQ(all_of(name, lists), all_of("one", lists));
    EXPECT_EQ(names_in(name), names_in("one"));
  }
}

TEST_F(EnsembleRanks, OfSeveralMachinesLeaveWhatOneProcessLeaves) {
  // To MPI a machine is a name and the memory that its processes share.
  const std::string machine = "unshare --mount --uts --map-root-user";
  if (std::system((machine + " mount -t tmpfs tmpfs /dev/shm 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "no namespaces that could stand for machines here";
  test::write_file(folder / "machine", "#!/bin/sh\nexec " + machine +
                                           " sh -c 'hostname \"$0\" && mount -t tmpfs tmpfs "
                                           "/dev/shm && eval \"$*\"' \"$@\"\n");
  fs::permissions(folder / "machine", fs::perms::owner_all);
  const std::string output = ", shots_per_shard: 7, reflections: true}";
  describe("one.yaml", 60, varied, "{folder: one" + output);
  good_run("ensemble one.yaml");
  describe("some.yaml", 60, varied, "{folder: some" + output);
  const Outcome outcome = test::outcome_of(
      start(folder.path(), 4, "ensemble some.yaml --threads 1", {},
            {"--host", "first:2,second:2", "--mca", "plm_rsh_agent", folder / "machine"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("made 60 shots in"));
  EXPECT_THAT(outcome.out, HasSubstr("on 4 ranks of 1 thread"));
  EXPECT_EQ(all_of("some"), all_of("one"));
  EXPECT_EQ(names_in("some"), names_in("one"));
}

/// All ranks write into it by parallel HDF5, where the plugin has it.
TEST_F(EnsembleRanks, WriteOneFileTogetherAndGoOnWithIt) {
  const std::string output =
      ", files: one, shots_per_shard: 10, reflections: true, "
      "spot_mask: 0.5}";
  const std::vector<std::string> more{"/shots/reflections/shot", "/shots/reflections/photons",
                                      "/shots/spot_mask"};
  describe("one.yaml", 120, varied, "{folder: one" + output);
  good_run("ensemble one.yaml");
  const auto whole = all_of("one", more);
  for (const int ranks : {2, 4}) {
    const std::string name = "of" + std::to_string(ranks);
    describe("some.yaml", 120, varied, "{folder: " + name + output);
    const Outcome outcome = run_ranks(ranks, "ensemble some.yaml --threads 1");
    if (outcome.err.find("libhdf5-openmpi-dev") != std::string::npos) {
      EXPECT_EQ(outcome.exit_code, usage);
      EXPECT_FALSE(fs::exists(folder / name));
      GTEST_SKIP() << "this plugin was built without parallel HDF5 (Debian's libhdf5-openmpi-dev)";
    }
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("written: " + name + "/all.nxs of 120 shots"));
    EXPECT_EQ(all_of(name, more), whole);
    EXPECT_EQ(names_in(name), names_in("one"));
  }
  describe("e.yaml", 120, varied, "{folder: out" + output);
  std::mt19937 random(1);
  int ended = 0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const test::Running running = start(folder.path(), 2 + attempt % 3,
                                        "ensemble e.yaml --threads 1");
    // Every other one while they write the file
    wait_for([&] {
      return fs::exists(folder / (attempt % 2 == 0 ? "out/journal.1.jsonl" : "out/all.nxs.part")) ||
             fs::exists(folder / "out/all.nxs");
    });
    if (attempt % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 200));
    const std::vector<pid_t> children = children_of(running.process);
    for (const pid_t child : children) {
      kill(child, SIGKILL);
      if (attempt % 3 == 0) break;
    }
    ended += test::outcome_of(running).exit_code != 0;
    wait_for_end_of(children);
  }
  EXPECT_GT(ended, 1);
  good_ranks(3, "ensemble e.yaml");
  EXPECT_EQ(all_of("out", more), whole);
  EXPECT_EQ(names_in("out"), names_in("one"));
}

TEST_F(EnsembleRanks, DrawTheSameRowsOfATable) {
  test::write_file(folder / "rows", "row light\n0 1e25\n1 2e25\n2 3e25\n");
  const std::string more = "vary: {fluence: {column: light, file: rows, rows: random}}\n";
  describe("one.yaml", 9, more, "{folder: one, shots_per_shard: 4, compression: deflate}");
  describe("two.yaml", 9, more, "{folder: two, shots_per_shard: 4, compression: deflate}");
  good_run("ensemble one.yaml");
  good_ranks(3, "ensemble two.yaml");
  for (const char* name : {"/entry/data/data", "/shots/fluence"})
    EXPECT_EQ(test::read_data(folder / "one/all.nxs", name),
              test::read_data(folder / "two/all.nxs", name));
}

TEST_F(EnsembleRanks, LabelEachCrystalOfAShotThatIsPutTogether) {
  const auto two_crystals = [&](const std::string& name) {
    test::write_file(folder / (name + ".yaml"),
                     "ensemble: 1\nbase: " + test::base +
                         " -more_crystal 0 0 0 0.7\nshots: 9\nseed: 5\norientation: random_each\n"
                         "output: {folder: " +
                         name + ", shots_per_shard: 4, reflections: true}\n");
  };
  two_crystals("one");
  two_crystals("two");
  good_run("ensemble one.yaml");
  good_ranks(2, "ensemble two.yaml");
  for (const char* name :
       {"/entry/data/data", "/shots/misset", "/shots/real_axes", "/shots/crystal[1].misset",
        "/shots/crystal[1].orientation", "/shots/crystal[1].real_axes",
        "/shots/reflections/crystal", "/shots/reflections/photons"})
    EXPECT_EQ(test::read_data(folder / "one/all.nxs", name),
              test::read_data(folder / "two/all.nxs", name))
        << name;
}

TEST_F(EnsembleRanks, HaveOneTableOfStructureFactors) {
  std::string table;
  for (int h = -12; h <= 12; ++h)
    for (int k = -12; k <= 12; ++k)
      for (int l = -12; l <= 12; ++l)
        table += std::to_string(h) + ' ' + std::to_string(k) + ' ' + std::to_string(l) + ' ' +
                 std::to_string(1 + (7 * h + 3 * k + l + 400) % 100) + '\n';
  test::write_file(folder / "table.hkl", table);
  const auto describe_with = [&](const std::string& name, int shots, const std::string& more) {
    test::write_file(folder / (name + ".yaml"),
                     "ensemble: 1\nbase: " + test::base + " -hkl table.hkl " + more + "\nshots: " +
                         std::to_string(shots) + "\nseed: 5\noutput: {folder: " + name +
                         ", shots_per_shard: 7}\n" + varied);
  };
  for (const std::string more : {"", "-mosaic_model gaussian"}) {  // step by step, in closed form
    describe_with("one", 30, more);
    good_run("ensemble one.yaml --threads 1");
    describe_with("three", 30, more);
    const Outcome outcome = good_ranks(3, "ensemble three.yaml");
    EXPECT_EQ(outcome.err.find("table of structure factors of its own"), std::string::npos);
    EXPECT_EQ(all_of("three"), all_of("one"));
    fs::remove_all(folder / "one");
    fs::remove_all(folder / "three");
  }
  describe_with("e", 40000, "");
  const test::Running running = start(folder.path(), 3, "ensemble e.yaml");
  wait_for([&] {
    for (const char* rank : {"0", "1", "2"}) {
      const fs::path journal = folder / ("e/journal." + std::string(rank) + ".jsonl");
      if (!fs::exists(journal) || test::read_file(journal).find("begin") == std::string::npos)
        return false;
    }
    return true;
  });
  std::set<std::string> memory;  // by its number, on each line of a mapping
  const std::vector<pid_t> children = children_of(running.process);
  for (const pid_t child : children) {
    std::ifstream mappings("/proc/" + std::to_string(child) + "/maps");
    int found = 0;
    for (std::string line; std::getline(mappings, line);) {
      if (line.find("/memfd:nablabragg-table") == std::string::npos) continue;
      ++found;
      std::istringstream words(line);
      std::string range, rights, offset, device, number;
      words >> range >> rights >> offset >> device >> number;
      memory.insert(number);
    }
    EXPECT_GT(found, 0) << child;
  }
  kill(running.process, SIGTERM);
  test::outcome_of(running);
  wait_for_end_of(children);
  EXPECT_EQ(children.size(), 3U);
  EXPECT_EQ(memory.size(), 1U);
}

TEST_F(EnsembleRanks, SayOnceWhatIsWrongForAllOfThem) {
  describe("e.yaml", 3, "vary:\n  distence: {uniform: [79, 81]}\n", "out");
  const Outcome outcome = run_ranks(3, "ensemble e.yaml");
  EXPECT_EQ(outcome.exit_code, input_file);
  EXPECT_THAT(outcome.err, HasSubstr("nablabragg: error: e.yaml:7: vary.distence: "));
  EXPECT_EQ(outcome.err.find("did you mean"), outcome.err.rfind("did you mean"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(EnsembleRanks, StopAllWhereOneCannotWriteAndNameIt) {
  describe("e.yaml", 400, varied, "{folder: out, shots_per_shard: 400}");
  fs::create_directories(folder / "out/parts.1");  // which is where rank 1 would write
  const Outcome outcome = run_ranks(3, "ensemble e.yaml");
  EXPECT_EQ(outcome.exit_code, output_file);
  EXPECT_THAT(outcome.err,
              HasSubstr("nablabragg: error: rank 1: cannot write out/parts.1: Is a directory"));
  EXPECT_FALSE(fs::exists(folder / "out/all.nxs"));
  fs::remove(folder / "out/parts.1");
  good_ranks(2, "ensemble e.yaml");
  describe("one.yaml", 400, varied, "{folder: one, shots_per_shard: 400}");
  good_run("ensemble one.yaml");
  EXPECT_EQ(all_of("out"), all_of("one"));
}

TEST_F(EnsembleRanks, GoOnWhateverEndedThem) {
  const std::string output = ", shots_per_shard: 80, reflections: true}";
  const std::vector<std::string> lists{"/shots/reflections/shot", "/shots/reflections/photons"};
  describe("one.yaml", 1500, varied, "{folder: one" + output);
  good_run("ensemble one.yaml");
  describe("e.yaml", 1500, varied, "{folder: out" + output);
  std::mt19937 random(1);
  int ended = 0, said = 0;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const int ranks = 2 + attempt % 3;
    const auto before = fs::file_time_type::clock::now();
    const test::Running running = start(folder.path(), ranks, "ensemble e.yaml --threads 1");
    const fs::path journal = folder / "out/journal.1.jsonl";  // that of the run before goes
    wait_for([&] {
      std::error_code none;
      return fs::last_write_time(journal, none) > before || fs::exists(folder / "out/all.nxs");
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    const std::vector<pid_t> children = children_of(running.process);
    if (attempt % 3 == 0 && !children.empty()) kill(children[random() % children.size()], SIGKILL);
    if (attempt % 3 == 1)
      for (const pid_t child : children) kill(child, SIGKILL);
    if (attempt % 3 == 2) kill(running.process, SIGTERM);
    const Outcome outcome = test::outcome_of(running);
    ended += outcome.exit_code != 0;
    said += outcome.err.find("unfinished work") != std::string::npos;
    wait_for_end_of(children);
  }
  EXPECT_GT(ended, 2);
  EXPECT_GT(said, 0);
  good_run("ensemble e.yaml");
  EXPECT_EQ(all_of("out", lists), all_of("one", lists));
  EXPECT_EQ(names_in("out"), names_in("one"));
}

TEST_F(EnsembleRanks, SayWhichRanksHadUnfinishedShots) {
  describe("e.yaml", 40000, varied, "{folder: out, shots_per_shard: 1000}");
  const test::Running running = start(folder.path(), 2, "ensemble e.yaml");
  const std::vector<pid_t> children = [&] {
    wait_for([&] {
      return fs::exists(folder / "out/journal.0.jsonl") &&
             fs::exists(folder / "out/journal.1.jsonl") &&
             test::read_file(folder / "out/journal.0.jsonl").find("begin") != std::string::npos &&
             test::read_file(folder / "out/journal.1.jsonl").find("begin") != std::string::npos;
    });
    return children_of(running.process);
  }();
  ASSERT_EQ(children.size(), 2U);
  kill(children[1], SIGKILL);
  EXPECT_NE(test::outcome_of(running).exit_code, 0);
  wait_for_end_of(children);
  const Outcome again = test::run_interrupted(
      folder.path(), "ensemble e.yaml", [&](const fs::path&) {
        return fs::exists(folder / ".stderr") &&
               test::read_file(folder / ".stderr").find("unfinished") != std::string::npos;
      });
  EXPECT_THAT(again.err, testing::ContainsRegex(
                             "the run before was ended with unfinished work, which is "
                             "begun anew: rank 0 shots [0-9]+ to [0-9]+ \\(shard [0-9]+\\), "
                             "rank 1 shots [0-9]+ to [0-9]+ \\(shard [0-9]+\\)"));
}

TEST_F(EnsembleRanks, StopWhereTheDiskIsFullAndGoOnWhereItIsNot) {
  const fs::path disk = folder / "disk";
  fs::create_directories(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=300k") != 0)
    GTEST_SKIP() << "no small disk can be mounted here: " << std::strerror(errno);
  describe("e.yaml", 60, varied, "{folder: disk/out, shots_per_shard: 5}");
  const Outcome full = run_ranks(2, "ensemble e.yaml");
  const bool grown = mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=30m") == 0;
  const Outcome more = run_ranks(3, "ensemble e.yaml");
  std::map<std::string, test::Data> on_disk;
  if (more.exit_code == 0) on_disk = all_of("disk/out");
  umount(disk.c_str());
  EXPECT_EQ(full.exit_code, output_file) << full.err;
  EXPECT_THAT(full.err, testing::ContainsRegex("(rank [01]: )?cannot write disk/out/.*No space"));
  ASSERT_TRUE(grown);
  EXPECT_EQ(more.exit_code, 0) << more.err;
  describe("f.yaml", 60, varied, "{folder: out, shots_per_shard: 5}");
  good_run("ensemble f.yaml");
  EXPECT_EQ(on_disk, all_of("out"));
}

TEST_F(EnsembleRanks, LookAheadAsOneProcess) {
  describe("e.yaml", 2000, varied, "out");
  const Outcome outcome = good_ranks(2, "ensemble e.yaml --dry-run");
  EXPECT_THAT(outcome.out, HasSubstr("2000 shots in 2 shards"));
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 4) << outcome.out;
  good_ranks(2, "ensemble e.yaml --shot 17 --output of_ranks.cbf");
  good_run("ensemble e.yaml --shot 17 --output of_one.cbf");
  EXPECT_TRUE(fs::exists(folder / "of_ranks.cbf"));
  EXPECT_TRUE(fs::exists(folder / "of_one.cbf"));
}

TEST_F(EnsembleRanks, WithoutThePluginSayItOnce) {
  describe("e.yaml", 3, "", "out");
  const Outcome missing = run_ranks(2, "ensemble e.yaml", {{"NABLABRAGG_MPI_PLUGIN", "/none.so"}});
  EXPECT_EQ(missing.exit_code, usage);
  const std::string
      sentence = "nablabragg: error: the plugin for MPI could not be opened: /none.so";
  EXPECT_THAT(missing.err, HasSubstr(sentence));
  EXPECT_EQ(missing.err.find(sentence), missing.err.rfind(sentence));
}

TEST_F(EnsembleRanks, AreNotTakenForEachOtherWhereMpiKnowsOfOneAlone) {
  describe("e.yaml", 3, "", "out");
  // As mpirun of another MPI, or srun without a way to this one, starts them
  const Outcome by_mpirun = test::run_program(
      folder.path(), "ensemble e.yaml",
      {{"PMI_SIZE", "4"}, {"PMI_RANK", "0"}, {"OMPI_MCA_plm_rsh_agent", ""}});
  EXPECT_EQ(by_mpirun.exit_code, usage);
  EXPECT_THAT(by_mpirun.err,
              HasSubstr("mpirun started 4 of this program, but the MPI that it was built "
                        "with knows of 1"));
  for (const char* rank : {"0", "1"}) {
    const Outcome by_srun = test::run_program(folder.path(), "ensemble e.yaml",
                                              {{"SLURM_JOB_ID", "7"},
                                               {"SLURM_STEP_ID", "0"},
                                               {"SLURM_STEP_NUM_TASKS", "4"},
                                               {"SLURM_PROCID", rank}});
    EXPECT_EQ(by_srun.exit_code, usage);
    if (rank[0] == '1') {
      EXPECT_EQ(by_srun.err, "");  // rank 0 has said it
      continue;
    }
    EXPECT_THAT(by_srun.err, HasSubstr("srun started 4 of this program without PMIx"));
    EXPECT_EQ(std::ranges::count(by_srun.err, '\n'), 1) << by_srun.err;
  }
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace nablabragg
