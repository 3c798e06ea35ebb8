#include "nablabragg/sweep.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "api/cost.hpp"
#include "api/run_plan.hpp"
#include "engine/engine.hpp"
#include "memory/huge_pages.hpp"
#include "nablabragg/error.hpp"
#include "plan/make_plan.hpp"
#include "plan/panel_region.hpp"

namespace nablabragg {

namespace {

/// An image in memory that is used again.
template <class Number>
struct Canvas {
  std::vector<Number> pixels;  ///< none before the first image
  /// Where they may not be zero; empty: anywhere.
  std::optional<std::vector<PanelRegion>> lit;
  LitPixels<Number> listed;
};

/// `work(first, end)` for each row of each region, by places in the image and in its order.
template <class Work>
void for_each_row(const Plan& plan, std::span<const PanelRegion> regions, Work&& work) {
  for (std::size_t begin = 0, end = 0; begin < regions.size(); begin = end) {
    const auto beside = [&](const PanelRegion& other) {
      const RegionOfInterest &a = regions[begin].pixels, &b = other.pixels;
      return other.panel == regions[begin].panel && a.slow_min == b.slow_min &&
             a.slow_max == b.slow_max;
    };
    while (end < regions.size() && beside(regions[end])) ++end;
    const std::span<const PanelRegion> row = regions.subspan(begin, end - begin);
    const PlanPanel& panel = plan.panels[static_cast<std::size_t>(row[0].panel)];
    for (int slow = row[0].pixels.slow_min; slow <= row[0].pixels.slow_max; ++slow)
      for (const PanelRegion& region : row) {
        const std::size_t first = panel.first_pixel + panel.offset_of(region.pixels.fast_min, slow);
        work(first,
             first + static_cast<std::size_t>(region.pixels.fast_max - region.pixels.fast_min + 1));
      }
  }
}

}  // namespace

struct Sweep::State {
  Series series;
  Resolved resolved = {};  ///< of the first image
  std::unique_ptr<engine::Loaded> loaded = nullptr;
  int shown = 0;  ///< the image whose lattice and light are loaded
  Canvas<float> floats = {};
  Canvas<double> doubles = {};

  template <class Number>
  Canvas<Number>& canvas() {
    if constexpr (std::is_same_v<Number, float>)
      return floats;
    else
      return doubles;
  }

  /// Adds the light of image i to memory that is zero.
  template <class Number>
  engine::Report render(int i, std::span<Number> pixels) {
    show(i, series.experiment(i));
    return loaded->render({}, pixels);
  }

  Resolved show(int i, const Experiment& e) {
    if (i == 0 && shown == 0) return resolved;
    Resolved r = resolve(e);
    if (i != shown) {
      const Plan plan = make_plan(e, r);
      if (series.turns()) loaded->set_lattice(plan);
      if (series.light_varies()) loaded->set_light(plan);
    }
    shown = i;
    return r;
  }

  template <class Number>
  Canvas<Number>& drawn(int i) {
    series.experiment(i);
    Canvas<Number>& c = canvas<Number>();
    if (c.pixels.empty()) {
      memory::reserve_in_huge_pages(c.pixels, loaded->plan().pixels());
      c.pixels.resize(loaded->plan().pixels());
    } else if (c.lit) {
      for_each_row(loaded->plan(), *c.lit, [&](std::size_t first, std::size_t end) {
        std::fill(c.pixels.data() + first, c.pixels.data() + end, Number(0));
      });
    } else {
      std::fill(c.pixels.begin(), c.pixels.end(), Number(0));
    }
    c.lit.reset();  // whatever stops the engine
    c.lit = render(i, std::span(c.pixels)).written;
    return c;
  }
};

Sweep::Sweep(const Series& series, const ComputeOptions& options)
    : state_(std::make_unique<State>(State{series})) {
  const Experiment first = series.experiment(0);
  state_->resolved = resolve(first);
  const Plan plan = make_plan(first, state_->resolved);
  check_cost(first, state_->resolved, plan, {}, options);
  state_->loaded = engine::load(plan, options);
}

Sweep::Sweep(const Sweep& beside, const ComputeOptions& options) : Sweep(beside.series(), options) {
  if (!series().light_varies()) state_->loaded->share_background(*beside.state_->loaded);
}

Sweep::~Sweep() = default;
Sweep::Sweep(Sweep&&) noexcept = default;
Sweep& Sweep::operator=(Sweep&&) noexcept = default;

const Series& Sweep::series() const { return state_->series; }
std::size_t Sweep::pixels() const { return state_->loaded->plan().pixels(); }
const Resolved& Sweep::resolved() const { return state_->resolved; }

template <class Number>
void Sweep::render(int i, std::span<Number> pixels) {
  state_->series.experiment(i);
  if (pixels.size() != this->pixels())
    throw UsageError("an image of this sweep has " + std::to_string(this->pixels()) +
                     " pixels, and there is room for " + std::to_string(pixels.size()));
  std::fill(pixels.begin(), pixels.end(), Number(0));
  state_->render(i, pixels);
}

Simulation Sweep::simulation(int i, Image used) {
  const Experiment e = state_->series.experiment(i);
  Resolved resolved = state_->show(i, e);
  Simulation s = run_loaded(e, resolved, *state_->loaded, std::move(used));
  s.resolved = std::move(resolved);
  return s;
}

std::optional<CountedSimulation> Sweep::counted_by_engine(int i, std::int64_t seed) {
  const Experiment e = state_->series.experiment(i);
  Resolved resolved = state_->show(i, e);
  auto counted = count_loaded(e, resolved, *state_->loaded, seed);
  if (counted) counted->simulation.resolved = std::move(resolved);
  return counted;
}

template <class Number>
std::span<const Number> Sweep::image(int i) {
  return state_->drawn<Number>(i).pixels;
}

template <class Number>
const LitPixels<Number>& Sweep::lit_pixels(int i) {
  Canvas<Number>& c = state_->drawn<Number>(i);
  c.listed.pixels.clear();
  c.listed.photons.clear();
  const auto list = [&](std::size_t first, std::size_t end) {
    for (std::size_t place = first; place < end; ++place)
      if (c.pixels[place] != 0) {
        c.listed.pixels.push_back(static_cast<std::int64_t>(place));
        c.listed.photons.push_back(c.pixels[place]);
      }
  };
  if (c.lit)
    for_each_row(state_->loaded->plan(), *c.lit, list);
  else
    list(0, c.pixels.size());
  return c.listed;
}

template void Sweep::render(int, std::span<float>);
template void Sweep::render(int, std::span<double>);
template std::span<const float> Sweep::image(int);
template std::span<const double> Sweep::image(int);
template const LitPixels<float>& Sweep::lit_pixels(int);
template const LitPixels<double>& Sweep::lit_pixels(int);

}  // namespace nablabragg
