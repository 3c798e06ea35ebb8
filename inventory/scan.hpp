// Finds the loops of a package's sources, with libclang, at the flags of the build.
#pragma once
#include <string>
#include <vector>

#include "inventory/compile_database.hpp"
#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

/// A loop, and where its header ends and its body begins.
struct FoundLoop {
  Loop loop;
  int body_line = 0, body_column = 0;
};

struct Scan {
  std::vector<FoundLoop> loops;  ///< by file, line, column; ids and parents filled
  std::vector<Function> functions;
  std::vector<TraceSpan> spans;
  std::vector<std::string> targets;   ///< of each command: Highway's, or -march, or "baseline"
  std::vector<std::string> problems;  ///< of each command: why it could not be read; empty: it was
};

struct ScanOptions {
  std::string root;                     ///< absolute; files are named relative to it
  std::vector<std::string> folders;     ///< absolute; loops of other files are left out
  std::vector<std::string> span_types;  ///< classes whose objects are spans of a trace: "Stage"
  unsigned jobs = 1;
};

/// A source that has an error is left out, and `problems` says which.
Scan scan_sources(const std::vector<CompileCommand>& commands, const ScanOptions& options);

}  // namespace nablabragg::inventory
