// Mosaic domains: rotations and generator states that the C program nanoBragg printed.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "model/resolve.hpp"
#include "support/experiment.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using test::resolved_of;

constexpr std::int64_t default_seed = 12345678;
const double half_degree = 0.5 / units::degrees_per_radian;

/// The stream's state after so many domains.
std::int64_t state_after(int domains, std::int64_t user_seed) {
  model::NanobraggRandom random;
  std::int64_t state = -user_seed;
  for (int i = 0; i < domains; ++i) model::random_rotation(random, state);
  return state;
}

TEST(Mosaic, TheFirstDomainIsTheCrystalItself) {
  const auto domains = resolved_of("-mosaic 0.5 -mosaic_domains 3").domains;
  ASSERT_EQ(domains.size(), 3U);
  const Mat3d identity = Mat3d::identity();
  EXPECT_EQ(domains[0].a, identity.a);
  EXPECT_EQ(domains[0].b, identity.b);
  EXPECT_EQ(domains[0].c, identity.c);
}

TEST(Mosaic, TheFirstDomainDrawsTheRotationThatIsDiscarded) {
  model::NanobraggRandom random;
  std::int64_t state = -default_seed;
  const model::RandomRotation drawn = model::random_rotation(random, state);
  EXPECT_EQ(drawn.angle_over_cap, 0.98914814F);
  EXPECT_EQ(drawn.axis.z, -0.95309267193078995);  // the second deviate
  const double pi = 3.14159265358979323846, first = 0.53197860717773438;
  EXPECT_CLOSE(drawn.axis.x / drawn.axis.y, std::tan(pi * first));
  EXPECT_CLOSE(length(drawn.axis), 1.0);
  // The third one is behind the angle: its share of the cap is a rounded cube root.
  const double third = 0.17945325374603271;
  EXPECT_EQ(drawn.angle_over_cap,
            static_cast<float>(std::pow(static_cast<double>(static_cast<float>(1 - third * third)),
                                        static_cast<double>(static_cast<float>(1.0 / 3)))));

  const float angle = static_cast<float>(half_degree) * drawn.angle_over_cap;
  EXPECT_CLOSE(physics::rotation_matrix(drawn.axis, static_cast<double>(angle)),
               (Mat3d{{0.999966123750447, 0.00822660132798297, -0.000272730811663003},
                      {-0.00822728250737186, 0.999962779321514, -0.00259842147011866},
                      {0.000251344482920423, 0.00260057727878052, 0.999996586906059}}));
}

TEST(Mosaic, DomainsAreTheReferencesForTheDefaultSeed) {
  const auto domains = resolved_of("-mosaic 0.5 -mosaic_domains 3").domains;
  ASSERT_EQ(domains.size(), 3U);
  EXPECT_CLOSE(domains[1],
               (Mat3d{{0.999965920897845, -0.00797516809145802, 0.00213394864943091},
                      {0.0079761872189556, 0.999968079496629, -0.000469494698829757},
                      {-0.00213013623357463, 0.000486499472815474, 0.999997612916096}}));
  EXPECT_CLOSE(domains[2],
               (Mat3d{{0.999991435992216, 0.00284164410300477, 0.00300882053583839},
                      {-0.00285848579190532, 0.999980189430753, 0.00560801257246951},
                      {-0.00299282495353471, -0.00561656521615826, 0.999979748391921}}));
}

TEST(Mosaic, DomainsAreTheReferencesForAUsersSeed) {
  const auto domains = resolved_of("-mosaic 1 -mosaic_seed 1234 -mosaic_domains 3").domains;
  ASSERT_EQ(domains.size(), 3U);
  EXPECT_CLOSE(domains[1], (Mat3d{{0.999867679561463, 0.00305402541381282, -0.0159779941528059},
                                  {-0.00315474041418343, 0.999975292028886, -0.00628195388903657},
                                  {0.0159584141221624, 0.00633152908203456, 0.999852609517117}}));
  EXPECT_CLOSE(domains[2], (Mat3d{{0.999957631073599, 0.0056860821647311, -0.00723909713241512},
                                  {-0.00558984987569709, 0.999896657046206, 0.0132449539896627},
                                  {0.00731366091938798, -0.0132039273489761, 0.999886076844017}}));
}

