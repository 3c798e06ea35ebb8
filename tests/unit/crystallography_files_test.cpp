// Tests of read_mtz, read_sf_mmcif and calculate_structure_factors.  The oracles are symmetry and
// the textbook sum over atoms, written out here; gemmi serves to write MTZ files and for the table
// of scattering factors.
#include <gtest/gtest.h>
#include <zlib.h>  // for gzopen

#include <array>
#include <cmath>
#include <complex>
#include <cstdio>  // for snprintf
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numbers>  // for pi
#include <sstream>
#include <string>
#include <vector>

#include <gemmi/it92.hpp>  // for IT92
#include <gemmi/mtz.hpp>   // for Mtz::write_to_file

#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg {
namespace {

using Amplitudes = std::map<MillerIndex, double>;

/// Also asserts that no (h,k,l) comes twice.
Amplitudes by_index(const std::vector<Reflection>& reflections) {
  Amplitudes map;
  for (const Reflection& r : reflections)
    EXPECT_TRUE(map.emplace(r.hkl, r.amplitude).second)
        << r.hkl[0] << ' ' << r.hkl[1] << ' ' << r.hkl[2];
  return map;
}

Amplitudes by_index(const io::ReflectionFile& file) { return by_index(file.reflections); }

std::string temp_path(const std::string& name) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                       "nablabragg_files" /
                                       (std::string(test->test_suite_name()) + "." + test->name());
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}

