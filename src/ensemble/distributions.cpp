#include "ensemble/distributions.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ensemble/keyed_draws.hpp"
#include "io/quotes.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

/// A normal deviate between two bounds, by the share of the distribution that lies below it.
double normal_between(double u, double low, double high) {
  // In the upper half shares are near 1 and lose digits: mirrored, they are near 0.
  if (low > 0) return -normal_between(1 - u, -high, -low);
  const double from = normal_share_below(low), to = normal_share_below(high);
  return std::clamp(normal_quantile(from + u * (to - from)), low, high);
}

struct Drawing {
  std::int64_t seed;
  const std::string& name;
  int shot;

  double uniform_number() const { return uniform(seed, stream_of(name), shot, 0); }

  std::vector<double> operator()(const Constant& d) const { return d.values; }
  std::vector<double> operator()(const Uniform& d) const {
    return {d.low + uniform_number() * (d.high - d.low)};
  }
  std::vector<double> operator()(const Normal& d) const {
    if (d.deviation == 0) return {d.mean};
    return {std::clamp(
        d.mean + d.deviation * normal_between(uniform_number(), (d.low - d.mean) / d.deviation,
                                              (d.high - d.mean) / d.deviation),
        d.low, d.high)};
  }
  std::vector<double> operator()(const LogNormal& d) const {
    if (d.deviation == 0) return {d.median};
    const auto deviations = [&](double value) { return std::log(value / d.median) / d.deviation; };
    return {std::clamp(
        d.median * std::exp(d.deviation * normal_between(uniform_number(), deviations(d.low),
                                                         deviations(d.high))),
        d.low, d.high)};
  }
  std::vector<double> operator()(const Choice& d) const {
    const double all = std::accumulate(d.weights.begin(), d.weights.end(), 0.0);
    double left = uniform_number() * all;
    std::size_t last = 0;
    for (std::size_t i = 0; i < d.weights.size(); ++i) {
      if (d.weights[i] == 0) continue;
      last = i;
      left -= d.weights[i];
      if (left < 0) break;
    }
    return d.values[last];
  }
  std::vector<double> operator()(const Column& d) const {
    const std::size_t row = row_of(d.table->file, d.table->rows(), d.rows, seed, shot);
    return {d.table->numbers[row * d.table->names.size() + d.column]};
  }
};

}  // namespace

Table read_table(const std::string& path) {
  Table table;
  table.file = path;
  const std::string text = io::read_text(path);
  for (io::Lines lines(text); lines.next();) {
    std::string_view rest = io::without_comment(lines.line());
    std::vector<std::string_view> words;
    for (std::string_view word; !(word = io::next_word(rest, ",")).empty();) words.push_back(word);
    if (words.empty()) continue;
    if (table.names.empty()) {
      for (const std::string_view word : words) {
        if (std::ranges::find(table.names, word) != table.names.end())
          throw InputError(path, lines.number(),
                           "has two columns called " + io::in_quotes(word) + "; give each its own");
        table.names.emplace_back(word);
      }
      continue;
    }
    if (words.size() != table.names.size())
      throw InputError(path, lines.number(),
                       "has " + std::to_string(words.size()) + " numbers, and there are " +
                           std::to_string(table.names.size()) + " columns");
    for (std::size_t i = 0; i < words.size(); ++i)
      table.numbers.push_back(io::finite_number(path, lines.number(), table.names[i], words[i]));
  }
  if (table.numbers.empty())
    throw InputError(path, 0, "holds no table: a line of names, then lines of numbers");
  return table;
}

std::size_t numbers_of(const Distribution& distribution) {
  if (const auto* constant = std::get_if<Constant>(&distribution)) return constant->values.size();
  if (const auto* choice = std::get_if<Choice>(&distribution)) return choice->values[0].size();
  return 1;
}

std::vector<double> drawn(const Distribution& distribution, std::int64_t seed,
                          const std::string& name, int shot) {
  return std::visit(Drawing{seed, name, shot}, distribution);
}

std::size_t row_of(const std::string& file, std::size_t rows, Rows which, std::int64_t seed,
                   int shot) {
  if (which == Rows::in_order) return static_cast<std::size_t>(shot);
  const double u = uniform(seed, stream_of("rows of " + file), shot, 0);
  return std::min(static_cast<std::size_t>(u * static_cast<double>(rows)), rows - 1);
}

std::optional<std::vector<double>> cholesky(std::span<const double> covariance, std::size_t n) {
  const auto at = [n](std::size_t row, std::size_t column) { return row * n + column; };
  std::vector<double> lower(n * n);
  for (std::size_t j = 0; j < n; ++j) {
    const double variance = covariance[at(j, j)];
    // What rounding may leave of a number that the ones before it settle
    const double least = 1e-12 * std::abs(variance);
    double left = variance;
    for (std::size_t k = 0; k < j; ++k) left -= lower[at(j, k)] * lower[at(j, k)];
    if (!(variance >= 0) || !(left >= -least)) return std::nullopt;
    const bool settled = left <= least;
    lower[at(j, j)] = settled ? 0 : std::sqrt(left);
    for (std::size_t i = j + 1; i < n; ++i) {
      const double asked = covariance[at(i, j)], scale = std::sqrt(variance * covariance[at(i, i)]);
      if (!(std::abs(asked - covariance[at(j, i)]) <= 1e-9 * scale)) return std::nullopt;
      double rest = asked;
      for (std::size_t k = 0; k < j; ++k) rest -= lower[at(i, k)] * lower[at(j, k)];
      if (settled && std::abs(rest) > 1e-6 * scale) return std::nullopt;
      lower[at(i, j)] = settled ? 0 : rest / lower[at(j, j)];
    }
  }
  return lower;
}

std::vector<double> drawn_together(std::span<const double> mean, std::span<const double> lower,
                                   std::int64_t seed, const std::string& name, int shot) {
  const std::size_t n = mean.size();
  std::vector<double> values(mean.begin(), mean.end());
  for (std::size_t j = 0; j < n; ++j) {
    const double z = normal_quantile(uniform(seed, stream_of(name), shot, j));
    for (std::size_t i = j; i < n; ++i) values[i] += lower[i * n + j] * z;
  }
  return values;
}

}  // namespace nablabragg::ensemble
