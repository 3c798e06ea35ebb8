// What calculate_structure_factors makes of models: their formats, conventions, oddities and
// faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Amplitudes = std::map<MillerIndex, double>;

class CrystalModels : public testing::Test {
 protected:
  io::CalculatedFactors factors_of(const std::string& text, double dmin_A = 4) const {
    return io::calculate_structure_factors(folder.file("model", text), dmin_A, {0, 0});
  }

  /// Without the path.
  std::string error_of(const std::string& text) const {
    try {
      factors_of(text);
    } catch (const InputError& e) {
      const std::string what = e.what(), path = folder / "model";
      EXPECT_EQ(what.substr(0, path.size()), path);
      return what.substr(path.size());
    }
    return "no error";
  }

  test::TempDir folder;
};

Amplitudes amplitudes_of(const io::CalculatedFactors& factors) {
  Amplitudes map;
  for (const Reflection& r : factors.reflections) map[r.hkl] = r.amplitude;
  return map;
}

void expect_equal(const io::CalculatedFactors& a, const io::CalculatedFactors& b) {
  const Amplitudes expected = amplitudes_of(b);
  ASSERT_EQ(a.reflections.size(), expected.size());
  for (const Reflection& r : a.reflections)
    ASSERT_NEAR(r.amplitude, expected.at(r.hkl), 2e-3)
        << r.hkl[0] << ' ' << r.hkl[1] << ' ' << r.hkl[2];
}

// ---- PDB -------------------------------------------------------------------------------------

const std::string orthogonal = "CRYST1   30.000   40.000   50.000  90.00  90.00  90.00 ";
const std::string oblique = "CRYST1   30.000   40.000   50.000  80.00  95.00 110.00 ";

std::string zinc(const std::string& place, const std::string& occupancy = "  1.00") {
  return "HETATM    1 ZN    ZN A   1    " + place + occupancy + " 20.00          ZN\n";
}

const std::string general = "   5.000  10.000   7.000", axial = "   0.000  10.000   0.000";

std::string mmcif(const std::string& atom, const std::string& symmetry,
                  const std::string& without = {}) {
  std::string text =
      "data_x\n_cell.length_a 30\n_cell.length_b 40\n_cell.length_c 50\n_cell.angle_alpha 90\n"
      "_cell.angle_beta 90\n_cell.angle_gamma 90\n" +
      symmetry + "loop_\n";
  for (const char* item : {"group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id",
                           "label_comp_id", "label_asym_id", "label_seq_id", "Cartn_x", "Cartn_y",
                           "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id"})
    text += std::string("_atom_site.") + (item == without ? "other" : item) + "\n";
  return text + atom + "\n";
}

const std::string p212121 = "_symmetry.space_group_name_H-M 'P 21 21 21'\n";
const std::string zinc_row = "HETATM 1 ZN ZN . ZN A . 5 10 7 1 20 1 A";

// In P 1 with the atoms of the cell, which a sum over atoms has been compared with elsewhere.
TEST_F(CrystalModels, OfCentredTriclinicSettingsHaveAllTheirAtoms) {
  const Amplitudes a1 = amplitudes_of(factors_of(oblique + "A 1\n" + zinc(general), 5));
  EXPECT_NEAR(a1.at({2, 2, 4}), 53.6609, 1e-3);
  const Amplitudes two = amplitudes_of(
      factors_of(oblique + "P 1\n" + zinc(general) + zinc("  -4.019  32.621  31.609"), 5));
  for (const auto& [hkl, amplitude] : a1) ASSERT_NEAR(amplitude, two.at(hkl), 0.05);
  EXPECT_NEAR(amplitudes_of(factors_of(oblique + "F 1\n" + zinc(general), 5)).at({2, 2, 4}),
              107.3218, 2e-3);
}

TEST_F(CrystalModels, CountAnAtomOnATwofoldOnce) {
  const io::CalculatedFactors whole = factors_of(orthogonal + "P 1 2 1\n" + zinc(axial));
  EXPECT_NEAR(amplitudes_of(whole).at({0, 0, 0}), 30, 0.1);
  EXPECT_THAT(whole.notes,
              ElementsAre("1 atom lies on a special position with an occupancy that would count it "
                          "more than once, and which is divided by the number of operators that "
                          "leave it there: ZN of ZN 1, 1 for 2 operators"));
  const io::CalculatedFactors half = factors_of(orthogonal + "P 1 2 1\n" + zinc(axial, "  0.50"));
  expect_equal(half, whole);
  EXPECT_THAT(half.notes,
              ElementsAre("1 atom lies on a special position with an occupancy that is divided "
                          "already, by the convention of PDB and mmCIF files, and taken as "
                          "written: ZN of ZN 1, 0.5 for 2 operators"));
  // Refinement leaves atoms beside the axis.
  EXPECT_NEAR(amplitudes_of(factors_of(orthogonal + "P 1 2 1\n" + zinc("   0.150  10.000   0.000")))
                  .at({0, 0, 0}),
              30, 0.1);
  EXPECT_THAT(factors_of(orthogonal + "P 1 2 1\n" + zinc(general)).notes, IsEmpty());
}

