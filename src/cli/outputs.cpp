#include "cli/outputs.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <bit>  // for bit_cast
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "cli/files.hpp"
#include "cli/image_outputs.hpp"
#include "cli/panel_canvas.hpp"
#include "cli/say.hpp"
#include "io/atomic_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "readout/integer_image.hpp"
#include "readout/noise_rows.hpp"

namespace nablabragg::cli {

namespace {

/// Photons of a white pixel: what 99.9 % of the lit pixels stay below.  Positive floats are in the
/// order of their bits, so the upper halves are counted first and then the lower halves of those
/// that share the upper half sought: no second image is held.
double white_level(const Image& image) {
  constexpr std::size_t halves = std::size_t{1} << 16;
  std::vector<std::int64_t> counts(halves);
  const auto count = [&](auto&& half_of) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const float value : image.pixels)
      if (value > 0)
        if (const auto half = half_of(std::bit_cast<std::uint32_t>(value))) ++counts[*half];
  };
  /// Which half holds the value of this rank; `rank` becomes the one within it.
  const auto find = [&](std::int64_t& rank) {
    std::uint32_t half = 0;
    for (; rank >= counts[half]; ++half) rank -= counts[half];
    return half;
  };

  count([](std::uint32_t bits) { return std::optional(bits >> 16); });
  const std::int64_t lit = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (lit == 0) return 1;
  auto rank = static_cast<std::int64_t>(0.999 * static_cast<double>(lit - 1));
  const std::uint32_t upper = find(rank);
  count([upper](std::uint32_t bits) {
    return bits >> 16 == upper ? std::optional(bits & 0xffff) : std::nullopt;
  });
  return static_cast<double>(std::bit_cast<float>(upper << 16 | find(rank)));
}

std::vector<io::PngText> texts_of(const io::SmvProvenance& made) {
  if (made.program.empty()) return {};
  return {{"Software", made.program},
          {"Comment", made.command_line},
          {"Seed", std::to_string(made.seed)}};
}

/// Pixels that hold more than 16 bits.
void say_overloads(std::ostream& err, const std::string& file, std::int64_t overloads) {
  if (overloads > 0)
    say(err, fmt::format("{} pixel{} of {} would hold more than 65535 counts and hold{} 65535 "
                         "(overloads)",
                         overloads, overloads > 1 ? "s" : "", file, overloads > 1 ? "" : "s"));
}

/// Photons with noise, panel by panel; 0 outside the regions of interest.
std::vector<float> drawn_photons(const flags::Request& request, const Resolved& resolved,
                                 const Image& image) {
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

void write_picture(std::ostream& out, const flags::Request& request, const Resolved& resolved,
                   const io::SmvProvenance& made, const Image& image) {
  const double white = request.png_white > 0 ? request.png_white : white_level(image);
  const double top = request.png_bits == 16 ? 65535 : 255;
  const auto grey = [&](double photons) {
    const double share = std::clamp(photons / white, 0.0, 1.0);
    double level = share;
    if (request.png_scale == flags::PictureScale::sqrt) level = std::sqrt(share);
    // Three decades below white fade to black.
    if (request.png_scale == flags::PictureScale::log)
      level = std::log1p(1000 * share) / std::log1p(1000.0);
    if (request.png_inverted) level = 1 - level;
    return static_cast<std::uint16_t>(std::lround(top * level));
  };
  // A picture of noise shows counts instead of photons.
  std::vector<float> drawn;
  if (request.png_of_noise) drawn = drawn_photons(request, resolved, image);
  const std::vector<float>& shown = request.png_of_noise ? drawn : image.pixels;
  const PanelCanvas canvas(resolved, image);
  const std::vector<io::PngText> texts = texts_of(made);
  io::write_png(
      io::writable_name(request.png_file), canvas.width, canvas.height, request.png_bits,
      [&](int y, std::span<std::uint16_t> row) {
        for (int x = 0; x < canvas.width; ++x) {
          const std::ptrdiff_t pixel = canvas.pixel(x, y);
          row[static_cast<std::size_t>(x)] = grey(
              pixel < 0 ? 0 : static_cast<double>(shown[static_cast<std::size_t>(pixel)]));
        }
      },
      texts);
  fmt::print(out, "writing {} as {}-bit grey, white at {:g} photons\n",
             io::printable(request.png_file), request.png_bits, white);
}

}  // namespace

ComputeOptions compute_options(const flags::Request& request) {
  ComputeOptions options;
  options.threads = request.threads;
  options.engine = request.engine;
  options.precision = request.precision.value_or(options.precision);
  options.skip_below = request.skip_below;
  return options;
}

void check_outputs(const flags::Request& request) {
  check_image_outputs(request);
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
         !request.png_file.empty() || !request.output_files.empty();
}

void write_outputs(std::ostream& out, std::ostream& err, const flags::Request& request,
                   const Resolved& resolved, const io::SmvProvenance& made,
                   const Simulation& simulation, Profile* profile) {
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
      say_overloads(err, request.int_file.name, std::ranges::count_if(image.pixels, overloaded));
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
  if (wanted(request, request.noise_file)) {
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
    say_overloads(err, request.noise_file.name, total.overloads);
  }
  write_image_outputs(out, err, request, made, simulation, profile);
  if (!request.png_file.empty()) {
    const Stage stage(profile, request.png_of_noise ? "noise and write " : "write ",
                      request.png_file);
    write_picture(out, request, resolved, made, image);
  }
}

}  // namespace nablabragg::cli
