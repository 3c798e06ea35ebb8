// What the library throws.  It never prints and never exits.
#pragma once
#include <stdexcept>  // for std::runtime_error
#include <string>

namespace nablabragg {

/// Base of every error; the text is one sentence: what, where, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A parameter, flag or combination of them that describes no experiment.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or does not hold what it should.
class InputError : public Error {
 public:
  using Error::Error;
  /// "FILE:LINE: problem"; line 0 leaves the line out.
  InputError(const std::string& file, long line, const std::string& problem)
      : Error(located(file, line, problem)) {}

 private:
  static std::string located(const std::string& file, long line, const std::string& problem) {
    std::string text = file;
    if (line > 0) text.append(1, ':').append(std::to_string(line));
    return text.append(": ").append(problem);
  }
};

/// A file that cannot be written.
class OutputError : public Error {
 public:
  using Error::Error;
};

/// A GPU or its driver that failed: which call, why, and what to do.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// The progress callback asked to stop.
class Cancelled : public Error {
 public:
  Cancelled() : Error("stopped before the image was complete; no file was written") {}
};

}  // namespace nablabragg