TEST(Mosaic, TheGeneratorEndsInTheReferencesState) {
  EXPECT_EQ(state_after(1, default_seed), 1312812850);
  EXPECT_EQ(state_after(3, default_seed), 938582049);
  EXPECT_EQ(state_after(3, 1234), 1125494004);
}

TEST(Mosaic, NoDomainIsTurnedByMoreThanTheSpread) {
  const double spread = 2.0 / units::degrees_per_radian;
  const auto domains = resolved_of("-mosaic 2 -mosaic_domains 200").domains;
  for (const Mat3d& m : domains) {
    const double cosine = (m.a.x + m.b.y + m.c.z - 1) / 2;
    EXPECT_GE(cosine, std::cos(spread) - 1e-9);
  }
}

TEST(Mosaic, ASpreadHasHalfOfItAsStandardDeviationAboutEachAxis) {
  // sqrt(sqrt(pi)/2 Gamma(5/3)/Gamma(13/6)/3)
  const double expected = 0.496378269663;
  constexpr int count = 400'000;
  model::NanobraggRandom random;
  std::int64_t state = -default_seed;
  Vec3d squares;
  int beyond = 0;
  for (int i = 0; i < count; ++i) {
    const model::RandomRotation drawn = model::random_rotation(random, state);
    const auto angle = static_cast<double>(drawn.angle_over_cap);
    const Vec3d turn = angle * drawn.axis;
    squares = squares + Vec3d{turn.x * turn.x, turn.y * turn.y, turn.z * turn.z};
    if (angle > 0.908560) ++beyond;
  }
  // Four standard errors
  for (const double sum : {squares.x, squares.y, squares.z})
    EXPECT_NEAR(std::sqrt(sum / count), expected, 8e-4);
  EXPECT_NEAR(double(beyond) / count, 0.5, 3.2e-3);
}

TEST(Mosaic, DomainsTurnTheCellAfterPhiInTheLaboratoryFrame) {
  const Experiment e = test::experiment_of(
      test::any_crystal + "-cell 70 80 90 75 85 95 -phi 30 -mosaic 0.5 -mosaic_domains 2");
  const Resolved r = resolve(e);
  const Plan plan = make_plan(e, r);
  ASSERT_EQ(plan.lattice.orientations.size(), 2U);
  EXPECT_EQ(plan.lattice.domains, 2);
  EXPECT_CLOSE(plan.lattice.orientations[1].a, r.domains[1] * plan.lattice.orientations[0].a);
  EXPECT_CLOSE(plan.lattice.orientations[1].b, r.domains[1] * plan.lattice.orientations[0].b);
  EXPECT_CLOSE(plan.lattice.orientations[1].c, r.domains[1] * plan.lattice.orientations[0].c);
}

TEST(Mosaic, DomainCountAndSpreadFillInForEachOther) {
  struct Row {
    const char* flags;
    std::size_t domains;
    double spread_deg;
    std::size_t warnings;
  };
  const std::vector<Row> table = {
      {"", 1, 0, 0},
      {"-mosaic 0", 1, 0, 0},
      {"-mosaic 0.5", 10, 0.5, 1},
      {"-mosaic 0.5 -mosaic_domains 0", 10, 0.5, 2},  // no domain is a number without sense, too
      {"-mosaic_domains 7", 1, 0, 1},
      {"-mosaic 0 -mosaic_domains 7", 1, 0, 1},
      {"-mosaic -1 -mosaic_domains 7", 1, 0, 2},
      {"-mosaic 0.5 -mosaic_domains 7", 7, 0.5, 0},
  };
  for (const Row& expected : table) {
    SCOPED_TRACE(expected.flags);
    const Resolved r = resolved_of(expected.flags);
    EXPECT_EQ(r.domains.size(), expected.domains);
    EXPECT_CLOSE(r.mosaic_spread * units::degrees_per_radian, expected.spread_deg);
    EXPECT_EQ(r.warnings.size(), expected.warnings);
  }
}

