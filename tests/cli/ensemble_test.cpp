// nablabragg ensemble: what a run leaves, how an interrupted one goes on, one shot by itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>  // for strerror
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "io/hdf5_handles.hpp"
#include "io/series_journal.hpp"  // for checked_line
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "physics/matrix.hpp"
#include "support/damage.hpp"
#include "support/ensemble_runs.hpp"
#include "support/hdf5_file.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using test::base;
using test::Data;
using test::EnsembleRuns;
using test::Outcome;
using test::read_data;
using test::varied;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int usage = 2, input_file = 3, output_file = 4, interrupted = 130;

/// A text of fixed length.
std::string read_text(const fs::path& file, const std::string& name) {
  namespace hdf5 = io::hdf5;
  const hdf5::Session session;
  const hdf5::File opened(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  const hdf5::Object data(H5Dopen2(opened.get(), name.c_str(), H5P_DEFAULT));
  const hdf5::Type type(H5Dget_type(data.get()));
  std::string text(H5Tget_size(type.get()), '\0');
  H5Dread(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data());
  return text.c_str();
}

// ---- What a run leaves --------------------------------------------------------------------------

TEST_F(EnsembleRuns, LeaveShardsAFileOfAllAndAJournal) {
  describe("e.yaml", 7, varied, "{folder: out, shots_per_shard: 3, reflections: true}");
  const Outcome outcome = good_run("ensemble e.yaml");
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("made 7 shots in"), HasSubstr("written: out/all.nxs of 7 shots")));
  EXPECT_THAT(outcome.err, HasSubstr("distance differs from shot to shot: the files state the "
                                     "geometry of the base experiment"));
  EXPECT_THAT(names_in("out"), testing::ElementsAre("all.nxs", "journal.jsonl", "shard_00000.nxs",
                                                    "shard_00001.nxs", "shard_00002.nxs"));
  const auto all = all_of("out", {"/shots/reflections/shot", "/shots/reflections/hkl"});
  EXPECT_THAT(all.at("/entry/data/data").shape, testing::ElementsAre(7, 64, 64));
  EXPECT_THAT(all.at("/shots/index").numbers, testing::ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(all.at("/shots/orientation").shape, testing::ElementsAre(7, 3, 3));
  EXPECT_THAT(all.at("/shots/distance").numbers, Each(AllOf(testing::Ge(79), testing::Le(81))));
  EXPECT_TRUE(std::ranges::is_sorted(all.at("/shots/reflections/shot").numbers));
  EXPECT_GT(all.at("/shots/reflections/shot").numbers.size(), 20U);
  EXPECT_EQ(all.at("/shots/reflections/hkl").shape,
            (std::vector<hsize_t>{all.at("/shots/reflections/shot").shape[0], 3}));
  // What the file of all shows is what the shards hold.
  const Data second = read_data(folder / "out/shard_00001.nxs", "/entry/data/data");
  const auto& pixels = all.at("/entry/data/data").numbers;
  EXPECT_TRUE(
      std::equal(second.numbers.begin(), second.numbers.end(), pixels.begin() + 3 * 64 * 64));
  EXPECT_EQ(read_data(folder / "out/shard_00002.nxs", "/shots/index").numbers,
            std::vector<double>{6});
}

TEST_F(EnsembleRuns, AreTheSameForAnyNumberOfThreadsAndShards) {
  describe("one.yaml", 8, varied, "{folder: one, shots_per_shard: 3}");
  describe("two.yaml", 8, varied, "{folder: two, shots_per_shard: 8, compression: deflate}");
  good_run("ensemble one.yaml --threads 1");
  good_run("ensemble two.yaml --threads 5");
  EXPECT_EQ(all_of("one"), all_of("two"));
}

TEST_F(EnsembleRuns, MayBeMovedToAnotherFolder) {
  describe("e.yaml", 4, varied, "{folder: out, shots_per_shard: 2}");
  good_run("ensemble e.yaml");
  const auto before = all_of("out");
  fs::create_directories(folder / "elsewhere");
  fs::rename(folder / "out", folder / "elsewhere/moved");
  EXPECT_EQ(all_of("elsewhere/moved"), before);
}

