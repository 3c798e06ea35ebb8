// Experiments as JSON: docs/python.md describes the form.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include "nablabragg/detector_response.hpp"
#include "nablabragg/experiment.hpp"

namespace nablabragg {

/// The experiment as its user states it, open choices left open: an object of parts with the
/// fields' names in Python.  Numbers come back to the bit; infinity is the text "inf" or "-inf".
/// Mask and source list are inside.  Of a table of structure factors there is the box and a
/// checksum, not the values.  An experiment is what is simulated; how its detector records the
/// light stands beside its parts, as `response`, where one is given: of a map of factors there is
/// the number of pixels and a checksum.  Throws UsageError for what is no number (NaN), naming the
/// field.
std::string to_json(const Experiment& experiment,
                    const std::optional<DetectorResponse>& response = std::nullopt);

/// The inverse; a field that is left out has its default.  `table` is the table of structure
/// factors of an experiment that has one.  A response beside it is checked for its keys and left
/// to response_from_json().  Throws InputError, naming the key, for text that is no JSON, another
/// schema, unknown keys, values of a wrong kind, and a table that is missing, not wanted or another
/// one.
Experiment experiment_from_json(std::string_view text,
                                std::shared_ptr<const StructureFactorGrid> table = nullptr);

/// What the text states of its structure factors, without their table: default_F fills the
/// reflections that a list of them lacks.  Throws InputError likewise.
StructureFactors structure_factors_from_json(std::string_view text);

/// The maps of a response, which its JSON names by their checksums; null: it has none.
struct ResponseMaps {
  std::shared_ptr<const PixelFactors> calibration, gain;
};

/// The response beside the experiment; empty where the text has none.  Throws InputError as
/// experiment_from_json(), for maps as it does for a table.  Whether it is one of the experiment,
/// check_response() says.
std::optional<DetectorResponse> response_from_json(std::string_view text,
                                                   const ResponseMaps& maps = {});

}  // namespace nablabragg
