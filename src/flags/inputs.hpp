// The files behind a request: matrix, structure factors, sources.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include "flags/request.hpp"

namespace nablabragg::flags {

/// Completes request.experiment.  Throws UsageError, InputError.
void load_inputs(Request& request);

/// Of the detector's response, for the panels of request.experiment; load_inputs() does it, too.
void load_detector_maps(Request& request);

/// The seed of -orientations random:SEED; empty: it names a file.  Throws UsageError.
std::optional<std::int64_t> random_orientations_seed(const Request& request);

/// Writes the cache that a run with -hkl leaves; a failure is only a warning.
void write_cache(const Request& request, std::vector<std::string>& warnings);

}  // namespace nablabragg::flags
