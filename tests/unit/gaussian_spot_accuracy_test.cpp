// The closed form of a spot beside the integral that it stands for: exact rotations, exact
// directions, by quadrature, without random numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "physics/gaussian_spot.hpp"

namespace nablabragg::physics {

namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double degree = pi / 180;
constexpr double fwhm = 2.3548200450309493;  ///< of a Gaussian of standard deviation one

/// v turned by the rotation vector w.
Vec3d turned(const Vec3d& w, const Vec3d& v) {
  const double angle2 = dot(w, w);
  if (angle2 == 0) return v;
  const double angle = std::sqrt(angle2), half = std::sin(angle / 2);
  const Vec3d once = cross(w, v);
  return v + (std::sin(angle) / angle) * once + (2 * half * half / angle2) * cross(w, once);
}

/// A direction across v.
Vec3d across(const Vec3d& v) {
  return unit(cross(v, std::abs(v.x) < 0.6 * length(v) ? Vec3d{1, 0, 0} : Vec3d{0, 1, 0}));
}

struct Node {
  double x, weight;
};
/// Gauss and Legendre's rule on -1..1, with the sum of the weights one.
template <std::size_t n>
std::array<Node, n> legendre_rule() {
  std::array<Node, n> rule{};
  for (std::size_t i = 0; i < n; ++i) {
    double x = std::cos(pi * (double(i) + 0.75) / (n + 0.5)), slope = 1;
    for (int step = 0; step < 100; ++step) {
      double before = 1, p = x;
      for (std::size_t k = 2; k <= n; ++k) {
        const double next = (double(2 * k - 1) * x * p - double(k - 1) * before) / double(k);
        before = p;
        p = next;
      }
      slope = double(n) * (x * p - before) / (x * x - 1);
      x -= p / slope;
      if (std::abs(p / slope) < 1e-15) break;
    }
    rule[i] = {x, 1 / ((1 - x * x) * slope * slope)};
  }
  return rule;
}

/// How fine the sums are.
struct Fineness {
  double step = 0.8, reach = 5.6;  ///< of a trapezoidal sum, in standard deviations
  double reach_of_phi = 6.5;
};

/// The light of a spot at a point, as an integral over the domains' rotations w, the scan's phi and
/// the directions of the beam; the spectrum's is exact.  Domains turn with the crystal: R = R_phi
/// R_w.
///
/// The integrals are nested, phi outside, then directions, then rotations: for what is fixed
/// outside, each is centred by Gauss and Newton's steps where it is brightest and as wide as it is
/// there.  A trapezoidal sum in steps of 0.8 standard deviations of a Gaussian is good to 1e-13.
class ExactSpot {
 public:
  /// about_g: the rotation of the domains about g, which does nothing alone.
  ExactSpot(const GaussianSpotSource<double>& of, double eta, double divergence, Fineness fine = {},
            double about_g = 0)
      : of_(of),
        precision_(inverse(of.shape)),
        s0_(unit(of.incident)),
        k_(length(of.incident)),
        eta_(eta),
        divergence_(divergence),
        fine_(fine),
        about_(about_g * unit(of.g)) {
    across_g_[0] = across(of.g);
    across_g_[1] = unit(cross(of.g, across_g_[0]));
    across_beam_[0] = across(s0_);
    across_beam_[1] = cross(s0_, across_beam_[0]);
  }

  double at(const Vec3d& direction) const {
    Turn turn{};
    if (of_.half_slice == 0) return over_directions(direction, turn);
    const double h = of_.half_slice;
    const Square cov = brightest(direction, turn, 0);
    const double sigma = std::sqrt(cov[0][0]);
    const double low = std::max(-h, unlimited_phi_ - fine_.reach_of_phi * sigma),
                 high = std::min(h, unlimited_phi_ + fine_.reach_of_phi * sigma);
    if (low >= high) return 0;
    static const auto rule = legendre_rule<28>();
    double sum = 0;
    for (const Node& node : rule) {
      turn[0] = (low + high) / 2 + (high - low) / 2 * node.x;
      sum += node.weight * over_directions(direction, turn);
    }
    return sum * (high - low) / (2 * h);
  }

 private:
  /// phi; two angles of the beam; two of a domain [rad]
  static constexpr std::size_t variables = 5;
  using Turn = std::array<double, variables>;
  using Square = std::array<Turn, variables>;

