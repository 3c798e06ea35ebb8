// nablabragg fcalc: what it writes, what it says, what it refuses.  That its numbers are right is
// tests/unit's.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numbers>  // for pi
#include <thread>

#include "nablabragg/io.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Fcalc : public testing::Test {
 protected:
  Outcome run(const std::string& line) const {
    return test::run_program(folder.path(), "fcalc " + line);
  }

  Outcome good_run(const std::string& line) const {
    Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }

  void expect_error(const std::string& line, int code, const std::string& part) const {
    const std::vector<std::string> before = folder.names();
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, code) << line;
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(folder.names(), before);
  }

  test::TempDir folder;
  const std::string model = std::string(NABLA_SOURCE_DIR) + "/examples/ubiquitin/1ubq.pdb";
};

std::string crystal(const std::string& cell_and_group) {
  return "CRYST1" + cell_and_group + "\n" +
         "ATOM      1  N   MET A   1       5.000  10.000   7.000  1.00 20.00           N\n"
         "ATOM      2  CA  MET A   1       6.100  10.900   7.200  1.00 20.00           C\n";
}

const std::string small_cell = "   30.000   32.000   34.000  90.00  90.00  90.00 P 21 21 21    4";

TEST_F(Fcalc, WritesEveryReflectionOfTheSphereWithFriedelMates) {
  const Outcome outcome = good_run(model + " -dmin 4 -o ubq.hkl");
  EXPECT_THAT(outcome.out, HasSubstr("660 atoms, P 21 21 21, cell 50.84 42.77 28.95 90 90 90\n"));
  const std::vector<Reflection> reflections = io::read_hkl(folder / "ubq.hkl");
  EXPECT_THAT(outcome.out,
              HasSubstr("with " + std::to_string(reflections.size()) + " structure factors"));
  // Lattice points of a sphere of this radius: 4/3 pi V / d^3, less or more its surface
  EXPECT_NEAR(double(reflections.size()), 4.0 / 3 * std::numbers::pi * 50.84 * 42.77 * 28.95 / 64,
              80);
  std::map<MillerIndex, double> amplitudes;
  for (const Reflection& r : reflections) amplitudes[r.hkl] = r.amplitude;
  EXPECT_EQ(amplitudes.size(), reflections.size());
  for (const auto& [hkl, amplitude] : amplitudes) {
    const auto mate = amplitudes.find({-hkl[0], -hkl[1], -hkl[2]});
    ASSERT_NE(mate, amplitudes.end());
    EXPECT_NEAR(mate->second, amplitude, 2e-4);
  }
  // Screw axes put out odd axial reflections
  EXPECT_NEAR(amplitudes.at({1, 0, 0}), 0, 1e-3);
  EXPECT_NEAR(amplitudes.at({0, 3, 0}), 0, 1e-3);
  EXPECT_GT(amplitudes.at({0, 2, 0}), 1);
}

TEST_F(Fcalc, ResultMakesAnImage) {
  good_run(model + " -dmin 4 -o ubq.hkl -ksol 0");
  const Outcome outcome = test::run_program(
      folder.path(),
      "-hkl ubq.hkl -cell 50.84 42.77 28.95 90 90 90 -N 10 -distance 100 -detpixels 128 -pixel 0.4 "
      "-misset 10 20 30 -nocache");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("max_I = "), Not(HasSubstr("max_I = 0 "))));
}

TEST_F(Fcalc, SaysWhatItNeeds) {
  expect_error("", 2, "needs a PDB, mmCIF or core CIF model");
  expect_error(model, 2, "needs -o FILE");
  expect_error(model + " -o x.hkl", 2, "needs -dmin");
  expect_error(model + " -o x.hkl -dmin 0", 2, "positive resolution limit");
  expect_error(model + " -o x.hkl -dmin two", 2, "-dmin needs a number, not 'two'");
  expect_error(model + " -o x.hkl -dmin", 2, "-dmin needs a value, and nothing follows");
  expect_error(model + " second.pdb -o x.hkl -dmin 4", 2, "takes one model");
  expect_error(model + " -o x.hkl -dmin 4 -bogus", 2, "has no flag -bogus");
}

TEST_F(Fcalc, TakesAValueBehindAnEqualsSign) {
  good_run(model + " -dmin 6 -ksol 0 -bsol 1 -o a=b.hkl");
  const std::string expected = folder.content("a=b.hkl");
  for (const char* dashes : {"-", "--"}) {
    const std::string d = dashes;
    good_run(model + " " + d + "dmin=6 " + d + "ksol=0 " + d + "bsol=1 " + d + "o=c=d.hkl");
    EXPECT_EQ(folder.content("c=d.hkl"), expected);
  }
  expect_error(model + " --dmin= -o x.hkl", 2, "-dmin needs a number, not ''");
  expect_error(model + " --dmn=4 -o x.hkl", 2, "has no flag -dmn;");
}

