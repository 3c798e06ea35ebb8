// The parity grid: crystals and beams from the ordinary to the extreme, by a fast engine in both
// precisions, the cpu's on every instruction set, against the reference engine.
//
// Each cell of the grid is three images of 40 x 40 pixels: a whole panel whose corners lie at
// d = 1 A, with F from a table that ends within the panel and again with one F; and a small
// panel of fine pixels around one reflection at that corner, where the fringes of the largest
// crystals are resolved and indices are highest.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <numbers>

#include "support/engines.hpp"
#include "support/random_experiment.hpp"  // for table_of

namespace nablabragg::test {
namespace {

constexpr int pixels = 40;
constexpr double distance_m = 0.1;

struct Cell {
  double edge_A, cells, wavelength_A;
};

void describe(std::ostream& out, const Cell& c) {
  out << c.edge_A << " A, N " << c.cells << ", " << c.wavelength_A << " A";
}

/// Of the panel's corners: that of d = 1 A, or what a flat detector can reach.
double corner_two_theta(double wavelength_A) {
  constexpr double widest = std::numbers::pi / 3;
  return wavelength_A >= 2 ? widest : std::min(widest, 2 * std::asin(wavelength_A / 2));
}

/// A cubic crystal in a general orientation, one sample a pixel.
Experiment experiment_of_cell(const Cell& c, CrystalShape shape) {
  Experiment e;
  e.crystal.cell = UnitCell{c.edge_A, c.edge_A, c.edge_A};
  e.crystal.misset_deg = {17.3, -38.1, 71.9};
  e.crystal.cells = {c.cells, c.cells, c.cells};
  e.crystal.shape = shape;
  e.beam.wavelength_A = c.wavelength_A;
  e.structure_factors.default_F = 20;
  e.structure_factors.interpolation = Interpolation::nearest;
  e.detector.convention = Convention::mosflm;
  e.detector.distance_mm = 1000 * distance_m;
  e.detector.fast_pixels = e.detector.slow_pixels = pixels;
  e.sampling.oversample = 1;
  return e;
}

Experiment whole_panel(const Cell& c, CrystalShape shape) {
  Experiment e = experiment_of_cell(c, shape);
  const double half_diagonal = distance_m * std::tan(corner_two_theta(c.wavelength_A));
  e.detector.pixel_mm = 1000 * half_diagonal * std::numbers::sqrt2 / pixels;
  return e;
}

/// Two thirds of the indices that the panel of the smallest cell reaches, less of larger ones'.
std::shared_ptr<const StructureFactorGrid> table_of_panels() {
  static const auto table = table_of(7, -26, 26);
  return table;
}

/// The reflection nearest to the panel's corner, turned to where the diagonal of the panel meets
/// its scattering angle, some pixels off the middle of a panel whose pixels are a quarter fringe.
Experiment reflection_at_the_corner(const Cell& c, CrystalShape shape) {
  Experiment e = experiment_of_cell(c, shape);
  const auto direction = [](double two_theta) {
    const double side = std::sin(two_theta) / std::numbers::sqrt2;
    return Vec3d{std::cos(two_theta), -side, side};
  };
  const Vec3d beam{1, 0, 0};
  const double wanted = corner_two_theta(c.wavelength_A);
  const Vec3d corner_q = (1 / c.wavelength_A) * (direction(wanted) - beam);
  const auto turned = [](const Vec3d& v) {
    return physics::rotate_about(v, unit(Vec3d{0.3, -0.5, 0.8}), 1.1);
  };
  const Mat3d axes{turned({1, 0, 0}), turned({0, 1, 0}), turned({0, 0, 1})};
  const Vec3d near = c.edge_A * (axes * corner_q);
  const Vec3d hkl{std::round(near.x), std::round(near.y), std::round(near.z)};

  const double two_theta = 2 * std::asin(c.wavelength_A * length(hkl) / c.edge_A / 2);
  const Vec3d q = unit(direction(two_theta) - beam);
  const Vec3d now = unit(hkl.x * axes.a + hkl.y * axes.b + hkl.z * axes.c);
  const Vec3d turn = cross(now, q);
  const auto onto_q = [&](const Vec3d& v) {
    return physics::rotate_about(v, unit(turn), std::atan2(length(turn), dot(now, q)));
  };
  const Vec3d a = onto_q(axes.a), b = onto_q(axes.b), z = onto_q(axes.c);
  const double star = c.wavelength_A / c.edge_A;
  e.crystal.mosflm_matrix = Mat3d{star * Vec3d{a.x, b.x, z.x}, star * Vec3d{a.y, b.y, z.y},
                                  star * Vec3d{a.z, b.z, z.z}};
  e.crystal.cell.reset();
  e.crystal.misset_deg = {};

  const double from_sample = distance_m / std::cos(two_theta);
  const double quarter_fringe = c.wavelength_A * from_sample / (4 * c.cells * c.edge_A);
  const double pixel = std::min(quarter_fringe, distance_m / (2 * pixels));
  e.detector.pixel_mm = 1000 * pixel;
  const Vec3d spot = from_sample * direction(two_theta);
  e.detector.origin_m = Vec3d{distance_m, spot.y + 22.7 * pixel, spot.z - 13.3 * pixel};

  // The reflection is the last of the table along h: pixels beyond it have default_F.
  const int h = int(hkl.x), k = int(hkl.y), l = int(hkl.z);
  auto table = std::make_shared<StructureFactorGrid>(MillerIndex{h - 8, k - 8, l - 8},
                                                     MillerIndex{h, k + 8, l + 8}, 0.0);
  std::ranges::copy(table_of(11, 0, 16)->values().first(9 * 17 * 17), table->values().begin());
  e.structure_factors.grid = std::move(table);
  return e;
}

/// The worst of one figure and where it was.
class Worst {
 public:
  explicit Worst(std::string figure) : figure_(std::move(figure)) {}
  void take(double value, const Cell& cell, const std::string& how) {
    if (value < value_) return;
    value_ = value;
    cell_ = cell;
    how_ = how;
  }
  void print(std::ostream& out, const char* shape) const {
    out << std::setw(8) << shape << std::setw(24) << figure_ << ' ' << std::setprecision(3)
        << value_ << " at ";
    describe(out, cell_);
    out << ", " << how_ << '\n';
  }

