// What is done to every pixel of an image once it is computed.  Compiled once for each instruction
// set (simd/instruction_set.hpp); every one of them gives the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nablabragg::readout {

/// Pixels of one call for Poisson deviates, at most, and what their number is a multiple of.
inline constexpr std::size_t poisson_chunk = 256, poisson_lanes = 8;

/// The mean above which the kernels draw nothing.
inline constexpr double poisson_largest_mean = 1e9;

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

struct RowKernels {
  DrawPoisson draw_poisson;
  ToIntegers to_integers;
  ToGreys to_greys;
  ToCounts to_counts;
  SumOf sum_of;
};

/// Those of simd::chosen_instruction_set().
RowKernels row_kernels();

#define NABLA_ROW_KERNELS(target)                                                            \
  namespace target {                                                                         \
  bool draw_poisson(std::uint64_t key, std::uint64_t first, const double* means,             \
                    std::size_t pixels, double* counts);                                     \
  void to_integers(const float* values, std::size_t pixels, double scale, double adc,        \
                   std::uint16_t* integers);                                                 \
  void to_greys(const float* values, std::size_t pixels, double scale, std::uint8_t* greys); \
  std::int64_t to_counts(const double* photons, std::size_t pixels, double adc,              \
                         std::uint16_t* counts);                                             \
  double sum_of(const double* photons, std::size_t pixels);                                  \
  }
NABLA_ROW_KERNELS(N_AVX3)
NABLA_ROW_KERNELS(N_AVX2)
NABLA_ROW_KERNELS(N_SSE4)
NABLA_ROW_KERNELS(N_SCALAR)
#undef NABLA_ROW_KERNELS

}  // namespace nablabragg::readout
