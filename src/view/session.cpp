#include "view/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>  // for endian
#include <chrono>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "flags/flags_of.hpp"
#include "io/smv_header.hpp"  // for command_line_text
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/picture.hpp"
#include "nablabragg/units.hpp"
#include "nablabragg/version.hpp"
#include "readout/panel_canvas.hpp"
#include "readout/view.hpp"
#include "view/live_images.hpp"
#include "view/page_files.hpp"
#include "view/sliders.hpp"
#include "view/turning.hpp"

namespace nablabragg::view {

using nlohmann::json;
using nlohmann::ordered_json;

class Tab {
 public:
  Tab(const ComputeOptions& options, std::function<bool()> stopped)
      : stopped_(std::move(stopped)),
        images_(options, [this] { return goes_on() && made_ == newest_; }) {}

  bool goes_on() const { return open_ && !stopped_(); }
  void close() { open_ = false; }

  /// work(images) for the image of this number, unless a newer one is asked for: the number of each
  /// is larger than that of the one before.
  template <class Work>
  auto make(std::uint64_t number, Work&& work) {
    std::uint64_t newest = newest_;
    while (newest < number && !newest_.compare_exchange_weak(newest, number)) {
    }
    const std::scoped_lock lock(images_mutex_);
    if (number != newest_ || !goes_on()) throw Cancelled();
    made_ = number;
    return work(images_);
  }

  std::atomic<bool> refines = false, refinement_goes_on = false;
  std::mutex progress_mutex;
  ordered_json progress;  ///< of the refinement

