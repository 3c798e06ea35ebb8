#include "engine/closed/closed_plan.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

#include "engine/pixel_sum.hpp"
#include "engine/stopping.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"
#include "physics/shapes/gauss.hpp"

namespace nablabragg::engine {

namespace {

/// exp(-87): what a float still holds of a peak of one.
constexpr double longest_reach = 174;

struct View {
  Vec3d direction, by_fast, by_slow;  ///< and how q0 changes over a pixel [1/m]
  double distance;
};

/// A layer of a panel as spots are looked for on it.
class Surface {
 public:
  Surface(const Plan& plan, std::size_t panel, int layer)
      : panel_(plan.panels[panel]),
        oversample_(plan.oversample),
        layer_(layer),
        k_(plan.light.rays.front().wavenumber),
        normal_(panel_.frame.normal),
        origin_(panel_.frame.origin + (panel_.sensor.layer_step * layer) * panel_.frame.normal) {}

  const PlanPanel& panel() const { return panel_; }
  bool is_flat() const { return panel_.frame.curvature == Curvature::flat; }

  Vec3d direction(double x, double y) const {
    return seen_at(static_cast<const PanelNumbers&>(panel_), layer_, oversample_, x, y).direction;
  }
  View see(double x, double y) const {
    if (is_flat()) {
      const PlanFrame& f = panel_.frame;
      const Vec3d position = origin_ + (f.pixel * x) * f.fast + (f.pixel * y) * f.slow;
      const double distance = length(position), per_pixel = k_ * f.pixel / distance;
      const Vec3d direction = (1 / distance) * position;
      const auto across = [&](const Vec3d& axis) {
        return per_pixel * (axis - dot(direction, axis) * direction);
      };
      return {direction, across(f.fast), across(f.slow), distance};
    }
    const auto at = seen_at(static_cast<const PanelNumbers&>(panel_), layer_, oversample_, x, y);
    return {at.direction, k_ * (direction(x + 0.5, y) - direction(x - 0.5, y)),
            k_ * (direction(x, y + 0.5) - direction(x, y - 0.5)), at.distance};
  }
  /// Where a ray meets the flat panel [pixels]; empty: it does not.
  std::optional<std::array<double, 2>> meet(const Vec3d& direction) const {
    const double away = dot(origin_, normal_), facing = dot(direction, normal_);
    if (facing * away <= 0.02 * std::abs(away)) return std::nullopt;
    const Vec3d in_panel = (away / facing) * direction - origin_;
    const PlanFrame& f = panel_.frame;
    // fast and slow need not be at right angles
    const double ff = dot(f.fast, f.fast), fs = dot(f.fast, f.slow), ss = dot(f.slow, f.slow);
    const double x = dot(in_panel, f.fast), y = dot(in_panel, f.slow), det = ff * ss - fs * fs;
    return std::array{(ss * x - fs * y) / det / f.pixel, (ff * y - fs * x) / det / f.pixel};
  }

 private:
  const PlanPanel& panel_;
  double oversample_;
  int layer_;
  double k_;
  Vec3d normal_, origin_;
};

/// No smaller than the largest standard deviation in any direction.
double widest_deviation(const Mat3d& covariance) {
  // Gershgorin's circles
  const auto row = [](const Vec3d& v) { return std::abs(v.x) + std::abs(v.y) + std::abs(v.z); };
  return std::sqrt(std::min(trace(covariance),
                            std::max({row(covariance.a), row(covariance.b), row(covariance.c)})));
}

/// One crystal in one slice: what its reflections have in common.
struct Slice {
  Mat3d a_star, shape;
  double width;   ///< of the shape, in its widest direction [1/m]
  double mosaic;  ///< largest standard deviation of a rotation [rad]

