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

/// What the writers take: "-" as standard output.
std::string writable_name(const std::string& path);

/// Whether this is the program's own standard output, under any name.
bool is_standard_output(const std::string& path);

/// Throws UsageError where an output is the same file as an input or as another output, by name,
/// symbolic link or hard link, and where two would be mixed in one pipe, one socket or one stream
/// that is open already ("-", /dev/stdout, /dev/fd/1).  /dev/null can be written more than once.
void check_distinct(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs);

/// The same of what the program prints: throws UsageError where standard output or standard error
/// was sent to an input, or to an output that is not that stream itself, and where warnings on
/// standard error would be mixed with an output.
void check_apart_from_streams(std::span<const NamedFile> inputs,
                              std::span<const NamedFile> outputs);

}  // namespace nablabragg::io