TEST_F(EnsembleRuns, AreReadAsNxmx) {
  describe("e.yaml", 3, varied, "{folder: out, shots_per_shard: 2}");
  good_run("ensemble e.yaml");
  for (const char* file : {"out/all.nxs", "out/shard_00000.nxs"}) {
    const io::ImageFile image = io::read_image(folder / file, 1);
    EXPECT_EQ(image.format, "NXmx");
    EXPECT_NEAR(image.geometry.panels.at(0).origin_mm.z, -80, 1e-6) << "that of the base";
    const Data all = read_data(folder / "out/all.nxs", "/entry/data/data");
    EXPECT_TRUE(
        std::equal(image.pixels.begin(), image.pixels.end(), all.numbers.begin() + 64 * 64));
  }
}

TEST_F(EnsembleRuns, HoldPhotonsWhereThatIsAskedFor) {
  describe("e.yaml", 3, varied + "readout: photons\n", "out");
  good_run("ensemble e.yaml");
  const Data data = read_data(folder / "out/all.nxs", "/entry/data/data");
  const Data sums = read_data(folder / "out/all.nxs", "/shots/photons");
  for (std::size_t shot = 0; shot < 3; ++shot) {
    double sum = 0;
    for (std::size_t i = 0; i < 64 * 64; ++i) sum += data.numbers[shot * 64 * 64 + i];
    EXPECT_NEAR(sum, sums.numbers[shot], 1e-5 * sum);
  }
}

TEST_F(EnsembleRuns, MarkThePixelsOfSpots) {
  describe("e.yaml", 7, varied + "readout: photons\n",
           "{folder: out, shots_per_shard: 3, spot_mask: 0.5}");
  good_run("ensemble e.yaml");
  const auto all = all_of("out", {"/shots/spot_mask", "/shots/resolution"});
  const Data &photons = all.at("/entry/data/data"), &mask = all.at("/shots/spot_mask");
  EXPECT_EQ(mask.shape, photons.shape);
  for (std::size_t i = 0; i < mask.numbers.size(); ++i)
    ASSERT_EQ(mask.numbers[i], photons.numbers[i] >= 0.5 ? 1 : 0) << i;
  EXPECT_THAT(mask.numbers, AllOf(testing::Contains(0), testing::Contains(1)));
  const auto &hit = all.at("/shots/hit").numbers, &d_A = all.at("/shots/resolution").numbers;
  EXPECT_THAT(hit, AllOf(testing::Contains(0), testing::Contains(1)));
  for (std::size_t i = 0; i < hit.size(); ++i) EXPECT_EQ(std::isfinite(d_A[i]), hit[i] == 1) << i;
  describe("wrong.yaml", 7, "", "{folder: out2, spot_mask: 0}");
  expect_error("ensemble wrong.yaml", input_file,
               {"output.spot_mask: is how many photons a pixel of a spot has at least"});
}

TEST_F(EnsembleRuns, HaveTheMaskOfADetectorWithGaps) {
  test::write_file(
      folder / "e.yaml",
      "ensemble: 1\nbase: -corrected -detector PILATUS3_300K -distance 100 -cell 50 60 70 "
      "90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 1 -thicksteps 1\nshots: 12\n"
      "orientation: random\noutput: {folder: out, shots_per_shard: 2}\n");
  good_run("ensemble e.yaml --threads 4");
  const Data mask = read_data(folder / "out/all.nxs", "/entry/instrument/detector/pixel_mask");
  EXPECT_THAT(mask.shape, testing::ElementsAre(619, 487));
  EXPECT_EQ(read_data(folder / "out/shard_00003.nxs", "/entry/instrument/detector/pixel_mask"),
            mask);
  const Data all = read_data(folder / "out/all.nxs", "/entry/data/data");
  EXPECT_EQ(std::ranges::count(all.numbers, -1) + std::ranges::count(all.numbers, -2),
            12 * std::ranges::count(mask.numbers, 1));
}

// ---- One shot -----------------------------------------------------------------------------------

TEST_F(EnsembleRuns, MakeAnyShotAgainByItselfBitForBit) {
  describe("e.yaml", 6, varied, "{folder: out, shots_per_shard: 4}");
  good_run("ensemble e.yaml");
  const Data all = read_data(folder / "out/all.nxs", "/entry/data/data");
  for (int shot = 0; shot < 6; ++shot) {
    good_run("ensemble e.yaml --shot " + std::to_string(shot) + " --output shot.cbf");
    const io::ImageFile image = io::read_image(folder / "shot.cbf");
    EXPECT_TRUE(
        std::equal(image.pixels.begin(), image.pixels.end(), all.numbers.begin() + shot * 64 * 64))
        << shot;
  }
}

