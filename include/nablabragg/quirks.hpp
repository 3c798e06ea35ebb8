// What nanoBragg computes that is not what its user intended, one switch each.
//
// The switches are read while a description becomes a Plan (and by the file readers);
// the pixel loop never sees them.  docs/differences.md describes every one for users; the
// identifiers Q-nn are its headings.
#pragma once
#include <span>
#include <string_view>

namespace nablabragg {

/// All false: the physically right form.  All true: nanoBragg's image, bug for bug.
struct Quirks {
  bool triclinic_c_star = false;       ///< Q-01 c* gets a wrong z component, so cell angles drift
  bool running_products = false;       ///< Q-02 -oversample_* multiply the whole sum, not the term
  bool last_layer_capture = false;     ///< Q-03 layers are summed, then scaled by the last layer's
                                       ///< capture
  bool water_scaled_twice = false;     ///< Q-04 r_e^2 x fluence twice, divided by the steps
  bool curved_about_lab_axes = false;  ///< Q-05 the curved detector bends about lab y and z
  bool ratio_without_two_theta = false;      ///< Q-06 distances and beam centres after two-theta
  bool convention_forces_pivot = false;      ///< Q-07 -pivot counts only with custom vectors
  bool two_theta_axis_is_two_theta = false;  ///< Q-08 -twotheta_axis also sets two-theta; axis not
                                             ///< normalised
  bool pix0_ignored = false;                 ///< Q-09 the numbers of -pix0_vector have no effect
  bool beam_centre_needs_pivot = false;   ///< Q-10 beam-centre flags act only where the pivot uses
                                          ///< them
  bool custom_normal_kept = false;        ///< Q-11 custom vectors keep the normal (1,0,0)
  bool random_misset_90_radians = false;  ///< Q-14 random orientation: rotation by up to 90 radians
  bool interpolation_from_flags = false;  ///< Q-18 decided from -N, before the crystal size is
                                          ///< known
  bool source_weights_ignored = false;    ///< Q-19 every source counts the same
  bool interpolation_latch = false;       ///< Q-20 off for the rest of the run at the first miss
  bool header_keys_by_substring = false;  ///< Q-24 the last text that contains the key; TWOTHETA
                                          ///< ignored
  bool unnamed_files = false;  ///< Q-25, Q-34 cache read and outputs written without being named
  bool first_value_factors = false;  ///< Q-29 first sub-pixel's and source's factors stand for all
  bool one_sided_grids = false;      ///< Q-30 divergence grids start at -range/2 and may stop short
  bool volume_scaled_spots = false;  ///< Q-31 gauss and top-hat widths scale with Na*Nb*Nc
  bool point_pixel_without_area = false;    ///< Q-32 -point_pixel drops the pixel area
  bool image_header_wins = false;           ///< Q-35 -img beats -mask in any order
  bool oversample_polar_polarizes = false;  ///< Q-37 -oversample_polar cancels -nopolar
  bool default_beam_centre_offset = false;  ///< Q-39 default beam centres off the middle
  bool statistics_count_masked = false;     ///< Q-41 rmsd counts masked pixels; solid angle sum
  bool shared_random_stream = false;        ///< Q-42 nanoBragg's generator, shared by all streams
  bool cache_without_default = false;  ///< Q-43 default_F does not fill a grid read from a cache
  bool phi_at_slice_start = false;     ///< Q-45 phi steps at the start of their slices
  bool clip_by_default_beam = false;   ///< Q-46 crystal clipped by a beam size nobody gave
  bool implausible_numbers = false;    ///< Q-48 numbers without sense are taken, with a notice
  bool cells_by_last_bit = false;  ///< Q-49 a length that is a multiple of an edge counts one cell
                                   ///< more or not by the last bit of a quotient
  bool any_cost = false;           ///< Q-51 automatic oversampling, however long it takes
  bool short_smv_header = false;   ///< Q-47 DIALS_ORIGIN without semicolon, long headers unpadded

  static constexpr Quirks corrected() { return {}; }
  static Quirks compat();

  friend bool operator==(const Quirks&, const Quirks&) = default;
};

/// How the two modes treat a difference.
enum class QuirkPolicy {
  reproduced,           ///< compat does as nanoBragg does
  reproduced_and_said,  ///< the same, and one line on stderr when it touches the run
  right_in_both,        ///< nanoBragg's result is undefined or can never be wanted
  error_in_both         ///< nanoBragg crashes or reads rubbish
};

struct QuirkEntry {
  std::string_view id;
  std::string_view title;
  QuirkPolicy policy;
  bool Quirks::*member;        ///< the switch; null where both modes do the same
  std::string_view compat;     ///< what compat mode does
  std::string_view corrected;  ///< what corrected mode does
};

/// Every known difference, in the order of the identifiers.
std::span<const QuirkEntry> quirk_catalogue();

}  // namespace nablabragg
