// Light between the spots, added to what an engine makes of the spots: once for all engines.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "engine/diffuse_tables.hpp"
#include "engine/few_orientations.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions
#include "plan/plan.hpp"

namespace nablabragg::engine {

class HaloTable;
struct Pixels;
struct PlanGradient;

/// Diffuse scattering of a plan: its numbers, and the tables made of them.
class Diffuse {
 public:
  /// Takes them over from a plan that has some, and leaves one of the spots alone, weakened where
  /// the displacements weaken them.  Tables that would be the same are kept.
  void take_from(Plan& plan);
  bool present() const { return numbers_.present; }
  const PlanDiffuse& numbers() const { return numbers_; }
  const DiffuseTables& tables() const { return *tables_; }

  /// `plan`: of the spots, on the lattice that scatters.
  template <class Number>
  void add_photons(const Plan& plan, const Pixels& pixels, const ComputeOptions& options,
                   std::span<Number> values) const;
  /// To the gradient of the spots, which becomes that of the plan that take_from() was given.
  void pull_back(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                 const ComputeOptions& options, PlanGradient& to) const;
  /// Adds to photons and slopes.
  void push_forward(const Plan& plan, const Pixels& pixels, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, const ComputeOptions& options,
                    std::span<double> photons, std::span<double> slopes) const;
  /// Photons of one pixel.
  double photons(const Plan& plan, const PixelIndex& pixel) const;
  /// What stands for the light of all pixels and orientations, as part of a sentence; empty: all
  /// do.
  std::string how(const Plan& plan) const;
  /// Of the steps of an image, those that are summed.
  double share_of_steps(const Plan& plan) const;

 private:
  class Summed;

  PlanDiffuse numbers_;
  std::shared_ptr<const DiffuseTables> tables_;
  std::shared_ptr<const HaloTable> halos_;        ///< null: there is none that is good enough
  std::shared_ptr<const std::vector<float>> F2_;  ///< of tables_, where single precision will do
  FewOrientations few_;
  std::vector<int> steps_;  ///< from node to node, of each panel; empty: all pixels are summed
};

/// The same plan with its spots alone, and its diffuse scattering.
struct SplitPlan {
  Plan spots;
  Diffuse diffuse;
  explicit SplitPlan(const Plan& plan);
};

}  // namespace nablabragg::engine