TEST_F(CrystalModels, KeepTwoHalfAtomsNearATwofoldAsTheyAreWritten) {
  const io::CalculatedFactors half = factors_of(orthogonal + "P 1 2 1\n" +
                                                zinc("   0.300  10.000   0.000", "  0.50"));
  EXPECT_NEAR(amplitudes_of(half).at({0, 0, 0}), 30, 0.1);
  EXPECT_THAT(half.notes, IsEmpty());
  const io::CalculatedFactors clash = factors_of(orthogonal + "P 1 2 1\n" +
                                                 zinc("   0.300  10.000   0.000"));
  EXPECT_THAT(clash.notes, ElementsAre("1 atom lies within 1 A of its own image by symmetry, and "
                                       "both count: ZN of ZN 1"));
}

TEST_F(CrystalModels, LeaveOutUnknownAtomsOfThePdbAndSaySo) {
  const std::string
      unknown = "HETATM   99  X1  UNX X   1      10.000  10.000  10.000  1.00 20.00           X\n";
  const io::CalculatedFactors with = factors_of(orthogonal + "P 1\n" + zinc(general) + unknown);
  expect_equal(with, factors_of(orthogonal + "P 1\n" + zinc(general)));
  EXPECT_EQ(with.atoms, 1);
  EXPECT_THAT(with.notes, ElementsAre("1 atom of unknown element is left out: X1 of UNX 1"));
  EXPECT_THAT(error_of(orthogonal + "P 1\n" + unknown),
              HasSubstr(": no occupied atoms of known element"));
}

TEST_F(CrystalModels, RefuseAnyOtherAtomOfUnknownElement) {
  EXPECT_THAT(error_of(orthogonal + "P 1\n" +
                       "HETATM    1  Q1  LIG A   1       5.000  10.000   7.000  1.00 20.00"
                       "          QX\n"),
              HasSubstr(": atom Q1 of LIG 1 has no known element: write it into columns 77"));
}

TEST_F(CrystalModels, SayThatIonsScatterLikeAtomsAndThatElementsComeFromNames) {
  const std::string
      ion = "HETATM    1 ZN    ZN A   1       5.000  10.000   7.000  1.00 20.00          ZN2+\n";
  EXPECT_THAT(factors_of(orthogonal + "P 1\n" + ion).notes,
              ElementsAre("1 ion scatters like neutral atoms, because no factors of ions are "
                          "tabulated: ZN of ZN 1, 2+"));
  EXPECT_THAT(factors_of(orthogonal + "P 1\n" + ion.substr(0, 66) + "\n").notes,
              ElementsAre("1 atom has its element from its name, because columns 77 and 78 are "
                          "empty"));
}

TEST_F(CrystalModels, CountDeuteriumAsHydrogen) {
  const std::string
      atom = "ATOM      1  D   MET A   1       5.000  10.000   7.000  1.00 20.00           ";
  const io::CalculatedFactors d = factors_of(orthogonal + "P 1\n" + atom + "D\n");
  EXPECT_EQ(d.hydrogens, 1);
  EXPECT_NEAR(amplitudes_of(d).at({0, 0, 0}), 1, 0.01);
  expect_equal(d, factors_of(orthogonal + "P 1\n" + atom + "H\n"));
}

TEST_F(CrystalModels, UseTheFirstOfSeveralAndSaySo) {
  const io::CalculatedFactors two = factors_of(orthogonal + "P 1\nMODEL        1\n" +
                                               zinc(general) + "ENDMDL\nMODEL        2\n" +
                                               zinc(axial) + "ENDMDL\n");
  EXPECT_EQ(two.atoms, 1);
  EXPECT_THAT(two.notes, ElementsAre("model 1, the first of 2, is used"));
}

TEST_F(CrystalModels, RefuseNumbersThatAreNone) {
  const auto with = [&](const std::string& line) {
    return error_of(orthogonal + "P 1\n" + zinc(axial) + line);
  };
  EXPECT_EQ(
      with(zinc("********  10.000   7.000")),
      ":3: atom \"ZN\" of ZN 1 has \"********\" for x, which is no number (columns 31 to 38)");
  EXPECT_THAT(with(zinc("   5.000     nan   7.000")), HasSubstr("\"nan\" for y"));
  EXPECT_THAT(with(zinc("   5.000  10.000     inf")), HasSubstr("\"inf\" for z"));
  EXPECT_THAT(with(zinc("   5.000  10.000  7.0x00")), HasSubstr("\"7.0x00\" for z"));
  EXPECT_THAT(with(zinc(general, "      ")), HasSubstr("has no occupancy (columns 55 to 60)"));
  EXPECT_THAT(with(zinc(general, " *****")), HasSubstr("\"*****\" for occupancy"));
  EXPECT_THAT(with(zinc(general, " -0.50")), HasSubstr("has the negative occupancy -0.5"));
  EXPECT_THAT(
      with("ATOM      2  CA  MET A   1       5.000  10.000   7.000  1.00******           C\n"),
      HasSubstr("\"******\" for B"));
  EXPECT_THAT(with("ATOM      2  CA  MET A   1       5.000  10.000   7.000  1.00\n"),
              HasSubstr("has no B"));
  EXPECT_THAT(with("ANISOU    1 ZN    ZN A   1     3000   ****   2000   1500    700   -300\n"),
              HasSubstr("ANISOU has \"****\" for U22"));
  EXPECT_THAT(
      error_of("CRYST1   30.000 4o.000     50.000  90.00  90.00  90.00 P 1\n" + zinc(axial)),
      HasSubstr(":1: CRYST1 has \"4o.000\" for b"));
  EXPECT_THAT(
      error_of("CRYST1   30.000   40.000   50.000  90.00  90.00 200.00 P 1\n" + zinc(axial)),
      HasSubstr(": the unit cell 30 40 50 90 90 200 is impossible"));
}

