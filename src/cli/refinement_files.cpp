#include "cli/refinement_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iterator>  // for back_inserter
#include <nlohmann/json.hpp>

#include "cli/grey_canvas.hpp"
#include "description/fields.hpp"  // for same_value
#include "io/atomic_file.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/spread_pixels.hpp"
#include "nablabragg/version.hpp"

namespace nablabragg::cli {

namespace {

using Json = nlohmann::ordered_json;

void write_json(const std::string& path, const Json& json) {
  io::AtomicFile file(path);
  // Flags may hold bytes that are no UTF-8
  file.write(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
  file.commit();
}

/// JSON has no infinity; what is not determined is null.
Json finite_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json numbers_json(const Refinement& r) {
  Json numbers = Json::array();
  for (const RefinedNumber& n : r.numbers)
    numbers.push_back({{"name", n.name},
                       {"unit", n.unit},
                       {"start", n.start},
                       {"value", n.value},
                       {"deviation", finite_or_null(n.deviation)},
                       {"at_bound", n.at_bound}});
  return numbers;
}

Json correlations_json(const Refinement& r) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < r.numbers.size(); ++i) {
    const auto begin = r.correlations.begin() + static_cast<std::ptrdiff_t>(i * r.numbers.size());
    rows.push_back(
        std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(r.numbers.size())));
  }
  return rows;
}

Json factors_json(const Refinement& r) {
  Json all = Json::array();
  for (const RefinedFactor& f : r.factors)
    all.push_back(
        {{"hkl", f.hkl}, {"start", f.start}, {"value", f.value}, {"deviation", f.deviation}});
  return all;
}

Json shoeboxes_json(const Refinement& r) {
  Json all = Json::array();
  for (const Shoebox& b : r.shoeboxes)
    all.push_back({{"image", b.image},
                   {"panel", b.panel},
                   {"fast", b.fast},
                   {"slow", b.slow},
                   {"hkl", b.hkl ? Json(*b.hkl) : Json(nullptr)},
                   {"crystal", b.crystal},
                   {"pixels", b.pixels.size()},
                   {"background", b.background},
                   {"residual", finite_or_null(b.residual)}});
  return all;
}

Json stages_json(const Refinement& r) {
  Json all = Json::array();
  for (const StageReport& s : r.stages)
    all.push_back({{"stage", name_of(s.stage)},
                   {"spots", s.spots},
                   {"pixels", s.pixels},
                   {"iterations", s.iterations},
                   {"converged", s.converged},
                   {"residual_before", finite_or_null(s.residual_before)},
                   {"residual", finite_or_null(s.residual)},
                   {"misfit_share", s.misfit_share},
                   {"seconds", s.seconds}});
  return all;
}

Json found_spots_json(const Refinement& r) {
  if (!r.found_spots) return nullptr;
  return {{"found", r.found_spots->found},
          {"placed", r.found_spots->placed},
          {"fast_rms_px", r.found_spots->fast_rms_px},
          {"slow_rms_px", r.found_spots->slow_rms_px}};
}

/// A square about a spot that lies on the panel as a whole.
struct Tile {
  int fast = 0, slow = 0, edge = 0;
  const Shoebox* box = nullptr;
  std::vector<PixelIndex> pixels() const {
    std::vector<PixelIndex> all;
    for (int j = 0; j < edge; ++j)
      for (int i = 0; i < edge; ++i) all.push_back({fast + i, slow + j, box->panel});
    return all;
  }
  /// In addition to the model's own.
  double background(const PixelIndex& p) const {
    const std::vector<double>& b = box->background;
    double sum = b.empty() ? 0 : b[0];
    if (b.size() > 2) sum += b[1] * (p.fast - box->fast) + b[2] * (p.slow - box->slow);
    return sum;
  }
};

/// Where intensities are free the pixels reach no further than those of the boxes, as what lies
/// beyond may be another's.
int tile_edge(const Refinement& r) {
  constexpr int most = 21, least = 9;
  if (!r.found_spots) return most;
  int reach = 0;
  for (const Shoebox& box : r.shoeboxes)
    for (const PixelIndex& p : box.pixels)
      reach = std::max(reach, static_cast<int>(std::abs(p.fast - std::lround(box.fast))));
  return std::clamp(2 * reach + 1, least, most);
}

