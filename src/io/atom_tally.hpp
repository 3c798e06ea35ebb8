// Counting atoms for a sentence.  C++17, as everything that includes gemmi.
#pragma once
#include <gemmi/model.hpp>  // for Atom, Residue
#include <string>
#include <vector>
#include "io/crystal_model.hpp"

namespace nablabragg::io {

/// Counts what is told once for all atoms that it happens to.
class AtomTally {
 public:
  void add(const gemmi::Residue& residue, const gemmi::Atom& atom, const std::string& detail = {}) {
    if (count_++ == 0) first_ = name_of(residue, atom) + (detail.empty() ? "" : ", " + detail);
  }
  /// "3 atoms lie TEXT; the first: ZN of ZN 1"
  void tell(std::vector<std::string>& notes, const std::string& of_one, const std::string& of_many,
            const std::string& text) const {
    if (count_ > 0)
      notes.push_back(std::to_string(count_) + (count_ == 1 ? of_one : of_many) + text +
                      (count_ == 1 ? ": " : "; the first: ") + first_);
  }

 private:
  int count_ = 0;
  std::string first_;
};

}  // namespace nablabragg::io
