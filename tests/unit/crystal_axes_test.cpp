// Unit cell, A matrix and missetting -> axes.  The numbers were printed by the C program nanoBragg
// for the flags or numbers that stand next to them.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "model/crystal_axes.hpp"
#include "support/experiment.hpp"

namespace nablabragg {
namespace {

using test::resolved_of;

/// Edges and angles as they are printed, to six digits.
void expect_cell(const UnitCell& got, const std::array<double, 6>& expected,
                 double relative = 5e-6) {
  EXPECT_CLOSE_WITHIN(relative, got.a_A, expected[0]);
  EXPECT_CLOSE_WITHIN(relative, got.b_A, expected[1]);
  EXPECT_CLOSE_WITHIN(relative, got.c_A, expected[2]);
  EXPECT_CLOSE_WITHIN(relative, got.alpha_deg, expected[3]);
  EXPECT_CLOSE_WITHIN(relative, got.beta_deg, expected[4]);
  EXPECT_CLOSE_WITHIN(relative, got.gamma_deg, expected[5]);
}

UnitCell cell_of(const std::string& flags) { return unit_cell_of(resolved_of(flags).axes.real_A); }

const std::string triclinic = "-cell 70 80 90 75 85 95 ";

TEST(CrystalAxes, ATriclinicCellGetsTheReferencesAxes) {
  const CrystalAxes axes = resolved_of(triclinic).axes;
  EXPECT_CLOSE(axes.volume_A3, 481811.455731699);
  EXPECT_CLOSE(axes.real_A, (Mat3d{{69.2803110929785, -7.95101471241758, 6.0843947852719},
                                   {0, 77.2881632186251, 20.6528406349141},
                                   {0, 0, 90}}));
  EXPECT_CLOSE(axes.reciprocal_per_A,
               (Mat3d{{0.0144370471206682, 0, 0},
                      {0.00148521027386295, 0.0129412198987652, 0},
                      {-0.00131682783679052, -0.00296969946878417, 0.0111133679531542}}));
}

TEST(CrystalAxes, TriclinicAnglesDriftAsInTheReference) {
  //
  expect_cell(cell_of(triclinic), {70, 80, 90, 75.0391, 85.0136, 95.0081});
  expect_cell(cell_of("-cell 70 70 70 60 60 60"), {70, 70, 70, 57.849, 57.849, 58.5252});
}

TEST(CrystalAxes, CorrectedArithmeticKeepsTheAnglesOfAnyCell) {
  expect_cell(cell_of(triclinic + "-corrected"), {70, 80, 90, 75, 85, 95}, 1e-12);
  expect_cell(cell_of("-corrected -cell 70 70 70 60 60 60"), {70, 70, 70, 60, 60, 60}, 1e-12);
}

TEST(CrystalAxes, CellsWithTwoRightAnglesOrASixfoldAxisDoNotDrift) {
  const std::vector<std::array<double, 6>> cells = {
      {70, 80, 90, 105, 90, 90}, {70, 80, 90, 90, 105, 90}, {70, 80, 90, 90, 90, 105},
      {70, 70, 90, 90, 90, 120}, {70, 80, 90, 90, 90, 90},
  };
  for (const auto& cell : cells) {
    std::string flags = "-cell";
    for (const double number : cell) flags += ' ' + std::to_string(number);
    SCOPED_TRACE(flags);
    expect_cell(cell_of(flags), cell, 1e-12);
  }
}

TEST(CrystalAxes, OneEdgeMakesACube) {
  expect_cell(cell_of("-cell 100"), {100, 100, 100, 90, 90, 90}, 1e-12);
}

TEST(CrystalAxes, TriclinicReciprocalAxesAreNotQuiteDualToTheRealOnes) {
  // What is left of Q-01 in a . a*; only the gauss and top-hat shapes see it.
  const auto product = [](const std::string& flags) {
    const CrystalAxes axes = resolved_of(flags).axes;
    return dot(axes.real_A.a, axes.reciprocal_per_A.a);
  };
  EXPECT_NEAR(product("-cell 70 80 90 85 95 105"), 1 - 2.4e-5, 0.05e-5);
  EXPECT_NEAR(product("-cell 281 281 165.2 60 75 110"), 1.0376, 0.00005);
  EXPECT_CLOSE(product(triclinic), 69.2803110929785 * 0.0144370471206682);
  EXPECT_NEAR(product("-cell 281 281 165.2 60 75 110 -corrected"), 1, 1e-14);
}

TEST(CrystalAxes, ImpossibleAnglesAreRefusedButStillGiveTheReferencesNumbers) {
  EXPECT_THROW(resolved_of("-cell 70 80 90 30 40 120"), UsageError);
  const UnitCell impossible{70, 80, 90, 30, 40, 120};
  const auto basis = model::reciprocal_basis(impossible, true);
  EXPECT_CLOSE(basis.volume_A3, 563542.780281322);
  const auto axes = model::axes_from_reciprocal(basis.rows, &impossible, basis.volume_A3);
  expect_cell(unit_cell_of(axes.real_A), {70, 80, 90, 90, 122.309, 126.7});
}

// ---- Orientation ----------------------------------------------------------------------------

TEST(CrystalAxes, MissettingTurnsTheReciprocalAxes) {
  const CrystalAxes axes = resolved_of(triclinic + "-misset 10 20 30").axes;
  EXPECT_CLOSE(axes.real_A, (Mat3d{{62.1893915386668, 25.6435096159021, -19.3620761962537},
                                   {-26.2641703628717, 68.5840955391014, 31.7240475701551},
                                   {34.0670075732813, 1.62254801126675, 83.2874920558491}}));
  EXPECT_CLOSE(axes.reciprocal_per_A.a,
               (Vec3d{0.0117488354723314, 0.00678319332261517, -0.00493776092541037}));
}

struct RandomOrientation {
  std::int64_t seed;
  Mat3d matrix;
  Vec3d angles_deg;
};

const std::vector<RandomOrientation>& random_orientations() {
  static const std::vector<RandomOrientation> drawn = {
      {12345,
       {{-0.111571858028984, -0.193361903533272, -0.974762994146757},
        {-0.812009827068762, 0.583200386974618, -0.0227453154828721},
        {0.572880232893158, 0.788979393200257, -0.22208051662772}},
       {105.720754730633, -34.9513183631866, -97.8235714406551}},
      {54321,
       {{-0.0195632995021856, -0.87413048292956, -0.48529699785381},
        {0.596271647455207, -0.399822142204249, 0.696133878678705},
        {-0.802544328840246, -0.275750164853148, 0.529041063462772}},
       {-27.5297148613793, 53.3737593813304, 91.8791645748598}},
  };
  return drawn;
}

TEST(CrystalAxes, ARandomOrientationIsTheReferencesForTheSameSeed) {
  for (const RandomOrientation& expected : random_orientations()) {
    SCOPED_TRACE(expected.seed);
    model::NanobraggRandom random;
    std::int64_t state = -expected.seed;
    const Mat3d matrix = model::nanobragg_random_orientation(random, state);
    EXPECT_CLOSE(matrix, expected.matrix);
    EXPECT_CLOSE(units::degrees_per_radian * model::euler_angles(matrix), expected.angles_deg);
    const Resolved r = resolved_of("-misset random -misset_seed " + std::to_string(expected.seed));
    EXPECT_CLOSE(units::degrees_per_radian * r.misset, expected.angles_deg);
  }
}

TEST(CrystalAxes, ARandomOrientationIsAppliedAsMissettingAngles) {
  const Resolved r = resolved_of(triclinic + "-misset_seed 12345 -misset random");
  EXPECT_CLOSE(r.axes.real_A.a, (Vec3d{-12.1231525721181, -61.0317197659156, 32.0649084534462}));
}

TEST(CrystalAxes, ASeedThatFollowsTheRequestForARandomOrientationIsNoMissetting) {
  // nanoBragg reads "-misset_seed 12345 ..." as missetting angles as well.
  EXPECT_CLOSE(resolved_of(triclinic + "-misset random -misset_seed 12345 -N 5 -lambda 1").misset,
               resolved_of(triclinic + "-misset_seed 12345 -misset random").misset);
}

TEST(CrystalAxes, ARandomOrientationWithoutItsOwnSeedFollowsTheNoiseSeed) {
  // nanoBragg takes the clock.
  EXPECT_EQ(resolved_of("-misset random -seed 12345").misset,
            resolved_of("-misset random -misset_seed 12345").misset);
}

TEST(CrystalAxes, EulerAnglesAtTheirPoleAreTheReferences) {
  // A quarter turn about y brings z.x to -1, where only the sum of the other angles is known.
  const Mat3d quarter{{0, 0, 1}, {0, 1, 0}, {-1, 0, 0}};
  const double pi = 3.14159265358979323846;
  EXPECT_CLOSE(model::euler_angles(quarter), (Vec3d{pi, pi / 2, std::atan2(0.0, -1.0)}));
}

// ---- A matrix -------------------------------------------------------------------------------

Resolved from_matrix(const std::string& flags, bool keep_cell) {
  Experiment e = test::experiment_of("-default_F 100 " + flags);
  if (!keep_cell) e.crystal.cell.reset();
  e.crystal.mosflm_matrix = Mat3d{{0.01, 0, 0}, {0, 0.0125, 0}, {0, 0, 0.02}};
  return resolve(e);
}

TEST(CrystalAxes, AMosflmMatrixIsInUnitsOfTheWavelength) {
  expect_cell(unit_cell_of(from_matrix("-lambda 1", false).axes.real_A), {100, 80, 50, 90, 90, 90},
              1e-12);
  expect_cell(unit_cell_of(from_matrix("-lambda 2", false).axes.real_A),
              {200, 160, 100, 90, 90, 90}, 1e-12);
}

TEST(CrystalAxes, ACellNextToAMatrixForcesEdgesAndVolume) {
  const Resolved r = from_matrix("-lambda 1 -cell 101 81 51 90 90 90", true);
  expect_cell(unit_cell_of(r.axes.real_A), {101, 81, 51, 90, 90, 90}, 1e-12);
  EXPECT_CLOSE_WITHIN(1e-6, r.axes.volume_A3, 417231.0);
  EXPECT_CLOSE(r.axes.reciprocal_per_A.a, (Vec3d{0.0099009900990099, 0, 0}));
}

TEST(CrystalAxes, AMatrixHoldsTheReciprocalVectorsAsColumns) {
  const Mat3d rows = model::reciprocal_from_mosflm(Mat3d{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, 1e-10);
  EXPECT_CLOSE(rows, (Mat3d{{1, 4, 7}, {2, 5, 8}, {3, 6, 9}}));
}

// ---- Size -----------------------------------------------------------------------------------

TEST(CrystalAxes, TheNumberOfCellsFollowsFromTheSizeAndIsAtLeastOne) {
  struct Size {
    const char* flags;
    Vec3d cells;
    std::size_t warnings;  ///< of a crystal clipped by the beam
  };
  const std::vector<Size> table = {
      {"", {1, 1, 1}, 0},
      {"-N 7", {7, 7, 7}, 0},
      {"-N 7 -Nb 3", {7, 3, 7}, 0},
      {"-Nb 3 -N 7", {7, 7, 7}, 0},
      {"-xtalsize 0.0005", {50, 63, 100}, 0},
      {"-N 7 -xtal_y 0.0005", {7, 63, 7}, 0},
      {"-xtal_x 0.0005 -xtal_y 0.001 -xtal_z 0.0015", {50, 125, 300}, 0},
      {"-N 0", {1, 1, 1}, 0},
      {"-N -4", {1, 1, 1}, 0},
      // The beam is 0.1 mm wide when nobody says, and clips b and c but not a.
      {"-xtalsize 0.2 -oversample 1", {20000, 12500, 20000}, 2},
      {"-samplesize 0.0005 -beamsize 0.0003", {50, 38, 60}, 2},
  };
  for (const Size& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Resolved r = resolved_of("-cell 100 80 50 90 90 90 " + std::string(expected.flags));
    EXPECT_EQ(r.cells, expected.cells);
    std::size_t clipped = 0;
    for (const std::string& warning : r.warnings)
      if (warning.find("clipped") != std::string::npos) ++clipped;
    EXPECT_EQ(clipped, expected.warnings);
  }
}

// ---- Phi ------------------------------------------------------------------------------------

TEST(CrystalAxes, PhiTurnsTheCellAboutTheSpindle) {
  const Experiment e = test::experiment_of(test::any_crystal + triclinic + "-phi 30");
  const Plan plan = make_plan(e, resolve(e));
  ASSERT_EQ(plan.lattice.orientations.size(), 1U);
  const Mat3d& metres = plan.lattice.orientations[0];
  const Mat3d angstrom{1e10 * metres.a, 1e10 * metres.b, 1e10 * metres.c};
  EXPECT_CLOSE(angstrom, (Mat3d{{63.974016744817, 27.7543748196718, 6.0843947852719},
                                {-38.6440816093126, 66.9335127591674, 20.6528406349141},
                                {0, 0, 90}}));
}

TEST(CrystalAxes, AStepAtPhiZeroHasTheUnturnedCell) {
  // nanoBragg keeps the orientation of the step before, which depends on its threads.
  const Experiment e = test::experiment_of(test::any_crystal + triclinic +
                                           "-phi -0.5 -osc 1 -phisteps 2");
  const Plan plan = make_plan(e, resolve(e));
  ASSERT_EQ(plan.lattice.orientations.size(), 2U);
  const Mat3d still = model::axes_in_metres(resolved_of(triclinic).axes);
  EXPECT_EQ(plan.lattice.orientations[1].a, still.a);
  EXPECT_EQ(plan.lattice.orientations[1].b, still.b);
  EXPECT_EQ(plan.lattice.orientations[1].c, still.c);
}

}  // namespace
}  // namespace nablabragg
