// What `nablabragg refine` reads and writes beside images.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/refine.hpp"

namespace nablabragg::cli {

/// Throws InputError for what is no resume file.
RefineState read_resume_file(const std::string& path);
void write_resume_file(const std::string& path, const RefineState& state);

/// Numbers with their standard deviations and correlations, stages, and the refined model as flags.
/// `model_words` are the flags of the starting model.
void write_refinement_json(const std::string& path, const Experiment& start,
                           const Refinement& refinement,
                           const std::vector<std::string>& model_words);

/// The whole table with the refined factors in it, for -hkl.
void write_refined_factors(const std::string& path, const Refinement& refinement);

/// The flags that say what differs between two experiments, as far as flags say it.
std::vector<std::string> changed_flags(const Experiment& before, const Experiment& after);

/// The brightest shoeboxes side by side, dark on white; from the top: measured, before, after
/// (counts, all on the measured scale), and measured - after in standard deviations, grey for 0.
void write_refinement_picture(const std::string& path, const Experiment& start,
                              const Measurement& measurement, const Refinement& refinement,
                              const ComputeOptions& compute);

}  // namespace nablabragg::cli