/// Those of the images in turn.
std::vector<Tile> brightest_tiles(std::span<const ReadImage> images, const Refinement& r) {
  constexpr std::size_t most = 12;
  const int edge = tile_edge(r);
  std::vector<std::vector<Tile>> of_images(images.size());
  for (const Shoebox& box : r.shoeboxes) {
    const auto image = static_cast<std::size_t>(box.image);
    const Tile tile{static_cast<int>(std::lround(box.fast)) - edge / 2,
                    static_cast<int>(std::lround(box.slow)) - edge / 2, edge, &box};
    const PanelImage panel = images[image].measurement.counts.panel(
        static_cast<std::size_t>(box.panel));
    if (tile.fast >= 0 && tile.slow >= 0 && tile.fast + edge <= panel.fast_pixels &&
        tile.slow + edge <= panel.slow_pixels && of_images[image].size() < most)
      of_images[image].push_back(tile);
  }
  std::vector<Tile> tiles;
  for (std::size_t rank = 0; rank < most; ++rank)
    for (const std::vector<Tile>& of_image : of_images)
      if (rank < of_image.size() && tiles.size() < most) tiles.push_back(of_image[rank]);
  return tiles;
}

/// Of the tiles' pixels, one tile after the other.
std::vector<double> photons_of_tiles(std::span<const Experiment> experiments,
                                     std::span<const std::optional<PointSpread>> point_spreads,
                                     std::span<const Tile> tiles, const ComputeOptions& compute) {
  const std::size_t size = tiles[0].pixels().size();
  std::vector<double> all(size * tiles.size());
  for (std::size_t image = 0; image < experiments.size(); ++image) {
    std::vector<PixelIndex> pixels;
    const auto is_here = [&](const Tile& tile) {
      return tile.box->image == static_cast<int>(image);
    };
    for (const Tile& tile : tiles)
      if (is_here(tile)) {
        const auto more = tile.pixels();
        pixels.insert(pixels.end(), more.begin(), more.end());
      }
    if (pixels.empty()) continue;
    const SpreadPixels spread(experiments[image], point_spreads[image], std::move(pixels));
    const std::vector<double> here = spread.spread(
        photons(experiments[image], spread.sources(), compute));
    auto next = here.begin();
    for (std::size_t t = 0; t < tiles.size(); ++t)
      if (is_here(tiles[t])) {
        std::copy_n(next, size, all.begin() + static_cast<std::ptrdiff_t>(t * size));
        next += static_cast<std::ptrdiff_t>(size);
      }
  }
  return all;
}

/// Whether beam and panels are the same, and, where that counts, the crystal.
bool share_geometry(const Experiment& a, const Experiment& b, bool and_crystal) {
  using description::same_value;
  const bool share = same_value(a.detector, b.detector) &&
                     same_value(a.more_panels, b.more_panels) &&
                     same_value(a.detector_groups, b.detector_groups) &&
                     same_value(a.beam.wavelength_A, b.beam.wavelength_A) &&
                     same_value(a.beam.direction, b.beam.direction);
  return share && (!and_crystal || (same_value(a.crystal, b.crystal) &&
                                    same_value(a.more_crystals, b.more_crystals)));
}

io::ImageSeries series_of(const Experiment& e) {
  io::ImageSeries series;
  series.geometry = in_imgcif_frame(geometry_of(e));
  series.images = {{series.geometry.scan ? series.geometry.scan->start_deg : 0, 0}};
  return series;
}

}  // namespace

RefineState read_resume_file(const std::string& path) {
  try {
    return refine_state_from_json(io::read_text(path));
  } catch (const UsageError& error) {
    throw InputError(path, 0, error.what());
  }
}

void write_resume_file(const std::string& path, const RefineState& state) {
  io::AtomicFile file(path);
  file.write(to_json(state) + '\n');
  file.commit();
}

void write_refined_matrix(const std::string& path, const Refinement& r) {
  const Mat3d& m = *r.experiments[0].crystal.mosflm_matrix;
  io::AtomicFile file(path);
  for (const Vec3d& row : {m.a, m.b, m.c})
    file.write(fmt::format("{} {} {}\n", row.x, row.y, row.z));
  file.commit();
}

