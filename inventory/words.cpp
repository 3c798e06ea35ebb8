#include "inventory/words.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace nablabragg::inventory {

namespace {

/// "subPixel_count" -> sub, pixel, count.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  char last = ' ';
  for (const char c : text) {
    const bool letter = std::isalpha(static_cast<unsigned char>(c)) != 0;
    const bool upper = std::isupper(static_cast<unsigned char>(c)) != 0;
    if (!letter || (upper && std::islower(static_cast<unsigned char>(last)) != 0))
      words.emplace_back();
    if (letter)
      words.back().push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    last = c;
  }
  words.erase(std::remove(words.begin(), words.end(), ""), words.end());
  return words;
}

struct Vocabulary {
  Driver driver;
  std::vector<std::string> words;
};

/// The first that fits: "sub_fast" is a sub-pixel, though fast alone is a pixel.
const std::array<Vocabulary, 8>& vocabularies() {
  static const std::array<Vocabulary, 8> all{{
      {Driver::sub_pixel, {"sub", "subpixel", "subpixels", "oversample"}},
      {Driver::layer, {"layer", "layers", "thickness"}},
      {Driver::source,
       {"source", "sources", "ray", "rays", "beam", "beams", "wavelength", "wavelengths",
        "divergence", "dispersion"}},
      {Driver::phi, {"phi", "phis", "oscillation"}},
      {Driver::domain,
       {"domain", "domains", "mosaic", "orientation", "orientations", "operator", "operators"}},
      {Driver::reflection, {"reflection", "reflections", "hkl", "miller", "spot", "spots"}},
      {Driver::pixel, {"pixel", "pixels", "fast", "slow", "row", "rows", "image", "tile", "tiles"}},
      {Driver::file,
       {"line", "lines", "byte", "bytes", "file", "files", "text", "char", "word", "words",
        "argument", "arguments", "getline"}},
  }};
  return all;
}

Driver driver_in(const std::vector<std::string>& words) {
  for (const Vocabulary& vocabulary : vocabularies())
    for (const std::string& word : words)
      if (std::find(vocabulary.words.begin(), vocabulary.words.end(), word) !=
          vocabulary.words.end())
        return vocabulary.driver;
  return Driver::other;
}

}  // namespace

Driver driver_of(const std::string& header, const std::string& function) {
  const Driver driver = driver_in(words_of(header));
  return driver == Driver::other ? driver_in(words_of(function.substr(function.rfind(':') + 1)))
                                 : driver;
}

}  // namespace nablabragg::inventory