TEST_F(CrystalModels, SayWhatOccupanciesAndTemperatureFactorsAreUnusual) {
  EXPECT_THAT(factors_of(orthogonal + "P 1\n" + zinc(general, "  2.00")).notes,
              ElementsAre("1 atom has an occupancy above 1: ZN of ZN 1, occupancy 2"));
  EXPECT_THAT(factors_of(orthogonal + "P 1\n" +
                         "HETATM    1 ZN    ZN A   1       5.000  10.000   7.000  1.00  0.00"
                         "          ZN\n")
                  .notes,
              ElementsAre("all temperature factors are 0"));
}

TEST_F(CrystalModels, SayThatTemperatureFactorsLackWhatTlsGroupsDescribe) {
  const std::string model = orthogonal + "P 1\n" + zinc(general, "  1.00"),
                    residual = "REMARK   3   ATOM RECORD CONTAINS RESIDUAL B FACTORS ONLY\n",
                    refmac = "REMARK   3   U VALUES      : RESIDUAL ONLY\n",
                    sum = "REMARK   3   ATOM RECORD CONTAINS SUM OF TLS AND RESIDUAL B FACTORS\n";
  EXPECT_THAT(factors_of(residual + model).notes,
              ElementsAre("its temperature factors leave out what its TLS groups describe "
                          "(\"RESIDUAL B FACTORS ONLY\"), and count as they stand; CCP4's tlsanl "
                          "adds that part"));
  EXPECT_THAT(factors_of(refmac + model).notes, ElementsAre(HasSubstr("what its TLS groups")));
  EXPECT_THAT(factors_of(sum + model).notes, testing::IsEmpty());
}

std::string atom_line(const std::string& name, char altloc, const std::string& place,
                      const std::string& occupancy, const std::string& residue = "SER A   1") {
  return "ATOM      1  " + name + altloc + residue + "    " + place + occupancy +
         " 20.00           " + name[0] + "\n";
}

TEST_F(CrystalModels, SayWhichAtomsLieInOnePlaceMoreThanOnce) {
  const std::string doubled =
      " within 0.1 A of another atom or its image by symmetry, where the "
      "occupancies add up to more than 1, and all of them count";
  const std::string p1 = orthogonal + "P 1\n", water = "HOH A   2";
  EXPECT_THAT(factors_of(p1 + zinc(general) + zinc("   5.050  10.000   7.000")).notes,
              ElementsAre("2 atoms lie" + doubled + "; the first: ZN of ZN 1, 2 with ZN of ZN 1"));
  // Another element fills the place as well.
  EXPECT_THAT(
      factors_of(p1 + zinc(general) + atom_line("O  ", ' ', general, "  0.50", water)).notes,
      ElementsAre("2 atoms lie" + doubled + "; the first: ZN of ZN 1, 1.5 with O of HOH 2"));
  // What symmetry makes anyway.
  EXPECT_THAT(
      factors_of(orthogonal + "P 1 2 1\n" + zinc(general) + zinc("  -5.000  10.000  -7.000")).notes,
      ElementsAre(HasSubstr("2 atoms lie" + doubled)));
  // Across the border of the cell, and of a cell that is smaller than the search's boxes
  EXPECT_THAT(
      factors_of(p1 + zinc("   0.020   0.020   0.020") + zinc("  29.980  39.980  49.990")).notes,
      ElementsAre(HasSubstr("2 atoms lie" + doubled)));
  EXPECT_THAT(factors_of("CRYST1    0.900    0.900    0.900  90.00  90.00  90.00 P 1\n" +
                         zinc("   0.020   0.020   0.020") + zinc("   0.880   0.900   0.000"))
                  .notes,
              ElementsAre(HasSubstr("2 atoms lie" + doubled)));
  for (const std::string& good :
       {p1 + zinc(general, "  0.50") + zinc(general, "  0.50"),
        p1 + zinc(general) + zinc("   5.200  10.000   7.000"),
        p1 + zinc(general, "  0.34") + zinc(general, "  0.34") + zinc(general, "  0.34")})
    EXPECT_THAT(factors_of(good).notes, IsEmpty()) << good;
  // One place, shared by two on an axis: each is divided.
  EXPECT_THAT(factors_of(orthogonal + "P 1 2 1\n" + zinc(axial) + zinc(axial)).notes,
              ElementsAre(HasSubstr("2 atoms lie on a special position"),
                          HasSubstr("2 atoms lie" + doubled)));
}

