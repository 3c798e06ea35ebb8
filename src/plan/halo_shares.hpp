// How much of a halo lies near its lattice point.
#pragma once
#include <array>
#include <cstddef>
#include <vector>
#include "physics/spot_metric.hpp"

namespace nablabragg {

/// The integral of 1/(n^2 + x)^2 n over a box of indices about a lattice point, and its slopes by
/// the six numbers of the form x, in their order.
struct HaloShare {
  double value;
  std::array<double, 6> slopes;
};

/// For the orders n = 1, 2... of a halo, |index| <= half along each axis; good to 1e-7 where
/// gamma over the cell's edge differs by less than 10 between axes.
std::vector<HaloShare> halo_shares(const physics::SpotMetric<double>& x, double half,
                                   std::size_t orders);

}  // namespace nablabragg