std::string write_text(const std::string& name, const std::string& text) {
  const std::string path = temp_path(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

#define EXPECT_MESSAGE(expression, part)          \
  EXPECT_PRED_FORMAT2(testing::IsSubstring, part, \
                      message_of([&] { static_cast<void>(expression); }))

// ---- MTZ -----------------------------------------------------------------------------------

struct MtzRow {
  std::array<int, 3> hkl;
  float fobs, fcalc;
};

std::string write_mtz(const std::string& name, const char* space_group,
                      const std::vector<MtzRow>& rows, char type = 'F') {
  gemmi::Mtz mtz(/*with_base=*/true);
  mtz.spacegroup = gemmi::find_spacegroup_by_name(space_group);
  mtz.set_cell_for_all(
      gemmi::UnitCell(30, 30, 40, 90, 90, space_group == std::string("P 3") ? 120 : 90));
  mtz.add_dataset("made_up");
  mtz.add_column("FOBS", type, -1, -1, false);
  mtz.add_column("SIGFOBS", 'Q', -1, -1, false);
  mtz.add_column("FC", type, -1, -1, false);
  mtz.nreflections = static_cast<int>(rows.size());
  for (const MtzRow& row : rows) {
    for (const int index : row.hkl) mtz.data.push_back(static_cast<float>(index));
    mtz.data.insert(mtz.data.end(), {row.fobs, 1.0F, row.fcalc});
  }
  const std::string path = temp_path(name);
  mtz.write_to_file(path);
  return path;
}

TEST(ReadMtz, ExpandsTheAsymmetricUnitToTheSphereOfItsSpaceGroup) {
  const std::string path = write_mtz("a.mtz", "P 21 21 21",
                                     {{{1, 2, 3}, 10, 20}, {{4, 0, 0}, 7.5F, 8}});
  const Amplitudes f = by_index(io::read_mtz(path));
  EXPECT_EQ(f.size(), 10u);
  for (const int h : {-1, 1})
    for (const int k : {-2, 2})
      for (const int l : {-3, 3}) EXPECT_EQ(f.at({h, k, l}), 10.0);
  EXPECT_EQ(f.at({4, 0, 0}), 7.5);
  EXPECT_EQ(f.at({-4, 0, 0}), 7.5);
}

TEST(ReadMtz, RotatesIndicesOfATrigonalGroup) {
  const Amplitudes f = by_index(io::read_mtz(write_mtz("a.mtz", "P 3", {{{1, 2, 3}, 10, 20}})));
  const Amplitudes expected{{{1, 2, 3}, 10},    {{2, -3, 3}, 10},  {{-3, 1, 3}, 10},
                            {{-1, -2, -3}, 10}, {{-2, 3, -3}, 10}, {{3, -1, -3}, 10}};
  EXPECT_EQ(f, expected);
}

TEST(ReadMtz, TakesTheColumnThatIsAskedFor) {
  const std::string path = write_mtz("a.mtz", "P 1", {{{1, 2, 3}, 10, 20}});
  EXPECT_EQ(by_index(io::read_mtz(path, "FC")).at({-1, -2, -3}), 20.0);
}

TEST(ReadMtz, SkipsMissingValues) {
  const Amplitudes f = by_index(
      io::read_mtz(write_mtz("a.mtz", "P 1", {{{1, 0, 0}, NAN, 20}, {{2, 0, 0}, 5, 6}})));
  EXPECT_EQ(f.size(), 2u);
  EXPECT_EQ(f.count({1, 0, 0}), 0u);
}

TEST(ReadMtz, KeepsTheAmplitudesOfFriedelMatesThatAreBothListed) {
  const Amplitudes f = by_index(
      io::read_mtz(write_mtz("a.mtz", "P 1", {{{1, 0, 0}, 3, 0}, {{-1, 0, 0}, 4, 0}})));
  EXPECT_EQ(f.at({1, 0, 0}), 3.0);
  EXPECT_EQ(f.at({-1, 0, 0}), 4.0);
}

TEST(ReadMtz, KeepsTheLastOfContradictingRowsAndCountsThem) {
  // 1 2 3 and -1 -2 3 are one reflection of P 21 21 21.
  const io::ReflectionFile file = io::read_mtz(
      write_mtz("a.mtz", "P 21 21 21",
                {{{1, 2, 3}, 3, 0}, {{4, 0, 0}, 5, 0}, {{-1, -2, 3}, 4, 0}, {{-4, 0, 0}, 5, 0}}));
  EXPECT_EQ(by_index(file).at({1, 2, 3}), 4.0);
  EXPECT_EQ(by_index(file).at({-1, -2, -3}), 4.0);
  EXPECT_EQ(file.repeated, 2);
  EXPECT_EQ(file.contradicting, 1);
  EXPECT_EQ(file.first_contradiction, (MillerIndex{-1, -2, 3}));
}

TEST(ReadMtz, NamesTheColumnsWhenTheOneIsNotThere) {
  const std::string path = write_mtz("a.mtz", "P 1", {{{1, 0, 0}, 3, 4}});
  EXPECT_EQ(message_of([&] { io::read_mtz(path, "FP"); }),
            path + ": has no column FP; these can be taken: FOBS of type F, FC of type F");
  EXPECT_EQ(message_of([&] { io::read_mtz(path, "SIGFOBS"); }),
            path +
                ": column SIGFOBS of type Q holds neither amplitudes nor intensities; these can be "
                "taken: FOBS of type F, FC of type F");
  const std::string phases = write_mtz("i.mtz", "P 1", {{{1, 0, 0}, 3, 4}}, 'P');
  EXPECT_EQ(message_of([&] { io::read_mtz(phases); }),
            phases +
                ": no column of amplitudes or intensities (it has: H of type H, K of type H, L of "
                "type H, FOBS of type P, SIGFOBS of type Q, FC of type P)");
}

TEST(ReadMtz, RefusesFilesThatAreNotWholeMtzFiles) {
  const std::string path = write_mtz("a.mtz", "P 1", {{{1, 0, 0}, 3, 4}, {{2, 0, 0}, 3, 4}});
  std::filesystem::resize_file(path, 100);
  EXPECT_EQ(message_of([&] { io::read_mtz(path); }),
            path + ": truncated: the headers at the end of the file are missing");
  EXPECT_MESSAGE(io::read_mtz(write_text("b.mtz", "1 2 3 45.6 and so on, a text\n")),
                 "Not an MTZ file");
  EXPECT_MESSAGE(io::read_mtz(write_text("c.mtz", "")), "is empty");
  EXPECT_MESSAGE(io::read_mtz(write_text("d.mtz", "MTZ ")), "Could not read the MTZ file");
  EXPECT_MESSAGE(io::read_mtz(temp_path("absent.mtz")), "absent.mtz: No such file");
  EXPECT_MESSAGE(io::read_mtz(testing::TempDir()), "Is a directory");
  EXPECT_THROW(io::read_mtz(temp_path("absent.mtz")), InputError);
}

TEST(ReadMtz, RefusesAHeaderThatPromisesMoreThanTheFileHolds) {
  const std::string path = write_mtz("a.mtz", "P 1", {{{1, 0, 0}, 3, 4}});
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::size_t count = bytes.find("           1 ", bytes.find("NCOL"));
  ASSERT_NE(count, std::string::npos);
  bytes.replace(count, 12, "   400000000");
  EXPECT_MESSAGE(io::read_mtz(write_text("b.mtz", bytes)),
                 "truncated: its header promises 400000000 reflections");
}

TEST(ReadMtz, RefusesAMissingMillerIndex) {
  const std::string path = write_mtz("a.mtz", "P 1", {{{1, 0, 0}, 3, 4}});
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const float not_a_number = NAN;
  file.seekp(80);
  file.write(reinterpret_cast<const char*>(&not_a_number), sizeof not_a_number);
  file.close();
  EXPECT_MESSAGE(io::read_mtz(path), "reflection 1 has no sensible Miller index");
}

// ---- SF-mmCIF ------------------------------------------------------------------------------

std::string sf_mmcif(
    const std::string& items, const std::string& rows,
    const std::string& symmetry = "_symmetry.space_group_name_H-M 'P 21 21 21'\n") {
  std::string text =
      "data_r1abcsf\n_cell.length_a 50.84\n_cell.length_b 42.77\n_cell.length_c 28.95\n"
      "_cell.angle_alpha 90\n_cell.angle_beta 90\n_cell.angle_gamma 90\n" +
      symmetry + "loop_\n_refln.index_h\n_refln.index_k\n_refln.index_l\n";
  std::istringstream stream(items);
  for (std::string item; stream >> item;) text += "_refln." + item + "\n";
  return text + rows;
}

TEST(ReadSfMmcif, ExpandsToP1AndSkipsUnknownValues) {
  const std::string path = write_text(
      "a.cif", sf_mmcif("F_meas_au status", "1 2 3 12.5 o\n0 0 2 ? x\n0 0 4 6 o\n"));
  const Amplitudes f = by_index(io::read_sf_mmcif(path));
  EXPECT_EQ(f.size(), 10u);
  EXPECT_EQ(f.at({-1, 2, -3}), 12.5);
  EXPECT_EQ(f.at({0, 0, -4}), 6.0);
  EXPECT_EQ(f.count({0, 0, 2}), 0u);
}

TEST(ReadSfMmcif, PrefersMeasuredToCalculatedUnlessAsked) {
  const std::string path = write_text("a.cif", sf_mmcif("F_calc_au F_meas_au", "1 2 3 1 2\n"));
  EXPECT_EQ(by_index(io::read_sf_mmcif(path)).at({1, 2, 3}), 2.0);
  EXPECT_EQ(by_index(io::read_sf_mmcif(path, "F_calc_au")).at({1, 2, 3}), 1.0);
  const std::string none_measured = write_text("b.cif",
                                               sf_mmcif("F_calc_au F_meas_au", "1 2 3 1 ?\n"));
  EXPECT_EQ(by_index(io::read_sf_mmcif(none_measured)).at({1, 2, 3}), 1.0);
}

TEST(ReadSfMmcif, ReadsGzippedFiles) {
  const std::string path = temp_path("a.cif.gz");
  const std::string text = sf_mmcif("F_meas_au", "1 2 3 12.5\n");
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  EXPECT_EQ(io::read_sf_mmcif(path).reflections.size(), 8u);
}

TEST(ReadSfMmcif, FindsTheSpaceGroupByNumberWhenItHasNoName) {
  const std::string path = write_text(
      "a.cif", sf_mmcif("F_meas_au", "1 2 3 12.5\n", "_symmetry.Int_Tables_number 19\n"));
  EXPECT_EQ(io::read_sf_mmcif(path).reflections.size(), 8u);
}

TEST(ReadSfMmcif, SaysWhatIsThereWhenThereAreNoAmplitudes) {
  const std::string path = write_text("a.cif",
                                      sf_mmcif("phase_calc intensity_sigma", "1 2 3 12.5 1\n"));
  EXPECT_EQ(message_of([&] { io::read_sf_mmcif(path); }),
            path + ": no amplitudes (it has: phase_calc, intensity_sigma)");
  EXPECT_EQ(message_of([&] { io::read_sf_mmcif(path, "F_meas"); }),
            path + ": no item _refln.F_meas with values (it has: phase_calc, intensity_sigma)");
  EXPECT_MESSAGE(io::read_sf_mmcif(write_text("b.cif", "data_x\n_cell.length_a 5\n")),
                 "not a structure-factor mmCIF file");
  EXPECT_MESSAGE(io::read_sf_mmcif(write_text("c.cif", sf_mmcif("F_meas_au", "1 2 3 4\n", ""))),
                 "names no space group; it needs symmetry operators");
}

TEST(ReadSfMmcif, NamesTheLineOfASyntaxError) {
  const std::string path = write_text("a.cif", "data_x\n_cell.length_a 5\nloose words\n");
  EXPECT_PRED_FORMAT2(testing::IsSubstring,
                      path + ":3: ", message_of([&] { io::read_sf_mmcif(path); }));
  const std::string ragged = write_text("b.cif", sf_mmcif("F_meas_au", "1 2 3 12.5 7\n"));
  EXPECT_MESSAGE(io::read_sf_mmcif(ragged), "Wrong number of values in the loop");
}

// ---- models --------------------------------------------------------------------------------

struct AtomLine {
  std::string element;
  std::array<double, 3> xyz_A;
  double occupancy, b_A2;
};

std::string cryst1(double a, double b, double c, double alpha, double beta, double gamma,
                   const char* group) {
  char line[100];
  std::snprintf(line, sizeof line, "CRYST1%9.3f%9.3f%9.3f%7.2f%7.2f%7.2f %-11s\n", a, b, c, alpha,
                beta, gamma, group);
  return line;
}

std::string atom_line(int serial, const AtomLine& atom) {
  char line[100];
  std::snprintf(line, sizeof line,
                "HETATM%5d %-4s UNL A%4d    %8.3f%8.3f%8.3f%6.2f%6.2f          %2s\n", serial,
                (" " + atom.element).c_str(), serial, atom.xyz_A[0], atom.xyz_A[1], atom.xyz_A[2],
                atom.occupancy, atom.b_A2, atom.element.c_str());
  return line;
}

double scattering_factor(const std::string& element, double stol2) {
  return gemmi::IT92<double>::get(gemmi::find_element(element.c_str())).calculate_sf(stol2);
}

/// |sum over atoms and symmetry of occ f exp(-B stol^2) exp(2 pi i h.x)| in an orthorhombic cell,
/// `images` are sign changes and shifts of fractional coordinates.
struct Image {
  std::array<double, 3> sign, shift;
};

double direct_sum(const std::vector<AtomLine>& atoms, const std::vector<Image>& images,
                  const std::array<double, 3>& cell_A, const MillerIndex& hkl) {
  double stol2 = 0;
  for (std::size_t i = 0; i < 3; ++i) stol2 += 0.25 * std::pow(hkl[i] / cell_A[i], 2);
  std::complex<double> sum = 0;
  for (const AtomLine& atom : atoms) {
    const double weight = atom.occupancy * scattering_factor(atom.element, stol2) *
                          std::exp(-atom.b_A2 * stol2);
    for (const Image& image : images) {
      double turns = 0;
      for (std::size_t i = 0; i < 3; ++i)
        turns += hkl[i] * (image.sign[i] * atom.xyz_A[i] / cell_A[i] + image.shift[i]);
      sum += weight * std::polar(1.0, 2 * std::numbers::pi * turns);
    }
  }
  return std::abs(sum);
}

const std::vector<Image> p1{{{1, 1, 1}, {0, 0, 0}}};
const std::vector<Image> p212121{{{1, 1, 1}, {0, 0, 0}},
                                 {{-1, -1, 1}, {0.5, 0, 0.5}},
                                 {{-1, 1, -1}, {0, 0.5, 0.5}},
                                 {{1, -1, -1}, {0.5, 0.5, 0}}};
const std::array<double, 3> ubiquitin_cell_A{50.84, 42.77, 28.95};

std::string ubiquitin_path() {
  return std::string(NABLA_SOURCE_DIR) + "/examples/ubiquitin/1ubq.pdb";
}

std::vector<AtomLine> atoms_of_pdb(const std::string& path) {
  std::vector<AtomLine> atoms;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("ATOM") || line.starts_with("HETATM")) {
      const auto number = [&](std::size_t from, std::size_t size) {
        return std::stod(line.substr(from, size));
      };
      atoms.push_back({line.substr(77, 1),
                       {number(30, 8), number(38, 8), number(46, 8)},
                       number(54, 6),
                       number(60, 6)});
    }
  return atoms;
}

/// R = sum | |F| - |F_expected| | / sum |F_expected| over the reflections that `keep` lets pass.
double r_factor(const Amplitudes& f, const std::function<double(const MillerIndex&)>& expected,
                const std::function<bool(const MillerIndex&)>& keep) {
  double difference = 0, total = 0;
  for (const auto& [hkl, amplitude] : f)
    if (keep(hkl)) {
      const double reference = expected(hkl);
      difference += std::abs(amplitude - reference);
      total += reference;
    }
  return difference / total;
}

bool any(const MillerIndex&) { return true; }

constexpr io::BulkSolvent vacuum{0, 0};

TEST(CalculateStructureFactors, OfOneAtomAreItsScatteringFactor) {
  const AtomLine atom{"S", {1.5, 2.5, 3.5}, 0.75, 12.0};
  const std::string path = write_text(
      "s.pdb", cryst1(20, 25, 30, 90, 90, 90, "P 1") + atom_line(1, atom) + "END\n");
  const io::CalculatedFactors result = io::calculate_structure_factors(path, 2.0, vacuum);
  EXPECT_EQ(result.atoms, 1);
  EXPECT_EQ(result.space_group, "P 1");
  const Amplitudes f = by_index(result.reflections);
  for (const auto& [hkl, amplitude] : f) {
    const double stol2 = 0.25 * (std::pow(hkl[0] / 20.0, 2) + std::pow(hkl[1] / 25.0, 2) +
                                 std::pow(hkl[2] / 30.0, 2));
    const double expected = 0.75 * scattering_factor("S", stol2) * std::exp(-12 * stol2);
    ASSERT_NEAR(amplitude, expected, 1e-3 * expected);
  }
  EXPECT_NEAR(f.at({0, 0, 0}), 0.75 * 16, 0.01);
  EXPECT_EQ(f.count({10, 0, 0}), 1u) << "the reflection on the limit";
  EXPECT_EQ(f.count({10, 1, 0}), 0u);
}

TEST(CalculateStructureFactors, AgreeWithDirectSummationOfUbiquitin) {
  const std::vector<AtomLine> atoms = atoms_of_pdb(ubiquitin_path());
  ASSERT_EQ(atoms.size(), 660u);
  const Amplitudes f = by_index(
      io::calculate_structure_factors(ubiquitin_path(), 1.8, vacuum).reflections);
  const double r = r_factor(
      f, [&](const MillerIndex& hkl) { return direct_sum(atoms, p212121, ubiquitin_cell_A, hkl); },
      [](const MillerIndex& hkl) { return (hkl[0] + 64 * hkl[1] + 4096 * hkl[2]) % 61 == 0; });
  EXPECT_LT(r, 1e-4);
}

TEST(CalculateStructureFactors, OfUbiquitinHaveItsCellAndSymmetry) {
  const io::CalculatedFactors result = io::calculate_structure_factors(ubiquitin_path(), 3.0);
  EXPECT_EQ(result.space_group, "P 21 21 21");
  EXPECT_EQ(result.atoms, 660);
  const std::array<double, 6> expected{50.84, 42.77, 28.95, 90, 90, 90};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(result.cell[i], expected[i]);
  const Amplitudes f = by_index(result.reflections);
  for (const auto& [hkl, amplitude] : f)
    for (const int h : {-1, 1})
      for (const int k : {-1, 1})
        for (const int l : {-1, 1})
          ASSERT_EQ(amplitude, f.at({h * hkl[0], k * hkl[1], l * hkl[2]}));
  for (int n = 1; n <= 9; n += 2) {
    EXPECT_EQ(f.at({n, 0, 0}), 0.0);
    EXPECT_EQ(f.at({0, n, 0}), 0.0);
    EXPECT_EQ(f.at({0, 0, n}), 0.0);
  }
  EXPECT_GT(f.at({2, 0, 0}), 0.0);
}

TEST(CalculateStructureFactors, FillTheWholeSphere) {
  const Amplitudes f = by_index(io::calculate_structure_factors(ubiquitin_path(), 5.0).reflections);
  std::size_t count = 0;
  for (int h = -20; h <= 20; ++h)
    for (int k = -20; k <= 20; ++k)
      for (int l = -20; l <= 20; ++l)
        count += std::pow(h / 50.84, 2) + std::pow(k / 42.77, 2) + std::pow(l / 28.95, 2) <=
                 1 / 25.0;
  EXPECT_EQ(f.size(), count);
}

TEST(CalculateStructureFactors, FollowAnisotropicDisplacementsInATriclinicCell) {
  // U in 1e-4 A^2, the elongation lies between the axes.
  const AtomLine atom{"C", {1, 2, 3}, 1, 20};
  const std::string path = write_text(
      "u.pdb",
      cryst1(14, 17, 19, 80, 95, 110, "P 1") + atom_line(1, atom) +
          "ANISOU    1  C   UNL A   1     3000   2500   2000   1500    700   -300       C\n");
  const double u[3][3] = {{0.30, 0.15, 0.07}, {0.15, 0.25, -0.03}, {0.07, -0.03, 0.20}};
  const double deg = std::numbers::pi / 180;
  const double ca = std::cos(80 * deg), cb = std::cos(95 * deg), cg = std::cos(110 * deg),
               sg = std::sin(110 * deg);
  const double ratio = std::sqrt(1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg) / sg;
  // Rows are the reciprocal axes in the Cartesian frame of the PDB: the inverse of a || x, b in the
  // xy plane.
  const double s[3][3] = {{1 / 14.0, -cg / (14.0 * sg), (ca * cg - cb) / (14.0 * sg * sg * ratio)},
                          {0, 1 / (17.0 * sg), (cb * cg - ca) / (17.0 * sg * sg * ratio)},
                          {0, 0, 1 / (19.0 * ratio)}};
  const Amplitudes f = by_index(io::calculate_structure_factors(path, 1.6, vacuum).reflections);
  ASSERT_GT(f.size(), 1000u);
  const double r = r_factor(
      f,
      [&](const MillerIndex& hkl) {
        double q[3], s2 = 0, sus = 0;
        for (int i = 0; i < 3; ++i) {
          q[i] = hkl[0] * s[0][i] + hkl[1] * s[1][i] + hkl[2] * s[2][i];
          s2 += q[i] * q[i];
        }
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 3; ++j) sus += q[i] * u[i][j] * q[j];
        return scattering_factor("C", 0.25 * s2) *
               std::exp(-2 * std::numbers::pi * std::numbers::pi * sus);
      },
      any);
  EXPECT_LT(r, 1e-3);
}

