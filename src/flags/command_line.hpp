// The arguments of a command line -> Request.
#pragma once
#include <span>
#include <string>
#include "flags/request.hpp"

namespace nablabragg::flags {

/// Reads the arguments, and the image headers that -img and -mask name.  Throws UsageError,
/// InputError.
Request parse_command_line(std::span<const std::string> arguments);

/// How a run computes.
ComputeOptions compute_options(const Request& request);

/// Throws UsageError for the flags of a series and of a detector's response, which `what` ("bench")
/// does not make.
void check_is_of_one_image(const Request& request, const char* what);
/// For those of a response alone.
void check_is_of_photons(const Request& request, const char* what);

}  // namespace nablabragg::flags
