// nablabragg show: an image of a file, as a PNG picture or in the terminal.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>  // for join
#include <sys/ioctl.h>   // for the size of the terminal
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/options.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "cli/terminal_picture.hpp"
#include "io/input_bytes.hpp"
#include "io/input_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/picture.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

struct ShowRequest {
  std::string file, output;
  int number = 1;
  std::vector<int> size;
  std::string terminal = "blocks", as_one = "max";
  std::optional<int> columns, shrink;
  bool bare = false;
  PictureStyle style;
};

/// Empty: help was asked for, and printed.
std::optional<ShowRequest> parse(const std::vector<std::string>& arguments, std::ostream& out) {
  ShowRequest r;
  std::string scale = "sqrt", colors = "heat";
  CLI::App app(
      "Draws an image: CBF, NXmx (HDF5), SMV, TIFF, or raw float32 with --size; in the terminal, "
      "or "
      "with -o as a PNG picture.",
      "nablabragg show");
  app.add_option("FILE", r.file, "image");
  app.add_option("-o", r.output, "FILE.png: a picture with axes, a beam mark and a bar");
  app.add_option("--image-number", r.number, "which image of a file of several (1)")
      ->check(CLI::Range(1, 1000000000));
  app.add_option("--size", r.size, "FAST SLOW: pixels of a raw float32 image, which does not say")
      ->expected(2)
      ->check(CLI::Range(1, 65535));
  app.add_option("--rings", r.style.rings_A,
                 "resolution rings [Angstrom], separated by commas: 2,3,5")
      ->delimiter(',')
      ->check(options::above_zero());
  app.add_option("--scale", scale, "sqrt, linear or log: how counts become colours (sqrt)")
      ->check(CLI::IsMember({"sqrt", "linear", "log"}));
  app.add_option("--white", r.style.white_photons,
                 "counts of the brightest colour (what 99.9 % of the lit pixels stay below)")
      ->check(options::above_zero());
  app.add_option("--colors", colors, "heat or grey (heat)")->check(CLI::IsMember({"heat", "grey"}));
  app.add_flag("--invert", r.style.inverted, "dark spots on white, as on film");
  app.add_option("--bits", r.style.bits, "8 or 16, of a colour of the PNG picture (8)")
      ->check(CLI::IsMember({8, 16}));
  app.add_flag("--bare", r.bare, "a PNG picture of the pixels alone, one point each");
  app.add_option("--shrink", r.shrink, "N: N x N pixels become one point of the PNG picture (1)")
      ->check(CLI::Range(1, 10000));
  app.add_option("--terminal", r.terminal,
                 "blocks: half blocks of 24-bit colour; sixel: pixels, in terminals that know "
                 "them (blocks)")
      ->check(CLI::IsMember({"blocks", "sixel"}));
  app.add_option("--columns", r.columns, "width in the terminal's characters (the terminal's)")
      ->check(CLI::Range(1, 10000));
  app.add_option("--reduce", r.as_one,
                 "max or mean: what a point shows that stands for several pixels (max)")
      ->check(CLI::IsMember({"max", "mean"}));
  if (!parse_options(app, arguments, out)) return std::nullopt;
  if (r.file.empty())
    throw UsageError("show needs the file of an image (nablabragg show --help shows how)");
  r.style.scale = scale == "log"      ? PictureScale::log
                  : scale == "linear" ? PictureScale::linear
                                      : PictureScale::sqrt;
  r.style.colors = colors == "grey" ? PictureColors::grey : PictureColors::heat;
  r.style.as_one = r.as_one == "mean" ? PixelsAsOne::mean : PixelsAsOne::largest;
  r.style.unit = "counts";
  if (!r.output.empty() && ending_of(r.output) != ".png" && !io::is_standard_output(r.output))
    throw UsageError("show draws PNG pictures: give " + io::quoted_name(r.output) +
                     " a name that ends with .png");
  if ((r.bare || r.shrink) && r.output.empty())
    throw UsageError(std::string(r.bare ? "--bare" : "--shrink") +
                     " is of a PNG picture; -o FILE.png names one");
  return r;
}

io::ImageFile read_floats(const std::string& path, int fast, int slow) {
  io::InputFile file(path);
  const std::size_t pixels = static_cast<std::size_t>(fast) * static_cast<std::size_t>(slow);
  if (file.size() != pixels * sizeof(float))
    throw InputError(path, 0,
                     fmt::format("holds {} bytes, and {} x {} float32 pixels are {}", file.size(),
                                 fast, slow, pixels * sizeof(float)));
  std::vector<float> values(pixels);
  if (file.read(values.data(), pixels * sizeof(float)) != pixels * sizeof(float))
    throw InputError(path, 0, "ended while it was being read");
  io::ImageFile image;
  image.format = "raw float32";
  image.geometry.panels.resize(1);
  image.geometry.panels[0].fast_pixels = fast;
  image.geometry.panels[0].slow_pixels = slow;
  image.geometry.notices = {"raw floats do not say where the detector is"};
  image.pixels.assign(values.begin(), values.end());
  return image;
}

