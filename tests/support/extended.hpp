// 80-bit numbers for the model and the pixel loop, so that differences of their results have digits
// to spare: the derivatives they are held against are in double precision.
#pragma once
#include <cmath>
#include <cstdint>

#include "description/lift.hpp"
#include "description/parameter_table.hpp"
#include "engine/beamstop_shadow.hpp"
#include "engine/diffuse_sum.hpp"
#include "engine/diffuse_tables.hpp"
#include "engine/lattices.hpp"
#include "engine/pixel_sum.hpp"
#include "model/resolve.hpp"
#include "plan/make_plan.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::test {

/// The pixel loop joins conditions with &, as lanes do; between two calls that return a bool clang
/// takes that for a mistake.
struct Condition {
  bool holds;

  operator bool() const { return holds; }
  friend Condition operator&(Condition a, Condition b) { return {a.holds && b.holds}; }
  Condition operator!() const { return {!holds}; }
};

/// A number, and what it is where no shift is made to any: counts and roundings are decided by
/// that, so that they stay what they are between two values whose difference is taken.
struct Extended {
  long double v = 0;
  double unshifted = 0;

  Extended() = default;
  Extended(double x) : v(x), unshifted(x) {}
  static Extended of(long double v, double unshifted) {
    Extended out;
    out.v = v;
    out.unshifted = unshifted;
    return out;
  }
  static Extended shift(long double by) { return of(by, 0); }

  friend Extended operator+(Extended a, Extended b) {
    return of(a.v + b.v, a.unshifted + b.unshifted);
  }
  friend Extended operator-(Extended a, Extended b) {
    return of(a.v - b.v, a.unshifted - b.unshifted);
  }
  friend Extended operator*(Extended a, Extended b) {
    return of(a.v * b.v, a.unshifted * b.unshifted);
  }
  friend Extended operator/(Extended a, Extended b) {
    return of(a.v / b.v, a.unshifted / b.unshifted);
  }
  friend Extended operator-(Extended a) { return of(-a.v, -a.unshifted); }
  friend Condition operator<(Extended a, Extended b) { return {a.v < b.v}; }
  friend Condition operator>(Extended a, Extended b) { return {a.v > b.v}; }
  friend Condition operator<=(Extended a, Extended b) { return {a.v <= b.v}; }
  friend Condition operator>=(Extended a, Extended b) { return {a.v >= b.v}; }
  friend Condition operator==(Extended a, Extended b) { return {a.v == b.v}; }
  friend Condition operator!=(Extended a, Extended b) { return {a.v != b.v}; }

  friend Extended sqrt(Extended a) { return of(std::sqrt(a.v), std::sqrt(a.unshifted)); }
  friend Extended cbrt(Extended a) { return of(std::cbrt(a.v), std::cbrt(a.unshifted)); }
  friend Extended sin(Extended a) { return of(std::sin(a.v), std::sin(a.unshifted)); }
  friend Extended cos(Extended a) { return of(std::cos(a.v), std::cos(a.unshifted)); }
  friend Extended exp(Extended a) { return of(std::exp(a.v), std::exp(a.unshifted)); }
  friend Extended log(Extended a) { return of(std::log(a.v), std::log(a.unshifted)); }
  friend Extended erf(Extended a) { return of(std::erf(a.v), std::erf(a.unshifted)); }
  friend Extended expm1(Extended a) { return of(std::expm1(a.v), std::expm1(a.unshifted)); }
  friend Extended abs(Extended a) { return of(std::abs(a.v), std::abs(a.unshifted)); }
  friend Extended ceil(Extended a) { return {std::ceil(a.unshifted)}; }
  friend Extended round_even(Extended a) {
    return of(std::nearbyint(a.v), std::nearbyint(a.unshifted));
  }
  friend Extended not_zero(Extended a) {
    return of(std::max(std::abs(a.v), 0x1p-127L), std::abs(a.unshifted));
  }
  friend Extended select(bool condition, Extended yes, Extended no) { return condition ? yes : no; }
  friend double value_of(Extended a) { return a.unshifted; }

