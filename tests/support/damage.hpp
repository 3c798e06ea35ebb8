// Texts that an accident has changed: a disk, a copy that ended early, an editor.
#pragma once
#include <algorithm>
#include <random>
#include <string>

namespace nablabragg::test {

/// A byte, a digit or a line is another one, is missing or stands twice, or the end is cut off.
inline std::string damaged(std::string text, std::mt19937& random) {
  const auto at = [&] { return text.empty() ? 0 : random() % text.size(); };
  const auto from = [&](std::size_t place, const char* among) {
    return text.find_first_of(among, place);
  };
  switch (random() % 7) {
    case 0:  // a bit
      if (!text.empty()) text[at()] ^= static_cast<char>(1 << random() % 8);
      break;
    case 1:  // a digit, which leaves all else as it should be
      if (const std::size_t digit = from(at(), "0123456789"); digit != std::string::npos)
        text[digit] = static_cast<char>('0' + (text[digit] - '0' + 1 + random() % 9) % 10);
      break;
    case 2:
      text.resize(at());
      break;
    case 3:
      text.erase(at(), 1 + random() % 40);
      break;
    case 4:
      text.insert(at(), 1 + random() % 3, static_cast<char>(random()));
      break;
    case 5: {  // what stands elsewhere
      const std::string part = text.substr(at(), 1 + random() % 200);
      text.replace(at(), part.size(), part);
      break;
    }
    default:  // a line
      if (const std::size_t end = from(at(), "\n"); end != std::string::npos) {
        const std::size_t next = std::min(text.find('\n', end + 1), text.size() - 1);
        const std::string line = text.substr(end, next - end);
        if (random() % 2 == 0)
          text.insert(end, line);
        else
          text.erase(end, line.size());
      }
  }
  return text;
}

}  // namespace nablabragg::test
