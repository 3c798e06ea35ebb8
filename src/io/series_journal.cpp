#include "io/series_journal.hpp"

#include <fcntl.h>
#include <nettle/sha2.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>  // for rename
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

using nlohmann::json;

constexpr const char* mark = "nablabragg series";
constexpr int version = 2;

json json_of(const DoneImage& image) {
  json files = json::array();
  for (const DoneFile& file : image.files)
    files.push_back({{"file", file.path},
                     {"at", file.part.at},
                     {"bytes", file.part.bytes},
                     {"sha256", file.sha256}});
  json line{{"image", image.number}, {"files", std::move(files)}};
  if (image.light) line["light"] = *image.light;
  return line;
}

DoneImage done_image(const json& line) {
  DoneImage image;
  image.number = line.at("image").get<int>();
  for (const json& file : line.at("files"))
    image.files.push_back(
        {file.at("file").get<std::string>(),
         {file.at("at").get<std::uint64_t>(), file.at("bytes").get<std::uint64_t>()},
         file.at("sha256").get<std::string>()});
  if (line.contains("light")) image.light = line.at("light").get<std::vector<SpotLight>>();
  return image;
}

std::string line_of(const json& content) {
  return checked_line(content.dump(-1, ' ', true, json::error_handler_t::replace));
}

}  // namespace

std::string checked_line(const std::string& object) {
  constexpr std::size_t digits = 16;
  return "{\"check\":\"" + sha256_of(object).substr(0, digits) + "\"," + object.substr(1);
}

std::optional<std::string> object_of_line(const std::string& line) {
  const std::size_t head = checked_line("{").size();
  if (line.size() <= head) return std::nullopt;
  std::string object = '{' + line.substr(head);
  if (checked_line(object) != line) return std::nullopt;
  return object;
}

std::string damaged_lines(const std::string& path, int lines, const std::string& of) {
  return path + ": " + (lines == 1 ? "a line is" : std::to_string(lines) + " lines are") +
         " damaged; each " + of + " that no other line has is made again";
}

struct Sha256::Context {
  sha256_ctx state;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { sha256_init(&context_->state); }
Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  sha256_update(&context_->state, bytes.size(),
                reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

std::string Sha256::text() {
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context_->state, digest.size(), digest.data());
  std::string digits;
  for (const std::uint8_t byte : digest)
    for (const int half : {byte >> 4, byte & 15}) digits += "0123456789abcdef"[half];
  return digits;
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 sum;
  sum.add(bytes);
  return sum.text();
}

std::string sha256_of(std::string_view text) {
  return sha256_of(std::as_bytes(std::span(text.data(), text.size())));
}

std::string sha256_of(const std::string& path, const FilePart& part) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(part.at));
  Sha256 sum;
  std::vector<char> buffer(std::size_t{1} << 18);
  for (std::uint64_t left = part.bytes; left > 0;) {
    const std::size_t count = static_cast<std::size_t>(
        std::min<std::uint64_t>(left, buffer.size()));
    if (!file.read(buffer.data(), static_cast<std::streamsize>(count))) return {};
    sum.add(std::as_bytes(std::span(buffer.data(), count)));
    left -= count;
  }
  return file ? sum.text() : std::string();
}

std::vector<std::byte> bytes_of(const std::string& path, const FilePart& part) {
  std::vector<std::byte> bytes(part.bytes);
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(part.at));
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(part.bytes)))
    throw InputError(path, 0, "changed while it was read");
  return bytes;
}

DoneFile done_file(const std::string& path) {
  std::error_code error;
  const FilePart all{0, std::filesystem::file_size(path, error)};
  if (error) throw OutputError("cannot read " + path + " again: " + error.message());
  return {path, all, sha256_of(path, all)};
}

bool is_still(const DoneFile& done, const std::string& path) {
  std::error_code error;
  return std::filesystem::file_size(path, error) == done.part.bytes && !error &&
         sha256_of(path, done.part) == done.sha256;
}

std::optional<SeriesRecord> read_journal(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (std::error_code error; !std::filesystem::exists(path, error)) return std::nullopt;
    throw InputError(path, 0, "cannot be read");
  }
  SeriesRecord record;
  std::string line;
  int number = 0;
  // A run that was killed may have left a line without its end.
  while (std::getline(file, line) && !file.eof()) {
    ++number;
    const auto object = object_of_line(line);
    if (!object && number > 1) {
      ++record.damaged;
      continue;
    }
    try {
      const json content = json::parse(object.value_or(line));
      if (number > 1) {
        record.images.push_back(done_image(content));
        continue;
      }
      if (content.at("format") != mark || content.at("version") != version)
        throw InputError(path, number, "is no journal of a series that this program reads");
      if (!object)
        throw InputError(path, number, "is damaged; without -continue the series begins anew");
      record.run = {content.at("checksum").get<std::string>(),
                    content.at("seed").get<std::int64_t>(), content.at("date").get<std::string>(),
                    content.at("images").get<int>(), content.at("unfinished").get<std::string>()};
    } catch (const json::exception&) {
      throw InputError(path, number, "is no journal of a series");
    }
  }
  if (number == 0) throw InputError(path, 0, "is no journal of a series: it has no line");
  return record;
}

SeriesJournal::SeriesJournal(const std::string& path, const SeriesRun& run) : path_(path) {
  const std::string aside = path + ".new";
  {
    const auto held = lock_temporary_files();
    descriptor_ = open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) cannot_write(aside, errno);
    aside_ = TemporaryName(aside, held);
  }
  write_line(descriptor_, path_,
             line_of({{"format", mark},
                      {"version", version},
                      {"checksum", run.checksum},
                      {"seed", run.seed},
                      {"date", run.date},
                      {"images", run.images},
                      {"unfinished", run.unfinished}}));
}

SeriesJournal::~SeriesJournal() {
  if (descriptor_ >= 0) close(descriptor_);
}

void SeriesJournal::add(const DoneImage& image) {
  write_line(descriptor_, path_, line_of(json_of(image)));
}

void SeriesJournal::publish() {
  const auto held = lock_temporary_files();
  if (std::rename(aside_.path().c_str(), path_.c_str()) != 0) cannot_write(path_, errno);
  aside_.forget(held);
}

void cannot_write(const std::string& path, int error) {
  throw OutputError("cannot write " + path + ": " + std::generic_category().message(error));
}

void write_bytes(int descriptor, const std::string& path, std::span<const std::byte> bytes) {
  for (std::span<const std::byte> left = bytes; !left.empty();) {
    const ssize_t written = ::write(descriptor, left.data(), left.size());
    if (written >= 0)
      left = left.subspan(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      cannot_write(path, errno);
  }
}

void write_line(int descriptor, const std::string& path, std::string line) {
  line += '\n';
  write_bytes(descriptor, path, std::as_bytes(std::span(line)));
}

}  // namespace nablabragg::io
