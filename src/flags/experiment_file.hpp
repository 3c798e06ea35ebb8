// An experiment that a text in JSON states, beside flags for what that cannot hold.
#pragma once
#include <string>
#include <string_view>
#include "flags/request.hpp"

namespace nablabragg::flags {

/// Completes a request whose flags are of structure factors, of the detector's response and of
/// computing by the experiment of `json` (experiment_json.hpp), and by the response beside it where
/// the flags have none.  As load_inputs(), it reads the files that the flags name.  Throws
/// UsageError for flags that state the experiment a second time, InputError as
/// experiment_from_json() does, with the `name` of the text.
void load_inputs_beside(std::string_view json, const std::string& name, Request& request);

/// Whether the flags, with the files that they name, say no more than that.
bool states_no_experiment(Request request);

}  // namespace nablabragg::flags
