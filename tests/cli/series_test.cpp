// Scans and stills of many images: which images they are, their files, and how an interrupted run
// goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <thread>

#include "io/refl.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/series.hpp"
#include "support/damage.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

const std::string crystal =
    "-cell 50 60 70 -default_F 100 -N 12 -mosaic 0.3 -mosaic_domains 3 -lambda 1 -distance 80 "
    "-detpixels 90 -pixel 0.5 -fluence 1e24 -oversample 1 ";
const std::string corrected = "-corrected -gauss_xtal " + crystal;
const std::string turning = corrected + "-misset 10 20 30 -phi 5 -osc 0.5 -phisteps 3 -seed 7 ";
/// Files that are the same have the same date.
const test::Environment fixed_date = {{"SOURCE_DATE_EPOCH", "1700000000"}};

constexpr int usage = 2, input_file = 3, interrupted = 130;

class SeriesOfImages : public test::ProgramTest {
 protected:
  void expect_error(const std::string& line, int code, const std::vector<std::string>& texts) {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, code) << line;
    for (const std::string& text : texts) EXPECT_THAT(outcome.err, HasSubstr(text)) << line;
  }
  std::string bytes(const std::string& name) const { return test::read_file(folder / name); }
  Outcome dated_run(const std::string& line) const {
    Outcome outcome = test::run_program(folder.path(), line, fixed_date);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }
};

// ---- Which images ------------------------------------------------------------------------------

TEST_F(SeriesOfImages, OfABeamThatJittersFollowFromTheSeed) {
  const std::string stills = corrected + "-orientations random:3 -images 2 -beam_jitter 2 ";
  good_run(stills + "-seed 5 -floatfile a_#.bin");
  good_run(stills + "-seed 5 -threads 1 -floatfile b_#.bin");
  good_run(stills + "-seed 6 -floatfile c_#.bin");
  good_run(corrected + "-orientations random:3 -images 2 -seed 5 -floatfile d_#.bin");
  for (const std::string image : {"_1.bin", "_2.bin"}) {
    EXPECT_TRUE(bytes("a" + image) == bytes("b" + image));
    EXPECT_FALSE(bytes("a" + image) == bytes("c" + image));
    EXPECT_FALSE(bytes("a" + image) == bytes("d" + image));
  }
}

TEST_F(SeriesOfImages, OfAScanAreThoseOfSingleCommands) {
  for (const std::string& mode : {turning, crystal + "-misset 10 20 30 -phi 5 -osc 0.5 -seed 7 "}) {
    good_run(mode + "-images 3 -floatfile f_####.bin -intfile i_####.img");
    for (int i = 0; i < 3; ++i) {
      const std::string number = "000" + std::to_string(i + 1);
      good_run(mode + "-phi " + std::to_string(5 + 0.5 * i) +
               " -floatfile one.bin -intfile one.img");
      EXPECT_EQ(bytes("f_" + number + ".bin"), bytes("one.bin")) << i;
      EXPECT_EQ(test::read_smv_pixels(folder / ("i_" + number + ".img")),
                test::read_smv_pixels(folder / "one.img"))
          << i;
    }
  }
}

TEST_F(SeriesOfImages, TurnTheOtherWayWithANegativeOscillation) {
  good_run(turning + "-osc -0.5 -images 2 -floatfile f_#.bin");
  good_run(turning + "-osc -0.5 -phi 4.5 -floatfile one.bin");
  EXPECT_EQ(bytes("f_2.bin"), bytes("one.bin"));
}

TEST_F(SeriesOfImages, HaveNoiseThatDependsOnSeedAndImage) {
  const std::string still = corrected + "-orientations same.txt ";
  folder.file("same.txt", "1 2 3\n1 2 3\n1 2 3\n");
  good_run(still + "-seed 7 -noisefile a_#.img");
  good_run(still + "-seed 7 -noisefile b_#.img -threads 1");
  good_run(still + "-seed 8 -noisefile c_#.img");
  good_run(corrected + "-misset 1 2 3 -seed 7 -noisefile one.img");
  const auto pixels = [&](const std::string& name) { return test::read_smv_pixels(folder / name); };
  EXPECT_EQ(pixels("a_1.img"), pixels("one.img")) << "the first has the seed itself";
  EXPECT_NE(pixels("a_1.img"), pixels("a_2.img"));
  EXPECT_NE(pixels("a_2.img"), pixels("a_3.img"));
  EXPECT_NE(pixels("a_2.img"), pixels("c_2.img"));
  for (const char* number : {"1", "2", "3"})
    EXPECT_EQ(pixels("a_" + std::string(number) + ".img"),
              pixels("b_" + std::string(number) + ".img"));
  // Whoever wants one of them again finds its seed in the header.
  good_run(corrected + "-misset 1 2 3 -noisefile again.img -seed " +
           std::to_string(seed_of_image(7, 2)));
  EXPECT_EQ(pixels("a_3.img"), pixels("again.img"));
  EXPECT_THAT(bytes("a_3.img"), HasSubstr("SEED=" + std::to_string(seed_of_image(7, 2)) + ";"));
}