TEST(CalculateStructureFactors, OfACellSmallerThanAnAtomAreSummedDirectly) {
  const std::vector<AtomLine> atoms{{"C", {0.5, 1, 2}, 1, 30}, {"O", {1.5, 5, 9}, 1, 40}};
  const std::string path = write_text(
      "thin.pdb",
      cryst1(3.5, 12, 15, 90, 90, 90, "P 1") + atom_line(1, atoms[0]) + atom_line(2, atoms[1]));
  const Amplitudes f = by_index(io::calculate_structure_factors(path, 3.0, vacuum).reflections);
  const double r = r_factor(
      f,
      [&](const MillerIndex& hkl) {
        return direct_sum(atoms, p1, {3.5, 12, 15}, hkl);
      },
      any);
  EXPECT_LT(r, 1e-6);
  EXPECT_NO_THROW(io::calculate_structure_factors(path, 3.0)) << "with solvent";
}

TEST(CalculateStructureFactors, UseOccupanciesOfAlternatives) {
  const AtomLine half{"N", {2, 3, 4}, 0.5, 15}, other{"N", {2, 3, 4}, 0.5, 15},
      none{"U", {9, 9, 9}, 0, 15};
  std::string a = atom_line(1, half), b = atom_line(2, other);
  a[16] = 'A';
  b[16] = 'B';
  b.replace(22, 4, "   1");
  const std::string cell = cryst1(20, 20, 20, 90, 90, 90, "P 1");
  const io::CalculatedFactors two = io::calculate_structure_factors(
      write_text("two.pdb", cell + a + b + atom_line(3, none)), 3.0, vacuum);
  const io::CalculatedFactors one = io::calculate_structure_factors(
      write_text("one.pdb", cell + atom_line(1, {"N", {2, 3, 4}, 1, 15})), 3.0, vacuum);
  EXPECT_EQ(two.atoms, 2);
  ASSERT_EQ(two.reflections.size(), one.reflections.size());
  for (std::size_t i = 0; i < one.reflections.size(); ++i)
    ASSERT_NEAR(two.reflections[i].amplitude, one.reflections[i].amplitude, 1e-4);
}

