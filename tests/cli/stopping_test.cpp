// Ctrl-C and the other signals that end a run: how soon, with which exit code, and what is left.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <random>
#include <thread>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using test::Outcome;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string crystal = "-cell 50 60 70 90 90 90 -N 5 -default_F 10 -seed 1 ";
/// 2e7 steps a pixel
const std::string expensive =
    "-corrected " + crystal +
    "-detpixels 64 -oversample 2 -hdivrange 2 -hdivsteps 25 -vdivrange 2 -vdivsteps 25 "
    "-dispersion 1 -dispsteps 9 -mosaic 0.5 -mosaic_domains 100 -phi 1 -osc 1 -phisteps 10 "
    "-floatfile f.bin ";
/// Within a second; on a machine that is shared among tests.
constexpr double soon = 3;

/// Whether one of the files that the process has open has this in its name.
bool has_open(pid_t process, const std::string& text) {
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(process) + "/fd", error)) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone).string().find(text) != std::string::npos) return true;
  }
  return false;
}

/// Whether it waits, and not for a processor.
bool is_asleep(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(in, text);
  const std::size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text.substr(name_end, 3) == ") S";
}

double resident_bytes(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/statm");
  double total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

class Stopping : public testing::Test {
 protected:
  struct Stopped {
    Outcome outcome;
    double seconds;
    bool begun;  ///< what it was to be stopped in
  };

  /// Asked with the number of the process: whether it is in the middle of what is to be stopped.
  using Begun = std::function<bool(pid_t)>;

  /// Starts the program, waits until it is surely in the middle of something, and sends it signals.
  Stopped stop(const std::string& line, const std::vector<int>& signals = {SIGINT},
               const Begun& begun = {}) const {
    const test::Running running = test::start_program(folder.path(), test::split_arguments(line),
                                                      {});
    const auto start = Clock::now();
    bool in_it = false;
    while (!in_it && Clock::now() - start < std::chrono::seconds(20)) {
      std::this_thread::sleep_for(milliseconds(10));
      in_it = begun ? begun(running.process) : Clock::now() - start > milliseconds(700);
    }
    const auto sent = Clock::now();
    for (const int signal : signals) {
      kill(running.process, signal);
      std::this_thread::sleep_for(milliseconds(20));
    }
    Stopped stopped{test::outcome_of(running), 0, in_it};
    stopped.seconds = std::chrono::duration<double>(Clock::now() - sent).count();
    return stopped;
  }

  void expect_stopped(const Stopped& stopped, int signal) const {
    EXPECT_TRUE(stopped.begun) << "it was not yet there";
    EXPECT_EQ(stopped.outcome.exit_code, 128 + signal) << stopped.outcome.err;
    EXPECT_LT(stopped.seconds, soon);
    EXPECT_THAT(stopped.outcome.err, HasSubstr("nablabragg: error: stopped"));
  }

  std::vector<std::string> temporary_files() const {
    std::vector<std::string> left = folder.names();
    std::erase_if(left, [](const std::string& name) { return !name.ends_with(".tmp"); });
    return left;
  }

  test::TempDir folder;
};

// ---- Wherever the program is -----------------------------------------------------------------

TEST_F(Stopping, TakesNoLongInAPixelOfManySteps) {
  for (const char* engine : {"-engine cpu", "-engine reference"}) {
    expect_stopped(stop(expensive + engine), SIGINT);
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST_F(Stopping, TakesNoLongInReadingAPipeThatNobodyWritesTo) {
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const std::string model = "-corrected " + crystal + "-detpixels 8 ";
  for (const char* flag : {"-hkl", "-mat", "-sourcefile", "-dump"})
    expect_stopped(stop(model + flag + " fifo"), SIGINT);
  expect_stopped(stop("refine --image fifo --parameters misset -- " + model), SIGINT);
  expect_stopped(stop("fcalc fifo -dmin 2 -o o.hkl"), SIGINT);
  EXPECT_THAT(folder.names(), testing::ElementsAre("fifo"));
}

TEST_F(Stopping, TakesNoLongInWritingToAPipeThatNobodyReads) {
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const std::string line = "-corrected " + crystal + "-detpixels 512 -oversample 1 ";
  // Opened without a reader: the float image is there, and nothing moves any more
  int looks = 0;
  const auto waits_for_a_reader = [&](pid_t process) {
    looks = has_open(process, "(deleted)") && is_asleep(process) ? looks + 1 : 0;
    return looks == 20;
  };
  expect_stopped(stop(line + "-floatfile f.bin -intfile fifo", {SIGINT}, waits_for_a_reader),
                 SIGINT);
  // Full
  const int reader = open((folder / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  const auto pipe_is_full = [&](pid_t) {
    int bytes = 0;
    return ioctl(reader, FIONREAD, &bytes) == 0 && bytes == fcntl(reader, F_GETPIPE_SZ);
  };
  expect_stopped(stop(line + "-floatfile f.bin -intfile fifo", {SIGINT}, pipe_is_full), SIGINT);
  close(reader);
  EXPECT_THAT(folder.names(), testing::ElementsAre("fifo"));
}

TEST_F(Stopping, TakesNoLongInStructureFactorsOfALargeCell) {
  folder.file("m.pdb",
              "CRYST1  450.000  450.000  450.000  90.00  90.00  90.00 P 1           1\n"
              "ATOM      1  N   ALA A   1      11.104   6.134   6.504  1.00 20.00           N\n"
              "END\n");
  // Maps of the cell, 1e8 points of it, and nothing else take so much.
  const auto fills_maps = [](pid_t process) { return resident_bytes(process) > 5e7; };
  const Stopped stopped = stop("fcalc m.pdb -dmin 4 -o o.hkl", {SIGINT}, fills_maps);
  expect_stopped(stopped, SIGINT);
  EXPECT_THAT(folder.names(), testing::ElementsAre("m.pdb"));
}

TEST_F(Stopping, IsForTheProgramsThatCompareAndBenchRunToo) {
  folder.file("slow", "#!/bin/sh\necho $$ > '" + folder / "pid" + "'\nexec sleep 60\n");
  fs::permissions(folder / "slow", fs::perms::owner_all);
  const auto begun = [&](pid_t) {
    return fs::exists(folder / "pid") && !folder.content("pid").empty();
  };
  for (const std::string& line :
       {"compare --reference " + folder / "slow" + " -- " + crystal,
        "bench --cases cubic --sizes 8 --iterations 1 --ours " + folder / "slow"}) {
    expect_stopped(stop(line, {SIGINT}, begun), SIGINT);
    EXPECT_NE(kill(std::stoi(folder.content("pid")), 0), 0) << line;
    fs::remove(folder / "pid");
  }
}

// ---- Which signals ---------------------------------------------------------------------------

TEST_F(Stopping, HasTheExitCodeOfItsSignal) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    expect_stopped(stop(expensive, {signal}), signal);
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST_F(Stopping, IsAtOnceAtTheSecondControlC) {
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  double once = soon, twice = soon;
  for (int i = 0; i < 3; ++i) {
    const std::string line = "-corrected " + crystal + "-detpixels 8 -hkl fifo";
    once = std::min(once, stop(line).seconds);
    twice = std::min(twice, stop(line, {SIGINT, SIGINT}).seconds);
  }
  // The first one is given 0.7 s to end the run in an orderly way.
  EXPECT_LT(twice + 0.2, once);
}

TEST_F(Stopping, IsQuietWhenNobodyReadsTheOutputAnyMore) {
  folder.file("f.bin", "old");
  const std::string command = "cd '" + folder.path().string() + "'; { '" NABLA_PROGRAM "' " +
                              expensive + " 2> err; echo $? > code; } | true";
  const auto start = Clock::now();
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - start).count(), 1 + soon);
  EXPECT_EQ(folder.content("code"), "141\n");
  EXPECT_THAT(folder.content("err"), testing::Not(HasSubstr("error")));
  EXPECT_EQ(folder.content("f.bin"), "old");
  EXPECT_THAT(temporary_files(), IsEmpty());
}

TEST_F(Stopping, IsNotForASignalThatTheCallerLetsItIgnore) {
  const std::string command = "cd '" + folder.path().string() +
                              "'; trap '' HUP; '" NABLA_PROGRAM "' -corrected " + crystal +
                              "-detpixels 8 -floatfile f.bin -mat fifo > out 2>&1 & p=$!; "
                              "sleep 0.5; kill -HUP $p; sleep 0.2; "
                              "echo '0.02 0 0 0 0.016667 0 0 0 0.014286' > fifo; wait $p";
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_TRUE(fs::exists(folder / "f.bin"));
}

// ---- At any moment ---------------------------------------------------------------------------

/// Signals of each kind: NABLABRAGG_KILLS, or few.
int kills() {
  const char* number = std::getenv("NABLABRAGG_KILLS");
  return number ? std::max(std::atoi(number), 1) : 5;
}

TEST_F(Stopping, AtARandomMomentLeavesAllOutputsOldOrAllNewAndNothingElse) {
  const std::vector<std::string> names{"f.bin", "i.img", "n.img", "p.pgm", "g.png"};
  const std::string line = "-corrected " + crystal +
                           "-detpixels 1024 -oversample 1 -floatfile f.bin -intfile i.img "
                           "-noisefile n.img -pgmfile "
                           "p.pgm -pngfile g.png";
  const auto measure = [&] {
    const auto start = Clock::now();
    const Outcome whole = test::run_program(folder.path(), line);
    EXPECT_EQ(whole.exit_code, 0) << whole.err;
    return Clock::now() - start;
  };
  const auto whole = std::max(measure(), measure());
  std::vector<std::string> new_content;
  for (const std::string& name : names) new_content.push_back(folder.content(name));

  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> share(0, 1.1);
  int all_new = 0, all_old = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGKILL})
    for (int i = 0; i < kills(); ++i) {
      for (const std::string& name : names) folder.file(name, "old");
      const test::Running running = test::start_program(folder.path(), test::split_arguments(line),
                                                        {});
      while (!fs::exists(running.err)) std::this_thread::sleep_for(milliseconds(1));
      std::this_thread::sleep_for(share(random) * whole);
      kill(running.process, signal);
      const Outcome outcome = test::outcome_of(running);
      SCOPED_TRACE(testing::Message() << "signal " << signal << ", exit code " << outcome.exit_code
                                      << ", " << outcome.err);
      std::size_t fresh = 0;
      for (std::size_t n = 0; n < names.size(); ++n) {
        const std::string content = folder.content(names[n]);
        if (content == new_content[n])
          ++fresh;
        else
          EXPECT_EQ(content.substr(0, 100), "old") << names[n];
      }
      EXPECT_TRUE(outcome.exit_code != 0 || fresh == names.size());
      (fresh == 0 ? all_old : all_new) += 1;
      if (signal == SIGKILL) {
        // Nobody can help it between two renames, or where files always have names
        for (const std::string& name : temporary_files()) fs::remove(folder / name);
        continue;
      }
      EXPECT_TRUE(fresh == 0 || fresh == names.size()) << fresh << " of " << names.size();
      EXPECT_THAT(folder.names(), testing::UnorderedElementsAreArray(names));
    }
  std::cout << all_old + all_new << " runs: all outputs old in " << all_old << ", new in "
            << all_new << '\n';
  EXPECT_GT(all_old, 0);
}

}  // namespace
}  // namespace nablabragg