TEST_F(SeriesOfImages, AreTheSameInOneFileAndInMany) {
  good_run(turning + "-sensor Si 450 -images 3 -o all.nxs -o one_##.cbf");
  for (int i = 0; i < 3; ++i) {
    const io::ImageFile in_all = io::read_image(folder / "all.nxs", i);
    const io::ImageFile alone = io::read_image(folder / ("one_0" + std::to_string(i + 1) + ".cbf"));
    EXPECT_EQ(in_all.images, 3);
    EXPECT_EQ(in_all.pixels, alone.pixels) << i;
    EXPECT_NEAR(in_all.geometry.scan->start_deg, 5 + 0.5 * i, 1e-9);
    EXPECT_NEAR(alone.geometry.scan->start_deg, 5 + 0.5 * i, 1e-9);
  }
}

TEST_F(SeriesOfImages, OfPhotonsAndOfOtherPackingHoldTheSame) {
  good_run(turning + "-sensor Si 450 -nonoise -images 2 -o photons.nxs -floatfile f_#.bin");
  const std::vector<float> photons = test::read_floats(folder / "f_2.bin");
  const io::ImageFile file = io::read_image(folder / "photons.nxs", 1);
  EXPECT_TRUE(std::ranges::equal(file.pixels, photons));
  const Outcome packed = run(turning +
                             "-sensor Si 450 -images 2 -o p.nxs -compression bitshuffle_lz4");
  if (packed.err.find("HDF5 has no filter bitshuffle") != std::string::npos)
    GTEST_SKIP() << packed.err;
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  good_run(turning + "-sensor Si 450 -images 2 -o d.nxs");
  EXPECT_EQ(io::read_image(folder / "p.nxs", 1).pixels, io::read_image(folder / "d.nxs", 1).pixels);
}

TEST_F(SeriesOfImages, OfStillsHaveTheOrientationsOfTheirFile) {
  folder.file("stills.txt",
              "# three angles, and a quarter turn about z as a matrix\n"
              "10 20 30\n\n0 -1 0  1 0 0  0 0 1\n");
  good_run(corrected + "-seed 7 -orientations stills.txt -floatfile f_#.bin");
  good_run(corrected + "-seed 7 -misset 10 20 30 -floatfile one.bin");
  EXPECT_EQ(bytes("f_1.bin"), bytes("one.bin"));
  good_run(corrected + "-seed 7 -misset 0 0 90 -floatfile one.bin");
  EXPECT_EQ(bytes("f_2.bin"), bytes("one.bin"));
  good_run(corrected + "-images 1 -seed 7 -orientations stills.txt -floatfile g_#.bin");
  EXPECT_TRUE(std::filesystem::exists(folder / "g_1.bin"));
  EXPECT_FALSE(std::filesystem::exists(folder / "g_2.bin"));
}

TEST_F(SeriesOfImages, OfStillsAtRandomAreThoseOfTheirSeed) {
  good_run(corrected + "-seed 7 -images 3 -orientations random:5 -floatfile f_#.bin -o s.expt");
  const Vec3d misset = random_missets_deg(3, 5)[1];
  char angles[100];
  std::snprintf(angles, sizeof angles, "%.17g %.17g %.17g", misset.x, misset.y, misset.z);
  good_run(corrected + "-seed 7 -floatfile one.bin -misset " + angles);
  EXPECT_EQ(bytes("f_2.bin"), bytes("one.bin"));
  const auto file = nlohmann::json::parse(bytes("s.expt"));
  EXPECT_EQ(file["experiment"].size(), 3u);
  EXPECT_EQ(file["crystal"].size(), 3u) << "each still has its own";
}

// ---- What is beside them -----------------------------------------------------------------------

