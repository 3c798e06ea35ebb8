// Man pages in man(7).
#pragma once
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>  // for pair
#include <vector>

#include "options/command.hpp"

namespace nablabragg::options {

/// A heading and its text; an empty line begins a paragraph, and lines that begin with a blank
/// stand as they are.
using Section = std::pair<std::string, std::string>;

/// The page of a command; `does` is what it does in some words for the index.  Dated by
/// SOURCE_DATE_EPOCH, or today.
void write_man_page(std::ostream& out, const Command& command, std::string_view does,
                    const std::vector<Section>& before_options,
                    const std::vector<Section>& behind_options);

/// "nablabragg show" -> "nablabragg-show": the name of its page.
std::string page_name(const std::string& command_name);

}  // namespace nablabragg::options
