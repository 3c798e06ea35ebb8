#include "view/live_images.hpp"

#include <algorithm>
#include <utility>

#include "api/same_panels.hpp"
#include "description/fields.hpp"
#include "engine/cpu/tiles.hpp"  // for tile_side, block_side
#include "nablabragg/gradient.hpp"
#include "plan/make_plan.hpp"

namespace nablabragg::view {

namespace {

/// Whether nothing but what belongs to the crystal differs.
bool same_beside_crystal(const Experiment& a, Experiment b) {
  b.crystal = a.crystal;
  return description::same_value(a, b);
}

/// work(first, end) for the parts of a range that end where a multiple of `edge` is.
template <class Work>
void for_each_part(int first, int end, int edge, Work&& work) {
  for (; first < end; first += edge) work(first, std::min(first + edge, end));
}

/// Every n-th pixel of a panel, tile by tile and in it block by block.
template <class Work>
void for_each_in_tiles(int every, const PlanFrame& frame, Work&& work) {
  using engine::block_side, engine::tile_side;
  const auto up = [every](int pixel) { return (pixel + every - 1) / every * every; };
  for_each_part(0, frame.slow_pixels, tile_side, [&](int tile_bottom, int tile_top) {
    for_each_part(0, frame.fast_pixels, tile_side, [&](int tile_left, int tile_right) {
      for_each_part(tile_bottom, tile_top, block_side, [&](int bottom, int top) {
        for_each_part(tile_left, tile_right, block_side, [&](int left, int right) {
          for (int slow = up(bottom); slow < top; slow += every)
            for (int fast = up(left); fast < right; fast += every) work(fast, slow);
        });
      });
    });
  });
}

}  // namespace

LiveImages::LiveImages(ComputeOptions options, std::function<bool()> goes_on)
    : options_(std::move(options)) {
  options_.progress = [ask = std::move(goes_on)](double) { return ask(); };
}

void LiveImages::show(const SettledExperiment& e) {
  const Plan plan = make_plan(e.experiment(), e.resolved());
  if (loaded_ && same_panels(plan, loaded_->plan()) && engine::may_follow(plan, loaded_->plan())) {
    const auto &background = plan.background, &before = loaded_->plan().background;
    if (!same_beside_crystal(e.experiment(), shown_) || background.per_sr != before.per_sr ||
        background.starting_sum != before.starting_sum)
      loaded_->set_light(plan);
    loaded_->set_lattice(plan);
  } else {
    loaded_.reset();  // before the next one takes its memory
    loaded_ = engine::load(plan, options_);
  }
  shown_ = e.experiment();
}

void LiveImages::list_pixels(const Plan& plan, const Coarseness& coarse) {
  pixels_.clear();
  places_.clear();
  std::size_t first = 0;  // of the panel
  for (std::size_t i = 0; i < plan.panels.size(); ++i) {
    const PlanPanel& panel = plan.panels[i];
    const int width = coarse.of(panel.frame.fast_pixels),
              height = coarse.of(panel.frame.slow_pixels);
    // In the order in which the cpu engine takes the pixels of a list, which it then need not sort
    for_each_in_tiles(coarse.every, panel.frame, [&](int fast, int slow) {
      if (!panel.wants(fast, slow)) return;
      pixels_.push_back({fast, slow, static_cast<int>(i)});
      places_.push_back(
          first + static_cast<std::size_t>(slow / coarse.every) * static_cast<std::size_t>(width) +
          static_cast<std::size_t>(fast / coarse.every));
    });
    first += static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  }
  values_.assign(first, 0);
}

std::span<const float> LiveImages::photons(const SettledExperiment& e, const Coarseness& coarse) {
  show(e);
  if (coarse.every == 1) {
    values_.assign(loaded_->plan().pixels(), 0);
    loaded_->render({}, std::span(values_));
    return values_;
  }
  list_pixels(loaded_->plan(), coarse);
  listed_.assign(pixels_.size(), 0);
  loaded_->render(engine::Pixels(pixels_), std::span(listed_));
  for (std::size_t i = 0; i < places_.size(); ++i) values_[places_[i]] = listed_[i];
  return values_;
}

std::span<const float> LiveImages::slopes(const SettledExperiment& e, const std::string& name,
                                          std::size_t index, const Coarseness& coarse) {
  list_pixels(make_plan(e.experiment(), e.resolved()), coarse);
  std::vector<double> direction(parameter(e, name).values.size());
  direction.at(index) = 1;
  const std::vector<double> slopes = jvp(e, {{name, direction}}, pixels_, options_);
  for (std::size_t i = 0; i < places_.size(); ++i)
    values_[places_[i]] = static_cast<float>(slopes[i]);
  return values_;
}

}  // namespace nablabragg::view
