#include "flags/command_line.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "flags/flags.hpp"
#include "flags/geometry_files.hpp"
#include "flags/image_headers.hpp"
#include "flags/unit_words.hpp"
#include "nablabragg/conventions.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/plausible.hpp"

namespace nablabragg::flags {

namespace {

/// Begins like a number; `-4stol` does, and is a flag.
bool looks_like_number(const std::string& argument) {
  const auto digit = argument.find_first_not_of("+-.");
  return digit != std::string::npos && argument[digit] >= '0' && argument[digit] <= '9';
}

bool is_flag(const std::string& argument) {
  return argument.starts_with('-') && find_flag(argument) != nullptr;
}

/// Flags that nanoBragg's own README shows and its program ignores, with the flags that do what it
/// says there.
struct IgnoredFlag {
  std::string_view ignored, working;
};
constexpr std::array ignored_flags = {IgnoredFlag{"-hdiv", "-hdivrange"},
                                      IgnoredFlag{"-vdiv", "-vdivrange"},
                                      IgnoredFlag{"-dispstep", "-dispsteps"}};

[[noreturn]] void fail_unknown(const std::string& argument) {
  throw UsageError("unknown flag " + argument + suggestion(argument));
}

/// How many arguments after position `at` belong to the flag there.
std::size_t take_values(const Flag& flag, std::span<const std::string> arguments, std::size_t at) {
  const std::size_t available = arguments.size() - at - 1;
  const auto fewest = static_cast<std::size_t>(flag.fewest),
             most = static_cast<std::size_t>(flag.most);
  const std::string needs = arguments[at] + " needs " +
                            (fewest == 1 ? "a value" : std::to_string(fewest) + " values") + " (" +
                            std::string(flag.values) + ")";
  for (std::size_t i = 0; i < fewest; ++i) {
    if (i >= available)
      throw UsageError(
          needs + (i == 0 ? ", and nothing follows"
                          : ", and only " + std::to_string(i) + (i == 1 ? " follows" : " follow")));
    const std::string& next = arguments[at + 1 + i];
    if (is_flag(next))
      throw UsageError(needs + ", and the flag " + next + " follows" +
                       (i == 0 ? "" : " after " + std::to_string(i)));
    // A variable of a script that is not set
    if (next.empty()) throw UsageError(needs + ", and an empty word follows");
  }
  std::size_t taken = fewest;
  while (taken < most && taken < available) {
    const std::string& next = arguments[at + 1 + taken];
    if (!flag.optional_value.empty()) {
      if (next == flag.optional_value || (flag.optional_value == any_word && !is_flag(next)))
        ++taken;
      break;
    }
    const bool negative_ends = flag.spellings[0] == "-cell";
    if (!looks_like_number(next) || is_flag(next) || (negative_ends && next.starts_with('-')))
      break;
    ++taken;
  }
  return taken;
}

/// `--flag=value` as two arguments.
std::vector<std::string> with_values_apart(std::span<const std::string> arguments) {
  std::vector<std::string> apart;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.starts_with('-') ? argument.find('=') : std::string::npos;
    const Flag* const flag = equals == std::string::npos ? nullptr
                                                         : find_flag(argument.substr(0, equals));
    if (!flag) {
      apart.push_back(argument);
      continue;
    }
    if (flag->most == 0)
      throw UsageError(argument.substr(0, equals) + " takes no value, and '" +
                       argument.substr(equals) + "' is given");
    apart.push_back(argument.substr(0, equals));
    apart.push_back(argument.substr(equals + 1));
  }
  return apart;
}

/// Where nanoBragg, which takes the next argument for the value of `--flag=value`, would have read
/// another number.
void say_what_nanobragg_reads(std::span<const std::string> arguments, Request& request) {
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    if (!arguments[i].starts_with('-') || equals == std::string::npos) continue;
    const Flag* const flag = find_flag(arguments[i].substr(0, equals));
    if (flag && flag->most == 1 && flag->match == Match::prefix && is_number(arguments[i + 1]))
      request.warnings.push_back("nanoBragg would have read " + arguments[i + 1] +
                                 ", which follows, as the value of " + arguments[i] +
                                 "; the value behind the = is taken");
  }
}

