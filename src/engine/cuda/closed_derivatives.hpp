// The derivatives of the cuda engine in closed form: launches, and from their sums to the spots and
// the adjoint of a plan.
#pragma once
#include <span>
#include "engine/cuda/device_contents.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/engine.hpp"

namespace nablabragg::engine::cuda {

class ClosedDerivatives {
 public:
  /// All of them must outlive it; the device is the caller's in the meantime, the contents are
  /// prepared.
  ClosedDerivatives(const Plan& plan, const ComputeOptions& options, OpenDevice& opened,
                    const DeviceContents& contents)
      : plan_(plan),
        options_(options),
        opened_(opened),
        contents_(contents),
        found_(contents.found_spots()) {}

  /// As those of Loaded.
  PlanGradient pull_back(const Pixels& pixels, std::span<const double> weights);
  void push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, std::span<double> photons,
                    std::span<double> slopes);

 private:
  struct PanelSums;
  class SpotTangents;

  Device& device() const { return *opened_.device; }
  ClosedGradientJob job_of(std::size_t panel, const DevicePixels& pixels) const;
  std::size_t bytes_of_light(const ClosedGradientJob& job) const;
  int pixels_at_once(std::size_t panel) const;
  void pull_back_rows(std::size_t panel, const DevicePixels& rows, std::span<const double> weights,
                      PanelSums& sums) const;
  void pull_back_spots(ClosedGradientJob& job, std::size_t panel, PanelSums& sums) const;

  const Plan& plan_;
  const ComputeOptions& options_;
  OpenDevice& opened_;
  const DeviceContents& contents_;
  const ClosedPlan& found_;
};

}  // namespace nablabragg::engine::cuda