TEST(CalculateStructureFactors, UseTheFirstModelOnly) {
  const std::string cell = cryst1(20, 20, 20, 90, 90, 90, "P 1");
  const std::string atom = atom_line(1, {"N", {2, 3, 4}, 1, 15});
  const std::string path = write_text(
      "m.pdb",
      cell + "MODEL        1\n" + atom + "ENDMDL\nMODEL        2\n" + atom + "ENDMDL\nEND\n");
  EXPECT_EQ(io::calculate_structure_factors(path, 3.0).atoms, 1);
}

TEST(CalculateStructureFactors, RepeatAtomsByStrictNonCrystallographicSymmetry) {
  const std::string cell = cryst1(20, 25, 30, 90, 90, 90, "P 1");
  const std::string shift =
      "MTRIX1   1  1.000000  0.000000  0.000000        5.00000\n"
      "MTRIX2   1  0.000000  1.000000  0.000000        6.00000\n"
      "MTRIX3   1  0.000000  0.000000  1.000000        7.00000\n";
  const AtomLine atom{"O", {2, 3, 4}, 1, 15};
  const Amplitudes f = by_index(
      io::calculate_structure_factors(write_text("n.pdb", cell + shift + atom_line(1, atom)), 3.0,
                                      vacuum)
          .reflections);
  const std::vector<AtomLine> both{atom, {"O", {7, 9, 11}, 1, 15}};
  const double r = r_factor(
      f,
      [&](const MillerIndex& hkl) {
        return direct_sum(both, p1, {20, 25, 30}, hkl);
      },
      any);
  EXPECT_LT(r, 1e-3);
}

