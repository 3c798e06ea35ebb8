// The background of an image: computed once for all that follow, as it does not know the lattice.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace nablabragg::engine {

/// The background's photons in the parts of an image, each of them computed when it is first asked
/// for.  Several threads, and several engines with images of one light on the same panels, may ask
/// at a time.
class KeptBackground {
 public:
  static constexpr std::size_t part_pixels = 256;

  /// The numbers of one of `parts` parts: those that `make(numbers)` wrote, now or before.  Null
  /// where another thread is writing them.
  template <class Make>
  const double* part(int index, int parts, Make&& make) {
    const auto i = static_cast<std::size_t>(index);
    std::call_once(has_memory_, [&] {
      // Parts that nothing asks for take no memory
      photons_ = std::make_unique_for_overwrite<Part[]>(static_cast<std::size_t>(parts));
      states_ = std::make_unique<std::atomic<State>[]>(static_cast<std::size_t>(parts));
    });
    double* const numbers = photons_[i].photons.data();
    if (states_[i].load(std::memory_order_acquire) == State::written) return numbers;
    State state = State::empty;
    if (!states_[i].compare_exchange_strong(state, State::being_written))
      return state == State::written ? numbers : nullptr;
    make(numbers);
    states_[i].store(State::written, std::memory_order_release);
    return numbers;
  }

 private:
  /// In double precision: the sum with the light of the lattice is rounded once.
  struct alignas(64) Part {
    std::array<double, part_pixels> photons;
  };
  enum class State : std::uint8_t { empty, being_written, written };

  std::once_flag has_memory_;
  std::unique_ptr<Part[]> photons_;
  std::unique_ptr<std::atomic<State>[]> states_;
};

}  // namespace nablabragg::engine
