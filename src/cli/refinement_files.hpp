// What `nablabragg refine` reads and writes in addition to images.
#pragma once
#include <string>
#include <vector>
#include "flags/flags_of.hpp"
#include "nablabragg/refine.hpp"

namespace nablabragg::cli {

/// Throws InputError for what is no resume file.
RefineState read_resume_file(const std::string& path);
void write_resume_file(const std::string& path, const RefineState& state);

/// The image that was fitted, and what was found in it before.
struct ReadImage {
  std::string path;
  int number = 1;
  const Measurement& measurement;
  std::vector<std::string> findings;
};

/// Numbers with their standard deviations and correlations, stages, shoeboxes, and the refined
/// model as flags to be appended to `model`, those of the starting model: in the form that
/// docs/refinement.schema.json describes.
void write_refinement_json(const std::string& path, const Refinement& refinement,
                           const ReadImage& image, const std::vector<std::string>& model,
                           const flags::FlagsOf& refined);

/// The refined model as JSON (experiment_json.hpp).
void write_refined_experiment(const std::string& path, const Refinement& refinement);

/// Where the refined model has beam, panels, spindle and crystal, as a dxtbx experiment list.
/// Throws UsageError for what such a file cannot say.
void write_refined_geometry(const std::string& path, const Refinement& refinement);

/// The A matrix, for -mat: to the last bit.
void write_refined_matrix(const std::string& path, const Refinement& refinement);

/// The whole table with the refined factors in it, for -hkl: to the last bit.
void write_refined_factors(const std::string& path, const Refinement& refinement);

/// The brightest shoeboxes side by side with their h k l and the photons that are black; from the
/// top: measured, start, refined (all on the measured scale), and measured - refined in standard
/// deviations, with its scale.
void write_refinement_picture(const std::string& path, const Experiment& start,
                              const Measurement& measurement, const Refinement& refinement,
                              const ComputeOptions& compute);

}  // namespace nablabragg::cli
