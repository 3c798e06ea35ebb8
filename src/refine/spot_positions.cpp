#include "refine/spot_positions.hpp"

#include <ceres/ceres.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <tuple>
#include <utility>

#include "nablabragg/error.hpp"
#include "physics/rotation.hpp"
#include "refine/ceres_support.hpp"

namespace nablabragg::refinement {

namespace {

/// By how much each of h, k and l of a spot may differ from those of its lattice point.
constexpr double index_tolerance = 0.3;

}  // namespace

SpotGeometry::SpotGeometry(const Resolved& resolved) : wavelength_A_(resolved.wavelength * 1e10) {
  const auto add = [&](Panel panel, const Sensor& sensor) {
    panel.origin = panel.origin + sensor.mean_depth * panel.normal;
    panels_.push_back(panel);
  };
  add(resolved.panel, resolved.sensor);
  for (const ResolvedPanel& further : resolved.more_panels) add(further.panel, further.sensor);
  spindle_ = resolved.panel.spindle;
  const double first = resolved.phi.front(), last = resolved.phi.back();
  if (resolved.closed || resolved.phi.size() > 1)
    half_turn_rad_ = (std::abs(last - first) + std::abs(resolved.scan.step)) / 2;
  const double middle = (first + last) / 2;
  const auto add_lattice = [&](const Resolved& crystal) {
    lattices_.push_back({physics::rotate_about(crystal.axes.real_A, spindle_, middle),
                         physics::rotate_about(crystal.axes.reciprocal_per_A, spindle_, middle)});
  };
  add_lattice(resolved);
  for (const Resolved& further : resolved.more_crystals) add_lattice(further);
}

Vec3d SpotGeometry::scattering_vector(const Spot& spot) const {
  const Panel& panel = panels_[static_cast<std::size_t>(spot.panel)];
  const Vec3d place = panel.origin + ((spot.fast + 0.5) * panel.pixel) * panel.fast +
                      ((spot.slow + 0.5) * panel.slow_pixel) * panel.slow;
  return (unit(place) - panel.beam) / wavelength_A_;
}

Vec3d SpotGeometry::index_at(const Lattice& lattice, const Vec3d& q, double turn_rad) const {
  return lattice.real_A * physics::rotate_about(q, spindle_, -turn_rad);
}

std::optional<LatticePoint> SpotGeometry::nearest_point(const Spot& spot,
                                                        const ReflectionExists& exists) const {
  const Vec3d q = scattering_vector(spot);
  std::optional<LatticePoint> nearest;
  double nearest2 = std::numeric_limits<double>::infinity();
  for (std::size_t crystal = 0; crystal < lattices_.size(); ++crystal) {
    // Over so few degrees the index goes along a straight line
    const Vec3d begin = index_at(lattices_[crystal], q, -half_turn_rad_),
                way = index_at(lattices_[crystal], q, half_turn_rad_) - begin;
    const int steps = 1 + static_cast<int>(length(way) / 0.1);
    for (int i = 0; i <= steps; ++i) {
      const Vec3d h = begin + (double(i) / steps) * way;
      const Vec3d whole{std::round(h.x), std::round(h.y), std::round(h.z)};
      const double along = dot(way, way) > 0
                               ? std::clamp(dot(whole - begin, way) / dot(way, way), 0.0, 1.0)
                               : 0;
      const Vec3d off = begin + along * way - whole;
      if (std::max({std::abs(off.x), std::abs(off.y), std::abs(off.z)}) > index_tolerance) continue;
      const MillerIndex index{static_cast<int>(whole.x), static_cast<int>(whole.y),
                              static_cast<int>(whole.z)};
      if (dot(off, off) >= nearest2 || !exists(index)) continue;
      nearest = LatticePoint{index, static_cast<int>(crystal)};
      nearest2 = dot(off, off);
    }
  }
  return nearest;
}

/// From the middle of the turn to the crossing that is nearest to it, 2 s0.R(angle)q + q^2 = 0, or
/// to where the lattice point comes nearest to the sphere; never beyond the ends.
double SpotGeometry::turn_onto_sphere(const Vec3d& q) const {
  if (half_turn_rad_ == 0) return 0;
  const Vec3d s0 = panels_.front().beam / wavelength_A_;
  const Vec3d along = dot(q, spindle_) * spindle_, across = q - along;
  const double a = dot(s0, across), b = dot(s0, cross(spindle_, across)),
               c = -dot(q, q) / 2 - dot(s0, along), size = std::hypot(a, b);
  if (!(size > 0)) return 0;
  const double top = std::atan2(b, a), away = std::acos(std::clamp(c / size, -1.0, 1.0));
  const auto near_middle = [](double angle) { return std::remainder(angle, 2 * std::numbers::pi); };
  const double before = near_middle(top - away), after = near_middle(top + away);
  return std::clamp(std::abs(before) < std::abs(after) ? before : after, -half_turn_rad_,
                    half_turn_rad_);
}

std::optional<ExpectedSpot> SpotGeometry::expected(const LatticePoint& point,
                                                   int panel_index) const {
  const Panel& panel = panels_[static_cast<std::size_t>(panel_index)];
  const Vec3d normal = cross(panel.fast, panel.slow);
  const auto& [h, k, l] = point.index;
  const Mat3d& reciprocal = lattices_[static_cast<std::size_t>(point.crystal)].reciprocal_per_A;
  const Vec3d in_the_middle = double(h) * reciprocal.a + double(k) * reciprocal.b +
                              double(l) * reciprocal.c;
  const double turn = turn_onto_sphere(in_the_middle);
  const Vec3d q = physics::rotate_about(in_the_middle, spindle_, turn);
  const double length2 = dot(q, q), along = dot(q, panel.beam);
  const Vec3d across = q - along * panel.beam;
  const double across_length = length(across);
  if (!(across_length > 0)) return std::nullopt;
  const double along_on_sphere = -wavelength_A_ * length2 / 2;
  const double across2_on_sphere = length2 - along_on_sphere * along_on_sphere;
  if (!(across2_on_sphere > 0)) return std::nullopt;
  const double across_on_sphere = std::sqrt(across2_on_sphere);

  const Vec3d scattered = (along_on_sphere + 1 / wavelength_A_) * panel.beam +
                          (across_on_sphere / across_length) * across;
  const double towards_panel = dot(scattered, normal);
  const double steps = dot(panel.origin, normal) / towards_panel;
  if (!(steps > 0) || !std::isfinite(steps)) return std::nullopt;
  const Vec3d on_panel = steps * scattered - panel.origin;
  ExpectedSpot spot;
  spot.fast = dot(on_panel, panel.fast) / panel.pixel - 0.5;
  spot.slow = dot(on_panel, panel.slow) / panel.slow_pixel - 0.5;
  spot.missed_by_rad = std::atan2(along, across_length) -
                       std::atan2(along_on_sphere, across_on_sphere);
  constexpr double rounding_rad = 1e-10;
  if (half_turn_rad_ > 0 && std::abs(spot.missed_by_rad) < rounding_rad) {
    spot.missed_by_rad = 0;
    // The sphere is where the component along the beam is along_on_sphere
    const auto missed_at = [&](double end) {
      const double there = dot(physics::rotate_about(in_the_middle, spindle_, end), panel.beam);
      return std::abs(there - along_on_sphere) / across_on_sphere;
    };
    spot.within_by_rad = std::min(missed_at(-half_turn_rad_), missed_at(half_turn_rad_));
  }
  spot.reciprocal_per_A = std::sqrt(length2);
  return spot;
}

std::optional<std::string> why_no_spot_stage(const Resolved& resolved) {
  constexpr double widest_band = 0.01, widest_turn_rad = 5.01 / 180 * std::numbers::pi;
  const auto [least, most] = std::minmax_element(
      resolved.rays.begin(), resolved.rays.end(),
      [](const Ray& a, const Ray& b) { return a.wavelength < b.wavelength; });
  if (std::abs(resolved.scan.range) > widest_turn_rad && resolved.phi.size() > 1)
    return "the crystal turns by more than five degrees";
  if (least != resolved.rays.end() &&
      most->wavelength - least->wavelength > widest_band * resolved.wavelength)
    return "the beam has more than 1 % of bandwidth";
  for (std::size_t i = 0; i <= resolved.more_panels.size(); ++i)
    if (panel_of(resolved, i).curvature != Curvature::flat)
      return "the detector is curved (-curved_det)";
  return std::nullopt;
}

std::vector<IndexedSpot> index_spots(const SpotGeometry& geometry, std::span<const Spot> spots,
                                     double most_reciprocal_per_A, const ReflectionExists& exists) {
  // By crystal, index and panel, as a spot may lie on two of them
  std::map<std::tuple<int, MillerIndex, int>, Spot> found;
  for (const Spot& spot : spots) {
    const std::optional<LatticePoint> point = spot.hkl ? LatticePoint{*spot.hkl, spot.crystal}
                                                       : geometry.nearest_point(spot, exists);
    if (!point) continue;
    const auto expected = geometry.expected(*point, spot.panel);
    if (!expected || expected->reciprocal_per_A > most_reciprocal_per_A) continue;
    Spot& all = found[{point->crystal, point->index, spot.panel}];
    all.panel = spot.panel;
    const double photons = all.photons + spot.photons, share = spot.photons / photons;
    all.fast += share * (spot.fast - all.fast);
    all.slow += share * (spot.slow - all.slow);
    all.photons = photons;
    all.pixels += spot.pixels;
  }
  std::vector<IndexedSpot> indexed;
  indexed.reserve(found.size());
  for (const auto& [place, spot] : found)
    indexed.push_back({{std::get<MillerIndex>(place), std::get<0>(place)}, spot});
  return indexed;
}

namespace {

struct Widths {
  double place_px, angle_rad;
};

/// A step that moves spots a little, whatever the number is: its unit says what is little.  The
/// positions are smooth and exact to 1e-15, so central differences lose nothing that matters here.
double small_step(const FreeNumber& number) {
  if (number.unit == "deg" || number.unit == "mm" || number.unit == "A") return 1e-4;
  return 1e-6 * std::max(std::abs(number.start), 1.0);
}

/// Residuals of all spots, three each, image by image.
class SpotResiduals {
 public:
  SpotResiduals(const FreeParameters& free, std::vector<std::vector<IndexedSpot>> spots,
                Widths widths)
      : free_(free), spots_(std::move(spots)), widths_(widths) {
    for (const auto& of_image : spots_) {
      first_.push_back(size_);
      size_ += 3 * of_image.size();
    }
  }

