// Dual numbers: a value and its slopes along N directions, carried through the model's own code.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>

namespace nablabragg::physics {

template <std::size_t N>
struct Dual {
  double value = 0;
  std::array<double, N> slopes{};

  Dual() = default;
  Dual(double constant) : value(constant) {}
  /// f(a), where f'(a) is `slope`.
  static Dual of(double value, double slope, const Dual& a) {
    Dual out(value);
    for (std::size_t i = 0; i < N; ++i) out.slopes[i] = slope * a.slopes[i];
    return out;
  }
  /// f(a, b), where its partial derivatives are `by_a` and `by_b`.
  static Dual of(double value, double by_a, const Dual& a, double by_b, const Dual& b) {
    Dual out(value);
    for (std::size_t i = 0; i < N; ++i) out.slopes[i] = by_a * a.slopes[i] + by_b * b.slopes[i];
    return out;
  }

  friend Dual operator+(const Dual& a, const Dual& b) { return of(a.value + b.value, 1, a, 1, b); }
  friend Dual operator-(const Dual& a, const Dual& b) { return of(a.value - b.value, 1, a, -1, b); }
  friend Dual operator-(const Dual& a) { return of(-a.value, -1, a); }
  friend Dual operator*(const Dual& a, const Dual& b) {
    return of(a.value * b.value, b.value, a, a.value, b);
  }
  friend Dual operator/(const Dual& a, const Dual& b) {
    const double quotient = a.value / b.value;
    return of(quotient, 1 / b.value, a, -quotient / b.value, b);
  }
  friend bool operator<(const Dual& a, const Dual& b) { return a.value < b.value; }
  friend bool operator>(const Dual& a, const Dual& b) { return a.value > b.value; }
  friend bool operator<=(const Dual& a, const Dual& b) { return a.value <= b.value; }
  friend bool operator>=(const Dual& a, const Dual& b) { return a.value >= b.value; }
  friend bool operator==(const Dual& a, const Dual& b) { return a.value == b.value; }

  friend Dual sqrt(const Dual& a) {
    const double root = std::sqrt(a.value);
    return of(root, root > 0 ? 0.5 / root : 0, a);
  }
  friend Dual cbrt(const Dual& a) {
    const double root = std::cbrt(a.value);
    return of(root, root != 0 ? 1 / (3 * root * root) : 0, a);
  }
  friend Dual exp(const Dual& a) {
    const double power = std::exp(a.value);
    return of(power, power, a);
  }
  friend Dual log(const Dual& a) { return of(std::log(a.value), 1 / a.value, a); }
  friend Dual erf(const Dual& a) {
    return of(std::erf(a.value), 1.1283791670955126 * std::exp(-a.value * a.value), a);
  }
  friend Dual erfc(const Dual& a) {
    return of(std::erfc(a.value), -1.1283791670955126 * std::exp(-a.value * a.value), a);
  }
  friend Dual atan(const Dual& a) { return of(std::atan(a.value), 1 / (1 + a.value * a.value), a); }
  friend Dual expm1(const Dual& a) {
    const double less_one = std::expm1(a.value);
    return of(less_one, less_one + 1, a);
  }
  friend Dual sin(const Dual& a) { return of(std::sin(a.value), std::cos(a.value), a); }
  friend Dual cos(const Dual& a) { return of(std::cos(a.value), -std::sin(a.value), a); }
  friend Dual abs(const Dual& a) { return a.value < 0 ? -a : a; }
  /// A count: it does not change.
  friend Dual ceil(const Dual& a) { return Dual(std::ceil(a.value)); }

  friend Dual select(bool condition, const Dual& yes, const Dual& no) {
    return condition ? yes : no;
  }

  friend double value_of(const Dual& a) { return a.value; }
};

}  // namespace nablabragg::physics