TEST_F(CrystalModels, SayWhichAlternatesCountMoreThanOnce) {
  const std::string p1 = orthogonal + "P 1\n", elsewhere = "   6.500  10.000   7.000";
  const std::string told =
      " alternates whose occupancies add up to more than 1, and all of them "
      "count";
  const auto pair = [&](const std::string& a, const std::string& b, char first = 'A') {
    return p1 + atom_line("CB ", first, general, a) + atom_line("CB ", 'B', elsewhere, b);
  };
  EXPECT_THAT(factors_of(pair("  1.00", "  1.00")).notes,
              ElementsAre("1 atom has" + told + ": CB of SER 1, A 1 and B 1"));
  EXPECT_THAT(factors_of(pair("  1.00", "  0.30", ' ')).notes,
              ElementsAre("1 atom has" + told + ": CB of SER 1, 1 and B 0.3"));
  EXPECT_THAT(factors_of(pair("  0.60", "  0.40")).notes, IsEmpty());
  // Near each other they are told once.
  EXPECT_THAT(factors_of(p1 + atom_line("CB ", 'A', general, "  1.00") +
                         atom_line("CB ", 'B', general, "  1.00"))
                  .notes,
              ElementsAre(HasSubstr(told)));
  // Two residues that stand for each other, and two waters of one number
  EXPECT_THAT(factors_of(p1 + atom_line("CB ", 'A', general, "  1.00") +
                         atom_line("CB ", 'B', elsewhere, "  1.00", "THR A   1"))
                  .notes,
              ElementsAre(HasSubstr("1 atom has" + told)));
  EXPECT_THAT(factors_of(p1 + atom_line("O  ", ' ', general, "  1.00", "HOH A   1") +
                         atom_line("O  ", ' ', elsewhere, "  1.00", "HOH A   1"))
                  .notes,
              IsEmpty());
}

std::string scale_records(const std::string (&rows)[3]) {
  std::string text;
  for (int i = 0; i < 3; ++i) text += "SCALE" + std::to_string(i + 1) + "    " + rows[i] + "\n";
  return text;
}

const std::string a_row = "  0.033333  0.000000  0.000000",
                  b_row = "  0.000000  0.025000  0.000000",
                  c_row = "  0.000000  0.000000  0.020000", no_shift = "        0.00000";

TEST_F(CrystalModels, RefuseAMatrixOfFractionsThatIsNotOfTheCell) {
  const std::string matrix =
      ": its matrix of fractional coordinates (SCALE records, "
      "fract_transf_matrix) ";
  const auto error = [&](const std::string(&rows)[3]) {
    return error_of(orthogonal + "P 1\n" + scale_records(rows) + zinc(axial));
  };
  const std::string nothing = "  0.000000  0.000000  0.000000" + no_shift;
  EXPECT_EQ(error({nothing, nothing, nothing}),
            matrix + "cannot be inverted: correct it or leave it out");
  EXPECT_EQ(error({b_row + no_shift, a_row + no_shift, c_row + no_shift}),
            matrix +
                "makes the axes 40 30.0003 50 90 90 90, and the unit cell is 30 40 50 90 90 90 "
                "(its rows are those of b, a, c, in this order): correct it or leave it out");
  EXPECT_EQ(error({b_row + no_shift, c_row + no_shift, a_row + no_shift}),
            matrix +
                "makes the axes 40 50 30.0003 90 90 90, and the unit cell is 30 40 50 90 90 90 "
                "(its rows are those of b, c, a, in this order): correct it or leave it out");
  EXPECT_EQ(
      error({a_row + no_shift, b_row + no_shift, "  0.000000  0.000000  0.010000" + no_shift}),
      matrix +
          "makes the axes 30.0003 40 100 90 90 90, and the unit cell is 30 40 50 90 90 "
          "90: correct it or leave it out");
  EXPECT_EQ(error({"  1.000000  0.000000  0.000000" + no_shift,
                   "  0.000000  1.000000  0.000000" + no_shift,
                   "  0.000000  0.000000  1.000000" + no_shift}),
            matrix +
                "makes the axes 1 1 1 90 90 90, and the unit cell is 30 40 50 90 90 90: correct it "
                "or leave it out");
  EXPECT_EQ(
      error({a_row + no_shift, b_row + no_shift, "  0.000000  0.000000 -0.020000" + no_shift}),
      matrix +
          "is left-handed, which makes the crystal its mirror image: correct it or leave "
          "it out");
}

