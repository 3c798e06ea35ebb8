// Image and statistics -> files, in nanoBragg's order and with its lines.
#pragma once
#include <ostream>
#include <string>
#include <vector>
#include "cli/profile.hpp"
#include "flags/request.hpp"
#include "io/smv_header.hpp"  // for SmvProvenance
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

/// Throws OutputError before any work is done when one of the files could not be written.
void check_outputs(const flags::Request& request);

/// Whether this run writes an image of any kind.
bool writes_images(const flags::Request& request);

/// What is worth a warning, brighter pixels than a file can hold, goes to `notices`.  `counted`:
/// the counts of the image, where they are known already; null: they are drawn where one is wanted.
void write_outputs(std::ostream& out, std::vector<std::string>& notices,
                   const flags::Request& request, const Resolved& resolved,
                   const io::SmvProvenance& made, const Simulation& simulation, Profile* profile,
                   const CountedImage* counted = nullptr);

}  // namespace nablabragg::cli
