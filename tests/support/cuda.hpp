// The cuda engine on a card or on the host stand-in (tests/device/on_cpu).
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "engine/cuda/open_device.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg::test {

inline ComputeOptions cuda_engine(Precision precision = Precision::float32,
                                  const char* device = "cuda") {
  ComputeOptions options;
  EXPECT_TRUE(choose_engine(device, options));
  options.precision = precision;
  return options;
}

/// For the life of the object the stand-in finds this in its environment.
class StandIn {
 public:
  StandIn(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~StandIn() { unsetenv(name_); }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

 private:
  const char* name_;
};

inline std::shared_ptr<engine::cuda::OpenDevice> first_device() {
  return engine::cuda::open_device(0);
}
inline bool is_stand_in() { return first_device()->device->name().rfind("no GPU", 0) == 0; }

}  // namespace nablabragg::test
