// Diffuse light at every n-th pixel, and between them.
//
// Halos are wide beside pixels, and solid angle, polarization and capture change slowly: the
// photons of a pixel follow from those of 6 x 6 pixels around it, n apart, by Lagrange's
// polynomials of the fifth degree.  These pixels, the nodes, are the same whatever regions of
// interest, masks and lists are computed: every n-th of a panel from its corner, and all within 2 n
// of its edges, so that none lies outside.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>
#include "engine/cpu/kernels.hpp"  // for Tile
#include "engine/driver.hpp"
#include "engine/engine.hpp"  // for Pixels
#include "plan/plan.hpp"

namespace nablabragg::engine {

/// How far apart the nodes of each panel are [pixels]: so that what lies between is as good as
/// `d.error` says at the peak of a halo, and no lattice point's share of the light is passed over.
std::vector<int> node_steps(const Plan& plan, const PlanDiffuse& d);

/// The largest error, over the peak, of a halo of the first order, 1/(1 + u^2)^2, between nodes
/// that are `step` of u apart along one edge.
double error_between_nodes(double step);

/// Along one edge of a panel.
class NodesOfEdge {
 public:
  static constexpr int most = 6;
  struct OfPixel {
    int count;  ///< 1: the pixel is a node
    std::array<int, most> node;
    std::array<double, most> weight;
  };
  NodesOfEdge(int pixels, int step);

  int count() const { return static_cast<int>(pixels_.size()); }
  int pixel(int node) const { return pixels_[static_cast<std::size_t>(node)]; }
  const OfPixel& of(int pixel) const { return of_[static_cast<std::size_t>(pixel)]; }

 private:
  std::vector<int> pixels_;
  std::vector<OfPixel> of_;
};

/// The nodes that some pixels need: in tiles, as Tiling has pixels.
class DiffuseNodes {
 public:
  DiffuseNodes(const Plan& plan, const Pixels& pixels, std::span<const int> steps);

  /// Of all panels, needed or not: as many numbers each of them has a place for.
  std::size_t size() const { return size_; }

  int count() const { return static_cast<int>(tiles_.size()); }
  void fill(int index, Tile& tile) const;
  /// `work(i, place)` for the nodes of a filled tile: number in the tile and place of its value.
  template <class Work>
  void for_each_wanted(int index, const Tile&, Work&& work) const {
    const TileOfNodes& tile = tiles_[static_cast<std::size_t>(index)];
    for (int b = 0; b < tile.blocks; ++b)
      for_each_of_block(blocks_[tile.first_block + static_cast<std::size_t>(b)],
                        [&](int i, int fast, int slow, bool is_node) {
                          if (is_node)
                            work(static_cast<std::size_t>(b * block_pixels + i),
                                 place_of(tile.panel, fast, slow));
                        });
  }
  /// `work(place, panel, fast, slow)` for each node that is needed.
  template <class Work>
  void for_each_needed(Work&& work) const {
    for (std::size_t p = 0; p < panels_.size(); ++p)
      for (int slow = 0; slow < panels_[p].slow.count(); ++slow)
        for (int fast = 0; fast < panels_[p].fast.count(); ++fast)
          if (const std::size_t place = place_of(static_cast<int>(p), fast, slow); needed_[place])
            work(place, static_cast<int>(p), panels_[p].fast.pixel(fast),
                 panels_[p].slow.pixel(slow));
  }

  /// Calls `work(place, value)` for each of the pixels, with what it has between the nodes; of
  /// those `columns` numbers each, the one of `column`.
  template <class Work>
  void for_each_pixel(std::span<const double> nodes, std::size_t columns, std::size_t column,
                      const ComputeOptions& options, Work&& work) const;
  /// The way back: from the weights of the pixels to those of the nodes.
  std::vector<double> pull_back(std::span<const double> weights) const;

