// What diffuse scattering makes of the table of structure factors.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>
#include "nablabragg/structure_factors.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// F of the spots and |F|^2 of the halos, from the table that the user gave.
class DiffuseTables {
 public:
  /// Of a plan with diffuse scattering.
  explicit DiffuseTables(const Plan& plan);
  /// Whether the plan makes the same.
  bool are_of(const Plan& plan) const;

  /// With the factor exp(-W/2) of each lattice point where the displacements weaken the spots, on a
  /// box that holds all that a panel sees; null: as the user gave them.
  const std::shared_ptr<const StructureFactorGrid>& spots() const { return spots_; }
  /// Without the displacements, on all lattice points that a stencil may ask for [electrons^2].
  const StructureFactorGrid& F2() const { return F2_; }
  /// Means of F2 over shells of |q|.
  const std::vector<double>& shells() const { return shells_; }

  // ---- The way back

  /// Adds to those of F2 what follows from the adjoints of the means.
  void pull_back_shells(const std::vector<double>& adjoints, StructureFactorGrid& F2) const;
  /// From the adjoints of F2 to those of the user's table (null: there is none), of default_F and
  /// of the plan.
  void pull_back_F2(const StructureFactorGrid& F2, StructureFactorGrid* table, Plan& to) const;
  /// From those of spots() likewise, which `table` holds and is replaced.
  void pull_back_spots(std::shared_ptr<StructureFactorGrid>& table, Plan& to) const;

  /// The changes of F2 along a tangent of the plan, and of the user's table where it is not null;
  /// null: there are none.
  std::unique_ptr<StructureFactorGrid> push_forward_F2(const Plan& tangent,
                                                       const StructureFactorGrid* table) const;
  /// Those of spots() likewise.
  std::unique_ptr<StructureFactorGrid> push_forward_spots(const Plan& tangent,
                                                          const StructureFactorGrid* table) const;
  /// Of the means, from those of F2.
  std::vector<double> push_forward_shells(const StructureFactorGrid& F2) const;

 private:
  template <class Work>
  void for_each_shell_entry(Work&& work) const;
  double user_F(int h, int k, int l) const;
  bool is_users(int h, int k, int l) const { return grid_ && grid_->contains(h, k, l); }
  double W(int h, int k, int l) const;

  std::shared_ptr<const StructureFactorGrid> grid_;  ///< the user's; may be empty
  double default_F_;
  PlanDiffuse of_;
  std::shared_ptr<const StructureFactorGrid> spots_;
  StructureFactorGrid F2_;
  std::vector<double> shells_;
  std::vector<std::int32_t> counts_;
};

}  // namespace nablabragg::engine
