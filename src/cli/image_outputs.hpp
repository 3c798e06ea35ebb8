// The files of -o: images with their geometry, in formats that their names tell.
#pragma once
#include <ostream>
#include <span>
#include <string>
#include <vector>
#include "cli/profile.hpp"
#include "flags/request.hpp"
#include "io/smv_header.hpp"  // for SmvProvenance
#include "nablabragg/image_files.hpp"
#include "nablabragg/settled.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::cli {

/// Throws UsageError, before any work is done, for a name whose ending is no format's and for what
/// a format cannot hold.
void check_image_outputs(const flags::Request& request);

/// What is worth a warning goes to `notices`; `counted` as write_outputs() takes it.
void write_image_outputs(std::ostream& out, std::vector<std::string>& notices,
                         const flags::Request& request, const io::SmvProvenance& made,
                         const Simulation& simulation, Profile* profile,
                         const CountedImage* counted);

/// The image of this run, in the frame that the formats have.
io::ImageSeries series_of(const flags::Request& request);

/// What an integrating detector adds to its counts, for the formats that state it.
void state_offset(io::ImageSeries& series, const flags::Request& request);

/// What programs will not find in the files of -o, a sentence each.
std::vector<std::string> format_notices(std::span<const std::string> names,
                                        const io::ImageSeries& series);

/// The counts of an image of this run, with the detector's response where there is one.
CountedImage counted_image(const flags::Request& request, const Image& image);

/// A sentence on pixels that hold their detector's saturation; empty: there are none.
std::string saturation_notice(const CountedImage& counted);

}  // namespace nablabragg::cli
