// Reading libclang's cursors.
#pragma once
#include <clang-c/Index.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

namespace nablabragg::inventory {

inline std::string text_of(CXString string) {
  const char* characters = clang_getCString(string);
  std::string text = characters ? characters : "";
  clang_disposeString(string);
  return text;
}

/// Calls `see(child)` for each child of a cursor.
template <class See>
void for_each_child(CXCursor cursor, See&& see) {
  clang_visitChildren(
      cursor,
      [](CXCursor child, CXCursor, CXClientData data) {
        (*static_cast<std::remove_reference_t<See>*>(data))(child);
        return CXChildVisit_Continue;
      },
      &see);
}

inline std::vector<CXCursor> children_of(CXCursor cursor) {
  std::vector<CXCursor> children;
  for_each_child(cursor, [&](CXCursor child) { children.push_back(child); });
  return children;
}

/// Calls `see(node)` for a cursor and all below it until it returns true; did it?
template <class See>
bool any_below(CXCursor cursor, const See& see) {
  if (see(cursor)) return true;
  bool found = false;
  for_each_child(cursor, [&](CXCursor child) { found = found || any_below(child, see); });
  return found;
}

/// Highway's name of an instruction set: the namespace that its code lies in.
inline bool names_target(const std::string& space) {
  return space.size() > 2 && space.starts_with("N_") &&
         space.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
}

inline bool is_function(CXCursorKind kind) {
  return kind == CXCursor_FunctionDecl || kind == CXCursor_CXXMethod ||
         kind == CXCursor_Constructor || kind == CXCursor_Destructor ||
         kind == CXCursor_ConversionFunction || kind == CXCursor_FunctionTemplate;
}

/// The namespaces and classes around a declaration and its name, outermost first.
inline std::vector<std::string> path_of(CXCursor cursor) {
  std::vector<std::string> path;
  for (; clang_getCursorKind(cursor) != CXCursor_TranslationUnit &&
         clang_isInvalid(clang_getCursorKind(cursor)) == 0;
       cursor = clang_getCursorSemanticParent(cursor))
    path.push_back(text_of(clang_getCursorSpelling(cursor)));
  std::reverse(path.begin(), path.end());
  return path;
}

/// "a::b::c", without unnamed namespaces and Highway's targets.
inline std::string qualified(const std::vector<std::string>& path) {
  std::string name;
  for (const std::string& part : path) {
    if (part.empty() || part.starts_with('(') || names_target(part)) continue;
    name += (name.empty() ? "" : "::") + part;
  }
  return name;
}

}  // namespace nablabragg::inventory
