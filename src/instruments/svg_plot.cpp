#include "instruments/svg_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace nablabragg::instruments {

namespace {

constexpr double left = 100, top = 50, inner_width = 560, inner_height = 400, legend_width = 250;

// Told apart by readers who do not see all colours
constexpr std::array<const char*, 8> colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#7f7f7f", "#000000"};

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else
      result += c;
  }
  return result;
}

bool drawable(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second) && point.first > 0 &&
         point.second > 0;
}

/// One axis: decimal logarithms from `low` to `high` onto `length` pixels.
struct Axis {
  double low = 0, high = 1, length = 1;

  /// Holds all values, with some air, and spans at least a factor of two and a half.
  Axis(const std::vector<double>& values, double pixels) : length(pixels) {
    if (!values.empty()) {
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      low = std::log10(*least);
      high = std::log10(*most);
    }
    const double air = std::max(0.05 * (high - low), (0.4 - (high - low)) / 2);
    low -= air;
    high += air;
  }

  double at(double value) const { return (std::log10(value) - low) / (high - low) * length; }

  /// Round values.
  std::vector<double> ticks() const {
    std::vector<double> result;
    const std::vector<double> digits = high - low > 4     ? std::vector<double>{1}
                                       : high - low > 1.5 ? std::vector<double>{1, 3}
                                                          : std::vector<double>{1, 1.5, 2, 3, 5, 7};
    for (int decade = static_cast<int>(std::floor(low)); decade <= high; ++decade)
      for (const double digit : digits) {
        const double value = digit * std::pow(10.0, decade);
        if (std::log10(value) >= low && std::log10(value) <= high) result.push_back(value);
      }
    return result;
  }
};

/// The values that occur where they are few, since sizes are seldom round in decimals.
std::vector<double> ticks_at_values(const Axis& axis, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values.empty() || values.size() > 8 ? axis.ticks() : values;
}

}  // namespace

std::string svg(const LogLogPlot& plot) {
  std::vector<double> xs, ys;
  for (const PlotSeries& series : plot.series)
    for (const auto& point : series.points)
      if (drawable(point)) {
        xs.push_back(point.first);
        ys.push_back(point.second);
      }
  const Axis x(xs, inner_width), y(ys, inner_height);
  const double bottom = top + inner_height;
  const auto place_x = [&](double value) { return left + x.at(value); };
  const auto place_y = [&](double value) { return bottom - y.at(value); };

  std::string text;
  const auto add = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  };
  const double width = left + inner_width + legend_width;
  const double height = std::max(bottom + 70,
                                 top + 30 + 20 * static_cast<double>(plot.series.size()));
  add("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"13\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
  add("<text x=\"{:.1f}\" y=\"28\" text-anchor=\"middle\" font-size=\"16\">{}</text>\n",
      left + inner_width / 2, escaped(plot.title));
  for (const double tick : ticks_at_values(x, xs)) {
    add("<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#e0e0e0\"/>\n",
        place_x(tick), top, bottom);
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:g}</text>\n", place_x(tick),
        bottom + 20, tick);
  }
  for (const double tick : y.ticks()) {
    add("<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#e0e0e0\"/>\n",
        left, left + inner_width, place_y(tick));
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", left - 8,
        place_y(tick) + 4, tick);
  }
  add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"none\" "
      "stroke=\"black\"/>\n",
      left, top, inner_width, inner_height);
  add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", left + inner_width / 2,
      bottom + 45, escaped(plot.x_label));
  add("<text transform=\"translate(22 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
      top + inner_height / 2, escaped(plot.y_label));

  double legend_y = top + 10;
  for (const PlotSeries& series : plot.series) {
    const char* const colour = colours[static_cast<std::size_t>(series.colour) % colours.size()];
    const char* const dashes = series.dashed ? " stroke-dasharray=\"6 4\"" : "";
    const char* const fill = series.dashed ? "white" : colour;
    std::string line;
    for (const auto& point : series.points)
      if (drawable(point))
        line += fmt::format("{}{:.1f},{:.1f}", line.empty() ? "" : " ", place_x(point.first),
                            place_y(point.second));
    if (!line.empty())
      add("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}/>\n", line,
          colour, dashes);
    for (const auto& point : series.points)
      if (drawable(point))
        add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\"/>\n",
            place_x(point.first), place_y(point.second), fill, colour);
    const double legend_x = left + inner_width + 15;
    add("<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\" "
        "stroke-width=\"2\"{4}/>\n",
        legend_x, legend_x + 30, legend_y, colour, dashes);
    add("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", legend_x + 38, legend_y + 4,
        escaped(series.name));
    legend_y += 20;
  }
  return text + "</svg>\n";
}

}  // namespace nablabragg::instruments
