#include "ensemble/shot_maker.hpp"

#include <optional>
#include <span>
#include <utility>

#include "ensemble/make_shots.hpp"
#include "flags/command_line.hpp"
#include "io/tall_image.hpp"
#include "nablabragg/geometry.hpp"

namespace nablabragg::ensemble {

namespace {

Ensemble read_ensemble(const std::string& path) {
  Description description = read_description(path);
  flags::Request base = Ensemble::base_of(description);
  return {std::move(description), std::move(base)};
}

}  // namespace

ShotMaker::ShotMaker(const std::string& path)
    : ensemble_(read_ensemble(path)), panels_(geometry_of(ensemble_.base()).panels) {
  const io::TallImage image(panels_);
  slow_ = static_cast<std::size_t>(image.slow);
  fast_ = static_cast<std::size_t>(image.fast);
}

std::vector<MadeShot> ShotMaker::make(const std::vector<int>& numbers,
                                      const ComputeOptions& asked) const {
  ComputeOptions options = compute_options(ensemble_.request());
  options.threads = asked.threads;
  options.progress = asked.progress;
  const ShotLabeller label(ensemble_, options);
  std::vector<MadeShot> all;
  auto number = numbers.begin();
  make_shots(
      ensemble_, numbers.size(), options,
      [&] { return number == numbers.end() ? std::nullopt : std::optional(*number++); },
      [&](const Shot& shot, const Simulation& simulation) {
        const LabelledShot labelled = label(shot, simulation);
        MadeShot made{.index = shot.index,
                      .counts = {},
                      .photons = {},
                      .spot_mask = {},
                      .tables = tables_of(ensemble_, {labelled.labels})};
        const auto lay_out_in = [&](auto& tall, const auto& pixels) {
          tall.resize(slow_ * fast_);
          io::lay_out_marked(panels_, std::span(pixels), tall.data());
        };
        if (ensemble_.description().counts)
          lay_out_in(made.counts, labelled.counts);
        else
          lay_out_in(made.photons, simulation.image.pixels);
        if (!labelled.spot_mask.empty()) {
          made.spot_mask.resize(slow_ * fast_);
          io::lay_out(panels_, std::span(labelled.spot_mask), std::uint8_t{0},
                      made.spot_mask.data());
        }
        return made;
      },
      [&](MadeShot made) { all.push_back(std::move(made)); });
  return all;
}

}  // namespace nablabragg::ensemble
