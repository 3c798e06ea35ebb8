// What the program does with what it cannot use: the right exit code, one clear sentence, no
// output left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>  // for strerror
#include <random>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg {
namespace {

using test::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int usage = 2, input_file = 3, output_file = 4;

/// A run that works where nothing spoils it, and about which there is nothing to say.
const std::string good = "-cell 100 -default_F 100 -N 5 -detpixels 16 -distance 500 ";

class BadInput : public testing::Test {
 protected:
  Outcome run(const std::string& line) const { return test::run_program(folder.path(), line); }

  std::vector<std::string> names() const {
    std::vector<std::string> names = folder.names();
    std::sort(names.begin(), names.end());
    return names;
  }

  /// Fails with this code and one sentence that holds these parts, and leaves the folder as it was.
  void expect_error(const std::string& line, int code,
                    const std::vector<std::string>& parts) const {
    SCOPED_TRACE(line);
    const std::vector<std::string> before = names();
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, testing::StartsWith("nablabragg: error: "));
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("-9223372036854775808")));
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(names(), before);
  }

  /// A list of reflections with this text.
  void expect_bad_hkl(const std::string& text, const std::vector<std::string>& parts) const {
    folder.file("F.hkl", text);
    expect_error("-cell 100 -N 5 -detpixels 16 -hkl F.hkl", input_file, parts);
  }

  test::TempDir folder;
};

TEST_F(BadInput, IsAbsentFromTheRunThatTheOthersSpoil) {
  const Outcome outcome = run(good + "-corrected -floatfile f.bin");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(folder.names(), ElementsAre("f.bin"));
}

// ---- Structure factors -----------------------------------------------------------------------

TEST_F(BadInput, HklFileThatIsMissing) {
  expect_error("-cell 100 -hkl no.hkl", input_file, {"no.hkl", "No such file"});
}

TEST_F(BadInput, HklFileThatIsAFolder) {
  expect_error("-cell 100 -hkl .", input_file, {"cannot read .", "directory"});
}

TEST_F(BadInput, HklFileThatIsEmpty) {
  expect_bad_hkl("", {"F.hkl", "holds no reflections"});
  expect_bad_hkl("# only a comment\n\n", {"F.hkl", "holds no reflections"});
}

TEST_F(BadInput, HklFileThatIsTruncated) {
  expect_bad_hkl("1 0 0 10\n0 1 0 20\n0 0 ", {"F.hkl:3", "fewer than four columns"});
}

