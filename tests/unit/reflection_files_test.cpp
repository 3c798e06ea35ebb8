// What is taken of files of reflections: which column, which rows, which symmetry; and the lists of
// other programs.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <gemmi/mtz.hpp>
#include <map>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/reflection_table.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::io {
namespace {

using test::message_of;
using test::TempDir;
using Amplitudes = std::map<MillerIndex, double>;

Amplitudes by_index(const ReflectionFile& file) {
  Amplitudes map;
  for (const Reflection& r : file.reflections) EXPECT_TRUE(map.emplace(r.hkl, r.amplitude).second);
  return map;
}

struct MtzOptions {
  const char* group = "P 21 21 21";
  double wavelength_A = 0;
  std::function<void(gemmi::Mtz&)> change{};
};

class ReflectionFiles : public testing::Test {
 protected:
  struct MtzColumn {
    const char* label;
    char type;
  };
  /// An MTZ file with these columns behind H, K, L; a row is an index and a value for each.
  std::string mtz(const std::vector<MtzColumn>& columns,
                  const std::vector<std::vector<float>>& rows,
                  const MtzOptions& options = {}) const {
    gemmi::Mtz file(/*with_base=*/true);
    file.spacegroup = gemmi::find_spacegroup_by_name(options.group);
    file.set_cell_for_all(gemmi::UnitCell(40, 50, 60, 90, 90, 90));
    file.add_dataset("made_up");
    file.datasets.back().wavelength = options.wavelength_A;
    for (const MtzColumn& column : columns)
      file.add_column(column.label, column.type, -1, -1, false);
    file.nreflections = static_cast<int>(rows.size());
    for (const auto& row : rows) file.data.insert(file.data.end(), row.begin(), row.end());
    if (options.change) options.change(file);
    file.write_to_file(dir / "a.mtz");
    return dir / "a.mtz";
  }

  std::string cif(const std::string& head, const std::string& items, const std::string& rows,
                  const std::string& category = "_refln.") const {
    std::string text = "data_x\n" + head + "loop_\n";
    for (const char* index : {"index_h", "index_k", "index_l"}) text += category + index + "\n";
    std::istringstream words(items);
    for (std::string word; words >> word;) text += category + word + "\n";
    return dir.file("a.cif", text + rows);
  }

  TempDir dir;
};

const std::string primitive = "_symmetry.space_group_name_H-M 'P 1'\n";

// ---- MTZ: which column -------------------------------------------------------------------------

TEST_F(ReflectionFiles, OfMtzGiveAnAmplitudeWithASigmaBeforeOneWithout) {
  const auto file = read_mtz(mtz({{"F2", 'F'}, {"FP", 'F'}, {"SIGFP", 'Q'}}, {{1, 2, 3, 7, 8, 1}}));
  EXPECT_EQ(file.taken, "column FP (type F, with SIGFP)");
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 8);
  EXPECT_EQ(file.space_group, "P 21 21 21");
  EXPECT_EQ(file.cell, (CellNumbers{40, 50, 60, 90, 90, 90}));
}

TEST_F(ReflectionFiles, OfMtzGiveAnAmplitudeWithoutAPhaseBeforeACalculatedOne) {
  const auto file = read_mtz(mtz({{"FC", 'F'}, {"PHIC", 'P'}, {"F2", 'F'}}, {{1, 2, 3, 7, 90, 8}}));
  EXPECT_EQ(file.taken, "column F2 (type F)");
}

TEST_F(ReflectionFiles, OfMtzGiveACalculatedAmplitudeWithItsPhase) {
  for (const char* label : {"FC", "F-model", "FC_ALL"}) {
    const auto file = read_mtz(
        mtz({{"FWT", 'F'}, {"PHWT", 'P'}, {label, 'F'}, {"PHI", 'P'}}, {{1, 2, 3, 7, 90, 8, 10}}));
    EXPECT_EQ(file.taken, std::string("column ") + label + " (type F, with PHI)");
    EXPECT_EQ(by_index(file).at({-1, -2, -3}), 8);
  }
}

TEST_F(ReflectionFiles, OfMtzNeverGiveMapCoefficients) {
  for (const char* label : {"FWT", "DELFWT", "2FOFCWT", "FOFCWT", "2FOFCWT_no_fill", "mFo-DFc"}) {
    const std::string path = mtz({{label, 'F'}, {"PHI", 'P'}}, {{1, 2, 3, 7, 90}});
    EXPECT_EQ(message_of<InputError>([&] { read_mtz(path, label); }),
              path + ": column " + label +
                  " holds the coefficients of a map, no amplitudes of the crystal; none of its "
                  "columns can be taken (it has: H of type H, K of type H, L of type H, " +
                  label + " of type F, PHI of type P)");
    EXPECT_THROW(read_mtz(path), InputError);
  }
  // A wild type was measured.
  EXPECT_EQ(read_mtz(mtz({{"F_WT", 'F'}, {"SIGF_WT", 'Q'}}, {{1, 2, 3, 7, 1}})).taken,
            "column F_WT (type F, with SIGF_WT)");
}

TEST_F(ReflectionFiles, OfMtzAskForTheNameOfAnAmplitudeThatOnlyMayBeTheCrystals) {
  const std::string path = mtz({{"FDM", 'F'}, {"PHIDM", 'P'}}, {{1, 2, 3, 7, 90}});
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": no column that is surely an amplitude of the crystal; name it, one of: FDM of "
                "type F");
  EXPECT_EQ(by_index(read_mtz(path, "FDM")).at({1, 2, 3}), 7);
}

