// What -hkl and -mat say of the files that they are given, and how the cell and the wavelength in
// them meet those of the flags: an error, a warning, or nanoBragg's answer with a notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

const std::string data = NABLA_SOURCE_DIR "/tests/data/reflections/";
const std::string
    settings = "-nocache -N 5 -detpixels 16 -distance 500 -oversample 1 -floatfile a.bin ";
const std::string corrected = "-corrected " + settings, compat = settings + "-nonoise ";
const std::string cell = "-cell 40 50 60 90 90 90 ";

class Reflections : public testing::Test {
 protected:
  Outcome run(const std::string& line) const { return test::run_program(folder.path(), line); }

  Outcome good_run(const std::string& line) const {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }

  void expect_refused(const std::string& line, const std::string& part) const {
    SCOPED_TRACE(line);
    std::filesystem::remove(folder.path() / "a.bin");
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_THAT(outcome.err, HasSubstr("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
    for (const std::string& name : folder.names()) EXPECT_NE(name, "a.bin");
  }

  test::TempDir folder;
};

TEST_F(Reflections, OfMtzPrintTheColumnThatWasTaken) {
  const auto says = [&](const std::string& file, const std::string& taken) {
    EXPECT_THAT(good_run(corrected + cell + "-hkl " + data + file).out,
                HasSubstr(file + ": " + taken + "\n"));
  };
  says("round_values.mtz", "column FP (type F, with SIGFP), expanded by P 21 21 21");
  says("difference_first.mtz", "column FC (type F, with PHIC), expanded by P 21 21 21");
  says("anomalous_refined.mtz", "columns F-obs(+) and F-obs(-) (type G), expanded by P 21 21 21");
  expect_refused(corrected + cell + "-hkl " + data + "difference_first.mtz -hkl_column DELFWT",
                 "column DELFWT holds the coefficients of a map");
}

TEST_F(Reflections, OfMtzInWhichNoNewlineComesEarlyAreRead) {
  EXPECT_THAT(good_run(corrected + cell + "-hkl " + data + "round_values.mtz").out,
              HasSubstr("  932 initialized hkls"));
}

TEST_F(Reflections, OfMtzMayBeNamedByEitherHand) {
  for (const std::string name : {"", "-hkl_column F(+) ", "-hkl_column F(-) "})
    EXPECT_THAT(good_run(corrected + name + "-hkl " + data + "bijvoet_pairs.mtz").out,
                HasSubstr("columns F(+) and F(-) (type G)"));
}

TEST_F(Reflections, OfAMisnamedGroupGoByTheirOperationsAndSaySo) {
  EXPECT_THAT(good_run(corrected + cell + "-hkl " + data + "p2111_as_P21.mtz").err,
              HasSubstr("its SYMM records are those of space group P 21 1 1, not of 'P 21'"));
}

TEST_F(Reflections, ComeThroughAPipeWhole) {
  std::string list;
  for (int h = -8; h <= 8; ++h)
    for (int k = -8; k <= 8; ++k)
      for (int l = -8; l <= 8; ++l)
        list += std::to_string(h) + " " + std::to_string(k) + " " + std::to_string(l) + " 152.85\n";
  folder.file("all.hkl", list);
  const std::string line = std::string("cd ") + folder.path().string() + " && cat all.hkl | " +
                           NABLA_PROGRAM + " " + corrected + cell + "-hkl /dev/stdin > out 2> err";
  EXPECT_EQ(std::system(line.c_str()), 0) << folder.content("err");
  EXPECT_THAT(folder.content("out"), HasSubstr("  4913 initialized hkls"));
}

TEST_F(Reflections, OfAnEndlessDeviceAreRefusedAtOnce) {
  expect_refused(corrected + cell + "-hkl /dev/zero", "/dev/zero: is a device");
}

TEST_F(Reflections, BringTheirCellWhereNoOtherIsGiven) {
  for (const std::string& mode : {corrected, compat}) {
    const Outcome outcome = good_run(mode + "-hkl " + data + "round_values.mtz");
    EXPECT_THAT(outcome.out, HasSubstr("Unit Cell: 40 50 60 90 90 90\n"));
    EXPECT_THAT(outcome.err, HasSubstr("round_values.mtz: its cell is taken, 40 50 60 90 90 90; "
                                       "-cell or -mat gives another"));
  }
  folder.file("F.hkl", "# cell 40 50 60 90 95 90  space group P 1\n0 0 0 5\n0 1 0 6\n");
  EXPECT_THAT(good_run(corrected + "-hkl F.hkl").out, HasSubstr("Unit Cell: 40 50 60 90 95 90\n"));
}

TEST_F(Reflections, OfACellThatNoCrystalHasAskForOne) {
  folder.file("F.hkl", "# cell 1 1 1 90 90 90\n0 0 0 5\n0 1 0 6\n");
  expect_refused(corrected + "-hkl F.hkl",
                 "F.hkl: says that its cell is 1 1 1 90 90 90, which no crystal has; give -cell "
                 "after -hkl");
  good_run(corrected + "-hkl F.hkl " + cell);
}

TEST_F(Reflections, OfAnotherCellAreRefusedOrNoticed) {
  const std::string hkl = "-hkl " + data + "round_values.mtz ", other = "-cell 55 55 90 90 90 120 ";
  const std::string says =
      "is of the cell 40 50 60 90 90 90, and -cell gives 55 55 90 90 90 120, "
      "50.0 % from it";
  expect_refused(corrected + other + hkl, says + "; for isomorphous data give -cell after -hkl");
  for (const std::string& line : {compat + other + hkl, corrected + hkl + other}) {
    const Outcome outcome = good_run(line);
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.out, HasSubstr("Unit Cell: 55 55 90 90 90 120\n"));
  }
  // 2 % is worth a word, and half a percent is none.
  EXPECT_THAT(good_run(corrected + "-cell 40.8 50 60 90 90 90 " + hkl).err,
              HasSubstr("-cell gives 40.8 50 60 90 90 90, 2.0 % from it"));
  EXPECT_THAT(good_run(corrected + "-cell 40.2 50 60 90 90 90 " + hkl).err,
              Not(HasSubstr("is of the cell")));
  folder.file("A.mat", "0.02 0 0\n0 0.02 0\n0 0 0.02\n");
  expect_refused(corrected + hkl + "-mat A.mat", "and -mat gives 50 50 50 90 90 90");
}

std::string sf_cif_at(const std::string& wavelength) {
  return "data_x\n_cell.length_a 40\n_cell.length_b 50\n_cell.length_c 60\n_cell.angle_alpha 90\n"
         "_cell.angle_beta 90\n_cell.angle_gamma 90\n_symmetry.Int_Tables_number 1\n"
         "_diffrn_radiation_wavelength.wavelength " +
         wavelength +
         "\nloop_\n_refln.index_h\n_refln.index_k\n_refln.index_l\n_refln.F_meas_au\n0 0 1 10\n0 1 "
         "0 5\n";
}

TEST_F(Reflections, BringTheirWavelengthWhereNoOtherIsGiven) {
  folder.file("F.cif", sf_cif_at("0.9795"));
  const Outcome taken = good_run(corrected + "-hkl F.cif");
  EXPECT_THAT(taken.out, HasSubstr("wave=9.795e-11 meters"));
  EXPECT_THAT(taken.err, HasSubstr("F.cif: was measured at 0.9795 Angstrom, which is taken as the "
                                   "wavelength; -lambda sets another"));
  EXPECT_THAT(good_run(corrected + "-hkl F.cif -lambda 1").out, HasSubstr("wave=1e-10 meters"));
  const Outcome kept = good_run(compat + "-hkl F.cif");
  EXPECT_THAT(kept.out, HasSubstr("wave=1e-10 meters"));
  EXPECT_THAT(kept.err,
              HasSubstr("F.cif: was measured at 0.9795 Angstrom, and the wavelength is 1"));
  folder.file("F.cif", sf_cif_at("9999"));
  EXPECT_THAT(good_run(corrected + "-hkl F.cif").out, HasSubstr("wave=1e-10 meters"));
}

TEST_F(Reflections, OfRowsThatDisagreeAreCounted) {
  folder.file("F.hkl", "0 1 0 10\n0 0 1 5\n0 1 0 12\n");
  for (const std::string& mode : {corrected, compat})
    EXPECT_THAT(good_run(mode + cell + "-hkl F.hkl").err,
                HasSubstr("F.hkl: 1 reflection stands there several times with amplitudes that "
                          "disagree, the first at 0 1 0; the last one counts"));
}

TEST_F(Reflections, OfAnAtomicModelAreToBeCalculated) {
  folder.file("m.pdb", "CRYST1   40.000   50.000   60.000  90.00  90.00  90.00 P 1\n");
  expect_refused(corrected + cell + "-hkl m.pdb", "nablabragg fcalc m.pdb -dmin 2 -o F.hkl");
}

TEST_F(Reflections, ThatAreIntensitiesByTheirSignsAreRefusedOrNoticed) {
  folder.file("F.hkl", "0 0 1   400.0   9.0\n0 1 0   -12.5   8.0\n1 0 0   900.0  10.0\n");
  const std::string says =
      "F.hkl: line 2, \"0 1 0   -12.5   8.0\", has a negative value and a sigma, as lists of "
      "intensities have, and no amplitude is negative; -hkl_column I takes the roots, F the values";
  expect_refused(corrected + cell + "-hkl F.hkl", says);
  EXPECT_THAT(good_run(compat + cell + "-hkl F.hkl").err, HasSubstr(says));
  const Outcome roots = good_run(corrected + cell + "-hkl F.hkl -hkl_column I");
  EXPECT_THAT(roots.out, AllOf(HasSubstr("F.hkl: roots of the intensities of a text\n"),
                               HasSubstr("  2 initialized hkls")));
  EXPECT_THAT(roots.err, HasSubstr("1 negative intensity has no root and is left out"));
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.hkl -hkl_column F").out,
              HasSubstr("  3 initialized hkls"));
  // The sign of an amplitude alone does not matter, but is worth a word.
  folder.file("F.hkl", "0 0 1 400\n0 1 0 -12.5\n");
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.hkl").err,
              HasSubstr("F.hkl: 1 of its amplitudes is negative, and counts by its square"));
}

