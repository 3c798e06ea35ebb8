// The fields of an experiment's parts as Python sees them, made from the table of fields: for
// keywords, properties, comparison, pickling, dictionaries and documentation.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "python/convert.hpp"

namespace nablabragg::python {

template <class Part>
struct Field {
  const char* name;
  std::string kind;  ///< what it holds, with the unit
  const char* help;
  std::function<py::object(const Part&)> get;
  std::function<void(Part&, py::handle)> set;
};

template <class Part>
using Fields = std::vector<Field<Part>>;

/// In the order of the table.
template <class Part>
const Fields<Part>& fields_of();

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
