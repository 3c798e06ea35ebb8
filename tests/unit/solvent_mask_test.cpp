// The solvent on a coarse grid is that of a fine one.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>

#include "io/solvent_mask.hpp"

namespace nablabragg::io {
namespace {

gemmi::Model random_model(const gemmi::UnitCell& cell, int atoms) {
  std::mt19937 random(1);
  // A cluster, with crevices, that crosses the cell's edges.
  std::uniform_real_distribution<double> place(-0.2, 0.25);
  gemmi::Model model("1");
  model.chains.emplace_back("A");
  model.chains[0].residues.emplace_back();
  for (int n = 0; n < atoms; ++n) {
    gemmi::Atom atom;
    atom.element = n % 3 == 0 ? gemmi::El::O : gemmi::El::C;
    atom.pos = cell.orthogonalize({place(random), place(random), place(random)});
    model.chains[0].residues[0].atoms.push_back(atom);
  }
  return model;
}

gemmi::Grid<float> mask_of(const gemmi::UnitCell& cell, const gemmi::Model& model, int u, int v,
                           int w, int finer) {
  gemmi::Grid<float> mask;
  mask.set_unit_cell(cell);
  mask.set_size_without_checking(u, v, w);
  fill_with_solvent(mask, model, finer, [](double) {});
  return mask;
}

std::complex<double> transform(const gemmi::Grid<float>& mask, int h, int k, int l) {
  std::complex<double> sum = 0;
  for (int w = 0; w < mask.nw; ++w)
    for (int v = 0; v < mask.nv; ++v)
      for (int u = 0; u < mask.nu; ++u)
        sum += static_cast<double>(mask.get_value_q(u, v, w)) *
               std::polar(1.0, 2 * std::numbers::pi *
                                   (double(h) * u / mask.nu + double(k) * v / mask.nv +
                                    double(l) * w / mask.nw));
  return sum / static_cast<double>(mask.point_count());
}

gemmi::UnitCell cell_of_tests() {
  gemmi::UnitCell cell(43, 38, 51, 85, 97, 108);
  // A twofold axis along nothing in particular: any operator that images atoms will do.
  cell.images.push_back(
      gemmi::Transform{gemmi::Mat33(-1, 0, 0, 0, -1, 0, 0, 0, -1), gemmi::Vec3(0.9, 0.8, 0.7)});
  return cell;
}

TEST(SolventMask, IsOneInAnEmptyCellAndZeroInAFullOne) {
  gemmi::UnitCell cell(20, 20, 20, 90, 90, 90);
  for (const float share : mask_of(cell, gemmi::Model("1"), 20, 20, 20, 3).data)
    ASSERT_EQ(share, 1.0F);
  const gemmi::UnitCell narrow(3, 3, 3, 90, 90, 90);
  for (const float share : mask_of(narrow, random_model(narrow, 1), 10, 10, 10, 1).data)
    ASSERT_EQ(share, 0.0F);
}

TEST(SolventMask, OfCoarsePointsAreSharesOfTheFineOnesAroundThem) {
  const gemmi::UnitCell cell = cell_of_tests();
  const gemmi::Model model = random_model(cell, 300);
  constexpr int finer = 5;
  const gemmi::Grid<float> fine = mask_of(cell, model, 150, 140, 180, 1);
  const gemmi::Grid<float> coarse = mask_of(cell, model, 30, 28, 36, finer);
  int edges = 0;
  for (int w = 0; w < coarse.nw; ++w)
    for (int v = 0; v < coarse.nv; ++v)
      for (int u = 0; u < coarse.nu; ++u) {
        double sum = 0;
        for (int c = -2; c <= 2; ++c)
          for (int b = -2; b <= 2; ++b)
            for (int a = -2; a <= 2; ++a)
              sum += static_cast<double>(
                  fine.get_value(finer * u + a, finer * v + b, finer * w + c));
        ASSERT_NEAR(coarse.get_value_q(u, v, w), sum / (finer * finer * finer), 1e-6);
        edges += sum > 0 && sum < finer * finer * finer;
      }
  EXPECT_GT(edges, 1000);
}

TEST(SolventMask, OnACoarseGridHasTheTransformOfAFineOne) {
  const gemmi::UnitCell cell = cell_of_tests();
  const gemmi::Model model = random_model(cell, 300);
  const gemmi::Grid<float> fine = mask_of(cell, model, 150, 140, 180, 1);
  // Four points for the shortest wave.
  const gemmi::Grid<float> coarse = mask_of(cell, model, 30, 28, 36, 5);
  for (const auto& [h, k, l] : {std::array{0, 0, 0}, std::array{1, 0, 0}, std::array{2, -3, 1},
                                std::array{7, 0, 2}, std::array{0, 7, -3}, std::array{4, -4, 7}}) {
    const std::complex<double> expected = transform(fine, h, k, l);
    const double box = transform_of_box(h, 30, 5) * transform_of_box(k, 28, 5) *
                       transform_of_box(l, 36, 5);
    EXPECT_LT(std::abs(transform(coarse, h, k, l) / box - expected),
              0.02 * std::abs(expected) + 2e-4)
        << h << ' ' << k << ' ' << l << ' ' << std::abs(expected);
  }
}

}  // namespace
}  // namespace nablabragg::io
