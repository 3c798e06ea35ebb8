// A beamstop in the light of any engine.
#pragma once
#include <cstddef>
#include <memory>
#include "engine/engine.hpp"
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// `plan.beamstop` is present: what is loaded is the plan without it, whose light is dimmed.  That
/// of matter along the beam, whose shadow is another one from each of its points, is added.
std::unique_ptr<Loaded> load_behind_beamstop(const Engine& engine, const Plan& plan,
                                             const ComputeOptions& options);

/// What is left of the sample's light to a pixel: 1 where there is no beamstop in its way.
double share_behind_beamstop(const Plan& plan, const PixelIndex& pixel);

/// Photons of one of the plan's materials in a pixel, as the beamstop, if any, leaves them.
double photons_of_material(const Plan& plan, std::size_t material, const PixelIndex& pixel);

}  // namespace nablabragg::engine
