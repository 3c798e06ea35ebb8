#include "io/symmetry.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>          // for snprintf
#include <gemmi/math.hpp>  // for rad, deg
#include <gemmi/symmetry.hpp>
#include <map>
#include <tuple>
#include <utility>

#include "io/groups.hpp"
#include "io/quotes.hpp"
#include "memory/available.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

Symmetry symmetry_of(const gemmi::GroupOps& group, std::string name) {
  Symmetry symmetry;
  symmetry.name = std::move(name);
  for (const gemmi::Op& op : group.sym_ops) {
    Symmetry::Rotation rotation{};
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) rotation[i][j] = op.rot[i][j] / gemmi::Op::DEN;
    symmetry.rotations.push_back(rotation);
  }
  return symmetry;
}

std::string name_without_symbol(std::size_t operators) {
  return "with " + std::to_string(operators) + " operators of its own";
}

gemmi::GroupOps group_of_operators(const std::vector<std::string>& triplets) {
  std::vector<gemmi::Op> ops;
  for (const std::string& text : triplets) {
    try {
      ops.push_back(gemmi::parse_triplet(text).wrap());
    } catch (const std::exception&) {
      throw Error("the symmetry operator " + in_quotes(text) + " is none");
    }
    for (const auto& row : ops.back().rot)
      for (const int entry : row)
        if (entry % gemmi::Op::DEN != 0)
          throw Error("the symmetry operator " + in_quotes(text) +
                      " does not turn the axes into axes");
  }
  std::sort(ops.begin(), ops.end());
  ops.erase(std::unique(ops.begin(), ops.end()), ops.end());
  const std::string no_group = "its " + std::to_string(ops.size()) +
                               " symmetry operators are no group: ";
  constexpr std::size_t most = 192;  // of F m -3 m and its like
  if (ops.size() > most) throw Error(no_group + "none has more than 192");
  const auto is_there = [&](const gemmi::Op& op) {
    return std::binary_search(ops.begin(), ops.end(), op);
  };
  if (!is_there(gemmi::Op::identity()))
    throw Error(no_group + gemmi::Op::identity().triplet() + " is missing");
  for (const gemmi::Op& a : ops)
    for (const gemmi::Op& b : ops)
      if (const gemmi::Op ab = (a * b).wrap(); !is_there(ab))
        throw Error(no_group + ab.triplet() + " is missing, the product of " + a.triplet() +
                    " and " + b.triplet());
  return gemmi::split_centering_vectors(ops);
}

const gemmi::SpaceGroup* group_of_number(int number, double alpha, double gamma) {
  const gemmi::SpaceGroup* const group = number > 0 ? gemmi::find_spacegroup_by_number(number)
                                                    : nullptr;
  // A trigonal group with a choice of axes: the cell tells.
  if (group && group->ext == 'H') return gemmi::find_spacegroup_by_name(group->hm, alpha, gamma);
  return group;
}

namespace {

std::optional<Symmetry> symmetry_of(const gemmi::SpaceGroup* group) {
  if (!group) return std::nullopt;
  return io::symmetry_of(group->operations(), group->xhm());
}

double alpha_of(const std::optional<CellNumbers>& cell) { return cell ? (*cell)[3] : 0; }
double gamma_of(const std::optional<CellNumbers>& cell) { return cell ? (*cell)[5] : 0; }

MillerIndex negative(const MillerIndex& hkl) { return {-hkl[0], -hkl[1], -hkl[2]}; }

}  // namespace

MillerIndex image_of(const MillerIndex& hkl, const Symmetry::Rotation& rotation) {
  MillerIndex image{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) image[j] += hkl[i] * rotation[i][j];
  return image;
}

Symmetry symmetry_of_operations(const std::vector<std::string>& operations) {
  const gemmi::GroupOps group = group_of_operators(operations);
  const gemmi::SpaceGroup* const known = gemmi::find_spacegroup_by_ops(group);
  return symmetry_of(group, known ? known->xhm() : name_without_symbol(operations.size()));
}