TEST(BulkSolvent, FillsAnAlmostEmptyCell) {
  const AtomLine atom{"S", {10, 10, 10}, 1, 15};
  const std::string path = write_text("s.pdb",
                                      cryst1(20, 20, 20, 90, 90, 90, "P 1") + atom_line(1, atom));
  const Amplitudes wet = by_index(io::calculate_structure_factors(path, 3.0).reflections);
  // The hole: a sphere of sulphur's radius and the probe, less the shrinking, as far as the grid of
  // 0.3 A goes.
  const double radius_A = 1.80 + 1.11 - 0.9;
  const auto solvent = [](double hole_radius_A) {
    return 0.35 * (8000 - 4.0 / 3 * std::numbers::pi * std::pow(hole_radius_A, 3));
  };
  EXPECT_LT(wet.at({0, 0, 0}), 16 + solvent(radius_A - 0.15));
  EXPECT_GT(wet.at({0, 0, 0}), 16 + solvent(radius_A + 0.3));
  // Elsewhere the hole counts negatively.
  const Amplitudes dry = by_index(io::calculate_structure_factors(path, 3.0, vacuum).reflections);
  EXPECT_LT(wet.at({1, 0, 0}), dry.at({1, 0, 0}) - 8);
}

TEST(BulkSolvent, LowersTheContrastAtLowResolutionOnly) {
  const Amplitudes wet = by_index(
      io::calculate_structure_factors(ubiquitin_path(), 1.8).reflections);
  const Amplitudes dry = by_index(
      io::calculate_structure_factors(ubiquitin_path(), 1.8, vacuum).reflections);
  const auto in_shell = [](double low_A, double high_A) {
    return [=](const MillerIndex& hkl) {
      const double inv_d2 = std::pow(hkl[0] / 50.84, 2) + std::pow(hkl[1] / 42.77, 2) +
                            std::pow(hkl[2] / 28.95, 2);
      return inv_d2 > 1 / (low_A * low_A) && inv_d2 < 1 / (high_A * high_A);
    };
  };
  const auto of_dry = [&](const MillerIndex& hkl) { return dry.at(hkl); };
  EXPECT_GT(r_factor(wet, of_dry, in_shell(100, 8)), 0.2);
  EXPECT_LT(r_factor(wet, of_dry, in_shell(2.0, 1.8)), 0.01);
  double sum_wet = 0, sum_dry = 0;
  for (const auto& [hkl, amplitude] : wet)
    if (in_shell(100, 8)(hkl)) {
      sum_wet += amplitude;
      sum_dry += dry.at(hkl);
    }
  EXPECT_LT(sum_wet, sum_dry);
}

