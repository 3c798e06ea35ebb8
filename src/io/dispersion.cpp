#include "io/dispersion.hpp"

#include <algorithm>
#include <gemmi/elem.hpp>
#include <gemmi/fprime.hpp>

namespace nablabragg::io {

int atomic_number(const std::string& element) {
  return gemmi::Element(gemmi::find_element(element.c_str())).atomic_number();
}

std::string symbol_of(int atomic_number) {
  return gemmi::Element(static_cast<gemmi::El>(atomic_number)).name();
}

void cromer_liberman(int atomic_number, const std::vector<double>& energy_eV,
                     std::vector<double>& f_prime, std::vector<double>& f_double_prime) {
  f_prime.resize(energy_eV.size());
  f_double_prime.resize(energy_eV.size());
  gemmi::cromer_liberman_for_array(atomic_number, static_cast<int>(energy_eV.size()),
                                   energy_eV.data(), f_prime.data(), f_double_prime.data());
}

std::vector<double> binding_energies_eV(int atomic_number) {
  int count = 0;
  const auto* const orbitals = gemmi::impl_fprim::get_orbital_coefficients(atomic_number, &count);
  std::vector<double> edges;
  for (int i = 0; i < count; ++i)
    if (orbitals[i].binden >= 1) edges.push_back(1000 * static_cast<double>(orbitals[i].binden));
  std::sort(edges.begin(), edges.end());
  return edges;
}

}  // namespace nablabragg::io
