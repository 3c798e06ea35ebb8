// Which file and which of its data sets a name of spectra means.
#pragma once
#include <string>

namespace nablabragg::io {

/// The file alone has no data set.
struct SpectraPlace {
  std::string file, data;
};

/// Of "FILE" or "FILE:/path/of/weights"; a file that is called so as a whole is that file.
SpectraPlace place_of_spectra(const std::string& path);

}  // namespace nablabragg::io
