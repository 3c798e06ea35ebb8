// The texts that are made from tables: -help, docs/flags.md, docs/differences.md.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include "cli/commands.hpp"
#include "flags/flags.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/quirks.hpp"

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
         "A flag may be written longer than here (`-lambda_A`, `-mosaic_domains`) and with two "
         "dashes; the longest flag that\n"
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

}  // namespace

void print_help(std::ostream& out) {
  out << "usage: nablabragg -mat auto.mat -hkl Fs.hkl [flags]      simulate a diffraction image\n"
         "       nablabragg fcalc MODEL -dmin 2.0 -o out.hkl       structure factors from an "
         "atomic model\n"
         "       nablabragg refine --image FILE --parameters LIST -- FLAGS    the model behind an "
         "image\n"
         "       nablabragg compare --reference PROGRAM -- ARGS    two programs, one image\n"
         "       nablabragg bench                                  how fast it is\n"
         "       nablabragg --version\n\n"
         "An image needs a cell (-mat or -cell) and structure factors (-hkl or -default_F).\n"
         "options:\n";
  std::string_view group;
  for (const flags::Flag& flag : flags::flag_table()) {
    if (flag.group != group) {
      group = flag.group;
      fmt::print(out, "\n{}\n", group);
    }
    const std::string left = joined(flag.spellings, " ") +
                             (flag.values.empty() ? "" : ' ' + std::string(flag.values));
    const std::string standard = flag.standard.empty()
                                     ? ""
                                     : fmt::format(" (default: {})", flag.standard);
    if (left.size() <= 30)
      fmt::print(out, "\t{:<30} {}{}\n", left, flag.help, standard);
    else
      fmt::print(out, "\t{}\n\t{:<30} {}{}\n", left, "", flag.help, standard);
  }
}

void docs_command(const std::vector<std::string>& arguments, std::ostream& out) {
  if (arguments.size() == 1 && arguments[0] == "flags") return write_flags(out);
  if (arguments.size() == 1 && arguments[0] == "differences") return write_differences(out);
  throw UsageError("docs needs one of: flags, differences");
}

}  // namespace nablabragg::cli
