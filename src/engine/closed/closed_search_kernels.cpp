// Reflections near the Ewald sphere and their spots, in lanes: rows of indices, reflections, spots.
// Compiled once for each instruction set, like cpu/kernels.cpp.
#include "engine/closed/closed_lanes.hpp"
#include "engine/sensor_geometry.hpp"
#include "physics/gaussian_spot.hpp"

namespace nablabragg::engine::HWY_NAMESPACE {

namespace {

using T = Lanes<double, 1>;
using D = T::D;
using Mask = T::Mask;
constexpr auto lanes = static_cast<size_t>(T::count);
using Numbers = std::array<double, lanes>;

NABLA_INLINE T smaller(const T& a, const T& b) { return select(a < b, a, b); }
NABLA_INLINE T larger(const T& a, const T& b) { return select(b < a, a, b); }
NABLA_INLINE T ceil_of(const T& x) { return -floor_of(-x); }
NABLA_INLINE T log_of(const T& x) {
  return T::of([&](int i) { return hn::Log(D(), x.part[i]); });
}
NABLA_INLINE Mask first_lanes(size_t n) {
  return Mask::of([&](int) { return hn::FirstN(D(), n); });
}
NABLA_INLINE T counted_from(double first) {
  return T::of([&](int) { return hn::Iota(D(), first); });
}
NABLA_INLINE Vec3<T> in_lanes(const Vec3d& v) { return vec3_as<T>(v); }
NABLA_INLINE Mat3<T> in_lanes(const Mat3d& m) {
  return {in_lanes(m.a), in_lanes(m.b), in_lanes(m.c)};
}
NABLA_INLINE void stored(const T& x, Numbers& out) { x.store(out.data()); }

/// Where a layer of a panel is seen.
struct View {
  Vec3<T> direction, by_fast, by_slow;  ///< and how q0 changes over a pixel [1/m]
  T distance;
};
NABLA_INLINE View select_view(const Mask& which, const View& yes, const View& no) {
  const auto vector = [&](const Vec3<T>& a, const Vec3<T>& b) {
    return physics::detail::select_vector(which, a, b);
  };
  return {vector(yes.direction, no.direction), vector(yes.by_fast, no.by_fast),
          vector(yes.by_slow, no.by_slow), select(which, yes.distance, no.distance)};
}

/// A layer of a panel as spots are looked for on it.
class Surface {
 public:
  Surface(const Plan& plan, const LayerOfPanel& on)
      : panel_(plan.panels[static_cast<size_t>(on.panel)]),
        layer_(on.layer),
        oversample_(plan.oversample),
        k_(plan.light.rays.front().wavenumber),
        origin_(panel_.frame.origin + (panel_.sensor.layer_step * on.layer) * panel_.frame.normal) {
  }

  const PanelNumbers& panel() const { return panel_; }
  bool is_flat() const { return panel_.frame.curvature == Curvature::flat; }

  View see(const T& x, const T& y) const {
    if (!is_flat()) return see_curved(x, y);
    const PlanFrame& f = panel_.frame;
    const Vec3<T> fast = in_lanes(f.fast), slow = in_lanes(f.slow);
    const Vec3<T> position = in_lanes(origin_) + (T(f.pixel) * x) * fast + (T(f.pixel) * y) * slow;
    View view;
    view.distance = length(position);
    const T near = T(1) / view.distance, per_pixel = T(k_ * f.pixel) * near;
    view.direction = near * position;
    view.by_fast = per_pixel * (fast - dot(view.direction, fast) * view.direction);
    view.by_slow = per_pixel * (slow - dot(view.direction, slow) * view.direction);
    return view;
  }

  struct Meeting {
    T x, y;  ///< [pixels]
    Mask meets;
  };
  /// Where a ray meets the flat panel.
  Meeting meet(const Vec3<T>& direction) const {
    const PlanFrame& f = panel_.frame;
    const double away = dot(origin_, f.normal);
    const T facing = dot(direction, in_lanes(f.normal));
    const Vec3<T> in_panel = (T(away) / facing) * direction - in_lanes(origin_);
    // fast and slow need not be at right angles
    const double ff = dot(f.fast, f.fast), fs = dot(f.fast, f.slow), ss = dot(f.slow, f.slow),
                 per_det = 1 / ((ff * ss - fs * fs) * f.pixel);
    const T x = dot(in_panel, in_lanes(f.fast)), y = dot(in_panel, in_lanes(f.slow));
    return {T(per_det) * (T(ss) * x - T(fs) * y), T(per_det) * (T(ff) * y - T(fs) * x),
            facing * T(away) > T(0.02 * std::abs(away))};
  }