TEST_F(ReflectionFiles, OfMtzKeepFPlusAndFMinusApart) {
  const std::vector<MtzColumn> columns{
      {"F(+)", 'G'}, {"SIGF(+)", 'L'}, {"F(-)", 'G'}, {"SIGF(-)", 'L'}};
  const std::string path = mtz(columns, {{1, 2, 3, 10, 1, 12, 1},
                                         {2, 1, 3, 20, 1, NAN, NAN},
                                         {3, 1, 2, NAN, NAN, 30, 1},
                                         {4, 1, 2, NAN, NAN, NAN, NAN}});
  for (const char* label : {"", "F(+)", "F(-)"}) {
    const auto file = read_mtz(path, label);
    EXPECT_EQ(file.taken, "columns F(+) and F(-) (type G)");
    EXPECT_TRUE(file.anomalous);
    EXPECT_EQ(file.missing, 1);
    const Amplitudes f = by_index(file);
    // The operators of P 21 21 21 turn two signs at once and keep the hand.
    for (const MillerIndex plus : {MillerIndex{1, 2, 3}, {-1, -2, 3}, {-1, 2, -3}, {1, -2, -3}}) {
      EXPECT_EQ(f.at(plus), 10);
      EXPECT_EQ(f.at({-plus[0], -plus[1], -plus[2]}), 12);
    }
    // Where one hand alone was measured it stands for both.
    EXPECT_EQ(f.at({2, 1, 3}), 20);
    EXPECT_EQ(f.at({-2, -1, -3}), 20);
    EXPECT_EQ(f.at({3, 1, 2}), 30);
    EXPECT_EQ(f.at({-3, -1, -2}), 30);
    EXPECT_EQ(f.count({4, 1, 2}), 0u);
  }
}

TEST_F(ReflectionFiles, OfMtzGiveAMeanAmplitudeBeforeItsHalves) {
  const auto file = read_mtz(
      mtz({{"F(+)", 'G'}, {"F(-)", 'G'}, {"F", 'F'}, {"SIGF", 'Q'}}, {{1, 2, 3, 10, 12, 11, 1}}));
  EXPECT_EQ(file.taken, "column F (type F, with SIGF)");
  EXPECT_FALSE(file.anomalous);
}

TEST_F(ReflectionFiles, OfMtzGiveTheRootsOfIntensitiesAndCountNegativeOnes) {
  const std::string path = mtz({{"IMEAN", 'J'}, {"SIGIMEAN", 'Q'}},
                               {{1, 2, 3, 144, 1}, {2, 1, 3, -9, 4}, {3, 1, 2, 0, 1}});
  const auto file = read_mtz(path);
  EXPECT_EQ(file.taken, "roots of the intensities in column IMEAN (type J, with SIGIMEAN)");
  EXPECT_EQ(file.negative, 1);
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 12);
  EXPECT_EQ(by_index(file).at({3, 1, 2}), 0);
  EXPECT_EQ(by_index(file).count({2, 1, 3}), 0u);
  EXPECT_EQ(
      notices_of(file),
      (std::vector<std::string>{path + ": 1 negative intensity has no root and is left out"}));
}

TEST_F(ReflectionFiles, OfMtzKeepIPlusAndIMinusApart) {
  const auto file = read_mtz(mtz({{"I(+)", 'K'}, {"SIGI(+)", 'M'}, {"I(-)", 'K'}, {"SIGI(-)", 'M'}},
                                 {{1, 2, 3, 100, 1, 144, 1}}));
  EXPECT_EQ(file.taken, "roots of the intensities in columns I(+) and I(-) (type K)");
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 10);
  EXPECT_EQ(by_index(file).at({-1, -2, -3}), 12);
}

TEST_F(ReflectionFiles, OfMtzWithUnmergedObservationsAreRefused) {
  const std::string path = mtz({{"I", 'J'}, {"SIGI", 'Q'}}, {{1, 2, 3, 100, 1}},
                               {.change = [](gemmi::Mtz& m) {
                                 m.batches.emplace_back();
                                 m.batches.back().number = 1;
                               }});
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": holds unmerged observations, in 1 batches; merge them first, with aimless or "
                "dials.merge");
}

TEST_F(ReflectionFiles, OfMtzThatNumberBatchesAndDescribeNoneAreUnmerged) {
  const std::string path = mtz({{"BATCH", 'B'}, {"I", 'J'}, {"SIGI", 'Q'}},
                               {{1, 2, 3, 1, 100, 1}, {1, 2, 3, 2, 144, 1}});
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": holds unmerged observations (a column of type B numbers their batches); merge "
                "them first, with aimless or dials.merge");
}

TEST_F(ReflectionFiles, OfMtzKeepHandsApartThatHaveTheTypeOfMeans) {
  const std::vector<MtzColumn> halves{
      {"FPlus", 'F'}, {"SIGFPlus", 'Q'}, {"FMinus", 'F'}, {"SIGFMinus", 'Q'}};
  for (const char* column : {"", "FPlus", "FMinus"}) {
    const auto file = read_mtz(mtz(halves, {{1, 2, 3, 10, 1, 12, 1}}), column);
    EXPECT_EQ(file.taken, "columns FPlus and FMinus (type F)");
    EXPECT_TRUE(file.anomalous);
    EXPECT_EQ(by_index(file).at({1, 2, 3}), 10);
    EXPECT_EQ(by_index(file).at({-1, -2, -3}), 12);
  }
  auto with_mean = halves;
  with_mean.push_back({"F", 'F'});
  EXPECT_EQ(read_mtz(mtz(with_mean, {{1, 2, 3, 10, 1, 12, 1, 11}})).taken, "column F (type F)");
  EXPECT_EQ(read_mtz(mtz({{"I(-)", 'J'}, {"I(+)", 'J'}}, {{1, 2, 3, 100, 144}})).taken,
            "roots of the intensities in columns I(+) and I(-) (type J)");
}

TEST_F(ReflectionFiles, OfMtzNeverGiveASigmaWhateverItsType) {
  const std::string path = mtz({{"SIGF", 'F'}, {"F", 'F'}, {"sigI", 'J'}}, {{1, 2, 3, 1, 10, 2}});
  EXPECT_EQ(by_index(read_mtz(path)).at({1, 2, 3}), 10);
  for (const char* sigma : {"SIGF", "sigI"})
    EXPECT_NE(message_of<InputError>([&] {
                read_mtz(path, sigma);
              }).find("neither amplitudes nor intensities; these can be taken: F of type F"),
              std::string::npos);
}