TEST_F(Fcalc, NamesFilesThatItCannotUse) {
  expect_error("no.pdb -dmin 4 -o x.hkl", 3, "no.pdb");
  expect_error(std::string(NABLA_SOURCE_DIR) + "/LICENSE -dmin 4 -o x.hkl", 3, "LICENSE");
  expect_error(model + " -dmin 4 -o no/x.hkl", 4, "cannot write no/x.hkl");
}

TEST_F(Fcalc, HelpShowsItsFlags) {
  const Outcome outcome = good_run("-help");
  for (const char* flag : {"-dmin", "-o FILE", "-ksol", "-bsol"})
    EXPECT_THAT(outcome.out, HasSubstr(flag));
}

// nanoBragg reads four numbers at a time until something is none.
TEST_F(Fcalc, ListBeginsWithReflectionsAndEndsWithWhatItHolds) {
  good_run(model + " -dmin 6 -o ubq.hkl");
  const std::string text = folder.content("ubq.hkl");
  const std::size_t comments = text.find('#');
  EXPECT_EQ(text.find("\n# structure factors [electrons] of "), comments - 1);
  EXPECT_THAT(text.substr(comments),
              AllOf(HasSubstr("\n# cell 50.84 42.77 28.95 90 90 90  space group P 21 21 21\n"),
                    HasSubstr("fcalc -ksol 0.35 -bsol 46\n")));
  std::istringstream numbers(text.substr(0, comments));
  std::size_t count = 0;
  for (double h, k, l, f; numbers >> h >> k >> l >> f;) ++count;
  EXPECT_EQ(count, io::read_hkl(folder / "ubq.hkl").size());
}

TEST_F(Fcalc, WritesAnMtzFileWhoseAmplitudesAreReadBack) {
  good_run(model + " -dmin 4 -o ubq.hkl");
  const Outcome outcome = good_run(model + " -dmin 4 -o ubq.MTZ");
  const std::string bytes = folder.content("ubq.MTZ");
  EXPECT_EQ(bytes.substr(0, 4), "MTZ ");
  for (const char* part :
       {"TITLE Structure factors of \"", "CELL    50.8400   42.7700   28.9500", "'P 21 21 21'",
        "COLUMN FC                             F", "COLUMN PHIC                           P",
        "fcalc -dmin 4 -ksol 0.35 -bsol 46"})
    EXPECT_THAT(bytes, HasSubstr(part));
  std::map<MillerIndex, double> text;
  for (const Reflection& r : io::read_hkl(folder / "ubq.hkl")) text[r.hkl] = r.amplitude;
  const std::vector<Reflection> read = io::read_mtz(folder / "ubq.MTZ", "FC").reflections;
  for (const Reflection& r : read)
    ASSERT_NEAR(text.at(r.hkl), r.amplitude, 1e-4 + 1e-6 * r.amplitude);
  // All but the absences, which an MTZ file leaves out.
  const auto absent = std::count_if(text.begin(), text.end(),
                                    [](const auto& r) { return r.second == 0; });
  EXPECT_EQ(read.size() + static_cast<std::size_t>(absent), text.size());
}

TEST_F(Fcalc, RefusesNamesThatPromiseAnotherFormat) {
  for (const char* name : {"x.cif", "x.PDB", "x.hkl.gz", "x.img", "x.sca"})
    expect_error(model + " -dmin 4 -o " + name, 2, "only text (h k l F) and .mtz");
}

TEST_F(Fcalc, SaysWhereAnEntryOfTheProteinDataBankIs) {
  expect_error("1UBQ -dmin 4 -o x.hkl", 3, "https://files.rcsb.org/download/1UBQ.cif.gz");
  folder.file("1UBQ", crystal(small_cell));
  good_run("1UBQ -dmin 6 -o x.hkl");
}

