// The loops and functions of an inventory by place: which of them lie around a line.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "inventory/inventory.hpp"

namespace nablabragg::inventory {

class SourceMap {
 public:
  explicit SourceMap(const Inventory& inventory);

  /// Of a path as compilers write it, which may be absolute; -1: no file of the inventory.
  int file_number(std::string_view path) const;
  /// Numbers of Inventory::loops, the innermost first.
  const std::vector<int>& loops_at(int file, int line) const;
  /// The innermost; of Inventory::functions; -1: none.
  int function_at(int file, int line) const;

 private:
  struct Lines {
    std::string path;
    std::vector<std::vector<int>> loops;  // by line
    std::vector<int> functions;           // by line
  };
  std::vector<Lines> files_;
  std::unordered_map<std::string, std::vector<int>> by_name_;  // last part of the path
};

}  // namespace nablabragg::inventory
