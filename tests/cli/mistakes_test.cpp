// Mistakes of people who use the program for the first time: each is refused in a sentence that
// says what was meant, or said; none becomes another image without a word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "flags/command_line.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/resolved.hpp"
#include "support/message_of.hpp"

namespace nablabragg {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;

const Words good{"-cell", "40", "50", "60", "90", "90", "90", "-default_F", "100", "-N", "5"};

flags::Request parse(Words more, const char* mode) {
  Words all = good;
  all.insert(all.end(), more.begin(), more.end());
  if (*mode) all.emplace_back(mode);
  return flags::parse_command_line(all);
}

std::string error(const Words& more, const char* mode = "-corrected") {
  return test::message_of<UsageError>([&] { parse(more, mode); });
}

TEST(WordsThatAreNoNumbers, AreAnsweredWithTheNumberThatWasMeant) {
  const auto of_lambda = [](const std::string& word) { return error({"-lambda", word}); };
  EXPECT_EQ(of_lambda("0,97"),
            "-lambda needs a number, not '0,97'; did you mean 0.97? the decimal sign is a point");
  EXPECT_EQ(of_lambda(" 0.97 "),
            "-lambda needs a number, not ' 0.97 '; did you mean 0.97? there are blanks around it");
  EXPECT_EQ(of_lambda("0.97A"),
            "-lambda needs a number, not '0.97A'; the number stands alone, in Angstrom");
  EXPECT_THAT(of_lambda("0,979"), HasSubstr("did you mean 0.979?"));
  EXPECT_EQ(of_lambda("1,000"),
            "-lambda needs a number, not '1,000'; numbers are separated by blanks, and the decimal "
            "sign is a point");
  EXPECT_EQ(of_lambda("abc"), "-lambda needs a number, not 'abc'");
  EXPECT_EQ(error({"-phi", "−5"}),
            "-phi needs a number, not '−5'; did you mean -5? its minus is a character of typeset "
            "pages");
  EXPECT_EQ(error({"-phi", "–5"}),
            "-phi needs a number, not '–5'; did you mean -5? its minus is a character of typeset "
            "pages");
  EXPECT_EQ(error({"-twotheta", "10°"}),
            "-twotheta needs a number, not '10°'; the number stands alone, in degree");
  EXPECT_EQ(error({"-polar", "95%"}), "-polar needs a number, not '95%'; the number stands alone");
  EXPECT_EQ(error({"-distance", "100 mm"}),
            "-distance needs a number, not '100 mm'; the number stands alone, in mm");
  EXPECT_EQ(error({"-cell", "40,50,60,90,90,90"}),
            "-cell needs a number, not '40,50,60,90,90,90'; numbers are separated by blanks, and "
            "the decimal sign is a point");
  EXPECT_EQ(error({"-cell", "40 50 60 90 90 90"}),
            "-cell needs a number, not '40 50 60 90 90 90'; it is one word, since it stands in "
            "quotation marks");
  EXPECT_EQ(error({"-N", "5x5x5"}), "-N needs a whole number, not '5x5x5'");
  EXPECT_EQ(error({"-distance", "."}), "-distance needs a number, not '.'");
}

TEST(FlagsOfSeveralValues, SayHowManyTheyNeedAndHowManyFollow) {
  EXPECT_EQ(error({"-roi", "0", "10", "5"}, ""),
            "-roi needs 4 values (xmin xmax ymin ymax), and only 3 follow");
  EXPECT_EQ(parse({"-roi", "0", "10", "5", "8"}, "-corrected").experiment.sampling.roi->slow_max,
            8);
  EXPECT_EQ(error({"-beam_vector", "1", "-distance", "5"}),
            "-beam_vector needs 3 values (x y z), and the flag -distance follows after 1");
  EXPECT_EQ(error({"-lambda", "-distance", "5"}),
            "-lambda needs a value (Angstrom), and the flag -distance follows");
}

TEST(EmptyWords, OfVariablesThatAreNotSetAreRefusedInBothModes) {
  for (const char* mode : {"-compat", "-corrected"})
    for (const char* flag : {"-hkl", "-mat", "-sourcefile", "-img", "-mask", "-floatfile",
                             "-pngfile", "-distance", "-dump"})
      EXPECT_THAT(error({flag, ""}, mode), AllOf(HasSubstr(std::string(flag) + " needs a value ("),
                                                 HasSubstr("), and an empty word follows")));
  EXPECT_THAT(error({"--hkl="}), HasSubstr("and an empty word follows"));
}

TEST(DashesOfTypesetPages, AreRefusedWithTheFlagThatWasMeant) {
  for (const char* dash : {"–", "—", "−", "‐"}) {
    const std::string sentence = '\'' + std::string(dash) +
                                 "lambda' begins with a dash of typeset pages, which no flag does; "
                                 "did you mean -lambda?";
    EXPECT_EQ(error({dash + std::string("lambda"), "1.3"}), sentence);
    EXPECT_THAT(parse({dash + std::string("lambda"), "1.3"}, "-compat").warnings,
                Contains("Q-48: " + sentence +
                         ": it is ignored, as nanoBragg does; -corrected "
                         "refuses it"));
  }
  EXPECT_THAT(error({"–lamda", "1.3"}), HasSubstr("did you mean -lambda?"));
  EXPECT_THAT(error({"-phi", "0", "−5"}), HasSubstr("did you mean -5?"));
}

TEST(UnitsBehindANumber, AreRefusedWhereTheyAreNotTheFlagsOwn) {
  EXPECT_EQ(error({"-distance", "10", "cm"}),
            "'cm' follows the value of -distance, which is in mm; leave it out, or write "
            "-distance_cm");
  EXPECT_EQ(parse({"-distance_cm", "10"}, "-corrected").experiment.detector.distance_mm, 100);
  EXPECT_EQ(error({"-energy", "12.4", "keV"}),
            "'keV' follows the value of -energy, which is in eV; leave it out, or write "
            "-energy_keV");
  EXPECT_EQ(error({"-mosaic", "0.5", "mm"}),
            "'mm' follows the value of -mosaic, which is in degree; leave it out");
  EXPECT_EQ(error({"-N", "5", "mm"}),
            "'mm' follows the value of -N, which has no unit; leave it out");
  for (const Words& own : {Words{"-distance", "100", "mm"},
                           {"-phi", "5", "deg"},
                           {"-lambda", "1", "A"},
                           {"-cell", "40", "50", "60", "Angstrom"}})
    EXPECT_THAT(parse(own, "-corrected").warnings,
                Contains('\'' + own.back() + "' belongs to no flag and is ignored"));
  const auto compat = parse({"-distance", "10", "cm"}, "-compat");
  EXPECT_EQ(compat.experiment.detector.distance_mm, 10);
  EXPECT_THAT(compat.warnings, Contains(HasSubstr("Q-48: 'cm' follows the value of -distance")));
}

TEST(NumbersBehindAFlagOfOne, SayWhichFlagsTakeThem) {
  EXPECT_THAT(parse({"-N", "5", "6", "7"}, "-corrected").warnings,
              Contains("'6' belongs to no flag and is ignored; -Na, -Nb and -Nc give each edge its "
                       "own"));
  EXPECT_THAT(parse({"-detpixels", "32", "16"}, "-corrected").warnings,
              Contains(HasSubstr("-detpixels_f and -detpixels_s give each edge its own")));
}

// ---- Two flags of one thing --------------------------------------------------------------------

std::vector<std::string> said(const Words& more, const char* mode = "-corrected") {
  const flags::Request request = parse(more, mode);
  std::vector<std::string> all = request.warnings;
  for (const std::string& warning : resolve(request.experiment).warnings) all.push_back(warning);
  return all;
}

TEST(TwoFlagsOfOneThing, ThatDoNotAgreeAreSaid) {
  for (const char* mode : {"-corrected", "-compat"}) {
    EXPECT_THAT(said({"-energy", "12398", "-lambda", "2"}, mode),
                Contains("-energy 12398 and -lambda 2 are two wavelengths; the latter counts"));
    EXPECT_THAT(said({"-xds", "-mosflm"}, mode),
                Contains("-xds and -mosflm are two conventions; the latter counts"));
    EXPECT_THAT(said({"-beam_vector", "0", "0", "1", "-xds"}, mode),
                Contains("-beam_vector has no effect, since -xds, which follows, chooses another "
                         "frame"));
    EXPECT_THAT(said({"-xds", "-polar_vector", "0", "1", "0"}, mode),
                Contains("-polar_vector chooses a frame of its own, so that -xds has no effect"));
  }
  for (const Words& agreeing : {Words{"-energy", "12398.4", "-lambda", "1"},
                                {"-energy_keV", "12.3984", "-lambda", "1"},
                                {"-lambda", "2", "-lambda", "1"},
                                {"-xds", "-xds"},
                                {"-beam_vector", "1", "0", "0", "-polar_vector", "0", "0", "1"}})
    for (const std::string& line : said(agreeing))
      EXPECT_THAT(line, AllOf(Not(HasSubstr("the latter counts")), Not(HasSubstr("no effect"))));
}

TEST(NumbersOfSteps, ThatAreNotTakenAreSaid) {
  EXPECT_THAT(said({"-osc", "1", "-phisteps", "0"}),
              Contains("-phisteps 0 is not taken: 2 steps are"));
  EXPECT_THAT(said({"-dispersion", "2", "-dispsteps", "1"}, "-compat"),
              Contains("-dispsteps 1 is not taken: 2 steps are"));
  EXPECT_THAT(said({"-hdivrange", "1", "-hdivsteps", "0"}),
              Contains("-hdivsteps 0 is not taken: 2 steps are"));
  EXPECT_THAT(said({"-vdivrange", "1", "-vdivsteps", "0"}),
              Contains("-vdivsteps 0 is not taken: 2 steps are"));
  for (const std::vector<std::string>& taken :
       std::vector<std::vector<std::string>>{{"-osc", "1", "-phisteps", "1"},
                                             {"-osc", "1", "-phisteps", "7"},
                                             {"-phisteps", "1"},
                                             {"-dispersion", "2", "-dispsteps", "1"},
                                             {"-hdivrange", "1", "-hdivsteps", "4"}})
    for (const std::string& line : said(taken)) EXPECT_THAT(line, Not(HasSubstr("is not taken")));
}

TEST(FlagsWithoutTheirPartner, AreSaid) {
  EXPECT_THAT(said({"-exposure", "10"}),
              Contains("the exposure (-exposure) has no effect without a flux (-flux): the fluence "
                       "(-fluence) counts"));
  EXPECT_THAT(said({"-flux", "1e12"}),
              Contains("the size of the beam (-beamsize) is not given with "
                       "its flux (-flux): 0.1 mm is taken"));
  EXPECT_THAT(
      said({"-phisteps", "10"}),
      Contains("phi steps (-phisteps) are given without a width (-osc): 1 degree is taken"));
  for (const std::string& line : said({"-flux", "1e12", "-exposure", "10", "-beamsize", "0.1"}))
    EXPECT_THAT(line, Not(HasSubstr("-flux")));
  flags::Request sources = parse({"-divergence", "1"}, "-corrected");
  sources.experiment.beam.sources = {{{-1, 0, 0}, 1, 1}};
  EXPECT_THAT(
      resolve(sources.experiment).warnings,
      Contains("the list of sources (-sourcefile) replaces divergence and dispersion, which "
               "have no effect"));
}

// ---- Words that hold another
// ---------------------------------------------------------------------

TEST(FlagsThatDoNothing, AreSaidInBothModes) {
  for (const char* mode : {"-corrected", ""}) {
    for (const Words& dead :
         {Words{"-density", "1.3"}, Words{"-MW", "18"}, Words{"-molec", "18"}, Words{"-stol", "a"}})
      EXPECT_THAT(parse(dead, mode).warnings,
                  Contains(dead[0] +
                           " has no effect, as in nanoBragg; -background FILE mm g/cm^3 g/mol puts "
                           "matter into the beam"));
    EXPECT_THAT(parse({"-coherent"}, mode).warnings,
                Contains("-coherent has no effect, as in nanoBragg"));
  }
}

TEST(WordsThatHoldAnother, AreThatOneInCompatAlone) {
  EXPECT_EQ(error({"-detector_abs", "information"}),
            "-detector_abs needs a number, not 'information'");
  EXPECT_EQ(error({"-misset", "operand"}),
            "-misset needs three angles in degrees, or the word random, not 'operand'");
  EXPECT_EQ(error({"-pivot", "beams"}), "-pivot needs beam or sample, not 'beams'");
  EXPECT_TRUE(parse({"-misset", "operand"}, "-compat").random_misset);
  for (const char* mode : {"-corrected", "-compat"}) {
    EXPECT_TRUE(parse({"-misset", "random"}, mode).random_misset);
    EXPECT_TRUE(parse({"-misset", "rand"}, mode).random_misset);
    for (const char* word : {"inf", "infinity"})
      EXPECT_EQ(parse({"-detector_abs", word}, mode).experiment.detector.attenuation_depth_um,
                HUGE_VAL);
  }
}

TEST(CountsOfImages, AreRefusedWhereTheyLeaveNoImage) {
  EXPECT_EQ(error({"-scale", "-1"}), "-scale needs a number that is not negative, not '-1'");
  EXPECT_EQ(error({"-pgmscale", "-1"}), "-pgmscale needs a number that is not negative, not '-1'");
  for (const char* adc : {"-50", "1e9"})
    EXPECT_EQ(error({"-adc", adc}),
              "-adc needs a number of counts from 0 to 65535, not '" + std::string(adc) + '\'');
  EXPECT_EQ(parse({"-adc", "-50"}, "-compat").adc, -50);
}

TEST(CellAngles, OfZeroAreSaidToBeRight) {
  EXPECT_THAT(said({"-cell", "40", "50", "60", "90", "0", "90"}),
              Contains("-cell: beta is 0 and taken as 90 degrees"));
}

}  // namespace
}  // namespace nablabragg
