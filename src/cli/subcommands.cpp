#include "cli/subcommands.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "cli/commands.hpp"
#include "flags/flags.hpp"
#include "flags/unit_words.hpp"
#include "nablabragg/detector_presets.hpp"

namespace nablabragg::cli {

namespace {

using Arguments = std::vector<std::string>;

constexpr const char* instruments = "NABLA_INSTRUMENTS=ON";

#ifdef NABLA_REFINE
constexpr auto* refine = refine_command;
#else
constexpr int (*refine)(const Arguments&, std::ostream&, std::ostream&) = nullptr;
#endif
#ifdef NABLA_INSTRUMENTS
constexpr auto* compare = compare_command;
int bench_or_null(const Arguments& a, std::ostream& out, std::ostream&) {
  return bench_command(a, out);
}
constexpr auto* bench = bench_or_null;
#else
constexpr int (*compare)(const Arguments&, std::ostream&, std::ostream&) = nullptr;
constexpr auto* bench = compare;
#endif

/// Of commands that return nothing.
template <auto command>
int done(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  command(arguments, out, err);
  return 0;
}

template <auto command>
int said(const Arguments& arguments, std::ostream& out, std::ostream&) {
  command(arguments, out);
  return 0;
}

#ifdef NABLA_ENSEMBLE
constexpr auto* ensemble = done<ensemble_command>;
#else
constexpr int (*ensemble)(const Arguments&, std::ostream&, std::ostream&) = nullptr;
#endif

#ifdef NABLA_VIEW
constexpr auto* view = done<view_command>;
#else
constexpr int (*view)(const Arguments&, std::ostream&, std::ostream&) = nullptr;
#endif

constexpr std::array table{
    Subcommand{"fcalc", "MODEL -dmin 2.0 -o out.hkl", "structure factors from an atomic model",
               done<fcalc_command>},
    Subcommand{"show", "FILE [-o FILE.png]", "an image in the terminal, or as a picture",
               done<show_command>},
    Subcommand{"detectors", "[NAME]", "detectors that have names", done<detectors_command>},
    Subcommand{"refine", "--image FILE --parameters LIST -- FLAGS", "the model behind an image",
               refine, "NABLA_REFINE=ON"},
    Subcommand{"ensemble", "ensemble.yaml", "many shots from one description", ensemble,
               "NABLA_ENSEMBLE=ON, with Debian's libyaml-cpp-dev"},
    Subcommand{"view", "[FILE] FLAGS", "a page in which the crystal is turned", view,
               "NABLA_VIEW=ON, with Debian's libcpp-httplib-dev"},
    Subcommand{"compare", "--reference PROGRAM -- ARGS", "two programs, one image", compare,
               instruments},
    Subcommand{"bench", "", "how fast it is", bench, instruments},
    Subcommand{"help", "FLAG", "what a flag does", said<help_command>},
    Subcommand{"docs", "TOPIC", "tables of the documents, man pages, completion for shells",
               said<docs_command>},
};

/// Of "beam | sample" both; empty where a value may be something else.
std::vector<std::string> choices_of(const flags::Flag& flag) {
  std::vector<std::string> words;
  constexpr std::string_view bar = " | ";
  for (std::size_t at = 0, end; at <= flag.values.size(); at = end + bar.size()) {
    end = std::min(flag.values.find(bar, at), flag.values.size());
    words.emplace_back(flag.values.substr(at, end - at));
    if (words.back().find(' ') != std::string::npos) return {};
  }
  // "N | NAME" and "um | inf" stand for more
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  const bool named = std::all_of(words[0].begin(), words[0].end(), is_capital);
  return words.size() < 2 || named || !flags::unit_of(flag).empty() ? std::vector<std::string>()
                                                                    : words;
}

}  // namespace

std::span<const Subcommand> subcommands() { return table; }

const Subcommand* find_subcommand(std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Subcommand& each) { return each.name == name; });
  return found == table.end() ? nullptr : &*found;
}

options::Command described(const Subcommand& subcommand) {
  if (!subcommand.run)
    return {"nablabragg " + std::string(subcommand.name),
            std::string(subcommand.takes),
            "This program was built without it.",
            {}};
  std::ostringstream out, err;
  subcommand.run({std::string(options::as_json)}, out, err);
  options::Command command = options::command_from_json(out.str());
  if (command.name.empty()) command.name = "nablabragg " + std::string(subcommand.name);
  // CLI11 knows nothing of what stands behind --
  if (command.synopsis.empty())
    command.synopsis = subcommand.takes;
  else if (constexpr std::string_view any = "[OPTIONS]"; command.synopsis.starts_with(any))
    command.synopsis = std::string(any) + ' ' + std::string(subcommand.takes);
  return command;
}

options::Command described_simulator() {
  options::Command command{
      "nablabragg",
      "",
      "Computes X-ray diffraction images of small crystals, on the absolute scale.",
      {}};
  for (const flags::Flag& flag : flags::flag_table()) {
    options::Option option;
    option.group = flag.group;
    for (const std::string_view spelling : flag.spellings) option.names.emplace_back(spelling);
    option.values = flag.values;
    option.help = flag.help;
    option.standard = flag.standard;
    option.file = flag.values.find("FILE") != std::string_view::npos;
    if (!option.file) option.words = choices_of(flag);
    if (flag.spellings[0] == "-detector") option.words = detector_words();
    command.options.push_back(std::move(option));
  }
  return command;
}

std::vector<std::string> detector_words() {
  std::vector<std::string> names;
  for (const DetectorPreset& preset : detector_presets()) {
    names.push_back(preset.name());
    std::replace(names.back().begin(), names.back().end(), ' ', '-');
  }
  return names;
}

bool describe_if_asked(const std::vector<std::string>& arguments, const options::Command& command,
                       std::ostream& out) {
  if (arguments.size() != 1 || arguments[0] != options::as_json) return false;
  out << options::to_json(command) << '\n';
  return true;
}

}  // namespace nablabragg::cli
