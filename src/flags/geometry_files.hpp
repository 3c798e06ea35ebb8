// -expt, -detector, and the -img that is no SMV image: what states the panels, and beam, spindle
// and crystal with them.  Applied before any flag.
#pragma once
#include <optional>
#include <span>
#include <string>
#include "flags/flags.hpp"    // for FlagUse
#include "flags/request.hpp"  // for Request
#include "nablabragg/geometry.hpp"

namespace nablabragg::flags {

/// Whether the file of an -img or -mask has an SMV header, or cannot be looked at without using it
/// up (a pipe).
bool is_smv_image(const FlagUse& use);

/// One of these flags, where it was given.
class StatedGeometry {
 public:
  /// Reads it and applies what it states.  Throws UsageError for two of them and in compat mode for
  /// what nanoBragg's detector cannot be, InputError for a file that states no geometry.
  StatedGeometry(std::span<const FlagUse> uses, Request& request);

  /// Once all flags are applied.  Throws UsageError for a flag that states what the geometry does.
  void check(Request& request) const;

 private:
  void apply_preset(Request& request);
  void apply_placed(Request& request);
  void apply_mask(Request& request) const;
  std::optional<double> distance_mm() const;
  [[noreturn]] void refuse(const FlagUse& flag) const;

  std::span<const FlagUse> uses_;
  const FlagUse* use_ = nullptr;    ///< null: none was given
  std::optional<Geometry> placed_;  ///< panels with places; empty: one panel of a certain size
  std::string name_;                ///< of the file or the preset
};

}  // namespace nablabragg::flags