TEST_F(Reflections, WhoseCellCommentIsNoCellAreRefusedOrNoticed) {
  for (const std::string comment : {"# cell 40 50 60 90 90", "# cell 40 50 60 90 90 nan",
                                    "# cell 40 -50 60 90 90 90", "#cell 40 50 60 90 90 x"}) {
    folder.file("F.hkl", comment + "\n0 0 1 400\n");
    const std::string says = "F.hkl: line 1, \"" + comment +
                             "\", is no cell: a comment \"# cell\" "
                             "has six positive numbers, a b c alpha beta gamma";
    expect_refused(corrected + cell + "-hkl F.hkl", says);
    EXPECT_THAT(good_run(compat + cell + "-hkl F.hkl").err, HasSubstr(says));
  }
  folder.file("F.hkl", "# cell parameters are those of 1UBQ\n0 0 1 400\n");
  good_run(corrected + cell + "-hkl F.hkl");
}

TEST_F(Reflections, OfTwoCellsAreRefusedOrNoticed) {
  const std::string one = "# cell 40 50 60 90 90 90\n0 0 1 400\n";
  folder.file("F.hkl", one + "# cell 41 50 60 90 90 90\n0 1 0 300\n");
  const std::string says =
      "F.hkl: line 3, \"# cell 41 50 60 90 90 90\", is not the cell of the comment before; a list "
      "is of one crystal";
  expect_refused(corrected + cell + "-hkl F.hkl", says);
  EXPECT_THAT(good_run(compat + cell + "-hkl F.hkl").err, HasSubstr(says));
  folder.file("F.hkl", one + one);
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.hkl").err, Not(HasSubstr("comment before")));
}

