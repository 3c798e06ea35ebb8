// What is made from the tables of flags and options: man pages, and what was meant by a misspelt
// option or subcommand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "flags/flags.hpp"
#include "options/command.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using testing::HasSubstr;

struct Manual : test::ProgramTest {
  std::string refusal(const std::string& line) const {
    const test::Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 2) << line;
    EXPECT_EQ(outcome.out, "") << line;
    return outcome.err;
  }
};

TEST_F(Manual, MisspeltOptionsOfSubcommandsAreAnsweredWithTheOneThatWasMeant) {
  struct Mistake {
    const char *line, *sentence;
  };
  for (const Mistake& each :
       {Mistake{"show --ring 2", "nablabragg show has no option --ring; did you mean --rings?"},
        Mistake{"show --shrnk=2", "has no option --shrnk; did you mean --shrink?"},
        Mistake{"fcalc -dmn 2", "fcalc has no flag -dmn; did you mean -dmin?"},
        Mistake{"detectors --pictur a.png", "has no flag --pictur; did you mean --picture?"},
        Mistake{"ensemble --prevew 3",
                "nablabragg ensemble has no option --prevew; did you mean "
                "--preview?"},
        Mistake{"refine --paramters cell",
                "has no option --paramters; did you mean "
                "--parameters?"},
        Mistake{"compare --treshold 1", "has no option --treshold; did you mean --threshold?"},
        Mistake{"bench --itterations 3",
                "has no option --itterations; did you mean "
                "--iterations?"},
        Mistake{"show --quux",
                "has no option --quux (nablabragg show --help shows those it "
                "has)"}})
    EXPECT_THAT(refusal(each.line), HasSubstr(each.sentence));
}

TEST_F(Manual, AFileMayBeginWithDashesBehindTwoOfThem) {
  const test::Outcome outcome = run("show -- --ring");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("--ring"));
}

TEST_F(Manual, AMisspeltSubcommandIsAnsweredWithTheOneThatWasMeant) {
  EXPECT_THAT(refusal("shwo a.cbf"), HasSubstr("'shwo' is no subcommand; did you mean show?"));
}

TEST_F(Manual, PageOfTheProgramHasEveryFlagAndSubcommand) {
  std::string page = good_run("docs man").out;
  for (std::size_t at; (at = page.find("\\-")) != std::string::npos;) page.erase(at, 1);
  for (const flags::Flag& flag : flags::flag_table())
    for (const std::string_view spelling : flag.spellings)
      EXPECT_THAT(page, HasSubstr("\\fB" + std::string(spelling) + "\\fR"));
  EXPECT_THAT(page, HasSubstr("nablabragg-refine(1)"));
}

TEST_F(Manual, WhatThereIsNoPageOrCompletionOfIsRefused) {
  EXPECT_THAT(refusal("docs man nothing"), HasSubstr("there is no man page of 'nothing'"));
  EXPECT_THAT(refusal("docs completion tcsh"), HasSubstr("bash, zsh or fish"));
  EXPECT_THAT(refusal("docs pages"), HasSubstr("needs the folder"));
  EXPECT_THAT(refusal("docs flags more"), HasSubstr("docs needs one of: flags, differences"));
}

TEST_F(Manual, PagesGoIntoTheFolderThatWasNamed) {
  good_run("docs pages share");
  const auto page = folder.path() / "share" / "man" / "man1" / "nablabragg-show.1";
  EXPECT_EQ(test::read_file(page).substr(0, 21), ".TH NABLABRAGG-SHOW 1");
}

TEST(Usage, WrapsTheHelpOfAnOptionUnderItself) {
  options::Command command{"tool", "FILE", "", {}};
  command.options.push_back(
      {{"-x", "--exact"}, "N", std::string(60, 'a') + " " + std::string(60, 'b'), "3"});
  std::ostringstream out;
  options::write_usage(out, command);
  EXPECT_EQ(out.str(), "usage: tool FILE\n  -x, --exact N  " + std::string(60, 'a') + "\n" +
                           std::string(17, ' ') + std::string(60, 'b') + " (3)\n");
}

}  // namespace
}  // namespace nablabragg
