#include "engine/engine.hpp"
#include "engine/threads.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::engine {

std::span<const Engine* const> engines() {
  static const Engine* const all[] = {&reference_engine(), &cpu_engine()};
  return all;
}

const Engine& engine_of(nablabragg::Engine id) {
  for (const Engine* engine : engines())
    if (engine->id() == id) return *engine;
  throw UsageError("this program has no such engine");
}

std::unique_ptr<Loaded> load(const Plan& plan, const ComputeOptions& options) {
  check_threads(options.threads);
  const Engine& engine = engine_of(options.engine);
  if (const std::string reason = engine.why_not(plan, options.precision); !reason.empty())
    throw UsageError(reason);
  return engine.load(plan, options);
}

}  // namespace nablabragg::engine