TEST_F(Reflections, OfAPipeWithoutEndAreRefusedBeforeTheyFillTheMemory) {
  for (const auto& [lines, says] :
       {std::pair<std::string, std::string>{
            "yes '1 0 0 5'", "of only 2 different indices; no list of amplitudes repeats them"},
        {"seq 1 100000000 | sed 's/$/ 0 0 5/'", "which no crystal has"}}) {
    const std::string line = "cd " + folder.path().string() + " && " + lines + " | " +
                             NABLA_PROGRAM + " " + corrected + cell +
                             "-hkl /dev/stdin > out 2> err";
    EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 3) << lines;
    EXPECT_THAT(
        folder.content("err"),
        AllOf(ContainsRegex("/dev/stdin: holds 4[0-9]{6} reflections and more"), HasSubstr(says)));
  }
}

TEST_F(Reflections, OfAFileOfAnotherKindAreRefusedByItsName) {
  const std::string list = "0 0 1 400\n0 1 0 12.5\n";
  std::string wide, big_endian;
  for (const char c : list) {
    wide += {c, '\0'};
    big_endian += {'\0', c};
  }
  for (const std::string& text : {"\xFF\xFE" + wide, "\xFE\xFF" + big_endian, wide, big_endian}) {
    folder.file("F.hkl", text);
    expect_refused(corrected + cell + "-hkl F.hkl",
                   "F.hkl: is text in UTF-16, two bytes a character; save it as UTF-8");
    folder.file("A.mat", text);
    expect_refused(corrected + "-default_F 100 -mat A.mat", "A.mat: is text in UTF-16");
  }
  folder.file("F.hkl", std::string("\xFF\xFE\0\0"
                                   "0\0\0\0",
                                   8));
  expect_refused(corrected + cell + "-hkl F.hkl", "is text in UTF-32, four bytes a character");
  const std::string shelx =
      "TITL quartz in P3221\nCELL 0.71073 4.91 4.91 5.40 90 90 120\nZERR 3 .001 .001 .001 0 0 0\n"
      "LATT -1\nSFAC SI O\nUNIT 3 6\nFVAR 1.0\nSI1 1 0.47 0 0.333 10.5 0.01\nHKLF 4\nEND\n";
  for (const std::string& text : {shelx, "REM a comment\n\n" + shelx}) {
    folder.file("q.res", text);
    expect_refused(corrected + cell + "-hkl q.res", "q.res: is an .ins or .res file of SHELX");
    expect_refused("fcalc q.res -dmin 1 -o F.hkl", "q.res: is an .ins or .res file of SHELX");
  }
}