 private:
  HWY_NOINLINE View see_curved(const T& x, const T& y) const {
    const auto at = [&](const T& fast, const T& slow) {
      return seen_at(panel_, layer_, oversample_, fast, slow);
    };
    const T half(0.5), k(k_);
    const auto here = at(x, y);
    return {here.direction, k * (at(x + half, y).direction - at(x - half, y).direction),
            k * (at(x, y + half).direction - at(x, y - half).direction), here.distance};
  }

  const PanelNumbers& panel_;
  int layer_;
  double oversample_, k_;
  Vec3d origin_;
};

/// Calls f with the same number of each.
template <class F, class... Spots>
NABLA_INLINE void for_each_number_of_points(F&& f, Spots&... s) {
  physics::for_each_number_of_spot(f, s.spot...);
  for_each_component(f, s.d...);
  for_each_component(f, s.along_fast...);
  for_each_component(f, s.along_slow...);
  for_each_component(f, s.outwards...);
  f(s.e_fast...), f(s.e_slow...), f(s.e_fast2...), f(s.e_slow2...), f(s.e_both...);
  f(s.amplitude...), f(s.narrowing2...);
}

class Finder {
 public:
  Finder(const SpotSearch& search, int h, ClosedPlan::Found& found)
      : s_(search),
        plan_(*search.plan),
        ray_(plan_.light.rays.front()),
        k_(ray_.wavenumber),
        h_(h),
        found_(found),
        common_(search.common) {}

  void find() {
    const double most2 = s_.largest_g * s_.largest_g;
    const Vec3d& c = s_.a_star.c;
    const double cc = dot(c, c);
    const double fastest = k_ * (1 + s_.deviations * s_.band),
                 slowest = k_ * std::max(0.0, 1 - s_.deviations * s_.band);
    const T per_cc(1 / cc), none(0);
    for (int row = s_.low[1]; row <= s_.high[1]; row += T::count) {
      const T k = counted_from(row);
      const Vec3<T> base = in_lanes(double(h_) * s_.a_star.a) + k * in_lanes(s_.a_star.b);
      const T bb = dot(base, base), bc = dot(base, in_lanes(c));
      const T in_sphere = bc * bc - T(cc) * (bb - T(most2));
      Mask crosses = first_lanes(static_cast<size_t>(s_.high[1] - row + 1)) & (in_sphere >= none);
      const T root = sqrt(larger(in_sphere, none));
      const T l0 = larger(ceil_of((-bc - root) * per_cc), T(s_.low[2])),
              l1 = smaller(floor_of((root - bc) * per_cc), T(s_.high[2]));
      crosses = crosses & (l0 <= l1);
      const auto length2 = [&](const T& l) { return bb + l * (T(2) * bc + l * T(cc)); };
      const T largest = sqrt(larger(larger(length2(l0), length2(l1)), none));
      // Light of wavenumber k is reflected where f(k) = |g|^2 + 2 k s0.g is zero; a spot's width
      // makes that |f| <= tolerance.
      const T tolerance = T(2 * fastest) * spread_of(s_, largest);
      struct Quadratic {
        T b, c;
      };
      const auto of_wavenumber = [&](double wavenumber) {
        return Quadratic{bc + T(wavenumber * dot(ray_.incident, c)),
                         bb + T(2 * wavenumber) * dot(in_lanes(ray_.incident), base)};
      };
      // s0.g is negative there, so that the highest k gives the lowest f.
      const Quadratic lowest = of_wavenumber(fastest), highest = of_wavenumber(slowest);
      const T outer = lowest.b * lowest.b - T(cc) * (lowest.c - tolerance),
              inner = highest.b * highest.b - T(cc) * (highest.c + tolerance);
      crosses = crosses & (outer >= none);
      if (!any(crosses)) continue;
      const T away = sqrt(larger(outer, none)), hole = sqrt(larger(inner, none));
      const auto from = [&](const T& l) { return larger(l0, ceil_of(l)); };
      const auto until = [&](const T& l) { return smaller(l1, floor_of(l)); };
      const T left = from((-lowest.b - away) * per_cc), right = until((away - lowest.b) * per_cc);
      // The row crosses the shell twice, but where there is no hole: then the first time is all.
      const Mask twice = inner > none;
      const T hole_left = floor_of((-highest.b - hole) * per_cc),
              hole_right = (hole - highest.b) * per_cc;
      alignas(64) Numbers first[2], last[2];
      stored(left, first[0]);
      stored(select(crosses, select(twice, smaller(right, hole_left), right), left - T(1)),
             last[0]);
      const T again = from(larger(hole_right, hole_left + T(1)));
      stored(again, first[1]);
      stored(select(crosses & twice, right, again - T(1)), last[1]);
      for (size_t lane = 0; lane < lanes; ++lane)
        for (int part = 0; part < 2; ++part)
          for (auto l = static_cast<int>(first[part][lane]);
               l <= static_cast<int>(last[part][lane]); ++l)
            look_at(row + static_cast<int>(lane), l);
    }
    keep_lit();
    set_up();
  }

