// What of a plan is on a GPU, and by which kernels it is computed.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "engine/closed/closed_plan.hpp"
#include "engine/cpu/cpu_plan.hpp"
#include "engine/cuda/device.hpp"
#include "engine/cutoff.hpp"
#include "nablabragg/simulate.hpp"  // for ComputeOptions

namespace nablabragg::engine::cuda {

inline Lookup lookup_of(const PlanLattice& lattice) {
  return lattice.tricubic ? Lookup::tricubic : lattice.grid ? Lookup::nearest : Lookup::constant;
}

/// The spots of a panel in closed form: those of one precision.
struct SpotArrays {
  DeviceClosed closed;
  double steps_of_pixel = 0;  ///< sub-pixels of all spots at a pixel, on the mean
  DeviceArray<DeviceSpot<float>> single;
  DeviceArray<DeviceSpot<double>> wide;
  DeviceArray<std::size_t> starts;
  DeviceArray<std::uint32_t> numbers;
};

struct DevicePanel {
  std::size_t number;
  DevicePlan plan;
  Method method;
  std::string reason;  ///< of the method
  DeviceArray<unsigned char> keep;
  DeviceArray<Beam> beams;
  DeviceArray<BandRay> band_rays;
  DeviceArray<BandBin> band_bins;
  std::optional<SpotArrays> spots;  ///< empty: step by step
};

/// Uploaded when it is first asked for, and kept while it stays the same.
class DeviceContents {
 public:
  /// All of them must outlive it.
  DeviceContents(const Plan& plan, const ComputeOptions& options, Device& device)
      : plan_(plan), options_(options), device_(device) {}

  /// What the processor's threads have to do for a plan in closed form.  Other plans ask for
  /// nothing.
  void find_spots();
  const ClosedPlan& found_spots() const { return found_; }

  /// Of images, all panels, once the spots are found.
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
  DevicePanel panel_of(std::size_t number) const;
  DevicePanel device_panel(std::size_t number, bool for_gradients);
  DevicePanel closed_panel(std::size_t number) const;
  template <class Real>
  DeviceSpots<Real> load_spots(std::size_t number, DeviceArray<DeviceSpot<Real>>& spots,
                               SpotArrays& arrays) const;
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
  ClosedPlan found_;
  bool has_found_ = false;
  std::vector<DevicePanel> panels_, gradient_panels_;
};

DeviceCutoff device_cutoff(const InterpolationCutoff& cutoff, const Plan& plan, std::size_t panel);

}  // namespace nablabragg::engine::cuda
