// The headers of -img and -mask: applied before any flag, and held against the flags afterwards.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "flags/flags.hpp"    // for FlagUse
#include "flags/request.hpp"  // for Request
#include "nablabragg/geometry.hpp"
#include "nablabragg/io.hpp"  // for SmvFile
#include "nablabragg/resolved.hpp"

namespace nablabragg::flags {

/// What is asked of a number that -img takes from a header.
struct HeaderCheck {
  std::string keys;   ///< the first that is there counts
  std::string range;  ///< "between 0.001 and 1e+06 mm"
  std::string flag;   ///< that states the same
  bool needed;        ///< without it and without the flag -img is refused
  bool compared;      ///< with the flag
  bool certain;       ///< more than 5 % off a flag that stands before the file is an error
};
std::vector<HeaderCheck> header_checks();

class ImageHeaders {
 public:
  /// Reads the last -img and the last -mask and applies what they say.  In corrected mode throws
  /// InputError, naming the key, for what is not a number or cannot be meant; in compat mode they
  /// are noticed.
  ImageHeaders(std::span<const FlagUse> uses, Request& request);

  /// Once all flags are applied: what no header and no flag says, and where they contradict each
  /// other.  In corrected mode throws InputError for an image that leaves geometry open, and for a
  /// wavelength or pixel size more than 5 % off a flag that stands before the file.
  void check(Request& request) const;

 private:
  struct Number;
  struct Stated {
    const Number* number;
    std::string_view key;  ///< of the number's keys
    double value;
    bool applied;
  };
  struct Header {
    const FlagUse* use;
    io::SmvFile file;  ///< without its pixels
    std::vector<Stated> stated;
    bool is_mask() const { return use->flag->spellings[0] == "-mask"; }
  };
  static std::span<const Number> numbers();
  friend std::vector<HeaderCheck> header_checks();

  void apply(Header& header, Request& request) const;
  void apply_frame(const Header& header, Request& request) const;
  /// Where nothing says which convention its beam centre is of, but DENZO's keys beside it do.
  void apply_adsc_centre(const Header& header, Request& request) const;
  void check_missing(const Header& header, Request& request) const;
  void check_centre(const Header& header, Request& request) const;
  void compare(const Header& header, Request& request) const;
  /// The last of these flags; null: none was given.
  const FlagUse* last_of(std::span<const std::string_view> flags) const;
  bool all_given(std::span<const std::string_view> flags) const;

  std::span<const FlagUse> uses_;
  std::vector<Header> headers_;
};

/// Where the header of a measured image contradicts the model that is to explain it: a sentence
/// each.  In corrected mode throws InputError for a wavelength or pixel size more than 5 % off.
std::vector<std::string> contradictions(const io::SmvFile& measured, const Experiment& model,
                                        const Resolved& resolved);

/// The same of an image in another format, by the geometry that it states: whatever the frame of
/// its file.  In corrected mode throws InputError also for panels that are others than the model's
/// or stand in another order.
std::vector<std::string> contradictions(const std::string& path, const Geometry& measured,
                                        const SettledExperiment& model);

}  // namespace nablabragg::flags