TEST_F(EnsembleRuns, PrintTheFlagsOfAShot) {
  describe("e.yaml", 4, "orientation: random\nvary:\n  distance: {uniform: [79, 81]}\n", "out");
  const Outcome outcome = good_run("ensemble e.yaml --shot 3 --flags --output shot.cbf");
  const std::string flags = outcome.out.substr(0, outcome.out.find('\n'));
  EXPECT_THAT(flags, AllOf(HasSubstr("-misset "), HasSubstr("-distance "), HasSubstr("-seed ")));
  good_run(flags + " -o again.cbf");
  EXPECT_EQ(io::read_image(folder / "shot.cbf").pixels,
            io::read_image(folder / "again.cbf").pixels);
}

TEST_F(EnsembleRuns, SayOfABlankShotThatNoFlagMakesIt) {
  describe("e.yaml", 3, "hit_rate: 0\n", "out");
  const Outcome outcome = good_run("ensemble e.yaml --shot 2 --flags");
  EXPECT_EQ(outcome.err,
            "nablabragg: in shot 2 the crystal is not in the beam, which no flag says\n");
  good_run("ensemble e.yaml");
  EXPECT_THAT(read_data(folder / "out/all.nxs", "/shots/photons").numbers, Each(0));
  EXPECT_THAT(read_data(folder / "out/all.nxs", "/shots/hit").numbers, Each(0));
}

TEST_F(EnsembleRuns, SayOfAShotsSpectrumThatNoFlagStatesIt) {
  {
    const test::Hdf5File file(folder / "light.h5");
    file.numbers("weights", {1, 2, 2, 1}, {2, 2});
    file.numbers("energy_eV", {12390, 12400}, {2});
  }
  describe("e.yaml", 2, "spectra: light.h5\n", "out");
  const Outcome outcome = good_run("ensemble e.yaml --shot 1 --flags");
  EXPECT_EQ(outcome.err,
            "nablabragg: shot 1 is in the light of row 1 of light.h5, which no flag of one image "
            "states: these flags have one wavelength\n");
}

TEST_F(EnsembleRuns, OfAnExperimentsFileHaveFlagsToo) {
  describe("flags.yaml", 2, "vary:\n  distance: {uniform: [79, 81]}\n", "flags");
  good_run("ensemble flags.yaml");
  // The base as a file holds it
  const std::string json = read_text(folder / "flags/all.nxs", "/entry/process/experiment/data");
  test::write_file(folder / "base.json", json);
  test::write_file(folder / "file.yaml",
                   "ensemble: 1\nbase: {experiment: base.json}\nshots: 2\nseed: 5\noutput: file\n"
                   "vary:\n  distance: {uniform: [79, 81]}\n");
  good_run("ensemble file.yaml");
  EXPECT_EQ(read_data(folder / "flags/all.nxs", "/entry/data/data"),
            read_data(folder / "file/all.nxs", "/entry/data/data"));
  const Outcome outcome = good_run("ensemble file.yaml --shot 1 --flags --output shot.cbf");
  good_run(outcome.out.substr(0, outcome.out.find('\n')) + " -o again.cbf");
  EXPECT_EQ(io::read_image(folder / "shot.cbf").pixels,
            io::read_image(folder / "again.cbf").pixels);
}

TEST_F(EnsembleRuns, HaveTheImagesOfASeriesOfTheSameSeed) {
  describe("e.yaml", 3, "orientation: random\n", "out");
  good_run("ensemble e.yaml");
  good_run(base + " -seed 5 -images 3 -orientations random:5 -o series.nxs");
  EXPECT_EQ(read_data(folder / "out/all.nxs", "/entry/data/data"),
            read_data(folder / "series.nxs", "/entry/data/data"));
}