std::string sf_block(const std::string& name, const std::string& item, const std::string& rows) {
  return "data_" + name +
         "\n_symmetry.space_group_name_H-M 'P 1'\nloop_\n_refln.index_h\n"
         "_refln.index_k\n_refln.index_l\n_refln." +
         item + "\n" + rows;
}

TEST_F(Reflections, OfSeveralBlocksAreThoseOfTheFirstAndNameIt) {
  folder.file("F.cif", sf_block("first", "intensity_meas", "0 0 1 100\n0 1 0 400\n") +
                           sf_block("second", "F_meas_au", "0 0 1 7\n"));
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.cif").out,
              HasSubstr("F.cif: roots of the intensities in item intensity_meas of data_first, one "
                        "of 2 blocks with reflections, expanded by P 1\n"));
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.cif -hkl_column F_meas_au").out,
              HasSubstr("F.cif: item F_meas_au of data_second, one of 2 blocks with reflections"));
  // What holds no value is not used.
  folder.file("F.cif", sf_block("first", "F_meas_au", "0 0 1 ?\n") +
                           sf_block("second", "F_meas_au", "0 0 1 7\n"));
  EXPECT_THAT(good_run(corrected + cell + "-hkl F.cif").out, HasSubstr("F_meas_au of data_second"));
}

// ---- Matrices ----------------------------------------------------------------------------------

const std::string lit = "-default_F 100 -mat A.mat ";
const std::string mosflm =
    "  0.02448750  0.00000000  0.00000000\n  0.00000000  0.01959000  0.00000000\n"
    "  0.00000000  0.00000000  0.01632500\n       0.000       0.000       0.000\n"
    "  1.0000000  0.0000000  0.0000000\n  0.0000000  1.0000000  0.0000000\n"
    "  0.0000000  0.0000000  1.0000000\n"
    "     40.0000     50.0000     60.0000     90.0000     90.0000     90.0000\n";