TEST_F(SeriesOfImages, SayHowManyPhiStepsTheyTakeUnlessThatIsStated) {
  const std::string scan = corrected + "-misset 10 20 30 -osc 0.5 -images 1 -floatfile f_#.bin ";
  const std::string notice = "the scan is summed in 2 phi steps of 0.25 degrees, the default";
  EXPECT_THAT(good_run(scan).err, HasSubstr(notice));
  EXPECT_THAT(good_run(scan + "-phisteps 2").err, Not(HasSubstr(notice)));
  const std::string sparse = good_run(scan + "-osc 10").err;
  EXPECT_THAT(sparse, HasSubstr("spots between them are lost: -phisteps "));
}

TEST_F(SeriesOfImages, HaveTheirExperimentBesideThem) {
  good_run(turning + "-images 4 -o a_###.cbf -o a.expt");
  const auto file = nlohmann::json::parse(bytes("a.expt"));
  EXPECT_EQ(file["scan"][0]["image_range"], (std::vector<int>{1, 4}));
  EXPECT_EQ(file["imageset"][0]["template"], "a_###.cbf");
}

TEST_F(SeriesOfImages, HaveTheirTrueReflectionsBesideThem) {
  good_run(turning + "-nonoise -images 6 -o a.refl -floatfile f_#.bin");
  double light = 0;
  for (const char* number : {"1", "2", "3", "4", "5", "6"})
    for (const float pixel : test::read_floats(folder / ("f_" + std::string(number) + ".bin")))
      light += double(pixel);
  const std::vector<io::MeasuredSpot> spots = io::read_refl(folder / "a.refl");
  double theirs = 0;
  std::vector<std::tuple<int, int, int>> indices;
  for (const io::MeasuredSpot& spot : spots) {
    theirs += spot.intensity;
    indices.emplace_back(spot.hkl[0], spot.hkl[1], spot.hkl[2]);
  }
  EXPECT_GT(spots.size(), 50u);
  std::ranges::sort(indices);
  EXPECT_EQ(std::ranges::adjacent_find(indices), indices.end()) << "each stands once";
  // The rest is that of reflections whose middle comes before or after the scan.
  EXPECT_LT(theirs, light);
  EXPECT_GT(theirs, 0.7 * light);
}

// ---- Names
// ---------------------------------------------------------------------------------------

TEST_F(SeriesOfImages, AreNumberedBeforeTheEndingWithoutATemplate) {
  good_run(turning + "-images 2 -floatfile f.bin -o a.cbf");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("f_00001.bin", "f_00002.bin", "a_00001.cbf",
                                                   "a_00002.cbf", "a.cbf.journal"));
}

TEST_F(SeriesOfImages, DoNotHaveTheNamesThatNanoBraggWritesUnasked) {
  good_run(crystal + "-osc 1 -images 2 -floatfile f_#.bin");
  EXPECT_THAT(folder.names(), UnorderedElementsAre("f_1.bin", "f_2.bin", "f_#.bin.journal"));
}

TEST_F(SeriesOfImages, NeverDestroyEachOtherOrAnInput) {
  const std::string series = turning + "-images 12 ";
  for (const auto& [one, other, file] : {std::tuple{"a_####.cbf", "a_00##.cbf", "a_0001.cbf"},
                                         {"a.cbf", "a_#####.cbf", "a_00001.cbf"},
                                         {"a_#.cbf", "a_1#.cbf", "a_11.cbf"},
                                         {"./a_##.cbf", "a_##.cbf", "a_##.cbf"}})
    expect_error(series + "-o " + one + " -o " + other, usage,
                 {"-o and -o would both be written to ", file});
  good_run(turning + "-images 2 -o in_##.cbf");
  const std::string before = bytes("in_02.cbf");
  for (const std::string goes_on : {"", " -continue"})
    expect_error(turning + "-fluence 1e25 -images 2 -mask in_02.cbf -o in_##.cbf" + goes_on, usage,
                 {"-o would destroy what -mask reads, \"in_02.cbf\""});
  EXPECT_EQ(bytes("in_02.cbf"), before);
}

