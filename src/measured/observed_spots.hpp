// Spots of an image that DIALS has found and indexed.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "nablabragg/refine.hpp"

namespace nablabragg::measured {

/// Of each image the spots that are of it in a .refl.  Images of a scan are those from `number` on,
/// from 1, of one experiment (id); stills are an experiment each, from `experiment` on.  Several
/// crystals in the beam are an experiment each, one after the other.  Spots of no reflection are
/// those of every experiment.  Throws InputError for a file that has none of an
/// image, or no positions.
std::vector<ObservedSpot> read_observed_spots(const std::string& path, int experiment, int number,
                                              std::span<const Experiment> images);

}  // namespace nablabragg::measured
