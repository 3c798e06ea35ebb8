// f' and f'' of atoms, through gemmi.  C++17, as everything that includes gemmi.
#pragma once
#include <string>
#include <vector>

namespace nablabragg::io {

/// 0 for what is no element.
int atomic_number(const std::string& element);

/// As periodic tables write it, whatever the case: "Fe".
std::string symbol_of(int atomic_number);

/// f' and f'' [electrons] by Cromer and Liberman (1981); of Li to U.
void cromer_liberman(int atomic_number, const std::vector<double>& energy_eV,
                     std::vector<double>& f_prime, std::vector<double>& f_double_prime);

/// Binding energies from 1 keV on, increasing.
std::vector<double> binding_energies_eV(int atomic_number);

}  // namespace nablabragg::io
