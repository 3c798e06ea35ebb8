#include "cli/manual.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <filesystem>
#include <sstream>
#include <vector>

#include "cli/commands.hpp"
#include "cli/subcommands.hpp"
#include "io/atomic_file.hpp"
#include "nablabragg/error.hpp"
#include "options/completion.hpp"
#include "options/man_page.hpp"

namespace nablabragg::cli {

namespace {

using options::Section;

const Section& exit_status() {
  static const Section section{"EXIT STATUS",
                               "0 done, 1 internal error, 2 a wrong command line, 3 an input file, "
                               "4 an output file, 128 and its number for a signal.\n"};
  return section;
}

Section see_also(std::string_view but) {
  std::string pages;
  if (!but.empty()) pages = "nablabragg(1)";
  for (const Subcommand& each : subcommands())
    if (each.name != but)
      pages += fmt::format("{}nablabragg-{}(1)", pages.empty() ? "" : ", ", each.name);
  return {"SEE ALSO",
          pages +
              "\n\nThe documents, in /usr/share/doc/nablabragg/ where Debian's package put "
              "them.\n"};
}

void write_main_page(std::ostream& out) {
  options::Command command = described_simulator();
  command.synopsis = "-mat auto.mat -hkl Fs.hkl [FLAGS]\n-cell a b c al be ga -default_F F [FLAGS]";
  std::string commands;
  for (const Subcommand& each : subcommands()) {
    command.synopsis += fmt::format("\n{} {}", each.name, each.takes);
    commands += fmt::format("nablabragg {}: {}; nablabragg-{}(1).\n\n", each.name, each.does,
                            each.name);
  }
  command.summary +=
      " The flags are those of nanoBragg and more; an image needs a cell (-mat or -cell) and "
      "structure factors (-hkl or -default_F). It begins in compat mode, nanoBragg's image bug "
      "for bug; -corrected computes what was meant. A flag may have a longer spelling and two "
      "dashes; the last occurrence of a flag counts.";
  options::write_man_page(
      out, command, "X-ray diffraction images of small crystals", {{"SUBCOMMANDS", commands}},
      {{"ENVIRONMENT",
        "NABLABRAGG_TARGET: the instruction set of the kernels, avx512, avx2, sse4 or scalar, in "
        "place of the best that the processor has.\n\nNABLABRAGG_CUDA_PLUGIN: the file of the "
        "plugin for GPUs, where it does not lie beside the program.\n"},
       exit_status(),
       {"EXAMPLES", fmt::format("A first image, in image.png:\n\n    {}\n", first_image)},
       see_also("")});
}

void write_page(std::ostream& out, const Subcommand& subcommand) {
  options::write_man_page(out, described(subcommand), subcommand.does, {},
                          {exit_status(), see_also(subcommand.name)});
}

options::Program program() {
  options::Program all{described_simulator(), {}};
  for (const Subcommand& each : subcommands()) {
    all.subcommands.push_back(described(each));
    all.subcommands.back().summary = each.does;
  }
  return all;
}

using Writer = void (*)(std::ostream&, const options::Program&);

struct Shell {
  const char *name, *file;
  Writer write;
};

constexpr Shell shells[] = {
    {"bash", "bash-completion/completions/nablabragg", options::write_bash_completion},
    {"zsh", "zsh/vendor-completions/_nablabragg", options::write_zsh_completion},
    {"fish", "fish/vendor_completions.d/nablabragg.fish", options::write_fish_completion}};

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  io::AtomicFile file(path.string());
  file.write({text.data(), text.size()});
  file.commit();
}

}  // namespace

void write_manual(std::ostream& out, const std::string& subcommand) {
  if (subcommand.empty()) return write_main_page(out);
  const Subcommand* const found = find_subcommand(subcommand);
  if (!found) {
    std::vector<std::string_view> names;
    for (const Subcommand& each : subcommands()) names.push_back(each.name);
    throw UsageError(fmt::format("there is no man page of '{}'; there are those of {}", subcommand,
                                 fmt::join(names, ", ")));
  }
  write_page(out, *found);
}

void write_completion(std::ostream& out, const std::string& shell) {
  for (const Shell& each : shells)
    if (shell == each.name) return each.write(out, program());
  throw UsageError("docs completion needs the name of a shell: bash, zsh or fish");
}

void write_pages(std::ostream& out, const std::string& folder) {
  if (folder.empty()) throw UsageError("docs pages needs the folder that they go to");
  const std::filesystem::path top(folder), manual = top / "man" / "man1";
  std::ostringstream main_page;
  write_main_page(main_page);
  write_file(manual / "nablabragg.1", main_page.str());
  for (const Subcommand& each : subcommands()) {
    std::ostringstream page;
    write_page(page, each);
    write_file(manual / fmt::format("nablabragg-{}.1", each.name), page.str());
  }
  for (const Shell& each : shells) {
    std::ostringstream text;
    each.write(text, program());
    write_file(top / each.file, text.str());
  }
  fmt::print(out, "man pages and completions of bash, zsh and fish are in {}\n", folder);
}

}  // namespace nablabragg::cli
