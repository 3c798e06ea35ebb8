#include "nablabragg/version.hpp"

namespace nablabragg {

const char* version() { return NABLA_VERSION; }

}  // namespace nablabragg
