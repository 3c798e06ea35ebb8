// -truth: what the light of each pixel is made of, in a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "io/hdf5_reader.hpp"
#include "nablabragg/error.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using testing::HasSubstr;

const std::string cubic =
    "-corrected -cell 100 -default_F 100 -N 5 -lambda 1 -distance 100 -pixel 0.5 -detpixels 24 "
    "-water 100 -air -5 10 -seed 3 ";

class Truth : public test::ProgramTest {
 protected:
  struct Data {
    io::hdf5::Shape shape;
    std::vector<double> values;
  };
  Data read(const std::string& file, const std::string& name) const {
    const io::hdf5::Session session;
    const io::hdf5::Reader reader(folder / file);
    const auto node = reader.needed(reader.root(), name, "a data set of the truth");
    return {reader.shape(node), reader.numbers(node)};
  }
};

TEST_F(Truth, HoldsTheImageItsPartsAndItsReflections) {
  const auto run = good_run(cubic + "-floatfile image.bin -truth truth.h5");
  EXPECT_THAT(run.out, HasSubstr("writing truth.h5 as HDF5 of the light's 4 parts\n"));
  const Data photons = read("truth.h5", "photons"), lattice = read("truth.h5", "parts/lattice"),
             water = read("truth.h5", "parts/water"), air = read("truth.h5", "parts/material_2"),
             compton = read("truth.h5", "parts/material_3");
  EXPECT_EQ(photons.shape, (io::hdf5::Shape{24, 24}));
  const std::vector<float> image = test::read_floats(folder / "image.bin");
  for (std::size_t i = 0; i < image.size(); ++i) {
    EXPECT_NEAR(photons.values[i], double(image[i]), 1e-6 * photons.values[i]);
    EXPECT_NEAR(photons.values[i],
                lattice.values[i] + water.values[i] + air.values[i] + compton.values[i],
                1e-6 * photons.values[i]);
  }
  const Data hkl = read("truth.h5", "hkl"), has_hkl = read("truth.h5", "has_hkl");
  EXPECT_EQ(hkl.shape, (io::hdf5::Shape{24, 24, 3}));
  EXPECT_EQ(has_hkl.shape, (io::hdf5::Shape{24, 24}));
  EXPECT_THAT(has_hkl.values, testing::Contains(1.0));
}

TEST_F(Truth, OfSeveralCrystalsTellsWhoseReflectionItIs) {
  const std::string two = cubic + "-more_crystal 40 5 80 0.5 ";
  good_run(two + "-floatfile image.bin -truth two.h5");
  const Data photons = read("two.h5", "photons"), crystal = read("two.h5", "crystal"),
             has_hkl = read("two.h5", "has_hkl");
  const std::vector<float> image = test::read_floats(folder / "image.bin");
  for (std::size_t i = 0; i < image.size(); ++i)
    EXPECT_NEAR(photons.values[i], double(image[i]), 1e-6 * photons.values[i]);
  EXPECT_EQ(crystal.shape, (io::hdf5::Shape{24, 24}));
  EXPECT_THAT(crystal.values, testing::Each(testing::AnyOf(0.0, 1.0)));
  EXPECT_THAT(crystal.values, testing::Contains(1.0));
  good_run(cubic + "-truth one.h5");
  EXPECT_THROW(read("one.h5", "crystal"), InputError);
}

TEST_F(Truth, OfAnImageOfASeriesIsThatOfTheSingleCommand) {
  good_run(cubic + "-osc 0.5 -images 2 -truth t_##.h5");
  good_run(cubic + "-phi 0.5 -osc 0.5 -truth one.h5");
  EXPECT_EQ(read("t_02.h5", "hkl").values, read("one.h5", "hkl").values);
  EXPECT_EQ(read("t_02.h5", "photons").values, read("one.h5", "photons").values);
}

TEST_F(Truth, IsRefusedBeforeAnythingIsComputedWhereItCannotBe) {
  EXPECT_THAT(run("-cell 100 -default_F 100 -N 5 -detpixels 8 -truth t.h5").err,
              HasSubstr("-truth needs -corrected"));
  EXPECT_THAT(run(cubic + "-truth no/such/folder/t.h5").err, HasSubstr("no/such/folder"));
  EXPECT_FALSE(std::filesystem::exists(folder / "t.h5"));
}

}  // namespace
}  // namespace nablabragg
