#include "inventory/scan.hpp"

#include <clang-c/Index.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

#include "inventory/cursors.hpp"
#include "inventory/loop_headers.hpp"
#include "inventory/remarks.hpp"  // for drop_unknown_flag
#include "inventory/text.hpp"
#include "inventory/vector_types.hpp"
#include "inventory/words.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

struct Position {
  CXFile file = nullptr;
  unsigned line = 0, column = 0, offset = 0;
};

Position position_of(CXSourceLocation location) {
  Position p;
  clang_getExpansionLocation(location, &p.file, &p.line, &p.column, &p.offset);
  return p;
}

/// Functions of namespace std (or std::ranges) that go over a range.
bool loops_inside(const std::string& name) {
  static const std::set<std::string> names{"accumulate",
                                           "adjacent_difference",
                                           "adjacent_find",
                                           "all_of",
                                           "any_of",
                                           "copy",
                                           "copy_backward",
                                           "copy_if",
                                           "copy_n",
                                           "count",
                                           "count_if",
                                           "equal",
                                           "exclusive_scan",
                                           "fill",
                                           "fill_n",
                                           "find",
                                           "find_if",
                                           "find_if_not",
                                           "for_each",
                                           "for_each_n",
                                           "generate",
                                           "generate_n",
                                           "inclusive_scan",
                                           "inner_product",
                                           "iota",
                                           "is_sorted",
                                           "lexicographical_compare",
                                           "lower_bound",
                                           "max_element",
                                           "merge",
                                           "min_element",
                                           "minmax_element",
                                           "mismatch",
                                           "move_backward",
                                           "none_of",
                                           "nth_element",
                                           "partial_sort",
                                           "partial_sum",
                                           "partition",
                                           "reduce",
                                           "remove",
                                           "remove_if",
                                           "replace",
                                           "replace_if",
                                           "reverse",
                                           "rotate",
                                           "search",
                                           "shuffle",
                                           "sort",
                                           "stable_partition",
                                           "stable_sort",
                                           "swap_ranges",
                                           "transform",
                                           "transform_reduce",
                                           "unique",
                                           "upper_bound"};
  return names.contains(name);
}

bool shares_among_threads(const std::string& name) {
  static const std::set<std::string> names{
      "parallel_for",  "parallel_for_each", "parallel_reduce",  "parallel_deterministic_reduce",
      "parallel_scan", "parallel_sort",     "parallel_pipeline"};
  return names.contains(name);
}

/// Of a loop in several translation units: the same key.
using Key = std::tuple<std::string, int, int>;

struct Entry {
  FoundLoop found;
  std::optional<Key> parent;
  std::set<std::string> targets;
};

/// What one translation unit contains, or several together.
struct Findings {
  std::map<Key, Entry> loops;
  std::map<Key, Function> functions;
  std::map<Key, TraceSpan> spans;
  std::set<std::string> targets;  // Highway's, of the last unit
};

class Walker {
 public:
  Walker(const ScanOptions& options, Findings& findings) : options_(options), out_(findings) {}

  void walk(CXTranslationUnit unit) {
    for_each_child(clang_getTranslationUnitCursor(unit), [&](CXCursor c) { visit(c, {}); });
  }

 private:
  struct Around {
    std::string function, target;
    std::optional<Key> function_key;
    std::optional<Key> loop;
    int depth = 0;
    int scope_end = 0;  // line
  };

  /// Empty: not one of the package.
  const std::string& name_of_file(CXFile file) {
    const auto [at, is_new] = names_.try_emplace(file);
    if (is_new && file) {
      const std::string name = text_of(clang_getFileName(file));
      const std::string path = fs::weakly_canonical(name).string();
      if (lies_in(path, options_.folders))
        at->second = fs::path(path).lexically_relative(options_.root).string();
    }
    return at->second;
  }

  const std::string& contents_of(const std::string& file) {
    const auto [at, is_new] = contents_.try_emplace(file);
    if (is_new) {
      std::ifstream in(fs::path(options_.root) / file, std::ios::binary);
      at->second.assign(std::istreambuf_iterator<char>(in), {});
    }
    return at->second;
  }

