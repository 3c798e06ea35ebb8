// What of a plan is on a GPU, and by which kernels it is computed.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "engine/cpu/cpu_plan.hpp"
#include "engine/cuda/device.hpp"
#include "engine/cutoff.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions

namespace nablabragg::engine::cuda {

inline Lookup lookup_of(const PlanLattice& lattice) {
  return lattice.tricubic ? Lookup::tricubic : lattice.grid ? Lookup::nearest : Lookup::constant;
}

struct DevicePanel {
  std::size_t number;
  DevicePlan plan;
  Method method;
  std::string reason;  ///< of the method
  DeviceArray<unsigned char> keep;
  DeviceArray<Beam> beams;
  DeviceArray<BandRay> band_rays;
  DeviceArray<BandBin> band_bins;
};

/// Uploaded when it is first asked for, and kept while it stays the same.
class DeviceContents {
 public:
  /// All of them must outlive it.
  DeviceContents(const Plan& plan, const ComputeOptions& options, Device& device)
      : plan_(plan), options_(options), device_(device) {}

  /// Of images, all panels.
  void prepare();
  const DevicePanel& panel(std::size_t number) const { return panels_[number]; }
  /// The same for gradients, whose kernels take phases in double precision.
  void prepare_gradients();
  const DevicePanel& gradient_panel(std::size_t number) const { return gradient_panels_[number]; }

  /// Of a panel, without pixels, cutoff and pairs.
  Job job_of(const DevicePanel& panel) const;

  void forget_light();
  void forget_lattice(bool same_table);

 private:
  void prepare_arrays();
  void load_materials();
  DevicePanel device_panel(std::size_t number, bool for_gradients);
  void load_bands(const CpuPlan& of_cpu, DevicePanel& panel) const;
  void choose_method(const CpuPlan& of_cpu, DevicePanel& panel) const;
  std::string why_no_fixed_point(const CpuPlan& of_cpu) const;

  const Plan& plan_;
  const ComputeOptions& options_;
  Device& device_;
  std::optional<SingleTable> table_;
  DeviceArray<float> F_;
  DeviceArray<double> grid_;
  DeviceArray<PlanRay> rays_;
  DeviceArray<Mat3d> orientations_;
  DeviceArray<MaterialView> materials_;
  std::vector<DeviceArray<double>> material_numbers_;  ///< that they point to
  std::vector<DeviceArray<PathPoint>> path_points_;
  std::vector<DevicePanel> panels_, gradient_panels_;
};

DeviceCutoff device_cutoff(const InterpolationCutoff& cutoff, const Plan& plan, std::size_t panel);

}  // namespace nablabragg::engine::cuda
