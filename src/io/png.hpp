// Pictures; write_png() is in nablabragg/io.hpp.
#pragma once
#include "nablabragg/image_files.hpp"  // for FileFormat

namespace nablabragg::io {

FileFormat png_format();

}  // namespace nablabragg::io