TEST_F(ReflectionFiles, OfMtzSayTheWavelengthOfTheColumnsDataSet) {
  EXPECT_EQ(read_mtz(mtz({{"FP", 'F'}}, {{1, 2, 3, 7}}, {.wavelength_A = 0.9795})).wavelength_A,
            0.9795);
  EXPECT_EQ(read_mtz(mtz({{"FP", 'F'}}, {{1, 2, 3, 7}})).wavelength_A, 0);
}

// ---- MTZ: symmetry -----------------------------------------------------------------------------

TEST_F(ReflectionFiles, OfMtzFollowTheirSymmRecordsBeforeTheirName) {
  const std::string path = NABLA_SOURCE_DIR "/tests/data/reflections/p2111_as_P21.mtz";
  const auto file = read_mtz(path);
  EXPECT_EQ(file.space_group, "P 21 1 1");
  EXPECT_EQ(file.remarks, (std::vector<std::string>{
                              "its SYMM records are those of space group P 21 1 1, not of 'P 21', "
                              "as which it is named; the records count"}));
  // X+1/2,-Y,-Z
  const Amplitudes f = by_index(file);
  for (const auto& [hkl, amplitude] : f) EXPECT_EQ(f.at({hkl[0], -hkl[1], -hkl[2]}), amplitude);
}

/// The header record that begins so, as `with`; both have 80 columns.
void replace_record(const std::string& path, const std::string& begin, std::string with) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  with.resize(80, ' ');
  for (std::size_t at = bytes.find(begin); at != std::string::npos; at = bytes.find(begin, at + 1))
    bytes.replace(at, 80, with);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST_F(ReflectionFiles, OfMtzWithoutSymmRecordsGoByNameThenByNumber) {
  const std::string path = mtz({{"FP", 'F'}}, {{1, 2, 3, 7}});
  replace_record(path, "SYMM ", "REMARK");
  EXPECT_EQ(read_mtz(path).space_group, "P 21 21 21");
  replace_record(path, "SYMINF ", "SYMINF   0  0 P    18 'nonsense'                PG222");
  EXPECT_EQ(read_mtz(path).space_group, "P 21 21 2");
  replace_record(path, "SYMINF ", "SYMINF   0  0 P   999 'nonsense'                PG222");
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": has no SYMM records, and 'nonsense' is no known space group; it needs SYMM "
                "records, a Hermann-Mauguin symbol like P 21 21 21 or a space-group number");
}

TEST_F(ReflectionFiles, OfMtzWhoseSymmRecordsAreNoGroupAreRefused) {
  const std::string path = mtz({{"FP", 'F'}}, {{1, 2, 3, 7}});
  replace_record(path, "SYMM -X,", "SYMM Y,X,Z");
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": its 4 symmetry operators are no group: -y+1/2,-x,z+1/2 is missing, the product "
                "of -x+1/2,-y,z+1/2 and y,x,z");
}

TEST_F(ReflectionFiles, OfMtzWithFractionalIndicesAreRefused) {
  const std::string path = mtz({{"FP", 'F'}}, {{1.5, 2, 3, 7}});
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path + ": reflection 1 has no sensible Miller index");
}

TEST_F(ReflectionFiles, OfMtzNeverGiveMapCoefficientsWhateverStandsBehindThem) {
  for (const char* label : {"FWT", "2FOFCWT", "DELFWT"})
    EXPECT_THROW(read_mtz(mtz({{label, 'F'}, {"SIG", 'Q'}}, {{1, 2, 3, 7, 1}})), InputError)
        << label;
  EXPECT_EQ(read_mtz(mtz({{"F_WT", 'F'}, {"SIGF_WT", 'Q'}}, {{1, 2, 3, 7, 1}})).reflections.size(),
            8u);
}

TEST_F(ReflectionFiles, OfMtzShowNoBytesThatATerminalWouldActOn) {
  const std::string path = mtz({{"FP", 'F'}}, {{1, 2, 3, 7}});
  replace_record(path, "COLUMN FP", "COLUMN F\x1b[1m\xff       F 0 1 1");
  EXPECT_EQ(read_mtz(path).taken, "column F\\x1b[1m\\xff (type F)");
  replace_record(path, "SYMM -X,", "SYMM X,Y,\xff");
  const std::string message = message_of<InputError>([&] { read_mtz(path); });
  EXPECT_EQ(message.find('\xff'), std::string::npos) << message;
}

TEST_F(ReflectionFiles, OfMtzWithForgedCountsAreRefusedBeforeMemoryIsTaken) {
  const std::string path = mtz({{"FP", 'F'}}, {{1, 2, 3, 7}});
  replace_record(path, "SYMINF ", "SYMINF 2000000000  4 P    19 'P 21 21 21'");
  EXPECT_EQ(message_of<InputError>([&] { read_mtz(path); }),
            path +
                ": damaged: its header promises 2000000000 symmetry operations, more than the file "
                "can hold");
}

// ---- SF-mmCIF ----------------------------------------------------------------------------------

TEST_F(ReflectionFiles, OfMmcifGiveOnlyWhatIsAnAmplitudeOrAnIntensity) {
  const std::string path = cif(
      primitive, "intensity_meas intensity_sigma pdbx_r_free_flag phase_calc fom status",
      "0 0 4 1234.5 10.2 3 12 0.9 o\n0 1 1 -144 8 0 270 0.9 o\n"
      "1 2 3 900 5 1 200 0.9 f\n");
  for (const char* item : {"", "intensity_meas", "INTENSITY_MEAS"}) {
    const auto file = read_sf_mmcif(path, item);
    EXPECT_EQ(file.taken, "roots of the intensities in item intensity_meas");
    EXPECT_EQ(by_index(file).at({1, 2, 3}), 30);
    EXPECT_EQ(file.negative, 1);
    EXPECT_EQ(file.reflections.size(), 4u);
  }
  for (const std::string item :
       {"intensity_sigma", "pdbx_r_free_flag", "phase_calc", "fom", "status", "index_h", "nothing"})
    EXPECT_EQ(message_of<InputError>([&] { read_sf_mmcif(path, item); }),
              path + ": the item _refln." + item +
                  " is neither an amplitude nor an intensity; these can be taken: intensity_meas");
  EXPECT_EQ(message_of<InputError>([&] { read_sf_mmcif(path, "F_meas_au"); }),
            path + ": no item _refln.F_meas_au with values; these can be taken: intensity_meas");
}

