#include "cli/image_outputs.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cli/files.hpp"
#include "cli/outputs.hpp"
#include "flags/command_line.hpp"
#include "io/image_series.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/image_files.hpp"

namespace nablabragg::cli {

io::ImageSeries series_of(const flags::Request& request) {
  const SettledExperiment settled(request.experiment);
  io::ImageSeries series;
  series.geometry = in_imgcif_frame(geometry_of(settled));
  const double phi = series.geometry.scan ? series.geometry.scan->start_deg : 0;
  series.images = {{phi, 0}};
  series.counts = request.noise_file.on;
  state_offset(series, request);
  return series;
}

void state_offset(io::ImageSeries& series, const flags::Request& request) {
  if (request.responds) io::state_offset(series, request.response);
}

namespace {

/// The compression that was asked for, where the format has a choice.
void set_compression(const flags::Request& request, const io::FileFormat& format,
                     io::ImageSeries& series) {
  series.compression = format.compressions.empty() ? "" : request.compression;
}

/// The file of this run that holds pixels which a description can point to; empty: none.
std::string image_beside(const flags::Request& request) {
  for (const std::string& name : request.output_files)
    if (io::format_to_write(name).open) return name;
  return {};
}

/// Those of the lattice's light alone.
std::vector<PredictedSpot> reflections_of(const flags::Request& request, const Image& image) {
  if (!has_background(request.experiment)) return true_spots(request.experiment, image);
  const Experiment dry = without_background(request.experiment);
  return true_spots(dry, simulate(dry, compute_options(request)).image);
}

}  // namespace

void check_image_outputs(const flags::Request& request) {
  bool has_choice = false;
  std::optional<io::ImageSeries> series;
  for (const std::string& name : request.output_files) {
    const io::FileFormat& format = io::format_to_write(name);
    if (!series) series = series_of(request);
    has_choice |= !format.compressions.empty();
    set_compression(request, format, *series);
    if (const std::string why = format.why_not(*series); !why.empty())
      throw UsageError("-o " + name + ": " + why);
  }
  if (!request.compression.empty() && !has_choice)
    throw UsageError("-compression " + request.compression +
                     " is for a file of -o whose format has a choice, such as -o FILE.nxs, and "
                     "there is none");
}

void write_image_outputs(std::ostream& out, std::vector<std::string>& notices,
                         const flags::Request& request, const io::SmvProvenance& made,
                         const Simulation& simulation, Profile* profile,
                         const CountedImage* counted) {
  if (request.output_files.empty()) return;
  io::ImageSeries series = series_of(request);
  series.provenance = {made.program, made.command_line, made.seed,
                       to_json(request.experiment, request.stated_response()), io::date_now()};
  std::optional<CountedImage> drawn;
  for (const std::string& name : request.output_files) {
    const io::FileFormat& format = io::format_to_write(name);
    if (format.write_picture) continue;  // with that of -pngfile
    const Stage stage(profile, "write ", name);
    const std::string path = io::writable_name(name);
    if (!format.open) {
      if (format.write_experiment)
        format.write_experiment(path, series, image_beside(request));
      else
        format.write_true_spots(path, reflections_of(request, simulation.image), series);
      fmt::print(out, "writing {}\n", io::printable(name));
      continue;
    }
    set_compression(request, format, series);
    const auto file = format.open(path, series);
    if (series.counts) {
      if (!counted) counted = &drawn.emplace(counted_image(request, simulation.image));
      file->add(std::span<const std::int32_t>(counted->counts));
    } else {
      file->add(std::span<const float>(simulation.image.pixels));
    }
    file->close();
    if (const std::int64_t clipped = file->clipped(); clipped > 0)
      notices.push_back(io::clipped_notice(clipped, name));
    fmt::print(out, "writing {} as {} {}\n", io::printable(name), format.name,
               series.counts ? "counts" : "photons");
  }
  if (counted)
    if (std::string sentence = saturation_notice(*counted); !sentence.empty())
      notices.push_back(std::move(sentence));
}

std::vector<std::string> format_notices(std::span<const std::string> names,
                                        const io::ImageSeries& series) {
  std::vector<std::string> all;
  for (const std::string& name : names)
    for (const std::string& notice : io::format_to_write(name).notices(series))
      all.push_back(name + ": " + notice);
  return all;
}

CountedImage counted_image(const flags::Request& request, const Image& image) {
  return request.responds
             ? record_photons(request.experiment, image, request.response, *request.seed)
             : count_photons(request.experiment, image, *request.seed);
}

std::string saturation_notice(const CountedImage& counted) {
  if (counted.saturated == 0) return {};
  const bool several = counted.saturated > 1;
  return fmt::format(
      "{} pixel{} would hold more counts than the detector can and hold{} its saturation "
      "(overloads)",
      counted.saturated, several ? "s" : "", several ? "" : "s");
}

}  // namespace nablabragg::cli
