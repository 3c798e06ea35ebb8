// What `nablabragg refine` reads and writes in addition to images.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "flags/flags_of.hpp"
#include "nablabragg/refine.hpp"

namespace nablabragg::cli {

/// Throws InputError for what is no resume file.
RefineState read_resume_file(const std::string& path);
void write_resume_file(const std::string& path, const RefineState& state);

/// An image that was fitted, and what was found in it before.
struct ReadImage {
  std::string path;
  int number = 1;
  Measurement measurement;
  std::vector<std::string> findings;
};

/// In a folder, "experiment.json", or of several images each its own: "experiment_####.json".
std::string file_of_refinement(const std::string& folder, const std::string& name,
                               std::size_t images);

/// Numbers with their standard deviations and correlations, stages, shoeboxes, and the refined
/// model as flags to be appended to `model`, those of the starting model, and `response_flags` of
/// the detector that was fitted with it: in the form that docs/refinement.schema.json describes.
void write_refinement_json(const std::string& path, const Refinement& refinement,
                           std::span<const ReadImage> images, const std::vector<std::string>& model,
                           const flags::FlagsOf& refined,
                           const std::vector<std::string>& response_flags);

/// The refined models as JSON (experiment_json.hpp), each image's in a file of its own.
void write_refined_experiments(const std::string& folder, const Refinement& refinement);

/// Where the refined models have beam, panels, spindle and crystal, as dxtbx experiment lists: one
/// of all images, or one for each where they differ in more than how stills lie.  Returns their
/// name, with # for the number.  Throws UsageError for what such a file cannot say.
std::string write_refined_geometry(const std::string& folder, const Refinement& refinement);

/// How the crystal lies in each still, for -orientations: to the last bit.
void write_refined_orientations(const std::string& path, const Refinement& refinement);

/// The A matrix, for -mat: to the last bit.
void write_refined_matrix(const std::string& path, const Refinement& refinement);

/// The whole table with the refined factors in it, for -hkl: to the last bit.
void write_refined_factors(const std::string& path, const Refinement& refinement);

/// The brightest shoeboxes of the images side by side with their image, h k l and the photons that
/// are black; from the top: measured, start, refined (all on the measured scale), and measured -
/// refined in standard deviations, with its scale.
void write_refinement_picture(const std::string& path, std::span<const Experiment> starts,
                              std::span<const ReadImage> images, const Refinement& refinement,
                              const ComputeOptions& compute);

}  // namespace nablabragg::cli
