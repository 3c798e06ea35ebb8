// `nablabragg refine` on several images at once: where they are, what is said and what is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "nablabragg/experiment_json.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/simulate.hpp"
#include "support/json_schema.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string crystal =
    "-corrected -noprogress -N 15 -gauss_xtal -mosaic 0.3 -mosaic_model gaussian -lambda 1 "
    "-default_F 100 -water 0.07 -sensor Si 45 -detpixels 256 -pixel 0.2 -distance 60 -Xbeam 25.5 "
    "-Ybeam 25.7 ";
const std::string cell = "-cell 40 45 50 90 90 90 ", other_cell = "-cell 40.1 44.9 50.1 90 90 90 ";
const std::string wedge = crystal + "-fluence 3e27 -phi 10 -osc 0.5 -images 3 ";
const std::string misset = "-misset 12 -7 33 ", other_misset = "-misset 12.2 -7.2 33.2 ";

class RefineSeveralImages : public test::ProgramTest {
 protected:
  Outcome refine(const std::string& options, const std::string& model) const {
    return run("refine --quiet --outdir r " + options + " -- " + model);
  }
  json result() const { return json::parse(folder.content("r/refined.json")); }
  json number(const std::string& name) const {
    const json r = result();
    for (const json& n : r["numbers"])
      if (n["name"] == name) return n;
    return {};
  }
  void expect_near(const std::string& name, double truth) const {
    const json n = number(name);
    ASSERT_FALSE(n.is_null()) << name;
    EXPECT_NEAR(n["value"], truth, 4.5 * n["deviation"].get<double>()) << name;
  }
  void expect_wedge_found(const Outcome& outcome) const {
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const json r = result();
    EXPECT_EQ(r["images"].size(), 3u);
    EXPECT_NEAR(r["residual"], 1, 0.1);
    expect_near("misset[0]", 12);
    expect_near("misset[1]", -7);
    expect_near("misset[2]", 33);
    expect_near("cell[0]", 40);
    expect_near("cell[2]", 50);
    for (int i = 0; i < 3; ++i) expect_near("image[" + std::to_string(i) + "].fluence", 3e27);
  }
  void expect_refused(const Outcome& outcome, int code, const std::string& part) const {
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("nablabragg: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_FALSE(fs::exists(folder / "r/refined.json"));
  }
  std::string refined_flags() const {
    std::string line;
    const json r = result();
    for (const json& flag : r["refined_flags"]) line += flag.get<std::string>() + ' ';
    return line;
  }
};

// Few boxes: what is asked here is not how well they are fitted
const std::string asked = "--spots 20 --parameters misset,cell[0-2] --own fluence ";

TEST_F(RefineSeveralImages, ReadsAWedgeFromFilesAndFromOneFile) {
  good_run(wedge + cell + misset + "-seed 1 -noisefile wedge_####.img -o wedge_####.cbf -o w.nxs");
  const std::string start = wedge + other_cell + other_misset;
  expect_wedge_found(refine("--image wedge_####.cbf " + asked, start));
  const json by_template = result()["numbers"];
  EXPECT_EQ(result()["images"][2]["path"], "wedge_0003.cbf");
  expect_wedge_found(refine("--image w.nxs " + asked, start));
  EXPECT_EQ(result()["numbers"], by_template);
  EXPECT_EQ(result()["images"][2]["number"], 3);
  expect_wedge_found(refine("--image wedge_####.img --offset 40 " + asked, start));
  EXPECT_EQ(result()["numbers"], by_template);
  expect_wedge_found(refine(
      "--image wedge_0001.cbf --image wedge_0002.cbf --image wedge_0003.cbf " + asked, start));
  EXPECT_EQ(result()["numbers"], by_template);
  // The last two of the three
  const std::string later = crystal + other_cell + other_misset +
                            "-fluence 3e27 -phi 10.5 -osc 0.5 -images 2 ";
  const Outcome two = refine("--image w.nxs --image-number 2 " + asked, later);
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_EQ(result()["images"][1]["number"], 3);
  expect_near("cell[0]", 40);
  const json of_file = result()["numbers"];
  ASSERT_EQ(refine("--image wedge_####.cbf --image-number 2 " + asked, later).exit_code, 0);
  EXPECT_EQ(result()["numbers"], of_file);
}

TEST_F(RefineSeveralImages, WritesThemAllAndWhatItsSchemaDescribes) {
  good_run(wedge + cell + misset + "-seed 1 -o wedge_####.cbf");
  const std::string start = wedge + other_cell + other_misset;
  Outcome outcome = refine("--image wedge_####.cbf " + asked, start);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("written to r: refined.json, experiment_####.json, "
                                     "refined.expt, refined.png"));
  EXPECT_THAT(outcome.err, HasSubstr("what each image has for itself (fluence); "
                                     "experiment_####.json state it"));
  std::ifstream in(NABLA_SOURCE_DIR "/docs/refinement.schema.json");
  EXPECT_EQ(test::fault_by_schema(result(), json::parse(in)), "");
  for (int i = 0; i < 3; ++i) {
    const Experiment e = experiment_from_json(
        folder.content("r/experiment_000" + std::to_string(i + 1) + ".json"));
    EXPECT_EQ(e.crystal.cell->a_A, number("cell[0]")["value"]);
    EXPECT_EQ(e.beam.fluence_per_m2, number("image[" + std::to_string(i) + "].fluence")["value"]);
    EXPECT_EQ(e.scan.phi_deg, 10 + 0.5 * i);
  }
  // One scan of three images, with the refined crystal
  const Geometry g = io::read_geometry(folder / "r/refined.expt");
  ASSERT_TRUE(g.scan);
  EXPECT_EQ(g.scan->images, 3);
  EXPECT_NEAR(g.scan->start_deg, 10, 1e-9);
  EXPECT_NEAR(length(g.crystals.at(0).real_axes_A.a), number("cell[0]")["value"], 1e-6);

