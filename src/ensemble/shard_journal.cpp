#include "ensemble/shard_journal.hpp"

#include <fcntl.h>
#include <sys/file.h>  // for flock
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>  // for strerror
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* mark = "nablabragg ensemble";
constexpr int version = 2;

std::string line_of(const json& content) {
  return content.dump(-1, ' ', true, json::error_handler_t::replace);
}

json json_of(const DoneShard& shard) {
  return {{"shard", shard.number},
          {"shots", shard.shots},
          {"reflections", shard.reflections},
          {"file", shard.file.path},
          {"bytes", shard.file.part.bytes},
          {"sha256", shard.file.sha256}};
}

json json_of(const DonePart& part) {
  return {{"part", part.block.first},      {"shots", part.block.count},
          {"file", part.file.path},        {"at", part.file.part.at},
          {"bytes", part.file.part.bytes}, {"sha256", part.file.sha256}};
}

/// False: it is about something else.
bool take_done(DoneShots& done, const json& line) {
  const auto bytes = [&] { return line.at("bytes").get<std::uint64_t>(); };
  const auto text = [&](const char* key) { return line.at(key).get<std::string>(); };
  if (line.contains("shard")) {
    const int number = line.at("shard").get<int>();
    done.shards[number] = {number,
                           line.at("shots").get<int>(),
                           line.at("reflections").get<std::int64_t>(),
                           {text("file"), {0, bytes()}, text("sha256")}};
    return true;
  }
  if (line.contains("part")) {
    const int first = line.at("part").get<int>();
    done.parts[first] = {
        {first, line.at("shots").get<int>()},
        {text("file"), {line.at("at").get<std::uint64_t>(), bytes()}, text("sha256")}};
    return true;
  }
  return false;
}

/// Files of all ranks in the folder: BEGIN, a number, END.
std::map<int, fs::path> files_of_ranks(const std::string& folder, const std::string& begin,
                                       const std::string& end) {
  std::map<int, fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(end) ||
        name.size() <= begin.size() + end.size())
      continue;
    int rank = 0;
    const char* const last = name.data() + name.size() - end.size();
    const auto [stop, error] = std::from_chars(name.data() + begin.size(), last, rank);
    if (error == std::errc{} && stop == last) files[rank] = entry.path();
  }
  return files;
}

}  // namespace

std::string name_of_rank_journal(int rank) { return "journal." + std::to_string(rank) + ".jsonl"; }
std::string name_of_parts(int rank) { return "parts." + std::to_string(rank); }

std::string DoneShots::text() const {
  std::string text;
  for (const auto& [_, shard] : shards) text += line_of(json_of(shard)) + '\n';
  for (const auto& [_, part] : parts) text += line_of(json_of(part)) + '\n';
  return text;
}

DoneShots done_shots(const std::string& text) {
  DoneShots done;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) take_done(done, json::parse(line));
  return done;
}

// ---- JournalFile --------------------------------------------------------------------------------

JournalFile::JournalFile(const EnsembleRun& run, const std::string& name, int rank, int ranks)
    : path_(run.folder + "/" + name), date_(run.date), ranks_(ranks) {
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) io::cannot_write(path_, errno);
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        throw UsageError("another run is at work in " + run.folder + "; wait for it, or stop it");
      throw OutputError("cannot lock " + path_ + ": " + std::strerror(errno) +
                        "; two runs in one folder would spoil it, so that it must be on a file "
                        "system that has locks (Lustre: mounted with -o flock)");
    }
    read(run, rank, ranks);
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

JournalFile::~JournalFile() { close(descriptor_); }

