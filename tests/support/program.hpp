// Runs the program as a user would: in a folder, with words, looking at its exit code, what it
// prints and what it leaves.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
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

/// The 16-bit pixels behind an SMV header of 512 bytes.
inline std::vector<std::uint16_t> read_smv_pixels(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.size() < 512)
    throw std::runtime_error(path.string() + " is too short for an SMV image");
  std::vector<std::uint16_t> values((bytes.size() - 512) / 2);
  std::copy_n(bytes.data() + 512, values.size() * 2, reinterpret_cast<char*>(values.data()));
  return values;
}

struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

inline std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

/// Names and values.
using Environment = std::vector<std::pair<std::string, std::string>>;

/// The program with these words in `folder`; `more` is added to the environment of the test.
inline Outcome run_program(const std::filesystem::path& folder,
                           const std::vector<std::string>& arguments,
                           const Environment& more = {}) {
  const auto out = folder / ".stdout", err = folder / ".stderr";
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(folder.c_str()) != 0 || !std::freopen(out.c_str(), "w", stdout) ||
        !std::freopen(err.c_str(), "w", stderr) || !std::freopen("/dev/null", "r", stdin))
      _exit(126);
    for (const auto& [name, value] : more) setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    std::string program = NABLA_PROGRAM;
    argv.push_back(program.data());
    std::vector<std::string> copies = arguments;
    for (std::string& word : copies) argv.push_back(word.data());
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_file(out);
  outcome.err = read_file(err);
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

/// The same, words separated by blanks.
inline Outcome run_program(const std::filesystem::path& folder, const std::string& line,
                           const Environment& more = {}) {
  return run_program(folder, words(line), more);
}

}  // namespace nablabragg::test
