// Runs the program as a user would: in a folder, with arguments, looking at its exit code, what it
// prints and what it leaves.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>  // for pair
#include <vector>

namespace nablabragg::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

/// A raw float image.
inline std::vector<float> read_floats(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

/// How long the header of an SMV image says it is.
inline std::size_t smv_header_bytes(const std::string& image) {
  const std::string first = "{\nHEADER_BYTES=";
  if (!image.starts_with(first)) throw std::runtime_error("no SMV image");
  return std::strtoul(image.c_str() + first.size(), nullptr, 10);
}

/// The 16-bit pixels behind an SMV header.
inline std::vector<std::uint16_t> read_smv_pixels(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  const std::size_t header = smv_header_bytes(bytes);
  if (bytes.size() < header)
    throw std::runtime_error(path.string() + " is too short for an SMV image");
  std::vector<std::uint16_t> values((bytes.size() - header) / 2);
  std::copy_n(bytes.data() + header, values.size() * 2, reinterpret_cast<char*>(values.data()));
  return values;
}

struct Outcome {
  int exit_code = -1;  ///< or minus the signal that killed it
  std::string out, err;
};

inline std::vector<std::string> split_arguments(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

/// Names and values.
using Environment = std::vector<std::pair<std::string, std::string>>;

/// A program under way, and the files that take what it prints.
struct Running {
  pid_t process;
  std::filesystem::path out, err;
};

/// Another program is looked for as the shell does.
inline Running start_program(const std::filesystem::path& folder,
                             const std::vector<std::string>& arguments, const Environment& more,
                             std::string program = NABLA_PROGRAM) {
  const Running running{fork(), folder / ".stdout", folder / ".stderr"};
  if (running.process < 0) throw std::runtime_error("cannot start a process");
  if (running.process > 0) return running;
  if (chdir(folder.c_str()) != 0 || !std::freopen(running.out.c_str(), "w", stdout) ||
      !std::freopen(running.err.c_str(), "w", stderr) || !std::freopen("/dev/null", "r", stdin))
    _exit(126);
  for (const auto& [name, value] : more) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(program.c_str(), argv.data());
  _exit(127);
}

inline Outcome outcome_of(const Running& running) {
  int status = 0;
  waitpid(running.process, &status, 0);
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome.out = read_file(running.out);
  outcome.err = read_file(running.err);
  std::filesystem::remove(running.out);
  std::filesystem::remove(running.err);
  return outcome;
}

/// The program with these arguments in `folder`; `more` is added to the environment of the test.
inline Outcome run_program(const std::filesystem::path& folder,
                           const std::vector<std::string>& arguments,
                           const Environment& more = {}) {
  return outcome_of(start_program(folder, arguments, more));
}

/// The same, arguments separated by blanks.
inline Outcome run_program(const std::filesystem::path& folder, const std::string& line,
                           const Environment& more = {}) {
  return run_program(folder, split_arguments(line), more);
}

/// The same with a control-C as soon as begun(file of what it prints), or after half a minute.
template <class Begun>
Outcome run_interrupted(const std::filesystem::path& folder, const std::string& line,
                        Begun&& begun) {
  const Running running = start_program(folder, split_arguments(line), {});
  for (int i = 0; i < 3000 && !begun(running.out); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(running.process, SIGINT);
  return outcome_of(running);
}

}  // namespace nablabragg::test
