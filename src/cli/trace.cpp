#include "cli/trace.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <nlohmann/json.hpp>

#include "engine/beamstop.hpp"
#include "engine/cutoff.hpp"
#include "engine/diffuse.hpp"
#include "engine/lattices.hpp"
#include "engine/pixel_sum.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

using engine::StepRecord;

/// Keeps the first records and the last one, and counts them.
struct Recorder {
  static constexpr bool active = true;
  static constexpr bool goes_on() { return true; }
  std::size_t limit = 0;
  std::vector<StepRecord> records;
  StepRecord last;
  std::int64_t steps = 0;

  void operator()(const StepRecord& record) {
    ++steps;
    last = record;
    if (records.size() < limit) records.push_back(record);
  }
};

const PlanPanel& panel_of(const Plan& plan, const PixelIndex& pixel) {
  return plan.panels[static_cast<std::size_t>(pixel.panel)];
}

/// " of panel 3", where there are several.
std::string of_panel(const Plan& plan, int panel) {
  return plan.panels.size() > 1 ? fmt::format(" of panel {}", panel) : std::string();
}

void check_pixel(const Plan& plan, const char* flag, const PixelIndex& pixel) {
  const PlanFrame& frame = panel_of(plan, pixel).frame;
  const auto& [fast, slow, panel] = pixel;
  if (fast < 0 || fast >= frame.fast_pixels || slow < 0 || slow >= frame.slow_pixels)
    throw UsageError(
        fmt::format("{}: pixel slow {} fast {} is not on the {} x {} (fast x slow) {}", flag, slow,
                    fast, frame.fast_pixels, frame.slow_pixels,
                    plan.panels.size() > 1 ? fmt::format("panel {}", panel) : "detector"));
}

/// Of one pixel, with what it sees of the interpolation cutoff, which each panel has for itself.
engine::PixelSum traced(const Plan& plan, const engine::GridView& grid, const PixelIndex& pixel,
                        const std::optional<TableMiss>& miss, Recorder& trace) {
  if (plan.lattice.tricubic && grid.of_rays)
    throw UsageError(
        "a trace shows one table of F, and between its reflections (-interpolate) each energy has "
        "its own; give -nointerpolate or one energy");
  const bool own = miss && miss->panel == pixel.panel;
  return engine::sum_pixel(plan, panel_of(plan, pixel), grid, pixel.fast, pixel.slow,
                           engine::interpolating_lookups(plan, own ? miss : std::nullopt, pixel),
                           trace);
}

/// Photons of each material in a pixel.
std::vector<std::pair<std::string, double>> light_of_materials(const Plan& plan,
                                                               const Experiment& experiment,
                                                               const PixelIndex& pixel) {
  std::vector<std::pair<std::string, double>> all;
  for (const Material& material : experiment.materials) all.emplace_back(material.name, 0);
  if (experiment.beamstop.ring_share != 0) all.emplace_back(beamstop_ring_name, 0);
  for (std::size_t i = 0; i < plan.materials.size(); ++i)
    all.at(plan.materials[i].number).second += engine::photons_of_material(plan, i, pixel);
  return all;
}

nlohmann::ordered_json vector(const Vec3d& v) { return {v.x, v.y, v.z}; }

nlohmann::ordered_json as_json(const StepRecord& r) {
  return {{"layer", r.at.layer},
          {"sub_slow", r.at.sub_slow},
          {"sub_fast", r.at.sub_fast},
          {"source", r.ray},
          {"phi_step", r.phi},
          {"domain", r.domain},
          {"position_m", vector(r.at.position)},
          {"distance_m", r.at.distance},
          {"q_per_m", vector(r.q)},
          {"hkl", vector(r.hkl)},
          {"hkl_nearest",
           {static_cast<int>(r.nearest.x), static_cast<int>(r.nearest.y),
            static_cast<int>(r.nearest.z)}},
          {"F_latt", r.lattice_factor},
          {"F_cell", r.structure_factor},
          {"interpolated", r.interpolated},
          {"omega_sr", r.solid_angle},
          {"polarization", r.polarization},
          {"capture", r.capture},
          {"term", r.term},
          {"sum", r.sum}};
}

