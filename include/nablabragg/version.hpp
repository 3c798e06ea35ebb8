#pragma once

namespace nablabragg {

/// "major.minor.patch"
const char* version();

}  // namespace nablabragg
