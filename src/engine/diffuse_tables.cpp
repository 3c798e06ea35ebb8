#include "engine/diffuse_tables.hpp"

#include <algorithm>
#include <cmath>

#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

template <class Work>
void for_each_index(const StructureFactorGrid& grid, Work&& work) {
  for (int h = grid.min()[0]; h <= grid.max()[0]; ++h)
    for (int k = grid.min()[1]; k <= grid.max()[1]; ++k)
      for (int l = grid.min()[2]; l <= grid.max()[2]; ++l) work(h, k, l);
}

Vec3d vector(int h, int k, int l) { return {double(h), double(k), double(l)}; }

/// All that a stencil may ask for.
StructureFactorGrid box_of(const PlanDiffuse& d) {
  const auto reach = [&](double of) { return static_cast<int>(of) + d.stencil + 2; };
  const MillerIndex most{reach(d.reach.x), reach(d.reach.y), reach(d.reach.z)};
  return {{-most[0], -most[1], -most[2]}, most, 0.0};
}

/// Adds the slopes of d.form.d, times `by`.
void add_form(double by, const Vec3d& d, physics::SpotMetric<double>& to) {
  to.aa += by * d.x * d.x;
  to.bb += by * d.y * d.y;
  to.cc += by * d.z * d.z;
  to.ab += 2 * by * d.x * d.y;
  to.bc += 2 * by * d.y * d.z;
  to.ca += 2 * by * d.z * d.x;
}

/// Without what rotations of the crystal leave in the last digits, so that all shots of an ensemble
/// have one table, whichever is the first.
physics::SpotMetric<double> without_last_digits(const physics::SpotMetric<double>& form) {
  constexpr int digits = 42;  // of 53
  const double unit = std::ldexp(1.0, std::ilogb(std::max({form.aa, form.bb, form.cc})) - digits);
  physics::SpotMetric<double> rounded{};
  physics::for_each_number_of_metric(
      [&](double& to, const double& x) {
        to = std::isfinite(unit) && unit > 0 ? unit * std::rint(x / unit) : x;
      },
      rounded, form);
  return rounded;
}

/// The same, of the crystal in the frame of its own cell: a* along x, b* in the plane of x and y.
PlanDiffuse not_turned(PlanDiffuse d) {
  d.displacement = without_last_digits(d.displacement);
  const auto& [a, b, c] = d.reciprocal;
  const physics::SpotMetric<double> m = without_last_digits(
      {dot(a, a), dot(b, b), dot(c, c), dot(a, b), dot(b, c), dot(c, a)});
  const double ax = std::sqrt(m.aa), bx = m.ab / ax, by = std::sqrt(m.bb - bx * bx), cx = m.ca / ax,
               cy = (m.bc - bx * cx) / by;
  d.reciprocal = {
      {ax, 0, 0}, {bx, by, 0}, {cx, cy, std::sqrt(std::max(0.0, m.cc - cx * cx - cy * cy))}};
  return d;
}

bool is_zero(const physics::SpotMetric<double>& form) {
  bool zero = true;
  physics::for_each_number_of_metric([&](const double& x) { zero = zero && x == 0; }, form);
  return zero;
}

}  // namespace

DiffuseTables::DiffuseTables(const Plan& plan)
    : grid_(plan.lattice.grid),
      default_F_(plan.lattice.default_F),
      of_(not_turned(plan.diffuse)),
      F2_(box_of(of_)) {
  for_each_index(F2_, [&](int h, int k, int l) {
    const double F = user_F(h, k, l);
    F2_.at(h, k, l) = F * F * (of_.in_F && F != 0 ? std::exp(W(h, k, l)) : 1);
  });

  if (of_.damps()) {
    MillerIndex min{}, max{};
    if (grid_) {
      min = grid_->min();
      max = grid_->max();
    }
    if (default_F_ != 0)
      for (std::size_t i = 0; i < 3; ++i) {
        min[i] = std::min(min[i], F2_.min()[i]);
        max[i] = std::max(max[i], F2_.max()[i]);
      }
    auto spots = std::make_shared<StructureFactorGrid>(min, max, 0.0);
    for_each_index(*spots, [&](int h, int k, int l) {
      spots->at(h, k, l) = user_F(h, k, l) * std::exp(-0.5 * W(h, k, l));
    });
    spots_ = std::move(spots);
  }

  const Vec3d corner = of_.reach + Vec3d{2, 2, 2};
  const double farthest = corner.x * length(of_.reciprocal.a) +
                          corner.y * length(of_.reciprocal.b) + corner.z * length(of_.reciprocal.c);
  shells_.resize(static_cast<std::size_t>(farthest / of_.shell) + 2);
  counts_.resize(shells_.size());
  for_each_shell_entry([&](std::size_t shell, int h, int k, int l) {
    shells_[shell] += F2_.at(h, k, l);
    ++counts_[shell];
  });
  for (std::size_t i = 0; i < shells_.size(); ++i)
    if (counts_[i] > 0) shells_[i] /= counts_[i];
}

