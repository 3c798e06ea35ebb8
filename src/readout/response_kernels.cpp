// What a detector makes of the pixels of a row.  This file is compiled once for each instruction
// set, all of it in the namespace of that set; random_lanes.hpp says what it may round.
#include "readout/random_lanes.hpp"

namespace nablabragg::readout::HWY_NAMESPACE {

namespace {

/// cos and sin of a full turn times u.
struct Turned {
  Numbers cos, sin;
};
/// u from 0 to 1.  An eighth of a turn at most is left of it, for which the series end below 1e-11.
NABLA_INLINE Turned turned(Numbers u) {
  constexpr double shift = 0x1.8p52;
  const Numbers shifted = hn::Add(hn::Mul(u, number(4)), number(shift));
  const Numbers quarters = hn::Sub(shifted, number(shift));
  const Numbers x = hn::Mul(hn::Sub(u, hn::Mul(quarters, number(0.25))), number(2 * pi));
  const Numbers z = hn::Mul(x, x);
  constexpr double sines[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};
  constexpr double cosines[] = {1.0,         -1.0 / 2,       1.0 / 24,       -1.0 / 720,
                                1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600};
  const Numbers sine = hn::Mul(x, polynomial(z, sines)), cosine = polynomial(z, cosines);
  // The lowest bits of the sum are the number of quarters.
  const Bits quarter = hn::BitCast(U(), shifted);
  const auto bit = [](std::uint64_t which, Bits of) {
    return hn::RebindMask(D(), hn::Ne(hn::And(of, bits(which)), hn::Zero(U())));
  };
  const Mask odd = bit(1, quarter);
  const Mask minus_cos = bit(2, hn::Add(quarter, bits(1))), minus_sin = bit(2, quarter);
  const Numbers c = hn::IfThenElse(odd, sine, cosine), s = hn::IfThenElse(odd, cosine, sine);
  return {hn::IfThenElse(minus_cos, hn::Neg(c), c), hn::IfThenElse(minus_sin, hn::Neg(s), s)};
}

}  // namespace

// G. E. P. Box and M. E. Muller, Ann. Math. Statist. 29 (1958) 610-611.  A pair of deviates is for
// two pixels, half a block of them apart.
void draw_normals(std::uint64_t key, std::uint64_t first, std::size_t pixels, double* normals) {
  constexpr std::size_t half = normal_block / 2;
  // The uniform deviates of a register are drawn while the functions of the one before are
  // computed.
  Numbers of_length, of_angle;
  const auto draw = [&](std::size_t block, std::size_t i) {
    const Bits start = start_of(key, (first + block) / 2, hn::Iota(U(), i));
    of_length = uniform(start, 0);
    of_angle = uniform(start, 1);
  };
  draw(0, 0);
  for (std::size_t block = 0; block < pixels; block += normal_block)
    for (std::size_t i = 0; i < half; i += lanes) {
      const Numbers u = of_length, v = of_angle;
      draw(i + lanes < half ? block : block + normal_block, i + lanes < half ? i + lanes : 0);
      const Numbers length = hn::Sqrt(hn::Mul(number(-2), log_of(u)));
      const Turned angle = turned(v);
      hn::StoreU(hn::Mul(length, angle.cos), D(), normals + block + i);
      hn::StoreU(hn::Mul(length, angle.sin), D(), normals + block + half + i);
    }
}

// What is recorded has the mean and the variance of a counter with that dead time, to the first
// order in both: the drawn count's distance from its mean is drawn in, and the rest of a photon
// is one with that probability.  J. W. Mueller, Nucl. Instrum. Methods 112 (1973) 47-57.
void lose_to_dead_time(std::uint64_t key, std::uint64_t first, const double* means,
                       std::size_t pixels, double per_photon, bool paralysable, double* counts) {
  const Numbers most = number(1e12);  // infinite means are left to the limit of the counter
  const Numbers one = number(1);
  for (std::size_t i = 0; i < pixels; i += lanes) {
    const Numbers mean = hn::Max(hn::Min(hn::LoadU(D(), means + i), most), hn::Zero(D()));
    const Numbers count = hn::Min(hn::LoadU(D(), counts + i), most);
    const Numbers busy = hn::Mul(mean, number(per_photon));
    Numbers live, narrowed;
    if (paralysable) {
      live = exp_of_minus(hn::Min(busy, number(700)));
      narrowed = hn::Mul(live, hn::Sub(one, hn::Mul(number(2), hn::Mul(busy, live))));
    } else {
      live = hn::Div(one, hn::Add(one, busy));
      narrowed = hn::Mul(hn::Mul(live, live), live);
    }
    const Numbers recorded = hn::Max(
        hn::Add(hn::Mul(mean, live), hn::Mul(hn::Sub(count, mean), hn::Sqrt(narrowed))),
        hn::Zero(D()));
    const Numbers whole = hn::Floor(recorded);
    const Mask one_more = hn::Lt(uniform(start_of(key, first, hn::Iota(U(), i)), 0),
                                 hn::Sub(recorded, whole));
    hn::StoreU(hn::IfThenElse(one_more, hn::Add(whole, one), whole), D(), counts + i);
  }
}

void spread_signal(const double* normals, std::size_t pixels, double spread, double* signal) {
  for (std::size_t i = 0; i < pixels; i += lanes) {
    const Numbers count = hn::LoadU(D(), signal + i);
    const Numbers width = hn::Mul(number(spread), hn::Sqrt(count));
    hn::StoreU(hn::Add(count, hn::Mul(width, hn::LoadU(D(), normals + i))), D(), signal + i);
  }
}

std::int64_t round_counts(const double* values, std::size_t pixels, double limit,
                          std::int32_t* counts) {
  std::int64_t above = 0;
  const hn::Rebind<std::int32_t, D> to;
  const auto round = [&](const double* from, Mask wanted, std::int32_t* rounded) {
    const Numbers whole = hn::Floor(hn::Add(hn::LoadU(D(), from), number(0.5)));
    const Mask over = hn::Gt(whole, number(limit));
    // What is no number is not above 0.
    const Numbers positive = hn::IfThenElseZero(hn::Gt(whole, hn::Zero(D())), whole);
    hn::StoreU(hn::DemoteTo(to, hn::IfThenElse(over, number(limit), positive)), to, rounded);
    above += static_cast<std::int64_t>(hn::CountTrue(D(), hn::And(over, wanted)));
  };
  std::size_t i = 0;
  for (; i + lanes <= pixels; i += lanes) round(values + i, hn::FirstN(D(), lanes), counts + i);
  if (i == pixels) return above;
  double last[lanes] = {};
  std::int32_t rounded[lanes];
  for (std::size_t k = 0; i + k < pixels; ++k) last[k] = values[i + k];
  round(last, hn::FirstN(D(), pixels - i), rounded);
  for (std::size_t k = 0; i + k < pixels; ++k) counts[i + k] = rounded[k];
  return above;
}

// Loops that the compiler makes registers of.

void widen(const float* from, std::size_t pixels, double factor, double* to) {
  for (std::size_t i = 0; i < pixels; ++i) to[i] = static_cast<double>(from[i]) * factor;
}

void narrow(const double* from, std::size_t pixels, float* to) {
  for (std::size_t i = 0; i < pixels; ++i) to[i] = static_cast<float>(from[i]);
}

void multiply_by_pattern(const double* normals, std::size_t pixels, double spread, double* values) {
  for (std::size_t i = 0; i < pixels; ++i) {
    const double factor = 1 + spread * normals[i];
    values[i] *= factor > 0 ? factor : 0;
  }
}

void amplify(double gain, double offset, double noise, const double* normals, std::size_t pixels,
             double* values) {
  for (std::size_t i = 0; i < pixels; ++i) values[i] = values[i] * gain + offset;
  if (!normals) return;
  for (std::size_t i = 0; i < pixels; ++i) values[i] += noise * normals[i];
}

void weighted_sum(const double* const* rows, const double* weights, std::size_t reach,
                  std::size_t size, double* sum) {
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    Numbers s = hn::Mul(number(weights[0]), hn::LoadU(D(), rows[reach] + i));
    for (std::size_t k = 1; k <= reach; ++k)
      s = hn::Add(s, hn::Mul(number(weights[k]), hn::Add(hn::LoadU(D(), rows[reach - k] + i),
                                                         hn::LoadU(D(), rows[reach + k] + i))));
    hn::StoreU(s, D(), sum + i);
  }
  for (; i < size; ++i) {
    double s = weights[0] * rows[reach][i];
    for (std::size_t k = 1; k <= reach; ++k)
      s += weights[k] * (rows[reach - k][i] + rows[reach + k][i]);
    sum[i] = s;
  }
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
