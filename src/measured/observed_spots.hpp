// Spots of an image that DIALS has found and indexed.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/refine.hpp"

namespace nablabragg::measured {

/// Those of one experiment (id) of a .refl, of which an experiment of several images has those of
/// image `number`, from 1.  Spots of no reflection are those of every experiment.  Throws
/// InputError for a file that has none, or no positions.
std::vector<ObservedSpot> read_observed_spots(const std::string& path, int experiment, int number);

}  // namespace nablabragg::measured