  Slice(const Plan& plan, std::size_t orientation)
      : a_star(reciprocal_axes(plan.lattice.orientations[orientation])),
        shape(shape_covariance(plan.lattice, a_star)),
        width(widest_deviation(shape)),
        mosaic(widest_deviation(plan.spread.mosaic[orientation])) {}
};

class Finder {
 public:
  Finder(const Plan& plan, double skip_below)
      : plan_(plan),
        ray_(plan.light.rays.front()),
        k_(ray_.wavenumber),
        incident_(k_ * ray_.incident),
        band_(std::sqrt(plan.spread.bandwidth2)),
        divergence_(std::sqrt(trace(plan.spread.divergence))),
        half_slice_(std::abs(plan.spread.half_slice)),
        per_F2_(photons_per_F2(plan)),
        skip_(std::max(skip_below, double(std::numeric_limits<float>::min()))),
        largest_solid_angle_(largest_solid_angle()) {
    for (std::size_t p = 0; p < plan.panels.size(); ++p)
      for (int layer = 0; layer < plan.panels[p].sensor.layers; ++layer)
        surfaces_.push_back({Surface(plan, p, layer), static_cast<int>(p), layer});
    double largest_F = std::abs(plan.lattice.default_F);
    if (plan.lattice.grid)
      for (const double F : plan.lattice.grid->values())
        if (std::abs(F) > largest_F && std::isfinite(F)) largest_F = std::abs(F);
    deviations_ = std::sqrt(
        std::clamp(2 * std::log(per_F2_ * largest_F * largest_F * largest_solid_angle_ / skip_),
                   0.0, longest_reach));
  }

  /// The indices that a slice may light.
  struct Limits {
    double g;  ///< largest [1/m]
    std::array<int, 3> low, high;
  };
  Limits limits(const Slice& slice) const;
  /// Those of one h of one slice.
  void find(std::size_t orientation, const Slice& slice, const Limits& within, int h,
            ClosedPlan::Found& found) const;

 private:
  struct LayerOfPanel {
    Surface surface;
    int panel, layer;
  };

  double largest_solid_angle() const {
    double largest = 0;
    for (const PlanPanel& panel : plan_.panels) {
      const double near = panel.frame.curvature == Curvature::flat
                              ? std::abs(dot(panel.frame.origin, panel.frame.normal))
                              : panel.frame.curvature_radius;
      largest = std::max(largest, solid_angle(panel.frame, 1 / near, 0.0));
    }
    return largest;
  }
  /// What a spot of that |g| is spread over across q [1/m].
  double spread(const Slice& slice, double g) const {
    return deviations_ * std::sqrt(slice.width * slice.width + g * g * slice.mosaic * slice.mosaic +
                                   k_ * k_ * divergence_ * divergence_) +
           g * half_slice_ + deviations_ * deviations_ * slice.mosaic * slice.mosaic * g;
  }
  /// The largest |g| that any panel may see.
  double largest_g(const Slice& slice) const {
    double q = 0;
    for (const LayerOfPanel& each : surfaces_) {
      const PlanFrame& f = each.surface.panel().frame;
      for (int i = 0; i <= 16; ++i)
        for (int j = 0; j <= 16; ++j)
          q = std::max(
              q, length(each.surface.direction(f.fast_pixels * i / 16.0, f.slow_pixels * j / 16.0) -
                        ray_.incident));
    }
    q = std::min(q, 2.0) * k_ * (1 + deviations_ * band_);
    q += spread(slice, q);
    return plan_.dmin > 0 ? std::min(q, 1 / plan_.dmin) : q;
  }
  /// Whether a reflection is near enough to the Ewald sphere to be seen at all: what most
  /// candidates are not, and cheaper than the rest.
  bool may_be_lit(std::size_t orientation, const Slice& slice, const Vec3d& g, double F) const;
  void try_reflection(std::size_t orientation, const Slice& slice, const MillerIndex& hkl, double F,
                      ClosedPlan::Found& found) const;
  /// Fills all of a spot, or says that there is none.
  bool try_surface(const LayerOfPanel& on, const Slice& slice, double F, ClosedSpot& spot) const;

