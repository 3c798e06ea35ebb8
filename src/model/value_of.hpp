#pragma once

namespace nablabragg::model {

/// The number behind a Real, for what must be decided or rounded in double.  A dual number brings
/// its own overload.
inline double value_of(double x) { return x; }

}  // namespace nablabragg::model
