#include "engine/few_orientations.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "physics/matrix.hpp"

namespace nablabragg::engine {

namespace {

using Members = std::vector<std::size_t>;  ///< numbers of orientations

/// Corners of a regular simplex: mean 0, mean square 1 along each axis, products 0 on the mean.
std::vector<std::array<double, 3>> corners_of_simplex(std::size_t axes) {
  const double third = std::sqrt(1.5), half = std::sqrt(0.5);
  switch (axes) {
    case 0:
      return {{0, 0, 0}};
    case 1:
      return {{1, 0, 0}, {-1, 0, 0}};
    case 2:
      return {{0, 2 * half, 0}, {third, -half, 0}, {-third, -half, 0}};
    default:
      return {{1, 1, 1}, {1, -1, -1}, {-1, 1, -1}, {-1, -1, 1}};
  }
}

/// Some orientations and what may stand for them.
struct Group {
  std::vector<Mat3d> turns;      ///< of the members, from their mean: h changes by axes . turn . q
  std::vector<Vec3d> rotations;  ///< [rad], about a, c* x a and c*
  /// A factor for each member, for each point; all points weigh the same.
  std::vector<std::vector<double>> points;
  double error = 0;

  Group(std::span<const Mat3d> all, const Members& members, const PlanDiffuse& d);

 private:
  void choose_points(double negligible);
  void find_error(const PlanDiffuse& d);
};

Group::Group(std::span<const Mat3d> all, const Members& members, const PlanDiffuse& d) {
  Mat3d mean{};
  for (const std::size_t i : members) mean = mean + all[i];
  mean = (1 / double(members.size())) * mean;
  const Mat3d back = inverse(mean);
  const Vec3d x = unit(mean.a), z = unit(cross(mean.a, mean.b));
  const Mat3d frame{x, cross(z, x), z};
  for (const std::size_t i : members) {
    const Mat3d turn = back * (all[i] - mean);
    const Vec3d twice{turn.c.y - turn.b.z, turn.a.z - turn.c.x, turn.b.x - turn.a.y};
    rotations.push_back(frame * (0.5 * twice));
    turns.push_back(turn);
  }
  // Left out, a variance s^2 of a halo's place costs 2 s^2 of its peak.
  choose_points(0.01 * d.error / std::pow(d.farthest * d.longest, 2));
  find_error(d);
}

/// From whitened rotations: those solved for by the Cholesky factor of their covariance are the
/// same when the rotations about each of the axes all grow by a factor.
void Group::choose_points(double negligible) {
  const double count = double(rotations.size());
  std::array<std::array<double, 3>, 3> L{};
  const auto component = [](const Vec3d& v, std::size_t k) {
    return k == 0 ? v.x : k == 1 ? v.y : v.z;
  };
  std::vector<std::size_t> kept;
  std::vector<std::array<double, 3>> white(rotations.size());
  for (std::size_t j = 0; j < 3; ++j) {
    for (std::size_t i = j; i < 3; ++i) {
      double sum = 0;
      for (const Vec3d& w : rotations) sum += component(w, i) * component(w, j);
      sum /= count;
      for (std::size_t k = 0; k < j; ++k) sum -= L[i][k] * L[j][k];
      L[i][j] = sum;
    }
    const double variance = L[j][j];
    const bool turns_about = variance > negligible;
    if (turns_about) kept.push_back(j);
    for (std::size_t i = j; i < 3; ++i) L[i][j] = turns_about ? L[i][j] / std::sqrt(variance) : 0;
    for (std::size_t m = 0; m < rotations.size() && turns_about; ++m) {
      double rest = component(rotations[m], j);
      for (std::size_t k = 0; k < j; ++k) rest -= L[j][k] * white[m][k];
      white[m][j] = rest / L[j][j];
    }
  }
  for (const auto& corner : corners_of_simplex(kept.size())) {
    auto& factors = points.emplace_back();
    for (const auto& w : white) {
      double factor = 1;
      for (std::size_t k = 0; k < kept.size(); ++k) factor += corner[k] * w[kept[k]];
      factors.push_back(factor / count);
    }
  }
}

/// The largest at some q of the farthest length and some places about the peak.
void Group::find_error(const PlanDiffuse& d) {
  const auto halo = [](const Vec3d& k) {
    const double below = 1 + dot(k, k);
    return 1 / (below * below);
  };
  const auto directions = [] {
    std::vector<Vec3d> all{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (const Vec3d v : {Vec3d{1, 1, 1}, Vec3d{1, -1, -1}, Vec3d{-1, 1, -1}, Vec3d{-1, -1, 1}})
      all.push_back(unit(v));
    return all;
  }();
  std::vector<Vec3d> moves(turns.size()), places(points.size());
  for (const Vec3d& direction : directions) {
    const Vec3d q = (d.farthest * d.longest) * direction;
    for (std::size_t m = 0; m < turns.size(); ++m) moves[m] = turns[m] * q;
    for (std::size_t p = 0; p < points.size(); ++p) {
      places[p] = {};
      for (std::size_t m = 0; m < moves.size(); ++m)
        places[p] = places[p] + points[p][m] * moves[m];
    }
    const auto compare_at = [&](const Vec3d& at) {
      double sum = 0, of_few = 0;
      for (const Vec3d& move : moves) sum += halo(move - at);
      for (const Vec3d& place : places) of_few += halo(place - at);
      error = std::max(error,
                       std::abs(of_few / double(places.size()) - sum / double(moves.size())));
    };
    // Rotations move a halo across q.
    const Vec3d across = unit(cross(direction, Vec3d{0.3, 0.5, 0.8})),
                other = cross(direction, across);
    for (const double away : {0.0, 0.4, -0.4, 0.8, -0.8})
      for (const Vec3d& along : {across, other}) compare_at(away * along);
    // Where they lie far apart
    for (const Vec3d& place : places) compare_at(place);
  }
}

/// Halves, along the axis about which they turn most.
std::pair<Members, Members> halves(const Group& group, const Members& members) {
  std::array<double, 3> variance{};
  for (const Vec3d& w : group.rotations) {
    variance[0] += w.x * w.x;
    variance[1] += w.y * w.y;
    variance[2] += w.z * w.z;
  }
  const auto widest = std::max_element(variance.begin(), variance.end()) - variance.begin();
  const auto turned = [&](std::size_t m) {
    const Vec3d& w = group.rotations[m];
    return widest == 0 ? w.x : widest == 1 ? w.y : w.z;
  };
  Members order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t k) { return turned(i) < turned(k); });
  std::pair<Members, Members> two;
  for (std::size_t i = 0; i < order.size(); ++i)
    (2 * i < order.size() ? two.first : two.second).push_back(members[order[i]]);
  return two;
}

}  // namespace