TEST_F(EnsembleRuns, LabelHowEachOfTheirCrystalsLiesAndWhoseAReflectionIs) {
  const std::string two = base + " -more_crystal 0 0 0 0.7";
  test::write_file(folder / "e.yaml",
                   "ensemble: 1\nbase: " + two +
                       "\nshots: 4\nseed: 5\norientation: random_each\nreadout: photons\n"
                       "output: {folder: out, shots_per_shard: 3, reflections: true}\n");
  good_run("ensemble e.yaml");
  const auto read = [&](const std::string& name) {
    return read_data(folder / "out/all.nxs", name).numbers;
  };
  const auto pixels = read("/entry/data/data");
  const auto first_deg = read("/shots/misset"), second_deg = read("/shots/crystal[1].misset");
  for (std::size_t shot = 0; shot < 4; ++shot) {
    const auto angles = [shot](const std::vector<double>& of) {
      return fmt::format("{} {} {}", of[3 * shot], of[3 * shot + 1], of[3 * shot + 2]);
    };
    good_run(base + " -misset " + angles(first_deg) + " -more_crystal " + angles(second_deg) +
             " 0.7 -floatfile one.f32");
    EXPECT_EQ(test::read_floats(folder / "one.f32"),
              std::vector<float>(pixels.begin() + static_cast<std::ptrdiff_t>(shot) * 64 * 64,
                                 pixels.begin() + static_cast<std::ptrdiff_t>(shot + 1) * 64 * 64));
  }
  // Whoever scatters, its axes put the reflection near the Ewald sphere, and not those of the
  // other.
  const std::vector<std::vector<double>> axes{read("/shots/real_axes"),
                                              read("/shots/crystal[1].real_axes")};
  const auto of_shot = read("/shots/reflections/shot"), hkl = read("/shots/reflections/hkl"),
             whose = read("/shots/reflections/crystal");
  std::array<int, 2> count{};
  double farthest = 0, other_farthest = 0;
  for (std::size_t i = 0; i < of_shot.size(); ++i) {
    const auto missed_per_A = [&](std::size_t crystal) {
      const double* m = axes[crystal].data() + 9 * static_cast<std::size_t>(of_shot[i]);
      const Mat3d real{{m[0], m[1], m[2]}, {m[3], m[4], m[5]}, {m[6], m[7], m[8]}};
      const Vec3d q = inverse(real) * Vec3d{hkl[3 * i], hkl[3 * i + 1], hkl[3 * i + 2]};
      return std::abs(length(q + Vec3d{0, 0, -1}) - 1);  // 1 Angstrom, along -z
    };
    const auto crystal = static_cast<std::size_t>(whose[i]);
    ++count.at(crystal);
    farthest = std::max(farthest, missed_per_A(crystal));
    other_farthest = std::max(other_farthest, missed_per_A(1 - crystal));
  }
  EXPECT_GT(std::min(count[0], count[1]), 20);
  EXPECT_LT(farthest, 0.02);
  EXPECT_GT(other_farthest, 0.1);
}

TEST_F(EnsembleRuns, RecordWhatTheDetectorMakesOfAShot) {
  test::write_file(folder / "e.yaml",
                   "ensemble: 1\nbase: " + base +
                       " -response integrating -psf gauss -psf_fwhm 900 -gain 2 -readout_noise 3 "
                       "-adc 10 -bits 16\nshots: 3\norientation: random\noutput: out\n");
  good_run("ensemble e.yaml");
  const Data all = read_data(folder / "out/all.nxs", "/entry/data/data");
  good_run("ensemble e.yaml --shot 2 --output shot.nxs");
  const Data one = read_data(folder / "shot.nxs", "/entry/data/data");
  EXPECT_TRUE(
      std::equal(one.numbers.begin(), one.numbers.end(), all.numbers.begin() + 2 * 64 * 64));
  const auto dark = std::ranges::count(one.numbers, 0);
  EXPECT_LT(dark, 64 * 64 / 10) << "the offset is in them";
  EXPECT_EQ(read_data(folder / "out/all.nxs", "/entry/data/data_offset").numbers[0], -10);
}

// ---- One file instead of shards -----------------------------------------------------------------

const std::string
    of_one_file = ", files: one, shots_per_shard: 4, reflections: true, spot_mask: 0.5}";
const std::vector<std::string> more_of_one_file{
    "/shots/reflections/shot",    "/shots/reflections/hkl", "/shots/reflections/centroid",
    "/shots/reflections/photons", "/shots/spot_mask",       "/shots/resolution"};

TEST_F(EnsembleRuns, HaveInOneFileWhatShardsShow) {
  describe("shards.yaml", 14, varied,
           "{folder: shards, shots_per_shard: 4, reflections: true, spot_mask: 0.5}");
  describe("one.yaml", 14, varied, "{folder: one" + of_one_file);
  good_run("ensemble shards.yaml");
  EXPECT_THAT(good_run("ensemble one.yaml").out,
              AllOf(HasSubstr("made 14 shots in"), HasSubstr("written: one/all.nxs of 14 shots")));
  EXPECT_EQ(all_of("one", more_of_one_file), all_of("shards", more_of_one_file));
  EXPECT_EQ(names_in("one"), (std::vector<std::string>{"all.nxs", "journal.jsonl"}));
  for (const int image : {0, 13})
    EXPECT_EQ(io::read_image((folder / "one/all.nxs"), image).pixels,
              io::read_image((folder / "shards/all.nxs"), image).pixels);
  EXPECT_THAT(good_run("ensemble one.yaml").err, HasSubstr("14 of 14 shots were complete"));
  EXPECT_THAT(good_run("ensemble one.yaml --dry-run").out,
              AllOf(HasSubstr("14 shots in one file"), HasSubstr("while the file is written")));
}