io::ImageFile read(const ShowRequest& r) {
  std::error_code ignored;
  if (std::filesystem::exists(r.file, ignored) &&
      !std::filesystem::is_regular_file(r.file, ignored))
    throw InputError(r.file, 0, "is not a regular file; show looks at one more than once");
  const bool known = io::is_known_format(r.file);
  if (known && !r.size.empty())
    throw UsageError("--size is of raw float32 images, and " + r.file + " states its own");
  if (!known && r.size.empty() && io::begins_as_json(io::Input(r.file).head()))
    throw InputError(
        r.file, 0,
        "is JSON and no image; nablabragg view shows the image of an experiment in JSON");
  if (!known && r.size.empty())
    throw InputError(r.file, 0,
                     "is no CBF, NXmx (HDF5), SMV or TIFF image; of a raw float32 one, --size FAST "
                     "SLOW says how many pixels it has");
  const io::ImageFile image = known ? io::read_image(r.file, r.number - 1)
                                    : read_floats(r.file, r.size[0], r.size[1]);
  if (r.number > image.images)
    throw UsageError(fmt::format("--image-number {}: {} holds {} image{}", r.number, r.file,
                                 image.images, image.images == 1 ? "" : "s"));
  return image;
}

std::string size_of(const Geometry& geometry) {
  const GeometryPanel& first = geometry.panels[0];
  const bool alike = std::ranges::all_of(geometry.panels, [&](const GeometryPanel& p) {
    return p.fast_pixels == first.fast_pixels && p.slow_pixels == first.slow_pixels;
  });
  const std::size_t panels = geometry.panels.size();
  if (!alike) return fmt::format("{} panels", panels);
  return fmt::format("{}{} x {} pixels", panels > 1 ? fmt::format("{} panels of ", panels) : "",
                     first.fast_pixels, first.slow_pixels);
}

std::string counts_line(const std::string& path, const io::ImageFile& image, int number) {
  double least = std::numeric_limits<double>::infinity(), most = -least, sum = 0;
  std::size_t masked = 0;
  for (const double count : image.pixels) {
    if (std::isnan(count)) {
      ++masked;
      continue;
    }
    least = std::min(least, count);
    most = std::max(most, count);
    sum += count;
  }
  const std::size_t counted = image.pixels.size() - masked;
  const double pedestal = image.geometry.panels[0].pedestal;
  return fmt::format(
      "{}: {}{}, {}; {}{} masked{}", io::printable(path), image.format,
      image.images > 1 ? fmt::format(", image {} of {}", number, image.images) : "",
      size_of(image.geometry),
      counted == 0 ? std::string()
                   : fmt::format("min {:g}, max {:g}, mean {:g}, ", least, most,
                                 sum / static_cast<double>(counted)),
      masked,
      pedestal == 0 ? "" : fmt::format("; {:g} stand for no photon and are drawn as 0", pedestal));
}

std::string geometry_line(const Geometry& geometry, const DetectorView& view) {
  std::string line;
  const auto add = [&](const std::string& part) { line += (line.empty() ? "" : ", ") + part; };
  if (const auto spot = view.beam_spot())
    add(fmt::format("beam at pixel fast {:.2f} slow {:.2f}{}", spot->fast_px, spot->slow_px,
                    geometry.panels.size() > 1 ? fmt::format(" of panel {}", spot->panel) : ""));
  else if (view.knows_places())
    add("the beam meets no panel");
  if (view.knows_places() && view.knows_wavelength()) {
    double finest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < geometry.panels.size(); ++i)
      for (const int fast : {0, geometry.panels[i].fast_pixels})
        for (const int slow : {0, geometry.panels[i].slow_pixels})
          finest = std::min(finest,
                            view.d_spacing_A({static_cast<int>(i), static_cast<double>(fast),
                                              static_cast<double>(slow)}));
    add(fmt::format("wavelength {:.6g} A, resolution to {:.3g} A in the corners",
                    geometry.beam->wavelength_A, finest));
  }
  return line;
}

