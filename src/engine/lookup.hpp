// How a kernel finds structure factors.
#pragma once

namespace nablabragg::engine {

enum class Lookup {
  constant,  ///< one F for all reflections
  nearest,   ///< that of the nearest lattice point
  tricubic   ///< between the 4 x 4 x 4 around an index
};

/// For people.
inline const char* name_of(Lookup lookup) {
  switch (lookup) {
    case Lookup::constant:
      return "one F";
    case Lookup::nearest:
      return "nearest F";
    case Lookup::tricubic:
      break;
  }
  return "tricubic F";
}

}  // namespace nablabragg::engine
