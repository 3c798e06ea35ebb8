#include "cli/image_outputs.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "cli/files.hpp"
#include "cli/outputs.hpp"
#include "cli/say.hpp"
#include "io/expt.hpp"
#include "io/poni.hpp"
#include "io/quotes.hpp"
#include "io/refl.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/image_files.hpp"

namespace nablabragg::cli {

namespace {

/// What describes the images of a run and holds no pixels.
bool is_description(std::string_view name) {
  return name.ends_with(".expt") || name.ends_with(".refl") || name.ends_with(".poni");
}

/// The image of this run, in the frame that the formats have.
io::ImageSeries series_of(const flags::Request& request) {
  const SettledExperiment settled(request.experiment);
  io::ImageSeries series;
  series.geometry = in_imgcif_frame(geometry_of(settled));
  const double phi = series.geometry.scan ? series.geometry.scan->start_deg : 0;
  series.images = {{phi, 0}};
  series.counts = request.noise_file.on;
  return series;
}

/// The file of this run that holds pixels which a description can point to; empty: none.
std::string image_beside(const flags::Request& request) {
  for (const std::string& name : request.output_files)
    if (!is_description(name)) return name;
  return {};
}

/// Those of the lattice's light alone.
std::vector<PredictedSpot> reflections_of(const flags::Request& request, const Image& image) {
  if (request.experiment.water_um == 0) return true_spots(request.experiment, image);
  Experiment dry = request.experiment;
  dry.water_um = 0;
  return true_spots(dry, simulate(dry, compute_options(request)).image);
}

void write_description(const std::string& name, const flags::Request& request,
                       const io::ImageSeries& series, const Image& image) {
  const std::string path = io::writable_name(name);
  if (name.ends_with(".poni"))
    io::write_poni(path, series.geometry);
  else if (name.ends_with(".refl"))
    io::write_refl(path, reflections_of(request, image), series);
  else
    io::write_expt(path, series, image_beside(request));
}

}  // namespace

void check_image_outputs(const flags::Request& request) {
  if (request.output_files.empty()) return;
  const io::ImageSeries series = series_of(request);
  for (const std::string& name : request.output_files) {
    if (is_description(name)) continue;
    const io::ImageFormat& format = io::image_format_of(name);
    if (const std::string why = format.why_not(series); !why.empty())
      throw UsageError("-o " + name + ": " + why);
  }
}

void write_image_outputs(std::ostream& out, std::ostream& err, const flags::Request& request,
                         const io::SmvProvenance& made, const Simulation& simulation,
                         Profile* profile) {
  if (request.output_files.empty()) return;
  io::ImageSeries series = series_of(request);
  series.provenance = {made.program, made.command_line, made.seed, to_json(request.experiment),
                       io::date_now()};
  std::optional<CountedImage> counted;
  for (const std::string& name : request.output_files) {
    const Stage stage(profile, "write ", name);
    if (is_description(name)) {
      write_description(name, request, series, simulation.image);
      fmt::print(out, "writing {}\n", io::printable(name));
      continue;
    }
    const io::ImageFormat& format = io::image_format_of(name);
    const auto file = format.open(io::writable_name(name), series);
    if (series.counts) {
      if (!counted) counted = count_photons(request.experiment, simulation.image, *request.seed);
      file->add(std::span<const std::int32_t>(counted->counts));
    } else {
      file->add(std::span<const float>(simulation.image.pixels));
    }
    file->close();
    if (format.notices)
      for (const std::string& notice : format.notices(series)) say(err, name + ": " + notice);
    if (const std::int64_t clipped = file->clipped(); clipped > 0)
      say(err, fmt::format("{} pixel{} of {} would hold more than the format can and hold{} the "
                           "most that it can (overloads)",
                           clipped, clipped > 1 ? "s" : "", name, clipped > 1 ? "" : "s"));
    fmt::print(out, "writing {} as {} {}\n", io::printable(name), format.name,
               series.counts ? "counts" : "photons");
  }
  if (counted && counted->saturated > 0)
    say(err, fmt::format("{} pixel{} would hold more counts than the detector can and hold{} its "
                         "saturation (overloads)",
                         counted->saturated, counted->saturated > 1 ? "s" : "",
                         counted->saturated > 1 ? "" : "s"));
}

}  // namespace nablabragg::cli