void write_refined_factors(const std::string& path, const Refinement& r) {
  const StructureFactorGrid& grid = *r.experiments[0].structure_factors.grid;
  // What the list leaves out is default_F, and its corners are those of the table
  const double default_F = r.experiments[0].structure_factors.default_F;
  std::string text;
  for (int h = grid.min()[0]; h <= grid.max()[0]; ++h)
    for (int k = grid.min()[1]; k <= grid.max()[1]; ++k)
      for (int l = grid.min()[2]; l <= grid.max()[2]; ++l) {
        const MillerIndex hkl{h, k, l};
        if (grid.at(h, k, l) != default_F || hkl == grid.min() || hkl == grid.max())
          fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", h, k, l, grid.at(h, k, l));
      }
  io::AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_refinement_json(const std::string& path, const Refinement& r,
                           std::span<const ReadImage> images, const std::vector<std::string>& model,
                           const flags::FlagsOf& refined,
                           const std::vector<std::string>& response_flags) {
  // docs/refinement.schema.json describes it; another form needs another number
  constexpr int schema = 2;
  Json read = Json::array();
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ReadImage& image = images[i];
    read.push_back({{"path", image.path},
                    {"number", image.number},
                    {"counts_per_photon", image.measurement.counts_per_photon},
                    {"offset", image.measurement.offset},
                    {"readout_noise", image.measurement.readout_noise},
                    {"overload", finite_or_null(image.measurement.overload)},
                    {"pixels_in_shadow", r.pixels_in_shadow[i]},
                    {"findings", image.findings}});
    if (const auto& spread = image.measurement.point_spread)
      read.back()["point_spread"] = {{"shape", name_of(spread->shape)},
                                     {"fwhm_um", spread->fwhm_um}};
  }
  write_json(path, {{"schema", schema},
                    {"version", version()},
                    {"images", read},
                    {"model", model},
                    {"refined_flags", refined.flags},
                    {"not_in_flags", refined.not_in_flags},
                    {"response_flags", response_flags},
                    {"residual", finite_or_null(r.stages.back().residual)},
                    {"numbers", numbers_json(r)},
                    {"correlations", correlations_json(r)},
                    {"structure_factors", factors_json(r)},
                    {"stages", stages_json(r)},
                    {"found_spots", found_spots_json(r)},
                    {"shoeboxes", shoeboxes_json(r)},
                    {"warnings", r.warnings}});
}

std::string file_of_refinement(const std::string& folder, const std::string& name,
                               std::size_t images) {
  const std::filesystem::path file = name;
  const std::string of_each = file.stem().string() + "_####" + file.extension().string();
  return (std::filesystem::path(folder) / (images > 1 ? of_each : name)).string();
}

void write_refined_experiments(const std::string& folder, const Refinement& r) {
  const std::size_t images = r.experiments.size();
  const std::string name = file_of_refinement(folder, "experiment.json", images);
  for (std::size_t i = 0; i < images; ++i) {
    io::AtomicFile file(images > 1 ? io::file_of_image(name, static_cast<int>(i) + 1) : name);
    file.write(to_json(r.experiments[i]) + '\n');
    file.commit();
  }
}

std::string write_refined_geometry(const std::string& folder, const Refinement& r) {
  const std::string of_all = file_of_refinement(folder, "refined.expt", 1);
  io::ImageSeries series = series_of(r.experiments[0]);
  const bool turns = series.geometry.scan.has_value();
  const bool one_list = std::ranges::all_of(r.experiments, [&](const Experiment& e) {
    return share_geometry(e, r.experiments[0], turns);
  });
  if (!one_list) {
    const std::string name = file_of_refinement(folder, "refined.expt", r.experiments.size());
    for (std::size_t i = 0; i < r.experiments.size(); ++i)
      io::write_expt(io::file_of_image(name, static_cast<int>(i) + 1), series_of(r.experiments[i]),
                     "");
    return name;
  }
  series.images.clear();
  for (const Experiment& e : r.experiments) {
    const io::ImageSeries own = series_of(e);
    series.images.push_back(own.images[0]);
    if (!turns && r.experiments.size() > 1) series.images.back().crystals = own.geometry.crystals;
  }
  if (turns) series.geometry.scan->images = static_cast<int>(series.images.size());
  io::write_expt(of_all, series, "");
  return of_all;
}

void write_refined_orientations(const std::string& path, const Refinement& r) {
  io::AtomicFile file(path);
  for (const Experiment& e : r.experiments) {
    const Vec3d& misset = e.crystal.misset_deg;
    file.write(fmt::format("{} {} {}\n", misset.x, misset.y, misset.z));
  }
  file.commit();
}