TEST_F(BadInput, HklFileThatIsBinary) {
  std::mt19937 random(1);
  std::string bytes(5000, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
  expect_bad_hkl(bytes, {"F.hkl:", "not a text file"});
}

TEST_F(BadInput, HklFileWithIndicesThatAreNotWhole) {
  expect_bad_hkl("1 0 0 10\n1.5 0 0 3\n", {"F.hkl:2", "h is no whole number"});
  expect_bad_hkl("1 0 0 10\n1 0 x 3\n", {"F.hkl:2", "l is no whole number"});
  expect_bad_hkl("1 99999999999 0 10\n", {"F.hkl:1", "k is no whole number that fits"});
}

TEST_F(BadInput, HklFileWithAmplitudesThatAreNoNumbers) {
  expect_bad_hkl("1 0 0 nan\n", {"F.hkl:1", "F is no finite number"});
  expect_bad_hkl("1 0 0 10\n2 0 0 inf\n", {"F.hkl:2", "F is no finite number"});
  expect_bad_hkl("nan 0 0 10\n", {"F.hkl:1", "h is no whole number"});
}

TEST_F(BadInput, HklFileWithAStrayIndexNamesItAndTheMemoryItWouldNeed) {
  // 1000001^3 values of 8 bytes
  expect_bad_hkl("0 0 0 10\n1000000 1000000 1000000 5\n",
                 {"F.hkl: the table of structure factors would need 7629417419456 MiB for 2 "
                  "reflections, nearly all of it empty: ",
                  " lies far from the others; look for a stray index\n"});
  // 2 GB, which would be taken on a machine that has them.
  std::string text;
  for (int h = 0; h < 30; ++h) text += std::to_string(h) + " 1 2 5\n";
  expect_bad_hkl(text + "0 3000 3000 7\n1 2 3 4\n" + "0 -20 700 8\n",
                 {"F.hkl: ", "MiB", "0 3000 3000 lies far from the others"});
}

TEST_F(BadInput, HklFileWithIndicesAtTheEndsOfTheNumberRange) {
  expect_bad_hkl("-2000000000 -2000000000 -2000000000 1\n2000000000 2000000000 2000000000 1\n",
                 {"F.hkl", "MiB", "stray index"});
}

TEST_F(BadInput, NoStructureFactorsAtAll) {
  expect_error("-cell 100 -N 5", usage, {"no structure factors", "-hkl", "-default_F"});
  expect_error("-cell 100 -N 5 -default_F 0", usage, {"no structure factors"});
}

TEST_F(BadInput, HklColumnOfATextFile) {
  folder.file("F.hkl", "0 0 0 1\n");
  expect_error("-cell 100 -hkl F.hkl -hkl_column FC", usage, {"-hkl_column", "F.hkl"});
}

TEST_F(BadInput, CacheThatIsNoneIsNamedWithTheWayAroundIt) {
  folder.file("Fdump.bin", "rubbish\n");
  expect_error("-cell 100 -N 5", input_file, {"Fdump.bin", "cache", "-nocache"});
  folder.file("Fdump.bin", "-1 1 -1 1 -1 1\n\ftoo short");
  expect_error("-cell 100 -N 5", input_file, {"Fdump.bin", "bytes", "-nocache"});
  folder.file("Fdump.bin", "");
  expect_error("-cell 100 -N 5 -default_F 10", input_file, {"Fdump.bin", "-nocache"});
  EXPECT_EQ(run(good + "-nocache").exit_code, 0);
}

TEST_F(BadInput, CacheNamedButNotThere) {
  expect_error("-cell 100 -N 5 -dump no.bin", usage, {"no structure factors"});
}

TEST_F(BadInput, StolTableThatIsMissingOrEmpty) {
  folder.file("empty.stol", "");
  for (const char* flag : {"-stol", "-4stol", "-Q"}) {
    expect_error(good + flag + " no.stol", input_file, {"no.stol"});
    expect_error(good + flag + " empty.stol", input_file, {"empty.stol"});
  }
}

// ---- Crystal ---------------------------------------------------------------------------------

TEST_F(BadInput, NoCell) {
  expect_error("-N 5 -default_F 10", usage, {"unit cell", "-cell", "-mat"});
}

TEST_F(BadInput, CellWithImpossibleEdges) {
  for (const char* cell : {"-cell 0", "-cell -100", "-cell 100 0 50"})
    expect_error(std::string(cell) + " -default_F 10", usage, {"must be positive"});
}

TEST_F(BadInput, CellWithImpossibleAngles) {
  for (const char* angles : {"30 40 120", "120 120 120", "180 90 90", "60 60 120"})
    for (const char* mode : {"", " -corrected"})
      expect_error(std::string("-cell 70 80 90 ") + angles + " -default_F 10" + mode, usage,
                   {"no unit cell has these angles"});
}

TEST_F(BadInput, MatrixFileThatIsMissing) {
  // nanoBragg goes on with a matrix of rubbish
  expect_error("-mat no.mat -default_F 10", input_file, {"no.mat", "No such file"});
}

TEST_F(BadInput, MatrixFileThatIsShort) {
  folder.file("A.mat", "0.01 0 0\n0 0.01\n");
  expect_error("-mat A.mat -default_F 10", input_file, {"A.mat", "5 of the nine numbers"});
  folder.file("A.mat", "");
  expect_error("-mat A.mat -default_F 10", input_file, {"A.mat", "0 of the nine numbers"});
}

TEST_F(BadInput, MatrixFileWithAWord) {
  folder.file("A.mat", "0.01 0 0\n0 zero 0\n0 0 0.01\n");
  expect_error("-mat A.mat -default_F 10", input_file, {"A.mat:2", "number 5", "zero"});
  folder.file("A.mat", "0.01 0 0\n0 nan 0\n0 0 0.01\n");
  expect_error("-mat A.mat -default_F 10", input_file, {"A.mat:2", "no finite number"});
}

TEST_F(BadInput, MatrixFileThatIsSingular) {
  for (const char* matrix :
       {"0 0 0\n0 0 0\n0 0 0\n", "1 2 3\n4 5 6\n7 8 9\n", "0.01 0.01 0\n0 0 0.01\n0 0 0\n"}) {
    folder.file("A.mat", matrix);
    expect_error("-mat A.mat -default_F 10", input_file, {"A.mat", "singular"});
  }
}

TEST_F(BadInput, FewerThanOneCellIsTakenForOneAsInNanoBraggAndRefusedWhenCorrected) {
  const std::string rest = "-cell 100 -default_F 10 -detpixels 16 -oversample 1 ";
  for (const char* flags : {"-N 0", "-N -5", "-Nb 0"})
    expect_error(rest + flags + " -corrected", usage, {"the cells (-N", "must be at least 1"});
  const Outcome outcome = run(rest + "-Na 0");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err,
            "nablabragg: Q-48: the cells (-Na) are 0; they must be at least 1; it is taken all the "
            "same, and -corrected refuses it\n");
  EXPECT_THAT(outcome.out, HasSubstr("1x1x1 cells"));
}

