// What an action complains about.
#pragma once
#include <string>

namespace nablabragg::test {

/// The text of the Exception that the action throws; another type passes through to the test.
template <class Exception, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace nablabragg::test
