// What a command line asks for: an experiment, the files it still needs, and what to write.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/background.hpp"
#include "nablabragg/detector_response.hpp"
#include "nablabragg/experiment.hpp"
#include "nablabragg/picture.hpp"   // for PictureStyle
#include "nablabragg/simulate.hpp"  // for Engine, Precision, ComputeOptions
#include "nablabragg/spectra.hpp"   // for Spectra, SpectrumUnit

namespace nablabragg::flags {

enum class TraceFormat { table, json };

/// An output file that has a default name and can be turned off (nanoBragg writes them unasked).
struct OutputName {
  std::string name;
  bool named = false;  ///< by the user
  bool on = true;

  void set(const std::string& given) {
    name = given;
    named = on = true;
  }
};

struct Request {
  Experiment experiment;

  // Flags that mean something only together with others
  std::optional<Pivot> pivot_flag;     ///< -pivot
  std::optional<Pivot> implied_pivot;  ///< by the last flag that measures from beam spot or near
                                       ///< point
  Pivot parsed_pivot = Pivot::beam;    ///< as nanoBragg's parser leaves it
  std::optional<Vec3d> fast_axis, slow_axis, normal, beam, polarization_axis, spindle,
      two_theta_axis, origin_m;
  bool pix0_given = false;
  bool random_misset = false;
  std::optional<std::int64_t> seed, misset_seed;
  bool source_wavelength_from_cli = false;
  bool wavelength_given = false;  ///< by -lambda, -energy or a header
  bool cell_follows_hkl = false;  ///< the last -cell stands behind the last -hkl
  std::optional<int> panel;       ///< of the flags of one panel that follow

  // Files to read
  std::string matrix_file, hkl_file, hkl_column, source_file, image_file, mask_file, geometry_file,
      spectrum_file;
  std::optional<SpectrumUnit> spectrum_unit;
  std::optional<int> spectrum_channels;
  std::string spectra_file;  ///< FILE or FILE:/path/of/weights, a shot for each image
  ShotLight shot_light = ShotLight::relative;
  bool lists_sources() const {
    return !source_file.empty() || !spectrum_file.empty() || !spectra_file.empty();
  }
  std::vector<std::string> stol_files;
  /// -hkl is an atomic model, whose structure factors are calculated to this resolution.
  std::optional<double> model_dmin_A;
  bool anomalous = true;                                ///< they follow the energy of the light
  std::map<std::string, std::string> dispersion_files;  ///< of f' and f'', by element

  // Matter in the beam
  struct Background {
    std::string file;
    double thickness_mm, density_g_cm3, molar_mass;
    std::string compton;  ///< a formula, or "included"; empty: nothing is said
  };
  std::vector<Background> backgrounds;
  std::optional<MaterialInterpolation> background_interpolation;
  std::optional<std::array<double, 2>> gas_path_mm;
  GasState gas;
  IceRings ice;
  /// A flag that means something only with -background, -air and -ice.
  std::string background_part, gas_part, ice_part;

  std::string cache_file = "Fdump.bin";
  bool cache_named = false, cache_allowed = true, writes_cache = false;
  /// Read without -hkl, written with it.  Corrected runs have only one that is named.
  bool may_use_cache() const {
    return cache_allowed && (cache_named || experiment.quirks.unnamed_files);
  }

  // Files to write
  OutputName float_file{"floatimage.bin"}, int_file{"intimage.img"}, pgm_file{"image.pgm"},
      noise_file{"noiseimage.img"};
  double int_scale = 0, pgm_scale = 0, adc = 40;
  std::string png_file, truth_file;
  PictureStyle picture;
  std::vector<std::string> output_files;  ///< of -o, in formats that their names tell
  std::string compression;                ///< of those that have a choice; empty: their own
  bool png_of_noise = false;

  // What the detector makes of the photons
  DetectorResponse response;
  bool responds = false;              ///< -response was given
  std::optional<double> psf_fwhm_um;  ///< of -psf, whichever comes first
  std::string calibration_map_file, gain_map_file;
  std::string response_part;  ///< a flag that means something only with it
  /// Empty: photons are counted as they are.
  std::optional<DetectorResponse> stated_response() const {
    return responds ? std::optional(response) : std::nullopt;
  }

  // Several images
  std::optional<int> images;
  std::string orientations;                ///< FILE or random:SEED; empty: a scan
  std::vector<Vec3d> missets_deg;          ///< that load_inputs() read there
  std::shared_ptr<const Spectra> spectra;  ///< likewise; null where all images have one light
  double beam_jitter_mrad = 0;
  bool goes_on = false;  ///< with a series that was interrupted
  bool is_series() const {
    return images || !orientations.empty() || !spectra_file.empty() || goes_on;
  }

  // Running
  int threads = 0;
  Engine engine = ComputeOptions{}.engine;
  int device = 0;                      ///< which GPU
  std::optional<Precision> precision;  ///< as named by the user
  std::optional<double> skip_below;    ///< empty: as ComputeOptions has it
  std::string profile_file;
  bool progress = true, quiet = false;
  bool printout = false, print_plan = false;
  std::optional<PixelIndex> printout_pixel, trace_pixel;
  TraceFormat trace_format = TraceFormat::table;
  std::int64_t trace_steps = 100;
  bool help = false, version = false;

  // What was noticed on the way
  std::vector<std::string> warnings;
  std::string cache_message;
  bool two_theta_axis_set_angle = false;  ///< Q-08 happened
  std::string implying_flag;              ///< the last flag that implied a pivot (Q-07)
  double header_two_theta_deg = 0;        ///< TWOTHETA of a header that was read and ignored (Q-24)
  std::int64_t table_entries = 0;         ///< "initialized hkls"
  std::string table_origin;               ///< what they are in the file of -hkl, in words
  std::string geometry_origin;            ///< what states the panels, and what is taken of it
};

/// Whether what makes no sense keeps nanoBragg's answer, with a notice, instead of being refused
/// the one question by which the modes differ in what they accept.
inline bool keeps_nanobraggs_answer(const Experiment& experiment) {
  return experiment.quirks.implausible_numbers;
}

}  // namespace nablabragg::flags
