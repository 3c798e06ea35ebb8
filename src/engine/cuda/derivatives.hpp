// The derivatives of the cuda engine: launches, and from their sums to the adjoint of a plan.
#pragma once
#include <span>
#include <string>
#include <vector>
#include "engine/cuda/device_contents.hpp"
#include "engine/cuda/open_device.hpp"
#include "engine/engine.hpp"

namespace nablabragg::engine::cuda {

class CudaDerivatives {
 public:
  /// All of them must outlive it; the device is the caller's in the meantime.
  CudaDerivatives(const Plan& plan, const ComputeOptions& options, OpenDevice& opened,
                  const DeviceContents& contents, const InterpolationCutoff& cutoff)
      : plan_(plan), options_(options), opened_(opened), contents_(contents), cutoff_(cutoff) {}

  /// Why a plan has none here; empty: it has.
  static std::string why_not(const Plan& plan);

  /// As those of Loaded.
  PlanGradient pull_back(const Pixels& pixels, std::span<const double> weights);
  void push_forward(const Pixels& pixels, std::span<const Plan* const> tangents,
                    const StructureFactorGrid* table_tangent, std::span<double> photons,
                    std::span<double> slopes);

 private:
  Device& device() const { return *opened_.device; }
  template <class Work>
  void for_each_part(const Pixels& pixels, Work&& work);
  template <class Work>
  void for_each_range(GradientJob& job, Work&& work) const;
  double table_scale(const DevicePanel& panel, double weight) const;
  void add_sums(const DevicePanel& panel, const GradientJob& job, std::span<const double> sums,
                PlanGradient& total) const;

  const Plan& plan_;
  const ComputeOptions& options_;
  OpenDevice& opened_;
  const DeviceContents& contents_;
  const InterpolationCutoff& cutoff_;
};

}  // namespace nablabragg::engine::cuda
