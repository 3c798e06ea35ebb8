// Sums over the pixels of an image.  This file is compiled once for each instruction set, all of it
// in the namespace of that set.  Each column of sixteen has sums of its own, whatever a register
// holds, so that all sets add in the same order.
#include <hwy/highway.h>

#include "nablabragg/vec3.hpp"  // for NABLA_INLINE
#include "readout/row_kernels.hpp"

namespace nablabragg::readout::HWY_NAMESPACE {

namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using F = hn::Rebind<float, D>;

constexpr std::size_t columns = 16, per_register = hn::MaxLanes(D()),
                      registers = columns / per_register;
static_assert(columns % per_register == 0);

/// A number for each column.
template <class Tag>
struct Columns {
  hn::Vec<Tag> part[registers];

  NABLA_INLINE Columns() {
    for (auto& p : part) p = hn::Zero(Tag());
  }
};

NABLA_INLINE double total(const Columns<D>& sums) {
  double each[columns];
  for (std::size_t i = 0; i < registers; ++i)
    hn::StoreU(sums.part[i], D(), each + i * per_register);
  for (std::size_t half = columns / 2; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k) each[k] += each[k + half];
  return each[0];
}
NABLA_INLINE float largest(const Columns<F>& of) {
  float each[columns];
  for (std::size_t i = 0; i < registers; ++i) hn::StoreU(of.part[i], F(), each + i * per_register);
  float most = 0;
  for (const float x : each) most = x > most ? x : most;
  return most;
}

/// Calls `work(register, values, pixels)` for all pixels of a block, in columns of sixteen; what a
/// row does not fill is zero and no pixel.
template <class Work>
NABLA_INLINE void for_each_register(const PixelBlock& block, Work&& work) {
  const std::size_t whole = block.width / columns * columns, rest = block.width - whole;
  const auto load = [&](const float* from, std::size_t pixels) {
    for (std::size_t i = 0; i < registers; ++i) {
      const std::size_t before = i * per_register;
      const auto filled = hn::FirstN(D(), pixels > before ? pixels - before : 0);
      work(i, hn::LoadU(F(), from + before), filled);
    }
  };
  for (std::size_t y = 0; y < block.rows; ++y) {
    const float* const row = block.first + y * block.stride;
    for (std::size_t x = 0; x < whole; x += columns) load(row + x, columns);
    if (rest == 0) continue;
    float last[columns] = {};
    for (std::size_t k = 0; k < rest; ++k) last[k] = row[whole + k];
    load(last, rest);
  }
}

}  // namespace

BlockSums sum_block(const PixelBlock& block) {
  Columns<D> sum, squares;
  Columns<F> max;
  for_each_register(block, [&](std::size_t i, hn::Vec<F> value, auto) {
    sum.part[i] = hn::Add(sum.part[i], hn::PromoteTo(D(), value));
    squares.part[i] = hn::Add(squares.part[i], hn::PromoteTo(D(), hn::Mul(value, value)));
    // What is no number is not larger.
    max.part[i] = hn::IfThenElse(hn::Gt(value, max.part[i]), value, max.part[i]);
  });
  BlockSums out;
  out.sum = total(sum);
  out.squares = total(squares);
  out.max = largest(max);
  out.mean = out.sum / static_cast<double>(block.width * block.rows);

  Columns<D> deviation;
  for_each_register(block, [&](std::size_t i, hn::Vec<F> value, hn::Mask<D> pixels) {
    const auto off = hn::IfThenElseZero(pixels,
                                        hn::Sub(hn::PromoteTo(D(), value), hn::Set(D(), out.mean)));
    deviation.part[i] = hn::Add(deviation.part[i], hn::Mul(off, off));
  });
  out.deviation = total(deviation);
  return out;
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