  // Where each image has an orientation of its own, each has a file
  outcome = refine("--image wedge_####.cbf --spots 20 --parameters cell[0-2] --own misset ", start);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("refined_####.expt"));
  const Geometry third = io::read_geometry(folder / "r/refined_0003.expt");
  EXPECT_NEAR(third.scan->start_deg, 11, 1e-9);
  EXPECT_EQ(third.scan->images, 1);
}

TEST_F(RefineSeveralImages, StatesTheRefinedWedgeInFlags) {
  good_run(wedge + cell + misset + "-seed 1 -o wedge_####.cbf");
  const std::string start = wedge + other_cell + other_misset;
  const Outcome outcome = refine(
      "--image wedge_####.cbf --spots 20 --parameters misset,cell[0-2],fluence ", start);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("not in refined_flags")));
  good_run(start + refined_flags() + "-floatfile again_####.bin");
  for (int i = 1; i <= 3; ++i) {
    const std::string digit = std::to_string(i);
    const Experiment e = experiment_from_json(folder.content("r/experiment_000" + digit + ".json"));
    const Image image = simulate(e).image;
    const std::string bytes(reinterpret_cast<const char*>(image.pixels.data()),
                            image.pixels.size() * sizeof(float));
    EXPECT_EQ(folder.content("again_000" + digit + ".bin"), bytes);
  }
}

// Two panels one above the other, the lower one tilted
const std::string two_panels =
    "photon_energy = 12398.42 eV\nclen = 60 mm\nres = 5000\nadu_per_photon = 1\n"
    "upper/min_fs = 0\nupper/max_fs = 255\nupper/min_ss = 0\nupper/max_ss = 127\n"
    "upper/corner_x = -127.3\nupper/corner_y = 2\nupper/fs = x\nupper/ss = y\n"
    "lower/min_fs = 0\nlower/max_fs = 255\nlower/min_ss = 128\nlower/max_ss = 255\n"
    "lower/corner_x = 128.5\nlower/corner_y = -2\nlower/fs = -x\nlower/ss = -0.96y + 0.28z\n";