/// What a lattice adds to a pixel.
struct LatticeTrace {
  Recorder steps;
  Vec3d cells;
  double scale = 1;
  engine::PixelSum pixel;
  std::optional<double> diffuse;  ///< photons
};

nlohmann::ordered_json as_json(const LatticeTrace& of) {
  nlohmann::ordered_json object = {{"sum", of.pixel.sum},
                                   {"scale", of.scale},
                                   {"omega_sr", of.pixel.solid_angle},
                                   {"polarization", of.pixel.polarization},
                                   {"capture", of.pixel.capture},
                                   {"steps_traced", of.steps.records.size()},
                                   {"steps", of.steps.steps}};
  if (of.diffuse) object["diffuse_photons"] = *of.diffuse;
  return object;
}

void add_steps(const LatticeTrace& of, nlohmann::ordered_json& object) {
  auto& steps = object["trace"] = nlohmann::ordered_json::array();
  for (const StepRecord& record : of.steps.records) steps.push_back(as_json(record));
}

void print_table(std::ostream& out, const Recorder& trace) {
  fmt::print(out,
             "{:>5} {:>4} {:>4} {:>6} {:>5} {:>6} {:>11} {:>11} {:>11} {:>5} {:>5} {:>5} {:>12} "
             "{:>12} {:>13} {:>12} {:>9} {:>13} {:>13}\n",
             "layer", "subS", "subF", "source", "phi", "domain", "h", "k", "l", "h0", "k0", "l0",
             "F_latt", "F_cell", "omega(sr)", "polarization", "capture", "term", "sum");
  for (const StepRecord& r : trace.records)
    fmt::print(out,
               "{:5} {:4} {:4} {:6} {:5} {:6} {:11.6f} {:11.6f} {:11.6f} {:5.0f} {:5.0f} {:5.0f} "
               "{:12.6g} {:11.6g}{} {:13.8g} {:12.8f} {:9.6f} {:13.8g} {:13.8g}\n",
               r.at.layer, r.at.sub_slow, r.at.sub_fast, r.ray, r.phi, r.domain, r.hkl.x, r.hkl.y,
               r.hkl.z, r.nearest.x, r.nearest.y, r.nearest.z, r.lattice_factor, r.structure_factor,
               r.interpolated ? '~' : ' ', r.solid_angle, r.polarization, r.capture, r.term, r.sum);
  if (trace.steps > static_cast<std::int64_t>(trace.records.size()))
    fmt::print(out, "... and {} more steps (-trace_steps 0 shows all)\n",
               trace.steps - static_cast<std::int64_t>(trace.records.size()));
}

const char* kind_of(const DetectorResponse& response) {
  return response.kind == DetectorResponse::Kind::counting ? "counting" : "integrating";
}

nlohmann::ordered_json as_json(const RecordedPixel& recorded, const flags::Request& request) {
  nlohmann::ordered_json object = {{"kind", kind_of(request.response)}, {"seed", *request.seed}};
  for (const ResponseStep& step : recorded.steps)
    object["steps"].push_back({{"step", step.name},
                               {"unit", step.unit},
                               {"expected", step.expected},
                               {"drawn", step.drawn}});
  if (recorded.count >= 0)
    object["count"] = recorded.count;
  else
    object["count"] = nullptr;
  return object;
}

void print_table(std::ostream& out, const RecordedPixel& recorded, const flags::Request& request) {
  const DetectorResponse& response = request.response;
  fmt::print(out, "\nthe {} detector, of the light on this pixel in the image, with -seed {}:\n",
             kind_of(response), *request.seed);
  fmt::print(out, "{:21} {:>15} {:>15}\n", "behind", "expected", "drawn");
  for (const ResponseStep& step : recorded.steps)
    fmt::print(out, "{:21} {:15.9g} {:15.9g} {}\n", step.name, step.expected, step.drawn,
               step.unit);
  if (recorded.count == masked_pixel)
    fmt::print(out, "which is not recorded: the pixel is outside the region of interest\n");
  else if (recorded.count == gap_pixel)
    fmt::print(out, "which is not recorded: the mask leaves the pixel out\n");
  else
    fmt::print(out, "recorded: {} counts{}\n", recorded.count,
               response.kind == DetectorResponse::Kind::counting && request.adc != 0
                   ? fmt::format(" ({:g} more in -noisefile, by -adc)", request.adc)
                   : "");
}

