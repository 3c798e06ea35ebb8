// Light of several lattices, for any engine: that of one lattice at a time, and the sum.
#pragma once
#include <cstddef>
#include <memory>
#include "engine/engine.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// `plan.more_lattices` is not empty.
std::unique_ptr<Loaded> load_lattices(const Engine& engine, const Plan& plan,
                                      const ComputeOptions& options);

/// What of a plan one of its lattices scatters, by number, with all that falls on the pixels
/// besides in the first.  `Real` as BasicPlan has it.
template <class Real>
BasicPlan<Real> plan_of_lattice(const BasicPlan<Real>& plan, std::size_t number) {
  BasicPlan<Real> part;
  static_cast<BasicPlanNumbers<Real>&>(part) = plan;
  part.panels = plan.panels;
  part.light = plan.light;
  part.diffuse = plan.diffuse;
  if (number == 0) {
    part.lattice = plan.lattice;
    part.spread = plan.spread;
    part.materials = plan.materials;
    return part;
  }
  const BasicFurtherLattice<Real>& further = plan.more_lattices[number - 1];
  part.lattice = further.lattice;
  part.lattice.grid = plan.lattice.grid;
  part.lattice.by_energy = plan.lattice.by_energy;
  part.lattice.default_F = plan.lattice.default_F;
  part.spread = further.spread;
  part.scale = further.scale;
  part.background = {};
  return part;
}

}  // namespace nablabragg::engine
