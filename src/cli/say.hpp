// Sentences for standard error, each on a line of its own whatever the names in it hold.
#pragma once
#include <ostream>
#include <string>
#include <vector>
#include "io/quotes.hpp"

namespace nablabragg::cli {

inline void say(std::ostream& err, const std::string& sentence) {
  // At once: other processes may write to the same terminal.
  err << ("nablabragg: " + io::printable(sentence) + '\n');
}

inline void say(std::ostream& err, const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) say(err, sentence);
}

}  // namespace nablabragg::cli