TEST_F(CrystalModels, SayThatAMatrixOfFractionsMovesOrTurnsTheAtoms) {
  const std::string matrix =
      "its matrix of fractional coordinates (SCALE records, "
      "fract_transf_matrix) ";
  const std::string exact = "CRYST1   25.000   40.000   50.000  90.00  90.00  90.00 ",
                    exact_a = "  0.040000  0.000000  0.000000", quarter = "        0.25000";
  const auto with = [&](const std::string(&rows)[3], const std::string& place) {
    return factors_of(exact + "P 1 2 1\n" + scale_records(rows) + zinc(place));
  };
  const io::CalculatedFactors moved = with({exact_a + quarter, b_row + no_shift, c_row + no_shift},
                                           general);
  EXPECT_THAT(moved.notes,
              ElementsAre(matrix + "moves the atoms by 0.25 0 0 of the cell, and is applied"));
  expect_equal(moved, factors_of(exact + "P 1 2 1\n" + zinc("  11.250  10.000   7.000")));
  // x of the file along b, y along c, z along a
  const std::string turned_rows[3] = {"  0.000000  0.000000  0.040000" + no_shift,
                                      "  0.025000  0.000000  0.000000" + no_shift,
                                      "  0.000000  0.020000  0.000000" + no_shift};
  const io::CalculatedFactors turned = with(turned_rows, "  10.000   7.000   5.000");
  EXPECT_THAT(turned.notes,
              ElementsAre(matrix + "turns the axes from where they usually are, and is applied"));
  expect_equal(turned, factors_of(exact + "P 1 2 1\n" + zinc(general)));
  EXPECT_THAT(factors_of(orthogonal + "P 1\n" +
                         scale_records({a_row + no_shift, b_row + no_shift, c_row + no_shift}) +
                         zinc(general))
                  .notes,
              IsEmpty());
  std::string items;
  for (const char* entry :
       {"matrix[1][1] 0.033333", "matrix[1][2] 0", "matrix[1][3] 0", "matrix[2][1] 0",
        "matrix[2][2] 0.025", "matrix[2][3] 0", "matrix[3][1] 0", "matrix[3][2] 0",
        "matrix[3][3] 0.02", "vector[1] 0", "vector[2] 0.5", "vector[3] 0"})
    items += std::string("_atom_sites.fract_transf_") + entry + "\n";
  EXPECT_THAT(factors_of(mmcif(zinc_row, p212121 + items)).notes,
              ElementsAre(matrix + "moves the atoms by 0 0.5 0 of the cell, and is applied"));
}

TEST_F(CrystalModels, RefuseACellWithoutTheSymmetryOfItsGroup) {
  EXPECT_EQ(error_of("CRYST1   30.000   32.000   34.000  90.00  95.00  90.00 P 21 21 21\n" +
                     zinc(general)),
            ": the unit cell 30 32 34 90 95 90 does not have the symmetry of P 21 21 21: correct "
            "one of them");
  EXPECT_THAT(error_of("CRYST1   30.000   31.000   34.000  90.00  90.00  90.00 P 41 21 2\n" +
                       zinc(general)),
              HasSubstr("does not have the symmetry of P 41 21 2"));
  EXPECT_THAT(factors_of("CRYST1   30.000   30.100   34.000  90.00  90.00  90.00 P 41 21 2\n" +
                         zinc(general))
                  .notes,
              ElementsAre("the unit cell 30 30.1 34 90 90 90 does not have the symmetry of P 41 21 "
                          "2, but nearly"));
  EXPECT_THAT(factors_of("CRYST1   30.001   30.000   34.000  90.00  90.00  90.01 P 41 21 2\n" +
                         zinc(general))
                  .notes,
              IsEmpty())
      << "rounding";
}

TEST_F(CrystalModels, NameOtherKindsOfFiles) {
  EXPECT_THAT(error_of("MTZ and more"), HasSubstr("is an MTZ file, which holds reflections"));
  EXPECT_THAT(error_of("data_x\nloop_\n_refln.index_h\n_refln.index_k\n_refln.index_l\n"
                       "_refln.F_meas_au\n1 2 3 4\n"),
              HasSubstr("holds no atoms (_atom_site), but reflections: -hkl reads them"));
}

// ---- mmCIF -----------------------------------------------------------------------------------

TEST_F(CrystalModels, InMmcifAreRefusedWhereSomethingIsMissingOrIsNone) {
  EXPECT_THAT(error_of(mmcif("HETATM 1 ? ZN . ZN A . 5 10 7 1 20 1 A", p212121)),
              HasSubstr(": atom ZN of ZN 1 has no known element"));
  EXPECT_THAT(error_of(mmcif("HETATM 1 ZN ZN . ZN A . nan 10 7 1 20 1 A", p212121)),
              HasSubstr(": atom ZN of ZN 1 has no sensible coordinates"));
  EXPECT_THAT(error_of(mmcif("HETATM 1 ZN ZN . ZN A . 5 10 7 1 ? 1 A", p212121)),
              HasSubstr(": atom \"1\" has \"?\" for B_iso_or_equiv, which is no number"));
  EXPECT_THAT(error_of(mmcif("HETATM 1 ZN ZN . ZN A . 5 10 7 x 20 1 A", p212121)),
              HasSubstr(": atom \"1\" has \"x\" for occupancy, which is no number"));
  EXPECT_THAT(error_of(mmcif(zinc_row, p212121, "label_alt_id")),
              HasSubstr(": _atom_site.label_alt_id is missing"));
  EXPECT_THAT(error_of(mmcif(zinc_row, "")), HasSubstr(": names no space group; it needs"));
  EXPECT_THAT(error_of(mmcif(zinc_row, "_symmetry.space_group_name_H-M 'Q 7'\n")),
              HasSubstr(": the space group \"Q 7\" is not known; it needs"));
}

