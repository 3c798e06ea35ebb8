#include "io/symmetry.hpp"

#include <algorithm>
#include <cmath>
#include <gemmi/symmetry.hpp>
#include <map>
#include <tuple>
#include <utility>

#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

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

std::optional<Symmetry> symmetry_of(const gemmi::SpaceGroup* group) {
  if (!group) return std::nullopt;
  return symmetry_of(group->operations(), group->xhm());
}

double alpha_of(const std::optional<CellNumbers>& cell) { return cell ? (*cell)[3] : 0; }
double gamma_of(const std::optional<CellNumbers>& cell) { return cell ? (*cell)[5] : 0; }

Symmetry::Rotation product(const Symmetry::Rotation& a, const Symmetry::Rotation& b) {
  Symmetry::Rotation result{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 3; ++k) result[i][j] += a[i][k] * b[k][j];
  return result;
}

MillerIndex negative(const MillerIndex& hkl) { return {-hkl[0], -hkl[1], -hkl[2]}; }

}  // namespace

MillerIndex image_of(const MillerIndex& hkl, const Symmetry::Rotation& rotation) {
  MillerIndex image{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) image[j] += hkl[i] * rotation[i][j];
  return image;
}

Symmetry symmetry_of_operations(const std::vector<std::string>& operations) {
  std::vector<gemmi::Op> ops;
  for (const std::string& text : operations) {
    const gemmi::Op op = gemmi::parse_triplet(text);
    for (const auto& row : op.rot)
      for (const int entry : row)
        if (entry % gemmi::Op::DEN != 0)
          throw Error("the symmetry operation " + text + " does not turn the axes into axes");
    ops.push_back(op);
  }
  const gemmi::GroupOps group = gemmi::split_centering_vectors(ops);
  const gemmi::SpaceGroup* const known = gemmi::find_spacegroup_by_ops(group);
  Symmetry symmetry = symmetry_of(
      group, known ? known->xhm()
                   : "with " + std::to_string(operations.size()) + " operations of its own");
  for (const auto& a : symmetry.rotations)
    for (const auto& b : symmetry.rotations) {
      const auto ab = product(a, b);
      if (std::find(symmetry.rotations.begin(), symmetry.rotations.end(), ab) ==
          symmetry.rotations.end())
        throw Error("its " + std::to_string(operations.size()) +
                    " symmetry operations are not the whole of a group");
    }
  return symmetry;
}

std::optional<Symmetry> symmetry_of_name(const std::string& hermann_mauguin,
                                         const std::optional<CellNumbers>& cell) {
  return symmetry_of(
      gemmi::find_spacegroup_by_name(hermann_mauguin, alpha_of(cell), gamma_of(cell)));
}

std::optional<Symmetry> symmetry_of_hall_symbol(const std::string& hall) {
  try {
    const gemmi::GroupOps group = gemmi::symops_from_hall(hall.c_str());
    const gemmi::SpaceGroup* const known = gemmi::find_spacegroup_by_ops(group);
    return symmetry_of(group, known ? known->xhm() : "Hall symbol " + hall);
  } catch (const std::exception&) {
    return std::nullopt;
  }
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

std::optional<Symmetry> symmetry_of_number(int number, const std::optional<CellNumbers>& cell) {
  const gemmi::SpaceGroup* const group = number > 0 ? gemmi::find_spacegroup_by_number(number)
                                                    : nullptr;
  // A trigonal group with a choice of axes: the cell tells.
  if (group && group->ext == 'H') return symmetry_of_name(group->hm, cell);
  return symmetry_of(group);
}

bool same_rotations(const Symmetry& a, const Symmetry& b) {
  return std::is_permutation(a.rotations.begin(), a.rotations.end(), b.rotations.begin(),
                             b.rotations.end());
}

std::vector<Reflection> expand_to_p1(const std::vector<StatedAmplitude>& stated,
                                     const Symmetry& symmetry, ReflectionFile& file) {
  if (stated.empty())
    throw InputError(
        file.path, 0,
        file.negative > 0 ? "holds no intensity that is not negative" : "holds no reflections");
  struct Image {
    MillerIndex hkl;
    bool is_stated;  ///< not only a mate of what is
    std::size_t from;
  };
  std::vector<Image> images;
  images.reserve(2 * stated.size() * symmetry.rotations.size());
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
    bool repeated = false, contradicted = false;
    for (std::size_t i = begin; i < end; ++i) {
      const StatedAmplitude& other = stated[images[i].from];
      if (!images[i].is_stated || other.row == counts.row) continue;
      repeated = true;
      contradicted = contradicted || other.amplitude != counts.amplitude;
    }
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