  friend Extended value_at(const double* values, Extended offset, bool wanted) {
    return wanted ? Extended(values[static_cast<std::int64_t>(offset.v)]) : Extended();
  }
  template <class Work>
  friend void for_each_offset(Extended offset, Condition wanted, Work&& work) {
    if (wanted) work(static_cast<std::int64_t>(offset.v), wanted);
  }
};

using ExtendedPlan = BasicPlan<Extended>;

/// The plan of a settled experiment, `change` made to it before it is resolved.
template <class Change>
ExtendedPlan extended_plan(const Experiment& settled, Change&& change) {
  auto e = description::lifted<Extended>(settled);
  change(e);
  return make_plan(e, model::resolve(e));
}

/// Diffuse light of one pixel; `tables`: of the plan, none of whose changes made others.
inline long double diffuse_photons_of(const ExtendedPlan& plan, int fast, int slow) {
  if (!plan.diffuse.present) return 0;
  // |F|^2 as the table has it
  Plan of;
  of.lattice.grid = plan.lattice.grid;
  of.lattice.default_F = static_cast<double>(plan.lattice.default_F.v);
  of.diffuse.present = true;
  of.diffuse.stencil = plan.diffuse.stencil;
  of.diffuse.reach = plan.diffuse.reach;
  of.diffuse.reciprocal = plan.diffuse.reciprocal;
  of.diffuse.shell = plan.diffuse.shell;
  for_each_number_of_diffuse([](double& x) { x = 0; }, of.diffuse);
  static std::unique_ptr<const engine::DiffuseTables> made;  // it takes long
  if (!made || !made->are_of(of)) made = std::make_unique<const engine::DiffuseTables>(of);
  const engine::DiffuseTables& tables = *made;
  return engine::diffuse_photons(
             plan, plan.diffuse,
             {engine::GridView(&tables.F2()), tables.shells(), of.diffuse.shell}, plan.panels[0],
             Extended(double(fast)), Extended(double(slow)))
      .v;
}

/// Photons of one pixel, of one lattice; it interpolates where the plan says so, whatever a latch
/// would do.
inline long double photons_of_lattice(const ExtendedPlan& plan, int fast, int slow) {
  const engine::GridView grid(plan.lattice.grid.get());
  const Extended x = double(fast), y = double(slow);
  const long double diffuse = diffuse_photons_of(plan, fast, slow);
  return diffuse + physics::with_shape(plan.lattice.shape, [&]<class Shape>() {
           return plan.lattice.tricubic
                      ? engine::sum_pixels<Shape, true>(plan, plan.panels[0], grid, x, y,
                                                        engine::all_steps, engine::NoVisitor{})
                            .photons.v
                      : engine::sum_pixels<Shape, false>(plan, plan.panels[0], grid, x, y, 0,
                                                         engine::NoVisitor{})
                            .photons.v;
         });
}

/// The same of all lattices, and of what a beamstop leaves of them and of matter along the beam.
inline long double photons_of(const ExtendedPlan& plan, int fast, int slow) {
  long double sum = 0;
  if (plan.beamstop.present) {
    const auto& panel = plan.panels[0];
    const Extended x = double(fast), y = double(slow);
    ExtendedPlan at_sample = plan;
    at_sample.beamstop.present = false;
    at_sample.materials.clear();
    for (const auto& material : plan.materials) {
      if (material.start == Extended(0.0) && material.end == Extended(0.0))
        at_sample.materials.push_back(material);
      else
        sum += engine::shadowed_photons(plan, panel, view_of(material), x, y).v;
    }
    const Extended hidden = engine::hidden_share(plan.beamstop, panel, plan.oversample, fast, slow);
    const Extended left = Extended(1.0) - (Extended(1.0) - plan.beamstop.transmission) * hidden;
    return sum + left.v * photons_of(at_sample, fast, slow);
  }
  for (std::size_t number = 0; number <= plan.more_lattices.size(); ++number)
    sum += photons_of_lattice(engine::plan_of_lattice(plan, number), fast, slow);
  return sum;
}

}  // namespace nablabragg::test