/// Over the domains, of what the reciprocal vector of hkl differs from that of the mean cell.
struct Displacements {
  Vec3d mean;
  Mat3d covariance{};
};
Displacements displacements_of(const Resolved& r, const Vec3d& hkl) {
  const auto place = [&](const Mat3d& cell) {
    const double volume = dot(cell.a, cross(cell.b, cell.c));
    return (1 / volume) * (hkl.x * cross(cell.b, cell.c) + hkl.y * cross(cell.c, cell.a) +
                           hkl.z * cross(cell.a, cell.b));
  };
  Displacements d;
  const double n = static_cast<double>(r.domain_cells_A.size());
  for (const Mat3d& cell : r.domain_cells_A)
    d.mean = d.mean + (1 / n) * (place(cell) - place(r.axes.real_A));
  for (const Mat3d& cell : r.domain_cells_A) {
    const Vec3d off = place(cell) - place(r.axes.real_A) - d.mean;
    const Mat3d square = outer_square(off);
    d.covariance = {d.covariance.a + (1 / n) * square.a, d.covariance.b + (1 / n) * square.b,
                    d.covariance.c + (1 / n) * square.c};
  }
  return d;
}

// realism.md 4.4
TEST(CellSpread, MovesReflectionsByTheSpreadOfTheEdges) {
  const Resolved r = resolved_of(
      "-corrected -cell 78 65 50 90 90 90 -unit_cell_spread 0.156 0.195 0.05 -mosaic_domains 2000");
  const Mat3d c = displacements_of(r, {10, 7, 5}).covariance;
  EXPECT_NEAR(std::sqrt(c.a.x), 0.000256410256, 5e-8);
  EXPECT_NEAR(std::sqrt(c.b.y), 0.000323076923, 5e-8);
  EXPECT_NEAR(std::sqrt(c.c.z), 0.000100000000, 5e-8);
  for (const double across : {c.a.y, c.a.z, c.b.z}) EXPECT_NEAR(across, 0, 1e-11);
}

TEST(CellSpread, OfAnObliqueCellHasTheCovarianceOfItsReciprocalAxes) {
  // a along x and b in the xy plane, which is no setting of -cell: turn the numbers into that frame
  const Resolved r = resolved_of(
      "-corrected -cell 70 80 90 85 95 105 -unit_cell_spread 0.14 0.24 0.09 -mosaic_domains 2000");
  const Mat3d c = displacements_of(r, {3, -4, 5}).covariance;
  const Mat3d frame = model::crystal_frame(r.axes.real_A);
  const auto in_frame = [&](const Vec3d& u, const Vec3d& v) {
    return 1e8 * dot(u, Vec3d{dot(c.a, v), dot(c.b, v), dot(c.c, v)});
  };
  EXPECT_NEAR(in_frame(frame.a, frame.a), 0.734693878, 1e-3);
  EXPECT_NEAR(in_frame(frame.b, frame.b), 2.464291379, 2e-3);
  EXPECT_NEAR(in_frame(frame.c, frame.c), 0.326894701, 1e-3);
  EXPECT_NEAR(in_frame(frame.a, frame.b), 0.196860631, 1e-3);
  EXPECT_NEAR(in_frame(frame.a, frame.c), 0.051177108, 1e-3);
  EXPECT_NEAR(in_frame(frame.b, frame.c), -0.148545861, 1e-3);
}