const std::string on_two_panels =
    "-corrected -noprogress -N 15 -gauss_xtal -mosaic 0.3 -mosaic_model gaussian -default_F 100 "
    "-water 0.07 -sensor Si 45 -fluence 3e27 ";

TEST_F(RefineSeveralImages, FindsTheCrystalOfAWedgeOnSeveralPanels) {
  folder.file("two.geom", two_panels);
  const std::string panels = on_two_panels + "-detector two.geom -phi 10 -osc 0.5 -images 3 ";
  good_run(panels + cell + misset + "-seed 1 -o wedge_####.cbf -o w.nxs -o moved.expt");
  const std::string start = panels + other_cell + other_misset;
  expect_wedge_found(refine("--image w.nxs " + asked, start));
  const json of_file = result();
  expect_wedge_found(refine("--image wedge_####.cbf " + asked, start));
  EXPECT_EQ(result()["numbers"], of_file["numbers"]);
  // Boxes on both panels in each image
  std::set<std::pair<int, int>> seen;
  for (const json& box : of_file["shoeboxes"]) seen.emplace(box["image"], box["panel"]);
  EXPECT_EQ(seen.size(), 6u);

  // A panel that stands elsewhere in all of them
  json moved = json::parse(folder.content("moved.expt"));
  json& panel = moved["detector"][0]["panels"][1];
  ASSERT_EQ(panel["name"], "lower");
  for (std::size_t i = 0; i < 3; ++i)
    panel["origin"][i] = panel["origin"][i].get<double>() +
                         0.15 * panel["fast_axis"][i].get<double>();
  std::ofstream(folder / "moved.expt") << moved;
  const Outcome outcome = refine(
      "--image w.nxs --spots 20 --parameters misset,panel[1].shift[0-1] --own fluence",
      on_two_panels + "-expt moved.expt -images 3 -misset 0.2 -0.2 0.2");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_near("panel[1].shift[0]", -0.15);
  expect_near("panel[1].shift[1]", 0);
  for (const char* name : {"misset[0]", "misset[1]", "misset[2]"}) expect_near(name, 0);
  EXPECT_LT(number("panel[1].shift[0]")["deviation"], 0.01);
}

TEST_F(RefineSeveralImages, TakesTheScanOfAnExptWithTheSpotsOfItsRefl) {
  good_run(wedge + cell + misset + "-seed 1 -o wedge_####.cbf -o wedge.expt -o wedge.refl");
  const std::string model =
      "-corrected -noprogress -N 15 -gauss_xtal -mosaic 0.3 -mosaic_model gaussian -default_F 100 "
      "-water 0.07 -fluence 3e27 -expt wedge.expt ";
  // So far away that the nearest lattice points are others
  const std::string far = "-misset 4 -3 4 ";
  const std::string line = "--spots 20 --parameters misset,cell[0-2] --own fluence --spots-of ";
  const auto expect_found = [&](const Outcome& outcome) {
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NEAR(result()["residual"], 1, 0.1);
    for (const char* name : {"misset[0]", "misset[1]", "misset[2]"}) expect_near(name, 0);
    expect_near("cell[0]", 40);
    expect_near("cell[2]", 50);
  };
  expect_found(refine("--image wedge_####.cbf " + line + "wedge.refl", model + far + "-images 3"));
  EXPECT_EQ(result()["images"].size(), 3u);
  expect_near("image[2].fluence", 3e27);
  // The last two, whose spots are those of the images 2 and 3 of the scan
  expect_found(refine("--image wedge_####.cbf --image-number 2 " + line + "wedge.refl",
                      model + far + "-phi 10.5 -images 2"));
  EXPECT_EQ(result()["images"][1]["path"], "wedge_0003.cbf");
  fs::remove_all(folder / "r");
  expect_refused(refine("--image wedge_####.cbf " + line +
                            "wedge.refl --no-spot-stage "
                            "--image-number 3",
                        model + "-phi 11 -images 2"),
                 3, "wedge_0004.cbf");
  expect_refused(refine("--image wedge_####.cbf --spots 20 --parameters misset --own fluence ",
                        model + far + "-images 3"),
                 3, "fit the starting lattice, which are too few");
}

