#include "engine/diffuse_nodes.hpp"

#include <algorithm>
#include <cmath>

#include "engine/sensor_geometry.hpp"

namespace nablabragg::engine {

namespace {

constexpr int most = NodesOfEdge::most, before = most / 2 - 1;
constexpr int longest_step = 8;  ///< [pixels]

/// Lagrange's weights at `place`, in steps behind the node with two of six before it.
std::array<double, most> weights_at(double place) {
  std::array<double, most> weights;
  for (int i = 0; i < most; ++i) {
    double weight = 1;
    for (int k = 0; k < most; ++k)
      if (k != i) weight *= (place - (k - before)) / (i - k);
    weights[static_cast<std::size_t>(i)] = weight;
  }
  return weights;
}

/// The farthest that q moves from a pixel to the next [1/m].
double step_of_q(const Plan& plan, const PlanPanel& panel) {
  double wavenumber = 0, turn = 0;
  for (const PlanRay& ray : plan.light.rays) wavenumber = std::max(wavenumber, ray.wavenumber);
  const auto direction = [&](double fast, double slow) {
    BasicSubPixel<double> at;
    place(panel, plan.oversample, fast, slow, at);
    return at.direction;
  };
  constexpr int places = 32;
  for (int i = 0; i <= places; ++i)
    for (int j = 0; j <= places; ++j) {
      const double fast = double(i) / places * panel.frame.fast_pixels,
                   slow = double(j) / places * panel.frame.slow_pixels;
      const Vec3d here = direction(fast, slow);
      turn = std::max({turn, length(direction(fast + 1, slow) - here),
                       length(direction(fast, slow + 1) - here)});
    }
  return wavenumber * turn;
}

}  // namespace

double error_between_nodes(double step) {
  const auto halo = [](double u) { return 1 / ((1 + u * u) * (1 + u * u)); };
  double worst = 0;
  constexpr int phases = 8, reach = 3;
  for (int phase = 1; phase < phases; ++phase) {
    const double place = double(phase) / phases;
    const auto weights = weights_at(place);
    for (int centre = -reach * phases; centre <= (reach + 1) * phases; ++centre) {
      const double middle = double(centre) / phases;
      double between = 0;
      for (int i = 0; i < most; ++i)
        between += weights[static_cast<std::size_t>(i)] * halo(step * (i - before - middle));
      worst = std::max(worst, std::abs(between - halo(step * (place - middle))));
    }
  }
  return worst;
}

std::vector<int> node_steps(const Plan& plan, const PlanDiffuse& d) {
  std::vector<int> steps(plan.panels.size(), 1);
  // Where light is cut off within a panel, nothing is smooth.
  if (d.error == 0 || plan.dmin > 0) return steps;
  for (std::size_t p = 0; p < plan.panels.size(); ++p) {
    const double of_q = step_of_q(plan, plan.panels[p]);
    // Where the stencil moves on light steps, which spreads over the pixels between nodes.
    constexpr double most_of_an_index = 0.25;
    const auto is_good = [&](int step) {
      return 2 * error_between_nodes(step * of_q * d.longest) <= d.error &&
             step * of_q * d.edge <= most_of_an_index;
    };
    while (steps[p] < longest_step && is_good(steps[p] + 1)) ++steps[p];
  }
  return steps;
}

NodesOfEdge::NodesOfEdge(int pixels, int step) {
  const int last = (pixels - 1) / step * step, low = before * step, high = last - before * step;
  std::vector<int> node_of(static_cast<std::size_t>(pixels));
  const auto is_node = [&](int pixel) {
    return pixel % step == 0 || pixel <= low || pixel >= high;
  };
  for (int pixel = 0; pixel < pixels; ++pixel) {
    node_of[static_cast<std::size_t>(pixel)] = count();
    if (is_node(pixel)) pixels_.push_back(pixel);
  }
  std::vector<std::array<double, most>> weights;
  for (int phase = 0; phase < step; ++phase) weights.push_back(weights_at(double(phase) / step));
  for (int pixel = 0; pixel < pixels; ++pixel) {
    OfPixel& of = of_.emplace_back();
    of.count = is_node(pixel) ? 1 : most;
    of.node.fill(node_of[static_cast<std::size_t>(pixel)]);
    of.weight.fill(1);
    if (of.count == 1) continue;
    of.weight = weights[static_cast<std::size_t>(pixel % step)];
    for (int i = 0; i < most; ++i)
      of.node[static_cast<std::size_t>(i)] = node_of[static_cast<std::size_t>(
          (pixel / step + i - before) * step)];
  }
}

DiffuseNodes::DiffuseNodes(const Plan& plan, const Pixels& pixels, std::span<const int> steps)
    : plan_(plan), of_(pixels) {
  for (std::size_t p = 0; p < plan.panels.size(); ++p) {
    const PlanFrame& frame = plan.panels[p].frame;
    panels_.push_back({NodesOfEdge(frame.fast_pixels, steps[p]),
                       NodesOfEdge(frame.slow_pixels, steps[p]), size_});
    size_ += static_cast<std::size_t>(panels_[p].fast.count()) *
             static_cast<std::size_t>(panels_[p].slow.count());
  }
  needed_.resize(size_);
  mark_needed();
  collect_blocks();
}

void DiffuseNodes::mark_needed() {
  const auto mark = [](const NodesOfEdge::OfPixel& of, auto&& node) {
    for (int i = 0; i < of.count; ++i) node(of.node[static_cast<std::size_t>(i)]);
  };
  if (!of_.all) {
    for (const PixelIndex& at : of_.list) {
      const Edges& edges = panels_[static_cast<std::size_t>(at.panel)];
      mark(edges.slow.of(at.slow), [&](int slow) {
        mark(edges.fast.of(at.fast),
             [&](int fast) { needed_[place_of(at.panel, fast, slow)] = 1; });
      });
    }
    return;
  }
  for (std::size_t p = 0; p < panels_.size(); ++p) {
    const PlanPanel& panel = plan_.panels[p];
    const Edges& edges = panels_[p];
    const RegionOfInterest& roi = panel.roi;
    std::vector<std::uint8_t> row(static_cast<std::size_t>(edges.fast.count()));
    for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow) {
      if (panel.mask || slow == roi.slow_min) {
        std::fill(row.begin(), row.end(), std::uint8_t{0});
        for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
          if (panel.visits(fast, slow))
            mark(edges.fast.of(fast), [&](int node) { row[static_cast<std::size_t>(node)] = 1; });
      }
      mark(edges.slow.of(slow), [&](int node) {
        std::uint8_t* const to = needed_.data() + place_of(static_cast<int>(p), 0, node);
        for (std::size_t x = 0; x < row.size(); ++x) to[x] |= row[x];
      });
    }
  }
}