  bool is_free(std::size_t i) const {
    return i == 0 ? of_.half_slice > 0 : i < 3 ? divergence_ > 0 : eta_ > 0;
  }
  Vec3d domain(const Turn& turn) const {
    return turn[3] * across_g_[0] + turn[4] * across_g_[1] + about_;
  }
  /// Where the light of a point comes from in the crystal's frame.
  Vec3d seen(const Vec3d& direction, const Turn& turn) const {
    Vec3d q = direction;
    q = q - turned(turn[1] * across_beam_[0] + turn[2] * across_beam_[1], s0_);
    q = turned(-turn[0] * of_.spindle, k_ * q);
    return turned(-domain(turn), q);
  }
  double value(const Vec3d& direction, const Turn& turn) const {
    const Vec3d q = seen(direction, turn), d = q - of_.g, weighted = precision_ * d;
    double chi2 = dot(d, weighted), norm2 = 1;
    if (of_.bandwidth2 > 0) {
      norm2 += of_.bandwidth2 * dot(q, precision_ * q);
      const double along = dot(q, weighted);
      chi2 -= of_.bandwidth2 * along * along / norm2;
    }
    return std::exp(-0.5 * chi2) / std::sqrt(norm2);
  }

  /// Turns to where the variables from `first` on are brightest, and their covariance there.
  Square brightest(const Vec3d& direction, Turn& turn, std::size_t first) const {
    Square cov{};
    for (int iteration = 0; iteration < 30; ++iteration) {
      const Vec3d q = seen(direction, turn), d = q - of_.g;
      const Mat3d precision = inverse(of_.shape + of_.bandwidth2 * outer_square(q));
      const auto back = [&](const Vec3d& v) {
        return turned(-domain(turn), turned(-turn[0] * of_.spindle, v));
      };
      const std::array<Vec3d, variables> slopes{
          cross(q, back(of_.spindle)), k_ * back(cross(s0_, across_beam_[0])),
          k_ * back(cross(s0_, across_beam_[1])), cross(q, across_g_[0]), cross(q, across_g_[1])};
      const std::array<double, variables> priors{0, divergence_, divergence_, eta_, eta_};
      Square p{};
      Turn down{};
      for (std::size_t i = first; i < variables; ++i) {
        if (!is_free(i)) continue;
        const Vec3d weighted = precision * slopes[i];
        down[i] = -dot(weighted, d);
        for (std::size_t j = first; j < variables; ++j)
          if (is_free(j)) p[i][j] = dot(weighted, slopes[j]);
        if (priors[i] > 0) {
          p[i][i] += 1 / (priors[i] * priors[i]);
          down[i] -= turn[i] / (priors[i] * priors[i]);
        }
      }
      for (std::size_t i = 0; i < variables; ++i)
        if (i < first || !is_free(i)) p[i][i] = 1;
      cov = inverted(p);
      for (std::size_t i = 0; i < variables; ++i)
        if (i < first || !is_free(i)) cov[i][i] = 0;
      const auto step = [&](std::size_t i) {
        double sum = 0;
        for (std::size_t j = first; j < variables; ++j) sum += cov[i][j] * down[j];
        return sum;
      };
      double moved2 = 0;
      Turn next = turn;
      for (std::size_t i = first; i < variables; ++i) next[i] += step(i);
      if (first == 0) {
        // Outside the scan: the others are where they are brightest at its end.
        unlimited_phi_ = next[0];
        const double end = std::clamp(next[0], -of_.half_slice, of_.half_slice);
        for (std::size_t i = 1; i < variables; ++i)
          next[i] += cov[i][0] / cov[0][0] * (end - next[0]);
        next[0] = end;
      }
      for (std::size_t i = first; i < variables; ++i)
        if (cov[i][i] > 0)
          moved2 = std::max(moved2, (next[i] - turn[i]) * (next[i] - turn[i]) / cov[i][i]);
      turn = next;
      if (moved2 < 1e-4) break;
    }
    return cov;
  }
  static Square inverted(Square m) {
    Square out{};
    for (std::size_t i = 0; i < variables; ++i) out[i][i] = 1;
    for (std::size_t i = 0; i < variables; ++i) {  // positive definite: no pivots
      const double per = 1 / m[i][i];
      for (std::size_t j = 0; j < variables; ++j) m[i][j] *= per, out[i][j] *= per;
      for (std::size_t k = 0; k < variables; ++k) {
        if (k == i) continue;
        const double times = m[k][i];
        for (std::size_t j = 0; j < variables; ++j)
          m[k][j] -= times * m[i][j], out[k][j] -= times * out[i][j];
      }
    }
    return out;
  }

