#include "inventory/profile.hpp"

#include "inventory/callgrind.hpp"
#include "inventory/chrome_trace.hpp"
#include "inventory/perf_script.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

Profile read_profile(const std::string& file) {
  const std::string text = io::read_text(file);
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) throw InputError(file, 0, "is empty");
  if (text[begin] == '{' || text[begin] == '[') return parse_chrome_trace(text, file);
  const std::string_view top = std::string_view(text).substr(0, std::size_t{1} << 16);
  if (top.starts_with("# callgrind format") || top.starts_with("events:") ||
      top.find("\nevents:") != std::string_view::npos)
    return parse_callgrind(text, file);
  return parse_perf_script(text, file);
}

}  // namespace nablabragg::inventory
