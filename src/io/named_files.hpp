// Which files a command reads and writes, and that no output destroys one of them.
#pragma once
#include <span>
#include <string>

namespace nablabragg::io {

/// A file of a command and what names it: {"-floatfile", "a.bin"}.  Of an output the name "-" is
/// standard output.
struct NamedFile {
  std::string role, path;
};

/// The name in quotes, on one line whatever it holds.
std::string quoted_name(const std::string& path);

/// What the writers take: "-" as standard output.
std::string writable_name(const std::string& path);

/// Whether this is the program's own standard output, under any name.
bool is_standard_output(const std::string& path);

/// Throws UsageError where an output is the same file as an input or as another output, by name,
/// symbolic link or hard link, and where two are "-".  Devices, pipes and sockets can be written
/// more than once; so can a file that is open as /dev/stdout, /dev/stderr or /dev/fd/N.
void check_distinct(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs);

}  // namespace nablabragg::io
