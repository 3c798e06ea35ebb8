// How near a word is to one that was meant.
#pragma once
#include <algorithm>  // for std::min
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace nablabragg::description {

/// Edits (insert, delete, replace, swap neighbours) from one text to the other.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// The word that was most likely meant: the only one that begins so, else the one with fewest
/// edits, a quarter of the letters at most; empty: none is near.  Dashes in front do not count.
inline std::string_view nearest_word(std::string_view typed,
                                     std::span<const std::string_view> words) {
  const auto bare = [](std::string_view word) {
    return word.substr(std::min(word.find_first_not_of('-'), word.size()));
  };
  const std::string_view letters = bare(typed);
  if (letters.size() < 2) return {};
  std::string_view only;
  std::size_t begin_so = 0;
  for (const std::string_view word : words)
    if (bare(word).starts_with(letters)) {
      only = word;
      ++begin_so;
    }
  if (begin_so == 1) return only;
  // A short word is near to many.
  std::size_t least = std::max<std::size_t>(1, (letters.size() + 1) / 4) + 1;
  std::string_view best;
  for (const std::string_view word : words)
    if (const std::size_t distance = edit_distance(letters, bare(word)); distance < least) {
      best = word;
      least = distance;
    }
  return best;
}

}  // namespace nablabragg::description
