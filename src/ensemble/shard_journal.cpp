#include "ensemble/shard_journal.hpp"

#include <fcntl.h>
#include <sys/file.h>  // for flock
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

using nlohmann::json;

constexpr const char* mark = "nablabragg ensemble";
constexpr int version = 1;

}  // namespace

ShardJournal::ShardJournal(const std::string& folder, const std::string& checksum,
                           const std::string& date)
    : path_(folder + "/" + name), checksum_(checksum), date_(date) {
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) io::cannot_write(path_, errno);
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0)
      throw UsageError("another run is at work in " + folder + "; wait for it, or stop it");
    read();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

ShardJournal::~ShardJournal() { close(descriptor_); }

void ShardJournal::read() {
  std::ifstream file(path_, std::ios::binary);
  std::string line;
  int number = 0;
  off_t whole = 0;
  // A run that was killed may have left a line without its end.
  while (std::getline(file, line) && !file.eof()) {
    ++number;
    whole += static_cast<off_t>(line.size()) + 1;
    try {
      const json content = json::parse(line);
      if (number == 1) {
        if (content.at("format") != mark || content.at("version") != version)
          throw InputError(path_, number, "is no journal of an ensemble that this program reads");
        if (content.at("checksum") != checksum_)
          throw InputError(path_, 0,
                           "is of another ensemble: going on needs the same description, the same "
                           "files and the same program; another ensemble needs another folder");
        date_ = content.at("date").get<std::string>();
        continue;
      }
      DoneShard shard{content.at("shard").get<int>(),
                      content.at("shots").get<int>(),
                      content.at("reflections").get<std::int64_t>(),
                      {content.at("file").get<std::string>(),
                       {0, content.at("bytes").get<std::uint64_t>()},
                       content.at("sha256").get<std::string>()}};
      shards_[shard.number] = std::move(shard);
    } catch (const json::exception&) {
      throw InputError(path_, number, "is no journal of an ensemble");
    }
  }
  const std::string begin = R"({"checksum":")";
  if (number == 0 && !line.starts_with(begin) && !begin.starts_with(line))
    throw InputError(path_, 1, "is no journal of an ensemble");
  if (ftruncate(descriptor_, whole) != 0) io::cannot_write(path_, errno);
  if (number == 0)
    io::write_line(
        descriptor_, path_,
        json{{"format", mark}, {"version", version}, {"checksum", checksum_}, {"date", date_}}
            .dump());
}

void ShardJournal::add(const DoneShard& shard) {
  shards_[shard.number] = shard;
  io::write_line(descriptor_, path_,
                 json{{"shard", shard.number},
                      {"shots", shard.shots},
                      {"reflections", shard.reflections},
                      {"file", shard.file.path},
                      {"bytes", shard.file.part.bytes},
                      {"sha256", shard.file.sha256}}
                     .dump(-1, ' ', true, json::error_handler_t::replace));
}

}  // namespace nablabragg::ensemble
