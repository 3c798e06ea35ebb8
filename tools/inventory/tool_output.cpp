#include "tool_output.hpp"

#include <fmt/format.h>

#include <cstdlib>  // for mkdtemp
#include <system_error>
#include <utility>

#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"
#include "tools/child_process.hpp"

namespace nablabragg::inventory {

namespace fs = std::filesystem;

WorkFolder::WorkFolder() {
  std::string name = (fs::temp_directory_path() / "nablabragg-inventory-XXXXXX").string();
  if (!mkdtemp(name.data())) throw OutputError("cannot make the folder " + name);
  path_ = name;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string printed_by(const WorkFolder& folder, std::vector<std::string> words) {
  tools::ChildCommand command;
  command.words = std::move(words);
  command.directory = folder.path().string();
  command.out_file = "out";
  command.err_file = "err";
  const std::string& tool = command.words[0];
  const tools::ChildOutcome outcome = tools::run_child(command);
  if (outcome.exit_code != 0)
    throw InputError(
        fmt::format("{} failed: {}", tool, tools::last_line((folder.path() / "err").string())));
  return io::read_text((folder.path() / "out").string());
}

}  // namespace nablabragg::inventory
