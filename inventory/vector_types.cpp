#include "inventory/vector_types.hpp"

#include "inventory/cursors.hpp"

namespace nablabragg::inventory {

bool VectorTypes::in(CXCursor cursor) {
  switch (clang_getCursorKind(cursor)) {
    case CXCursor_TypeRef:
    case CXCursor_TemplateRef:
      return named_by(clang_getCursorReferenced(cursor));
    case CXCursor_OverloadedDeclRef:
      return clang_getNumOverloadedDecls(cursor) > 0 &&
             computes(clang_getOverloadedDecl(cursor, 0));
    case CXCursor_DeclRefExpr:
    case CXCursor_CallExpr:
    case CXCursor_MemberRefExpr:
    case CXCursor_VarDecl:
    case CXCursor_ParmDecl:
      return is_vector(clang_getCursorType(cursor)) ||
             computes(clang_getCursorReferenced(cursor)) ||
             declared_as_vector(clang_getCursorReferenced(cursor));
    default:
      return false;
  }
}

/// A function of Highway or a compiler's intrinsic.
bool VectorTypes::computes(CXCursor declaration) {
  if (!is_function(clang_getCursorKind(declaration))) return false;
  const auto path = path_of(declaration);
  return (path.size() > 2 && path[0] == "hwy" && names_target(path[1])) ||
         (path.size() == 1 && path[0].starts_with("_mm"));
}

/// A variable or member whose type depends on a template's arguments.
bool VectorTypes::declared_as_vector(CXCursor declaration) {
  const CXCursorKind kind = clang_getCursorKind(declaration);
  if (kind != CXCursor_VarDecl && kind != CXCursor_ParmDecl && kind != CXCursor_FieldDecl)
    return false;
  bool found = false;
  for_each_child(declaration, [&](CXCursor child) {
    const CXCursorKind k = clang_getCursorKind(child);
    found = found || ((k == CXCursor_TypeRef || k == CXCursor_TemplateRef) &&
                      named_by(clang_getCursorReferenced(child)));
  });
  return found;
}

bool VectorTypes::is_vector(CXType type) {
  type = clang_getCanonicalType(type);
  while (type.kind == CXType_Pointer || type.kind == CXType_LValueReference ||
         type.kind == CXType_RValueReference)
    type = clang_getCanonicalType(clang_getPointeeType(type));
  while (type.kind == CXType_ConstantArray)
    type = clang_getCanonicalType(clang_getArrayElementType(type));
  if (type.kind == CXType_Vector || type.kind == CXType_ExtVector) return true;
  if (type.kind != CXType_Record) return named_by(clang_getTypeDeclaration(type));
  const std::string name = text_of(clang_getTypeSpelling(type));
  const auto [known, is_new] = types_.try_emplace(name, false);
  if (!is_new) return known->second;
  struct Search {
    VectorTypes* self;
    bool found;
  } search{this, false};
  clang_Type_visitFields(
      type,
      [](CXCursor field, CXClientData data) {
        auto& s = *static_cast<Search*>(data);
        const CXType of = clang_getCanonicalType(clang_getCursorType(field));
        // What holds a pointer to vectors is no vector.
        s.found = of.kind != CXType_Pointer && of.kind != CXType_LValueReference &&
                  s.self->is_vector(of);
        return s.found ? CXVisit_Break : CXVisit_Continue;
      },
      &search);
  return types_[name] = search.found;
}

/// A type or template that is not instantiated yet.
bool VectorTypes::named_by(CXCursor declaration) {
  const CXCursorKind kind = clang_getCursorKind(declaration);
  const bool alias = kind == CXCursor_TypeAliasDecl || kind == CXCursor_TypedefDecl ||
                     kind == CXCursor_TypeAliasTemplateDecl;
  const bool record = kind == CXCursor_ClassTemplate || kind == CXCursor_StructDecl ||
                      kind == CXCursor_ClassDecl ||
                      kind == CXCursor_ClassTemplatePartialSpecialization;
  if (!alias && !record) return false;
  const auto path = path_of(declaration);
  if (path.size() > 2 && path[0] == "hwy" && names_target(path[1]) &&
      (path[2].starts_with("Vec") || path[2].starts_with("Mask")))
    return true;
  // An alias template and the alias in it have one USR.
  const std::string usr = text_of(clang_getCursorUSR(declaration)) + std::to_string(kind);
  const auto [known, is_new] = declarations_.try_emplace(usr, false);
  if (!is_new) return known->second;
  bool found = alias && kind != CXCursor_TypeAliasTemplateDecl &&
               is_vector(clang_getTypedefDeclUnderlyingType(declaration));
  for (const CXCursor child : children_of(declaration)) {
    if (found) break;
    const CXCursorKind k = clang_getCursorKind(child);
    if (alias && (k == CXCursor_TypeRef || k == CXCursor_TemplateRef))
      found = named_by(clang_getCursorReferenced(child));
    else if (alias && k == CXCursor_TypeAliasDecl)
      found = named_by(child);
    else if (record && k == CXCursor_FieldDecl)
      found = is_vector(clang_getCursorType(child)) || any_below(child, [&](CXCursor c) {
                const CXCursorKind ck = clang_getCursorKind(c);
                return (ck == CXCursor_TypeRef || ck == CXCursor_TemplateRef) &&
                       named_by(clang_getCursorReferenced(c));
              });
  }
  return declarations_[usr] = found;
}

}  // namespace nablabragg::inventory
