#include "instruments/float_files.hpp"

#include <bit>  // for std::endian
#include <charconv>
#include <cmath>
#include <fstream>
#include <span>
#include <vector>

#include "io/input_file.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::instruments {

static_assert(std::endian::native == std::endian::little, "pixels are read as they lie in memory");

namespace {

std::uint64_t pixels_of(const ImageShape& shape) {
  return static_cast<std::uint64_t>(shape.fast_pixels) *
         static_cast<std::uint64_t>(shape.slow_pixels);
}

std::optional<ImageShape> shape_in_smv(const std::string& path) {
  try {
    const io::SmvFile file = io::read_smv(path);
    return ImageShape{file.fast_pixels, file.slow_pixels};
  } catch (const InputError&) {
    return std::nullopt;  // another clue may do
  }
}

/// "(64x48 pixels)" somewhere in the line.
std::optional<ImageShape> shape_in_line(const std::string& line) {
  const std::size_t end = line.find(" pixels)");
  if (end == std::string::npos) return std::nullopt;
  const std::size_t begin = line.rfind('(', end);
  if (begin == std::string::npos) return std::nullopt;
  ImageShape shape;
  const char* const last = line.data() + end;
  const auto fast = std::from_chars(line.data() + begin + 1, last, shape.fast_pixels);
  if (fast.ec != std::errc{} || fast.ptr == last || *fast.ptr != 'x') return std::nullopt;
  const auto slow = std::from_chars(fast.ptr + 1, last, shape.slow_pixels);
  if (slow.ec != std::errc{} || slow.ptr != last) return std::nullopt;
  return shape;
}

std::optional<ImageShape> shape_in_text(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::optional<ImageShape> found;
  while (!found && std::getline(file, line)) found = shape_in_line(line);
  return found;
}

void check_size(const io::InputFile& file, const ImageShape& shape) {
  if (file.size() != pixels_of(shape) * sizeof(float))
    throw InputError(file.path(), 0,
                     "holds " + std::to_string(file.size()) + " bytes, and " +
                         std::to_string(shape.fast_pixels) + " x " +
                         std::to_string(shape.slow_pixels) + " float32 pixels are " +
                         std::to_string(pixels_of(shape) * sizeof(float)));
}

void read_pixels(io::InputFile& file, std::span<float> pixels) {
  if (file.read(pixels.data(), pixels.size_bytes()) != pixels.size_bytes())
    throw InputError(file.path(), 0, "ended while it was being read");
}

}  // namespace

FoundShape find_shape(const std::string& float_file, const std::string& smv_file,
                      const std::string& printed_file) {
  const std::uint64_t bytes = io::InputFile(float_file).size();
  const auto fits = [&](const std::optional<ImageShape>& shape) {
    return shape && shape->fast_pixels > 0 && shape->slow_pixels > 0 &&
           pixels_of(*shape) * sizeof(float) == bytes;
  };
  if (const auto shape = shape_in_smv(smv_file); fits(shape))
    return {*shape, "the header of " + smv_file};
  if (const auto shape = shape_in_text(printed_file); fits(shape)) return {*shape, printed_file};
  const int edge = static_cast<int>(std::lround(std::sqrt(static_cast<double>(bytes) / 4)));
  if (const ImageShape square{edge, edge}; fits(square)) return {square, "its size, as a square"};
  throw InputError(float_file, 0,
                   "has " + std::to_string(bytes) +
                       " bytes, and neither an SMV image, nor what the program printed, nor a "
                       "square says how they are laid out");
}

Image read_float_image(const std::string& path, const ImageShape& shape) {
  io::InputFile file(path);
  check_size(file, shape);
  Image image{shape.fast_pixels, shape.slow_pixels, std::vector<float>(pixels_of(shape))};
  read_pixels(file, image.pixels);
  return image;
}

PairStatistics compare_float_files(const std::string& reference, const std::string& image,
                                   const ImageShape& shape, const RegionOfInterest& region) {
  io::InputFile first(reference), second(image);
  check_size(first, shape);
  check_size(second, shape);
  const auto width = static_cast<std::size_t>(shape.fast_pixels);
  const auto first_pixel = static_cast<std::size_t>(region.fast_min);
  std::vector<float> a(width), b(width);
  PairStatistics pair;
  for (int slow = 0; slow <= region.slow_max; ++slow) {
    read_pixels(first, a);
    read_pixels(second, b);
    if (slow < region.slow_min) continue;
    const auto part = [&](const std::vector<float>& row) {
      return std::span(row).subspan(first_pixel,
                                    static_cast<std::size_t>(region.fast_max) + 1 - first_pixel);
    };
    pair.add(part(a), part(b));
  }
  return pair;
}

}  // namespace nablabragg::instruments