  /// The sum of f over turns about `turn` whose variables i and i + 1 have a covariance, weighted
  /// with the density of a normal distribution of standard deviation `prior`.
  template <class F>
  double averaged(const Turn& turn, std::size_t i, const Square& cov, double prior, F&& f) const {
    const double a = std::sqrt(cov[i][i]), b = cov[i][i + 1] / a,
                 c = std::sqrt(cov[i + 1][i + 1] - b * b);
    const int most = static_cast<int>(fine_.reach / fine_.step);
    double sum = 0;
    for (int m = -most; m <= most; ++m)
      for (int n = -most; n <= most; ++n) {
        const double u = fine_.step * m, v = fine_.step * n;
        if (u * u + v * v > fine_.reach * fine_.reach) continue;
        Turn at = turn;
        at[i] += a * u;
        at[i + 1] += b * u + c * v;
        const double off2 = (at[i] * at[i] + at[i + 1] * at[i + 1]) / (prior * prior);
        sum += std::exp(-0.5 * off2) * f(at);
      }
    return sum * fine_.step * fine_.step * a * c / (2 * pi * prior * prior);
  }
  double over_directions(const Vec3d& direction, Turn turn) const {
    if (divergence_ == 0) return over_domains(direction, turn);
    const Square cov = brightest(direction, turn, 1);
    return averaged(turn, 1, cov, divergence_,
                    [&](const Turn& at) { return over_domains(direction, at); });
  }
  double over_domains(const Vec3d& direction, Turn turn) const {
    if (eta_ == 0) return value(direction, turn);
    const Square cov = brightest(direction, turn, 3);
    return averaged(turn, 3, cov, eta_, [&](const Turn& at) { return value(direction, at); });
  }

  GaussianSpotSource<double> of_;
  Mat3d precision_;
  Vec3d s0_;
  double k_, eta_, divergence_;
  Fineness fine_;
  Vec3d about_;
  std::array<Vec3d, 2> across_g_, across_beam_;
  mutable double unlimited_phi_ = 0;
};

/// What the closed form makes of the same.
class ClosedSpot {
 public:
  explicit ClosedSpot(const GaussianSpotSource<double>& of)
      : of_(of), prepared_(prepare_spot(of)), narrow_(prepared_.spot.half_slice <= narrow_box) {}
  double at(const Vec3d& direction) const {
    const Vec3d d = length(of_.incident) * direction - of_.incident - of_.g + prepared_.offset;
    const bool diverges = trace(of_.divergence) > 0, band = of_.bandwidth2 > 0;
    const auto& s = prepared_.spot;
    const double value = of_.half_slice > 0
                             ? band ? spot_value<true, true, true>(s, d, diverges, narrow_)
                                    : spot_value<false, true, true>(s, d, diverges, narrow_)
                         : band ? spot_value<true, false, true>(s, d, diverges, narrow_)
                                : spot_value<false, false, true>(s, d, diverges, narrow_);
    return prepared_.peak * value;
  }