 private:
  /// Reflections of one h.
  struct Some {
    size_t count = 0;
    alignas(64) Numbers k, l, F;

    void add(double of_k, double of_l, double of_F) {
      k[count] = of_k, l[count] = of_l, F[count] = of_F;
      ++count;
    }
    /// The last one stands for those that are missing.
    void fill() {
      for (size_t i = count; i < lanes; ++i)
        k[i] = k[count - 1], l[i] = l[count - 1], F[i] = F[count - 1];
    }
  };

  NABLA_INLINE void look_at(int k, int l) {
    ++found_.candidates;
    const double F = structure_factor(plan_.lattice, {h_, k, l});
    if (F == 0) return;
    near_.add(k, l, F);
    if (near_.count == lanes) keep_lit();
  }

  NABLA_INLINE Vec3<T> g_of(const Some& some) const {
    return transposed_times(in_lanes(s_.a_star),
                            {T(h_), T::load(some.k.data()), T::load(some.l.data())});
  }

  /// Of what was looked at, the reflections that are near enough to the Ewald sphere to be seen at
  /// all: what most are not, and cheaper than the rest.
  HWY_NOINLINE void keep_lit() {
    if (near_.count == 0) return;
    near_.fill();
    const Vec3<T> g = g_of(near_);
    const T size = length(g), F = T::load(near_.F.data());
    const T reach = smaller(
        T(longest_reach),
        T(2) * log_of(T(s_.per_F2 * s_.largest_solid_angle / s_.skip_below) * F * F) + T(2));
    const Vec3<T> outgoing = g + in_lanes(k_ * ray_.incident);
    const T distance = length(outgoing);
    const Vec3<T> normal = outgoing / distance, across = cross(g, normal);
    // The covariance of q0 - g along the sphere's normal, in which there is next to no pixel
    const T chord = T(k_) * (T(1) - dot(normal, in_lanes(ray_.incident)));
    const auto along = [](const Mat3d& m, const Vec3<T>& v) { return dot(v, in_lanes(m) * v); };
    const T variance = along(common_.shape, normal) + along(common_.mosaic, across) +
                       T(k_ * k_) * along(common_.divergence, normal) +
                       T(common_.bandwidth2) * chord * chord;
    // What is left to go beside the slice's turn, and beside how far arcs are bent
    const T beside = magnitude(distance - T(k_)) -
                     T(common_.half_slice) * magnitude(dot(in_lanes(common_.spindle), across)) -
                     T(0.5) * size *
                         (reach * T(s_.mosaic * s_.mosaic) +
                          T(common_.half_slice * common_.half_slice));
    Mask lit = first_lanes(near_.count) & (reach > T(0)) &
               ((beside <= T(0)) | (beside * beside <= variance * (T(1.2) * reach + T(4))));
    if (plan_.dmin > 0) lit = lit & (size * T(plan_.dmin) <= T(1));
    alignas(64) Numbers is_lit;
    stored(select(lit, T(1), T(0)), is_lit);
    for (size_t i = 0; i < near_.count; ++i) {
      if (is_lit[i] == 0) continue;
      lit_.add(near_.k[i], near_.l[i], near_.F[i]);
      if (lit_.count == lanes) set_up();
    }
    near_.count = 0;
  }

  void set_up() {
    if (lit_.count == 0) return;
    lit_.fill();
    for (const LayerOfPanel& on : s_.layers) try_surface(on);
    lit_.count = 0;
  }

  HWY_NOINLINE void try_surface(const LayerOfPanel& on);

  /// What of spots is told once they are set up.
  struct Places {
    T fast, slow, least, fast2, both, slow2, reach, bend, anchor_fast, anchor_slow, fast_min,
        fast_max, slow_min, slow_max, subpixels_fast, subpixels_slow, is_near;
  };
  HWY_NOINLINE void keep(const LayerOfPanel& on, const Mask& lit, const Places& at,
                         const SpotNumbers<T>& numbers);