  void visit(CXCursor cursor, const Around& around) {
    const CXCursorKind kind = clang_getCursorKind(cursor);
    const CXSourceRange extent = clang_getCursorExtent(cursor);
    const Position begin = position_of(clang_getRangeStart(extent));
    if (around.function.empty() && around.depth == 0 && kind != CXCursor_Namespace) {
      if (!begin.file || name_of_file(begin.file).empty()) return;
    } else if (kind == CXCursor_Namespace && (!begin.file || name_of_file(begin.file).empty())) {
      return;
    }
    const bool vectors = vectors_.in(cursor) ||
                         // A template in SIMD code computes with the numbers that it is given.
                         (!around.target.empty() && kind == CXCursor_TypeRef &&
                          clang_getCursorKind(clang_getCursorReferenced(cursor)) ==
                              CXCursor_TemplateTypeParameter);
    if (around.function_key && vectors) {
      out_.functions.at(*around.function_key).explicit_simd = true;
      if (around.loop) out_.loops.at(*around.loop).found.loop.explicit_simd = true;
    }

    Around inside = around;
    const Position end = position_of(clang_getRangeEnd(extent));
    switch (kind) {
      case CXCursor_Namespace: {
        const std::string name = text_of(clang_getCursorSpelling(cursor));
        if (names_target(name)) inside.target = name;
        break;
      }
      case CXCursor_CompoundStmt:
        inside.scope_end = static_cast<int>(end.line);
        break;
      case CXCursor_VarDecl:
        note_span(cursor, begin, around);
        if (!around.function_key) open_function(cursor, begin, end, inside);
        break;
      case CXCursor_ForStmt:
        open_loop(cursor, LoopKind::for_loop, begin, end, inside);
        break;
      case CXCursor_CXXForRangeStmt:
        open_loop(cursor, LoopKind::range_for, begin, end, inside);
        break;
      case CXCursor_WhileStmt:
        open_loop(cursor, LoopKind::while_loop, begin, end, inside);
        break;
      case CXCursor_DoStmt:
        open_loop(cursor, LoopKind::do_loop, begin, end, inside);
        break;
      case CXCursor_CallExpr:
        open_call(cursor, begin, end, inside);
        break;
      default:
        if (is_function(kind)) {
          if (clang_isCursorDefinition(cursor) == 0) return;
          open_function(cursor, begin, end, inside);
        }
    }
    for_each_child(cursor, [&](CXCursor child) { visit(child, inside); });
  }

  /// Functions, and variables outside of functions, which may be made by a lambda.
  void open_function(CXCursor cursor, const Position& begin, const Position& end, Around& inside) {
    const std::string& file = name_of_file(begin.file);
    inside.function = qualified(path_of(cursor));
    inside.loop.reset();
    inside.depth = 0;
    if (!inside.target.empty()) out_.targets.insert(inside.target);
    const Key key{file, static_cast<int>(begin.line), static_cast<int>(begin.column)};
    inside.function_key = key;
    out_.functions.try_emplace(key, Function{inside.function, file, static_cast<int>(begin.line),
                                             static_cast<int>(end.line), false});
  }

  /// All that a macro makes stands where the macro is used: of its loops the outermost is listed.
  bool is_listed(const Position& begin, const Around& around) {
    return around.loop == Key{name_of_file(begin.file), static_cast<int>(begin.line),
                              static_cast<int>(begin.column)};
  }

  Entry& add_loop(LoopKind kind, const Position& begin, const Position& end, Around& inside) {
    const std::string& file = name_of_file(begin.file);
    const Key key{file, static_cast<int>(begin.line), static_cast<int>(begin.column)};
    Entry& entry = out_.loops[key];
    if (!inside.target.empty()) entry.targets.insert(inside.target);
    Loop& loop = entry.found.loop;
    loop.file = file;
    loop.line = static_cast<int>(begin.line);
    loop.column = static_cast<int>(begin.column);
    loop.end_line = static_cast<int>(end.line);
    loop.end_column = static_cast<int>(end.column);
    loop.kind = kind;
    loop.function = inside.function;
    loop.depth = inside.depth;
    entry.parent = inside.loop;
    inside.loop = key;
    ++inside.depth;
    return entry;
  }

