#include "engine/diffuse.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "engine/cpu/added_light.hpp"
#include "engine/cpu/diffuse_kernels.hpp"
#include "engine/cpu/tiles.hpp"
#include "engine/diffuse_nodes.hpp"
#include "engine/driver.hpp"
#include "engine/engine.hpp"
#include "plan/plan_calculus.hpp"

namespace nablabragg::engine {

namespace {

struct MadeTables {
  std::shared_ptr<const DiffuseTables> tables;
  std::shared_ptr<const std::vector<float>> F2;  ///< of them, in single precision
};

/// Of a plan.  The last ones are kept, as threads that make images of one lattice ask for the same.
MadeTables tables_of(const Plan& plan) {
  static std::mutex mutex;
  static std::weak_ptr<const DiffuseTables> kept_tables;
  static std::weak_ptr<const std::vector<float>> kept_F2;
  {
    const std::lock_guard lock(mutex);
    MadeTables kept{kept_tables.lock(), kept_F2.lock()};
    if (kept.tables && kept.F2 && kept.tables->are_of(plan)) return kept;
  }
  // Threads whose lattices differ do not wait for each other.
  MadeTables made{std::make_shared<const DiffuseTables>(plan), {}};
  const auto& F2 = made.tables->F2().values();
  made.F2 = std::make_shared<const std::vector<float>>(F2.begin(), F2.end());
  const std::lock_guard lock(mutex);
  kept_tables = made.tables;
  kept_F2 = made.F2;
  return made;
}

}  // namespace

/// The plan whose orientations are summed, with what a kernel asks for.
class Diffuse::Summed {
 public:
  Summed(const Diffuse& of, const Plan& plan)
      : few_(of.few_.fewer() ? with_few(of, plan) : Plan()),
        plan_(of.few_.fewer() ? few_ : plan),
        light_{&plan_,
               &of.numbers_,
               {GridView(&of.tables_->F2()), of.tables_->shells(), of.numbers_.shell,
                of.few_.weights()}} {}
  Summed(const Summed&) = delete;
  Summed& operator=(const Summed&) = delete;

  const Plan& plan() const { return plan_; }
  DiffuseLight& light() { return light_; }

 private:
  static Plan with_few(const Diffuse& of, const Plan& plan) {
    Plan few = plan;
    few.lattice.orientations = of.few_.of(plan.lattice.orientations);
    return few;
  }

