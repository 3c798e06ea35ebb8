// Which shards of an ensemble are complete: a text in their folder, by which a run that was ended
// goes on.  A line of JSON says what the ensemble is, and one more each shard with its SHA-256.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>
#include "io/series_journal.hpp"  // for DoneFile

namespace nablabragg::ensemble {

struct DoneShard {
  int number = 0;
  int shots = 0;
  std::int64_t reflections = 0;
  io::DoneFile file;
};

/// While it lives no other run works in the folder.
class ShardJournal {
 public:
  static constexpr const char* name = "journal.jsonl";  ///< in the folder

  /// Of a folder that there is.  Throws InputError where it is of another ensemble, or no journal,
  /// UsageError where another run holds it, and OutputError.
  ShardJournal(const std::string& folder, const std::string& checksum, const std::string& date);
  ShardJournal(const ShardJournal&) = delete;
  ShardJournal& operator=(const ShardJournal&) = delete;
  ~ShardJournal();

  /// Of the first run's beginning.
  const std::string& date() const { return date_; }
  /// As they were noted; whether their files are still there, nobody has looked.
  const std::map<int, DoneShard>& shards() const { return shards_; }
  void add(const DoneShard& shard);

 private:
  void read();

  std::string path_, checksum_, date_;
  std::map<int, DoneShard> shards_;
  int descriptor_ = -1;
};

}  // namespace nablabragg::ensemble
