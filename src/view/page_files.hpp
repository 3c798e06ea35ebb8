// The files of the page, which are part of the program.
#pragma once
#include <functional>  // for less
#include <map>
#include <string>
#include "view/server.hpp"  // for Page

namespace nablabragg::view {

/// By the names that the page calls them; the first is "".  Made by cmake/EmbedPage.cmake of
/// src/view/page.
std::map<std::string, Page, std::less<>> page_files();

}  // namespace nablabragg::view
