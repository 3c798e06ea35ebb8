// The program's images against those of the nanoBragg C program.
//
// A compact set of cases lies beside this file; where the whole set lies beside the repository
// (../shared/golden) it is run too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {

namespace fs = std::filesystem;

namespace {

struct Case {
  fs::path images, inputs;
  nlohmann::json what;
  std::string id() const { return what["id"]; }
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.what["args"].get<std::string>(); }

std::vector<Case> cases_in(const fs::path& images, const fs::path& inputs) {
  std::vector<Case> cases;
  if (!fs::exists(images / "manifest.json")) return cases;
  for (const auto& entry : nlohmann::json::parse(read_file(images / "manifest.json")))
    cases.push_back({images, inputs, entry});
  return cases;
}

std::vector<Case> compact_set() {
  const fs::path here = fs::path(NABLA_SOURCE_DIR) / "tests/golden/reference";
  return cases_in(here, here / "inputs");
}

std::vector<Case> whole_set() {
  const fs::path beside = fs::path(NABLA_SOURCE_DIR).parent_path() / "shared/golden";
  return cases_in(beside / "images", beside / "inputs");
}

void run_in(const fs::path& folder, const std::string& line) {
  const Outcome outcome = run_program(folder, line);
  ASSERT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
}

/// Bytes of both files are the same.
void expect_same_file(const fs::path& ours, const fs::path& reference) {
  EXPECT_TRUE(read_file(ours) == read_file(reference)) << ours << " differs from " << reference;
}

}  // namespace

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, ImageAgreesWithNanobragg) {
  const Case& c = GetParam();
  const TempDir folder;
  fs::copy(c.inputs, folder.path());
  for (const auto& entry : fs::directory_iterator(folder.path()))
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);

  for (const auto& line : c.what.value("before", nlohmann::json::array())) {
    run_in(folder.path(), line);
    for (const char* unasked : {"floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img"})
      fs::remove(folder.path() / unasked);
  }
  std::string line = c.what["args"].get<std::string>() + " -floatfile out.f32 -noprogress";
  for (const char* kind : {"int", "noise", "pgm"})
    if (c.what.contains(kind)) line += std::string(" -") + kind + "file out." + kind;
  run_in(folder.path(), line);

  const auto ours = read_floats(folder.path() / "out.f32");
  const auto reference = read_floats(c.images / (c.id() + ".f32"));
  ASSERT_EQ(ours.size(), reference.size());
  double largest = 0;
  for (const float r : reference) largest = std::max(largest, std::abs(static_cast<double>(r)));
  std::size_t outside = 0;
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double r = reference[i], off = std::abs(static_cast<double>(ours[i]) - r);
    worst = std::max(worst, off / largest);
    if (!(off <= 2e-6 * largest + 2e-6 * std::abs(r))) ++outside;
  }
  RecordProperty("worst_over_max", std::to_string(worst));
  if (c.what.value("known_reference_bug", false)) {
    EXPECT_GT(outside, 0U) << "this reference image shows a bug that must not be reproduced";
    return;
  }
  // Double precision leaves single last bits of float32; more would be another formula.
  EXPECT_LE(worst, 1e-8);
  EXPECT_EQ(outside, 0U) << "pixels outside the bounds; the worst is off by " << worst
                         << " of the maximum";
  for (const char* kind : {"int", "noise", "pgm"})
    if (c.what.contains(kind))
      expect_same_file(folder.path() / (std::string("out.") + kind),
                       c.images / c.what[kind].get<std::string>());
}

namespace {

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.id();
  std::replace_if(
      name.begin(), name.end(),
      [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(CompactSet, Golden, testing::ValuesIn(compact_set()), test_name);
INSTANTIATE_TEST_SUITE_P(WholeSet, Golden, testing::ValuesIn(whole_set()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Golden);

TEST(GoldenSet, LiesBesideTheRepositoryOrTheCompactSetStandsForIt) {
  ASSERT_FALSE(compact_set().empty());
  if (whole_set().empty()) GTEST_SKIP() << "no ../shared/golden: only the compact set was compared";
}

}  // namespace nablabragg::test