TEST_F(Fcalc, QuotesTheModelsNameInTheList) {
  const std::string name = "m\n0 0 1 99999\n#.pdb";
  folder.file(name, crystal(small_cell));
  const Outcome outcome = test::run_program(
      folder.path(), std::vector<std::string>{"fcalc", name, "-dmin", "6", "-o", "out.hkl"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(folder.content("out.hkl"), AllOf(HasSubstr("of \"m\\n0 0 1 99999\\n#.pdb\" to 6 A"),
                                               Not(HasSubstr("\n0 0 1 99999"))));
  EXPECT_EQ(test::run_program(folder.path(), std::vector<std::string>{"fcalc", name, "-dmin", "6",
                                                                      "-o", "out.mtz"})
                .exit_code,
            0);
}

TEST_F(Fcalc, WritesALongNameWholeAndInItsOwnLetters) {
  const std::string name =
      "a_name_that_is_longer_than_sixty_characters_of_the_list_\u00e5\u00e4\u00f6_"
      "\u6676\u4f53.pdb";
  folder.file(name, crystal(small_cell));
  good_run(name + " -dmin 6 -o out.hkl");
  EXPECT_THAT(folder.content("out.hkl"), HasSubstr(" of \"" + name + "\" to 6 A"));
  // The 70 bytes of a title end between characters.
  std::string accents;
  for (int i = 0; i < 30; ++i) accents += "\u00e9";
  for (const std::string& longer : {accents, "x" + accents}) {
    folder.file(longer, crystal(small_cell));
    good_run(longer + " -dmin 6 -o out.mtz");
    const std::string bytes = folder.content("out.mtz");
    const std::size_t title = bytes.find("TITLE ");
    ASSERT_NE(title, std::string::npos);
    std::string text = bytes.substr(title + 6, 74);
    text.erase(text.find_last_not_of(' ') + 1);
    EXPECT_TRUE(text.ends_with("\u00e9")) << text;
  }
}

TEST_F(Fcalc, ReadsAModelThroughAPipe) {
  const std::string command = "gzip -c " + model + " | " + NABLA_PROGRAM +
                              " fcalc /dev/stdin -dmin 6 -o " + folder / "pipe.hkl" +
                              " > /dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  good_run(model + " -dmin 6 -o file.hkl");
  EXPECT_EQ(io::read_hkl(folder / "pipe.hkl").size(), io::read_hkl(folder / "file.hkl").size());
}

TEST_F(Fcalc, SaysHowManyAtomsAreHydrogens) {
  EXPECT_THAT(good_run(model + " -dmin 6 -o x.hkl").out,
              HasSubstr("none of the atoms are hydrogens\n"));
  folder.file("h.pdb", crystal(small_cell) +
                           "ATOM      3  H   MET A   1       4.000  10.000   7.000  1.00 20.00"
                           "           H\n");
  EXPECT_THAT(good_run("h.pdb -dmin 6 -o x.hkl").out,
              AllOf(HasSubstr("3 atoms"), HasSubstr("1 of the atoms are hydrogens\n")));
}

TEST_F(Fcalc, SaysWhatItDecidedOnOneLineEach) {
  folder.file("zn.pdb",
              "CRYST1   30.000   40.000   50.000  90.00  90.00  90.00 P 1 2 1      2\n"
              "HETATM    1 ZN    ZN A   1       0.000  10.000   0.000  1.00 20.00          ZN2+\n"
              "HETATM    2  UNK UNX X   1      10.000  10.000  10.000  1.00 20.00           X\n");
  const Outcome outcome = good_run("zn.pdb -dmin 4 -o x.hkl");
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("nablabragg: zn.pdb: 1 atom lies on a special position"),
                    HasSubstr("nablabragg: zn.pdb: 1 ion scatters like neutral atoms"),
                    HasSubstr("1 atom of unknown element is left out: UNK of UNX 1\n")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 3) << outcome.err;
}

TEST_F(Fcalc, RefusesACellThatItsGroupDoesNotAllow) {
  folder.file("oblique.pdb",
              crystal("   30.000   32.000   34.000  90.00  95.00  90.00 P 21 21 21    4"));
  expect_error("oblique.pdb -dmin 4 -o x.hkl", 3,
               "the unit cell 30 32 34 90 95 90 does not have the symmetry of P 21 21 21");
}

TEST_F(Fcalc, RefusesWhatDoesNotFitIntoMemoryWithAnEstimate) {
  folder.file("huge.pdb", crystal(" 1000.000 1000.000 1000.000  90.00  90.00  90.00 P 1"));
  expect_error("huge.pdb -dmin 0.9 -o x.hkl", 2, "GB of memory");
}

// Five atoms in a cell of 36 million A^3 took 13 s and 2.3 GB.
TEST_F(Fcalc, OfALargeEmptyCellCostsWhatItsResolutionAsksFor) {
  folder.file("large.pdb", crystal("  403.808 1155.510   77.718  90.00  90.00  90.00 P 1"));
  const auto begin = std::chrono::steady_clock::now();
  good_run("large.pdb -dmin 12 -o x.hkl");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(Fcalc, LeavesNothingWhenItIsInterrupted) {
  // Its atoms take many seconds.
  std::string many = "CRYST1   60.000   60.000   60.000  90.00  90.00  90.00 P 1\n";
  for (int n = 0; n < 40000; ++n)
    many += fmt::format(
        "ATOM  {:5} CA  ALA A{:4}    {:8.3f}{:8.3f}{:8.3f}  1.00 20.00           C\n", n % 100000,
        n % 10000, 0.37 * (n % 163), 0.11 * (n % 541), 0.13 * (n % 461));
  folder.file("many.pdb", many);
  std::chrono::steady_clock::time_point begin;
  int looks = 0;
  const Outcome outcome = test::run_interrupted(folder.path(), "fcalc many.pdb -dmin 1 -o x.hkl",
                                                [&](const std::filesystem::path&) {
                                                  begin = std::chrono::steady_clock::now();
                                                  return ++looks > 70;  // hundredths of a second
                                                });
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  EXPECT_EQ(folder.names(), std::vector<std::string>{"many.pdb"});
}

}  // namespace
}  // namespace nablabragg