TEST_F(RefineSeveralImages, FindsHowEachStillLiesAndStatesItForSeries) {
  const std::string stills = crystal + "-fluence 3e27 ";
  folder.file("truth.txt", "12 -7 33\n100 20 5\n-40 60 10\n");
  folder.file("start.txt", "12.2 -7.2 33.1\n100.2 20.1 4.8\n-40.2 59.9 10.2\n");
  good_run(stills + cell + "-orientations truth.txt -seed 1 -o still_####.cbf -o true.refl");
  const std::string start = stills + other_cell + "-orientations start.txt ";
  for (const std::string spots : {"", "--spots-of true.refl "}) {
    const Outcome outcome = refine(
        "--image still_####.cbf --spots 20 --parameters cell[0-2] --own misset,fluence " + spots,
        start);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_near("cell[0]", 40);
    expect_near("image[0].misset[2]", 33);
    expect_near("image[1].misset[0]", 100);
    expect_near("image[2].misset[1]", 60);
    EXPECT_THAT(outcome.out, HasSubstr("refined.orientations"));
    // One list of three stills with a crystal each
    EXPECT_NEAR(
        length(io::read_geometry(folder / "r/refined.expt", 2).crystals.at(0).real_axes_A.b),
        number("cell[1]")["value"], 1e-6);
  }
  good_run(start + refined_flags() + "-floatfile again_####.bin");
  EXPECT_THAT(refined_flags(), HasSubstr("-orientations r/refined.orientations"));
  // But for the fluence, which is each image's own
  Experiment e = experiment_from_json(folder.content("r/experiment_0002.json"));
  e.beam.fluence_per_m2 = 3e27;
  const Image image = simulate(e).image;
  const std::string bytes(reinterpret_cast<const char*>(image.pixels.data()),
                          image.pixels.size() * sizeof(float));
  EXPECT_EQ(folder.content("again_0002.bin"), bytes);
}

TEST_F(RefineSeveralImages, FindsHowTwoCrystalsLieInEachStill) {
  const std::string stills = crystal + "-fluence 3e27 -more_crystal -40 15 70 0.5 ";
  folder.file("truth.txt", "12 -7 33\n100 20 5\n");
  good_run(stills + cell + "-orientations truth.txt -seed 1 -o still_####.cbf -o true.refl");
  const std::string start = stills + other_cell + "-orientations truth.txt ";
  // What all have in common is stated by flags that make their images
  Outcome outcome = refine(
      "--image still_####.cbf --spots 30 --parameters cell[0-2],crystal[1].weight "
      "--spots-of true.refl ",
      start);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("not in refined_flags")));
  expect_near("cell[0]", 40);
  expect_near("crystal[1].weight", 0.5);
  good_run(start + refined_flags() + "-floatfile again_####.bin");
  for (const std::string digit : {"1", "2"}) {
    const Image image = simulate(experiment_from_json(
                                     folder.content("r/experiment_000" + digit + ".json")))
                            .image;
    const std::string bytes(reinterpret_cast<const char*>(image.pixels.data()),
                            image.pixels.size() * sizeof(float));
    EXPECT_EQ(folder.content("again_000" + digit + ".bin"), bytes);
  }
  // Each for itself, which a list of orientations of the first does not state
  outcome = refine(
      "--image still_####.cbf --spots 60 --parameters cell[0-2] --own misset,crystal[1].misset ",
      start);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_near("cell[1]", 45);
  expect_near("image[0].misset[2]", 33);
  EXPECT_THAT(outcome.err, HasSubstr("how the crystals beside the first lie in each still"));
  const json expt = json::parse(folder.content("r/refined.expt"));
  EXPECT_EQ(expt["crystal"].size(), 4U);
}

