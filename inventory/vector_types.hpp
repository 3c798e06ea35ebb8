// Which code computes with numbers in vector registers.
#pragma once
#include <clang-c/Index.h>

#include <map>
#include <string>

namespace nablabragg::inventory {

/// Asks a cursor of one translation unit; remembers the types that it has seen.
class VectorTypes {
 public:
  /// Does an expression, type or declaration stand for vectors: compilers' own and their
  /// intrinsics, Highway's, classes, aliases and templates made of them?
  bool in(CXCursor cursor);

 private:
  static bool computes(CXCursor declaration);
  bool declared_as_vector(CXCursor declaration);
  bool is_vector(CXType type);
  bool named_by(CXCursor declaration);

  std::map<std::string, bool> types_, declarations_;
};

}  // namespace nablabragg::inventory
