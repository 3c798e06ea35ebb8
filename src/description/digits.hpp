// Numbers in sentences.
#pragma once
#include <cstdio>  // for snprintf
#include <string>

namespace nablabragg::description {

/// With that many significant digits.
inline std::string digits(double x, int significant = 3) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", significant, x);
  return text;
}

}  // namespace nablabragg::description