TEST_F(RefineSeveralImages, FindsTheCellOfAWedgeOfTenToFiveThousandthsOfAPercent) {
  fs::copy_file(NABLA_SOURCE_DIR "/examples/ubiquitin/1ubq.pdb", folder / "1ubq.pdb");
  good_run("fcalc 1ubq.pdb -dmin 1.5 -o ubiquitin.hkl");
  const std::string model =
      "-corrected -noprogress -hkl ubiquitin.hkl -N 30 -gauss_xtal -mosaic_model gaussian "
      "-lambda 1 -detpixels 1024 -pixel 0.1 -water 0.25 -osc 1 -images 10 ";
  good_run(
      model +
      "-cell 50.84 42.77 28.95 90 90 90 -misset 10 20 30 -mosaic 0.5 -distance 80 -Xbeam 51.15 "
      "-Ybeam 51.15 -fluence 2e26 -seed 1 -o wedge_####.cbf");
  const Outcome outcome = refine(
      "--image wedge_####.cbf --spots 100 "
      "--parameters misset,cell[0-2],distance,beam_center,mosaic_spread --own fluence ",
      model +
          "-cell 51.09 42.56 29.09 90 90 90 -misset 10.3 19.7 30.3 -mosaic 0.35 -distance 80.5 "
          "-Xbeam 51.35 -Ybeam 50.95 -fluence 1.6e26");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const auto& [name, truth] :
       {std::pair{"cell[0]", 50.84}, std::pair{"cell[1]", 42.77}, std::pair{"cell[2]", 28.95}}) {
    expect_near(name, truth);
    EXPECT_NEAR(number(name)["value"], truth, 5e-5 * truth) << name;
  }
}

TEST_F(RefineSeveralImages, RefusesImagesThatAreNotTheModels) {
  good_run(wedge + cell + misset + "-seed 1 -o wedge_####.cbf");
  const std::string start = wedge + other_cell + other_misset;
  const std::string single = crystal + cell + misset + "-fluence 3e27 -phi 10 -osc 0.5 ";
  expect_refused(refine("--image wedge_0001.cbf --image wedge_0002.cbf " + asked, start), 2,
                 "there are 2 images (--image), and the model is of 3");
  expect_refused(refine("--image wedge_0001.cbf --image wedge_0002.cbf " + asked, single), 2,
                 "there are 2 images (--image), and the model is of one: what each is of, a series "
                 "states (-images N -osc D, or -orientations FILE)");
  expect_refused(refine("--image wedge_0001.cbf --image wedge_0002.cbf --image wedge_0003.cbf "
                        "--image-number 2 " +
                            asked,
                        start),
                 2, "--image-number is of one file");
  expect_refused(refine("--image wedge_####.cbf --image-number 2 " + asked, start), 3,
                 "wedge_0004.cbf");
  expect_refused(refine("--image wedge_0001.cbf " + asked, start), 3,
                 "wedge_0001.cbf: holds one image, and number 2 is asked for");
  expect_refused(refine("--image wedge_####.cbf " + asked, start + "-continue "), 2,
                 "-continue goes on with making a series; refine goes on with --resume");
  expect_refused(refine("--image wedge_####.cbf --parameters cell --own cell[0] ", start), 2,
                 "cell[0] is named twice among the refined parameters");
  expect_refused(refine("--image wedge_####.cbf --own misset --restrain misset[3]=1 ", start), 2,
                 "a restraint is given for 'misset[3]'");
}

}  // namespace
}  // namespace nablabragg