TEST(CellSpread, KeepsEqualEdgesEqualAndVariesOthersOnTheirOwn) {
  const auto edges = [](const std::string& flags) {
    std::vector<UnitCell> cells;
    for (const Mat3d& axes : resolved_of("-corrected " + flags).domain_cells_A)
      cells.push_back(unit_cell_of(axes));
    return cells;
  };
  for (const UnitCell& c :
       edges("-cell 60 60 90 90 90 120 -unit_cell_spread 0.3 0.3 0.2 -mosaic_domains 20")) {
    EXPECT_CLOSE(c.a_A, c.b_A);
    EXPECT_CLOSE(c.gamma_deg, 120);
  }
  // Right angles are equal, too
  for (const UnitCell& c :
       edges("-cell 60 70 90 90 90 90 -unit_cell_angle_spread 0.3 0.3 0.2 -mosaic_domains 20"))
    EXPECT_CLOSE(c.alpha_deg, c.beta_deg);
  // Of the same mean, but told to spread otherwise
  bool differ = false;
  for (const UnitCell& c :
       edges("-cell 60 60 90 90 90 120 -unit_cell_spread 0.3 0.2 0.2 -mosaic_domains 20"))
    differ |= std::abs(c.a_A - c.b_A) > 0.01;
  EXPECT_TRUE(differ);
}

TEST(CellSpread, OfTheAnglesHasTheirStandardDeviations) {
  const Resolved r = resolved_of(
      "-corrected -cell 70 80 90 85 95 105 -unit_cell_angle_spread 0.1 0.2 0.3 -mosaic_domains "
      "1000");
  Vec3d square;
  for (const Mat3d& axes : r.domain_cells_A) {
    const UnitCell c = unit_cell_of(axes);
    EXPECT_CLOSE(c.a_A, 70);
    const Vec3d off{c.alpha_deg - 85, c.beta_deg - 95, c.gamma_deg - 105};
    square = square + Vec3d{off.x * off.x, off.y * off.y, off.z * off.z};
  }
  EXPECT_NEAR(std::sqrt(square.x / 1000), 0.1, 1e-6);
  EXPECT_NEAR(std::sqrt(square.y / 1000), 0.2, 1e-6);
  EXPECT_NEAR(std::sqrt(square.z / 1000), 0.3, 1e-6);
}

TEST(CellSpread, HasNothingToDoWithTheRotationsOfTheDomains) {
  const Resolved r = resolved_of(
      "-corrected -cell 78 65 50 90 90 90 -unit_cell_spread 0.1 0.1 0.1 -mosaic 0.3 -mosaic_model "
      "gaussian -mosaic_domains 2000");
  ASSERT_EQ(r.domains.size(), r.domain_cells_A.size());
  double together = 0, turns = 0, edges = 0;
  for (std::size_t i = 0; i < r.domains.size(); ++i) {
    const double turn = r.domains[i].a.y, edge = length(r.domain_cells_A[i].a) - 78;
    together += turn * edge, turns += turn * turn, edges += edge * edge;
  }
  EXPECT_LT(std::abs(together) / std::sqrt(turns * edges), 4 / std::sqrt(2000));
}

TEST(CellSpread, IsSampledWithTenDomainsAndRefusedWhereItMakesNoSense) {
  const Resolved r = resolved_of("-corrected -cell 50 -unit_cell_spread 0.1 0.1 0.1");
  EXPECT_EQ(r.domains.size(), 10U);
  EXPECT_EQ(r.warnings.back(),
            "a spread of the cell without -mosaic_domains is sampled with 10 domains");
  const auto complaint = [](const std::string& flags) {
    return test::message_of<UsageError>([&] { resolved_of(flags); });
  };
  EXPECT_EQ(
      complaint("-cell 50 -unit_cell_spread 0.1 0.1 0.1"),
      "nanoBragg has one cell for all domains; -unit_cell_spread and -unit_cell_angle_spread need "
      "-corrected");
  EXPECT_EQ(
      complaint("-corrected -cell 5 -unit_cell_spread 100 100 100"),
      "the spread of the cell (-unit_cell_spread, -unit_cell_angle_spread) is so wide that domains "
      "have no cell");
  EXPECT_EQ(complaint("-corrected -cell 50 -gauss_xtal -summation closed -unit_cell_spread 1 1 1"),
            "-summation closed: the cell differs from domain to domain (-unit_cell_spread, "
            "-unit_cell_angle_spread)");
}

}  // namespace
}  // namespace nablabragg
