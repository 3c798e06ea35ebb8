#include "plan/make_plan.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <string>

#include "nablabragg/error.hpp"

namespace nablabragg {

template Plan make_plan(const Experiment&, const Resolved&);

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
    constexpr int places = 65;
    for (int i = 0; i < places * places; ++i) {
      const double fast = double(i % places) / (places - 1) * f.fast_pixels,
                   slow = double(i / places) / (places - 1) * f.slow_pixels;
      const Vec3d pixel = f.origin + (fast * f.pixel) * f.fast + (slow * f.pixel) * f.slow;
      const double along = dot(pixel, beam), beside = length(pixel - along * beam);
      const std::complex<double> at((along - middle) / half, beside / half),
          root = std::sqrt(at * at - 1.0);
      rho = std::min(rho, std::max(std::abs(at + root), std::abs(at - root)));
    }
  }
  constexpr double digits = 18.4;  // log(1e8)
  constexpr int most = 100;
  const double points = std::ceil(digits / (2 * std::log(rho)));
  if (!(points <= most))
    throw UsageError("the material \"" + name + "\" reaches from " + std::to_string(start * 1e3) +
                     " to " + std::to_string(end * 1e3) +
                     " mm along the beam, into the detector or close to it; let it end before");
  return gauss_legendre(std::max(2, static_cast<int>(points)));
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
