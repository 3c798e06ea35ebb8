// How the numbers of a parameter vary from shot to shot.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace nablabragg::ensemble {

/// Which row of a file a shot takes.
enum class Rows {
  in_order,  ///< its own number: the file has one for each shot
  random     ///< any, each with the same probability, again and again
};

/// Numbers that all shots have.
struct Constant {
  std::vector<double> values;
};

struct Uniform {
  double low = 0, high = 1;
};

/// Draws beyond `low` and `high` do not happen: what lies between has their share as well.
struct Normal {
  double mean = 0, deviation = 1;
  double low = -std::numeric_limits<double>::infinity(),
         high = std::numeric_limits<double>::infinity();
};

/// exp of a normal deviate; `deviation` is that of the logarithm.
struct LogNormal {
  double median = 1, deviation = 1;
  double low = 0, high = std::numeric_limits<double>::infinity();
};

/// One of some numbers, or of some lists of numbers.
struct Choice {
  std::vector<std::vector<double>> values;
  std::vector<double> weights;  ///< one for each, positive or zero
};

/// A table of numbers with named columns.
struct Table {
  std::string file;
  std::vector<std::string> names;
  std::vector<double> numbers;  ///< row by row

  std::size_t rows() const { return numbers.size() / names.size(); }
};

/// Text: a line of names, then lines of as many numbers, separated by white space or commas; `#`
/// begins a comment.  Throws InputError.
Table read_table(const std::string& path);

struct Column {
  std::shared_ptr<const Table> table;
  std::size_t column = 0;
  Rows rows = Rows::in_order;
};

using Distribution = std::variant<Constant, Uniform, Normal, LogNormal, Choice, Column>;

/// How many numbers a draw has.
std::size_t numbers_of(const Distribution& distribution);

/// That of a shot; `name` is that of the stream, such as the parameter's.  It depends on the four
/// alone.
std::vector<double> drawn(const Distribution& distribution, std::int64_t seed,
                          const std::string& name, int shot);

/// The row of `file`, of so many, that a shot takes.  All that is taken of one file at random is of
/// one row.
std::size_t row_of(const std::string& file, std::size_t rows, Rows which, std::int64_t seed,
                   int shot);

/// The lower triangle L, row by row, with L L^T = `covariance` (n x n); rows of numbers that others
/// settle end in 0.  Empty: the matrix is not symmetric or not positive semidefinite.
std::optional<std::vector<double>> cholesky(std::span<const double> covariance, std::size_t n);

/// mean + L z, z normal deviates of the stream.
std::vector<double> drawn_together(std::span<const double> mean, std::span<const double> lower,
                                   std::int64_t seed, const std::string& name, int shot);

}  // namespace nablabragg::ensemble
