#include "options/completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <utility>  // for pair

namespace nablabragg::options {

namespace {

/// "nablabragg show" -> "show"; the program itself has none.
std::string short_name(const Program& program, const Command& command) {
  return command.name.size() == program.flags.name.size()
             ? std::string()
             : command.name.substr(program.flags.name.size() + 1);
}

/// The first clause: a menu has one line for each.
std::string clause(const std::string& help) {
  return help.substr(0, std::min({help.find(';'), help.find(" ("), help.find(": ")}));
}

/// In single quotes of a shell.
std::string quoted(std::string_view text, std::string_view quote) {
  std::string all = "'";
  for (const char c : text) {
    if (c == '\'')
      all += quote;
    else
      all += c;
  }
  return all + "'";
}

std::vector<std::string> names_of(const Command& command) {
  std::vector<std::string> names;
  for (const Option& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

/// The words of arguments that their place tells.
std::vector<std::string> placed_words(const Command& command) {
  std::vector<std::string> words;
  for (const Option& option : command.options)
    if (option.names.empty()) words.insert(words.end(), option.words.begin(), option.words.end());
  return words;
}

bool takes_placed_file(const Command& command) {
  return std::any_of(command.options.begin(), command.options.end(),
                     [](const Option& o) { return o.names.empty() && o.file; });
}

std::vector<const Command*> commands_of(const Program& program) {
  std::vector<const Command*> all{&program.flags};
  for (const Command& command : program.subcommands) all.push_back(&command);
  return all;
}

/// What a shell does where a value is typed.
struct ValueActions {
  const char *files, *numbers;
  const char* words;           ///< with {} for them
  const char* words_or_files;  ///< the same
};

/// A branch of `case $command:$before in` for each option that takes a value.
void write_value_cases(std::ostream& out, const Program& program, const ValueActions& actions) {
  for (const Command* command : commands_of(program)) {
    const std::string name = short_name(program, *command);
    std::vector<std::string> of_files, of_numbers;
    for (const Option& option : command->options) {
      if (option.names.empty() || option.values.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& spelling : option.names) patterns.push_back(name + ':' + spelling);
      if (!option.words.empty())
        out << fmt::format(
            "    {}) {} ;;\n", fmt::join(patterns, "|"),
            fmt::format(fmt::runtime(option.file ? actions.words_or_files : actions.words),
                        fmt::join(option.words, " ")));
      else
        std::move(patterns.begin(), patterns.end(),
                  std::back_inserter(option.file ? of_files : of_numbers));
    }
    if (!of_files.empty())
      out << fmt::format("    {}) {} ;;\n", fmt::join(of_files, "|"), actions.files);
    if (!of_numbers.empty())
      out << fmt::format("    {}) {} ;;\n", fmt::join(of_numbers, "|"), actions.numbers);
  }
}

}  // namespace

void write_bash_completion(std::ostream& out, const Program& program) {
  const std::string& name = program.flags.name;
  out << fmt::format(
      "# bash completion of {0}, made by {0} docs completion bash\n\n"
      "_{0}() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  local command= words= i\n"
      "  COMPREPLY=()\n"
      "  # --scale=log is three words\n"
      "  if [[ $word == = ]]; then\n"
      "    word=\n"
      "  elif [[ $before == = ]]; then\n"
      "    before=${{COMP_WORDS[COMP_CWORD-2]}}\n"
      "  fi\n"
      "  if ((COMP_CWORD > 1)) && [[ ${{COMP_WORDS[1]}} != -* ]]; then\n"
      "    command=${{COMP_WORDS[1]}}\n"
      "  fi\n"
      "  # Behind -- stand flags of the simulator.\n"
      "  for ((i = 2; i < COMP_CWORD; ++i)); do\n"
      "    if [[ ${{COMP_WORDS[i]}} == -- ]]; then command=; fi\n"
      "  done\n"
      "  case $command:$before in\n",
      name);
  write_value_cases(
      out, program,
      {"compopt -o default; return", "return", "words='{}'", "words='{}'; compopt -o default"});
  out << "    *)\n"
         "      case $command in\n";
  for (const Command* command : commands_of(program)) {
    const std::string shown = short_name(program, *command);
    std::vector<std::string> words = placed_words(*command);
    const std::vector<std::string> names = names_of(*command);
    words.insert(words.end(), names.begin(), names.end());
    out << fmt::format("        {}) words='{}' ;;\n", shown.empty() ? "''" : shown,
                       fmt::join(words, " "));
  }
  std::vector<std::string> subcommands;
  for (const Command& command : program.subcommands)
    subcommands.push_back(short_name(program, command));
  out << fmt::format(
      "      esac\n"
      "      if ((COMP_CWORD == 1)); then words=\"{1} $words\"; fi\n"
      "      if [[ $word != -* ]]; then compopt -o default; fi\n"
      "      if [[ -z $word && -n $command ]]; then\n"
      "        case $command in\n",
      name, fmt::join(subcommands, " "));
  // Where a file is the argument, an empty word is completed to files.
  for (const Command& command : program.subcommands)
    if (takes_placed_file(command))
      out << fmt::format("          {}) return ;;\n", short_name(program, command));
  out << fmt::format(
      "        esac\n"
      "      fi ;;\n"
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
      "}}\n\n"
      "complete -F _{0} {0}\n",
      name);
}

void write_zsh_completion(std::ostream& out, const Program& program) {
  const std::string& name = program.flags.name;
  const auto entries_of = [](const std::vector<std::pair<std::string, std::string>>& rows) {
    std::string all;
    for (const auto& [word, help] : rows) {
      std::string escaped;
      for (const char c : word) escaped += c == ':' ? std::string("\\:") : std::string(1, c);
      all += "\n        " + quoted(escaped + ':' + clause(help), "'\\''");
    }
    return all;
  };
  out << fmt::format(
      "#compdef {0}\n"
      "# zsh completion of {0}, made by {0} docs completion zsh\n\n"
      "_{0}() {{\n"
      "  local command= before=$words[CURRENT-1]\n"
      "  local -a entries values subcommands\n"
      "  if ((CURRENT > 2)) && [[ $words[2] != -* ]]; then command=$words[2]; fi\n"
      "  # Behind -- stand flags of the simulator.\n"
      "  if ((${{words[(i)--]}} < CURRENT)); then command=; fi\n"
      "  if [[ $PREFIX == --*=* ]]; then\n"
      "    before=${{PREFIX%%=*}}\n"
      "    compset -P '*='\n"
      "  fi\n"
      "  case $command:$before in\n",
      name);
  write_value_cases(
      out, program,
      {"_files; return", "_message number; return", "values=({}); compadd -a values; return",
       "values=({}); compadd -a values; _files; return"});
  out << "  esac\n"
         "  case $command in\n";
  for (const Command* command : commands_of(program)) {
    const std::string shown = short_name(program, *command);
    std::vector<std::pair<std::string, std::string>> rows;
    for (const std::string& word : placed_words(*command)) rows.emplace_back(word, "");
    for (const Option& option : command->options)
      for (const std::string& spelling : option.names) rows.emplace_back(spelling, option.help);
    out << fmt::format("    {}) entries=({}\n      ) ;;\n", shown.empty() ? "''" : shown,
                       entries_of(rows));
  }
  std::vector<std::pair<std::string, std::string>> subcommands;
  for (const Command& command : program.subcommands)
    subcommands.emplace_back(short_name(program, command), command.summary);
  out << fmt::format(
      "  esac\n"
      "  if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then\n"
      "    subcommands=({1})\n"
      "    _describe command subcommands\n"
      "    return\n"
      "  fi\n"
      "  if [[ $PREFIX == -* ]]; then\n"
      "    _describe -o option entries\n"
      "  else\n"
      "    entries=(${{entries:#-*}})\n"
      "    (($#entries)) && _describe word entries\n"
      "    _files\n"
      "  fi\n"
      "}}\n\n"
      "_{0} \"$@\"\n",
      name, entries_of(subcommands));
}

void write_fish_completion(std::ostream& out, const Program& program) {
  const std::string& name = program.flags.name;
  const auto text = [](std::string_view words) {
    std::string escaped;
    for (const char c : words) escaped += c == '\\' ? std::string("\\\\") : std::string(1, c);
    return quoted(escaped, "\\'");
  };
  out << fmt::format(
      "# fish completion of {0}, made by {0} docs completion fish\n\n"
      "# Whether the word at the cursor is of this subcommand, '' is the simulator.\n"
      "function __{0}_is\n"
      "  set -l words (commandline -opc)\n"
      "  contains -- -- $words; and return 1\n"
      "  set -l command ''\n"
      "  if set -q words[2]; and not string match -q -- '-*' $words[2]\n"
      "    set command $words[2]\n"
      "  end\n"
      "  test \"$command\" = \"$argv[1]\"\n"
      "end\n\n"
      "# Behind -- stand flags of the simulator.\n"
      "function __{0}_behind_dashes\n"
      "  contains -- -- (commandline -opc)\n"
      "end\n\n"
      "function __{0}_is_first\n"
      "  test (count (commandline -opc)) -eq 1\n"
      "end\n\n",
      name);
  for (const Command& command : program.subcommands)
    out << fmt::format("complete -c {0} -n __{0}_is_first -a {1} -d {2}\n", name,
                       short_name(program, command), text(clause(command.summary)));
  out << fmt::format("complete -c {0} -n __{0}_behind_dashes -a '{1}'\n", name,
                     fmt::join(names_of(program.flags), " "));
  for (const Command* command : commands_of(program)) {
    const std::string condition = fmt::format("'__{} \"{}\"'", name + "_is",
                                              short_name(program, *command));
    const std::vector<std::string> words = placed_words(*command);
    if (!words.empty())
      out << fmt::format("complete -c {} -n {} {}-a '{}'\n", name, condition,
                         takes_placed_file(*command) ? "" : "-f ", fmt::join(words, " "));
    for (const Option& option : command->options) {
      if (option.names.empty()) continue;
      std::string spellings;
      for (const std::string& spelling : option.names)
        spellings += spelling.starts_with("--") ? " -l " + spelling.substr(2)
                     : spelling.size() == 2     ? " -s " + spelling.substr(1)
                                                : " -o " + spelling.substr(1);
      std::string values;
      if (!option.values.empty()) values = option.file ? " -r -F" : " -x";
      if (!option.words.empty()) values += fmt::format(" -a '{}'", fmt::join(option.words, " "));
      out << fmt::format("complete -c {} -n {}{}{} -d {}\n", name, condition, spellings, values,
                         text(clause(option.help)));
    }
  }
}

}  // namespace nablabragg::options