 private:
  std::atomic<bool> open_ = true;
  std::function<bool()> stopped_;
  std::atomic<std::uint64_t> newest_ = 0, made_ = 0;
  std::mutex images_mutex_;
  LiveImages images_;
};

namespace {

// ---- What a question says -----------------------------------------------------------------------

/// The experiment with the changes, one after the other.
SettledExperiment changed(SettledExperiment e, const json& question) {
  for (const json& change : question.at("changes"))
    e = SettledExperiment(with_parameter(e, change.at(0).get_ref<const std::string&>(),
                                         change.at(1).get<std::vector<double>>()));
  return e;
}

int panels_of(const Resolved& r) { return 1 + static_cast<int>(r.more_panels.size()); }

PanelPoint point_of(const json& j, const Resolved& r) {
  PanelPoint point{j.value("panel", 0), j.at("fast").get<double>(), j.at("slow").get<double>()};
  if (point.panel < 0 || point.panel >= panels_of(r))
    throw UsageError(fmt::format("there is no panel {}", point.panel));
  return point;
}

/// A point on a pixel.  Throws UsageError where there is none.
PixelIndex pixel_of(const json& j, const Resolved& r) {
  const PanelPoint point = point_of(j, r);
  const Panel& p = panel_of(r, static_cast<std::size_t>(point.panel));
  if (!(point.fast_px >= 0 && point.fast_px < p.fast_pixels && point.slow_px >= 0 &&
        point.slow_px < p.slow_pixels))
    throw UsageError(fmt::format("there is no pixel fast {:g} slow {:g}{}", point.fast_px,
                                 point.slow_px,
                                 panels_of(r) > 1 ? fmt::format(" on panel {}", point.panel) : ""));
  return {static_cast<int>(point.fast_px), static_cast<int>(point.slow_px), point.panel};
}

/// How the crystal is turned: from one point to another, or by an angle.
Turn turn_of(const json& turn, const Resolved& r) {
  const bool about_beam = turn.value("about_beam", false);
  if (turn.contains("degrees")) {
    const double angle = units::radians_from_degrees(turn.at("degrees").get<double>());
    if (about_beam) return {r.panel.beam, angle};
    const json& towards = turn.at("towards");
    return turn_towards(r, towards.at(0).get<double>(), towards.at(1).get<double>(), angle);
  }
  const PanelPoint from = point_of(turn.at("from"), r), to = point_of(turn.at("to"), r);
  Turn whole = about_beam ? turn_about_beam(r, from, to) : turn_with_pointer(r, from, to);
  whole.angle_rad *= turn.value("share", 1.0);
  return whole;
}

/// The experiment with its crystal turned by hand, where the question says so.
SettledExperiment turned(SettledExperiment e, const json& question) {
  if (!question.contains("turn")) return e;
  const Vec3d misset = turned_misset_deg(e.resolved(), turn_of(question.at("turn"), e.resolved()));
  return with_parameter(e, "misset", std::array{misset.x, misset.y, misset.z});
}

Coarseness coarseness_of(const json& question) {
  const int every = question.value("every", 1);
  if (every < 1 || every > 64) throw UsageError("every pixel, or at most every 64th, is shown");
  return {every};
}

// ---- What is answered ---------------------------------------------------------------------------

Reply reply(const ordered_json& document) { return {200, "application/json", document.dump()}; }

std::string bytes_of(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

/// With the ranges of its sliders, which stay where they were at the start.
ordered_json as_json(const Parameter& p, const std::vector<Parameter>& at_start) {
  const auto same = std::ranges::find_if(at_start, [&](const Parameter& other) {
    return other.name == p.name && other.values.size() == p.values.size();
  });
  const Parameter& began = same == at_start.end() ? p : *same;
  ordered_json numbers = ordered_json::array();
  for (std::size_t i = 0; i < p.values.size(); ++i) {
    const SliderRange range = slider_range(began, i);
    numbers.push_back({{"value", p.values[i]},
                       {"unit", p.units[i]},
                       {"low", range.low},
                       {"high", range.high},
                       {"logarithmic", range.logarithmic}});
  }
  return {{"name", p.name}, {"numbers", numbers}};
}

ordered_json as_json(const readout::CanvasPoint& at, double scale) {
  return {scale * at.x, scale * at.y};
}

/// Where everything is seen, in units of the first panel's pixels.
struct Places {
  readout::View view;
  readout::PanelCanvas canvas;
  double scale;  ///< of the canvas' points

  explicit Places(const Resolved& r)
      : view(readout::view_of(r)),
        canvas(view, 512),
        scale(view.panels.size() > 1 ? canvas.step() / view.panels[0].pixel : 1) {}

  ordered_json at(const PanelPoint& point) const {
    const auto place = canvas.place_of(point);
    return place ? as_json(*place, scale) : ordered_json();
  }
  ordered_json panels() const {
    ordered_json all = ordered_json::array();
    for (std::size_t i = 0; i < view.panels.size(); ++i) {
      const readout::ViewedPanel& p = view.panels[i];
      const int number = static_cast<int>(i);
      all.push_back({{"fast_pixels", p.fast_pixels},
                     {"slow_pixels", p.slow_pixels},
                     {"origin", at({number, 0, 0})},
                     {"fast_end", at({number, double(p.fast_pixels), 0})},
                     {"slow_end", at({number, 0, double(p.slow_pixels)})}});
    }
    return all;
  }
  ordered_json beam() const {
    return canvas.beam() ? as_json(*canvas.beam(), scale) : ordered_json();
  }
  ordered_json ring(const Resolved& r, double d_A) const {
    ordered_json parts = ordered_json::array();
    for (const auto& part : view::ring(r, d_A)) {
      ordered_json points = ordered_json::array();
      for (const PanelPoint& point : part) points.push_back(at(point));
      parts.push_back(std::move(points));
    }
    return {{"d_A", d_A}, {"parts", parts}};
  }
};

std::string python_text(const std::vector<std::string>& words) {
  return "import nablabragg as nb\n\ne = nb.parse(r\"\"\"" + io::command_line_text(words) +
         "\"\"\")\nimage = nb.simulate(e)\n";
}

/// Of the pixels of all panels those that are computed.
std::vector<float> thinned(std::span<const float> all, const Resolved& r,
                           const Coarseness& coarse) {
  std::vector<float> some;
  std::size_t first = 0;
  for (int i = 0; i < panels_of(r); ++i) {
    const Panel& p = panel_of(r, static_cast<std::size_t>(i));
    for (int slow = 0; slow < p.slow_pixels; slow += coarse.every)
      for (int fast = 0; fast < p.fast_pixels; fast += coarse.every)
        some.push_back(
            all[first + static_cast<std::size_t>(slow) * static_cast<std::size_t>(p.fast_pixels) +
                static_cast<std::size_t>(fast)]);
    first += static_cast<std::size_t>(p.fast_pixels) * static_cast<std::size_t>(p.slow_pixels);
  }
  return some;
}

std::vector<float> photons_of(const Measurement& m) {
  std::vector<float> photons;
  photons.reserve(m.counts.pixels.size());
  for (const float count : m.counts.pixels)
    photons.push_back(static_cast<float>((count - m.offset) / m.counts_per_photon));
  return photons;
}

double sum_of_squares(std::span<const float> model, std::span<const float> measured) {
  double sum = 0;
  for (std::size_t i = 0; i < model.size(); ++i)
    if (const double d = double(model[i]) - double(measured[i]); std::isfinite(d)) sum += d * d;
  return sum;
}

}  // namespace

Session::Session(Start start) : start_(std::move(start)), settled_(start_.experiment) {
  if (start_.measured) measured_photons_ = photons_of(*start_.measured);
}

Session::~Session() = default;

Pages Session::pages() {
  Pages pages;
  pages.pages = page_files();
  const auto add = [&](const char* name, Answer answer) {
    pages.answers[name] = [this, answer](const Question& q) { return (this->*answer)(q); };
  };
  add("session", &Session::describe);
  add("state", &Session::state);
  add("frame", &Session::frame);
  add("pixel", &Session::pixel);
  add("trace", &Session::trace);
  add("refine", &Session::refine);
  add("progress", &Session::progress);
  add("stop-refining", &Session::stop_refining);
  pages.opened = [this](const std::string& name) {
    const std::scoped_lock lock(mutex_);
    tabs_[name] = std::make_shared<Tab>(start_.compute, start_.stopped);
  };
  pages.closed = [this](const std::string& name) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = tabs_.find(name); found != tabs_.end()) {
      found->second->close();
      tabs_.erase(found);
    }
  };
  return pages;
}