/// Of a sum in closed form.
void print_response(std::ostream& out, const flags::Request& request, const Plan& plan,
                    const RecordedPixel& recorded) {
  const auto [fast, slow, panel] = *request.trace_pixel;
  if (request.trace_format == flags::TraceFormat::json) {
    nlohmann::ordered_json document = {{"pixel", {{"slow", slow}, {"fast", fast}}},
                                       {"photons", recorded.steps.front().drawn}};
    if (plan.panels.size() > 1) document["pixel"]["panel"] = panel;
    document["response"] = as_json(recorded, request);
    out << document.dump(2) << '\n';
    return;
  }
  fmt::print(out,
             "\ntrace of pixel slow {} fast {}{}: its light is summed in closed form, which has no "
             "steps (-summation sampled)\n",
             slow, fast, of_panel(plan, panel));
  print_table(out, recorded, request);
}

}  // namespace

void check_pixels(const flags::Request& request, const Plan& plan) {
  // Its detector has steps, too
  const bool traces_response = request.responds && !request.printout;
  if (plan.spread.closed && (request.trace_pixel || request.printout) && !traces_response)
    throw UsageError(
        "-trace_pixel and -printout print the steps of a sum, and a closed form has none; give "
        "-summation sampled");
  if (request.printout && !plan.more_lattices.empty())
    throw UsageError(
        "-printout prints a pixel as nanoBragg does, of one crystal with blocks of one size; "
        "-trace_pixel shows the steps of all (-more_crystal, -block_size_spread)");
  if (request.printout && plan.beamstop.present)
    throw UsageError(
        "-printout prints a pixel as nanoBragg does, which has no beamstop; -trace_pixel shows "
        "what the stop (-beamstop_radius) leaves of its light");
  if (request.trace_pixel) check_pixel(plan, "-trace_pixel", *request.trace_pixel);
  if (request.printout_pixel) check_pixel(plan, "-printout_pixel", *request.printout_pixel);
}

void print_trace(std::ostream& out, const flags::Request& request, const Plan& whole,
                 const std::optional<TableMiss>& miss,
                 const std::optional<RecordedPixel>& recorded) {
  if (whole.spread.closed) return print_response(out, request, whole, recorded.value());
  const PixelIndex& at = *request.trace_pixel;
  const auto [fast, slow, panel] = at;
  std::vector<LatticeTrace> lattices;
  const auto materials = light_of_materials(whole, request.experiment, at);
  const double share = engine::share_behind_beamstop(whole, at);
  double photons = 0;
  for (std::size_t number = 0; number <= whole.more_lattices.size(); ++number) {
    engine::SplitPlan split(engine::plan_of_lattice(whole, number));
    split.spots.materials.clear();
    LatticeTrace& of = lattices.emplace_back();
    of.steps.limit = request.trace_steps > 0 ? static_cast<std::size_t>(request.trace_steps)
                                             : SIZE_MAX;
    of.cells = split.spots.lattice.cells;
    of.scale = split.spots.scale;
    of.pixel = traced(split.spots, engine::GridView(split.spots.lattice), at, miss, of.steps);
    of.pixel.photons *= share;
    if (split.diffuse.present()) of.diffuse = share * split.diffuse.photons(split.spots, at);
    for (const auto& [name, light] : materials)
      if (number == 0) of.pixel.photons += light;
    photons += of.pixel.photons + of.diffuse.value_or(0);
  }
  const auto value = static_cast<float>(photons);
  const bool several = lattices.size() > 1;

  if (request.trace_format == flags::TraceFormat::json) {
    nlohmann::ordered_json document = {{"pixel", {{"slow", slow}, {"fast", fast}}},
                                       {"photons", value}};
    if (whole.panels.size() > 1) document["pixel"]["panel"] = panel;
    if (several) {
      for (const LatticeTrace& of : lattices) {
        nlohmann::ordered_json one = {{"cells", vector(of.cells)},
                                      {"photons", of.pixel.photons + of.diffuse.value_or(0)}};
        one.update(as_json(of));
        add_steps(of, one);
        document["lattices"].push_back(std::move(one));
      }
    } else {
      document.update(as_json(lattices.front()));
    }
    if (whole.beamstop.present) document["share_behind_beamstop"] = share;
    for (const auto& [name, light] : materials)
      document["materials"].push_back({{"name", name}, {"photons", light}});
    if (recorded) document["response"] = as_json(*recorded, request);
    if (!several) add_steps(lattices.front(), document);
    out << document.dump(2) << '\n';
    return;
  }
  for (std::size_t number = 0; number < lattices.size(); ++number) {
    const LatticeTrace& of = lattices[number];
    fmt::print(out, "\ntrace of pixel slow {} fast {}{}: {} steps that scatter\n", slow, fast,
               of_panel(whole, panel), of.steps.steps);
    if (several)
      fmt::print(out, "lattice {} of {}, {:g} x {:g} x {:g} cells\n", number, lattices.size(),
                 of.cells.x, of.cells.y, of.cells.z);
    print_table(out, of.steps);
    fmt::print(out,
               "sum {:.12g} x scale {:.12g}, last omega {:.12g} sr, polarization {:.12g}, capture "
               "{:.12g}: {:.9g} photons\n",
               of.pixel.sum, of.scale, of.pixel.solid_angle, of.pixel.polarization,
               of.pixel.capture, static_cast<float>(of.pixel.photons + of.diffuse.value_or(0)));
    if (of.diffuse) fmt::print(out, "of which {:.9g} photons of diffuse scattering\n", *of.diffuse);
  }
  if (several) fmt::print(out, "\nall {} lattices: {:.9g} photons\n", lattices.size(), value);
  for (const auto& [name, light] : materials)
    fmt::print(out, "of which {:.9g} photons of {}\n", light, io::printable(name));
  if (whole.beamstop.present)
    fmt::print(out, "behind the beamstop: {:.9g} of the light of the sample is left\n", share);
  if (recorded) print_table(out, *recorded, request);
}

