// Which shots a rank makes at a time, so that all ranks end at nearly the same time.
#pragma once
#include <span>
#include <vector>

namespace nablabragg::ensemble {

/// Shots of one shard, one behind the other.
struct Block {
  int first = 0, count = 0;
  int end() const { return first + count; }
  friend bool operator==(const Block&, const Block&) = default;
};

/// How shots lie in shards.
struct Shards {
  int shots = 0, shots_per_shard = 1;

  int count() const { return (shots - 1) / shots_per_shard + 1; }
  int of(int shot) const { return shot / shots_per_shard; }
  Block block_of(int shard) const {
    const int first = shard * shots_per_shard;
    return {first, shots - first < shots_per_shard ? shots - first : shots_per_shard};
  }
  bool is_whole(const Block& block) const { return block == block_of(of(block.first)); }
};

/// `missing`, each of one shard, cut into the blocks that the ranks take one after the other, as
/// each has done what it took before.  One rank takes them as they are.  Of several each takes half
/// of what would be its share of all that is left, then again, down to single shots: factoring
/// (Flynn Hummel, Schonberg and Flynn 1992).
std::vector<Block> dealt(std::span<const Block> missing, int ranks);

}  // namespace nablabragg::ensemble