 private:
  GaussianSpotSource<double> of_;
  PreparedSpot<double> prepared_;
  bool narrow_;
};

/// A scan as `pieces` slices of the same width.
std::vector<ClosedSpot> closed_scan(const GaussianSpotSource<double>& of, int pieces) {
  std::vector<ClosedSpot> spots;
  for (int i = 0; i < pieces; ++i) {
    const double phi = of.half_slice * ((2 * i + 1.0) / pieces - 1);
    const auto turn = [&](const Vec3d& v) { return turned(phi * of.spindle, v); };
    const auto turn_rows = [&](const Mat3d& m) { return Mat3d{turn(m.a), turn(m.b), turn(m.c)}; };
    auto piece = of;
    piece.half_slice = of.half_slice / pieces;
    piece.g = turn(of.g);
    piece.shape = turn_rows(transposed(turn_rows(of.shape)));
    piece.mosaic = turn_rows(transposed(turn_rows(of.mosaic)));
    spots.emplace_back(piece);
  }
  return spots;
}
double at(const std::vector<ClosedSpot>& scan, const Vec3d& direction) {
  double sum = 0;
  for (const ClosedSpot& spot : scan) sum += spot.at(direction);
  return sum / double(scan.size());
}

struct Case {
  double cell_A, d_A, N, eta_degrees, bandwidth_percent, divergence_mrad, scan_degrees;
  double eta() const { return eta_degrees * degree; }
  double divergence() const { return divergence_mrad * 1e-3 / fwhm; }
  double bandwidth() const { return bandwidth_percent * 1e-2 / fwhm; }
};

/// A reflection of a crystal in some orientation that is seen in part, and points on its spot.
struct Setting {
  GaussianSpotSource<double> of;
  std::vector<Vec3d> directions;
};

Setting some_setting(const Case& c, unsigned seed, int points) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return 2 * (double(random()) / 4294967295.0) - 1; };
  const auto vector = [&] { return Vec3d{uniform(), uniform(), uniform()}; };
  Setting setting;
  auto& of = setting.of;
  const double k = 1e10;  // of 1 Angstrom
  const Vec3d s0{1, 0, 0};
  of.incident = k * s0;
  of.spindle = {0, 0, 1};
  const Vec3d a = unit(vector()), b = across(a), third = cross(a, b);
  const std::array edges{c.cell_A, 0.8 * c.cell_A, 0.6 * c.cell_A};
  const std::array axes{a, b, third};
  for (std::size_t i = 0; i < 3; ++i) {
    const double width = std::sqrt(0.63 / 4) / (c.N * edges[i]) * 1e10;
    of.shape = of.shape + outer_square(width * axes[i]);
  }
  of.mosaic = (c.eta() * c.eta()) * Mat3d::identity();
  of.divergence = (c.divergence() * c.divergence()) * (Mat3d::identity() - outer_square(s0));
  of.bandwidth2 = c.bandwidth() * c.bandwidth();
  of.half_slice = c.scan_degrees * degree / 2;

  const double theta2 = 2 * std::asin(1 / (2 * c.d_A)), psi = pi * uniform();
  const auto seen_at = [&](double x, double y) {  // angles along the ring and across it
    const double twist = psi + y / std::sin(theta2);
    return Vec3d{std::cos(theta2 + x), std::sin(theta2 + x) * std::cos(twist),
                 std::sin(theta2 + x) * std::sin(twist)};
  };
  const auto covariance = [&](const Vec3d& g, double slice) {
    const Mat3d cross_g = cross_matrix(g);
    return of.shape + cross_g * of.mosaic * transposed(cross_g) + (k * k) * of.divergence +
           of.bandwidth2 * outer_square(g) +
           (slice * slice / 3) * outer_square(cross(of.spindle, g));
  };
  // Off the sphere by up to 1.5 standard deviations, each spread taking what is most likely its
  // part: so the middle of the spot stays where it was aimed at.
  const Vec3d s1 = seen_at(0, 0), q = k * (s1 - s0);
  const double thick = std::sqrt(dot(s1, covariance(q, of.half_slice) * s1));
  const Vec3d pull = (1.5 * uniform() / thick) * s1;
  const double phi = of.half_slice * of.half_slice / 3 * dot(cross(of.spindle, q), pull);
  of.g = turned(of.mosaic * cross(q, pull),
                turned(phi * of.spindle, (1 + of.bandwidth2 * dot(q, pull)) * q)) +
         of.shape * pull + (k * k) * (of.divergence * pull);

  // The ellipse that the spot is to first order, bent along the ring
  const Mat3d precision = inverse(covariance(of.g, of.half_slice));
  const double h = 1e-6;
  const Vec3d by_x = (k / (2 * h)) * (seen_at(h, 0) - seen_at(-h, 0)),
              by_y = (k / (2 * h)) * (seen_at(0, h) - seen_at(0, -h));
  const double xx = dot(by_x, precision * by_x), xy = dot(by_x, precision * by_y),
               yy = dot(by_y, precision * by_y);
  const double det = xx * yy - xy * xy;
  for (int i = 0; i < points; ++i)
    for (int j = 0; j < points; ++j) {
      const double u = 4.2 * (2 * i / (points - 1.0) - 1), v = 4.2 * (2 * j / (points - 1.0) - 1);
      const double y = v / std::sqrt(det / xx);
      setting.directions.push_back(seen_at(u / std::sqrt(xx) - xy / xx * y, y));
    }
  return setting;
}

