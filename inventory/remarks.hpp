// What compilers say of the loops they vectorised or not: clang's optimization records and g++'s
// -fopt-info-vec-all.
#pragma once
#include <string>
#include <vector>

#include "inventory/compile_database.hpp"

namespace nablabragg::inventory {

struct Remark {
  std::string file;  ///< absolute
  int line = 0, column = 0;
  bool vectorized = false;
  int width = 0, interleave = 0;  ///< lanes and copies (clang); 0: not reported
  int bytes = 0;                  ///< of a vector (g++); 0: not reported
  std::string reason;             ///< why not
  bool operator==(const Remark&) const = default;
};

/// Of YAML as -fsave-optimization-record writes it.  Relative names are taken from `directory`.
/// Throws InputError, naming `file`, for what is no such record.
std::vector<Remark> read_clang_record(const std::string& file, const std::string& directory);

/// Of the lines that -fopt-info-vec-all or -vec-optimized-missed writes.  Throws InputError when
/// there is no such file.
std::vector<Remark> read_gcc_record(const std::string& file, const std::string& directory);

enum class CompilerKind { gcc, clang, other };

struct Compiler {
  std::string program;  ///< "/usr/bin/c++"
  std::string name;     ///< "g++", "clang++", or the program's
  std::string version;  ///< "g++ 12.2.0"
  CompilerKind kind = CompilerKind::other;
};

/// By what its --version says.  Throws InputError when it does not answer.
Compiler compiler_of(const std::string& program);

/// What it was asked for and how: a line of commands.txt.
struct RemarksOfUnit {
  std::vector<Remark> remarks;
  std::string command;  ///< what made them, for a shell
};

/// The remarks of one compile command, by `compiler`.  They are the build's own where it writes
/// them (-fopt-info-vec...=FILE or -fsave-optimization-record among its flags) and the source is no
/// younger; else the compiler runs with the same flags, and what it says is kept in `folder` until
/// a source changes.
/// Throws InputError, naming the source and the log, when it does not compile.
RemarksOfUnit remarks_of(const CompileCommand& command, const Compiler& compiler,
                         const std::string& folder);

/// If a compiler's complaint names a flag that it does not know: takes that flag out of `flags`.
bool drop_unknown_flag(const std::string& complaint, std::vector<std::string>& flags);

}  // namespace nablabragg::inventory
