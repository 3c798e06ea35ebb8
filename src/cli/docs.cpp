// The texts that are made from tables: help, docs/flags.md, docs/differences.md, docs/checks.md.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <sys/mman.h>  // for memfd_create
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <sstream>

#include "api/cost.hpp"
#include "cli/commands.hpp"
#include "cli/manual.hpp"
#include "cli/subcommands.hpp"
#include "description/ranges.hpp"
#include "flags/command_line.hpp"
#include "flags/flags.hpp"
#include "flags/image_headers.hpp"
#include "flags/inputs.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/quirks.hpp"
#include "options/command.hpp"

namespace nablabragg::cli {

namespace {

std::string joined(const std::vector<std::string_view>& spellings, const char* between) {
  return fmt::format("{}", fmt::join(spellings, between));
}

/// In a cell of a table.
std::string in_table(std::string_view text) {
  std::string escaped(text);
  for (std::size_t at = 0; (at = escaped.find('|', at)) != std::string::npos; at += 2)
    escaped.insert(at, 1, '\\');
  return escaped;
}

void write_flags(std::ostream& out) {
  out << "# Flags\n\n"
         "Made from the program's flag table by `nablabragg docs flags`.\n\n"
         "A flag may have a longer spelling (`-lambda_A`, `-mosaic_domains`) and two dashes; the "
         "longest flag that\n"
         "the argument begins with is meant. Flags marked *whole* must be written as they stand. "
         "The last occurrence of a flag counts.\n";
  std::string_view group;
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.group != group) {
      group = flag.group;
      fmt::print(out, "\n## {}\n\n| flag | takes | default | what it does |\n|---|---|---|---|\n",
                 group);
    }
    fmt::print(out, "| `{}`{} | {} | {} | {} |\n", joined(flag.spellings, "` `"),
               flag.match == flags::Match::prefix ? "" : " *whole*", in_table(flag.values),
               flag.standard, flag.help);
  }
}

const char* policy_name(QuirkPolicy policy) {
  switch (policy) {
    case QuirkPolicy::reproduced:
      return "reproduced";
    case QuirkPolicy::reproduced_and_said:
      return "reproduced, and reported when it touches a run";
    case QuirkPolicy::right_in_both:
      return "right in both modes";
    case QuirkPolicy::error_in_both:
      break;
  }
  return "an error in both modes, or impossible";
}

void write_differences(std::ostream& out) {
  out << "# Where nanoBragg does not do what its user means\n\n"
         "Made from the program's table by `nablabragg docs differences`.\n\n"
         "*compat* is the command line's default: nanoBragg's image, bug for bug. *corrected* "
         "(`-corrected`, and the default of the\n"
         "C++ interface) is the right physics. When a quirk that is \"reported\" touches a run, "
         "one "
         "line on standard error names it,\n"
         "what it does to this image, and that `-corrected` puts it right.\n";
  for (const QuirkEntry& entry : quirk_catalogue())
    fmt::print(out, "\n## {} {}\n\n*In compat mode {}.*\n\n- compat: {}\n- corrected: {}\n",
               entry.id, entry.title, policy_name(entry.policy), entry.compat, entry.corrected);
  out << "\n## Flags that nanoBragg does not have\n\n"
         "nanoBragg passes over arguments that it does not know, and takes what begins with the "
         "text "
         "of one of its flags for that flag.\n"
         "So these are matched whole, and new ones do not begin with such a text.\n\n"
         "| flag | takes | what it does |\n|---|---|---|\n";
  for (const flags::Flag& flag : flags::flag_table())
    if (flag.match == flags::Match::own)
      fmt::print(out, "| `{}` | {} | {} |\n", joined(flag.spellings, "` `"), in_table(flag.values),
                 flag.help);
}

/// A file that only this program sees, under the name that a page gives it.
class ExampleFile {
 public:
  ExampleFile(std::string name, std::string_view text)
      : name_(std::move(name)), descriptor_(memfd_create(name_.c_str(), MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        ::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw Error("no memory for an example");
  }
  ExampleFile(const ExampleFile&) = delete;
  ExampleFile& operator=(const ExampleFile&) = delete;
  ~ExampleFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }
  /// The text with the name instead of the path.
  std::string named(std::string text) const {
    for (std::size_t at; (at = text.find(path())) != std::string::npos;)
      text.replace(at, path().size(), name_);
    return text;
  }

 private:
  std::string name_;
  int descriptor_;
};

/// What a command line is told, in one mode.
std::string told(const std::string& line, const char* mode) {
  std::istringstream words(line + mode);
  const std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> all;
  try {
    flags::Request request = flags::parse_command_line(arguments);
    flags::load_inputs(request);
    all = request.warnings;
    for (const std::string& warning : resolve(request.experiment).warnings) all.push_back(warning);
  } catch (const Error& error) {
    all = {std::string("error: ") + error.what()};
  }
  return fmt::format("{}", fmt::join(all, "<br>"));
}

