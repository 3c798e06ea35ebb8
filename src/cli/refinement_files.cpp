#include "cli/refinement_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>  // for back_inserter
#include <nlohmann/json.hpp>

#include "cli/small_print.hpp"
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

constexpr std::array stages{RefineStage::spot_positions, RefineStage::measured_spots,
                            RefineStage::predicted_spots, RefineStage::structure_factors};

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

Json stages_json(const Refinement& r) {
  Json all = Json::array();
  for (const StageReport& s : r.stages)
    all.push_back({{"stage", name_of(s.stage)},
                   {"spots", s.spots},
                   {"pixels", s.pixels},
                   {"iterations", s.iterations},
                   {"converged", s.converged},
                   {"residual_before", s.residual_before},
                   {"residual", s.residual},
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

/// Of shoeboxes whose reflection is known the pixels reach no further than theirs, as what lies
/// beyond may be another's.
int tile_edge(std::span<const Shoebox> boxes) {
  constexpr int most = 21, least = 9;
  int widest = most;
  for (const Shoebox& box : boxes) {
    if (!box.hkl || box.pixels.empty()) return most;
    int reach = 0;
    for (const PixelIndex& p : box.pixels)
      reach = std::max(reach, static_cast<int>(std::abs(p.fast - std::lround(box.fast))));
    widest = &box == boxes.data() ? reach : std::max(widest, reach);
  }
  return boxes.empty() ? most : std::clamp(2 * widest + 1, least, most);
}

std::vector<Tile> brightest_tiles(const Image& counts, std::span<const Shoebox> boxes) {
  constexpr std::size_t most = 12;
  const int edge = tile_edge(boxes);
  std::vector<Tile> tiles;
  for (const Shoebox& box : boxes) {
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

/// Four rows of squares with their names, and under each column whose spot it is, where that is
/// known, and its largest number of photons.
class Picture {
 public:
  static constexpr int rows = 4;
  Picture(int columns, int edge)
      : zoom_(std::max(1, 84 / edge)),
        cell_(zoom_ * edge + gap),
        width_(names + columns * cell_ + gap),
        height_(rows * cell_ + gap + 2 * (small_height + 3) + 1),
        grey_(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_), paper) {
    constexpr std::array titles{"MEASURED", "START", "REFINED", "RESIDUAL"};
    for (int row = 0; row < rows; ++row)
      print(gap, gap + row * cell_ + cell_ / 2 - small_height / 2,
            titles[static_cast<std::size_t>(row)]);
  }
  void set(int column, int row, int i, int j, double grey) {
    const int x0 = names + column * cell_ + zoom_ * i, y0 = gap + row * cell_ + zoom_ * j;
    for (int y = y0; y < y0 + zoom_; ++y)
      for (int x = x0; x < x0 + zoom_; ++x)
        at(x, y) = static_cast<std::uint16_t>(std::lround(grey));
  }
  void label(int column, const std::string& first, const std::string& second) {
    const int x = names + column * cell_, y = gap + rows * cell_ + 2;
    print(x, y, first);
    print(x, y + small_height + 3, second);
  }
  void write(const std::string& path) const {
    io::write_png(path, width_, height_, 8, [&](int slow, std::span<std::uint16_t> row) {
      const auto begin = grey_.begin() + static_cast<std::ptrdiff_t>(slow) * width_;
      std::copy(begin, begin + width_, row.begin());
    });
  }

 private:
  static constexpr int gap = 2, names = 72;
  static constexpr std::uint16_t paper = 200;

  void print(int x, int y, std::string_view text) {
    print_small(x, y, text, [&](int i, int j) { at(i, j) = 0; });
  }
  std::uint16_t& at(int x, int y) {
    return grey_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                 static_cast<std::size_t>(x)];
  }

  int zoom_, cell_, width_, height_;
  std::vector<std::uint16_t> grey_;
};

}  // namespace

RefineState read_resume_file(const std::string& path) {
  const std::string text = io::read_text(path);
  try {
    const Json json = Json::parse(text);
    RefineState state;
    const std::string stage = json.at("stage");
    const auto* const known = std::find_if(stages.begin(), stages.end(),
                                           [&](RefineStage s) { return stage == name_of(s); });
    if (known == stages.end()) throw InputError(path, 0, "names no stage of a refinement");
    state.stage = *known;
    for (const auto& [name, value] : json.at("values").items())
      state.values.emplace_back(name, value.get<double>());
    return state;
  } catch (const nlohmann::json::exception&) {
    throw InputError(path, 0, "is no file of an interrupted refinement");
  }
}

void write_resume_file(const std::string& path, const RefineState& state) {
  Json values = Json::object();
  for (const auto& [name, value] : state.values) values[name] = value;
  write_json(path, {{"version", version()}, {"stage", name_of(state.stage)}, {"values", values}});
}

void write_refined_factors(const std::string& path, const Refinement& r) {
  const StructureFactorGrid& grid = *r.experiment.structure_factors.grid;
  std::string text;
  for (int h = grid.min()[0]; h <= grid.max()[0]; ++h)
    for (int k = grid.min()[1]; k <= grid.max()[1]; ++k)
      for (int l = grid.min()[2]; l <= grid.max()[2]; ++l)
        if (grid.at(h, k, l) != 0)
          fmt::format_to(std::back_inserter(text), "{} {} {} {:.6g}\n", h, k, l, grid.at(h, k, l));
  io::AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_refinement_json(const std::string& path, const Refinement& r,
                           const std::vector<std::string>& model, const flags::FlagsOf& refined) {
  write_json(path, {{"version", version()},
                    {"model", model},
                    {"refined_flags", refined.flags},
                    {"not_in_flags", refined.not_in_flags},
                    {"residual", r.stages.empty() ? 0 : r.stages.back().residual},
                    {"numbers", numbers_json(r)},
                    {"correlations", correlations_json(r)},
                    {"structure_factors", factors_json(r)},
                    {"stages", stages_json(r)},
                    {"found_spots", found_spots_json(r)},
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
  const std::vector<Tile> tiles = brightest_tiles(m.counts, r.shoeboxes);
  if (tiles.empty()) return;
  std::vector<PixelIndex> pixels;
  for (const Tile& tile : tiles) {
    const auto more = tile.pixels();
    pixels.insert(pixels.end(), more.begin(), more.end());
  }
  const std::vector<double> before = photons(start, pixels, compute);
  const std::vector<double> after = photons(r.experiment, pixels, compute);

  const int edge = tiles[0].edge;
  Picture picture(static_cast<int>(tiles.size()), edge);
  const std::size_t size = tiles[0].pixels().size();
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const std::span own = std::span(pixels).subspan(t * size, size);
    std::vector<double> measured;
    for (const PixelIndex& p : own)
      measured.push_back((static_cast<double>(m.counts.at(p)) - m.offset) / m.counts_per_photon);
    // What is no measurement is no part of a spot
    const auto seen = [](double photons) { return std::isfinite(photons) ? photons : 0; };
    double black = 1;
    for (const double photons : measured) black = std::max(black, seen(photons));
    for (std::size_t i = 0; i < size; ++i) {
      const auto share = [&](double photons) {
        return 255 * (1 - std::sqrt(std::clamp(photons / black, 0.0, 1.0)));
      };
      const double background = tiles[t].background(own[i]);
      const double expected = after[t * size + i] + background;
      const double off = seen(measured[i] - expected) / std::sqrt(std::max(expected, 1.0));
      const std::array<double, Picture::rows> values{
          share(seen(measured[i])), share(before[t * size + i] + background), share(expected),
          std::clamp(128 - 128 * off / 5, 0.0, 255.0)};
      for (int row = 0; row < Picture::rows; ++row)
        picture.set(static_cast<int>(t), row, static_cast<int>(i) % edge,
                    static_cast<int>(i) / edge, values[static_cast<std::size_t>(row)]);
    }
    const auto& hkl = tiles[t].box->hkl;
    picture.label(static_cast<int>(t),
                  hkl ? fmt::format("{} {} {}", (*hkl)[0], (*hkl)[1], (*hkl)[2]) : "",
                  fmt::format("{:.0f}", black));
  }
  picture.write(path);
}

}  // namespace nablabragg::cli
