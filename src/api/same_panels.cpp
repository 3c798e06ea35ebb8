#include "api/same_panels.hpp"

#include "plan/plan_calculus.hpp"

namespace nablabragg {

namespace {

bool same_rules(const FactorRules& a, const FactorRules& b) {
  return a.solid_angle == b.solid_angle && a.polarization == b.polarization &&
         a.capture == b.capture && a.polarized == b.polarized;
}

}  // namespace

bool same_panels(const Plan& a, const Plan& b) {
  if (a.oversample != b.oversample || a.dmin != b.dmin || !same_rules(a.rules, b.rules) ||
      a.panels.size() != b.panels.size())
    return false;
  for (std::size_t i = 0; i < a.panels.size(); ++i) {
    const PlanPanel &p = a.panels[i], &q = b.panels[i];
    const PlanFrame &f = p.frame, &g = q.frame;
    const RegionOfInterest &r = p.roi, &s = q.roi;
    bool same = f.fast_pixels == g.fast_pixels && f.slow_pixels == g.slow_pixels &&
                f.pixel == g.pixel && f.slow_edge == g.slow_edge && f.curvature == g.curvature &&
                f.handedness == g.handedness && f.solid_angle == g.solid_angle &&
                p.sensor.layers == q.sensor.layers && r.fast_min == s.fast_min &&
                r.fast_max == s.fast_max && r.slow_min == s.slow_min && r.slow_max == s.slow_max &&
                p.mask == q.mask;
    for_each_number_of_panel([&](const double& x, const double& y) { same = same && x == y; }, p,
                             q);
    if (!same) return false;
  }
  return true;
}

}  // namespace nablabragg
