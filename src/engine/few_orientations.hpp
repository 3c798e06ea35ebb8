// Few orientations whose diffuse light is that of many.
//
// Halos are wide, and many orientations move them by little: what their light depends on is the
// mean of the displacements and, in the second order, their covariance.  Domains whose rotations
// are w_i about their mean are replaced by r + 1 points at the corners of a regular simplex, which
// has both (r: along how many axes they turn at all); the error is of the third order.  Each point
// is a sum of the orientations themselves with fixed factors, so that it follows them where the
// crystal turns, its cell changes or the domains spread further.
#pragma once
#include <cstddef>
#include <span>
#include <vector>
#include "nablabragg/vec3.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

class FewOrientations {
 public:
  FewOrientations() = default;
  /// Groups of neighbours, as large as the error that `d` allows: that of a halo of the first order
  /// anywhere at the farthest |q|, over its peak, is worked out for every group.
  FewOrientations(std::span<const Mat3d> all, const PlanDiffuse& d);

  /// Whether there are fewer than those that they stand for; if not, what follows is not for use.
  bool fewer() const { return !weights_.empty(); }
  /// How many orientations each stands for.
  std::span<const double> weights() const { return weights_; }
  /// From the orientations, or their changes.
  std::vector<Mat3d> of(std::span<const Mat3d> all) const;
  /// From their adjoints to those of all, added.
  void pull_back(std::span<const Mat3d> few, std::span<Mat3d> all) const;

 private:
  struct Share {
    std::size_t few, whole;
    double factor;
  };
  std::vector<Share> shares_;
  std::vector<double> weights_;
};

}  // namespace nablabragg::engine
