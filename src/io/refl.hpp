// Reflections as DIALS keeps them: a .refl, columns in MessagePack.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/image_files.hpp"      // for ImageSeries
#include "nablabragg/predicted_spots.hpp"  // for PredictedSpot
#include "nablabragg/reflection.hpp"       // for MillerIndex

namespace nablabragg::io {

FileFormat refl_format();

/// A reflection of a file.  What the file has no column of is 0.
struct MeasuredSpot {
  MillerIndex hkl{};
  int experiment = 0, panel = 0;
  double fast_px = 0, slow_px = 0, frame = 0;
  double intensity = 0;
  std::uint64_t flags = 0;
};

/// Whether a file that begins so is a reflection table of DIALS.
bool begins_as_refl(std::string_view head);

/// Throws InputError for what is no table, and for one with neither indices nor positions.
std::vector<MeasuredSpot> read_refl(const std::string& path);

/// True reflections of the series, whose experiments are those of write_expt().  Throws UsageError
/// for a panel or experiment that there is not, OutputError.
void write_refl(const std::string& path, std::span<const PredictedSpot> spots,
                const ImageSeries& series);

}  // namespace nablabragg::io