TEST_F(EnsembleRuns, OfOneFileGoOnToWhatAnUninterruptedOneLeaves) {
  describe("e.yaml", 60, varied, "{folder: out" + of_one_file);
  good_run("ensemble e.yaml");
  const auto whole = all_of("out", more_of_one_file);
  fs::remove_all(folder / "out");
  std::mt19937 random(1);
  int killed = 0;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const test::Running running = test::start_program(folder.path(),
                                                      {"ensemble", "e.yaml", "--threads", "1"}, {});
    // Some of them while the file is put together
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(20 + random() % 80);
    while (std::chrono::steady_clock::now() < end && !fs::exists(folder / "out/all.nxs.part"))
      std::this_thread::yield();
    kill(running.process, attempt % 3 == 0 ? SIGTERM : SIGKILL);
    killed += test::outcome_of(running).exit_code != 0;
  }
  EXPECT_GT(killed, 3);
  good_run("ensemble e.yaml");
  EXPECT_EQ(all_of("out", more_of_one_file), whole);
  EXPECT_EQ(names_in("out").size(), 2U) << "nothing half-written stays";
}

TEST_F(EnsembleRuns, KeepAFileOfAllThatIsWholeAndMendOneThatIsNot) {
  describe("e.yaml", 9, varied, "{folder: out" + of_one_file);
  good_run("ensemble e.yaml");
  const auto whole = all_of("out");
  std::string bytes = test::read_file(folder / "out/all.nxs");
  bytes[bytes.size() / 2] ^= 1;
  test::write_file(folder / "out/all.nxs", bytes);
  EXPECT_THAT(good_run("ensemble e.yaml").out, HasSubstr("made 9 shots"));
  EXPECT_EQ(all_of("out"), whole);
  describe("e.yaml", 9, varied, "{folder: out, shots_per_shard: 4, reflections: true}");
  const Outcome shards = run("ensemble e.yaml");
  EXPECT_EQ(shards.exit_code, input_file);
  EXPECT_THAT(shards.err, HasSubstr("is of another ensemble"));
}

TEST_F(EnsembleRuns, SayWhatOneFileCannotBe) {
  describe("e.yaml", 3, "", "{folder: out, files: one, compression: bitshuffle_lz4}");
  expect_error("ensemble e.yaml", input_file, {"e.yaml:5: output: one file", "packed by deflate"});
  describe("e.yaml", 3, "", "{folder: out, files: two}");
  expect_error("ensemble e.yaml", input_file, {"e.yaml:5: output.files: ", "shards", "one"});
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(EnsembleRuns, OfOneFileForWhichTheDiskHasNoRoomKeepTheirShots) {
  const fs::path disk = folder / "disk";
  fs::create_directories(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=300k") != 0)
    GTEST_SKIP() << "no small disk can be mounted here: " << std::strerror(errno);
  describe("e.yaml", 40, varied, "{folder: disk/out" + of_one_file);
  const Outcome full = run("ensemble e.yaml");
  const std::vector<std::string> left = names_in("disk/out");
  const bool grown = mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=30m") == 0;
  const Outcome more = run("ensemble e.yaml");
  std::map<std::string, Data> on_disk;
  if (more.exit_code == 0) on_disk = all_of("disk/out");
  umount(disk.c_str());
  EXPECT_EQ(full.exit_code, output_file) << full.err;
  EXPECT_THAT(full.err, HasSubstr("cannot write disk/out/all.nxs: No space left on device"));
  EXPECT_EQ(left, (std::vector<std::string>{"journal.0.jsonl", "journal.jsonl", "parts.0"}));
  ASSERT_TRUE(grown);
  EXPECT_THAT(more.err, HasSubstr("40 of 40 shots were complete already"));
  describe("f.yaml", 40, varied, "{folder: out" + of_one_file);
  good_run("ensemble f.yaml");
  EXPECT_EQ(on_disk, all_of("out"));
}

// ---- Going on -----------------------------------------------------------------------------------

TEST_F(EnsembleRuns, ThatWereKilledGoOnToWhatAnUninterruptedOneLeaves) {
  const std::string output = "{folder: out, shots_per_shard: 3, reflections: true}";
  const std::vector<std::string> lists{"/shots/reflections/shot", "/shots/reflections/photons"};
  describe("e.yaml", 40, varied, output);
  good_run("ensemble e.yaml");
  const auto whole = all_of("out", lists);
  fs::remove_all(folder / "out");
  std::mt19937 random(1);
  int killed = 0;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const test::Running running = test::start_program(folder.path(),
                                                      {"ensemble", "e.yaml", "--threads", "1"}, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 80));
    kill(running.process, attempt % 3 == 0 ? SIGTERM : SIGKILL);
    killed += test::outcome_of(running).exit_code != 0;
  }
  EXPECT_GT(killed, 3);
  good_run("ensemble e.yaml");
  EXPECT_EQ(all_of("out", lists), whole);
  EXPECT_EQ(names_in("out").size(), 14U + 2U) << "nothing half-written stays";
}

