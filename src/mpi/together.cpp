#include "mpi/together.hpp"

#include <algorithm>
#include <new>  // for std::bad_alloc
#include <vector>

namespace nablabragg::mpi {

namespace {

struct Outcome {
  Failure failure = Failure::none;
  std::string sentence;
  friend bool operator==(const Outcome&, const Outcome&) = default;

  std::string text() const { return std::to_string(static_cast<int>(failure)) + sentence; }
};

Outcome outcome_of(const std::string& text) {
  return {static_cast<Failure>(text.at(0) - '0'), text.substr(1)};
}

Outcome outcome_of(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const UsageError& error) {
    return {Failure::usage, error.what()};
  } catch (const InputError& error) {
    return {Failure::input, error.what()};
  } catch (const OutputError& error) {
    return {Failure::output, error.what()};
  } catch (const Cancelled& error) {
    return {Failure::stopped, error.what()};
  } catch (const std::bad_alloc&) {
    return {Failure::other,
            "out of memory; fewer ranks on a machine, or fewer threads of each, need less"};
  } catch (const std::exception& error) {
    return {Failure::other, error.what()};
  }
}

/// What is to be said of what all of them say.
Outcome decided(const std::vector<std::string>& texts) {
  std::vector<Outcome> all;
  for (const std::string& text : texts) all.push_back(outcome_of(text));
  const auto fails = [](const Outcome& one) { return one.failure != Failure::none; };
  auto first = std::ranges::find_if(
      all, [&](const Outcome& one) { return fails(one) && one.failure != Failure::stopped; });
  if (first == all.end()) first = std::ranges::find_if(all, fails);
  if (first == all.end()) return {};
  if (first->failure != Failure::stopped && std::ranges::count(all, *first) < std::ssize(all))
    first->sentence = "rank " + std::to_string(first - all.begin()) + ": " + first->sentence;
  return *first;
}

[[noreturn]] void fail(const Outcome& outcome) {
  switch (outcome.failure) {
    case Failure::usage:
      throw UsageError(outcome.sentence);
    case Failure::input:
      throw InputError(outcome.sentence);
    case Failure::output:
      throw OutputError(outcome.sentence);
    case Failure::stopped:
      throw Cancelled();
    default:
      throw Error(outcome.sentence);
  }
}

}  // namespace

void together(Ranks& ranks, const std::function<void()>& work, const Idle& idle) {
  if (ranks.size() == 1) return work();
  const Outcome mine = outcome_of(work);
  if (mine.failure != Failure::none) ranks.fetch_add(Shared::stop, 1);
  const std::vector<std::string> all = ranks.gather(mine.text(), idle);
  const Outcome outcome = outcome_of(
      ranks.broadcast(all.empty() ? std::string() : decided(all).text(), idle));
  if (outcome.failure == Failure::none) return;
  ranks.all_fail();
  if (ranks.rank() == 0) fail(outcome);
  throw FailedElsewhere(outcome.failure);
}

}  // namespace nablabragg::mpi