TEST_F(Reflections, ThatAMatrixTurnsHaveTheCellThatItsFileSays) {
  folder.file("A.mat", mosflm);
  for (const std::string wavelength : {"-lambda 0.9795 ", "-energy 12657.9 "})
    EXPECT_THAT(good_run(corrected + lit + wavelength).err, Not(HasSubstr("A.mat")));
  const std::string fits = ", and the file says 40 50 60 90 90 90, ";
  for (const std::string& mode : {corrected, compat})
    EXPECT_THAT(good_run(mode + lit).err,
                HasSubstr("A.mat: its matrix makes the cell 40.8372 51.0465 61.2557 90 90 90 at 1 "
                          "Angstrom" +
                          fits + "2.1 % from it; it fits -lambda 0.9795"));
  folder.file("A.mat", mosflm);
  EXPECT_THAT(good_run(compat + lit + "-lambda 1.1").err, HasSubstr("12.3 % from it"));
  expect_refused(corrected + lit + "-lambda 1.1",
                 "at 1.1 Angstrom" + fits + "12.3 % from it; it fits -lambda 0.9795");
}

TEST_F(Reflections, OfAMatrixAndACellThatContradictAreRefusedOrNoticed) {
  folder.file("A.mat", "0.02448750 0 0\n0 0.01959000 0\n0 0 0.01632500\n");
  const std::string mat = "-default_F 100 -mat A.mat -lambda 0.9795 ",
                    at = "A.mat: its matrix "
                         "makes the cell 40 50 60 90 90 90 at 0.9795 Angstrom, and -cell says ";
  const auto with = [](const std::string& a, const std::string& b) {
    return std::array{a + b, b + a};
  };
  for (const std::string& mode : {corrected, compat})
    for (const std::string& line : with("-cell 40.2 50 60 90 90 90 ", mat))
      EXPECT_THAT(good_run(mode + line).err, Not(HasSubstr("A.mat")));
  for (const std::string& mode : {corrected, compat})
    for (const std::string& line : with("-cell 40.8 50 60 90 90 90 ", mat))
      EXPECT_THAT(good_run(mode + line).err, HasSubstr(at + "40.8 50 60 90 90 90, 2.0 % from it"));
  for (const std::string& line : with("-cell 55 55 90 90 90 120 ", mat)) {
    expect_refused(corrected + line, at + "55 55 90 90 90 120, 33.3 % from it");
    EXPECT_THAT(good_run(compat + line).err, HasSubstr(at + "55 55 90 90 90 120"));
  }
  // The three edges alike are a matter of the wavelength.
  expect_refused(corrected + "-default_F 100 -mat A.mat -lambda 1.1 " + cell,
                 "at 1.1 Angstrom, and -cell says 40 50 60 90 90 90, 12.3 % from it; it fits "
                 "-lambda 0.9795");
}

TEST_F(Reflections, OfALeftHandedOrImpossibleCrystalAreRefusedOrNoticed) {
  for (const auto& [matrix, problem] :
       {std::pair<std::string, std::string>{
            "0.025 0 0\n0 0.02 0\n0 0 -0.0166667\n",
            "A.mat: the axes of the A matrix are left-handed; turn the sign of one of its columns"},
        {"40 0 0\n0 50 0\n0 0 60\n",
         "A.mat: the A matrix makes a cell with an edge of 0.025000 Angstrom, which no crystal "
         "has"},
        {"1e-5 0 0\n0 0.02 0\n0 0 0.02\n", "an edge of 100000.000000 Angstrom"}}) {
    folder.file("A.mat", matrix);
    expect_refused(corrected + lit, problem);
    EXPECT_THAT(good_run(compat + lit).err, HasSubstr(problem));
  }
}

TEST_F(Reflections, OfAMatrixThatIsXparmAreRefused) {
  folder.file("A.mat",
              "     1        0.0000    0.5000  0.999997 -0.002214  0.001063\n"
              "       0.979500      -0.001234       0.002345       1.020925\n"
              "        96       40.000    50.000    60.000  90.000  90.000  90.000\n");
  expect_refused(corrected + lit, "is XPARM.XDS or GXPARM.XDS of XDS");
  expect_refused(compat + lit, "is XPARM.XDS or GXPARM.XDS of XDS");
}

}  // namespace
}  // namespace nablabragg