FewOrientations::FewOrientations(std::span<const Mat3d> all, const PlanDiffuse& d) {
  if (d.error == 0) return;
  Members everything(all.size());
  std::iota(everything.begin(), everything.end(), std::size_t{0});
  std::vector<Members> open{everything};
  while (!open.empty()) {
    const Members members = std::move(open.back());
    open.pop_back();
    if (members.size() > 1) {
      const Group group(all, members, d);
      if (group.points.size() < members.size()) {
        if (group.error > d.error) {
          auto [low, high] = halves(group, members);
          open.push_back(std::move(high));
          open.push_back(std::move(low));
          continue;
        }
        for (const auto& factors : group.points) {
          for (std::size_t m = 0; m < members.size(); ++m)
            shares_.push_back({weights_.size(), members[m], factors[m]});
          weights_.push_back(double(members.size()) / double(group.points.size()));
        }
        continue;
      }
    }
    for (const std::size_t i : members) {
      shares_.push_back({weights_.size(), i, 1});
      weights_.push_back(1);
    }
  }
  if (weights_.size() < all.size()) return;
  weights_.clear();
  shares_.clear();
}

std::vector<Mat3d> FewOrientations::of(std::span<const Mat3d> all) const {
  std::vector<Mat3d> few(weights_.size());
  for (const Share& s : shares_) few[s.few] = few[s.few] + s.factor * all[s.whole];
  return few;
}

void FewOrientations::pull_back(std::span<const Mat3d> few, std::span<Mat3d> all) const {
  for (const Share& s : shares_) all[s.whole] = all[s.whole] + s.factor * few[s.few];
}

}  // namespace nablabragg::engine
