#include "instruments/device_benchmark.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "instruments/medians.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

namespace {

double largest_difference(const std::vector<float>& image, const std::vector<float>& exact) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::abs(double(exact[i])));
    difference = std::max(difference, std::abs(double(image[i]) - double(exact[i])));
  }
  return difference == 0 ? 0 : difference / largest;
}

}  // namespace

double DeviceMeasurement::image_min() const { return minimum(seconds); }
double DeviceMeasurement::kernel_min() const { return minimum(kernel_seconds); }
double DeviceMeasurement::kernel_median() const { return median(kernel_seconds); }

DeviceMeasurement measure_on_device(const Experiment& experiment, const ComputeOptions& options,
                                    int iterations) {
  DeviceMeasurement found;
  found.why_not = why_not(experiment, options);
  if (!found.why_not.empty()) return found;
  std::vector<float> image;
  for (int i = 0; i <= iterations; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Simulation simulation = simulate(experiment, options);
    const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
                             .count();
    if (i == 0) {
      found.device = simulation.engine.device;
      found.kernel = simulation.engine.kernel;
      found.steps = simulation.engine.steps;
      found.first_seconds = taken;
    } else {
      found.seconds.push_back(taken);
      found.kernel_seconds.push_back(simulation.engine.device_seconds);
    }
    image = std::move(simulation.image.pixels);
  }
  ComputeOptions exact = options;
  exact.engine = Engine::cpu;
  exact.precision = Precision::float64;
  found.over_max = largest_difference(image, simulate(experiment, exact).image.pixels);
  return found;
}

std::string device_measurement_json(const DeviceMeasurement& measurement) {
  if (!measurement.why_not.empty()) return nlohmann::json{{"why_not", measurement.why_not}}.dump();
  return nlohmann::ordered_json{
      {"device", measurement.device},    {"kernel", measurement.kernel},
      {"steps", measurement.steps},      {"first_seconds", measurement.first_seconds},
      {"seconds", measurement.seconds},  {"kernel_seconds", measurement.kernel_seconds},
      {"over_max", measurement.over_max}}
      .dump();
}

DeviceMeasurement read_device_measurement(const std::string& json) {
  DeviceMeasurement found;
  try {
    const nlohmann::json all = nlohmann::json::parse(json);
    found.why_not = all.value("why_not", found.why_not);
    if (!found.why_not.empty()) return found;
    all.at("device").get_to(found.device);
    all.at("kernel").get_to(found.kernel);
    all.at("steps").get_to(found.steps);
    all.at("first_seconds").get_to(found.first_seconds);
    all.at("seconds").get_to(found.seconds);
    all.at("kernel_seconds").get_to(found.kernel_seconds);
    if (all.at("over_max").is_number()) all.at("over_max").get_to(found.over_max);
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("is no measurement of an image: ") + error.what());
  }
  return found;
}

}  // namespace nablabragg::instruments