void write_told(std::ostream& out, const std::string& shown, const std::string& line,
                const std::function<std::string(std::string)>& name = {}) {
  const auto said = [&](const char* mode) {
    const std::string text = told(line, mode);
    return name ? name(text) : text;
  };
  fmt::print(out, "| `{}` | {} | {} |\n", shown, said(" -corrected"), said(""));
}

constexpr const char* table_head = "| with -corrected | compat |\n|---|---|---|\n";

void write_header_checks(std::ostream& out) {
  out << "\n## Headers of images\n\n"
         "What `-img` and `-mask` take from an SMV header. A number outside of its range is an "
         "error with `-corrected`, unless a flag states the same.\n"
         "One that differs by more than 1 % from its flag is told, and the flag counts; `refine` "
         "tells the same of the image and its model.\n\n"
         "| key | range | flag | without both, -img | differs from the flag |\n"
         "|---|---|---|---|---|\n";
  for (const flags::HeaderCheck& check : flags::header_checks())
    fmt::print(out, "| {} | {} | `{}` | {} | {} |\n", check.keys, check.range, check.flag,
               check.needed ? "is an error" : "takes the program's own",
               check.certain    ? "a warning; more than 5 % before the file: an error"
               : check.compared ? "a warning"
                                : "the flag counts");
  out << "\nWith these keys in `image.img`, a header of 8 x 8 pixels whose other keys are "
         "PIXEL_SIZE=0.1, "
         "DISTANCE=100, WAVELENGTH=1, BEAM_CENTER_X=0.4\nand BEAM_CENTER_Y=0.4, after `-img "
         "image.img -cell 70 80 90 90 90 90 -default_F 100 -oversample 1`:\n\n| keys and flags "
      << table_head;
  struct Example {
    const char *keys, *before, *after;
  };
  for (const Example& each :
       {Example{"WAVELENGTH=nan;", "", ""}, Example{"PIXEL_SIZE=1e9;", "", ""},
        Example{"DISTANCE=12 inches;", "", ""}, Example{"WAVELENGTH=;", "", ""},
        Example{"WAVELENGTH=1;", "-lambda 1.1", ""}, Example{"WAVELENGTH=1;", "", "-lambda 1.1"},
        Example{"OSC_RANGE=1;", "", "-osc 2"}, Example{"PHI=10;OSC_START=20;", "", ""}}) {
    std::string header =
        "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\n"
        "TYPE=unsigned_short;\nSIZE1=8;\nSIZE2=8;\n";
    const std::string changed = each.keys;
    for (const std::string key : {"PIXEL_SIZE=0.1;", "DISTANCE=100;", "WAVELENGTH=1;",
                                  "BEAM_CENTER_X=0.4;", "BEAM_CENTER_Y=0.4;"})
      if (changed.find(key.substr(0, key.find('=') + 1)) == std::string::npos) header += key + '\n';
    header += changed + "\n}\n";
    header.resize(512, ' ');
    const ExampleFile file("image.img", header + std::string(std::size_t{8} * 8 * 2, '\0'));
    const auto join = [](std::initializer_list<std::string> words) {
      std::string text;
      for (const std::string& word : words)
        if (!word.empty()) text += (text.empty() ? "" : " ") + word;
      return text;
    };
    const bool flags = each.before[0] != '\0' || each.after[0] != '\0';
    write_told(out, join({each.keys, each.before, flags ? "-img image.img" : "", each.after}),
               join({"-cell 70 80 90 90 90 90 -default_F 100 -oversample 1", each.before, "-img",
                     file.path(), each.after}),
               [&](std::string text) { return file.named(std::move(text)); });
  }
}

void write_matrix_checks(std::ostream& out) {
  out << "\n## Orientation matrices\n\n"
         "What `-mat auto.mat -default_F 100` is told of a file that holds\n\n"
         "| numbers and flags "
      << table_head;
  struct Example {
    const char *numbers, *flags;
  };
  constexpr const char* rest = " 0 0 0  1 0 0 0 1 0 0 0 1  50 80 100 90 90 90  0 0 0";
  const std::string fitting = std::string("0.02 0 0 0 0.0125 0 0 0 0.01") + rest;
  for (const Example& each :
       {Example{"0.02 0 0 0 0.0125 0", ""}, Example{"0.02 0 0 0 0.0125 0 0 0 nan", ""},
        Example{"0.02 0 0 0 0.0125 0 0 0 0", ""}, Example{"0.02 0 0 0 0.0125 0 0 0 -0.01", ""},
        Example{"2 0 0 0 1.25 0 0 0 1", ""}, Example{fitting.c_str(), "-lambda 0.98"},
        Example{fitting.c_str(), "-lambda 1.2"}, Example{"XPARM.XDS\n1 0 0.1 1 0 0\n", ""}}) {
    const ExampleFile file("auto.mat", each.numbers);
    std::string shown = each.numbers;
    if (shown == fitting) shown = shown.substr(0, shown.find(rest)) + " ... 50 80 100 90 90 90 ...";
    std::replace(shown.begin(), shown.end(), '\n', ' ');
    write_told(out, each.flags[0] == '\0' ? shown : shown + "` and `" + each.flags,
               "-default_F 100 -N 5 -mat " + file.path() + " " + each.flags,
               [&](std::string text) { return file.named(std::move(text)); });
  }
}

