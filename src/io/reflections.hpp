// The readers of reflections, on inputs that are open already.
//
// Kept to C++17, as crystallography.hpp.
#pragma once
#include <string>
#include <vector>
#include "io/input_bytes.hpp"
#include "nablabragg/reflection.hpp"

namespace nablabragg::io {

std::vector<Reflection> read_mtz(const InputBytes& input, const std::string& column);
std::vector<Reflection> read_sf_mmcif(const InputBytes& input, const std::string& column);
std::vector<Reflection> read_hkl(Input input);

}  // namespace nablabragg::io
