// Rays of several F, for any engine: those of one F at a time, and the sum.
#pragma once
#include <memory>
#include "engine/engine.hpp"

namespace nablabragg::engine {

/// `plan.lattice.by_energy` is there.
std::unique_ptr<Loaded> load_by_energy(const Engine& engine, const Plan& plan,
                                       const ComputeOptions& options);

}  // namespace nablabragg::engine
