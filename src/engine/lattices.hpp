// Light of several lattices, for any engine: that of one lattice at a time, and the sum.
#pragma once
#include <memory>
#include "engine/engine.hpp"

namespace nablabragg::engine {

/// `plan.more_lattices` is not empty.
std::unique_ptr<Loaded> load_lattices(const Engine& engine, const Plan& plan,
                                      const ComputeOptions& options);

/// What of a plan one of its lattices scatters, by number, with all that falls on the pixels
/// besides in the first.
Plan plan_of_lattice(const Plan& plan, std::size_t number);

}  // namespace nablabragg::engine