  const Plan few_;
  const Plan& plan_;
  DiffuseLight light_;
};

void Diffuse::take_from(Plan& plan) {
  if (!plan.diffuse.present) {
    *this = {};
    return;
  }
  if (!tables_ || !tables_->are_of(plan)) {
    MadeTables made = tables_of(plan);
    tables_ = std::move(made.tables);
    F2_ = std::move(made.F2);
  }
  if (numbers_.outside != plan.diffuse.outside) {
    auto made = HaloTable::make(plan.diffuse.outside);
    halos_ = made ? std::make_shared<const HaloTable>(std::move(*made)) : nullptr;
  }
  numbers_ = std::exchange(plan.diffuse, {});
  few_ = FewOrientations(plan.lattice.orientations, numbers_);
  steps_ = node_steps(plan, numbers_);
  if (std::all_of(steps_.begin(), steps_.end(), [](int step) { return step == 1; })) steps_.clear();
  if (!tables_->spots()) return;
  plan.lattice.grid = tables_->spots();
  plan.lattice.default_F = 0;
}

SplitPlan::SplitPlan(const Plan& plan) : spots(plan) { diffuse.take_from(spots); }

template <class Number>
void Diffuse::add_photons(const Plan& plan, const Pixels& pixels, const ComputeOptions& options,
                          std::span<Number> values) const {
  Summed summed(*this, plan);
  DiffuseLight& light = summed.light();
  // Offsets are whole numbers in single precision.
  constexpr std::size_t most_entries = std::size_t{1} << 24;
  if (options.precision != Precision::float64 && options.engine != nablabragg::Engine::reference &&
      F2_->size() < most_entries) {
    light.halos = halos_.get();
    light.F2 = F2_->data();
  }
  const DiffuseKernel kernel = kernels_of_this_machine().diffuse;
  const ComputeOptions behind = behind_the_spots(options);
  const auto sum_over = [&](const auto& tiles, auto&& add) {
    for_each_part(tiles.count(), behind, [&](int index, const StopFlag& stopped) -> WorkDone {
      Tile tile(stopped);
      tiles.fill(index, tile);
      alignas(64) std::array<double, tile_pixels> photons;
      kernel(light, tile, photons.data());
      tiles.for_each_wanted(index, tile,
                            [&](std::size_t i, std::size_t place) { add(place, photons[i]); });
      return {};
    });
  };
  const auto add = [&](std::size_t place, double photons) {
    values[place] = static_cast<Number>(double(values[place]) + photons);
  };
  if (steps_.empty()) return sum_over(Tiling(plan, pixels), add);
  const DiffuseNodes nodes(plan, pixels, steps_);
  std::vector<double> of_nodes(nodes.size());
  sum_over(nodes, [&](std::size_t place, double photons) { of_nodes[place] = photons; });
  nodes.for_each_pixel(of_nodes, 1, 0, behind, add);
}
template void Diffuse::add_photons(const Plan&, const Pixels&, const ComputeOptions&,
                                   std::span<float>) const;
template void Diffuse::add_photons(const Plan&, const Pixels&, const ComputeOptions&,
                                   std::span<double>) const;

double Diffuse::photons(const Plan& plan, const PixelIndex& pixel) const {
  Summed summed(*this, plan);
  const auto at = [&](int panel, int fast, int slow) {
    return diffuse_photons(summed.plan(), numbers_, summed.light().tables,
                           plan.panels[static_cast<std::size_t>(panel)], double(fast),
                           double(slow));
  };
  if (steps_.empty()) return at(pixel.panel, pixel.fast, pixel.slow);
  const std::array one{pixel};
  const Pixels pixels{one};
  const DiffuseNodes nodes(plan, pixels, steps_);
  std::vector<double> of_nodes(nodes.size());
  nodes.for_each_needed([&](std::size_t place, int panel, int fast, int slow) {
    of_nodes[place] = at(panel, fast, slow);
  });
  double photons = 0;
  nodes.for_each_pixel(of_nodes, 1, 0, {}, [&](std::size_t, double value) { photons = value; });
  return photons;
}

std::string Diffuse::how(const Plan& plan) const {
  std::string how;
  if (!steps_.empty()) {
    const auto [least, largest] = std::minmax_element(steps_.begin(), steps_.end());
    how = "at pixels " + std::to_string(*least) +
          (*least < *largest ? " to " + std::to_string(*largest) : "") + " apart";
  }
  if (const std::size_t few = few_.weights().size(); few > 0)
    how += std::string(how.empty() ? "" : " and ") + "of " + std::to_string(few) +
           (few == 1 ? " orientation for " : " orientations for ") +
           std::to_string(plan.lattice.orientations.size());
  return how.empty() ? how : "diffuse light is summed " + how + " (-diffuse_error)";
}

double Diffuse::share_of_steps(const Plan& plan) const {
  double share = 1;
  if (!steps_.empty()) {
    double nodes = 0, pixels = 0;
    for (std::size_t p = 0; p < steps_.size(); ++p) {
      nodes += double(plan.panels[p].pixels()) / (steps_[p] * steps_[p]);
      pixels += double(plan.panels[p].pixels());
    }
    share = nodes / pixels;
  }
  if (few_.fewer())
    share *= double(few_.weights().size()) / double(plan.lattice.orientations.size());
  return share;
}

void Diffuse::pull_back(const Plan& plan, const Pixels& pixels, std::span<const double> weights,
                        const ComputeOptions& options, PlanGradient& to) const {
  Summed summed(*this, plan);
  const DiffuseLight& light = summed.light();
  const DiffuseGradientKernel kernel = kernels_of_this_machine().diffuse_gradient;
  to.adjoint.diffuse.present = true;
  to.adjoint.diffuse.outside.assign(numbers_.outside.size(), 0.0);
  for_each_number_of_diffuse([](double& x) { x = 0; }, to.adjoint.diffuse);
  tables_->pull_back_spots(to.table, to.adjoint);

  StructureFactorGrid F2(tables_->F2().min(), tables_->F2().max(), 0.0);
  std::vector<double> shells(tables_->shells().size());
  std::vector<Mat3d> of_all;
  if (few_.fewer()) {
    of_all = std::move(to.adjoint.lattice.orientations);
    to.adjoint.lattice.orientations.assign(few_.weights().size(), Mat3d{});
  }
  struct Part {
    std::shared_ptr<Plan> adjoint;
    std::shared_ptr<DiffuseSink> sink;
  };
  const auto sum_over = [&](const auto& tiles, std::span<const double> of_places) {
    const auto compute = [&](int first, int end, const StopFlag& stopped) {
      Part part{std::make_shared<Plan>(zero_plan(to.adjoint)), std::make_shared<DiffuseSink>()};
      part.sink->adjoints = part.adjoint.get();
      part.sink->shells.resize(shells.size());
      for (int index = first; index < end; ++index) {
        Tile tile(stopped);
        std::array<double, tile_pixels> of_tile{};
        tiles.fill(index, tile);
        tiles.for_each_wanted(
            index, tile, [&](std::size_t i, std::size_t place) { of_tile[i] = of_places[place]; });
        kernel(light, tile, of_tile, *part.sink);
      }
      return part;
    };
    const auto add = [&](const Part& part) {
      to.value += part.sink->value;
      for_each_number_of_plan([](double& x, const double& more) { x += more; }, to.adjoint,
                              *part.adjoint);
      part.sink->F2.drain([&](std::int64_t offset, double more) {
        F2.values()[static_cast<std::size_t>(offset)] += more;
      });
      for (std::size_t i = 0; i < shells.size(); ++i) shells[i] += part.sink->shells[i];
    };
    constexpr int tiles_per_batch = 16;
    add_in_order(tiles.count(), tiles_per_batch, behind_the_spots(options), compute, add);
  };
  if (steps_.empty()) {
    sum_over(Tiling(plan, pixels), weights);
  } else {
    const DiffuseNodes nodes(plan, pixels, steps_);
    sum_over(nodes, nodes.pull_back(weights));
  }
  if (few_.fewer()) {
    few_.pull_back(to.adjoint.lattice.orientations, of_all);
    to.adjoint.lattice.orientations = std::move(of_all);
  }
  tables_->pull_back_shells(shells, F2);
  tables_->pull_back_F2(F2, to.table.get(), to.adjoint);
}

void Diffuse::push_forward(const Plan& plan, const Pixels& pixels,
                           std::span<const Plan* const> tangents,
                           const StructureFactorGrid* table_tangent, const ComputeOptions& options,
                           std::span<double> photons, std::span<double> slopes) const {
  Summed summed(*this, plan);
  const DiffuseLight& light = summed.light();
  const DiffuseGradientKernel kernel = kernels_of_this_machine().diffuse_gradient;
  const std::size_t columns = tangents.size();
  std::vector<DiffuseTangent> directions;
  std::vector<std::unique_ptr<StructureFactorGrid>> F2;
  std::vector<std::vector<double>> shells;
  std::vector<Plan> of_few;
  shells.reserve(columns);
  of_few.reserve(columns);
  for (std::size_t t = 0; t < columns; ++t) {
    F2.push_back(
        tables_->push_forward_F2(*tangents[t], t + 1 == columns ? table_tangent : nullptr));
    const Plan* tangent = tangents[t];
    if (few_.fewer()) {
      of_few.push_back(*tangent);
      of_few.back().lattice.orientations = few_.of(tangent->lattice.orientations);
      tangent = &of_few.back();
    }
    DiffuseTangent& direction = directions.emplace_back(DiffuseTangent{tangent, nullptr, nullptr});
    if (!F2.back()) continue;
    shells.push_back(tables_->push_forward_shells(*F2.back()));
    direction.F2 = F2.back()->values().data();
    direction.shells = shells.back().data();
  }
  DiffuseSink sink;
  sink.tangents = directions;
  const auto on_tile = [&](const Tile& tile, const auto& ones, DiffuseSink& to) {
    kernel(light, tile, ones, to);
  };
  if (steps_.empty())
    return push_forward_tiles(Tiling(plan, pixels), options, columns, sink, on_tile, photons,
                              slopes);
  const DiffuseNodes nodes(plan, pixels, steps_);
  std::vector<double> of_nodes(nodes.size()), slopes_of_nodes(nodes.size() * columns);
  push_forward_tiles(nodes, options, columns, sink, on_tile, std::span<double>(of_nodes),
                     std::span<double>(slopes_of_nodes));
  const ComputeOptions behind = behind_the_spots(options);
  nodes.for_each_pixel(of_nodes, 1, 0, behind,
                       [&](std::size_t place, double more) { photons[place] += more; });
  for (std::size_t t = 0; t < columns; ++t)
    nodes.for_each_pixel(slopes_of_nodes, columns, t, behind, [&](std::size_t place, double more) {
      slopes[place * columns + t] += more;
    });
}

}  // namespace nablabragg::engine
