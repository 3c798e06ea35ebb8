// Structure factors as unknowns: hundreds of them, so the gradient by the adjoint and L-BFGS.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"
#include "refine/pixel_fit.hpp"

namespace nablabragg::refinement {

/// The reflections that put RefineOptions::least_photons or more into the boxes, where they start.
/// The experiment has a table of them.
std::vector<RefinedFactor> choose_factors(const PixelData& data, std::span<const double> values,
                                          std::span<const Shoebox> boxes);

enum class FactorLeg : std::uint8_t { goes_on, ended, stopped };

/// A few steps from the state, whose last stage is that of structure factors and whose `factors`
/// are those of data.free's table; changes its values, backgrounds and factors at the end of them,
/// and those of the boxes.  F stays positive and is restrained to where it starts.  What L-BFGS
/// remembers of earlier steps is forgotten between legs, so that a leg depends on the state alone.
FactorLeg fit_structure_factors(const PixelData& data, RefineState& state,
                                std::vector<Shoebox>& boxes, const Iterated& iterated);

/// The table with the refined factors in it.
std::shared_ptr<const StructureFactorGrid> with_factors(const StructureFactorGrid& grid,
                                                        std::span<const RefinedFactor> factors);

}  // namespace nablabragg::refinement
