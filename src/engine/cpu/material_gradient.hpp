// The derivatives of the light of matter in the beam: no engine's lattice knows of it, so that all
// engines share them.
#pragma once
#include <span>
#include "engine/engine.hpp"

namespace nablabragg::engine {

/// Adds to the gradient of the lattice's light; nothing where the plan has no materials.
void add_materials(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                   const ComputeOptions& options, PlanGradient& to);

/// Adds to photons and slopes, as Loaded::push_forward() has them.
void add_materials(const Plan& plan, const Pixels& pixels, std::span<const Plan* const> tangents,
                   const ComputeOptions& options, std::span<double> photons,
                   std::span<double> slopes);

/// The same of plans whose materials are all before a beamstop.
void add_shadowed_materials(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                            const ComputeOptions& options, PlanGradient& to);
void add_shadowed_materials(const Plan& plan, const Pixels& pixels,
                            std::span<const Plan* const> tangents, const ComputeOptions& options,
                            std::span<double> photons, std::span<double> slopes);

}  // namespace nablabragg::engine
