#include "io/input_bytes.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <sstream>
#include <utility>

#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::size_t look_bytes = 4096, chunk_bytes = std::size_t{1} << 16;

/// What other programs than gzip pack, by the first bytes.
std::optional<std::string_view> other_packer(std::string_view head) {
  struct Mark {
    std::string_view bytes, program;
  };
  constexpr std::array marks = {Mark{"BZh", "bzip2"},
                                Mark{{"\xFD"
                                      "7zXZ\0",
                                      6},
                                     "xz"},
                                Mark{"\x28\xB5\x2F\xFD", "zstd"}, Mark{"PK\x03\x04", "zip"},
                                Mark{"\x1F\x9D", "compress"}};
  for (const Mark& mark : marks)
    if (head.starts_with(mark.bytes)) return mark.program;
  return std::nullopt;
}

/// Text of two bytes a character and more, as Windows' "Unicode": by its byte order mark, or by the
/// zeros of its first ASCII characters.
bool is_wide_text(std::string_view head) {
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) return true;
  constexpr std::size_t looked_at = 8;
  if (head.size() < looked_at) return false;
  const auto is_text = [&](std::size_t zeros) {
    for (std::size_t i = 0; i < looked_at; ++i) {
      const char c = head[i];
      const bool ascii = (c >= ' ' && c <= '~') || (c >= '\t' && c <= '\r');
      if (i % 2 == zeros ? c != '\0' : !ascii) return false;
    }
    return true;
  };
  return is_text(0) || is_text(1);
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return text.substr(text.starts_with(mark) ? mark.size() : 0);
}

/// What is left behind blank lines and comments.
std::string_view without_comments(std::string_view head) {
  head = without_byte_order_mark(head);
  while (!head.empty()) {
    const std::size_t word = head.find_first_not_of(" \t\r\n");
    if (word == std::string_view::npos) return {};
    head.remove_prefix(word);
    if (head[0] != '#') return head;
    head.remove_prefix(std::min(head.size(), head.find('\n')));
  }
  return {};
}

}  // namespace

/// zlib's state; a file may hold several packed parts one after the other.
struct Input::Unpacker {
  z_stream stream{};
  std::array<char, chunk_bytes> packed;
  bool at_end = false;

  Unpacker() {
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;
  ~Unpacker() { inflateEnd(&stream); }
};

Input::Input(const std::string& path) : file_(path) {
  if (file_.is_device())
    throw InputError(path, 0, "is a device, which may have no end; give a file or a pipe");
  raw_head_.resize(look_bytes);
  raw_head_.resize(file_.read(raw_head_.data(), look_bytes));
  if (const auto program = other_packer(raw_head_))
    throw InputError(path, 0,
                     "is packed by " + std::string(*program) +
                         ", and only gzip's files are unpacked here; unpack it first");
  if (is_wide_text(raw_head_)) {
    using namespace std::string_view_literals;
    const bool four_bytes = raw_head_.starts_with("\xFF\xFE\0\0"sv);
    const std::string name = four_bytes ? "UTF-32" : "UTF-16";
    throw InputError(
        path, 0,
        "is text in " + name + ", " + (four_bytes ? "four" : "two") +
            " bytes a character; save it as UTF-8 or plain text, perhaps by iconv -f " + name +
            " -t UTF-8");
  }
  if (raw_head_.starts_with("\x1F\x8B")) unpacker_ = std::make_unique<Unpacker>();
}

Input::Input(Input&&) noexcept = default;
Input::~Input() = default;

std::uint64_t Input::known_bytes() const { return unpacker_ ? 0 : file_.known_bytes(); }

std::size_t Input::read_unpacked(char* to, std::size_t bytes) {
  const auto read_file = [&](char* into, std::size_t most) {
    const std::size_t kept = std::min(most, raw_head_.size() - raw_used_);
    std::memcpy(into, raw_head_.data() + raw_used_, kept);
    raw_used_ += kept;
    return kept + (kept < most ? file_.read(into + kept, most - kept) : 0);
  };
  if (!unpacker_) return read_file(to, bytes);

  Unpacker& u = *unpacker_;
  std::size_t done = 0;
  while (done < bytes && !u.at_end) {
    if (u.stream.avail_in == 0) {
      u.stream.next_in = reinterpret_cast<Bytef*>(u.packed.data());
      u.stream.avail_in = static_cast<uInt>(read_file(u.packed.data(), u.packed.size()));
      if (u.stream.avail_in == 0) throw InputError(path(), 0, "ends early: its gzip data are cut");
    }
    const auto room = static_cast<uInt>(
        std::min<std::size_t>(bytes - done, std::numeric_limits<uInt>::max()));
    u.stream.next_out = reinterpret_cast<Bytef*>(to + done);
    u.stream.avail_out = room;
    const int state = inflate(&u.stream, Z_NO_FLUSH);
    done += room - u.stream.avail_out;
    if (state == Z_STREAM_END) {
      // Another packed part may follow; anything else behind the end is left alone, as gzip does.
      if (u.stream.avail_in < 2) {
        if (u.stream.avail_in == 1) u.packed[0] = static_cast<char>(*u.stream.next_in);
        const std::size_t left = u.stream.avail_in;
        u.stream.next_in = reinterpret_cast<Bytef*>(u.packed.data());
        u.stream.avail_in = static_cast<uInt>(
            left + read_file(u.packed.data() + left, u.packed.size() - left));
      }
      u.at_end = u.stream.avail_in < 2 || u.stream.next_in[0] != 0x1F ||
                 u.stream.next_in[1] != 0x8B;
      inflateReset(&u.stream);
    } else if (state != Z_OK && state != Z_BUF_ERROR) {
      throw InputError(path(), 0, "is damaged: its gzip data cannot be unpacked");
    }
  }
  return done;
}

std::string_view Input::head(std::size_t bytes) {
  if (head_.size() < bytes) {
    const std::size_t before = head_.size();
    head_.resize(bytes);
    head_.resize(before + read_unpacked(head_.data() + before, bytes - before));
  }
  return std::string_view(head_).substr(0, bytes);
}

std::size_t Input::read(void* to, std::size_t bytes) {
  char* const into = static_cast<char*>(to);
  const std::size_t kept = std::min(bytes, head_.size() - head_used_);
  std::memcpy(into, head_.data() + head_used_, kept);
  head_used_ += kept;
  return kept + (kept < bytes ? read_unpacked(into + kept, bytes - kept) : 0);
}

std::string Input::read_rest(std::size_t max_bytes) {
  const auto refuse = [&] {
    throw InputError(
        path(), 0,
        "is longer than the " + std::to_string(max_bytes >> 20) + " MiB that such a file may have");
  };
  if (known_bytes() > max_bytes) refuse();
  std::string rest;
  // One byte more than is known, so that the end is seen without another turn.
  std::size_t chunk = std::max<std::size_t>(known_bytes() + 1, chunk_bytes);
  for (bool more = true; more; chunk = std::max(chunk_bytes, rest.size())) {
    const std::size_t before = rest.size();
    chunk = std::min(chunk, max_bytes + 1 - before);
    rest.resize(before + chunk);
    rest.resize(before + read(rest.data() + before, chunk));
    if (rest.size() > max_bytes) refuse();
    more = rest.size() == before + chunk;
  }
  return rest;
}

void Input::give_back(std::string bytes) {
  head_ = std::move(bytes);
  head_used_ = 0;
}

std::string_view InputBytes::text() const { return without_byte_order_mark(bytes); }

InputBytes read_input(const std::string& path, std::size_t max_bytes) {
  return {path, Input(path).read_rest(max_bytes)};
}

bool begins_as_cif(std::string_view head) {
  constexpr std::string_view keyword = "data_";
  const std::string_view word = without_comments(head).substr(0, keyword.size());
  return std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(),
                    [](char a, char b) { return lower(a) == b; });
}

