#include "io/cif_symmetry.hpp"

#include <algorithm>  // for replace
#include <cmath>      // for floor
#include <cstring>    // for strcmp
#include <exception>
#include <optional>

#include <gemmi/numb.hpp>  // for as_number

#include "io/groups.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {
namespace {

// Those of the core dictionary and of mmCIF, new and old.
constexpr const char* operator_tags[] = {"_space_group_symop_operation_xyz",
                                         "_symmetry_equiv_pos_as_xyz"};
constexpr const char* hall_tags[] = {"_space_group_name_Hall", "_symmetry_space_group_name_Hall"};
constexpr const char* symbol_tags[] = {
    "_space_group_name_H-M_alt",  "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_full", "_symmetry_pdbx_full_space_group_name_H-M",
    "_space_group_name_H-M_ref",  "_space_group_name_H-M"};
constexpr const char* number_tags[] = {"_space_group_IT_number", "_symmetry_Int_Tables_number"};

std::optional<gemmi::GroupOps> from_hall(const std::string& symbol) {
  try {
    return gemmi::symops_from_hall(symbol.c_str());
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::vector<std::string> operators_in(gemmi::cif::Block& block) {
  std::vector<std::string> triplets;
  for (const char* tag : operator_tags) {
    for (const std::string& value : block.find_values(tag))
      triplets.push_back(gemmi::cif::as_string(value));
    if (!triplets.empty()) break;
  }
  return triplets;
}

/// What a block says of its group.  Of several items of one kind the first that is known counts.
struct Names {
  std::string hall, symbol, number;        ///< as they are written
  std::optional<gemmi::GroupOps> by_hall;  ///< empty: unknown
  const gemmi::SpaceGroup *by_symbol = nullptr, *by_number = nullptr;
};

/// Keeps the items that it met in `met`.
Names names_in(gemmi::cif::Block& block, double alpha, double gamma, std::string& met) {
  Names names;
  const auto first_known = [&](const auto& tags, std::string& text, auto&& is_known) {
    for (const char* tag : tags) {
      const std::string* const value = block.find_value(tag);
      if (!value || gemmi::cif::is_null(*value)) continue;
      text = gemmi::cif::as_string(*value);
      met += (met.empty() ? "" : ", ") + in_quotes(text);
      if (is_known()) return;
    }
  };
  first_known(hall_tags, names.hall, [&] {
    names.by_hall = from_hall(names.hall);
    return names.by_hall.has_value();
  });
  first_known(symbol_tags, names.symbol, [&] {
    names.by_symbol = gemmi::find_spacegroup_by_name(names.symbol, alpha, gamma);
    return names.by_symbol != nullptr;
  });
  first_known(number_tags, names.number, [&] {
    const double value = gemmi::cif::as_number(names.number);
    if (value >= 1 && value <= 10000 && value == std::floor(value))
      names.by_number = group_of_number(static_cast<int>(value), alpha, gamma);
    return names.by_number != nullptr;
  });
  return names;
}

/// Whether a symbol may stand for the group: it says nothing of origins and axes.
bool may_be_called(const gemmi::SpaceGroup* group, const gemmi::SpaceGroup& named,
                   const gemmi::GroupOps& operators) {
  if (group && std::strcmp(group->hm, named.hm) == 0) return true;
  return named.operations().is_same_as(operators);
}

std::string name_of(const gemmi::SpaceGroup* group) {
  return group ? group->xhm() : "another setting, without name";
}

/// The number changes nothing where something else tells the group.
void compare_number(const Names& names, const CifSymmetry& taken, std::vector<std::string>& notes) {
  if (names.number.empty() || !taken.group) return;
  const gemmi::SpaceGroup* const other = names.by_number;
  if (other && other->number == taken.group->number) return;
  notes.push_back("the file numbers its space group " + in_quotes(names.number) +
                  (other ? ", which is " + other->xhm() : std::string(", which is none")) +
                  ", and names " + taken.group->xhm() + ", number " +
                  std::to_string(taken.group->number) + "; the latter is used");
}

std::optional<CifSymmetry> symmetry_in(gemmi::cif::Block& block, double alpha, double gamma,
                                       const std::string& path, std::vector<std::string>& notes,
                                       std::string& met) {
  const Names names = names_in(block, alpha, gamma, met);
  const gemmi::SpaceGroup* const named = names.by_symbol;
  const std::vector<std::string> triplets = operators_in(block);
  CifSymmetry symmetry;
  if (!triplets.empty()) {
    try {
      symmetry.operators = group_of_operators(triplets);
    } catch (const Error& error) {
      throw InputError(path, 0, error.what());
    }
  } else if (names.by_hall) {
    // Before the other symbol, because it also says where the origin is.
    symmetry.operators = *names.by_hall;
  } else if (named) {
    symmetry = {named, named->operations()};
  } else if (names.symbol.empty() && names.by_number) {
    notes.push_back("the file gives its space group as the number " + names.number +
                    " only; it is taken for " + names.by_number->xhm());
    return CifSymmetry{names.by_number, names.by_number->operations()};
  } else {
    return std::nullopt;
  }
  if (!symmetry.group)
    symmetry.group = named && named->operations().is_same_as(symmetry.operators)
                         ? named
                         : gemmi::find_spacegroup_by_ops(symmetry.operators);
  const auto differs = [&](const std::string& name) {
    notes.push_back("the file calls its space group " + name + " and lists the operators of " +
                    name_of(symmetry.group) + "; the operators are used");
  };
  if (!triplets.empty()) {
    if (named && !may_be_called(symmetry.group, *named, symmetry.operators))
      differs(in_quotes(names.symbol));
    else if (!named && names.by_hall && !names.by_hall->is_same_as(symmetry.operators))
      differs(in_quotes(names.hall));
  } else if (names.by_hall && named && !may_be_called(symmetry.group, *named, symmetry.operators)) {
    notes.push_back("the file calls its space group " + in_quotes(names.symbol) + " and " +
                    in_quotes(names.hall) + ", which differ; the latter is used");
  }
  compare_number(names, symmetry, notes);
  return symmetry;
}

}  // namespace

void undot_tags(gemmi::cif::Document& document) {
  const auto undot = [](std::string& tag) { std::replace(tag.begin(), tag.end(), '.', '_'); };
  for (gemmi::cif::Block& block : document.blocks)
    for (gemmi::cif::Item& item : block.items) {
      if (item.type == gemmi::cif::ItemType::Pair) undot(item.pair[0]);
      if (item.type == gemmi::cif::ItemType::Loop)
        for (std::string& tag : item.loop.tags) undot(tag);
    }
}

CifSymmetry symmetry_of(gemmi::cif::Document& document, gemmi::cif::Block& block, double alpha,
                        double gamma, const std::string& path, std::vector<std::string>& notes) {
  std::string met;
  if (auto symmetry = symmetry_in(block, alpha, gamma, path, notes, met)) return *symmetry;
  for (gemmi::cif::Block& other : document.blocks)
    if (&other != &block)
      if (auto symmetry = symmetry_in(other, alpha, gamma, path, notes, met)) return *symmetry;
  throw InputError(
      path, 0,
      (met.empty() ? "names no space group" : "the space group " + met + " is not known") +
          std::string("; it needs symmetry operators (_space_group_symop.operation_xyz, "
                      "_symmetry_equiv.pos_as_xyz), a Hall symbol, a Hermann-Mauguin symbol like "
                      "'P 21 21 21' (_space_group.name_H-M_alt, _symmetry.space_group_name_H-M) "
                      "or a number alone (_space_group.IT_number, _symmetry.Int_Tables_number)"));
}

}  // namespace nablabragg::io