TEST_F(ReflectionFiles, OfMmcifLeaveOutWhatTheDictionaryCallsUnreliableOrAbsent) {
  const auto file = read_sf_mmcif(
      cif(primitive, "status F_meas_au",
          "0 0 4 o 35\n0 1 1 x 9999\n1 2 3 < 30\n1 1 1 f 4\n1 1 2 - 5\n1 1 3 h 6\n1 1 4 l 7\n"
          "1 1 5 ? 8\n1 1 6 o ?\n1 1 7 x .\n"));
  const Amplitudes f = by_index(file);
  EXPECT_EQ(f.count({0, 1, 1}) + f.count({1, 1, 2}), 0u);
  for (const MillerIndex kept :
       {MillerIndex{0, 0, 4}, {1, 2, 3}, {1, 1, 1}, {1, 1, 3}, {1, 1, 4}, {1, 1, 5}})
    EXPECT_EQ(f.count(kept), 1u);
  EXPECT_EQ(file.rejected, 2);
  EXPECT_EQ(file.missing, 2);
}

TEST_F(ReflectionFiles, OfMmcifGiveTheLastOfRepeatedRows) {
  const std::string path = cif("_symmetry.space_group_name_H-M 'P 21 21 21'\n", "F_meas_au",
                               "1 2 3 30\n1 2 3 34\n-1 -2 3 90\n");
  const auto file = read_sf_mmcif(path);
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 90);
  EXPECT_EQ(
      notices_of(file),
      (std::vector<std::string>{path + ": 1 reflection stands in several rows that disagree, the "
                                       "first at -1 -2 3; the last row counts"}));
}

TEST_F(ReflectionFiles, OfMmcifKeepTheHandsApart) {
  for (const std::string item : {"", "pdbx_F_plus", "pdbx_F_minus"}) {
    const auto file = read_sf_mmcif(
        cif("_symmetry.space_group_name_H-M 'P 21 21 21'\n",
            "pdbx_F_plus pdbx_F_plus_sigma pdbx_F_minus pdbx_F_minus_sigma",
            "1 1 1 101 1 99 1\n1 2 3 102 1 ? ?\n2 1 3 ? ? 103 1\n"),
        item);
    EXPECT_EQ(file.taken, "items pdbx_F_plus and pdbx_F_minus");
    const Amplitudes f = by_index(file);
    EXPECT_EQ(f.at({1, -1, -1}), 101);
    EXPECT_EQ(f.at({-1, 1, 1}), 99);
    EXPECT_EQ(f.at({-1, -2, -3}), 102);
    EXPECT_EQ(f.at({2, 1, 3}), 103);
  }
}

TEST_F(ReflectionFiles, OfMmcifHoldFiniteNumbersAlone) {
  for (const std::string value : {"1e999", "nan", "inf", "12x", "'a b'"}) {
    const std::string path = cif(primitive, "F_meas_au", "0 0 1 10\n0 1 0 " + value + "\n");
    EXPECT_EQ(message_of<InputError>([&] { read_sf_mmcif(path); }),
              path + ": reflection 2: F_meas_au is no finite number: " + value);
  }
  EXPECT_EQ(by_index(read_sf_mmcif(cif(primitive, "F_meas_au", "0 0 1 '10.5(3)'\n"))).at({0, 0, 1}),
            10.5);
  for (const std::string index : {"?", "1.5", "1e9", "x"})
    EXPECT_THROW(read_sf_mmcif(cif(primitive, "F_meas_au", "0 0 " + index + " 10\n")), InputError);
}

TEST_F(ReflectionFiles, OfMmcifAreThoseOfOneWavelength) {
  const std::string wavelengths =
      "loop_\n_diffrn_radiation_wavelength.id\n_diffrn_radiation_wavelength.wavelength\n"
      "peak 0.9795\nremote 0.95\n";
  const auto file = read_sf_mmcif(cif(primitive + wavelengths, "wavelength_id F_meas_au",
                                      "1 2 3 remote ?\n1 2 3 peak 10\n1 2 3 remote 20\n"
                                      "1 2 4 remote 30\n1 2 5 peak 40\n"));
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 10);
  EXPECT_EQ(by_index(file).count({1, 2, 4}), 0u);
  EXPECT_EQ(by_index(file).at({1, 2, 5}), 40);
  EXPECT_EQ(file.wavelength_A, 0.9795);
  EXPECT_EQ(notices_of(file),
            (std::vector<std::string>{
                file.path +
                ": 3 rows are of other wavelengths and left out; those with the wavelength_id "
                "\"peak\", the first, are taken"}));
}

TEST_F(ReflectionFiles, OfMmcifAreThoseOfOneCrystal) {
  const auto file = read_sf_mmcif(
      cif(primitive, "crystal_id F_meas_au", "1 2 3 1 10\n1 2 3 2 20\n1 2 4 2 30\n1 2 5 1 40\n"));
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 10);
  EXPECT_EQ(by_index(file).count({1, 2, 4}), 0u);
  EXPECT_EQ(by_index(file).at({1, 2, 5}), 40);
  EXPECT_EQ(notices_of(file),
            (std::vector<std::string>{
                file.path +
                ": 2 rows are of other crystals and left out; those with the crystal_id \"1\", "
                "the first, are taken"}));
}