// ---- Beam ------------------------------------------------------------------------------------

TEST_F(BadInput, WavelengthOrEnergyThatIsNotPositive) {
  for (const char* flags : {"-lambda 0", "-lambda -1"}) {
    expect_error(good + flags, usage, {"positive", "-lambda"});
    expect_error(good + flags + " -corrected", usage, {"(-lambda) is ", "must be positive\n"});
  }
  for (const char* flags : {"-energy 0", "-energy -12000"})
    for (const char* mode : {"", " -corrected"})
      expect_error(good + flags + mode, usage, {"positive", "-energy"});
}

TEST_F(BadInput, SourceFileThatIsMissingOrEmpty) {
  expect_error(good + "-sourcefile no.src", input_file, {"no.src", "No such file"});
  folder.file("s.src", "");
  expect_error(good + "-sourcefile s.src", input_file, {"s.src", "holds no sources"});
  folder.file("s.src", "# X Y Z\n\n   \n");
  expect_error(good + "-sourcefile s.src", input_file, {"s.src", "holds no sources"});
}

TEST_F(BadInput, SourceFileWithRubbish) {
  folder.file("s.src", "-10 0 0 1 1e-10\n0 0 0 1 1e-10\n");
  expect_error(good + "-sourcefile s.src", input_file, {"s.src:2", "no direction"});
  folder.file("s.src", "-10 zero 0 1 1e-10\n");
  expect_error(good + "-sourcefile s.src", input_file, {"s.src:1", "zero"});
  folder.file("s.src", "-10 0 0 1 0\n");
  expect_error(good + "-sourcefile s.src", input_file, {"s.src:1", "metres"});
}

TEST_F(BadInput, DispersionDownToAWavelengthOfZero) {
  expect_error(good + "-dispersion 200", usage, {"-dispersion"});
}

TEST_F(BadInput, BeamOfNoSizeWithAFlux) {
  expect_error(good + "-flux 1e12 -beamsize 0", usage, {"-beamsize"});
}

// ---- Detector --------------------------------------------------------------------------------

TEST_F(BadInput, PixelThatIsNotPositive) {
  expect_error(good + "-pixel 0", usage, {"-pixel", "positive"});
  expect_error(good + "-pixel -0.1", usage, {"-pixel", "positive"});
}

TEST_F(BadInput, DetectorBehindTheSample) {
  for (const char* mode : {"", " -corrected"}) {
    expect_error(good + "-distance -100" + mode, usage, {"-distance", "positive"});
    expect_error(good + "-distance 0" + mode, usage, {"-distance", "positive"});
    expect_error(good + "-close_distance -100" + mode, usage, {"-close_distance", "positive"});
  }
}

TEST_F(BadInput, DetectorTurnedAwayFromTheBeam) {
  expect_error(good + "-detector_roty 100 -corrected", usage,
               {"does not meet the front of the detector", "-close_distance"});
  // nanoBragg makes an image of that, and so does its mode
  EXPECT_EQ(run(good + "-detector_roty 100").exit_code, 0);
}

TEST_F(BadInput, DetectorWithFewerThanOnePixel) {
  for (const char* size :
       {"-detpixels -3", "-detpixels_f -3", "-detpixels_s -1", "-detpixels 0 -detsize 0",
        "-detpixels 0 -detsize -5", "-detpixels 0 -detsize_s 0.01"})
    expect_error(good + size, usage, {"pixel"});
}

TEST_F(BadInput, DetectorTooLargeForTheMemoryNamesWhatItWouldNeed) {
  expect_error(good + "-detpixels 2000000000", usage, {"2000000000 x 2000000000", "MiB"});
  expect_error(good + "-detpixels 0 -detsize 1e12", usage, {"-detsize"});
}