 private:
  struct Edges {
    NodesOfEdge fast, slow;
    std::size_t first;  ///< of its nodes among those of all panels
  };
  struct Block {
    int panel, fast, slow;  ///< its first node
  };
  struct TileOfNodes {
    int panel;
    std::size_t first_block;
    int blocks;
  };
  std::size_t place_of(int panel, int fast, int slow) const {
    const Edges& edges = panels_[static_cast<std::size_t>(panel)];
    return edges.first +
           static_cast<std::size_t>(slow) * static_cast<std::size_t>(edges.fast.count()) +
           static_cast<std::size_t>(fast);
  }
  /// Calls work(number, fast, slow, is_node) for nodes (fast, slow) of a panel; those of a block
  /// that reaches over its edge are the last ones again.
  template <class Work>
  void for_each_of_block(const Block& block, Work&& work) const {
    const Edges& edges = panels_[static_cast<std::size_t>(block.panel)];
    for (int i = 0; i < block_pixels; ++i) {
      const int fast = block.fast + i % block_side, slow = block.slow + i / block_side,
                last_fast = edges.fast.count() - 1, last_slow = edges.slow.count() - 1;
      work(i, std::min(fast, last_fast), std::min(slow, last_slow),
           fast <= last_fast && slow <= last_slow);
    }
  }
  void mark_needed();
  void collect_blocks();

  const Plan& plan_;
  const Pixels& of_;
  std::vector<Edges> panels_;
  std::size_t size_ = 0;
  std::vector<std::uint8_t> needed_;
  std::vector<Block> blocks_;
  std::vector<TileOfNodes> tiles_;
};

/// Of nodes in a row or in a column: the same terms in the same order wherever they come from.
template <class Value>
double between_nodes(const NodesOfEdge::OfPixel& pixel, Value&& value) {
  if (pixel.count == 1) return value(pixel.node[0]);
  double sum = 0;
  for (std::size_t i = 0; i < NodesOfEdge::most; ++i) sum += pixel.weight[i] * value(pixel.node[i]);
  return sum;
}

template <class Work>
void DiffuseNodes::for_each_pixel(std::span<const double> nodes, std::size_t columns,
                                  std::size_t column, const ComputeOptions& options,
                                  Work&& work) const {
  const auto value = [&](std::size_t place) { return nodes[place * columns + column]; };
  if (!of_.all) {
    for (std::size_t i = 0; i < of_.list.size(); ++i) {
      const PixelIndex& at = of_.list[i];
      const Edges& edges = panels_[static_cast<std::size_t>(at.panel)];
      work(i, between_nodes(edges.fast.of(at.fast), [&](int fast) {
             return between_nodes(edges.slow.of(at.slow),
                                  [&](int slow) { return value(place_of(at.panel, fast, slow)); });
           }));
    }
    return;
  }
  // A row of pixels has a row of numbers between the rows of nodes, shared by the pixels.
  for (std::size_t p = 0; p < panels_.size(); ++p) {
    const PlanPanel& panel = plan_.panels[p];
    const Edges& edges = panels_[p];
    const RegionOfInterest& roi = panel.roi;
    constexpr int rows_per_part = 16;
    const int rows = std::max(0, roi.slow_max - roi.slow_min + 1),
              parts = (rows + rows_per_part - 1) / rows_per_part;
    if (roi.fast_max < roi.fast_min) continue;
    const auto width = static_cast<std::size_t>(edges.fast.count());
    for_each_part(parts, options, [&](int part, const StopFlag&) -> WorkDone {
      std::vector<double> row(width);
      const int first = roi.slow_min + part * rows_per_part,
                end = std::min(first + rows_per_part, roi.slow_max + 1);
      for (int slow = first; slow < end; ++slow) {
        const NodesOfEdge::OfPixel& in_column = edges.slow.of(slow);
        for (std::size_t x = 0; x < width; ++x)
          row[x] = between_nodes(in_column, [&](int node) {
            return value(edges.first + static_cast<std::size_t>(node) * width + x);
          });
        for (int fast = roi.fast_min; fast <= roi.fast_max; ++fast)
          if (panel.visits(fast, slow))
            work(panel.first_pixel + panel.offset_of(fast, slow),
                 between_nodes(edges.fast.of(fast),
                               [&](int node) { return row[static_cast<std::size_t>(node)]; }));
      }
      return {};
    });
  }
}

}  // namespace nablabragg::engine