  const SpotSearch& s_;
  const Plan& plan_;
  const PlanRay& ray_;
  const double k_;
  const int h_;
  ClosedPlan::Found& found_;
  const physics::GaussianSpotSource<double>& common_;
  Some near_, lit_;
};

void Finder::try_surface(const LayerOfPanel& on) {
  const Surface surface(plan_, on);
  const PlanFrame& f = surface.panel().frame;
  const T none(0), one(1), k(k_), F = T::load(lit_.F.data());
  physics::GaussianSpotSource<T> source;
  source.g = g_of(lit_);
  source.shape = in_lanes(common_.shape);
  source.mosaic = in_lanes(common_.mosaic);
  source.divergence = in_lanes(common_.divergence);
  source.incident = in_lanes(common_.incident);
  source.spindle = in_lanes(common_.spindle);
  source.half_slice = T(common_.half_slice);
  source.bandwidth2 = T(common_.bandwidth2);
  const Vec3<T>& g = source.g;
  const Vec3<T> incident = in_lanes(ray_.incident);

  const Vec3<T> outgoing = g + source.incident;
  const auto start = surface.meet(outgoing / length(outgoing));
  Mask lit = first_lanes(lit_.count) & start.meets;
  if (!any(lit)) return;
  T x = start.x, y = start.y;
  View view = surface.see(x, y);

  // Without the pixel's box first: it is the sub-pixels' that follow from the width.
  const Mat3<T> g_cross = cross_matrix(g);
  const Vec3<T> turn = cross(source.spindle, g);
  const Vec3<T> q = k * (view.direction - incident);
  const Mat3<T> bare = source.shape + g_cross * source.mosaic * transposed(g_cross) +
                       (k * k) * source.divergence + source.bandwidth2 * outer_square(q);
  const Mat3<T> covariance = bare + pixel_box(box_variances(plan_, one, one),
                                              PixelSteps<T>{view.by_fast, view.by_slow});
  const T determinants = T(determinant(common_.shape)) / determinant(covariance);

  // How far the spot is seen
  const T bright = T(s_.per_F2) * F * F * sqrt(determinants) *
                   magnitude(solid_angle(f, one / view.distance, 0.0));
  // Its pixels are brighter where they are smaller than their box; a factor of e is room enough.
  T reach = smaller(T(longest_reach), T(2) * log_of(bright * T(1 / s_.skip_below)) + T(2));
  lit = lit & (reach > none);
  const T deviations = sqrt(reach);
  const Mat3<T> precision = inverse(covariance);
  const Vec3<T> across = precision * turn;
  const T turn_length2 = larger(none, dot(turn, across)), turn_length = sqrt(turn_length2);
  const T half = T(common_.half_slice) * turn_length;
  const T narrowing = deviations / (deviations + half);
  reach = reach * (one + half / (T(2) * deviations + half));
  // The inverse of a covariance that is wider along the turn by what the slice is (Sherman and
  // Morrison)
  const T wider = select((half > none) & (turn_length > T(1e-12)),
                         one / (narrowing * narrowing) - one, none);
  const T per_turn2 = select(wider > none, one / turn_length2, none);
  const Mat3<T> metric = precision -
                         (wider * narrowing * narrowing * per_turn2) * outer_square(across);
  const T variance = trace(covariance) + wider * per_turn2 * dot(turn, turn);

  // Far from the panel: by the widest that the spot can be on it
  const T widest = deviations * sqrt(variance) *
                   larger(one / length(view.by_fast), one / length(view.by_slow));
  const T fast_pixels(f.fast_pixels), slow_pixels(f.slow_pixels);
  const T margin = T(3) * widest + T(16);
  lit = lit & (x >= -margin) & (y >= -margin) & (x <= fast_pixels + margin) &
        (y <= slow_pixels + margin);
  if (!any(lit)) return;

  // The pixel where it is brightest, by Newton's steps in the metric above
  T least = none, fast2 = none, both = none, slow2 = none;
  Mask going = lit;
  for (int i = 0; i < 8 && any(going); ++i) {
    if (i > 0) view = select_view(going, surface.see(x, y), view);
    const Vec3<T> d = k * (view.direction - incident) - g, weighted = metric * d;
    const Vec3<T> of_slow = metric * view.by_slow;
    // Where it has ended, these are what they were.
    fast2 = dot(view.by_fast, metric * view.by_fast);
    both = dot(view.by_fast, of_slow);
    slow2 = dot(view.by_slow, of_slow);
    const T along_fast = dot(view.by_fast, weighted), along_slow = dot(view.by_slow, weighted),
            per_det = one / (fast2 * slow2 - both * both);
    const T step_fast = (both * along_slow - slow2 * along_fast) * per_det,
            step_slow = (both * along_fast - fast2 * along_slow) * per_det;
    least = dot(d, weighted) + along_fast * step_fast + along_slow * step_slow;
    if (i == 0) going = lit = lit & (least <= T(1.5) * reach + T(10));
    x = select(going, x + step_fast, x);
    y = select(going, y + step_slow, y);
    going = going & (magnitude(step_fast) + magnitude(step_slow) >= T(0.05));
  }
  lit = lit & (least < reach);
  if (!any(lit)) return;

  // Its arc: what rotations and wavelengths leave of a straight line, from the direct beam's spot
  const auto beam = surface.meet(incident);
  const T from_beam = select(beam.meets,
                             sqrt((x - beam.x) * (x - beam.x) + (y - beam.y) * (y - beam.y)),
                             T(0.5 / f.pixel) * view.distance);
  const T turned2 = reach * T(s_.mosaic * s_.mosaic) + T(common_.half_slice * common_.half_slice),
          shifted2 = reach * source.bandwidth2;
  Places at;
  at.bend = from_beam * (T(0.5) * turned2 + T(2) * shifted2);
  const T left = reach - least, per_det = one / (fast2 * slow2 - both * both);
  const T half_fast = sqrt(left * slow2 * per_det), half_slow = sqrt(left * fast2 * per_det);
  const T halves = half_fast + half_slow;
  const T curl = smaller(one, T(0.6) * (half_fast * half_fast + half_slow * half_slow) /
                                  ((from_beam + halves) * halves)) *
                 halves;
  const T beside = one + larger(curl, at.bend), room_fast = T(1.05) * half_fast + beside,
          room_slow = T(1.05) * half_slow + beside;
  lit = lit & (x + room_fast >= none) & (y + room_slow >= none) & (x - room_fast <= fast_pixels) &
        (y - room_slow <= slow_pixels);
  at.fast_min = larger(none, floor_of(x - room_fast));
  at.fast_max = smaller(fast_pixels - one, floor_of(x + room_fast));
  at.slow_min = larger(none, floor_of(y - room_slow));
  at.slow_max = smaller(slow_pixels - one, floor_of(y + room_slow));
  lit = lit & (at.fast_min <= at.fast_max) & (at.slow_min <= at.slow_max);
  if (!any(lit)) return;

  // Sub-pixels no wider than the spot along each axis.  What a box's variance does not tell is, to
  // lowest order, He_4 of the spot along its axis: where fast and slow see the same narrow
  // direction, both errors add up, and a little finer ones keep their sum.
  at.subpixels_fast = at.subpixels_slow = T(plan_.oversample);
  if (plan_.spread.pixels_are_boxes) {
    const Mat3<T> of_points = inverse(bare);
    const Vec3<T> of_slow = of_points * view.by_slow;
    const T ff = dot(view.by_fast, of_points * view.by_fast), fs = dot(view.by_fast, of_slow),
            ss = dot(view.by_slow, of_slow);
    const T alike2 = fs * fs / (ff * ss);
    const T finer2 = sqrt(sqrt(one + alike2 * alike2));
    const auto count = [&](const T& steepness) {
      return smaller(larger(ceil_of(sqrt(steepness * finer2)), one), T(most_subpixels));
    };
    at.subpixels_fast = count(ff);
    at.subpixels_slow = count(ss);
  }

  at.fast = x, at.slow = y, at.least = least;
  at.fast2 = fast2, at.both = both, at.slow2 = slow2, at.reach = reach;
  at.anchor_fast = floor_of(x) + T(0.5);
  at.anchor_slow = floor_of(y) + T(0.5);
  const View anchor = surface.see(at.anchor_fast, at.anchor_slow);
  source.pixel = pixel_box(
      box_variances(plan_, at.subpixels_fast, at.subpixels_slow),
      pixel_steps(ray_in<T>(ray_), plan_.oversample, panel_in<T>(surface.panel()), on.layer,
                  at.anchor_fast, at.anchor_slow, g));
  const auto prepared = physics::prepare_spot(source);
  SpotNumbers<T> n;
  n.spot = prepared.spot;
  n.amplitude = T(s_.per_F2) * F * F * prepared.peak / (at.subpixels_fast * at.subpixels_slow);
  n.narrowing2 = narrowing * narrowing;
  n.d = k * (anchor.direction - incident) - g + prepared.offset;
  const T per_distance = T(f.pixel) / anchor.distance;
  n.along_fast = (k * per_distance) * in_lanes(f.fast);
  n.along_slow = (k * per_distance) * in_lanes(f.slow);
  n.outwards = k * anchor.direction;
  n.e_fast = T(2) * per_distance * dot(anchor.direction, in_lanes(f.fast));
  n.e_slow = T(2) * per_distance * dot(anchor.direction, in_lanes(f.slow));
  n.e_fast2 = per_distance * per_distance * T(dot(f.fast, f.fast));
  n.e_slow2 = per_distance * per_distance * T(dot(f.slow, f.slow));
  n.e_both = per_distance * per_distance * T(2 * dot(f.fast, f.slow));
  // A pixel beyond its outermost
  const T most_x = larger(at.fast_max + T(2) - at.anchor_fast, at.anchor_fast - at.fast_min + one),
          most_y = larger(at.slow_max + T(2) - at.anchor_slow, at.anchor_slow - at.slow_min + one);
  const T most_e = most_x *
                       (magnitude(n.e_fast) + most_x * n.e_fast2 + most_y * magnitude(n.e_both)) +
                   most_y * (magnitude(n.e_slow) + most_y * n.e_slow2);
  at.is_near = surface.is_flat() ? select(most_e <= T(near_e), one, none) : none;
  keep(on, lit, at, n);
}

void Finder::keep(const LayerOfPanel& on, const Mask& lit, const Places& at,
                  const SpotNumbers<T>& numbers) {
  constexpr size_t most_numbers = 96;
  alignas(64) std::array<Numbers, most_numbers> all;
  size_t count = 0;
  for_each_number_of_points([&](const T& x) { stored(x, all[count++]); }, numbers);
  const auto in_memory = [](const T& x) {
    Numbers each;
    stored(x, each);
    return each;
  };
  const Numbers is_lit = in_memory(select(lit, T(1), T(0))), fast = in_memory(at.fast),
                slow = in_memory(at.slow), least = in_memory(at.least), fast2 = in_memory(at.fast2),
                both = in_memory(at.both), slow2 = in_memory(at.slow2), reach = in_memory(at.reach),
                bend = in_memory(at.bend), anchor_fast = in_memory(at.anchor_fast),
                anchor_slow = in_memory(at.anchor_slow), fast_min = in_memory(at.fast_min),
                fast_max = in_memory(at.fast_max), slow_min = in_memory(at.slow_min),
                slow_max = in_memory(at.slow_max), subpixels_fast = in_memory(at.subpixels_fast),
                subpixels_slow = in_memory(at.subpixels_slow), is_near = in_memory(at.is_near);
  for (size_t i = 0; i < lit_.count; ++i) {
    if (is_lit[i] == 0) continue;
    const auto whole = [&](const Numbers& x) { return static_cast<int>(x[i]); };
    ClosedSpot& spot = found_.next();
    size_t number = 0;
    for_each_number_of_points(
        [&](double& wide, float& single) {
          wide = all[number++][i];
          single = static_cast<float>(wide);
        },
        spot.wide, spot.single);
    spot.hkl = {h_, whole(lit_.k), whole(lit_.l)};
    spot.panel = on.panel, spot.layer = on.layer;
    spot.orientation = static_cast<int>(s_.orientation);
    spot.subpixels_fast = whole(subpixels_fast), spot.subpixels_slow = whole(subpixels_slow);
    spot.narrow = spot.wide.spot.half_slice <= physics::narrow_box;
    spot.near = is_near[i] != 0;
    spot.anchor_fast = anchor_fast[i], spot.anchor_slow = anchor_slow[i];
    spot.reach = reach[i];
    spot.fast = fast[i], spot.slow = slow[i], spot.least = least[i];
    spot.fast2 = fast2[i], spot.both = both[i], spot.slow2 = slow2[i];
    spot.bend = bend[i];
    spot.fast_min = whole(fast_min), spot.fast_max = whole(fast_max);
    spot.slow_min = whole(slow_min), spot.slow_max = whole(slow_max);
  }
}

}  // namespace

void find_spots(const SpotSearch& search, int h, ClosedPlan::Found& found) {
  found.count = 0;
  found.candidates = 0;
  Finder(search, h, found).find();
}

}  // namespace nablabragg::engine::HWY_NAMESPACE
