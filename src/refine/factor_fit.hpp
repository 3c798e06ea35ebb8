// Structure factors as unknowns: hundreds of them, so the gradient by the adjoint and L-BFGS.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>
#include "nablabragg/refine.hpp"
#include "refine/pixel_fit.hpp"

namespace nablabragg::refinement {

/// Changes the values, the boxes' backgrounds and F(h,k,l) of the reflections that put
/// RefineOptions::least_photons or more into the boxes; F stays positive and is restrained to where
/// it starts.  The experiment has a table of them.
StageReport fit_structure_factors(
    const PixelData& data, std::vector<double>& values, std::vector<Shoebox>& boxes,
    std::vector<RefinedFactor>& factors,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated);

/// The table with the refined factors in it.
std::shared_ptr<const StructureFactorGrid> with_factors(const StructureFactorGrid& grid,
                                                        std::span<const RefinedFactor> factors);

}  // namespace nablabragg::refinement