std::optional<Symmetry> symmetry_of_name(const std::string& hermann_mauguin,
                                         const std::optional<CellNumbers>& cell) {
  return symmetry_of(
      gemmi::find_spacegroup_by_name(hermann_mauguin, alpha_of(cell), gamma_of(cell)));
}

std::optional<Symmetry> symmetry_of_number(int number, const std::optional<CellNumbers>& cell) {
  return symmetry_of(group_of_number(number, alpha_of(cell), gamma_of(cell)));
}

void check_memory_for(double bytes, const std::string& path, const std::string& what) {
  const double free = memory::available_bytes();
  if (bytes <= free) return;
  char text[96];
  std::snprintf(text, sizeof text, " take about %.2g GB of memory, and %.2g GB are free",
                bytes / 1e9, free / 1e9);
  throw InputError(path, 0, what + text);
}

void note_negative_amplitudes(long count, ReflectionFile& file) {
  if (count > 0)
    file.remarks.push_back(
        std::to_string(count) +
        (count == 1
             ? " of its amplitudes is negative, and counts by its square; is it an intensity?"
             : " of its amplitudes are negative, and count by their squares; are they "
               "intensities?"));
}

std::string group_name_of_hall_symbol(const std::string& hall) {
  try {
    const gemmi::SpaceGroup* const known = gemmi::find_spacegroup_by_ops(
        gemmi::symops_from_hall(hall.c_str()));
    return known ? known->xhm() : hall;
  } catch (const std::exception&) {
    return hall;
  }
}

std::optional<std::string> hall_symbol_of_group(const std::string& group) {
  if (const gemmi::SpaceGroup* const known = gemmi::find_spacegroup_by_name(group))
    return known->hall;
  try {
    static_cast<void>(gemmi::symops_from_hall(group.c_str()));
    return group;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

bool same_rotations(const Symmetry& a, const Symmetry& b) {
  return std::is_permutation(a.rotations.begin(), a.rotations.end(), b.rotations.begin(),
                             b.rotations.end());
}

CellChange change_of(const CellNumbers& cell, const Symmetry& symmetry) {
  const auto cosine = [&](std::size_t i) { return std::cos(gemmi::rad(cell[3 + i])); };
  using Metric = std::array<std::array<double, 3>, 3>;
  Metric metric{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      metric[i][j] = cell[i] * cell[j] * (i == j ? 1 : cosine(3 - i - j));
  const auto angle_deg = [](const Metric& m, std::size_t i, std::size_t j) {
    return gemmi::deg(std::acos(std::clamp(m[i][j] / std::sqrt(m[i][i] * m[j][j]), -1.0, 1.0)));
  };
  CellChange change;
  for (const Symmetry::Rotation& r : symmetry.rotations) {
    Metric turned{};
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j)
        for (std::size_t k = 0; k < 3; ++k)
          for (std::size_t l = 0; l < 3; ++l) turned[i][j] += r[k][i] * metric[k][l] * r[l][j];
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t j = (i + 1) % 3;
      change.edges = std::max(change.edges, std::abs(std::sqrt(turned[i][i] / metric[i][i]) - 1));
      change.angles_deg = std::max(change.angles_deg,
                                   std::abs(angle_deg(turned, i, j) - angle_deg(metric, i, j)));
    }
  }
  return change;
}

namespace {

/// Equivalents of a crystal that has another symmetry than its cell are not equivalent.
void doubt_cell(const Symmetry& symmetry, ReflectionFile& file) {
  if (!file.cell) return;
  const CellChange change = change_of(*file.cell, symmetry);
  if (change.is_rounding()) return;
  std::string cell;
  for (const double number : *file.cell) {
    char text[32];
    std::snprintf(text, sizeof text, " %g", number);
    cell += text;
  }
  const std::string sentence = "its cell" + cell +
                               " does not have the symmetry that expands its reflections (" +
                               symmetry.name + ")";
  if (change.is_of_another_cell())
    file.doubts.push_back(sentence + "; correct one of them");
  else
    file.remarks.push_back(sentence + ", but nearly");
}

}  // namespace

std::vector<Reflection> expand_to_p1(const std::vector<StatedAmplitude>& stated,
                                     const Symmetry& symmetry, ReflectionFile& file) {
  if (stated.empty())
    throw InputError(
        file.path, 0,
        file.negative > 0 ? "holds no intensity that is not negative" : "holds no reflections");
  doubt_cell(symmetry, file);
  note_negative_amplitudes(std::count_if(stated.begin(), stated.end(),
                                         [](const StatedAmplitude& s) { return s.amplitude < 0; }),
                           file);
  struct Image {
    MillerIndex hkl;
    bool is_stated;  ///< not only a mate of what is
    std::size_t from;
  };
  std::vector<Image> images;
  const std::size_t count = 2 * stated.size() * symmetry.rotations.size();
  // Each image may be a reflection of its own.
  check_memory_for(static_cast<double>(count) * (sizeof(Image) + sizeof(Reflection)), file.path,
                   std::to_string(stated.size()) + " amplitudes, expanded by the " +
                       std::to_string(symmetry.rotations.size()) + " operators of " +
                       symmetry.name + ",");
  images.reserve(count);
  for (std::size_t i = 0; i < stated.size(); ++i)
    for (const Symmetry::Rotation& rotation : symmetry.rotations) {
      const MillerIndex image = image_of(stated[i].hkl, rotation);
      images.push_back({image, true, i});
      images.push_back({negative(image), false, i});
    }
  // The one that counts is the last of its index.
  std::sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
    return std::tie(a.hkl, a.is_stated, a.from) < std::tie(b.hkl, b.is_stated, b.from);
  });

  std::vector<Reflection> all;
  for (std::size_t begin = 0, end = 0; begin < images.size(); begin = end) {
    while (end < images.size() && images[end].hkl == images[begin].hkl) ++end;
    const Image& last = images[end - 1];
    const StatedAmplitude& counts = stated[last.from];
    all.push_back({last.hkl, counts.amplitude});
    // Equivalents repeat what is counted here, at the index of the row itself.
    if (!last.is_stated || counts.hkl != last.hkl) continue;
    bool repeated = false, contradicted = false, hands_differ = false;
    for (std::size_t i = begin; i < end; ++i) {
      const StatedAmplitude& other = stated[images[i].from];
      if (!images[i].is_stated) continue;
      const bool differs = other.amplitude != counts.amplitude;
      if (other.row == counts.row) {
        // Both hands of a row are equivalent here, so that the reflection is centric.
        hands_differ = hands_differ || differs;
        continue;
      }
      repeated = true;
      contradicted = contradicted || differs;
    }
    if (hands_differ && file.hands_differ++ == 0) file.first_differing_hands = counts.hkl;
    if (contradicted && file.contradicting == 0) file.first_contradiction = counts.hkl;
    file.repeated += repeated;
    file.contradicting += contradicted;
  }
  return all;
}

