// What a simulation settles and says before it begins, whether it makes one image or a series.
#pragma once
#include <ostream>
#include <string>
#include <vector>
#include "cli/profile.hpp"
#include "flags/request.hpp"
#include "io/smv_header.hpp"  // for SmvProvenance
#include "nablabragg/resolved.hpp"
#include "plan/plan.hpp"

namespace nablabragg::cli {

struct SetUp {
  Resolved resolved;
  Plan plan;
  std::string cost;  ///< what costly_oversampling() says, where the mode lets it pass
};

/// Of a request that has its inputs.  Throws UsageError for what is no experiment and for one that
/// would take too long, and OutputError before any work is done.
SetUp set_up(const flags::Request& request, Profile* profile);

/// What was decided for the user goes to `err`, nanoBragg's lines to `summary`.
void say_set_up(std::ostream& summary, std::ostream& err, const flags::Request& request,
                const SetUp& set_up);

/// What a corrected run writes into its images of how it was made; nanoBragg's say nothing.
io::SmvProvenance provenance(const flags::Request& request,
                             const std::vector<std::string>& arguments);

/// Where the summary goes: nowhere if nobody wants it, to `err` where a file goes to standard
/// output.
class SummaryStream {
 public:
  SummaryStream(const flags::Request& request, std::ostream& out, std::ostream& err);
  std::ostream& get() { return quiet_ ? nowhere_ : taken_ ? *err_ : *out_; }
  /// What was asked for and is no summary.
  std::ostream& printout() { return taken_ ? *err_ : *out_; }

 private:
  bool quiet_, taken_;
  std::ostream nowhere_{nullptr};
  std::ostream *out_, *err_;
};

}  // namespace nablabragg::cli