void DiffuseNodes::collect_blocks() {
  for (std::size_t p = 0; p < panels_.size(); ++p) {
    const int panel = static_cast<int>(p);
    bool new_tile = true;
    for (int slow = 0; slow < panels_[p].slow.count(); slow += block_side)
      for (int fast = 0; fast < panels_[p].fast.count(); fast += block_side) {
        const Block block{panel, fast, slow};
        bool is_needed = false;
        for_each_of_block(block, [&](int, int x, int y, bool) {
          is_needed = is_needed || needed_[place_of(panel, x, y)] != 0;
        });
        if (!is_needed) continue;
        if (new_tile || tiles_.back().blocks == tile_blocks)
          tiles_.push_back({panel, blocks_.size(), 0});
        new_tile = false;
        ++tiles_.back().blocks;
        blocks_.push_back(block);
      }
  }
}

void DiffuseNodes::fill(int index, Tile& tile) const {
  const TileOfNodes& of = tiles_[static_cast<std::size_t>(index)];
  tile.panel = of.panel;
  tile.blocks = of.blocks;
  tile.wanted = of.blocks * block_pixels;
  const Edges& edges = panels_[static_cast<std::size_t>(of.panel)];
  for (int b = 0; b < of.blocks; ++b)
    for_each_of_block(blocks_[of.first_block + static_cast<std::size_t>(b)],
                      [&](int i, int fast, int slow, bool) {
                        const auto at = static_cast<std::size_t>(b * block_pixels + i);
                        tile.fast[at] = static_cast<float>(edges.fast.pixel(fast));
                        tile.slow[at] = static_cast<float>(edges.slow.pixel(slow));
                      });
}

std::vector<double> DiffuseNodes::pull_back(std::span<const double> weights) const {
  std::vector<double> nodes(size_);
  const auto spread = [](const NodesOfEdge::OfPixel& of, double weight, auto&& add) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(of.count); ++i)
      add(of.node[i], of.weight[i] * weight);
  };
  if (!of_.all) {
    for (std::size_t i = 0; i < of_.list.size(); ++i) {
      const PixelIndex& at = of_.list[i];
      const Edges& edges = panels_[static_cast<std::size_t>(at.panel)];
      spread(edges.slow.of(at.slow), weights[i], [&](int slow, double of_row) {
        spread(edges.fast.of(at.fast), of_row,
               [&](int fast, double weight) { nodes[place_of(at.panel, fast, slow)] += weight; });
      });
    }
    return nodes;
  }
  for (std::size_t p = 0; p < panels_.size(); ++p) {
    const PlanPanel& panel = plan_.panels[p];
    const Edges& edges = panels_[p];
    const RegionOfInterest& roi = panel.roi;
    std::vector<double> row(static_cast<std::size_t>(edges.fast.count()));
    for (int slow = roi.slow_min; slow <= roi.slow_max; ++slow) {
      std::fill(row.begin(), row.end(), 0.0);
      for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
        if (panel.visits(fast, slow))
          spread(edges.fast.of(fast), weights[panel.first_pixel + panel.offset_of(fast, slow)],
                 [&](int node, double weight) { row[static_cast<std::size_t>(node)] += weight; });
      spread(edges.slow.of(slow), 1, [&](int node, double weight) {
        double* const to = nodes.data() + place_of(static_cast<int>(p), 0, node);
        for (std::size_t x = 0; x < row.size(); ++x) to[x] += weight * row[x];
      });
    }
  }
  return nodes;
}

}  // namespace nablabragg::engine