std::shared_ptr<Tab> Session::tab_of(const Question& q) {
  const std::scoped_lock lock(mutex_);
  const auto found = tabs_.find(q.tab);
  if (found == tabs_.end()) throw Cancelled();
  return found->second;
}

/// What does not change.
Reply Session::describe(const Question&) {
  ordered_json document = {{"version", version()},
                           {"notices", start_.notices},
                           {"closed_form", settled_.resolved().closed}};
  if (start_.measured) document["measured"] = start_.measured_name;
  return reply(document);
}

/// What the changes come to: values, places, texts to copy.
Reply Session::state(const Question& q) {
  const json question = json::parse(q.body);
  const SettledExperiment e = turned(changed(settled_, question), question);
  const Resolved& r = e.resolved();
  ordered_json document;
  const std::vector<Parameter> at_start = nablabragg::parameters(settled_);
  for (const Parameter& p : nablabragg::parameters(e))
    document["parameters"].push_back(as_json(p, at_start));
  const Places places(r);
  document["panels"] = places.panels();
  document["beam"] = places.beam();
  document["rings"] = ordered_json::array();
  if (question.contains("rings"))
    for (const double d_A : question.at("rings").get<std::vector<double>>())
      if (d_A > 0) document["rings"].push_back(places.ring(r, d_A));
  document["warnings"] = r.warnings;

  std::vector<std::string> words{"nablabragg"};
  words.insert(words.end(), start_.arguments.begin(), start_.arguments.end());
  try {
    const flags::FlagsOf flags = flags::flags_of(e, start_.arguments, start_.files);
    words.insert(words.end(), flags.flags.begin(), flags.flags.end());
    document["not_in_flags"] = flags.not_in_flags;
  } catch (const Error& error) {
    document["not_in_flags"] = {std::string("the flags are refused: ") + error.what()};
  }
  document["python"] = python_text({words.begin() + 1, words.end()});
  words.insert(words.end(), {"-floatfile", "image.bin"});
  document["command_line"] = io::command_line_text(words);
  document["experiment"] = to_json(e.experiment());
  return reply(document);
}

