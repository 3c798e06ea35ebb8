#include "engine/cuda/open_device.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <vector>

#include "nablabragg/error.hpp"

namespace nablabragg::engine::cuda {

namespace {

namespace fs = std::filesystem;

constexpr const char *file_name = "libnablabragg_cuda.so", *variable = "NABLABRAGG_CUDA_PLUGIN";

/// Beside the program or the Python module, or where packages have what a program opens.
std::vector<fs::path> places() {
  std::vector<fs::path> folders;
  std::error_code ignored;
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&places), &self) != 0)
    folders.push_back(fs::canonical(self.dli_fname, ignored).parent_path());
  folders.push_back(fs::read_symlink("/proc/self/exe", ignored).parent_path());
  std::vector<fs::path> files;
  for (const fs::path& folder : folders) {
    if (folder.empty()) continue;
    files.push_back(folder / file_name);
    files.push_back(folder.parent_path() / "lib" / "nablabragg" / file_name);
  }
  return files;
}

struct OpenPlugin {
  const Plugin* plugin = nullptr;
  std::string why_none;
};

OpenPlugin open_plugin() {
  fs::path path;
  if (const char* named = std::getenv(variable)) {
    path = named;
  } else {
    std::error_code ignored;
    for (const fs::path& place : places())
      if (path.empty() && fs::exists(place, ignored)) path = place;
    if (path.empty())
      return {nullptr, std::string("this program was installed without ") + file_name +
                           ", which drives GPUs (build it where nvcc is found, docs/gpu.md); "
                           "-device cpu does without it"};
  }
  // Never closed: what was allocated by it may outlive everything else.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return {nullptr, "the plugin for GPUs could not be opened: " + std::string(dlerror())};
  void* entry = dlsym(library, plugin_entry);
  if (!entry) return {nullptr, path.string() + " is no plugin of this program"};
  const Plugin* plugin = reinterpret_cast<const Plugin* (*)()>(entry)();
  if (plugin->version != plugin_version)
    return {nullptr,
            path.string() + " belongs to another version of this program; build both anew"};
  return {plugin, {}};
}

const OpenPlugin& the_plugin() {
  static const OpenPlugin opened = open_plugin();
  return opened;
}

using Opening = std::shared_future<std::shared_ptr<OpenDevice>>;

/// Launched once for each device.
Opening opening_of(int index) {
  static std::mutex guard;
  static std::map<int, Opening> openings;
  const std::lock_guard lock(guard);
  Opening& opening = openings[index];
  if (!opening.valid())
    opening = std::async(std::launch::async, [index] {
                auto opened = std::make_shared<OpenDevice>();
                opened->plugin = the_plugin().plugin;
                opened->device = opened->plugin->open(index);
                return opened;
              }).share();
  return opening;
}

}  // namespace

std::string why_no_device(int index) {
  const OpenPlugin& opened = the_plugin();
  if (!opened.plugin) return opened.why_none;
  std::string why_none;
  const int count = opened.plugin->count(why_none);
  if (index >= 0 && index < count) return {};
  if (count == 0)
    return "no GPU that CUDA knows is at hand" + (why_none.empty() ? "" : " (" + why_none + ")") +
           "; -device cpu does without one";
  return "there is no GPU cuda:" + std::to_string(index) + "; this machine has " +
         (count == 1 ? "one, cuda:0"
                     : std::to_string(count) + ", cuda:0 to cuda:" + std::to_string(count - 1));
}

std::shared_ptr<OpenDevice> open_device(int index) {
  if (const std::string reason = why_no_device(index); !reason.empty()) throw UsageError(reason);
  return opening_of(index).get();
}

void begin_opening(int index) {
  if (why_no_device(index).empty()) opening_of(index);
}

}  // namespace nablabragg::engine::cuda
