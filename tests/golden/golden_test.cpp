// The program's images against those of the nanoBragg C program: of the reference engine byte for
// byte, of a fast engine within its bounds (support/engines.hpp).
//
// A compact set of cases lies next to this file; where the whole set lies next to the repository
// (../shared/golden) it is run too.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/engines.hpp"
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
  const fs::path whole = fs::path(NABLA_SOURCE_DIR).parent_path() / "shared/golden";
  return cases_in(whole / "images", whole / "inputs");
}

/// The files that a case asks for in addition to the float image.
constexpr std::array<const char*, 3> kinds{"int", "noise", "pgm"};

/// Bytes of both files are the same.
void expect_same_file(const fs::path& ours, const fs::path& reference) {
  EXPECT_TRUE(read_file(ours) == read_file(reference)) << ours << " differs from " << reference;
}

}  // namespace

class Golden : public testing::TestWithParam<Case> {
 protected:
  Golden() {
    fs::copy(of.inputs, folder.path());
    for (const auto& entry : fs::directory_iterator(folder.path()))
      fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  }

  /// Runs what the case needs run first, then the case.
  void run(const std::string& engine, const Environment& environment = {}) {
    for (const auto& line : of.what.value("before", nlohmann::json::array())) {
      run_line(line.get<std::string>() + engine, environment);
      for (const char* unasked : {"floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img"})
        fs::remove(folder.path() / unasked);
    }
    std::string line = of.what["args"].get<std::string>() + " -floatfile out.f32 -noprogress";
    for (const char* kind : kinds)
      if (of.what.contains(kind)) line += std::string(" -") + kind + "file out." + kind;
    run_line(line + engine, environment);
  }

  void run_tested(const std::string& flags, const std::string& target) {
    const Environment of_cpu{{"NABLABRAGG_TARGET", target}};
    run(" -engine " + tested_engine() + flags, tested_engine() == "cpu" ? of_cpu : Environment{});
  }

  /// Of the float image with the reference's.
  Agreement images() const {
    const auto got = read_floats(folder.path() / "out.f32"),
               reference = read_floats(of.images / (of.id() + ".f32"));
    if (got.size() != reference.size()) throw std::runtime_error("images of different sizes");
    return agreement(got, reference);
  }

  fs::path ours(const char* kind) const { return folder.path() / (std::string("out.") + kind); }
  fs::path reference(const char* kind) const {
    return of.images / of.what[kind].get<std::string>();
  }

  /// `broken` says how the image departs from one that may be wrong itself.
  void expect_kept(const std::string& broken, const std::string& engine) const {
    if (of.what.value("known_reference_bug", false))
      EXPECT_NE(broken, "") << "this reference image shows a bug that must not be reproduced";
    else
      EXPECT_EQ(broken, "") << engine;
  }

  const Case& of = GetParam();
  const TempDir folder;

 private:
  void run_line(const std::string& line, const Environment& environment) {
    const Outcome outcome = run_program(folder.path(), line, environment);
    ASSERT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
  }
};

TEST_P(Golden, ReferenceEnginesFilesAreNanobraggs) {
  run(" -engine reference");
  const Agreement found = images();
  RecordProperty("worst_over_max", std::to_string(found.over_max * 1e9) + "e-9");
  expect_kept(found.broken_double_bounds(), "reference");
  if (of.what.value("known_reference_bug", false)) return;
  // Double precision leaves single last bits of float32; more would be another formula.
  EXPECT_LE(found.over_max, 1e-8);
  for (const char* kind : kinds)
    if (of.what.contains(kind)) expect_same_file(ours(kind), reference(kind));
}

TEST_P(Golden, MixedPrecisionKeepsItsBoundsOnEveryTarget) {
  for (const std::string& set : tested_targets()) {
    run_tested(" -dtype float32", set);
    const Agreement found = images();
    RecordProperty("worst_over_max_" + set, std::to_string(found.over_max * 1e9) + "e-9");
    RecordProperty("worst_relative_" + set, std::to_string(found.relative * 1e9) + "e-9");
    expect_kept(found.broken_bounds(), set);
  }
}

TEST_P(Golden, DoublePrecisionAgreesOnEveryTarget) {
  for (const std::string& set : tested_targets()) {
    run_tested(" -dtype float64", set);
    expect_kept(images().broken_double_bounds(), set);
  }
}

/// The cases with integer, noise and greymap files.
class GoldenFiles : public Golden {
 protected:
  void report(const std::string& kind, int different, std::size_t pixels) {
    RecordProperty(kind + "_pixels_that_differ", different);
    std::cout << of.id() << ' ' << kind << ": " << different << " of " << pixels
              << " pixels differ\n";
  }
};

TEST_P(GoldenFiles, DefaultEngineKeepsHeadersAndRoundsSingleIntegersOtherwise) {
  run("");
  for (const char* kind : {"int", "noise"}) {
    if (!of.what.contains(kind)) continue;
    EXPECT_EQ(read_file(ours(kind)).substr(0, 512), read_file(reference(kind)).substr(0, 512))
        << kind;
    const auto got = read_smv_pixels(ours(kind)), expected = read_smv_pixels(reference(kind));
    ASSERT_EQ(got.size(), expected.size());
    int different = 0, most = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      different += got[i] != expected[i];
      most = std::max(most, std::abs(int{got[i]} - int{expected[i]}));
    }
    report(kind, different, got.size());
    // Noise goes on with other random numbers once one of them was used otherwise.
    if (std::string(kind) == "int") {
      EXPECT_LE(most, 1);
    }
  }
  if (!of.what.contains("pgm")) return;
  const std::string got = read_file(ours("pgm")), expected = read_file(reference("pgm"));
  const auto pixels = of.what["slow"].get<std::size_t>() * of.what["fast"].get<std::size_t>();
  ASSERT_GT(std::min(got.size(), expected.size()), pixels);
  int different = 0;
  for (std::size_t i = 1; i <= pixels; ++i)
    different += got[got.size() - i] != expected[expected.size() - i];
  report("pgm", different, pixels);
}

namespace {

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.id();
  std::replace_if(
      name.begin(), name.end(),
      [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
}

std::vector<Case> with_files(std::vector<Case> cases) {
  std::erase_if(cases, [](const Case& c) {
    return std::none_of(kinds.begin(), kinds.end(),
                        [&](const char* kind) { return c.what.contains(kind); });
  });
  return cases;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(CompactSet, Golden, testing::ValuesIn(compact_set()), test_name);
INSTANTIATE_TEST_SUITE_P(WholeSet, Golden, testing::ValuesIn(whole_set()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Golden);

INSTANTIATE_TEST_SUITE_P(CompactSet, GoldenFiles, testing::ValuesIn(with_files(compact_set())),
                         test_name);
INSTANTIATE_TEST_SUITE_P(WholeSet, GoldenFiles, testing::ValuesIn(with_files(whole_set())),
                         test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GoldenFiles);

TEST(GoldenSet, LiesNextToTheRepositoryOrTheCompactSetStandsForIt) {
  ASSERT_FALSE(compact_set().empty());
  if (whole_set().empty()) GTEST_SKIP() << "no ../shared/golden: only the compact set was compared";
}

}  // namespace nablabragg::test