/// Of the word's unit and the flag's. As nanoBragg, a word is the flag that it begins with,
/// whatever follows.
double factor_of(const FlagUse& use, Request& request) {
  const auto unit = unit_in_word(*use.flag, use.spelling);
  if (!unit) return 1;
  const std::string problem = unit_problem(*unit, use.spelling);
  if (problem.empty()) return 1;
  if (keeps_nanobraggs_answer(request.experiment)) {
    request.warnings.push_back("Q-48: " + problem +
                               ": the number is taken as it is, as nanoBragg does; -corrected " +
                               (unit->factor ? "converts it" : "refuses it"));
    return 1;
  }
  if (!unit->factor) throw UsageError(problem + "; write " + std::string(unit->flag));
  return *unit->factor;
}

/// A word that belongs to no flag, and the flag before it, which took all the values it takes.
struct Stray {
  std::string word;
  const Flag* before;  ///< null: there is none
};

/// What a number that belongs to no flag was most likely meant for.
std::string stray_hint(const Stray& stray) {
  if (!stray.before || !is_number(stray.word)) return {};
  const std::string_view before = stray.before->spellings[0];
  if (before == "-phi") return "; the width of a scan is -osc";
  if (before == "-N") return "; -Na, -Nb and -Nc give each edge its own";
  if (before == "-detpixels") return "; -detpixels_f and -detpixels_s give each edge its own";
  if (before == "-detsize") return "; -detsize_f and -detsize_s give each edge its own";
  return {};
}

/// Words that nobody types for nothing; empty: another one.
std::string meaning_of(const Stray& stray) {
  if (const std::string plain = with_plain_dash(stray.word); plain != stray.word)
    return '\'' + stray.word + "' begins with a dash of typeset pages, which no flag does" +
           (is_number(plain)   ? "; did you mean " + plain + '?'
            : find_flag(plain) ? "; did you mean " + plain + '?'
                               : suggestion(plain));
  return stray.before ? problem_of_unit_behind(*stray.before, stray.word) : std::string();
}

/// nanoBragg passes over what it does not know.
void look_at_strays(const std::vector<Stray>& strays, Request& request) {
  for (const Stray& stray : strays) {
    const std::string meaning = meaning_of(stray);
    if (!meaning.empty() && !keeps_nanobraggs_answer(request.experiment)) throw UsageError(meaning);
    request.warnings.push_back(meaning.empty()
                                   ? '\'' + stray.word + "' belongs to no flag and is ignored" +
                                         stray_hint(stray)
                                   : "Q-48: " + meaning +
                                         ": it is ignored, as nanoBragg does; "
                                         "-corrected refuses it");
  }
}

/// Three or all six numbers, or one of a cube, leave nothing open that a crystal could want.
void say_what_cell_is_taken(const FlagUse& use, Request& request) {
  const std::size_t count = use.values.size();
  if (use.flag->spellings[0] != "-cell") return;
  constexpr std::array names{"a", "b", "c", "alpha", "beta", "gamma"};
  const Values values(use.spelling, use.values);
  for (std::size_t i = 3; i < count; ++i)
    if (values.real(static_cast<int>(i)) == 0)
      request.warnings.push_back(std::string("-cell: ") + names[i] +
                                 " is 0 and taken as 90 degrees");
  if (count == 1 || count == 3 || count == 6) return;
  const std::size_t end = count < 3 ? 3 : names.size();
  std::string missing;
  for (std::size_t i = count; i < end; ++i)
    missing.append(missing.empty() ? "" : ", ").append(names[i]);
  request.warnings.push_back("-cell has " + std::to_string(count) + " numbers: " + missing +
                             (count < 3    ? " is taken as a"
                              : count == 5 ? " is taken as 90 degrees"
                                           : " are taken as 90 degrees"));
}

