// Calculated structure factors beside direct sums, in every setting of every space group that has
// a name.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "nablabragg/io.hpp"
#include "support/atomic_crystals.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {
namespace {

// Of the largest amplitude; the density of atoms ends at 1e-6 electrons/A^3.
constexpr double bound = 1e-4;

class SpaceGroupSettings : public testing::Test {
 protected:
  TempDir folder;

  io::CalculatedFactors factors_of(const std::string& text, double dmin_A) const {
    return io::calculate_structure_factors(folder.file("model.cif", text), dmin_A, {0, 0});
  }
};

TEST_F(SpaceGroupSettings, AllGiveDirectSumsFromTheirNamesAndFromTheirOperators) {
  std::mt19937 random(20261128);
  int settings = 0, special = 0;
  for (const gemmi::SpaceGroup& group : gemmi::spacegroup_tables::main) {
    SCOPED_TRACE(group.xhm());
    AtomicCrystal crystal = random_crystal(group, 9, random);
    for (const CrystalAtom& atom : crystal.atoms) special += atom.order > 1;
    const io::CalculatedFactors core = factors_of(core_cif_of(crystal), 3);
    // Some operators have two names.
    const gemmi::SpaceGroup* found = gemmi::find_spacegroup_by_name(core.space_group);
    ASSERT_NE(found, nullptr) << core.space_group;
    EXPECT_TRUE(found->operations().is_same_as(group.operations())) << core.space_group;
    EXPECT_LT(worst_difference(crystal, core, 9), bound);
    for (CrystalAtom& atom : crystal.atoms) atom.u_A2 = {};
    const io::CalculatedFactors named = factors_of(mmcif_of(crystal), 3);
    EXPECT_EQ(named.space_group, group.xhm());
    EXPECT_LT(worst_difference(crystal, named, 9), bound);
    ++settings;
  }
  EXPECT_GE(settings, 559);
  EXPECT_GT(special, settings) << "too few atoms on special positions";
}

TEST_F(SpaceGroupSettings, AllAreReadBackFromMtzFiles) {
  std::mt19937 random(1);
  for (const gemmi::SpaceGroup& group : gemmi::spacegroup_tables::main) {
    SCOPED_TRACE(group.xhm());
    const io::CalculatedFactors factors = factors_of(mmcif_of(random_crystal(group, 9, random)), 4);
    const std::string path = folder.file("model.mtz", io::mtz_of(factors, "", {}));
    std::map<MillerIndex, double> read;
    for (const Reflection& r : io::read_mtz(path, "FC").reflections) read[r.hkl] = r.amplitude;
    for (const Reflection& r : factors.reflections) {
      const auto found = read.find(r.hkl);
      ASSERT_TRUE(found != read.end() || r.amplitude == 0);
      if (found != read.end()) {
        ASSERT_NEAR(found->second, r.amplitude, 1e-6 * r.amplitude);
      }
    }
    ASSERT_LE(read.size(), factors.reflections.size());
  }
}

}  // namespace
}  // namespace nablabragg::test