  void open_loop(CXCursor cursor, LoopKind kind, const Position& begin, const Position& end,
                 Around& inside) {
    if (name_of_file(begin.file).empty() || is_listed(begin, inside)) return;
    FoundLoop& found = add_loop(kind, begin, end, inside).found;
    Loop& loop = found.loop;
    const std::string& text = contents_of(loop.file);
    const auto parts = children_of(cursor);
    CXCursor body = clang_getNullCursor();
    if (!parts.empty()) body = kind == LoopKind::do_loop ? parts.front() : parts.back();
    const Position body_begin = position_of(clang_getRangeStart(clang_getCursorExtent(body)));
    found.body_line = static_cast<int>(body_begin.line);
    found.body_column = static_cast<int>(body_begin.column);
    if (kind == LoopKind::do_loop) {
      const Position body_end = position_of(clang_getRangeEnd(clang_getCursorExtent(body)));
      const std::size_t at = text.find("while",
                                       std::min<std::size_t>(body_end.offset, text.size()));
      loop.header = at < end.offset ? "do ... " + up_to_closing(text, at, end.offset) : "do";
    } else {
      loop.header = up_to_closing(text, begin.offset, end.offset);
    }
    if (kind == LoopKind::for_loop) loop.trip_count = trips_of_for(cursor, loop.header);
    if (kind == LoopKind::range_for) loop.trip_count = trips_of_range(cursor);
  }

  void open_call(CXCursor cursor, const Position& begin, const Position& end, Around& inside) {
    if (!begin.file || name_of_file(begin.file).empty() || !inside.function_key) return;
    CXCursor callee = clang_getCursorReferenced(cursor);
    const auto parts = children_of(cursor);
    if (clang_Cursor_isNull(callee) != 0 && !parts.empty())
      // A call whose arguments depend on a template's: any of the overloads has the name.
      any_below(parts.front(), [&](CXCursor c) {
        if (clang_getCursorKind(c) != CXCursor_OverloadedDeclRef ||
            clang_getNumOverloadedDecls(c) == 0)
          return false;
        callee = clang_getOverloadedDecl(c, 0);
        return true;
      });
    if (clang_Cursor_isNull(callee) != 0) return;
    std::string name = text_of(clang_getCursorSpelling(callee));
    if (name == "operator()")
      // std::ranges::sort and its like are objects.
      for (const CXCursor part : parts)
        any_below(part, [&](CXCursor c) {
          if (clang_getCursorKind(c) != CXCursor_DeclRefExpr) return false;
          const CXCursor object = clang_getCursorReferenced(c);
          const std::string word = text_of(clang_getCursorSpelling(object));
          if (!loops_inside(word)) return false;
          callee = object;
          name = word;
          return true;
        });
    const bool parallel = shares_among_threads(name);
    if (!parallel && !loops_inside(name)) return;
    const auto path = path_of(callee);
    const bool of_library = path.size() > 1 && (path[0] == "std" || path[0] == "tbb");
    const CXCursor parent = clang_getCursorSemanticParent(callee);
    if (!of_library || clang_getCursorKind(parent) != CXCursor_Namespace) return;
    if (is_listed(begin, inside)) return;
    FoundLoop& found = add_loop(parallel ? LoopKind::parallel : LoopKind::algorithm, begin, end,
                                inside)
                           .found;
    const bool ranges = std::find(path.begin(), path.end(), "ranges") != path.end() ||
                        std::find(path.begin(), path.end(), "__ranges") != path.end();
    found.loop.callee = path[0] + (ranges ? "::ranges::" : "::") + name;
    const std::string& text = contents_of(found.loop.file);
    found.loop.header = one_line(text.substr(begin.offset, end.offset - begin.offset), 80);
    found.body_line = found.loop.line;
    found.body_column = found.loop.column;
  }