void write_checks(std::ostream& out) {
  out << "# What is checked\n\n"
         "Made from the program's tables by `nablabragg docs checks`.\n\n"
         "A number that no experiment has is an error with `-corrected` and in Python (exit code "
         "2, `UsageError`). The command line's default,\n"
         "*compat*, takes it as nanoBragg does, with the same sentence on standard error (Q-48). "
         "Python's names of the fields are the first\n"
         "column; NaN and infinity are outside of every range that does not say otherwise.\n\n"
         "| field | sentence | and a warning outside |\n|---|---|---|\n";
  for (const description::FieldChecks& checks : description::all_checks())
    fmt::print(out, "| `{}` | {} | {} |\n", checks.field, checks.wrong, checks.unusual);
  out << "\n## Checks of several numbers, and of words\n\n"
         "What command lines are told after `-cell 70 80 90 90 90 90 -default_F 100`:\n\n"
         "| command line | with -corrected | compat |\n|---|---|---|\n";
  for (const char* line : {"-energy 12.4",
                           "-energy_keV 12.4",
                           "-distance_eV 100",
                           "-pixel 172",
                           "-Xbeam 1536 -Ybeam 1536",
                           "-detector_thick 0.45 -detector_abs 234",
                           "-roi 0 2000 0 100",
                           "-cell 70 80 90 90 90",
                           "-phi 0 90",
                           "--lambda=1.2 3",
                           "-N 0",
                           "-N 200 -oversample 20 -osc 10",
                           "-N 200 -oversample 1",
                           "-block_size 0.001",
                           "-xtalsize 0.001 -block_size 0.01",
                           "-xtalsize 1e-5",
                           "-xtalsize 5e-6",
                           "-distance 10 cm",
                           "-energy 12398 -lambda 2",
                           "-xds -polar_vector 0 1 0",
                           "-polar 0.9 -polar_vector 1 0 0",
                           "-fdet_vector 0 0 1 -sdet_vector 0 -0.94 0.342",
                           "-exposure 10",
                           "-flux 1e12",
                           "-phisteps 10",
                           "-osc 1 -phisteps 0",
                           "-dispersion 2 -dispsteps 1"})
    write_told(out, line, std::string("-cell 70 80 90 90 90 90 -default_F 100 ") + line);
  write_header_checks(out);
  write_matrix_checks(out);
  fmt::print(
      out,
      "\n## What it costs\n\n"
      "Where the number of sub-pixels was left to the program (no `-oversample`), and the "
      "image would take more than {:g} s, `-corrected`\n"
      "and Python stop with the number of steps, the time and the ways out; compat says "
      "the same and goes on (Q-51). The time is an estimate:\n"
      "steps x time of a step, which is measured on 16 patches of 4 x 4 pixels with fewer "
      "sub-pixels, where steps that can be skipped are skipped.\n"
      "It follows what else the machine does, and may be wrong by a factor of two. Of the ways "
      "out those are named that such an\n"
      "estimate of their own lets through: spots without fringes (`-gauss_xtal`) often take as "
      "long. `refine` asks for one image of the model.\n"
      "\n## Images without light, and such as hold NaN\n\n"
      "An image whose pixels are all 0 is written, and a line at the end says why, in both "
      "modes and in Python: no structure factor,\n"
      "no fluence, a mask of nothing, sources on the detector's side, spots between the "
      "sub-pixels, or no reflection near its Bragg condition.\n"
      "One that holds NaN or infinity is not written with `-corrected`.\n",
      longest_unasked_s);
}

}  // namespace

