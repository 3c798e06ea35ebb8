#include "instruments/bench_cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>

namespace nablabragg::instruments {

namespace {

// clang-format off
constexpr std::array cases{
    BenchCase{.name = "cubic",
              .description = "the same F everywhere, 5 x 5 x 5 cells, 1 step a pixel",
              .headline_size = 4096, .steps_per_pixel = 1,
              .arguments = "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 1"},
    BenchCase{.name = "oversample4",
              .description = "the same with 4 x 4 sub-pixels",
              .headline_size = 1024, .steps_per_pixel = 16,
              .arguments = "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 4"},
    // Not from phi 0: there nanoBragg leaves the orientation of the step before
    BenchCase{.name = "mosaic",
              .description = "F from a file, nearest; 25 domains x 10 phi steps, 20 x 20 x 20 cells",
              .headline_size = 512, .steps_per_pixel = 250,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -mosaic 0.3 "
                           "-mosaic_domains 25 -phi 1 -osc 1 -phisteps 10 -oversample 1 -nointerpolate -lambda 1"},
    BenchCase{.name = "sources",
              .description = "25 x 25 directions x 9 wavelengths: 5625 sources",
              .headline_size = 128, .steps_per_pixel = 5625,
              .arguments = "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 1 -divergence 1 "
                           "-hdivsteps 25 -vdivsteps 25 -square_div -dispersion 1 -dispsteps 9"},
    BenchCase{.name = "tricubic",
              .description = "dense F from a file, interpolated; 5 x 5 x 5 cells",
              .headline_size = 1024, .steps_per_pixel = 1,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 5 -interpolate "
                           "-oversample 1 -lambda 1"},
    BenchCase{.name = "absorption",
              .description = "5 sensor layers",
              .headline_size = 1024, .steps_per_pixel = 5,
              .arguments = "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 1 "
                           "-detector_thick 450 -detector_abs 234 -thicksteps 5"},
    BenchCase{.name = "pink-gauss",
              .description = "Gaussian spots, 100 wavelengths over 1 % x 25 domains of 0.05 degrees, F from a file; "
                             "ours with -corrected",
              .headline_size = 1024, .steps_per_pixel = 2500,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -gauss_xtal "
                           "-dispersion 1 -dispsteps 100 -mosaic 0.05 -mosaic_domains 25 -oversample 1 "
                           "-nointerpolate -lambda 1",
              .reference_region = 64, .only_ours = "-corrected", .same_image = false, .gradient_aim = 2.5},
    BenchCase{.name = "pink-closed",
              .description = "the same light and crystal with Gaussian distributions, ours in closed form",
              .headline_size = 1024, .steps_per_pixel = 2500,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -gauss_xtal "
                           "-dispersion 1 -dispsteps 100 -mosaic 0.05 -mosaic_domains 25 -oversample 1 "
                           "-nointerpolate -lambda 1",
              .reference_region = 64,
              .only_ours = "-corrected -mosaic_model gaussian -spectrum_model gaussian", .same_image = false,
              .image_by_default = false, .gradient_by_default = false, .gradient_aim = 1.5},
    BenchCase{.name = "slice-closed",
              .description = "a mosaic crystal turned by 0.25 degrees; ours in closed form",
              .headline_size = 4096, .steps_per_pixel = 250,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -gauss_xtal "
                           "-mosaic 0.3 -mosaic_domains 25 -phi 1 -osc 0.25 -phisteps 10 -oversample 1 "
                           "-nointerpolate -lambda 1",
              .reference_region = 64, .only_ours = "-corrected -mosaic_model gaussian", .same_image = false,
              .image_by_default = false, .gradient_by_default = false, .gradient_aim = 1.5},
    BenchCase{.name = "source-generation",
              .description = "one pixel of 101 x 101 directions x 9 wavelengths: making and listing 91809 sources",
              .headline_size = 64, .sized = false, .steps_per_pixel = 91809,
              .arguments = "-cell 100 100 100 90 90 90 -default_F 100 -N 5 -lambda 1 -oversample 1 -divergence 1 "
                           "-hdivsteps 101 -vdivsteps 101 -square_div -dispersion 1 -dispsteps 9 -roi 0 0 0 0",
              .gradient_by_default = false},
    BenchCase{.name = "round",
              .description = "a still of balls: F from a file, nearest; 25 domains, 20 x 20 x 20 cells",
              .headline_size = 1024, .steps_per_pixel = 25,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -round_xtal "
                           "-mosaic 0.3 -mosaic_domains 25 -oversample 1 -nointerpolate -lambda 1",
              .image_by_default = false},
    BenchCase{.name = "gauss",
              .description = "the same with Gaussian spots; ours with -corrected",
              .headline_size = 1024, .steps_per_pixel = 25,
              .arguments = "-hkl HKL -cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -N 20 -gauss_xtal "
                           "-mosaic 0.3 -mosaic_domains 25 -oversample 1 -nointerpolate -lambda 1",
              .only_ours = "-corrected", .same_image = false, .image_by_default = false, .gradient_aim = 2.5},
};
constexpr std::array on_device{
    DeviceCase{.name = "mosaic", .size = 2048, .dtype = "float32", .kernel_aim_s = 3.9e-3},
    DeviceCase{.name = "sources", .size = 1024, .dtype = "float32", .kernel_aim_s = 18.5e-3},
    DeviceCase{.name = "cubic", .size = 4096, .dtype = "float32", .kernel_aim_s = 0.19e-3},
    DeviceCase{.name = "oversample4", .size = 1024, .dtype = "float32", .kernel_aim_s = 0.10e-3},
    DeviceCase{.name = "pink-gauss", .size = 1024, .dtype = "float32", .kernel_aim_s = 0.4e-3},
    DeviceCase{.name = "tricubic", .size = 1024, .dtype = "float32", .kernel_aim_s = 0.045e-3},
    DeviceCase{.name = "sources", .size = 1024, .dtype = "float64", .kernel_aim_s = 50e-3},
    DeviceCase{.name = "pink-closed", .size = 1024, .dtype = "float32", .kernel_aim_s = 0},
    DeviceCase{.name = "slice-closed", .size = 4096, .dtype = "float32", .kernel_aim_s = 0},
};
// clang-format on

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream words{std::string(text)};
  return {std::istream_iterator<std::string>(words), {}};
}

std::span<const BenchCase> bench_cases() { return cases; }

std::span<const DeviceCase> device_cases() { return on_device; }

bool runs_on_nanobragg_cuda(const BenchCase& bench_case) {
  const std::vector<std::string> words = words_of(bench_case.arguments);
  return std::none_of(words.begin(), words.end(), [](const std::string& word) {
    return word == "-gauss_xtal" || word == "-interpolate";
  });
}

const BenchCase* find_bench_case(std::string_view name) {
  for (const BenchCase& bench_case : cases)
    if (bench_case.name == name) return &bench_case;
  return nullptr;
}

std::vector<std::string> bench_arguments(const BenchCase& bench_case, int size,
                                         const std::string& hkl_file) {
  std::vector<std::string> arguments = words_of(bench_case.arguments);
  std::replace(arguments.begin(), arguments.end(), std::string("HKL"), hkl_file);
  for (const std::string& argument :
       {std::string("-distance"), std::string("100"), std::string("-detpixels"),
        std::to_string(size), std::string("-pixel"), fmt::format("{:g}", 102.4 / size)})
    arguments.push_back(argument);
  return arguments;
}

bool needs_structure_factors(const BenchCase& bench_case) {
  return bench_case.arguments.find("HKL") != std::string_view::npos;
}

std::int64_t bench_steps(const BenchCase& bench_case, int size) {
  return bench_case.steps_per_pixel * (bench_case.sized ? std::int64_t{size} * size : 1);
}

std::optional<int> reference_region(const BenchCase& bench_case, int size) {
  if (!bench_case.sized) return std::nullopt;
  int edge = size;
  if (bench_case.reference_region > 0)
    edge = std::min(edge, bench_case.reference_region);
  else
    while (edge > 1 && bench_steps(bench_case, edge) > affordable_steps) edge /= 2;
  return edge < size ? std::optional(edge) : std::nullopt;
}

}  // namespace nablabragg::instruments