TEST_F(SeriesOfImages, SayWhatIsMissing) {
  expect_error(turning + "-o a_####.cbf", usage, {"a_####.cbf", "add -images N"});
  expect_error(turning + "-images 2", usage,
               {"without a name for its images", "-o sweep_####.cbf"});
  expect_error(turning + "-images 2 -floatfile -", usage, {"is no name for the files of a series"});
  expect_error(turning + "-images 2 -floatfile /dev/null", usage, {"/dev/null", "is no name"});
  expect_error(turning + "-images 0 -o a.nxs", usage, {"-images", "1 or more"});
  expect_error(corrected + "-images 2 -o a_#.cbf", usage, {"oscillation", "-osc", "-orientations"});
  expect_error(turning + "-images 2 -orientations random:1 -misset 0 0 0 -o a_#.cbf", usage,
               {"-osc", "exclude each other"});
  expect_error(corrected + "-orientations random:1 -o a_#.cbf", usage, {"-images"});
  expect_error(corrected + "-images 2 -orientations random:x -o a_#.cbf", usage, {"whole number"});
  expect_error(corrected + "-misset 1 2 3 -images 2 -orientations random:1 -o a_#.cbf", usage,
               {"leave -misset out"});
  expect_error(turning + "-images 2 -sensor Si 450 -o a_##.nxs", usage, {"NXmx", "without #"});
  expect_error(turning + "-images 2 -sensor Si 450 -o a.nxs -o b.nxs", usage, {"one of them"});
  expect_error(turning + "-continue -floatfile f.bin", usage, {"-continue", "-images"});
  expect_error(turning + "-images 2 -floatfile f.bin -trace_pixel 1 1", usage, {"-trace_pixel"});
  expect_error("bench --gradient --iterations 1 -- " + turning + "-images 2", usage,
               {"-images", "bench takes the model of one image"});
  folder.file("bad.txt", "1 2 3\n1 2 3 4\n");
  expect_error(corrected + "-orientations bad.txt -o a_#.cbf", input_file,
               {"bad.txt:2", "4 numbers"});
  folder.file("bad.txt", "1 0 0 0 1 0 0 0 -1\n");
  expect_error(corrected + "-orientations bad.txt -o a_#.cbf", input_file,
               {"bad.txt:1", "no rotation"});
  folder.file("few.txt", "1 2 3\n");
  expect_error(corrected + "-images 2 -orientations few.txt -o a_#.cbf", input_file,
               {"1 orientations", "2"});
  EXPECT_THAT(folder.names(), UnorderedElementsAre("bad.txt", "few.txt"));
}

// ---- Going on
// --------------------------------------------------------------------------------------

const std::string with_all = turning + "-sensor Si 450 -images 30 ";

TEST_F(SeriesOfImages, ThatWereKilledAtAnyMomentGoOnToTheSameFiles) {
  const std::string series = with_all +
                             "-phisteps 20 -mosaic_domains 10 -o all.nxs -o one_##.cbf "
                             "-o true.refl -o all.expt ";
  dated_run(series);
  std::map<std::string, std::string> expected;
  for (const std::string& name : folder.names())
    if (!name.ends_with(".journal")) expected[name] = bytes(name);

  std::mt19937 random(20261129);
  folder.clear();
  int killed = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const test::Running running = test::start_program(
        folder.path(), test::split_arguments(series + "-continue"), fixed_date);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    kill(running.process, SIGKILL);
    killed += test::outcome_of(running).exit_code == -SIGKILL;
  }
  EXPECT_GT(killed, 4);
  dated_run(series + "-continue");
  for (const auto& [name, content] : expected) EXPECT_TRUE(bytes(name) == content) << name;
  EXPECT_EQ(folder.names().size(), expected.size() + 1) << "and the journal";
}

TEST_F(SeriesOfImages, ThatAreCompleteAreLookedAtAndLeft) {
  dated_run(with_all + "-o all.nxs");
  const std::string before = bytes("all.nxs");
  const auto time = std::filesystem::last_write_time(folder / "all.nxs");
  const Outcome again = dated_run(with_all + "-o all.nxs -continue");
  EXPECT_THAT(again.err, HasSubstr("30 of 30 images are complete"));
  EXPECT_THAT(again.out, Not(HasSubstr("made ")));
  EXPECT_EQ(std::filesystem::last_write_time(folder / "all.nxs"), time);
  EXPECT_TRUE(bytes("all.nxs") == before);
}

