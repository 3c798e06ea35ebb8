#include "options/man_page.hpp"

#include <cstdlib>
#include <ctime>
#include <ostream>
#include <sstream>

#include "nablabragg/version.hpp"

namespace nablabragg::options {

namespace {

/// Characters that roff takes for something else.
std::string escaped(std::string_view text) {
  std::string all;
  for (const char c : text) switch (c) {
      case '\\':
        all += "\\e";
        break;
      case '-':
        all += "\\-";
        break;
      case '^':
        all += "\\(ha";
        break;
      case '~':
        all += "\\(ti";
        break;
      case '`':
        all += "\\(ga";
        break;
      case '\'':
        all += "\\(aq";
        break;
      default:
        all += c;
    }
  return all;
}

/// A line of text that is no request.
std::string line(std::string_view text) {
  return (text.starts_with('.') ? "\\&" : "") + escaped(text);
}

void write_text(std::ostream& out, std::string_view text) {
  constexpr std::size_t width = 76;
  for (const std::string& each : lines_of(text, width)) out << line(each) << '\n';
}

void write_section(std::ostream& out, const Section& section) {
  out << ".SH " << section.first << '\n';
  std::istringstream lines(section.second);
  std::string paragraph;
  bool as_it_stands = false, begun = false;
  const auto end_paragraph = [&] {
    write_text(out, paragraph);
    begun |= !paragraph.empty();
    paragraph.clear();
  };
  for (std::string each; std::getline(lines, each);) {
    const bool indented = each.starts_with(' ');
    if (indented && !as_it_stands) {
      end_paragraph();
      out << (begun ? ".PP\n" : "") << ".nf\n.RS\n";
    }
    if (!indented && as_it_stands) out << ".RE\n.fi\n";
    if (indented)
      out << line(each.substr(each.find_first_not_of(' '))) << '\n';
    else if (each.empty()) {
      end_paragraph();
      if (begun && lines.peek() != EOF && lines.peek() != ' ') out << ".PP\n";
    } else
      paragraph += each + '\n';
    as_it_stands = indented;
    begun |= indented;
  }
  end_paragraph();
  if (as_it_stands) out << ".RE\n.fi\n";
}

std::string date() {
  std::time_t when = std::time(nullptr);
  if (const char* const stated = std::getenv("SOURCE_DATE_EPOCH"))
    when = static_cast<std::time_t>(std::atoll(stated));
  std::tm parts{};
  gmtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

void write_option(std::ostream& out, const Option& option) {
  out << ".TP\n";
  const char* between = "";
  for (const std::string& name : option.names) {
    out << between << "\\fB" << escaped(name) << "\\fR";
    between = ", ";
  }
  if (!option.values.empty())
    out << (option.names.empty() ? "" : " ") << "\\fI" << escaped(option.values) << "\\fR";
  out << '\n';
  write_text(out, option.help);
  if (!option.standard.empty()) write_text(out, "(default: " + option.standard + ")");
}

}  // namespace

std::string page_name(const std::string& command_name) {
  std::string name = command_name;
  for (char& c : name)
    if (c == ' ') c = '-';
  return name;
}

void write_man_page(std::ostream& out, const Command& command, std::string_view does,
                    const std::vector<Section>& before_options,
                    const std::vector<Section>& behind_options) {
  const std::string name = page_name(command.name);
  std::string title = name;
  for (char& c : title)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  out << ".TH " << title << " 1 " << date() << " \"nablaBragg " << version()
      << "\" \"User Commands\"\n.SH NAME\n"
      << escaped(name) << " \\- " << escaped(does) << "\n.SH SYNOPSIS\n";
  std::istringstream forms(command.synopsis);
  const char* between = "";
  for (std::string form; std::getline(forms, form);) {
    out << between << "\\fB" << escaped(command.name) << "\\fR " << escaped(form) << '\n';
    between = ".br\n";
  }
  out << ".SH DESCRIPTION\n";
  write_text(out, command.summary);
  for (const Section& section : before_options) write_section(out, section);
  if (!command.options.empty()) out << ".SH OPTIONS\n";
  std::string group;
  for (const Option& option : command.options) {
    if (option.group != group) {
      group = option.group;
      out << ".SS " << escaped(group) << '\n';
    }
    write_option(out, option);
  }
  if (!command.footer.empty()) write_section(out, {"NOTES", command.footer});
  for (const Section& section : behind_options) write_section(out, section);
}

}  // namespace nablabragg::options
