// What a property leaves out must stay rare, or it comes to check nothing and nobody sees it.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace nablabragg::test {

/// Counts how often a check is left out, and fails at the end of the run when that was more than
/// its share.  Made once, before the tests begin:
///
///     Seldom& jumps = Seldom::at_most(0.05, "numbers at which the image jumps");
///     if (jumps.happens(!smooth)) return;
class Seldom : public testing::Environment {
 public:
  /// `share`: of all calls of happens(), each of which knows one thing that was drawn.
  static Seldom& at_most(double share, std::string what) {
    auto* seldom = new Seldom(share, std::move(what));
    testing::AddGlobalTestEnvironment(seldom);  // which deletes it
    return *seldom;
  }

  /// Returns its argument.
  bool happens(bool now) {
    ++asked_;
    if (now) ++times_;
    return now;
  }

  void TearDown() override {
    // Fewer than a property's hundred are a failure that is repeated.
    constexpr long enough = 100;
    if (asked_ >= enough) {
      EXPECT_LE(static_cast<double>(times_), share_ * static_cast<double>(asked_))
          << "left out too often: " << what_ << ", " << times_ << " of " << asked_;
    }
  }

 private:
  Seldom(double share, std::string what) : share_(share), what_(std::move(what)) {}

  double share_;
  std::string what_;
  long asked_ = 0, times_ = 0;
};

}  // namespace nablabragg::test
