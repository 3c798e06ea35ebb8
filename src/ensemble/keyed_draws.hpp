// Random numbers that depend on a seed, a stream, a shot and a number alone: in whatever order, and
// by whomever, they are asked for.
#pragma once
#include <cstdint>
#include <string_view>
#include "readout/keyed_bits.hpp"

namespace nablabragg::ensemble {

/// A stream by its name (FNV-1a of 64 bits): what one name draws does not depend on other names.
constexpr std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

/// Number `draw` of a stream for a shot: an odd multiple of 2^-53, so neither 0 nor 1.
constexpr double uniform(std::int64_t seed, std::uint64_t stream, int shot, std::uint64_t draw) {
  using readout::golden, readout::mixed;
  const std::uint64_t of_stream = mixed(mixed(static_cast<std::uint64_t>(seed) + golden) ^ stream);
  const std::uint64_t of_shot = mixed(of_stream + static_cast<std::uint64_t>(shot) * golden);
  const std::uint64_t bits = mixed(of_shot + (draw + 1) * golden);
  return static_cast<double>((bits >> 12) * 2 + 1) * 0x1p-53;
}

/// The share of a normal distribution of mean 0 and variance 1 that lies below x.
double normal_share_below(double x);

/// The inverse: x below which the share p lies, 0 < p < 1, to 16 digits (M. J. Wichura, algorithm
/// AS 241, Applied Statistics 37 (1988) 477-484, PPND16).
double normal_quantile(double p);

}  // namespace nablabragg::ensemble
