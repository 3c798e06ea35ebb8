#include "io/named_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>  // for min
#include <compare>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "io/atomic_file.hpp"  // for target_of, descriptor_of
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

namespace fs = std::filesystem;

/// What makes two names one file: device and inode, of the file or, where there is none yet, of its
/// folder, with the name in it.
struct Identity {
  dev_t device;
  ino_t inode;
  std::string name;
  auto operator<=>(const Identity&) const = default;
};

/// Where the bytes of a name come from or go to.
struct Place {
  std::optional<Identity> identity;  ///< nothing for /dev/null, a terminal and the like
  std::optional<int> descriptor;     ///< open already, and written where it stands
  bool regular = false;              ///< a file, or one to be

  /// Two outputs there would be mixed.
  bool same(const Place& other) const {
    return (identity && identity == other.identity) ||
           (descriptor && descriptor == other.descriptor);
  }
};

Place place_of(const std::string& path) {
  Place place{std::nullopt, descriptor_of(path)};
  struct stat about {};
  if (stat(path.c_str(), &about) == 0) {
    place.regular = S_ISREG(about.st_mode);
    if (!S_ISCHR(about.st_mode)) place.identity = Identity{about.st_dev, about.st_ino, {}};
    return place;
  }
  // Where links lead nowhere yet, the file is made at their end.
  const fs::path target = target_of(path).file;
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  if (target.empty() || stat(folder.c_str(), &about) != 0) return place;
  place.identity = Identity{about.st_dev, about.st_ino, target.filename().string()};
  place.regular = true;
  return place;
}

/// This place is the stream, and not only a file that the stream was sent to: that would be
/// replaced by another.
bool is_stream(const Place& place, int descriptor, const Place& stream) {
  return place.descriptor == descriptor ||
         (place.same(stream) && (place.descriptor || !place.regular));
}

bool is_standard_output(const Place& place) {
  return is_stream(place, STDOUT_FILENO, place_of("/dev/stdout"));
}

std::string both(const std::string& path, const std::string& other) {
  return path == other ? quoted_name(path)
                       : quoted_name(path) + ", the same file as " + quoted_name(other);
}

void check_inputs(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs,
                  std::span<const Place> places) {
  for (const NamedFile& input : inputs) {
    struct stat about {};
    if (stat(input.path.c_str(), &about) != 0) continue;  // its reader says so
    const Place place = place_of(input.path);
    if (!place.regular) continue;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (places[i].identity == place.identity)
        throw UsageError(outputs[i].role + " would destroy what " + input.role + " reads, " +
                         both(writable_name(outputs[i].path), input.path) +
                         "; give the output another name");
  }
}

std::vector<Place> places_of(std::span<const NamedFile> outputs) {
  std::vector<Place> places;
  places.reserve(outputs.size());
  for (const NamedFile& file : outputs) places.push_back(place_of(writable_name(file.path)));
  return places;
}

}  // namespace

std::string writable_name(const std::string& path) { return path == "-" ? "/dev/stdout" : path; }

bool is_standard_output(const std::string& path) {
  return is_standard_output(place_of(writable_name(path)));
}

void check_distinct(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs) {
  const std::vector<Place> places = places_of(outputs);
  check_inputs(inputs, outputs, places);
  // A series has very many outputs.
  std::map<Identity, std::size_t> by_identity;
  std::map<int, std::size_t> by_descriptor;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Place& place = places[i];
    std::size_t first = i;
    if (place.identity)
      first = std::min(first, by_identity.emplace(*place.identity, i).first->second);
    if (place.descriptor)
      first = std::min(first, by_descriptor.emplace(*place.descriptor, i).first->second);
    if (first == i) continue;
    const std::string both_roles = outputs[first].role + " and " + outputs[i].role +
                                   " would both be written to ";
    if (is_standard_output(place))
      throw UsageError(both_roles + "standard output; give one of them a file");
    throw UsageError(both_roles + both(outputs[first].path, outputs[i].path) +
                     "; give them two names");
  }
}

void check_apart_from_streams(std::span<const NamedFile> inputs,
                              std::span<const NamedFile> outputs) {
  const std::vector<NamedFile> streams{{"standard output", "/dev/stdout"},
                                       {"standard error", "/dev/stderr"}};
  check_inputs(inputs, streams, places_of(streams));
  const Place out = place_of("/dev/stdout"), err = place_of("/dev/stderr");
  for (const NamedFile& file : outputs) {
    const std::string path = writable_name(file.path);
    const Place place = place_of(path);
    if (place.same(out) && !is_standard_output(place))
      throw UsageError(file.role + " and standard output would both be written to " +
                       both(path, "/dev/stdout") + "; give them two names");
    if (place.same(err))
      throw UsageError(file.role +
                       " and standard error, where warnings go, would both be written to " +
                       both(path, "/dev/stderr") + "; send one of them elsewhere");
  }
}

}  // namespace nablabragg::io
