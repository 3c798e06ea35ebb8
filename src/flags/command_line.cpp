#include "flags/command_line.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "flags/flags.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"

namespace nablabragg::flags {

namespace {

/// A flag with the words that belong to it.
struct Phrase {
  const Flag* flag;
  std::span<const std::string> values;
  std::string word;
};

/// Begins like a number; `-4stol` does, and is a flag.
bool looks_like_number(const std::string& word) {
  const auto digit = word.find_first_not_of("+-.");
  return digit != std::string::npos && word[digit] >= '0' && word[digit] <= '9';
}

bool is_flag(const std::string& word) {
  return word.starts_with('-') && find_flag(word) != nullptr;
}

/// Flags that nanoBragg's own README shows and its program ignores, with the ones that do it.
struct Misnomer {
  std::string_view word, meant;
};
constexpr std::array misnomers = {Misnomer{"-hdiv", "-hdivrange"}, Misnomer{"-vdiv", "-vdivrange"},
                                  Misnomer{"-dispstep", "-dispsteps"}};

[[noreturn]] void fail_unknown(const std::string& word) {
  const std::string_view near = nearest_spelling(word);
  throw UsageError("unknown flag " + word +
                   (near.empty() ? std::string("; nablabragg -help lists all flags")
                                 : "; did you mean " + std::string(near) + '?'));
}

/// How many words after position `at` belong to the flag there.
std::size_t take_values(const Flag& flag, std::span<const std::string> words, std::size_t at) {
  const std::size_t available = words.size() - at - 1;
  const auto fewest = static_cast<std::size_t>(flag.fewest),
             most = static_cast<std::size_t>(flag.most);
  for (std::size_t i = 0; i < fewest; ++i) {
    const std::string needs = words[at] + " needs a value (" + std::string(flag.values) + ")";
    if (i >= available) throw UsageError(needs + ", and nothing follows");
    if (is_flag(words[at + 1 + i]))
      throw UsageError(needs + ", and the flag " + words[at + 1 + i] + " follows");
  }
  std::size_t taken = fewest;
  while (taken < most && taken < available) {
    const std::string& next = words[at + 1 + taken];
    if (!flag.optional_word.empty()) {
      if (next == flag.optional_word) ++taken;
      break;
    }
    const bool negative_ends = flag.spellings[0] == "-cell";
    if (!looks_like_number(next) || is_flag(next) || (negative_ends && next.starts_with('-')))
      break;
    ++taken;
  }
  return taken;
}

std::vector<Phrase> phrases_of(std::span<const std::string> words, Request& request) {
  std::vector<Phrase> phrases;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with('-') || is_number(word)) {
      request.warnings.push_back("'" + word + "' belongs to no flag and is ignored");
      continue;
    }
    const auto* misnomer = std::find_if(misnomers.begin(), misnomers.end(),
                                        [&](const Misnomer& m) { return m.word == word; });
    if (misnomer != misnomers.end()) {
      request.warnings.push_back(word +
                                 " is no flag of nanoBragg's, which ignores it, as done here; " +
                                 std::string(misnomer->meant) + " is the one that works");
      if (i + 1 < words.size() && is_number(words[i + 1])) ++i;
      continue;
    }
    const Flag* flag = find_flag(word);
    if (!flag) fail_unknown(word);
    const std::size_t taken = take_values(*flag, words, i);
    phrases.push_back({flag, words.subspan(i + 1, taken), word});
    i += taken;
  }
  return phrases;
}

/// Geometry from the header of an image or mask.
void apply_header(const io::SmvFile& file, bool is_mask, Request& request) {
  Experiment& e = request.experiment;
  const bool by_substring = e.quirks.header_keys_by_substring;
  const auto on = [&](const char* key, auto&& action) {
    if (const auto value = file.value(key, by_substring)) action(*value);
  };
  e.detector.fast_pixels = file.fast_pixels;
  e.detector.slow_pixels = file.slow_pixels;
  on("PIXEL_SIZE", [&](double mm) { e.detector.pixel_mm = mm; });
  on("DISTANCE", [&](double mm) { e.detector.distance_mm = mm; });
  on("CLOSE_DISTANCE", [&](double mm) { e.detector.close_distance_mm = mm; });
  on("WAVELENGTH", [&](double angstrom) { e.beam.wavelength_A = angstrom; });
  on("BEAM_CENTER_X", [&](double mm) { e.detector.beam_x_mm = mm; });
  on("BEAM_CENTER_Y", [&](double mm) {
    e.detector.beam_y_mm = is_mask ? e.detector.pixel_mm * file.slow_pixels - mm : mm;
  });
  for (const char* key : {"ORGX", "XDS_ORGX"})
    on(key, [&](double px) { e.detector.org_x_px = px; });
  for (const char* key : {"ORGY", "XDS_ORGY"})
    on(key, [&](double px) { e.detector.org_y_px = px; });
  on("PHI", [&](double deg) { e.scan.phi_deg = deg; });
  on("OSC_RANGE", [&](double deg) { e.scan.oscillation_deg.range = deg; });
  on("TWOTHETA", [&](double deg) {
    if (by_substring)
      request.header_two_theta_deg = deg;
    else
      e.detector.two_theta_deg = deg;
  });
}

void apply_mask(const io::SmvFile& file, Request& request) {
  auto mask = std::make_shared<Mask>();
  mask->fast_pixels = file.fast_pixels;
  mask->slow_pixels = file.slow_pixels;
  mask->keep.reserve(file.pixels.size());
  for (const std::uint16_t pixel : file.pixels) mask->keep.push_back(pixel != 0);
  request.experiment.sampling.mask = std::move(mask);
}

/// The headers speak before any flag does; of several files of a kind only the last counts.
void apply_headers(std::span<const Phrase> phrases, Request& request) {
  std::vector<const Phrase*> files;
  for (const char* kind : {"-mask", "-img"}) {
    const auto last = std::find_if(phrases.rbegin(), phrases.rend(), [&](const Phrase& phrase) {
      return phrase.flag->spellings[0] == kind;
    });
    if (last != phrases.rend()) files.push_back(&*last);
  }
  if (!request.experiment.quirks.image_header_wins) std::sort(files.begin(), files.end());
  for (const Phrase* phrase : files) {
    const bool is_mask = phrase->flag->spellings[0] == "-mask";
    const io::SmvFile file = io::read_smv(phrase->values[0]);
    apply_header(file, is_mask, request);
    if (is_mask) apply_mask(file, request);
  }
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
}

}  // namespace

Request parse_command_line(std::span<const std::string> words) {
  Request request;
  const std::vector<Phrase> phrases = phrases_of(words, request);

  request.experiment.quirks = Quirks::compat();
  for (const Phrase& phrase : phrases) {
    if (phrase.flag->spellings[0] == "-corrected") request.experiment.quirks = Quirks::corrected();
    if (phrase.flag->spellings[0] == "-compat") request.experiment.quirks = Quirks::compat();
  }
  apply_headers(phrases, request);
  for (const Phrase& phrase : phrases)
    phrase.flag->apply(request, Values(phrase.word, phrase.values));
  settle(request);
  return request;
}

}  // namespace nablabragg::flags
