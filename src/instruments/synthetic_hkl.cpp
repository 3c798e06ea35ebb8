#include "instruments/synthetic_hkl.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <iterator>

#include "io/atomic_file.hpp"

namespace nablabragg::instruments {

namespace {

/// From 0 to 1, without pattern: the finalizer of splitmix64, of the indices packed into one word.
double scatter(int h, int k, int l) {
  std::uint64_t z = (static_cast<std::uint64_t>(h + 4096) << 40) ^
                    (static_cast<std::uint64_t>(k + 4096) << 20) ^
                    static_cast<std::uint64_t>(l + 4096);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

double amplitude(const UnitCell& cell, int h, int k, int l) {
  constexpr double at_origin = 500, temperature_factor_A2 = 15;
  const double x = h / cell.a_A, y = k / cell.b_A, z = l / cell.c_A;
  const bool upper = h > 0 || (h == 0 && (k > 0 || (k == 0 && l >= 0)));
  const double part = upper ? scatter(h, k, l) : scatter(-h, -k, -l);
  return at_origin * std::exp(-temperature_factor_A2 * (x * x + y * y + z * z) / 4) * (0.5 + part);
}

}  // namespace

void write_synthetic_hkl(const std::string& path, const UnitCell& cell, double dmin_A, int margin) {
  const auto most = [&](double edge_A) { return static_cast<int>(edge_A / dmin_A) + margin; };
  const int h_most = most(cell.a_A), k_most = most(cell.b_A), l_most = most(cell.c_A);
  io::AtomicFile file(path);
  fmt::memory_buffer rows;
  for (int h = -h_most; h <= h_most; ++h) {
    rows.clear();
    for (int k = -k_most; k <= k_most; ++k)
      for (int l = -l_most; l <= l_most; ++l)
        fmt::format_to(std::back_inserter(rows), "{} {} {} {:.3f}\n", h, k, l,
                       amplitude(cell, h, k, l));
    file.write({rows.data(), rows.size()});
  }
  file.commit();
}

}  // namespace nablabragg::instruments