std::vector<FlagUse> find_flag_uses(std::span<const std::string> arguments, Request& request,
                                    std::vector<Stray>& strays) {
  std::vector<FlagUse> uses;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with('-') || is_number(argument)) {
      strays.push_back({argument, uses.empty() ? nullptr : uses.back().flag});
      continue;
    }
    const auto* ignored = std::find_if(ignored_flags.begin(), ignored_flags.end(),
                                       [&](const IgnoredFlag& f) { return f.ignored == argument; });
    if (ignored != ignored_flags.end()) {
      request.warnings.push_back(argument +
                                 " is no flag of nanoBragg's, which ignores it, as done here; " +
                                 std::string(ignored->working) + " is the one that works");
      if (i + 1 < arguments.size() && is_number(arguments[i + 1])) ++i;
      continue;
    }
    const Flag* flag = find_flag(argument);
    if (!flag) fail_unknown(argument);
    const std::size_t taken = take_values(*flag, arguments, i);
    uses.push_back({flag, arguments.subspan(i + 1, taken), argument});
    i += taken;
  }
  return uses;
}

/// What a file may hold counts where no flag says it; a -cell behind -hkl is meant for its data.
void note_what_is_given(const FlagUse& use, Request& request) {
  const std::string_view flag = use.flag->spellings[0];
  if (flag == "-lambda" || flag == "-energy") request.wavelength_given = true;
  if (flag == "-hkl") request.cell_follows_hkl = false;
  if (flag == "-cell") request.cell_follows_hkl = !request.hkl_file.empty();
}

/// Of two flags that say the same thing the last one counts, as in nanoBragg, which is said where
/// they do not agree.
void look_at_contradictions(std::span<const FlagUse> uses, Request& request) {
  const FlagUse *wavelength = nullptr, *frame = nullptr, *vector = nullptr;
  double wavelength_A = 0;
  for (const FlagUse& use : uses) {
    const std::string_view flag = use.flag->spellings[0];
    if (flag == "-lambda" || flag == "-energy") {
      Request alone;
      alone.experiment.quirks = request.experiment.quirks;
      use.flag->apply(alone, Values(use.spelling, use.values, factor_of(use, alone)));
      const double got_A = alone.experiment.beam.wavelength_A;
      if (wavelength && wavelength->flag != use.flag &&
          std::abs(got_A / wavelength_A - 1) > plausible::notable_difference)
        request.warnings.push_back(wavelength->spelling + ' ' + wavelength->values[0] + " and " +
                                   use.spelling + ' ' + use.values[0] +
                                   " are two wavelengths; the latter counts");
      wavelength = &use;
      wavelength_A = got_A;
    }
    if (convention_named(flag.substr(1))) {
      if (frame && frame->flag != use.flag)
        request.warnings.push_back(frame->spelling + " and " + use.spelling +
                                   " are two conventions; the latter counts");
      frame = &use;
      if (vector)
        request.warnings.push_back(vector->spelling + " has no effect, since " + use.spelling +
                                   ", which follows, chooses another frame");
      vector = nullptr;
    }
    if (flag.find("_vector") == std::string_view::npos && !flag.ends_with("_axis")) continue;
    if (frame)
      request.warnings.push_back(use.spelling + " chooses a frame of its own, so that " +
                                 frame->spelling + " has no effect");
    frame = nullptr;
    vector = &use;
  }
}

/// A -panel is for what stands behind it.
void look_at_panels(std::span<const FlagUse> uses, Request& request) {
  const FlagUse* idle = nullptr;
  const auto say = [&] {
    if (idle)
      request.warnings.push_back(idle->spelling + ' ' + idle->values[0] +
                                 " has no effect, since no -roi, -trace_pixel or -printout_pixel "
                                 "follows it");
  };
  for (const FlagUse& use : uses) {
    const std::string_view flag = use.flag->spellings[0];
    if (flag == "-panel") {
      say();
      idle = &use;
    }
    if (flag == "-roi" || flag == "-trace_pixel" || flag == "-printout_pixel") idle = nullptr;
  }
  say();
}

