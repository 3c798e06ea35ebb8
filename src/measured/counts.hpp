// What the counts of an image say before a model is fitted to them.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "measured/measured_image.hpp"
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"

namespace nablabragg::measured {

struct OffsetEstimate {
  double counts = 0, deviation = 0;
};

/// What a pixel without photons counts: where light varies as photons do, its variance less that of
/// the read-out is the gain times what the mean is above the offset.  From pixels that stand next
/// to each other in flat places of the model's region and mask; empty where there are too few.
std::optional<OffsetEstimate> estimate_offset(const Measurement& measurement,
                                              const SettledExperiment& model);

/// Settles what the file has left open, in the measurement itself, and says so, a sentence each:
/// the offset is estimated, counts that mark pixels without a measurement are left out and counted,
/// and the count at which a detector seems to end is its overload.  Throws InputError where the
/// offset is not stated and cannot be estimated, and where half the pixels count less than it.
std::vector<std::string> settle_counts(Reading& reading, const std::string& name,
                                       const SettledExperiment& model);

}  // namespace nablabragg::measured
