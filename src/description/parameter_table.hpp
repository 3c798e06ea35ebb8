// The parameters of an experiment: which there are, and where their numbers lie.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "description/fields.hpp"
#include "description/unit_cells.hpp"
#include "model/crystal_axes.hpp"
#include "model/value_of.hpp"
#include "nablabragg/parameters.hpp"

namespace nablabragg::description {

/// Sets a parameter of `e`, which is settled.  Throws what with_parameter() throws.
void set_parameter(Experiment& e, std::string_view name, std::span<const double> values);

/// Whose a parameter is: of the experiment, of one panel, numbered as in images, of a crystal
/// beside the first, from 1 on, or of one of Experiment::detector_groups or materials.  A plan
/// depends on what a panel or group has through the panels alone, the one or those of the group.
struct ParameterOwner {
  enum class Kind : std::uint8_t {
    experiment,
    panel,
    group,
    material,
    crystal
  } kind = Kind::experiment;
  std::size_t index = 0;
};

/// A parameter of the table.
struct ParameterKey {
  const char* row;  ///< what the table of fields calls it
  ParameterOwner owner;
  /// With that of its panel or group.
  std::string name(const Experiment& e) const;
};

/// Whether a field has what a parameter of it needs: a value, a width, all numbers of a pair.
template <class T>
bool is_given(const T& value) {
  if constexpr (is_optional<T>)
    return value.has_value();
  else if constexpr (is_range<T>)
    return value.range && *value.range != 0;
  else
    return true;
}

/// Visits the numbers of the cell that a matrix alone states.  Another cell stands in the matrix's
/// orientation: a* and the plane of a* and b* stay where they are, by which a cell is put into the
/// laboratory.  A cell that `f` leaves alone leaves the matrix alone, to the last bit.
template <class X, class F>
void for_each_number_of_matrix_cell(X& x, F&& f) {
  using Real = std::remove_cvref_t<decltype(x.beam.wavelength_A)>;
  using model::value_of;
  auto& m = *x.crystal.mosflm_matrix;
  const auto values = [](const auto& v) {
    return Vec3d{double(value_of(v.x)), double(value_of(v.y)), double(value_of(v.z))};
  };
  const Mat3d matrix{values(m.a), values(m.b), values(m.c)};
  const auto wavelength_A = double(value_of(x.beam.wavelength_A));
  const UnitCell was = cell_of_matrix(matrix, wavelength_A);
  const BasicUnitCell<Real> before{Real(was.a_A),       Real(was.b_A),      Real(was.c_A),
                                   Real(was.alpha_deg), Real(was.beta_deg), Real(was.gamma_deg)};
  BasicUnitCell<Real> cell = before;
  for_each_number(cell, f);
  const Mat3<Real> old_rows = model::reciprocal_basis(before, false).rows,
                   new_rows = model::reciprocal_basis(cell, false).rows;
  const Mat3d rows = model::reciprocal_from_mosflm(matrix,
                                                   units::metres_from_angstrom(wavelength_A));
  const Vec3d along = unit(rows.a), beside = unit(rows.b - dot(rows.b, along) * along);
  Vec3d up = cross(along, beside);
  if (dot(rows.c, up) < 0) up = -1.0 * up;  // of left-handed axes
  const auto put = [&](const Vec3<Real>& before_row, const Vec3<Real>& row, Real& first,
                       Real& second, Real& third) {
    const Vec3<Real> change = x.beam.wavelength_A * (row - before_row);
    first = first + change.x * along.x + change.y * beside.x + change.z * up.x;
    second = second + change.x * along.y + change.y * beside.y + change.z * up.y;
    third = third + change.x * along.z + change.y * beside.z + change.z * up.z;
  };
  put(old_rows.a, new_rows.a, m.a.x, m.b.x, m.c.x);
  put(old_rows.b, new_rows.b, m.a.y, m.b.y, m.c.y);
  put(old_rows.c, new_rows.c, m.a.z, m.b.z, m.c.z);
}

/// Visits one parameter; `place(x)` is the part that has it, in an experiment x of any number type.
template <class Part, std::size_t i, class Place, class Visit>
void visit_parameter(const Experiment& e, Place place, ParameterOwner owner, Visit& visit) {
  constexpr const auto& row = std::get<i>(rows_of<Part>());
  if constexpr (row.parameter != nullptr) {
    if constexpr (row.parameter == std::string_view("cell"))
      if (!e.crystal.cell && e.crystal.mosflm_matrix) {
        visit(ParameterKey{row.parameter, owner}, row.units, std::vector<std::size_t>{6},
              [](auto& x, auto&& f) { for_each_number_of_matrix_cell(x, f); });
        return;
      }
    for (const auto member : row.members)
      if (!is_given(place(e).*member)) return;
    if (row.exists && !row.exists(e)) return;
    auto shape = shape_of<typename std::remove_cvref_t<decltype(row)>::Member>();
    if (row.members.size() == 2) shape.insert(shape.begin(), 2);
    constexpr bool is_wavelength = row.parameter == std::string_view("wavelength");
    visit(ParameterKey{row.parameter, owner}, row.units, shape, [place](auto& x, auto&& f) {
      auto& part = place(x);
      const auto wavelength_before = x.beam.wavelength_A;
      for (const auto member :
           std::get<i>(rows_of<std::remove_reference_t<decltype(part)>>()).members)
        for_each_number(part.*member, f);
      if (!is_wavelength || !x.crystal.mosflm_matrix) return;
      // The lattice behind a matrix, which holds reciprocal axes times the wavelength, stays.
      for_each_number(*x.crystal.mosflm_matrix, [&](auto& entry) {
        entry = entry * (x.beam.wavelength_A / wavelength_before);
      });
    });
  }
}

/// Visits a parameter of a list, which has an entry for each of its items.
template <class List, std::size_t i, class Place, class Visit>
void visit_parameter_of_list(const Experiment& e, Place place, ParameterOwner owner, Visit& visit) {
  using Item = typename List::value_type;
  constexpr const auto& row = std::get<i>(rows_of<Item>());
  auto shape = shape_of<typename std::remove_cvref_t<decltype(row)>::Member>();
  shape.insert(shape.begin(), place(e).size());
  visit(ParameterKey{row.parameter, owner}, row.units, shape, [place](auto& x, auto&& f) {
    for (auto& item : place(x))
      for_each_number(
          item.*std::get<i>(rows_of<std::remove_reference_t<decltype(item)>>()).members[0], f);
  });
}

template <class Part, class Place, class Visit>
void for_each_parameter_of(const Experiment& e, Place place, ParameterOwner owner, Visit& visit);

template <class Visit>
void for_each_parameter_of_groups(const Experiment& e, Visit& visit) {
  for (std::size_t i = 0; i < e.detector_groups.size(); ++i)
    for_each_parameter_of<DetectorGroup>(
        e, [i](auto& x) -> auto& { return x.detector_groups[i]; }, {ParameterOwner::Kind::group, i},
        visit);
}

template <class Visit>
void for_each_parameter_of_further_crystals(const Experiment& e, Visit& visit) {
  for (std::size_t i = 0; i < e.more_crystals.size(); ++i)
    for_each_parameter_of<FurtherCrystal>(
        e, [i](auto& x) -> auto& { return x.more_crystals[i]; },
        {ParameterOwner::Kind::crystal, i + 1}, visit);
}

template <class Visit>
void for_each_parameter_of_materials(const Experiment& e, Visit& visit) {
  if (e.materials.empty()) return;
  // What exists of a material is asked of the first one.
  Experiment alone;
  for (std::size_t i = 0; i < e.materials.size(); ++i) {
    alone.materials = {e.materials[i]};
    const auto place = [i](auto& x) -> auto& {
      return x.materials[x.materials.size() == 1 ? 0 : i];
    };
    for_each_parameter_of<Material>(alone, place, {ParameterOwner::Kind::material, i}, visit);
  }
}

template <class Visit>
void for_each_parameter_of_further_panels(const Experiment& e, Visit& visit) {
  if (e.more_panels.empty()) return;
  // What exists of a detector is asked of Experiment::detector.
  Experiment alone = e;
  for (std::size_t i = 0; i < e.more_panels.size(); ++i) {
    alone.detector = e.more_panels[i].detector;
    for_each_parameter_of<Detector>(
        alone, [i](auto& x) -> auto& { return x.more_panels[i].detector; },
        {ParameterOwner::Kind::panel, i + 1}, visit);
  }
}

/// Calls visit(key, units, shape, numbers) for each parameter of a part, and of the parts in it;
/// see for_each_parameter().
template <class Part, class Place, class Visit>
void for_each_parameter_of(const Experiment& e, Place place, ParameterOwner owner, Visit& visit) {
  for_each_index<row_count<Part>>([&](auto which) {
    constexpr std::size_t i = which;
    using Value = typename std::remove_cvref_t<decltype(std::get<i>(rows_of<Part>()))>::Member;
    const auto inside = [place](auto& x) -> auto& {
      auto& part = place(x);
      return part.*std::get<i>(rows_of<std::remove_reference_t<decltype(part)>>()).members[0];
    };
    // Structure factors are in double precision whatever the number type, and so are left out.
    if constexpr (std::is_same_v<Value, StructureFactors>) {
      return;
    } else if constexpr (std::is_same_v<Part, Experiment> && std::is_same_v<Value, Detector>) {
      for_each_parameter_of<Value>(e, inside, {ParameterOwner::Kind::panel, 0}, visit);
    } else if constexpr (HasFields<Value> && !is_range<Value>) {
      for_each_parameter_of<Value>(e, inside, owner, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<FurtherPanel>>) {
      for_each_parameter_of_further_panels(e, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<FurtherCrystal>>) {
      for_each_parameter_of_further_crystals(e, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<DetectorGroup>>) {
      for_each_parameter_of_groups(e, visit);
    } else if constexpr (std::is_same_v<Value, std::vector<Material>>) {
      for_each_parameter_of_materials(e, visit);
    } else if constexpr (is_vector<Value> && !is_list_of_parts<Value>) {
      return;  // rows of a table
    } else if constexpr (is_vector<Value>) {
      if (inside(e).empty()) return;
      for_each_index<row_count<typename Value::value_type>>(
          [&](auto column) { visit_parameter_of_list<Value, column>(e, inside, owner, visit); });
    } else {
      visit_parameter<Part, i>(e, place, owner, visit);
    }
  });
}

/// Calls visit(key, units, shape, numbers) for each parameter of a settled experiment, where
/// numbers(e, f) calls f for each of its numbers in an experiment of any number type.
template <class Visit>
void for_each_parameter(const Experiment& settled, Visit&& visit) {
  for_each_parameter_of<Experiment>(
      settled, [](auto& x) -> auto& { return x; }, {}, visit);
}

/// default_F is a parameter as well, but no number type other than double ever holds it.
inline constexpr std::string_view default_F_name = "default_F";

}  // namespace nablabragg::description