void JournalFile::read(const EnsembleRun& run, int rank, int ranks) {
  std::ifstream file(path_, std::ios::binary);
  std::string line;
  int number = 0;
  off_t whole = 0;
  // A run that was killed may have left a line without its end.
  while (std::getline(file, line) && !file.eof()) {
    ++number;
    whole += static_cast<off_t>(line.size()) + 1;
    const auto object = io::object_of_line(line);
    if (!object && number > 1) {
      ++damaged_;
      continue;
    }
    try {
      if (number > 1) {
        take(*object);
        continue;
      }
      const json content = json::parse(object.value_or(line));
      if (content.at("format") != mark || content.at("version") != version)
        throw InputError(path_, number, "is no journal of an ensemble that this program reads");
      if (!object)
        throw InputError(path_, number,
                         "is damaged; take another folder, or remove this one to begin anew");
      constexpr int without_the_word = 1;
      if (const int revision = content.value("revision", without_the_word);
          revision != run.revision)
        throw InputError(path_, 0,
                         "was begun by another build of this program, which makes other shots of "
                         "the same description (revision " +
                             std::to_string(revision) + ", and this is " +
                             std::to_string(run.revision) +
                             "); go on with that build, take another folder, or remove this one to "
                             "begin anew");
      if (content.at("checksum") != run.checksum)
        throw InputError(path_, 0,
                         "is of another ensemble: going on needs the same description, the same "
                         "files and the same program; another ensemble needs another folder");
      date_ = content.at("date").get<std::string>();
      ranks_ = content.value("ranks", 1);
    } catch (const json::exception&) {
      throw InputError(path_, number, "is no journal of an ensemble");
    }
  }
  const std::string begin = R"({"check":")";
  if (number == 0 && !line.starts_with(begin) && !begin.starts_with(line))
    throw InputError(path_, 1, "is no journal of an ensemble");
  if (number == 0 && !line.empty()) ++damaged_;
  if (ftruncate(descriptor_, whole) != 0) io::cannot_write(path_, errno);
  if (number > 0) return;
  json first{{"format", mark},
             {"version", version},
             {"revision", run.revision},
             {"checksum", run.checksum},
             {"date", date_}};
  if (ranks > 1) first.update({{"rank", rank}, {"ranks", ranks}});
  write(line_of(first));
}

void JournalFile::take(const std::string& object) {
  const json content = json::parse(object);
  if (content.contains("begin")) {
    const int first = content.at("begin").get<int>();
    begun_[first] = {first, content.at("shots").get<int>()};
  } else {
    take_done(done_, content);
    begun_.erase(content.value("first", content.value("part", -1)));
  }
}

void JournalFile::write(const std::string& object) {
  io::write_line(descriptor_, path_, io::checked_line(object));
}

void JournalFile::begin(const Block& block) {
  write(line_of({{"begin", block.first}, {"shots", block.count}}));
}

void JournalFile::add(const DoneShard& shard, const Block& block) {
  json line = json_of(shard);
  line["first"] = block.first;
  write(line_of(line));
  done_.shards[shard.number] = shard;
}

void JournalFile::add(const DonePart& part) {
  write(line_of(json_of(part)));
  done_.parts[part.block.first] = part;
}

void JournalFile::add(const DoneShots& more) {
  std::istringstream objects(more.text());
  for (std::string object; std::getline(objects, object);) write(object);
  for (const auto& [number, shard] : more.shards) done_.shards[number] = shard;
  for (const auto& [first, part] : more.parts) done_.parts[first] = part;
}

// ---- FolderJournal ------------------------------------------------------------------------------

FolderJournal::FolderJournal(const EnsembleRun& run)
    : folder_(run.folder), file_(run, name_of_journal, 0, 1), damaged_(file_.damaged()) {
  for (const auto& [rank, path] : files_of_ranks(folder_, "journal.", ".jsonl")) {
    const JournalFile of_rank(run, path.filename().string(), 0, 1);
    file_.add(of_rank.done());
    damaged_ += of_rank.damaged();
    for (const auto& [_, block] : of_rank.unfinished())
      unfinished_.push_back({rank, of_rank.ranks(), block});
    std::error_code ignored;
    fs::remove(path, ignored);
  }
}

void FolderJournal::finish() {
  std::error_code ignored;
  for (const auto& [_, path] : files_of_ranks(folder_, "journal.", ".jsonl"))
    fs::remove(path, ignored);
  for (const auto& [_, path] : files_of_ranks(folder_, "parts.", "")) fs::remove(path, ignored);
}

}  // namespace nablabragg::ensemble