bool is_only_comment(std::string_view head) {
  return !head.empty() && without_comments(head).empty();
}

bool begins_as_mtz(std::string_view head) { return head.starts_with("MTZ "); }

bool begins_as_smv(std::string_view head) {
  return head.starts_with("{\nHEADER_BYT") || head.starts_with("{\r\nHEADER_BYT");
}

bool begins_as_json(std::string_view head) {
  head = without_byte_order_mark(head);
  constexpr std::string_view white = " \t\r\n";
  const std::size_t first = head.find_first_not_of(white);
  if (first == std::string_view::npos || head[first] != '{') return false;
  const std::size_t next = head.find_first_not_of(white, first + 1);
  // Headers of images have their keys without quotes.
  return next == std::string_view::npos || head[next] == '"' || head[next] == '}';
}

void refuse_binary(const std::string& path, std::string_view head, const std::string& what) {
  using namespace std::string_view_literals;
  struct Kind {
    std::string_view bytes;
    const char* name;
  };
  constexpr std::array<Kind, 6> kinds = {
      Kind{"###CBF"sv, "a CBF image"}, {"\x89HDF\r\n"sv, "an HDF5 file"},
      {"II*\0"sv, "a TIFF image"},     {"MM\0*"sv, "a TIFF image"},
      {"\x89PNG"sv, "a PNG picture"},  {"\x93NUMPY"sv, "an array of numpy"}};
  const auto refuse = [&](const std::string& name) {
    throw InputError(path, 0, "is " + name + ", " + what);
  };
  for (const Kind& kind : kinds)
    if (head.starts_with(kind.bytes)) refuse(kind.name);
  if (begins_as_smv(head)) refuse("an SMV image");
  if (head.substr(0, 64).find("dials::af::reflection_table") != std::string_view::npos)
    refuse("a .refl table of DIALS");
}

bool begins_as_shelx(std::string_view head) {
  constexpr std::array<std::string_view, 8> records = {"TITL", "CELL", "ZERR", "LATT",
                                                       "SYMM", "SFAC", "UNIT", "REM"};
  head = without_byte_order_mark(head);
  bool cell = false, other = false;
  for (int line = 0; line < 50 && !head.empty(); ++line) {
    const std::string_view text = head.substr(0, head.find('\n'));
    head.remove_prefix(std::min(head.size(), text.size() + 1));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    std::string word(text.substr(0, text.find_first_of(" \t\r")));
    for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto* const record = std::find(records.begin(), records.end(), word);
    if (record == records.end()) break;
    std::istringstream numbers{std::string(text.substr(word.size()))};
    double number = 0;
    int count = 0;
    while (numbers >> number) ++count;
    if (word == "CELL" && count >= 7)
      cell = true;
    else if (word != "REM")
      other = true;
  }
  return cell && other;
}

bool begins_as_pdb(std::string_view head) {
  constexpr std::array<std::string_view, 15> records = {
      "HEADER", "OBSLTE", "TITLE ", "SPLIT ", "CAVEAT", "COMPND", "SOURCE", "KEYWDS",
      "EXPDTA", "CRYST1", "REMARK", "MODEL ", "ATOM  ", "HETATM", "SCALE1"};
  return std::find(records.begin(), records.end(), head.substr(0, 6)) != records.end();
}

}  // namespace nablabragg::io
