#include "io/cif_symmetry.hpp"

#include <algorithm>  // for sort, unique, binary_search, replace
#include <cmath>      // for floor
#include <exception>
#include <optional>

#include <gemmi/numb.hpp>  // for as_number

#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {
namespace {

// Those of the core dictionary and of mmCIF, new and old.
constexpr const char* operator_tags[] = {"_space_group_symop_operation_xyz",
                                         "_symmetry_equiv_pos_as_xyz"};
constexpr const char* symbol_tags[] = {
    "_space_group_name_H-M_alt",  "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_full", "_symmetry_pdbx_full_space_group_name_H-M",
    "_space_group_name_H-M_ref",  "_space_group_name_H-M"};
constexpr const char* hall_tags[] = {"_space_group_name_Hall", "_symmetry_space_group_name_Hall"};
constexpr const char* number_tags[] = {"_space_group_IT_number", "_symmetry_Int_Tables_number"};

template <std::size_t n>
std::string first_value(gemmi::cif::Block& block, const char* const (&tags)[n]) {
  for (const char* tag : tags)
    if (const std::string* value = block.find_value(tag))
      if (!gemmi::cif::is_null(*value)) return gemmi::cif::as_string(*value);
  return {};
}

std::vector<gemmi::Op> operators_in(gemmi::cif::Block& block, const std::string& path) {
  std::vector<gemmi::Op> operators;
  for (const char* tag : operator_tags) {
    for (const std::string& value : block.find_values(tag)) {
      const std::string triplet = gemmi::cif::as_string(value);
      try {
        operators.push_back(gemmi::parse_triplet(triplet).wrap());
      } catch (const std::exception&) {
        throw InputError(path, 0, "the symmetry operator " + in_quotes(triplet) + " is none");
      }
    }
    if (!operators.empty()) break;
  }
  std::sort(operators.begin(), operators.end());
  operators.erase(std::unique(operators.begin(), operators.end()), operators.end());
  return operators;
}

/// `operators` are sorted.
gemmi::GroupOps group_of(const std::vector<gemmi::Op>& operators, const std::string& path) {
  const auto require = [&](const gemmi::Op& op, const std::string& why) {
    if (!std::binary_search(operators.begin(), operators.end(), op))
      throw InputError(path, 0,
                       "its " + std::to_string(operators.size()) +
                           " symmetry operators are no group: " + op.triplet() + " is missing" +
                           why);
  };
  require(gemmi::Op::identity(), "");
  for (const gemmi::Op& a : operators)
    for (const gemmi::Op& b : operators)
      require((a * b).wrap(), ", the product of " + a.triplet() + " and " + b.triplet());
  return gemmi::split_centering_vectors(operators);
}

std::optional<gemmi::GroupOps> from_hall(const std::string& symbol) {
  try {
    return gemmi::symops_from_hall(symbol.c_str());
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// Empty for what is none of the 230.
const gemmi::SpaceGroup* group_of_number(const std::string& text) {
  const double number = gemmi::cif::as_number(text);
  const bool is_one = number >= 1 && number <= 230 && number == std::floor(number);
  return is_one ? gemmi::find_spacegroup_by_number(static_cast<int>(number)) : nullptr;
}

/// The number changes nothing where something else tells the group.
void compare_number(const std::string& text, const CifSymmetry& taken,
                    std::vector<std::string>& notes) {
  if (text.empty() || !taken.group) return;
  const gemmi::SpaceGroup* const other = group_of_number(text);
  if (other && other->number == taken.group->number) return;
  notes.push_back("the file numbers its space group " + in_quotes(text) +
                  (other ? ", which is " + other->xhm() : std::string(", which is none")) +
                  ", and names " + taken.group->xhm() + ", number " +
                  std::to_string(taken.group->number) + "; the latter is used");
}

CifSymmetry find_symmetry(gemmi::cif::Block& block, const gemmi::UnitCell& cell,
                          const std::string& number, const std::string& path,
                          std::vector<std::string>& notes) {
  const std::string symbol = first_value(block, symbol_tags);
  const std::string hall = first_value(block, hall_tags);
  const gemmi::SpaceGroup* const named = gemmi::find_spacegroup_by_name(symbol, cell.alpha,
                                                                        cell.gamma);
  const std::vector<gemmi::Op> operators = operators_in(block, path);
  if (!operators.empty()) {
    CifSymmetry symmetry;
    symmetry.operators = group_of(operators, path);
    symmetry.group = named && named->operations().is_same_as(symmetry.operators)
                         ? named
                         : gemmi::find_spacegroup_by_ops(symmetry.operators);
    if (named && symmetry.group != named)
      notes.push_back(
          "the file calls its space group " + in_quotes(symbol) + " and lists the operators of " +
          (symmetry.group ? symmetry.group->xhm() : std::string("another setting, without name")) +
          "; the operators are used");
    return symmetry;
  }
  // Before the other symbol, because it also says where the origin is.
  if (const auto group = hall.empty() ? std::nullopt : from_hall(hall)) {
    if (named && !named->operations().is_same_as(*group))
      notes.push_back("the file calls its space group " + in_quotes(symbol) + " and " +
                      in_quotes(hall) + ", which differ; the latter is used");
    else if (named)
      return {named, *group};
    return {gemmi::find_spacegroup_by_ops(*group), *group};
  }
  if (named) return {named, named->operations()};
  if (symbol.empty() && !number.empty()) {
    if (const auto* standard = group_of_number(number)) {
      notes.push_back("the file gives its space group as the number " + number +
                      " only; it is taken for " + standard->xhm());
      return {standard, standard->operations()};
    }
  }
  const std::string wrong = !symbol.empty() ? symbol : !hall.empty() ? hall : number;
  throw InputError(
      path, 0,
      (wrong.empty() ? "no space group" : "unknown space group " + in_quotes(wrong)) +
          " (_space_group_symop_operation_xyz lists its operators, _space_group_name_H-M_alt, "
          "_space_group_name_Hall or _space_group_IT_number names it)");
}

}  // namespace

void undot_tags(gemmi::cif::Block& block) {
  const auto undot = [](std::string& tag) { std::replace(tag.begin(), tag.end(), '.', '_'); };
  for (gemmi::cif::Item& item : block.items) {
    if (item.type == gemmi::cif::ItemType::Pair) undot(item.pair[0]);
    if (item.type == gemmi::cif::ItemType::Loop)
      for (std::string& tag : item.loop.tags) undot(tag);
  }
}

CifSymmetry symmetry_of(gemmi::cif::Block& block, const gemmi::UnitCell& cell,
                        const std::string& path, std::vector<std::string>& notes) {
  const std::string number = first_value(block, number_tags);
  CifSymmetry symmetry = find_symmetry(block, cell, number, path, notes);
  compare_number(number, symmetry, notes);
  return symmetry;
}

}  // namespace nablabragg::io