TEST_F(EnsembleRuns, StopWithASentenceAndGoOn) {
  describe("e.yaml", 3000, varied, "{folder: out, shots_per_shard: 10}");
  const Outcome outcome = test::run_interrupted(
      folder.path(), "ensemble e.yaml",
      [&](const fs::path&) { return fs::exists(folder / "out/shard_00001.nxs"); });
  EXPECT_EQ(outcome.exit_code, interrupted);
  EXPECT_THAT(outcome.err,
              testing::ContainsRegex(
                  "stopped: [0-9]+ of 3000 shots are complete; the same command goes on"));
  EXPECT_FALSE(fs::exists(folder / "out/all.nxs"));
}

TEST_F(EnsembleRuns, KeepCompleteShardsAndMendOthers) {
  describe("e.yaml", 9, varied, "{folder: out, shots_per_shard: 3}");
  good_run("ensemble e.yaml");
  const auto whole = all_of("out");
  const auto kept = fs::last_write_time(folder / "out/shard_00000.nxs");
  EXPECT_THAT(good_run("ensemble e.yaml").err, HasSubstr("9 of 9 shots were complete"));
  std::string bytes = test::read_file(folder / "out/shard_00001.nxs");
  bytes[bytes.size() / 2] ^= 1;
  test::write_file(folder / "out/shard_00001.nxs", bytes);
  fs::remove(folder / "out/shard_00002.nxs");
  EXPECT_THAT(good_run("ensemble e.yaml").err, HasSubstr("3 of 9 shots were complete"));
  EXPECT_EQ(all_of("out"), whole);
  EXPECT_EQ(fs::last_write_time(folder / "out/shard_00000.nxs"), kept);
}

TEST_F(EnsembleRuns, OfADamagedJournalAreRefusedOrMadeAsTheyWere) {
  describe("e.yaml", 9, varied, "{folder: out, shots_per_shard: 3, reflections: true}");
  good_run("ensemble e.yaml");
  const std::vector<std::string> lists{"/shots/reflections/hkl", "/shots/reflections/photons"};
  const auto whole = all_of("out", lists);
  const fs::path journal = folder / "out/journal.jsonl";
  const std::string text = test::read_file(journal);
  // As many reflections in a shard as there are not
  const std::string key = R"("reflections":)";
  std::string other = text;
  const std::size_t digit = text.find(key) + key.size();
  other[digit] = other[digit] == '1' ? '2' : '1';
  test::write_file(journal, other);
  EXPECT_THAT(good_run("ensemble e.yaml").err,
              AllOf(HasSubstr("out/journal.jsonl: a line is damaged; each shard that no other line "
                              "has is made again"),
                    HasSubstr("6 of 9 shots were complete")));
  EXPECT_EQ(all_of("out", lists), whole);

  // What it says of which ensemble it is
  other = text;
  other[text.find("\"date\":\"") + 8] ^= 1;
  test::write_file(journal, other);
  const Outcome of_another = run("ensemble e.yaml");
  EXPECT_EQ(of_another.exit_code, input_file);
  EXPECT_THAT(of_another.err,
              HasSubstr("error: out/journal.jsonl:1: is damaged; take another folder, or remove "
                        "this one to begin anew\n"));

  std::mt19937 random(20261130);
  int made = 0;
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    const std::string damaged = test::damaged(text, random);
    test::write_file(journal, damaged);
    const Outcome outcome = run("ensemble e.yaml");
    if (outcome.exit_code == 0) {
      ++made;
    } else {
      EXPECT_EQ(outcome.exit_code, input_file) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("error: out/journal.jsonl:"));
      EXPECT_EQ(test::read_file(journal), damaged) << "a file that is not ours is left alone";
    }
    EXPECT_EQ(all_of("out", lists), whole);
  }
  EXPECT_GT(made, 20);
}