void print_pixels(std::ostream& out, const flags::Request& request, const Plan& whole,
                  const std::optional<TableMiss>& miss) {
  const engine::SplitPlan split(whole);
  const Plan& plan = split.spots;
  const engine::GridView grid(plan.lattice);
  const auto print = [&](const PixelIndex& at) {
    Recorder trace;
    const engine::PixelSum pixel = traced(plan, grid, at, miss, trace);
    const StepRecord& r = trace.last;
    fmt::print(out, "{:4} {:4}{} : stol = {:g} /m\n", at.fast, at.slow, of_panel(plan, at.panel),
               length(r.q) / 2);
    fmt::print(out, "at {:g} {:g} {:g}\n", r.at.position.x, r.at.position.y, r.at.position.z);
    fmt::print(out, "hkl= {:f} {:f} {:f}  hkl0= {:.0f} {:.0f} {:.0f}\n", r.hkl.x, r.hkl.y, r.hkl.z,
               r.nearest.x, r.nearest.y, r.nearest.z);
    fmt::print(out, " F_cell={:g}  F_latt={:g}   I = {:g}\n", r.structure_factor, r.lattice_factor,
               pixel.sum);
    fmt::print(out, "polar   {:15.10g}\nomega   {:15.10g}\ncapfrac {:15.10g}\npixel   {:15.10g}\n",
               pixel.polarization, pixel.solid_angle, pixel.capture,
               static_cast<float>(pixel.photons +
                                  (split.diffuse.present() ? split.diffuse.photons(plan, at) : 0)));
  };
  const auto print_visited = [&](const PixelIndex& at) {
    if (panel_of(plan, at).visits(at.fast, at.slow)) print(at);
  };
  if (request.printout_pixel) return print_visited(*request.printout_pixel);
  for (int number = 0; number < static_cast<int>(plan.panels.size()); ++number) {
    const RegionOfInterest& region = plan.panels[static_cast<std::size_t>(number)].roi;
    for (int slow = region.slow_min; slow <= region.slow_max; ++slow)
      for (int fast = region.fast_min; fast <= region.fast_max; ++fast)
        print_visited({fast, slow, number});
  }
}

}  // namespace nablabragg::cli