  const Plan& plan_;
  const PlanRay& ray_;
  const double k_;
  const Vec3d incident_;
  const double band_, divergence_, half_slice_, per_F2_, skip_, largest_solid_angle_;
  double deviations_ = 0;  ///< how many of them the brightest spot reaches
  std::vector<LayerOfPanel> surfaces_;
};

Finder::Limits Finder::limits(const Slice& slice) const {
  Limits limits{largest_g(slice), {}, {}};
  const Mat3d axes = reciprocal_axes(slice.a_star);  // |h| <= |a| |g|
  const std::array edges{length(axes.a), length(axes.b), length(axes.c)};
  for (std::size_t i = 0; i < 3; ++i) {
    const double most = limits.g * edges[i];
    if (!(most < 1e6))
      throw UsageError(
          "the closed form would look at more than a million indices along an axis of the cell; "
          "give -dmin");
    limits.high[i] = static_cast<int>(most);
    limits.low[i] = -limits.high[i];
    if (plan_.lattice.grid && plan_.lattice.default_F == 0) {
      limits.low[i] = std::max(limits.low[i], plan_.lattice.grid->min()[i]);
      limits.high[i] = std::min(limits.high[i], plan_.lattice.grid->max()[i]);
    }
  }
  return limits;
}

void Finder::find(std::size_t orientation, const Slice& slice, const Limits& within, int h,
                  ClosedPlan::Found& found) const {
  found.count = 0;
  found.candidates = 0;
  const auto& [most, low, high] = within;
  const double most2 = most * most;
  const Vec3d c = slice.a_star.c;
  const double cc = dot(c, c);
  const double fastest = k_ * (1 + deviations_ * band_),
               slowest = k_ * std::max(0.0, 1 - deviations_ * band_);
  const StructureFactorGrid* grid = plan_.lattice.grid.get();
  for (int k = low[1]; k <= high[1]; ++k) {
    const Vec3d base = double(h) * slice.a_star.a + double(k) * slice.a_star.b;
    const double bb = dot(base, base), bc = dot(base, c);
    const double in_sphere = bc * bc - cc * (bb - most2);
    if (in_sphere < 0) continue;
    int l0 = static_cast<int>(std::ceil((-bc - std::sqrt(in_sphere)) / cc)),
        l1 = static_cast<int>(std::floor((-bc + std::sqrt(in_sphere)) / cc));
    l0 = std::max(l0, low[2]);
    l1 = std::min(l1, high[2]);
    if (l0 > l1) continue;
    const double largest = std::max(length(base + double(l0) * c), length(base + double(l1) * c));
    // Light of wavenumber k is reflected where f(k) = |g|^2 + 2 k s0.g is zero; a spot's width
    // makes that |f| <= tolerance.
    const double tolerance = 2 * fastest * spread(slice, largest);
    struct Quadratic {
      double b, c;
    };
    const auto of_wavenumber = [&](double wavenumber) {
      return Quadratic{bc + wavenumber * dot(ray_.incident, c),
                       bb + 2 * wavenumber * dot(ray_.incident, base)};
    };
    // s0.g is negative there, so that the highest k gives the lowest f.
    const Quadratic lowest = of_wavenumber(fastest), highest = of_wavenumber(slowest);
    const double outer = lowest.b * lowest.b - cc * (lowest.c - tolerance),
                 inner = highest.b * highest.b - cc * (highest.c + tolerance);
    if (outer < 0) continue;
    const auto look = [&](double from, double to) {
      const int first = std::max(l0, static_cast<int>(std::ceil(std::max(from, -1e9)))),
                last = std::min(l1, static_cast<int>(std::floor(std::min(to, 1e9))));
      for (int l = first; l <= last; ++l) {
        ++found.candidates;
        const double F = grid && grid->contains(h, k, l) ? grid->at(h, k, l)
                                                         : plan_.lattice.default_F;
        if (F != 0) try_reflection(orientation, slice, {h, k, l}, F, found);
      }
    };
    const double left = (-lowest.b - std::sqrt(outer)) / cc,
                 right = (-lowest.b + std::sqrt(outer)) / cc;
    if (inner <= 0) {
      look(left, right);
      continue;
    }
    // The row crosses the shell twice.
    const double hole_left = (-highest.b - std::sqrt(inner)) / cc,
                 hole_right = (-highest.b + std::sqrt(inner)) / cc;
    look(left, hole_left);
    look(std::max(hole_right, std::floor(hole_left) + 1), right);
  }
}

bool Finder::may_be_lit(std::size_t orientation, const Slice& slice, const Vec3d& g,
                        double F) const {
  const double reach = std::min(longest_reach,
                                2 * std::log(per_F2_ * F * F * largest_solid_angle_ / skip_) + 2);
  if (!(reach > 0)) return false;
  const Vec3d outgoing = g + incident_;
  const double distance = length(outgoing);
  const Vec3d normal = (1 / distance) * outgoing, across = cross(g, normal);
  // The covariance of q0 - g along the sphere's normal, in which there is next to no pixel
  const double chord = k_ * (1 - dot(normal, ray_.incident));
  const double variance = dot(normal, slice.shape * normal) +
                          dot(across, plan_.spread.mosaic[orientation] * across) +
                          k_ * k_ * dot(normal, plan_.spread.divergence * normal) +
                          plan_.spread.bandwidth2 * chord * chord;
  // What is left to go beside the slice's turn, and beside how far arcs are bent
  const double beside = std::abs(distance - k_) -
                        half_slice_ * std::abs(dot(plan_.spread.spindle, across)) -
                        0.5 * length(g) *
                            (reach * slice.mosaic * slice.mosaic + half_slice_ * half_slice_);
  return beside <= 0 || beside * beside <= variance * (1.2 * reach + 4);
}

void Finder::try_reflection(std::size_t orientation, const Slice& slice, const MillerIndex& hkl,
                            double F, ClosedPlan::Found& found) const {
  const Vec3d g = transposed_times(slice.a_star,
                                   Vec3d{double(hkl[0]), double(hkl[1]), double(hkl[2])});
  if (plan_.dmin > 0 && length(g) * plan_.dmin > 1) return;
  if (!may_be_lit(orientation, slice, g, F)) return;
  for (const LayerOfPanel& each : surfaces_) {
    if (found.count == found.spots.size()) found.spots.emplace_back();
    ClosedSpot& spot = found.spots[found.count];
    spot.hkl = hkl;
    spot.orientation = static_cast<int>(orientation);
    spot.panel = each.panel;
    spot.layer = each.layer;
    if (try_surface(each, slice, F, spot)) ++found.count;
  }
}

template <class To, class From>
void convert(const SpotNumbers<From>& from, SpotNumbers<To>& to) {
  const auto copy = [](const From& x, To& y) { y = static_cast<To>(x); };
  physics::for_each_number_of_spot(copy, from.spot, to.spot);
  const auto vector = [&](const Vec3<From>& v, Vec3<To>& w) {
    copy(v.x, w.x), copy(v.y, w.y), copy(v.z, w.z);
  };
  vector(from.d, to.d);
  vector(from.along_fast, to.along_fast);
  vector(from.along_slow, to.along_slow);
  vector(from.outwards, to.outwards);
  copy(from.e_fast, to.e_fast), copy(from.e_slow, to.e_slow);
  copy(from.e_fast2, to.e_fast2), copy(from.e_slow2, to.e_slow2), copy(from.e_both, to.e_both);
  copy(from.amplitude, to.amplitude), copy(from.narrowing2, to.narrowing2);
}

bool Finder::try_surface(const LayerOfPanel& on, const Slice& slice, double F,
                         ClosedSpot& spot) const {
  const Surface& surface = on.surface;
  const PlanFrame& f = surface.panel().frame;
  const Vec3d g = transposed_times(
      slice.a_star, Vec3d{double(spot.hkl[0]), double(spot.hkl[1]), double(spot.hkl[2])});
  const auto start = surface.meet(unit(g + incident_));
  if (!start) return false;
  double x = (*start)[0], y = (*start)[1];
  View view = surface.see(x, y);

  // Without the pixel's box first: it is the sub-pixels' that follow from the width.
  auto source = spot_source(plan_, slice.a_star, slice.shape, spot.hkl,
                            static_cast<std::size_t>(spot.orientation));
  const Mat3d g_cross = cross_matrix(source.g);
  const Vec3d turn = cross(source.spindle, g);
  const Vec3d q = k_ * (view.direction - ray_.incident);
  const Mat3d bare = source.shape + g_cross * source.mosaic * transposed(g_cross) +
                     (k_ * k_) * source.divergence + plan_.spread.bandwidth2 * outer_square(q);
  const Mat3d covariance = bare + pixel_box(box_variances(plan_, 1, 1),
                                            PixelSteps<double>{view.by_fast, view.by_slow});
  const double determinants = determinant(slice.shape) / determinant(covariance);

  // How far the spot is seen
  const double bright = per_F2_ * F * F * std::sqrt(determinants) *
                        std::abs(solid_angle(f, 1 / view.distance, 0.0));
  // Its pixels are brighter where they are smaller than their box; a factor of e is room enough.
  double reach = std::min(longest_reach, 2 * std::log(bright / skip_) + 2);
  if (!(reach > 0)) return false;
  const double deviations = std::sqrt(reach);
  const Mat3d precision = inverse(covariance);
  const Vec3d across = precision * turn;
  const double turn_length2 = std::max(0.0, dot(turn, across)),
               turn_length = std::sqrt(turn_length2);
  const double half = half_slice_ * turn_length;
  const double narrowing = deviations / (deviations + half);
  reach *= 1 + half / (2 * deviations + half);
  // The inverse of a covariance that is wider along the turn by what the slice is (Sherman and
  // Morrison)
  const double wider = half > 0 && turn_length > 1e-12 ? 1 / (narrowing * narrowing) - 1 : 0;
  const double per_turn2 = wider > 0 ? 1 / turn_length2 : 0;
  const Mat3d metric = precision -
                       (wider * narrowing * narrowing * per_turn2) * outer_square(across);
  const double variance = trace(covariance) + wider * per_turn2 * dot(turn, turn);

  // Far from the panel: by the widest that the spot can be on it
  const double widest = deviations * std::sqrt(variance) *
                        std::max(1 / length(view.by_fast), 1 / length(view.by_slow));
  const auto off = [&](double margin) {
    return x < -margin || y < -margin || x > f.fast_pixels + margin || y > f.slow_pixels + margin;
  };
  if (off(3 * widest + 16)) return false;

  // The pixel where it is brightest, by Newton's steps in the metric above
  double least = 0, fast2 = 0, both = 0, slow2 = 0;
  for (int i = 0; i < 8; ++i) {
    if (i > 0) view = surface.see(x, y);
    const Vec3d d = k_ * (view.direction - ray_.incident) - g, weighted = metric * d;
    fast2 = dot(view.by_fast, metric * view.by_fast);
    both = dot(view.by_fast, metric * view.by_slow);
    slow2 = dot(view.by_slow, metric * view.by_slow);
    const double along_fast = dot(view.by_fast, weighted), along_slow = dot(view.by_slow, weighted),
                 det = fast2 * slow2 - both * both;
    const double step_fast = -(slow2 * along_fast - both * along_slow) / det,
                 step_slow = -(fast2 * along_slow - both * along_fast) / det;
    least = dot(d, weighted) + along_fast * step_fast + along_slow * step_slow;
    if (i == 0 && least > 1.5 * reach + 10) return false;
    x += step_fast;
    y += step_slow;
    if (std::abs(step_fast) + std::abs(step_slow) < 0.05) break;
  }
  if (!(least < reach)) return false;
  spot.fast = x;
  spot.slow = y;
  spot.least = least;
  spot.fast2 = fast2;
  spot.both = both;
  spot.slow2 = slow2;
  spot.reach = reach;

  // Its arc: what rotations and wavelengths leave of a straight line, from the direct beam's spot
  const auto beam = surface.meet(ray_.incident);
  const double from_beam = beam ? std::hypot(x - (*beam)[0], y - (*beam)[1])
                                : 0.5 * view.distance / f.pixel;
  const double turned2 = reach * slice.mosaic * slice.mosaic + half_slice_ * half_slice_,
               shifted2 = reach * plan_.spread.bandwidth2;
  spot.bend = from_beam * (0.5 * turned2 + 2 * shifted2);
  const double left = reach - least, det = fast2 * slow2 - both * both;
  const double half_fast = std::sqrt(left * slow2 / det), half_slow = std::sqrt(left * fast2 / det);
  const double curl = std::min(1.0, 0.6 * (half_fast * half_fast + half_slow * half_slow) /
                                        (from_beam + half_fast + half_slow) /
                                        (half_fast + half_slow)) *
                      (half_fast + half_slow);
  const double room_fast = 1.05 * half_fast + 1 + std::max(curl, spot.bend),
               room_slow = 1.05 * half_slow + 1 + std::max(curl, spot.bend);
  if (x + room_fast < 0 || y + room_slow < 0 || x - room_fast > f.fast_pixels ||
      y - room_slow > f.slow_pixels)
    return false;
  spot.fast_min = std::max(0, static_cast<int>(std::floor(x - room_fast)));
  spot.fast_max = std::min(f.fast_pixels - 1, static_cast<int>(std::floor(x + room_fast)));
  spot.slow_min = std::max(0, static_cast<int>(std::floor(y - room_slow)));
  spot.slow_max = std::min(f.slow_pixels - 1, static_cast<int>(std::floor(y + room_slow)));
  if (spot.fast_min > spot.fast_max || spot.slow_min > spot.slow_max) return false;

  // Sub-pixels no wider than the spot along each axis.  What a box's variance does not tell is, to
  // lowest order, He_4 of the spot along its axis: where fast and slow see the same narrow
  // direction, both errors add up, and a little finer ones keep their sum.
  spot.subpixels_fast = spot.subpixels_slow = plan_.oversample;
  if (plan_.spread.pixels_are_boxes) {
    const Mat3d of_points = inverse(bare);
    const double ff = dot(view.by_fast, of_points * view.by_fast),
                 fs = dot(view.by_fast, of_points * view.by_slow),
                 ss = dot(view.by_slow, of_points * view.by_slow);
    const double alike2 = fs * fs / (ff * ss);
    const double finer2 = std::sqrt(std::sqrt(1 + alike2 * alike2));
    const auto count = [&](double steepness) {
      return std::clamp(static_cast<int>(std::ceil(std::sqrt(steepness * finer2))), 1,
                        most_subpixels);
    };
    spot.subpixels_fast = count(ff);
    spot.subpixels_slow = count(ss);
  }

  spot.anchor_fast = std::floor(x) + 0.5;
  spot.anchor_slow = std::floor(y) + 0.5;
  const View anchor = surface.see(spot.anchor_fast, spot.anchor_slow);
  source.pixel = pixel_box(box_variances(plan_, spot), pixel_steps(plan_, spot, g));
  const auto prepared = physics::prepare_spot(source);
  SpotNumbers<double>& n = spot.wide;
  n.spot = prepared.spot;
  n.amplitude = per_F2_ * F * F * prepared.peak /
                (double(spot.subpixels_fast) * spot.subpixels_slow);
  spot.narrow = n.spot.half_slice <= physics::narrow_box;
  n.narrowing2 = narrowing * narrowing;
  n.d = k_ * (anchor.direction - ray_.incident) - g + prepared.offset;
  const double per_distance = f.pixel / anchor.distance;
  n.along_fast = (k_ * per_distance) * f.fast;
  n.along_slow = (k_ * per_distance) * f.slow;
  n.outwards = k_ * anchor.direction;
  n.e_fast = 2 * per_distance * dot(anchor.direction, f.fast);
  n.e_slow = 2 * per_distance * dot(anchor.direction, f.slow);
  n.e_fast2 = per_distance * per_distance * dot(f.fast, f.fast);
  n.e_slow2 = per_distance * per_distance * dot(f.slow, f.slow);
  n.e_both = 2 * per_distance * per_distance * dot(f.fast, f.slow);
  // A pixel beyond its outermost
  const double most_x = std::max(spot.fast_max + 2 - spot.anchor_fast,
                                 spot.anchor_fast - spot.fast_min + 1),
               most_y = std::max(spot.slow_max + 2 - spot.anchor_slow,
                                 spot.anchor_slow - spot.slow_min + 1);
  const double most_e = most_x * (std::abs(n.e_fast) + most_x * n.e_fast2 +
                                  most_y * std::abs(n.e_both)) +
                        most_y * (std::abs(n.e_slow) + most_y * n.e_slow2);
  spot.near = surface.is_flat() && most_e <= near_e;
  convert(spot.wide, spot.single);
  return true;
}

}  // namespace

void make_closed_plan(const Plan& plan, double skip_below, const ComputeOptions& options,
                      ClosedPlan& closed) {
  closed.plan = &plan;
  closed.panels.resize(plan.panels.size());
  for (auto& spots : closed.panels) spots.clear();
  closed.candidates = 0;
  const auto is_zero = [](const Mat3d& m) {
    return m.a == Vec3d{} && m.b == Vec3d{} && m.c == Vec3d{};
  };
  closed.diverges = !is_zero(plan.spread.divergence);
  const bool slice = plan.spread.half_slice != 0;
  const bool rotates = std::any_of(plan.spread.mosaic.begin(), plan.spread.mosaic.end(),
                                   [&](const Mat3d& m) { return !is_zero(m); });
  closed.terms = {plan.spread.bandwidth2 > 0, slice, rotates || slice || closed.diverges};

  const Finder finder(plan, skip_below);
  with_threads(options.threads, [&] {
    std::size_t begin = 0;  // of a slice, among those that are found
    for (std::size_t o = 0; o < plan.lattice.orientations.size(); ++o) {
      const Slice slice_of(plan, o);
      const Finder::Limits within = finder.limits(slice_of);
      const int first = within.low[0], last = within.high[0];
      if (last < first) continue;
      const auto count = static_cast<std::size_t>(last - first + 1);
      if (closed.found.size() < begin + count) closed.found.resize(begin + count);
      tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) {
        finder.find(o, slice_of, within, first + static_cast<int>(i), closed.found[begin + i]);
      });
      begin += count;
    }
    // Where they lie, and not copied: a spot is a kilobyte.
    for (std::size_t i = 0; i < begin; ++i) {
      closed.candidates += closed.found[i].candidates;
      for (const ClosedSpot& spot : std::span(closed.found[i].spots).first(closed.found[i].count))
        closed.panels[static_cast<std::size_t>(spot.panel)].push_back(&spot);
    }
  });
  for (std::size_t p = 0; p < closed.panels.size(); ++p)
    if (plan.panels[p].sensor.layers > 1)
      std::stable_sort(
          closed.panels[p].begin(), closed.panels[p].end(),
          [](const ClosedSpot* a, const ClosedSpot* b) { return a->layer < b->layer; });
}

std::string kernel_in_words(const ClosedPlan& plan, Precision precision) {
  std::size_t spots = 0;
  for (const auto& of_panel : plan.panels) spots += of_panel.size();
  return std::string("closed form") + (plan.terms.second ? ", second order" : "") +
         (plan.terms.band ? ", spectrum" : "") + (plan.terms.slice ? ", slices of phi" : "") +
         (precision == Precision::float64 ? ", double precision" : ", single precision") + ": " +
         std::to_string(spots) + " spots of " + std::to_string(plan.candidates) +
         " reflections near the Ewald sphere";
}

}  // namespace nablabragg::engine
