// Poisson deviates (physics/poisson.hpp), one pixel a lane.  This file is compiled once for each
// instruction set, all of it in the namespace of that set.  Of large means the comparison of two
// logarithms is first made in single precision, which decides unless they are as close as it may be
// wrong by; what is accepted does not depend on it.
#include "physics/poisson.hpp"

#include <algorithm>
#include <bit>
#include <iterator>  // for std::size

#include "readout/random_lanes.hpp"

namespace nablabragg::readout::HWY_NAMESPACE {

namespace {

using Draw = physics::Poisson<RandomLanes>;
constexpr physics::PoissonTables tables;

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

// ---- In single precision ------------------------------------------------------------------------

using F = hn::ScalableTag<float>;
using Singles = hn::Vec<F>;
constexpr std::size_t single_lanes = hn::MaxLanes(F());

NABLA_INLINE Singles single(double x) { return hn::Set(F(), static_cast<float>(x)); }

template <std::size_t n>
NABLA_INLINE Singles polynomial(Singles x, const double (&c)[n]) {
  Singles sum = single(c[n - 1]);
  for (std::size_t i = n - 1; i-- > 0;) sum = hn::Add(hn::Mul(sum, x), single(c[i]));
  return sum;
}

/// Of positive normal numbers: 2^e (1 + x), |x| < 0.42, and a minimax polynomial, to 2e-7.
NABLA_INLINE Singles log_of(Singles x) {
  const hn::RebindToSigned<F> integers;
  const auto b = hn::BitCast(integers, x);
  const auto e = hn::ShiftRight<23>(hn::Sub(b, hn::Set(integers, 0x3f3504f3)));  // of sqrt(1/2)
  const Singles rest = hn::Sub(hn::BitCast(F(), hn::Sub(b, hn::ShiftLeft<23>(e))), single(1));
  constexpr double c[] = {0.999999974,  -0.499999964, 0.333341933,  -0.250013522, 0.199559334,
                          -0.165779929, 0.149774013,  -0.142692582, 0.0853331308};
  return hn::Add(hn::Mul(hn::ConvertTo(F(), e), single(Random::ln_2)),
                 hn::Mul(rest, polynomial(rest, c)));
}

/// By how much the left side of accepts() is smaller; 0 where single precision may be wrong about
/// its sign: it is good to 1e-5 of both sides, and nothing is known far from the mean, next to no
/// count and next to the edge.
NABLA_INLINE Singles estimated_difference(Singles b, Singles k, Singles off, Singles edge,
                                          Singles v) {
  const Singles a = hn::Add(single(-0.059), hn::Mul(single(0.02483), b)), e2 = hn::Mul(edge, edge),
                b_3 = hn::Sub(b, single(3.4));
  const Singles w = hn::Div(
      hn::Mul(hn::Mul(v, e2), hn::Add(hn::Mul(single(1.1239), b_3), single(1.1328))),
      hn::Mul(b_3, hn::Add(a, hn::Mul(b, e2))));
  const Singles twice = hn::Add(k, k), sum = hn::Sub(twice, off);  // k + mean
  const Singles inverse = hn::Div(single(1), hn::Mul(k, sum)), of_k = hn::Mul(inverse, sum);
  const Singles s = hn::Mul(off, hn::Mul(inverse, k)), z = hn::Mul(s, s);
  // Minimax, to 4e-7 for z < 1/4
  constexpr double rest[] = {0.3333336, 0.199946947, 0.144515821, 0.0934659609, 0.162773008};
  const Singles deviance = hn::Mul(s,
                                   hn::Add(off, hn::Mul(hn::Mul(twice, z), polynomial(z, rest))));
  constexpr double stirling[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260};  // 1e-5 from 3 on
  const Singles right = hn::Add(deviance, hn::Mul(of_k, polynomial(hn::Mul(of_k, of_k), stirling)));
  const Singles left = log_of(hn::Mul(hn::Mul(w, w), hn::Mul(single(2 * pi), k)));
  const Singles value = hn::Sub(hn::Mul(single(-2), right), left);
  const Singles error = hn::Add(single(1e-4), hn::Mul(single(2e-5), hn::Add(hn::Abs(left), right)));
  const auto known = hn::And(hn::And(hn::Lt(z, single(0.25)), hn::Ge(k, single(3))),
                             hn::And(hn::Gt(w, single(1e-12)), hn::Gt(hn::Abs(value), error)));
  return hn::IfThenElseZero(known, value);
}

// ---- Candidates ---------------------------------------------------------------------------------

/// 0, 1, 2...
struct Places {
  List<std::uint64_t> of;
};
alignas(64) constexpr Places places = [] {
  Places p{};
  for (std::size_t i = 0; i < std::size(p.of); ++i) p.of[i] = i;
  return p;
}();

/// Of a list of pixels, each of its arrays by the place in that list.
struct Candidates {
  List<double> edge, v, count;
  List<float> b, k, off, single_edge, single_v;
  List<float> verdict;  ///< above 0: is taken, below: is not; 0 is not known
};

/// In steps, so that what a processor has at hand belongs to many pixels.
void draw_candidates(std::uint64_t key, std::uint64_t first, const std::uint64_t* pixels,
                     const double* means, std::size_t size, std::uint64_t attempt, Candidates& to) {
  const auto draw_uniform = [&](std::size_t i) {
    const Bits start = start_of(key, first, hn::LoadU(U(), pixels + i));
    hn::StoreU(hn::Sub(uniform(start, 2 * attempt), number(0.5)), D(), to.edge + i);
    hn::StoreU(uniform(start, 2 * attempt + 1), D(), to.v + i);
  };
  draw_uniform(0);
  const hn::Rebind<float, D> narrow;
  for (std::size_t i = 0; i < size; i += lanes) {
    draw_uniform(i + lanes);  // while roots and quotients are waited for
    const Numbers mean = hn::LoadU(D(), means + i), u = hn::LoadU(D(), to.edge + i),
                  v = hn::LoadU(D(), to.v + i);
    const Draw::Candidate c = Draw::candidate_of(mean, u, v);
    hn::StoreU(c.edge, D(), to.edge + i);
    hn::StoreU(c.count, D(), to.count + i);
    const auto narrowed = [&](Numbers x, float* place) {
      hn::StoreU(hn::DemoteTo(narrow, x), narrow, place + i);
    };
    narrowed(c.width, to.b);
    narrowed(hn::IfThenElse(c.no, number(-1), c.count), to.k);
    narrowed(hn::Sub(c.count, mean), to.off);
    narrowed(c.edge, to.single_edge);
    narrowed(v, to.single_v);
  }
  for (std::size_t i = size; i % single_lanes != 0; ++i)
    to.b[i] = to.k[i] = to.off[i] = to.single_edge[i] = to.single_v[i] = 0;
  for (std::size_t i = 0; i < size; i += single_lanes) {
    const auto load = [&](const float* from) { return hn::LoadU(F(), from + i); };
    const Singles k = load(to.k),
                  difference = estimated_difference(load(to.b), k, load(to.off),
                                                    load(to.single_edge), load(to.single_v));
    hn::StoreU(hn::IfThenElse(hn::Lt(k, single(0)), single(-1), difference), F(), to.verdict + i);
  }
}

/// Of the pixels that `pending` lists, `size` of them; whether these are all, from the first one
/// on.
void draw_large(std::uint64_t key, std::uint64_t first, const double* means,
                List<std::uint64_t>& pending, std::size_t size, bool all, double* counts) {
  Candidates drawn;
  List<double> listed_means;
  List<std::uint64_t> unknown, rejected;
  const hn::Rebind<float, D> narrow;
  for (std::uint64_t attempt = 0; size > 0; ++attempt) {
    const std::uint64_t* const pixels = all ? places.of : pending;
    const double* const mean = all ? means : listed_means;
    if (!all) {
      pad(pending, size);
      for (std::size_t i = 0; i < size; i += lanes)
        hn::StoreU(gather(means, hn::LoadU(U(), pending + i)), D(), listed_means + i);
    }
    draw_candidates(key, first, pixels, mean, size, attempt, drawn);
    // What is not accepted is written over by a later attempt.
    if (all)
      std::copy_n(drawn.count, size, counts);
    else
      for (std::size_t i = 0; i < size; ++i) counts[pending[i]] = drawn.count[i];
    all = false;
    std::size_t rejecteds = 0, unknowns = 0;
    for (std::size_t i = 0; i < size; i += lanes) {
      const Mask wanted = hn::FirstN(D(), size - i);
      const Numbers verdict = hn::PromoteTo(D(), hn::LoadU(narrow, drawn.verdict + i));
      append(pixels + i, hn::And(wanted, hn::Lt(verdict, hn::Zero(D()))), rejected, rejecteds);
      append(places.of + i, hn::And(wanted, hn::Eq(verdict, hn::Zero(D()))), unknown, unknowns);
    }
    pad(unknown, unknowns);
    for (std::size_t i = 0; i < unknowns; i += lanes) {
      const Bits place = hn::LoadU(U(), unknown + i);
      const Mask yes = Draw::accepts(tables, gather(mean, place), gather(drawn.count, place),
                                     gather(drawn.edge, place), gather(drawn.v, place));
      alignas(64) std::uint64_t numbers[lanes];
      hn::StoreU(gather(pixels, place), U(), numbers);
      append(numbers, hn::AndNot(yes, hn::FirstN(D(), unknowns - i)), rejected, rejecteds);
    }
    std::copy_n(rejected, rejecteds, pending);
    size = rejecteds;
  }
}

}  // namespace
bool draw_poisson(std::uint64_t key, std::uint64_t first, const double* means, std::size_t pixels,
                  double* counts) {
  const auto is_large = [](Numbers mean) {
    return hn::And(hn::Ge(mean, number(physics::poisson_rejection_from)),
                   hn::Le(mean, number(physics::poisson_largest_mean)));
  };
  List<std::uint64_t> large;
  // The bits of positive numbers are in their order, and those of no number and of others above.
  constexpr auto from = std::bit_cast<std::uint64_t>(physics::poisson_rejection_from),
                 to = std::bit_cast<std::uint64_t>(physics::poisson_largest_mean);
  Bits most = hn::Zero(U());
  for (std::size_t i = 0; i < pixels; i += lanes)
    most = hn::Max(most, hn::Sub(hn::BitCast(U(), hn::LoadU(D(), means + i)), bits(from)));
  if (hn::AllTrue(U(), hn::Lt(most, bits(to - from + 1)))) {
    draw_large(key, first, means, large, pixels, true, counts);
    return true;
  }
  std::size_t larges = 0;
  bool all_drawn = true;
  for (std::size_t i = 0; i < pixels; i += lanes) {
    const Numbers mean = hn::LoadU(D(), means + i);
    const Mask is_small = hn::And(hn::Gt(mean, hn::Zero(D())),
                                  hn::Lt(mean, number(physics::poisson_rejection_from)));
    all_drawn &= hn::AllFalse(D(), hn::Gt(mean, number(physics::poisson_largest_mean)));
    Numbers count = hn::Zero(D());
    if (!hn::AllFalse(D(), is_small))
      count = Draw::small_count(tables, hn::IfThenElseZero(is_small, mean),
                                uniform(start_of(key, first, hn::Iota(U(), i)), 0), is_small);
    hn::StoreU(count, D(), counts + i);
    if (!hn::AllFalse(D(), is_large(mean))) append(places.of + i, is_large(mean), large, larges);
  }
  if (larges > 0) draw_large(key, first, means, large, larges, false, counts);
  return all_drawn;
}

}  // namespace nablabragg::readout::HWY_NAMESPACE
