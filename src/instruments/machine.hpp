// Where and when something was measured.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace nablabragg::instruments {

/// As /proc/cpuinfo names it; "unknown" where that says nothing.
std::string cpu_model();

/// The widest that this processor has: "AVX-512", "AVX2", "SSE4.2", "baseline".
std::string instruction_set();

/// Processors that this process may use.
int usable_processors();

/// Largest resident size of this process so far; 0 where the system does not say.
std::int64_t peak_resident_bytes();

/// Over 1, 5 and 15 minutes.
std::array<double, 3> load_averages();

/// What built this program, and its flags.
std::string compiler();
std::string compiler_flags();

/// "2025-01-31T12:00:00Z", or without separators, for file names: "20250131T120000Z".
std::string utc_time();
std::string utc_time_compact();

}  // namespace nablabragg::instruments
