#include "inventory/backlog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <initializer_list>

#include "inventory/correlation_report.hpp"
#include "inventory/text.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace {

namespace fs = std::filesystem;

constexpr int widest_bytes = 32;  // AVX2
constexpr double assumed_floating = 0.5;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end])))
      return true;
  }
  return false;
}

/// What a test would name: "nablabragg::io::write_rows<float>(int)" is write_rows.  Of operators
/// and short names, which are common words, it is the class; empty where that is short, too.
std::string telling_name(const std::string& function) {
  constexpr std::size_t shortest = 5;
  std::string name = function.substr(0, function.find_first_of("<("));
  while (!name.empty()) {
    const std::size_t colons = name.rfind("::");
    std::string last = colons == std::string::npos ? name : name.substr(colons + 2);
    if (last.size() >= shortest && !last.starts_with("operator")) return last;
    name.erase(colons == std::string::npos ? 0 : colons);
    // A namespace of ours is in every test
    if (name == "nablabragg") break;
  }
  return {};
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool has_any(const std::string& text, std::initializer_list<const char*> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const char* part) { return text.find(part) != std::string::npos; });
}

void estimate(const Loop& loop, const LoopShare& share, Candidate& c) {
  OperationMix mix = share.mix;
  mix.add(share.mix_called);
  c.floating_seen = mix.total() > 0;
  c.floating = c.floating_seen ? mix.scalar_part() : assumed_floating;
  const int bytes_each = mix.scalar_double > mix.scalar_float ? 8 : 4;
  for (const Verdict& v : loop.verdicts)
    c.lanes = std::max({c.lanes, v.width, v.bytes / bytes_each});
  c.lanes_said = c.lanes > 1;
  if (!c.lanes_said) c.lanes = widest_bytes / bytes_each;
  c.gain = 1 / (1 - c.floating + c.floating / c.lanes);
  c.share = share.self;
  c.called = share.called;
  c.saved = c.share * (1 - 1 / c.gain);
}

std::string in_short(const std::vector<std::string>& tests) {
  if (tests.empty()) return "none found";
  constexpr std::size_t most = 3;
  std::string text = fmt::format(
      "{}",
      fmt::join(tests.begin(),
                tests.begin() + static_cast<std::ptrdiff_t>(std::min(most, tests.size())), ", "));
  if (tests.size() > most) text += fmt::format(" and {} more", tests.size() - most);
  return text;
}

}  // namespace

std::vector<TestSource> read_tests(const std::string& folder) {
  std::error_code error;
  std::vector<TestSource> tests;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string extension = at->path().extension().string();
    if (at->is_regular_file(error) && (extension == ".cpp" || extension == ".py"))
      tests.push_back({at->path().lexically_relative(folder).generic_string(),
                       io::read_text(at->path().string())});
  }
  if (error) throw InputError(folder, 0, "cannot be read: " + error.message());
  std::sort(tests.begin(), tests.end(),
            [](const TestSource& a, const TestSource& b) { return a.name < b.name; });
  return tests;
}

std::vector<std::string> tests_of(const Loop& loop, const std::vector<TestSource>& tests) {
  const std::string function = telling_name(loop.function);
  const std::string header = fs::path(loop.file).stem().string() + ".hpp\"";
  std::vector<std::string> names;
  for (const TestSource& test : tests) {
    const bool calls = !function.empty() && has_word(test.text, function);
    if (calls || test.text.find('/' + header) != std::string::npos ||
        test.text.find('"' + header) != std::string::npos)
      names.push_back(test.name);
  }
  return names;
}

std::string risk_of(const Loop& loop) {
  std::string reasons = lower(loop.reason);
  for (const Verdict& v : loop.verdicts)
    for (const std::string& reason : v.reasons) reasons += ' ' + lower(reason);
  const std::string code = lower(loop.function + ' ' + loop.file + ' ' + loop.header);
  if (has_any(code, {"noise", "random", "poisson", "generator", "seed"}) ||
      has_any(reasons, {"random"}))
    return "high: random numbers must be drawn in the same order";
  if (has_any(reasons, {"reduction", "associat", "reorder", "order of"}))
    return "middle: a sum in another order changes the last bits";
  if (has_any(reasons, {"alias", "dependence", "dependen"}))
    return "middle: what one pass writes, another may read";
  if (loop.driver == Driver::file || has_any(code, {"/io/", "parse", "read_", "write_"}))
    return "low: bytes of files must stay the same, which tests see";
  if (loop.kind == LoopKind::parallel) return "middle: the loop's threads share what it writes";
  if (has_any(reasons, {"call", "libm", "math"}))
    return "middle: vector versions of functions round differently";
  return "low: rounding of the last bits, within the acceptance tests' limits";
}

std::vector<Candidate> rank_candidates(const Inventory& inventory, const Correlation& correlation,
                                       const std::vector<TestSource>& tests, double least_percent) {
  std::vector<Candidate> candidates;
  for (const LoopShare& share : correlation.loops) {
    const Loop& loop = inventory.loops[share.loop];
    if (share.self < least_percent || loop.loop_class == LoopClass::vectorized || is_packed(share))
      continue;
    Candidate c;
    c.loop = share.loop;
    estimate(loop, share, c);
    c.tests = tests_of(loop, tests);
    c.risk = risk_of(loop);
    candidates.push_back(std::move(c));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.saved != b.saved ? a.saved > b.saved : a.share > b.share;
                   });
  return candidates;
}

std::string backlog_markdown(const Inventory& inventory, const std::vector<Candidate>& candidates,
                             double least_percent, const std::vector<std::string>& about) {
  std::string text = "# Loops that would be worth vectorising\n\n";
  for (const std::string& line : about) text += "- " + ascii(line) + "\n";
  text += fmt::format(
      "\nLoops with {:g} % or more of the total that are not vectorised, by their class and by\n"
      "their instructions; a cold one here is a finding.\n\n"
      "- share: per cent of the total in the loop itself; called: of it in functions without "
      "loops\n"
      "  that it calls, which would have to become part of it\n"
      "- gain of the loop: 1 / ((1 - f) + f / lanes); f: floating-point instructions' part of its\n"
      "  own, as the machine code shows it, or {:g} (assumed) without machine code; lanes: the\n"
      "  widest that a compiler named for it, or else {} bytes of floats, or of doubles where "
      "these\n"
      "  are more\n"
      "- saved: share x (1 - 1 / gain), which ranks; whole: 1 / (1 - saved), Amdahl's law\n"
      "- tests: files that name its function, or include the header of its file\n",
      least_percent, assumed_floating, widest_bytes);
  if (candidates.empty()) return text + "\nThere is none.\n";
  text +=
      "\n| rank | loop | line | share % | called % | class | reason | lanes | f | gain | saved % | "
      "whole | "
      "tests | risk |\n"
      "|---:|---|---:|---:|---:|---|---|---:|---:|---:|---:|---:|---|---|\n";
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    const Loop& loop = inventory.loops[c.loop];
    text += fmt::format(
        "| {} | `{}` | {} | {:.2f} | {:.2f} | {} | {} | {}{} | {:.2f}{} | {:.2f} | {:.2f} | {:.3f} "
        "| {} | "
        "{} |\n",
        i + 1, cell(loop.id), loop.line, c.share, c.called, name_of(loop.loop_class),
        cell(loop.reason), c.lanes, c.lanes_said ? "" : " (assumed)", c.floating,
        c.floating_seen ? "" : " (assumed)", c.gain, c.saved, c.whole_gain(),
        cell(in_short(c.tests)), c.risk);
  }
  return text;
}

}  // namespace nablabragg::inventory