TEST_F(CrystalModels, InMmcifHaveTheirGroupByEveryItemThatNamesIt) {
  const io::CalculatedFactors named = factors_of(mmcif(zinc_row, p212121));
  const std::string operators =
      "loop_\n_space_group_symop.id\n_space_group_symop.operation_xyz\n1 'x,y,z'\n"
      "2 '1/2-x,-y,1/2+z'\n3 '1/2+x,1/2-y,-z'\n4 '-x,1/2+y,1/2-z'\n";
  for (const std::string& symmetry :
       {operators, std::string("_space_group.name_H-M_alt 'P 21 21 21'\n"),
        std::string("_symmetry.space_group_name_Hall 'P 2ac 2ab'\n")}) {
    const io::CalculatedFactors factors = factors_of(mmcif(zinc_row, symmetry));
    EXPECT_EQ(factors.space_group, "P 21 21 21");
    EXPECT_THAT(factors.notes, IsEmpty());
    expect_equal(factors, named);
  }
  const io::CalculatedFactors numbered = factors_of(
      mmcif(zinc_row, "_symmetry.Int_Tables_number 19\n"));
  expect_equal(numbered, named);
  EXPECT_THAT(numbered.notes,
              ElementsAre("the file gives its space group as the number 19 only; it "
                          "is taken for P 21 21 21"));
  const io::CalculatedFactors differing = factors_of(
      mmcif(zinc_row,
            "_symmetry.space_group_name_H-M 'P 2 2 2'\n_symmetry.space_group_name_Hall 'P 2ac "
            "2ab'\n"));
  expect_equal(differing, named);
  EXPECT_THAT(differing.notes, ElementsAre(HasSubstr("which differ; the latter is used")));
  // Operators beat the name.
  const io::CalculatedFactors both = factors_of(
      mmcif(zinc_row, "_symmetry.space_group_name_H-M 'P 2 2 2'\n" + operators));
  expect_equal(both, named);
  EXPECT_THAT(both.notes, ElementsAre("the file calls its space group \"P 2 2 2\" and lists the "
                                      "operators of P 21 21 21; the operators are used"));
}

TEST_F(CrystalModels, SayThatANumberContradictsTheirGroup) {
  const auto notes_of = [&](const std::string& symmetry) {
    return factors_of(mmcif(zinc_row, symmetry)).notes;
  };
  EXPECT_THAT(
      notes_of(p212121 + "_symmetry.Int_Tables_number 18\n"),
      ElementsAre("the file numbers its space group \"18\", which is P 21 21 2, and names P "
                  "21 21 21, number 19; the latter is used"));
  EXPECT_THAT(
      notes_of(p212121 + "_symmetry.Int_Tables_number 190.5\n"),
      ElementsAre(HasSubstr("numbers its space group \"190.5\", which is none, and names")));
  EXPECT_THAT(notes_of("_symmetry.space_group_name_Hall 'P 2ac 2ab'\n_space_group.IT_number 1\n"),
              ElementsAre(HasSubstr("numbers its space group \"1\", which is P 1, and names")));
  EXPECT_THAT(notes_of(p212121 + "_symmetry.Int_Tables_number 19\n"), IsEmpty());
  EXPECT_THAT(notes_of(p212121 + "_symmetry.Int_Tables_number ?\n"), IsEmpty());
  // Another setting has the number of the standard one.
  EXPECT_THAT(notes_of("_symmetry.space_group_name_H-M 'P 2 21 21'\n_symmetry.Int_Tables_number "
                       "18\n"),
              IsEmpty());
}

TEST_F(CrystalModels, InOneOfSeveralBlocksAreFound) {
  const std::string atoms = mmcif(zinc_row, p212121);
  const io::CalculatedFactors alone = factors_of(atoms);
  expect_equal(factors_of("data_global\n_journal.year 2026\n" + atoms), alone);
  const io::CalculatedFactors first = factors_of(
      atoms + mmcif("HETATM 1 C C . LIG A . 5 10 7 1 20 1 A", p212121).replace(0, 6, "data_y"));
  expect_equal(first, alone);
  EXPECT_THAT(first.notes, ElementsAre("of several blocks with atoms the first is used, data_x"));
}

TEST_F(CrystalModels, InMmcifHaveTheirGroupInAnyBlock) {
  const io::CalculatedFactors factors = factors_of(mmcif(zinc_row, "") + "data_group\n" + p212121);
  EXPECT_EQ(factors.space_group, "P 21 21 21");
}

TEST_F(CrystalModels, InMmcifMayNumberTheirResiduesByLabelAlone) {
  const std::string rows = zinc_row + "\nHETATM 2 O O . HOH B . 9 12 17 1 25 2 B";
  const io::CalculatedFactors factors = factors_of(mmcif(rows, p212121, "auth_seq_id"));
  EXPECT_EQ(factors.atoms, 2);
  expect_equal(factors, factors_of(mmcif(rows, p212121)));
  EXPECT_THAT(error_of(mmcif("ATOM 1 ? CA . GLY A 7 5 10 7 1 20 1 A", p212121, "auth_seq_id")),
              HasSubstr("atom CA of GLY 7 has no known element"));
}

// ---- core CIF --------------------------------------------------------------------------------

