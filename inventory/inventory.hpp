// What there is to know of every loop of a package: where it stands, what the compilers made of it,
// and what follows.  docs/vectorization.md describes the file it is kept in, loop_inventory.json.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace nablabragg::inventory {

enum class LoopKind { for_loop, range_for, while_loop, do_loop, algorithm, parallel };

/// What a loop goes over, guessed from the words of its header.
enum class Driver { pixel, sub_pixel, layer, source, phi, domain, reflection, file, other };

enum class LoopClass { vectorized, cold, todo, uncertain };

/// What a compiler said of the loop in all places where it put it: a loop of a template or of an
/// inlined function is compiled several times.
struct Verdict {
  std::string target;                ///< instruction set or compile flags' name: "avx2"
  std::string compiler;              ///< "g++", "clang++"
  int vectorized = 0, missed = 0;    ///< places
  int width = 0;                     ///< lanes (clang) of the widest; 0: not reported
  int bytes = 0;                     ///< of the widest vector (g++); 0: not reported
  int interleave = 0;                ///< 0: not reported
  std::vector<std::string> reasons;  ///< why it was missed: the three most frequent ones
  bool operator==(const Verdict&) const = default;
};

struct Loop {
  std::string id;      ///< file:function:kind:number; the same while lines above it come and go
  std::string parent;  ///< id of the loop around it in the same function; empty: none
  std::string module;  ///< folder of the file
  std::string file;    ///< relative to the root
  int line = 0, column = 0, end_line = 0, end_column = 0;
  LoopKind kind = LoopKind::for_loop;
  std::string callee;  ///< of algorithms and parallel calls: "std::sort"
  std::string function;
  int depth = 0;  ///< loops around it in its function
  std::string header;
  Driver driver = Driver::other;
  std::optional<long> trip_count;    ///< where it is constant
  bool explicit_simd = false;        ///< its body computes with vector types
  std::vector<std::string> targets;  ///< of SIMD code: compiled once for each
  std::vector<Verdict> verdicts;
  LoopClass loop_class = LoopClass::uncertain;
  std::string rule;    ///< of docs/vectorization.md, or "annotation"
  std::string reason;  ///< in words
  bool operator==(const Loop&) const = default;
};

/// A function with a body.  Code of an explicit_simd function counts as vectorised outside its
/// loops, too.
struct Function {
  std::string name, file;
  int line = 0, end_line = 0;
  bool explicit_simd = false;
  bool operator==(const Function&) const = default;
};

/// `Stage stage(profile, "write ")`: names in our Chrome trace, and the lines they last for.
struct TraceSpan {
  std::string name, file;
  int line = 0, end_line = 0;  ///< to the end of the scope
  bool operator==(const TraceSpan&) const = default;
};

/// A source that was not read, or a compiler that could not be asked about it.
struct Unread {
  std::string file, reason;
  bool operator==(const Unread&) const = default;
};

struct Inventory {
  std::string package;                 ///< relative to the root
  std::vector<std::string> compilers;  ///< asked, the build's first
  std::vector<Loop> loops;             ///< by file, line, column
  std::vector<Function> functions;
  std::vector<TraceSpan> spans;
  std::vector<Unread> unread;
  bool operator==(const Inventory&) const = default;
};

const char* name_of(LoopKind kind);
const char* name_of(Driver driver);
const char* name_of(LoopClass loop_class);

/// Of loop_inventory.json, "version": a reader refuses others.
inline constexpr int schema_version = 1;

std::string to_json(const Inventory& inventory);

/// Throws InputError, naming `file`, for what is no inventory of this version.
Inventory read_inventory(const std::string& file);

}  // namespace nablabragg::inventory
