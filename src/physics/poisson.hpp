// Poisson deviates, written once for the lanes of a register and for a thread of a GPU
// (keyed_random.hpp).
//
// Means below 10: inversion, from 0 upwards.  From 10 on: W. Hoermann, "The transformed rejection
// method for generating Poisson random variables", Insurance: Mathematics and Economics 12 (1993)
// 39-45, algorithm PTRS: nine candidates of ten are accepted by two comparisons, the others need
// the logarithm of a probability.
#pragma once
#include "physics/keyed_random.hpp"

namespace nablabragg::physics {

/// From which mean on candidates are drawn and rejected, and above which nothing is drawn here.
inline constexpr double poisson_rejection_from = 10, poisson_largest_mean = 1e9;

/// Numbers by a count.
struct PoissonTables {
  static constexpr std::size_t most_small_counts = 96;
  /// ln k! - (k ln k - k + ln(2 pi k)/2), what Stirling's formula leaves; 0 for k = 0.
  double stirling_rests[16] = {0,
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
  double reciprocals[most_small_counts] = {};  ///< 1/k

  constexpr PoissonTables() {
    for (std::size_t k = 1; k < most_small_counts; ++k)
      reciprocals[k] = 1.0 / static_cast<double>(k);
  }
};

template <class L>
struct Poisson : KeyedRandom<L> {
  using Random = KeyedRandom<L>;
  using Random::number;
  using Random::polynomial;
  using Random::uniform;
  using typename Random::Bits;
  using typename Random::Mask;
  using typename Random::Numbers;

  // ---- Small means ------------------------------------------------------------------------------

  /// How often the cumulated probability is passed on the way up to `u`, where `wanted`.
  static NABLA_INLINE Numbers small_count(const PoissonTables& tables, Numbers mean, Numbers u,
                                          Mask wanted) {
    // exp(-mean) > 1 - mean: nothing but zeros, as mostly where it is dark
    const Numbers surely_0 = number(1 - 0x1p-40) - mean;
    Mask above = L::both(wanted, u > surely_0);
    Numbers count = number(0);
    if (L::none(above)) return count;
    // Below this a probability is lost in the rounding of the sum, and of u.
    const Numbers nothing = number(0x1p-60);
    Numbers probability = Random::exp_of_minus(mean), sum = probability;
    above = L::both(above, u > sum);
    for (std::size_t k = 1; k < PoissonTables::most_small_counts && !L::none(above); ++k) {
      count = L::select(above, number(static_cast<double>(k)), count);
      probability = probability * (mean * number(tables.reciprocals[k]));
      sum = sum + probability;
      above = L::both(above, L::both(u > sum, probability > nothing));
    }
    return count;
  }

  // ---- Large means ------------------------------------------------------------------------------

  struct Candidate {
    Numbers count, edge, v;  ///< the distance of the first deviate from the nearer end of its
                             ///< interval, and the second deviate
    Numbers width;           ///< of the hat
    Mask yes, no;            ///< what two comparisons say; neither: see accepts()
  };
  /// By two uniform deviates, the first less 1/2.
  static NABLA_INLINE Candidate candidate_of(Numbers mean, Numbers u, Numbers v) {
    const Hat hat = hat_of(mean);
    const Numbers edge = number(0.5) - L::magnitude(u);
    const Numbers stretch = (hat.a + hat.a) / edge + hat.b;
    const Numbers count = L::floor_of((stretch * u + mean) + number(0.43));
    const Numbers surely = number(0.9277) - number(3.6224) / (hat.b - number(2));
    return {count,
            edge,
            v,
            hat.b,
            L::both(edge >= number(0.07), v <= surely),
            L::either(count < number(0), L::both(edge<number(0.013), v> edge))};
  }
  /// Attempt number `attempt` of a pixel.
  static NABLA_INLINE Candidate candidate(Numbers mean, Bits start, std::uint64_t attempt) {
    return candidate_of(mean, uniform(start, 2 * attempt) - number(0.5),
                        uniform(start, 2 * attempt + 1));
  }

  /// Whether v accepts the count of a candidate.
  static NABLA_INLINE Mask accepts(const PoissonTables& tables, Numbers mean, Numbers k,
                                   Numbers edge, Numbers v) {
    const Hat hat = hat_of(mean);
    const Numbers inverse_alpha = number(1.1239) + number(1.1328) / (hat.b - number(3.4));
    const Numbers w = (v * inverse_alpha) / (hat.a / (edge * edge) + hat.b);
    // The logarithm of both sides' squares: of the probability's that leaves no logarithm but this
    const Numbers circle = L::select(k > number(0), number(2 * Random::pi) * k, number(1));
    const Numbers left = Random::log_of((w * w) * circle);
    const Numbers right = half_deviance(k, mean) + stirling_rest(tables, k);
    return left <= number(-2) * right;
  }

 private:
  /// The two numbers that shape the hat.
  struct Hat {
    Numbers a, b;
  };
  static NABLA_INLINE Hat hat_of(Numbers mean) {
    const Numbers b = number(0.931) + number(2.53) * L::root(mean);
    return {number(-0.059) + number(0.02483) * b, b};
  }

  /// k ln(k/mean) - (k - mean).  Next to the mean that is a small difference of large numbers:
  /// with s = (k - mean)/(k + mean) it is (k - mean) s + 2 k (artanh(s) - s), which is none.
  static NABLA_INLINE Numbers half_deviance(Numbers k, Numbers mean) {
    const Numbers off = k - mean;
    const Numbers near = off / (k + mean);
    const Mask is_near = L::magnitude(near) < number(0.171);
    const auto far = Random::parts_of(L::larger(k, number(1e-200)) / mean);
    const Numbers s = L::select(is_near, near, far.s);
    const Numbers z = s * s, twice_k = k + k;
    const Numbers bend = (twice_k * (s * z)) * Random::artanh_rest(z);
    const Numbers line = ((k * far.exponent) * number(Random::ln_2) + twice_k * s) - off;
    return bend + L::select(is_near, off * s, line);
  }

  static NABLA_INLINE Numbers stirling_rest(const PoissonTables& tables, Numbers k) {
    // The lowest bits of the sum are the count.
    const Numbers clipped = L::smaller(k, number(15)) + number(0x1p52);
    const Numbers small = L::entry(tables.stirling_rests, L::bits_of(clipped) & Random::bits(15));
    const Numbers y = number(1) / k;
    constexpr double c[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680};  // 1e-14 from k = 16 on
    const Numbers series = y * polynomial(y * y, c);
    return L::select(k < number(16), small, series);
  }
};

/// The count of pixel number `pixel`, for any mean that is no more than the largest: 0 where it is
/// not above 0.  `key` is what the seed was mixed to.
NABLA_INLINE double poisson_count(const PoissonTables& tables, std::uint64_t key,
                                  std::uint64_t pixel, double mean) {
  using P = Poisson<OneLane>;
  if (!(mean > 0)) return 0;
  const Unfused m{mean};
  const std::uint64_t start = P::start_of(key, 0, pixel);
  if (mean < poisson_rejection_from)
    return P::small_count(tables, m, P::uniform(start, 0), true).value;
  for (std::uint64_t attempt = 0;; ++attempt) {
    const P::Candidate c = P::candidate(m, start, attempt);
    if (c.yes || (!c.no && P::accepts(tables, m, c.count, c.edge, c.v))) return c.count.value;
  }
}

}  // namespace nablabragg::physics