TEST_F(ReflectionFiles, WhoseCellHasNotTheirSymmetryAreDoubted) {
  const auto with_cell = [&](const char* group, const char* a, const char* b, const char* gamma) {
    return read_sf_mmcif(cif(std::string("_cell.length_a ") + a + "\n_cell.length_b " + b +
                                 "\n_cell.length_c 60\n_cell.angle_alpha 90\n"
                                 "_cell.angle_beta 90\n_cell.angle_gamma " +
                                 gamma + "\n_symmetry.space_group_name_H-M '" + group + "'\n",
                             "F_meas_au", "1 2 3 10\n"));
  };
  const auto doubts_of = [&](auto... arguments) { return with_cell(arguments...).doubts; };
  const std::vector<std::string> none;
  EXPECT_EQ(doubts_of("P 43 21 2", "40", "50", "90"),
            std::vector<std::string>{"its cell 40 50 60 90 90 90 does not have the symmetry that "
                                     "expands its reflections (P 43 21 2); correct one of them"});
  EXPECT_EQ(doubts_of("P 61", "40", "40", "90").size(), 1u);
  EXPECT_EQ(doubts_of("P 21 21 21", "40", "50", "95").size(), 1u);
  EXPECT_EQ(doubts_of("P 43 21 2", "40", "40", "90"), none);
  EXPECT_EQ(doubts_of("P 61", "40", "40", "120"), none);
  EXPECT_EQ(doubts_of("P 1 1 21", "40", "50", "95"), none);
  EXPECT_EQ(doubts_of("P 1", "40", "50", "95"), none);
  const auto nearly = with_cell("P 43 21 2", "40", "40.2", "90");
  EXPECT_EQ(nearly.doubts, none);
  EXPECT_EQ(nearly.remarks,
            std::vector<std::string>{"its cell 40 40.2 60 90 90 90 does not have the symmetry that "
                                     "expands its reflections (P 43 21 2), but nearly"});
}

TEST_F(ReflectionFiles, OfTextWhoseHeadingNamesIntensitiesAreDoubted) {
  for (const char* heading :
       {"# h k l I sigI", "#H,K,L,Iobs", "# h k l F^2", "# h k l intensity"}) {
    const std::string path = dir.file("a.hkl", heading + std::string("\n1 2 3 100 1\n"));
    EXPECT_EQ(read_reflections(path).doubts,
              std::vector<std::string>{"line 1, \"" + std::string(heading) +
                                       "\", names a column of intensities where F is expected; "
                                       "-hkl_column I takes the roots, F the values"});
    EXPECT_TRUE(read_reflections(path, "F").doubts.empty());
    EXPECT_EQ(by_index(read_reflections(path, "I")).at({1, 2, 3}), 10);
  }
  for (const char* heading : {"# h k l F sigF", "# h k l", "# h k l phase I", "# I h k l"})
    EXPECT_TRUE(read_reflections(dir.file("a.hkl", heading + std::string("\n1 2 3 100 1\n")))
                    .doubts.empty())
        << heading;
}

TEST_F(ReflectionFiles, OfModulatedCrystalsAreThoseOfTheMainLattice) {
  const auto file = read_sf_mmcif(
      cif("_symmetry_space_group_name_H-M 'P 1'\n", "index_m_1 F_squared_meas",
          "1 2 3 0 100\n1 2 3 1 4\n1 2 3 -1 9\n2 2 3 1 49\n", "_refln_"));
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 10);
  EXPECT_EQ(by_index(file).count({2, 2, 3}), 0u);
  EXPECT_EQ(
      notices_of(file),
      (std::vector<std::string>{
          file.path +
          ": 3 rows are of satellites of a modulated crystal (index_m is not 0), which is not "
          "simulated, and left out"}));
}

TEST_F(ReflectionFiles, OfMmcifWithoutAValueAreRefusedByTheItemsThatHaveNone) {
  const std::string path = cif(primitive, "F_meas_au intensity_meas", "1 2 3 ? -4\n");
  EXPECT_EQ(message_of<InputError>([&] { read_sf_mmcif(path); }),
            path + ": no value that could be taken stands in F_meas_au, intensity_meas");
}

TEST_F(ReflectionFiles, OfMmcifNameTheirGroupByManyItems) {
  for (const std::string item :
       {"_symmetry.space_group_name_H-M 'P 21 21 21'", "_space_group.name_H-M_alt 'P 21 21 21'",
        "_space_group.name_H-M_full 'P 21 21 21'", "_SYMMETRY.Space_Group_Name_H-M p212121",
        "_symmetry.pdbx_full_space_group_name_H-M 'P 21 21 21'", "_space_group.IT_number 19",
        "_symmetry.Int_Tables_number 19", "_symmetry.space_group_name_Hall 'P 2ac 2ab'",
        "_space_group.name_Hall 'P 2ac 2ab'", "_space_group_name_H-M_alt 'P 21 21 21'",
        "loop_ _symmetry_equiv.id _symmetry_equiv.pos_as_xyz 1 x,y,z 2 1/2-x,-y,1/2+z 3 "
        "-x,1/2+y,1/2-z 4 1/2+x,1/2-y,-z",
        "loop_ _space_group_symop.operation_xyz x,y,z 1/2-x,-y,1/2+z -x,1/2+y,1/2-z "
        "1/2+x,1/2-y,-z"}) {
    const auto file = read_sf_mmcif(cif(item + "\n", "F_meas_au", "1 2 3 10\n"));
    EXPECT_EQ(file.space_group, "P 21 21 21") << item;
    EXPECT_EQ(file.reflections.size(), 8u) << item;
  }
}

TEST_F(ReflectionFiles, OfMmcifFollowOperationsBeforeNames) {
  const auto file = read_sf_mmcif(
      cif("_symmetry.space_group_name_H-M 'P 1 21 1'\nloop_\n_symmetry_equiv.pos_as_xyz\nx,y,z\n"
          "x+1/2,-y,-z\n",
          "F_meas_au", "1 2 3 10\n"));
  EXPECT_EQ(file.space_group, "P 21 1 1");
  EXPECT_EQ(by_index(file).count({1, -2, -3}), 1u);
  EXPECT_EQ(file.remarks.size(), 1u);
}