TEST(BulkSolvent, OfZeroDensityChangesNothing) {
  const io::CalculatedFactors a = io::calculate_structure_factors(ubiquitin_path(), 4.0, {0, 46});
  const io::CalculatedFactors b = io::calculate_structure_factors(ubiquitin_path(), 4.0,
                                                                  {1e-12, 46});
  ASSERT_EQ(a.reflections.size(), b.reflections.size());
  for (std::size_t i = 0; i < a.reflections.size(); ++i)
    ASSERT_NEAR(a.reflections[i].amplitude, b.reflections[i].amplitude, 1e-6);
}

TEST(CalculateStructureFactors, ReadMmcifAndGzippedModels) {
  const std::string mmcif =
      "# a comment first\ndata_1XYZ\n_cell.length_a 20\n_cell.length_b 25\n_cell.length_c 30\n"
      "_cell.angle_alpha 90\n_cell.angle_beta 90\n_cell.angle_gamma 90\n"
      "_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n_atom_site.group_PDB\n_atom_site.id\n"
      "_atom_site.type_symbol\n_atom_site.label_atom_id\n_atom_site.label_alt_id\n_atom_site.label_"
      "comp_id\n"
      "_atom_site.label_asym_id\n_atom_site.auth_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"
      "_atom_site.Cartn_z\n_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n"
      "HETATM 1 S S . UNL A 1 1.5 2.5 3.5 0.75 12.0\n";
  const std::string pdb = cryst1(20, 25, 30, 90, 90, 90, "P 21 21 21") +
                          atom_line(1, {"S", {1.5, 2.5, 3.5}, 0.75, 12.0});
  const io::CalculatedFactors reference = io::calculate_structure_factors(write_text("s.pdb", pdb),
                                                                          3.0);
  const std::string gz = temp_path("s.cif.gz");
  gzFile file = gzopen(gz.c_str(), "wb");
  gzwrite(file, mmcif.data(), static_cast<unsigned>(mmcif.size()));
  gzclose(file);
  for (const std::string& path : {write_text("s.cif", mmcif), gz}) {
    const io::CalculatedFactors other = io::calculate_structure_factors(path, 3.0);
    EXPECT_EQ(other.space_group, "P 21 21 21");
    EXPECT_EQ(by_index(other.reflections), by_index(reference.reflections));
  }
}

