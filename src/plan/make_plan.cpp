#include "plan/make_plan.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "nablabragg/error.hpp"
#include "plan/energy_terms.hpp"

namespace nablabragg {

template Plan make_plan(const Experiment&, const Resolved&);

namespace {

std::string in_mm(double metres) {
  std::ostringstream text;
  text << metres * 1e3;
  return text.str();
}

}  // namespace

void plan_detail::follow_energy(const Experiment& e, Plan& plan) {
  if (!(e.quirks == Quirks::corrected()))
    throw UsageError(
        "structure factors that follow the energy of the light are not nanoBragg's; "
        "give -corrected");
  std::vector<double> wavenumbers, weights;
  for (const PlanRay& ray : plan.light.rays) {
    wavenumbers.push_back(ray.wavenumber);
    weights.push_back(ray.weight);
  }
  PlanLattice& lattice = plan.lattice;
  lattice.by_energy = energy_terms_of(lattice.grid, lattice.default_F, wavenumbers, weights);
  lattice.grid = lattice.by_energy->mean_amplitudes();
}

std::vector<PathPoint> plan_detail::points_of_path(const std::string& name, double start,
                                                   double end, std::span<const PlanPanel> panels,
                                                   const Vec3d& beam) {
  if (start == end) return {PathPoint{}};
  // Light from the point x of the beam to a pixel at z along it and r beside it has its
  // singularities at x = z +- ir.  The error of n points falls as rho^-2n, rho the semi-axes of the
  // ellipse through them whose foci are the ends of the path (Trefethen, SIAM Review 50, 67, 2008).
  const double middle = 0.5 * (start + end), half = 0.5 * (end - start);
  double rho = 1e300;
  for (const PlanPanel& panel : panels) {
    const PlanFrame& f = panel.frame;
    // Where the panel lies along the beam, and how close to it at least
    const Vec3d fast = (f.fast_pixels * f.pixel) * f.fast,
                slow = (f.slow_pixels * f.pixel) * f.slow, centre = f.origin + 0.5 * (fast + slow);
    const auto across = [&](const Vec3d& v) { return length(v - dot(v, beam) * beam); };
    const double at = dot(centre, beam),
                 reach = 0.5 * (std::abs(dot(fast, beam)) + std::abs(dot(slow, beam))),
                 beside = std::max(0.0, across(centre) - 0.5 * (across(fast) + across(slow)));
    const double along = std::clamp(middle, at - reach, at + reach);
    const std::complex<double> pole((along - middle) / half, beside / half),
        root = std::sqrt(pole * pole - 1.0);
    rho = std::min(rho, std::max(std::abs(pole + root), std::abs(pole - root)));
  }
  constexpr double digits = 18.4;  // log(1e8)
  constexpr int most = 100;
  const double points = std::ceil(digits / (2 * std::log(rho)));
  if (!(points <= most))
    throw UsageError("the material \"" + name + "\" reaches from " + in_mm(start) + " to " +
                     in_mm(end) +
                     " mm along the beam, into the detector or close to it; let it end before");
  return gauss_legendre(std::max(2, static_cast<int>(points)));
}

void plan_detail::check_is_before(double stop_m, std::span<const PlanPanel> panels,
                                  const Vec3d& beam) {
  double farthest = -1e300;
  for (const PlanPanel& panel : panels) {
    const PlanFrame& f = panel.frame;
    if (f.curvature != Curvature::flat) farthest = std::max(farthest, f.curvature_radius);
    for (int corner = 0; corner < 4; ++corner) {
      const Vec3d at = f.origin + (double(corner & 1) * f.fast_pixels * f.pixel) * f.fast +
                       (double(corner >> 1) * f.slow_pixels * f.pixel) * f.slow;
      farthest = std::max(farthest, dot(at, beam));
    }
  }
  if (stop_m < farthest) return;
  throw UsageError("the beamstop (-beamstop_distance) stands " + in_mm(stop_m) +
                   " mm behind the sample, and the detector reaches to " + in_mm(farthest) +
                   " mm; the stop is to be before it");
}

void plan_detail::check_orders(double largest_W) {
  constexpr double most = 100;
  if (largest_W <= most) return;
  throw UsageError(
      "displacements of such a size (-diffuse_sigma) blur what the corner of the "
      "detector sees by exp(-W), W = " +
      std::to_string(largest_W) + "; W may be 100 at most: is the sigma in Angstrom?");
}

double plan_detail::thickness_of_shells(double volume_A3) {
  constexpr double lattice_points = 60, sphere = 4.18879020478639;  // 4 pi/3
  constexpr double odd = 0.97123;  // so that cells with round edges have no lattice point on a
                                   // shell
  return odd * std::exp2(std::ceil(std::log2(std::cbrt(lattice_points / (sphere * volume_A3)))));
}

void check_pixels(const Plan& plan, std::span<const PixelIndex> pixels) {
  for (const PixelIndex& p : pixels) {
    if (p.panel < 0 || static_cast<std::size_t>(p.panel) >= plan.panels.size())
      throw UsageError("there is no panel " + std::to_string(p.panel) + " for pixel fast " +
                       std::to_string(p.fast) + " slow " + std::to_string(p.slow) +
                       "; the experiment's panels are 0 to " +
                       std::to_string(plan.panels.size() - 1));
    const PlanFrame& frame = plan.panels[static_cast<std::size_t>(p.panel)].frame;
    if (p.fast < 0 || p.fast >= frame.fast_pixels || p.slow < 0 || p.slow >= frame.slow_pixels)
      throw UsageError("pixel fast " + std::to_string(p.fast) + " slow " + std::to_string(p.slow) +
                       " is not on the " + std::to_string(frame.fast_pixels) + " x " +
                       std::to_string(frame.slow_pixels) + " (fast x slow) panel");
  }
}

}  // namespace nablabragg