TEST_F(ReflectionFiles, OfMmcifSayThatANumberContradictsTheirGroup) {
  const auto remarks = [&](const std::string& number) {
    return read_sf_mmcif(cif("_symmetry.space_group_name_H-M 'P 1 21 1'\n"
                             "_symmetry.Int_Tables_number " +
                                 number + "\n",
                             "F_meas_au", "1 2 3 10\n"))
        .remarks;
  };
  EXPECT_EQ(remarks("19"), std::vector<std::string>{
                               "the file numbers its space group \"19\", which is P 21 21 21, and "
                               "names P 1 21 1, number 4; the latter is used"});
  for (const char* number : {"4", "?", "."}) EXPECT_TRUE(remarks(number).empty()) << number;
}

TEST_F(ReflectionFiles, OfMmcifSayWhatWouldNameTheGroup) {
  const std::string unknown = cif("_symmetry.space_group_name_H-M 'P 7 7 7'\n", "F_meas_au",
                                  "1 2 3 10\n");
  EXPECT_EQ(message_of<InputError>([&] { read_sf_mmcif(unknown); }),
            unknown +
                ": the space group \"P 7 7 7\" is not known; it needs symmetry operators "
                "(_space_group_symop.operation_xyz, _symmetry_equiv.pos_as_xyz), a Hall symbol, a "
                "Hermann-Mauguin symbol like 'P 21 21 21' (_space_group.name_H-M_alt, "
                "_symmetry.space_group_name_H-M) or a number alone (_space_group.IT_number, "
                "_symmetry.Int_Tables_number)");
}

TEST_F(ReflectionFiles, OfMmcifMayBeginWithAByteOrderMark) {
  std::ifstream in(cif(primitive, "F_meas_au", "1 2 3 10\n"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(read_reflections(dir.file("bom.cif", "\xEF\xBB\xBF" + text)).reflections.size(), 2u);
}

TEST_F(ReflectionFiles, OfSmallMoleculesAreReadFromFcf) {
  const auto file = read_reflections(
      cif("_cell_length_a 5\n_cell_length_b 6\n_cell_length_c 7\n_cell_angle_alpha 90\n"
          "_cell_angle_beta 95(1)\n_cell_angle_gamma 90\n_diffrn_radiation_wavelength 0.71073\n"
          "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-x,-y,-z\n",
          "F_squared_calc F_squared_meas F_squared_sigma observed_status",
          "1 0 2 99 100 1 o\n1 1 2 99 -4 1 <\n", "_refln_"));
  EXPECT_EQ(file.taken, "roots of the intensities in item F_squared_meas");
  EXPECT_EQ(by_index(file).at({-1, 0, -2}), 10);
  EXPECT_EQ(file.cell, (CellNumbers{5, 6, 7, 90, 95, 90}));
  EXPECT_EQ(file.wavelength_A, 0.71073);
}

TEST_F(ReflectionFiles, OfModelsAreRefusedAsModels) {
  const std::string pdb = dir.file("m.pdb",
                                   "CRYST1   40.000   50.000   60.000  90.00  90.00  90.00\n");
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(pdb); }),
            pdb +
                ": is an atomic model, which holds no reflections; nablabragg fcalc calculates "
                "them: nablabragg fcalc " +
                pdb + " -dmin 2 -o F.hkl (or -model_dmin 2 behind -hkl, at the light's energy)");
  const std::string mmcif = dir.file("m.cif",
                                     "data_m\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2\n");
  EXPECT_NE(message_of<InputError>([&] { read_reflections(mmcif); }).find("is an atomic model"),
            std::string::npos);
}

// ---- Texts -------------------------------------------------------------------------------------

TEST_F(ReflectionFiles, OfTextMayTellTheirCellInAComment) {
  const auto file = read_reflections(dir.file(
      "F.hkl", "# structure factors\n# cell 40 50 60 90 91.5 90  space group P 1\n1 2 3 4\n"));
  EXPECT_EQ(file.cell, (CellNumbers{40, 50, 60, 90, 91.5, 90}));
  EXPECT_EQ(read_reflections(dir.file("G.hkl", "1 2 3 4\n# cell 40 50 60 90 90 90")).cell,
            (CellNumbers{40, 50, 60, 90, 90, 90}));
  for (const std::string comment :
       {"# cell 40 50", "# a cell 40 50 60 90 90 90", "# cell 40 50 60 90 90 x"})
    EXPECT_EQ(read_reflections(dir.file("H.hkl", comment + "\n1 2 3 4\n")).cell, std::nullopt);
}

const std::string shelx_line = "   1   2   3 2500.00   85.05   1\n",
                  shelx_end = "   0   0   0    0.00    0.00   0\n";

const std::string xds_header =
    "!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=TRUE\n!SPACE_GROUP_NUMBER=   19\n"
    "!UNIT_CELL_CONSTANTS=    40.0    50.0    60.0  90.000  90.000  90.000\n"
    "!X-RAY_WAVELENGTH=  0.979500\n!ITEM_H=1\n!ITEM_K=2\n!ITEM_L=3\n!ITEM_IOBS=4\n"
    "!ITEM_SIGMA(IOBS)=5\n!END_OF_HEADER\n";

TEST_F(ReflectionFiles, OfXdsAreIntensitiesWhoseMeansAreTaken) {
  // Weights 1 and 1/4: (100 + 150/4) / (5/4) = 110; the row with a negative sigma is a misfit.
  const auto file = read_reflections(dir.file(
      "a", xds_header + "1 2 3 1.0E+02 1.0 7 8\n-1 -2 3 1.5E+02 2.0 7 8\n1 2 3 9E9 -1.0 7 8\n"
                        "2 1 3 -5 1 7 8\n!END_OF_DATA\n"));
  EXPECT_EQ(file.format, "XDS_ASCII");
  EXPECT_EQ(file.space_group, "P 21 21 21");
  EXPECT_EQ(file.cell, (CellNumbers{40, 50, 60, 90, 90, 90}));
  EXPECT_EQ(file.wavelength_A, 0.9795);
  EXPECT_EQ(file.reflections.size(), 8u);
  EXPECT_DOUBLE_EQ(by_index(file).at({-1, -2, -3}), std::sqrt(110));
  EXPECT_EQ(file.rejected, 1);
  EXPECT_EQ(file.negative, 1);
}