/// Relative differences of a spot: of its points, sum|closed - exact|/sum(exact), and of the sums.
struct Difference {
  double points, photons;
};
Difference difference(const Case& c, unsigned seed, int points, int pieces, Fineness fine = {}) {
  const Setting setting = some_setting(c, seed, points);
  const ExactSpot exact(setting.of, c.eta(), c.divergence(), fine);
  const auto closed = closed_scan(setting.of, pieces);
  double off = 0, sum = 0, difference = 0;
  for (const Vec3d& direction : setting.directions) {
    const double e = exact.at(direction), f = at(closed, direction);
    off += std::abs(f - e);
    difference += f - e;
    sum += e;
  }
  return {off / sum, difference / sum};
}

struct Worst {
  double points = 0, photons = 0;
};
/// Of four settings of the crystal, with as many points each way.
Worst worst_of(const Case& c, int points) {
  const int pieces = std::max(1, static_cast<int>(std::ceil(c.scan_degrees / 0.5 - 1e-9)));
  Worst worst;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    const Difference d = difference(c, seed, points, pieces);
    worst.points = std::max(worst.points, d.points);
    worst.photons = std::max(worst.photons, std::abs(d.photons));
  }
  return worst;
}
void expect_close(const Case& c, double points, double photons, int each_way = 9) {
  const Worst worst = worst_of(c, each_way);
  const auto name = "cell " + std::to_string(c.cell_A) + " A, d " + std::to_string(c.d_A) +
                    " A, N " + std::to_string(c.N) + ", mosaic " + std::to_string(c.eta_degrees) +
                    " deg, spectrum " + std::to_string(c.bandwidth_percent) + " %, divergence " +
                    std::to_string(c.divergence_mrad) + " mrad, scan " +
                    std::to_string(c.scan_degrees) + " deg";
  EXPECT_LE(worst.points, points) << name;
  EXPECT_LE(worst.photons, photons) << name;
}

/// A still's light as sums in equal steps over all directions, rotations and wavelengths.
double plain_sum(const Setting& setting, const Case& c, const Vec3d& direction, int steps) {
  const auto& of = setting.of;
  const Vec3d s0 = unit(of.incident), a = across(s0), b = cross(s0, a);
  const Vec3d about = unit(of.g), u = across(about), v = cross(about, u);
  const Mat3d precision = inverse(of.shape);
  double sum = 0, weights = 0;
  const auto each = [](double sigma, int n, auto&& f) {
    if (sigma == 0) return f(0.0, 1.0);
    for (int i = -n; i <= n; ++i) {
      const double x = 6.0 * i / n;
      f(sigma * x, std::exp(-x * x / 2));
    }
  };
  each(c.divergence(), steps, [&](double x, double p) {
    each(c.divergence(), steps, [&, p](double y, double p1) {
      const Vec3d from = turned(x * a + y * b, s0);
      each(c.eta(), steps, [&, p = p * p1](double w, double p2) {
        each(c.eta(), steps, [&, p = p * p2](double z, double p3) {
          const Vec3d q = turned(-(w * u + z * v), length(of.incident) * (direction - from));
          each(c.bandwidth(), 2 * steps, [&, p = p * p3](double more, double p4) {
            const Vec3d d = (1 + more) * q - of.g;
            sum += p * p4 * std::exp(-0.5 * dot(d, precision * d));
            weights += p * p4;
          });
        });
      });
    });
  });
  return sum / weights;
}

TEST(GaussianSpotBesideItsIntegral, TheIntegralIsWhatPlainSumsComeTo) {
  const auto expect_same = [](const Case& c, int steps) {
    const Setting setting = some_setting(c, 1, 5);
    const ExactSpot exact(setting.of, c.eta(), c.divergence());
    for (const std::size_t i : {12U, 7U, 18U}) {
      const double value = exact.at(setting.directions[i]);
      EXPECT_NEAR(plain_sum(setting, c, setting.directions[i], steps), value, 1e-6 * value);
    }
  };
  expect_same({80, 2, 20, 0, 1, 2, 0}, 30);
  expect_same({40, 2, 5, 1, 0, 0, 0}, 120);
  expect_same({40, 2, 5, 0.1, 0, 1, 0}, 12);
}