TEST_F(BadInput, RegionOfInterestOutsideTheDetector) {
  expect_error(good + "-roi 16 20 0 5", usage, {"-roi 16 20 0 5", "16 x 16"});
  expect_error(good + "-roi 0 5 100 200", usage, {"-roi 0 5 100 200"});
  expect_error(good + "-roi 10 5 0 5", usage, {"-roi 10 5 0 5", "no pixel"});
}

TEST_F(BadInput, ImageOrMaskThatIsNotSmv) {
  folder.file("text.img", "this is no image\n");
  folder.file("short.img", "{\nHEADER_BYTES=512;\nSIZE1=16;\n");
  for (const char* flag : {"-img ", "-mask "}) {
    expect_error(good + flag + "no.img", input_file, {"no.img", "No such file"});
    expect_error(good + flag + "text.img", input_file, {"text.img", "is no image"});
    expect_error(good + flag + "short.img", input_file, {"short.img", "ends within its header"});
  }
}

TEST_F(BadInput, MaskOfAnotherSize) {
  ASSERT_EQ(run(good + "-intfile m.img -corrected").exit_code, 0);
  expect_error(good + "-mask m.img -detpixels 17", usage, {"16 x 16", "17 x 17", "mask"});
  expect_error(good + "-mask m.img -detpixels_s 8", usage, {"16 x 16", "16 x 8"});
}

TEST_F(BadInput, TracedOrPrintedPixelOutsideTheDetectorBeforeAnythingIsComputed) {
  expect_error(good + "-trace_pixel 16 0", usage, {"-trace_pixel", "slow 16 fast 0", "16 x 16"});
  expect_error(good + "-trace_pixel 0 -1", usage, {"-trace_pixel"});
  expect_error(good + "-printout_pixel 0 16", usage, {"-printout_pixel", "slow 16 fast 0"});
}

// ---- Output ----------------------------------------------------------------------------------

TEST_F(BadInput, OutputFolderThatIsNotThereStopsTheRunBeforeItComputes) {
  // Hours of work, if it began
  const std::string long_run = good + "-detpixels 4096 -mosaic 1 -mosaic_dom 10000 ";
  for (const char* flag : {"-floatfile", "-intfile", "-pgmfile", "-noisefile", "-pngfile"})
    for (const char* mode : {"", " -corrected"})
      expect_error(long_run + flag + " no/such/file" + mode, output_file,
                   {"cannot write no/such/file", "No such file or directory"});
}

TEST_F(BadInput, OutputNameThatIsAFolderOrGoesThroughAFile) {
  folder.file("plain", "");
  expect_error(good + "-floatfile .", output_file, {"cannot write .", "directory"});
  expect_error(good + "-floatfile plain/f.bin", output_file, {"cannot write plain/f.bin"});
}

TEST_F(BadInput, CacheIsNotWrittenByARunThatFails) {
  folder.file("F.hkl", "0 0 0 1\n0 1 0 2\n");
  expect_error("-cell 100 -hkl F.hkl -lambda 0", usage, {"wavelength"});
  expect_error("-cell 100 -hkl F.hkl -floatfile no/f.bin -N 5 -distance 500", output_file,
               {"no/f.bin"});
}

TEST_F(BadInput, FullDeviceIsAnErrorOfItsName) {
  for (const char* flag : {"-floatfile", "-intfile", "-pgmfile", "-noisefile", "-pngfile"})
    expect_error(good + "-corrected " + flag + " /dev/full", output_file,
                 {"cannot write /dev/full", "No space left on device"});
}

TEST_F(BadInput, StandardOutputThatIsFullIsAnError) {
  const std::string command = std::string("cd '") + folder.path().string() + "' && '" +
                              NABLA_PROGRAM + "' -help > /dev/full 2> message";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), output_file);
  EXPECT_THAT(folder.content("message"), HasSubstr("standard output"));
}

TEST_F(BadInput, FullDiskLeavesNeitherThatFileNorPartsOfIt) {
  const std::string disk = folder / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "no small disk can be mounted here: " << std::strerror(errno);
  // 256 x 256 floats are four times that
  const Outcome outcome = run(good + "-detpixels 256 -corrected -floatfile disk/f.bin");
  EXPECT_EQ(outcome.exit_code, output_file);
  EXPECT_EQ(outcome.err, "nablabragg: error: cannot write disk/f.bin: No space left on device\n");
  EXPECT_TRUE(std::filesystem::is_empty(disk));

  // What was there stays
  test::write_file(disk + "/f.bin", "old");
  EXPECT_EQ(run(good + "-detpixels 256 -corrected -floatfile disk/f.bin").exit_code, output_file);
  EXPECT_EQ(test::read_file(disk + "/f.bin"), "old");
  EXPECT_EQ(umount(disk.c_str()), 0);
}