/// What a detector makes of the photons.
void settle_response(Request& request) {
  if (!request.responds) {
    if (!request.response_part.empty())
      throw UsageError(request.response_part +
                       " is a step of a detector; say with -response counting or -response "
                       "integrating which kind it is (docs/detector-response.md)");
    return;
  }
  if (keeps_nanobraggs_answer(request.experiment))
    throw UsageError("-response needs -corrected: nanoBragg's noise image is drawn otherwise");
  if (!request.noise_file.on)
    throw UsageError("-response makes counts, and -nonoise asks for photons; leave one out");
  DetectorResponse& response = request.response;
  if (request.psf_fwhm_um) {
    if (!response.point_spread)
      throw UsageError("-psf_fwhm is the width of -psf gauss or -psf fiber, and none is given");
    response.point_spread->fwhm_um = *request.psf_fwhm_um;
  }
  if (response.kind == DetectorResponse::Kind::integrating) response.offset = request.adc;
  check_response(response, request.experiment);
}

/// Flags that act together, once all are known.
void settle(Request& request) {
  Experiment& e = request.experiment;
  if (e.detector.convention == Convention::custom) {
    e.detector.fast_axis = request.fast_axis;
    e.detector.slow_axis = request.slow_axis;
    e.detector.normal = request.normal;
    e.detector.two_theta_axis = request.two_theta_axis;
    e.detector.origin_m = request.origin_m;
    e.beam.direction = request.beam;
    e.beam.polarization_axis = request.polarization_axis;
    e.scan.spindle_axis = request.spindle;
  }
  if (e.quirks.convention_forces_pivot)
    e.detector.pivot = request.parsed_pivot;
  else
    e.detector.pivot = request.pivot_flag ? request.pivot_flag : request.implied_pivot;
  if (request.engine == Engine::reference && request.precision == Precision::float32)
    throw UsageError(
        "-dtype float32 is not for -engine reference, which computes in double precision; leave "
        "-dtype out or take -engine cpu");
  if (!request.truth_file.empty() && keeps_nanobraggs_answer(e))
    throw UsageError("-truth needs -corrected: nanoBragg's pixels are no sums of parts");
  if (request.beam_jitter_mrad != 0 && !request.is_series())
    throw UsageError(
        "-beam_jitter is of the images of a series; give -images, -orientations or -spectra, or "
        "-beam_tilt for one image");
  settle_response(request);
}

}  // namespace

void check_is_of_one_image(const Request& request, const char* what) {
  if (request.is_series())
    throw UsageError(std::string("-images, -orientations, -spectra and -continue are of a series, "
                                 "and ") +
                     what + " takes the model of one image; leave them out");
  check_is_of_photons(request, what);
}

void check_is_of_photons(const Request& request, const char* what) {
  if (request.responds)
    throw UsageError(std::string("-response makes counts, and ") + what +
                     " takes a model of photons; leave it out, with the steps of the detector");
}

Request parse_command_line(std::span<const std::string> arguments) {
  Request request;
  const std::vector<std::string> apart = with_values_apart(arguments);
  std::vector<Stray> strays;
  const std::vector<FlagUse> uses = find_flag_uses(apart, request, strays);

  request.experiment.quirks = Quirks::compat();
  for (const FlagUse& use : uses) {
    if (use.flag->spellings[0] == "-corrected") request.experiment.quirks = Quirks::corrected();
    if (use.flag->spellings[0] == "-compat") request.experiment.quirks = Quirks::compat();
  }
  look_at_strays(strays, request);
  if (keeps_nanobraggs_answer(request.experiment)) say_what_nanobragg_reads(arguments, request);
  StatedGeometry geometry(uses, request);
  const ImageHeaders headers(uses, request);
  for (const FlagUse& use : uses) {
    say_what_cell_is_taken(use, request);
    use.flag->apply(request, Values(use.spelling, use.values, factor_of(use, request)));
    note_what_is_given(use, request);
  }
  look_at_contradictions(uses, request);
  look_at_panels(uses, request);
  headers.check(request);
  geometry.check(request);
  settle(request);
  return request;
}

ComputeOptions compute_options(const Request& request) {
  ComputeOptions options;
  options.threads = request.threads;
  options.engine = request.engine;
  options.device = request.device;
  options.precision = request.precision.value_or(options.precision);
  options.skip_below = request.skip_below;
  return options;
}

}  // namespace nablabragg::flags
