// Which images of a series are complete: a text beside them, by which a run that was ended goes on.
// A line of JSON says what the series is, and one more each image with its SHA-256.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "io/temporary_files.hpp"
#include "nablabragg/image_files.hpp"   // for FilePart
#include "nablabragg/series_truth.hpp"  // for SpotLight

namespace nablabragg::io {

/// SHA-256 of bytes as they come.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const std::byte> bytes);
  /// Of what was added since the last time, as 64 hexadecimal digits.
  std::string text();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// 64 hexadecimal digits.
std::string sha256_of(std::span<const std::byte> bytes);
std::string sha256_of(std::string_view text);
/// Of a part of a file; empty: there is no such part.
std::string sha256_of(const std::string& path, const FilePart& part);

/// A part of a file.  Throws InputError where there is none.
std::vector<std::byte> bytes_of(const std::string& path, const FilePart& part);

/// Throws OutputError "cannot write PATH: ..." for an errno.
[[noreturn]] void cannot_write(const std::string& path, int error);
/// Behind what was written to the descriptor.  Throws OutputError.
void write_bytes(int descriptor, const std::string& path, std::span<const std::byte> bytes);
/// Writes a line, whole, behind what was written to the descriptor.  Throws OutputError.
void write_line(int descriptor, const std::string& path, std::string line);

/// A line of a journal: a JSON object with a check of its text before all else.
std::string checked_line(const std::string& object);
/// The object; empty where a byte of the line is another one than checked_line() wrote.
std::optional<std::string> object_of_line(const std::string& line);
/// "a.journal: 2 lines are damaged; each image that no other line has is made again"
std::string damaged_lines(const std::string& path, int lines, const std::string& of);

/// What decides whether two runs make the same images.
struct SeriesRun {
  std::string checksum;   ///< of the experiment and of all else that the images depend on
  std::int64_t seed = 0;  ///< of the first image
  std::string date;       ///< of its beginning, which files repeat
  int images = 0;
  std::string unfinished;  ///< name of the file of all images until it is complete; empty: none
};

/// A file, or a part of the one of all images, that belongs to an image.
struct DoneFile {
  std::string path;
  FilePart part;  ///< all of a file of its own
  std::string sha256;
};

/// Of all of a file.  Throws OutputError where it is not there.
DoneFile done_file(const std::string& path);
/// Whether all of the file at `path` is what `done` was.
bool is_still(const DoneFile& done, const std::string& path);

struct DoneImage {
  int number = 0;
  std::vector<DoneFile> files;
  std::optional<std::vector<SpotLight>> light;  ///< where the run asked for it
};

struct SeriesRecord {
  SeriesRun run;
  std::vector<DoneImage> images;
  int damaged = 0;  ///< lines, of images of which nothing is known then
};

/// Of a run that may have been ended at any moment; empty: there is no such file.  Throws
/// InputError for what is no journal, or is damaged where it says of what it is.
std::optional<SeriesRecord> read_journal(const std::string& path);

/// The journal of a run.  It takes its name, and the place of an older one, at publish(); from then
/// on each image that is added is in the file.  Throws OutputError.
class SeriesJournal {
 public:
  SeriesJournal(const std::string& path, const SeriesRun& run);
  SeriesJournal(const SeriesJournal&) = delete;
  SeriesJournal& operator=(const SeriesJournal&) = delete;
  ~SeriesJournal();

  void add(const DoneImage& image);
  void publish();

 private:
  std::string path_;
  TemporaryName aside_;
  int descriptor_ = -1;
};

}  // namespace nablabragg::io
