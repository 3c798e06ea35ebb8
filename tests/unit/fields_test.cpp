// The table of fields: what is made from it forgets none, and what is written by hand agrees.
#include "description/fields.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "description/lift.hpp"
#include "description/parameter_table.hpp"
#include "flags/flags.hpp"
#include "support/every_field.hpp"

namespace nablabragg::test {
namespace {

using description::same_value;

TEST(Fields, DifferFromTheirDefaultsInTheExperimentThatTheseTestsUse) {
  const Experiment standard, every = experiment_with_every_field();
  const auto differ = [&](const auto& a, const auto& b) {
    description::for_each_field<std::remove_cvref_t<decltype(a)>>(
        [&](const auto& row) { EXPECT_FALSE(same_value(row.get(a), row.get(b))) << row.name; });
  };
  differ(every.crystal, standard.crystal);
  differ(every.beam, standard.beam);
  differ(every.detector, standard.detector);
  differ(every.scan, standard.scan);
  differ(every.sampling, standard.sampling);
  differ(every.structure_factors, standard.structure_factors);
  differ(every, standard);
}

TEST(Fields, AreAllInTheSameExperimentOfAnotherNumberType) {
  const Experiment every = experiment_with_every_field();
  const auto wide = description::lifted<long double>(every);
  EXPECT_EQ(wide.detector.attenuation_depth_um, every.detector.attenuation_depth_um);
  Experiment again;
  description::lift(again, wide);
  EXPECT_TRUE(same_value(again, every));
}

TEST(Fields, HaveNamesOfTheirOwn) {
  std::set<std::string> paths, parameters;
  for_each_row<Experiment>("", [&](const std::string& path, const auto& row) {
    EXPECT_TRUE(paths.insert(path).second) << path;
    // The parameters of further panels, of further crystals and of groups begin with the number or
    // the group's name.
    if (row.parameter && !path.starts_with("more_panels") && !path.starts_with("more_crystals") &&
        !path.starts_with("detector_groups")) {
      EXPECT_TRUE(parameters.insert(row.parameter).second) << row.parameter;
    }
    EXPECT_STRNE(row.help, "") << path;
  });
}

TEST(Fields, HaveOneUnitOrOneForEachNumber) {
  const Experiment every = experiment_with_every_field();
  for_each_row<Experiment>("", [&](const std::string& path, const auto& row) {
    using Value = typename std::remove_cvref_t<decltype(row)>::Member;
    std::size_t numbers = 1;
    if constexpr (std::is_same_v<Value, std::optional<UnitCell>>)
      numbers = description::shape_of<Value>()[0];
    EXPECT_TRUE(row.units.count == 1 || row.units.count == numbers) << path;
  });
}

TEST(Fields, NameFlagsThatThereAre) {
  std::size_t with_flags = 0;
  for_each_row<Experiment>("", [&](const std::string& path, const auto& row) {
    with_flags += row.flags.count > 0;
    for (std::size_t i = 0; i < row.flags.count; ++i) {
      std::istringstream arguments{std::string(row.flags.list[i])};
      for (std::string argument; arguments >> argument;) {
        if (!argument.starts_with('-')) continue;
        const flags::Flag* flag = flags::find_flag(argument);
        ASSERT_TRUE(flag) << path << ' ' << argument;
      }
    }
  });
  EXPECT_GT(with_flags, 50u);
}

/// The cells of a row of a Markdown table.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  std::string cell;
  std::getline(in, cell, '|');
  while (std::getline(in, cell, '|')) cells.push_back(cell);
  return cells;
}

TEST(Parameters, AreInTheTableOfTheDocumentsWithTheirUnits) {
  std::ifstream in(NABLA_SOURCE_DIR "/docs/gradients.md");
  std::string line;
  while (std::getline(in, line) && line != "## Parameters") {
  }
  std::vector<std::vector<std::string>> rows;
  while (std::getline(in, line) && !line.starts_with("## "))
    if (line.starts_with("| `")) rows.push_back(cells_of(line));
  ASSERT_GT(rows.size(), 20u);

  std::set<std::string> wanted{"F"};
  for_each_row<Experiment>("", [&](const std::string& path, const auto& row) {
    if (!row.parameter) return;
    wanted.insert(row.parameter);
    const std::string quoted = '`' + std::string(row.parameter) + '`';
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& cells) {
      return cells[0].find(quoted) != std::string::npos;
    });
    ASSERT_NE(found, rows.end()) << path;
    for (std::size_t i = 0; i < row.units.count; ++i)
      EXPECT_THAT((*found)[2], testing::HasSubstr(row.units.list[i])) << quoted;
  });
  // And no other ones
  for (const auto& cells : rows) {
    std::istringstream names(cells[0]);
    std::string between, name;
    while (std::getline(names, between, '`') && std::getline(names, name, '`'))
      EXPECT_TRUE(wanted.count(name)) << name;
  }
}

}  // namespace
}  // namespace nablabragg::test