TEST_F(SeriesOfImages, ThatAreDamagedOrMissingAreMadeAgain) {
  dated_run(with_all + "-o all.nxs -floatfile f_##.bin");
  std::string all = bytes("all.nxs"), second = bytes("f_02.bin"), third = bytes("f_03.bin");
  std::istringstream journal(bytes("all.nxs.journal"));
  std::string text;
  for (int i = 0; i < 2; ++i) std::getline(journal, text);
  const auto line = nlohmann::json::parse(text);  // of the first image
  std::string damaged = all;
  damaged[line["files"][1]["at"].get<std::size_t>() + 20] ^= 1;
  folder.file("all.nxs", damaged);
  std::string other = second;
  other[100] ^= 1;
  folder.file("f_02.bin", other);
  std::filesystem::remove(folder / "f_03.bin");
  const Outcome again = dated_run(with_all + "-o all.nxs -floatfile f_##.bin -continue");
  EXPECT_THAT(again.err, HasSubstr("27 of 30 images are complete; it goes on"));
  EXPECT_TRUE(bytes("all.nxs") == all);
  EXPECT_TRUE(bytes("f_02.bin") == second);
  EXPECT_TRUE(bytes("f_03.bin") == third);
}

TEST_F(SeriesOfImages, OfOtherFlagsAreNotGoneOnWith) {
  good_run(with_all + "-o all.nxs");
  for (const char* other : {"-osc 0.4", "-seed 8", "-default_F 101", "-images 29"})
    expect_error(with_all + "-o all.nxs -continue " + other, input_file,
                 {"all.nxs.journal", "is of another series", "begins anew"});
  folder.file("all.nxs.journal", "something else\n");
  expect_error(with_all + "-o all.nxs -continue", input_file, {"is no journal of a series"});
}

TEST_F(SeriesOfImages, OfADamagedJournalAreRefusedOrMadeAsTheyWere) {
  const std::string series = turning + "-sensor Si 450 -images 6 -o all.nxs -o true.refl ";
  dated_run(series);
  const std::string journal = bytes("all.nxs.journal"), all = bytes("all.nxs"),
                    truth = bytes("true.refl");
  // A number of a true reflection is another one: the line is not taken
  const std::size_t light = journal.find("light"), digit = journal.find_first_of("12345678", light);
  ASSERT_NE(digit, std::string::npos);
  std::string other = journal;
  other[digit] = '9';
  folder.file("all.nxs.journal", other);
  EXPECT_THAT(dated_run(series + "-continue").err,
              AllOf(HasSubstr("all.nxs.journal: a line is damaged; each image that no other line "
                              "has is made again"),
                    HasSubstr("5 of 6 images are complete")));
  EXPECT_TRUE(bytes("true.refl") == truth);

  // The seed in the first line is another one
  other = journal;
  const std::size_t seed = journal.find("\"seed\":7");
  ASSERT_NE(seed, std::string::npos);
  other[seed + 7] = '8';
  folder.file("all.nxs.journal", other);
  expect_error(series + "-continue", input_file,
               {"all.nxs.journal:1: is damaged; without -continue the series begins anew"});

  std::mt19937 random(20261130);
  int made = 0;
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    folder.file("all.nxs.journal", test::damaged(journal, random));
    folder.file("true.refl", "old");
    const Outcome outcome = test::run_program(folder.path(), series + "-continue", fixed_date);
    EXPECT_TRUE(bytes("all.nxs") == all);
    if (outcome.exit_code == 0) {
      ++made;
      EXPECT_TRUE(bytes("true.refl") == truth);
    } else {
      EXPECT_EQ(outcome.exit_code, input_file) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("error: all.nxs.journal:"));
      EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
      EXPECT_EQ(bytes("true.refl"), "old");
    }
  }
  EXPECT_GT(made, 20);
}

TEST_F(SeriesOfImages, GoOnWithTheSeedThatTheyBeganWith) {
  const std::string clock = corrected + "-misset 10 20 30 -osc 0.5 -images 4 -noisefile n_#.img ";
  good_run(clock);
  const std::string second = bytes("n_2.img");
  std::filesystem::remove(folder / "n_2.img");
  good_run(clock + "-continue");
  EXPECT_EQ(bytes("n_2.img"), second);
}

TEST_F(SeriesOfImages, SayOnControlCHowManyAreComplete) {
  const std::string slow = turning +
                           "-phisteps 200 -mosaic_domains 100 -images 1000 -floatfile f_####.bin";
  const Outcome outcome = test::run_interrupted(folder.path(), slow, [&](const auto&) {
    return std::filesystem::exists(folder / "f_0003.bin");
  });
  EXPECT_EQ(outcome.exit_code, interrupted);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("of 1000 images are complete"), HasSubstr("-continue")));
}

}  // namespace
}  // namespace nablabragg
