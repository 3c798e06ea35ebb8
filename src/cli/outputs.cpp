#include "cli/outputs.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/files.hpp"
#include "cli/image_outputs.hpp"
#include "cli/stopping.hpp"
#include "flags/command_line.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/picture.hpp"
#include "nablabragg/pixel_truth.hpp"
#include "readout/integer_image.hpp"
#include "readout/noise_rows.hpp"

namespace nablabragg::cli {

namespace {

std::vector<io::PngText> texts_of(const io::SmvProvenance& made) {
  if (made.program.empty()) return {};
  return {{"Software", made.program},
          {"Comment", made.command_line},
          {"Seed", std::to_string(made.seed)}};
}

/// Pixels that hold more than 16 bits.
void note_overloads(std::vector<std::string>& notices, const std::string& file,
                    std::int64_t overloads) {
  if (overloads > 0)
    notices.push_back(
        fmt::format("{} pixel{} of {} would hold more than 65535 counts and hold{} 65535 "
                    "(overloads)",
                    overloads, overloads > 1 ? "s" : "", file, overloads > 1 ? "" : "s"));
}

/// The photons that the counts of a detector stand for; 0 where there are none.
std::vector<float> recorded_photons(const flags::Request& request, const Image& image) {
  const CountedImage recorded = counted_image(request, image);
  const bool integrates = request.response.kind == DetectorResponse::Kind::integrating;
  const double offset = integrates ? request.response.offset : 0;
  std::vector<float> photons(recorded.counts.size());
  for (std::size_t number = 0; number < image.panels(); ++number) {
    const PanelImage panel = image.panel(number);
    const double gain = detector_of(request.experiment, number).gain;
    const auto first = recorded.counts.begin() + static_cast<std::ptrdiff_t>(panel.first_pixel);
    std::transform(first, first + static_cast<std::ptrdiff_t>(panel.pixels.size()),
                   photons.begin() + static_cast<std::ptrdiff_t>(panel.first_pixel),
                   [&](std::int32_t count) {
                     return count < 0 ? 0.0F : static_cast<float>((count - offset) / gain);
                   });
  }
  return photons;
}

/// Photons with noise, panel by panel; 0 outside the regions of interest.
std::vector<float> drawn_photons(const flags::Request& request, const Resolved& resolved,
                                 const Image& image) {
  if (request.responds) return recorded_photons(request, image);
  readout::NoiseRows noise(request.experiment, resolved, image, *request.seed);
  std::vector<float> drawn(image.pixels.size());
  std::vector<double> row;
  for (std::size_t number = 0; number < image.panels(); ++number) {
    const PanelImage panel = image.panel(number);
    const auto width = static_cast<std::size_t>(panel.fast_pixels);
    row.resize(noise.pixels_of_a_row(number));
    for (int slow = 0; slow < panel.slow_pixels; ++slow) {
      if (!noise.visits(slow, number)) continue;
      noise.row(slow, row, number);
      const std::size_t first = panel.first_pixel + static_cast<std::size_t>(slow) * width +
                                static_cast<std::size_t>(noise.first_pixel(number));
      std::transform(row.begin(), row.end(), drawn.begin() + static_cast<std::ptrdiff_t>(first),
                     [](double photons) { return static_cast<float>(photons); });
    }
  }
  return drawn;
}

/// The counts of a detector in 16 bits.  Where nothing is counted there is the offset alone,
/// outside the region of interest 0.
void write_recorded(std::ostream& out, std::vector<std::string>& notices,
                    const flags::Request& request, const Image& image, const std::string& header) {
  const CountedImage recorded = counted_image(request, image);
  // That of an integrating detector is in its counts.
  const bool integrates = request.response.kind == DetectorResponse::Kind::integrating;
  const double added = integrates ? 0 : request.adc;
  std::int64_t overloads = 0;
  double sum = 0;
  const auto width = static_cast<std::size_t>(image.fast_pixels);
  io::write_smv(
      io::writable_name(request.noise_file.name), header, image.fast_pixels, image.slow_pixels,
      [&](int slow, std::span<std::uint16_t> row) {
        const auto* counts = recorded.counts.data() + static_cast<std::size_t>(slow) * width;
        for (std::size_t i = 0; i < width; ++i) {
          const std::int32_t count = counts[i];
          if (count == masked_pixel) {
            row[i] = 0;
            continue;
          }
          const double value = count == gap_pixel ? request.adc : count + added;
          if (count != gap_pixel) sum += count;
          if (value > 65535) ++overloads;
          row[i] = static_cast<std::uint16_t>(std::clamp(value, 0.0, 65535.0));
        }
      },
      io::RowOrder::in_turn);
  fmt::print(out, "{:.0f} counts on noise image ({} overloads)\n", sum, overloads);
  fmt::print(out, "writing {} as 2-byte integers\n", io::printable(request.noise_file.name));
  note_overloads(notices, request.noise_file.name, overloads);
  if (const std::string sentence = saturation_notice(recorded);
      !sentence.empty() && request.output_files.empty())
    notices.push_back(sentence);
}

void write_picture(std::ostream& out, const flags::Request& request, const Resolved& resolved,
                   const io::SmvProvenance& made, const Image& image, const std::string& name,
                   decltype(io::FileFormat::write_picture) write) {
  // A picture of noise shows counts instead of photons, as bright as those.
  std::vector<float> drawn;
  if (request.png_of_noise) drawn = drawn_photons(request, resolved, image);
  PictureStyle style = request.picture;
  if (request.png_of_noise) {
    if (style.white_photons == 0) style.white_photons = white_photons_of(image.pixels);
    style.unit = "counted photons";
  }
  const Picture picture(resolved, request.png_of_noise ? drawn : image.pixels, style);
  write(
      io::writable_name(name), picture.width(), picture.height(), style.bits,
      [&](int y, std::span<std::uint16_t> row) { picture.fill_row(y, row); }, texts_of(made),
      picture.channels());
  fmt::print(out, "writing {} as {}-bit {}, white at {:g} photons\n", io::printable(name),
             style.bits, style.is_grey() ? "grey" : "colours", picture.white_photons());
  for (const double d_A : picture.unseen_rings_A())
    fmt::print(out, "no part of the ring of {:g} Angstrom is on the detector\n", d_A);
}

void write_truth(std::ostream& out, std::vector<std::string>& notices,
                 const flags::Request& request, Profile* profile) {
  const Stage stage(profile, "tell apart and write ", request.truth_file);
  ComputeOptions options = compute_options(request);
  options.progress = [](double) { return !interrupted(); };
  const PixelTruth truth = pixel_truth(request.experiment, options);
  io::write_pixel_truth(io::writable_name(request.truth_file), truth);
  fmt::print(out, "writing {} as HDF5 of the light's {} parts\n", io::printable(request.truth_file),
             truth.parts.size());
  if (truth.hkl.empty())
    notices.push_back(io::printable(request.truth_file) +
                      " tells no reflections: F is interpolated between them");
}

}  // namespace

void check_outputs(const flags::Request& request) {
  check_image_outputs(request);
  check_picture(request.experiment, request.picture);
  if (!request.experiment.more_panels.empty())
    for (const flags::OutputName* file :
         {&request.int_file, &request.pgm_file, &request.noise_file})
      if (wanted(request, *file))
        throw UsageError("'" + file->name + "' would hold one panel of " +
                         std::to_string(request.experiment.more_panels.size() + 1) +
                         "; -o FILE.nxs, FILE.cbf or -pngfile FILE.png hold all");
  for (const io::NamedFile& file : outputs_of(request)) {
    // The cache that nobody named may stay unwritten
    if (file.path == request.cache_file && !request.cache_named) continue;
    io::check_writable(io::writable_name(file.path));
  }
}

bool writes_images(const flags::Request& request) {
  return wanted(request, request.float_file) || wanted(request, request.int_file) ||
         wanted(request, request.pgm_file) || wanted(request, request.noise_file) ||
         !request.png_file.empty() || !request.truth_file.empty() || !request.output_files.empty();
}

void write_outputs(std::ostream& out, std::vector<std::string>& notices,
                   const flags::Request& request, const Resolved& resolved,
                   const io::SmvProvenance& made, const Simulation& simulation, Profile* profile,
                   const CountedImage* counted) {
  const Image& image = simulation.image;
  const Statistics& statistics = simulation.statistics;
  const RegionOfInterest& roi = resolved.roi;
  const int width = image.fast_pixels, height = image.slow_pixels;

  // A row of integers: zero outside the region of interest
  const auto rows = [&]<class Pixel>(auto&& convert) -> io::FillRow<Pixel> {
    return [&image, &roi, convert](int slow, std::span<Pixel> row) {
      const bool visited = slow >= roi.slow_min && slow <= roi.slow_max;
      const auto begin = static_cast<std::size_t>(visited ? roi.fast_min : 0),
                 end = static_cast<std::size_t>(visited ? roi.fast_max + 1 : 0);
      std::fill_n(row.begin(), begin, Pixel{0});
      std::fill(row.begin() + static_cast<std::ptrdiff_t>(end), row.end(), Pixel{0});
      convert(image.row(slow).subspan(begin, end - begin), row.subspan(begin, end - begin));
    };
  };

  if (wanted(request, request.float_file)) {
    const Stage stage(profile, "write ", request.float_file.name);
    io::write_float_image(io::writable_name(request.float_file.name), image);
    fmt::print(out, "writing {} as {} 4-byte floats\n", io::printable(request.float_file.name),
               image.pixels.size());
  }
  fmt::print(out, "max_I = {:g}  at {:g} {:g}", statistics.max, statistics.max_fast_m,
             statistics.max_slow_m);
  if (statistics.max_fast >= 0)
    fmt::print(out, "  (pixel fast {} slow {}{})", statistics.max_fast, statistics.max_slow,
               image.panels() > 1 ? fmt::format(" of panel {}", statistics.max_panel) : "");
  fmt::print(out, "\nmean= {:g} rms= {:g} rmsd= {:g}\n", statistics.mean, statistics.rms,
             statistics.rmsd);

  const double int_scale = readout::integer_scale(request.int_scale, statistics.max);
  const std::string header = io::smv_header(request.experiment, resolved, made);
  if (wanted(request, request.int_file)) {
    const Stage stage(profile, "write ", request.int_file.name);
    fmt::print(out, "intfile_scale = {:g}\n", int_scale);
    io::write_smv(io::writable_name(request.int_file.name), header, width, height,
                  rows.template operator()<std::uint16_t>(
                      [int_scale, adc = request.adc](std::span<const float> values,
                                                     std::span<std::uint16_t> integers) {
                        readout::to_integers(values, int_scale, adc, integers);
                      }),
                  io::RowOrder::any);
    fmt::print(out, "writing {} as 2-byte integers\n", io::printable(request.int_file.name));
    const auto overloaded = [&](float photons) {
      return static_cast<double>(photons) * int_scale + request.adc >= 65535.5;
    };
    if (overloaded(static_cast<float>(statistics.max)))
      note_overloads(notices, request.int_file.name,
                     std::ranges::count_if(image.pixels, overloaded));
  }
  if (wanted(request, request.pgm_file)) {
    const Stage stage(profile, "write ", request.pgm_file.name);
    const double scale = readout::greymap_scale(request.pgm_scale, statistics.rmsd, int_scale);
    fmt::print(out, "pgm_scale = {:g}\n", scale);
    io::write_pgm(io::writable_name(request.pgm_file.name), width, height, scale,
                  rows.template operator()<std::uint8_t>(
                      [scale](std::span<const float> values, std::span<std::uint8_t> greys) {
                        readout::to_greys(values, scale, greys);
                      }),
                  io::RowOrder::any);
    fmt::print(out, "writing {} as 1-byte integers\n", io::printable(request.pgm_file.name));
  }
  if (wanted(request, request.noise_file) && request.responds) {
    const Stage stage(profile, "record and write ", request.noise_file.name);
    write_recorded(out, notices, request, image, header);
  } else if (wanted(request, request.noise_file)) {
    // Rows are drawn while the file is written.
    const Stage stage(profile, "noise and write ", request.noise_file.name);
    readout::NoiseRows noise(request.experiment, resolved, image, *request.seed);
    // One running sum where there is one stream: of very many photons the last digits depend on
    // the order.
    struct Tally {
      double photons = 0;
      std::int64_t overloads = 0;
    };
    std::vector<Tally> tallies(noise.in_turn() ? 1 : static_cast<std::size_t>(height));
    io::write_smv(
        io::writable_name(request.noise_file.name), header, width, height,
        [&](int slow, std::span<std::uint16_t> row) {
          if (!noise.visits(slow)) {
            std::fill(row.begin(), row.end(), std::uint16_t{0});
            return;
          }
          const auto first = static_cast<std::size_t>(noise.first_pixel());
          const std::size_t pixels = noise.pixels_of_a_row();
          std::fill_n(row.begin(), first, std::uint16_t{0});
          std::fill(row.begin() + static_cast<std::ptrdiff_t>(first + pixels), row.end(),
                    std::uint16_t{0});
          const auto memory = std::make_unique_for_overwrite<double[]>(pixels);
          const std::span<double> photons(memory.get(), pixels);
          noise.row(slow, photons);
          Tally& tally = tallies[noise.in_turn() ? 0 : static_cast<std::size_t>(slow)];
          if (noise.in_turn())
            for (const double count : photons) tally.photons += count;
          else
            tally.photons = readout::sum_of(photons);
          tally.overloads += readout::to_counts(photons, request.adc, row.subspan(first));
        },
        noise.in_turn() ? io::RowOrder::in_turn : io::RowOrder::any);
    Tally total;
    for (const Tally& tally : tallies) {
      total.photons += tally.photons;
      total.overloads += tally.overloads;
    }
    fmt::print(out, "{:.0f} photons on noise image ({} overloads)\n", total.photons,
               total.overloads);
    fmt::print(out, "writing {} as 2-byte integers\n", io::printable(request.noise_file.name));
    note_overloads(notices, request.noise_file.name, total.overloads);
  }
  write_image_outputs(out, notices, request, made, simulation, profile, counted);
  const auto draw = [&](const std::string& name, decltype(io::FileFormat::write_picture) write) {
    const Stage stage(profile, request.png_of_noise ? "noise and write " : "write ", name);
    write_picture(out, request, resolved, made, image, name, write);
  };
  for (const std::string& name : request.output_files)
    if (const auto write = io::format_to_write(name).write_picture) draw(name, write);
  if (!request.png_file.empty()) draw(request.png_file, io::write_png);
  if (!request.truth_file.empty()) write_truth(out, notices, request, profile);
}

}  // namespace nablabragg::cli