/// Photons, or what else is shown, of every pixel or of some.
Reply Session::frame(const Question& q) {
  const json question = json::parse(q.body);
  const std::shared_ptr<Tab> tab = tab_of(q);
  const Coarseness coarse = coarseness_of(question);
  const std::string shows = question.value("show", "model");
  Reply answer{200, "application/octet-stream", {}};
  ordered_json facts = {{"every", coarse.every}};
  const auto start = std::chrono::steady_clock::now();
  if (shows == "measured") {
    if (!start_.measured) throw UsageError("no measured image was given");
    answer.content = bytes_of(thinned(measured_photons_, settled_.resolved(), coarse));
    facts["white"] = white_photons_of(measured_photons_);
    answer.headers = {{"X-Frame", facts.dump()}};
    return answer;
  }
  const SettledExperiment e = turned(changed(settled_, question), question);
  const Vec3d& misset = e.experiment().crystal.misset_deg;
  facts["misset"] = {misset.x, misset.y, misset.z};
  tab->make(question.at("number").get<std::uint64_t>(), [&](LiveImages& images) {
    if (shows == "slopes") {
      answer.content = bytes_of(images.slopes(e, question.at("parameter").get<std::string>(),
                                              question.at("index").get<std::size_t>(), coarse));
      return;
    }
    const std::span<const float> photons = images.photons(e, coarse);
    if (coarse.every == 1) {
      facts["white"] = white_photons_of(photons);
      if (start_.measured) facts["sum_of_squares"] = sum_of_squares(photons, measured_photons_);
    }
    if (shows == "difference") {
      if (!start_.measured) throw UsageError("no measured image was given");
      std::vector<float> difference = thinned(measured_photons_, settled_.resolved(), coarse);
      for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= photons[i];
      answer.content = bytes_of(difference);
    } else {
      answer.content = bytes_of(photons);
    }
  });
  facts["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
                         .count();
  answer.headers = {{"X-Frame", facts.dump()}};
  return answer;
}

/// What is under the pointer.
Reply Session::pixel(const Question& q) {
  const json question = json::parse(q.body);
  const SettledExperiment e = changed(settled_, question);
  const SeenAt seen = seen_at(e.resolved(), point_of(question, e.resolved()));
  ordered_json document;
  document["d_A"] = std::isfinite(seen.d_A) ? ordered_json(seen.d_A) : ordered_json();
  document["hkl"] = {seen.hkl.x, seen.hkl.y, seen.hkl.z};
  return reply(document);
}

Reply Session::trace(const Question& q) {
  const json question = json::parse(q.body);
  const SettledExperiment e = changed(settled_, question);
  return {200, "application/json", start_.trace(e.experiment(), pixel_of(question, e.resolved()))};
}

// ---- Refinement ---------------------------------------------------------------------------------

Reply Session::refine(const Question& q) {
  const json question = json::parse(q.body);
  const std::shared_ptr<Tab> tab = tab_of(q);
  if (!start_.measured) throw UsageError("there is no measured image to refine against");
  if (tab->refines.exchange(true)) throw UsageError("a refinement is under way in this tab");
  struct Ended {
    Tab& tab;
    ~Ended() { tab.refines = false; }
  } const ended{*tab};
  tab->refinement_goes_on = true;

  RefineOptions options;
  options.parameters = question.at("refine").get<std::vector<std::string>>();
  options.spot_stage = question.value("spot_stage", true);
  options.compute = start_.compute;
  options.compute.precision = Precision::float64;
  const auto goes_on = [&] { return tab->goes_on() && tab->refinement_goes_on; };
  options.compute.progress = [&](double) { return goes_on(); };
  options.progress = [&](const RefineProgress& p) {
    ordered_json values = ordered_json::array();
    for (const auto& [name, value] : p.values) values.push_back({name, value});
    const std::scoped_lock lock(tab->progress_mutex);
    tab->progress = {{"stage", name_of(p.stage)},
                     {"iteration", p.iteration},
                     {"residual", p.residual},
                     {"values", values}};
    return goes_on();
  };
  const Refinement refinement = nablabragg::refine(changed(settled_, question).experiment(),
                                                   *start_.measured, options);
  ordered_json document = {{"stopped", refinement.stopped}, {"warnings", refinement.warnings}};
  for (const RefinedNumber& n : refinement.numbers)
    document["numbers"].push_back(
        {{"name", n.name},
         {"unit", n.unit},
         {"start", n.start},
         {"value", n.value},
         {"deviation", std::isfinite(n.deviation) ? ordered_json(n.deviation) : ordered_json()}});
  for (const StageReport& s : refinement.stages)
    document["stages"].push_back({{"stage", name_of(s.stage)},
                                  {"iterations", s.iterations},
                                  {"residual_before", s.residual_before},
                                  {"residual", s.residual},
                                  {"seconds", s.seconds}});
  // Whole parameters, as the page keeps its changes
  const SettledExperiment refined(refinement.experiments.at(0));
  for (const std::string& text : options.parameters) {
    const std::string name = text.substr(0, text.ends_with(']') ? text.rfind('[') : text.size());
    document["changes"].push_back({name, parameter(refined, name).values});
  }
  return reply(document);
}

Reply Session::progress(const Question& q) {
  const std::shared_ptr<Tab> tab = tab_of(q);
  const std::scoped_lock lock(tab->progress_mutex);
  return reply({{"refines", tab->refines.load()}, {"progress", tab->progress}});
}

Reply Session::stop_refining(const Question& q) {
  tab_of(q)->refinement_goes_on = false;
  return reply(ordered_json::object());
}

}  // namespace nablabragg::view
