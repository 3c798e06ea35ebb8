#include "plugins/open_plugin.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace nablabragg::plugins {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> places(const char* name) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&places), &self) != 0)
    folders.push_back(fs::canonical(self.dli_fname, ignored).parent_path());
  folders.push_back(fs::read_symlink("/proc/self/exe", ignored).parent_path());
  std::vector<fs::path> files;
  for (const fs::path& folder : folders) {
    if (folder.empty()) continue;
    files.push_back(folder / name);
    files.push_back(folder.parent_path() / "lib" / "nablabragg" / name);
  }
  return files;
}

}  // namespace

OpenedPlugin open_plugin(const PluginFile& file) {
  OpenedPlugin opened;
  if (const char* named = std::getenv(file.variable)) {
    opened.path = named;
  } else {
    std::error_code ignored;
    for (const fs::path& place : places(file.name))
      if (opened.path.empty() && fs::exists(place, ignored)) opened.path = place;
    if (opened.path.empty()) return opened;
  }
  // Never closed: what was allocated by it may outlive everything else.
  void* library = dlopen(opened.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    opened.why_none = std::string("the plugin for ") + file.what_for +
                      " could not be opened: " + dlerror();
    return opened;
  }
  opened.entry = dlsym(library, file.entry);
  if (!opened.entry) opened.why_none = opened.path + " is no plugin of this program";
  return opened;
}

std::string of_another_version(const std::string& path) {
  return path + " belongs to another version of this program; build both anew";
}

}  // namespace nablabragg::plugins
