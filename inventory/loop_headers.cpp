#include "inventory/loop_headers.hpp"

#include <algorithm>
#include <cctype>
#include <memory>
#include <regex>
#include <vector>

#include "inventory/cursors.hpp"
#include "inventory/text.hpp"

namespace nablabragg::inventory {

std::string up_to_closing(const std::string& text, std::size_t begin, std::size_t end) {
  const auto is_digit = [&](std::size_t at) {
    return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])) != 0;
  };
  end = end > begin ? std::min(end, text.size()) : text.size();
  std::size_t at = text.find('(', begin);
  int open = 0;
  for (; at < end; ++at) {
    // 10'000 has no character in quotes.
    if (text[at] == '"' || (text[at] == '\'' && !(is_digit(at - 1) && is_digit(at + 1)))) {
      const char quote = text[at];
      for (++at; at < end && text[at] != quote; ++at)
        if (text[at] == '\\') ++at;
      continue;
    }
    if (text[at] == '(') ++open;
    if (text[at] == ')' && --open == 0) break;
  }
  return one_line(text.substr(begin, std::min(at + 1, end) - begin));
}
namespace {

/// The integer that an expression is, where the compiler knows it without instantiating anything.
std::optional<long> constant_of(CXCursor expression) {
  const bool depends = any_below(expression, [](CXCursor c) {
    const CXCursor referenced = clang_getCursorReferenced(c);
    const CXCursorKind kind = clang_getCursorKind(referenced);
    return clang_getCursorType(c).kind == CXType_Dependent ||
           kind == CXCursor_NonTypeTemplateParameter || kind == CXCursor_TemplateTypeParameter ||
           clang_getCursorKind(c) == CXCursor_CallExpr ||
           clang_getCursorKind(c) == CXCursor_OverloadedDeclRef ||
           (kind == CXCursor_VarDecl &&
            clang_isConstQualifiedType(clang_getCursorType(referenced)) == 0);
  });
  if (depends) return std::nullopt;
  const std::unique_ptr<void, decltype(&clang_EvalResult_dispose)> result(
      clang_Cursor_Evaluate(expression), clang_EvalResult_dispose);
  if (!result || clang_EvalResult_getKind(result.get()) != CXEval_Int) return std::nullopt;
  return static_cast<long>(clang_EvalResult_getAsLongLong(result.get()));
}

}  // namespace

std::optional<long> trips_of_for(CXCursor loop, const std::string& header) {
  static const std::regex counted(
      R"(^for \([^;]*;\s*\w+\s*(<|<=|!=)[^;&|]*;\s*(\+\+\s*\w+|\w+\s*\+\+)\s*\)$)");
  std::smatch parts;
  if (!std::regex_match(header, parts, counted)) return std::nullopt;
  std::optional<long> begin, end;
  for (const CXCursor child : children_of(loop)) {
    const CXCursorKind kind = clang_getCursorKind(child);
    if (kind == CXCursor_DeclStmt && !begin) {
      for (const CXCursor variable : children_of(child)) {
        const auto initial = children_of(variable);
        if (clang_getCursorKind(variable) == CXCursor_VarDecl && !initial.empty() && !begin)
          begin = constant_of(initial.back());
      }
    } else if (kind == CXCursor_BinaryOperator && !end) {
      const auto sides = children_of(child);
      if (sides.size() == 2) end = constant_of(sides[1]);
    }
  }
  if (!begin || !end || *end < *begin) return std::nullopt;
  return *end - *begin + (parts[1] == "<=" ? 1 : 0);
}

std::optional<long> trips_of_range(CXCursor loop) {
  static const std::regex array(R"(^(?:const )?std::array<.*, (\d+)>$)");
  for (const CXCursor child : children_of(loop)) {
    if (clang_isExpression(clang_getCursorKind(child)) == 0) continue;
    CXType type = clang_getCanonicalType(clang_getCursorType(child));
    if (type.kind == CXType_ConstantArray) return static_cast<long>(clang_getArraySize(type));
    std::smatch parts;
    const std::string name = text_of(clang_getTypeSpelling(type));
    if (std::regex_match(name, parts, array) && parts[1].length() < 10) return std::stol(parts[1]);
  }
  return std::nullopt;
}

}  // namespace nablabragg::inventory