const std::string small_cell =
    "data_small\n_cell_length_a 7.1(2)\n_cell_length_b 8.2\n_cell_length_c 9.3\n"
    "_cell_angle_alpha 90\n_cell_angle_beta 101.5(1)\n_cell_angle_gamma 90\n";
const std::string p21c_operators =
    "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,y+1/2,-z+1/2\n-x,-y,-z\nx,-y+1/2,z+1/2\n";
const std::string p21c_name = "_symmetry_space_group_name_H-M 'P 21/c'\n";
const std::string sites =
    "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
    "_atom_site_fract_z\n_atom_site_U_iso_or_equiv\n_atom_site_occupancy\n";
const std::string two_atoms =
    "C1 C 0.1234(5) 0.2345(4) 0.3456(3) 0.040(2) 1\nO1 O 0.2234(5) 0.1345(4) 0.4456(3) 0.050(2) "
    "1\n";

TEST_F(CrystalModels, OfSmallMoleculesAreReadFromCoreCifs) {
  const io::CalculatedFactors factors = factors_of(
      small_cell + p21c_name + p21c_operators + sites + two_atoms, 1);
  EXPECT_EQ(factors.space_group, "P 1 21/c 1");
  EXPECT_EQ(factors.atoms, 2);
  EXPECT_DOUBLE_EQ(factors.cell[4], 101.5);
  EXPECT_THAT(factors.notes, IsEmpty());
  EXPECT_NEAR(amplitudes_of(factors).at({0, 0, 0}), 4 * 14, 0.05);
  EXPECT_EQ(amplitudes_of(factors).at({0, 1, 0}), 0);
  for (const std::string& symmetry :
       {p21c_name, p21c_operators, std::string("_space_group_name_H-M_alt 'P 21/c'\n"),
        std::string("_space_group_name_Hall '-P 2ybc'\n")})
    expect_equal(factors_of(small_cell + symmetry + sites + two_atoms, 1), factors);
}

TEST_F(CrystalModels, OfSmallMoleculesMayHaveTheDotsOfTheNewDictionary) {
  std::string text = small_cell + p21c_name + sites + two_atoms;
  for (const char* category : {"_cell_", "_atom_site_"})
    for (std::size_t at = 0; (at = text.find(category, at)) != std::string::npos; ++at)
      text[at + std::string(category).size() - 1] = '.';
  expect_equal(factors_of(text, 1), factors_of(small_cell + p21c_name + sites + two_atoms, 1));
}

TEST_F(CrystalModels, OfSmallMoleculesCountAtomsOnSpecialPositionsOnce) {
  const std::string on_centre = "Zn1 Zn 0.5 0.5 0.5 0.03 1\n";
  const io::CalculatedFactors factors = factors_of(small_cell + p21c_name + sites + on_centre, 1);
  EXPECT_NEAR(amplitudes_of(factors).at({0, 0, 0}), 2 * 30, 0.1);
  EXPECT_THAT(factors.notes,
              ElementsAre("1 atom lies on a special position and counts once, by the "
                          "convention of core CIFs: Zn1, order 2"));
  const std::string with_order = sites + "_atom_site_site_symmetry_order\n";
  expect_equal(factors_of(small_cell + p21c_name + with_order + "Zn1 Zn 0.5 0.5 0.5 0.03 1 2\n", 1),
               factors);
  // Disordered about the centre: half an atom in each of two places, which the file tells from one
  // atom by the order.
  const io::CalculatedFactors disordered = factors_of(
      small_cell + p21c_name + with_order + "Zn1 Zn 0.51 0.5 0.5 0.03 0.5 1\n", 1);
  EXPECT_NEAR(amplitudes_of(disordered).at({0, 0, 0}), 2 * 30, 0.1);
  EXPECT_THAT(disordered.notes, Contains(HasSubstr("order 1, 2 by its coordinates")));
}

TEST_F(CrystalModels, OfSmallMoleculesTakeUFromBAndTensors) {
  const std::string b_sites =
      "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
      "_atom_site_fract_z\n_atom_site_B_iso_or_equiv\n";
  const double b_A2 = 8 * M_PI * M_PI * 0.04;
  const io::CalculatedFactors from_u = factors_of(
      small_cell + p21c_name + sites + "C1 C 0.1 0.2 0.3 0.04 1\n", 1);
  expect_equal(
      factors_of(
          small_cell + p21c_name + b_sites + "C1 C 0.1 0.2 0.3 " + std::to_string(b_A2) + "\n", 1),
      from_u);
  // In axes at right angles an isotropic tensor is U on the diagonal.
  std::string right = small_cell;
  right.replace(right.find("101.5(1)"), 8, "90");
  const std::string group = "_space_group_name_H-M_alt 'P 1 21 1'\n";
  const io::CalculatedFactors isotropic = factors_of(
      right + group + sites + "C1 C 0.1 0.2 0.3 0.04 1\n", 1);
  for (const bool as_b : {false, true}) {
    std::string tensor = "loop_\n_atom_site_aniso_label\n";
    for (const char* axes : {"11", "22", "33", "12", "13", "23"})
      tensor += std::string("_atom_site_aniso_") + (as_b ? "B_" : "U_") + axes + "\n";
    const std::string u = std::to_string(as_b ? b_A2 : 0.04);
    expect_equal(factors_of(right + group + sites + "C1 C 0.1 0.2 0.3 0.09 1\n" + tensor + "C1 " +
                                u + " " + u + " " + u + " 0 0 0\n",
                            1),
                 isotropic);
  }
}

