// A plot with two logarithmic axes as an SVG picture.
#pragma once
#include <string>
#include <utility>  // for std::pair
#include <vector>

namespace nablabragg::instruments {

struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< those that are not positive are left out
  int colour = 0;
  bool dashed = false;
};

struct LogLogPlot {
  std::string title, x_label, y_label;
  std::vector<PlotSeries> series;
};

std::string svg(const LogLogPlot& plot);

}  // namespace nablabragg::instruments