TEST_F(EnsembleRuns, LeaveTheFolderOfAnotherOneAlone) {
  describe("e.yaml", 4, varied, "out");
  good_run("ensemble e.yaml");
  describe("e.yaml", 5, varied, "out");
  const Outcome outcome = run("ensemble e.yaml");
  EXPECT_EQ(outcome.exit_code, input_file);
  EXPECT_THAT(outcome.err, HasSubstr("out/journal.jsonl: is of another ensemble"));
  EXPECT_EQ(read_data(folder / "out/all.nxs", "/shots/index").numbers.size(), 4U);
  fs::create_directories(folder / "foreign");
  test::write_file(folder / "foreign/journal.jsonl", "notes without an end of line");
  describe("f.yaml", 5, varied, "foreign");
  EXPECT_EQ(run("ensemble f.yaml").exit_code, input_file);
  EXPECT_EQ(test::read_file(folder / "foreign/journal.jsonl"), "notes without an end of line");
}

TEST_F(EnsembleRuns, BegunByABuildThatMadeOtherShotsAreNotGoneOnWith) {
  describe("e.yaml", 9, varied, "{folder: out, shots_per_shard: 3}");
  good_run("ensemble e.yaml");
  const fs::path journal = folder / "out/journal.jsonl";
  const std::string text = test::read_file(journal);
  const std::size_t end = text.find('\n');
  const auto with_first_line = [&](const nlohmann::json& content) {
    return io::checked_line(content.dump()) + '\n' + text.substr(end + 1);
  };
  const std::optional<std::string> object = io::object_of_line(text.substr(0, end));
  ASSERT_TRUE(object);
  nlohmann::json content = nlohmann::json::parse(*object);
  ASSERT_EQ(with_first_line(content), text);
  fs::remove(folder / "out/shard_00001.nxs");
  const auto refused = [&](const std::string& revision) {
    const std::string changed = with_first_line(content);
    test::write_file(journal, changed);
    const Outcome outcome = run("ensemble e.yaml");
    EXPECT_EQ(outcome.exit_code, input_file);
    EXPECT_THAT(outcome.err, HasSubstr("out/journal.jsonl: was begun by another build of this "
                                       "program, which makes other shots of the same "
                                       "description (revision " +
                                       revision));
    EXPECT_EQ(test::read_file(journal), changed);
    EXPECT_FALSE(fs::exists(folder / "out/shard_00001.nxs"));
  };
  content["revision"] = 1000;
  refused("1000");
  content.erase("revision");  // as builds before had it
  refused("1,");
  test::write_file(journal, text);
  EXPECT_THAT(good_run("ensemble e.yaml").err, HasSubstr("6 of 9 shots were complete"));
}

TEST_F(EnsembleRuns, OverwriteNoFilesThatNoJournalKnows) {
  describe("e.yaml", 3, "", "out");
  fs::create_directories(folder / "out");
  test::write_file(folder / "out/all.nxs", "mine");
  expect_error("ensemble e.yaml", input_file, {"out/all.nxs: would be written, and is there"});
  EXPECT_EQ(test::read_file(folder / "out/all.nxs"), "mine");
}

