// Shared objects of this program that it opens only where they are asked for, so that it runs where
// the libraries that they need are missing.
#pragma once
#include <string>

namespace nablabragg::plugins {

struct PluginFile {
  const char* name;      ///< "libnablabragg_cuda.so"
  const char* variable;  ///< of the environment, which may name another file
  const char* entry;     ///< the function that it exports
  const char* what_for;  ///< "GPUs": it is "the plugin for GPUs"
};

struct OpenedPlugin {
  void* entry = nullptr;  ///< the function
  std::string path;       ///< of the file; empty: there is none, and `why_none` is empty, too
  std::string why_none;   ///< where there is one that cannot be opened
};

/// It is looked for beside the program or the Python module, and where packages have what a program
/// opens.  What is opened stays open.
OpenedPlugin open_plugin(const PluginFile& file);

/// "... belongs to another version of this program".
std::string of_another_version(const std::string& path);

}  // namespace nablabragg::plugins
