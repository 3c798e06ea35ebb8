// What gases and ice scatter, from the form factors of their atoms.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

#include <gemmi/elem.hpp>      // for Element
#include <gemmi/it92.hpp>      // for IT92
#include <gemmi/symmetry.hpp>  // for find_spacegroup_by_name

#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

namespace {

constexpr double pi = 3.14159265358979323846, avogadro = 6.02214179e23, boltzmann = 1.380649e-23;

double form_factor(gemmi::El element, double stol_per_A) {
  return gemmi::IT92<double>::get(element).calculate_sf(stol_per_A * stol_per_A);
}

/// Part of a gas; `distance_A`: between the two atoms of a molecule, 0: there is one.
struct Constituent {
  double share, molar_mass;
  gemmi::El element;
  double distance_A;
};

double F2_of(const Constituent& part, double stol_per_A) {
  const double f = form_factor(part.element, stol_per_A);
  if (part.distance_A == 0) return f * f;
  const double x = 4 * pi * stol_per_A * part.distance_A;
  return 2 * f * f * (1 + (x > 1e-6 ? std::sin(x) / x : 1));
}

struct GasWords {
  const char *name, *formula;  ///< the formula is of the mean molecule
  std::vector<Constituent> parts;
};

/// Dry air, a mean molecule without what is below 0.1 %; distances of nuclei in the free molecules.
GasWords words_of(Gas gas) {
  if (gas == Gas::helium) return {"helium", "He", {{1, 4.002602, gemmi::El::He, 0}}};
  return {"air",
          "N1.56168O0.41892Ar0.00934",
          {{0.78084, 28.0134, gemmi::El::N, 1.0977},
           {0.20946, 31.9988, gemmi::El::O, 1.2075},
           {0.00934, 39.948, gemmi::El::Ar, 0}}};
}

void check_positive(double x, const char* what) {
  if (!(x > 0) || !std::isfinite(x)) throw UsageError(std::string(what) + " must be positive");
}

}  // namespace

std::vector<Material> gas_in_beam(double start_mm, double end_mm, const GasState& state) {
  check_positive(state.temperature_K, "the temperature of the gas, in K,");
  check_positive(state.pressure_kPa, "the pressure of the gas, in kPa,");
  if (!(end_mm > start_mm))
    throw UsageError(
        "a path of gas begins before it ends, in mm along the beam and counted from the sample");
  const GasWords gas = words_of(state.gas);
  Material coherent;
  coherent.name = gas.name;
  coherent.interpolation = MaterialInterpolation::cubic;
  coherent.start_mm = start_mm;
  coherent.end_mm = end_mm;
  coherent.molar_mass = 0;
  for (const Constituent& part : gas.parts) coherent.molar_mass += part.share * part.molar_mass;
  const double per_m3 = state.pressure_kPa * 1e3 / (boltzmann * state.temperature_K);
  coherent.density_g_cm3 = per_m3 * coherent.molar_mass / avogadro * 1e-6;
  constexpr double step = 0.005, most = 5;
  for (int row = 0; row * step <= most; ++row) {
    double F2 = 0;
    for (const Constituent& part : gas.parts) F2 += part.share * F2_of(part, row * step);
    coherent.stol_per_A.push_back(row * step);
    coherent.F.push_back(std::sqrt(F2));
  }
  Material compton = compton_of(gas.formula, coherent);
  compton.name = std::string("Compton scattering of ") + gas.name;
  return {coherent, compton};
}

