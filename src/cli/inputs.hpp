// The files behind a request: matrix, structure factors, sources.
#pragma once
#include "cli/request.hpp"

namespace nablabragg::cli {

/// Completes request.experiment.  Throws UsageError, InputError.
void load_inputs(Request& request);

}  // namespace nablabragg::cli
