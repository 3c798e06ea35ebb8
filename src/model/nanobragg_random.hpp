// nanoBragg's random numbers: the Park-Miller minimal standard generator behind a
// 32-entry shuffle (Numerical Recipes' ran1), and what is drawn from it.
//
// The shuffle table is one state for all streams; only the 31-bit seed belongs to a stream.
// Internal seeds are the negative of what a user types after -seed; a seed <= 0 refills
// the table at its first draw, a positive one goes on with what the last stream left.
#pragma once
#include <array>
#include <cmath>
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
    const auto slot = static_cast<std::size_t>(last_ / (1 + (modulus - 1) / table_size));
    last_ = table_[slot];
    table_[slot] = seed;
    const auto x = static_cast<float>(1.0 / static_cast<double>(modulus) *
                                      static_cast<double>(last_));
    constexpr double largest = 1.0 - 1.2e-7;
    return static_cast<double>(x) > largest ? static_cast<float>(largest) : x;
  }

  /// Unit normal deviate by the polar method; the second one of a pair is kept for the next call,
  /// whatever its stream.
  float gauss(std::int64_t& seed) {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    float v1, v2, square;
    do {
      v1 = static_cast<float>(2.0 * static_cast<double>(uniform(seed)) - 1.0);
      v2 = static_cast<float>(2.0 * static_cast<double>(uniform(seed)) - 1.0);
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
  static constexpr int table_size = 32, warm_up = 8;

  // Schrage's method; 64-bit integers would not need it, but the sequence does.
  static void advance(std::int64_t& seed) {
    constexpr std::int64_t multiplier = 16807, quotient = 127773, remainder = 2836;
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
