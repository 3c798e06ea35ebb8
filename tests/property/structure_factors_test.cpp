// Structure factors of random atomic models beside direct sums: settings, cells, resolutions, atoms
// on special positions.  ./dev soak runs it as long as wanted.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "nablabragg/io.hpp"
#include "support/atomic_crystals.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

RC_GTEST_PROP(StructureFactors, AreDirectSumsInAnySetting, ()) {
  constexpr int settings = static_cast<int>(std::size(gemmi::spacegroup_tables::main));
  const gemmi::SpaceGroup& group = gemmi::spacegroup_tables::main[*rc::gen::inRange(0, settings)];
  std::mt19937 random(static_cast<unsigned>(*rc::gen::inRange(0, 1 << 30)));
  // From cells that are narrower than an atom to some with many reflections.
  const double shortest_A = *rc::gen::inRange(3, 25), dmin_A = 0.1 * *rc::gen::inRange(10, 50);
  const bool named = *rc::gen::arbitrary<bool>();
  AtomicCrystal crystal = random_crystal(group, shortest_A, random);
  RC_PRE(!crystal.atoms.empty());
  if (named)
    for (CrystalAtom& atom : crystal.atoms) atom.u_A2 = {};
  const TempDir folder;
  const std::string path = folder.file("model.cif",
                                       (named ? mmcif_of(crystal) : core_cif_of(crystal)));
  const io::CalculatedFactors factors = io::calculate_structure_factors(path, dmin_A, {0, 0});
  RC_LOG() << folder.content("model.cif") << group.xhm() << ", " << factors.asymmetric_unit.size()
           << " reflections to " << dmin_A << " A\n";
  RC_ASSERT(worst_difference(crystal, factors, 1 + factors.asymmetric_unit.size() / 50) < 1e-4);
}

}  // namespace
}  // namespace nablabragg::test