TEST(CalculateStructureFactors, RefuseADamagedGzippedModel) {
  const std::string path = temp_path("s.pdb.gz");
  gzFile file = gzopen(path.c_str(), "wb");
  for (int i = 0; i < 500; ++i) {
    const std::string line = atom_line(i, {"C", {0.01 * i * i, 2.0 * (i % 7), 3}, 1, 10});
    gzwrite(file, line.data(), static_cast<unsigned>(line.size()));
  }
  gzclose(file);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_THROW(io::calculate_structure_factors(path, 3.0), InputError);
}

TEST(CalculateStructureFactors, SayWhatTheModelLacks) {
  const std::string atom = atom_line(1, {"C", {1, 2, 3}, 1, 10});
  const std::string no_cell = write_text("no_cell.pdb", atom);
  EXPECT_EQ(message_of([&] { io::calculate_structure_factors(no_cell, 2.0); }),
            no_cell + ": no unit cell (CRYST1 or _cell): a model without one has no crystal");
  const auto of = [&](const std::string& text) {
    return message_of([&] { io::calculate_structure_factors(write_text("x.pdb", text), 2.0); });
  };
  const std::string cell = cryst1(20, 20, 20, 90, 90, 90, "P 1");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "no unit cell",
                      of(cryst1(1, 1, 1, 90, 90, 90, "P 1") + atom));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "no space group",
                      of(cryst1(20, 20, 20, 90, 90, 90, "") + atom));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "unknown space group 'Q 7'",
                      of(cryst1(20, 20, 20, 90, 90, 90, "Q 7") + atom));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "no occupied atoms", of(cell));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "no occupied atoms", of("To whom it may concern\n"));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "is empty", of(""));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "x.pdb: holds control bytes, so it is neither",
                      of(std::string(100, '\0')));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "x.pdb:2: ", of(cell + "ATOM      1  C   UNL A   1\n"));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "impossible temperature factor",
                      of(cell + atom_line(1, {"C", {1, 2, 3}, 1, -50})));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "no tabulated scattering factor",
                      of(cell + atom_line(1, {"No", {1, 2, 3}, 1, 10})));
  const std::string bad_cif = write_text("bad.cif", "data_x\nloop_\n_a.b\n_a.c\n1 2 3\n");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, bad_cif + ":",
                      message_of([&] { io::calculate_structure_factors(bad_cif, 2.0); }));
  EXPECT_MESSAGE(io::calculate_structure_factors(temp_path("absent.pdb"), 2.0), "No such file");
}

TEST(CalculateStructureFactors, RefuseAResolutionThatMeansNothing) {
  for (const double dmin_A :
       {0.0, -1.0, 0.1, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    EXPECT_THROW(io::calculate_structure_factors(ubiquitin_path(), dmin_A), UsageError) << dmin_A;
  EXPECT_THROW(io::calculate_structure_factors(ubiquitin_path(), 3.0, {-0.1, 46}), UsageError);
  const std::string huge = write_text(
      "huge.pdb", cryst1(900, 900, 900, 90, 90, 90, "P 1") + atom_line(1, {"C", {1, 2, 3}, 1, 10}));
  EXPECT_MESSAGE(io::calculate_structure_factors(huge, 0.5), "choose a larger dmin");
}

}  // namespace
}  // namespace nablabragg
