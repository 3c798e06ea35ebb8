#include "instruments/gradient_benchmark.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "instruments/machine.hpp"
#include "instruments/medians.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

namespace {

double relative_difference(const std::vector<double>& ours, const std::vector<double>& reference) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    largest = std::max(largest, std::abs(ours[i]));
    difference = std::max(difference, std::abs(reference[i] - ours[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

}  // namespace

std::vector<double> pixel_weights(std::size_t pixels) {
  std::vector<double> weights(pixels);
  std::uint64_t state = 0;
  for (double& weight : weights) {
    std::uint64_t x = state += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    weight = static_cast<double>((x ^ (x >> 31)) >> 40) / 16777216.0;
  }
  return weights;
}

double GradientMeasurement::image_min() const { return minimum(image_seconds); }
double GradientMeasurement::gradient_min() const { return minimum(seconds); }

GradientMeasurement measure_gradient(const Experiment& experiment, const ComputeOptions& options,
                                     int iterations) {
  GradientMeasurement found;
  std::vector<double> weights;
  for (int i = 0; i < iterations; ++i) {
    {
      const Simulation simulation = simulate(experiment, options);
      found.image_seconds.push_back(simulation.seconds);
      // The image's own peak has no weights in it
      if (weights.empty()) {
        found.image_peak_bytes = peak_resident_bytes();
        weights = pixel_weights(simulation.image.pixels.size());
      }
    }
    const auto start = std::chrono::steady_clock::now();
    ValueAndGradient result = value_and_gradient(experiment, weights, options);
    found.seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    found.value = result.value;
    found.gradient = std::move(result.gradient.parameters);
  }
  found.peak_bytes = peak_resident_bytes();
  return found;
}

std::string measurement_json(const GradientMeasurement& measurement) {
  nlohmann::ordered_json json{{"image_seconds", measurement.image_seconds},
                              {"seconds", measurement.seconds},
                              {"image_peak_memory_bytes", measurement.image_peak_bytes},
                              {"peak_memory_bytes", measurement.peak_bytes},
                              {"value", measurement.value}};
  json["gradient"] = nlohmann::ordered_json::object();
  for (const auto& [name, values] : measurement.gradient) json["gradient"][name] = values;
  return json.dump();
}

GradientMeasurement read_measurement(const std::string& json) {
  GradientMeasurement found;
  try {
    const nlohmann::json all = nlohmann::json::parse(json);
    all.at("seconds").get_to(found.seconds);
    all.at("peak_memory_bytes").get_to(found.peak_bytes);
    found.image_seconds = all.value("image_seconds", found.image_seconds);
    found.image_peak_bytes = all.value("image_peak_memory_bytes", found.image_peak_bytes);
    found.value = all.value("value", std::numeric_limits<double>::quiet_NaN());
    if (all.contains("gradient"))
      for (const auto& [name, values] : all.at("gradient").items())
        found.gradient[name] = values.get<std::vector<double>>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("is no measurement of a gradient: ") + error.what());
  }
  if (found.seconds.empty()) throw Error("is no measurement of a gradient: it has no seconds");
  return found;
}

std::vector<GradientDifference> differences(const GradientMeasurement& ours,
                                            const GradientMeasurement& reference) {
  std::vector<GradientDifference> all;
  if (std::isfinite(reference.value))
    all.push_back({"value", relative_difference({ours.value}, {reference.value})});
  for (const auto& [name, values] : ours.gradient) {
    const auto other = reference.gradient.find(name);
    if (other != reference.gradient.end() && other->second.size() == values.size())
      all.push_back({name, relative_difference(values, other->second)});
  }
  return all;
}

}  // namespace nablabragg::instruments
