// What is done to every pixel of an image once it is computed.  Compiled once for each instruction
// set (simd/instruction_set.hpp); every one of them gives the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nablabragg::readout {

/// Pixels of one call for Poisson deviates, at most, and what their number is a multiple of.
inline constexpr std::size_t poisson_chunk = 256, poisson_lanes = 8;

/// Draws the counts of the pixels `first`, `first + 1`...; 0 where the mean is not above 0, is
/// above the largest or is not a number.  Whether there was none above it.  `key` is what the seed
/// was mixed to.
using DrawPoisson = bool (*)(std::uint64_t key, std::uint64_t first, const double* means,
                             std::size_t pixels, double* counts);

/// The conversions of integer_image.hpp.
using ToIntegers = void (*)(const float* values, std::size_t pixels, double scale, double adc,
                            std::uint16_t* integers);
using ToGreys = void (*)(const float* values, std::size_t pixels, double scale,
                         std::uint8_t* greys);
using ToCounts = std::int64_t (*)(const double* photons, std::size_t pixels, double adc,
                                  std::uint16_t* counts);

/// Sum of whole numbers, eight sums side by side.
using SumOf = double (*)(const double* photons, std::size_t pixels);

/// Normal deviates of mean 0 and variance 1 for the pixels `first`, `first + 1`...; both numbers
/// are multiples of normal_block.
using DrawNormals = void (*)(std::uint64_t key, std::uint64_t first, std::size_t pixels,
                             double* normals);
inline constexpr std::size_t normal_block = 16;

/// What a counter that is dead for a while after each photon makes of the `counts` that were drawn
/// about `means`.  `per_photon` is the dead time's share of the exposure.
using LoseToDeadTime = void (*)(std::uint64_t key, std::uint64_t first, const double* means,
                                std::size_t pixels, double per_photon, bool paralysable,
                                double* counts);

/// to = factor x from.
using Widen = void (*)(const float* from, std::size_t pixels, double factor, double* to);
using Narrow = void (*)(const double* from, std::size_t pixels, float* to);

/// Values times 1 + spread x a normal deviate, and no less than nothing.
using MultiplyByPattern = void (*)(const double* normals, std::size_t pixels, double spread,
                                   double* values);

/// gain x values + offset, plus noise x normals where these are not null.
using Amplify = void (*)(double gain, double offset, double noise, const double* normals,
                         std::size_t pixels, double* values);

/// Adds spread sqrt(count) times a normal deviate to each count.
using SpreadSignal = void (*)(const double* normals, std::size_t pixels, double spread,
                              double* signal);

/// Rounds values to the nearest whole number, halves up, within 0 and `limit`; how many were above
/// it.
using RoundCounts = std::int64_t (*)(const double* values, std::size_t pixels, double limit,
                                     std::int32_t* counts);

/// weights[0] rows[reach] + sum of weights[k] (rows[reach - k] + rows[reach + k]), each of `size`
/// numbers.
using WeightedSum = void (*)(const double* const* rows, const double* weights, std::size_t reach,
                             std::size_t size, double* sum);

/// Rows of pixels, `stride` apart from one to the next; at least one pixel.
struct PixelBlock {
  const float* first;
  std::size_t width, rows, stride;
};
struct BlockSums {
  double sum = 0;
  double squares = 0;  ///< squared in single precision, as nanoBragg does
  float max = 0;       ///< 0: none is above it
  double mean = 0;
  double deviation = 0;  ///< squared, about the mean
};

/// What the statistics of an image are made of.
using SumBlock = BlockSums (*)(const PixelBlock&);

struct RowKernels {
  DrawPoisson draw_poisson;
  ToIntegers to_integers;
  ToGreys to_greys;
  ToCounts to_counts;
  SumOf sum_of;
  DrawNormals draw_normals;
  LoseToDeadTime lose_to_dead_time;
  SpreadSignal spread_signal;
  RoundCounts round_counts;
  WeightedSum weighted_sum;
  SumBlock sum_block;
  Widen widen;
  Narrow narrow;
  MultiplyByPattern multiply_by_pattern;
  Amplify amplify;
};

/// Those of simd::chosen_instruction_set().
RowKernels row_kernels();

#define NABLA_ROW_KERNELS(target)                                                                  \
  namespace target {                                                                               \
  bool draw_poisson(std::uint64_t key, std::uint64_t first, const double* means,                   \
                    std::size_t pixels, double* counts);                                           \
  void to_integers(const float* values, std::size_t pixels, double scale, double adc,              \
                   std::uint16_t* integers);                                                       \
  void to_greys(const float* values, std::size_t pixels, double scale, std::uint8_t* greys);       \
  std::int64_t to_counts(const double* photons, std::size_t pixels, double adc,                    \
                         std::uint16_t* counts);                                                   \
  double sum_of(const double* photons, std::size_t pixels);                                        \
  void draw_normals(std::uint64_t key, std::uint64_t first, std::size_t pixels, double* normals);  \
  void lose_to_dead_time(std::uint64_t key, std::uint64_t first, const double* means,              \
                         std::size_t pixels, double per_photon, bool paralysable, double* counts); \
  void spread_signal(const double* normals, std::size_t pixels, double spread, double* signal);    \
  std::int64_t round_counts(const double* values, std::size_t pixels, double limit,                \
                            std::int32_t* counts);                                                 \
  void weighted_sum(const double* const* rows, const double* weights, std::size_t reach,           \
                    std::size_t size, double* sum);                                                \
  BlockSums sum_block(const PixelBlock&);                                                          \
  void widen(const float* from, std::size_t pixels, double factor, double* to);                    \
  void narrow(const double* from, std::size_t pixels, float* to);                                  \
  void multiply_by_pattern(const double* normals, std::size_t pixels, double spread,               \
                           double* values);                                                        \
  void amplify(double gain, double offset, double noise, const double* normals,                    \
               std::size_t pixels, double* values);                                                \
  }
NABLA_ROW_KERNELS(N_AVX3)
NABLA_ROW_KERNELS(N_AVX2)
NABLA_ROW_KERNELS(N_SSE4)
NABLA_ROW_KERNELS(N_SCALAR)
#undef NABLA_ROW_KERNELS

}  // namespace nablabragg::readout