TEST_F(EnsembleRuns, LeaveAFolderAloneThatAnotherRunHolds) {
  describe("e.yaml", 20000, varied, "{folder: out, shots_per_shard: 10}");
  const test::Running first = test::start_program(folder.path(), {"ensemble", "e.yaml"}, {});
  const auto begun = [&] { return fs::exists(folder / "out/shard_00000.nxs"); };
  for (int i = 0; i < 3000 && !begun(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  // Its own files of what is printed
  const std::string line = "cd '" + folder.path().string() + "' && '" + NABLA_PROGRAM +
                           "' ensemble e.yaml 2> second";
  const int status = std::system(line.c_str());
  kill(first.process, SIGKILL);
  test::outcome_of(first);
  EXPECT_EQ(WEXITSTATUS(status), usage);
  EXPECT_THAT(test::read_file(folder / "second"), HasSubstr("another run is at work in out"));
}

TEST_F(EnsembleRuns, StopWhereTheDiskIsFullAndGoOnWhereItIsNot) {
  const fs::path disk = folder / "disk";
  fs::create_directories(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=300k") != 0)
    GTEST_SKIP() << "no small disk can be mounted here: " << std::strerror(errno);
  describe("e.yaml", 60, varied, "{folder: disk/out, shots_per_shard: 5}");
  const Outcome full = run("ensemble e.yaml");
  const bool grown = mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=30m") == 0;
  const Outcome more = run("ensemble e.yaml");
  std::map<std::string, Data> on_disk;
  if (more.exit_code == 0) on_disk = all_of("disk/out");
  umount(disk.c_str());
  EXPECT_EQ(full.exit_code, output_file) << full.err;
  EXPECT_THAT(full.err, AllOf(HasSubstr("cannot write disk/out/"), HasSubstr("No space left")));
  ASSERT_TRUE(grown);
  EXPECT_EQ(more.exit_code, 0) << more.err;
  EXPECT_THAT(more.err, HasSubstr("of 60 shots were complete"));
  describe("f.yaml", 60, varied, "{folder: out, shots_per_shard: 5}");
  good_run("ensemble f.yaml");
  EXPECT_EQ(on_disk, all_of("out"));
}

// ---- Looking ahead, and mistakes ----------------------------------------------------------------

TEST_F(EnsembleRuns, DrawAContactSheetOfTheFirstShots) {
  describe("e.yaml", 7, varied, "out");
  EXPECT_THAT(good_run("ensemble e.yaml --preview 9").out,
              HasSubstr("written: out/preview.png, the first 7 shots"));
  const std::string png = test::read_file(folder / "out/preview.png");
  const auto edge = [&](std::size_t at) {
    return 256 * static_cast<unsigned char>(png.at(at + 2)) +
           static_cast<unsigned char>(png.at(at + 3));
  };
  EXPECT_EQ(png.substr(1, 3), "PNG");
  EXPECT_GT(edge(16), 3 * 64);
  EXPECT_GT(edge(20), 3 * 64);
  EXPECT_FALSE(fs::exists(folder / "out/journal.jsonl"));
  good_run("ensemble e.yaml --preview 2 --output two.png");
  EXPECT_LT(test::read_file(folder / "two.png").size(), png.size());
}

TEST_F(EnsembleRuns, SayWhatTheyWouldCost) {
  describe("e.yaml", 2000, varied, "out");
  EXPECT_THAT(good_run("ensemble e.yaml --dry-run").out,
              AllOf(HasSubstr("2000 shots in 2 shards, 4096 pixels each"), HasSubstr("shots/s"),
                    HasSubstr("memory: "), testing::ContainsRegex("disk: [0-9.]+ MB of .* free")));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(EnsembleRuns, RefuseMistakesInOneSentence) {
  describe("e.yaml", 3, "", "out");
  expect_error("ensemble", usage, {"description"});
  expect_error("ensemble none.yaml", input_file, {"none.yaml"});
  expect_error("ensemble e.yaml --shot 3 --output a.cbf", usage, {"there is no shot 3"});
  expect_error("ensemble e.yaml --shot 1", usage, {"--output shot.cbf names it"});
  expect_error("ensemble e.yaml --output a.cbf", usage, {"--output is of --shot and --preview"});
  expect_error("ensemble e.yaml --flags", usage, {"--flags is of --shot"});
  expect_error("ensemble e.yaml --preview 3 --dry-run", usage, {"exclude each other"});
  expect_error("ensemble e.yaml --preview 3 --output a.cbf", usage, {"draws a PNG picture"});
  expect_error("ensemble e.yaml --shot 1 --output e.yaml", usage, {"e.yaml"});
  describe("f.yaml", 3, "vary:\n  distence: {uniform: [79, 81]}\n", "out");
  expect_error("ensemble f.yaml", input_file,
               {"f.yaml:7: vary.distence: ", "did you mean distance?"});
  describe("g.yaml", 300, "vary:\n  mosaic_spread: {normal: [0.1, 0.1]}\n", "out");
  expect_error("ensemble g.yaml", usage, {"g.yaml: shot ", "mosaic", "within"});
  describe("h.yaml", 3, "", "{folder: out, compression: zip}");
  expect_error("ensemble h.yaml", input_file, {"h.yaml:5: output: is NXmx: ", "zip"});
  test::write_file(folder / "file", "");
  describe("i.yaml", 3, "", "file");
  expect_error("ensemble i.yaml", output_file, {"cannot write file"});
  EXPECT_THAT(good_run("ensemble --help").out, HasSubstr("--dry-run"));
}

}  // namespace
}  // namespace nablabragg
