// Numbers outside the ranges that the table of fields (fields.hpp) states, as sentences.
#pragma once
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"

namespace nablabragg::description {

/// Numbers that no experiment has, one sentence each: "the fudge (-fudge) is -1; it must be
/// positive".  `Part` is one with fields, or an Experiment with all its parts.
template <class Part>
std::vector<std::string> out_of_range(const Part& part);

/// Numbers that are most likely a mistake of the unit, one sentence each.
std::vector<std::string> unusual_numbers(const Experiment& experiment);

/// The sentences about one field.
struct FieldChecks {
  std::string field;    ///< "beam.polarization"
  std::string wrong;    ///< "the polarization (-polar) is ...; it must be between -1 and 1"
  std::string unusual;  ///< outside which numbers a warning comes, and its words; may be empty
};
/// Of all fields that have numbers.
std::vector<FieldChecks> all_checks();

extern template std::vector<std::string> out_of_range(const SampledRange<double>&);
extern template std::vector<std::string> out_of_range(const Crystal&);
extern template std::vector<std::string> out_of_range(const Beam&);
extern template std::vector<std::string> out_of_range(const Detector&);
extern template std::vector<std::string> out_of_range(const Scan&);
extern template std::vector<std::string> out_of_range(const Sampling&);
extern template std::vector<std::string> out_of_range(const StructureFactors&);
extern template std::vector<std::string> out_of_range(const Experiment&);

}  // namespace nablabragg::description