 private:
  std::string figure_, how_;
  double value_ = 0;
  Cell cell_{};
};

struct Shape {
  const char* name;
  CrystalShape shape;
};
void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

class ParityGrid : public testing::TestWithParam<Shape> {};

TEST_P(ParityGrid, EveryCellKeepsTheBoundsOfItsPrecisionOnEveryTarget) {
  std::array<Worst, 5> worst{Worst("off / maximum"), Worst("off / bright pixel"),
                             Worst("1 - correlation"), Worst("|sum ratio - 1|"),
                             Worst("double precision")};
  int dark = 0;
  const auto compare = [&](const Experiment& e, const Cell& cell, const std::string& panel) {
    const Image reference = simulate(e, reference_engine()).image;
    dark += largest(reference) == 0;
    for (const std::string& set : tested_targets()) {
      const ForcedTarget target(set);
      const std::string how = panel + ", " + set;
      const Agreement mixed = agreement(simulate(e, fast_engine(Precision::float32)).image.pixels,
                                        reference.pixels);
      worst[0].take(mixed.over_max, cell, how);
      worst[1].take(mixed.relative, cell, how);
      worst[2].take(1 - mixed.correlation, cell, how);
      worst[3].take(std::abs(mixed.sum_ratio - 1), cell, how);
      const Agreement full = agreement(simulate(e, fast_engine(Precision::float64)).image.pixels,
                                       reference.pixels);
      worst[4].take(full.over_both, cell, how);
      const std::string broken = mixed.broken_bounds(), broken_full = full.broken_double_bounds();
      if (broken.empty() && broken_full.empty()) continue;
      std::ostringstream text;
      describe(text, cell);
      ADD_FAILURE() << text.str() << ", " << how << ": " << broken
                    << (broken_full.empty() ? "" : "in double precision ") << broken_full;
    }
  };

  for (const double edge : {40, 80, 150, 250, 400})
    for (const double cells : {1, 10, 100, 1000})
      for (const double wavelength : {0.5, 1.0, 2.5, 6.0}) {
        const Cell cell{edge, cells, wavelength};
        Experiment e = whole_panel(cell, GetParam().shape);
        compare(e, cell, "whole panel, one F");
        e.structure_factors.grid = table_of_panels();
        compare(e, cell, "whole panel, F from a table");
        compare(reflection_at_the_corner(cell, GetParam().shape), cell, "around a reflection");
      }
  for (const Worst& figure : worst) figure.print(std::cout, GetParam().name);
  std::cout << std::setw(8) << GetParam().name << ": " << dark << " of 240 images are dark\n";
}

std::vector<Shape> all_shapes() {
  std::vector<Shape> shapes;
  physics::for_each_shape([&]<class Each>() { shapes.push_back({Each::name, Each::id}); });
  return shapes;
}

INSTANTIATE_TEST_SUITE_P(Shapes, ParityGrid, testing::ValuesIn(all_shapes()),
                         [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace nablabragg::test
