// A table of numbers that several have at a time: the threads of a process, or the processes of a
// machine.
#pragma once
#include <sys/types.h>  // for pid_t

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace nablabragg::memory {

/// Where other processes of the machine find a SharedTable.
struct TableAddress {
  pid_t process = 0;
  int file = -1;
};

/// A number in single precision and in a unit.
inline float in_units(double number, double unit) { return static_cast<float>(number / unit); }

/// Numbers that do not change any more, with room for the same in single precision.  Their memory
/// has no name, so that nothing is left of it when the last of its processes has ended, however
/// that ends; /dev/shm and its size do not matter.  May be used by several threads at a time.
class SharedTable {
 public:
  /// Of a copy of the numbers.  Throws Error where the system gives no such memory.
  explicit SharedTable(std::span<const double> numbers);
  /// That of another process, which has the same numbers.  Throws InputError where they are others,
  /// Error where it cannot be reached.
  SharedTable(const TableAddress& address, std::span<const double> numbers);
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;
  ~SharedTable();

  /// As long as this one is there.
  TableAddress address() const;
  std::span<const double> numbers() const;
  /// The numbers by in_units(): who asks first makes them for all.  Empty where somebody asked
  /// first for another unit, or where there is no memory for them.
  std::span<const float> single(double unit) const;
  /// As many numbers that follow from these and from what `key` stands for: who asks first makes
  /// them for all.  Null where two other such tables are there, or no memory for it.
  std::shared_ptr<const SharedTable> derived(
      std::uint64_t key, const std::function<std::vector<double>()>& make) const;

 private:
  struct Head;
  SharedTable(const SharedTable& of, std::size_t begin);
  void map();
  bool is_made(bool by_this, const std::function<std::vector<double>()>& make) const;
  bool write_single(double unit) const;
  std::size_t bytes() const;
  std::size_t bytes_with_derived() const;

  int file_ = -1;
  std::size_t begin_ = 0;  ///< in the file; above 0: it is a derived one
  std::size_t count_ = 0;
  Head* head_ = nullptr;
  const std::byte* numbers_ = nullptr;  ///< and, behind them, those in single precision
};

}  // namespace nablabragg::memory
