// Which loop a compiler's remark is about.
#pragma once
#include <string>
#include <vector>

#include "inventory/remarks.hpp"
#include "inventory/scan.hpp"

namespace nablabragg::inventory {

/// Adds what `compiler` said when it compiled for `target`.  A remark belongs to the innermost loop
/// in whose header it lies (clang names the keyword, g++ the condition), else to the innermost
/// around it.  `loops` are by file, line and column; `root` is where their names are relative to.
/// Returns how many remarks on files of the loops fit none.
int add_verdicts(std::vector<FoundLoop>& loops, const std::vector<Remark>& remarks,
                 const std::string& root, const std::string& target, const std::string& compiler);

/// Leaves of each verdict's reasons the three most frequent ones, each once.
void rank_reasons(std::vector<FoundLoop>& loops);

}  // namespace nablabragg::inventory
