#include "memory/shared_table.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "nablabragg/error.hpp"

namespace nablabragg::memory {

namespace {

constexpr const char* name_of_memory = "nablabragg-table";

/// Of the parts of the file: no page is smaller.
constexpr std::size_t page = 65536;

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

[[noreturn]] void fail(const char* what) {
  throw Error(std::string(what) + ": " + std::strerror(errno));
}

/// Not through a mapping, where memory that there is not would end the process.
bool write_all(int file, std::span<const std::byte> bytes, std::size_t begin) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    begin += static_cast<std::size_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

std::string path_of(const TableAddress& address) {
  return "/proc/" + std::to_string(address.process) + "/fd/" + std::to_string(address.file);
}

/// Of another process, it may name any file that this one has open there.
bool is_table(const std::string& path) {
  std::array<char, 256> target{};
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  return length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length))
                           .starts_with(std::string("/memfd:") + name_of_memory);
}

}  // namespace

/// How many there may be.  Where the light differs from shot to shot each asks for others.
constexpr std::size_t most_derived = 2;

/// At the beginning of the table.  As the memory is in the beginning: 0.
struct SharedTable::Head {
  enum State : std::uint32_t { none, begun, made, failed };
  std::atomic<std::uint32_t> single{none};
  double unit = 0;                           ///< of those in single precision, from `made` on
  std::atomic<std::uint32_t> numbers{none};  ///< of a derived table
  std::array<std::atomic<std::uint64_t>, most_derived> keys{};  ///< of those behind it; 0: none

  /// Who makes it may have been stopped in the middle of it.
  static bool is_made(const std::atomic<std::uint32_t>& state) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::uint32_t seen = state.load(std::memory_order_acquire);
    while (seen != made && seen != failed && std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      seen = state.load(std::memory_order_acquire);
    }
    return seen == made;
  }
};

SharedTable::SharedTable(std::span<const double> numbers)
    : file_(memfd_create(name_of_memory, MFD_CLOEXEC)), count_(numbers.size()) {
  if (file_ < 0) fail("memory that processes have in common (memfd_create)");
  try {
    const Head head;
    if (ftruncate(file_, static_cast<off_t>(bytes_with_derived())) != 0 ||
        !write_all(file_, std::as_bytes(std::span(&head, 1)), 0) ||
        !write_all(file_, std::as_bytes(numbers), page))
      fail("memory that processes have in common");
    map();
  } catch (const Error&) {
    close(file_);
    throw;
  }
}

SharedTable::SharedTable(const TableAddress& address, std::span<const double> numbers)
    : count_(numbers.size()) {
  const std::string path = path_of(address);
  if (!is_table(path)) throw Error("the memory of another process cannot be found as " + path);
  file_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file_ < 0) fail("the memory of another process cannot be opened");
  try {
    struct stat found {};
    if (fstat(file_, &found) != 0) fail("the memory of another process cannot be opened");
    constexpr const char* others = "another process of this machine has read another table";
    if (static_cast<std::size_t>(found.st_size) != bytes_with_derived()) throw InputError(others);
    map();
    if (std::memcmp(numbers_, numbers.data(), numbers.size_bytes()) != 0) {
      munmap(head_, page);
      munmap(const_cast<std::byte*>(numbers_), bytes() - page);
      throw InputError(others);
    }
  } catch (const Error&) {
    close(file_);
    throw;
  }
}

SharedTable::SharedTable(const SharedTable& of, std::size_t begin)
    : file_(fcntl(of.file_, F_DUPFD_CLOEXEC, 0)), begin_(begin), count_(of.count_) {
  if (file_ < 0) fail("memory that processes have in common");
  try {
    map();
  } catch (const Error&) {
    close(file_);
    throw;
  }
}

SharedTable::~SharedTable() {
  munmap(head_, page);
  munmap(const_cast<std::byte*>(numbers_), bytes() - page);
  close(file_);
}

std::size_t SharedTable::bytes() const {
  return page + whole_pages(count_ * sizeof(double)) + whole_pages(count_ * sizeof(float));
}

/// Pages that nobody has written to take no memory.
std::size_t SharedTable::bytes_with_derived() const { return (1 + most_derived) * bytes(); }

/// Nobody writes to the numbers, by mistake either.
void SharedTable::map() {
  const auto begin = static_cast<off_t>(begin_);
  void* const head = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, file_, begin);
  if (head == MAP_FAILED) fail("memory that processes have in common");
  void* const rest = mmap(nullptr, bytes() - page, PROT_READ, MAP_SHARED, file_,
                          begin + static_cast<off_t>(page));
  if (rest == MAP_FAILED) {
    munmap(head, page);
    fail("memory that processes have in common");
  }
  head_ = static_cast<Head*>(head);
  numbers_ = static_cast<const std::byte*>(rest);
}

TableAddress SharedTable::address() const { return {getpid(), file_}; }

std::span<const double> SharedTable::numbers() const {
  return {reinterpret_cast<const double*>(numbers_), count_};
}

std::span<const float> SharedTable::single(double unit) const {
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);  // as processes need it
  std::uint32_t state = Head::none;
  if (head_->single.compare_exchange_strong(state, Head::begun)) {
    head_->unit = unit;
    head_->single.store(write_single(unit) ? Head::made : Head::failed, std::memory_order_release);
  }
  if (!Head::is_made(head_->single) || head_->unit != unit) return {};
  return {reinterpret_cast<const float*>(numbers_ + whole_pages(count_ * sizeof(double))), count_};
}

std::shared_ptr<const SharedTable> SharedTable::derived(
    std::uint64_t key, const std::function<std::vector<double>()>& make) const {
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  if (begin_ > 0 || key == 0) return nullptr;
  for (std::size_t i = 0; i < most_derived; ++i) {
    std::uint64_t there = 0;
    const bool is_first = head_->keys[i].compare_exchange_strong(there, key);
    if (!is_first && there != key) continue;
    try {
      const std::shared_ptr<const SharedTable> table(new SharedTable(*this, (1 + i) * bytes()));
      return table->is_made(is_first, make) ? table : nullptr;
    } catch (const Error&) {
      return nullptr;
    }
  }
  return nullptr;
}

bool SharedTable::is_made(bool by_this, const std::function<std::vector<double>()>& make) const {
  if (by_this) {
    head_->numbers.store(Head::begun);
    const std::vector<double> numbers = make();
    const bool is_written = numbers.size() == count_ &&
                            write_all(file_, std::as_bytes(std::span(numbers)), begin_ + page);
    head_->numbers.store(is_written ? Head::made : Head::failed, std::memory_order_release);
  }
  return Head::is_made(head_->numbers);
}

bool SharedTable::write_single(double unit) const {
  constexpr std::size_t some = 65536;
  std::vector<float> converted;
  std::size_t begin = begin_ + page + whole_pages(count_ * sizeof(double));
  for (std::span<const double> rest = numbers(); !rest.empty();) {
    const auto now = rest.first(std::min(some, rest.size()));
    converted.resize(now.size());
    std::ranges::transform(now, converted.begin(), [&](double x) { return in_units(x, unit); });
    const auto bytes = std::as_bytes(std::span<const float>(converted));
    if (!write_all(file_, bytes, begin)) return false;
    begin += bytes.size();
    rest = rest.subspan(now.size());
  }
  return true;
}

}  // namespace nablabragg::memory