TEST_F(BadInput, PictureWithAScaleBitsOrWhiteThatDoNotExist) {
  expect_error(good + "-pngfile a.png -pngscale cubic", usage, {"-pngscale", "linear, log, sqrt"});
  expect_error(good + "-pngfile a.png -pngbits 12", usage, {"-pngbits", "8, 16"});
  expect_error(good + "-pngfile a.png -pngwhite 0", usage, {"-pngwhite", "positive"});
  expect_error(good + "-pngfile a.png -pngwhite -3", usage, {"-pngwhite", "positive"});
}

// ---- Arguments
// -----------------------------------------------------------------------------------

TEST_F(BadInput, UnknownSubcommand) {
  expect_error("simulate -cell 100", usage,
               {"'simulate' is no subcommand", "fcalc", "detectors", "docs"});
  expect_error("docs nothing", usage, {"flags, differences, checks, detectors"});
  expect_error("docs", usage, {"flags, differences"});
}

TEST_F(BadInput, NoArgumentsAtAllShowTheHelpAndAFirstExample) {
  const Outcome outcome = run("");
  EXPECT_EQ(outcome.exit_code, usage);
  EXPECT_THAT(outcome.out, HasSubstr("usage: nablabragg"));
  EXPECT_THAT(outcome.err, HasSubstr("a first image: nablabragg -cell"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(BadInput, StrayArgumentsAreNamedAndDoNoHarm) {
  const Outcome outcome = run(good + "-corrected -floatfile f.bin stray words");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err,
            "nablabragg: 'stray' belongs to no flag and is ignored\n"
            "nablabragg: 'words' belongs to no flag and is ignored\n");
}

// An image that holds NaN or infinity: refused by -corrected, kept and named by compat.

const std::string finite_until =
    "-cell 50 60 70 90 90 90 -N 5 -detpixels 32 -pixel 0.05 -oversample 1 "
    "-seed 1 -nocache -noprogress ";

TEST_F(BadInput, AnImageThatIsNotFiniteIsRefusedWithItsFirstPixelAndWhatMayHaveLedToIt) {
  for (const auto& [flags, cause] : std::vector<std::pair<std::string, std::string>>{
           {"-default_F 1e30", "the largest is 1e+30 electrons"},
           {"-default_F 1e200", "the largest is 1e+200 electrons"},
           {"-default_F 1 -fluence 1e300", "the fluence (1e+300 photons/m^2)"}}) {
    const std::vector<std::string> before = names();
    const Outcome outcome = run(
        finite_until + "-corrected -floatfile a.bin -noisefile b.img -pngfile c.png " + flags);
    EXPECT_EQ(outcome.exit_code, usage) << flags;
    // What is unusual about the number is said before.
    const std::size_t at = outcome.err.find("nablabragg: error: ");
    ASSERT_NE(at, std::string::npos) << outcome.err;
    const std::string error = outcome.err.substr(at);
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : {std::string("pixels are NaN or infinite, first at pixel fast "),
                                    cause, std::string("nothing was written")})
      EXPECT_THAT(error, HasSubstr(part));
    EXPECT_EQ(names(), before);
  }
}

TEST_F(BadInput, AnImageOfNanoBraggsThatIsNotFiniteIsWrittenAndNamedOnStandardError) {
  const Outcome outcome = run(finite_until + "-default_F 1e30 -floatfile a.bin -nonoise -nopgm");
  EXPECT_EQ(outcome.exit_code, 0);
  const std::vector<float> photons = test::read_floats(folder.path() / "a.bin");
  const auto wrong = [](float x) { return !std::isfinite(x); };
  const auto first = std::find_if(photons.begin(), photons.end(), wrong) - photons.begin();
  const auto count = std::count_if(photons.begin(), photons.end(), wrong);
  ASSERT_GT(count, 0);
  EXPECT_THAT(outcome.err,
              HasSubstr("nablabragg: " + std::to_string(count) +
                        " of 1024 pixels are NaN or infinite, first at pixel fast " +
                        std::to_string(first % 32) + " slow " + std::to_string(first / 32) + "; "));
}

TEST_F(BadInput, AFiniteImageIsNotNamed) {
  const Outcome outcome = run(finite_until + "-corrected -default_F 100 -floatfile a.bin");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, IsEmpty());
}

}  // namespace
}  // namespace nablabragg
