// A test that runs the program in a folder of its own.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "support/program.hpp"
#include "support/temp_dir.hpp"

namespace nablabragg::test {

class ProgramTest : public testing::Test {
 protected:
  Outcome run(const std::string& line) const { return run_program(folder.path(), line); }

  Outcome good_run(const std::string& line) const {
    Outcome outcome = run(line);
    EXPECT_EQ(outcome.exit_code, 0) << line << '\n' << outcome.err;
    return outcome;
  }

  TempDir folder;
};

}  // namespace nablabragg::test
