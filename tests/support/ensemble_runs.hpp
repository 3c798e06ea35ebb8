// A test that runs ensembles in a folder of its own and looks at the numbers that they leave.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/hdf5_handles.hpp"
#include "support/program_test.hpp"

namespace nablabragg::test {

namespace fs = std::filesystem;

inline const std::string base =
    "-corrected -cell 50 60 70 90 90 90 -default_F 100 -N 8 -gauss_xtal -mosaic 0.3 "
    "-mosaic_domains "
    "3 -lambda 1 -distance 80 -detpixels 64 -pixel 0.8 -fluence 1e25 -oversample 1 -sensor Si 450";
inline const std::string varied =
    "orientation: random\nhit_rate: 0.8\nvary:\n  distance: {uniform: [79, 81]}\n"
    "  cell[0]: {normal: [50, 0.1]}\n  fluence: {log_normal: [1e25, 0.3]}\n";

/// All numbers of an HDF5 data set, as doubles, and its shape.
struct Data {
  std::vector<hsize_t> shape;
  std::vector<double> numbers;
  friend bool operator==(const Data&, const Data&) = default;
};

inline Data read_data(const fs::path& file, const std::string& name) {
  namespace hdf5 = io::hdf5;
  const hdf5::Session session;
  const hdf5::File opened(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  const hdf5::Object data(H5Dopen2(opened.get(), name.c_str(), H5P_DEFAULT));
  if (!data) throw std::runtime_error("no " + name + " in " + file.string());
  const hdf5::Space space(H5Dget_space(data.get()));
  Data read;
  read.shape.resize(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space.get())));
  H5Sget_simple_extent_dims(space.get(), read.shape.data(), nullptr);
  read.numbers.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())), -7e77);
  if (H5Dread(data.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.numbers.data()) <
      0)
    throw std::runtime_error("cannot read " + name);
  return read;
}

class EnsembleRuns : public ProgramTest {
 protected:
  void describe(const std::string& name, int shots, const std::string& more,
                const std::string& output) const {
    write_file(folder / name, "ensemble: 1\nbase: " + base + "\nshots: " + std::to_string(shots) +
                                  "\nseed: 5\noutput: " + output + "\n" + more);
  }
  void expect_error(const std::string& line, int code,
                    const std::vector<std::string>& texts) const {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, code) << line << outcome.err;
    for (const std::string& text : texts)
      EXPECT_THAT(outcome.err, testing::HasSubstr(text)) << line;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
  /// Every number that the file of all shows.
  std::map<std::string, Data> all_of(const std::string& of,
                                     const std::vector<std::string>& more = {}) const {
    std::vector<std::string> names{"/entry/data/data", "/shots/index",     "/shots/seed",
                                   "/shots/hit",       "/shots/photons",   "/shots/brightest",
                                   "/shots/misset",    "/shots/saturated", "/shots/orientation",
                                   "/shots/real_axes", "/shots/distance",  "/shots/cell",
                                   "/shots/fluence"};
    names.insert(names.end(), more.begin(), more.end());
    std::map<std::string, Data> all;
    for (const std::string& name : names)
      all[name] = read_data(folder.path() / of / "all.nxs", name);
    return all;
  }
  std::vector<std::string> names_in(const std::string& of) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder / of))
      names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
};

}  // namespace nablabragg::test
