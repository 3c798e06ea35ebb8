// Poisson deviates, one pixel a lane.  This file is compiled once for each instruction set, all of
// it in the namespace of that set; random_lanes.hpp says what it may round.
//
// Means below 10: inversion, from 0 upwards.  From 10 on: W. Hoermann, "The transformed rejection
// method for generating Poisson random variables", Insurance: Mathematics and Economics 12 (1993)
// 39-45, algorithm PTRS.  Nine candidates of ten are accepted by two comparisons; those that need
// the logarithm of a probability are collected first, so that the lanes of a register all need it.
#include "readout/random_lanes.hpp"

namespace nablabragg::readout::HWY_NAMESPACE {

namespace {

/// k ln(k/mean) - (k - mean).  Next to the mean that is a small difference of large numbers:
/// with s = (k - mean)/(k + mean) it is (k - mean) s + 2 k (artanh(s) - s), which is none.
NABLA_INLINE Numbers half_deviance(Numbers k, Numbers mean) {
  const Numbers off = hn::Sub(k, mean);
  const Numbers near = hn::Div(off, hn::Add(k, mean));
  const Mask is_near = hn::Lt(hn::Abs(near), number(0.171));
  const Parts far = parts_of(hn::Div(hn::Max(k, number(1e-200)), mean));
  const Numbers s = hn::IfThenElse(is_near, near, far.s);
  const Numbers z = hn::Mul(s, s), twice_k = hn::Add(k, k);
  const Numbers bend = hn::Mul(hn::Mul(twice_k, hn::Mul(s, z)), artanh_rest(z));
  const Numbers line = hn::Sub(
      hn::Add(hn::Mul(hn::Mul(k, far.exponent), number(ln_2)), hn::Mul(twice_k, s)), off);
  return hn::Add(bend, hn::IfThenElse(is_near, hn::Mul(off, s), line));
}

/// ln k! - (k ln k - k + ln(2 pi k)/2), what Stirling's formula leaves; 0 for k = 0.
alignas(64) constexpr double small_stirling_rests[16] = {0,
                                                         0.08106146679532726,
                                                         0.0413406959554093,
                                                         0.02767792568499834,
                                                         0.020790672103765093,
                                                         0.016644691189821193,
                                                         0.013876128823070748,
                                                         0.01189670994589177,
                                                         0.010411265261972096,
                                                         0.009255462182712733,
                                                         0.00833056343336287,
                                                         0.007573675487951841,
                                                         0.00694284010720953,
                                                         0.006408994188004207,
                                                         0.0059513701127588475,
                                                         0.005554733551962801};
NABLA_INLINE Numbers stirling_rest(Numbers k) {
  const Numbers clipped = hn::Add(hn::Min(k, number(15)), number(0x1p52));
  const auto place = hn::BitCast(I(), hn::And(hn::BitCast(U(), clipped), bits(15)));
  const Numbers small = hn::GatherIndex(D(), small_stirling_rests, place);
  const Numbers y = hn::Div(number(1), k);
  constexpr double c[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680};  // 1e-14 from k = 16 on
  const Numbers series = hn::Mul(y, polynomial(hn::Mul(y, y), c));
  return hn::IfThenElse(hn::Lt(k, number(16)), small, series);
}

// ---- Small means --------------------------------------------------------------------------------

/// 1/k
constexpr std::size_t most_small_counts = 96;
struct Reciprocals {
  double of[most_small_counts];
};
constexpr Reciprocals reciprocals = [] {
  Reciprocals r{};
  for (std::size_t k = 1; k < most_small_counts; ++k) r.of[k] = 1.0 / static_cast<double>(k);
  return r;
}();

/// How often the cumulated probability is passed on the way up to `u`.
NABLA_INLINE Numbers small_count(Numbers mean, Numbers u, Mask wanted) {
  // exp(-mean) > 1 - mean: nothing but zeros, as mostly where it is dark
  const Numbers surely_0 = hn::Sub(number(1 - 0x1p-40), mean);
  Mask above = hn::And(wanted, hn::Gt(u, surely_0));
  Numbers count = hn::Zero(D());
  if (hn::AllFalse(D(), above)) return count;
  // Below this a probability is lost in the rounding of the sum, and of u.
  const Numbers nothing = number(0x1p-60);
  Numbers probability = exp_of_minus(mean), sum = probability;
  above = hn::And(above, hn::Gt(u, sum));
  for (std::size_t k = 1; k < most_small_counts && !hn::AllFalse(D(), above); ++k) {
    count = hn::IfThenElse(above, number(static_cast<double>(k)), count);
    probability = hn::Mul(probability, hn::Mul(mean, number(reciprocals.of[k])));
    sum = hn::Add(sum, probability);
    above = hn::And(above, hn::And(hn::Gt(u, sum), hn::Gt(probability, nothing)));
  }
  return count;
}

// ---- Large means --------------------------------------------------------------------------------

/// The two numbers that shape the hat.
struct Hat {
  Numbers a, b;
};
NABLA_INLINE Hat hat_of(Numbers mean) {
  const Numbers b = hn::Add(number(0.931), hn::Mul(number(2.53), hn::Sqrt(mean)));
  return {hn::Add(number(-0.059), hn::Mul(number(0.02483), b)), b};
}

/// Whether v, a uniform deviate, accepts the candidate k, for which the first had distance `edge`
/// from the nearer end of its interval.
NABLA_INLINE Mask accepts(Numbers mean, Numbers k, Numbers edge, Numbers v) {
  const Hat hat = hat_of(mean);
  const Numbers inverse_alpha = hn::Add(number(1.1239),
                                        hn::Div(number(1.1328), hn::Sub(hat.b, number(3.4))));
  const Numbers w = hn::Div(hn::Mul(v, inverse_alpha),
                            hn::Add(hn::Div(hat.a, hn::Mul(edge, edge)), hat.b));
  // The logarithm of both sides' squares: of the probability's that leaves no logarithm but this
  const Numbers circle = hn::IfThenElse(hn::Gt(k, hn::Zero(D())), hn::Mul(number(2 * pi), k),
                                        number(1));
  const Numbers left = log_of(hn::Mul(hn::Mul(w, w), circle));
  const Numbers right = hn::Add(half_deviance(k, mean), stirling_rest(k));
  return hn::Le(left, hn::Mul(number(-2), right));
}

/// Adds those of `from`, one a lane, that are of `which` to the end of a list.  Highway's Compress
/// copies a table to the stack at each call, and its CompressStore takes Zen 4 a hundred cycles.
NABLA_INLINE void append(const std::uint64_t* from, Mask which, std::uint64_t* list,
                         std::size_t& size) {
#if HWY_TARGET == HWY_AVX3
  _mm512_storeu_si512(list + size,
                      _mm512_maskz_compress_epi64(which.raw, _mm512_loadu_si512(from)));
  size += hn::CountTrue(D(), which);
#else
  std::uint8_t stored[8] = {};
  hn::StoreMaskBits(D(), which, stored);
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    list[size] = from[lane];
    size += stored[0] >> lane & 1;
  }
#endif
}

/// Ends a list with so many zeros that whole registers may be read.
NABLA_INLINE void pad(List<std::uint64_t>& list, std::size_t size) {
  for (std::size_t i = 0; i < poisson_lanes; i += lanes)
    hn::StoreU(hn::Zero(U()), U(), list + size + i);
}

template <class T>
NABLA_INLINE auto gather(const T* from, Bits places) {
  return hn::GatherIndex(hn::ScalableTag<T>(), from, hn::BitCast(I(), places));
}

/// Of the pixels that `pending` lists, `size` of them.
void draw_large(std::uint64_t key, std::uint64_t first, const double* means,
                List<std::uint64_t>& pending, std::size_t size, double* counts) {
  // Candidates by place in `pending`, then the places of those that two comparisons do not decide
  List<double> candidate, edges, vs;
  List<std::uint64_t> places, undecided, rejected;
  for (std::size_t i = 0; i < poisson_chunk; i += lanes)
    hn::StoreU(hn::Iota(U(), i), U(), places + i);
  for (std::uint64_t attempt = 0; size > 0; ++attempt) {
    std::size_t undecideds = 0, rejecteds = 0;
    pad(pending, size);
    for (std::size_t i = 0; i < size; i += lanes) {
      const Bits pixel = hn::LoadU(U(), pending + i);
      const Numbers mean = gather(means, pixel);
      const Bits start = start_of(key, first, pixel);
      const Numbers u = hn::Sub(uniform(start, 2 * attempt), number(0.5));
      const Numbers v = uniform(start, 2 * attempt + 1);
      const Hat hat = hat_of(mean);
      const Numbers edge = hn::Sub(number(0.5), hn::Abs(u));
      const Numbers stretch = hn::Add(hn::Div(hn::Add(hat.a, hat.a), edge), hat.b);
      const Numbers count = hn::Floor(hn::Add(hn::Add(hn::Mul(stretch, u), mean), number(0.43)));
      const Numbers surely = hn::Sub(number(0.9277),
                                     hn::Div(number(3.6224), hn::Sub(hat.b, number(2))));
      const Mask yes = hn::And(hn::Ge(edge, number(0.07)), hn::Le(v, surely));
      const Mask no = hn::Or(hn::Lt(count, hn::Zero(D())),
                             hn::And(hn::Lt(edge, number(0.013)), hn::Gt(v, edge)));
      hn::StoreU(count, D(), candidate + i);
      hn::StoreU(edge, D(), edges + i);
      hn::StoreU(v, D(), vs + i);
      const Mask not_yet = hn::AndNot(yes, hn::FirstN(D(), size - i));
      append(places + i, hn::AndNot(no, not_yet), undecided, undecideds);
      append(pending + i, hn::And(no, not_yet), rejected, rejecteds);
    }
    // What is not accepted is written over by a later attempt.
    for (std::size_t i = 0; i < size; ++i) counts[pending[i]] = candidate[i];
    pad(undecided, undecideds);
    for (std::size_t i = 0; i < undecideds; i += lanes) {
      const Bits place = hn::LoadU(U(), undecided + i);
      const Bits pixel = gather(pending, place);
      const Mask yes = accepts(gather(means, pixel), gather(candidate, place), gather(edges, place),
                               gather(vs, place));
      alignas(64) std::uint64_t pixels[poisson_lanes];
      hn::StoreU(pixel, U(), pixels);
      append(pixels, hn::AndNot(yes, hn::FirstN(D(), undecideds - i)), rejected, rejecteds);
    }
    for (std::size_t i = 0; i < rejecteds; ++i) pending[i] = rejected[i];
    size = rejecteds;
  }
}

}  // namespace