/// Counts above what the file states for no photon.
std::vector<float> shown_of(const io::ImageFile& image) {
  std::vector<float> shown;
  shown.reserve(image.pixels.size());
  std::size_t pixel = 0;
  for (const GeometryPanel& p : image.geometry.panels) {
    const std::size_t end = pixel + static_cast<std::size_t>(p.fast_pixels) *
                                        static_cast<std::size_t>(p.slow_pixels);
    for (; pixel < end; ++pixel)
      shown.push_back(static_cast<float>(image.pixels.at(pixel) - p.pedestal));
  }
  return shown;
}

/// How many characters there are, and how many points each has.
struct TerminalSize {
  int columns = 80, rows = 24;
  int fast_points = 8, slow_points = 16;  ///< of a character, for sixels
};

TerminalSize terminal_size() {
  TerminalSize size;
  if (const char* const columns = std::getenv("COLUMNS"))
    if (const int n = std::atoi(columns); n > 0) size.columns = n;
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0)
    return size;
  size.columns = window.ws_col;
  size.rows = window.ws_row;
  if (window.ws_xpixel > 0 && window.ws_ypixel > 0) {
    size.fast_points = std::max(1, window.ws_xpixel / window.ws_col);
    size.slow_points = std::max(1, window.ws_ypixel / window.ws_row);
  }
  return size;
}

void draw_in_terminal(std::ostream& out, const ShowRequest& r, const Geometry& geometry,
                      std::span<const float> shown) {
  const TerminalSize terminal = terminal_size();
  const bool sixel = r.terminal == "sixel";
  const int columns = r.columns.value_or(terminal.columns);
  const int most_wide = columns * (sixel ? terminal.fast_points : 1);
  // What is printed beside it stays in sight; who gives a width takes the height that follows.
  const int most_high = std::max(1, terminal.rows - 4) * (sixel ? terminal.slow_points : 2);
  PictureStyle style = r.style;
  style.rings_A.clear();
  const Picture whole(geometry, shown, style);
  const auto edge = [](int pixels, int points) { return (pixels + points - 1) / points; };
  const int wide = edge(whole.width(), most_wide), high = edge(whole.height(), most_high);
  style = r.style;
  style.reduced = r.columns ? wide : std::max(wide, high);
  const Picture picture(geometry, shown, style);
  write_in_terminal(out, picture, sixel ? TerminalPicture::sixel : TerminalPicture::blocks);
  fmt::print(out, "a point is {}; {} above {:g}\n",
             style.reduced == 1
                 ? "a pixel"
                 : fmt::format("the {} of {} x {} pixels", r.as_one == "max" ? "largest" : "mean",
                               style.reduced, style.reduced),
             style.inverted ? "black" : "white", picture.white_photons());
}

}  // namespace

void show_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  const std::optional<ShowRequest> asked = parse(arguments, out);
  if (!asked) return;
  const ShowRequest& r = *asked;
  set_stop_sentence("stopped before the picture was complete; no file was written");
  if (!r.output.empty()) check_files({{"the image", r.file}}, {{"-o", r.output}});
  const io::ImageFile image = read(r);
  const DetectorView view(image.geometry);
  if (!r.style.rings_A.empty() && !(view.knows_places() && view.knows_wavelength()))
    throw UsageError("--rings need the place of the detector and the wavelength, and " + r.file +
                     " does not state them");
  const bool to_stdout = io::is_standard_output(r.output);
  std::ostream& text = to_stdout ? err : out;
  fmt::print(text, "{}\n", counts_line(r.file, image, r.number));
  if (const std::string line = geometry_line(image.geometry, view); !line.empty())
    fmt::print(text, "{}\n", line);
  for (const std::string& notice : image.geometry.notices) say(err, r.file + ": " + notice);
  const std::vector<float> shown = shown_of(image);
  if (r.output.empty()) {
    draw_in_terminal(out, r, image.geometry, shown);
    return;
  }
  PictureStyle style = r.style;
  style.axes = !r.bare;
  style.reduced = r.shrink.value_or(1);
  const Picture picture(image.geometry, shown, style);
  io::write_png(
      io::writable_name(r.output), picture.width(), picture.height(), style.bits,
      [&](int y, std::span<std::uint16_t> row) { picture.fill_row(y, row); }, {},
      picture.channels());
  for (const double d_A : picture.unseen_rings_A())
    fmt::print(text, "no part of the ring of {:g} Angstrom is on the detector\n", d_A);
  fmt::print(text, "writing {} as {}-bit {}, {} at {:g} counts\n", io::printable(r.output),
             style.bits, style.is_grey() ? "grey" : "colours", style.inverted ? "black" : "white",
             picture.white_photons());
}

}  // namespace nablabragg::cli
