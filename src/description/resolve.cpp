#include "model/resolve.hpp"

#include "description/doubts.hpp"
#include "description/sensors.hpp"

namespace nablabragg {

Resolved resolve(const Experiment& stated) {
  Experiment experiment = stated;
  description::settle_sensors(experiment);
  const auto refuse = [&](const description::Doubts& doubts) {
    if (!doubts.wrong.empty() && !experiment.quirks.implausible_numbers)
      throw UsageError(doubts.wrong.front());
  };
  const description::Doubts before = description::doubts_about(experiment);
  refuse(before);
  Resolved r = model::resolve(experiment);
  const description::Doubts after = description::doubts_about(experiment, r);
  refuse(after);
  // In closed form sub-pixels that are left open are as fine as each spot.
  if (!r.closed || experiment.sampling.oversample > 0)
    if (std::string sentence = description::subpixel_warning(r); !sentence.empty())
      r.warnings.push_back(std::move(sentence));
  for (const description::Doubts& doubts : {before, after}) {
    for (const std::string& sentence : doubts.wrong)
      r.warnings.push_back("Q-48: " + sentence +
                           "; it is taken all the same, and -corrected refuses it");
    r.warnings.insert(r.warnings.end(), doubts.unlikely.begin(), doubts.unlikely.end());
  }
  return r;
}

}  // namespace nablabragg
