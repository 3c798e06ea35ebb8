#include "cli/refinement_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>  // for back_inserter
#include <nlohmann/json.hpp>

#include "cli/grey_canvas.hpp"
#include "io/atomic_file.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/geometry.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/io.hpp"
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
    all.push_back({{"panel", b.panel},
                   {"fast", b.fast},
                   {"slow", b.slow},
                   {"hkl", b.hkl ? Json(*b.hkl) : Json(nullptr)},
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

std::vector<Tile> brightest_tiles(const Image& counts, const Refinement& r) {
  constexpr std::size_t most = 12;
  const int edge = tile_edge(r);
  std::vector<Tile> tiles;
  for (const Shoebox& box : r.shoeboxes) {
    const Tile tile{static_cast<int>(std::lround(box.fast)) - edge / 2,
                    static_cast<int>(std::lround(box.slow)) - edge / 2, edge, &box};
    const PanelImage panel = counts.panel(static_cast<std::size_t>(box.panel));
    if (tile.fast < 0 || tile.slow < 0 || tile.fast + edge > panel.fast_pixels ||
        tile.slow + edge > panel.slow_pixels)
      continue;
    tiles.push_back(tile);
    if (tiles.size() == most) break;
  }
  return tiles;
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
  const Mat3d& m = *r.experiment.crystal.mosflm_matrix;
  io::AtomicFile file(path);
  for (const Vec3d& row : {m.a, m.b, m.c})
    file.write(fmt::format("{} {} {}\n", row.x, row.y, row.z));
  file.commit();
}

void write_refined_factors(const std::string& path, const Refinement& r) {
  const StructureFactorGrid& grid = *r.experiment.structure_factors.grid;
  // What the list leaves out is default_F, and its corners are those of the table
  const double default_F = r.experiment.structure_factors.default_F;
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

void write_refinement_json(const std::string& path, const Refinement& r, const ReadImage& image,
                           const std::vector<std::string>& model, const flags::FlagsOf& refined) {
  // docs/refinement.schema.json describes it; another form needs another number
  constexpr int schema = 1;
  write_json(path, {{"schema", schema},
                    {"version", version()},
                    {"image",
                     {{"path", image.path},
                      {"number", image.number},
                      {"counts_per_photon", image.measurement.counts_per_photon},
                      {"offset", image.measurement.offset},
                      {"readout_noise", image.measurement.readout_noise},
                      {"overload", finite_or_null(image.measurement.overload)},
                      {"findings", image.findings}}},
                    {"model", model},
                    {"refined_flags", refined.flags},
                    {"not_in_flags", refined.not_in_flags},
                    {"residual", finite_or_null(r.stages.back().residual)},
                    {"numbers", numbers_json(r)},
                    {"correlations", correlations_json(r)},
                    {"structure_factors", factors_json(r)},
                    {"stages", stages_json(r)},
                    {"found_spots", found_spots_json(r)},
                    {"shoeboxes", shoeboxes_json(r)},
                    {"warnings", r.warnings}});
}

void write_refined_experiment(const std::string& path, const Refinement& r) {
  io::AtomicFile file(path);
  file.write(to_json(r.experiment) + '\n');
  file.commit();
}

void write_refined_geometry(const std::string& path, const Refinement& r) {
  io::ImageSeries series;
  series.geometry = in_imgcif_frame(geometry_of(r.experiment));
  series.images = {{series.geometry.scan ? series.geometry.scan->start_deg : 0, 0}};
  io::write_expt(path, series, "");
}

void write_refinement_picture(const std::string& path, const Experiment& start,
                              const Measurement& m, const Refinement& r,
                              const ComputeOptions& compute) {
  constexpr int gap = 2, word_zoom = 2, line = GreyCanvas::letter_height + 3;
  constexpr double most_deviations = 5;
  constexpr std::array rows{"measured", "start", "refined", "residual"};
  const std::vector<Tile> tiles = brightest_tiles(m.counts, r);
  if (tiles.empty()) return;
  std::vector<PixelIndex> pixels;
  for (const Tile& tile : tiles) {
    const auto more = tile.pixels();
    pixels.insert(pixels.end(), more.begin(), more.end());
  }
  const std::vector<double> before = photons(start, pixels, compute);
  const std::vector<double> after = photons(r.experiment, pixels, compute);

  const int edge = tiles[0].edge, zoom = std::max(1, 84 / edge), cell = zoom * edge + gap;
  const int margin = 4, left = margin + GreyCanvas::width_of(rows[0], word_zoom) + line,
            top = margin + 2 * line;
  const int bar = left + cell * static_cast<int>(tiles.size()) + line;
  GreyCanvas canvas(bar + 70, top + cell * static_cast<int>(rows.size()) + gap + margin);
  canvas.fill(left, top, cell * static_cast<int>(tiles.size()) + gap,
              cell * static_cast<int>(rows.size()) + gap, 200);
  const auto row_at = [&](std::size_t row) { return top + gap + cell * static_cast<int>(row); };
  for (std::size_t row = 0; row < rows.size(); ++row)
    canvas.write(margin, row_at(row) + cell / 2 - line, rows[row], word_zoom);
  canvas.write(margin, margin, "h k l");
  canvas.write(margin, margin + line, "black photons");

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
    std::vector<double> measured;
    for (const PixelIndex& p : tiles[t].pixels())
      measured.push_back((static_cast<double>(m.counts.at(p)) - m.offset) / m.counts_per_photon);
    // What is no measurement is no part of a spot
    const auto seen = [](double photons) { return std::isfinite(photons) ? photons : 0; };
    double black = 1;
    for (const double photons : measured) black = std::max(black, seen(photons));
    const int x0 = left + gap + static_cast<int>(t) * cell;
    if (const auto& hkl = tiles[t].box->hkl)
      canvas.write(x0, margin, fmt::format("{} {} {}", (*hkl)[0], (*hkl)[1], (*hkl)[2]));
    canvas.write(x0, margin + line, fmt::format("{:.0f}", black));
    for (std::size_t i = 0; i < size; ++i) {
      const auto share = [&](double photons) {
        return static_cast<std::uint16_t>(
            std::lround(255 * (1 - std::sqrt(std::clamp(photons / black, 0.0, 1.0)))));
      };
      const double background = tiles[t].background(pixels[t * size + i]);
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