std::vector<StatedAmplitude> merge_observations(const std::vector<Observation>& observations,
                                                const Symmetry& symmetry, bool friedel,
                                                ReflectionFile& file) {
  struct Sum {
    double weighted = 0, weight = 0;
  };
  std::map<MillerIndex, Sum> sums;
  for (const Observation& o : observations) {
    MillerIndex unique = o.hkl;
    for (const Symmetry::Rotation& rotation : symmetry.rotations) {
      const MillerIndex image = image_of(o.hkl, rotation);
      unique = std::max(unique, image);
      if (friedel) unique = std::max(unique, negative(image));
    }
    const double weight = 1 / (o.sigma * o.sigma);
    Sum& sum = sums[unique];
    sum.weighted += weight * o.intensity;
    sum.weight += weight;
  }
  std::vector<StatedAmplitude> means;
  for (const auto& [hkl, sum] : sums) {
    const double mean = sum.weighted / sum.weight;
    if (!std::isfinite(mean))
      throw InputError(file.path, 0,
                       "its intensities and sigmas at " + std::to_string(hkl[0]) + ' ' +
                           std::to_string(hkl[1]) + ' ' + std::to_string(hkl[2]) +
                           " have no finite mean weighted by 1/sigma^2");
    if (mean < 0)
      ++file.negative;
    else
      means.push_back({hkl, std::sqrt(mean), means.size()});
  }
  return means;
}

}  // namespace nablabragg::io
