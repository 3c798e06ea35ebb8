// The files that flags name, each with its flag, and that no output destroys one of them.
#pragma once
#include <string>
#include <vector>
#include "flags/request.hpp"
#include "io/named_files.hpp"

namespace nablabragg::cli {

/// What load_inputs() and the headers of images read.
std::vector<io::NamedFile> inputs_of(const flags::Request& request);

/// What a simulation writes, default names included.
std::vector<io::NamedFile> outputs_of(const flags::Request& request);

/// Whether one of the files that nanoBragg writes unasked is written.
bool wanted(const flags::Request& request, const flags::OutputName& file);

/// io::check_distinct(), also of what standard output and standard error are redirected to.
void check_files(const std::vector<io::NamedFile>& inputs,
                 const std::vector<io::NamedFile>& outputs);

/// ".mtz" of "A.MTZ".
std::string ending_of(const std::string& name);

/// A name whose ending promises another format than the file will have: an error, or with compat a
/// line for each of nanoBragg's own outputs.
std::vector<std::string> check_endings(const flags::Request& request);

}  // namespace nablabragg::cli
