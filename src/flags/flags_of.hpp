// Experiment -> flags: the way back from command_line.hpp, made from the table of fields.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "nablabragg/settled.hpp"

namespace nablabragg::flags {

struct FlagsOf {
  std::vector<std::string> flags;         ///< to be appended to the arguments
  std::vector<std::string> not_in_flags;  ///< one sentence for each field that no flag states
};

/// The flags that, appended to `arguments`, state `experiment`: what they and the arguments come
/// to is compared with it, field by field, so that nothing is lost without a sentence.
///
/// `files` is an experiment that has read the files which the arguments name: matrix, structure
/// factors, source list.  Throws what parse_command_line() throws.
FlagsOf flags_of(const SettledExperiment& experiment, std::span<const std::string> arguments,
                 const Experiment& files);

}  // namespace nablabragg::flags
