// From what is known of a loop to its class.  docs/vectorization.md has the rules by their names.
#pragma once
#include <string>
#include <vector>

#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

/// What people know and the rules do not.
struct Annotations {
  struct OfLoops {
    std::string id;  ///< * stands for anything
    LoopClass loop_class = LoopClass::uncertain;
    std::string reason;
  };
  struct OfFolder {
    std::string path, reason;  ///< files below it are cold by design
  };
  std::vector<OfLoops> loops;
  std::vector<OfFolder> cold;
  std::vector<std::string> span_types;
};

/// Reads the YAML file that docs/vectorization.md describes.  Throws InputError, naming file and
/// line, for what is none: a class that there is not, a reason that is missing.
Annotations read_annotations(const std::string& file);

/// Gives every loop its class, the rule that gave it and the reason.  Returns the annotations, ids
/// and folders, that fit no loop: they are out of date.
std::vector<std::string> classify(Inventory& inventory, const Annotations& annotations);

/// Does `text` fit `pattern`, in which * stands for any characters?
bool fits(const std::string& pattern, const std::string& text);

}  // namespace nablabragg::inventory
