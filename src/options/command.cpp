#include "options/command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "description/edit_distance.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::options {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Option, names, values, help, standard, words, file, group)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Command, name, synopsis, summary, options, footer)

namespace {

/// "{sqrt,linear,log}", as CLI::IsMember describes itself; empty: it is another check.
std::vector<std::string> members_of(const std::string& check) {
  std::vector<std::string> words;
  if (!check.starts_with('{') || !check.ends_with('}')) return words;
  std::istringstream all(check.substr(1, check.size() - 2));
  for (std::string word; std::getline(all, word, ',');) words.push_back(word);
  return words;
}

std::string repeated(const std::string& word, int times) {
  std::string all = word;
  for (int i = 1; i < times; ++i) all += ' ' + word;
  return all;
}

Option described(const CLI::Option& option) {
  Option described;
  for (const std::string& name : option.get_snames()) described.names.push_back('-' + name);
  for (const std::string& name : option.get_lnames()) described.names.push_back("--" + name);
  described.help = option.get_description();
  if (option.get_items_expected_max() == 0) return described;
  // "TEXT:{sqrt,linear,log}", "INT:POSITIVE"
  const std::string type = option.get_type_name();
  const std::size_t colon = type.find(':');
  if (colon != std::string::npos) described.words = members_of(type.substr(colon + 1));
  const std::string kind = type.substr(0, colon);
  described.file = kind == "TEXT" && described.words.empty();
  if (described.names.empty()) {
    described.values = option.get_name(true);
    return described;
  }
  if (described.words.empty()) {
    described.values = kind == "TEXT" ? "TEXT" : kind == "FLOAT" ? "X" : "N";
    if (option.get_delimiter() != '\0')
      described.values += std::string(1, option.get_delimiter()) + "...";
    else if (option.get_items_expected_min() > 1)
      described.values = repeated(described.values, option.get_items_expected_min());
  } else {
    for (const std::string& word : described.words)
      described.values.append(described.values.empty() ? "" : "|").append(word);
  }
  return described;
}

bool is_dashed(const std::string& name) { return name.starts_with('-'); }

}  // namespace

Command described(const CLI::App& app) {
  Command command{app.get_name(), "", app.get_description(), {}, app.get_footer()};
  for (const CLI::Option* option : app.get_options()) {
    command.options.push_back(described(*option));
    const Option& last = command.options.back();
    if (last.names.empty()) command.synopsis += ' ' + last.values;
  }
  command.synopsis = "[OPTIONS]" + command.synopsis;
  return command;
}

std::string to_json(const Command& command) { return nlohmann::json(command).dump(); }

Command command_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<Command>();
}

std::vector<std::string> lines_of(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (lines.empty() || lines.back().size() + 1 + word.size() > width)
      lines.push_back(word);
    else
      lines.back() += ' ' + word;
  }
  return lines;
}

void write_usage(std::ostream& out, const Command& command) {
  out << "usage: " << command.name << ' ' << command.synopsis << '\n';
  const auto left_of = [](const Option& option) {
    std::string left;
    for (const std::string& name : option.names) left.append(left.empty() ? "" : ", ").append(name);
    return left + (left.empty() || option.values.empty() ? "" : " ") + option.values;
  };
  std::size_t column = 0;
  for (const Option& option : command.options) column = std::max(column, left_of(option).size());
  constexpr std::size_t width = 96, margin = 4;
  for (const Option& option : command.options) {
    std::string left = left_of(option);
    const std::string standard = option.standard.empty() ? "" : " (" + option.standard + ")";
    for (const std::string& line : lines_of(option.help + standard, width - margin - column)) {
      left.resize(column, ' ');
      out << "  " << left << "  " << line << '\n';
      left.clear();
    }
  }
}

std::string suggestion(const Command& command, std::string_view typed) {
  std::vector<std::string_view> names;
  for (const Option& option : command.options)
    std::copy_if(option.names.begin(), option.names.end(), std::back_inserter(names), is_dashed);
  const std::string_view near = description::nearest_word(typed, names);
  return near.empty() ? " (" + command.name + " --help shows those it has)"
                      : "; did you mean " + std::string(near) + '?';
}

namespace {

CLI::Validator number_check(bool (*fits)(double), const std::string& must_be,
                            const std::string& name) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value)) return "is no number: " + text;
        return fits(value) ? std::string() : must_be + ", and is " + text;
      },
      name);
}

void check_finite(const CLI::App& app) {
  for (const CLI::Option* const option : app.get_options()) {
    if (!option->get_type_name().starts_with("FLOAT")) continue;
    for (const std::string& text : option->results()) {
      double value = 0;
      if (CLI::detail::lexical_cast(text, value) && !std::isfinite(value))
        throw UsageError(option->get_name() + ": must be a finite number, and is " + text);
    }
  }
}

/// CLI11's "--resume: 1 required TEXT missing" in words.
std::string too_few_values(const CLI::App& app, const std::string& text) {
  const std::string name = text.substr(0, text.find(": "));
  const CLI::Option* const option = app.get_option_no_throw(name);
  if (!option || text.find(" required ") == std::string::npos) return text;
  const int values = option->get_items_expected_min();
  return name + " needs " + (values == 1 ? "a value" : std::to_string(values) + " values");
}

}  // namespace

CLI::Validator above_zero() {
  return number_check([](double value) { return value > 0; }, "must be above 0", "POSITIVE");
}

CLI::Validator not_negative() {
  return number_check([](double value) { return value >= 0; }, "must not be negative",
                      "NONNEGATIVE");
}

void parse(CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    if (word == "--") break;
    const std::string name = word.substr(0, word.find('='));
    if (name.starts_with("--") && !app.get_option_no_throw(name))
      throw UsageError(app.get_name() + " has no option " + name +
                       suggestion(described(app), name));
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    throw;
  } catch (const CLI::ArgumentMismatch& error) {
    throw UsageError(too_few_values(app, error.what()) + " (" + app.get_name() +
                     " --help shows how)");
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + " (" + app.get_name() + " --help shows how)");
  }
  check_finite(app);
}

}  // namespace nablabragg::options
