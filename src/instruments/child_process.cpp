#include "instruments/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>  // for rusage
#include <sys/wait.h>
#include <unistd.h>  // for environ

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>  // for std::generic_category

#include "io/stop_signals.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::instruments {

namespace {

namespace fs = std::filesystem;

class FileActions {
 public:
  FileActions() { check(posix_spawn_file_actions_init(&actions_)); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;

  void change_directory(const std::string& path) {
    check(posix_spawn_file_actions_addchdir_np(&actions_, path.c_str()));
  }
  void open(int descriptor, const std::string& path, int flags) {
    check(posix_spawn_file_actions_addopen(&actions_, descriptor, path.c_str(), flags, 0666));
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  static void check(int error) {
    if (error != 0)
      throw Error("cannot prepare a program's start: " + std::generic_category().message(error));
  }
  posix_spawn_file_actions_t actions_{};
};

/// A failing open inside the child cannot be told from a missing program; so it is tried before.
void make_empty(const std::string& directory, const std::string& name) {
  if (name.empty()) return;
  const fs::path path = fs::path(directory) / name;
  std::ofstream file(path, std::ios::trunc);
  if (!file) throw OutputError("cannot write " + path.string());
}

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    if (std::none_of(added.begin(), added.end(), [&](const auto& a) { return a.first == name; }))
      all.push_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

std::string quoted_argument(const std::string& argument) {
  constexpr const char*
      plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!argument.empty() && argument.find_first_not_of(plain) == std::string::npos) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

ChildOutcome run_child(const ChildCommand& command) {
  make_empty(command.directory, command.out_file);
  make_empty(command.directory, command.err_file);
  const auto sink = [](const std::string& name) { return name.empty() ? "/dev/null" : name; };
  FileActions actions;
  actions.change_directory(command.directory);
  actions.open(STDIN_FILENO, "/dev/null", O_RDONLY);
  actions.open(STDOUT_FILENO, sink(command.out_file), O_WRONLY | O_CREAT | O_TRUNC);
  actions.open(STDERR_FILENO, sink(command.err_file), O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_with(command.environment);

  const auto start = std::chrono::steady_clock::now();
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments.at(0).c_str(), actions.get(), nullptr,
                                 pointers(arguments).data(), pointers(environment).data());
  if (error != 0)
    throw InputError("cannot start " + arguments[0] + ": " +
                     std::generic_category().message(error));
  {
    const io::StoppableChild stoppable(child);
    siginfo_t ended{};
    while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
  }
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0)
    if (errno != EINTR)
      throw Error("cannot wait for " + arguments[0] + ": " +
                  std::generic_category().message(errno));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  ChildOutcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.seconds = elapsed.count();
  outcome.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  outcome.peak_bytes = std::int64_t{used.ru_maxrss} * 1024;
  return outcome;
}

std::string quoted(const std::vector<std::string>& arguments) {
  std::vector<std::string> each;
  each.reserve(arguments.size());
  for (const std::string& argument : arguments) each.push_back(quoted_argument(argument));
  return fmt::format("{}", fmt::join(each, " "));
}

std::string shell_line(const ChildCommand& command) {
  std::string line = "cd " + quoted_argument(command.directory) + " && ";
  for (const auto& [name, value] : command.environment)
    line += fmt::format("{}={} ", name, quoted_argument(value));
  return line + quoted(command.arguments);
}

std::string resolved_program(const std::string& name) {
  return name.find('/') == std::string::npos ? name : fs::absolute(name).string();
}

std::string own_program() { return fs::read_symlink("/proc/self/exe").string(); }

std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line))
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  return last;
}

}  // namespace nablabragg::instruments
