// Experiments as JSON: docs/python.md describes the form.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include "nablabragg/experiment.hpp"

namespace nablabragg {

/// The experiment as its user states it, open choices left open: an object of parts with the
/// fields' names in Python.  Numbers come back to the bit; infinity is the text "inf" or "-inf".
/// Mask and source list are inside.  Of a table of structure factors there is the box and a
/// checksum, not the values.  Throws UsageError for what is no number (NaN), naming the field.
std::string to_json(const Experiment& experiment);

/// The inverse; a field that is left out has its default.  `table` is the table of structure
/// factors of an experiment that has one.  Throws InputError, naming the key, for text that is no
/// JSON, another schema, unknown keys, values of a wrong kind, and a table that is missing, not
/// wanted or another one.
Experiment experiment_from_json(std::string_view text,
                                std::shared_ptr<const StructureFactorGrid> table = nullptr);

}  // namespace nablabragg
