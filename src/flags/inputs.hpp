// The files behind a request: matrix, structure factors, sources.
#pragma once
#include "flags/request.hpp"

namespace nablabragg::flags {

/// Completes request.experiment.  Throws UsageError, InputError.
void load_inputs(Request& request);

/// Writes the cache that a run with -hkl leaves; a failure is only a warning.
void write_cache(const Request& request, std::vector<std::string>& warnings);

}  // namespace nablabragg::flags
