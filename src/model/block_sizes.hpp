// Mosaic blocks of many sizes: a log-normal distribution of whole numbers of cells.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>
#include "model/value_of.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"

namespace nablabragg::model {

/// Each size is a lattice of its own to be summed.
inline constexpr std::size_t most_block_sizes = 256;
/// Standard deviations of ln(u) on either side of what makes the spots that are looked at: what
/// lies beyond adds 3e-5 of a peak, and is given to the outermost sizes.
inline constexpr double block_size_reach = 4;

/// By how much the blocks that give half of the peaks' light are larger than `cells`: the peak goes
/// with u^6.
inline double size_of_bright_blocks(double spread) { return std::exp(5.5 * spread * spread); }

/// Blocks of u times `cells`, one u for the three axes, ln(u) normal with standard deviation
/// `spread` and <u> = 1, rounded to whole numbers, one at least: P(n) is that of the u which are
/// rounded to n.  Throws UsageError where there are too many sizes.
template <class Real>
std::vector<BasicBlockSize<Real>> block_sizes(const Vec3<Real>& cells, const Real& spread,
                                              BlockSizeFixed fixed,
                                              double reach = block_size_reach) {
  using std::erf;
  using std::log;
  const auto width = double(value_of(spread)), middle = -width * width / 2;
  // Peaks go with the sixth power of u, whose light is about ln(u) = middle + 6 s^2.
  const double least = std::exp(middle - reach * width),
               most = std::exp(middle + (6 * width + reach) * width);
  const Vec3d mean{double(value_of(cells.x)), double(value_of(cells.y)), double(value_of(cells.z))};
  const auto size_at = [&](double u) {
    const auto rounded = [u](double n) { return std::max(1.0, std::round(u * n)); };
    return Vec3d{rounded(mean.x), rounded(mean.y), rounded(mean.z)};
  };
  // At u = (k + 1/2)/N a block becomes one cell longer.
  struct Border {
    double u;
    Real exact;
  };
  std::vector<Border> borders;
  for (const Real& n : {cells.x, cells.y, cells.z}) {
    const auto number = double(value_of(n));
    if (most * number > 100.0 * most_block_sizes)
      throw UsageError("blocks of " + std::to_string(number) +
                       " cells have too many sizes for a spread of their sizes "
                       "(-block_size_spread); give fewer cells (-N)");
    for (double k = std::max(1.0, std::floor(least * number)); (k + 0.5) / number < most; ++k) {
      const double u = (k + 0.5) / number;
      if (u > least) borders.push_back({u, Real(k + 0.5) / n});
    }
  }
  std::sort(borders.begin(), borders.end(),
            [](const Border& a, const Border& b) { return a.u < b.u; });
  const auto below = [&](const Real& u) {
    const Real z = (log(u) + spread * spread / Real(2)) / spread;
    return Real(0.5) + Real(0.5) * erf(z / Real(1.4142135623730951));
  };
  std::vector<BasicBlockSize<Real>> sizes;
  Real so_far(0), all_cells(0);
  double u = least;
  const auto add = [&](const Real& share, double end) {
    // In the middle of the interval, away from its rounded ends
    const Vec3d size = size_at(std::sqrt(u * end));
    if (!sizes.empty() && sizes.back().cells == size)
      sizes.back().weight = sizes.back().weight + share;
    else
      sizes.push_back({size, share});
    all_cells = all_cells + Real(size.x * size.y * size.z) * share;
    u = end;
  };
  for (auto border = borders.begin(); border != borders.end();) {
    // Those of several axes may be one and the same, but for the last bits.
    const auto next = std::find_if(border, borders.end(), [&](const Border& other) {
      return other.u > border->u * (1 + 1e-9);
    });
    Real sum(0);
    for (auto one = border; one != next; ++one) sum = sum + one->exact;
    const Real share = below(sum / Real(double(next - border)));
    add(share - so_far, border->u);
    so_far = share;
    border = next;
  }
  add(Real(1) - so_far, most);
  if (sizes.size() > most_block_sizes)
    throw UsageError("the blocks have " + std::to_string(sizes.size()) +
                     " sizes (-block_size_spread), and there can be " +
                     std::to_string(most_block_sizes) +
                     "; give fewer cells (-N), equal ones along the axes or a smaller spread");
  if (fixed == BlockSizeFixed::cells)
    for (auto& size : sizes) size.weight = size.weight * (cells.x * cells.y * cells.z / all_cells);
  return sizes;
}

}  // namespace nablabragg::model
