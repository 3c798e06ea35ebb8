// The fields of an experiment's parts as Python sees them: one table for keywords, properties,
// comparison, pickling, dictionaries and documentation.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "python/convert.hpp"

namespace nablabragg::python {

template <class Part>
struct Field {
  const char* name;
  const char* kind;  ///< what it holds, with the unit
  const char* help;
  std::function<py::object(const Part&)> get;
  std::function<void(Part&, py::handle)> set;
};

template <class Part>
using Fields = std::vector<Field<Part>>;

const Fields<SampledRange<double>>& fields_of(const SampledRange<double>*);
const Fields<Crystal>& fields_of(const Crystal*);
const Fields<Beam>& fields_of(const Beam*);
const Fields<Detector>& fields_of(const Detector*);
const Fields<Scan>& fields_of(const Scan*);
const Fields<Sampling>& fields_of(const Sampling*);
const Fields<StructureFactors>& fields_of(const StructureFactors*);
const Fields<Experiment>& fields_of(const Experiment*);

template <class Part>
const Fields<Part>& fields_of() {
  return fields_of(static_cast<const Part*>(nullptr));
}

/// Sets what the keywords name.  Throws py::type_error for a name that is no field.
template <class Part>
void set_fields(Part& part, const py::kwargs& keywords, const char* part_name) {
  for (const auto& [key, value] : keywords) {
    const std::string name = py::str(key);
    const Field<Part>* found = nullptr;
    std::string names;
    for (const Field<Part>& field : fields_of<Part>()) {
      if (name == field.name) found = &field;
      names.append(names.empty() ? "" : ", ").append(field.name);
    }
    if (!found)
      throw py::type_error(std::string(part_name)
                               .append(" has no field '")
                               .append(name)
                               .append("'; it has ")
                               .append(names));
    found->set(part, value);
  }
}

}  // namespace nablabragg::python
