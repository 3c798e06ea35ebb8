#include "ensemble/deal.hpp"

#include <algorithm>
#include <cstdint>

namespace nablabragg::ensemble {

std::vector<Block> dealt(std::span<const Block> missing, int ranks) {
  if (ranks == 1) return {missing.begin(), missing.end()};
  std::int64_t left = 0;
  for (const Block& block : missing) left += block.count;
  std::vector<Block> blocks;
  int size = 0, of_this_size = 0;
  for (Block rest : missing)
    while (rest.count > 0) {
      if (of_this_size == 0) {
        size = static_cast<int>(
            std::clamp<std::int64_t>(left / (2 * std::int64_t{ranks}), 1, 1 << 30));
        of_this_size = ranks;
      }
      const int count = std::min(rest.count, size);
      blocks.push_back({rest.first, count});
      rest.first += count;
      rest.count -= count;
      left -= count;
      --of_this_size;
    }
  return blocks;
}

}  // namespace nablabragg::ensemble
