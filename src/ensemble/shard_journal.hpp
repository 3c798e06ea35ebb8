// Which shots of an ensemble are complete: texts in their folder, by which a run that was ended
// goes on.  A line of JSON says what the ensemble is, and one more each shard or part of a shard
// with its SHA-256.  Each rank writes its own text, and rank 0 puts them together.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>
#include "ensemble/deal.hpp"
#include "io/series_journal.hpp"  // for DoneFile

namespace nablabragg::ensemble {

struct DoneShard {
  int number = 0;
  int shots = 0;
  std::int64_t reflections = 0;
  io::DoneFile file;
};

/// Shots that are complete while their shard is not.
struct DonePart {
  Block block;
  io::DoneFile file;
};

/// What some lines say; of two about the same the later one holds.
struct DoneShots {
  std::map<int, DoneShard> shards;  ///< by number
  std::map<int, DonePart> parts;    ///< by their first shot

  /// A line of JSON each.
  std::string text() const;
};
/// Throws json::exception.
DoneShots done_shots(const std::string& text);

/// What an ensemble is, to be noted with it.
struct EnsembleRun {
  std::string folder, checksum;
  std::string date;  ///< of the first run's beginning
  int revision = 1;  ///< shots_revision
};

/// A text with what an ensemble is and what is complete, open for more.  While it lives no other
/// process has it.
class JournalFile {
 public:
  /// Throws InputError where it is of another ensemble or of another revision of its shots, no
  /// journal, or damaged where it says of which ensemble it is, UsageError where another process
  /// has it, and OutputError.
  JournalFile(const EnsembleRun& run, const std::string& name, int rank, int ranks);
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;
  ~JournalFile();

  const std::string& date() const { return date_; }
  const DoneShots& done() const { return done_; }
  /// Begun and not done.
  const std::map<int, Block>& unfinished() const { return begun_; }
  int ranks() const { return ranks_; }
  /// Lines that say nothing any more.
  int damaged() const { return damaged_; }

  void begin(const Block& block);
  void add(const DoneShard& shard, const Block& block);
  void add(const DonePart& part);
  void add(const DoneShots& more);

 private:
  void read(const EnsembleRun& run, int rank, int ranks);
  void take(const std::string& object);
  void write(const std::string& object);

  std::string path_, date_;
  DoneShots done_;
  std::map<int, Block> begun_;  ///< by first shot
  int ranks_ = 1, damaged_ = 0;
  int descriptor_ = -1;
};

inline constexpr const char* name_of_journal = "journal.jsonl";
/// "journal.3.jsonl", "parts.3"
std::string name_of_rank_journal(int rank);
std::string name_of_parts(int rank);

/// What a rank had begun when the run before was ended.
struct Unfinished {
  int rank = 0, ranks = 1;
  Block block;
};

/// The journal of a folder, of rank 0.
class FolderJournal {
 public:
  /// Of a folder that there is.  What the ranks of a run that was ended had noted becomes part of
  /// it. Throws as JournalFile.
  explicit FolderJournal(const EnsembleRun& run);

  const std::string& date() const { return file_.date(); }
  /// As they were noted; whether their files are still there, nobody has looked.
  const DoneShots& done() const { return file_.done(); }
  const std::vector<Unfinished>& unfinished() const { return unfinished_; }
  /// Lines that say nothing any more.
  int damaged() const { return damaged_; }
  void add(const DoneShots& more) { file_.add(more); }
  /// Removes the journals and the parts of all ranks, whose shots are in shards.
  void finish();

 private:
  std::string folder_;
  JournalFile file_;
  int damaged_ = 0;
  std::vector<Unfinished> unfinished_;
};

}  // namespace nablabragg::ensemble