namespace {

void print_usage(std::ostream& out) {
  constexpr const char* line = "       nablabragg {:<37}  {}\n";
  out << "usage: nablabragg -mat auto.mat -hkl Fs.hkl [flags]      simulate a diffraction image\n";
  for (const Subcommand& each : subcommands())
    if (each.name != "docs")
      fmt::print(out, line, fmt::format("{} {}", each.name, each.takes), each.does);
  fmt::print(out, line, "--version", "which version this is");
  out << "\nAn image needs a cell (-mat or -cell) and structure factors (-hkl or -default_F).\n";
}

void write_formats(std::ostream& out) {
  out << "| ending | format | `-o` writes | its geometry | read |\n|---|---|---|---|---|\n";
  const auto cell = [](const char* text) { return text[0] == '\0' ? "-" : text; };
  for (const io::FileFormat& format : io::file_formats())
    fmt::print(out, "| `{}` | {} | {} | {} | {} |\n", fmt::join(format.endings, "`, `"),
               format.name, cell(format.written), cell(format.geometry),
               format.read            ? "pixels, geometry"
               : format.read_geometry ? "geometry"
                                      : "-");
}

void print_flag(const flags::Flag& flag, std::ostream& out) {
  const std::string left = joined(flag.spellings, " ") +
                           (flag.values.empty() ? "" : ' ' + std::string(flag.values));
  const std::string standard = flag.standard.empty() ? ""
                                                     : fmt::format(" (default: {})", flag.standard);
  if (left.size() <= 30)
    fmt::print(out, "\t{:<30} {}{}\n", left, flag.help, standard);
  else
    fmt::print(out, "\t{}\n\t{:<30} {}{}\n", left, "", flag.help, standard);
}

}  // namespace

void print_help(std::ostream& out) {
  print_usage(out);
  out << "options:\n";
  std::string_view group;
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.group != group) {
      group = flag.group;
      fmt::print(out, "\n{}\n", group);
    }
    print_flag(flag, out);
  }
}

void print_short_help(std::ostream& out) {
  print_usage(out);
  fmt::print(out,
             "A first image: {}\n"
             "All flags: nablabragg -help\n",
             first_image);
}

void help_command(const std::vector<std::string>& arguments, std::ostream& out) {
  options::Command about{"nablabragg help", "", "Says what a flag does.", {}};
  options::Option flag_names{{}, "FLAG", "a flag of the simulator, with its dash or without"};
  for (const flags::Flag& flag : flags::flag_table())
    flag_names.words.emplace_back(flag.spellings[0].substr(1));
  about.options.push_back(std::move(flag_names));
  if (describe_if_asked(arguments, about, out)) return;
  if (arguments.empty()) return print_short_help(out);
  for (const std::string& argument : arguments) {
    const std::string word = argument.starts_with('-') ? argument : '-' + argument;
    if (const flags::Flag* flag = flags::find_flag(word)) {
      print_flag(*flag, out);
      continue;
    }
    throw UsageError("there is no flag " + word + " to help with" + flags::suggestion(word));
  }
}

void docs_command(const std::vector<std::string>& arguments, std::ostream& out) {
  using Writer = void (*)(std::ostream&, const std::vector<std::string>&);
  struct Topic {
    std::string_view name, takes;
    std::size_t most;  ///< words that follow it
    Writer write;
  };
  static constexpr std::array topics{
      Topic{"flags", "", 0, [](std::ostream& o, const auto&) { write_flags(o); }},
      Topic{"differences", "", 0, [](std::ostream& o, const auto&) { write_differences(o); }},
      Topic{"checks", "", 0, [](std::ostream& o, const auto&) { write_checks(o); }},
      Topic{"detectors", "", 0, [](std::ostream& o, const auto&) { write_detectors_page(o); }},
      Topic{"formats", "", 0, [](std::ostream& o, const auto&) { write_formats(o); }},
      Topic{"man", "[SUBCOMMAND]", 1,
            [](std::ostream& o, const auto& words) {
              write_manual(o, words.empty() ? "" : words[0]);
            }},
      Topic{"completion", "bash|zsh|fish", 1,
            [](std::ostream& o, const auto& words) {
              write_completion(o, words.empty() ? "" : words[0]);
            }},
      Topic{"pages", "FOLDER", 1, [](std::ostream& o, const auto& words) {
              write_pages(o, words.empty() ? "" : words[0]);
            }}};
  options::Command about{
      "nablabragg docs", "", "Prints what is made from the program's own tables.", {}};
  options::Option topic_names{
      {},
      "TOPIC",
      "flags, differences, checks, detectors, formats: the text of that page of the documents; man "
      "[SUBCOMMAND]: a man page; completion bash|zsh|fish: what completes command lines in that "
      "shell; pages FOLDER: all man pages and completions, in FOLDER/man, FOLDER/bash-completion "
      "and so on"};
  for (const Topic& topic : topics) topic_names.words.emplace_back(topic.name);
  about.options.push_back(topic_names);
  if (describe_if_asked(arguments, about, out)) return;
  for (const Topic& topic : topics)
    if (!arguments.empty() && arguments[0] == topic.name && arguments.size() <= topic.most + 1)
      return topic.write(out, {arguments.begin() + 1, arguments.end()});
  throw UsageError(fmt::format("docs needs one of: {}", fmt::join(topic_names.words, ", ")));
}

}  // namespace nablabragg::cli