Material ice_rings(const IceRings& ice) {
  check_positive(ice.thickness_um, "the thickness of the ice, in um,");
  check_positive(ice.a_A, "the edge a of ice, in Angstrom,");
  check_positive(ice.c_A, "the edge c of ice, in Angstrom,");
  check_positive(ice.size_A, "the size of the ice crystals, in Angstrom,");
  if (!(ice.B_A2 >= 0)) throw UsageError("the B factor of ice must not be negative");
  constexpr double smallest_A = 10, largest_A = 3000;
  if (ice.size_A < smallest_A)
    throw UsageError("ice crystals below 10 Angstrom hold no unit cell, and have no rings");
  if (ice.size_A > largest_A)
    throw UsageError(
        "rings of ice crystals above 3000 Angstrom are too sharp for a table; pixels blur them "
        "more");

  struct Site {
    gemmi::El element;
    double occupancy, x, y, z;
  };
  const Site sites[] = {{gemmi::El::O, 1, 1 / 3.0, 2 / 3.0, 0.0622},
                        {gemmi::El::H, 0.5, 1 / 3.0, 2 / 3.0, 0.1989},
                        {gemmi::El::H, 0.5, 0.4536, 0.9072, 0.0182}};
  const gemmi::GroupOps group = gemmi::find_spacegroup_by_name("P 63/m m c")->operations();
  struct Place {
    const Site* site;
    std::array<double, 3> at;
  };
  std::vector<Place> places;
  for (const Site& site : sites) {
    const std::size_t first = places.size();
    for (const gemmi::Op& op : group) {
      const std::array<double, 3> at = op.apply_to_xyz({site.x, site.y, site.z});
      const auto is_same = [&](const Place& other) {
        for (std::size_t i = 0; i < 3; ++i) {
          const double apart = at[i] - other.at[i];
          if (std::abs(apart - std::round(apart)) > 1e-4) return false;
        }
        return true;
      };
      if (std::none_of(places.begin() + static_cast<std::ptrdiff_t>(first), places.end(), is_same))
        places.push_back({&site, at});
    }
  }

  // Each reflection to a spacing of 1 Angstrom, by 1/d
  constexpr double most = 1;
  constexpr int molecules = 4;
  const double volume = ice.a_A * ice.a_A * ice.c_A * std::sqrt(3.0) / 2;
  struct Ring {
    double q, F2;
  };
  std::vector<Ring> rings;
  const int h_max = static_cast<int>(most * ice.a_A) + 2,
            l_max = static_cast<int>(most * ice.c_A) + 1;
  for (int h = -h_max; h <= h_max; ++h)
    for (int k = -h_max; k <= h_max; ++k)
      for (int l = -l_max; l <= l_max; ++l) {
        const double q = std::sqrt((h * h + k * k + h * k) * 4 / (3 * ice.a_A * ice.a_A) +
                                   l * l / (ice.c_A * ice.c_A));
        if (!(q > 0) || q > most) continue;
        std::complex<double> F;
        for (const Place& place : places)
          F += place.site->occupancy * form_factor(place.site->element, q / 2) *
               std::polar(1.0, 2 * pi * (h * place.at[0] + k * place.at[1] + l * place.at[2]));
        rings.push_back({q, std::norm(F) * std::exp(-2 * ice.B_A2 * q * q / 4)});
      }
  std::sort(rings.begin(), rings.end(), [](const Ring& a, const Ring& b) { return a.q < b.q; });

  Material rows;
  rows.name = "ice";
  rows.interpolation = MaterialInterpolation::cubic;
  rows.thickness_mm = ice.thickness_um * 1e-3;
  rows.molar_mass = 18.01528;
  rows.density_g_cm3 = molecules * rows.molar_mass / (avogadro * volume * 1e-24);
  // A powder broadened in three dimensions: N(q - G)/(4 pi q G) for each reflection, exactly
  const double width = 0.94 / ice.size_A / (2 * std::sqrt(2 * std::log(2.0)));
  constexpr double rows_per_width = 14, widths_seen = 9;  // 1e-6 of a ring; its foot at 1e-18
  const double step = width / rows_per_width, reach = widths_seen * width;
  std::size_t first = 0;
  const auto count = static_cast<long>((rings.back().q + reach) / step);
  for (long row = std::max(1L, static_cast<long>((rings.front().q - reach) / step)); row <= count;
       ++row) {
    const double q = static_cast<double>(row) * step;
    while (first < rings.size() && rings[first].q < q - reach) ++first;
    double F2 = 0;
    for (std::size_t i = first; i < rings.size() && rings[i].q <= q + reach; ++i) {
      const double apart = (q - rings[i].q) / width;
      F2 += rings[i].F2 * std::exp(-apart * apart / 2) / (4 * pi * q * rings[i].q);
    }
    rows.stol_per_A.push_back(q / 2);
    rows.F.push_back(std::sqrt(F2 / (molecules * volume * width * std::sqrt(2 * pi))));
  }
  // Outside of the table it stays dark
  rows.F.front() = rows.F.back() = 0;
  return rows;
}

}  // namespace nablabragg