TEST_F(ReflectionFiles, OfXdsKeepFriedelMatesApartWhereTheLawIsFalse) {
  std::string header = xds_header;
  header.replace(header.find("TRUE"), 4, "FALSE");
  const auto file = read_reflections(
      dir.file("a", header + "1 2 3 100 1\n-1 -2 -3 400 1\n!END_OF_DATA\n"));
  EXPECT_TRUE(file.anomalous);
  EXPECT_EQ(by_index(file).at({1, -2, -3}), 10);
  EXPECT_EQ(by_index(file).at({-1, 2, 3}), 20);
}

TEST_F(ReflectionFiles, OfXdsFromSeveralWavelengthsSaySo) {
  const std::string inputs =
      "! ISET=   1 INPUT_FILE=a/XDS_ASCII.HKL\n! ISET=   1      X-RAY_WAVELENGTH= 0.97950\n"
      "! ISET=   2 INPUT_FILE=b/XDS_ASCII.HKL\n! ISET=   2      X-RAY_WAVELENGTH= ";
  const auto read = [&](const std::string& second) {
    std::string text = xds_header;
    text.insert(text.find("!ITEM_H"), inputs + second + "\n");
    return read_reflections(dir.file("a", text + "1 2 3 100 1\n!END_OF_DATA\n"));
  };
  EXPECT_TRUE(notices_of(read("0.97950")).empty());
  const auto file = read("0.95370");
  EXPECT_EQ(file.wavelength_A, 0.9795);
  EXPECT_EQ(
      notices_of(file),
      (std::vector<std::string>{
          file.path +
          ": holds data of several wavelengths, whose means are taken; the first is taken for "
          "that of all"}));
}

TEST_F(ReflectionFiles, OfXdsWhoseMeansAreNotFiniteAreRefused) {
  const std::string xds = dir.file("a", xds_header + "1 2 3 100 1e-200\n!END_OF_DATA\n");
  EXPECT_NE(message_of<InputError>([&] { read_reflections(xds); }).find("no finite mean"),
            std::string::npos);
}

TEST_F(ReflectionFiles, OfNegativeIntensitiesAloneAreRefused) {
  const std::string xds = dir.file("a", xds_header + "1 2 3 -5 1\n!END_OF_DATA\n");
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(xds); }),
            xds + ": holds no intensity that is not negative");
  const std::string shelx = dir.file("b", "   1   2   3   -5.00   85.05   1\n" + shelx_end);
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(shelx); }),
            shelx + ": holds no intensity that is not negative");
  const std::string path = mtz({{"I", 'J'}}, {{1, 2, 3, -5}});
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(path); }),
            path + ": holds no intensity that is not negative");
}

TEST_F(ReflectionFiles, OfXdsThatAreCutOrNameNoGroupAreRefused) {
  const std::string cut = dir.file("a", xds_header + "1 2 3 100 1\n");
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(cut); }),
            cut + ": ends early: the line !END_OF_DATA is missing");
  std::string header = xds_header;
  header.replace(header.find("SPACE"), 5, "XPACE");
  const std::string unnamed = dir.file("b", header + "1 2 3 100 1\n!END_OF_DATA\n");
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(unnamed); }),
            unnamed + ": its header names no known space group: SPACE_GROUP_NUMBER is \"\"");
}

TEST_F(ReflectionFiles, OfCrystfelAreIntensitiesOfTheirPointGroup) {
  const auto file = read_reflections(
      dir.file("a",
               "CrystFEL reflection list version 2.0\nSymmetry: mmm\n"
               "   h    k    l          I    phase   sigma(I)   nmeas\n"
               "   1    2    3    1600.00        -      20.10      12\n   2    2    3      -3.00   "
               "     -  1 2\n"
               "End of reflections\nGenerated by CrystFEL 0.10.2\n"));
  EXPECT_EQ(file.taken, "roots of the intensities (I)");
  EXPECT_EQ(file.reflections.size(), 8u);
  EXPECT_EQ(by_index(file).at({-1, 2, 3}), 40);
  EXPECT_EQ(file.negative, 1);
  const std::string unknown = dir.file("b",
                                       "CrystFEL reflection list version 2.0\nSymmetry: 5m\n h k l "
                                       "I\n1 2 3 4\nEnd of reflections\n");
  EXPECT_NE(message_of<InputError>([&] { read_reflections(unknown); }).find("\"5m\""),
            std::string::npos);
}

TEST_F(ReflectionFiles, OfShelxAreIntensitiesInFixedColumns) {
  const std::string touching = "-100-112-130 3600.00   87.74   1\n";
  for (const std::string& text : {shelx_line + touching + shelx_end, shelx_line + touching,
                                  touching + shelx_line + shelx_end + "\n_refln 5\n"}) {
    const auto file = read_reflections(dir.file("a.hkl", text));
    EXPECT_EQ(file.taken, "roots of the intensities of a SHELX list (HKLF 4)");
    EXPECT_EQ(by_index(file).at({1, 2, 3}), 50);
    EXPECT_EQ(by_index(file).at({-100, -112, -130}), 60);
    EXPECT_EQ(by_index(file).at({-1, -2, -3}), 50);
  }
}

TEST_F(ReflectionFiles, OfShelxMayBeToldToHoldAmplitudes) {
  const std::string path = dir.file("a.hkl", shelx_line + shelx_line + shelx_end);
  EXPECT_EQ(by_index(read_reflections(path, "F")).at({1, 2, 3}), 2500);
  EXPECT_EQ(by_index(read_reflections(path, "I")).at({1, 2, 3}), 50);
}