  std::size_t size() const { return size_; }
  std::size_t images() const { return spots_.size(); }
  /// Where those of an image begin, and how many there are.
  std::size_t first(std::size_t image) const { return first_[image]; }
  std::size_t size(std::size_t image) const { return 3 * spots_[image].size(); }

  /// Those of one image.
  bool operator()(std::span<const double> values, std::size_t image,
                  std::span<double> residuals) const {
    const SpotGeometry geometry(resolve(free_.experiment(values, image)));
    const std::vector<IndexedSpot>& spots = spots_[image];
    for (std::size_t i = 0; i < spots.size(); ++i) {
      const auto expected = geometry.expected(spots[i].point, spots[i].spot.panel);
      if (!expected) return false;
      residuals[3 * i] = (expected->fast - spots[i].spot.fast) / widths_.place_px;
      residuals[3 * i + 1] = (expected->slow - spots[i].spot.slow) / widths_.place_px;
      residuals[3 * i + 2] = expected->missed_by_rad / widths_.angle_rad;
    }
    return true;
  }

 private:
  const FreeParameters& free_;
  std::vector<std::vector<IndexedSpot>> spots_;
  Widths widths_;
  std::vector<std::size_t> first_;
  std::size_t size_ = 0;
};

/// For Ceres, in steps of small_step() from the values of a round's beginning.
class SpotCost : public ceres::CostFunction {
 public:
  SpotCost(const FreeParameters& free, SpotResiduals residuals, std::vector<double> centre)
      : free_(free), residuals_(std::move(residuals)), centre_(std::move(centre)) {
    set_num_residuals(static_cast<int>(residuals_.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(centre_.size()));
  }

  std::vector<double> values(const double* steps) const {
    std::vector<double> v = centre_;
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += steps[i] * unit_of(i);
    return v;
  }
  double unit_of(std::size_t i) const { return 1000 * small_step(free_.numbers()[i]); }
  std::size_t residuals_of(std::size_t image) const { return residuals_.size(image); }

  bool Evaluate(const double* const* blocks, double* residuals, double** jacobians) const override {
    const std::size_t columns = centre_.size();
    if (jacobians && jacobians[0]) std::fill_n(jacobians[0], residuals_.size() * columns, 0.0);
    try {
      std::vector<double> at = values(blocks[0]);
      for (std::size_t image = 0; image < residuals_.images(); ++image) {
        const std::size_t first = residuals_.first(image);
        if (!residuals_(at, image, {residuals + first, residuals_.size(image)})) return false;
        if (jacobians && jacobians[0] && !slopes(at, image, jacobians[0] + first * columns))
          return false;
      }
      return true;
    } catch (const UsageError&) {  // no experiment: too long a step
      return false;
    }
  }

 private:
  /// Of the residuals of an image, row by row.
  bool slopes(std::vector<double>& at, std::size_t image, double* rows_of_image) const {
    const std::size_t rows = residuals_.size(image), columns = centre_.size();
    std::vector<double> above(rows), below(rows);
    for (const std::size_t c : free_.numbers_of(image)) {
      const double middle = at[c], step = small_step(free_.numbers()[c]);
      at[c] = middle + step;
      if (!residuals_(at, image, above)) return false;
      at[c] = middle - step;
      if (!residuals_(at, image, below)) return false;
      at[c] = middle;
      for (std::size_t r = 0; r < rows; ++r)
        rows_of_image[r * columns + c] = (above[r] - below[r]) / (2 * step) * unit_of(c);
    }
    return true;
  }

  const FreeParameters& free_;
  SpotResiduals residuals_;
  std::vector<double> centre_;
};

/// The user's restraints, and that the start is not far off.  Few spots at low resolution leave
/// combinations of numbers undetermined, in which the others' noise would lead anywhere.
class RestraintCost : public ceres::CostFunction {
 public:
  RestraintCost(const FreeParameters& free, const SpotCost& cost, std::vector<double> reaches)
      : free_(free), cost_(cost), reaches_(std::move(reaches)) {
    set_num_residuals(2 * static_cast<int>(free.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(free.size()));
  }
  bool Evaluate(const double* const* blocks, double* residuals, double** jacobians) const override {
    const std::vector<double> values = cost_.values(blocks[0]);
    const std::size_t n = values.size();
    if (jacobians && jacobians[0]) std::fill_n(jacobians[0], 2 * n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      const FreeNumber& number = free_.numbers()[i];
      const auto restrain = [&](std::size_t row, double to, double deviation) {
        residuals[row] = deviation > 0 ? (values[i] - to) / deviation : 0;
        if (deviation > 0 && jacobians && jacobians[0])
          jacobians[0][row * n + i] = cost_.unit_of(i) / deviation;
      };
      restrain(i, number.restrained_to, number.restraint_deviation);
      restrain(n + i, number.start, reaches_[i]);
    }
    return true;
  }

 private:
  const FreeParameters& free_;
  const SpotCost& cost_;
  std::vector<double> reaches_;
};

/// By how much each number alone may be off: what moves the spots of the images that it changes by
/// `reach` widths, rms.  0 for a number that moves none.
std::vector<double> reaches(const SpotCost& cost, const FreeParameters& free) {
  constexpr double reach = 4;
  const auto rows = static_cast<std::size_t>(cost.num_residuals());
  const std::size_t numbers = free.size();
  std::vector<double> residuals(rows), jacobian(rows * numbers), found(numbers);
  const std::vector<double> steps(numbers, 0.0);
  const double* const block = steps.data();
  double* slopes = jacobian.data();
  if (!cost.Evaluate(&block, residuals.data(), &slopes)) return found;
  for (std::size_t i = 0; i < numbers; ++i) {
    double sum = 0;
    for (std::size_t r = 0; r < rows; ++r)
      sum += jacobian[r * numbers + i] * jacobian[r * numbers + i];
    const std::optional<std::size_t>& image = free.numbers()[i].image;
    const auto moved = static_cast<double>(image ? cost.residuals_of(*image) : rows);
    if (sum > 0) found[i] = reach * cost.unit_of(i) / std::sqrt(3 * sum / moved);
  }
  return found;
}

/// Standard deviation of numbers about zero by their median, which outliers do not move.
double robust_deviation(std::vector<double> numbers) {
  if (numbers.empty()) return 0;
  for (double& x : numbers) x = std::abs(x);
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return 1.4826 * *middle;
}

constexpr double least_angle_rad = 1e-4;

/// Of the spots, how many fit the lattices at least if those are the right ones: random places are
/// near some point of one lattice in 0.6^3 = 0.22 of all cases, of several in more.
double least_share(std::size_t crystals) {
  constexpr double least_of_the_rest = 0.235;
  const double far_from_one = 1 - std::pow(2 * index_tolerance, 3),
               far_from_all = std::pow(far_from_one, static_cast<double>(crystals));
  return 1 - far_from_all * (1 - least_of_the_rest);
}

}  // namespace

MissedSphere::MissedSphere(const FreeParameters& free, std::size_t image,
                           std::vector<IndexedSpot> spots, std::span<const double> values)
    : free_(free), image_(image), spots_(std::move(spots)) {
  const SpotGeometry geometry(resolve(free_.experiment(values, image_)));
  std::vector<double> missed;
  double sum = 0;
  for (const IndexedSpot& s : spots_)
    if (const auto e = geometry.expected(s.point, s.spot.panel); e && e->missed_by_rad != 0) {
      missed.push_back(e->missed_by_rad);
      sum += e->missed_by_rad * e->missed_by_rad;
    }
  const auto count = static_cast<double>(std::max<std::size_t>(missed.size(), 1));
  usual_rad_ = std::max(std::sqrt(sum / count), least_angle_rad);
  blur_rad_ = robust_deviation(missed);
}

bool MissedSphere::residuals(std::span<const double> values, std::span<double> out) const {
  const SpotGeometry geometry(resolve(free_.experiment(values, image_)));
  for (std::size_t i = 0; i < spots_.size(); ++i) {
    const auto expected = geometry.expected(spots_[i].point, spots_[i].spot.panel);
    if (!expected) return false;
    // As for a Cauchy distribution: what is far off is no spot of this lattice point
    const double off = expected->missed_by_rad / usual_rad_;
    out[i] = std::copysign(std::sqrt(std::log1p(off * off)), off);
  }
  return true;
}

bool MissedSphere::slopes(std::span<const double> values, std::span<double> out) const {
  std::vector<double> middle(size()), above(size()), below(size());
  if (!residuals(values, middle)) return false;
  std::vector<double> at(values.begin(), values.end());
  // At the border of what is an experiment to one side alone
  const auto moved = [&](std::vector<double>& to) {
    try {
      return residuals(at, to);
    } catch (const UsageError&) {
      to = middle;
      return true;
    }
  };
  const std::vector<std::size_t> numbers = free_.numbers_of(image_);
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    const std::size_t n = numbers[k];
    const double step = small_step(free_.numbers()[n]);
    at[n] = values[n] + step;
    if (!moved(above)) return false;
    at[n] = values[n] - step;
    if (!moved(below)) return false;
    at[n] = values[n];
    for (std::size_t i = 0; i < size(); ++i)
      out[i * numbers.size() + k] = (above[i] - below[i]) / (2 * step);
  }
  return true;
}

SpotDistances spot_distances(const SpotGeometry& geometry, std::span<const IndexedSpot> spots) {
  SpotDistances d;
  for (const IndexedSpot& s : spots) {
    const auto e = geometry.expected(s.point, s.spot.panel);
    if (!e) continue;
    ++d.spots;
    d.fast_rms += (e->fast - s.spot.fast) * (e->fast - s.spot.fast);
    d.slow_rms += (e->slow - s.spot.slow) * (e->slow - s.spot.slow);
  }
  const auto count = static_cast<double>(std::max<std::size_t>(d.spots, 1));
  d.fast_rms = std::sqrt(d.fast_rms / count);
  d.slow_rms = std::sqrt(d.slow_rms / count);
  return d;
}

StageReport fit_spot_positions(
    const FreeParameters& free, std::span<const std::vector<Spot>> spots,
    const ReflectionExists& exists, const RefineOptions& options, std::vector<double>& values,
    const std::function<bool(std::span<const double>, double residual, double change)>& iterated) {
  constexpr std::size_t least_spots = 8;
  constexpr double least_place_px = 0.1;
  // Shares of the highest resolution, and from how many widths on a spot is left out.
  struct Round {
    double share, outlier;
  };
  constexpr Round rounds[]{{0.4, 100}, {0.6, 6}, {0.8, 4}, {1, 4}, {1, 3}};

  StageReport report;
  report.stage = RefineStage::spot_positions;
  Widths widths{2, 0.005};
  std::vector<double> reach;
  const auto geometry_of = [&](std::size_t image) {
    return SpotGeometry(resolve(free.experiment(values, image)));
  };
  double highest = 0;
  for (std::size_t image = 0; image < spots.size(); ++image) {
    const SpotGeometry geometry = geometry_of(image);
    for (const IndexedSpot& s : index_spots(geometry, spots[image], 1e9, exists))
      highest = std::max(highest, geometry.expected(s.point, s.spot.panel)->reciprocal_per_A);
  }
  for (const Round& round : rounds) {
    std::vector<std::vector<IndexedSpot>> indexed(spots.size());
    std::size_t all = 0;
    for (std::size_t image = 0; image < spots.size(); ++image) {
      const SpotGeometry geometry = geometry_of(image);
      indexed[image] = index_spots(geometry, spots[image], round.share * highest, exists);
      std::erase_if(indexed[image], [&](const IndexedSpot& s) {
        const auto e = geometry.expected(s.point, s.spot.panel);
        return std::hypot(e->fast - s.spot.fast, e->slow - s.spot.slow) >
                   round.outlier * widths.place_px ||
               std::abs(e->missed_by_rad) > round.outlier * widths.angle_rad;
      });
      all += indexed[image].size();
    }
    if (round.share < 1 && all < least_spots) continue;
    for (std::size_t image = 0; image < spots.size(); ++image) {
      const std::size_t found = spots[image].size(), fit = indexed[image].size();
      const bool too_few = static_cast<double>(fit) <
                           least_share(geometry_of(image).crystals()) * static_cast<double>(found);
      if (all >= least_spots && !(round.share == 1 && too_few)) continue;
      throw InputError(std::to_string(found) + " spots were found in " +
                       image_in_words(image, spots.size()) + " and " + std::to_string(fit) +
                       " of them fit " +
                       (geometry_of(image).crystals() > 1 ? "the lattices of the starting crystals"
                                                          : "the starting lattice") +
                       ", which are too few; check "
                       "wavelength, distance, cell, orientation and beam centre, or begin with the "
                       "pixels");
    }

    auto* cost = new SpotCost(free, SpotResiduals(free, indexed, widths), values);
    if (reach.empty()) reach = reaches(*cost, free);
    std::vector<double> steps(free.size(), 0.0);
    ceres::Problem problem;
    problem.AddResidualBlock(cost, nullptr, steps.data());
    problem.AddResidualBlock(new RestraintCost(free, *cost, reach), nullptr, steps.data());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const FreeNumber& n = free.numbers()[i];
      set_bounds(problem, steps.data(), i, n.lower, n.upper, values[i], cost->unit_of(i));
    }
    bool stopped = false;
    const double count = 3 * static_cast<double>(all);
    Watcher watcher([&](const ceres::IterationSummary& s) {
      stopped = !iterated(cost->values(steps.data()), 2 * s.cost / count, s.cost_change);
      return stopped ? ceres::SOLVER_ABORT : ceres::SOLVER_CONTINUE;
    });
    ceres::Solver::Options solver = solver_options(options.iterations, watcher);
    solver.linear_solver_type = ceres::DENSE_QR;
    ceres::Solver::Summary summary;
    ceres::Solve(solver, &problem, &summary);
    values = cost->values(steps.data());
    report.iterations += iterations_of(summary);
    report.spots = all;
    if (&round == rounds) report.residual_before = 2 * summary.initial_cost / count;
    report.residual = 2 * summary.final_cost / count;
    report.converged = summary.termination_type == ceres::CONVERGENCE;
    if (stopped) return report;

    std::vector<double> places, angles;
    for (std::size_t image = 0; image < spots.size(); ++image) {
      const SpotGeometry after = geometry_of(image);
      for (const IndexedSpot& s : indexed[image]) {
        const auto e = after.expected(s.point, s.spot.panel);
        places.push_back(e->fast - s.spot.fast);
        places.push_back(e->slow - s.spot.slow);
        // Of those that cross the sphere nothing is known but that
        if (e->missed_by_rad != 0) angles.push_back(e->missed_by_rad);
      }
    }
    widths = {std::max(robust_deviation(places), least_place_px),
              std::max(robust_deviation(angles), least_angle_rad)};
  }
  return report;
}

}  // namespace nablabragg::refinement
