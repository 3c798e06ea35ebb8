#include "inventory/tool_output.hpp"

#include <fmt/format.h>

#include <cstdlib>  // for mkdtemp
#include <system_error>
#include <utility>

#include "instruments/child_process.hpp"
#include "io/text_lines.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::inventory {

namespace fs = std::filesystem;

WorkFolder::WorkFolder() {
  std::string name = (fs::temp_directory_path() / "nablabragg-inventory-XXXXXX").string();
  const auto held = io::lock_temporary_files();
  if (!mkdtemp(name.data())) throw OutputError("cannot make the folder " + name);
  path_ = name;
  name_ = io::TemporaryName(name, held);
}

std::string printed_by(const WorkFolder& folder, std::vector<std::string> arguments) {
  instruments::ChildCommand command;
  command.arguments = std::move(arguments);
  command.directory = folder.path().string();
  command.out_file = "out";
  command.err_file = "err";
  const std::string& tool = command.arguments[0];
  const instruments::ChildOutcome outcome = instruments::run_child(command);
  if (outcome.exit_code != 0)
    throw InputError(fmt::format("{} failed: {}", tool,
                                 instruments::last_line((folder.path() / "err").string())));
  return io::read_text((folder.path() / "out").string());
}

}  // namespace nablabragg::inventory
