#include "engine/cuda/open_device.hpp"

#include <future>
#include <map>
#include <mutex>

#include "nablabragg/error.hpp"
#include "plugins/open_plugin.hpp"

namespace nablabragg::engine::cuda {

namespace {

struct OpenPlugin {
  const Plugin* plugin = nullptr;
  std::string why_none;
};

OpenPlugin open_plugin() {
  constexpr plugins::PluginFile file{"libnablabragg_cuda.so", "NABLABRAGG_CUDA_PLUGIN",
                                     plugin_entry, "GPUs"};
  const plugins::OpenedPlugin opened = plugins::open_plugin(file);
  if (opened.path.empty())
    return {nullptr, std::string("this program was installed without ") + file.name +
                         ", which drives GPUs (build it where nvcc is found, docs/gpu.md); "
                         "-device cpu does without it"};
  if (!opened.entry) return {nullptr, opened.why_none};
  const Plugin* plugin = reinterpret_cast<const Plugin* (*)()>(opened.entry)();
  if (plugin->version != plugin_version) return {nullptr, plugins::of_another_version(opened.path)};
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
                opened->index = index;
                opened->plugin = the_plugin().plugin;
                opened->device = opened->plugin->open(index);
                return opened;
              }).share();
  return opening;
}

}  // namespace

int device_count() {
  std::string ignored;
  return the_plugin().plugin ? the_plugin().plugin->count(ignored) : 0;
}

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
