// nanoBragg's random numbers: the Park-Miller minimal standard generator behind a
// 32-entry shuffle (Numerical Recipes' ran1), and what is drawn from it.
//
// The shuffle table is one state for all streams; only the 31-bit seed belongs to a stream.
// Internal seeds are the negative of what a user types after -seed; a seed <= 0 refills
// the table at its first draw, a positive one goes on with what the last stream left.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include "nablabragg/vec3.hpp"

namespace nablabragg::model {

class NanobraggRandom {
 public:
  /// Uniform in [0, 0.99999988].  `seed` is the stream's state and is advanced.
  float uniform(std::int64_t& seed) {
    if (seed <= 0 || last_ == 0) {
      seed = -seed < 1 ? 1 : -seed;
      for (int j = warm_up + table_size - 1; j >= 0; --j) {
        advance(seed);
        if (j < table_size) table_[static_cast<std::size_t>(j)] = seed;
      }
      last_ = table_[0];
    }
    advance(seed);
    last_ = exchange(last_, seed);
    return between_0_and_1(last_);
  }

  /// Draws that are made together: where nothing of the stream is out of the ordinary, its seeds
  /// need not wait for each other.
  struct Block {
    static constexpr int most = 512;
    int size = 0;
    std::array<float, most> values;
    std::array<std::int64_t, most> seeds;  ///< the stream's state after each draw
  };

  /// The next draws of a stream, one at least.
  void draw(std::int64_t& seed, Block& block) {
    const auto usual = [](std::int64_t x) { return x > 0 && x < modulus; };
    if (!usual(seed) || !usual(last_) || !std::all_of(table_.begin(), table_.end(), usual)) {
      block.size = 1;
      block.values[0] = uniform(seed);
      block.seeds[0] = seed;
      return;
    }
    block.size = Block::most;
    constexpr std::size_t chains = 16;
    const std::int64_t leap_of_chains = leap(chains);
    std::array<std::int64_t, Block::most>& seeds = block.seeds;
    for (std::size_t i = 0; i < chains; ++i) {
      advance(seed);
      seeds[i] = seed;
    }
    for (std::size_t i = chains; i < seeds.size(); ++i)
      seeds[i] = product(leap_of_chains, seeds[i - chains]);
    seed = seeds.back();
    // Each draw's place follows from the one before: without a sign it is a shift away.
    std::array<std::int32_t, Block::most> drawn;
    auto last = static_cast<std::uint64_t>(last_);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      last = static_cast<std::uint64_t>(exchange(last, seeds[i]));
      drawn[i] = static_cast<std::int32_t>(last);
    }
    last_ = static_cast<std::int64_t>(last);
    for (std::size_t i = 0; i < drawn.size(); ++i) block.values[i] = between_0_and_1(drawn[i]);
  }

  /// Unit normal deviate by the polar method; the second one of a pair is kept for the next call,
  /// whatever its stream.
  float gauss(std::int64_t& seed) {
    return gauss([&] { return uniform(seed); });
  }
  /// The same from what `next()` draws.
  template <class Next>
  float gauss(Next&& next) {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    float v1, v2, square;
    do {
      v1 = static_cast<float>(2.0 * static_cast<double>(next()) - 1.0);
      v2 = static_cast<float>(2.0 * static_cast<double>(next()) - 1.0);
      square = v1 * v1 + v2 * v2;
    } while (square >= 1.0F || square == 0.0F);
    const auto scale = static_cast<float>(
        std::sqrt(-2.0 * std::log(static_cast<double>(square)) / static_cast<double>(square)));
    spare_ = v1 * scale;
    has_spare_ = true;
    return v2 * scale;
  }

 private:
  static constexpr std::int64_t modulus = 2147483647;
  static constexpr std::int64_t multiplier = 16807;
  static constexpr int table_size = 32, warm_up = 8;

  /// Takes from the place of the table that `last` points to, and leaves the seed there.
  template <class Integer>
  std::int64_t exchange(Integer last, std::int64_t seed) {
    constexpr Integer share = 1 + (modulus - 1) / table_size;
    std::int64_t& place = table_[static_cast<std::size_t>(last / share)];
    const std::int64_t taken = place;
    place = seed;
    return taken;
  }

  template <class Integer>
  static float between_0_and_1(Integer drawn) {
    const auto x = static_cast<float>(1.0 / static_cast<double>(modulus) *
                                      static_cast<double>(drawn));
    constexpr double largest = 1.0 - 1.2e-7;
    return static_cast<double>(x) > largest ? static_cast<float>(largest) : x;
  }

  /// a b modulo 2^31 - 1, both from 1 to 2^31 - 2: 2^31 is 1 there.
  static constexpr std::int64_t product(std::int64_t a, std::int64_t b) {
    const std::int64_t p = a * b, sum = (p & modulus) + (p >> 31);
    return sum > modulus ? sum - modulus : sum;
  }

  /// What multiplies a seed to become the one so many draws later.
  static constexpr std::int64_t leap(std::size_t draws) {
    std::int64_t power = 1;
    for (std::size_t i = 0; i < draws; ++i) power = product(multiplier, power);
    return power;
  }

  // Schrage's method; 64-bit integers would not need it, but the sequence does.
  static void advance(std::int64_t& seed) {
    constexpr std::int64_t quotient = 127773, remainder = 2836;
    const std::int64_t k = seed / quotient;
    seed = multiplier * (seed - k * quotient) - remainder * k;
    if (seed < 0) seed += modulus;
  }

  std::array<std::int64_t, table_size> table_{};
  std::int64_t last_ = 0;
  float spare_ = 0;
  bool has_spare_ = false;
};

/// What one random rotation is made of; the cap enters only as a factor of the angle.
struct RandomRotation {
  Vec3d axis;
  float angle_over_cap;  ///< in (0, 1]
};

/// Three draws.  The angle's cube is spread so that axes and angles fill a ball evenly.
inline RandomRotation random_rotation(NanobraggRandom& random, std::int64_t& seed) {
  const double r1 = 2.0 * static_cast<double>(random.uniform(seed)) - 1.0;
  const double r2 = 2.0 * static_cast<double>(random.uniform(seed)) - 1.0;
  const double r3 = 2.0 * static_cast<double>(random.uniform(seed)) - 1.0;
  const double ring = std::sqrt(1.0 - r2 * r2);
  constexpr double pi = 3.14159265358979323846;
  // Rounded to float before and after the power, as the reference does it.
  const auto base = static_cast<float>(1.0 - r3 * r3);
  const auto exponent = static_cast<float>(1.0 / 3.0);
  return {{ring * std::sin(pi * r1), ring * std::cos(pi * r1), r2},
          static_cast<float>(std::pow(static_cast<double>(base), static_cast<double>(exponent)))};
}

}  // namespace nablabragg::model