  void note_span(CXCursor cursor, const Position& begin, const Around& around) {
    if (!around.function_key || around.scope_end == 0) return;
    const auto path = path_of(
        clang_getTypeDeclaration(clang_getCanonicalType(clang_getCursorType(cursor))));
    if (path.empty() || std::find(options_.span_types.begin(), options_.span_types.end(),
                                  path.back()) == options_.span_types.end())
      return;
    any_below(cursor, [&](CXCursor c) {
      if (clang_getCursorKind(c) != CXCursor_StringLiteral) return false;
      std::string name = text_of(clang_getCursorSpelling(c));
      if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
      const std::string& file = name_of_file(begin.file);
      const auto line = static_cast<int>(begin.line);
      out_.spans[{file, line, static_cast<int>(begin.column)}] = {name, file, line,
                                                                  around.scope_end};
      return true;
    });
  }

  const ScanOptions& options_;
  Findings& out_;
  std::map<CXFile, std::string> names_;
  std::map<std::string, std::string> contents_;
  VectorTypes vectors_;
};

std::string first_error(CXTranslationUnit unit, std::string& file, unsigned& line) {
  for (unsigned i = 0; i < clang_getNumDiagnostics(unit); ++i) {
    CXDiagnostic diagnostic = clang_getDiagnostic(unit, i);
    std::string sentence;
    if (clang_getDiagnosticSeverity(diagnostic) >= CXDiagnostic_Error) {
      sentence = text_of(clang_getDiagnosticSpelling(diagnostic));
      const Position at = position_of(clang_getDiagnosticLocation(diagnostic));
      line = at.line;
      if (at.file) file = text_of(clang_getFileName(at.file));
    }
    clang_disposeDiagnostic(diagnostic);
    if (!sentence.empty()) return sentence;
  }
  return {};
}

/// With absolute folders of headers: -working-directory would change the folder of the whole
/// process, under the feet of other threads.
std::vector<std::string> absolute_includes(std::vector<std::string> flags,
                                           const std::string& directory) {
  static const std::array<std::string, 7> names{"-isystem", "-iquote",   "-idirafter", "-include",
                                                "-imacros", "-isysroot", "-I"};
  const auto absolute = [&](const std::string& path) {
    return (fs::path(directory) / path).lexically_normal().string();
  };
  for (std::size_t i = 0; i < flags.size(); ++i)
    for (const std::string& name : names) {
      if (flags[i] == name && i + 1 < flags.size()) {
        ++i;
        flags[i] = absolute(flags[i]);
        break;
      }
      if (flags[i].starts_with(name) && (name == "-I" || name == "-isystem")) {
        flags[i] = name + absolute(flags[i].substr(name.size()));
        break;
      }
    }
  return flags;
}

using Unit = std::unique_ptr<std::remove_pointer_t<CXTranslationUnit>,
                             decltype(&clang_disposeTranslationUnit)>;

Unit parse(CXIndex index, const CompileCommand& command) {
  std::vector<std::string> flags = absolute_includes(flags_of(command), command.directory);
  const auto language = language_flags(command);
  flags.insert(flags.begin(), language.begin(), language.end());
  for (const char* more : {"-w", "-Wno-error", "-Qunused-arguments"}) flags.emplace_back(more);
  for (;;) {
    std::vector<const char*> arguments;
    arguments.reserve(flags.size());
    for (const std::string& flag : flags) arguments.push_back(flag.c_str());
    CXTranslationUnit parsed = nullptr;
    // Incomplete: without instantiating templates at the end, which would take half of the time.
    const CXErrorCode code = clang_parseTranslationUnit2(
        index, command.file.c_str(), arguments.data(), static_cast<int>(arguments.size()), nullptr,
        0, CXTranslationUnit_Incomplete, &parsed);
    Unit unit(parsed, clang_disposeTranslationUnit);
    if (code != CXError_Success || !parsed)
      throw InputError(command.file, 0,
                       fs::exists(command.file) ? "cannot be parsed at the flags of the build"
                                                : "does not exist");
    std::string file = command.file;
    unsigned line = 0;
    const std::string error = first_error(parsed, file, line);
    if (error.empty()) return unit;
    // g++ has flags that clang does not know.
    if (!drop_unknown_flag(error, flags))
      throw InputError(command.file, 0,
                       std::string("cannot be parsed: ")
                           .append(file)
                           .append(":")
                           .append(std::to_string(line))
                           .append(": ")
                           .append(error));
  }
}

