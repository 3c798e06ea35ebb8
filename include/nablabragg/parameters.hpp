// The physical parameters of an experiment by name, in field units: what gradients are taken with
// respect to and what a refinement changes.  docs/gradients.md lists them.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/settled.hpp"

namespace nablabragg {

/// One parameter of an experiment: a number, a vector or a matrix.
struct Parameter {
  std::string name;                ///< "cell", "misset", "wavelength", "distance", ...
  std::vector<std::string> units;  ///< one for each number: "A", "deg", "mm", ...; "" where none
  std::vector<std::size_t> shape;  ///< empty: one number
  std::vector<double> values;      ///< row by row
};

/// What the image of this experiment depends on, structure factors of the table aside, with the
/// values that it is computed with: a beam centre that nobody gave is where the convention puts it.
/// Throws UsageError for a description of no experiment.
std::vector<Parameter> parameters(const SettledExperiment& experiment);

/// One of them.  Throws UsageError, naming those there are, for a name that is not among them.
Parameter parameter(const SettledExperiment& experiment, std::string_view name);

/// The experiment with other values of one parameter.  A new wavelength leaves a lattice that is
/// given as a matrix as it is: the matrix is rescaled.  Throws UsageError for a name that is not
/// among parameters(experiment) and for a wrong number of values.
Experiment with_parameter(const SettledExperiment& experiment, std::string_view name,
                          std::span<const double> values);

}  // namespace nablabragg