bool DiffuseTables::are_of(const Plan& plan) const {
  const PlanDiffuse d = not_turned(plan.diffuse);
  bool same = grid_ == plan.lattice.grid && default_F_ == plan.lattice.default_F &&
              d.in_F == of_.in_F && d.stencil == of_.stencil && d.reach == of_.reach &&
              d.shell == of_.shell && d.reciprocal.a == of_.reciprocal.a &&
              d.reciprocal.b == of_.reciprocal.b && d.reciprocal.c == of_.reciprocal.c;
  physics::for_each_number_of_metric(
      [&](const double& a, const double& b) { same = same && a == b; }, d.displacement,
      of_.displacement);
  return same;
}

double DiffuseTables::user_F(int h, int k, int l) const {
  return is_users(h, k, l) ? grid_->at(h, k, l) : default_F_;
}

double DiffuseTables::W(int h, int k, int l) const {
  return physics::spot_radius2(of_.displacement, vector(h, k, l));
}

template <class Work>
void DiffuseTables::for_each_shell_entry(Work&& work) const {
  const Mat3d& r = of_.reciprocal;
  for_each_index(F2_, [&](int h, int k, int l) {
    const double q = length(double(h) * r.a + double(k) * r.b + double(l) * r.c);
    const auto shell = static_cast<std::size_t>(q / of_.shell);
    if (shell < counts_.size()) work(shell, h, k, l);
  });
}

void DiffuseTables::pull_back_shells(const std::vector<double>& adjoints,
                                     StructureFactorGrid& F2) const {
  for_each_shell_entry([&](std::size_t shell, int h, int k, int l) {
    F2.at(h, k, l) += adjoints[shell] / counts_[shell];
  });
}

void DiffuseTables::pull_back_F2(const StructureFactorGrid& F2, StructureFactorGrid* table,
                                 Plan& to) const {
  for_each_index(F2_, [&](int h, int k, int l) {
    const double adjoint = F2.at(h, k, l), F = user_F(h, k, l);
    if (adjoint == 0 || F == 0) return;
    const double value = F2_.at(h, k, l);
    (is_users(h, k, l) ? table->at(h, k, l) : to.lattice.default_F) += 2 * adjoint * value / F;
    if (of_.in_F) add_form(adjoint * value, vector(h, k, l), to.diffuse.displacement);
  });
}

void DiffuseTables::pull_back_spots(std::shared_ptr<StructureFactorGrid>& table, Plan& to) const {
  if (!spots_) return;
  const auto of_spots = std::move(table);
  if (grid_) table = std::make_shared<StructureFactorGrid>(grid_->min(), grid_->max(), 0.0);
  for_each_index(*of_spots, [&](int h, int k, int l) {
    const double adjoint = of_spots->at(h, k, l);
    if (adjoint == 0) return;
    (is_users(h, k, l) ? table->at(h, k, l) : to.lattice.default_F) += adjoint *
                                                                       std::exp(-0.5 * W(h, k, l));
    add_form(-0.5 * adjoint * spots_->at(h, k, l), vector(h, k, l), to.diffuse.displacement);
  });
}

std::unique_ptr<StructureFactorGrid> DiffuseTables::push_forward_F2(
    const Plan& tangent, const StructureFactorGrid* table) const {
  const auto& by = tangent.diffuse.displacement;
  const double default_F = tangent.lattice.default_F;
  const bool moves = of_.in_F && !is_zero(by);
  if (!table && default_F == 0 && !moves) return {};
  auto out = std::make_unique<StructureFactorGrid>(F2_.min(), F2_.max(), 0.0);
  for_each_index(F2_, [&](int h, int k, int l) {
    const double F = user_F(h, k, l), value = F2_.at(h, k, l);
    if (F == 0) return;
    const double change = !is_users(h, k, l) ? default_F : table ? table->at(h, k, l) : 0;
    double& to = out->at(h, k, l);
    to = 2 * value / F * change;
    if (moves) to += value * physics::spot_radius2(by, vector(h, k, l));
  });
  return out;
}

std::unique_ptr<StructureFactorGrid> DiffuseTables::push_forward_spots(
    const Plan& tangent, const StructureFactorGrid* table) const {
  if (!spots_) return {};
  const auto& by = tangent.diffuse.displacement;
  const double default_F = tangent.lattice.default_F;
  if (!table && default_F == 0 && is_zero(by)) return {};
  auto out = std::make_unique<StructureFactorGrid>(spots_->min(), spots_->max(), 0.0);
  for_each_index(*spots_, [&](int h, int k, int l) {
    const double change = !is_users(h, k, l) ? default_F : table ? table->at(h, k, l) : 0;
    out->at(h, k, l) = change * std::exp(-0.5 * W(h, k, l)) -
                       0.5 * spots_->at(h, k, l) * physics::spot_radius2(by, vector(h, k, l));
  });
  return out;
}

std::vector<double> DiffuseTables::push_forward_shells(const StructureFactorGrid& F2) const {
  std::vector<double> out(shells_.size());
  for_each_shell_entry([&](std::size_t shell, int h, int k, int l) {
    out[shell] += F2.at(h, k, l) / counts_[shell];
  });
  return out;
}

}  // namespace nablabragg::engine