bool draw_poisson(std::uint64_t key, std::uint64_t first, const double* means, std::size_t pixels,
                  double* counts) {
  List<std::uint64_t> large;
  std::size_t larges = 0;
  bool all_drawn = true;
  alignas(64) std::uint64_t numbers[poisson_lanes];
  for (std::size_t i = 0; i < pixels; i += lanes) {
    const Numbers mean = hn::LoadU(D(), means + i);
    const Bits pixel = hn::Iota(U(), i);
    const Mask is_small = hn::And(hn::Gt(mean, hn::Zero(D())), hn::Lt(mean, number(10)));
    const Mask is_large = hn::And(hn::Ge(mean, number(10)),
                                  hn::Le(mean, number(poisson_largest_mean)));
    all_drawn &= hn::AllFalse(D(), hn::Gt(mean, number(poisson_largest_mean)));
    Numbers count = hn::Zero(D());
    if (!hn::AllFalse(D(), is_small))
      count = small_count(hn::IfThenElseZero(is_small, mean),
                          uniform(start_of(key, first, pixel), 0), is_small);
    hn::StoreU(count, D(), counts + i);
    if (hn::AllFalse(D(), is_large)) continue;
    hn::StoreU(pixel, U(), numbers);
    append(numbers, is_large, large, larges);
  }
  if (larges > 0) draw_large(key, first, means, large, larges, counts);
  return all_drawn;
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