void write_refinement_picture(const std::string& path, std::span<const Experiment> starts,
                              std::span<const ReadImage> images, const Refinement& r,
                              const ComputeOptions& compute) {
  constexpr int gap = 2, word_zoom = 2, line = GreyCanvas::letter_height + 3;
  constexpr double most_deviations = 5;
  constexpr std::array rows{"measured", "start", "refined", "residual"};
  const std::vector<Tile> tiles = brightest_tiles(images, r);
  if (tiles.empty()) return;
  std::vector<std::optional<PointSpread>> at_start;
  for (const ReadImage& image : images) at_start.push_back(image.measurement.point_spread);
  const std::vector<double> before = photons_of_tiles(starts, at_start, tiles, compute);
  const std::vector<double> after = photons_of_tiles(r.experiments, r.point_spreads, tiles,
                                                     compute);

  const int edge = tiles[0].edge, zoom = std::max(1, 84 / edge), cell = zoom * edge + gap;
  const int margin = 4, left = margin + GreyCanvas::width_of(rows[0], word_zoom) + line,
            words = images.size() > 1 ? 3 : 2, top = margin + words * line;
  const int bar = left + cell * static_cast<int>(tiles.size()) + line;
  GreyCanvas canvas(bar + 70, top + cell * static_cast<int>(rows.size()) + gap + margin);
  canvas.fill(left, top, cell * static_cast<int>(tiles.size()) + gap,
              cell * static_cast<int>(rows.size()) + gap, 200);
  const auto row_at = [&](std::size_t row) { return top + gap + cell * static_cast<int>(row); };
  for (std::size_t row = 0; row < rows.size(); ++row)
    canvas.write(margin, row_at(row) + cell / 2 - line, rows[row], word_zoom);
  const int hkl_top = margin + (words - 2) * line;
  if (images.size() > 1) canvas.write(margin, margin, "image");
  canvas.write(margin, hkl_top, "h k l");
  canvas.write(margin, hkl_top + line, "black photons");

  // The scale of the residuals: dark where more was measured
  const auto residual_grey = [](double deviations) {
    return static_cast<std::uint16_t>(
        std::lround(std::clamp(128 - 128 * deviations / most_deviations, 0.0, 255.0)));
  };
  const int bar_top = row_at(rows.size() - 1), bar_height = zoom * edge;
  for (int y = 0; y < bar_height; ++y)
    canvas.fill(bar, bar_top + y, 16, 1,
                residual_grey(most_deviations * (1 - 2 * (y + 0.5) / bar_height)));
  canvas.write(bar + 20, bar_top, "+5");
  canvas.write(bar + 20, bar_top + bar_height / 2 - line / 2, "0 s.d.");
  canvas.write(bar + 20, bar_top + bar_height - line, "-5");

  const std::size_t size = tiles[0].pixels().size();
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const Measurement& m = images[static_cast<std::size_t>(tiles[t].box->image)].measurement;
    const std::vector<PixelIndex> pixels = tiles[t].pixels();
    std::vector<double> measured;
    for (const PixelIndex& p : pixels)
      measured.push_back((static_cast<double>(m.counts.at(p)) - m.offset) / m.counts_per_photon);
    // What is no measurement is no part of a spot
    const auto seen = [](double photons) { return std::isfinite(photons) ? photons : 0; };
    double black = 1;
    for (const double photons : measured) black = std::max(black, seen(photons));
    const int x0 = left + gap + static_cast<int>(t) * cell;
    if (images.size() > 1) canvas.write(x0, margin, fmt::format("{}", tiles[t].box->image));
    if (const auto& hkl = tiles[t].box->hkl)
      canvas.write(x0, hkl_top, fmt::format("{} {} {}", (*hkl)[0], (*hkl)[1], (*hkl)[2]));
    canvas.write(x0, hkl_top + line, fmt::format("{:.0f}", black));
    for (std::size_t i = 0; i < size; ++i) {
      const auto share = [&](double photons) {
        return static_cast<std::uint16_t>(
            std::lround(255 * (1 - std::sqrt(std::clamp(photons / black, 0.0, 1.0)))));
      };
      const double background = tiles[t].background(pixels[i]);
      const double expected = after[t * size + i] + background;
      const double off = seen(measured[i] - expected) / std::sqrt(std::max(expected, 1.0));
      const std::array<std::uint16_t, rows.size()> greys{share(seen(measured[i])),
                                                         share(before[t * size + i] + background),
                                                         share(expected), residual_grey(off)};
      const int x = x0 + zoom * (static_cast<int>(i) % edge);
      for (std::size_t row = 0; row < rows.size(); ++row)
        canvas.fill(x, row_at(row) + zoom * (static_cast<int>(i) / edge), zoom, zoom, greys[row]);
    }
  }
  canvas.write_png(path);
}

}  // namespace nablabragg::cli
