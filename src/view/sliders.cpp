#include "view/sliders.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace nablabragg::view {

namespace {

/// What a parameter measures, by the end of its name: that of "panel[1].distance" is "distance".
std::string_view kind_of(std::string_view name) {
  const std::size_t point = name.rfind('.');
  return point == std::string_view::npos ? name : name.substr(point + 1);
}

bool is_one_of(std::string_view kind, std::initializer_list<std::string_view> kinds) {
  return std::ranges::find(kinds, kind) != kinds.end();
}

}  // namespace

SliderRange slider_range(const Parameter& p, std::size_t index) {
  const double value = p.values.at(index);
  const std::string_view kind = kind_of(p.name), unit = p.units.at(index);
  const auto within = [&](double share) {
    return SliderRange{value - share * std::abs(value), value + share * std::abs(value)};
  };
  const auto about = [&](double width) { return SliderRange{value - width, value + width}; };
  // Never negative, and often zero: twice what it is, or what one meets
  const auto from_zero = [&](double usual) { return SliderRange{0, std::max(3 * value, usual)}; };
  if (kind == "misset" || kind == "phi") return {-180, 180};
  if (kind == "cell") return unit == "deg" ? about(5) : within(0.1);
  if (is_one_of(kind, {"mosaic_spread", "mosaic_spread_axes", "oscillation"}))
    return from_zero(unit == "deg" ? 1 : 0);
  if (is_one_of(kind, {"dispersion", "horizontal_divergence", "vertical_divergence"}))
    return from_zero(2);
  if (is_one_of(kind, {"fluence", "flux"}) && value > 0) return {value / 1000, value * 1000, true};
  if (kind == "polarization") return {-1, 1};
  if (is_one_of(kind, {"beam_center", "near_point", "shift"})) return about(unit == "px" ? 50 : 5);
  if (is_one_of(kind, {"detector_rotation", "rotation", "two_theta"})) return about(20);
  if (is_one_of(kind, {"wavelength", "distance", "close_distance"})) return within(0.2);
  if (kind == "default_F") return from_zero(100);
  if (value == 0) return {-1, 1};
  return value > 0 && !is_one_of(kind, {"a_matrix", "origin"}) ? SliderRange{0, 2 * value}
                                                               : within(0.2);
}

}  // namespace nablabragg::view