TEST_F(CrystalModels, OfSmallMoleculesSayWhatIsUnusual) {
  const std::string start = small_cell + p21c_name + sites;
  EXPECT_THAT(factors_of(start + "C1 C 0.1 0.2 0.3 . 1\n").notes,
              ElementsAre("1 atom without a displacement parameter, counted as at rest",
                          "all temperature factors are 0"));
  EXPECT_THAT(factors_of(start + "Fe1 Fe3+ 0.1 0.2 0.3 0.04 1\n").notes,
              ElementsAre(HasSubstr("1 ion scatters like neutral atoms")));
  EXPECT_THAT(factors_of(small_cell + p21c_name + sites + "_atom_site_calc_flag\n" +
                         "C1 C 0.1 0.2 0.3 0.04 1 d\nX1 X ? 0 0 0 1 dum\n")
                  .notes,
              ElementsAre("1 atom of calc_flag dum is left out: X1"));
  const auto disordered = [&](const std::string& rows) {
    return factors_of(start + "_atom_site_disorder_assembly\n_atom_site_disorder_group\n" + rows)
        .notes;
  };
  EXPECT_THAT(disordered("C1A C 0.1 0.2 0.3 0.04 1 A 1\nC1B C 0.15 0.2 0.3 0.04 1 A 2\n"),
              ElementsAre("2 atoms belong to disorder groups whose occupancies add up to more than "
                          "1, and all of them count; the first: C1A, group 1"));
  EXPECT_THAT(disordered("C1A C 0.1 0.2 0.3 0.04 0.6 A 1\nC1B C 0.15 0.2 0.3 0.04 0.4 A 2\n"
                         "C2A C 0.3 0.2 0.3 0.04 0.9 B 1\nC2B C 0.35 0.2 0.3 0.04 0.1 B 2\n"
                         "C3 C 0.5 0.3 0.3 0.04 1 . .\nC4 C 0.6 0.3 0.3 0.04 1 . -1\n"),
              IsEmpty());
  // Without names two assemblies share their groups.
  EXPECT_THAT(disordered("C1A C 0.1 0.2 0.3 0.04 0.6 . 1\nC1B C 0.15 0.2 0.3 0.04 0.4 . 2\n"
                         "C2A C 0.3 0.2 0.3 0.04 0.1 . 1\nC2B C 0.35 0.2 0.3 0.04 0.9 . 2\n"),
              IsEmpty());
  EXPECT_THAT(error_of(start + "Q1 Cval 0.1 0.2 0.3 0.04 1\n"),
              HasSubstr(": atom Q1 has no known element"));
  EXPECT_THAT(error_of(start + "C1 C ? 0.2 0.3 0.04 1\n"),
              HasSubstr(": atom \"C1\" has no fract_x"));
  EXPECT_THAT(error_of(start + "C1 C 0.1 0.2 0.3 0.04 many\n"),
              HasSubstr(": atom \"C1\" has \"many\" for occupancy, which is no number"));
  EXPECT_THAT(error_of("data_x\n" + p21c_name + sites + two_atoms), HasSubstr(": no unit cell"));
}

TEST_F(CrystalModels, OfSmallMoleculesRefuseOperatorsThatAreNoGroup) {
  const auto with = [&](const std::string& operators) {
    return error_of(small_cell + "loop_\n_symmetry_equiv_pos_as_xyz\n" + operators + sites +
                    two_atoms);
  };
  EXPECT_THAT(with("x,y,z\n-x,y+1/2,-z+1/2\n-x,-y,-z\n"),
              AllOf(HasSubstr(": its 3 symmetry operators are no group: "),
                    HasSubstr(" is missing, the product of ")));
  EXPECT_THAT(with("x,y,z\nx,y,w\n"), HasSubstr(": the symmetry operator \"x,y,w\" is none"));
}

// P 21/c with its origin a tenth of the cell away from the centre.
TEST_F(CrystalModels, OfSettingsWithoutANameAreCalculatedWithAllAtomsInP1) {
  const std::string shifted =
      "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n1/12-x,y+1/2,1/2-z\n1/12-x,-y,-z\n"
      "x,1/2-y,z+1/2\n";
  const io::CalculatedFactors factors = factors_of(
      small_cell + shifted + sites + "C1 C 0.15 0.2345 0.3456 0.04 1\n", 1);
  EXPECT_EQ(factors.space_group, "P 1");
  EXPECT_EQ(factors.atoms, 4);
  EXPECT_THAT(factors.notes, ElementsAre(HasSubstr("those of no setting that has a name")));
  expect_equal(factors, factors_of(small_cell + p21c_operators + sites + "C1 C " +
                                       std::to_string(0.15 - 1.0 / 24) + " 0.2345 0.3456 0.04 1\n",
                                   1));
}

}  // namespace
}  // namespace nablabragg