TEST_F(ReflectionFiles, InTheColumnsOfShelxThatMayBeEitherAreAskedAbout) {
  const std::string path = dir.file("a.hkl", shelx_line + "   1   2   4   25.00    5.00   1\n");
  EXPECT_EQ(message_of<InputError>([&] { read_reflections(path); }),
            path +
                ": looks like a SHELX list (3I4,2F8), and does not tell intensities from "
                "amplitudes; -hkl_column I or -hkl_column F says which");
  EXPECT_EQ(by_index(read_reflections(path, "F")).at({1, 2, 4}), 25);
  // F(000) is in no list of SHELX, and other widths are anybody's.
  EXPECT_EQ(
      read_reflections(dir.file("b.hkl", shelx_line + "   0   0   0 9000.00    1.00\n")).format,
      "text");
  EXPECT_EQ(read_reflections(dir.file("c.hkl", "   1   2   3  100.00\n")).format, "text");
  EXPECT_EQ(
      read_reflections(dir.file("d.hkl", "1 2 3 100.0 5.0 # a comment that is long\n")).format,
      "text");
}

TEST_F(ReflectionFiles, InTheColumnsOfShelxWithoutPointsAreRefused) {
  for (const std::string end : {"", "   0   0   0       0       0   0\n"}) {
    const std::string path = dir.file(
        "a.hkl", "   1   0   0    1234      12   1\n   2   0   0     234       5   1\n" + end);
    EXPECT_EQ(message_of<InputError>([&] { read_reflections(path); }),
              path +
                  ": looks like a SHELX list (3I4,2F8) and has numbers without a decimal point, of "
                  "which SHELX takes a hundredth; write the point into them");
  }
}

TEST_F(ReflectionFiles, OfTwinsAreRefused) {
  const std::string path = dir.file("a.hkl",
                                    "   1   2   3 2500.00   85.05  -2\n" + shelx_line + shelx_end);
  EXPECT_NE(message_of<InputError>([&] { read_reflections(path); }).find("HKLF 5"),
            std::string::npos);
}

TEST_F(ReflectionFiles, ThatAreImagesOrTablesAreNamed) {
  for (const auto& [head, name] :
       {std::pair<std::string, std::string>{"###CBF: VERSION 1.5\n\ndata_x\n", "a CBF image"},
        {"\x89HDF\r\n\x1a\n", "an HDF5 file"},
        {std::string("II*\0\b", 5), "a TIFF image"},
        {"{\nHEADER_BYTES=  512;\n", "an SMV image"},
        {"{\r\nHEADER_BYTES=  512;\r\n", "an SMV image"},
        {"\x93\xBB"
         "dials::af::reflection_table\x01",
         "a .refl table of DIALS"}}) {
    const std::string path = dir.file("a", head);
    EXPECT_EQ(message_of<InputError>([&] { read_reflections(path); }),
              path + ": is " + name +
                  ", which holds no structure factors; they are read from MTZ, CIF and text files");
  }
}

TEST_F(ReflectionFiles, OfOtherProgramsAreNamed) {
  const std::map<std::string, std::string> lists = {
      {"!OUTPUT_FILE=INTEGRATE.HKL     DATE=28-Nov-2026\n", "INTEGRATE.HKL of XDS"},
      {"  1  2  3 1.234E+03 2.1E+01 800.2 900.1 12.2 0.5 100 98 10.1\n"
       "  1  2  4 1.234E+03 2.1E+01 800.2 900.1 12.2 0.5 100 98 10.1\n",
       "XDS without its header"},
      {"    1\n -987\n    40.000    50.000    60.000    90.000    90.000    90.000 p212121\n"
       "   1   2   3   123.4     5.6\n",
       "scalepack"},
      {" NREFlection= 12\n ANOMalous=FALSE\n INDE 1 2 3 FOBS= 12.3 SIGMA= 1\n", "CNS"},
      {"{ comment }\nINDEX= 1 2 3 FOBS= 12.3\n", "CNS"},
      {"CrystFEL stream format 2.3\nGenerated by CrystFEL 0.10\n", "a stream of CrystFEL"},
      {"    4 p212121\n  1  0  0\n  0  1  0\n  0  0  1\n  0  0  0\n",
       "scalepack file of unmerged observations"}};
  for (const auto& [text, name] : lists) {
    const std::string path = dir.file("a.hkl", text);
    const std::string message = message_of<InputError>([&] { read_reflections(path); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
  }
}

// ---- Lists as tables ---------------------------------------------------------------------------

TEST(GridOf, CountsReflectionsThatStandInTheListSeveralTimes) {
  const std::vector<Reflection> list{{{1, 2, 3}, 5}, {{0, 0, 1}, 1}, {{1, 2, 3}, 6},
                                     {{0, 0, 1}, 1}, {{1, 2, 3}, 7}, {{1, 1, 1}, 2}};
  Repeats repeats;
  EXPECT_EQ(grid_of(list, 0, repeats).at(1, 2, 3), 7);
  EXPECT_EQ(repeats.reflections, 2);
  EXPECT_EQ(repeats.contradicting, 1);
  EXPECT_EQ(notice_of(repeats),
            "1 reflection stands there several times with amplitudes that disagree, the first at 1 "
            "2 3; the last one counts");
}

TEST(GridOf, RefusesATableThatIsNearlyEmptyAndNamesTheStrayReflection) {
  std::vector<Reflection> list;
  for (int h = -20; h <= 20; ++h)
    for (int k = -20; k <= 20; ++k) list.push_back({{h, k, 3}, 1});
  list.push_back({{5, 5, 100000}, 1});
  Repeats repeats;
  const std::size_t plenty = std::size_t{1} << 40;
  EXPECT_EQ(
      message_of<InputError>([&] { grid_of(list, 0, repeats, plenty); }),
      "the table of structure factors would need 1282 MiB for 1682 reflections, nearly all of "
      "it empty: 5 5 100000 lies far from the others; look for a stray index");
}

}  // namespace
}  // namespace nablabragg::io
