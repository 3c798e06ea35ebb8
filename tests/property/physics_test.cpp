// Bounds and identities of the formulas behind a pixel, for any arguments.
#include <gtest/gtest.h>

#include "engine/pixel_sum.hpp"
#include "model/sampling_rules.hpp"
#include "physics/detection.hpp"
#include "physics/shapes.hpp"
#include "plan/plan_calculus.hpp"
#include "support/random_experiment.hpp"

namespace nablabragg::test {
namespace {

RC_GTEST_PROP(TricubicLookup, EqualsTheNearestOneAtWholeIndices, ()) {
  const int low = *any_count(-9, -2), high = *any_count(2, 9);
  const auto table = table_of(*any_count(0, 1000), low, high);
  const engine::GridView grid(table.get());
  const auto index = [&] { return double(*any_count(low + 2, high - 2)); };
  const Vec3d hkl{index(), index(), index()};
  RC_ASSERT(grid.surrounds(hkl));
  RC_ASSERT(engine::tricubic_structure_factor(grid, 0.0, hkl, true) ==
            engine::nearest_structure_factor(grid, 0.0, hkl));
}

RC_GTEST_PROP(TricubicLookup, ReproducesCubicPolynomials, ()) {
  // Four-point Lagrange interpolation is exact up to the third degree along each axis
  const auto coefficient = [] { return *any_between(-2, 2); };
  const Vec3d one{coefficient(), coefficient(), coefficient()},
      two{coefficient(), coefficient(), coefficient()};
  const auto value = [&](const Vec3d& h) {
    const auto poly = [](double x, double p, double q) { return 1 + p * x + q * x * x * x / 50; };
    return poly(h.x, one.x, two.x) * poly(h.y, one.y, two.y) * poly(h.z, one.z, two.z);
  };
  StructureFactorGrid table({-5, -5, -5}, {5, 5, 5}, 0);
  for (int h = -5; h <= 5; ++h)
    for (int k = -5; k <= 5; ++k)
      for (int l = -5; l <= 5; ++l) table.at(h, k, l) = value({double(h), double(k), double(l)});
  const Vec3d at{*any_between(-3, 2.99), *any_between(-3, 2.99), *any_between(-3, 2.99)};
  RC_ASSERT(std::abs(engine::tricubic_structure_factor(engine::GridView(&table), 0.0, at, true) -
                     value(at)) < 1e-9);
}

RC_GTEST_PROP(SensorLayers, CaptureTogetherWhatTheWholeSensorCaptures, ()) {
  const double thickness = *any_between(1e-6, 2e-3), depth = *any_between(1e-5, 2e-3);
  const double cosine = *any_between(0.05, 1);
  const auto sensor = model::layers_as_meant(std::optional<int>(*any_count(1, 40)), thickness);
  double captured = 0;
  for (int layer = 0; layer < sensor.layers; ++layer)
    captured += physics::capture_fraction(double(layer), sensor.layer_step, 1 / depth, cosine);
  const double whole = -std::expm1(-thickness / depth / cosine);
  RC_ASSERT(std::abs(captured - whole) <= 1e-13 * sensor.layers);
}

RC_GTEST_PROP(Polarization, LiesBetweenTheSquaredCosineAndOne, ()) {
  // The E and B parts of a diffracted ray share sin^2, so with |K| <= 1 the factor is within
  // |K| sin^2/2 of (1 + cos^2)/2; K = 1 reaches cos^2 and 1
  const Vec3d incident = *any_direction(), diffracted = *any_direction(), axis = *any_direction();
  const double fraction = *any_between(-1, 1);
  const double cosine = dot(incident, diffracted);
  const double polarization = physics::kahn_polarization(
      cosine, dot(diffracted, unit(cross(axis, incident))), fraction);
  const double middle = (1 + cosine * cosine) / 2;
  const double reach = std::abs(fraction) * (1 - cosine * cosine) / 2;
  RC_ASSERT(std::abs(polarization - middle) <= reach + 1e-15);
  RC_ASSERT(polarization >= cosine * cosine - 1e-15);
  RC_ASSERT(polarization <= 1 + 1e-15);
}

RC_GTEST_PROP(Polarization, IsOneForwardsAndBackwards, ()) {
  const Vec3d incident = *any_direction(), axis = *any_direction();
  const Vec3d diffracted = *any_choice() ? incident : -incident;
  const double polarization = physics::kahn_polarization(
      dot(incident, diffracted), dot(diffracted, unit(cross(axis, incident))), *any_between(-1, 1));
  RC_ASSERT(std::abs(polarization - 1) < 1e-14);
}

RC_GTEST_PROP(LatticeFactor, NeverExceedsTheNumberOfCells, ()) {
  // The ellipsoid holds 0.7236 of the cells' amplitude; its transform peaks at one
  const auto cells = [] { return double(*any_count(1, 200)); };
  const auto index = [] { return *any_between(-0.5, 0.5); };
  const Vec3d n{cells(), cells(), cells()}, d{index(), index(), index()};
  const double allowed = n.x * n.y * n.z * (1 + 1e-12);
  const physics::BlockNumbers<double> block{n, 1, {n.x * n.x, n.y * n.y, n.z * n.z, 0, 0, 0}};
  physics::for_each_shape(
      [&]<class Shape>() { RC_ASSERT(std::abs(Shape::factor(block, d)) <= allowed); });
}

RC_GTEST_PROP(LatticeFactor, ChangesAsItsSlopesSay, ()) {
  // All numbers that a squared factor depends on, each next to its derivative
  struct Numbers {
    Vec3d d;
    physics::BlockNumbers<double> block;
  };
  const auto each_of = [](auto&& work, auto&... numbers) {
    for_each_component(work, numbers.d...);
    for_each_component(work, numbers.block.cells...);
    work(numbers.block.fudge...);
    for (const auto member : {&physics::SpotMetric<double>::aa, &physics::SpotMetric<double>::bb,
                              &physics::SpotMetric<double>::cc, &physics::SpotMetric<double>::ab,
                              &physics::SpotMetric<double>::bc, &physics::SpotMetric<double>::ca})
      work(numbers.block.metric.*member...);
  };
  const auto index = [] { return *any_between(-0.49, 0.49); };
  const auto cells = [] { return *any_between(1, 12); };
  const auto width = [] { return *any_between(2, 40); };
  const auto skew = [] { return *any_between(-0.9, 0.9); };
  const Numbers at{{index(), index(), index()},
                   {{cells(), cells(), cells()},
                    *any_between(0.5, 2),
                    {width(), width(), width(), skew(), skew(), skew()}}};
  physics::for_each_shape([&]<class Shape>() {
    const auto squared = [](const Numbers& numbers) {
      const double factor = Shape::factor(numbers.block, numbers.d);
      return factor * factor;
    };
    const auto slopes = Shape::slopes(at.block, at.d);
    RC_ASSERT(std::abs(slopes.factor - Shape::factor(at.block, at.d)) <=
              1e-12 * (1 + std::abs(slopes.factor)));
    Numbers adjoints{{}, {{}, 0, {}}};
    const double adjoint = 2 * slopes.factor;
    adjoints.d = adjoint * slopes.distance;
    physics::for_each_width([](double& to, double more) { to = more; }, adjoints.block,
                            Shape::width_adjoint(slopes, at.d, adjoint));
    Shape::complete(at.block, adjoint * slopes.factor, adjoints.block);

    Numbers moved = at;
    const double count = at.block.cells.x * at.block.cells.y * at.block.cells.z;
    each_of(
        [&](double& number, const double& original, const double& derivative) {
          const double step = 1e-5 * (1 + std::abs(original));
          const auto moved_by = [&](double steps) {
            number = original + steps * step;
            return squared(moved);
          };
          // Of fourth order; the edge of a top hat may lie between.
          const double near = moved_by(1) - moved_by(-1), far = moved_by(2) - moved_by(-2);
          number = original;
          const bool at_an_edge = Shape::id == CrystalShape::tophat && (near != 0 || far != 0);
          if (!at_an_edge)
            RC_ASSERT(std::abs((8 * near - far) / (12 * step) - derivative) <=
                      1e-8 * (count * count + std::abs(derivative)));
        },
        moved, at, adjoints);
  });
}

}  // namespace
}  // namespace nablabragg::test