Findings findings_of(const CompileCommand& command, const ScanOptions& options) {
  const std::unique_ptr<void, decltype(&clang_disposeIndex)> index(clang_createIndex(0, 0),
                                                                   clang_disposeIndex);
  const Unit unit = parse(index.get(), command);
  Findings findings;
  Walker(options, findings).walk(unit.get());
  return findings;
}

void merge(Findings& all, Findings&& more) {
  for (auto& [key, entry] : more.loops) {
    const auto [at, is_new] = all.loops.try_emplace(key, entry);
    if (is_new) continue;
    Loop& loop = at->second.found.loop;
    loop.explicit_simd = loop.explicit_simd || entry.found.loop.explicit_simd;
    // As many as a register has lanes, say, for each of several instruction sets
    if (loop.trip_count != entry.found.loop.trip_count) loop.trip_count.reset();
    at->second.targets.merge(entry.targets);
  }
  for (auto& [key, function] : more.functions) {
    const auto [at, is_new] = all.functions.try_emplace(key, function);
    at->second.explicit_simd = at->second.explicit_simd || function.explicit_simd;
  }
  all.spans.merge(more.spans);
}

/// Names the instruction set that a command compiles for.
std::string target_of(const CompileCommand& command, const std::set<std::string>& highway) {
  if (highway.size() == 1) return *highway.begin();
  std::string target = "baseline";
  for (const std::string& argument : command.arguments)
    if (argument.starts_with("-march=")) target = argument.substr(7);
  return target;
}

}  // namespace

Scan scan_sources(const std::vector<CompileCommand>& commands, const ScanOptions& options) {
  Findings all;
  Scan scan;
  scan.targets.resize(commands.size());
  scan.problems.resize(commands.size());
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::map<std::size_t, std::exception_ptr> errors;
  const auto work = [&] {
    for (std::size_t i = next++; i < commands.size(); i = next++) {
      try {
        Findings findings = findings_of(commands[i], options);
        const std::scoped_lock lock(mutex);
        scan.targets[i] = target_of(commands[i], findings.targets);
        merge(all, std::move(findings));
      } catch (const InputError& error) {
        scan.problems[i] = error.what();
      } catch (...) {
        const std::scoped_lock lock(mutex);
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(1U, options.jobs); ++i) threads.emplace_back(work);
  }
  if (!errors.empty()) std::rethrow_exception(errors.begin()->second);

  std::map<std::pair<std::string, std::string>, int> numbers;  // of loops in a function
  for (auto& [key, entry] : all.loops) {
    Loop& loop = entry.found.loop;
    loop.id = loop.file + ":" + loop.function + ":" + name_of(loop.kind) + ":" +
              std::to_string(++numbers[{loop.file, loop.function}]);
    const std::size_t slash = loop.file.rfind('/');
    loop.module = slash == std::string::npos ? "." : loop.file.substr(0, slash);
    loop.driver = driver_of(loop.header, loop.function);
    loop.targets.assign(entry.targets.begin(), entry.targets.end());
  }
  for (auto& [key, entry] : all.loops) {
    if (entry.parent) entry.found.loop.parent = all.loops.at(*entry.parent).found.loop.id;
    scan.loops.push_back(entry.found);
  }
  for (auto& [key, function] : all.functions) scan.functions.push_back(function);
  for (auto& [key, span] : all.spans) scan.spans.push_back(span);
  return scan;
}

}  // namespace nablabragg::inventory