TEST(GaussianSpotBesideItsIntegral, OfAMosaicCrystalDiffersByAThousandthAtMost) {
  for (const double d_A : {2.0, 15.0})
    for (const double cell_A : {40.0, 400.0})
      for (const double N : {5.0, 20.0, 100.0, 500.0}) {
        expect_close({cell_A, d_A, N, 0.01, 0, 0, 0}, 1e-6, 1e-6);
        expect_close({cell_A, d_A, N, 0.1, 0, 0, 0}, 2e-5, 2e-5);
        expect_close({cell_A, d_A, N, 0.3, 0, 0, 0}, 3e-4, 1e-4);
      }
  // The third order is eta^2 of the photons, and moves a spot by eta^3 |g|: at 40 000 Angstrom by a
  // tenth of its width.  The program warns.
  for (const double N : {5.0, 20.0, 100.0}) expect_close({80, 2, N, 1, 0, 0, 0}, 1.5e-3, 1e-3);
  expect_close({80, 2, 500, 1, 0, 0, 0}, 6e-3, 1e-3);
}

TEST(GaussianSpotBesideItsIntegral, OfASpectrumIsExact) {
  for (const double N : {5.0, 20.0, 500.0})
    for (const double percent : {0.1, 1.0, 3.0})
      expect_close({80, 2, N, 0, percent, 0, 0}, 1e-6, 1e-6);
}

TEST(GaussianSpotBesideItsIntegral, OfAMosaicCrystalInASpectrumDiffersByLittleMore) {
  for (const double N : {20.0, 100.0})
    for (const double percent : {0.3, 1.0})
      for (const double eta : {0.01, 0.1, 0.3})
        expect_close({80, 2, N, eta, percent, 0, 0}, 1e-3, 1e-3);
}

TEST(GaussianSpotBesideItsIntegral, OfADivergentBeamDiffersByATenThousandthAtMost) {
  for (const double N : {5.0, 20.0, 500.0})
    for (const double mrad : {0.2, 2.0}) expect_close({80, 2, N, 0, 0, mrad, 0}, 5e-5, 1e-5);
}

TEST(GaussianSpotBesideItsIntegral, OfASliceDiffersByAThousandthAtMost) {
  for (const double N : {20.0, 100.0, 500.0})
    for (const double eta : {0.0, 0.1, 0.3})
      for (const double scan : {0.1, 0.5, 2.0})
        expect_close({80, 2, N, eta, 0, 0, scan}, 5e-4, 5e-4);
  for (const double scan : {0.1, 0.5, 2.0}) {
    // Up to 5 % of g wide
    expect_close({40, 2, 5, 0, 0, 0, scan}, 8e-4, 8e-4);
    expect_close({40, 2, 20, 0, 0, 0, scan}, 8e-4, 8e-4);
    for (const double N : {5.0, 20.0}) expect_close({40, 15, N, 0.1, 0, 0, scan}, 3e-4, 3e-4);
  }
  for (const double N : {5.0, 20.0}) expect_close({40, 2, N, 0.1, 1, 0, 0.5}, 3e-4, 3e-4);
  for (const auto& [N, mrad, scan] :
       {std::array{5.0, 2.0, 0.5}, {20.0, 0.5, 0.1}, {20.0, 2.0, 0.5}, {100.0, 0.5, 0.5}}) {
    expect_close({80, 2, N, 0, 0, mrad, scan}, 8e-4, 8e-4, 7);
    expect_close({80, 15, N, 0, 0, mrad, scan}, 1.3e-3, 1.3e-3, 7);
  }
}

TEST(GaussianSpotBesideItsIntegral, OfAScanHasThePhotonsThatNarrowerSlicesHave) {
  for (const Case& c : {Case{80, 2, 20, 0, 0, 0, 2}, Case{80, 2, 20, 0.1, 1, 1, 2},
                        Case{80, 2, 100, 0.3, 0, 0, 2}, Case{80, 15, 100, 0.1, 0, 0, 2}})
    for (unsigned seed = 1; seed <= 4; ++seed) {
      const Setting setting = some_setting(c, seed, 61);
      const auto photons = [&](int pieces) {
        const auto scan = closed_scan(setting.of, pieces);
        double sum = 0;
        for (const Vec3d& direction : setting.directions) sum += at(scan, direction);
        return sum;
      };
      const double four = photons(4);
      EXPECT_NEAR(photons(8) / four, 1, 3e-4) << c.N << ' ' << seed;
      EXPECT_NEAR(photons(40) / four, 1, 3e-4) << c.N << ' ' << seed;
    }
}

}  // namespace

}  // namespace nablabragg::physics
