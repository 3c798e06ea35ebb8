// Plans that are summed in closed form (Plan::spread), in the hands of either engine.
#pragma once
#include <memory>
#include "engine/engine.hpp"

namespace nablabragg::engine {

std::unique_ptr<Loaded> load_closed(const Plan& plan, const ComputeOptions& options,
                                    Precision precision);

}  // namespace nablabragg::engine
